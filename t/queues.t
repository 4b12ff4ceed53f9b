# Without it a message of a queue could go to two consumers or to none, be lost
# with a client that goes away, or fill the memory.

use lib 't/lib';

use Test::More;
use Test::Stomp;

my $t = nginx(workers => 4);

$t->write_conf(<<'CONF')->start;
stomp_broker chat {
    zone  8m;
    topic /topic/;
    queue /queue/short/ max_length=3;
    queue /queue/drop/ max_length=3 overflow=drop_oldest;
    queue /queue/small/ max_bytes=16k;
    queue /queue/;
    allow send /topic/** /queue/**;
    allow subscribe /queue/**;
}

server {
    listen 127.0.0.1:%%PORT%%;

    location / { stomp_pass chat; stomp_max_body 256k; stomp_max_frame 512k; }
    location = /stomp_status { stomp_status chat; }
    location /push/ { stomp_push chat; }
}
CONF

my $used = $t->status->{zone}{used};
my $by = $t->stomp_spread(4, 2);
my @slots = sort keys %$by;
my @c = map { $by->{$_}[0] } @slots;
my @p = map { $by->{$_}[1] } @slots;

# waits for a consumer, keeps its order

for my $n (1 .. 100) {
    $p[ $n % 4 ]->send('/queue/a', "m$n", receipt => 1);
}

is($t->status->{queued}, 100, 'nobody is there: they wait');
is($t->status->{queues}, 1, 'in one queue');
$c[0]->subscribe('/queue/a', id => 'a');
is(join(' ', map { $_->{body} } $c[0]->collect(100)),
   join(' ', map { "m$_" } 1 .. 100), 'all come, in their order');
wait_status(queued => 0, unacknowledged => 0);
$c[0]->unsubscribe('a');
is($t->status->{queues}, 0, 'an empty queue without consumers is gone');

# competing consumers: each message to one, in turn; all of them have credit
# for their share, so that it does not depend on how fast they are

$_->subscribe('/queue/b', id => 'b') for @c;
for my $n (1 .. 240) {
    $p[ $n % 4 ]->send('/queue/b', "m$n", receipt => $n > 236);
}
my %got;
for my $i (0 .. $#c) {
    my @bodies = map { $_->{body} } $c[$i]->collect(60, 20);
    is(scalar @bodies, 60, 'a fair share');
    $got{$_}++ for @bodies;
}
is(scalar(keys %got), 240, 'all messages come, each to one');
$_->expect_none(0.1) for @c;
$_->unsubscribe('b') for @c;

# headers of a MESSAGE; bodies of any size

{
    $c[1]->subscribe('/queue/h', id => 'h');
    $p[0]->send('/queue/h', 'body', headers => [ k => 'v' ]);
    my $frame = $c[1]->expect(MESSAGE => destination => '/queue/h', k => 'v',
        subscription => 'h', ack => undef, redelivered => undef,
        -body => 'body');
    like($frame->{headers}{'message-id'}, qr/^[0-9a-f]{16}-\d+$/, 'an id');

    for my $len (0, 1, 4000, 4096, 70000, 200000) {
        $p[2]->send('/queue/h', 'x' x $len);
        my $frame = $c[1]->expect('MESSAGE', -name => "$len octets");
        is(length $frame->{body}, $len, 'whole');
    }
    $c[1]->unsubscribe('h');
}

# HTTP: push, and a batch for topics and queues

{
    $c[2]->subscribe('/queue/p', id => 'p');
    $c[3]->subscribe('/topic/p', id => 't');
    my $res = $t->request(POST => '/push/queue/p', body => 'pushed');
    is($res->json->{subscribers}, 1, 'POST: one consumer');
    $c[2]->expect(MESSAGE => 'message-id' => $res->json->{'message-id'},
                  -body => 'pushed');

    $res = $t->request(POST => '/push/', headers => [ 'Content-Type' =>
        'application/vnd.stomp.batch+json' ], body => '[' . join(',', map {
            sprintf '{"destination":"/%s/p","body":"%s"}',
                    $_ % 2 ? 'queue' : 'topic', $_ } 1 .. 20) . ']');
    is($res->status, 200, 'a batch for both');
    is(join(' ', map { $_->{body} } $c[2]->collect(10)),
       join(' ', map { 2 * $_ - 1 } 1 .. 10), 'the queue has its own');
    is(join(' ', map { $_->{body} } $c[3]->collect(10)),
       join(' ', map { 2 * $_ } 1 .. 10), 'and the topic its own');
    $c[2]->unsubscribe('p');
    $c[3]->unsubscribe('t');
}

# limits

{
    $p[0]->send('/queue/short/a', $_, receipt => 1) for 1 .. 3;
    my $res = $t->request(POST => '/push/queue/short/a', body => 'x');
    is($res->status, 503, 'full: 503');
    is($res->header('Retry-After'), 1, 'with Retry-After');
    like($res->json->{error}, qr{the queue "/queue/short/a" is full},
         'and told why');
    is($t->request(POST => '/push/queue/short/b', body => 'x')->status, 200,
       'another queue of that prefix is not');

    my $c = $t->stomp;
    $c->command(SEND => [ destination => '/queue/short/a', receipt => 'r' ],
                'x');
    my $frame = $c->expect_error('queue is full', 'SEND: ERROR', 1013);
    is($frame->{headers}{'receipt-id'}, 'r', 'with the receipt');

    $p[0]->send('/queue/drop/a', $_, receipt => 1) for 1 .. 8;
    is($t->status->{overflowed}, 5, 'the oldest are dropped, and counted');
    $c[0]->subscribe('/queue/drop/a', id => 'd');
    is(join(' ', map { $_->{body} } $c[0]->collect(3)), '6 7 8',
       'the newest are there');
    $c[0]->unsubscribe('d');

    # what a consumer may have doesn't wait, also what comes as a batch

    $c[0]->subscribe("/queue/$_", id => $_) for qw(short/c drop/c);
    wait_status(subscriptions => 2);
    $res = $t->request(POST => '/push/', headers => [ 'Content-Type' =>
        'application/vnd.stomp.batch+json' ], body => '[' . join(',', map {
            sprintf '{"destination":"/queue/%s/c","body":"%s"}',
                    $_ % 2 ? 'short' : 'drop', $_ } 1 .. 20) . ']');
    is($res->status, 200, 'a batch for idle consumers: is not too much');
    is($t->status->{overflowed}, 5, '... and nothing of it is dropped');
    is(join(' ', sort { $a <=> $b } map { $_->{body} } $c[0]->collect(20)),
       join(' ', 1 .. 20), '... all of it comes');
    is($t->request(GET => '/push/queue/short/c')->json->{subscribers}, 1,
       'GET: one consumer');
    $c[0]->unsubscribe($_) for qw(short/c drop/c);

    my $n = 0;
    $n++ while $n < 100
        && $t->request(POST => '/push/queue/small/a', body => 'x' x 1000)
             ->status == 200;
    ok($n > 5 && $n < 16, "max_bytes: $n messages of 1000 octets in 16k");

    $c[0]->subscribe($_, id => $_)
        for qw(/queue/short/a /queue/short/b /queue/small/a);
    $c[0]->collect(3 + 1 + $n);
    $c[0]->unsubscribe($_) for qw(/queue/short/a /queue/short/b /queue/small/a);
    wait_status(queues => 0);
}

# all queues together: at most three quarters of the zone, topics still work

{
    my $n = 0;
    $n++ while $n < 10000
        && $t->request(POST => '/push/queue/fill', body => 'x' x 60000)
             ->status == 200;
    ok($n > 50 && $n < 110, "$n messages of 60000 octets fill it");
    $c[0]->subscribe('/topic/t', id => 't');
    $p[1]->send('/topic/t', 'still', receipt => 1);
    $c[0]->expect(MESSAGE => -body => 'still');
    $c[0]->unsubscribe('t');
    $c[1]->subscribe('/queue/fill', id => 'f');
    is(scalar($c[1]->collect($n)), $n, 'all of them come');
    $c[1]->unsubscribe('f');
}

# a small message of a queue does not keep what was published with it for free

{
    $c[0]->subscribe('/topic/t', id => 't');
    my $n = 0;
    $n++ while $n < 1000 && $t->request(POST => '/push/',
        headers => [ 'Content-Type' => 'application/vnd.stomp.batch+json' ],
        body => '[{"destination":"/queue/pin","body":"x"},'
              . '{"destination":"/topic/t","body":"' . 'y' x 60000 . '"}]')
             ->status == 200 && $c[0]->recv;
    ok($n > 50 && $n < 110, "$n batches with 60000 octets for a topic");
    $p[1]->send('/topic/t', 'still', receipt => 1);
    $c[0]->expect(MESSAGE => -body => 'still');
    $c[0]->unsubscribe('t');
    $c[1]->subscribe('/queue/pin', id => 'p');
    is(scalar($c[1]->collect($n)), $n, 'all of the queue come');
    $c[1]->unsubscribe('p');
    wait_status(queues => 0);
}

# a client that goes: its messages go to another, flagged

{
    my $lost = $t->stomp;
    $lost->command(SUBSCRIBE => [ destination => '/queue/l', id => 'l',
        ack => 'client-individual', receipt => 1 ]);
    $p[0]->send('/queue/l', $_, receipt => 1) for 1 .. 5;
    my @first = $lost->collect(5);
    $lost->ack($first[1], receipt => 1);
    $lost->abort;
    $c[3]->subscribe('/queue/l', id => 'l');
    my @again = $c[3]->collect(4);
    is(join(' ', map { $_->{body} } @again), '1 3 4 5', 'in their order');
    is(scalar(grep { ($_->{headers}{redelivered} // '') eq 'true' } @again), 4,
       'flagged');
    $c[3]->unsubscribe('l');
}

# configuration

for ([ 'queue queue/;', qr/queue prefix "queue\/" must begin and end/ ],
     [ 'queue /queue/ max_length=0;', qr/invalid number in "max_length=0"/ ],
     [ 'queue /queue/ max_bytes=x;', qr/invalid size in "max_bytes=x"/ ],
     [ 'queue /queue/ overflow=x;', qr/"overflow=refuse" or/ ],
     [ 'queue /queue/ length=1;', qr/invalid parameter "length=1"/ ],
     [ 'queue /queue/ dead_letter=/dead;', qr/"dead_letter=\/dead" is no/ ],
     [ 'queue /topic/queue/;', qr/have names in common/ ],
     [ 'queue /queue/; queue /queue/a/;', qr/never used, put it before/ ])
{
    my ($line, $error) = @$_;
    my $n = nginx();
    my ($code, $output) = $n->test_config("stomp_broker chat "
        . "{ zone 1m; topic /topic/; $line }\n");
    isnt($code, 0, "$line: refused");
    like($output, $error, 'and told why');
}

$_->close for @c, @p;
wait_status(sessions => 0, queues => 0, queued => 0, unacknowledged => 0);
wait_for(10, sub { $t->status->{zone}{used} == $used });
is($t->status->{zone}{used}, $used, 'no memory of the zone is lost');

$t->stop;
$t->ok_no_alerts;

done_testing;


sub wait_status {
    my %want = @_;

    wait_for(10, sub {
        my $status = $t->status;
        return !grep { $status->{$_} != $want{$_} } keys %want;
    });

    my $status = $t->status;
    is($status->{$_}, $want{$_}, "status: $_ is $want{$_}") for sort keys %want;
}
