package Bench::Run;

# One run of one system: what the load tool says of it, and what can be seen
# from outside.  Each function returns a hash of figures, or dies.

use strict;
use warnings;

use Carp;
use IPC::Open2;
use JSON::PP;
use Time::HiRes qw(sleep time);

use Bench::Server;

my %servers;
my $out;

# The load of a peer that needs 30 times as long for all of it.
my %smaller = (
    rabbitmq => { publish_run => ['--warmup', 20],
                  idle_run => ['--subscribers', 1000] },
);


sub set_up {
    ($out) = @_;
    return;
}


sub server {
    my ($system) = @_;

    $servers{$system} //= Bench::Server->new($system, out => $out);
    return $servers{$system}->start;
}


# RabbitMQ is not idle when it is idle: it runs only where it takes part.

sub stop_all {
    my ($name) = @_;

    for my $system (defined $name ? $name : keys %servers) {
        $servers{$system}->stop if $servers{$system};
    }

    return;
}


sub command {
    my ($server, @options) = @_;

    my @pin = $server->spread ? () : ('taskset', '-c', '1');
    return (@pin, "$out/fanout", '--json', '--timeout', 60,
            ($ENV{BENCH_SPIN} ? '--spin' : ()), @options);
}


sub load {
    my ($server, @options) = @_;

    my @command = command($server, @options);
    open my $from, '-|', @command or croak("fanout: $!");
    my $text = do { local $/; readline $from };
    close $from;

    return result($text, $?, @command);
}


sub result {
    my ($text, $status, @command) = @_;

    my ($line) = ($text // '') =~ /^(\{.*\})$/m;
    my $r = $line ? decode_json($line) : {};

    if ($status != 0 || !$r->{ok}) {
        delete @$r{qw(slots lost_slots faults)};
        die 'the load failed: ' . join(' ', @command) . "\n"
            . JSON::PP->new->canonical->encode($r) . "\n";
    }

    return $r;
}


# (scenario, system, its own options, --seconds)

sub publish_run {
    my ($s, $system, $options, $seconds) = @_;

    my $server = server($system);

    return load($server, '--seconds', $seconds, $server->options($s->{publish}),
                @{ $s->{load} }, own($s, $system), @$options);
}


sub own {
    my ($s, $system) = @_;

    return @{ ($smaller{$system} // {})->{ $s->{how} } // [] };
}


# Memory of connected clients that have subscribed.  A server starts for it,
# and has had some clients before, so that what all of them share is there.

sub idle_run {
    my ($s, $system, $options) = @_;

    stop_all($system);
    my $server = server($system);
    my @speak = $server->options('http');

    load($server, @speak, '--subscribers', 64, '--messages', 100);
    sleep 1;

    my $before = $server->pss;
    my $kernel = kernel_memory();
    my @command = command($server, @speak, '--hold', 0, @{ $s->{load} },
                          own($s, $system), @$options);
    my $pid = open2(my $from, my $to, @command);

    while (defined(my $line = readline $from)) {
        last if $line eq "READY\n";
    }

    sleep 3;
    my $pss = $server->pss - $before;
    $kernel = kernel_memory() - $kernel;
    my $zone = zone_used($server);

    close $to;
    my $text = do { local $/; readline $from };
    waitpid $pid, 0;

    my $r = result($text, $?, @command);
    my $n = $r->{subscribers};

    $r->{pss} = $pss / $n;
    $r->{kernel} = $kernel / $n;
    $r->{zone} = defined $zone ? $zone / $n - name_length($n) : 0;
    stop_all($system);

    return $r;
}


# of both ends of each connection

sub kernel_memory {
    my ($kb) = Bench::Server::slurp('/proc/meminfo') =~ /^Slab:\s+(\d+)/m;
    my ($pages) = Bench::Server::slurp('/proc/net/sockstat')
                  =~ /^TCP:.* mem (\d+)/m;

    return ($kb // 0) * 1024 + ($pages // 0) * 4096;
}


sub zone_used {
    my ($server) = @_;

    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                     PeerPort => $server->port) or return;
    print $sock "GET /stomp_status HTTP/1.0\r\n\r\n";
    my $text = do { local $/; readline $sock };

    return unless $text =~ /\r\n\r\n(\{.*\})/s;
    my $status = eval { decode_json($1) } or return;
    return $status->{zone}{used};
}


# mean length of /topic/fanout0 to /topic/fanout<n - 1>

sub name_length {
    my ($n) = @_;

    my $sum = 0;
    $sum += length "/topic/fanout$_" for 0 .. $n - 1;
    return $sum / $n;
}


# warmed: a first wave has made the tables grow

sub connect_run {
    my ($s, $system, $options) = @_;

    my $server = server($system);
    my @load = ($server->options('http'), @{ $s->{load} }, @$options,
                '--messages', 0);

    load($server, @load);
    sleep 0.5;

    return load($server, @load);
}


# A destination is flooded so that the worker is busy for 70 % of the time;
# the latency is another's.

sub fair_run {
    my ($s, $system, $options, $seconds) = @_;

    my $server = server($system);
    my @flood = ($server->options('http'), '--window', 0, @{ $s->{load} },
                 '--warmup', 0, '--messages', 100_000);
    my $rate = 150;

    for (1 .. 4) {
        my $r = load($server, @flood, '--rate', $rate, '--seconds', 1);
        my $busy = $r->{cpu_us} / 1e6 / $r->{phase_seconds};
        $rate *= 0.7 / ($busy || 0.01);
    }

    my @command = command($server, @flood, '--rate', $rate, '--seconds',
                          $seconds + 1);
    open my $from, '-|', @command or croak("fanout: $!");
    sleep 0.7;

    my $r = load($server, $server->options('http'), '--destination',
                 '/topic/calm', '--subscribers', 10, '--rate', 100,
                 '--messages', 100_000, '--body', 128, '--seconds', $seconds);

    my $text = do { local $/; readline $from };
    close $from;
    my $flood = result($text, $?, @command);

    $r->{busy} = $flood->{cpu_us} / 1e6 / $flood->{phase_seconds};
    $r->{flood_p99_us} = $flood->{p99_us};

    return $r;
}

1;
