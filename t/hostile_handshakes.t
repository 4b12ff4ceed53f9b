#!/usr/bin/perl

# Without this: connections that never say anything stay for ever, a flood of
# handshakes takes the broker away from those who are connected, or a wave of
# refused ones can't be seen in the counters.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;
use Test::Stomp::Hostile;

my $http = <<'CONF';
stomp_broker chat { zone 8m; topic /topic/ /chat/; allow send /topic/**; }

limit_conn_zone $binary_remote_addr zone=peers:1m;
limit_req_zone $binary_remote_addr zone=rate:1m rate=10r/s;
limit_conn_log_level info;
limit_req_log_level info;
limit_conn_status 429;
limit_req_status 429;

server {
    listen 127.0.0.1:%%PORT%%;
    client_header_timeout 2s;
    stomp_connect_timeout 2s;

    location = /endpoint-websocket { stomp_pass chat; }
    location = /limited_conn { stomp_pass chat; limit_conn peers 20; }
    location = /limited_req { stomp_pass chat; limit_req zone=rate burst=9
                                                                nodelay; }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF

my ($t, $decoy) = pair($http, workers => 2, connections => 8000,
                       globals => 'worker_rlimit_nofile 20000;');

my $many = scaled(1500);


# connections that say nothing, or half of what they should, or all of it but
# no CONNECT: each has its time, and then is closed

for (
    [ tcp => 'connections without an octet', 1, { 1006 => $many } ],
    [ half => 'half a request each', 1, { 1006 => $many } ],
    [ idle => 'handshakes without CONNECT', 1, { 1008 => $many } ],
) {
    my ($attack, $name, $lines, $closes) = @$_;

    my $from = length $t->error_log;
    my $before = $t->status;
    my $f = start_hostile($t, $attack, '--connections' => $many,
                          '--seconds' => 40);

    my $c = $t->stomp;
    $c->subscribe('/topic/a');
    $c->send('/topic/a', 'x');
    $c->expect(MESSAGE => -body => 'x', -name => "$name: others get in");
    $c->disconnect;

    my ($r) = $f->finish;

    is($r->{lost}, $many, "$name: all $many were closed");
    is_deeply($r->{closes}, $closes, "$name: in the way that they should");
    cmp_ok($r->{seconds}, '<', 20, "$name: in time");

    my $s = zone_empty($t, $name);
    is($s->{refused} - $before->{refused},
       $attack eq 'idle' ? $many : 0, "$name: counted");
    only_info($t, $from, $lines * $many + 10, $name);
}


# floods; who leaves at once, and who is refused

for (
    [ handshakes => 'handshakes that are reset', 0, 1 ],
    [ refused => 'handshakes without a key', 1, 2 ],
) {
    my ($attack, $name, $refused, $lines) = @$_;

    my $from = length $t->error_log;
    my $before = $t->status;
    my $r = others_ok($t, $decoy, $name, $attack, '--connections' => 16);

    cmp_ok($r->{items}, '>', 1000, "$name: $r->{items}");
    is($refused ? $r->{other_answers} : $r->{answers}, $r->{items},
       "$name: all were answered");
    is($r->{lost}, 0, "$name: by an answer");

    my $s = zone_empty($t, $name);
    is($s->{refused} - $before->{refused}, $refused * $r->{items},
       "$name: counted");
    is($s->{published} - $before->{published}, $r->{others},
       "$name: the others' messages are");
    only_info($t, $from, $lines * $r->{items} + 100, $name);
}


# nginx's own limits guard the handshake

{
    my $from = length $t->error_log;
    my @c = map { $t->ws(path => '/limited_conn') } 1 .. 30;

    is(scalar(grep { $_->connected } @c), 20, 'limit_conn: 20 of 30');
    is(scalar(grep { $_->status == 429 } @c), 10, 'limit_conn: 10 refused');
    $_->close_socket for @c;

    ok(wait_for(5, sub {
        my $ws = $t->ws(path => '/limited_conn');
        my $in = $ws->connected;
        $ws->close_socket;
        return $in;
    }), 'limit_conn: who has left makes room');

    @c = map { $t->ws(path => '/limited_req') } 1 .. 60;
    my $in = grep { $_->connected } @c;
    ok($in >= 10 && $in < 60, "limit_req: $in of 60 at once");
    $_->close_socket for @c;
    only_info($t, $from, 200, 'limits of nginx');
}


# what is left

my $fds = sub {
    my $n = 0;
    for my $pid ($t->workers) {
        opendir my $dir, "/proc/$pid/fd" or die "/proc/$pid: $!";
        $n += grep { /^\d/ } readdir $dir;
    }
    return $n;
};

zone_empty($t, 'limits of nginx');
my $left = $fds->();

steady($t, 1 << 20, 'handshakes', sub {
    run_hostile($t, $_, '--connections' => 64, '--seconds' => 1)
        for qw(handshakes refused);
    run_hostile($t, 'idle', '--connections' => $many, '--seconds' => 0.5);
});

zone_empty($t, 'handshakes');
ok(wait_for(5, sub { $fds->() <= $left }), 'no descriptor is left')
    or diag $fds->() . " instead of $left";

$_->ok_no_alerts for $t, $decoy;

done_testing;
