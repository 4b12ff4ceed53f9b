#!/usr/bin/perl

# Without it a subscription with wildcards could miss a message that another
# worker has published, get it twice, or get what it has not asked for; and
# names that only patterns hear could fill the zone.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;

my $TYPE = 'application/vnd.stomp.batch+json';

my $http = <<'CONF';
stomp_broker chat {
    zone   4m;
    topic  /topic/ /other/;
    topic  /rabbit/ separator=.;
    allow  send /topic/** /other/** /rabbit/**;
}

server {
    listen 127.0.0.1:%%PORT%%;

    location = /endpoint-websocket {
        stomp_pass chat;
        stomp_max_subscriptions 6000;
    }
    location = /stomp_status { stomp_status chat; }
    location /push/ { stomp_push chat; }
    location /batch/ { stomp_push chat; }
}
CONF

my $t = nginx(workers => 4);
$t->write_conf($http)->start;

my $by = $t->stomp_spread(4, 2);
my @slots = sort keys %$by;
my %pub = map { $_ => $by->{$_}[0] } @slots;
my %sub = map { $_ => $by->{$_}[1] } @slots;
my $mark = 0;


# from each worker to the patterns of each

$_->subscribe('/topic/a/*', id => 'one') for values %sub;
$_->subscribe('/topic/a/**', id => 'many') for values %sub;

for my $from (@slots) {
    $pub{$from}->send('/topic/a/b', "by $from", receipt => 1);

    for my $to (@slots) {
        is_deeply([ heard($sub{$to}) ],
                  [ "many /topic/a/b by $from", "one /topic/a/b by $from" ],
                  "$from to $to: one message for each of both patterns");
    }
}

for ([ '/topic/a' => 'many' ], [ '/topic/a/b/c' => 'many' ],
     [ '/topic/a/' => 'many' ], [ '/topic/a/*b' => undef ],
     [ '/topic/ab' => '' ], [ '/other/a/b' => '' ])
{
    my ($name, $ids) = @$_;
    next unless defined $ids;
    $pub{ $slots[0] }->send($name, 'x', receipt => 1);
    is(join(' ', map { (split)[0] } heard($sub{ $slots[1] })), $ids,
       "$name: heard by " . ($ids || 'none'));
    heard($sub{$_}) for @slots[ 0, 2, 3 ];
}

is($t->push_message('/topic/a/b', 'x')->json->{subscribers}, 8,
   'push counts the subscriptions of patterns');
is($t->push_message('/topic/none', 'x')->json->{subscribers}, 0,
   'but of those that match');
is($t->request(GET => '/push/topic/a/b')->json->{subscribers}, 8,
   'GET does, too');
is($t->request(GET => '/push/topic/a/*')->json->{subscribers}, 4,
   'and tells those of a pattern itself');
heard($_) for values %sub;


# exact and wildcard in one session, one after the other

{
    my ($s, $p) = ($sub{ $slots[2] }, $pub{ $slots[1] });

    $s->subscribe('/topic/a/b', id => 'exact');
    $p->send('/topic/a/b', 'three', receipt => 1);
    is(join(' ', map { (split)[0] } heard($s)), 'exact many one',
       'an exact subscription beside them gets its own message');
    is($t->push_message('/topic/a/b', 'x')->json->{subscribers}, 9,
       'and is counted with them');

    $s->unsubscribe('one');
    $p->send('/topic/a/b', 'two', receipt => 1);
    is(join(' ', map { (split)[0] } grep { / two$/ } heard($s)), 'exact many',
       'UNSUBSCRIBE of one pattern');
    $s->unsubscribe('exact');
    $p->send('/topic/a/b', 'one', receipt => 1);
    is(join(' ', map { (split)[0] } heard($s)), 'many',
       'UNSUBSCRIBE of the exact one leaves the pattern');
    $s->subscribe('/topic/a/*', id => 'one');
    $p->send('/topic/a/b', 'again', receipt => 1);
    is(join(' ', map { (split)[0] } heard($s)), 'many one',
       'a new subscription to a known name');
    heard($_) for values %sub;
}


# a batch: names that are known, names that are not, and one that nobody hears

{
    my @names = ('/topic/a/b', map { ("/topic/a/new$_", "/other/$_") } 1 .. 40);
    my $json = '[' . join(',', map {
        qq({"destination":"$_","body":"in batch"}) } @names) . ']';
    my $res = $t->request(POST => '/batch/', body => $json,
                          headers => [ 'Content-Type' => $TYPE ]);
    is($res->status, 200, 'a batch') or diag $res->body;

    for my $to (@slots) {
        my @got = heard($sub{$to});
        is(scalar @got, 82, "$to: hears what matches of a batch");
    }
}


# the order of a publisher, over all subscriptions of a session

{
    my $s = $sub{ $slots[3] };

    for my $i (1 .. 200) {
        $pub{ $slots[0] }->send('/topic/a/' . $i % 7, $i);
    }
    $pub{ $slots[0] }->send('/topic/a/b', 201, receipt => 1);
    my @got = map { (split)[2] } in_order($s, 402);
    is("@got", join(' ', map { "$_ $_" } 1 .. 201), 'in the order of sending');
    heard($_) for values %sub;
}


# words between dots

$_->unsubscribe('one'), $_->unsubscribe('many') for values %sub;

for ([ 'stock.*.nyse'  => [qw(stock.ibm.nyse)],
                          [qw(stock.nyse stock.a.b.nyse stock..nyse)] ],
     [ 'stock.#'       => [qw(stock stock.a stock.a.b)], [qw(stocks a.stock)] ],
     [ '#'             => [qw(a a.b a.b.c)], [] ],
     [ '#.error'       => [qw(error a.error a.b.error)], [qw(error.a)] ],
     [ 'a.#.z'         => [qw(a.z a.b.z a.z.z a.b.c.z)], [qw(a z a.b)] ],
     [ '*.#.*'         => [qw(a.b a.b.c)], [qw(a)] ],
     [ '#.#.x.#.#'     => [qw(x a.x x.a a.b.x.c.d)], [qw(a a.b)] ],
     [ 'a/*.c'         => [qw(a/*.c)], [] ])
{
    my ($pattern, $yes, $no) = @$_;
    my ($s, $p) = ($sub{ $slots[1] }, $pub{ $slots[2] });

    $s->subscribe("/rabbit/$pattern", id => 'dots');
    $pattern =~ m{/} or
        $p->send("/rabbit/$_", 'x', receipt => 1) for @$yes, @$no;
    $pattern =~ m{/} or
        is(join(' ', map { (split)[1] } heard($s)),
           join(' ', map { "/rabbit/$_" } sort @$yes),
           "$pattern: what it matches");
    $s->unsubscribe('dots');
}

for my $plain ('/rabbit/a/*', '/rabbit/a/**', '/rabbit/c#.b*') {
    my $s = $sub{ $slots[1] };

    $s->subscribe($plain, id => 'plain');
    $pub{ $slots[2] }->send($plain, 'x', receipt => 1);
    is(scalar heard($s), 1, "$plain: no wildcard between dots");
    $s->unsubscribe('plain');
}


# what is refused

for my $name ('/topic/a/*', '/topic/**', '/topic/*/b', '/topic/a**',
              '/rabbit/*', '/rabbit/a.#', '/topic/a/**/b')
{
    my $c = $t->stomp;
    $c->send_frame(SEND => [ destination => $name, receipt => 'r' ], 'x');
    $c->expect(ERROR => 'receipt-id' => 'r', -body => qr/wildcards|asterisk/,
               -name => "SEND to $name");

    my $res = $t->push_message($name =~ s/#/%23/gr, 'x');
    is($res->status, 400, "push to $name");
    like($res->json->{error} // '', qr/wildcards|asterisk/, 'and says why');

    $res = $t->request(POST => '/batch/',
        body => qq([{"destination":"$name","body":"x"}]),
        headers => [ 'Content-Type' => $TYPE ]);
    is($res->status, 400, "batch with $name");
}

{
    my $long = '/rabbit/' . 'a.' x 63;
    my $c = $t->stomp;

    is($t->push_message("${long}a", 'x')->status, 200, '64 words between dots');
    is($t->push_message("${long}a.", 'x')->status, 400, 'not 65');
    $c->send_frame(SEND => [ destination => "${long}a.a", receipt => 'r' ],
                   'x');
    $c->expect(ERROR => 'receipt-id' => 'r', -body => qr/more than 64 words/,
               -name => 'SEND to 65');
}

for ([ '/topic/a/**/b' => qr/last segment/ ],
     [ '/topic/a*' => qr/whole segment/ ],
     [ '/top*/a' => qr/"topic" or "queue" directive/ ],
     [ '/**' => qr/"topic" or "queue" directive/ ],
     [ '/none/*' => qr/"topic" or "queue" directive/ ],
     [ '/topic/' . '*/' x 64 . '*' => qr/more than 64 segments/ ],
     [ '/rabbit/' . '#.' x 64 . 'a' => qr/more than 64 segments/ ])
{
    my ($name, $why) = @$_;
    my $c = $t->stomp;
    $c->send_frame(SUBSCRIBE => [ destination => $name, id => 1,
                                  receipt => 'r' ]);
    $c->expect(ERROR => 'receipt-id' => 'r', -body => $why,
               -name => 'SUBSCRIBE to ' . substr $name, 0, 20);
}

{
    my $s = $sub{ $slots[0] };

    $s->subscribe('/topic/' . '*/' x 63 . '*', id => 'long');
    $pub{ $slots[1] }->send('/topic/' . 'a/' x 63 . 'a', 'x', receipt => 1);
    is(scalar heard($s), 1, '64 segments');
    $s->unsubscribe('long');
}


# a million names, or a few less

{
    my $names = $ENV{STOMP_TEST_NAMES} // 40_000;
    my $s = $sub{ $slots[0] };
    my ($most, $heard) = (0, 0);

    $s->subscribe('/topic/**', id => 'all');

    for my $i (1 .. $names / 400) {
        $pub{ $slots[ $i % 4 ] }->send("/topic/n$i/$_", 'x') for 1 .. 399;
        $pub{ $slots[ $i % 4 ] }->send("/topic/n$i/400", 'x', receipt => 1);
        $heard += in_order($s, 400);
        my $used = $t->status->{zone}{used};
        $most = $used if $used > $most;
    }

    is($heard, $names, "$names names are heard");
    cmp_ok($most, '<', 4 * 1024 * 1024 / 8, "the zone holds $most octets");
    $s->unsubscribe('all');
}


# thousands of patterns, all with the same first part, and some that match

{
    my ($s, $p) = ($sub{ $slots[0] }, $pub{ $slots[1] });

    $s->subscribe("/topic/*/p$_", id => "p$_", receipt => 0) for 1 .. 5000;
    $s->subscribe('/topic/*/p7', id => 'again');
    $p->send('/topic/x/p7', 'x', receipt => 1);
    is(join(' ', map { (split)[0] } heard($s)), 'again p7',
       'the right ones of 5,000');
    is($t->push_message('/topic/y/p5000', 'x')->json->{subscribers}, 1,
       'and they are counted');
    heard($s);
    $s->unsubscribe("p$_", receipt => 0) for 1 .. 5000;
    $s->unsubscribe('again');
}


# a worker that dies takes its patterns with it, the others go on

{
    my ($dead, $other) = @slots;
    my ($worker) = grep { $_->{slot} == hex $dead } @{ $t->status->{workers} };

    $_->subscribe('/topic/k/*', id => 'k') for values %sub;
    $t->push_message('/topic/k/1', 'x');
    heard($_) for values %sub;

    $t->kill_worker($worker->{pid});
    $pub{$other}->send('/topic/k/1', 'alive', receipt => 1);
    is(scalar heard($sub{$_}), 1, "$_: hears it without the dead worker")
        for @slots[ 1 .. 3 ];
    ok(wait_for(10, sub {
        $t->push_message('/topic/k/1', 'x')->json->{subscribers} == 3;
    }), 'the dead worker\'s are gone');
    delete $sub{$dead};
    delete $pub{$dead};
    messages($_) for values %sub;
}


# over a reload patterns of old workers hear what new ones publish

{
    ok($t->reload, 'a reload');
    my ($old) = values %sub;
    my $new = $t->stomp;

    $new->subscribe('/topic/k/*', id => 'k');
    $new->send('/topic/k/2', 'by a new one', receipt => 1);
    is(scalar messages($old, 'by a new one'), 1, 'an old worker hears it');
    is(scalar messages($new, 'by a new one'), 1, 'as the new one');
    $new->disconnect;
}

$_->close for values %sub, values %pub;
ok(wait_for(15, sub {
    my $s = $t->status;
    return $s->{zone}{used} == 0 && $s->{destinations} == 0;
}), 'nothing is left in the zone') or diag explain $t->status;

$t->ok_no_alerts;
done_testing();


# What has come to a client, sorted: "id destination body".  A message to a
# name of its own marks the end.

sub heard {
    my ($client) = @_;

    my @got = sort { $a cmp $b } messages($client);

    return @got;
}


sub messages {
    my ($client, $only) = @_;

    my $end = '/other/end-' . ++$mark;
    my @got;

    $client->subscribe($end, id => 'end');
    $t->push_message($end, 'end');

    while (my $frame = $client->recv(10)) {
        next if $frame->{command} ne 'MESSAGE';
        my $h = $frame->{headers};
        last if $h->{destination} eq $end;
        push @got, "$h->{subscription} $h->{destination} $frame->{body}"
            if !defined $only || $frame->{body} eq $only;
    }

    $client->unsubscribe('end');
    return @got;
}


sub in_order {
    my ($client, $n) = @_;

    return map { my $h = $_->{headers};
                 "$h->{subscription} $h->{destination} $_->{body}"
           } $client->collect($n, 20);
}
