#!/usr/bin/perl

# Without this: an HTTP request that is answered 200 but whose message comes
# to subscribers changed, under another name, or not at all.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;

my $http = <<'CONF';
stomp_broker chat {
    zone   16m;
    topic  /topic/ /chat/;
}

server {
    listen 127.0.0.1:%%PORT%%;
    client_max_body_size 4m;

    location = /endpoint-websocket {
        stomp_pass chat;
        stomp_max_output 16m;
    }

    location = /pid { return 200 $pid; }

    location /push/ { stomp_push chat; }
    location /bare { stomp_push chat; }

    location /large/ {
        stomp_push chat;
        stomp_max_body 2m;
    }

    location /file/ {
        stomp_push chat;
        stomp_max_body 2m;
        client_body_in_file_only clean;
    }

    location /small/ {
        stomp_push chat;
        stomp_max_body 2m;
        client_body_buffer_size 1k;
    }

    location = /args {
        stomp_push chat;
        stomp_push_destination /topic/$arg_room;
    }

    location ~ ^/r/(\w+)/(\w+)$ {
        stomp_push chat;
        stomp_push_destination /chat/$1-$2;
    }
}
CONF

my $t = nginx(workers => 4);
$t->write_conf($http)->start;

my $c = $t->stomp;
$c->subscribe($_, id => $_) for qw(/topic/x /chat/x);


# the answer, and what a subscriber gets

for my $method (qw(POST PUT)) {
    my $res = $t->request($method, '/push/topic/x', body => "by $method",
                          headers => [ 'Content-Type' => 'text/plain' ]);

    is($res->status, 200, "$method: 200");
    is($res->header('Content-Type'), 'application/json', "$method: JSON");
    is($res->header('Cache-Control'), 'no-store', "$method: not cached");

    my $m = $c->expect(MESSAGE => destination => '/topic/x',
                       subscription => '/topic/x',
                       'content-type' => 'text/plain',
                       -opcode => 'text', -body => "by $method",
                       -name => "$method: delivered");

    is_deeply($res->json, { destination => '/topic/x', subscribers => 1,
                            'message-id' => $m->{headers}{'message-id'} },
              "$method: the answer tells destination, id and subscribers");
    like($res->body, qr/\A\{.*\}\n\z/, "$method: one line");
    is_deeply([ map { $_->[0] } @{ $m->{list} } ],
              [ qw(destination content-type subscription message-id
                   content-length) ], "$method: the order of the headers");
}

is($t->push_message('/chat/x', 'y')->json->{destination}, '/chat/x',
   'the second prefix');
$c->expect(MESSAGE => destination => '/chat/x', 'content-type' => undef,
           -body => 'y', -name => 'no Content-Type, no content-type');

my $res = $t->push_message('/topic/nobody', 'y');
is($res->status, 200, 'nobody listens: 200');
is($res->json->{subscribers}, 0, 'nobody listens: 0 subscribers');
like($res->json->{'message-id'}, qr/^[0-9a-f]{16}-\d+$/,
     'nobody listens: the message has an id');


# destinations from the rest of the URI

my @names = (
    '/push/topic/a%20b%2fc%25'        => '/topic/a b/c%',
    '/push/topic/%e5%93%87%E5%93%88'  => '/topic/哇哈',
    '/push/topic/哇哈哈'              => '/topic/哇哈哈',
    '/push/topic/a+b'                 => '/topic/a+b',
    '/push/topic/a:b%5Cc'             => '/topic/a:b\\c',
    '/push/topic/line%0Aend'          => "/topic/line\nend",
    '/push/topic/q?destination=/x'    => '/topic/q',
    '/push/topic/q/../r'              => '/topic/r',
    '/push//topic//s'                 => '/topic/s',
    '/push/topic/t/'                  => '/topic/t/',
    '/bare/topic/u'                   => '/topic/u',
    '/args?room=v'                    => '/topic/v',
    '/r/one/two'                      => '/chat/one-two',
);

while (my ($uri, $name) = splice @names, 0, 2) {
    my $id = $c->subscribe($name);

    $res = $t->request(POST => $uri, body => $uri);
    is(octets($res->json->{destination}), $name, show($uri) . ': answered');
    $c->expect(MESSAGE => destination => $name, subscription => $id,
               -body => $uri, -name => show($uri) . ': delivered');
    $c->unsubscribe($id);
}

my @wrong = (
    '/push/queue/x'              => qr/"\/queue\/x".*"queue" directive/,
    '/push/topic'                => qr/"\/topic".*"queue" directive/,
    '/push/topic/'               => qr/"\/topic\/".*"queue" directive/,
    '/push/'                     => qr/"queue" directive/,
    '/bare'                      => qr/destination is empty/,
    '/barebones'                 => qr/"bones".*"queue" directive/,
    '/push/topic/%ff'            => qr/not UTF-8/,
    '/push/topic/%ed%a0%80'      => qr/not UTF-8/,
    '/push/topic/' . 'x' x 1100  => qr/is longer than 1024 octets$/,
    '/push/topic/' . '哈' x 400  => qr/is longer than 1024 octets$/,
);

