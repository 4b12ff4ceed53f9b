# Without it a browser could refuse the answer to its handshake, a page of
# another site could connect, and what other modules of nginx do with a request
# (access, limits, logs, mirrors) could go wrong when the request is released.

use lib 't/lib';

use IO::Socket::INET;
use Test::More;
use Test::Stomp;

my $t = nginx();

Test::Stomp::Nginx::write_file($t->prefix . '/conf/users', "joe:{PLAIN}pw\n");
my $tls = Test::Stomp::Socket::tls_available() && certificate();

$t->write_conf(<<'CONF' . ($tls ? <<'CONF_TLS' : ''))->start;
log_format       short '$uri $status $remote_addr';
access_log       logs/short.log short;
limit_conn_zone  $server_port zone=one:1m;

stomp_broker chat { zone 1m; topic /topic/; allow send /topic/**; }

server {
    listen 127.0.0.1:%%PORT%%;

    set_real_ip_from  127.0.0.1;
    real_ip_header    X-Real-IP;

    location = /endpoint-websocket { stomp_pass chat; }
    location = /keep   { stomp_pass chat; stomp_keep_request on; }
    location = /list   { stomp_pass chat;
                         stomp_origins https://a.example http://[::1]:80; }
    location = /null   { stomp_pass chat; stomp_origins null; }
    location = /any    { stomp_pass chat; stomp_origins *; }
    location = /same   { stomp_pass chat; stomp_origins same; }
    location = /basic  { stomp_pass chat; auth_basic x;
                         auth_basic_user_file users; }
    location = /auth   { stomp_pass chat; auth_request /ask; }
    location = /limit  { stomp_pass chat; limit_conn one 1; }
    location = /mirror { stomp_pass chat; mirror /copy; }
    location = /copy   { internal; proxy_pass http://127.0.0.1:%%PORT4%%; }

    location = /ask {
        internal;
        if ($arg_token = good) { return 204; }
        if ($http_x_token = good) { return 204; }
        return 403;
    }
}

server {
    listen 127.0.0.1:%%PORT2%% http2;
    location / { stomp_pass chat; }
}
CONF
server {
    listen 127.0.0.1:%%PORT3%% ssl;
    ssl_certificate      server.crt;
    ssl_certificate_key  server.key;
    location / { stomp_pass chat; }
}
CONF_TLS

{
    # the example of RFC 6455, section 1.3
    my $ws = $t->ws(key => 'dGhlIHNhbXBsZSBub25jZQ==');
    is($ws->header('Sec-WebSocket-Accept'), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
       'accept value');
    is($ws->status_line, 'HTTP/1.1 101 Switching Protocols', 'status line');
    my %seen;
    $seen{ lc $_->[0] }++ for @{ $ws->response->{list} };
    is_deeply(\%seen, { server => 1, date => 1, connection => 1, upgrade => 1,
                        'sec-websocket-accept' => 1 },
              'nothing but what belongs to it: no length, no type');
}

for ([ 'all', 'v12.stomp', 'v12.stomp, v11.stomp, v10.stomp' ],
     [ 'the worst first', 'v12.stomp', 'v10.stomp,v11.stomp,v12.stomp' ],
     [ 'one', 'v10.stomp', 'v10.stomp' ],
     [ 'two', 'v11.stomp', 'v10.stomp, v11.stomp' ],
     [ 'repeated', 'v12.stomp', 'v10.stomp', 'v12.stomp', 'v11.stomp' ],
     [ 'among others', 'v11.stomp', 'mqtt, v11.stomp', 'stomp' ],
     [ 'with empty elements', 'v12.stomp', " ,,\tv12.stomp ,\t," ],
     [ 'an empty one', undef, '' ],
     [ 'unknown', undef, 'stomp, v13.stomp, v12.stomp2, xv12.stomp' ],
     [ 'in another case', undef, 'V12.STOMP' ],
     [ 'none', undef ])
{
    my ($name, $want, @offers) = @$_;

    my $ws = $t->ws(subprotocols => [qw(v12.stomp v11.stomp v10.stomp)],
                    headers => [ 'Sec-WebSocket-Protocol' => undef,
                        map { ('Sec-WebSocket-Protocol' => $_) } @offers ]);
    is($ws->status, 101, "subprotocols, $name");
    is($ws->subprotocol, $want, '    chosen: ' . ($want // 'none'));
}

for ([ 'other case', upgrade => 'WEBSOCKET', connection => 'uPGRADE' ],
     [ 'lists', Upgrade => "h2c,\twebsocket", Connection => 'a , Upgrade,b' ],
     [ 'repeated', Upgrade => 'h2c', Upgrade => 'websocket',
       Connection => 'keep-alive', Connection => 'upgrade' ])
{
    my ($name, @headers) = @$_;
    is($t->ws(headers => \@headers)->status, 101, "tokens, $name");
}

for ([ '/same', 'h.example', 'http://h.example' ],
     [ '/same', 'h.example', 'https://h.example' ],
     [ '/same', 'h.example:80', 'http://h.example' ],
     [ '/same', 'h.example', 'http://h.example:80' ],
     [ '/same', 'h.example', 'https://h.example:443' ],
     [ '/same', 'h.example:443', 'https://h.example' ],
     [ '/same', 'h.example:8020', 'http://h.example:8020' ],
     [ '/same', 'H.Example', 'HTTP://h.eXAMPLE' ],
     [ '/same', '[::1]:8020', 'http://[::1]:8020' ],
     [ '/same', '[FE80::A]', 'https://[fe80::a]' ],
     [ '/same', 'h.example', undef ],
     [ '/endpoint-websocket', 'h.example', 'http://h.example' ],
     [ '/list', 'h.example', 'https://a.example' ],
     [ '/list', 'h.example', 'HTTPS://A.EXAMPLE' ],
     [ '/list', 'h.example', 'http://[::1]:80' ],
     [ '/list', 'h.example', undef ],
     [ '/null', 'h.example', 'null' ],
     [ '/any', 'h.example', 'http://evil.example' ],
     [ '/any', 'h.example', 'null' ],
     [ '/any', 'h.example', "what \"this\" may be" ])
{
    my ($path, $host, $origin) = @$_;
    is(origin($path, $host, $origin), 101,
       "$path at $host: open for " . ($origin // 'no origin'));
}

for ([ '/same', 'h.example', 'http://h.example:8020' ],
     [ '/same', 'h.example:8020', 'http://h.example' ],
     [ '/same', 'h.example:80', 'https://h.example' ],
     [ '/same', 'h.example', 'https://h.example:80' ],
     [ '/same', 'h.example', 'http://h.example.evil.example' ],
     [ '/same', 'h.example', 'http://sub.h.example' ],
     [ '/same', 'h.example', 'http://h.example@evil.example' ],
     [ '/same', 'h.example', 'http://h.example/' ],
     [ '/same', 'h.example', 'h.example' ],
     [ '/same', 'h.example', 'http://' ],
     [ '/same', 'h.example', 'null' ],
     [ '/same', 'h.example', '' ],
     [ '/same', '[::1]:8020', 'http://[::2]:8020' ],
     [ '/same', '[::1]', 'http://[::1]:8020' ],
     [ '/list', 'h.example', 'http://h.example' ],
     [ '/list', 'h.example', 'http://a.example' ],
     [ '/list', 'h.example', 'https://a.example:443' ],
     [ '/list', 'h.example', 'null' ],
     [ '/null', 'h.example', 'http://h.example' ])
{
    my ($path, $host, $origin) = @$_;
    is(origin($path, $host, $origin), 403,
       "$path at $host: closed for \"$origin\"");
}

SKIP: {
    my $url = 'http://127.0.0.1:' . $t->port(2) . '/';
    my $head = `curl -s -i --max-time 5 --http2-prior-knowledge $url 2>&1`;
    skip 'curl has no HTTP/2', 2 unless $head =~ m{^HTTP/2 };

    like($head, qr{^HTTP/2 400 }, 'HTTP/2 refused');
    like($head, qr/\{"error":"a WebSocket handshake needs HTTP\/1\.1: open/,
         'and told why');
}

# what comes right behind the request must not be lost with its buffers

my $connect = Test::Stomp::WebSocket::build_frame(1,
    "CONNECT\naccept-version:1.2\n\n\0");
my $subscribe = Test::Stomp::WebSocket::build_frame(1,
    "SUBSCRIBE\nid:1\ndestination:/topic/b\nreceipt:r\n\n\0");
my $first = "GET /endpoint-websocket HTTP/1.1\r\nHost: a\r\n\r\n";
my @big = map { ($_ => 'x' x 7900) } qw(X-1 X-2 X-3);

for ([ 'CONNECT behind the request', '', $connect ],
     [ 'two frames', '', "$connect$subscribe" ],
     [ 'a part of a frame', '', substr($connect, 0, 3), substr $connect, 3 ],
     [ 'large headers', '', '' ],
     [ 'large headers and two frames', '', "$connect$subscribe" ],
     [ 'more than a buffer', '', $connect
       . Test::Stomp::WebSocket::build_frame(1, "\n" x 70000) . $subscribe ],
     [ 'pipelined behind a request', $first, "$connect$subscribe" ],
     [ 'large headers, pipelined', $first, "$connect$subscribe" ])
{
    my ($name, $before, $behind, @later) = @$_;

    for my $path (qw(/endpoint-websocket /keep)) {
        my $ws = $t->ws(path => $path, handshake => 0,
                        headers => [ $name =~ /^large/ ? @big : () ]);
        $ws->write_raw($before . $ws->handshake_request . $behind);

        if ($before) {
            my $head = $ws->read_head;
            is($head->{status}, 426, "$name: the first is answered");
            $ws->read_raw($head->{headers}{'content-length'});
        }

        $ws->{opt}{request} = '';
        $ws->handshake;
        is($ws->status, 101, "$name, $path");
        $ws->write_raw($_) for @later;
        $ws->write_raw($connect) unless $behind;

        my $c = Test::Stomp::Client->new(ws => $ws);
        $c->expect(CONNECTED => version => '1.2');
        $c->{version} = '1.2';
        $c->expect(RECEIPT => 'receipt-id' => 'r')
            if $behind =~ /\Q$subscribe\E$/;
    }
}

is($t->ws(path => '/basic')->status, 401, 'auth_basic refuses');
is($t->ws(path => '/basic', headers => [ Authorization => 'Basic am9lOnB3' ])
     ->status, 101, 'auth_basic lets in');
is($t->ws(path => '/auth')->status, 403, 'auth_request refuses');
session_works('auth_request lets in', path => '/auth',
              headers => [ 'X-Token' => 'good' ]);

{
    my $c = $t->stomp(path => '/limit');
    is($t->ws(path => '/limit')->status, 503, 'limit_conn counts the session');
    $c->close;
    ok(wait_for(5, sub { $t->ws(path => '/limit')->status == 101 }),
       'until it ends');
}

for my $path (qw(/endpoint-websocket /keep)) {
    my $c = session_works("session of $path", path => $path,
                          headers => [ 'X-Real-IP' => '192.0.2.7' ]);
    my $mark = "mark-$path";
    $c->send('/nowhere', '', headers => [ receipt => 1 ], receipt => $mark,
             wait => 0);
    $c->expect_error('unknown destination');
    like($t->error_log, qr/unknown destination.*, client: 192\.0\.2\.7/,
         "$path: the address of realip is the session's");
}

{
    my $listen = IO::Socket::INET->new(Listen => 5, ReuseAddr => 1,
        LocalAddr => '127.0.0.1', LocalPort => $t->port(4)) or die "$!";

    my $ws = $t->ws(path => '/mirror');
    is($ws->status, 101, 'mirror: 101 is not kept waiting');
    my $mirror = $listen->accept;
    $ws->write_raw($connect);

    my $c = Test::Stomp::Client->new(ws => $ws);
    print {$mirror} "HTTP/1.0 200 OK\r\n\r\n";
    close $mirror;
    $c->expect(CONNECTED => version => '1.2',
               -name => 'mirror: then the session begins');

    # the client goes while the request is still in use
    my $gone = $t->ws(path => '/mirror');
    $mirror = $listen->accept;
    $gone->abort;
    print {$mirror} "HTTP/1.0 200 OK\r\n\r\n";
    close $mirror;
    session_works('mirror: a client that goes harms nobody');
}

SKIP: {
    skip 'no TLS', 4 unless $tls;

    my $c = session_works('TLS', port => $t->port(3), tls => 1);
    my $big = 'x' x 60000;
    $c->subscribe('/topic/tls');
    $c->send('/topic/tls', $big) for 1 .. 20;
    is(grep({ $_->{body} eq $big } $c->collect(20)), 20, 'large output by TLS');
    $c->disconnect;
    ok($c->closed, 'TLS: closed in order');
}

{
    my %log;
    my $file = $t->prefix . '/logs/short.log';

    # a request that is kept has its line while the session goes on
    for my $path (qw(/endpoint-websocket /keep)) {
        my $before = grep { /^\Q$path\E 101 / } lines($file);
        my $c = $t->stomp(path => $path);
        is(grep({ /^\Q$path\E 101 / } lines($file)), $before + 1,
           "$path: a line in the access log at the handshake");
        $c->disconnect;
        session_works("$path: another session");
        is(grep({ /^\Q$path\E 101 / } lines($file)),
           $before + 1 + ($path ne '/keep'), "$path: and none at its end");
    }

    $log{$_}++ for map { (split)[1] } lines($file);
    is_deeply([ sort keys %log ], [qw(101 400 401 403 426 503)],
              'refusals are logged with their status');
    ok(grep({ m{^/keep 101 192\.0\.2\.7$} } lines($file)),
       'with the address of realip');
}

$t->ok_no_alerts;

done_testing;


sub origin {
    my ($path, $host, $origin) = @_;

    return $t->ws(path => $path, host_header => $host,
                  origin => $origin)->status;
}


sub session_works {
    my ($name, %opt) = @_;

    my $c = $t->stomp(%opt);
    $c->subscribe('/topic/s');
    $c->send('/topic/s', $name);
    $c->expect(MESSAGE => -body => $name, -name => $name);

    return $c;
}


sub lines {
    my ($file) = @_;

    return split /\n/, Test::Stomp::Nginx::read_file($file);
}


sub certificate {
    my $conf = $t->prefix . '/conf';

    return system("openssl req -x509 -newkey rsa:2048 -nodes -days 2"
        . " -subj /CN=localhost -keyout $conf/server.key"
        . " -out $conf/server.crt >/dev/null 2>&1") == 0;
}
