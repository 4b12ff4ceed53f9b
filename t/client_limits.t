# Without it one client could send as much as its line carries, keep others
# from connecting, or lose its session where it was to be slowed down or to
# miss messages only.

use lib 't/lib';

use Test::More;
use Test::Stomp;

my $t = nginx(workers => 2);

$t->write_conf(<<'CONF')->start;
stomp_broker chat { zone 8m; topic /topic/; allow send /topic/**; }
stomp_broker few { zone 1m; topic /topic/; max_sessions 4; }
stomp_shutdown_drain 2s;
stomp_broker slow { zone 32m; topic /topic/; allow send /topic/**; }

server {
    listen 127.0.0.1:%%PORT%%;

    location / { stomp_pass chat; }
    location = /messages { stomp_pass chat; stomp_message_rate 50 burst=10;
                           stomp_heartbeat 1s;
                           stomp_heartbeat_tolerance 1; }
    location = /octets { stomp_pass chat; stomp_byte_rate 16k burst=20k;
                         stomp_frame_timeout 1s; stomp_max_frame 1m;
                         stomp_ping_interval 1s; }
    location = /close { stomp_pass chat; stomp_message_rate 5 burst=20;
                        stomp_byte_rate 10k burst=100k;
                        stomp_rate_policy close; }
    location = /lost { stomp_pass chat; stomp_message_rate 1;
                       stomp_frame_timeout 1s; }
    location = /stomp_status { stomp_status chat; }

    location = /few { stomp_pass few; }
    location = /few_status { stomp_status few; }
}

server {
    listen 127.0.0.1:%%PORT2%% sndbuf=16k;

    stomp_max_body 1m;
    stomp_max_output 256k;

    location / { stomp_pass slow; stomp_slow_policy drop; }
    location = /close { stomp_pass slow; stomp_output_timeout 60s; }
    location = /status { stomp_status slow; }
    location /push/ { stomp_push slow; client_max_body_size 1m;
                      client_body_buffer_size 1m; }
}
CONF


# messages: the session is slowed down, and nothing else happens to it; in
# that time it sends no beats either

{
    my $c = $t->stomp(path => '/messages',
                      connect => { heart_beat => '1000,1000' });
    my $before = $t->status->{delayed};
    my $start = now();

    $c->subscribe('/topic/a', id => 'a', receipt => 0);
    $c->send('/topic/a', $_) for 1 .. 210;
    $c->command(UNSUBSCRIBE => [ id => 'none', receipt => 'last' ]);

    # deliveries of others come in between
    my $other = $t->stomp;
    my ($frame, @got, $foreign);

    while ($frame = $c->recv(10)) {
        last if $frame->{command} ne 'MESSAGE';

        if ($frame->{body} eq 'other') {
            $foreign = @got;
            next;
        }

        push @got, $frame->{body};
        $other->send('/topic/a', 'other') if @got == 15;
    }

    my $time = now() - $start;

    is($frame && $frame->{headers}{'receipt-id'}, 'last',
       'a client that sends too much is served');
    is("@got", "@{[ 1 .. 210 ]}", 'with all that it sends, in order');
    cmp_ok($time, '>=', 202 / 50 - 0.1,
           sprintf 'but slowly: 212 frames took %.2f s', $time);
    ok(defined $foreign && $foreign < 210,
       'messages of others do not wait for it');
    ok(wait_for(3, sub { $t->status->{delayed} > $before }), 'it is counted');

    my ($line) = $t->error_log =~ /^(.*sends more than stomp_message_rate.*)$/m;
    like($line // '', qr/\[info\].* STOMP session \Q@{[ $c->session ]}\E is /,
         'and logged');
    $c->disconnect;
}


# octets, whatever they are: the time-outs of a frame and of silence don't run

for my $how ('frames', 'one frame', 'heart-beats', 'pings') {
    my $c = $t->stomp(path => '/octets');
    my $before = $t->status->{delayed};
    my ($size, $start) = (100_000, now());

    if ($how eq 'frames') {
        $c->send('/topic/a', 'x' x 950) for 1 .. $size / 1000;

    } elsif ($how eq 'one frame') {
        my $half = "SEND\ndestination:/topic/a\n\n" . 'x' x 50_000;

        # nginx has an incomplete one when it does not read
        $c->ws->send_text($half);
        $c->ws->send_text("\0" . "\n" x 49_000);

    } elsif ($how eq 'heart-beats') {
        $c->ws->send_text("\n" x 10_000) for 1 .. $size / 10_000;

    } else {
        $c->ws->ping('p' x 100) for 1 .. $size / 100;
    }

    $c->command(UNSUBSCRIBE => [ id => 'none', receipt => 'r' ]);
    my $frame = $c->recv(15);
    my $time = now() - $start;

    is($frame && $frame->{headers}{'receipt-id'}, 'r', "$how: served")
        or diag $c->why_nothing;

    # the last read may be handled, and paid later
    cmp_ok($time, '>=', ($size - 20480 - 16384 - 8000) / 16384,
           sprintf "$how: %d octets took %.2f s", $size, $time);
    ok(wait_for(3, sub { $t->status->{delayed} > $before }),
       "$how: counted");
    $c->disconnect;
}


# the other policy

for ([ stomp_message_rate => sub { $_[0]->send('/topic/a', '') for 1 .. 40 } ],
     [ stomp_byte_rate => sub { $_[0]->ws->send_text("\n" x 60_000)
                                    for 1 .. 3 } ])
{
    my ($name, $do) = @$_;
    my $c = $t->stomp(path => '/close');
    my $refused = $t->status->{refused};

    $c->send('/topic/a', '', receipt => 1) for 1 .. 10;
    pass("$name: a burst is possible");
    $do->($c);
    my $frame = $c->expect_error('rate exceeded', $name, 1008);
    is($frame->{body}, "This session has sent more than $name allows.",
       "$name is named");
    ok(wait_for(3, sub { $t->status->{refused} == $refused + 1 }),
       "$name: counted");
}


# a client that has gone is not waited for as long as it was to be slow

{
    my $c = $t->stomp(path => '/lost');
    my $sessions = $t->status->{sessions};

    $c->send('/topic/a', 'x') for 1 .. 500;
    $c->abort;
    ok(wait_for(8, sub { $t->status->{sessions} == $sessions - 1 }),
       'a delayed session ends with its client');

    # and one that nginx closes with its worker
    $c = $t->stomp(path => '/lost');
    $c->send('/topic/a', 'x') for 1 .. 500;
    ok(wait_for(3, sub { $t->status->{delayed} > 0 }), 'one that is delayed');
    $t->reload;
    $c->expect_close(1001, 'is told that its worker goes', 40);
}


# messages that a slow client misses

{
    my $slow = $t->stomp(port => $t->port(2), rcvbuf => 4096);
    my $fast = $t->stomp(port => $t->port(2));
    my $writer = $t->stomp(port => $t->port(2));
    my $before = status('/status', 2);

    for my $c ($slow, $fast) {
        $c->subscribe('/topic/slow', id => $_) for 'one', 'two';
    }

    # some sizes, so that the last octets before the limit are used as well
    my $n = 0;
    my @want;

    while ($n < 60) {
        my $body = $n++ . ':' . 'x' x (1000 * ($n * 7 % 50));
        push @want, $body;
        $t->push_message('/topic/slow', $body, port => $t->port(2));
        $fast->recv for 1, 2;
    }

    $slow->command(SUBSCRIBE => [ destination => '/topic/late', id => 'late',
                                  receipt => 'r' ]);
    ok(wait_for(5, sub {
        status('/status', 2)->{subscriptions} == $before->{subscriptions} + 5
    }), 'a session whose output is full still takes orders');

    # another worker's numbers may come a second late
    my ($status, $missed);

    ok(wait_for(5, sub {
        $status = status('/status', 2);
        $missed = $status->{dropped_messages} - $before->{dropped_messages};
        return $status->{delivered} - $before->{delivered} == 4 * $n - $missed;
    }), 'what was dropped was not delivered');
    cmp_ok($missed, '>', 10, "$missed messages were dropped");
    is($status->{dropped}, $before->{dropped}, 'no session was');

    my @lines = $t->error_log
                =~ /^(.*\Q@{[ $slow->session ]}\E is too slow.*)$/mg;
    is(scalar @lines, 1, 'one line for all of them');
    like($lines[0] // '', qr/\[warn\] .*: \d+ octets are .* it are dropped/,
         'a warning');

    my (%got, $receipt);

    while (my $frame = $slow->recv(3)) {
        if ($frame->{command} eq 'RECEIPT') {
            $receipt = $frame->{headers}{'receipt-id'};
            last;
        }

        push @{ $got{ $frame->{headers}{subscription} } }, $frame->{body};
    }

    is($receipt, 'r', 'the receipt came');
    is($missed, 2 * $n - map({ @$_ } values %got),
       'all that was not dropped came, in whole frames');

    my %number = map { $want[$_] => $_ } 0 .. $#want;

    for my $id ('one', 'two') {
        my @numbers = map { $number{$_} // 'strange' } @{ $got{$id} };
        is("@numbers", join(' ', sort { $a <=> $b } @numbers),
           "in order ($id)");
    }

    # from now on there is room
    $t->push_message('/topic/slow', 'again', port => $t->port(2));
    $slow->expect(MESSAGE => -body => 'again', -name => 'it goes on') for 1, 2;

    # who does not take receipts is closed in the end
    my $dropped = status('/status', 2)->{dropped};
    $t->push_message('/topic/slow', 'y' x 30_000, port => $t->port(2))
        for 1 .. 12;

    for my $i (1 .. 300) {
        last unless $slow->send('/topic/none', '', receipt => 'r' x 1000 . $i,
                                wait => 0);
    }

    ok(wait_for(5, sub { status('/status', 2)->{dropped} == $dropped + 1 }),
       'receipts are not dropped, and not kept without a limit');
    $_->close for $fast, $writer;
}


# sessions of all workers together

{
    my @c = map { $t->stomp(path => '/few') } 1 .. 4;
    my $ws = $t->ws(path => '/few');

    is($ws->status, 503, 'one session more than max_sessions: 503');
    is($ws->header('Retry-After'), 1, 'it may try again');
    is(status('/few_status')->{sessions}, 4, 'it is none');
    ok(wait_for(3, sub { status('/few_status')->{refused_sessions} == 1 }),
       'and is counted');

    # they may have shaken hands before
    (shift @c)->disconnect;
    ok(wait_for(3, sub { status('/few_status')->{sessions} == 3 }), 'one goes');

    my @late = map { Test::Stomp::Client->new(port => $t->port,
                                              path => '/few') } 1, 2;
    is($late[0]->connect->{command}, 'CONNECTED', 'another one comes');
    $late[1]->send_frame(CONNECT => [ 'accept-version' => '1.2' ]);
    my $frame = $late[1]->expect_error('too many sessions',
                                       'its neighbor is too late', 1013);
    is($frame->{body}, 'stomp_broker "few" can have 4 sessions'
                       . ' (max_sessions), try again later.', 'it is told why');
    ok(wait_for(3, sub { status('/few_status')->{refused_sessions} == 2 }),
       'and counted');

    # those of a killed worker are free again
    $t->kill_worker($_) for $t->workers;
    ok(wait_for(10, sub { status('/few_status')->{sessions} == 0 }),
       'killed workers have no sessions');
    @c = map { $t->stomp(path => '/few') } 1 .. 4;
    pass('so there is room');
    $_->disconnect for @c;
}

ok(wait_for(5, sub {
    !grep { $_->{sessions} || $_->{zone}{used} }
    $t->status, status('/few_status'), status('/status', 2);
}), 'nothing is left');

$t->ok_no_alerts;

done_testing;


sub status {
    my ($path, $port) = @_;

    return $t->request(GET => $path, port => $t->port($port // ''))->json;
}
