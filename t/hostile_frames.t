#!/usr/bin/perl

# Without this: one client that sends nothing but pings, fragments or single
# octets slows down all the others, fills the error log, or is not counted.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;
use Test::Stomp::Hostile;

my ($t, $decoy) = pair(<<'CONF', workers => 2);
stomp_broker chat { zone 8m; topic /topic/ /chat/; allow send /topic/**; }

server {
    listen 127.0.0.1:%%PORT%%;
    keepalive_requests 1000000;

    location = /endpoint-websocket { stomp_pass chat; }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF

my $connections = 4;


# floods; what the tool has sent is published, and nothing else happened

for (
    [ ping => 0, 'pings', '--size' => 125 ],
    [ ping => 0, 'empty pings', '--size' => 0 ],
    [ pong => 0, 'pongs nobody asked for' ],
    [ beat => 0, 'heart-beats' ],
    [ empty => 0, 'empty messages' ],
    [ fragment => 1, 'fragments of one octet' ],
    [ octet => 1, 'packets of one octet' ],
    [ headers => 1, 'headers full of escapes' ],
) {
    my ($attack, $sends, $name, @options) = @$_;

    my $before = $t->status;
    my $from = length $t->error_log;

    my $r = others_ok($t, $decoy, $name, $attack, @options,
                      '--connections' => $connections);

    is($r->{finished}, $r->{opened},
       "$name: $r->{items}, and all were looked at");
    is($r->{frames}, 2 * $r->{opened} + ($attack eq 'ping' ? $r->{items} : 0),
       "$name: each answer that is due, and no other");

    my $s = zone_empty($t, $name);
    is_deeply([ map { $s->{$_} - $before->{$_} }
                    qw(published refused dropped recovered) ],
              [ $r->{others} + ($sends ? $r->{items} : 0), 0, 0, 0 ],
              "$name: counted");
    only_info($t, $from, $r->{opened}, $name);
}


# memory that a flood leaves behind

steady($t, 1 << 20, 'pings and fragments', sub {
    run_hostile($t, $_, '--connections' => 20, '--seconds' => 0.5)
        for qw(ping fragment headers);
});
zone_empty($t, 'pings and fragments');


# frames that are refused: one ERROR and the end, whatever follows

my $send = Test::Stomp::WebSocket->can('build_frame');

sub text { return $send->(1, $_[0]) }

my $subscribe = text("SUBSCRIBE\nid:same\ndestination:/topic/a\n\n\0");

for (
    [ 'SUBSCRIBE with one id', $subscribe, 1002, 1 ],
    [ 'unknown commands', text("SHUTDOWN\n\n\0"), 1002, 1 ],
    [ 'CONNECTs', text("CONNECT\naccept-version:1.2\n\n\0"), 1002, 1 ],
    [ 'SENDs that are not allowed',
      text("SEND\ndestination:/chat/a\n\nx\0"), 1008, 1 ],
    [ 'destinations of 4000 octets',
      text("SEND\ndestination:/topic/" . 'd' x 4000 . "\n\nx\0"), 1008, 1 ],
    [ 'frames without an end of the command', text('C' x 4000), 1002, 1 ],
    [ 'reserved bits', $send->(1, "\n", rsv => 4), 1002, 1 ],
    [ 'frames of 2^62 octets',
      $send->(1, '', length => 2**62, length_form => 64), 1009, 1 ],
    [ 'close frames', $send->(8, pack 'n', 1000), 1000, 0 ],
    [ 'DISCONNECTs', text("DISCONNECT\n\n\0"), 1000, 0 ],
) {
    my ($name, $bytes, $code, $refused) = @$_;

    my $before = $t->status->{refused};
    my $from = length $t->error_log;
    my $rounds = 5;

    for (1 .. $rounds) {
        my $c = $t->stomp;

        # one that answers with a reset is as good as one that takes all
        eval { $c->ws->write_raw($bytes x (1 + 200_000 / length $bytes), 10) };

        my ($got) = $c->ws->wait_close(10);
        $c->expect_close($code, "$name: closed with $code")
            if ($got // 0) != $code || $_ == $rounds;
        $c->ws->close_socket;
    }

    my $s = zone_empty($t, $name);
    ok(wait_for(3, sub {
        $t->status->{refused} == $before + $refused * $rounds;
    }), "$name: each counted once") or diag $t->status->{refused} - $before;
    only_info($t, $from, 4 * $rounds, $name);
}


# JSON that is deep, or wide, or only looks like it

{
    my $before = $t->status->{published};
    my $h = $t->http_client;

    for (
        [ 'arrays in arrays', '[' x 65000 ],
        [ 'objects in objects', '{"a":' x 13000 ],
        [ 'closed arrays', '[' x 32000 . ']' x 32000 ],
        [ 'deep headers', '[{"destination":"/topic/a","body":"x","headers":'
                          . '{"a":' x 10000 . '1' . '}' x 10000 . '}]' ],
        [ 'many of one name', '[{' . join(',', map { '"body":"x"' } 1 .. 5000)
                              . '}]' ],
        [ 'many numbers', '[' . join(',', 1 .. 12000) . ']' ],
        [ 'a long number', '[' . '9' x 65000 . ']' ],
        [ 'a string without an end', '[{"destination":"' . 'x' x 65000 ],
        [ 'escapes', '[{"destination":"' . '\\u0001' x 10000 . '"}]' ],
    ) {
        my ($name, $body) = @$_;

        my $res = $h->request(POST => '/push/', body => $body, headers => [
            'Content-Type' => 'application/vnd.stomp.batch+json' ]);

        is($res->status, 400, "JSON, $name: refused");
        ok(length($res->body) < 4096, "JSON, $name: with a short answer");
    }

    is($t->status->{published}, $before, 'JSON: nothing was published');
    is($h->request(POST => '/push/topic/a', body => 'x')->status, 200,
       'JSON: the same connection is good for a message');
}

# what a client sends may be in the log, but must not look like a line of it

for my $text ("\e[2J", "a\\n2026/01/01 00:00:00 [notice] b", "\x7f\x01") {
    for my $frame ("$text\n\n\0", "SEND\ndestination:/x/$text\n\nx\0",
                   "SUBSCRIBE\nid:1\nack:$text\ndestination:/topic/a\n\n\0")
    {
        my $c = $t->stomp;
        $c->ws->send_text($frame);
        $c->expect_error(qr/./, 'a frame with ' . show($text));
    }
}

unlike($t->error_log, qr/[\x00-\x09\x0b-\x1f\x7f]/,
       'no control characters in the log');
unlike($t->error_log, qr/^.{20}\[notice\] b/m,
       'and no line that a client made');

zone_empty($t, 'at the end');
$_->ok_no_alerts for $t, $decoy;

done_testing;
