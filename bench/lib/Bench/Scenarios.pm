package Bench::Scenarios;

# What is measured, of whom, and what it has to be.
#
#   name     on the command line
#   title    in the table
#   runs     who takes part: a system, or [name, system, more options]
#   how      publish_run (the default), or another function of Bench::Run
#   load     options of the load tool
#   publish  http (the default) or send; RabbitMQ always gets SEND
#   value    the figure that is compared, and its unit
#   targets  [run, another run, at most so many times as much, of what if not
#            of the value]
#   bounds   run => at most so much

use strict;
use warnings;

my @all = ('one-write limit', 'coalescing limit', 'nchan', 'stomp');
my @limits = ('one-write limit', 'coalescing limit', 'look-again limit');

my @few = ('--publishers', 4, '--body', 128);
my @fan1k = ('--subscribers', 1000, @few, '--messages', 20000, '--warmup', 300);
my @fan10k = ('--subscribers', 10000, @few, '--messages', 4000,
              '--warmup', 32);
my @each = ('--subscribers', 1000, '--destinations', 1000, @few,
            '--messages', 1_000_000, '--warmup', 5000, '--window', 1000);

my @scenarios = (
    {
        name => 'fan1k', title => 'fan-out to 1,000, window 16, HTTP',
        runs => [@all, 'rabbitmq'], load => [@fan1k, '--window', 16],
        targets => [['stomp', 'coalescing limit', 1.15],
                    ['stomp', 'nchan', 0.65], ['stomp', 'rabbitmq', 1 / 25]],
    },
    {
        name => 'fan1k-send', title => 'fan-out to 1,000, window 16, SEND',
        runs => [@limits, 'stomp'], publish => 'send',
        load => [@fan1k, '--window', 16],
        targets => [['stomp', 'coalescing limit', 0.80]],
    },
    {
        name => 'fan1k-4k', title => 'fan-out to 1,000, 4-KiB bodies',
        runs => [@all],
        load => [@fan1k, '--body', 4096, '--messages', 4000, '--window', 16],
    },
    {
        name => 'fan1k-w1', title => 'fan-out to 1,000, window 1, HTTP',
        runs => ['one-write limit', 'nchan', 'stomp'],
        load => [@fan1k, '--window', 1],
        targets => [['stomp', 'one-write limit', 1.10]],
    },
    {
        name => 'fan1k-100', title => '100 messages/s to 1,000, one in flight',
        runs => ['one-write limit', 'nchan', 'stomp'],
        load => [@fan1k, '--warmup', 50, '--rate', 100, '--window', 1],
        targets => [['stomp', 'one-write limit', 1.10]],
    },
    {
        name => 'fan10k', title => 'fan-out to 10,000, window 16, HTTP',
        runs => [@all], load => [@fan10k, '--window', 16],
        targets => [['stomp', 'coalescing limit', 1.10],
                    ['stomp', 'nchan', 0.35]],
    },
    {
        name => 'fan10k-send', title => 'fan-out to 10,000, window 16, SEND',
        runs => [@limits, 'stomp'], publish => 'send',
        load => [@fan10k, '--window', 16],
        targets => [['stomp', 'coalescing limit', 0.80]],
    },
    {
        name => 'fan10k-4k', title => 'fan-out to 10,000, 4-KiB bodies',
        runs => [@all],
        load => [@fan10k, '--body', 4096, '--messages', 1000, '--window', 16],
    },
    {
        name => 'fan10k-w1', title => 'fan-out to 10,000, window 1, HTTP',
        runs => ['one-write limit', 'nchan', 'stomp'],
        load => [@fan10k, '--window', 1],
        targets => [['stomp', 'one-write limit', 1.10]],
    },
    {
        name => 'fan10k-2', title => 'fan-out to 10,000, two workers',
        runs => ['stomp', 'stomp, 2 workers on 1 processor',
                 'stomp, 2 workers'],
        load => [@fan10k, '--window', 16],
        targets => [['stomp, 2 workers on 1 processor', 'stomp', 1.10],
                    ['stomp, 2 workers', 'stomp', 1.10]],
    },
    {
        name => 'fan10k-2-w1',
        title => 'fan-out to 10,000, window 1, two workers',
        runs => ['stomp', 'stomp, 2 workers on 1 processor',
                 'stomp, 2 workers'],
        load => [@fan10k, '--window', 1],
        targets => [['stomp, 2 workers on 1 processor', 'stomp', 1.10],
                    ['stomp, 2 workers', 'stomp', 1.10]],
    },
    {
        name => 'own-ids', title => '1,000 with an id of its own each',
        runs => [['stomp, one id', 'stomp'], ['stomp', 'stomp', '--own-ids']],
        load => [@fan1k, '--window', 16],
        targets => [['stomp', 'stomp, one id', 1.5]],
    },
    {
        name => 'each', title => '1,000 destinations with 1 each, HTTP',
        runs => [@all, 'rabbitmq'], load => [@each],
        targets => [['stomp', 'nchan', 0.75]],
    },
    {
        name => 'each-2', title => '1,000 destinations with 1 each, 2 workers',
        runs => ['nchan, 2 workers', 'stomp, 2 workers'], load => [@each],
        targets => [['stomp, 2 workers', 'nchan, 2 workers', 0.5]],
    },
    {
        name => 'each-send', title => '1,000 destinations with 1 each, SEND',
        runs => [@limits, 'stomp'], publish => 'send', load => [@each],
    },
    {
        name => 'churn', title => '100 x 100, 1,000 changes/s besides',
        runs => [['stomp, no changes', 'stomp'],
                 ['stomp', 'stomp', '--churners', 200]],
        load => ['--subscribers', 10000, '--destinations', 100, @few,
                 '--messages', 400_000, '--warmup', 2000, '--window', 1000],
    },
    {
        name => 'latency', title => '20 messages/s to 1,000', value => 'p99_us',
        also => ['p50_us'],
        runs => ['one-write limit', 'nchan', 'stomp', 'stomp, 4 workers',
                    'rabbitmq'],
        load => [@fan1k, '--warmup', 10, '--rate', 20, '--seconds', 5],
        targets => [['stomp', 'one-write limit', 1.10],
                    ['stomp', 'one-write limit', 1.10, 'p50_us'],
                    ['stomp, 4 workers', 'one-write limit', 1.3],
                    ['stomp, 4 workers', 'one-write limit', 1.3, 'p50_us']],
    },
    {
        name => 'idle', title => 'idle, one destination, octets a connection',
        runs => ['nchan', 'stomp', 'rabbitmq'], how => 'idle_run',
        value => 'pss', load => ['--subscribers', 8000],
        bounds => { stomp => 1024 },
        targets => [['stomp', 'rabbitmq', 1 / 100]],
    },
    {
        name => 'idle-own', title => 'idle, one destination each, octets',
        runs => ['nchan', 'stomp'], how => 'idle_run', value => 'pss',
        load => ['--subscribers', 8000, '--destinations', 8000],
        bounds => { stomp => 1280 },
    },
    {
        name => 'zone', title => 'zone, octets a destination and subscriber',
        runs => ['stomp'], how => 'idle_run', value => 'zone',
        load => ['--subscribers', 8000, '--destinations', 8000],
        bounds => { stomp => 512 },
    },
    {
        name => 'connect', title => 'connect and subscribe, us a session',
        runs => ['one-write limit', 'nchan', 'stomp'],
        how => 'connect_run', value => 'opening_cpu_us_per_session',
        load => ['--subscribers', 8000],
        targets => [['stomp', 'nchan', 2.5]],
    },
    {
        name => 'publish', title => 'HTTP publishes with no subscriber, us',
        runs => [['return 200', 'stomp', '--push-path', '/return'], 'stomp'],
        value => 'cpu_us_per_publish',
        also => ['published_per_s'],
        load => ['--subscribers', 0, '--publishers', 16, '--body', 128,
                 '--messages', 1_000_000, '--warmup', 5000, '--window', 0],
        targets => [['stomp', 'return 200', 1 / 0.7],
                    ['return 200', 'stomp', 1 / 0.7, 'published_per_s']],
    },
    {
        name => 'fair', title => 'beside a flood at 70 % CPU, ms',
        runs => ['stomp'], how => 'fair_run', value => 'p99_us',
        load => [@fan1k], bounds => { stomp => 50000 },
    },
);


# the same with another build of the module, next to it in each round

sub add_base {
    my ($s) = @_;

    my ($run) = grep { $_->[0] eq 'stomp' } @{ $s->{runs} } or return;
    my (undef, undef, @options) = @$run;

    push @{ $s->{runs} }, ['base', 'base', @options];
    push @{ $s->{targets} }, ['stomp', 'base', 1];
    return;
}


sub scenarios {
    my ($pattern) = @_;

    my @chosen = grep { !length $pattern || $_->{name} =~ /^(?:$pattern)$/ }
                 @scenarios;

    for my $s (@chosen) {
        $s->{runs} = [map { ref $_ ? $_ : [$_, $_] } @{ $s->{runs} }];
        $s->{value} //= 'cpu_us_per_delivery';
        $s->{how} //= 'publish_run';
        $s->{publish} //= 'http';
        $s->{targets} //= [];
        $s->{bounds} //= {};
        $s->{also} //= [];

        add_base($s) if $ENV{BENCH_BASE};
    }

    return @chosen;
}

1;
