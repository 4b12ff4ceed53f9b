# Without it a client whose SEND or SUBSCRIBE finds the zone full could be cut
# off though there is room a moment later, get its frames out of order, hang
# for ever, or be told nothing.

use lib 't/lib';

use Test::More;
use Test::Stomp;

my $t = nginx();

$t->write_conf(<<'CONF')->start;
stomp_broker chat { zone 1m; topic /topic/; allow send /topic/**; }

server {
    listen 127.0.0.1:%%PORT%%;

    stomp_max_subscriptions 10000;
    stomp_max_header_length 2k;

    location / { stomp_pass chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF

my ($c, $frame);
my $idle = $t->status->{zone}{used};
my $filler = filler($t);

# it waits, with all that comes behind it, until there is room

ok(retried(sub {
    $c = $t->stomp;
    $c->subscribe('/topic/heard', id => 0);

    fill($filler);
    $c->send('/topic/heard', 'large' x 700);
    $c->send('/topic/heard', $_) for 1 .. 300;
    make_room($filler);

    my $first = $c->recv;
    return 0 if $first->{command} eq 'ERROR';

    is($first->{body}, 'large' x 700, 'a SEND that waited');
    my $next = join ',', map { $_->{body} } $c->collect(300);
    is($next, join(',', 1 .. 300), 'and all that came behind it');
    $c->disconnect;
    return 1;
}), 'a SEND waits for room');

ok(retried(sub {
    $c = $t->stomp;

    fill($filler);
    subscribe_two($c);
    make_room($filler);

    $frame = after_receipts($c, 2);
    return 0 if $frame->{command} eq 'ERROR';

    is($frame->{headers}{'receipt-id'}, 2, 'a SUBSCRIBE that waited');
    $c->send(long('new 2'), 'heard');
    $c->expect(MESSAGE => subscription => 2, -body => 'heard');
    $c->disconnect;
    return 1;
}), 'a SUBSCRIBE waits for room');

# it stays full

my $refused = $t->status->{refused};
$c = $t->stomp;
$c->subscribe('/topic/heard', id => 0);
fill($filler);
$c->command(SEND => [ destination => '/topic/heard', receipt => 'r' ],
            'large' x 700);
$c->send('/topic/heard', 'behind');
$frame = $c->expect_error('broker is full', 'a SEND in vain', 1013);
is($frame->{headers}{'receipt-id'}, 'r', 'it is told which frame');
is($frame->{body}, 'The zone of stomp_broker "chat" has no room for this'
                   . ' SEND, try again later.', 'and why');

$c = $t->stomp;
fill($filler);
subscribe_two($c);
$frame = after_receipts($c);
is($frame->{headers}{message}, 'broker is full', 'a SUBSCRIBE in vain');
is($frame->{body}, 'The zone of stomp_broker "chat" has no room for this'
                   . ' SUBSCRIBE, try again later.', 'is told why');
$c->expect_close(1013);

is($t->status->{refused}, $refused + 2, 'both are counted');
is(() = $t->error_log =~ /\[error\].*zone of stomp_broker "chat" is full/g,
   $t->status->{refused}, 'and logged as errors');

# who waits may go

my $sessions = $t->status->{sessions};
$c = $t->stomp;
fill($filler);
subscribe_two($c);
$c->abort;
ok(wait_for(5, sub { $t->status->{sessions} == $sessions }),
   'a client that goes while it waits is forgotten');

$filler->{client}->disconnect;
ok(wait_for(5, sub { $t->status->{zone}{used} == $idle }),
   'the zone is as empty as before') or diag explain $t->status;

$t->ok_no_alerts;

done_testing;


# A client that takes the zone's memory by subscriptions with long names: two
# for each page.

sub filler {
    my ($t) = @_;

    return { t => $t, client => $t->stomp, next => 0, oldest => 0 };
}


sub long {
    my ($name) = @_;

    return "/topic/$name/" . 'x' x 1000;
}


# Subscribes until no page is left.

sub fill {
    my ($f) = @_;

    while (my $free = $f->{t}->status->{zone}{pages_free}) {
        for (1 .. ($free > 8 ? $free : 1)) {
            $f->{client}->subscribe(long($f->{next}), id => $f->{next},
                                    receipt => 0);
            $f->{next}++;
        }

        # the next answer is one to all of them
        $f->{client}->send('/topic/nobody', '', receipt => 1);
    }

    return;
}


# Does not wait: it is to come before the next tick of the worker.

sub make_room {
    my ($f) = @_;

    for (1 .. 40) {
        $f->{client}->unsubscribe($f->{oldest}++, receipt => 0);
    }

    return;
}


# For one of them there may be room where others have left it.

sub subscribe_two {
    my ($c) = @_;

    for (1, 2) {
        $c->command(SUBSCRIBE => [ destination => long("new $_"), id => $_,
                                   receipt => $_ ]);
    }

    return;
}


# Returns the ERROR, or the RECEIPT with that number.

sub after_receipts {
    my ($c, $last) = @_;

    my $frame;

    do {
        $frame = $c->recv or die $c->why_nothing;
    } while ($frame->{command} eq 'RECEIPT'
             && $frame->{headers}{'receipt-id'} ne ($last // ''));

    return $frame;
}


# The worker looks again with its tick, of each second, which may come before
# there is room.

sub retried {
    my ($try) = @_;

    for (1 .. 10) {
        return 1 if $try->();
    }

    return 0;
}
