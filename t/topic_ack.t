#!/usr/bin/perl

# Without it a subscriber of a topic that acknowledges could be sent more than
# it can take, lose what waits for its ACK, or make the worker hold without
# limit what it never acknowledges.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;

my $t = nginx(workers => 2);

$t->write_conf(<<'CONF')->start;
stomp_broker chat {
    zone     8m;
    topic    /topic/ /mark/;
    history  /topic/kept/ 1000 10m;
    allow    send /topic/** /mark/**;
}

server {
    listen 127.0.0.1:%%PORT%%;

    location /ws { stomp_pass chat; stomp_max_prefetch 20; }
    location /close {
        stomp_pass chat;
        stomp_max_output 16k;
    }
    location /drop {
        stomp_pass chat;
        stomp_max_output 16k;
        stomp_slow_policy drop;
    }
    location = /stomp_status { stomp_status chat; }
    location /push/ { stomp_push chat; }
}
CONF

my $by = $t->stomp_spread(2, 1, path => '/ws');
my @publishers = map { $_->[0] } values %$by;


# both modes, in all versions, from both workers

for my $version (qw(1.0 1.1 1.2)) {
    for my $mode (qw(client client-individual)) {
        my $name = "$version, $mode";
        my $c = client($version, '/topic/a', ack => $mode,
                       'prefetch-count' => 3);

        my $i = 0;
        $publishers[ $i++ % 2 ]->send('/topic/a', $_, receipt => 1)
            for 1 .. 10;

        my @m = $c->collect(3);
        is(bodies(@m), '1 2 3', "$name: three on their way");
        is(defined $m[0]{headers}{ack}, $version eq '1.2', "$name: ack or not");
        nothing_more($c, $name);

        # the second one: with those before, or alone

        $c->ack($m[1], receipt => 1);
        my $n = $mode eq 'client' ? 2 : 1;
        my @next = $c->collect($n);
        is(bodies(@next), $n == 2 ? '4 5' : '4', "$name: ACK lets $n go");
        nothing_more($c, $name);

        # twice is once, also as NACK, which gives nothing back

        $c->ack($m[1], receipt => 1);
        $c->nack($m[1], receipt => 1);
        nothing_more($c, "$name, again");

        $c->nack($next[-1], receipt => 1);
        my $got = $n == 2 ? '6 7 8' : '5';
        is(bodies($c->collect($n == 2 ? 3 : 1)), $got, "$name: NACK as well");

        $c->unsubscribe('s', receipt => 1) if $version ne '1.0';
        $c->close;
    }
}


# without prefetch-count 64, and no more than the location allows

for ([ '/ws', undef, 20 ], [ '/ws', 1000, 20 ], [ '/close', undef, 64 ]) {
    my ($path, $prefetch, $want) = @$_;
    my $c = client('1.2', '/topic/b', path => $path, ack => 'client',
                   'prefetch-count' => $prefetch);

    $publishers[0]->send('/topic/b', $_, receipt => 1) for 1 .. $want + 1;
    $c->collect($want);
    nothing_more($c, "$path, " . ($prefetch // 'no') . ' prefetch-count');
    $c->close;
}


# a long way, one ACK at a time or for many, in order

for my $step (1, 7) {
    my $c = client('1.2', '/topic/long', ack => 'client',
                   'prefetch-count' => 10);
    my @got;

    $publishers[$_ % 2]->send('/topic/long', $_, receipt => 1) for 1 .. 200;

    while (@got < 200) {
        push @got, $c->collect(@got + $step > 200 ? 200 - @got : $step);
        $c->ack($got[-1]);
    }

    is(bodies(@got), join(' ', 1 .. 200), "steps of $step: all, in order");
    $c->close;
}


# others on the topic, with the same id and with wildcards, don't wait

{
    my $c = client('1.2', '/topic/mixed', ack => 'client',
                   'prefetch-count' => 1);
    my $auto = client('1.2', '/topic/mixed');
    my $wild = client('1.2', '/topic/*', ack => 'client-individual',
                      'prefetch-count' => 2);

    $c->subscribe('/topic/mixed', id => 'own');
    $publishers[0]->send('/topic/mixed', $_, receipt => 1) for 1 .. 4;

    is(bodies($auto->collect(4)), '1 2 3 4', 'ack:auto gets all');
    is(bodies(grep { $_->{headers}{subscription} eq 'own' } $c->collect(5)),
       '1 2 3 4', 'so does another subscription of the session');
    my @m = $wild->collect(2);
    is(bodies(@m), '1 2', 'a pattern has credit as well');
    nothing_more($wild, 'pattern');
    $wild->ack($_) for @m;
    is(bodies($wild->collect(2)), '3 4', 'and goes on');

    $_->close for $c, $auto, $wild;
}


# ACK in a transaction counts with its COMMIT

{
    my $c = client('1.2', '/topic/tx', ack => 'client-individual',
                   'prefetch-count' => 1);
    $publishers[0]->send('/topic/tx', $_, receipt => 1) for 1 .. 2;
    my $m = $c->recv;

    $c->begin('t');
    $c->ack($m, transaction => 't', receipt => 1);
    nothing_more($c, 'in a transaction');
    $c->commit('t', receipt => 1);
    is($c->recv->{body}, 2, 'with its COMMIT');
    $c->close;
}


# what is replayed is sent at the pace of the ACKs, then what is live

{
    $publishers[0]->send('/topic/kept/a', $_, receipt => 1) for 1 .. 30;

    my $c = client('1.2', '/topic/kept/a', ack => 'client', replay => 'all',
                   'prefetch-count' => 10);
    my @got = $c->collect(10);
    nothing_more($c, 'replay');

    $publishers[1]->send('/topic/kept/a', $_, receipt => 1) for 31 .. 60;
    nothing_more($c, 'replay and live ones');

    while (@got < 60) {
        $c->ack($got[-1]);
        push @got, $c->collect(@got > 50 ? 60 - @got : 10);
    }

    is(bodies(@got), join(' ', 1 .. 60), 'all of both, in order, once');
    $c->close;

    # one that was told of a gap with a live message is told once

    $c = client('1.2', '/topic/plain', ack => 'client', since => 'x-1');
    $c->expect('ERROR', message => 'malformed header') or diag 'since';
    $c->close;

    my $id = $got[0]{headers}{'message-id'};
    $c = client('1.2', '/topic/none', ack => 'client', since => $id);
    $publishers[0]->send('/topic/none', $_, receipt => 1) for 1 .. 2;
    my @m = $c->collect(2);
    is(join(' ', map { $_->{headers}{'replay-gap'} // '-' } @m), 'true -',
       'a gap, once');
    $c->close;

    # retained

    $publishers[0]->send('/topic/last', 'kept', headers => [ retain => 'true' ],
                         receipt => 1);
    $c = client('1.2', '/topic/last', ack => 'client', 'prefetch-count' => 1);
    my $m = $c->recv;
    is("$m->{body} $m->{headers}{retained}", 'kept true', 'what is retained');
    $publishers[0]->send('/topic/last', 'live', receipt => 1);
    nothing_more($c, 'it takes the credit');
    $c->ack($m);
    is($c->recv->{body}, 'live', 'then what is live');
    $c->close;
    $publishers[0]->send('/topic/last', '', headers => [ retain => 'true' ],
                         receipt => 1);
}


# what expires while it waits is not sent

{
    my $expired = $t->status->{expired};
    my $c = client('1.2', '/topic/ttl', ack => 'client', 'prefetch-count' => 1);

    $publishers[0]->send('/topic/ttl', 1, receipt => 1);
    $publishers[0]->send('/topic/ttl', 2, headers => [ ttl => 1 ],
                         receipt => 1);
    $publishers[0]->send('/topic/ttl', 3, receipt => 1);

    my $m = $c->recv;
    my $end = now() + 0.01;
    wait_for(5, sub { now() > $end });
    $c->ack($m);
    is($c->recv->{body}, 3, 'the one that has expired is left out');
    ok(wait_for(5, sub { $t->status->{expired} == $expired + 1 }),
       'and counted');
    $c->close;
}


# who never acknowledges is closed, or misses messages

{
    my $body = 'x' x 1000;
    my $c = client('1.2', '/topic/never', path => '/close', ack => 'client',
                   'prefetch-count' => 1);
    my $d = client('1.2', '/topic/never', path => '/drop', ack => 'client',
                   'prefetch-count' => 1);
    my $before = $t->status;

    $publishers[0]->send('/topic/never', "$_ $body", receipt => 1) for 1 .. 40;

    $c->recv;
    $c->expect_close(1013, 'too many messages to acknowledge');
    ok(wait_for(5, sub { $t->status->{dropped} == $before->{dropped} + 1 }),
       'counted as dropped');
    like($t->error_log, qr/doesn't acknowledge its messages: \d+ octets are/,
         'told in the log');

    my @got = $d->recv;
    my $missed = $t->status->{dropped_messages} - $before->{dropped_messages};
    cmp_ok($missed, '>', 20, "drop: $missed messages are missed");

    while (@got < 40 - $missed) {
        $d->ack($got[-1]);
        push @got, $d->recv;
    }

    is(join(' ', map { (split / /, $_->{body})[0] } @got),
       join(' ', 1 .. 40 - $missed), 'the first ones came');
    $d->ack($got[-1], receipt => 1);
    $publishers[0]->send('/topic/never', 'on', receipt => 1);
    is($d->recv->{body}, 'on', 'and it goes on');
    $d->close;
}


# ends of all kinds while messages wait

{
    my @c = map { client('1.2', '/topic/end', ack => 'client',
                         'prefetch-count' => 1) } 1 .. 4;
    $publishers[0]->send('/topic/end', $_, receipt => 1) for 1 .. 10;

    $c[0]->abort;
    $c[1]->disconnect;
    $c[2]->unsubscribe('s');
    my $m = $c[2]->recv;
    $c[2]->command(ACK => [ id => $m->{headers}{ack}, receipt => 'late' ]);
    $c[2]->expect(RECEIPT => 'receipt-id' => 'late',
                  -name => 'an ACK after UNSUBSCRIBE');
    $c[2]->subscribe('/topic/end', id => 's', ack => 'client');
    $publishers[0]->send('/topic/end', 'new', receipt => 1);
    is($c[2]->recv->{body}, 'new', 'a new subscription begins anew');

    my $slot = $c[3]->slot;
    my ($worker) = grep { $_->{slot} == hex $slot } @{ $t->status->{workers} };
    $t->kill_worker($worker->{pid});
    $_->close for @c[ 2, 3 ];
}

$_->close for @publishers;
ok(wait_for(15, sub {
    my $s = $t->status;
    return $s->{sessions} == 0 && $s->{subscriptions} == 0;
}), 'no session is left') or diag explain $t->status;

$t->ok_no_alerts;
done_testing();


sub client {
    my ($version, $name, %headers) = @_;

    my $path = delete $headers{path} // '/ws';
    my $c = $t->stomp(path => $path, connect => { version => $version });
    my @headers = (destination => $name);

    push @headers, id => 's' if $version ne '1.0';
    push @headers, map { ($_ => $headers{$_}) }
                   grep { defined $headers{$_} } sort keys %headers;

    $c->send_frame(SUBSCRIBE => [ @headers, receipt => 'sub' ]);

    # a replay may have begun before

    my ($frame, @before);

    while ($frame = $c->recv) {
        last if $frame->{command} ne 'MESSAGE';
        push @before, $frame;
    }

    if ($frame && $frame->{command} eq 'RECEIPT') {
        unshift @{ $c->{queue} }, @before;

    } else {
        unshift @{ $c->{queue} }, @before, $frame // ();
    }

    return $c;
}


# what is published later, from all workers, has nothing before it

sub nothing_more {
    my ($c, $name) = @_;

    $c->subscribe('/mark/a', id => 'mark');
    $_->send('/mark/a', 'mark', receipt => 1) for @publishers;
    is(bodies($c->collect(scalar @publishers)), 'mark mark', "$name: no more");
    $c->unsubscribe('mark');
}


sub bodies { return join ' ', map { $_->{body} } @_ }
