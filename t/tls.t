#!/usr/bin/perl

# Without this: what works over plain TCP hangs or breaks over TLS, where a
# write that was not taken must be repeated with the same octets.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;

plan skip_all => 'no IO::Socket::SSL' unless eval { require IO::Socket::SSL };

my $t = nginx(workers => 2, log => 'info');

$t->write_conf(<<'CONF');
stomp_broker chat { zone 16m; topic /topic/; allow send /topic/**; }

ssl_certificate     %%PREFIX%%/cert.pem;
ssl_certificate_key %%PREFIX%%/key.pem;

client_max_body_size  2m;
stomp_max_body        1m;
stomp_max_frame       2m;
stomp_max_output      64m;

server {
    listen 127.0.0.1:%%PORT%%;
    listen 127.0.0.1:%%PORT2%% ssl;

    location = /endpoint-websocket { stomp_pass chat; }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF

my $prefix = $t->prefix;

is(system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test "
          . "-keyout $prefix/key.pem -out $prefix/cert.pem 2>/dev/null"), 0,
   'a certificate');

$t->start;

my @tls = (port => $t->port(2), tls => 1);

my $a = $t->stomp(@tls);
my $b = $t->stomp(@tls);
my $plain = $t->stomp;

$_->subscribe('/topic/tls') for $a, $b, $plain;

$a->send('/topic/tls', 'hello');
$_->expect(MESSAGE => destination => '/topic/tls', -body => 'hello')
    for $a, $b, $plain;


# many forms, so that each session has several ranges to send

my @many = map { my $c = $t->stomp(@tls);
                 $c->subscribe('/topic/many', id => "own-$_"); $c } 1 .. 12;

for my $n (1 .. 20) {
    $t->push_message('/topic/many', "$n:" . 'x' x 3000);
}

my $right = 0;

for my $c (@many) {
    for my $n (1 .. 20) {
        my $m = $c->recv(10);
        $right++ if $m && $m->{body} eq "$n:" . 'x' x 3000;
    }
}

is($right, 240, 'shared tails reach sessions with ids of their own');


# a reader that stops, and then goes on: writes are cut short and repeated

my $slow = $t->stomp(@tls);
$slow->subscribe('/topic/slow');

my $body = join '', map { chr 97 + $_ % 26 } 1 .. 500_000;

for my $n (1 .. 24) {
    is($t->push_message('/topic/slow', "$n:$body")->{status}, 200,
       "large message $n is published");
}

$right = 0;

for my $n (1 .. 24) {
    my $m = $slow->recv(20);
    $right++ if $m && $m->{body} eq "$n:$body";
}

is($right, 24, 'all large messages arrive unharmed');


# the end: a close frame, then TLS's own

$slow->ws->send_close(1000, 'bye');
my ($code, $reason) = $slow->ws->wait_close(5);
is($code, 1000, 'the close frame is answered');

$_->disconnect for $a, $b, $plain, @many;

ok(wait_for(10, sub {
    my $s = $t->status;
    return $s->{sessions} == 0 && $s->{zone}{used} == 0;
}), 'all sessions are gone') or diag explain $t->status;

$t->ok_no_alerts;

done_testing;
