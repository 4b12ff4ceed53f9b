# Without it: a message of a queue that is delivered though its time has
# passed, or one that keeps others out of the queue for ever.

use lib 't/lib';

use Test::More;
use Test::Stomp;
use Time::HiRes qw(time);

my $t = nginx(workers => 2);

$t->write_conf(<<'CONF')->start;
stomp_broker chat {
    zone  4m;
    topic /topic/;
    queue /queue/short/ max_length=3;
    queue /queue/;
    allow send /topic/** /queue/**;
    allow subscribe /queue/**;
}

server {
    listen 127.0.0.1:%%PORT%%;

    location / { stomp_pass chat; }
    location = /stomp_status { stomp_status chat; }
    location /push/ { stomp_push chat; }
}
CONF

my $used = $t->status->{zone}{used};
my $c = $t->stomp;
my $expired = 0;


# by each way to publish: those before and behind it come

my %publish = (
    SEND => sub {
        my ($name, $body, @headers) = @_;
        $c->send($name, $body, headers => \@headers, receipt => 1);
    },
    transaction => sub {
        my ($name, $body, @headers) = @_;
        $c->begin('t');
        $c->send($name, $body, headers => \@headers, transaction => 't');
        $c->commit('t', receipt => 1);
    },
    HTTP => sub {
        my ($name, $body, %headers) = @_;
        $t->push_message($name, $body, headers => [
            map { ("X-Stomp-$_" => $headers{$_}) } keys %headers ]);
    },
    batch => sub {
        my ($name, $body, %headers) = @_;
        $_ = "$_" for values %headers;
        $t->request(POST => '/push/', body => JSON::PP::encode_json([ {
            destination => $name, body => $body, headers => \%headers } ]),
            headers => [ 'Content-Type' =>
                         'application/vnd.stomp.batch+json' ]);
    },
);

for my $way (sort keys %publish) {
    my $name = "/queue/$way";
    my $later = int(time * 1000) + 3600_000;
    my $put = $publish{$way};

    $put->($name, 'first');
    $put->($name, 'past', expires => 1);
    $put->($name, 'later', expires => $later);
    $put->($name, 'short', ttl => 1);
    $put->($name, 'x' x 9000, ttl => 1);
    $put->($name, 'both', ttl => 3600_000, expires => 1);
    $put->($name, 'long', ttl => 3600_000);
    $put->($name, 'never', ttl => 0, expires => 0);

    my $at = time;
    wait_for(5, sub { time > $at + 0.05 });
    is($t->status->{queued}, 8, "$way: all of them wait");

    my $id = $c->subscribe($name);
    $c->expect(MESSAGE => -body => 'first');
    $c->expect(MESSAGE => -body => 'later', expires => $later);
    $c->expect(MESSAGE => -body => 'long', ttl => undef, expires => undef);
    $c->expect(MESSAGE => -body => 'never');
    expired(4, "$way: what has expired is not delivered");
    is($t->status->{queued}, 0, "$way: and does not stay");
    $c->unsubscribe($id);
}


# in time for a consumer that is there, and too late when it comes back

{
    my ($d, $e) = ($t->stomp, $t->stomp);
    $d->subscribe('/queue/late', id => 1, ack => 'client-individual');
    my $until = int(time * 1000) + 1000;
    $c->send('/queue/late', 'short', headers => [ expires => $until ]);
    $c->send('/queue/late', 'long');
    my ($short, $long) = $d->collect(2);
    is("$short->{body} $long->{body}", 'short long', 'in time');

    wait_for(5, sub { time * 1000 > $until + 50 });
    is($t->status->{unacknowledged}, 2, 'who has it keeps it');
    $d->nack($_, receipt => 1) for $short;
    expired(1, 'NACK: too late for another delivery');
    $d->unsubscribe(1);
    $e->subscribe('/queue/late', id => 1);
    $e->expect(MESSAGE => -body => 'long', redelivered => 'true');
    $e->expect_none(0.1);
    $_->close for $d, $e;
}


# what has expired makes room, in its turn

for my $way ('SEND', 'HTTP') {
    my $name = "/queue/short/$way";

    $c->send($name, 'gone', headers => [ ttl => 1 ], receipt => 1) for 1, 2;
    $c->send($name, 'stays', receipt => 1);
    my $at = time;
    wait_for(5, sub { time > $at + 0.05 });

    $publish{$way}->($name, $_) for 'one', 'two';
    expired(2, "$way: expired ones make room in a full queue");
    is($t->push_message($name, 'three')->status, 503, 'others do not');

    my $id = $c->subscribe($name);
    $c->expect(MESSAGE => -body => $_) for qw(stays one two);
    $c->unsubscribe($id);
}


$c->disconnect;
ok(wait_for(10, sub {
    my $status = $t->status;
    return !$status->{sessions} && !$status->{queues}
        && $status->{zone}{used} == $used;
}), 'no memory of the zone is lost') or diag explain $t->status;

$t->ok_no_alerts;
done_testing;


sub expired {
    my ($n, $name) = @_;

    $expired += $n;
    wait_for(5, sub { $t->status->{expired} >= $expired });

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is($t->status->{expired}, $expired, $name);
}
