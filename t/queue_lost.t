# Without it messages of a queue would be lost with a consumer that goes, in
# whichever way: a reload, a killed worker, no beats, or nothing that it reads.

use lib 't/lib';

use Test::More;
use Test::Stomp;

my $t = nginx(workers => 2);

$t->write_conf(<<'CONF')->start;
stomp_shutdown_drain 2s;

stomp_broker chat {
    zone  32m;
    topic /topic/;
    queue /queue/once/ max_deliveries=1;
    queue /queue/;
    allow send /topic/** /queue/**;
    allow subscribe /queue/**;
}

server {
    listen 127.0.0.1:%%PORT%%;

    location / { stomp_pass chat; }
    location = /beats { stomp_pass chat; stomp_heartbeat 1s;
                        stomp_heartbeat_tolerance 2; }
    location = /slow { stomp_pass chat; stomp_max_output 40m;
                       stomp_output_timeout 1s; }
    location = /stomp_status { stomp_status chat; }
    location /push/ { stomp_push chat; }
}
CONF

my $used = $t->status->{zone}{used};


# reloads while consumers work

{
    my ($count, $published, $reloads) = (2000, 0, 0);
    my (%acked, %seen, @unflagged, %codes, @wrong);

    # they have these, and don't settle them, as long as their worker lives
    my $holder = consumer('/queue/once/a');
    put('/queue/once/a', 'x', 'y');
    is(bodies($holder->collect(2)), 'x y', 'delivered once');

    my @c = map { consumer('/queue/r', prefetch => 5) } 1 .. 6;
    my $deadline = now() + Test::Stomp::Util::patience(20);

    while (keys %acked < $count && now() < $deadline) {

        if ($published < $count && $published - keys %acked < 200) {
            put('/queue/r', map { ++$published } 1 .. 50);
        }

        if (keys %acked >= (1 + $reloads) * $count / 4 && $reloads < 2) {
            ok($t->reload, 'a reload with consumers');
            $reloads++;
        }

        for my $c (@c) {
            for my $m ($c->collect(5, 0.002)) {
                next if $m->{command} ne 'MESSAGE';

                my $body = $m->{body};
                push @wrong, $body if exists $acked{$body};
                push @unflagged, $body
                    if $seen{$body}++ && !$m->{headers}{redelivered};

                # some are left for the next consumer
                next if $body % 7 == 0 && $seen{$body} == 1
                        && ++$c->{test_left} < 4;
                $c->ack($m, receipt => 1, wait => 0);
                $c->{test_acks}{ "receipt-$c->{next_id}" } = $body;
            }

            receipts($c, \%acked);

            if ($c->closed) {
                my ($code) = eval { $c->ws->wait_close(0.1) };
                $codes{ $code // 'none' }++;
                $c = consumer('/queue/r', prefetch => 5);
            }
        }

        # in the end they are all that there is: no RECEIPT is on its way
        if ($published == $count && $count - keys %acked <= 18
            && !grep({ %{ $_->{test_acks} // {} } } @c)
            && !grep { ($seen{$_} // 0) != 1 } grep { !$acked{$_} } 1 .. $count)
        {
            $_->close for splice @c;
            @c = consumer('/queue/r', prefetch => 5);
        }
    }

    is(scalar(keys %acked), $count, "all of $count messages are acknowledged")
        or diag explain [ $t->status, map { "$_: " . ($seen{$_} // 0) }
                          grep { !$acked{$_} } 1 .. $count ];
    is("@unflagged", '', 'what came twice was flagged');
    is("@wrong", '', 'nothing comes again behind its RECEIPT');
    is(join(' ', sort keys %codes), '1001', 'and sessions were closed for it');
    is($reloads, 2, 'twice');

    ok(wait_for(10, sub { $holder->recv(0.01); $holder->closed }),
       'the one who held some, too');
    my $next = consumer('/queue/once/a');
    my @again = $next->collect(2);
    is(bodies(@again), 'x y', 'that is no delivery that failed');
    is(flagged(@again), 2, 'but flagged');
    is($t->status->{dead_lettered}, 0, 'none is given up');
    $next->ack($_, receipt => 1) for @again;
    $_->close for @c, $next;
    settled();
}


# a killed worker

{
    my $by = $t->stomp_spread(2, 1);
    my ($lost, $stays) = map { $_->[0] } values %$by;
    my ($victim) = grep { $_->{slot} == hex $lost->slot }
                   @{ $t->status->{workers} };

    subscribe($lost, '/queue/k');
    $lost->send('/queue/k', $_, receipt => 1) for 1 .. 5;
    my @m = $lost->collect(5);
    $lost->ack($m[1], receipt => 1);
    $lost->begin('t');
    $lost->ack($m[3], transaction => 't');
    $lost->send('/queue/k', 'never', transaction => 't', receipt => 1);
    put('/queue/k', 6);
    is($lost->recv->{body}, 6, 'on its way to the worker');

    subscribe($lost, '/queue/once/k', id => 'once');
    put('/queue/once/k', 'bad');
    is($lost->recv->{body}, 'bad', 'one that may be delivered once');

    $t->kill_worker($victim->{pid});
    ok(wait_for(10, sub { $t->status->{dead_lettered} == 1 }),
       'a worker that dies with it is a delivery that failed');
    subscribe($stays, '/queue/k');
    put('/queue/k', 7);
    my @again = $stays->collect(6);
    is(join(' ', sort map { $_->{body} } @again), '1 3 4 5 6 7',
       'what a killed worker had goes to another');
    is(bodies(grep { $_->{headers}{redelivered} } @again), '1 3 4 5 6',
       'in order, and flagged');
    $stays->ack($_, receipt => 1) for @again;
    $_->abort for $lost;
    $stays->close;
    settled();
}


# no beats

{
    my @connect = (path => '/beats', connect => { heart_beat => '1000,1000' });
    my ($quiet, $beats) = map { $t->stomp(@connect) } 1, 2;
    is($quiet->connected_frame->{headers}{'heart-beat'}, '1000,1000',
       'beats are agreed');

    subscribe($_, '/queue/h') for $quiet, $beats;
    put('/queue/h', 1 .. 4);
    my @mine = $quiet->collect(2);
    my @other = $beats->collect(2);
    $quiet->ack($mine[0], receipt => 1);

    my $again;
    wait_for(15, sub { $beats->beat; $again = $beats->recv(0.2) });
    is($again && $again->{body}, $mine[1]{body},
       'who is silent loses what it has not acknowledged');
    is($again->{headers}{redelivered}, 'true', 'flagged');
    is($t->status->{unacknowledged}, 3, 'who beats keeps its own');
    $beats->ack($_, receipt => 1) for $again, @other;
    $_->close for $quiet, $beats;
    settled();
}


# a consumer that reads nothing

{
    my ($n, $body) = (240, 'x' x 60000);
    my $slow = $t->stomp(path => '/slow');
    my $dropped = $t->status->{dropped};

    subscribe($slow, '/queue/s', prefetch => $n);
    $t->push_message('/queue/s', $_ . $body) for 1 .. $n;
    ok(wait_for(20, sub { $t->status->{sessions} == 0 }),
       'who does not read is closed');

    my $c = $t->stomp(path => '/slow');
    subscribe($c, '/queue/s', prefetch => $n);
    my @got = map { $_->{body} =~ /^(\d+)x+$/ } $c->collect($n, 30);
    is("@got", join(' ', 1 .. $n), 'and another has all of it, in order');
    ok(wait_for(5, sub { $t->status->{dropped} > $dropped }), 'counted');
    $_->abort for $slow, $c;

    my $d = $t->stomp;
    $d->subscribe('/queue/s', id => 's');
    is(scalar($d->collect($n, 30)), $n, 'and another one');
    $d->disconnect;
    settled();
}


ok(wait_for(10, sub {
    my $status = $t->status;
    return !$status->{sessions} && !$status->{queues}
        && $status->{zone}{used} == $used;
}), 'no memory of the zone is lost') or diag explain $t->status;

$t->ok_no_alerts;
done_testing;


sub consumer {
    my ($name, %opt) = @_;

    my $c = $t->stomp;
    subscribe($c, $name, %opt);
    return $c;
}


sub subscribe {
    my ($c, $name, %opt) = @_;

    return $c->subscribe($name, id => $opt{id} // 's',
                         ack => 'client-individual', headers => [
                             'prefetch-count' => $opt{prefetch} // 100 ]);
}


sub put {
    my ($name, @bodies) = @_;

    my $res = $t->request(POST => '/push/', body => JSON::PP::encode_json([
        map { { destination => $name, body => "$_" } } @bodies ]),
        headers => [ 'Content-Type' =>
                     'application/vnd.stomp.batch+json' ]);
    die 'not published: ' . $res->body if $res->status != 200;
    return;
}


# takes the RECEIPTs of ACKs that are there

sub receipts {
    my ($c, $acked) = @_;

    my @rest;

    while (@{ $c->{queue} }) {
        my $frame = shift @{ $c->{queue} };
        my $body = $frame->{command} eq 'RECEIPT'
                 ? delete $c->{test_acks}{ $frame->{headers}{'receipt-id'} }
                 : undef;

        if (defined $body) {
            $acked->{$body} = 1;
        } else {
            push @rest, $frame;
        }
    }

    push @{ $c->{queue} }, @rest;
    return;
}


sub bodies  { return join ' ', map { $_->{body} } @_ }
sub flagged { return scalar grep { $_->{headers}{redelivered} } @_ }


sub settled {
    my $have;

    wait_for(10, sub {
        my $status = $t->status;
        $have = "$status->{unacknowledged} $status->{queued}"
              . " $status->{queues}";
        return $have eq '0 0 0';
    });

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is($have, '0 0 0', 'nothing is left');
}
