#!/usr/bin/perl

# Without this: the moments that a kill at random hits once in a month.  A
# worker dies in them, or stands still, under load; see
# broker/ngx_stomp_test_hooks.h.
#
#   STOMP_LOAD_POINTS  times for each of them (3)

use strict;
use warnings;

use lib 't/lib';
use List::Util qw(shuffle);
use Test::More;
use Test::Stomp;
use Test::Stomp::Kill;
use Test::Stomp::Load;

my $rounds = $ENV{STOMP_LOAD_POINTS} // 3;

my $t = nginx(workers => 4, log => 'notice', access_log => 0);
my $k = Test::Stomp::Kill->new($t);

$t->write_conf(<<'CONF')->start;
keepalive_requests 1000000;
stomp_broker chat { zone 64m; topic /topic/; allow send /topic/**; }

server {
    listen 127.0.0.1:%%PORT%%;

    location = /endpoint-websocket { stomp_pass chat; }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF

my $idle = $t->status->{zone}{used};
my $load = Test::Stomp::Load->new($t);


# Who comes back may go to any worker, and one of them may have next to nothing
# left: nothing to take away when it dies, no stores when nobody speaks to it.

sub busy_workers {
    my @busy = sort { $b->{sessions} <=> $a->{sessions} }
               grep { $_->{sessions} >= 200 } @{ $t->status->{workers} };
    return map { $_->{pid} } @busy;
}


# a message is published, the workers that have it in their inboxes don't know

for my $round (1 .. $rounds) {
    $k->arm(point => 'wake', nth => 1 + int rand 100);
    ok($k->wait_hit(respawn => 0, timeout => 60),
       "round $round: a worker died between unlock and wake-up");
    $load->ok_settled('all subscribers are back');
}


# who takes a dead worker's belongings away dies as well

for my $round (1 .. $rounds) {
    $k->arm(point => 'reap', nth => 1 + int rand 4);
    $t->kill_worker((busy_workers())[0], respawn => 0);
    ok($k->wait_hit(respawn => 0, timeout => 60),
       "round $round: a worker died reaping");
    $load->ok_settled('all subscribers are back');
}


# Who holds the lock stands still: all wait, nobody takes the lock away, and
# nothing is lost.  Then it goes on, or is killed.

for my $round (1 .. $rounds) {
    for my $end (qw(CONT KILL)) {
        my $before = $t->status->{recovered};
        my $pid = (shuffle busy_workers())[0];

        $k->arm(pid => $pid, nth => 1 + int rand 50, signal => 'STOP');
        is(wait_for(60, sub { $k->hit }), $pid,
           "round $round: a worker stopped with the lock");

        is(eval { $t->request(GET => '/stomp_status', timeout => 2)->status },
           undef, 'for two seconds nobody gets it');

        $t->allow_death($pid) if $end eq 'KILL';
        kill $end, $pid;

        ok(wait_for(30, sub { eval { $t->status } }), "$end: they get it");
        $load->ok_settled('all subscribers are back');

        # it may have been killed before its first store
        cmp_ok($t->status->{recovered} - $before, '<=', $end eq 'KILL' ? 1 : 0,
               'nobody has undone what was not to be undone');
    }
}

my $r = $load->ok_finish('workers at the wrong moments');
is(join(' ', sort keys %{ $r->{closes} }), '1006',
   'who was not on a killed worker was not closed');

my $s;
ok(wait_for(10, sub {
    $s = $t->status;
    return $s->{zone}{used} == $idle && $s->{sessions} == 0
           && $s->{subscriptions} == 0 && $s->{destinations} == 0
           && @{ $s->{workers} } == 4;
}), 'the zone is as empty as before') or diag explain $s;
is($s->{dropped}, 0, 'nobody was too slow');

$t->ok_no_alerts;

done_testing;
