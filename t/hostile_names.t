#!/usr/bin/perl

# Without this: a client that makes up names, a million of them, fills the
# zone or the workers for good, or makes each look-up slower for all.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;
use Test::Stomp::Hostile;

my $million = scaled(1_000_000);

my ($t, $decoy) = pair(<<'CONF', workers => 2, connections => 12000,
stomp_broker chat { zone 256m; topic /topic/ /chat/; allow send /topic/**; }
stomp_broker small { zone 1m; topic /topic/; allow send /topic/**; }

server {
    listen 127.0.0.1:%%PORT%%;
    keepalive_requests 1000000000;

    location = /endpoint-websocket { stomp_pass chat; }
    location = /small { stomp_pass small; }
    location /push/ { stomp_push chat; }
    location /small_push/ { stomp_push small; }
    location = /stomp_status { stomp_status chat; }
    location = /small_status { stomp_status small; }
}
CONF
    globals => 'worker_rlimit_nofile 20000;');


# names that nobody subscribes to, and names that are left at once

run_hostile($t, $_, '--connections' => 4, '--count' => 10_000)
    for qw(send churn push);
zone_empty($t, 'warmed up');

for (
    [ send => 'names by SEND', 1, $million ],
    [ churn => 'names by SUBSCRIBE and UNSUBSCRIBE', 0, $million ],
    [ push => 'names by HTTP', 1, $million / 4 ],
) {
    my ($attack, $name, $publishes, $count) = @$_;

    my $before = $t->status;
    my $memory = memory_of($t);
    my $from = length $t->error_log;
    my $r = run_hostile($t, $attack, '--connections' => 4,
                        '--count' => $count, '--seconds' => 120);

    is($r->{items}, $count, "$name: $count of them");
    is($r->{finished}, 4, "$name: all were taken");

    my $s = zone_empty($t, $name);
    cmp_ok(memory_of($t) - $memory, '<=', 1 << 20, "$name: no memory stays");
    is_deeply([ map { $s->{$_} - $before->{$_} }
                    qw(published delivered refused dropped) ],
              [ $publishes * $count, 0, 0, 0 ], "$name: counted");
    is($s->{zone}{pages_free}, $before->{zone}{pages_free},
       "$name: as many free pages as before");
    only_info($t, $from, 20, $name);
}


# the others, at the same time

for (
    [ send => 'names by SEND' ],
    [ churn => 'names by SUBSCRIBE and UNSUBSCRIBE' ],
    [ push => 'names by HTTP', '--window' => 1, '--connections' => 32 ],
    [ ids => '96,000 subscriptions to one name', '--count' => 96_000,
      '--connections' => 800 ],
) {
    my ($attack, $name, @options) = @$_;

    # what 800 connections send at once is one turn of the event loop
    local $Test::Stomp::Hostile::FLOOR = 250 if $attack eq 'ids';

    my $r = others_ok($t, $decoy, $name, $attack, '--connections' => 2,
                      @options);
    is($r->{finished}, $r->{opened}, "$name: $r->{items}");
    zone_empty($t, $name);
}


# subscriptions that stay: as much memory as planned, and then it is back

{
    my $name = 'subscriptions that stay';
    my $n = scaled(8000);
    my $each = 125;
    my $memory = memory_of($t);
    my $subscribe = sub {
        return start_hostile($t, 'subscribe', '--connections' => $n,
                             '--count' => $n * $each, '--seconds' => 120,
                             '--hold');
    };

    my $f = $subscribe->();
    ok($f->wait_ready, "$name: $n sessions with $each names each");

    my $s = $t->status;
    is_deeply([ @$s{qw(sessions subscriptions destinations)} ],
              [ $n, $n * $each, $n * $each ], "$name: counted");

    # a session 48, a name of at most 24 octets 96, a worker's interest 32
    is($s->{zone}{used}, $n * 48 + $n * $each * (96 + 32),
       "$name: the zone has what the reference plans");

    my $grown = memory_of($t) - $memory;
    cmp_ok($grown, '<=', $n * (1024 + $each * 512), sprintf
           "$name: %.0f octets of a worker for each", $grown / $n / $each);

    my $c = $t->stomp;
    $c->subscribe('/topic/a');
    $c->send('/topic/a', 'x');
    $c->expect(MESSAGE => -body => 'x', -name => "$name: another one works");
    $c->disconnect;

    $f->finish;
    zone_empty($t, $name);

    # freed memory is used again: the same names cost nothing more
    my $kept = memory_of($t);
    ($f = $subscribe->())->wait_ready;
    $f->finish;
    zone_empty($t, "$name, again");
    cmp_ok(memory_of($t) - $kept, '<=', $grown / 5,
           "$name, again: hardly more memory than the first time");
}


# limits of one session

{
    my $before = $t->status->{refused};
    my $from = length $t->error_log;
    my $r = run_hostile($t, 'subscribe', '--connections' => 10,
                        '--count' => 10_000);

    is_deeply([ @$r{qw(lost errors closes)} ], [ 10, 10, { 1008 => 10 } ],
              'more than stomp_max_subscriptions: closed');
    zone_empty($t, 'more than stomp_max_subscriptions');
    ok(wait_for(3, sub { $t->status->{refused} - $before == 10 }),
       'each counted once');
    only_info($t, $from, 40, 'more than stomp_max_subscriptions');
}


# a zone that names have filled: said, counted, and over when they leave

{
    my $name = 'a full zone';
    my $from = length $t->error_log;
    my $start = now();
    my $status = sub { $t->request(GET => '/small_status')->json };

    my $c = $t->stomp(path => '/small');
    $c->subscribe('/topic/a');

    my $f = start_hostile($t, 'subscribe', '--path' => '/small',
        '--connections' => 900, '--count' => 900 * 5, '--hold',
        '--tag' => 'n' x 180);
    $f->wait_ready;

    my $s = $status->();
    cmp_ok($s->{zone}{pages_free}, '<=', 1, "$name: there is no room");
    ok($s->{refused} > 0, "$name: $s->{refused} were refused");

    my %answers;
    my $h = $t->http_client;
    $answers{ $h->request(POST => '/small_push/topic/a',
                          body => 'y' x 5000)->status }++ for 1 .. 500;
    is_deeply(\%answers, { 503 => 500 }, "$name: a push is refused");

    ok(wait_for(3, sub {
        $status->()->{refused} == $s->{refused} + 500
    }), "$name: and counted");

    my ($r) = $f->finish;
    is($r->{closes}{1013} // 0, $s->{refused}, "$name: clients were told");

    ok(wait_for(10, sub { $status->()->{sessions} == 1 }),
       "$name: it is over when they leave");
    is($h->request(POST => '/small_push/topic/a', body => 'z')->status, 200,
       "$name: a push is taken again");
    $c->expect(MESSAGE => -body => 'z', -name => "$name: and comes");
    $c->disconnect;

    my $errors = log_levels($t, $from)->{error} // 0;
    ok($errors >= 1 && $errors <= 2 * (now() - $start + 1),
       "$name: $errors errors logged, not more than one a second and worker");
}

$_->ok_no_alerts for $t, $decoy;

done_testing;
