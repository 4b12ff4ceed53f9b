# Without it one client could take the memory of all, or a limit could cut off
# what it is to allow; who is refused has to learn which directive did it.

use lib 't/lib';

use Test::More;
use Test::Stomp;

my $t = nginx(workers => 2);

$t->write_conf(<<'CONF')->start;
stomp_broker chat { zone 8m; topic /topic/; allow send /topic/**; }
stomp_broker slow { zone 32m; topic /topic/; }

server {
    listen 127.0.0.1:%%PORT%%;

    location / { stomp_pass chat; stomp_max_headers 5;
                 stomp_max_header_length 64; stomp_max_body 1000;
                 stomp_max_subscriptions 3; }
    location = /default { stomp_pass chat; }
    location = /nobody { stomp_pass chat; stomp_max_body 0; }
    location = /stomp_status { stomp_status chat; }
}

server {
    listen 127.0.0.1:%%PORT2%% sndbuf=16k;

    stomp_max_body 1m;

    location / { stomp_pass slow; stomp_max_output 256k; }
    location = /large { stomp_pass slow; stomp_max_output 16m;
                        stomp_output_timeout 2s; }
    location = /status { stomp_status slow; }
    location /push/ { stomp_push slow; client_max_body_size 1m;
                      client_body_buffer_size 1m; }
}
CONF

# first of all: a worker's count may come a second late

{
    my $c = $t->stomp;

    $c->subscribe("/topic/$_", id => $_) for 1 .. 3;
    $c->unsubscribe(2);
    $c->subscribe('/topic/4', id => 4);
    pass('as many subscriptions as allowed');
    $c->command(SUBSCRIBE => [ destination => '/topic/5', id => 5,
                               receipt => 'r' ]);
    my $frame = $c->expect_error('too many subscriptions', undef, 1008);
    is($frame->{body}, 'A session can have 3 subscriptions'
                       . ' (stomp_max_subscriptions).', 'names the directive');
    is($frame->{headers}{'receipt-id'}, 'r', 'and has the receipt');
    ok(wait_for(3, sub { $t->status->{refused} == 1 }),
       'it is counted');
}

# limit, name of the test, header lines and body, the answer

my @pad = map { "k$_:" . "v" x 10 } 1 .. 9;
my $dest = 'destination:/topic/a';

for (
    [ 'headers', 5, 'too many headers', 'A frame can have 5 headers'
      . ' (stomp_max_headers).',
      sub { [ $dest, @pad[ 1 .. $_[0] - 1 ] ], '' } ],
    [ 'header length', 64, 'header too long', 'A header line can have 64'
      . ' octets (stomp_max_header_length).',
      sub { [ $dest, 'k:' . 'v' x ($_[0] - 2) ], '' } ],
    [ 'name length', 64, 'header too long', 'A header line can have 64 octets'
      . ' (stomp_max_header_length).',
      sub { [ $dest, 'n' x ($_[0] - 1) . ':' ], '' } ],
    [ 'body up to NUL', 1000, 'body too large', 'A body can have 1000 octets'
      . ' (stomp_max_body).', sub { [ $dest ], 'b' x $_[0] } ],
    [ 'body by length', 1000, 'body too large', 'A body can have 1000 octets'
      . ' (stomp_max_body).',
      sub { [ $dest, "content-length:$_[0]" ], 'b' x $_[0] } ],
) {
    my ($name, $limit, $message, $text, $make) = @$_;

    for my $eol ("\n", "\r\n") {
        for my $pieces (0, 1) {
            my $c = $t->stomp;
            my $how = "$name" . ($eol eq "\n" ? '' : ', CR LF')
                    . ($pieces ? ', octet by octet' : '');

            $c->subscribe('/topic/a', id => 'a');
            write_frame($c, $eol, $pieces, $make->($limit));
            $c->expect(MESSAGE => -name => "$how: $limit");

            write_frame($c, $eol, $pieces, $make->($limit + 1));
            my $frame = $c->expect_error($message, "$how: one more", 1009);
            is($frame->{body}, $text, 'names the limit and the directive');
        }
    }
}

{
    my $c = $t->stomp;
    $c->ws->send_text("SEND\n$dest\nreceipt:r\ncontent-length:99999999999999"
                      . "999999999\n\n");
    my $frame = $c->expect_error('body too large', 'a very large length', 1009);
    is($frame->{headers}{'receipt-id'}, 'r', 'told before the body comes');

    $c = $t->stomp;
    $c->ws->send_text("SEND\n$dest\nk:" . 'x' x 63);
    $c->expect_error('header too long', 'a header without an end', 1009);

    $c = $t->stomp(path => '/nobody');
    $c->subscribe('/topic/n');
    $c->send('/topic/n', '');
    $c->expect(MESSAGE => -body => '', -name => 'stomp_max_body 0: no body');
    $c->send('/topic/n', 'x');
    $c->expect_error('body too large', 'and none of one octet', 1009);
}

# the defaults

{
    my $c = $t->stomp(path => '/default');
    $c->subscribe("/topic/$_", id => $_) for 1 .. 128;
    $c->send('/topic/1', 'x' x 65536,
             headers => [ map { ("h$_" => $_) } 1 .. 60 ],);
    $c->expect(MESSAGE => h60 => 60, 'content-length' => 65536);
    $c->send('/topic/1', '', headers => [ k => 'v' x 4094 ]);
    $c->expect(MESSAGE => k => 'v' x 4094);
    $c->command(SUBSCRIBE => [ destination => '/topic/x', id => 'x' ]);
    $c->expect_error('too many subscriptions', '128 by default');

    for ([ 'too many headers', '64', [ map { ("h$_" => $_) } 1 .. 64 ], 0 ],
         [ 'header too long', '4096', [ k => 'v' x 4095 ], 0 ],
         [ 'body too large', '65536', [], 65537 ])
    {
        my ($message, $limit, $headers, $size) = @$_;

        $c = $t->stomp(path => '/default');
        $c->send('/topic/a', 'x' x $size, headers => $headers,
                 content_length => 0);
        my $frame = $c->expect_error($message, "$limit by default", 1009);
        like($frame->{body}, qr/can have $limit /, 'which is told');
    }
}

# slow consumers

{
    my $slow = $t->stomp(port => $t->port(2), rcvbuf => 4096);
    my $fast = $t->stomp(port => $t->port(2));
    my $dropped = status()->{dropped};

    $slow->subscribe('/topic/slow');
    $fast->subscribe('/topic/slow');
    my ($id, $sessions) = ($slow->session, status()->{sessions});

    my $n = 0;
    my $closed = sub { status()->{dropped} > $dropped };

    while ($n < 400 && !$closed->()) {
        push_slow('/topic/slow', $n++ . ':' . 'x' x 60000);
        $fast->expect(MESSAGE => -body => qr/^@{[ $n - 1 ]}:x{60000}\z/,
                      -name => "the other one has $n");
    }

    ok($n > 3 && $n < 400, "a slow consumer is closed after $n messages");
    is(status()->{dropped}, $dropped + 1, 'and counted once');
    ok(wait_for(2, sub { status()->{sessions} == $sessions - 1 }),
       'its session is gone');

    my ($line) = $t->error_log =~ /^(.*\Q$id\E is too slow.*)$/m;
    like($line // '', qr/\[warn\] .*STOMP session \Q$id\E is too slow: \d+ /,
         'a warning tells which');
    my ($waiting) = ($line // '') =~ /slow: (\d+) octets/;
    ok($waiting > 180000 && $waiting <= 262144, 'and how much was waiting');

    # what it can still read are whole messages, from the first one on
    my @got = $slow->collect($n, 5);
    is(join(' ', map { $_->{body} =~ /^(\d+):x{60000}\z/ } @got),
       join(' ', 0 .. $#got), 'what it got has no gap');
    ok(@got < $n, 'but an end');

    push_slow('/topic/slow', 'go on');
    $fast->expect(MESSAGE => -body => 'go on', -name => 'the others go on');

    # a single message may be larger than the limit
    push_slow('/topic/slow', 'y' x 700000);
    my $frame = $fast->recv;
    is(length($frame->{body}), 700000,
       'one message over the limit reaches who has nothing waiting');
}

{
    my $stalled = $t->stomp(path => '/large', port => $t->port(2),
                            rcvbuf => 4096);
    my $id = $stalled->session;
    my $dropped = status()->{dropped};

    $stalled->subscribe('/topic/stalled');
    push_slow('/topic/stalled', 'z' x 100000) for 1 .. 40;
    is(status()->{dropped}, $dropped, 'much may wait with a large limit');

    ok(wait_for(6, sub { status()->{dropped} == $dropped + 1 }),
       'a client that takes nothing is closed and counted');
    my ($line) = $t->error_log =~ /^(.*\Q$id\E has taken.*)$/m;
    like($line // '', qr/\[warn\] .* taken nothing for 2 seconds, \d+ octets /,
         'with a warning');
}

{
    # pongs wait like messages
    my $c = $t->stomp(port => $t->port(2), rcvbuf => 4096);
    my $dropped = status()->{dropped};
    my $pings = Test::Stomp::WebSocket::build_frame(9, 'p' x 125) x 1000;
    my $n = 0;

    $n++ while $n < 100 && $c->ws->write_raw($pings);
    ok($n < 100, 'a client that pings and does not listen is closed');
    ok(wait_for(3, sub { status()->{dropped} == $dropped + 1 }), 'and counted');
}

ok(wait_for(5, sub { $t->status->{sessions} + status()->{sessions} == 0 }),
   'no session is left');
ok(wait_for(3, sub { status()->{zone}{used} == 0 }),
   'and nothing of the messages');

$t->ok_no_alerts;

done_testing;


sub status {
    return $t->request(GET => '/status', port => $t->port(2))->json;
}


sub push_slow {
    my ($destination, $body) = @_;

    return $t->push_message($destination, $body, port => $t->port(2));
}


sub write_frame {
    my ($c, $eol, $pieces, $headers, $body) = @_;

    my $bytes = join($eol, 'SEND', @$headers, '', '') . "$body\0";
    $c->ws->send_text($_) for $pieces ? split //, $bytes : $bytes;
    return;
}
