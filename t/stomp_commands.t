# Without it a client could wait for an answer that never comes, get messages
# that it has not asked for, or not learn what it did wrong.

use lib 't/lib';

use Test::More;
use Test::Stomp;

my $t = nginx();

$t->write_conf(<<'CONF')->start;
stomp_broker chat {
    zone   1m;
    topic  /topic/ /t/;
    allow  send /topic/**;
    allow  send /t/exact /t/a/* /t/*/c /t/x/**;
}

server {
    listen 127.0.0.1:%%PORT%%;

    location / { stomp_pass chat; }
    location = /stomp_status { stomp_status chat; }
    location /push/ { stomp_push chat; }
}
CONF

# who has its receipt and doesn't close is closed after ten seconds

my $lazy = $t->stomp;
$lazy->subscribe('/topic/lazy');
$lazy->command(DISCONNECT => [], undef, receipt => 'bye');

{
    my $c = $t->stomp;
    my @sent = ([ SUBSCRIBE => [ destination => '/topic/a', id => 1 ] ],
                [ SEND => [ destination => '/topic/a' ], 'x' ],
                [ UNSUBSCRIBE => [ id => 1 ] ],
                [ UNSUBSCRIBE => [ id => 'never was' ] ]);

    for (@sent) {
        my ($command, $headers, $body) = @$_;
        $c->command($command, $headers, $body, receipt => "of $command");
        pass("receipt of $command");
    }

    $c->expect(MESSAGE => -body => 'x');
    $c->command(@$_) for @sent;
    $c->expect(MESSAGE => -name => 'none of them without a receipt header');
    $c->expect_none(0.1);

    my $odd = "a:b\\c\nd\re \xc3\xa9";
    $c->command(SEND => [ destination => '/topic/a' ], '', receipt => $odd);
    pass('a receipt is escaped');
    $c->command(SEND => [ destination => '/topic/a', receipt => '' ], '');
    $c->expect(RECEIPT => 'receipt-id' => '', -name => 'an empty receipt');
    $c->command(SEND => [ destination => '/topic/a', receipt => 1,
                          receipt => 2 ], '');
    $c->expect(RECEIPT => 'receipt-id' => '1',
               -name => 'of repeated headers the first');

    $c->subscribe('/topic/a');
    $c->command(DISCONNECT => [ receipt => 'last' ]);
    $c->expect(RECEIPT => 'receipt-id' => 'last');
    $c->command(SEND => [ destination => '/topic/a' ], 'x', receipt => 1,
                wait => 0);
    is($t->push_message('/topic/a', 'x')->json->{subscribers}, 0,
       'DISCONNECT ends all subscriptions');
    $c->expect_none(0.3, 'and nothing is heard after it');
    ok(!$c->closed, 'the client is to close');
    is($c->close, 1000, 'which it does');

    $c = $t->stomp;
    $c->command(DISCONNECT => []);
    $c->expect_close(1000, 'DISCONNECT without a receipt: closed');
    is($c->received, 1, 'without another frame');
}

# delivery

{
    my $c = $t->stomp;
    my $d = $t->stomp;

    $_->subscribe('/topic/order', id => 's') for $c, $d;
    $c->send('/topic/order', "c$_"), $d->send('/topic/order', "d$_")
        for 1 .. 200;

    my @c = map { $_->{body} } $c->collect(400);
    my @d = map { $_->{body} } $d->collect(400);
    is("@c", "@d", 'all subscribers see one order');
    is(join(' ', grep { /c/ } @c), join(' ', map { "c$_" } 1 .. 200),
       'in which a session has its own');
    is(join(' ', grep { /d/ } @d), join(' ', map { "d$_" } 1 .. 200),
       'and the other one, too');
    $_->expect_none(0.1, 'the own SEND is received once') for $c, $d;

    my $gone = $t->stomp;
    $gone->send('/topic/order', "e$_") for 1 .. 200;
    $gone->ws->close_socket;
    is(join(' ', map { $_->{body} } $c->collect(200)),
       join(' ', map { "e$_" } 1 .. 200), 'and one that is gone already');
    $d->collect(200);

    $c->unsubscribe('s');
    $d->send('/topic/order', 'later', receipt => 1);
    $d->expect(MESSAGE => -body => 'later');
    $c->expect_none(0.2, 'UNSUBSCRIBE ends it');

    $c->subscribe('/topic/order', id => 's');
    $d->send('/topic/order', 'again', receipt => 1);
    $c->expect(MESSAGE => subscription => 's', -body => 'again',
               -name => 'the id is free again, and nothing older comes');

    $c->subscribe('/topic/order', id => 't');
    $d->send('/topic/order', 'both');
    is(join(' ', sort map { $_->{headers}{subscription} } $c->collect(2)),
       's t', 'two subscriptions to a destination: two messages');
    $c->unsubscribe('s');
    $d->send('/topic/order', 'one');
    $c->expect(MESSAGE => subscription => 't', -body => 'one');
    $c->expect_none(0.1, 'one is left');

    $c->subscribe('/topic/other', id => 's');
    $d->send('/topic/othe', 'x');
    $d->send('/topic/other/', 'x');
    $d->send('/topic/Other', 'x');
    $d->send('/topic/other', 'this');
    $c->expect(MESSAGE => destination => '/topic/other', -body => 'this',
               -name => 'names are compared as a whole');

    my @many = map { "/topic/many/$_" } 1 .. 100;
    $c->subscribe($_, receipt => $_ eq $many[-1]) for @many;
    $d->send($_, $_) for reverse @many;
    is(join(' ', map { $_->{body} } $c->collect(100)),
       join(' ', reverse @many), 'a hundred destinations of one session');
    ok(!(grep { $_->{body} ne $_->{headers}{destination} } $c->collect(0)),
       'each its own');
    $c->subscribe('/topic/auto', ack => 'auto', id => 'auto');
    $d->send('/topic/auto', 'x');
    $c->expect(MESSAGE => ack => undef, -name => 'ack:auto');
}

{
    my $c = $t->stomp(connect => { version => '1.0' });

    $c->subscribe('/topic/old', id => undef);
    $c->send('/topic/old', 'x');
    $c->expect(MESSAGE => subscription => undef, -body => 'x',
               -name => '1.0 without an id: MESSAGE has no subscription');
    $c->command(UNSUBSCRIBE => [ destination => '/topic/old' ], undef,
                receipt => 1);
    $c->subscribe('/topic/old', id => 'i');
    $c->send('/topic/old', 'y');
    $c->expect(MESSAGE => subscription => 'i', -body => 'y',
               -name => 'UNSUBSCRIBE by destination; an id may be given');
    $c->expect_none(0.1, 'once');
    $c->unsubscribe('i');
    $c->send('/topic/old', 'z', receipt => 1);
    $c->expect_none(0.1, 'UNSUBSCRIBE by id');

    $c->command(UNSUBSCRIBE => []);
    my $frame = $c->expect_error('missing header', undef, 1002);
    is($frame->{body}, 'UNSUBSCRIBE needs an "id" or a "destination" header.',
       '1.0: one of the two');
}

# patterns of "allow send"

for my $name (qw(/topic/a /topic/a/b/c /t/exact /t/a/b /t/b/c /t/x /t/x/y
                 /t/x/y/z /t/c/c))
{
    my $c = $t->stomp;
    $c->send($name, '', receipt => 1);
    pass("SEND to $name is allowed");
}

for my $name (qw(/t/exac /t/exactly /t/exact/ /t/a /t/a/ /t/a/b/d /t/b/d
                 /t//c /t/c /t/xx /t/b/c/d))
{
    my $refused = $t->status->{refused};
    my $c = $t->stomp;

    $c->send($name, '', receipt => 'r', wait => 0);
    my $frame = $c->expect_error('SEND not allowed', "SEND to $name is not",
                                 1008);
    is($frame->{headers}{'receipt-id'}, 'r', 'ERROR instead of the receipt');
    is($frame->{body}, 'No "allow send" directive of stomp_broker "chat" lets'
                       . " clients SEND to \"$name\".", 'names the directive');
    is($t->status->{refused}, $refused + 1, 'and it is counted');
}

is($t->push_message('/t/xx', '')->status, 200,
   'what clients may not send can be pushed');

# errors: command, headers, message, body, close code, other versions

my @both = (destination => '/topic/a', id => 1);
my $long = '/topic/' . 'x' x 1018;
my $prefix = qr/with a prefix .* broker's "topic" or "queue" directive names/;

for (
    (map { [ SUBSCRIBE => [ @both, ack => $_ ], 'unknown ack mode',
             qr/^SUBSCRIBE with "ack:\Q$_\E": it can be auto, client/ ] }
         'Auto', ''),
    [ SEND => [ destination => '/topic/a', transaction => 't' ],
      'unknown transaction', qr/^SEND: this session has no open trans.* "t"/ ],
    [ SEND => [], 'missing header', qr/^SEND needs a "destination" header/ ],
    [ SUBSCRIBE => [ id => 1 ], 'missing header',
      qr/^SUBSCRIBE needs a "destination" header/ ],
    [ SUBSCRIBE => [ destination => '/topic/a' ], 'missing header',
      qr/^SUBSCRIBE needs an "id" header/ ],
    [ SUBSCRIBE => [ Destination => '/topic/a', id => 1 ], 'missing header',
      qr/"destination"/ ],
    [ UNSUBSCRIBE => [ destination => '/topic/a' ], 'missing header',
      qr/^UNSUBSCRIBE needs an "id" header/ ],
    [ SEND => [ destination => '/queue/a' ], 'unknown destination',
      qr/^SEND: .*$prefix: "\/queue\/a"\.$/, 1008 ],
    [ SEND => [ destination => '' ], 'unknown destination',
      qr/^SEND: the destination is empty: ""\.$/, 1008 ],
    [ SEND => [ destination => '/topic/' ], 'unknown destination', $prefix,
      1008 ],
    [ SEND => [ destination => 'topic/a' ], 'unknown destination', $prefix,
      1008 ],
    [ SUBSCRIBE => [ destination => '/Topic/a', id => 1 ],
      'unknown destination', qr/^SUBSCRIBE: .*$prefix: "\/Topic\/a"\.$/, 1008 ],
    [ SUBSCRIBE => [ destination => $long, id => 1 ], 'unknown destination',
      qr/the destination is longer than 1024 octets/, 1008 ],
    [ WHAT => [], 'unknown command', qr/^WHAT is not a command of a STOMP/ ],
    [ MESSAGE => [ @both ], 'unknown command', qr/^MESSAGE is not a command/ ],
) {
    my ($command, $headers, $message, $body, $code) = @$_;

    for my $version ('1.2', '1.1') {
        my $name = "$command in $version: $message";
        my $c = $t->stomp(connect => { version => $version });

        $c->command($command, $headers, undef, receipt => "a:b", wait => 0);
        my $frame = $c->expect_error($message, $name, $code // 1002);
        next unless $frame && $frame->{command} eq 'ERROR';
        is($frame->{headers}{'receipt-id'}, 'a:b', 'has the receipt');
        is($frame->{headers}{'content-type'}, 'text/plain', 'is text');
        ok(defined $frame->{headers}{'content-length'}, 'has a length');
        like($frame->{body}, $body, 'and explains: ' . substr $body, 0, 40);
    }
}

{
    my $c = $t->stomp;
    $c->subscribe(substr($long, 0, 1024), id => 'a');
    $c->send(substr($long, 0, 1024), 'x');
    $c->expect(MESSAGE => destination => substr($long, 0, 1024),
               -name => 'the longest destination');
    $c->command(SUBSCRIBE => [ destination => '/topic/b', id => 'a' ]);
    my $frame = $c->expect_error('duplicate subscription id', undef, 1002);
    is($frame->{body}, 'This session already has a subscription with id "a".',
       'the same id twice');

    # nothing is heard after an ERROR, nor delivered
    $c = $t->stomp;
    $c->subscribe('/topic/a');
    $c->command(WHAT => []);
    $c->send('/topic/a', 'x', headers => [ receipt => 1 ]);
    $c->send('/topic/a', 'x', headers => [ receipt => 1 ]);
    $c->expect_error('unknown command', 'ERROR is the last frame');
    is($c->received, 3, 'of all');
}

ok(wait_for(12, sub { $lazy->recv(0); $lazy->closed }),
   'a session that does not close after DISCONNECT');
is($lazy->ws->close_code, 1000, 'is closed');
undef $lazy;

ok(wait_for(5, sub { $t->status->{sessions} == 0 }), 'no session is left');
my $status = $t->status;
is($status->{subscriptions}, 0, 'and no subscription');
is($status->{destinations}, 0, 'and no destination');

$t->ok_no_alerts;

done_testing;
