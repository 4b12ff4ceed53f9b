#!/usr/bin/perl

# Without this: a message that is delivered though its time has passed, or one
# that stays in the zone for ever.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;
use Time::HiRes qw(time);

my $t = nginx(workers => 2);

$t->write_conf(<<'CONF')->start;
stomp_broker chat {
    zone 4m;
    topic /topic/;
    allow send /topic/**;
    history /topic/h/ 100 1h;
}

server {
    listen 127.0.0.1:%%PORT%%;

    location = /endpoint-websocket { stomp_pass chat; }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF

my $idle = $t->status->{zone}{used};
my $c = $t->stomp;
my $past = int(time * 1000) - 1000;
my $soon = int(time * 1000) + 3600_000;


# live

$c->subscribe('/topic/live', id => 'live');
$t->push_message('/topic/live', 'late', headers => [
    'X-Stomp-Expires' => $past ]);
$c->send('/topic/live', 'late, too', headers => [ expires => $past ]);
$t->push_message('/topic/live', 'in time', headers => [
    'X-Stomp-Expires' => $soon ]);
$c->expect(MESSAGE => -body => 'in time', expires => $soon,
           -name => 'an expired message does not come');
$c->send('/topic/live', 'ttl', headers => [ ttl => 3600_000 ]);
$c->expect(MESSAGE => -body => 'ttl', ttl => undef, expires => undef);

# 0 is never; of both the earlier counts

$c->send('/topic/live', 'never', headers => [ ttl => 0, expires => 0 ]);
$c->expect(MESSAGE => -body => 'never');
$c->send('/topic/live', 'both', headers => [ ttl => 3600_000,
                                             expires => $past ]);
$c->send('/topic/live', 'large ' . 'x' x 9000, headers => [
    ttl => 3600_000 ]);
$c->expect(MESSAGE => -body => 'large ' . 'x' x 9000);
ok(wait_for(10, sub { $t->status->{expired} == 3 }), 'they are counted');
$c->unsubscribe('live');


# a client that takes its messages late gets those of then: what was sent to
# it is on its way.  One that comes late gets what has not expired.

$t->push_message('/topic/h/a', 'short', headers => [ 'X-Stomp-Ttl' => 1 ]);
$t->push_message('/topic/h/a', 'long');
my $id = $t->push_message('/topic/h/a', 'last', headers => [
    'X-Stomp-Ttl' => 1 ])->json->{'message-id'};

ok(wait_for(20, sub { replayed('/topic/h/a', replay => 'all') eq 'long' }),
   'only what is valid is replayed');
ok(wait_for(20, sub { $t->status->{history} == 1 }),
   'history has dropped the others');

# that is not a gap

$c->subscribe('/topic/h/a', id => 'since', headers => [ since => $id ]);
$t->push_message('/topic/h/a', 'live');
$c->expect(MESSAGE => -body => 'live', 'replay-gap' => undef);
$c->unsubscribe('since');


# what is retained

$t->push_message("/topic/retained$_", 'r', headers => [
    'X-Stomp-Retain' => 'true', 'X-Stomp-Ttl' => 500 ]) for 1 .. 300;
$t->push_message('/topic/stays', 's', headers => [
    'X-Stomp-Retain' => 'true' ]);
cmp_ok($t->status->{retained}, '>', 1, 'retained for half a second');

ok(wait_for(30, sub { $t->status->{retained} == 1 }), 'then they go');
is(replayed('/topic/retained7'), '', 'nothing is there any more');
is(replayed('/topic/stays'), 's', 'but what does not expire');
$t->push_message('/topic/stays', '', headers => [
    'X-Stomp-Retain' => 'true' ]);


# refusals

for (['ttl', '1s', 'the "ttl" header must be a number of milliseconds'],
     ['ttl', '-1', 'the "ttl" header must be a number of milliseconds'],
     ['ttl', '', 'the "ttl" header must be a number of milliseconds'],
     ['expires', '9' x 16, 'the "expires" header must be a time in'
                           . ' milliseconds since 1970'])
{
    my ($name, $value, $reason) = @$_;

    my $s = $t->stomp;
    $s->send('/topic/x', 'v', headers => [ $name => $value, receipt => 'r' ]);
    my $frame = $s->expect_error('malformed header', "$name: $value");
    is($frame->{body}, "SEND: $reason.", 'with the reason');
    is($frame->{headers}{'receipt-id'}, 'r', 'and the receipt-id');

    my $res = $t->push_message('/topic/x', 'v', headers => [
        'X-Stomp-' . ucfirst $name => $value ]);
    is($res->status, 400, "by HTTP $name: $value");
    like($res->json->{error}, qr/^\Q$reason/, 'with the reason');
}


$c->disconnect;
ok(wait_for(20, sub { $t->status->{history} == 2
                      && $t->status->{destinations} == 1 }),
   'only history without an end is left') or diag explain $t->status;

$t->ok_no_alerts;
done_testing();


sub replayed {
    my ($name, @headers) = @_;

    my $sub = $c->subscribe($name, receipt => 0, headers => \@headers);
    $c->unsubscribe($sub);

    return join ' ', map { $_->{body} } $c->collect(scalar @{ $c->{queue} },
                                                    0);
}
