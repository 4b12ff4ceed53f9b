#!/usr/bin/perl

# Without this: a reload that loses messages, or workers that never end.
#
#   STOMP_LOAD_RELOADS  reloads (20)
#   STOMP_LOAD_SECONDS  go on with them for so long (0)

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;
use Test::Stomp::Load;

my $reloads = $ENV{STOMP_LOAD_RELOADS} // 20;
my $until = now() + ($ENV{STOMP_LOAD_SECONDS} // 0);

my $http = <<'CONF';
keepalive_requests 1000000;
stomp_shutdown_drain 3s;
stomp_broker chat { zone 64m; topic /topic/; allow send /topic/**; }

server {
    listen 127.0.0.1:%%PORT%%;

    location = /endpoint-websocket { stomp_pass chat; }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF

my $t = nginx(workers => 4, log => 'notice', access_log => 0);
$t->write_conf($http)->start;

my $idle = $t->status->{zone}{used};
my $epoch = $t->status->{epoch};


# at random moments, also while others are under way, with more workers or
# fewer

while ($reloads > 0 || now() < $until) {
    my $load = Test::Stomp::Load->new($t);
    my $round = $reloads > 0 && $reloads < 20 ? $reloads : 20;

    for my $reload (1 .. $round) {
        select undef, undef, undef, rand 1.5;

        my $workers = (4, 6, 2, 4, 1, 3)[ $reload % 6 ];
        $t->write_conf($http, workers => $workers);
        ok($t->reload(timeout => 30), "reload $reload, $workers workers")
            or diag $t->reload_error;

        next unless $reload % 5 == 0;
        ok(workers_are($workers), 'the old workers have ended');
        $load->ok_settled('all subscribers are back');
    }

    $reloads -= $round;

    my $r = $load->ok_finish("$round reloads");
    my %closes = %{ $r->{closes} };
    my $lost = 0;
    $lost += $_ for values %{ $r->{lost_slots} };

    # nginx itself closes idle keep-alive connections without a word: a
    # publisher whose request was under way then has no answer

    cmp_ok($lost, '>', 0, "$lost subscribers were closed and came back");
    cmp_ok($closes{1001} // 0, '>=', $lost, 'all of them with code 1001')
        or diag explain \%closes;
    cmp_ok($closes{1006} // 0, '<=', $r->{uncertain},
           'only publishers without an answer were not')
        or diag explain \%closes;
    is(join(' ', grep { $_ != 1001 && $_ != 1006 } keys %closes), '',
       'no other code');
}

ok(workers_are($t->{workers}), 'the old workers have ended after the drain');
is(scalar(grep { !/worker process/ } values %{ { $t->children } }), 0,
   'no other process is left');

my $s;
ok(wait_for(10, sub {
    $s = $t->status;
    return $s->{zone}{used} == $idle && $s->{sessions} == 0
           && $s->{subscriptions} == 0 && $s->{destinations} == 0
           && @{ $s->{workers} } == $t->{workers};
}), 'the zone is as empty as before') or diag explain $s;

is($s->{epoch}, $epoch, 'it is the same zone');
is($s->{$_}, 0, "$_ is 0") for qw(dropped recovered);

$t->ok_no_alerts;

done_testing;


sub workers_are {
    my ($n) = @_;

    return wait_for(30, sub { $t->workers(all => 1) == $n });
}
