# Without it a directive could be lost on its way from http to a location, two
# brokers could share something, and an "if" in a location has once killed the
# worker.

use lib 't/lib';

use Test::More;
use Test::Stomp;

my $t = nginx();

Test::Stomp::Nginx::write_file($t->prefix . '/conf/broker-zone.inc',
                               "zone 2m;\ninbox 1m;\n");
Test::Stomp::Nginx::write_file($t->prefix . '/conf/broker-allow.inc',
                               "allow send /topic/*;\n");

$t->write_conf(<<'CONF')->start;
stomp_max_subscriptions 3;
stomp_origins           https://http.example;

server {
    listen 127.0.0.1:%%PORT%%;

    location = /http { stomp_pass later; }
    location = /other { stomp_pass other; }
    location = /status { stomp_status other; }

    location /push/ { stomp_push later; }
    location /push-other/ { stomp_push other; }

    location /if/push/ {
        stomp_push later;
        if ($arg_x) { set $y 1; }
        limit_except POST { deny all; }
    }

    location = /if/ws {
        stomp_pass later;
        stomp_max_subscriptions 4;
        if ($arg_x) { set $y 1; }
        limit_except HEAD { allow all; }
    }
}

server {
    listen 127.0.0.1:%%PORT2%%;

    stomp_max_subscriptions 2;
    stomp_origins           *;

    location / {
        stomp_pass later;

        location = /location {
            stomp_pass               later;
            stomp_max_subscriptions  1;
            stomp_origins            same;
        }
    }
}

stomp_broker later { include broker*.inc; topic /topic/; }

stomp_broker other {
    topic  /a/ /b/;
    topic  /c/;
    zone   1m;
}
CONF

for ([ '/http', '', 3, 'http' ], [ '/any', 2, 2, 'server' ],
     [ '/location', 2, 1, 'location' ], [ '/if/ws?x=1', '', 4, 'if' ])
{
    my ($path, $port, $max, $where) = @$_;

    my $c = $t->stomp(path => $path, port => $t->port($port));
    $c->subscribe("/topic/$_") for 1 .. $max;
    $c->command(SUBSCRIBE => [ destination => '/topic/x', id => 'x' ]);
    $c->expect_error('too many subscriptions',
                     "stomp_max_subscriptions, $where", 1008);
}

for ([ '/http', '', 'https://http.example', 101, 'http' ],
     [ '/http', '', 'https://other.example', 403, 'http' ],
     [ '/any', 2, 'https://other.example', 101, 'server' ],
     [ '/location', 2, 'https://other.example', 403, 'location' ])
{
    my ($path, $port, $origin, $status, $where) = @$_;
    is(handshake($path, $t->port($port), $origin), $status,
       "stomp_origins, $where: $origin");
}

{
    my $c = $t->stomp(path => '/http');
    my $o = $t->stomp(path => '/other');

    $c->subscribe('/topic/a');
    $c->send('/topic/a', 'mine', receipt => 1);
    $c->expect(MESSAGE => -body => 'mine');
    $o->subscribe("/$_/x") for qw(a b c);

    my $push = $t->push_message('/c/x', 'x', path => '/push-other');
    is($push->json->{subscribers}, 1, 'pushed to one of three prefixes');
    $o->expect(MESSAGE => destination => '/c/x', -name => 'and received');
    $c->expect_none(0.1, 'brokers share nothing');

    my $status = $t->status('/status');
    is($status->{broker}, 'other', 'status of its own broker');
    is($status->{subscriptions}, 3, 'which counts its own subscriptions');
    is($status->{zone}{size}, 1048576, 'and has the zone that was asked for');

    $o->send('/a/x', 'x');
    $o->expect_error('SEND not allowed', 'no "allow send": nobody may');

    is($t->request(POST => '/if/push/topic/a?x=1', body => 'if')->status, 200,
       'push in a location with "if"');
    $c->expect(MESSAGE => -body => 'if');
    is($t->request(PUT => '/if/push/topic/a', body => 'x')->status, 403,
       'limit_except refuses what it is to refuse');
    is($t->request(POST => '/if/push/topic/a', body => 'last')->status, 200,
       'and nothing else');
    $c->expect(MESSAGE => -body => 'last');
}

is(handshake('/if/ws'), 101, 'the handler of what limit_except allows');

$t->ok_no_alerts;

done_testing;


sub handshake {
    my ($path, $port, $origin) = @_;

    return $t->ws(path => $path, port => $port // $t->port,
                  origin => $origin)->status;
}
