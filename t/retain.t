#!/usr/bin/perl

# Without this: a new subscriber that is not told the last value, is told one
# that was removed, or twice; or clients that fill the zone with last values.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;

my $t = nginx(workers => 2);

$t->write_conf(<<'CONF')->start;
stomp_broker chat {
    zone 4m;
    topic /topic/;
    allow send /topic/** /user/**;
    history /topic/h/ 3 1h;
    max_retained 20;
    history_size 256k;
}

server {
    listen 127.0.0.1:%%PORT%%;
    client_max_body_size 1m;

    location = /endpoint-websocket { stomp_pass chat; }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF

my $idle = $t->status->{zone}{used};
my ($c, $other) = map { $t->stomp } 0, 1;


# by SEND and by HTTP, from any worker to any

for my $way ('SEND', 'HTTP') {
    my $name = "/topic/$way";

    retain($way, $name, 'one');
    retain($way, $name, 'two');
    is($t->status->{retained}, 1, "$way: one of the two");

    for my $client ($c, $other) {
        $client->subscribe($name, id => 'r');
        $client->expect(MESSAGE => -body => 'two', retained => 'true',
                        destination => $name, retain => undef,
                        -name => "$way: the last value comes first");
    }

    retain($way, $name, 'three');
    $_->expect(MESSAGE => -body => 'three', retained => undef,
               -name => "$way: live it is a message like others")
        for $c, $other;

    $t->push_message($name, 'not retained');
    $_->expect(MESSAGE => -body => 'not retained') for $c, $other;
    $c->unsubscribe('r');
    $c->subscribe($name, id => 'r');
    $c->expect(MESSAGE => -body => 'three', retained => 'true');

    # removed by an empty one, which comes as it is

    retain($way, $name, '');
    $_->expect(MESSAGE => -body => '', retained => undef) for $c, $other;
    $c->unsubscribe('r');
    $c->subscribe($name, id => 'r');
    $t->push_message($name, 'next');
    $c->expect(MESSAGE => -body => 'next', -name => "$way: removed");
    $_->unsubscribe('r') for $c, $other;
    $other->recv while @{ $other->{queue} };
}


# of several pages, and with "retain:false"

retain('HTTP', '/topic/large', 'l' x 20000);
$c->subscribe('/topic/large', id => 'l');
$c->expect(MESSAGE => -body => 'l' x 20000, retained => 'true');
$c->unsubscribe('l');
retain('HTTP', '/topic/large', '');

$c->send('/topic/false', 'x', headers => [ retain => 'false' ], receipt => 1);
is($t->status->{retained}, 0, 'retain:false');


# with history: each message once

retain('HTTP', '/topic/h/a', 'old');
is(replayed('/topic/h/a', 'all'), 'old', 'in the history');
is(replayed('/topic/h/a'), 'old*', 'without a header: as retained');
$t->push_message('/topic/h/a', $_) for 1 .. 3;
is(replayed('/topic/h/a', 'all'), 'old* 1 2 3', 'before the history');
is(replayed('/topic/h/a', 2), 'old* 2 3', 'before a part of it');
is(replayed('/topic/h/a', 0), 'old*', 'before none of it');
retain('HTTP', '/topic/h/a', 'new');
is(replayed('/topic/h/a', 'all'), '2 3 new', 'in the history again');

my $id = $t->push_message('/topic/h/a', 4)->json->{'message-id'};
is(replayed('/topic/h/a', undef, $id), '', 'not what was seen');
retain('HTTP', '/topic/h/a', '');


# a batch replaces and removes, in its order

my $res = $t->request(POST => '/push/', headers => [
    'Content-Type' => 'application/vnd.stomp.batch+json' ], body =>
    '[{"destination":"/topic/b","body":"1","headers":{"retain":"true"}},'
    . '{"destination":"/topic/b","body":"2","headers":{"retain":"true"}},'
    . '{"destination":"/topic/d","body":"3","headers":{"retain":"true"}},'
    . '{"destination":"/topic/d","body":"","headers":{"retain":"true"}}]');
is($res->status, 200, 'a batch') or diag $res->body;
is(replayed('/topic/b'), '2*', 'replaced');
is(replayed('/topic/d'), '', 'removed');
retain('HTTP', '/topic/b', '');


# limits

retain('HTTP', "/topic/limit$_", 'v') for 1 .. 20;
$res = $t->request(POST => '/push/topic/limit21', body => 'v',
                   headers => [ 'X-Stomp-Retain' => 'true' ]);
is($res->status, 507, 'one too many');
like($res->body, qr/max_retained/, 'with the reason');
is(retain('HTTP', '/topic/limit7', 'w')->status, 200, 'replacing is allowed');

my $s = $t->stomp;
$s->send('/topic/limit22', 'v', headers => [ retain => 'true' ]);
$s->expect_error('too much retained', 'SEND of one too many', 1008);

# at COMMIT all or nothing

$other->subscribe('/topic/tx', id => 'tx');
my $published = $t->status->{published};
$s = $t->stomp;
$s->begin('t');
$s->send('/topic/tx', 'before', transaction => 't');
$s->send("/topic/limit$_", "tx $_", transaction => 't', receipt => 1,
         headers => [ retain => 'true' ]) for 19 .. 21;
$s->send('/topic/tx', 'behind', transaction => 't');
$s->command(COMMIT => [ transaction => 't', receipt => 'r' ]);
my $error = $s->expect_error('too much retained', 'COMMIT of too many', 1008);
is($error->{headers}{'receipt-id'}, 'r', 'with the receipt');
like($error->{body}, qr/"chat" retains .* \(max_retained, history_size\)/,
     'and the reason');

is($t->status->{published}, $published, 'nothing of it is published');
is(replayed('/topic/limit20'), 'v*', 'nothing is replaced');

$s = $t->stomp;
$s->begin('t');
$s->send("/topic/limit$_", "tx $_", transaction => 't',
         headers => [ retain => 'true' ]) for 19, 20;
$s->send('/topic/tx', 'fits', transaction => 't');
is(replayed('/topic/limit20'), 'v*', 'before the COMMIT it is the former');
$s->commit('t', receipt => 1);
is(replayed('/topic/limit20'), 'tx 20*', 'what fits is retained');
$other->expect(MESSAGE => -body => 'fits', -name => 'the only one that came');
$other->unsubscribe('tx');
$s->disconnect;

retain('HTTP', "/topic/limit$_", '') for 1 .. 20;

my %status;
$status{ retain('HTTP', "/topic/size$_", 'v' x 30000)->status }++ for 1 .. 12;
is_deeply(\%status, { 200 => 8, 507 => 4 }, 'their size is limited, too');
retain('HTTP', "/topic/size$_", '') for 1 .. 12;


# refusals

$res = $t->request(POST => '/push/topic/x', body => 'v',
                   headers => [ 'X-Stomp-Retain' => 'yes' ]);
is($res->status, 400, 'retain: yes');
like($res->body, qr/must be \\"true\\" or \\"false\\"/, 'with the reason');

$s = $t->stomp;
$s->send('/topic/x', 'v', headers => [ retain => 'TRUE' ]);
$s->expect_error('malformed header', 'SEND with retain:TRUE');

for ([ retain => 'yes', 'the "retain" header must be "true" or "false"' ],
     [ ttl => '1s', 'the "ttl" header must be a number of milliseconds' ],
     [ expires => 'soon', 'the "expires" header must be a time in'
                          . ' milliseconds since 1970' ])
{
    my ($name, $value, $reason) = @$_;

    $s = $t->stomp;
    $s->begin('t');
    $s->send('/topic/x', 'v', transaction => 't', headers => [
        $name => $value, receipt => 'r' ]);
    $error = $s->expect_error('malformed header',
                              "$name:$value in a transaction", 1002);
    is($error->{headers}{'receipt-id'}, 'r', 'is refused with the SEND');
    is($error->{body}, "SEND: $reason.", 'with the reason');
}

$s = $t->stomp;
$s->send('/user/u/q', 'v', headers => [ retain => 'true', receipt => 'r' ]);
$error = $s->expect_error('malformed header', 'SEND with retain for a user',
                          1002);
like($error->{body}, qr/not for destinations of users/, 'with the reason');
is($error->{headers}{'receipt-id'}, 'r', 'and the receipt-id');

$res = retain('HTTP', '/user/u/q', 'v');
is($res->status, 400, 'retain for a user');
like($res->body, qr/not for destinations of users/, 'with the reason');

for my $header (qw(replay since last-event-id)) {
    $s = $t->stomp;
    $s->send_frame('SUBSCRIBE', [ id => 0, destination => '/topic/*',
                                  $header => 'all' ]);
    $s->expect_error('no replay with wildcards', "$header with wildcards",
                     1008);
}


# all is given back

$_->disconnect for $c, $other;

is(wait_for(20, sub { $t->status->{sessions} == 0 }), 1, 'nobody is left');

my $left = $t->status;
is($left->{retained}, 0, 'nothing is retained');
is($left->{history}, 3, 'but the history');


# where they take all that can be kept, history has no room, not even for the
# message that just came

retain('HTTP', "/topic/size$_", 'v' x ($_ > 8 ? 3800 : 30000)) for 1 .. 12;
%status = ();
$status{ $t->push_message('/topic/h/b', 'h' x 3000)->status }++ for 1 .. 20;
is_deeply(\%status, { 200 => 20 }, 'messages without room to be kept');
is($t->status->{history}, 0, 'they are not');
is($t->status->{kept_octets}, 256 * 1024, 'what is retained stays');

retain('HTTP', "/topic/size$_", '') for 1 .. 12;
ok(wait_for(5, sub { $t->status->{zone}{used} == $idle }),
   'the zone is as empty as before') or diag explain $t->status;

$t->ok_no_alerts;
done_testing();


sub retain {
    my ($way, $name, $body) = @_;

    return $t->push_message($name, $body,
                            headers => [ 'X-Stomp-Retain' => 'true' ])
        if $way eq 'HTTP';
    return $other->send($name, $body, headers => [ retain => 'true' ],
                        receipt => 1);
}


# bodies that come with the subscription; "*": as retained

sub replayed {
    my ($name, $replay, $since) = @_;

    my $id = $c->subscribe($name, receipt => 0, headers => [
        defined $replay ? (replay => $replay) : (),
        defined $since ? (since => $since) : () ]);

    $c->unsubscribe($id);

    return join ' ', map {
        $_->{body} . ($_->{headers}{retained} ? '*' : '')
    } $c->collect(scalar @{ $c->{queue} }, 0);
}
