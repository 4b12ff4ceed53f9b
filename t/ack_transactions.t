# Without it an ACK could count although its transaction was aborted, before
# the COMMIT, or although the messages of the transaction were refused; or a
# worker would lose its place in the queue.

use lib 't/lib';

use Test::More;
use Test::Stomp;

my $t = nginx(workers => 2);

$t->write_conf(<<'CONF')->start;
stomp_broker chat {
    zone  4m;
    topic /topic/;
    queue /queue/short/ max_length=2;
    queue /queue/;
    allow send /topic/** /queue/**;
    allow subscribe /queue/**;
}

server {
    listen 127.0.0.1:%%PORT%%;

    location / { stomp_pass chat; }
    location = /few { stomp_pass chat; stomp_max_transaction_frames 2; }
    location = /stomp_status { stomp_status chat; }
}
CONF

my $used = $t->status->{zone}{used};
my $by = $t->stomp_spread(2, 1);
my ($p, $sub) = map { $_->[0] } values %$by;

$sub->subscribe('/topic/a', id => 'a');
$sub->subscribe('/queue/out', id => 'out');


# [ mode, what a COMMIT of ACK for 2 and NACK for 4 leaves unacknowledged,
#   what the NACK brings back ]

for my $version ('1.1', '1.2') {
    for ([ 'client', '3 4', '3 4' ],
         [ 'client-individual', '1 3 4', '4' ])
    {
        my ($mode, $left, $again) = @$_;
        my $name = "$version, $mode";
        my $c = consumer($version, $mode);
        put(1 .. 4);
        my %m = map { $_->{body} => $_ } $c->collect(4);

        $c->begin('t', receipt => 1);
        $c->send('/topic/a', 'one', transaction => 't');
        $c->ack($m{2}, transaction => 't', receipt => 1);
        $c->send('/queue/out', 'two', transaction => 't');
        $c->nack($m{4}, transaction => 't', receipt => 1);
        $c->send('/topic/a', 'three', transaction => 't', receipt => 1);

        waits(4, 0, "$name: what is in a transaction is held");
        $sub->expect_none(0.1, "$name: all of it");
        $c->commit('t', receipt => 1);

        # topics and queues come to a session in their own ways
        my @got = sort { number($a) <=> number($b) } $sub->collect(3);
        is(bodies(@got), 'one two three', "$name: a topic and a queue");
        is(number($got[2]) - number($got[0]), 2,
           'their numbers follow each other');

        my @again = $c->collect(words($again));
        is(bodies(@again), $again, "$name: the NACK counts now");
        is(scalar(grep { ($_->{headers}{redelivered} // '') eq 'true' } @again),
           scalar @again, 'as any other');
        $m{ $_->{body} } = $_ for @again;
        waits(words($left), 0, "$name: so does the ACK");

        # aborted

        $c->begin($_) for 'u', 'v';
        $c->ack($m{3}, transaction => 'u');
        $c->ack($m{4}, transaction => 'v');
        $c->nack($m{4}, transaction => 'u');
        $c->send('/topic/a', 'never', transaction => 'u');
        $c->send('/queue/out', 'never', transaction => 'u');
        $c->abort_tx('u', receipt => 1);
        waits(words($left), 0, "$name: ABORT: nothing happened");
        $c->expect_none(0.1, "$name: no message comes again");
        $c->abort_tx('v', receipt => 1);
        $sub->expect_none(0.1, "$name: none is published");

        # and the same messages again, in another one and outside of it

        $c->begin('u');
        $c->ack($m{3}, transaction => 'u');
        $c->commit('u', receipt => 1);
        $c->ack($m{$_}) for $mode eq 'client' ? 4 : (4, 1);
        $c->command(SEND => [ destination => '/topic/none' ], undef,
                    receipt => 1);
        waits(0, 0, "$name: they can be acknowledged later");

        # acknowledged twice, in and outside of a transaction

        put(5);
        my $m = $c->recv;
        $c->begin('w');
        $c->ack($m, transaction => 'w');
        $c->ack($m, receipt => 1);
        waits(0, 0, "$name: an ACK outside of it counts at once");
        $c->nack($m, transaction => 'w');
        $c->commit('w', receipt => 1);
        $c->expect_none(0.1, "$name: what is settled is left alone");

        $c->disconnect;
    }
}


# whoever ends with an open transaction has acknowledged nothing

for ([ DISCONNECT => sub { $_[0]->disconnect } ],
     [ 'a close' => sub { $_[0]->close } ],
     [ 'a lost connection' => sub { $_[0]->abort } ],
     [ UNSUBSCRIBE => sub { $_[0]->unsubscribe('s') } ])
{
    my ($name, $end) = @$_;

    for my $version ('1.1', '1.2') {
        my $c = consumer($version, 'client');
        put(1 .. 3);
        my @m = $c->collect(3);
        $c->begin('t');
        $c->ack($m[2], transaction => 't', receipt => 1);
        $end->($c);

        my $d = consumer($version, 'client');
        my @again = $d->collect(3);
        is(bodies(@again), '1 2 3', "$name, $version: all are given back");
        is(scalar(grep { ($_->{headers}{redelivered} // '') eq 'true' } @again),
           3, 'flagged');

        # the transaction is there, but not what it was to acknowledge
        $c->commit('t', receipt => 1) if $name eq 'UNSUBSCRIBE';
        waits(3, 0, "$name, $version: nothing is acknowledged");

        $d->ack($again[2], receipt => 1);
        waits(0, 0, 'but can be');
        $_->close for $c, $d;
    }
}


# errors are told at the frame, and end the session and its transactions

for my $version ('1.1', '1.2') {
    my $id = $version eq '1.2' ? 'id' : 'message-id';
    my @more = $version eq '1.2' ? () : (subscription => 's');

    for my $command ('ACK', 'NACK') {
        for ([ [ $id => 'x', @more, transaction => 't' ], 'unknown message',
               1002 ],
             [ [ $id => 99, @more, transaction => 't' ], 'unknown message',
               1002 ],
             [ [ transaction => 't' ], 'missing header', 1002 ],
             [ [ '', @more, transaction => 'no' ], 'unknown transaction',
               1002 ])
        {
            my ($headers, $error, $code) = @$_;
            my $c = consumer($version, 'client-individual');
            put('x');
            my $m = $c->recv;
            my @headers = @$headers;
            splice @headers, 0, 1, $id => $m->{headers}{
                $version eq '1.2' ? 'ack' : 'message-id' } if !$headers[0];

            $c->begin('t');
            $c->send('/topic/a', 'never', transaction => 't');
            $c->ack($m, transaction => 't', receipt => 1);
            $c->command($command => [ @headers, receipt => 'r' ]);
            my $frame = $c->expect_error($error, "$version: $command: $error",
                                         $code);
            is($frame->{headers}{'receipt-id'}, 'r', 'with the receipt');

            my $d = consumer($version, 'auto');
            $d->expect(MESSAGE => -body => 'x', redelivered => 'true',
                       -name => 'and nothing was acknowledged');
            $d->disconnect;
        }
    }
}

{
    my $c = consumer('1.2', 'client-individual', '/few');
    put(1 .. 3);
    my @m = $c->collect(3);
    $c->begin('t');
    $c->ack($m[$_], transaction => 't', receipt => $_ == 1) for 0 .. 2;
    $c->expect_error('too many frames in a transaction',
                     'ACKs are frames of a transaction', 1008);
    my $d = consumer('1.2', 'auto');
    is(bodies($d->collect(3)), '1 2 3', 'given back');
    $d->disconnect;
}


# a full queue: nothing is published, nothing acknowledged

for ([ 'it was full', 2, 1 ], [ 'it has no room for all of them', 1, 2 ],
     [ 'it can never have', 0, 3 ])
{
    my ($why, $before, $n) = @$_;
    my $c = consumer('1.2', 'client');

    $p->send('/queue/short/a', "before $_", receipt => 1) for 1 .. $before;
    put('job');
    my $m = $c->recv;
    $c->begin('t');
    $c->send('/topic/a', 'never', transaction => 't');
    $c->send('/queue/out', 'never', transaction => 't');
    $c->send('/queue/short/a', "short $_", transaction => 't') for 1 .. $n;
    $c->ack($m, transaction => 't', receipt => 1);
    $c->command(COMMIT => [ transaction => 't', receipt => 'r' ]);
    my $frame = $c->expect_error('queue is full', "COMMIT: $why", 1013);
    is($frame->{headers}{'receipt-id'}, 'r', 'with the receipt');
    $sub->expect_none(0.1, 'neither topic nor queue has anything of it');

    my $d = consumer('1.2', 'client');
    my $again = $d->expect(MESSAGE => -body => 'job', redelivered => 'true',
                           -name => 'and the job is there again');

    my $s = $t->stomp;
    $s->subscribe('/queue/short/a', id => 'short');
    is(bodies($s->collect($before)),
       join(' ', map { "before $_" } 1 .. $before),
       'what was in the queue still is');
    $s->unsubscribe('short');

    if ($n < 3) {
        $d->begin('t');
        $d->send('/queue/short/a', "short $_", transaction => 't') for 1 .. $n;
        $d->ack($again, transaction => 't');
        $d->commit('t', receipt => 1);
        $s->subscribe('/queue/short/a', id => 'short');
        is(bodies($s->collect($n)), join(' ', map { "short $_" } 1 .. $n),
           'COMMIT when there is room');
    } else {
        $d->ack($again, receipt => 1);
    }

    waits(0, 0, 'all is done');
    $_->disconnect for $d, $s;
}


# more than can be linked at once

{
    my $c = consumer('1.2', 'client');
    put('job');
    my $m = $c->recv;
    $c->begin('t');
    $c->send('/queue/out', 'never', transaction => 't') for 1 .. 900;
    $c->ack($m, transaction => 't', receipt => 1);
    $c->command(COMMIT => [ transaction => 't', receipt => 'r' ]);
    my $frame = $c->expect_error('transaction too large',
                                 'COMMIT of 900 messages for a queue', 1009);
    like($frame->{body}, qr/^The 900 messages .* split it\.$/, 'told why');
    $sub->expect_none(0.1, 'nothing of it is published');

    my $d = consumer('1.2', 'client');
    my $again = $d->expect(MESSAGE => -body => 'job', redelivered => 'true');
    $d->begin('t');
    $d->send('/queue/out', $_, transaction => 't') for 1 .. 150;
    $d->ack($again, transaction => 't');
    $d->commit('t', receipt => 1);
    is(bodies($sub->collect(150)), join(' ', 1 .. 150), '150 are not too many');
    waits(0, 0, 'and acknowledged');
    $d->disconnect;
}


# a COMMIT that has to wait for room is done as a whole when there is

{
    my $c = consumer('1.2', 'client');
    my $s = $t->stomp;
    $s->subscribe('/queue/short/b', id => 's', headers => [
        ack => 'client', 'prefetch-count' => 1 ]);
    $p->send('/queue/short/b', $_, receipt => 1) for 1 .. 3;
    my $first = $s->recv;
    put('job');
    my $m = $c->recv;
    $c->begin('t');
    $c->send('/queue/short/b', 4, transaction => 't');
    $c->send('/topic/a', 'with it', transaction => 't');
    $c->ack($m, transaction => 't');
    $c->commit('t', receipt => 'commit', wait => 0);
    $s->ack($first);
    $sub->expect(MESSAGE => -body => 'with it');
    $c->wait_receipt('commit');

    for (2 .. 4) {
        my $next = $s->expect(MESSAGE => -body => $_);
        $s->ack($next);
    }

    waits(0, 0, 'it waits for room');
    $_->disconnect for $c, $s;
}


$_->disconnect for $p, $sub;
ok(wait_for(10, sub {
    my $status = $t->status;
    return !$status->{sessions} && !$status->{queues}
        && $status->{zone}{used} == $used;
}), 'no memory of the zone is lost') or diag explain $t->status;

$t->ok_no_alerts;
done_testing;


sub consumer {
    my ($version, $mode, $path) = @_;

    my $c = $t->stomp(connect => { version => $version },
                      $path ? (path => $path) : ());
    $c->subscribe('/queue/q', id => 's', ack => $mode);
    return $c;
}


sub put {
    $p->send('/queue/q', $_, receipt => 1) for @_;
    return;
}


sub number { return $_[0]{headers}{'message-id'} =~ /-(\d+)$/ ? $1 : 0 }
sub words { return scalar(() = $_[0] =~ /\S+/g) }
sub bodies { return join ' ', map { $_->{body} } @_ }


# messages with consumers, and without

sub waits {
    my ($unacknowledged, $queued, $name) = @_;

    my $have;
    wait_for(10, sub {
        my $status = $t->status;
        $have = "$status->{unacknowledged} $status->{queued}";
        return $have eq "$unacknowledged $queued";
    });

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is($have, "$unacknowledged $queued", $name);
}
