#!/usr/bin/perl

# Without this: the client library that most front ends use needs a setting,
# loses octets, does not come back, or reports an error at an orderly end.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;
use Test::Stomp::Script;

plan skip_all => 'NODE_PATH not set' unless $ENV{NODE_PATH};
plan skip_all => 'no @stomp/stompjs in NODE_PATH'
    unless -d "$ENV{NODE_PATH}/\@stomp/stompjs";

my $http = <<'CONF';
stomp_shutdown_drain 1s;
stomp_broker chat { zone 16m; topic /topic/ /chat/; allow send /topic/**; }

stomp_broker users {
    zone 1m; topic /topic/; allow send /user/*/whisper;
    users %%ROOT%%/conf-examples/users/users;
}

server {
    listen 127.0.0.1:%%PORT%%;

    location = /users { stomp_pass users; }
    location ~ ^/push(/user/.*) { stomp_push users;
                                  stomp_push_destination $1; }

    location = /endpoint-websocket { stomp_pass chat; }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }

    location = /beating {
        stomp_pass chat;
        stomp_heartbeat 1s;
        stomp_heartbeat_tolerance 2;
    }
}
CONF

my $t = nginx(workers => 2);
$t->write_conf($http)->start;

run_script($t, $_, 'node', $t->root . "/t/stompjs/$_.mjs", $t->port)
    for qw(messages life transactions users);


# a client from before there were versions

for my $version (undef, '1.0') {
    my $name = defined $version ? "accept-version:$version"
                                : 'no accept-version';
    my $c = Test::Stomp::Client->new(port => $t->port, subprotocols => []);
    my $frame = $c->connect(version => $version, login => 'a:b',
                            passcode => 'c');

    is($frame && $frame->{command}, 'CONNECTED', "$name: connected");
    ok(defined $frame->{headers}{session}, "$name: with a session");
    is($frame->{headers}{'heart-beat'} // '0,0', '0,0', "$name: no beats");

    $c->subscribe('/topic/old', id => undef);
    $c->send('/topic/old', "a\0b");
    $c->expect(MESSAGE => destination => '/topic/old', subscription => undef,
               -body => "a\0b", -name => "$name: a message, without an id");

    $c->send('/topic/old', 'text', content_length => 0,
             headers => [ back => 'a\\nb' ]);
    $c->expect(MESSAGE => -body => 'text', back => 'a\\nb',
               -name => "$name: nothing is escaped");

    $c->command(UNSUBSCRIBE => [ destination => '/topic/old' ], undef,
                receipt => 1);
    is($t->push_message('/topic/old', 'x')->json->{subscribers}, 0,
       "$name: unsubscribed by its destination");
    $c->disconnect;
}

$t->ok_no_alerts;
done_testing();
