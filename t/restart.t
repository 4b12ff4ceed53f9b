#!/usr/bin/perl

# Without this: an nginx that was stopped and started again, with the machine
# or without, finds something of its former life, or can't serve at once.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;

my $t = nginx(workers => 2)->start;
my %epoch;

for my $signal (qw(QUIT TERM KILL)) {
    my $c = $t->stomp;
    $c->subscribe('/topic/a');
    is($t->push_message('/topic/a', $signal)->status, 200,
       "$signal: published");
    $c->expect(MESSAGE => -body => $signal, -name => "$signal: received");

    $epoch{ $t->status->{epoch} }++;

    my @pids = ($t->master, $t->workers);

    if ($signal eq 'KILL') {
        kill KILL => @pids;

    } else {
        $c->disconnect if $signal eq 'QUIT';
        kill $signal, $t->master;
    }

    ok(wait_for(20, sub { !grep { Test::Stomp::Nginx::alive($_) } @pids }),
       "$signal: all processes are gone");

    unlink $t->prefix . '/logs/nginx.pid';
    $t->start;

    my $s = $t->status;
    is(join(' ', map { $s->{$_} } qw(sessions subscriptions destinations
                                     published dropped refused recovered)),
       '0 0 0 0 0 0 0', "$signal: starts with nothing");
    is($s->{zone}{used}, 0, "$signal: and no memory is used");
    ok(!$epoch{ $s->{epoch} }, "$signal: in a new epoch");
}

my $c = $t->stomp;
$c->subscribe('/topic/a');
$c->send('/topic/a', 'x');
$c->expect(MESSAGE => -body => 'x', -name => 'clients can connect at once');
$c->disconnect;

$t->ok_no_alerts;

done_testing;
