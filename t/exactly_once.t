#!/usr/bin/perl

# Without this: a message that is lost, doubled or out of order when many
# subscribers on several workers listen to many publishers, or memory of the
# zone that is not given back.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;

my $t = nginx(workers => 4, log => 'notice');

# a worker's inbox, an eighth of the zone, is to hold what is in flight

$t->write_conf(<<'CONF')->start;
stomp_broker chat { zone 64m; topic /topic/; allow send /topic/**; }

server {
    listen 127.0.0.1:%%PORT%%;

    location = /endpoint-websocket { stomp_pass chat; }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF

my $idle = $t->status->{zone}{used};

# 10 million deliveries; even publishers push by HTTP, odd ones SEND

my ($r, $exit, $text) = run_fanout($t,
    '--subscribers' => 1000, '--destination' => '/topic/once',
    '--messages' => 10000, '--publish' => 'alternate', '--publishers' => 8,
    '--window' => 64, '--timeout' => 300, '--stall' => 30);

is($exit, 0, '1,000 subscribers, 10,000 messages: exactly once, one order')
    or diag $text;

is($r->{published}, 10000, 'all messages were published');
is($r->{received}, 10_000_000, 'all of them were received by all');
is($r->{$_}, 0, "$_ is 0")
    for qw(lost duplicated out_of_order order_hash_mismatch lost_connections);
is(scalar keys %{$r->{slots}}, 4, 'the subscribers were on all four workers');

diag sprintf '%d deliveries/s, p50 %d us, p99 %d us',
    $r->{deliveries_per_s}, $r->{p50_us}, $r->{p99_us};


# every subscriber with an id of its own: another way through the fan-out

($r, $exit, $text) = run_fanout($t,
    '--subscribers' => 200, '--destination' => '/topic/own',
    '--messages' => 2000, '--publish' => 'alternate', '--publishers' => 4,
    '--own-ids', '--body' => 3000, '--timeout' => 120, '--stall' => 30);

is($exit, 0, 'the same with 200 subscription ids and longer bodies')
    or diag $text;


# bodies of several pages, on many destinations

($r, $exit, $text) = run_fanout($t,
    '--subscribers' => 100, '--destination' => '/topic/large',
    '--destinations' => 20, '--messages' => 1000, '--publish' => 'alternate',
    '--publishers' => 4, '--body' => 30000, '--timeout' => 120,
    '--stall' => 30);

is($exit, 0, 'the same with bodies of 30,000 octets on 20 destinations')
    or diag $text;

ok(wait_for(10, sub {
    my $s = $t->status;
    return $s->{zone}{used} == $idle && $s->{sessions} == 0
           && $s->{subscriptions} == 0 && $s->{destinations} == 0;
}), 'the zone is as empty as before') or diag explain $t->status;

is($t->status->{dropped}, 0, 'nothing was dropped');

$t->ok_no_alerts;

done_testing;
