#!/usr/bin/perl

# Without this: one publisher takes all memory, a refusal without a reason, or
# a full zone that loses what was accepted before and stays full after.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;

my $http = <<'CONF';
stomp_broker chat { zone 1m; inbox 1m; topic /topic/; }

server {
    listen 127.0.0.1:%%PORT%%;

    stomp_max_output 8m;

    location = /endpoint-websocket { stomp_pass chat; }
    location = /stomp_status { stomp_status chat; }
    location = /pid { return 200 $pid; }
    location /push/ { stomp_push chat; }

    location /few/ {
        stomp_push chat;
        stomp_max_headers 4;
        stomp_max_header_length 64;
        stomp_max_body 100;
        client_max_body_size 4m;
    }

    location /nginx/ {
        stomp_push chat;
        client_max_body_size 100;
    }
}

server {
    listen 127.0.0.1:%%PORT2%% http2;

    location /push/ { stomp_push chat; stomp_max_body 20k; }
}
CONF

my $t = nginx(workers => 2);
$t->write_conf($http)->start;

my $c = $t->stomp;
$c->subscribe('/topic/x');

my $idle = $t->status->{zone}{used};


# headers

my @three = map { ("X-Stomp-$_" => $_) } qw(a b c);

ok(limited(200, few => 'x', @three), '4 headers of 4');

my $res = limited(400, few => 'x', @three, 'X-Stomp-D' => 1);
like($res->json->{error}, qr/^header "X-Stomp-D": .*\(stomp_max_headers\)/,
     '5 headers of 4 are refused, the first too many is named');

$res = limited(400, few => 'x', @three, 'Content-Type' => 'a/b');
like($res->json->{error}, qr/^header "X-Stomp-c": .*\(stomp_max_headers\)/,
     'content-type is one of them');

ok(limited(200, few => 'x', 'X-Stomp-Name' => 'v' x 59), '64 octets of 64');

for (qw(X-Stomp-Name Content-Type)) {
    $res = limited(400, few => 'x', $_ => 'v' x 60);
    like($res->json->{error}, qr/^header "$_": .*\(stomp_max_header_length\)/,
         "$_: 65 octets of 64 are refused");
}


# bodies

ok(limited(200, few => 'x' x 100), 'a body of stomp_max_body octets');
ok(limited(200, nginx => 'x' x 100), 'a body of client_max_body_size octets');

{
    my $h = $t->http_client;

    for my $size (101, 70_000, 1_000_000) {
        for my $chunked (0, 1) {
            my $what = "$size octets" . ($chunked ? ', chunked' : '');

            $res = $h->request(POST => '/few/topic/x', body => 'x' x $size,
                               ($chunked ? (chunked => 1) : ()));
            is($res->status, 413, "$what: 413");
            is($res->header('Content-Type'), 'application/json',
               "$what: JSON");
            like($res->json->{error}, qr/100 octets \(stomp_max_body\)/,
                 "$what: why");
            is($h->request(GET => '/pid')->status, 200,
               "$what: the connection is still good");
        }
    }

    $res = $h->request(POST => '/nginx/topic/x', body => 'x' x 101);
    is($res->status, 413, 'more than client_max_body_size: 413');

    $res = $h->request(POST => '/nginx/topic/x', body => 'x' x 101,
                       chunked => 1);
    is($res->status, 413, '... chunked: 413');
}

is($t->push_message('/topic/x', 'y' x 65536)->status, 200,
   'the default takes 64 KB');
is($t->push_message('/topic/x', 'y' x 65537)->status, 413, 'and no more');

is(join(' ', map { length $_->{body} } $c->collect(5)), '1 1 100 100 65536',
   'what was accepted was delivered, and nothing else');


# HTTP/2

