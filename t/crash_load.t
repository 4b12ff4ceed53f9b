#!/usr/bin/perl

# Without this: a process that is killed, or stands still, takes messages,
# counts or memory of the others with it.
#
#   STOMP_LOAD_KILLS    workers to be killed (20)
#   STOMP_LOAD_SECONDS  go on with the kills for so long (0)

use strict;
use warnings;

use lib 't/lib';
use List::Util qw(shuffle);
use Test::More;
use Test::Stomp;
use Test::Stomp::Load;

my $kills = $ENV{STOMP_LOAD_KILLS} // 20;
my $until = now() + ($ENV{STOMP_LOAD_SECONDS} // 0);

my $t = nginx(workers => 4, log => 'notice', access_log => 0);

$t->write_conf(<<'CONF')->start;
proxy_cache_path %%PREFIX%%/cache keys_zone=cache:1m;
keepalive_requests 1000000;

stomp_broker chat { zone 64m; topic /topic/; allow send /topic/**; }

server {
    listen 127.0.0.1:%%PORT%%;

    location = /endpoint-websocket { stomp_pass chat; }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }

    location = /cached {
        proxy_pass http://127.0.0.1:%%PORT%%;
        proxy_cache cache;
    }
}
CONF

my $idle = $t->status->{zone}{used};


# workers are killed at random moments, one or two at once

while ($kills > 0 || now() < $until) {
    my $load = Test::Stomp::Load->new($t);
    my $round = $kills > 0 && $kills < 20 ? $kills : 20;

    for (my $n = 0; $n < $round; ) {
        select undef, undef, undef, rand 1;

        my @workers = shuffle $t->workers;
        my $two = $n + 1 < $round && rand() < 0.25;
        my @victims = splice @workers, 0, $two ? 2 : 1;

        $t->kill_worker($_, respawn => 0) for @victims;
        $n += @victims;
        $load->ok_settled("kill $n: all subscribers are back");
    }

    $kills -= $round;

    my $r = $load->ok_finish("$round workers were killed");
    cmp_ok($r->{reconnects}, '>', 0, "$r->{reconnects} reconnects");
    is(join(' ', sort keys %{ $r->{closes} }), '1006',
       'who was not on a killed worker was not closed');
    is($t->status->{dropped}, 0, 'nobody was too slow');
    settles("after $round kills");
}


# the cache manager owns nothing

{
    my $load = Test::Stomp::Load->new($t);
    my $before = join ' ', $t->workers;
    my %title = $t->children;
    my ($manager) = grep { $title{$_} =~ /cache manager/ } keys %title;

    $t->allow_death($manager, 'cache manager process');
    kill 'KILL', $manager;

    ok(wait_for(10, sub {
        my %now = $t->children;
        return grep { $_ != $manager && $now{$_} =~ /cache manager/ } keys %now;
    }), 'the cache manager was killed, another one runs');

    # until the ticks of all workers have looked for the dead
    my $published = $t->status->{published};
    ok(wait_for(20, sub { $t->status->{published} > $published + 3000 }),
       'messages flow');

    $load->ok_settled('nobody was reaped');
    is(join(' ', $t->workers), $before, 'the workers are the same');

    my $r = $load->ok_finish('the cache manager was killed');
    is($r->{reconnects}, 0, 'nobody was closed');
    settles('after the cache manager');
}


# A worker stands still for ten seconds, and what comes meanwhile fits into
# its inbox: the others don't notice, its own get all of it later.

{
    my $load = Test::Stomp::Load->new($t, '--rate' => 500, '--window' => 0);
    my ($probe, $publish) = probes();
    my ($stopped, @running) = sort keys %$probe;
    my $pid = pid_of($stopped);

    stop_without_lock($pid);
    my $end = now() + 10;
    my ($n, $got) = (0, 3);

    while ($got == 3 && now() < $end) {
        $publish->{ $running[ ++$n % 3 ] }->send('/topic/probe', $n);
        $got = grep { gets($_, $n) } @$probe{@running};
    }

    is($got, 3, "three workers got each of $n messages while one stood still");

    kill 'CONT', $pid;

    my $late = 0;
    $late++ while $late < $n && gets($probe->{$stopped}, $late + 1);
    is($late, $n, 'which gets them when it goes on');
    $_->disconnect for values %$probe, values %$publish;
    $load->ok_settled('nobody was closed');

    my $r = $load->ok_finish('a worker stood still for 10 s', others => $n);
    is($r->{reconnects}, 0, 'nobody had to come back');
    cmp_ok($r->{max_us}, '>', 9e6, 'messages did wait');
    is($t->status->{dropped}, 0, 'nobody was too slow');
    settles('after 10 s');
}


# The same with more than fits: its sessions are closed, and counted.

{
    my $load = Test::Stomp::Load->new($t, '--rate' => 2000, '--window' => 0,
                                      '--body' => 4000);
    my $worker = $t->status->{workers}[0];

    stop_without_lock($worker->{pid});

    my $start = $t->status->{published};
    ok(wait_for(60, sub { $t->status->{published} > $start + 4000 }),
       '16 MB are published while a worker stands still');
    kill 'CONT', $worker->{pid};

    ok(wait_for(20, sub { $t->status->{dropped} }), 'it finds that out');
    $load->ok_settled('its subscribers are back');

    my $r = $load->ok_finish('a worker stood still for too long');
    my $s = $t->status;

    is($r->{closes}{1013}, $worker->{subscriptions},
       'all its subscribers were closed with 1013');
    is($s->{dropped}, $r->{closes}{1013}, 'they are counted');
    is($r->{reconnects}, $r->{closes}{1013}, 'nobody else was closed');
    settles('after an overrun');
}

$t->ok_no_alerts;

done_testing;


sub settles {
    my ($name) = @_;

    ok(wait_for(10, sub {
        my $s = $t->status;
        return $s->{zone}{used} == $idle && $s->{sessions} == 0
               && $s->{subscriptions} == 0 && $s->{destinations} == 0
               && @{ $s->{workers} } == 4;
    }), "$name the zone is as empty as before") or diag explain $t->status;
    return;
}


# With the lock in its hands it would stop all others; that is tested in
# t/crash_load_points.t.

sub stop_without_lock {
    my ($pid) = @_;

    for (1 .. 50) {
        kill 'STOP', $pid or die "kill: $!";
        return if eval { $t->request(GET => '/stomp_status', timeout => 3)
                           ->status };
        kill 'CONT', $pid;
        wait_for(30, sub { eval { $t->status } });
    }

    die "worker $pid always has the lock\n";
}


# a subscriber and a publisher on each worker, by slot

sub probes {
    my $by = $t->stomp_spread(4, 2);
    my %probe = map { $_ => $by->{$_}[0] } keys %$by;

    $_->subscribe('/topic/probe') for values %probe;
    return (\%probe, { map { $_ => $by->{$_}[1] } keys %$by });
}


sub pid_of {
    my ($slot) = @_;

    my ($worker) = grep { $_->{slot} == hex $slot } @{ $t->status->{workers} };
    return $worker->{pid};
}


# true if message $n comes next

sub gets {
    my ($client, $n) = @_;

    my $m = $client->recv(10);
    return $m && $m->{body} eq $n;
}
