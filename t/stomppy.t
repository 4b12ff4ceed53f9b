#!/usr/bin/perl

# Without this: what suits one client's habits is taken for the protocol.
# stomp.py reads and writes frames in its own way, and is less patient.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;
use Test::Stomp::Script;

my $python = '/usr/bin/python3';

plan skip_all => 'no stomp.py, or no websocket-client'
    unless -x $python
           && system("$python -c 'import stomp, websocket' 2>/dev/null") == 0;

my $http = <<'CONF';
stomp_shutdown_drain 1s;
stomp_broker chat {
    zone 16m;
    topic /topic/;
    queue /queue/;
    history /topic/kept/ 1000 10m;
    allow send /topic/** /queue/**;
    allow subscribe /queue/**;
}

server {
    listen 127.0.0.1:%%PORT%%;

    # no request is to wait on a connection of a worker that is stopped
    keepalive_timeout 0;

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

run_script($t, 'stomp.py', $python, $t->root . '/t/stomppy/client.py',
           $t->port);

ok(wait_for(10, sub {
    my $status = $t->status;
    return !grep { $status->{$_} } qw(sessions queues queued unacknowledged);
}), 'nothing is left of it') or diag explain $t->status;

$t->ok_no_alerts;
done_testing();