SKIP: {
    skip 'curl without HTTP/2', 6
        unless `curl --version 2>/dev/null` =~ /^Features:.*\bHTTP2\b/m;

    my $body = join '', map { chr } 0 .. 255, 1 .. 9;
    my $file = $t->prefix . '/body';
    Test::Stomp::Nginx::write_file($file, $body x 40);

    my $answer = http2('/push/topic/x', '--data-binary', "\@$file",
                       '-H', 'X-Stomp-Note: h2', '-H', 'Content-Type: a/b');
    like($answer, qr/^\{"destination":"\/topic\/x".*"subscribers":1\}\n200 2$/,
         'HTTP/2: the answer');
    my $m = $c->expect(MESSAGE => note => 'h2', 'content-type' => 'a/b',
                       -opcode => 'binary', -name => 'HTTP/2: delivered');
    ok($m->{body} eq $body x 40, 'HTTP/2: the body is unharmed');

    like(http2('/push/topic/x'), qr/"subscribers":1\}\n200 2$/, 'HTTP/2: GET');
    like(http2('/push/queue/x', '-d', 'x'), qr/"error":.*\n400 2$/,
         'HTTP/2: refused');
    http2('/push/topic/x', '-d', 'end');
    $c->expect(MESSAGE => -body => 'end',
               -name => 'HTTP/2: nothing of that was delivered');
}


# a full zone: one worker stands still, the other goes on publishing to it

my %pid = map { $_->{slot} => $_->{pid} } @{ $t->status->{workers} };
my $still = $pid{ hex $c->slot };
my ($runs) = grep { $_ != $still } values %pid;
my $h;

for (1 .. 400) {
    $h = $t->http_client;
    last if $h->request(GET => '/pid')->body == $runs;
}

my $refused = idle_status()->{refused};
my $full = 0;

for my $size (10, 1000, 30_000) {
    kill 'STOP', $still or die "kill: $!";
    wait_for(5, sub {
        Test::Stomp::Nginx::read_file("/proc/$still/stat") =~ /\) T /;
    }) or die "worker $still does not stop\n";

    my @accepted;
    my $number = 0;

    while ($number++ < 50_000) {
        my $body = "$size-$number-" . 'x' x $size;
        $res = $h->request(POST => '/push/topic/x', body => $body);
        last unless $res && $res->status == 200;
        push @accepted, $body;
    }

    is($res && $res->status, 503, "$size octets: 503 after "
                                  . @accepted . ' messages');
    is($res->header('Retry-After'), 1, "$size octets: Retry-After");
    is($res->header('Cache-Control'), 'no-store', "$size octets: not cached");
    like(($res->json // {})->{error}, qr/zone of the broker is full/,
         "$size octets: why");
    $full++;

    is($h->request(POST => '/push/topic/nobody', body => 'x')->status, 200,
       "$size octets: a message that nobody hears needs no room");

    for (1 .. 5) {
        $res = $h->request(POST => '/push/topic/x', body => 'y' x 60_000);
        is($res->status, 503, "$size octets: still full");
        $full++;
    }

    is($h->request(GET => '/stomp_status')->json->{refused}, $refused + $full,
       "$size octets: counted as refused");

    kill 'CONT', $still;

    my @got = map { $_->{body} } $c->collect(scalar @accepted, 10);
    is(scalar @got, scalar @accepted, "$size octets: all accepted ones came");
    ok(join(' ', @got) eq join(' ', @accepted),
       "$size octets: unharmed and in order");

    for my $n (1 .. 3) {
        $res = $h->request(POST => '/push/topic/x', body => "after $n");
        is($res->status, 200, "$size octets: there is room again");
        $c->expect(MESSAGE => -body => "after $n",
                   -name => "$size octets: used again");
    }

    is(idle_status()->{zone}{used}, $idle, "$size octets: nothing leaked");
}

is(idle_status()->{dropped}, 0, 'nothing was dropped');
like($t->error_log, qr/\[error\].*zone of stomp_broker "chat" is full/,
     'the log tells it');

$c->close;
$t->ok_no_alerts;
done_testing();


# A request to be answered with that status; the response.

sub limited {
    my ($status, $way, $body, @headers) = @_;

    my $response = $t->push_message('/topic/x', $body, path => "/$way",
                                    headers => \@headers);
    is($response->status, $status, "$way: $status");
    return $response;
}


# The answer's body, then a line with its status and the version of HTTP.

sub http2 {
    my ($path, @options) = @_;

    open my $out, '-|', 'curl', '-s', '--http2-prior-knowledge', '-m', 10,
        '-w', '%{http_code} %{http_version}', @options,
        'http://127.0.0.1:' . $t->port(2) . $path or die "curl: $!\n";

    local $/;
    return scalar <$out>;
}


# What a worker has in hand is given back at its next turn.

sub idle_status {
    my $status;

    # what is freed is given back 64 objects at a time
    wait_for(30, sub {
        $status = $t->status;
        return $status->{zone}{used} == $idle;
    });

    return $status;
}
