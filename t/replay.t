#!/usr/bin/perl

# Without this: a subscriber that reconnects and loses a message, or gets one
# twice or out of order, or is not told that something is missing.
#
# STOMP_REPLAY_MESSAGES: how many are published (100,000).

use strict;
use warnings;

use POSIX ();

use lib 't/lib';
use Test::More;
use Test::Stomp;

my $messages = int(($ENV{STOMP_REPLAY_MESSAGES} // 100_000) / 4);
my $rounds = 20;

my $t = nginx(workers => 4);
my $conf = <<'CONF';
stomp_broker chat {
    zone 64m;
    topic /topic/;
    allow send /topic/**;
    history /topic/h/ 200000 1h;
    history /topic/short/ 3 1h;
}

server {
    listen 127.0.0.1:%%PORT%%;
    listen 127.0.0.1:%%PORT2%% sndbuf=8k;

    location = /endpoint-websocket { stomp_pass chat; stomp_max_output 32m; }
    location = /small { stomp_pass chat; stomp_max_output 256k; }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF

$t->write_conf($conf)->start;


# 20 times away and back, while others publish: each message exactly once

my @publishers = map { publisher($_) } 0 .. 3;
my ($since, %seen, @order, @gaps, $twice);

for my $round (1 .. $rounds + 1) {
    my $c = $t->stomp;

    $c->subscribe('/topic/h/race', receipt => 0, headers => [
        defined $since ? (since => $since) : (replay => 'all') ]);

    my $until = $round > $rounds ? 4 * $messages
              : 4 * int($messages * $round / ($rounds + 1));

    while (@order < $until) {
        my $m = $c->recv or last;
        die $m->{body} if $m->{command} ne 'MESSAGE';

        $since = $m->{headers}{'message-id'};
        $twice++ if $seen{ $m->{body} }++;
        push @order, $m;
        push @gaps, $round if $m->{headers}{'replay-gap'};
    }

    $c->send_frame('DISCONNECT', []) if $round % 2;
    $c->abort;
}

is(scalar(grep { waitpid($_, 0) != $_ || $? } @publishers), 0,
   'all was published');

is(scalar keys %seen, 4 * $messages, "all of 4 times $messages messages");
is($twice, undef, 'none of them twice');
is_deeply(\@gaps, [], 'no gap');
is(disorder(map { number($_) } @order), 0, 'in order');

for my $p (0 .. 3) {
    is(join(',', map { $_->{body} } grep { $_->{body} =~ /^$p\./ } @order),
       join(',', map { "$p.$_" } 1 .. $messages), "those of publisher $p");
}


# a replay is the same for many at a time, with a small output

my $last = join ',', map { $_->{headers}{'message-id'} } @order[ -2000 .. -1 ];
my @many = map { $t->stomp(path => '/small') } 1 .. 8;
my $before = $t->status;

$_->subscribe('/topic/h/race', id => 'last', receipt => 0,
              headers => [ replay => 2000 ]) for @many;
is(scalar(grep { $last eq join ',', map { $_->{headers}{'message-id'} }
                                $_->collect(2000, 60) } @many),
   8, 'eight replays');
is($t->status->{dropped}, $before->{dropped}, 'none was too slow');


# it is live behind that

$t->push_message('/topic/h/race', 'live');
$_->expect(MESSAGE => -body => 'live') for @many;


# who reads slowly misses nothing that comes between

for my $n (3, 20, 40) {
    my $name = "/topic/h/slow$n";
    my $slow = $t->stomp(port => $t->port(2), path => '/small',
                         rcvbuf => 4096);

    $t->push_message($name, "$_ " . 'x' x 40000) for 1 .. $n;
    $slow->subscribe($name, id => 0, receipt => 0,
                     headers => [ replay => 'all' ]);
    ok(wait_for(5, sub { $t->status->{replaying} == 1 }), 'a replay waits');
    $t->push_message($name, "$_ live") for $n + 1 .. $n + 30;

    my @in = $slow->collect($n + 30);
    is(join(' ', map { $_->{body} =~ /^(\d+)/ } @in),
       join(' ', 1 .. $n + 30), "$n messages, and 30 meanwhile");
    is(scalar(grep { $_->{headers}{'replay-gap'} } @in), 0, 'without a gap');
    $slow->disconnect;
}


# back with nothing missed, and with one missed

$last = $t->push_message('/topic/h/race', 'x')->json->{'message-id'};
my $c = $t->stomp;
$c->subscribe('/topic/h/race', headers => [ since => $last ]);
$t->push_message('/topic/h/race', 'y');
$c->expect(MESSAGE => -body => 'y', 'replay-gap' => undef);

$c = $t->stomp;
$c->subscribe('/topic/h/race', headers => [ 'last-event-id' => $last ]);
$c->expect(MESSAGE => -body => 'y', 'replay-gap' => undef);


# unsubscribed, and closed, in the middle of it

for my $client (@many) {
    $client->unsubscribe('last');
    $client->collect(10, 0) while @{ $client->{queue} };
    $client->subscribe('/topic/h/race', id => 'again', receipt => 0,
                       headers => [ replay => 'all' ]);
    $client->unsubscribe('again', receipt => 'gone');
}

$_->abort for @many[0 .. 3];


# the history does not go back that far

my @id = map { $t->push_message('/topic/short/a', $_)->json->{'message-id'} }
         1 .. 6;

$c = $t->stomp;
$c->subscribe('/topic/short/a', id => 0, headers => [ since => $id[0] ]);
$c->expect(MESSAGE => -body => 4, 'replay-gap' => 'true');
$c->expect(MESSAGE => -body => $_, 'replay-gap' => undef) for 5, 6;
$c->unsubscribe(0);

$c->subscribe('/topic/short/a', id => 0, headers => [ since => $id[2] ]);
$c->expect(MESSAGE => -body => $_, 'replay-gap' => undef) for 4 .. 6;
$c->unsubscribe(0);

# another epoch, a number of the future

(my $foreign = $id[5]) =~ s/^(.)/$1 eq '0' ? '1' : '0'/e;
(my $future = $id[5]) =~ s/-\d+/-999999999/;

for ($foreign, $future) {
    $c->subscribe('/topic/short/a', id => 0, headers => [ since => $_ ]);
    $c->expect(MESSAGE => -body => 4, 'replay-gap' => 'true');
    $c->expect(MESSAGE => -body => $_, 'replay-gap' => undef) for 5, 6;
    $c->unsubscribe(0);
}


# without history: the first live message tells of the gap, once, and only
# those who have one

my $keep = $t->stomp;
$keep->subscribe('/topic/none');
my $heard = $t->push_message('/topic/none', 1)->json->{'message-id'};
my $missed = $t->push_message('/topic/none', 2)->json->{'message-id'};

my ($gap, $none) = ($t->stomp, $t->stomp);
$gap->subscribe('/topic/none', headers => [ since => $heard ]);
$none->subscribe('/topic/none', headers => [ since => $missed ]);

$t->push_message('/topic/none', $_) for 3, 4;
$gap->expect(MESSAGE => -body => 3, 'replay-gap' => 'true');
$gap->expect(MESSAGE => -body => 4, 'replay-gap' => undef);
$none->expect(MESSAGE => -body => $_, 'replay-gap' => undef) for 3, 4;
$keep->expect(MESSAGE => -body => $_, 'replay-gap' => undef) for 1 .. 4;

# one that nobody has heard since: the destination is a new one

$gap->subscribe('/topic/new', id => 'new', headers => [ since => $heard ]);
$t->push_message('/topic/new', 'n');
$gap->expect(MESSAGE => -body => 'n', 'replay-gap' => 'true');


# a worker is killed while it replays

my $used = $t->status->{zone}{used};
my $slow = $t->stomp(path => '/small');
my ($victim) = grep { $_->{slot} == hex $slow->slot }
               @{ $t->status->{workers} };
$slow->subscribe('/topic/h/race', receipt => 0, headers => [ replay => 'all' ]);
$slow->collect(10);
$t->kill_worker($victim->{pid});

$c = $t->stomp;
$c->subscribe('/topic/h/race', headers => [ replay => 1 ]);
$c->expect(MESSAGE => -body => 'y', -name => 'others go on');

$_->abort for $c, $slow, $gap, $none, $keep, @many[4 .. 7];

ok(wait_for(20, sub { $t->status->{subscriptions} == 0 }), 'all are gone');

$t->ok_no_alerts;
$t->stop;


# at the end nothing is left of it

$conf =~ s/1h/1s/g;
$t->write_conf($conf)->start;
my $idle = $t->status->{zone}{used};
$t->push_message('/topic/h/end', $_) for 1 .. 50;
$c = $t->stomp;
$c->subscribe('/topic/h/end', id => 0, headers => [ replay => 'all' ]);
is(scalar $c->collect(50), 50, 'a replay before its age has passed');
$c->disconnect;

ok(wait_for(20, sub {
    my $s = $t->status;
    return $s->{zone}{used} == $idle && $s->{destinations} == 0;
}), 'the zone is as empty as before') or diag explain $t->status;

$t->ok_no_alerts;
done_testing();


sub publisher {
    my ($n) = @_;

    defined(my $pid = fork) or die "fork: $!";
    return $pid if $pid;

    my $http = $t->http_client;
    my $stomp = $t->stomp;

    my $size = 0;

    for (my $i = 1; $i <= $messages; $i += $n % 2 || $size) {

        if ($n % 2) {
            $stomp->send('/topic/h/race', "$n.$i", receipt => $i % 50 == 0);
            next;
        }

        # batches of 1 to 40

        $size = $size % 40 + 1;
        $size = $messages - $i + 1 if $size > $messages - $i;

        my $body = join ',', map {
            qq({"destination":"/topic/h/race","body":"$n.$_"})
        } $i .. $i + $size - 1;

        my $res = $http->request(POST => '/push/', body => "[$body]",
            headers => [ 'Content-Type' =>
                         'application/vnd.stomp.batch+json' ]);
        POSIX::_exit(1) if $res->status != 200;
    }

    $stomp->send('/topic/end', 'x', receipt => 1);
    POSIX::_exit(0);
}


sub number {
    my ($m) = @_;

    return (split /-/, $m->{headers}{'message-id'})[1];
}


sub disorder {
    my @n = @_;

    return scalar grep { $n[$_] <= $n[ $_ - 1 ] } 1 .. $#n;
}
