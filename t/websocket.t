# Without it a broken or hostile WebSocket client could be understood wrongly,
# and an honest one cut off: RFC 6455, sections 5 to 7, from a socket's view.

use lib 't/lib';

use Test::More;
use Test::Stomp;

use constant WS => 'Test::Stomp::WebSocket';

my $t = nginx();

$t->write_conf(<<'CONF')->start;
stomp_broker chat { zone 16m; topic /topic/; allow send /topic/**; }

server {
    listen 127.0.0.1:%%PORT%%;

    location / { stomp_pass chat; }
    location /small { stomp_pass chat; stomp_max_frame 1000; }
    location /large { stomp_pass chat; stomp_max_frame 8m;
                      stomp_max_body 4m; stomp_max_output 16m; }
    location = /stomp_status { stomp_status chat; }
}
CONF

my ($worker) = $t->workers;

{
    my $c = $t->stomp;
    my $ws = $c->ws;

    $ws->ping('p' x $_) for 0 .. 125;
    $ws->send_frame(WS->PONG, 'not asked for');
    $c->subscribe('/topic/a');
    is_deeply($ws->pongs, [ map { 'p' x $_ } 0 .. 125 ],
              'pongs with the payloads of the pings');

    my $all = join '', map { chr } 0 .. 255;
    for my $mask ("\0\0\0\0", "\xff\xff\xff\xff", "\1\2\3\4") {
        for my $body ('', 'a', 'abc', $all, $all x 3) {
            $ws->send_frame(WS->BINARY, send_frame($body), mask => $mask);
            $c->expect(MESSAGE => -body => $body, -name => sprintf
                'mask %s, %d octets', unpack('H*', $mask), length $body);
        }
    }

    # 7, 16 and 64 bits of length, in both directions
    my $head = length send_frame('');
    for my $size (map { ($_ - 1, $_, $_ + 1) } 125, 126, 65535, 65536) {
        my $message = send_frame('b' x ($size - $head - length($size) - 16));
        $message .= "\n" x ($size - length $message);
        is(length $message, $size, "message of $size octets");
        $ws->send_text($message);
        $c->expect(MESSAGE => destination => '/topic/a');
    }

    $c->send('/topic/a', 'x' x $_) for 0 .. 60, 65380 .. 65460;
    is(join(' ', map { length $_->{body} } $c->collect(142)),
       join(' ', 0 .. 60, 65380 .. 65460), 'answers of these lengths');

    my $bytes = frame(WS->TEXT, send_frame('bit by bit'))
              . frame(WS->PING, 'ping') . frame(WS->TEXT, send_frame(''));
    for (split //, $bytes) {
        $ws->write_raw($_);
        select undef, undef, undef, 0.001;
    }
    $c->expect(MESSAGE => -body => 'bit by bit');
    $c->expect(MESSAGE => -body => '');
    is($ws->pongs->[-1], 'ping', 'a ping, octet by octet');

    $ws->send_fragmented(WS->TEXT, send_frame('pieces'), (1) x 200);
    $c->expect(MESSAGE => -body => 'pieces');
    $ws->send_fragmented(WS->TEXT, send_frame('empty ones'), 0, 0, 20, 0, 3);
    $c->expect(MESSAGE => -body => 'empty ones');

    my $text = send_frame("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    for my $at (length($text) - 10 .. length($text) - 1) {
        $ws->send_fragmented(WS->TEXT, $text, $at);
        $c->expect(MESSAGE => -opcode => 'text',
                   -name => "a character cut at $at");
    }

    my @part = unpack '(a9)*', send_frame('interleaved');
    my $last = pop @part;
    $ws->write_raw(join '', map({
        frame($_ ? WS->CONT : WS->TEXT, $part[$_], fin => 0)
        . frame(WS->PING, "ping $_")
    } 0 .. $#part), frame(WS->PONG, ''), frame(WS->CONT, $last));
    $c->expect(MESSAGE => -body => 'interleaved');
    is_deeply([ @{ $ws->pongs }[-@part .. -1] ],
              [ map { "ping $_" } 0 .. $#part ], 'pings between fragments');

    $ws->send_text('');
    $ws->send_binary('');
    $ws->send_binary(send_frame('after empty messages'));
    $c->expect(MESSAGE => -body => 'after empty messages');
}

{
    my $c = $t->stomp(path => '/large');
    $c->subscribe('/topic/l');

    for my $size (100_000, 1_000_000, 4 * 1024 * 1024) {
        my $body = pack 'L*', map { $_ * 2654435761 % 2**32 } 1 .. $size / 4;
        $c->send('/topic/l', $body, opcode => 'binary');
        my $got = $c->recv(10);
        ok($got && $got->{body} eq $body, length($body) . ' octets came back');
    }
}

# the largest message and one octet more, in one frame and in fragments

for my $sizes ([], [500], [ (100) x 9 ]) {
    for my $more (0, 1) {
        my $name = 1000 + $more . ' octets in ' . (@$sizes + 1);
        my $c = $t->stomp(path => '/small');

        my $frame = send_frame('m' x 900);
        $frame .= "\n" x (1000 + $more - length $frame);
        $c->subscribe('/topic/a');
        $c->ws->send_fragmented(WS->TEXT, $frame, @$sizes);

        if ($more) {
            $c->expect_close(1009, "$name: too large");
        } else {
            $c->expect(MESSAGE => -body => 'm' x 900, -name => "$name: taken");
            $c->ws->send_fragmented(WS->TEXT, $frame, @$sizes);
            $c->expect(MESSAGE => -name => "$name: each counts alone");
        }
    }
}

my $ok = frame(WS->TEXT, 'CONN', fin => 0);

my @violations = (
    [ 'unmasked text', 1002, frame(WS->TEXT, 'a', masked => 0) ],
    [ 'unmasked ping', 1002, frame(WS->PING, '', masked => 0) ],
    map({ [ "reserved bits $_", 1002, frame(WS->TEXT, 'a', rsv => $_) ] }
        1 .. 7),
    map({ [ "reserved bits $_ of a ping", 1002,
            frame(WS->PING, 'a', rsv => $_) ] } 1, 2, 4),
    map({ [ "opcode $_", 1002, frame($_, '') ] } 3 .. 7, 11 .. 15),
    [ 'fragmented ping', 1002, frame(WS->PING, 'a', fin => 0) ],
    [ 'fragmented close', 1002, frame(WS->CLOSE, '', fin => 0) ],
    [ 'ping of 126 octets', 1002, frame(WS->PING, 'a' x 126) ],
    [ 'long close', 1002, frame(WS->CLOSE, pack('n', 1000) . 'a' x 124) ],
    [ 'continuation of nothing', 1002, frame(WS->CONT, 'a') ],
    [ 'first fragment is a continuation', 1002,
      frame(WS->CONT, 'a', fin => 0) ],
    [ 'continuation of what has ended', 1002,
      frame(WS->TEXT, "\n") . frame(WS->CONT, "\n") ],
    [ 'text in a message', 1002, $ok . frame(WS->TEXT, 'a') ],
    [ 'binary in a message', 1002, $ok . frame(WS->BINARY, 'a', fin => 0) ],
    [ '16 bits for 125', 1002, frame(WS->TEXT, 'a', length_form => 16) ],
    [ '64 bits for 65535', 1002,
      frame(WS->TEXT, 'a' x 65535, length_form => 64) ],
    [ 'highest bit of the length', 1002, frame(WS->TEXT, '',
      length => 2**63, length_form => 64) ],
    [ 'length of 2^62', 1009, frame(WS->TEXT, '', length => 2**62) ],
    [ 'length over the limit', 1009, frame(WS->TEXT, '', length => 131073) ],
    [ 'fragments over the limit', 1009,
      $ok . frame(WS->CONT, '', length => 131069) ],
    [ 'not UTF-8', 1007, frame(WS->TEXT, "SEND\xff") ],
    [ 'overlong UTF-8', 1007, frame(WS->TEXT, "\xc0\x80") ],
    [ 'a surrogate', 1007, frame(WS->TEXT, "\xed\xa0\x80") ],
    [ 'over U+10FFFF', 1007, frame(WS->TEXT, "\xf4\x90\x80\x80") ],
    [ 'half a character', 1007, frame(WS->TEXT, "\xe2\x82") ],
    [ 'half a character in fragments', 1007,
      frame(WS->TEXT, "SEND\n\n\xe2", fin => 0) . frame(WS->CONT, "\x82") ],
    [ 'a character with a hole', 1007,
      frame(WS->TEXT, "SEND\n\n\xe2\x82", fin => 0)
      . frame(WS->CONT, "x\xac") ],
    [ 'close of one octet', 1002, frame(WS->CLOSE, 'a') ],
    [ 'close reason that is not UTF-8', 1007,
      frame(WS->CLOSE, pack('n', 1000) . "\xff") ],
    map({ [ "close code $_", 1002, frame(WS->CLOSE, pack 'n', $_) ] }
        0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535),
);

# all at once: each may take its time to end

my $stubborn = $t->stomp(auto_close => 0);
$stubborn->command('BAD', []);

$_->[3] = $t->ws for @violations;
$_->[3]->write_raw($_->[2]) for @violations;

for (@violations) {
    my ($name, $code, undef, $ws) = @$_;
    my ($got, $reason) = $ws->wait_close;
    is($got, $code, "$name: $code");
    like($reason, qr/\w/, "$name: with a reason") if $code == 1002;
}

# their answers are not read: the end comes after a while
is(grep({ $_->[3]->wait_eof(8) } @violations), scalar @violations,
   'and each connection ends');

$stubborn->expect_error('unknown command', 'a client that does not agree',
                        1002);
ok($stubborn->ws->wait_eof(8), 'and its connection ends');
undef $stubborn;
@violations = ();

for my $code (1000 .. 1003, 1007 .. 1014, 3000, 3999, 4000, 4999) {
    my $ws = $t->ws;
    $ws->send_close($code, "why \xe2\x82\xac");
    is(($ws->wait_close)[0], $code, "close code $code is echoed");
    ok($ws->wait_eof(2), 'and the connection ends');
}

{
    my $ws = $t->ws;
    $ws->send_close;
    is(($ws->wait_close)[0], 1005, 'a close without a code');
    ok($ws->wait_eof(2), 'and the connection ends');

    $ws = $t->ws;
    $ws->write_raw($ok . frame(WS->CLOSE, pack('n', 1000) . 'r' x 123)
                   . frame(WS->TEXT, "nothing\0") . frame(3, ''));
    is(($ws->wait_close)[0], 1000,
       'a close between fragments ends the conversation');
    ok($ws->wait_eof(2), 'and the connection ends');

    # what was sent before has its answers before
    my $c = $t->stomp;
    $c->subscribe('/topic/e');
    $c->send('/topic/e', 'last', headers => [ receipt => 'r' ]);
    $c->ws->send_close(1000);
    is(join(' ', sort map { $c->recv->{command} } 1, 2), 'MESSAGE RECEIPT',
       'answers come before the close');
    $c->expect_close(1000);

    # the server ends, the client answers
    $c = $t->stomp;
    $c->command('BAD', []);
    $c->expect_error('unknown command', undef, 1002);
    ok($c->ws->wait_eof(2), 'the connection ends when the client agrees');
    ok(!$c->ws->error, 'in order');

}

# clients that vanish

for my $what ('', substr($ok, 0, 1), substr($ok, 0, 7), $ok,
              frame(WS->TEXT, send_frame('x' x 60000)) x 20)
{
    my $c = $t->stomp;
    $c->subscribe('/topic/a');
    $c->ws->write_raw($what);
    $c->abort;
}

{
    my $c = $t->stomp;
    $c->ws->write_raw(substr $ok, 0, 5);
    $c->ws->shutdown_write;
    ok($c->ws->wait_eof(2), 'an end in the middle of a frame');
}

ok(wait_for(5, sub { $t->status->{sessions} == 0 }), 'no session is left');
is($t->status->{subscriptions}, 0, 'and no subscription');
is_deeply([ $t->workers ], [ $worker ], 'the worker lives');

$t->ok_no_alerts;

done_testing;


sub frame {
    return Test::Stomp::WebSocket::build_frame(@_);
}


sub send_frame {
    my ($body) = @_;

    return "SEND\ndestination:/topic/a\ncontent-length:" . length($body)
           . "\n\n$body\0";
}
