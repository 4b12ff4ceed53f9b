#!/usr/bin/perl

# Without this: a worker that hangs (on a disk, in a debugger) fills the zone
# for all, or goes on later as if it had missed nothing.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;

my $t = nginx(workers => 2, log => 'notice');

$t->write_conf(<<'CONF')->start;
stomp_broker chat {
    zone   4m;
    topic  /topic/;
    allow  send /topic/**;
    inbox  64k;
}

server {
    listen 127.0.0.1:%%PORT%%;

    location = /endpoint-websocket { stomp_pass chat; }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF

# a subscriber of the busy and one of the quiet destination on each worker

my $by = $t->stomp_spread(2, 3);
my (%busy, %quiet, %wild);

for my $slot (keys %$by) {
    ($busy{$slot}, $quiet{$slot}, $wild{$slot}) = @{$by->{$slot}};
    $wild{$slot}->subscribe('/topic/busy/**');
    $busy{$slot}->subscribe('/topic/busy');
    $quiet{$slot}->subscribe('/topic/quiet');
}

my ($stopped, $running) = sort { hex $a <=> hex $b } keys %busy;
my ($worker) = grep { $_->{slot} == hex $stopped } @{$t->status->{workers}};

kill STOP => $worker->{pid};

# its own sender: a push could wait in the stopped worker's socket

my $n = 400;

for my $i (1 .. $n) {
    $busy{$running}->send('/topic/busy', "$i:" . 'x' x 1000);
}

my $right = 0;

for my $i (1 .. $n) {
    my $m = $busy{$running}->recv(10);
    $right++ if $m && $m->{body} eq "$i:" . 'x' x 1000;
}

is($right, $n, 'the other worker\'s subscriber got all of them, in order');

kill CONT => $worker->{pid};

my ($code) = $busy{$stopped}->ws->wait_close(10);
is($code, 1013, 'who may have missed a message is closed with 1013');
($code) = $wild{$stopped}->ws->wait_close(10);
is($code, 1013, 'so is who listens to a pattern');
ok(wait_for(5, sub { $t->status->{dropped} == 2 }), 'and counted')
    or diag $t->status->{dropped};

$busy{$running}->send('/topic/quiet', 'still here');
$quiet{$_}->expect(MESSAGE => -body => 'still here',
                   -name => "the quiet destination on slot $_ goes on")
    for sort keys %quiet;

my $again;
ok(wait_for(10, sub {
    my $c = $t->stomp;
    return 1 if $c->slot eq $stopped && ($again = $c);
    $c->disconnect;
    return 0;
}), 'the worker takes new sessions');

$again->subscribe('/topic/busy');
$busy{$running}->send('/topic/busy', 'back');
$again->expect(MESSAGE => -body => 'back', -name => 'and serves them');

like($t->error_log, qr/\[warn\].*this worker was too slow/,
     'the log says what happened');

$_->disconnect for values %quiet, $busy{$running}, $wild{$running}, $again;

ok(wait_for(10, sub {
    my $s = $t->status;
    return $s->{sessions} == 0 && $s->{zone}{used} == 0;
}), 'the zone is empty again') or diag explain $t->status;

$t->ok_no_alerts;

done_testing;
