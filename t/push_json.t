#!/usr/bin/perl

# Without this: what a user writes in a URL breaks out of the JSON that
# stomp_push_body makes of it, or comes to the subscribers as something else.

use strict;
use warnings;

use lib 't/lib';
use JSON::PP ();
use Test::More;
use Test::Stomp;

my $http = <<'CONF';
stomp_broker chat {
    zone   4m;
    topic  /topic/;
}

server {
    listen 127.0.0.1:%%PORT%%;

    stomp_set_json $browser $http_user_agent raw;

    location = /endpoint-websocket { stomp_pass chat; }

    location = /v1/chat/http {
        stomp_set_json $from $arg_from;
        stomp_set_json $to $arg_to;
        stomp_set_json $content $arg_content;

        stomp_push chat;
        stomp_push_destination /topic/game_chat;
        stomp_push_body '{"from":$from,"to":$to,"content":$content}';
    }

    location = /bare {
        stomp_set_json $content $arg_content;
        stomp_push chat;
        stomp_push_destination /topic/game_chat;
        stomp_push_body $content;
    }

    location = /raw {
        stomp_set_json $content $arg_content raw;
        stomp_push chat;
        stomp_push_destination /topic/game_chat;
        stomp_push_body $content;
    }

    location = /browser {
        stomp_push chat;
        stomp_push_destination /topic/$arg_room;
        stomp_push_body '[$browser]';
    }

    location = /in_if {
        if ($arg_a) { stomp_set_json $content "a $arg_a"; }
        stomp_push chat;
        stomp_push_destination /topic/game_chat;
        stomp_push_body "[$content]";
    }

    location = /short {
        stomp_push chat;
        stomp_max_body 10;
        stomp_push_destination /topic/game_chat;
        stomp_push_body $arg_content;
    }
}
CONF

my $t = nginx(workers => 1);
$t->write_conf($http)->start;

my $c = $t->stomp;
$c->subscribe('/topic/game_chat');


# the request of the Spring application, with its own URL

my $res = $t->request(GET =>
    '/v1/chat/http?from=1&to=2&content=%E5%93%87%E5%93%88%E5%93%88');

is($res->status, 200, 'GET publishes: 200');
is($res->header('Cache-Control'), 'no-store', 'not cached');
is($res->header('Content-Type'), 'application/json', 'JSON');
is($res->json->{destination}, '/topic/game_chat', 'destination');
is($res->json->{subscribers}, 1, 'subscribers');

$c->expect(MESSAGE => destination => '/topic/game_chat',
           'content-type' => 'application/json',
           'message-id' => $res->json->{'message-id'},
           -body => '{"from":"1","to":"2","content":"哇哈哈"}',
           -opcode => 'text', -name => 'the message');

$t->request(GET => '/v1/chat/http?content=哇哈哈&from=1');
$c->expect(MESSAGE => -body => '{"from":"1","to":"","content":"哇哈哈"}',
           -name => 'raw UTF-8, another order, one argument missing');

$t->request(GET => '/v1/chat/http');
$c->expect(MESSAGE => -body => '{"from":"","to":"","content":""}',
           -name => 'no argument at all');

$t->request(GET => '/v1/chat/http?from=1',
            headers => [ 'Content-Type' => 'text/plain', 'X-Stomp-A' => 'b' ]);
$c->expect(MESSAGE => 'content-type' => 'application/json', a => 'b',
           -name => 'X-Stomp-* headers, but not Content-Type');

$t->request(POST => '/v1/chat/http?from=1', body => 'ignored');
$c->expect(MESSAGE => -body => '{"from":"1","to":"","content":""}',
           -name => 'POST: the body is the configured one');

$res = $t->request(HEAD => '/v1/chat/http?from=1');
is($res->status, 200, 'HEAD: 200');
is($res->header('Content-Length'),
   length qq({"destination":"/topic/game_chat","subscribers":1}\n),
   'HEAD counts and does not publish');


# what stomp_set_json makes of an argument, and of a raw one

