#!/usr/bin/perl

# Without this: what the machine or the configuration has too little of is
# taken from those who have some, or is missing for ever after.

use strict;
use warnings;

use lib 't/lib';
use JSON::PP ();
use Test::More;
use Test::Stomp;

# A small file system is mounted where only this test sees it.
if ($> == 0 && !$ENV{STOMP_UNSHARED} && !system 'unshare -m true 2>/dev/null') {
    $ENV{STOMP_UNSHARED} = 1;
    exec 'unshare', '-m', $^X, $0 or die "unshare: $!\n";
}

# a write over the limit is to fail, as on a full disk, and not to kill
$SIG{XFSZ} = 'IGNORE';

my $sleepy;                 # a pid that stands still

full_zone();
no_connections();
no_descriptors();
full_disk();

done_testing();


# A worker that stands still, and has a large inbox, keeps the zone full.

sub full_zone {
    my $t = nginx(workers => 2, name => 'exhaustion_zone');
    $t->write_conf(<<'CONF')->start;
stomp_broker chat { zone 1m; inbox 1m; topic /topic/; allow send /topic/**; }
server {
    listen 127.0.0.1:%%PORT%%;
    location = /endpoint-websocket { stomp_pass chat; }
    location = /stomp_status { stomp_status chat; }
    location = /pid { return 200 $pid; }
    location /push { stomp_push chat; }
}
CONF

    my $idle = $t->status->{zone}{used};
    my $by = $t->stomp_spread(2, 5);
    my ($runs, $still) = sort keys %$by;
    my ($c, $sends, $subscribes, $other, $spare) = @{ $by->{$runs} };
    my $slow = $by->{$still}[0];
    my $h = http_of($t, $runs);

    $slow->subscribe('/topic/slow');
    $c->subscribe('/topic/c', id => 'c');
    ($sleepy) = map { $_->{pid} } grep { $_->{slot} == hex $still }
                @{ $t->status->{workers} };
    stand_still($sleepy);

    my @accepted = fill($h);
    my @more;

    # sessions are small: there is room for some of them

    my $refused;
    for (1 .. 200) {
        my $new = Test::Stomp::Client->new(port => $t->port);
        my $frame = $new->connect;

        if (!$frame || $frame->{command} ne 'CONNECTED') {
            $refused = $frame;
            $new->expect_close(1013, 'CONNECT: closed with 1013');
            last;
        }
        push @more, $new;
    }
    is($refused && $refused->{headers}{message}, 'broker is full',
       'CONNECT: refused after ' . @more . ' sessions more');

    # these wait a second for room

    my $name = '/topic/' . 'n' x 1000;
    $subscribes->send_frame(SUBSCRIBE => [ id => 1, destination => $name,
                                           receipt => 'r' ]);
    $sends->send('/topic/slow', 's' x 3000, receipt => 'r', wait => 0);

    is($subscribes->expect_error('broker is full', 'SUBSCRIBE', 1013)
       ->{headers}{'receipt-id'}, 'r', 'SUBSCRIBE: it is told which one');
    is($sends->expect_error('broker is full', 'SEND', 1013)
       ->{headers}{'receipt-id'}, 'r', 'SEND: it is told which one');

    my $res = $h->request(POST => '/push/topic/slow', body => 'p' x 3000);
    is($res->status, 503, 'push: 503');
    like($res->json->{error}, qr/zone of the broker is full/, 'push: why');

    $res = batch($h, map { 'b' x 3000 } 1 .. 3);
    is($res->status, 503, 'batch: 503');
    like($res->json->{error}, qr/zone of the broker is full/, 'batch: why');

    # others go on as long as they need no more

    ok($other->send('/topic/none', 'x', receipt => 1),
       'SEND that nobody hears: accepted');
    ok($c->unsubscribe('c'), 'UNSUBSCRIBE: accepted');

    kill 'CONT', $sleepy;
    $sleepy = undef;

    my @got = map { $_->{body} } $slow->collect(scalar @accepted, 20);
    ok("@got" eq "@accepted", 'zone: what was accepted comes, nothing else');

    # there is room again

    wait_for(5, sub {
        $other->send('/topic/none', 'x', receipt => 1);
        return $t->status->{zone}{used} < 50_000;
    });
    ok($other->subscribe($name), 'zone: SUBSCRIBE after it');
    $other->send($name, 's' x 3000);
    $other->expect(MESSAGE => -body => 's' x 3000, -name => 'zone: SEND');
    is(batch($h, 1, 2)->json->[1]{subscribers}, 1, 'zone: batch');
    $slow->expect(MESSAGE => -body => $_, -name => "zone: $_") for 1, 2;
    push @more, $t->stomp;

    $_->close for map({ @$_ } values %$by), @more;
    ok(wait_for(5, sub {
        $h->request(POST => '/push/topic/none', body => '');
        return $t->status->{zone}{used} == $idle;
    }), 'zone: all is given back');

    like($t->error_log, qr/\[error\].*zone of stomp_broker "chat" is full/,
         'zone: the log tells it');
    $t->ok_no_alerts;
    return;
}


# Messages for the one that stands still, down to the smallest.

sub fill {
    my ($h) = @_;

    my @accepted;

    for my $size (4000, 1900, 900, 400, 200, 100, 1) {
        for (1 .. 5000) {
            my $body = @accepted . 'x' x $size;
            my $res = $h->request(POST => '/push/topic/slow', body => $body);
            last if !$res || $res->status != 200;
            push @accepted, $body;
        }
    }

    return @accepted;
}


sub batch {
    my ($h, @bodies) = @_;

    return $h->request(POST => '/push',
        headers => [ 'Content-Type' => 'application/vnd.stomp.batch+json' ],
        body => JSON::PP->new->encode([ map {
            { destination => '/topic/slow', body => "$_" } } @bodies ]));
}


# A connection for requests to the worker of a slot.

sub http_of {
    my ($t, $slot) = @_;

    my ($pid) = map { $_->{pid} } grep { $_->{slot} == hex $slot }
                @{ $t->status->{workers} };

    for (1 .. 400) {
        my $h = $t->http_client;
        return $h if $h->request(GET => '/pid')->body == $pid;
    }

    die "no connection to worker $pid\n";
}


sub stand_still {
    my ($pid) = @_;

    kill 'STOP', $pid or die "kill: $!\n";
    wait_for(5, sub {
        Test::Stomp::Nginx::read_file("/proc/$pid/stat") =~ /\) T /;
    }) or die "worker $pid does not stop\n";
    return;
}


# Idle connections for requests are closed for others, sessions never.

sub no_connections {
    my $t = nginx(workers => 1, name => 'exhaustion_connections',
                  connections => 24);
    $t->start;

    my $c = $t->stomp;
    my @idle = map { $t->http_client } 1 .. 3;
    my @sessions;

    $c->subscribe('/topic/a');
    $_->request(GET => '/stomp_status') for @idle;

    for (1 .. 30) {
        my $new = Test::Stomp::WebSocket->new(port => $t->port);
        last unless $new->connected;
        push @sessions, $new;
    }

    cmp_ok(scalar @sessions, '>=', 10, 'connections: '
           . @sessions . ' of 24 are sessions, one more is refused');
    cmp_ok(scalar @sessions, '<', 24, 'connections: and not more');
    is(scalar(grep { !$_->wait_eof(5) } @idle), 0,
       'connections: idle ones for requests are closed');
    is(scalar(grep { defined $_->recv_frame(0) || $_->eof } @sessions), 0,
       'connections: no session is');

    $c->send('/topic/a', 'still', receipt => 1);
    $c->expect(MESSAGE => -body => 'still', -name => 'connections: sessions '
               . 'go on');

    (pop @sessions)->close for 1 .. 3;
    ok(wait_for(5, sub {
        return $t->push_message('/topic/a', 'again');
    }), 'connections: one that ends makes room');
    $c->expect(MESSAGE => -body => 'again', -name => 'connections: used again');

    $_->close for $c, @sessions;
    like($t->error_log, qr/\[alert\].*24 worker_connections are not enough/,
         'connections: the log tells it');
    $t->ok_no_alerts(allow => [ qr/24 worker_connections are not enough/ ]);
    return;
}


sub no_descriptors {
    my $t = nginx(workers => 1, name => 'exhaustion_descriptors');
    $t->write_conf(push_conf())->start;

    my ($pid) = $t->workers;
    my $c = $t->stomp;
    my $h = $t->http_client;

    $c->subscribe('/topic/a');
    $h->request(GET => '/stomp_status');

    # none is free below the limit

    my %used = map { m{(\d+)$} => 1 } glob "/proc/$pid/fd/*";
    my $free = 0;
    $free++ while $used{$free};
    limit($pid, nofile => $free);

    my $waits = Test::Stomp::WebSocket->new(port => $t->port, handshake => 0);
    ok(wait_for(5, sub { $t->error_log =~ /accept4?\(\) failed \(24/ }),
       'descriptors: a connection is not accepted');

    is($h->request(POST => '/push/topic/a', body => 'one')->status, 200,
       'descriptors: an open connection publishes');
    $c->expect(MESSAGE => -body => 'one', -name => 'descriptors: delivered');

    my $res = $h->request(POST => '/push/topic/a', body => 'x' x 50_000);
    is($res && $res->status, 500, 'descriptors: no temporary file, 500');

    $c->send('/topic/a', 'two', receipt => 1);
    $c->expect(MESSAGE => -body => 'two', -name => 'descriptors: SEND, and '
               . 'nothing of the refused one');

    limit($pid, nofile => 1024);

    ok($waits->handshake, 'descriptors: who waited is accepted after it');
    large_push($t, $c, 'descriptors');
    empty_folder($t, 'descriptors');
    $_->close for $c, $waits;

    $t->ok_no_alerts(allow => [
        qr/\[crit\].*accept4?\(\) failed \(24: Too many open files\)/,
        qr{\[crit\].*open\(\) "\S*/client_body/\d+" failed \(24: },
    ]);
    return;
}


