#!/usr/bin/perl

# Without this: a batch of which only a part is published, one that others'
# messages come into the middle of, or one that is refused without saying why.

use strict;
use warnings;

use lib 't/lib';
use JSON::PP ();
use Test::More;
use Test::Stomp;

my $TYPE = 'application/vnd.stomp.batch+json';

my $http = <<'CONF';
stomp_broker chat {
    zone   32m;
    topic  /topic/ /chat/;
}

stomp_broker small {
    zone   1m;
    inbox  1m;
    topic  /topic/;
}

server {
    listen 127.0.0.1:%%PORT%%;
    client_max_body_size 16m;
    stomp_max_body 8m;
    stomp_max_output 64m;

    location = /endpoint-websocket { stomp_pass chat; }
    location = /small { stomp_pass small; }
    location = /stomp_status { stomp_status chat; }
    location = /small_status { stomp_status small; }
    location = /pid { return 200 $pid; }

    location /push/ { stomp_push chat; }
    location /batch/ { stomp_push chat; }
    location /small_batch/ { stomp_push small; }
    location = /own { stomp_push chat; stomp_push_destination /topic/x; }

    location /few/ {
        stomp_push chat;
        stomp_max_headers 4;
        stomp_max_header_length 64;
        stomp_max_body 300;
    }

    location = /fixed {
        stomp_push chat;
        stomp_push_destination /topic/fixed;
        stomp_push_body '"fixed"';
    }
}
CONF

my $t = nginx(workers => 4);
$t->write_conf($http)->start;

my $json = JSON::PP->new->utf8->canonical;
my $c = $t->stomp;
$c->subscribe("/topic/$_", id => $_) for qw(a b x fixed);


# what is in a batch, and its answer

my $res = batch([ { destination => '/topic/b', body => 'one' },
                  { destination => '/topic/a', body => "\x{54c8}\n\"",
                    headers => { 'content-type' => 'a/b',
                                 Note => "\x{54c8}:" } },
                  { destination => '/topic/none', body => 'nobody' },
                  { destination => '/topic/b', body => '', headers => {} } ]);

is($res->status, 200, 'a batch: 200');
is($res->header('Content-Type'), 'application/json', 'a batch: JSON');
is($res->header('Cache-Control'), 'no-store', 'a batch: not cached');

my @told = @{ $res->json };
is(join(' ', map { $_->{destination} } @told),
   '/topic/b /topic/a /topic/none /topic/b', 'a batch: destinations');
is(join(' ', map { $_->{subscribers} } @told), '1 1 0 1',
   'a batch: subscribers, also where there are none');

my ($epoch, $first) = split /-/, $told[0]{'message-id'};
is(join(' ', map { $_->{'message-id'} } @told),
   join(' ', map { "$epoch-" . ($first + $_) } 0 .. 3),
   'a batch: ids one after the other');

$c->expect(MESSAGE => destination => '/topic/b', subscription => 'b',
           'message-id' => $told[0]{'message-id'}, 'content-type' => undef,
           -body => 'one', -name => 'a batch: the first message');
my $m = $c->expect(MESSAGE => destination => '/topic/a', Note => '哈:',
           'message-id' => $told[1]{'message-id'}, 'content-type' => 'a/b',
           -body => "哈\n\"", -opcode => 'text',
           -name => 'a batch: a message with headers');
is(join(' ', map { $_->[0] } @{ $m->{list} }),
   'destination Note content-type subscription message-id content-length',
   'a batch: headers in their order');
$c->expect(MESSAGE => destination => '/topic/b', -body => '',
           'message-id' => $told[3]{'message-id'},
           -name => 'a batch: an empty body');

for my $type ($TYPE, uc $TYPE, "$TYPE; charset=utf-8", "$TYPE;x=y") {
    $res = raw(qq(\n[ {"body":"t","destination":"/topic/a"} ]\n), $type);
    is($res->status, 200, "Content-Type: $type");
    $c->expect(MESSAGE => destination => '/topic/a', -body => 't',
               -name => '... is a batch');
}

for my $type ('application/json', "${TYPE}x") {
    raw('[]', $type);
    $c->expect(MESSAGE => destination => '/topic/x', -body => '[]',
               'content-type' => $type, -name => "$type is a message");
}

