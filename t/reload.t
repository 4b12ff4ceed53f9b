#!/usr/bin/perl

# Without this: a reload that loses messages, or workers that never end.

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

my $idle = $t->status->{zone}{used};
my $epoch = $t->status->{epoch};


# ten reloads while messages flow

my $f = start_fanout($t, '--subscribers' => 200,
    '--destination' => '/topic/reload', '--destinations' => 5,
    '--messages' => 6000, '--rate' => 1000, '--publish' => 'alternate',
    '--publishers' => 8, '--timeout' => 60, '--stall' => 10, '--survive');

ok($f->wait_ready, 'subscribers and publishers run');

my $old = join ' ', sort $t->workers;

for my $reload (1 .. 10) {
    ok($t->reload(timeout => 10), "reload $reload")
        or diag $t->reload_error;
}

my ($r, $exit, $text) = $f->finish;

is($exit, 0, 'who stayed connected missed and doubled nothing') or diag $text;
cmp_ok($r->{survivors}, '>', 0, "$r->{survivors} stayed connected");

# nginx itself closes idle keep-alive connections without a word: a publisher
# whose request was under way then has no answer

my %closes = %{$r->{closes}};
my $lost = 0;
$lost += $_ for values %{$r->{lost_slots}};

cmp_ok($closes{1001}, '>=', $lost,
       "the $lost who were closed were told so, with code 1001") or diag $text;
cmp_ok($closes{1006} // 0, '<=', $r->{uncertain},
       'and only publishers without an answer were not') or diag $text;

is($t->status->{epoch}, $epoch, 'the zone is the same as before');

ok(wait_for(20, sub { $t->workers(all => 1) == 4 }),
   'the old workers have ended after the drain')
    or diag join ' ', $t->workers(all => 1);

ok(wait_for(10, sub {
    my $s = $t->status;
    return $s->{zone}{used} == $idle && $s->{sessions} == 0
           && $s->{destinations} == 0;
}), 'the zone is as empty as before') or diag explain $t->status;


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


# a zone of another size: its sessions are told to go, new ones find the new

my $stay = $t->stomp;
(my $larger = $http) =~ s/zone 16m/zone 20m/;
$t->write_conf($larger);
ok($t->reload, 'a reload with a larger zone');

my ($code) = $stay->ws->wait_close(15);
is($code, 1001, 'the old zone\'s session is closed');
isnt($t->status->{epoch}, $epoch, 'the zone is a new one');
is($t->status->{zone}{size}, 20 * 1024 * 1024, 'of the new size');

my $c = $t->stomp;
$c->subscribe('/topic/new');
$t->push_message('/topic/new', 'x');
$c->expect(MESSAGE => destination => '/topic/new', -body => 'x');
$c->disconnect;


# the broker is removed, and comes back

(my $without = $http) =~ s/stomp_broker.*\n//;
$without =~ s/location = .endpoint.*\n//;
$without =~ s/location .push.*\n//;
$without =~ s/location = .stomp_status.*\n//;

$t->write_conf($without);
ok($t->reload(old_gone => 1, timeout => 20), 'a reload without a broker');

$t->write_conf($http);
ok($t->reload, 'and with it again');

$c = $t->stomp;
$c->subscribe('/topic/again');
$t->push_message('/topic/again', 'y');
$c->expect(MESSAGE => destination => '/topic/again', -body => 'y');
$c->disconnect;

$t->ok_no_alerts;

done_testing;
