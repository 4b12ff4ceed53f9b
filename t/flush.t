#!/usr/bin/perl

# Without this: a client that leaves in the middle of a burst takes another
# one's output with it, a frame follows the close frame, or a handshake that
# is not sent at once hangs for good.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;

my $t = nginx(workers => 1, log => 'notice');

$t->write_conf(<<'CONF')->start;
stomp_broker chat { zone 16m; topic /topic/; allow send /topic/**; }

stomp_max_frame        1m;
stomp_max_output       64m;
stomp_connect_timeout  2s;

server {
    listen 127.0.0.1:%%PORT%%;

    location = /endpoint-websocket { stomp_pass chat; }
    location = /small { stomp_pass chat; stomp_max_frame 1k; }
    location = /slow { stomp_pass chat; limit_rate 100; }
    location = /stomp_status { stomp_status chat; }
}
CONF

# who leaves has subscribed first, and so stands first on the list of those
# that have output

my $pub = $t->stomp;
my $stalled = 0;

for my $round (1 .. 8) {

    my @leave = map { $t->stomp } 1 .. 20;
    $_->subscribe('/topic/a') for @leave;

    my @stay = map { $t->stomp } 1 .. 20;
    $_->subscribe('/topic/a') for @stay;

    # more than one read's share, so that the publisher has several turns

    my $text = join '', map {
        "SEND\ndestination:/topic/a\n\n$round.$_." . 'x' x 400 . "\0"
    } 1 .. 400;

    $pub->ws->send_text($text);

    for my $c (@leave) {
        $c->ws->abort;
        select undef, undef, undef, rand 0.0006;
    }

    for my $c (@stay) {
        my $n = 0;

        while ($n < 400) {
            my $m = $c->recv(5) or last;
            last unless $m->{body} =~ /^$round\.(\d+)\./ && $1 == ++$n;
        }

        $stalled++ if $n != 400;
    }

    $_->ws->abort for @stay;
}

is($stalled, 0, 'who stays gets all, whoever leaves meanwhile');


# a message that is too large, behind a DISCONNECT

my $c = $t->stomp(path => '/small');

$c->ws->write_raw("\x81\x8d\0\0\0\0DISCONNECT\n\n\0"
                  . "\x82\xfe\x10\x00\0\0\0\0");

my @frames;
while (my $f = $c->ws->recv_frame(3)) {
    push @frames, $f->{opcode};
    last if $f->{opcode} == 8;
}

is_deeply(\@frames, [ 8 ], 'the close frame comes');
is($c->ws->recv_frame(3), undef, 'and nothing after it');


# a 101 that may leave only little by little

my $slow = $t->ws(path => '/slow', subprotocols => [ 'v12.stomp' ],
                  timeout => 20);
is($slow->status, 101, 'a slow handshake is completed');

my $m = $slow->recv_message(10);
like($m->{payload} // '', qr/connect timed out/,
     'and its session has its time-out');

$pub->disconnect;

ok(wait_for(15, sub {
    my $s = $t->status;
    return $s->{sessions} == 0 && $s->{zone}{used} == 0;
}), 'the zone is empty') or diag explain $t->status;

$t->ok_no_alerts;

done_testing;
