#!/usr/bin/perl

# Without this: a message that does not find its way from one worker to
# another, comes twice or late, or in another order than elsewhere.

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
    location = /stomp_status { stomp_status chat; }
    location = /pid { return 200 $pid; }
    location /push/ { stomp_push chat; }
}
CONF

my $t = nginx(workers => 4);
$t->write_conf($http)->start;

my $used = $t->status->{zone}{used};


# in each worker a publisher, two subscribers and a connection for requests

my $by = $t->stomp_spread(4, 3);
my @slots = sort keys %$by;
my %pub = map { $_ => $by->{$_}[0] } @slots;
my %sub = map { $_ => $by->{$_}[1] } @slots;
my %keep = map { $_ => $by->{$_}[2] } @slots;
my %http = http_by_slot();

is(scalar @slots, 4, 'the session ids show four slots');
is(join(' ', sort keys %http), "@slots", 'requests come to all of them');
is(scalar(grep { $pub{$_}->session =~ /^\Q$_\E-[0-9a-f]{16}$/ } @slots), 4,
   'a session id is its slot and a number');


# all 16 ways

for my $from (@slots) {
    for my $to (@slots) {
        my $name = "/topic/$from-$to";
        my $id = $sub{$to}->subscribe($name);
        my $other = $sub{ $slots[0] eq $to ? $slots[1] : $slots[0] };

        $pub{$from}->send($name, "sent in $from", receipt => 1);
        $sub{$to}->expect(MESSAGE => destination => $name,
            -body => "sent in $from", -name => "$from to $to: SEND");

        my $res = $http{$from}->request(POST => "/push$name",
                                        body => "pushed in $from");
        is($res->json->{subscribers}, 1, "$from to $to: one subscriber");
        $sub{$to}->expect(MESSAGE => destination => $name,
            'message-id' => $res->json->{'message-id'},
            -body => "pushed in $from", -name => "$from to $to: HTTP");

        $sub{$to}->unsubscribe($id);
        is($http{$from}->request(GET => "/push$name")->json->{subscribers}, 0,
           "$from to $to: unsubscribed");
    }
}


# one message to all workers, once each

for my $from (@slots) {
    $_->subscribe('/topic/all', id => 'all') for values %sub;
    $pub{$from}->send('/topic/all', "from $from");
    $sub{$_}->expect(MESSAGE => -body => "from $from",
                     -name => "$from to all: came to $_") for @slots;
    $_->unsubscribe('all') for values %sub;
}


# SUBSCRIBE and UNSUBSCRIBE while others publish.  What is published after
# the receipt of SUBSCRIBE comes, nothing from before it, and nothing after
# the receipt of UNSUBSCRIBE.  A neighbor in the worker hears it all.

my (@missed, @late, @gaps, @strangers);
my ($heard, $published) = (0, 0);

for my $keeper (values %keep) {
    $keeper->subscribe("/topic/race-$_") for 0 .. 4;
}

