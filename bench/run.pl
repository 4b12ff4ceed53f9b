#!/usr/bin/perl

# Measures the module beside what else could be used, and beside what the
# machine allows at all.  "make bench" builds what is needed and starts this.
#
#   BENCH_ROUNDS=5      runs of each; the systems take turns
#   BENCH_SECONDS=2     of each run, its warm-up not counted
#   BENCH_ONLY='fan.*'  scenarios, see lib/Bench/Scenarios.pm
#   BENCH_WITHOUT='rabbitmq'    systems
#   BENCH_BASE=old.so   another build of the module takes part
#   BENCH_SPIN=1        the load tool never sleeps
#
# Results: <build>/bench/results.json, report.md, chart.svg, and a table.

use strict;
use warnings;

use Cwd ();
use File::Basename ();
use File::Path ();
use JSON::PP;

my $root;

BEGIN { $root = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/..') }

use lib "$root/bench/lib";
use Bench::Chart;
use Bench::Report;
use Bench::Run;
use Bench::Scenarios;
use Bench::Server;

my $rounds = $ENV{BENCH_ROUNDS} || 5;
my $seconds = $ENV{BENCH_SECONDS} || 2;
my $out = Cwd::abs_path($ENV{BUILD} || "$root/build") . '/bench';

$| = 1;
$SIG{INT} = $SIG{TERM} = sub { Bench::Run::stop_all(); exit 130 };

my @chosen = Bench::Scenarios::scenarios($ENV{BENCH_ONLY} // '');
die "no scenario is called so: $ENV{BENCH_ONLY}\n" unless @chosen;

Bench::Run::set_up($out);

my $failed = 0;
my ($n, $all) = (0, 0);
$all += $rounds * grep { wanted($_) } @{ $_->{runs} } for @chosen;

for my $s (@chosen) {
    for my $round (0 .. $rounds - 1) {
        one($s, $round, $_) for grep { wanted($_) } @{ $s->{runs} };
    }

    Bench::Run::stop_all('rabbitmq');
}

Bench::Run::stop_all();
report();
exit($failed ? 1 : 0);


sub wanted {
    my ($run) = @_;

    my $without = $ENV{BENCH_WITHOUT} // '';
    return !length $without || $run->[1] !~ /^(?:$without)/;
}


# the figures of a run that lost a message are none

sub one {
    my ($s, $round, $run) = @_;

    my ($name, $system, @options) = @$run;

    $n++;
    my $how = Bench::Run->can($s->{how});
    my $r = eval { $how->($s, $system, \@options, $seconds) };

    if ($r) {
        $s->{results}{$name}[$round] = $r;
        printf STDERR "[%d/%d] %s: %s %s\n", $n, $all, $s->{title}, $name,
            join ', ', map { "$_ " . Bench::Report::number($r->{$_}) }
                           $s->{value}, @{ $s->{also} };

    } else {
        $failed++;
        print STDERR "[$n/$all] $s->{title}: $name FAILED\n$@";
    }

    return;
}


sub machine {
    my ($cpu) = Bench::Server::slurp('/proc/cpuinfo')
                =~ /^model name\s*: (.*)/m;
    chomp(my $kernel = qx{uname -r});
    my ($nginx) = qx{@{[ $ENV{NGINX_BIN} || '/usr/sbin/nginx' ]} -v 2>&1}
                  =~ m{nginx/(\S+)};
    my %version = map { $_ => scalar(qx{dpkg-query -W -f '\${Version}' $_ \\
                                        2>/dev/null}) }
                  qw(libnginx-mod-nchan rabbitmq-server);
    chomp(my $cores = qx{nproc});

    return { processor => $cpu // 'unknown', cores => $cores + 0,
             kernel => $kernel, nginx => $nginx,
             nchan => $version{'libnginx-mod-nchan'},
             rabbitmq => $version{'rabbitmq-server'} };
}


sub report {
    my $machine = machine();
    my $text = join('', map { "- $_: $machine->{$_}\n" } sort keys %$machine)
               . "\n$rounds rounds of $seconds s\n\n"
               . Bench::Report::markdown(@chosen);

    my $chart = Bench::Chart::svg(@chosen);

    Bench::Server::spew("$out/report.md", $text);
    Bench::Server::spew("$out/chart.svg", $chart) if $chart;
    Bench::Server::spew("$out/results.json", JSON::PP->new->canonical->pretty
        ->encode({ machine => $machine, rounds => $rounds, scenarios =>
            [map { { name => $_->{name}, title => $_->{title},
                     value => $_->{value}, results => $_->{results} } }
             @chosen] }));

    print $text;
    print STDERR "$failed runs failed\n" if $failed;
    return;
}