$res = $t->request(POST => '/batch/', body => '[]',
                   headers => [ 'Content-Type' => $TYPE,
                                'X-Stomp-Priority' => '5' ]);
is($res->status, 400, 'X-Stomp-* in a batch');
like($res->json->{error}, qr/members, not as "X-Stomp-Priority"/,
     'X-Stomp-* in a batch: the answer says where headers belong');

$res = raw('[]', $TYPE, '/fixed');
is($res->status, 200, 'stomp_push_body makes a message, whatever comes');
$c->expect(MESSAGE => destination => '/topic/fixed', -body => '"fixed"',
           -name => '... of its own');

raw('[{"destination":"/topic/a","body":"\\u54c8\\ud83d\\ude00\\\\u0000"}]');
$c->expect(MESSAGE => -body => '哈😀\\u0000', -name => 'escapes of JSON');

for my $uri ('/push/topic/zzz', '/push/queue/x', '/push/') {
    $res = $t->request(POST => $uri, chunked => 10,
        headers => [ 'Content-Type' => $TYPE ],
        body => '[{"destination":"/topic/a","body":"here"}]');
    is($res->status, 200, "$uri: no matter");
    $c->expect(MESSAGE => destination => '/topic/a', -body => 'here',
               -name => '... the members have destinations');
}


# what is wrong, and where

my $ok = '{"destination":"/topic/a","body":"no"}';
my @wrong = (
    ''                     => qr/^the batch is not JSON, see octet 0$/,
    'x'                    => qr/^the batch is not JSON, see octet 0$/,
    "[$ok, "               => qr/^the batch is not JSON, see octet \d\d$/,
    "[$ok, x]"             => qr/^the batch is not JSON, see octet 4\d$/,
    "[$ok] [$ok]"          => qr/^the batch is not JSON, see octet 4\d$/,
    "[$ok]x"               => qr/^the batch is not JSON, see octet 40$/,
    "[$ok,]"               => qr/^the batch is not JSON/,
    '[{"body":"\\ud800"}]' => qr/^the batch is not JSON/,
    '[{"body":"\\x"}]'     => qr/^the batch is not JSON/,
    '[' x 2000 . ']' x 2000 => qr/^the batch is not JSON/,
    "[$ok, {\"body\":\"\xff\"}]"       => qr/^the batch is not UTF-8$/,
    "[{\"destination\":\"/topic/\xe5\x93\",\"body\":\"\"}]"
                           => qr/^the batch is not UTF-8$/,
    "[$ok, {\"body\":\"\0\"}]"         => qr/U\+0000/,
    "[$ok, {\"body\":\"\\u0000\"}]"    => qr/U\+0000/,
    '[{"body":"\\\\\\u0000"}]'         => qr/U\+0000/,
    'null'                 => qr/must be a JSON array of at least one object/,
    $ok                    => qr/must be a JSON array of at least one object/,
    '[]'                   => qr/must be a JSON array of at least one object/,
    '"x"'                  => qr/must be a JSON array of at least one object/,
    "[$ok,[]]"             => qr/^\[1\] must be an object with/,
    '[null]'               => qr/^\[0\] must be an object with/,
    "[$ok,$ok,{}]"         => qr/^\[2\]\.destination must be a string$/,
    '[{"body":"b"}]'       => qr/^\[0\]\.destination must be a string$/,
    '[{"destination":1,"body":"b"}]' => qr/^\[0\]\.destination must be a st/,
    "[$ok,{\"destination\":\"/topic/a\"}]" => qr/^\[1\]\.body must be a string/,
    "[$ok,{\"destination\":\"/topic/a\",\"body\":{}}]"
                           => qr/^\[1\]\.body must be a string$/,
    "[$ok,{\"destination\":\"/topic/a\",\"body\":null}]"
                           => qr/^\[1\]\.body must be a string$/,
    "[$ok,{\"destination\":\"/queue/a\",\"body\":\"b\"}]"
                           => qr/^\[1\]\.destination "\/queue\/a": .*"topic"/,
    '[{"destination":"","body":"b"}]'
                           => qr/^\[0\]\.destination "": .*empty$/,
    "[$ok,{\"destination\":\"/topic/a\",\"body\":\"b\",\"Body\":\"c\"}]"
                           => qr/^\[1\]\.Body is unknown, the members are/,
    "[{\"body\":\"b\",\"destination\":\"/topic/a\",\"body\":\"c\"}]"
                           => qr/^\[0\]\.body is there twice$/,
);