for my $round (1 .. 120) {
    my ($near, $far, $to) = @slots[ $round % 4, int($round / 4) % 4,
                                    int($round / 16) % 4 ];
    my $name = '/topic/race-' . $round % 5;
    my $s = $sub{$to};

    $pub{$near}->send($name, "a.$round.$_") for 1 .. 10;
    $pub{$far}->send($name, "old.$round", receipt => 1);
    $s->subscribe($name, id => 'race');

    # the first after the receipt, from another worker than the stream
    $http{$far}->request(POST => "/push$name", body => "in.$round");
    $pub{$near}->send($name, "b.$round.$_", receipt => $_ == 10) for 1 .. 10;
    $pub{$far}->send($name, "in.$round.2", receipt => 1);

    my @in = messages_until($s, sub { $_[0] eq "in.$round.2" });
    $pub{$near}->send($name, "c.$round.$_") for 1 .. 10;

    $s->send_frame(UNSUBSCRIBE => [ id => 'race', receipt => "u$round" ]);
    push @in, messages_until($s, sub { 0 }, "u$round");

    # nothing more, although they go on
    $http{$far}->request(POST => "/push$name", body => "out.$round");
    $pub{$near}->send($name, "d.$round", receipt => 1);

    $s->subscribe("/topic/end-$round", id => 'end');
    $pub{$far}->send("/topic/end-$round", "end.$round");
    push @late, messages_until($s, sub { $_[0] eq "end.$round" });
    pop @late if @late && $late[-1] eq "end.$round";
    $s->unsubscribe('end');

    $heard += @in;
    push @missed, $round unless grep { $_ eq "in.$round" } @in;
    push @strangers, grep { !/^\w+\.$round(?:\.|$)/ || /^old/ } @in;
    $published += 35;

    # the stream of one publisher has no holes once it is heard
    my @stream = grep { /^[abc]/ } @in;
    my @all = map { my $part = $_; map { "$part.$round.$_" } 1 .. 10 }
              qw(a b c);
    shift @all while @all && @stream && $all[0] ne $stream[0];
    push @gaps, "@stream" if "@stream" ne join ' ', @all[ 0 .. $#stream ];
    push @gaps, "b of $round" if 10 != grep { /^b/ } @stream;
}

is("@missed", '', 'what is published after the receipt of SUBSCRIBE comes');
is("@late", '', 'nothing comes after the receipt of UNSUBSCRIBE');
is("@gaps", '', 'nothing is missing in between');
is("@strangers", '', 'nothing comes from before');
cmp_ok($heard, '>=', 120 * 12, "$heard messages heard in the race");

my @kept = map { my $keeper = $_;
                 join ' ', map { $_->{body} } $keeper->collect($published)
           } values %keep;
is(scalar(split ' ', $kept[0]), $published, 'the neighbors heard all');
is(scalar(grep { $_ ne $kept[0] } @kept), 0, 'in the same order');


# The same with a worker that finds the frame and the message at once: it was
# published before the frame was read, and by now waits in the worker's inbox.

for my $to (@slots) {
    my ($far) = grep { $_ ne $to } @slots;
    my $s = $sub{$to};

    stopped($to, sub {
        $s->subscribe('/topic/race-0', id => 'late', receipt => 0);
        $pub{$far}->send('/topic/race-0', "before $to", receipt => 1);
    });
    $keep{$to}->expect(MESSAGE => -body => "before $to",
                       -name => "$to: the neighbor hears it");
    $s->unsubscribe('none');
    $pub{$far}->send('/topic/race-0', "during $to");
    $s->expect(MESSAGE => -body => "during $to",
               -name => "$to: SUBSCRIBE does not reach back");

    stopped($to, sub {
        $s->unsubscribe('late', receipt => 'gone', wait => 0);
        $pub{$far}->send('/topic/race-0', "after $to", receipt => 1);
    });

    # whether the message comes before the receipt is the kernel's choice
    messages_until($s, sub { 0 }, 'gone');
    $s->subscribe('/topic/end', id => 'end');
    $pub{$far}->send('/topic/end', "end $to");
    $s->expect(MESSAGE => -body => "end $to",
               -name => "$to: UNSUBSCRIBE holds from its receipt on");
    $s->unsubscribe('end');

    $_->collect(1) for (grep { $_ ne $keep{$to} } values %keep);
    $_->collect(2) for values %keep;
}


# many at once: the same order for all subscribers, in all workers

{
    my @publishers = values %pub;
    my @all = (values %sub, @publishers);
    my ($each, $pushes) = (200, 60);

    $_->subscribe('/topic/order') for @all;

    my %requests = map { $_ => $http{$_}->build_request(
        POST => '/push/topic/order', body => "h$_") } @slots;

    for my $n (1 .. $each) {
        $publishers[$_]->send('/topic/order', "$_.$n") for 0 .. 3;
        next if $n > $pushes;
        $http{$_}->write_raw($requests{$_}) for @slots;
    }

    my %answered;
    for my $slot (@slots) {
        $answered{ $_->json->{'message-id'} }++
            for map { $http{$slot}->read_response('POST') } 1 .. $pushes;
    }
    is(scalar keys %answered, 4 * $pushes, 'order: all pushes have ids');

    my @seen;
    for my $client (@all) {
        my @got = $client->collect(4 * ($each + $pushes), 10);
        push @seen, [ map { $_->{headers}{'message-id'} . " $_->{body}" }
                      @got ];
    }

    is(scalar(grep { @$_ == 4 * ($each + $pushes) } @seen), scalar @all,
       'order: everything came to everybody');
    is(scalar(grep { "@$_" ne "@{ $seen[0] }" } @seen), 0,
       'order: the same for all');

    my @numbers = map { /-(\d+) / } @{ $seen[0] };
    is(scalar(grep { $numbers[$_] <= $numbers[ $_ - 1 ] } 1 .. $#numbers), 0,
       'order: that of the numbers');

    for my $i (0 .. 3) {
        is(join(' ', map { / $i\.(\d+)$/ ? $1 : () } @{ $seen[0] }),
           join(' ', 1 .. $each), "order: publisher $i has kept its own");
    }

    my @pushed = map { (split)[0] } grep { / h/ } @{ $seen[0] };
    is(scalar(grep { $answered{$_} } @pushed), 4 * $pushes,
       'order: the ids that the publishers were told');
}

is(scalar(grep { $_->recv(0) } values %sub, values %pub), 0,
   'nothing came twice');


# many subscriptions that come and go at once leave nothing behind

for my $round (1 .. 30) {
    for my $client (values %sub, values %pub) {
        $client->subscribe("/topic/many-$_", id => "$round-$_", receipt => 0)
            for 1 .. 5;
        $client->send('/topic/many-' . $round % 5, $round);
        $client->unsubscribe("$round-$_", receipt => 0) for 1 .. 5;
    }
}
$_->unsubscribe('none', receipt => 1) for values %sub, values %pub;

my $status = $t->status;
is($status->{subscriptions}, 28, 'only the last subscriptions are left');
is($status->{destinations}, 6, 'to as few destinations');

$_->close for values %sub, values %pub, values %keep;
ok(wait_for(5, sub { $t->status->{zone}{used} == $used }),
   'no memory is used any more');

$t->ok_no_alerts;
done_testing();


# A keep-alive connection to each worker, by the slot that the status shows.

sub http_by_slot {
    my %slot = map { $_->{pid} => sprintf '%x', $_->{slot} }
               @{ $t->status->{workers} };
    my %found;

    for (1 .. 400) {
        my $h = $t->http_client;
        $found{ $slot{ $h->request(GET => '/pid')->body } } //= $h;
        last if keys %found == 4;
    }

    return %found;
}


# Runs $do while the worker of that slot stands still.

sub stopped {
    my ($slot, $do) = @_;

    my ($worker) = grep { $_->{slot} == hex $slot }
                   @{ $t->status->{workers} };
    my $pid = $worker->{pid};

    kill 'STOP', $pid or die "kill: $!";
    wait_for(5, sub {
        Test::Stomp::Nginx::read_file("/proc/$pid/stat") =~ /\) T /;
    }) or die "worker $pid does not stop\n";

    my $done = eval { $do->(); 1 };
    kill 'CONT', $pid;
    die $@ unless $done;

    return;
}


# Bodies of the messages up to the one that $last knows, or up to a receipt.

sub messages_until {
    my ($client, $last, $receipt) = @_;

    my @bodies;

    while (my $frame = $client->recv) {
        if ($frame->{command} eq 'RECEIPT') {
            my $id = $frame->{headers}{'receipt-id'};
            return @bodies if $id eq ($receipt // '');
            next;
        }
        push @bodies, $frame->{body};
        return @bodies if $last->($frame->{body});
    }

    return (@bodies, 'nothing before the deadline');
}
