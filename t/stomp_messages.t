# Without it a message could reach its subscribers with other headers or
# another body than it was sent with, or in a form that a client of another
# version of STOMP can't read.

use lib 't/lib';

use Test::More;
use Test::Stomp;

my $t = nginx();

$t->write_conf(<<'CONF')->start;
stomp_broker chat { zone 4m; topic /topic/; allow send /topic/**; }

server {
    listen 127.0.0.1:%%PORT%%;

    location / { stomp_pass chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF

my %sub = map {
    my $c = $t->stomp(connect => { version => $_ });
    $c->subscribe('/topic/v', id => $_ eq '1.0' ? undef : "s:$_");
    $_ => $c;
} qw(1.0 1.1 1.2);

# the headers of a message and their order

{
    my $c = $t->stomp;
    $c->subscribe('/topic/h', id => 'sub');
    $c->command(SEND => [
        a => 1, 'content-length' => 4, receipt => 'r', b => '',
        destination => '/topic/h', ack => 1, 'message-id' => 'mine',
        redelivered => 'true', 'replay-gap' => 1, subscription => 'other',
        'content-type' => 'text/x;charset=utf-8', a => 2,
        destination => '/topic/x', 'Message-Id' => 'kept', priority => 4,
    ], 'body');

    my $frame = $c->expect(MESSAGE => -body => 'body');
    my $id = $frame->{headers}{'message-id'};
    is_deeply($frame->{list}, [
        [ a => 1 ], [ b => '' ], [ destination => '/topic/h' ],
        [ 'content-type' => 'text/x;charset=utf-8' ], [ a => 2 ],
        [ 'Message-Id' => 'kept' ], [ priority => 4 ],
        [ subscription => 'sub' ], [ 'message-id' => $id ],
        [ 'content-length' => 4 ],
    ], "the client's headers come first, without those of the server");
    like($id, qr/^[0-9a-f]{16}-\d+$/, 'message-id: plain for all versions');
    is(($id =~ /^(\w+)/)[0], $t->status->{epoch}, 'it begins with the epoch');
    $c->expect(RECEIPT => 'receipt-id' => 'r');

    $c->command(SEND => [ destination => '/topic/h', 'content-length' => 1,
                          'content-length' => 'x' ], 'x');
    my $next = $c->expect(MESSAGE => -body => 'x');
    is(number($next), number($frame) + 1, 'and counts');
}

# what versions can express, in all directions: header sent, and as received

my $value = "a:b\\c\nd\re";

for ([ '1.2', $value, '1.2' => $value, '1.1' => "a:b\\c\nd e",
       '1.0' => 'a:b\\c d e' ],
     [ '1.1', "a:b\\c\nd\re", '1.2' => $value, '1.1' => "a:b\\c\nd e",
       '1.0' => 'a:b\\c d e' ],
     [ '1.0', 'a:b\\c\\nd\\', '1.2' => 'a:b\\c\\nd\\',
       '1.1' => 'a:b\\c\\nd\\', '1.0' => 'a:b\\c\\nd\\' ],
     [ '1.2', ' spaces ', map { ($_ => ' spaces ') } qw(1.2 1.1 1.0) ],
     [ '1.1', ' spaces ', map { ($_ => ' spaces ') } qw(1.2 1.1 1.0) ],
     [ '1.0', ' spaces ', map { ($_ => 'spaces') } qw(1.2 1.1 1.0) ],
     map({ [ $_, "\xc3\xa9 \xe2\x82\xac", '1.2' => "\xc3\xa9 \xe2\x82\xac",
             '1.1' => "\xc3\xa9 \xe2\x82\xac",
             '1.0' => "\xc3\xa9 \xe2\x82\xac" ] } qw(1.0 1.1 1.2)))
{
    my ($from, $sent, %want) = @$_;

    my $c = $t->stomp(connect => { version => $from });
    $c->send('/topic/v', 'x', headers => [ k => $sent ]);

    for (sort keys %want) {
        $sub{$_}->expect(MESSAGE => k => $want{$_}, subscription =>
            $_ eq '1.0' ? undef : "s:$_",
            -name => "from $from to $_: " . show($sent));
    }
}

# raw bytes: what our own client would not send, or reads too kindly

{
    my $c = $t->stomp(connect => { version => '1.2' });
    $c->ws->send_text("SEND\ndestination:/topic/v\nn\\ca\\n:v\\\\\\r\n\nx\0");
    like(raw('1.2'), qr/\nn\\ca\\n:v\\\\\\r\nsubscription:s\\c1\.2\n/,
         'to 1.2: names and values escaped');
    like(raw('1.1'), qr/\nn\\ca\\n:v\\\\ \nsubscription:s\\c1\.1\n/,
         'to 1.1: without \r');
    like(raw('1.0'), qr/\nn:a :v\\ \nmessage-id:/, 'to 1.0: as they are');

    my $d = $t->stomp(connect => { version => '1.1' });
    $d->ws->send_text("SEND\ndestination:/topic/v\nk:a:b\n\nx\0");
    like(raw('1.1'), qr/\nk:a\\cb\n/, 'a raw colon of 1.1 is taken, escaped');
    raw($_) for qw(1.0 1.2);
}

for ([ '1.2', 'k:\\t' ], [ '1.2', 'k:\\' ], [ '1.2', 'k:\\\\\\' ],
     [ '1.2', 'a\\x:v' ], [ '1.2', 'k:\\C' ], [ '1.1', 'k:a\\rb' ],
     [ '1.1', 'a\\r:v' ], [ '1.1', 'k:\\ ' ])
{
    my ($version, $line) = @$_;

    my $c = $t->stomp(connect => { version => $version });
    $c->ws->send_text("SEND\nreceipt:r\ndestination:/topic/a\n$line\n\n\0");
    my $frame = $c->expect_error('malformed frame', "$version: $line", 1002);
    is($frame->{body}, 'after a backslash headers may have only '
        . ($version eq '1.2' ? 'r, ' : '') . 'n, c or another backslash.',
       'and told why');
    is($frame->{headers}{'receipt-id'}, 'r', 'with the receipt');
}

# bodies

my $all = join '', map { chr } 0 .. 255;

for ([ 'empty', '', 'text' ], [ 'a NUL', "\0", 'text' ],
     [ 'NULs', "a\0\0b\0", 'text' ], [ 'line ends', "\r\n\n\r", 'text' ],
     [ 'a frame in it', "SEND\ndestination:/topic/v\n\nx\0", 'text' ],
     [ 'UTF-8', "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 'text' ],
     [ 'all octets', $all, 'binary' ],
     [ 'half of UTF-8', "\xe2\x82", 'binary' ],
     [ 'Latin-1', "caf\xe9", 'binary' ], [ 'a surrogate', "\xed\xa0\x80",
       'binary' ],
     [ 'large text', "\xc3\xa9" x 20000, 'text' ],
     [ 'large binary', $all x 200, 'binary' ])
{
    my ($name, $body, $opcode) = @$_;

    $sub{'1.2'}->send('/topic/v', $body, opcode => 'binary');
    for (sort keys %sub) {
        my $frame = $sub{$_}->expect(MESSAGE =>
            'content-length' => length $body, -opcode => $opcode,
            -name => "$name, to $_: $opcode");
        ok($frame->{body} eq $body, 'the same body');
    }

    next if $body =~ /\0/;
    $sub{'1.2'}->send('/topic/v', $body, opcode => 'binary',
                      content_length => 0);
    my @got = map { $_->recv } values %sub;
    is(grep({ $_ && $_->{body} eq $body } @got), 3, "$name, up to NUL");
}

# how frames come in

{
    my $c = $sub{'1.2'};
    my @got;
    my $one = sub { "SEND\ndestination:/topic/in\n\n$_[0]\0" };

    $c->subscribe('/topic/in', id => 'in');

    my $all_in = sub {
        my ($name, @want) = @_;
        is(join(' ', map { $_->{body} } $c->collect(scalar @want)), "@want",
           $name);
    };

    $c->ws->send_text($one->(1) . $one->(2) . "\n\r\n\n" . $one->(3) . "\n");
    $all_in->('several frames in a message', 1 .. 3);

    my $text = $one->('a') . "\n" . $one->('b');
    $c->ws->send_text($_) for split //, $text;
    $all_in->('frames over messages of one octet', 'a', 'b');

    for my $at (1 .. length($text) - 1) {
        $c->ws->write_raw(Test::Stomp::WebSocket::build_frame(1,
            substr $text, 0, $at));
        $c->ws->ping if $at % 3 == 0;
        $c->ws->send_fragmented($at % 2 + 1, substr($text, $at), 3, 0, 2);
    }
    $all_in->('cut everywhere, with pings and fragments',
              map { ('a', 'b') } 1 .. length($text) - 1);

    # the version is known in the middle of a message
    my $new = Test::Stomp::Client->new(port => $t->port);
    $new->ws->send_text("CONNECT\naccept-version:1.2\n\n\0\nSEND\n"
                        . "destination:/topic/in\nk:a\\");
    $new->expect(CONNECTED => version => '1.2');
    $new->ws->send_text("cb\n\nx\0");
    $c->expect(MESSAGE => k => 'a:b', -name => 'CONNECT and half a SEND');

    my $crlf = "SEND\r\ndestination:/topic/in\r\nk:v\r\n\r\nx\r\n\0\r\n\r\n";
    for my $version (qw(1.2 1.1)) {
        my $d = $t->stomp(connect => { version => $version });
        $d->ws->send_text($_) for "\r", "\n", $crlf, split //, $crlf;
        for (1, 2) {
            my $frame = $c->expect(MESSAGE => destination => '/topic/in',
                k => 'v', -body => "x\r\n", -name => "CR LF of $version");
        }
    }

    my $big = 'y' x 50000;
    $c->send('/topic/in', $big, fragments => [ 1, 70, 4096, 16384 ]);
    ok($c->recv->{body} eq $big, 'a large frame in fragments');
    $c->ws->send_text($_) for unpack '(a1000)*', $one->($big);
    ok($c->recv->{body} eq $big, 'and over messages');
}

# broken frames: bytes, and what is said

my $dest = "SEND\ndestination:/topic/a\n";

for (
    [ "${dest}content-length:1\n\nab\0", 'NUL must follow a body of'
      . ' content-length octets' ],
    map({ [ "${dest}content-length:$_\n\nab\0", 'content-length must be'
            . ' a decimal number' ] } 'x', '-1', '+2', ' 2', '2 ', '', '0x2'),
    [ "SUBSCRIBE\nid:1\ndestination:/topic/a\n\nx\0",
      'only SEND frames may have a body' ],
    [ "SUBSCRIBE\nid:1\ndestination:/topic/a\ncontent-length:1\n\nx\0",
      'only SEND frames may have a body' ],
    [ "DISCONNECT\n\nx\0", 'only SEND frames may have a body' ],
    map({ [ "$dest$_\n\n\0", 'header line must have the form name:value' ] }
        'colon', ':value', ':', 'a\\cb'),
    [ "${dest}a:b\0\n\n\0", 'headers must end with an empty line, and must'
      . ' not contain NUL' ],
    [ "SEND\n\0", 'headers must end with an empty line, and must not contain'
      . ' NUL' ],
    [ "${dest}k:\xff\n\n\0", 'headers must be valid UTF-8' ],
    [ "${dest}\xe2\x82:v\n\n\0", 'headers must be valid UTF-8' ],
    map({ [ $_, 'frame must begin with a line that is a command in capital'
            . ' letters' ] }
        "send\n\n\0", " SEND\n\n\0", "SEND \n\n\0", "SEND\r\r\n\n\0", "\0",
        "SE:ND\n\n\0", "{}", 'A' x 100),
) {
    my ($bytes, $text) = @$_;

    my $c = $t->stomp;
    $c->ws->send_binary($bytes);
    my $frame = $c->expect_error('malformed frame', show($bytes), 1002);
    is($frame->{body}, "$text.", 'and told why');
}

# all that was refused came to nobody
$_->expect_none(0, 'nothing else came') for values %sub;

%sub = ();
ok(wait_for(5, sub { $t->status->{sessions} == 0 }), 'no session is left');

$t->ok_no_alerts;

done_testing;


# the next message of that subscriber, as it came

sub raw {
    my ($version) = @_;

    my $message = $sub{$version}->ws->recv_message;
    return $message && $message->{payload};
}


sub number {
    my ($frame) = @_;

    return $frame->{headers}{'message-id'} =~ /-(\d+)$/ ? $1 : 0;
}
