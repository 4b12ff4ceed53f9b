# Without it a refused handshake could answer with a status that tells the
# client nothing, or worse, let a page of another site in.

use strict;
use warnings;

use lib 't/lib';

use Test::Stomp::Nginx;

# not "my": it has to outlive what Test::Nginx does at the end
our $place;

BEGIN {
    # only for its port, its folder and the modules
    $place = Test::Stomp::Nginx->new;

    $ENV{TEST_NGINX_PORT} = $place->port;
    $ENV{TEST_NGINX_SERVROOT} = $place->prefix . '/servroot';
    $ENV{TEST_NGINX_BINARY} = $place->binary;
    $ENV{TEST_NGINX_LOAD_MODULES} = join ' ', $place->modules;
    $ENV{TEST_NGINX_FAST_SHUTDOWN} = 1;
    delete $ENV{NGINX};
}

BEGIN {
    eval { require Test::Nginx::Socket; 1 } or do {
        require Test::More;
        Test::More->import(skip_all => 'Test::Nginx is not installed');
    };
    Test::Nginx::Socket->import('no_plan');
}

my $key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
my $version = 'Sec-WebSocket-Version: 13';
my $connection = 'Connection: close, Upgrade';

add_block_preprocessor(sub {
    my ($block) = @_;

    my $directives = $block->stomp // '';
    my $headers = $block->more_headers // '';
    my %given = map { lc $_ => 1 } $headers =~ /^!?([\w-]+)/mg;

    $block->set_value(http_config => 'stomp_broker chat {
        zone 1m; topic /topic/; }') unless defined $block->http_config;
    $block->set_value(config => "location = /ws {
        stomp_pass chat; $directives }");

    # "!Name" takes away a header that a handshake has
    $block->set_value(more_headers => join "\n",
        $headers =~ s/^!.*\n?//mgr =~ s/\n\z//r || (),
        grep { !$given{ lc s/:.*//r } } $key, $version, $connection,
                                        'Upgrade: websocket');

    $block->set_value(request => 'GET /ws') unless defined $block->request;
    $block->set_value(no_error_log => [ '[alert]', '[emerg]', '[crit]' ])
        unless defined $block->no_error_log;
});

no_shuffle();
no_long_string();
repeat_each(1);
run_tests();
Test::More->builder->done_testing;

__DATA__

=== TEST 1: POST
--- request
POST /ws
--- more_headers
Content-Length: 0
--- error_code: 405
--- response_headers
Allow: GET
Content-Type: application/json
--- response_body
{"error":"a WebSocket handshake is a GET request"}



=== TEST 2: POST with a body
--- request
POST /ws
hello
--- error_code: 405
--- response_headers
Allow: GET



=== TEST 3: HEAD
--- request
HEAD /ws
--- error_code: 405
--- response_headers
Allow: GET



=== TEST 4: an ordinary GET
--- more_headers
!Upgrade
!Sec-WebSocket-Key
!Sec-WebSocket-Version
Connection: close
--- error_code: 426
--- response_headers
Upgrade: websocket
!Sec-WebSocket-Accept
--- response_body eval
'{"error":"this location speaks STOMP over WebSocket: it needs HTTP/1.1 with '
. '\"Upgrade: websocket\" and \"Connection: Upgrade\""}' . "\n"
--- error_log
STOMP request refused: this location speaks STOMP over WebSocket



=== TEST 5: another protocol
--- more_headers
Upgrade: h2c, websockets
--- error_code: 426
--- response_headers
Upgrade: websocket



=== TEST 6: no upgrade among the options of the connection
--- more_headers
Connection: close, upgrades
--- error_code: 426
--- response_headers
Upgrade: websocket



=== TEST 7: HTTP/1.0
--- request
GET /ws HTTP/1.0
--- error_code: 426
--- response_headers
Upgrade: websocket



=== TEST 8: no version
--- more_headers
!Sec-WebSocket-Version
--- error_code: 426
--- response_headers
Sec-WebSocket-Version: 13
Upgrade: websocket
--- response_body
{"error":"the version of WebSocket must be 13"}



=== TEST 9: version 8
--- more_headers
Sec-WebSocket-Version: 8
--- error_code: 426
--- response_headers
Sec-WebSocket-Version: 13



=== TEST 10: versions 13 and 8
--- more_headers
Sec-WebSocket-Version: 13, 8
--- error_code: 426
--- response_headers
Sec-WebSocket-Version: 13



=== TEST 11: no key
--- more_headers
!Sec-WebSocket-Key
--- error_code: 400
--- response_headers
!Sec-WebSocket-Accept
--- response_body eval
'{"error":"a WebSocket handshake needs one Sec-WebSocket-Key header with '
. '16 octets in base64"}' . "\n"



=== TEST 12: empty key
--- more_headers
Sec-WebSocket-Key:
--- error_code: 400
--- response_body_like: one Sec-WebSocket-Key



=== TEST 13: short key
--- more_headers
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j
--- error_code: 400
--- response_body_like: one Sec-WebSocket-Key



=== TEST 14: long key
--- more_headers
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSE=
--- error_code: 400
--- response_body_like: one Sec-WebSocket-Key



=== TEST 15: key that is not base64
--- more_headers
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25!ZQ==
--- error_code: 400
--- response_body_like: one Sec-WebSocket-Key



=== TEST 16: two keys
--- more_headers
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
--- error_code: 400
--- response_body_like: one Sec-WebSocket-Key



=== TEST 17: GET with a body
--- request
GET /ws
hello
--- error_code: 400
--- response_body
{"error":"a WebSocket handshake has no body"}



=== TEST 18: GET with a chunked body
--- raw_request eval
"GET /ws HTTP/1.1\r
Host: localhost\r
Upgrade: websocket\r
Connection: close, Upgrade\r
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
Sec-WebSocket-Version: 13\r
Transfer-Encoding: chunked\r
\r
0\r
\r
"
--- error_code: 400
--- response_body
{"error":"a WebSocket handshake has no body"}



=== TEST 19: page of another site
--- more_headers
Origin: https://evil.example
--- error_code: 403
--- response_headers
!Sec-WebSocket-Accept
--- response_body eval
'{"error":"pages of origin \"https://evil.example\" may not connect here, '
. 'see stomp_origins"}' . "\n"
--- error_log
pages of origin "https://evil.example" may not connect here



=== TEST 20: origin with a quote
--- more_headers
Origin: http://a"b\c
--- error_code: 403
--- response_body eval
'{"error":"pages of origin \"http://a\"b\\\\c\" may not connect here, '
. 'see stomp_origins"}' . "\n"



=== TEST 21: origin that is not in the list
--- stomp: stomp_origins https://a.example https://b.example;
--- more_headers
Origin: https://c.example
--- error_code: 403
--- response_body_like: https://c.example



=== TEST 22: a list replaces the own origin
--- stomp: stomp_origins https://a.example;
--- more_headers
Host: localhost
Origin: http://localhost
--- error_code: 403



=== TEST 23: longer than an origin of the list
--- stomp: stomp_origins https://a.example;
--- more_headers
Origin: https://a.example.evil.example
--- error_code: 403



=== TEST 24: the method is looked at before the origin
--- request
POST /ws
--- more_headers
Origin: https://evil.example
Content-Length: 0
--- error_code: 405



=== TEST 25: access is refused first
--- stomp: deny all;
--- more_headers
!Upgrade
--- error_code: 403
--- response_body_like: 403 Forbidden