while (my ($uri, $why) = splice @wrong, 0, 2) {
    for my $method (qw(POST GET)) {
        $res = $t->request($method, $uri);
        is($res->status, 400, "$method " . show($uri, 30) . ': 400');
        like(($res->json // {})->{error} // $res->body, $why,
             "$method " . show($uri, 30) . ': why');
    }
}


# headers

$t->push_message('/topic/x', 'h', headers => [
    'X-Stomp-Priority' => 5, 'X-Other' => 1, 'X-STOMP-Trace-ID' => 'a:b\\c',
    'Content-Type' => 'text/plain;charset=UTF-8', 'x-stomp-tag' => 'one',
    'X-Stomp-Tag' => 'two', 'X-Stomp-Note' => '哇哈哈', 'X-Stomp-Empty' => '',
    Cookie => 'a=b', 'Stomp-A' => 1 ]);

my $m = $c->expect(MESSAGE => -body => 'h', -name => 'headers: delivered');

is_deeply([ grep { $_->[0] !~ /^(?:message-id|content-length)$/ }
            @{ $m->{list} } ],
          [ [ destination => '/topic/x' ],
            [ 'content-type' => 'text/plain;charset=UTF-8' ],
            [ priority => 5 ], [ 'trace-id' => 'a:b\\c' ],
            [ tag => 'one' ], [ tag => 'two' ], [ note => '哇哈哈' ],
            [ empty => '' ], [ subscription => '/topic/x' ] ],
          'headers: X-Stomp-* in lower case, in their order, repeated');

for my $old (qw(1.0 1.1)) {
    my $v = $t->stomp(connect => { version => $old });
    $v->subscribe('/topic/old', id => 'o');
    $t->push_message('/topic/old', 'h', headers => [ 'X-Stomp-A' => 'b:c\\' ]);
    $v->expect(MESSAGE => a => 'b:c\\', -name => "headers for $old");
    $v->close;
}

for my $name (qw(Ack Content-Length Message-Id RECEIPT redelivered Replay-Gap
                 Subscription Transaction Destination Content-Type))
{
    $res = $t->push_message('/topic/x', 'r', headers => [
        'X-Stomp-Fine' => 1, "X-Stomp-$name" => 1 ]);
    is($res->status, 400, "X-Stomp-$name: 400");
    like($res->json->{error}, qr/^header "X-Stomp-$name": /,
         "X-Stomp-$name: the answer names it");
}

for ([ 'X-Stomp-A' => "caf\xe9" ], [ 'X-Stomp-A' => "\xed\xa0\x80" ],
     [ 'Content-Type' => "text/\xff" ])
{
    $res = $t->push_message('/topic/x', 'r', headers => $_);
    is($res->status, 400, "$_->[0] " . show($_->[1]) . ': 400');
    like($res->json->{error}, qr/^header "$_->[0]": .*UTF-8/, '... and why');
}

$t->push_message('/topic/x', 'after');
$c->expect(MESSAGE => -body => 'after',
           -name => 'nothing that was refused was delivered');


# bodies

my $octets = join '', map { chr } 0 .. 255;
my @bodies = (
    empty             => '',
    text              => 'grüße, 哇哈哈',
    'text with NULs'  => "\0a\0\0b\0",
    'all octets'      => $octets,
    'half character'  => "abc\xe5\x93",
    'line ends'       => "\r\n\n\r",
);

while (my ($what, $body) = splice @bodies, 0, 2) {
    my $opcode = $what =~ /octets|half/ ? 'binary' : 'text';
    $t->push_message('/topic/x', $body);
    $c->expect(MESSAGE => 'content-length' => length $body,
               -body => $body, -opcode => $opcode,
               -name => "$what: $opcode frame");
}

for my $size (1, 4095, 4096, 5000, 16384, 65536, 65537, 1024 * 1024) {
    my $body = pack 'L*', map { $_ * 2654435761 & 0xffffffff }
                          1 .. $size / 4 + 1;
    substr($body, $size) = '';

    for my $way (qw(large file small)) {
        $res = $t->push_message('/topic/x', $body, path => "/$way");
        is($res->status, 200, "$size octets, $way: 200");
        same($c, $body, "$size octets, $way: delivered");
    }

    $res = $t->push_message('/topic/x', $body, path => '/small',
                            chunked => $size > 8000 ? 8000 : 7);
    is($res->status, 200, "$size octets, chunked: 200");
    same($c, $body, "$size octets, chunked: delivered");
}

# a body that comes after its header, in two segments, octet by octet

for my $way (qw(push file small)) {
    my $h = $t->http_client;
    my $body = 'x' . 'y' x 60000 . 'z';
    my $head = length($h->build_request(POST => "/$way/topic/x",
                                        body => $body)) - length $body;

    for my $split ([ $head ], [ $head, 30000 ], [ $head + 1000 ],
                   [ $head - 1, 2 ])
    {
        $res = $h->request(POST => "/$way/topic/x", body => $body,
                           split => $split, delay => 0.02);
        is($res->status, 200, "$way, pieces of @$split: 200");
        same($c, $body, "$way, pieces of @$split: delivered");
    }

    $res = $h->request(POST => "/$way/topic/x", body => 'slow', split => 7);
    is($res->status, 200, "$way, many pieces: 200");
    same($c, 'slow', "$way, many pieces: delivered");
}

$res = $t->request(POST => '/push/topic/x', content_length => undef);
is($res->status, 200, 'no Content-Length: 200');
same($c, '', 'no Content-Length: empty');

$res = $t->push_message('/topic/x', 'old', version => '1.0');
is($res->status, 200, 'HTTP/1.0: 200');
same($c, 'old', 'HTTP/1.0: delivered');


# several requests at once on one connection

{
    my $h = $t->http_client;
    $h->write_raw(join '', map {
        $h->build_request($_->[0] => "/push/topic/$_->[1]", body => $_->[2])
    } [ POST => 'x', 'one' ], [ GET => 'x' ], [ POST => 'nobody', 'two' ],
      [ PUT => 'x', 'three' ], [ DELETE => 'x' ], [ POST => 'x', 'four' ]);

    my @got = map { $h->read_response('POST') } 1 .. 6;
    is(join(' ', map { $_->status } @got), '200 200 200 200 405 200',
       'pipelined: all are answered');
    is(join(' ', map { $_->json->{subscribers} // '-' } @got), '1 1 0 1 - 1',
       'pipelined: in order');
    same($c, $_, "pipelined: $_ delivered") for qw(one three four);
}


# methods

for my $method (qw(DELETE OPTIONS PATCH PROPFIND)) {
    $res = $t->request($method, '/push/topic/x', body => 'no');
    is($res->status, 405, "$method: 405");
    is($res->header('Allow'), 'GET, HEAD, POST, PUT', "$method: Allow");
    like($res->json->{error}, qr/POST and PUT publish/, "$method: why");
}


# GET and HEAD count subscriptions in all workers

$res = $t->request(GET => '/push/topic/count');
is($res->status, 200, 'GET: 200');
is_deeply($res->json, { destination => '/topic/count', subscribers => 0 },
          'GET: nobody');
is($res->header('Cache-Control'), 'no-store', 'GET: not cached');

my $by = $t->stomp_spread(4, 2);
my @clients = map { @$_ } values %$by;
my %sub = map { $_ => $_->subscribe('/topic/count') } @clients;
$clients[0]->subscribe('/topic/count');

for (1 .. 3) {
    is($t->request(GET => '/push/topic/count')->json->{subscribers}, 9,
       'GET: 8 sessions in 4 workers, one of them twice');
}

$res = $t->request(HEAD => '/push/topic/count');
is($res->status, 200, 'HEAD: 200');
is($res->header('Content-Type'), 'application/json', 'HEAD: JSON');
is($res->header('Content-Length'),
   length $t->request(GET => '/push/topic/count')->body,
   'HEAD: the length of what GET gets');
is($res->body, '', 'HEAD: no body');

is($t->push_message('/topic/count', 'all')->json->{subscribers}, 9,
   'POST tells the same number');
is(scalar(grep { ($_->recv // { body => '' })->{body} eq 'all' } @clients), 8,
   'all of them get it');

$clients[1]->unsubscribe($sub{ $clients[1] });
$clients[2]->abort;
ok(wait_for(5, sub {
    $t->request(GET => '/push/topic/count')->json->{subscribers} == 7;
}), 'GET: one has unsubscribed, one is gone');


# one sequence of ids, whichever worker publishes

my %client;
for (1 .. 400) {
    my $h = $t->http_client;
    $client{ $h->request(GET => '/pid')->body } //= $h;
    last if keys %client == 4;
}
is(scalar keys %client, 4, 'a connection to each worker');

my (%epoch, @numbers);
for my $round (1 .. 10) {
    for my $pid (sort keys %client) {
        my $id = $client{$pid}->request(POST => '/push/topic/x',
            body => "$round $pid")->json->{'message-id'};
        my ($epoch, $number) = split /-/, $id;
        $epoch{$epoch}++;
        push @numbers, $number;
    }
}

is(scalar keys %epoch, 1, 'ids of one epoch');
is(scalar(grep { $numbers[$_] != $numbers[0] + $_ } 0 .. $#numbers), 0,
   'ids are numbered one after the other')
    or diag "@numbers";
is(join(' ', map { (split /-/, $_->{headers}{'message-id'})[1] }
             $c->collect(40)), "@numbers", 'and come in that order');

ok(!$c->recv(0), 'nothing else has come');

$_->close for $c, @clients;
$t->ok_no_alerts;
done_testing();


# One check, without a diagnosis of a megabyte.

sub same {
    my ($client, $body, $name) = @_;

    my $frame = $client->recv // { command => 'nothing', body => '' };
    my $good = $frame->{command} eq 'MESSAGE' && $frame->{body} eq $body;

    ok($good, $name)
        or diag "$frame->{command} " . show($frame->{body}, 80);
    return;
}
