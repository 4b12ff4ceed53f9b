#!/usr/bin/perl

# Without this: the client library that most front ends use can't work with
# queues and transactions, or misses messages when it comes back, in Node or
# in a browser.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;
use Test::Stomp::Script;

plan skip_all => 'NODE_PATH not set' unless $ENV{NODE_PATH};
plan skip_all => 'no @stomp/stompjs in NODE_PATH'
    unless -d "$ENV{NODE_PATH}/\@stomp/stompjs";

my $t = nginx(workers => 2);

$t->write_conf(<<"CONF")->start;
stomp_shutdown_drain 1s;

stomp_broker chat {
    zone 8m;
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
    location = /beating {
        stomp_pass chat;
        stomp_heartbeat 1s;
        stomp_heartbeat_tolerance 2;
    }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }

    types { text/html html; text/javascript js mjs; }

    location = /page.html {
        default_type text/html;
        return 200 '<!doctype html>
            <script src="/stomp.umd.min.js"></script>
            <script type="module" src="/stompjs/queues.mjs"></script>';
    }
    location = /stomp.umd.min.js {
        alias $ENV{NODE_PATH}/\@stomp/stompjs/bundles/stomp.umd.min.js;
    }
    location = /stompjs/platform.mjs {
        alias %%ROOT%%/t/browser/platform.mjs;
    }
    location /stompjs/ { alias %%ROOT%%/t/stompjs/; }
}
CONF

run_script($t, 'Node', 'node', $t->root . '/t/stompjs/queues.mjs', $t->port);

SKIP: {
    my ($chromium) = grep { defined && -x } $ENV{CHROMIUM},
        '/usr/bin/chromium', '/usr/bin/chromium-browser';
    skip 'no chromium', 1 unless $chromium;

    run_script($t, 'Chromium', 'node', $t->root . '/t/browser/script.mjs',
               $chromium, $t->prefix . '/profile',
               'http://127.0.0.1:' . $t->port . '/page.html');
}

$t->ok_no_alerts;
done_testing();
