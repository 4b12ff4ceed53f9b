#!/usr/bin/perl

# Without this: a client that takes nothing of what is sent to it fills the
# memory of its worker, beyond the limit that was set for it, or keeps others
# from getting theirs.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;
use Test::Stomp::Hostile;

# small buffers of the kernel, so that the module's are what counts

my ($t, $decoy) = pair(<<'CONF', workers => 2);
stomp_broker chat { zone 32m; topic /topic/ /chat/; allow send /topic/**; }

server {
    listen 127.0.0.1:%%PORT%% sndbuf=16k;
    keepalive_requests 1000000;

    location = /endpoint-websocket { stomp_pass chat; stomp_max_output 1m; }
    location = /little { stomp_pass chat; stomp_max_output 256k; }
    location = /late { stomp_pass chat; stomp_max_output 8m; }
    location = /timeout { stomp_pass chat; stomp_max_output 64m;
                          stomp_output_timeout 2s; }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF

sub subscribed {
    my ($n) = @_;
    return wait_for(20, sub { $t->status->{subscriptions} == $n })
           || die "no $n subscriptions";
}


# A warm worker has its buffers: it is the attack that is to be measured.

run_fanout($t, '--subscribers' => 20, '--destination' => '/topic/deaf',
           '--messages' => 500, '--body' => 2000);


# messages that come one by one: each of them is in a buffer of its own, for
# each subscriber

{
    my $name = 'one message at a time';
    my $deaf = 5;
    my $messages = 3000;

    my $f = start_hostile($t, 'ids', '--connections' => $deaf, '--deaf',
                          '--count' => $deaf, '--tag' => 'single', '--hold');
    ok($f->wait_ready, "$name: $deaf subscribers that never read");
    subscribed($deaf);
    my $idle = memory_of($t);

    my ($r, $exit, $text) = run_fanout($t, '--subscribers' => 1,
        '--destination' => '/topic/single', '--messages' => $messages,
        '--window' => 1, '--timeout' => 60, '--stall' => 20);

    is($exit, 0, "$name: the other one got all") or diag $text;
    is($t->status->{sessions}, $deaf, "$name: none is over its limit");

    # about 200 octets each, two for one, and what is not yet packed
    cmp_ok(memory_of($t) - $idle, '<=',
           $deaf * (2 * 200 * $messages + 256 * 1024),
           sprintf "$name: what waits takes about its length (%.1f MB)",
           (memory_of($t) - $idle) / 1e6);

    # when they read in the end, all is there, in order
    $f->finish;
    zone_empty($t, $name);
}


# subscribers that never read, next to some who do

{
    my $name = 'subscribers that never read';
    my $deaf = scaled(100);
    my $before = $t->status;
    my $from = length $t->error_log;
    my $start = now();

    my $f = start_hostile($t, 'ids', '--connections' => $deaf, '--deaf',
                          '--count' => $deaf, '--tag' => 'deaf', '--hold',
                          '--path' => '/little');
    ok($f->wait_ready, "$name: $deaf of them");
    subscribed($deaf);
    my $idle = memory_of($t);

    my ($r, $exit, $text) = run_fanout($t, '--subscribers' => 20,
        '--destination' => '/topic/deaf', '--messages' => 1000,
        '--publish' => 'alternate', '--publishers' => 4, '--body' => 2000,
        '--timeout' => 60, '--stall' => 20);

    is($exit, 0, "$name: the others got all, once, in order") or diag $text;
    is($r->{received}, 20_000, "$name: all of 1,000 messages");

    # memory that was theirs may be kept for what comes next
    cmp_ok(memory_of($t) - $idle, '<=', $deaf * 2 * 256 * 1024 + (8 << 20),
           "$name: memory is bounded");

    ok(wait_for(15, sub {
        $t->status->{dropped} - $before->{dropped} == $deaf;
    }), "$name: each was closed and counted");

    $f->finish;
    my $s = zone_empty($t, $name);
    is($s->{delivered} - $before->{delivered} >= 20_000, 1,
       "$name: deliveries were counted");

    my $levels = log_levels($t, $from);
    my $most = 2 * (now() - $start + 1);
    ok(($levels->{warn} // 0) >= 1 && $levels->{warn} <= $most,
       "$name: $levels->{warn} warnings, not more than one a second and "
       . 'worker');
    is(join(' ', grep { !/^(?:info|warn)$/ } keys %$levels), '',
       "$name: nothing above that");
    is(() = substr($t->error_log, $from) =~ /is too slow: \d+ octets/g, $deaf,
       "$name: but a line for each");
}


# a client that reads late: nothing was lost on the way

{
    my $name = 'a late reader';
    my $c = $t->stomp(rcvbuf => 4096, path => '/late');
    my $n = 4000;

    $c->subscribe('/topic/late', id => 'mine');
    $c->subscribe('/topic/late', id => 'twice');

    # pongs between the messages, and messages of all sizes
    my $h = $t->http_client;
    my @want;

    for my $i (1 .. $n) {
        my $body = "$i:" . 'x' x ($i % 97 == 0 ? 5000 : $i % 7);
        push @want, $body;
        $c->ws->ping("p$i") if $i % 3 == 0;
        $h->request(POST => '/push/topic/late', body => $body)->status == 200
            or die 'not published';
    }

    is($t->status->{sessions}, 1, "$name: not over its limit");

    my @got = $c->collect(2 * $n, 20);
    is(scalar @got, 2 * $n, "$name: has all of $n messages, twice");

    for my $id (qw(mine twice)) {
        my @mine = grep { $_->{headers}{subscription} eq $id } @got;
        ok(join(' ', map { $_->{body} } @mine) eq join(' ', @want),
           "$name: unharmed and in order ($id)");
    }

    ok("@{ $c->ws->pongs }"
       eq join(' ', map { "p$_" } grep { $_ % 3 == 0 } 1 .. $n),
       "$name: and all pongs");
    $c->disconnect;
    zone_empty($t, $name);
}


# pings whose answers nobody takes; they are short, the rest of the worker's
# traffic goes on in between

{
    my $name = 'pings that are never listened to';
    my $n = 4;
    my $idle = memory_of($t);
    my $f = start_hostile($t, 'ping', '--connections' => $n, '--deaf',
                          '--size' => 0, '--rate' => 2000 * $n,
                          '--seconds' => 4, '--hold');

    my ($r, $exit, $text) = run_fanout($t, '--subscribers' => 20,
        '--destination' => '/topic/deaf', '--messages' => 4000,
        '--rate' => 1000, '--publish' => 'alternate', '--publishers' => 4,
        '--timeout' => 60, '--stall' => 20);

    is($exit, 0, "$name: the others got all") or diag $text;
    cmp_ok(memory_of($t) - $idle, '<=', $n * 640 * 1024 + (2 << 20),
           "$name: memory is bounded");
    $f->finish;
    zone_empty($t, $name);
}


# who takes nothing for a while is closed, whatever its limit

{
    my $name = 'stomp_output_timeout';
    my $before = $t->status;
    my $f = start_hostile($t, 'ping', '--connections' => 20, '--deaf',
                          '--count' => 20 * 4000, '--size' => 125, '--hold',
                          '--path' => '/timeout');

    ok(wait_for(20, sub {
        $t->status->{dropped} - $before->{dropped} == 20;
    }), "$name: 20 that take nothing are closed and counted");
    $f->finish;
    zone_empty($t, $name);
}


# and the others' time

{
    my $name = 'clients that never read';
    my $before = $t->status;
    my $r = others_ok($t, $decoy, $name, 'ping', '--deaf', '--size' => 125,
                      '--connections' => 8, '--path' => '/little');

    my $s = zone_empty($t, $name);
    is($s->{published} - $before->{published}, $r->{others},
       "$name: the others' messages were counted");
    ok($s->{dropped} > $before->{dropped}, "$name: they were closed");
}

$_->ok_no_alerts for $t, $decoy;

done_testing;
