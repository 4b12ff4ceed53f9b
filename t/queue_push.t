# Without it a publisher could be told wrongly who gets its message, or whether
# it was taken; or a batch for topics and queues could be lost or come twice
# for some of them.

use lib 't/lib';

use Test::More;
use Test::Stomp;

my $t = nginx(workers => 4);

$t->write_conf(<<'CONF')->start;
stomp_broker chat {
    zone  8m;
    topic /topic/;
    queue /queue/short/ max_length=3;
    queue /queue/small/ max_bytes=8k;
    queue /queue/;
    allow send /topic/**;
    allow subscribe /queue/**;
}

server {
    listen 127.0.0.1:%%PORT%%;

    location / { stomp_pass chat; }
    location = /stomp_status { stomp_status chat; }
    location /push/ { stomp_push chat; stomp_max_body 256k; }
}
CONF

my $used = $t->status->{zone}{used};
my $by = $t->stomp_spread(4, 2);
my @slots = sort keys %$by;
my @c = map { $by->{$_}[0] } @slots;
my @d = map { $by->{$_}[1] } @slots;


# what a publisher is told

{
    is(push_to('/queue/a')->json->{subscribers}, 0, 'nobody consumes');
    is($t->status->{queued}, 1, 'but the message waits');
    is(get('/queue/a'), 0, 'GET: nobody');

    $c[$_]->subscribe('/queue/a', id => 'a') for 0 .. 2;
    wait_for(10, sub { $t->status->{queued} == 0 });
    is(get('/queue/a'), 3, 'GET: three consumers');
    my $json = push_to('/queue/a')->json;
    is($json->{subscribers}, 3, 'POST: three, of whom one gets it');
    is($json->{destination}, '/queue/a', 'with the name');
    my $status = $t->status('/stomp_status?destination=/queue/a');
    is($status->{destination}{subscribers}, 3, 'status: the same');
    is($status->{subscriptions}, 3, 'they are subscriptions');
    is(scalar(map { $_->collect(2, 0.2) } @c[ 0 .. 2 ]), 2, 'both come, once');
    $c[0]->unsubscribe('a');
    is(get('/queue/a'), 2, 'UNSUBSCRIBE is seen');
    $c[$_]->unsubscribe('a') for 1, 2;
    is(get('/queue/a'), 0, 'nobody again');
}


# a full queue: 503 in JSON, to everybody, and nothing of a batch

for ([ '/queue/short/a', 3, 'x' ], [ '/queue/small/a', 3, 'x' x 1800 ]) {
    my ($name, $n, $body) = @$_;
    my $full = "$name: full";

    is(push_to($name, $body)->status, 200, "$name: $_ of $n") for 1 .. $n;
    my $refused = $t->status->{refused};
    my $res = push_to($name, $body);
    is($res->status, 503, "$full: 503");
    is($res->header('Content-Type'), 'application/json', 'in JSON');
    is($res->header('Retry-After'), 1, 'with Retry-After');
    is_deeply([ keys %{ $res->json } ], [ 'error' ], 'an error');
    is($res->json->{error}, "the queue \"$name\" is full, try again later",
       'that tells which');
    ok(wait_for(5, sub { $t->status->{refused} == $refused + 1 }), 'counted');

    my $before = $t->status;
    $c[0]->subscribe('/topic/x', id => 'x');
    $res = batch([ '/topic/x', 'never' ], [ '/queue/other', 'never' ],
                 [ $name, $body ], [ '/topic/x', 'never' ]);
    is($res->status, 503, "$full: 503 for a batch");
    is($res->json->{error}, "the queue \"$name\" is full, try again later",
       'that tells which');
    $c[0]->expect_none(0.1, 'nothing of it is published');
    $c[0]->unsubscribe('x');
    is($t->status->{queued}, $before->{queued}, 'in no queue');
    is($t->status->{published}, $before->{published}, 'or counted');

    $c[1]->subscribe($name, id => 'f', ack => 'client');
    my @m = $c[1]->collect($n);
    is(scalar @m, $n, "$full: what was taken comes");
    is(push_to($name, $body)->status, 200,
       'what a consumer has does not fill it');
    push @m, $c[1]->recv;
    $c[1]->ack($m[-1], receipt => 1);
    $c[1]->unsubscribe('f');
}

# a batch that can never fit

is(batch(map { [ '/queue/short/b', $_ ] } 1 .. 4)->status, 503,
   'a batch for more than there can be');
is(batch(map { [ '/queue/short/b', $_ ] } 1 .. 3)->status, 200, 'as many');
$c[0]->subscribe('/queue/short/b', id => 'b');
is(bodies($c[0]->collect(3)), '1 2 3', 'come');
$c[0]->unsubscribe('b');


# the messages of a batch for queues are linked at once

for ([ 150, 200 ], [ 1000, 413 ]) {
    my ($n, $status) = @$_;
    my $before = $t->status->{published};
    my $res = batch(map { [ '/queue/many', $_ ] } 1 .. $n);
    is($res->status, $status, "a batch of $n for a queue: $status");
    like($res->json->{error}, qr/^$n messages are too many for one batch, sp/,
         'and told what to do') if $status == 413;
    $n = 0 if $status == 413;
    is($t->status->{published}, $before + $n, 'all or nothing');
    $c[0]->subscribe('/queue/many', id => 'many');
    is(bodies($c[0]->collect($n)), join(' ', 1 .. $n), 'in order');
    $c[0]->expect_none(0.1);
    $c[0]->unsubscribe('many');
}


# batches for both, with consumers and subscribers of all kinds in all workers

{
    my ($rounds, $size) = (30, 20);

    $_->subscribe('/queue/mixed', id => 'q') for @c;
    $d[0]->subscribe('/topic/mixed/*', id => 'star');
    $d[1]->subscribe('/topic/**', id => 'all');
    $d[2]->subscribe('/topic/mixed/a', id => 'plain');
    $d[3]->subscribe('/queue/mixed', id => 'q');
    $d[3]->subscribe('/topic/mixed/a', id => 'both');

    my @want = map { my $r = $_; map { "$r.$_" } 1 .. $size } 1 .. $rounds;
    my $before = $t->status->{published};

    for my $round (1 .. $rounds) {
        my $res = batch(map { [ $_ % 2 ? '/queue/mixed' : '/topic/mixed/a',
                                "$round.$_" ] } 1 .. $size);
        die $res->body if $res->status != 200;
        is(join(' ', map { $_->{subscribers} } @{ $res->json }),
           join(' ', (5, 4) x ($size / 2)), 'who gets them') if $round == 1;
    }

    is($t->status->{published}, $before + @want, 'each counts once');

    my @queue = grep { /[13579]$/ } @want;
    my @topic = grep { /[02468]$/ } @want;
    my %got;

    for my $i (0 .. 2) {
        is(bodies($d[$i]->collect(scalar @topic)), "@topic",
           ('a star', 'all stars', 'a plain one')[$i] . ': all, once');
    }

    my @both = $d[3]->collect(@topic + @queue / 5);
    is(bodies(grep { $_->{headers}{subscription} eq 'both' } @both), "@topic",
       'who has both: all of the topic');
    $got{ $_->{body} }++
        for grep { $_->{headers}{subscription} eq 'q' } @both;
    is(scalar(keys %got), @queue / 5, 'and a fair share of the queue');

    for my $c (@c) {
        my @bodies = map { $_->{body} } $c->collect(@queue / 5);
        is(scalar @bodies, @queue / 5, 'a fair share');
        $got{$_}++ for @bodies;
    }

    is_deeply([ sort keys %got ], [ sort @queue ], 'all of the queue');
    is(scalar(grep { $_ != 1 } values %got), 0, 'each once');
    $_->expect_none(0.1) for @c, @d;
}


$_->disconnect for @c, @d;
ok(wait_for(10, sub {
    my $status = $t->status;
    return !$status->{sessions} && !$status->{queues}
        && $status->{zone}{used} == $used;
}), 'no memory of the zone is lost') or diag explain $t->status;

$t->ok_no_alerts;
done_testing;


sub push_to {
    my ($name, $body) = @_;

    return $t->push_message($name, $body // 'x');
}


sub get {
    my ($name) = @_;

    return $t->request(GET => "/push$name")->json->{subscribers};
}


# [ destination, body ], ...

sub batch {
    return $t->request(POST => '/push/', body => JSON::PP::encode_json([
        map { { destination => $_->[0], body => "$_->[1]" } } @_ ]),
        headers => [ 'Content-Type' =>
                     'application/vnd.stomp.batch+json' ]);
}


sub bodies { return join ' ', map { $_->{body} } @_ }
