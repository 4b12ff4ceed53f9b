#!/usr/bin/perl

# Without this: a broker that works only with a master process and workers.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;

my $http = <<'CONF';
stomp_broker chat { zone 16m; topic /topic/; allow send /topic/**; }

server {
    listen 127.0.0.1:%%PORT%%;

    location = /endpoint-websocket { stomp_pass chat; }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF

my $t = nginx(workers => 0, log => 'notice');
$t->write_conf($http)->start;

is(scalar keys %{ { $t->children } }, 0, 'one process');

my $first = $t->status;
is(join(' ', map { $_->{pid} } @{ $first->{workers} }), $t->master,
   'which is the worker');

my ($r, $exit, $text) = run_fanout($t, '--subscribers' => 200,
    '--destination' => '/topic/single', '--destinations' => 10,
    '--messages' => 2000, '--publish' => 'alternate',
    '--publishers' => 8, '--receipt', '--timeout' => 60, '--stall' => 20);

is($exit, 0, '200 subscribers get all') or diag $text;
is_empty();


# Of its own, nginx takes no new connections after a reload without a master;
# those that are there go on.

my ($one, $two) = map { $t->stomp } 1 .. 2;
$_->subscribe('/topic/a') for $one, $two;

for my $n (1 .. 3) {
    reload($http);

    $one->send('/topic/a', "reload $n", receipt => 1);
    $_->expect(MESSAGE => -body => "reload $n",
               -name => "reload $n: a session goes on") for $one, $two;
}


# the memory of a zone that is replaced is gone at once, and its sessions

(my $larger = $http) =~ s/zone 16m/zone 20m/;
reload($larger);

for my $session ($one, $two) {
    ok(wait_for(10, sub { eval { $session->ws->wait_close(0.1) };
                          $session->ws->closed }),
       'a larger zone: a session of the old one is closed');
}

like($t->error_log, qr/the zone of stomp_broker "chat" was replaced/,
     'the log says so');

reload($http);
is($t->stop, 'QUIT', 'it ends when it is told to');

$t->ok_no_alerts;

done_testing;


sub reload {
    my ($conf) = @_;

    my $done = qr/ using the "\w+" event method/;
    my $before = () = $t->error_log =~ /$done/g;

    $t->write_conf($conf);
    kill 'HUP', $t->master or die "HUP: $!";

    ok(wait_for(10, sub {
        my $n = () = $t->error_log =~ /$done/g;
        return $n > $before;
    }), 'a reload') or diag $t->error_log;
    return;
}


sub is_empty {
    my $s;

    ok(wait_for(10, sub {
        $s = $t->status;
        return $s->{zone}{used} == 0 && $s->{sessions} == 0
               && $s->{subscriptions} == 0;
    }), 'the zone is empty') or diag explain $s;
    return;
}
