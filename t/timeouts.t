# Without it a client that is gone, or that sends its frames octet by octet on
# purpose, holds memory for ever; or one that is only slow is cut off.

use lib 't/lib';

use Test::More;
use Test::Stomp;
use Test::Stomp::Util qw(now);

my $t = nginx(workers => 2);

$t->write_conf(<<'CONF')->start;
stomp_broker chat { zone 4m; topic /topic/; allow send /topic/**; }

server {
    listen 127.0.0.1:%%PORT%%;

    location = /frame  { stomp_pass chat; stomp_frame_timeout 2s; }
    location = /ping   { stomp_pass chat; stomp_ping_interval 1s;
                         stomp_heartbeat 1s; stomp_heartbeat_tolerance 10; }
    location = /connect { stomp_pass chat; stomp_connect_timeout 3s; }
    location = /beats  { stomp_pass chat; stomp_heartbeat 1s;
                         stomp_heartbeat_tolerance 3; }
    location = /output { stomp_pass chat; stomp_output_timeout 3s;
                         stomp_max_output 64m; stomp_max_body 1m;
                         stomp_max_frame 2m; }
    location = /off    { stomp_pass chat; stomp_ping_interval off; }
    location = /status { stomp_status chat; }
}
CONF

*frame = \&Test::Stomp::WebSocket::build_frame;

use constant {
    CONT => Test::Stomp::WebSocket::CONT,
    TEXT => Test::Stomp::WebSocket::TEXT,
    PING => Test::Stomp::WebSocket::PING,
};

# A client's behaviour: what it sends each fifth of a second, n = 0, 1, ...

my $send = "SEND\ndestination:/topic/x\n\n" . 'b' x 40 . "\0";
my $half = length($send) / 2;
my ($head, $tail) = (substr($send, 0, $half), substr $send, $half);
my $long = frame(TEXT, $send x 100);
my $slow = "SEND\ndestination:/topic/x\n\n0123456\0";

my @frames = (
    [ 'half of a STOMP frame', 1, sub { $_[0] ? '' : frame(TEXT, $head) } ],
    [ 'a frame octet by octet', 1,
      sub { frame(TEXT, substr $send, $_[0], 1) } ],
    [ 'half of one and pings', 1,
      sub { frame(PING, 'p') . ($_[0] ? '' : frame(TEXT, $head)) } ],
    [ 'one octet of a WebSocket frame', 1, sub { $_[0] ? '' : "\x81" } ],
    [ 'half of a WebSocket frame', 1,
      sub { $_[0] ? '' : substr $long, 0, length($long) / 2 } ],
    [ 'a WebSocket frame octet by octet', 1,
      sub { substr $long, $_[0], 1 } ],
    [ 'half of a ping', 1, sub { $_[0] ? '' : substr frame(PING, 'p'), 0, 4 } ],
    [ 'a message without its end', 1,
      sub { $_[0] ? '' : frame(TEXT, $send, fin => 0) } ],
    [ 'line ends in a message without its end', 1,
      sub { frame($_[0] ? CONT : TEXT, "\n", fin => 0) } ],
    [ 'two halves each time', 0,
      sub { frame(TEXT, ($_[0] ? $tail : '') . $head) } ],
    [ 'two halves of WebSocket frames each time', 0,
      sub {
          my $frame = frame(TEXT, $send, mask => 'mask');
          return $_[0] ? substr($frame, 30) . substr $frame, 0, 30
                       : substr $frame, 0, 30;
      } ],
    [ 'a frame that takes 1.4 seconds', 0,
      sub { $_[0] < 7 ? frame(TEXT, substr $slow, 5 * $_[0], 5) : '' } ],
    [ 'nothing', 0, sub { '' } ],
);

push @$_, $t->stomp(path => '/frame', auto_close => 0) for @frames;

# what follows the handshake in one packet

my $early = Test::Stomp::Client->new(
    port => $t->port, path => '/frame', auto_close => 0,
    handshake => 0);
$early->ws->{opt}{request} = $early->ws->handshake_request
    . frame(TEXT, "CONNECT\naccept-version:1.2\nhost:x\n\n\0")
    . frame(TEXT, $head);
$early->ws->handshake;
$early->expect(CONNECTED => -name => 'all in one packet');
push @frames, [ 'half of a frame behind the handshake', 1, sub { '' }, $early ];

# who is asked, and who answers; beats: from the client

my @pings = (
    [ '/ping', 'answers',              '0,0',    {},                 2, 5, 0 ],
    [ '/ping', 'does not answer',      '0,0',    { auto_pong => 0 }, 1, 1, 1 ],
    [ '/ping', 'wants beats only',     '0,1000', {},                 2, 5, 0 ],
    [ '/ping', 'sends beats',          '1000,0', { beats => 1 },     0, 0, 0 ],
    [ '/ping', 'speaks by itself',     '0,0',    { sends => 1 },     0, 0, 0 ],
    [ '/off',  'is silent',            '0,0',    {},                 0, 0, 0 ],
);

for (@pings) {
    my ($path, undef, $beat, $opt) = @$_;
    push @$_, $t->stomp(path => $path, auto_pong => $opt->{auto_pong} // 1,
                        connect => { heart_beat => $beat });
}

my $start = now();

for my $n (0 .. 34) {
    for (@frames) {
        my (undef, undef, $what, $c) = @$_;

        my $frame = $c->recv(0);
        $_->[4] //= $frame;
        $_->[5] //= now() - $start if $c->closed;
        my $octets = $c->closed ? '' : $what->($n);
        $c->ws->write_raw($octets) if length $octets;
    }

    for (@pings) {
        my ($opt, $c) = @$_[3, 7];

        $c->recv(0);
        next if $c->closed;
        $c->beat if $opt->{beats};
        $c->send('/topic/x', '') if $opt->{sends};
    }

    my $left = $start + ($n + 1) / 5 - now();
    select undef, undef, undef, $left if $left > 0;
}

for (@frames) {
    my ($name, $ends, undef, $c, $frame, $after) = @$_;

    if (!$ends) {
        ok(!$c->closed, "$name: open");
        is($frame, undef, 'and nothing is said');
        next;
    }

    is($frame && $frame->{headers}{message}, 'frame timed out', "$name: ERROR");
    is($frame->{body}, 'A frame was not complete within 2 seconds'
                       . ' (stomp_frame_timeout).', 'tells why');
    is($c->ws->close_code, 1008, 'then it is closed');
    cmp_ok($after, '>=', 1.9, 'not too early');
}

for (@pings) {
    my ($path, $does, $beat, undef, $min, $max, $ends, $c) = @$_;
    my $name = "$path, a client with $beat that $does";
    my $n = $c->ws->pings;

    ok($n >= $min && $n <= $max, "$name: $min to $max pings")
        or diag("$n pings");

    if ($ends) {
        is($c->ws->close_code, 1008, 'closed for its silence');
        is($c->ws->close_reason, 'no answer to ping', 'and told why');
    } else {
        ok(!$c->closed, 'open');
    }
}

like($t->error_log,
     qr/ \[info\] .* client did not answer a ping for \d seconds/,
     'the silent one is in the log');

$_->[3]->abort for @frames;
$_->[7]->abort for @pings;
ok(wait_for(10, sub { $t->status('/status')->{sessions} == 0 }),
   'no session is left');

# All workers stand still for longer than each time-out.  What the clients do
# in the meantime is in their sockets.

my $new = Test::Stomp::Client->new(port => $t->port, path => '/connect');
my $part = $t->stomp(path => '/frame');
my $beats = $t->stomp(path => '/beats', connect => { heart_beat => '1000,0' });
my $reader = $t->stomp(path => '/output', rcvbuf => 4096);
my $sender = $t->stomp(path => '/output');

$reader->subscribe('/topic/large');
$sender->command(SEND => [ destination => '/topic/large' ], 'b' x 2 ** 20,
                 receipt => 1) for 1 .. 16;
$part->ws->write_raw(frame(TEXT, $head));
$part->ws->ping;
$part->ws->recv_message(0.2) until @{ $part->ws->pongs };

kill STOP => $t->workers;
$start = now();

# at most what the sockets hold can be read
my $read = 0;

while (now() < $start + 6) {
    $read++ if $reader->recv(0.2);
    $beats->beat;
}

$new->send_frame(CONNECT => [ 'accept-version' => '1.2', host => 'x' ]);
$part->ws->write_raw(frame(TEXT, $tail));

kill CONT => $t->workers;

$new->expect(CONNECTED => -name => 'a CONNECT that came in a pause');
$part->command(UNSUBSCRIBE => [ id => 'none' ], undef, receipt => 'r');
pass('a frame that was completed in a pause');

cmp_ok($read, '<', 16, 'not all of the output fits into sockets');
$read++ while $read < 16 && $reader->recv;
is($read, 16, 'output that waited for a pause to end');

$beats->subscribe('/topic/y');
pass('a client whose beats waited for a pause to end');

$_->abort for $new, $part, $beats, $reader, $sender;

$t->ok_no_alerts;

done_testing;
