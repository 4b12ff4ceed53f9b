# Without it a worker that is killed could take messages of queues along, or
# leave memory of the zone behind.
#
# STOMP_QUEUE_MESSAGES: how many (100000).

use lib 't/lib';

use Test::More;
use Test::Stomp;

my $count = $ENV{STOMP_QUEUE_MESSAGES} // 100_000;

my $t = nginx(workers => 4);

$t->write_conf(<<'CONF')->start;
stomp_broker chat {
    zone   32m;
    topic  /topic/;
    queue  /queue/ max_deliveries=0;
    allow  subscribe /queue/**;
}

server {
    listen 127.0.0.1:%%PORT%%;

    location / { stomp_pass chat; }
    location = /stomp_status { stomp_status chat; }
    location /push/ {
        stomp_push chat; client_max_body_size 1m; client_body_buffer_size 1m;
    }
}
CONF

my $used = $t->status->{zone}{used};

# two consumers in each worker, of both kinds of flow

my $by = $t->stomp_spread(4, 2);
my @slots = sort keys %$by;
my @c = map { @{ $by->{$_} }[0, 1] } @slots;

for my $i (0 .. $#c) {
    $c[$i]->command(SUBSCRIBE => [ destination => '/queue/c', id => 's',
        ack => $i % 2 ? 'client' : 'client-individual',
        'prefetch-count' => 50, receipt => 1 ]);
}

my (%acked, %seen, @unflagged);
my %cumulative = map { ($c[$_] => $_ % 2) } 0 .. $#c;

# what each consumer is sent and acknowledges, in turn with what is published

my ($published, $killed, $gone) = (0, 0, '');
my $victim = (grep { $_->{slot} == hex $slots[1] } @{
    $t->status->{workers} })[0]{pid};

while (keys %acked < $count) {
    publish(100) if $published < $count && $published - keys %acked < 2000;

    if (!$killed && keys %acked >= $count / 2) {
        $killed = 1;
        $gone = $slots[1];

        $t->kill_worker($victim);
        @c = grep { $_->slot ne $gone } @c;
    }

    my $before = keys %acked;
    take($_, 0.001) for @c;

    if (keys %acked == $before && $published >= $count) {
        take($_, 1) for @c;
        last if keys %acked == $before && $t->status->{queued} == 0
            && $t->status->{unacknowledged} == 0;
    }
}

is(scalar(keys %acked), $count, "all $count messages are acknowledged");
is(scalar @unflagged, 0, 'none came twice without a flag')
    or diag("@unflagged[0 .. ($#unflagged < 9 ? $#unflagged : 9)]");
ok($killed, 'a worker was killed meanwhile');
cmp_ok($t->status->{redelivered}, '>', 0, 'what it had was delivered again');

$_->close for @c;

my $empty = sub {
    my $status = $t->status;
    return !$status->{sessions} && !$status->{queues}
        && $status->{zone}{used} == $used;
};

ok(wait_for(10, $empty), 'the zone is as it was');
is($t->status->{zone}{used}, $used, 'to the octet');

$t->stop;
$t->ok_no_alerts;

done_testing;


sub publish {
    my ($n) = @_;

    my @batch;
    push @batch, sprintf '{"destination":"/queue/c","body":"%d"}',
        ++$published for 1 .. $n;

    my $res = $t->request(POST => '/push/', body => '[' . join(',', @batch)
        . ']', headers => [ 'Content-Type' =>
                            'application/vnd.stomp.batch+json' ]);

    die 'not published: ' . $res->body if $res->status != 200;
}


# takes what is there, and acknowledges it

sub take {
    my ($c, $patience) = @_;

    my @got = $c->collect(50, $patience);

    for my $m (@got) {
        my $flag = $m->{headers}{redelivered} // '';
        push @unflagged, $m->{body} if $seen{ $m->{body} }++ && !$flag;
        $acked{ $m->{body} } = 1;
    }

    return if !@got;

    if ($cumulative{$c}) {
        $c->ack($got[-1]);
    } else {
        $c->ack($_) for @got;
    }
}
