# Without it a client could agree with the server on a version or on beats that
# one of them doesn't keep, and lose its session, or live on without a client.

use lib 't/lib';

use Test::More;
use Test::Stomp;

my $t = nginx();

$t->write_conf(<<'CONF')->start;
stomp_broker chat { zone 1m; topic /topic/; allow send /topic/**; }

# not the times of a session
client_header_timeout  1s;
client_body_timeout    1s;
keepalive_timeout      1s;
send_timeout           1s;

server {
    listen 127.0.0.1:%%PORT%%;

    location / { stomp_pass chat; }
    location = /stomp_status { stomp_status chat; }

    location = /beat { stomp_pass chat; stomp_heartbeat 1s;
                       stomp_heartbeat_tolerance 1; }
    location = /to { stomp_pass chat; stomp_heartbeat 1s off; }
    location = /from { stomp_pass chat; stomp_heartbeat off 1s;
                       stomp_heartbeat_tolerance 1; }
    location = /off { stomp_pass chat; stomp_heartbeat off; }
    location = /two { stomp_pass chat; stomp_heartbeat 20s 40s; }
    location = /timeout { stomp_pass chat; stomp_connect_timeout 1s; }
}
CONF

for ([ undef, '1.0' ], [ '1.0', '1.0' ], [ '1.1', '1.1' ], [ '1.2', '1.2' ],
     [ '1.0,1.1', '1.1' ], [ '1.2,1.1,1.0', '1.2' ], [ '1.1,1.0,1.2', '1.2' ],
     [ '1.0, 1.1 ,', '1.1' ], [ '2.0,1.1', '1.1' ], [ '1.2,1.2', '1.2' ])
{
    my ($accept, $version) = @$_;
    my $name = 'accept-version ' . ($accept // 'missing');

    my $c = client();
    my $frame = $c->connect(version => $accept);
    is($frame->{command}, 'CONNECTED', "$name: connected");
    is($frame->{headers}{version}, $version, "$name: $version");
    like($frame->{headers}{session}, qr/^0-[0-9a-f]{16}$/, "$name: session");
    is($frame->{headers}{'heart-beat'},
       $version eq '1.0' ? undef : '25000,25000', "$name: beats");
}

for my $accept ('2.0', '1.3,0.9', '', ',', '1.20', '11', 'v1.2') {
    my $c = client();
    my $name = "accept-version \"$accept\"";

    $c->send_frame(CONNECT => [ 'accept-version' => $accept ]);
    my $frame = $c->expect_error('no common version', "$name refused", 1002);
    is($frame->{headers}{version}, '1.0,1.1,1.2', "$name: what there is");
    is($frame->{body}, 'This broker speaks STOMP 1.0, 1.1 and 1.2, not'
                       . " \"$accept\".", "$name: in words");
}

for my $version (qw(1.2 1.1 1.0)) {
    my $beats = $version eq '1.0' ? '' : "heart-beat:25000,25000\n";

    my $c = client();
    $c->send_frame(CONNECT => [ 'accept-version' => $version ]);
    my $message = $c->ws->recv_message;
    like($message->{payload}, qr{^CONNECTED\nversion:\Q$version\E\n\Q$beats\E
         session:0-[0-9a-f]+\nserver:ngx_stomp_module/[\d.]+\n\n\0\z}x,
         "CONNECTED of $version: its headers in their order");
    is($message->{opcode}, 'text', 'in a text frame');
}

for ([ 'STOMP instead of CONNECT', "STOMP\naccept-version:1.2\n\n\0" ],
     [ 'a host, a login', "CONNECT\nhost:a\nlogin:b\npasscode:c\n\n\0" ],
     [ 'colons in a passcode', "CONNECT\npasscode:a:b:c\n\n\0" ],
     [ 'backslashes are not escapes', "CONNECT\nlogin:a\\tb\\\n\n\0" ],
     [ 'lines with CR LF', "CONNECT\r\naccept-version:1.2\r\n\r\n\0\r\n" ],
     [ 'line ends before the frame', "\r\n\n\r\nCONNECT\n\n\0" ],
     [ 'a length of nothing', "CONNECT\ncontent-length:0\n\n\0" ],
     [ 'UTF-8', "CONNECT\nlogin:\xc3\xa9\n\n\0" ],
     [ 'a receipt, which is not for CONNECT', "CONNECT\nreceipt:r\n\n\0" ],
     [ 'no headers', "CONNECT\n\n\0" ])
{
    my ($name, $bytes) = @$_;

    for my $opcode (1, 2) {
        my $c = client();
        $c->ws->send_frame($opcode, $bytes);
        $c->expect(CONNECTED => 'receipt-id' => undef,
                   -name => "$name, opcode $opcode");
        $c->command(UNSUBSCRIBE => [ id => 1 ], undef, receipt => 1);
    }
}

for ([ 'a body', "CONNECT\n\nx\0", 'malformed frame' ],
     [ 'the length of a body', "CONNECT\ncontent-length:1\n\nx\0",
       'malformed frame' ],
     [ 'a small letter', "connect\n\n\0", 'malformed frame' ],
     [ 'HTTP', "GET / HTTP/1.1\r\n\r\n", 'malformed frame' ],
     [ 'no colon', "CONNECT\nhost\n\n\0", 'malformed frame' ],
     map({ [ "$_ first", "$_\nid:1\ndestination:/topic/a\n\n\0",
             'not connected', "The first frame must be CONNECT or STOMP,"
             . " not $_." ] }
         qw(SEND SUBSCRIBE UNSUBSCRIBE ACK NACK BEGIN COMMIT ABORT DISCONNECT
            MESSAGE WHAT)))
{
    my ($name, $bytes, $message, $body) = @$_;

    my $c = client();
    $c->ws->send_text($bytes);
    my $frame = $c->expect_error($message, $name, 1002);
    is($frame->{headers}{version}, '1.0,1.1,1.2', "$name: says the versions");
    is($frame->{body}, $body, "$name: in words") if $body;
}

for my $again (qw(CONNECT STOMP)) {
    my $c = $t->stomp;
    $c->command($again => [ 'accept-version' => '1.2', receipt => 'r-1' ]);
    my $frame = $c->expect_error('already connected', "$again again", 1002);
    is($frame->{headers}{'receipt-id'}, 'r-1', 'ERROR names the receipt');
    is($frame->{headers}{version}, undef, 'and no versions, which are agreed');
}

for my $beats ('', '1', 'a,b', '1000', '1000,', ',1000', '-1,0', '1,2,3',
               '1.5,0')
{
    my $c = client();
    $c->send_frame(CONNECT => [ 'accept-version' => '1.1',
                                'heart-beat' => $beats ]);
    my $frame = $c->expect_error('malformed header',
                                 "heart-beat \"$beats\" refused", 1002);
    like($frame->{body}, qr/^"heart-beat" must be two numbers.*"\Q$beats\E"/,
         'and told why');
}

is(client()->connect(version => '1.0', heart_beat => 'x')->{command},
   'CONNECTED', '1.0 knows no heart-beat: ignored');
is(client()->connect(heart_beat => '99999999999999,99999999999999')->{command},
   'CONNECTED', 'beats in a very long time');

for ([ '/', '25000,25000' ], [ '/two', '20000,40000' ], [ '/off', '0,0' ],
     [ '/to', '1000,0' ], [ '/from', '0,1000' ])
{
    my ($path, $want) = @$_;
    is(client(path => $path)->connect(heart_beat => '5000,5000')
       ->{headers}{'heart-beat'}, $want, "$path: the server's own values");
}

# Beats, all cases at the same time: path, heart-beat, what the client does;
# how many beats come in 4.5 seconds, and whether it is closed for its silence.

my @beats = (
    [ '/beat', '0,1000',    '',       3, 5, 0 ],
    [ '/beat', '0,1',       '',       3, 5, 0 ],
    [ '/beat', '0,3000',    '',       1, 2, 0 ],
    [ '/beat', '0,60000',   '',       0, 0, 0 ],
    [ '/beat', '0,0',       '',       0, 0, 0 ],
    [ '/beat', undef,       '',       0, 0, 0 ],
    [ '/beat', '1000,0',    '',       0, 0, 1 ],
    [ '/beat', '1000,0',    'beat',   0, 0, 0 ],
    [ '/beat', '1000,0',    'ping',   0, 0, 0 ],
    [ '/beat', '1000,0',    'send',   0, 0, 0 ],
    [ '/beat', '60000,0',   '',       0, 0, 0 ],
    [ '/beat', '1,1',       '',       1, 3, 1 ],
    [ '/beat', '1000,1000', 'beat',   3, 5, 0 ],
    [ '/to',   '1000,1000', '',       3, 5, 0 ],
    [ '/from', '1000,1000', '',       0, 0, 1 ],
    [ '/off',  '1000,1000', '',       0, 0, 0 ],
    [ '/',     '1000,1000', '',       0, 0, 0 ],
);

push @$_, $t->stomp(path => $_->[0], connect => { heart_beat => $_->[1] })
    for @beats;

my $old = $t->stomp(path => '/beat',
                    connect => { version => undef, heart_beat => '1000,1000' });

my $silent = client(path => '/timeout');
my $drips = client(path => '/timeout');
my $in_time = $t->stomp(path => '/timeout');
my $end = now() + 4.5;

while (now() < $end) {
    for (@beats) {
        my ($path, $value, $does, undef, undef, undef, $c) = @$_;

        $c->recv(0);
        next if $c->closed;
        $c->beat if $does eq 'beat';
        $c->ws->ping if $does eq 'ping';
        $c->send('/topic/x', '') if $does eq 'send';
    }

    $drips->ws->send_text("\n") if now() < $end - 3;
    select undef, undef, undef, 0.2;
}

for (@beats) {
    my ($path, $value, $does, $min, $max, $closed, $c) = @$_;
    my $name = "$path, client " . ($value // 'without beats')
             . ($does && ", does $does");
    my $beats = $c->beats;

    ok($beats >= $min && $beats <= $max, "$name: $min to $max beats")
        or diag("$beats beats");

    if ($closed) {
        is($c->ws->close_code, 1008, "$name: closed for its silence");
        is($c->ws->close_reason, 'heart-beat missing', 'and told why');
    } else {
        ok(!$c->closed, "$name: open");
    }
}

$old->expect_none(0, 'a client of 1.0 gets no beats');
is($old->beats, 0, 'not one');
ok(!$old->closed, 'and owes none');

for ([ silent => $silent ], [ 'that sends line ends only' => $drips ]) {
    my ($name, $c) = @$_;

    my $frame = $c->expect_error('connect timed out', "client $name", 1008);
    is($frame->{body}, 'No CONNECT frame came within 1 seconds'
                       . ' (stomp_connect_timeout).', 'and told why');
}

ok(!$in_time->closed, 'who connected has no time-out');
$in_time->command(UNSUBSCRIBE => [ id => 1 ], undef, receipt => 1);

my %ids = map { $_->session => 1 } map { $_->[6] } @beats;
is(keys %ids, @beats, 'all sessions have ids of their own');

@beats = ();
undef $_ for $old, $silent, $drips, $in_time;
ok(wait_for(5, sub { $t->status->{sessions} == 0 }), 'no session is left');

$t->ok_no_alerts;

done_testing;


sub client {
    return Test::Stomp::Client->new(port => $t->port, @_);
}
