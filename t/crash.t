#!/usr/bin/perl

# Without this: a worker that is killed takes messages, counts or memory of
# the others with it.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;

my $kills = $ENV{STOMP_KILLS} // 5;

my $t = nginx(workers => 4, log => 'notice');
$t->start;

my $idle = $t->status->{zone}{used};

for my $kill (1 .. $kills) {

    my $f = start_fanout($t, '--subscribers' => 400,
        '--destination' => '/topic/crash', '--destinations' => 10,
        '--messages' => 6000, '--rate' => 2000, '--publish' => 'alternate',
        '--publishers' => 8, '--timeout' => 60, '--stall' => 10, '--survive');

    ok($f->wait_ready, "kill $kill: subscribers and publishers run");

    my $start = $t->status->{published};
    wait_for(10, sub { $t->status->{published} > $start + 500 + rand 1500 });

    my $victim = (sort { $b->{sessions} <=> $a->{sessions} }
                  @{$t->status->{workers}})[0];

    my $killed = now();
    $t->kill_worker($victim->{pid}, respawn => 0);

    my $gone = wait_for(2, sub {
        return !grep { $_->{pid} == $victim->{pid} } @{$t->status->{workers}};
    });

    ok($gone, sprintf "kill $kill: %d sessions of the dead worker are gone "
       . 'from the counts after %.2f s', $victim->{sessions},
       now() - $killed);

    my ($r, $exit, $text) = $f->finish;

    is($exit, 0, "kill $kill: the others missed and doubled nothing")
        or diag $text;

    cmp_ok($r->{survivors}, '>', 0, "kill $kill: $r->{survivors} survived");
    cmp_ok($r->{survivors}, '<', 400, "kill $kill: some did not");
}

ok(wait_for(10, sub {
    my $s = $t->status;
    return $s->{zone}{used} == $idle && $s->{sessions} == 0
           && $s->{subscriptions} == 0 && $s->{destinations} == 0;
}), 'the zone is as empty as before') or diag explain $t->status;

is(scalar @{$t->status->{workers}}, 4, 'four workers run');

$t->ok_no_alerts;

done_testing;
