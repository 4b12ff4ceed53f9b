#!/usr/bin/perl

# Without this: a late subscriber that does not get the last messages, gets
# them in another order or twice, or history that grows, or stays for ever.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;

my $t = nginx(workers => 2);

$t->write_conf(<<'CONF')->start;
stomp_broker chat {
    zone 4m;
    topic /topic/;
    allow send /topic/**;
    history /topic/quotes/ 5 1h;
    history /topic/quotes/long/ 1000 1h;
    history /topic/brief/ 1000 1s;
    history_size 1m;
}

server {
    listen 127.0.0.1:%%PORT%%;
    client_max_body_size 1m;

    location = /endpoint-websocket { stomp_pass chat; }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF

my $idle = $t->status->{zone}{used};
my $c = $t->stomp;


# a destination without subscribers

push_all('/topic/quotes/a', 1 .. 12);

is($t->status->{history}, 5, 'the last five messages are kept');
is(replayed('/topic/quotes/a', 'all', 5), '8 9 10 11 12', 'replay: all');
is(replayed('/topic/quotes/a', 3, 3), '10 11 12', 'replay: 3');
is(replayed('/topic/quotes/a', 100, 5), '8 9 10 11 12', 'replay: 100');
is(replayed('/topic/quotes/a', 0), '', 'replay: 0');
is(replayed('/topic/other', 'all'), '', 'no history');
is(replayed('/topic/quotes/a'), '', 'no header');

push_all('/topic/quotes/long/a', 1 .. 900);
is(replayed('/topic/quotes/long/a', 'all', 900), "@{[ 1 .. 900 ]}",
   'the longest prefix counts');
is(replayed('/topic/quotes/long/a', 700, 700), "@{[ 201 .. 900 ]}",
   'the newest 700');


# what only a pattern hears is kept as well

my $wild = $t->stomp;
$wild->subscribe('/topic/quotes/w/*', id => 'wild');
push_all('/topic/quotes/w/a', 1 .. 3);
$t->request(POST => '/push/', headers => [
    'Content-Type' => 'application/vnd.stomp.batch+json' ],
    body => encode([ map { { destination => "/topic/quotes/w/$_->[0]",
                             body => $_->[1] } }
                     [ 'b', 1 ], [ 'a', 4 ], [ 'b', 2 ] ]));
is(join(' ', map { "$_->{headers}{destination} $_->{body}" } $wild->collect(6)),
   join(' ', map { "/topic/quotes/w/$_" } 'a 1', 'a 2', 'a 3', 'b 1', 'a 4',
        'b 2'), 'a pattern hears each of them once');
is(replayed('/topic/quotes/w/a', 'all', 4), '1 2 3 4', 'they are replayed');
is(replayed('/topic/quotes/w/b', 'all', 2), '1 2', 'those of the batch, too');

# who has a pattern and what is replayed gets both

$wild->subscribe('/topic/quotes/w/a', id => 'both', headers => [
    replay => 1 ]);
$wild->expect(MESSAGE => -body => 4, subscription => 'both');
$t->push_message('/topic/quotes/w/a', 5);
is(join(' ', sort map { "$_->{headers}{subscription} $_->{body}" }
             $wild->collect(2)), 'both 5 wild 5', 'live, once for each');
$wild->disconnect;
is(replayed('/topic/quotes/w/a', 'all', 5), '1 2 3 4 5', 'without the pattern');


# then live

$c->subscribe('/topic/quotes/a', id => 'live', headers => [ replay => 2 ]);
$t->push_message('/topic/quotes/a', '13');
is(bodies($c, 3), '11 12 13', 'replayed first, live then');
$c->unsubscribe('live');


# batches, and messages of several pages

my @batch = map { { destination => "/topic/quotes/b$_", body => "in $_" } }
            0 .. 99;
my $res = $t->request(POST => '/push/', headers => [
    'Content-Type' => 'application/vnd.stomp.batch+json' ],
    body => encode(\@batch));

is($res->status, 200, 'a batch') or diag $res->body;
is(replayed('/topic/quotes/b7', 'all', 1), 'in 7', 'its messages are kept');

@batch = map { { destination => '/topic/quotes/c', body => "c$_" } } 1 .. 200;
$res = $t->request(POST => '/push/', headers => [
    'Content-Type' => 'application/vnd.stomp.batch+json' ],
    body => encode(\@batch));

is($res->status, 200, 'a batch to one destination') or diag $res->body;
is(replayed('/topic/quotes/c', 'all', 5), 'c196 c197 c198 c199 c200',
   'is cut to the length');

# so are transactions; what has to be noted for too many is refused

my $tx = $t->stomp;

for my $n (100, 1000) {
    $tx->begin($n);
    $tx->send('/topic/quotes/long/tx', "tx $n.$_", transaction => $n)
        for 1 .. $n;
    $tx->command(COMMIT => [ transaction => $n, receipt => 'r' ]);
    $tx->expect(RECEIPT => -name => '100 messages') if $n == 100;
}

my $refusal = $tx->expect_error('transaction too large', 'but not 1000', 1009);
is($refusal->{body}, 'The 1000 messages of a transaction are too many for one'
                     . ' COMMIT, split it.', 'with the reason');
is(replayed('/topic/quotes/long/tx', 'all', 100),
   join(' ', map { "tx 100.$_" } 1 .. 100), 'and none of them is kept');

$t->push_message('/topic/quotes/big', $_ x 30000) for qw(x y);
$c->subscribe('/topic/quotes/big', id => 'big', headers => [ replay => 'all' ]);
$c->expect(MESSAGE => -body => $_ x 30000, -name => "30,000 octets of $_")
    for qw(x y);
$c->unsubscribe('big');


# its share of the zone

my $over = 0;

for (1 .. 60) {
    $t->push_message("/topic/quotes/large$_", 'z' x 30000);
    $over++ if $t->status->{kept_octets} > 1024 * 1024;
}

is($over, 0, 'history keeps to its size');
cmp_ok($t->status->{evicted}, '>', 0, 'the oldest went');
is(replayed('/topic/quotes/a', 'all'), '', 'as that of the first destination');
is(length replayed('/topic/quotes/large60', 'all', 1), 30000, 'not the newest');


# a full zone: what is kept makes room

$t->write_conf(<<'CONF');
stomp_broker chat {
    zone 4m;
    topic /topic/;
    allow send /topic/**;
    history /topic/quotes/ 5000 1h;
    history /topic/brief/ 1000 1s;
    history_size 4m;
}

server {
    listen 127.0.0.1:%%PORT%%;
    client_max_body_size 1m;

    location = /endpoint-websocket { stomp_pass chat; }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF

ok($t->reload, 'another share');

$c = $t->stomp;

my %status;
$status{ $t->request(POST => "/push/topic/quotes/f" . $_ % 50,
                     body => "$_." . 'f' x 5000)->status }++ for 1 .. 1500;

is_deeply(\%status, { 200 => 1500 }, 'no publish is refused');
cmp_ok($t->status->{evicted}, '>', 500, 'for older ones that went');
like(replayed('/topic/quotes/f0', 1, 1), qr/^1500\./, 'the newest is there');


# a million names can't do harm: here some

$t->push_message("/topic/quotes/name$_", 'n') for 1 .. 3000;
is($t->request(POST => '/push/topic/quotes/one-more', body => 'x')->status,
   200, 'many destinations');


# ages

$t->push_message("/topic/brief/$_", 'b') for 1 .. 100;
ok(wait_for(20, sub {
    replayed("/topic/brief/77", 'all') eq '';
}), 'a message that is too old goes');


# refusals

for (['replay', 'many', 'The "replay" header must be a number of messages or'
                        . ' "all", not "many".'],
     ['replay', '-1', 'The "replay" header must be a number of messages or'
                      . ' "all", not "-1".'],
     ['since', 'x', 'The "since" or "last-event-id" header must be a'
                    . ' "message-id" of this broker, not "x".'])
{
    my $r = $t->stomp;
    $r->command(SUBSCRIBE => [ destination => '/topic/quotes/a', id => 1,
                               $_->[0], $_->[1], receipt => 'r' ]);
    my $frame = $r->expect_error('malformed header', "$_->[0]: $_->[1]");
    is($frame->{body}, $_->[2], 'with the reason');
    is($frame->{headers}{'receipt-id'}, 'r', 'and the receipt-id');
}


# all of it goes with its age

$c->disconnect;

$t->write_conf(<<'CONF');
stomp_broker chat { zone 4m; topic /topic/; history /topic/ 10 5s; }

server {
    listen 127.0.0.1:%%PORT%%;

    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF

$t->stop;
$t->start;
$idle = $t->status->{zone}{used};
$t->push_message("/topic/$_", 'gone soon' x $_) for 1 .. 500;
is($t->status->{destinations}, 500, '500 destinations without subscribers');

ok(wait_for(20, sub {
    my $s = $t->status;
    return $s->{zone}{used} == $idle && $s->{destinations} == 0
           && $s->{history} == 0 && $s->{kept_octets} == 0;
}), 'the zone is as empty as before') or diag explain $t->status;

$t->ok_no_alerts;
$t->stop;
done_testing();


sub push_all {
    my ($name, @bodies) = @_;

    $t->push_message($name, $_) for @bodies;
}


# what a subscription with that header gets: n messages, and nothing more

sub replayed {
    my ($name, $replay, $n) = @_;

    my $id = $c->subscribe($name, headers => [
        defined $replay ? (replay => $replay) : () ]);
    my @in = $c->collect($n // 0);

    $c->unsubscribe($id);
    push @in, $c->collect(scalar @{ $c->{queue} }, 0);

    return join ' ', map { $_->{body} } @in;
}


sub bodies {
    my ($client, $n) = @_;

    return join ' ', map { $_->{body} } $client->collect($n);
}


sub encode {
    my ($list) = @_;

    return '[' . join(',', map {
        qq({"destination":"$_->{destination}","body":"$_->{body}"})
    } @$list) . ']';
}
