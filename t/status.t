#!/usr/bin/perl

# Without this: numbers that whoever is on call can't trust.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;

my $http = <<'CONF';
stomp_broker chat {
    zone   8m;
    topic  /topic/ /chat/;
    allow  send /topic/**;
}

stomp_broker "other one" { zone 1m; topic /topic/; }

server {
    listen 127.0.0.1:%%PORT%%;

    location = /endpoint-websocket { stomp_pass chat; }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }
    location = /other { stomp_status "other one"; }
    location = /other_ws { stomp_pass "other one"; }

    location = /slow {
        stomp_pass chat;
        stomp_max_output 64k;
    }
}
CONF

my $t = nginx(workers => 4);
$t->write_conf($http)->start;


# the answer itself

my $res = $t->request(GET => '/stomp_status');
is($res->status, 200, 'GET: 200');
is($res->header('Content-Type'), 'application/json', 'GET: JSON');
is($res->header('Cache-Control'), 'no-store', 'GET: not cached');
like($res->body, qr/\}\n\z/, 'GET: ends with a line end');

my $start = $res->json;
is(join(' ', sort keys %$start),
   'broker dead_lettered delayed delivered destinations dropped'
   . ' dropped_messages epoch evicted expired history kept_octets overflowed'
   . ' published queued queues recovered redelivered refused'
   . ' refused_sessions replaying retained sessions subscriptions'
   . ' unacknowledged workers zone', 'all numbers, and no others');
is(join(' ', sort keys %{ $start->{zone} }), 'pages_free size used',
   'those of the zone');
is($start->{broker}, 'chat', 'name');
like($start->{epoch}, qr/^[0-9a-f]{16}$/, 'epoch');
is($start->{zone}{size}, 8 * 1024 * 1024, 'size');
cmp_ok($start->{zone}{pages_free}, '>', 1500, 'free pages');
is($start->{$_}, 0, "$_ is 0 at the start")
    for qw(sessions subscriptions destinations published delivered dropped
           dropped_messages refused refused_sessions delayed recovered);

is(join(' ', sort { $a <=> $b } map { $_->{pid} } @{ $start->{workers} }),
   join(' ', $t->workers), 'all workers');
is(scalar(grep { join(' ', sort keys %$_) eq 'pid sessions slot subscriptions'
                 && !$_->{sessions} && !$_->{subscriptions} }
          @{ $start->{workers} }), 4, 'each of them has its numbers');
is(keys %{ { map { $_->{slot} => 1 } @{ $start->{workers} } } }, 4,
   'and a slot of its own');

my $get = $t->request(GET => '/stomp_status');
$res = $t->request(HEAD => '/stomp_status');
is($res->status, 200, 'HEAD: 200');
is($res->header('Content-Length'), length $get->body, 'HEAD: the same length');
is($res->body, '', 'HEAD: no body');

for my $method (qw(POST PUT DELETE OPTIONS)) {
    $res = $t->request($method, '/stomp_status', body => 'x');
    is($res->status, 405, "$method: 405");
    is($res->header('Allow'), 'GET, HEAD', "$method: Allow");
    like($res->json->{error}, qr/read with GET/, "$method: why");
}


# sessions and subscriptions of all workers

my $by = $t->stomp_spread(4, 3);
my @clients = map { @{ $by->{$_} } } sort keys %$by;

becomes('12 sessions', sessions => 12, subscriptions => 0, destinations => 0);
is_deeply(each_worker('sessions'), { map { hex() => 3 } keys %$by },
          '3 in each worker, in the slot that their ids show');

for my $i (0 .. $#clients) {
    $clients[$i]->subscribe('/topic/all', id => 'all');
    $clients[$i]->subscribe("/topic/one-$i", id => 'one');
}

becomes('24 subscriptions', sessions => 12, subscriptions => 24,
        destinations => 13);
is_deeply(each_worker('subscriptions'), { map { hex() => 6 } keys %$by },
          '6 in each worker');
cmp_ok($t->status->{zone}{used}, '>', $start->{zone}{used},
       'they take memory');

$clients[0]->subscribe('/chat/哇 哈', id => 'utf8');

for ([ '/topic/all' => '/topic/all', 12 ],
     [ '%2Ftopic%2Fall' => '/topic/all', 12 ],
     [ '/topic/one-11&x=y' => '/topic/one-11', 1 ],
     [ '/chat/%E5%93%87%20%e5%93%88' => '/chat/哇 哈', 1 ],
     [ '/topic/none' => '/topic/none', 0 ],
     [ '%22%0a%5c' => "\"\n\\", 0 ],
     [ '' => '', 0 ])
{
    my ($argument, $name, $count) = @$_;

    $res = $t->request(GET => "/stomp_status?destination=$argument")->json;
    is(octets($res->{destination}{name}), $name, show($name) . ': name');
    is($res->{destination}{subscribers}, $count, show($name) . ": $count");
}

$res = $t->request(GET => '/stomp_status?destination=%ff%00x');
is(($res->json // { destination => {} })->{destination}{name},
   "\x{fffd}\0x", 'a destination that is not UTF-8: the answer is');


# messages

$t->push_message('/topic/all', "m$_") for 1 .. 5;
$clients[5]->send('/topic/one-1', 'sent', receipt => 1);
$t->push_message('/topic/nobody', 'unheard');

is(scalar(map { $_->collect(5) } @clients), 60, 'messages came');
$clients[1]->expect(MESSAGE => destination => '/topic/one-1',
                    -name => 'another one, too');

becomes('messages', published => 7, delivered => 61, dropped => 0,
        refused => 0, destinations => 14);

my $id = $t->push_message('/topic/nobody', 'x')->json->{'message-id'};
is($id, "$start->{epoch}-8", 'message-id is the epoch and a number');


# what is refused

is($t->push_message('/queue/x', 'x')->status, 400, 'a push refused');
is($t->request(POST => '/push/topic/x', body => 'x',
               headers => [ 'X-Stomp-Ack' => 1 ])->status, 400,
   'a push with a header that is the broker\'s');
becomes('both are counted', refused => 2, published => 8);

for ([ send => '/chat/x', 'x' ], [ subscribe => '/queue/x' ]) {
    my ($what, @args) = @$_;
    my $c = $t->stomp;
    $c->$what(@args, receipt => 0);
    $c->expect_error(qr/not allowed|unknown destination/, "$what refused");
}
becomes('so are SEND and SUBSCRIBE', refused => 4, sessions => 12);

for ([ 'a malformed frame',
       sub { $_[0]->ws->send_text("SEND\nno colon\n\n\0") } ],
     [ 'an unmasked frame',
       sub { $_[0]->ws->send_frame(1, 'x', masked => 0) } ],
     [ 'a message that is too large',
       sub { $_[0]->ws->send_frame(1, 'x', length => 2 ** 30) } ],
     [ 'text that is not UTF-8', sub { $_[0]->ws->send_text("\xff") } ]) {
    my ($name, $does) = @$_;
    my $c = $t->stomp;

    $does->($c);
    $c->expect_close(undef, $name);
}
becomes('and what breaks a protocol', refused => 8, sessions => 12);

my @refused = (
    [ 426, GET  => '/endpoint-websocket' ],
    [ 405, POST => '/endpoint-websocket' ],
    [ 405, PATCH => '/push/topic/x' ],
    [ 413, POST => '/push/topic/x', body => 'x' x 65537 ],
    [ 400, POST => '/push/topic/x', body => '[{', headers =>
           [ 'Content-Type' => 'application/vnd.stomp.batch+json' ] ],
);
for (@refused) {
    my ($status, @request) = @$_;
    is($t->request(@request)->status, $status, "$request[0]: $status");
}
is($t->ws(origin => 'http://elsewhere.example')->status, 403, 'an origin: 403');
becomes('requests and handshakes, too', refused => 14, published => 8);

is($t->request(PUT => '/stomp_status')->status, 405, 'PUT to the status: 405');
becomes('which is no request to the broker', refused => 14);


# a consumer that does not read

my $slow = $t->stomp(path => '/slow', rcvbuf => 4096);
$slow->subscribe('/topic/slow');
becomes('a slow one', sessions => 13, dropped => 0);

my $pushed = 0;
while ($pushed++ < 400) {
    $t->push_message('/topic/slow', 'x' x 60000);
    last if $pushed % 10 == 0 && $t->status->{dropped};
}

becomes('a slow one is closed and counted', dropped => 1, sessions => 12,
        subscriptions => 25);
$slow->abort;


# everything that was taken is given back

$clients[1]->unsubscribe('one');
becomes('UNSUBSCRIBE', subscriptions => 24, destinations => 13,
        sessions => 12);

$clients[2]->disconnect;
becomes('DISCONNECT', subscriptions => 22, destinations => 12,
        sessions => 11);

$clients[3]->abort;
becomes('a connection that is cut', subscriptions => 20, destinations => 11,
        sessions => 10);

$clients[4]->send_frame(NONSENSE => []);
$clients[4]->expect_error(qr/unknown command/);
becomes('an ERROR', subscriptions => 18, destinations => 10, sessions => 9);

$_->close for @clients[ 0, 1, 5 .. $#clients ];
becomes('all gone', subscriptions => 0, destinations => 0, sessions => 0);
is_deeply(each_worker('subscriptions'), { map { hex() => 0 } keys %$by },
          'in each worker');

my $end = wait_for(5, sub {
    my $s = $t->status;
    return $s->{zone}{used} == $start->{zone}{used} && $s;
}) || $t->status;

is($end->{zone}{used}, $start->{zone}{used}, 'no memory is used any more');
is($end->{epoch}, $start->{epoch}, 'the epoch is the same');
is($end->{recovered}, 0, 'nothing had to be recovered');


# brokers know nothing of each other

my $c = $t->stomp(path => '/other_ws');
$c->subscribe('/topic/all');
becomes('another broker', sessions => 0, subscriptions => 0);

$res = $t->status('/other');
is($res->{broker}, 'other one', 'its name');
is($res->{sessions}, 1, 'its session');
is($res->{zone}{size}, 1024 * 1024, 'its zone');
is($res->{published}, 0, 'its messages');
isnt($res->{epoch}, $start->{epoch}, 'its epoch');
$c->close;

$t->ok_no_alerts;
done_testing();


# Workers add up what they count once a second, or when they are asked.

sub becomes {
    my ($name, %want) = @_;

    my %have;
    wait_for(5, sub {
        my $s = $t->status;
        %have = map { $_ => $s->{$_} } keys %want;
        return !grep { $have{$_} != $want{$_} } keys %want;
    });

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_deeply(\%have, \%want, $name);
}


sub each_worker {
    my ($what) = @_;

    return { map { $_->{slot} => $_->{$what} } @{ $t->status->{workers} } };
}
