# Without it a message could be settled that the client has not acknowledged,
# or come again although it has, or never come again although it was refused.

use lib 't/lib';

use Test::More;
use Test::Stomp;

my $t = nginx(workers => 2);

$t->write_conf(<<'CONF')->start;
stomp_broker chat {
    zone  4m;
    topic /topic/;
    queue /queue/dead/ max_deliveries=0;
    queue /queue/two/ max_deliveries=2 dead_letter=/queue/dead/two;
    queue /queue/drop/ max_deliveries=1;
    queue /queue/;
    allow send /topic/** /queue/**;
    allow subscribe /queue/**;
}

server {
    listen 127.0.0.1:%%PORT%%;

    location / { stomp_pass chat; stomp_max_prefetch 100; }
    location = /stomp_status { stomp_status chat; }
}

server {
    listen 127.0.0.1:%%PORT2%% sndbuf=8k;

    location / { stomp_pass chat; stomp_max_output 64k; }
    location /none { stomp_pass chat; stomp_max_output 0; }
}
CONF

my $used = $t->status->{zone}{used};
my $p = $t->stomp;

# the client modes, in all versions

for my $version (qw(1.0 1.1 1.2)) {
    my $c = client($version, '/queue/v', 'client-individual', 100);
    put('/queue/v', 1 .. 6);
    my @m = $c->collect(6);

    is(defined $m[0]{headers}{ack}, $version eq '1.2', "$version: ack or not");
    is(scalar(grep { ($_->{headers}{ack} // 'x') =~ /[:\\]/ } @m), 0,
       'nothing in it that is escaped') if $version eq '1.2';
    wait_status(unacknowledged => 6, queued => 0);

    $c->ack($m[3], receipt => 1);
    wait_status(unacknowledged => 5);
    $c->nack($m[1], receipt => 1);
    $c->expect(MESSAGE => -body => 2, redelivered => 'true',
               'message-id' => $m[1]{headers}{'message-id'},
               -name => "$version: NACK brings it back");
    $c->close;

    my $d = client($version, '/queue/v', 'client', 100);
    my @n = $d->collect(5);
    is(bodies(@n), '1 2 3 5 6', "$version: the others, in their order");
    $d->ack($n[2], receipt => 1);
    wait_status(unacknowledged => 2);
    $d->nack($n[4], receipt => 1);
    is(bodies($d->collect(2)), '5 6', "$version: cumulative NACK");
    $d->ack($n[0], receipt => 1);
    wait_status(unacknowledged => 2);
    $d->unsubscribe('s') if $version ne '1.0';
    $d->close;

    my $e = client($version, '/queue/v', undef, undef);
    is(bodies($e->collect(2)), '5 6', "$version: UNSUBSCRIBE, close");
    wait_status(unacknowledged => 0, queued => 0);
    $e->close;
    wait_status(queues => 0);
}

# prefetch-count: no more than that are under way

{
    put('/queue/f', 1 .. 250);
    my $c = client('1.2', '/queue/f', 'client-individual', 3);
    my @m = $c->collect(3);
    is(bodies(@m), '1 2 3', 'prefetch-count:3');
    $c->expect_none(0.2);
    $c->ack($m[1], receipt => 1);
    $c->expect(MESSAGE => -body => 4);
    $c->expect_none(0.1);

    # acknowledged out of order for a long time: the first one stays
    for my $n (5 .. 150) {
        $c->ack($m[2]);
        $m[2] = $c->recv;
        $n == $m[2]{body} or fail("$n came as $m[2]{body}");
    }
    is($t->status->{unacknowledged}, 3, 'still three');
    $c->ack($m[0], receipt => 1);
    $c->expect(MESSAGE => -body => 151);
    $c->close;

    my $d = client('1.2', '/queue/f', 'client', 1000000);
    is(scalar($d->collect(100)), 100, 'a larger one: stomp_max_prefetch');
    $d->expect_none(0.1);
    my $e = client('1.2', '/queue/f', 'client', undef);
    is(scalar($e->collect(2)), 2, 'another consumer has the rest');
    $_->close for $d, $e;

    my $f = client('1.2', '/queue/f', 'auto', 1);
    is(scalar($f->collect(102)), 102, 'auto needs no ACK');
    wait_status(unacknowledged => 0, queued => 0);
    $f->close;
}

# two consumers: what one refuses goes to the other

{
    my $c = client('1.2', '/queue/n', 'client-individual', 1);
    my $d = client('1.2', '/queue/n', 'client-individual', 1);
    put('/queue/n', 'x');
    my $m = $c->recv;
    $c->nack($m, receipt => 1);
    my $n = $d->expect(MESSAGE => -body => 'x', redelivered => 'true',
                       -name => 'for another consumer');
    $d->ack($n, receipt => 1);
    wait_status(unacknowledged => 0, queued => 0);
    $_->close for $c, $d;
}

# max_deliveries

{
    my $before = $t->status->{dead_lettered};
    my $dead = client('1.2', '/queue/dead/two', 'auto');
    my $c = client('1.2', '/queue/two/a', 'client-individual', 1);
    put('/queue/two/a', 'bad', 'good');
    for (1, 2) {
        my $m = $c->expect(MESSAGE => -body => 'bad');
        $c->nack($m, receipt => 1);
    }
    $dead->expect(MESSAGE => -body => 'bad', destination => '/queue/two/a',
                  redelivered => undef, -name => 'in the dead-letter queue');
    my $m = $c->expect(MESSAGE => -body => 'good');
    $c->ack($m, receipt => 1);
    is($t->status->{dead_lettered}, $before + 1, 'counted');

    my $d = client('1.2', '/queue/drop/a', 'client', 1);
    put('/queue/drop/a', 'bad', 'good');
    $d->nack($d->expect(MESSAGE => -body => 'bad'), receipt => 1);
    $d->ack($d->expect(MESSAGE => -body => 'good'), receipt => 1);
    is($t->status->{dead_lettered}, $before + 2, 'without one it is dropped');
    like($t->error_log, qr/1 messages of stomp_broker "chat" reached/,
         'and logged');
    $_->close for $c, $d, $dead;
}

# what a session that is closing was given, but not sent, isn't counted

{
    my $before = $t->status->{dead_lettered};
    my $c = client('1.2', '/queue/drop/b', 'client', 10);
    $c->command('BOGUS', []);
    $c->expect_error('unknown command');
    put('/queue/drop/b', 1 .. 5);

    my $d = client('1.2', '/queue/drop/b', 'client', 10);
    my @m = $d->collect(5);
    is(bodies(@m), '1 2 3 4 5', 'for another one, although none may be twice');
    $d->ack($m[-1], receipt => 1);
    is($t->status->{dead_lettered}, $before, 'none is dropped');
    $_->close for $c, $d;
}

# who reads slowly gets no more than may wait for it

for ([ '/', 40_000 ], [ '/', 1_000 ], [ '/none', 1_000 ]) {
    my ($path, $size) = @$_;
    my $c = $t->stomp(path => $path, port => $t->port(2), rcvbuf => 4096);
    my $n = $size > 1000 ? 5 : 200;
    my $got = 0;

    $p->send('/queue/slow', "$_ " . 'x' x $size, receipt => $_ == $n)
        for 1 .. $n;
    $c->subscribe('/queue/slow', id => 's', ack => 'client-individual');

    while ($got < $n && defined(my $m = $c->recv)) {
        last if $m->{command} ne 'MESSAGE' || $m->{headers}{redelivered};
        $got++;
        $c->ack($m);
    }

    is($got, $n, "$path: a slow one gets $n messages of $size octets");
    $c->command(ACK => [ id => $got, receipt => 'end' ]);
    $c->expect(RECEIPT => 'receipt-id' => 'end');
    $c->close;
}

# in a transaction as without: an empty name is one, too

{
    my $c = client('1.1', '/queue/n', 'client-individual', 1);
    put('/queue/n', 1);
    my $m = $c->expect(MESSAGE => -body => 1);
    my @ack = ('message-id' => $m->{headers}{'message-id'}, receipt => 1);

    $c->begin('t');
    $c->command(ACK => [ @ack, transaction => 't', subscription => '' ]);
    $c->expect(RECEIPT => 'receipt-id' => 1);
    $c->commit('t', receipt => 1);
    wait_status(unacknowledged => 1);
    $c->command(ACK => [ @ack, subscription => 's' ]);
    $c->expect(RECEIPT => 'receipt-id' => 1);
    wait_status(unacknowledged => 0);
    $c->close;
}

# 1.0 finds a message by its number also where older ones come behind it

{
    my $c = client('1.0', '/queue/n', 'client-individual', 100);
    put('/queue/n', 1 .. 9);
    my @m = $c->collect(9);
    $c->nack($_, receipt => 1) for @m[ 7, 2, 4 ];
    my @again = $c->collect(3);
    is(bodies(@again), '8 3 5', 'three come again');
    $c->ack($_, receipt => 1) for @again[ 1, 0, 2 ], @m[ 8, 0, 6, 1, 3, 5 ];
    wait_status(unacknowledged => 0, queued => 0);
    $c->close;
}

# what is refused

{
    my %bad = (
        '1.2' => [ [ [] => 'missing header', 'ACK needs the "id" header.' ],
                   [ [ id => 'x' ], 'unknown message' ],
                   [ [ id => 0 ], 'unknown message' ],
                   [ [ id => 99 ], 'unknown message' ],
                   [ [ transaction => 't' ], 'missing header' ],
                   [ [ id => '1', transaction => 't' ],
                     'unknown message' ] ],
        '1.1' => [ [ [ 'message-id' => 'x' ], 'missing header' ],
                   [ [ 'message-id' => 'x', subscription => 's' ],
                     'unknown message' ],
                   [ [ 'message-id' => 'x-1', subscription => 's' ],
                     'unknown message' ] ],
        '1.0' => [ [ [ ] => 'missing header' ] ],
    );

    for my $version (sort keys %bad) {
        for my $case (@{ $bad{$version} }) {
            my ($headers, $error, $body) = @$case;
            my $c = $t->stomp(connect => { version => $version });
            $c->command(ACK => [ @$headers, receipt => 'r' ]);
            my $frame = $c->expect_error($error, "$version: $error");
            is($frame->{headers}{'receipt-id'}, 'r', 'with the receipt');
            is($frame->{body}, $body, 'and told why') if $body;
        }
    }

    for ([ [ ack => 'x' ], 'unknown ack mode' ],
         [ [ ack => 'client', 'prefetch-count' => 0 ], 'malformed header' ],
         [ [ ack => 'client', 'prefetch-count' => 'x' ], 'malformed header' ])
    {
        my $c = $t->stomp;
        $c->command(SUBSCRIBE => [ destination => '/queue/x', id => 1,
                                   @{ $_->[0] } ]);
        $c->expect_error($_->[1]);
    }

    # what another session has, by any of its names

    for my $version (sort keys %bad) {
        my $c = client($version, '/queue/o', 'client-individual', 10);
        put('/queue/o', 1 .. 3);
        my @m = $c->collect(3);
        my $d = client($version, '/queue/other', 'client', 10);
        put('/queue/other', 'own');
        my $own = $d->recv;

        for my $command ('ACK', 'NACK') {
            my $v = $t->stomp(connect => { version => $version });
            $v->answer($command, $m[0], receipt => 'r', wait => 0);
            $v->recv;
            $version eq '1.2' or $d->answer($command, $_, receipt => 1) for @m;
            $v->close;
        }

        is($t->status->{unacknowledged}, 4, "$version: only the own ones");
        $c->expect_none(0.1);
        $c->ack($_, receipt => 1) for @m;
        $d->ack($own, receipt => 1);
        wait_status(unacknowledged => 0);
        $_->close for $c, $d;
    }

    # stompjs names the subscription as well; what is settled is left alone
    my $c = client('1.2', '/queue/x', 'client', 10);
    put('/queue/x', 'x');
    my $m = $c->recv;
    $c->command(ACK => [ id => $m->{headers}{ack}, subscription => 's',
                         receipt => "r$_" ]) for 1, 2;
    $c->command(NACK => [ id => $m->{headers}{ack}, receipt => 'r3' ]);
    $c->expect(RECEIPT => 'receipt-id' => "r$_") for 1 .. 3;
    $c->close;
}

$p->close;
wait_status(sessions => 0, queues => 0, queued => 0, unacknowledged => 0);
wait_for(10, sub { $t->status->{zone}{used} == $used });
is($t->status->{zone}{used}, $used, 'no memory of the zone is lost');

$t->stop;
$t->ok_no_alerts;

done_testing;


sub client {
    my ($version, $queue, $mode, $prefetch) = @_;

    my $c = $t->stomp(connect => { version => $version });
    my @headers = (destination => $queue);
    push @headers, id => 's' if $version ne '1.0';
    push @headers, ack => $mode if defined $mode;
    push @headers, 'prefetch-count' => $prefetch if defined $prefetch;

    $c->command(SUBSCRIBE => \@headers, undef, receipt => 1);
    return $c;
}


sub put {
    my ($queue, @bodies) = @_;

    $p->send($queue, $_, receipt => 1) for @bodies;
}


sub bodies { return join ' ', map { $_->{body} } @_ }


sub wait_status {
    my %want = @_;

    wait_for(10, sub {
        my $status = $t->status;
        return !grep { $status->{$_} != $want{$_} } keys %want;
    });

    my $status = $t->status;
    is($status->{$_}, $want{$_}, "status: $_ is $want{$_}") for sort keys %want;
}
