#!/usr/bin/perl

# Without this: an upgrade of the executable, with the listening sockets
# passed on, that cuts sessions, leaks descriptors to the new one, or can't
# be taken back.  As long as both run there are two brokers.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;

my $t = nginx(workers => 2, log => 'notice');

$t->write_conf(<<'CONF')->start;
stomp_shutdown_drain 2s;
stomp_broker chat { zone 8m; topic /topic/; allow send /topic/**; }

server {
    listen 127.0.0.1:%%PORT%%;

    location = /endpoint-websocket { stomp_pass chat; }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF

my $first = $t->status->{epoch};
my $descriptors = descriptors($t->master);
cmp_ok($descriptors, '>', 64, "the master has $descriptors descriptors");


# over to the new one

my @old = subscribers($first, 20);
my $old = $t->upgrade;

is($t->workers(of => $old), 2, 'the old workers go on');
is(descriptors($t->master), $descriptors,
   'the new master has as many descriptors, none of the old one\'s');

my $second = wait_for(10, sub {
    my $epoch = $t->status->{epoch};
    return $epoch ne $first && $epoch;
});
ok($second, 'it serves the same socket, with a broker of its own');

my @new = subscribers($second, 20);
flows(\@old, \@new, 'side by side');

kill 'WINCH', $old;
closed(\@old, 'each old session');
ok(wait_for(15, sub { $t->workers(of => $old, all => 1) == 0 }),
   'the old workers have ended');
is($t->status->{sessions}, 20, 'the new ones stay');

unshift @new, subscriber();
flows(\@new, [], 'the new one alone');


# and back: the old master starts workers again, with the zone it had

kill 'HUP', $old;
ok(wait_for(15, sub { $t->workers(of => $old) == 2 }),
   'the old master starts workers again');
ok(wait_for(10, sub { $t->status->{epoch} eq $first }),
   'they have the zone of before');

@old = subscribers($first, 20);
flows(\@old, \@new, 'side by side again');

my $new = $t->master;
my @pids = ($new, $t->workers);
kill 'QUIT', $new;
closed(\@new, 'each session of the new one');
ok(wait_for(15, sub { !grep { Test::Stomp::Nginx::alive($_) } @pids }),
   'the new master and its workers have ended');

($t->{master}, $t->{masters}) = ($old, []);
ok(wait_for(10, sub {
    return Test::Stomp::Nginx::read_file($t->prefix . '/logs/nginx.pid')
           eq "$old\n";
}), 'the old master has its pid file again');
is($t->status->{sessions}, 20, 'the sessions of the old one stay');
flows(\@old, [], 'back');
is(descriptors($old), $descriptors, 'no descriptor was lost or left');


# once more, to the end: the old one leaves for good

my $last = $t->upgrade;
my @gone = ($last, $t->workers(of => $last));
kill 'QUIT', $last;
closed(\@old, 'each of its sessions');
ok(wait_for(15, sub { !grep { Test::Stomp::Nginx::alive($_) } @gone }),
   'the old master and its workers have ended');
$t->{masters} = [];

is($t->workers, 2, 'the new workers run');
ok($t->reload(old_gone => 1), 'the new one reloads');

my ($c, $d) = (subscriber(), subscriber());
flows([ $c, $d ], [], 'after a reload');
$_->disconnect for $c, $d;

my $s;
ok(wait_for(10, sub {
    $s = $t->status;
    return $s->{zone}{used} == 0 && $s->{sessions} == 0;
}), 'the zone is empty') or diag explain $s;
is(descriptors($t->master), $descriptors, 'as many descriptors as ever');

$t->ok_no_alerts;

done_testing;


sub descriptors {
    my ($pid) = @_;

    opendir my $fd, "/proc/$pid/fd" or die "/proc/$pid/fd: $!\n";
    return scalar grep { /^\d+$/ } readdir $fd;
}


sub subscriber {
    my $c = $t->stomp;

    $c->subscribe('/topic/a');
    return $c;
}


# Clients of one of the two brokers: their first message tells which.

sub subscribers {
    my ($epoch, $n) = @_;

    my @clients;
    for (1 .. 20 * $n) {
        my $c = subscriber();
        $c->send('/topic/a', 'who', receipt => 1);

        my $m = $c->recv;
        push @clients, $m->{headers}{'message-id'} =~ /^$epoch-/ ? $c : ();
        $c->disconnect unless @clients && $clients[-1] == $c;
        last if @clients == $n;
    }

    return @clients;
}


# What one sends comes to all of its broker, and to nobody else.

sub flows {
    my ($one, $other, $name) = @_;

    for ([ $one, $other, 'one broker' ], [ $other, $one, 'the other' ]) {
        my ($side, $rest, $which) = @$_;
        next unless @$side;

        my $body = "$name, $which";
        $side->[0]->send('/topic/a', $body, receipt => 1);
        is(scalar(grep { hears($_, $body, 10) } @$side), scalar @$side,
           "$name: all sessions of $which");
        is(scalar(grep { hears($_, $body, 0) } @$rest), 0, '... and no others')
            if @$rest;
    }

    return;
}


# true if this message comes, maybe behind others

sub hears {
    my ($client, $body, $timeout) = @_;

    while (my $m = $client->recv($timeout)) {
        return 1 if $m->{body} eq $body;
    }

    return 0;
}


sub closed {
    my ($clients, $name) = @_;

    my @other = grep { $_ != 1001 }
                map { my ($code) = $_->ws->wait_close(10); $code // 0 }
                @$clients;
    is("@other", '', "$name was closed with 1001");
    return;
}
