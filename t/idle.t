#!/usr/bin/perl

# Without this: a buffer or a request that stays with each idle connection.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;

my $sessions = 8000;
my $limit = 1280;

my $t = nginx(workers => 2, connections => 12000, log => 'notice');
$t->start;


# proportional set size of master and workers, octets

sub pss {
    my $kb = 0;

    for my $pid ($t->master, $t->workers) {
        open my $fh, '<', "/proc/$pid/smaps_rollup" or return undef;
        while (<$fh>) {
            $kb += $1 if /^Pss:\s+(\d+) kB/;
        }
    }

    return $kb * 1024;
}


plan skip_all => 'no /proc/PID/smaps_rollup' unless defined pss();


# warmed: code and tables that the first sessions touch are not a session's

my ($r, $exit, $text) = run_fanout($t, '--subscribers' => 64,
    '--destination' => '/topic/warm', '--messages' => 100,
    '--timeout' => 30);

is($exit, 0, 'warmed up') or diag $text;
wait_for(10, sub { $t->status->{sessions} == 0 });

my $before = pss();

my $f = start_fanout($t, '--subscribers' => $sessions,
    '--destination' => '/topic/idle', '--hold' => 0, '--timeout' => 120);

ok($f->wait_ready, "$sessions sessions are connected and subscribed");
is($t->status->{subscriptions}, $sessions, 'and counted');

# one tick later all that was for the moment is gone

my $after = pss();
wait_for(5, sub { my $p = pss(); my $done = $p >= $after; $after = $p; $done });

my $each = ($after - $before) / $sessions;

cmp_ok($each, '<=', $limit, sprintf 'an idle session takes %.0f octets, the '
       . 'zone\'s share of %.0f included', $each,
       $t->status->{zone}{used} / $sessions);

$f->finish;

ok(wait_for(10, sub {
    my $s = $t->status;
    return $s->{zone}{used} == 0 && $s->{sessions} == 0;
}), 'the zone is empty again');

$t->ok_no_alerts;

done_testing;
