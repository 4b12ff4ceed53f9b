#!/usr/bin/perl

# Without this: sessions that are cut at a reload, or stay in a zone that
# nobody publishes to any more.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;

my $http = <<'CONF';
stomp_shutdown_drain 8s;
stomp_broker chat { zone 16m; topic /topic/ /chat/; allow send /topic/**; }

server {
    listen 127.0.0.1:%%PORT%%;

    location = /endpoint-websocket { stomp_pass chat; }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF

my $t = nginx(workers => 4, log => 'notice');
$t->write_conf($http)->start;

my $epoch = $t->status->{epoch};


# the goodbyes are spread over the drain

my @clients = map { $t->stomp } 1 .. 24;
my $start = now();

ok($t->reload, 'a reload with 24 sessions');

my @closed;
ok(wait_for(15, sub {
    for my $c (grep { !$_->{test_closed} } @clients) {
        my ($code) = eval { $c->ws->wait_close(0.01) };
        next unless defined $code;
        $c->{test_closed} = 1;
        push @closed, [ now() - $start, $code ];
    }
    return @closed == 24;
}), 'all of them are closed') or diag scalar @closed;

is(scalar(grep { $_->[1] != 1001 } @closed), 0, 'with code 1001');
cmp_ok($closed[-1][0] - $closed[0][0], '>', 3, sprintf
       'over %.1f seconds', $closed[-1][0] - $closed[0][0]);


# a message from a new worker reaches a session of an old one

my $sub = $t->stomp;
$sub->subscribe('/topic/old');
ok($t->reload, 'a reload with a subscriber');
is($t->push_message('/topic/old', 'from the new one')->json->{subscribers}, 1,
   'a new worker sees the subscription of the old one');
$sub->expect(MESSAGE => destination => '/topic/old',
             -body => 'from the new one');
$sub->disconnect;
is($t->status->{epoch}, $epoch, 'all this in one zone');


# Another size, another name, or none at all: the sessions of the zone are
# told to go, those that come find the new one.

$http =~ s/drain 8s/drain 2s/;
$t->write_conf($http);
ok($t->reload(old_gone => 1), 'a reload with a shorter drain');

(my $larger = $http) =~ s/zone 16m/zone 20m/;
replaced('a larger zone', $larger);
is($t->status->{zone}{size}, 20 * 1024 * 1024, 'it has the new size');

(my $renamed = $larger) =~ s/\bchat\b(?!\/)/talk/g;
replaced('another name', $renamed);
is($t->status->{broker}, 'talk', 'it has the new name');

replaced('the former name', $larger);
is($t->status->{broker}, 'chat', 'it has the former name');

(my $without = $http) =~ s/stomp_broker.*\n//;
$without =~ s/location = .endpoint.*\n//;
$without =~ s/location .push.*\n//;
$without =~ s/location = .stomp_status.*\n//;
told_to_go('no broker', $without);

$t->write_conf($http);
ok($t->reload, 'a reload with the broker again');
works('the broker is back');

$t->ok_no_alerts;

done_testing;


sub replaced {
    my ($name, $conf) = @_;

    my $before = $t->status->{epoch};

    told_to_go($name, $conf);
    isnt($t->status->{epoch}, $before, "$name: the zone is a new one");
    works($name);
    return;
}


sub told_to_go {
    my ($name, $conf) = @_;

    my $f = start_fanout($t, '--subscribers' => 200, '--destinations' => 10,
                         '--destination' => '/topic/stay', '--hold' => 0,
                         '--survive');

    ok($f->wait_ready, "$name: 200 sessions are there");
    $t->write_conf($conf);
    ok($t->reload(old_gone => 1, timeout => 30), "$name: a reload, and all "
       . 'old workers have ended') or diag $t->reload_error;

    my ($r) = $f->finish;
    is_deeply($r->{closes}, { 1001 => 200 }, "$name: all sessions were told")
        or diag explain $r;
    return;
}


sub works {
    my ($name) = @_;

    my $c = $t->stomp;
    my $s = $t->status;

    is("$s->{sessions} $s->{subscriptions} $s->{destinations}", '1 0 0',
       "$name: nothing is left of the old ones");
    $c->subscribe('/topic/new');
    $t->push_message('/topic/new', $name);
    $c->expect(MESSAGE => destination => '/topic/new', -body => $name,
               -name => "$name: messages flow");
    $c->disconnect;

    ok(wait_for(5, sub { $t->status->{zone}{used} == 0 }),
       "$name: the zone is empty") or diag $t->status->{zone}{used};
    return;
}