sub full_disk {
    my $t = nginx(workers => 1, name => 'exhaustion_disk');
    my $small = $t->prefix . '/small';

    mkdir $small or die "$small: $!\n";
    my $mounted = $ENV{STOMP_UNSHARED}
        && !system "mount -t tmpfs -o size=64k none $small 2>/dev/null";

    $t->write_conf(push_conf())->start;

    my ($pid) = $t->workers;
    my $c = $t->stomp;
    $c->subscribe('/topic/a');

    # a file that can't grow is possible everywhere

    limit($pid, fsize => 65_536);
    refused_push($t, $c, '/push', 'file size');
    limit($pid, fsize => 'unlimited');
    large_push($t, $c, 'file size');

    SKIP: {
        skip 'no small file system without the right to mount one', 1
            unless $mounted;
        refused_push($t, $c, '/small', 'disk');

        # what the refused one took is free
        is($t->push_message('/topic/a', 'y' x 20_000, path => '/small')
           ->status, 200, 'disk: a smaller one has room');
        $c->expect(MESSAGE => -body => 'y' x 20_000, -name => 'disk: used');
        is(scalar(() = glob "$small/*"), 0, 'disk: no file is left');
    }

    empty_folder($t, 'disk');
    $c->close;
    $t->ok_no_alerts(allow => [
        qr/\[crit\].*pwritev?\(\)\ "\S+"
           \ (?:failed\ \((?:27|28):\ |has\ written\ only)/x,
    ]);
    return;
}


# 500 for a body that has no room, and a small one goes past it.

sub refused_push {
    my ($t, $c, $path, $name) = @_;

    my $res = $t->push_message('/topic/a', 'x' x 300_000, path => $path);
    is($res && $res->status, 500, "$name: no room for a body, 500");

    is($t->push_message('/topic/a', 'small', path => $path)->status, 200,
       "$name: a small one needs none");
    $c->expect(MESSAGE => -body => 'small',
               -name => "$name: nothing of the refused one comes");
    return;
}


sub large_push {
    my ($t, $c, $name) = @_;

    is($t->push_message('/topic/a', 'z' x 300_000)->status, 200,
       "$name: a large body after it");
    $c->expect(MESSAGE => -body => 'z' x 300_000, -name => "$name: delivered");
    return;
}


sub empty_folder {
    my ($t, $name) = @_;

    my $folder = $t->prefix . '/temp/client_body';
    ok(wait_for(5, sub { !(() = glob "$folder/*") }),
       "$name: no temporary file is left");
    return;
}


sub push_conf {
    return <<'CONF';
stomp_broker chat { zone 4m; topic /topic/; allow send /topic/**; }
server {
    listen 127.0.0.1:%%PORT%%;
    client_body_buffer_size 8k;
    client_max_body_size 1m;
    stomp_max_body 1m;

    location = /endpoint-websocket { stomp_pass chat; }
    location = /stomp_status { stomp_status chat; }
    location /push/ { stomp_push chat; }
    location /small/ { stomp_push chat;
                       client_body_temp_path %%PREFIX%%/small; }
}
CONF
}


# The soft limit of a running process.

sub limit {
    my ($pid, $name, $value) = @_;

    system('prlimit', "--pid=$pid", "--$name=$value:") == 0
        or die "prlimit --$name=$value failed\n";
    return;
}


END { kill 'CONT', $sleepy if $sleepy }