for my $headers (
    '[]'                    => qr/ must be an object of strings$/,
    'null'                  => qr/ must be an object of strings$/,
    '{"a":1}'               => qr/\.a must be a string$/,
    '{"a":"b","c":null}'    => qr/\.c must be a string$/,
    '{"":"b"}'              => qr/\.: the name is empty$/,
    '{"receipt":"b"}'       => qr/\.receipt: .*from the broker only$/,
    '{"message-id":"b"}'    => qr/\.message-id: .*from the broker only$/,
    '{"content-length":"1"}' => qr/\.content-length: .*the broker only$/,
    '{"destination":"/a"}'  => qr/\.destination: .*own destination/)
{
    push @wrong, ref $headers ? qr/^\[1\]\.headers$headers/
        : "[$ok,{\"destination\":\"/topic/a\",\"body\":\"b\","
          . "\"headers\":$headers}]";
}

$res = $t->request(POST => '/batch/', body => "[$ok]",
    headers => [ 'Content-Type' => $TYPE, 'X-Other' => 1, 'X-Stomp-A' => 1 ]);
is($res->status, 400, 'a header that no member would get: 400');
like($res->json->{error}, qr/not as "X-Stomp-A"$/, '... it is named');

$res = raw("[$ok]", $TYPE, '/own');
is($res->status, 400, 'where the location has a destination: 400');
like($res->json->{error}, qr/\(stomp_push_destination\)$/, '... and why');