my $fffd = "\xef\xbf\xbd";
my @values = (
    # argument => decoded, raw
    '%22%5C%2F'          => '\\"\\\\/', '%22%5C%2F',
    'a"b\\c'             => 'a\\"b\\\\c', 'a\\"b\\\\c',
    '%0D%0A%09%08%0C'    => '\\r\\n\\t\\b\\f', '%0D%0A%09%08%0C',
    '%01%1F%7F'          => '\\u0001\\u001f' . "\x7f", '%01%1F%7F',
    '%00x'               => '\\u0000x', '%00x',
    '</script>'          => '\\u003c/script\\u003e', '\\u003c/script\\u003e',
    '%3C!--%26'          => '\\u003c!--\\u0026', '%3C!--%26',
    'a+b%2Bc%20d'        => 'a b+c d', 'a+b%2Bc%20d',
    '%zz%4%4g%'          => '%zz%4%4g%', '%zz%4%4g%',
    '%'                  => '%', '%',
    '%4'                 => '%4', '%4',
    '%%41'               => '%A', '%%41',
    '100%25'             => '100%', '100%25',
    '%E5%93%87'          => '哇', '%E5%93%87',
    '%f0%9f%98%80'       => '😀', '%f0%9f%98%80',
    '😀'                 => '😀', '😀',
    '%E2%80%A8%E2%80%A9' => '\\u2028\\u2029', '%E2%80%A8%E2%80%A9',
    '%FF'                => $fffd, '%FF',
    'a%E5%93b'           => "a${fffd}b", 'a%E5%93b',
    '%E5'                => $fffd, '%E5',
    '%ED%A0%80'          => $fffd x 3, '%ED%A0%80',
    '%C0%AF'             => $fffd x 2, '%C0%AF',
    "caf\xe9"            => "caf$fffd", "caf$fffd",
    'a=b'                => 'a=b', 'a=b',
    ''                   => '', '',
);

while (my ($argument, $decoded, $raw) = splice @values, 0, 3) {
    for ([ bare => $decoded ], [ raw => $raw ]) {
        my ($way, $want) = @$_;

        $res = $t->request(GET => "/$way?content=$argument");
        $c->expect(MESSAGE => -body => qq("$want"), -opcode => 'text',
                   -name => "$way " . show($argument));
    }
}

# whatever it is, it is one string for a JSON parser

{
    my $all = join '', map { sprintf '%%%02x', $_ } 0 .. 255;

    $t->request(GET => "/v1/chat/http?from=$all&to=%22,%22x%22:%22&content=2");
    my $m = $c->expect(MESSAGE => -opcode => 'text', -name => 'all octets');
    my $json = eval { JSON::PP->new->utf8->decode($m->{body}) };

    is(join(',', sort keys %{ $json // {} }), 'content,from,to',
       'all octets: three members');
    is(substr($json->{from}, 0, 128), join('', map { chr } 0 .. 127),
       'all octets: ASCII is unharmed');
    is($json->{to}, '","x":"', 'a value that looks like JSON is a string');
}


# other values, other places

$c->subscribe('/topic/r1');
$t->request(GET => '/browser?room=r1',
            headers => [ 'User-Agent' => 'a "b" %41+ \\' ]);
$c->expect(MESSAGE => destination => '/topic/r1',
           -body => '["a \\"b\\" %41+ \\\\"]',
           -name => 'set in the server: a header; a variable destination');

$res = $t->request(GET => '/browser?room=');
is($res->status, 400, 'a variable that makes no destination: 400');
like($res->json->{error}, qr/^destination "\/topic\/": /, 'it is named');

$t->request(GET => '/in_if?a=1%20+2');
$c->expect(MESSAGE => -body => '["a 1  2"]', -name => 'set in an "if"');

$t->request(GET => '/in_if');
$c->expect(MESSAGE => -body => '[]', -name => 'not set');

is($t->request(GET => '/short?content=0123456789')->status, 200,
   'body of stomp_max_body octets: 200');
$c->expect(MESSAGE => -body => '0123456789', -name => '... delivered');

$res = $t->request(GET => '/short?content=0123456789a');
is($res->status, 413, 'one octet more: 413');
like($res->json->{error}, qr/10 octets \(stomp_max_body\)/, '... and why');

$t->request(GET => '/bare?content=end');
$c->expect(MESSAGE => -body => '"end"', -name => 'nothing else was published');

my ($code, $text) = $t->test_config(<<'CONF');
server {
    listen 127.0.0.1:%%PORT%%;
    stomp_set_json $x $arg_x cooked;
}
CONF
isnt($code, 0, 'a third parameter but "raw" is refused');
like($text, qr/invalid parameter "cooked".*http-test\.inc:3$/m,
     '... and where');

$c->close;

$t->ok_no_alerts;
done_testing();