while (my ($body, $why) = splice @wrong, 0, 2) {
    $res = raw($body);
    is($res->status, 400, show($body, 60) . ': 400');
    like(octets(($res->json // {})->{error}), $why, '... and why');
}

my $few = { destination => '/topic/a', body => '' };

my %four = map { $_ => 'v' } 'a' .. 'd';
$res = batch([ { %$few, headers => \%four } ], '/few/');
like($res->json->{error}, qr/^\[0\]\.headers\.d: .*\(stomp_max_headers\)$/,
     'too many headers');

for (qw(name content-type)) {
    $res = batch([ $few, { %$few, headers => { $_ => 'v' x 64 } } ], '/few/');
    like($res->json->{error},
         qr/^\[1\]\.headers\.$_: .*\(stomp_max_header_length\)$/,
         "$_: too long a header");
}

$res = batch([ { %$few, body => 'b' x 300 } ], '/few/');
is($res->status, 413, 'more than stomp_max_body: 413');

$res = batch([ map { { %$few, body => "$_" } } 0 .. 1000 ]);
is($res->status, 400, '1001 messages: 400');
is($res->json->{error}, 'a batch can have 1000 messages', '... and why');

raw("[$ok]");
$c->expect(MESSAGE => -body => 'no',
           -name => 'nothing of what was refused was published');


# 1,000 messages of many sizes to several destinations

{
    my @batch = map { { destination => '/topic/' . (qw(a none b))[$_ % 3],
                        body => "$_ " . 'x' x ($_ * $_ % 7001) } } 0 .. 999;
    $res = batch(\@batch);
    is($res->status, 200, '1,000 messages: 200');
    is(scalar @{ $res->json }, 1000, '1,000 messages: as many answers');

    my @heard = grep { $_->{destination} ne '/topic/none' } @batch;
    my @got = $c->collect(scalar @heard, 10);
    my $text = join "\n", map { "$_->{destination} $_->{body}" } @heard;
    ok($text eq join("\n", map { "$_->{headers}{destination} $_->{body}" }
                           @got), '1,000 messages: unharmed and in order');
}


# two publishers at once: each batch is one, for all who listen to all of it

{
    my $by = $t->stomp_spread(4, 1);
    my @all = ($c, map { @$_ } values %$by);
    my @publishers = map { $t->http_client } 1 .. 4;
    my $rounds = 25;

    for my $client (@all) {
        $client->subscribe("/topic/$_") for qw(m n o);
    }

    my @kinds = ([ qw(m n o) x 5 ], [ qw(o n m) x 4 ], [ ('n') x 10 ],
                 [ qw(m o) x 60 ]);

    for my $round (1 .. $rounds) {
        for my $i (0 .. 3) {
            my $n = 0;
            my $body = $json->encode([ map { {
                destination => "/topic/$_",
                body => join '.', $round, $i, $n++,
            } } @{ $kinds[$i] } ]);
            $publishers[$i]->write_raw($publishers[$i]->build_request(
                POST => '/batch/', body => $body,
                headers => [ 'Content-Type' => $TYPE ]));
        }
    }

    my @status = map { my $i = $_;
                       map { $publishers[$i]->read_response('POST')->status }
                           1 .. $rounds } 0 .. 3;
    is(scalar(grep { $_ == 200 } @status), 4 * $rounds, 'competing: all 200');

    my $count = $rounds * (15 + 12 + 10 + 120);
    my @seen = map { my $client = $_;
                     join ' ', map { $_->{body} } $client->collect($count, 10)
               } @all;

    is(scalar(split ' ', $seen[0]), $count, 'competing: all messages came');
    is(scalar(grep { $_ ne $seen[0] } @seen), 0,
       'competing: the same order in all workers');

    my @broken;
    my @left = split ' ', $seen[0];
    while (@left) {
        my ($round, $i) = split /\./, $left[0];
        my @want = map { "$round.$i.$_" } 0 .. $#{ $kinds[$i] };
        my @part = splice @left, 0, scalar @want;
        push @broken, "@part" if "@part" ne "@want";
    }
    is_deeply(\@broken, [], 'competing: no batch has others in the middle');

    $_->close for map { @$_ } values %$by;
}


# a full zone: all of it or nothing

{
    my $s = $t->stomp(path => '/small');
    $s->subscribe('/topic/a');
    $s->subscribe('/topic/b');

    my $start = $t->status('/small_status');
    my ($still) = map { $_->{pid} } grep { $_->{sessions} }
                  @{ $start->{workers} };
    my $h;

    for (1 .. 400) {
        $h = $t->http_client;
        last if $h->request(GET => '/pid')->body != $still;
    }

    kill 'STOP', $still or die "kill: $!";
    wait_for(5, sub {
        Test::Stomp::Nginx::read_file("/proc/$still/stat") =~ /\) T /;
    }) or die "worker $still does not stop\n";

    my (@accepted, $n);

    for my $size (100_000, 9000, 700) {
        while ($n++ < 10_000) {
            my @bodies = map { "$size.$n.$_." . 'x' x $size } 0 .. 2;
            $res = $h->request(POST => '/small_batch/',
                headers => [ 'Content-Type' => $TYPE ],
                body => $json->encode([ map { {
                    destination => (qw(/topic/a /topic/b /topic/none))[$_],
                    body => $bodies[$_] } } 0 .. 2 ]));
            last if $res->status != 200;
            push @accepted, @bodies[ 0, 1 ];
        }
        is($res->status, 503, "full with $size octets after "
                              . @accepted / 2 . ' batches: 503');
        is($res->header('Retry-After'), 1, 'full: Retry-After');
    }

    my $refused = $h->request(GET => '/small_status')->json->{refused};
    is($refused - $start->{refused}, 9, 'full: all messages of it are refused');

    kill 'CONT', $still;

    my @got = map { $_->{body} } $s->collect(scalar @accepted, 10);
    ok("@got" eq "@accepted",
       'full: whole batches that were accepted, nothing of the others');

    ok(wait_for(5, sub {
        $t->status('/small_status')->{zone}{used} == $start->{zone}{used};
    }), 'full: nothing leaked');

    $res = batch([ { destination => '/topic/b', body => 'again' } ],
                 '/small_batch/');
    is($res->status, 200, 'full: there is room again');
    $s->expect(MESSAGE => -body => 'again', -name => 'full: used again');
    $s->close;
}

$c->close;
$t->ok_no_alerts;
done_testing();


sub batch {
    my ($messages, $path) = @_;

    return raw($json->encode($messages), $TYPE, $path);
}


sub raw {
    my ($body, $type, $path) = @_;

    return $t->request(POST => $path // '/batch/topic/x', body => $body,
                       headers => [ 'Content-Type' => $type // $TYPE ]);
}
