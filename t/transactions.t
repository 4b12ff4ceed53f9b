# Without it a transaction could be published in part, or with a stranger's
# message in its midst, before its COMMIT, although its client has gone; or one
# client could have the worker hold what it likes.

use lib 't/lib';

use Test::More;
use Test::Stomp;

my $t = nginx(workers => 4);

$t->write_conf(<<'CONF')->start;
stomp_broker chat { zone 16m; topic /topic/; allow send /topic/**; }
stomp_broker tight { zone 4m; topic /topic/; allow send /topic/**; }
stomp_broker small { zone 1m; topic /topic/; allow send /topic/**; }

server {
    listen 127.0.0.1:%%PORT%%;

    stomp_max_frame 1m;

    location / { stomp_pass chat; }
    location = /few { stomp_pass chat; stomp_max_transactions 2;
                      stomp_max_transaction_frames 3;
                      stomp_max_transaction_size 4k; }
    location = /tight { stomp_pass tight; stomp_max_output 4m;
                        stomp_max_transaction_size 4m; }
    location = /none { stomp_pass chat; stomp_max_transactions 0; }
    location = /small { stomp_pass small; stomp_max_body 900k;
                        stomp_max_transaction_size 3m; }
    location = /stomp_status { stomp_status chat; }
    location = /status { stomp_status small; }
    location /push/ { stomp_push chat; }
}
CONF

my $by = $t->stomp_spread(4, 2);
my @slots = sort keys %$by;
my ($c, $sub) = ($by->{$slots[0]}[0], $by->{$slots[1]}[0]);
my $near = $by->{$slots[0]}[1];

$_->subscribe('/topic/a', id => 'a') for $sub, $near;
$c->subscribe('/topic/own', id => 'own');

my ($start, $frame) = ($t->status);


# what is held, and what comes of it

for my $version ('1.0', '1.1', '1.2') {
    my $v = $t->stomp(connect => { version => $version });

    $v->begin('t', receipt => 1);
    $v->send('/topic/a', "$version: $_", transaction => 't', receipt => 1,
             headers => [ k => "v$_" ])
        for 1 .. 3;
    $sub->expect_none(0.1, "$version: nothing comes before the COMMIT");
    $v->commit('t', receipt => 1);

    for my $s ($sub, $near) {
        my @ids;

        for (1 .. 3) {
            my $m = $s->expect(MESSAGE => -body => "$version: $_", k => "v$_",
                               destination => '/topic/a',
                               transaction => undef, receipt => undef);
            push @ids, $m->{headers}{'message-id'} =~ /-(\d+)$/;
        }

        is($ids[2] - $ids[0], 2, "$version: their numbers follow each other");
    }

    # the name is free again
    $v->begin('t');
    $v->send('/topic/a', 'lost', transaction => 't');
    $v->abort_tx('t', receipt => 1);
    $v->begin('t');
    $v->commit('t', receipt => 1);
    $v->disconnect;
}

is($t->status->{published}, $start->{published} + 9, 'each counts once');

$c->begin($_) for 'one', 'two';
$c->send('/topic/a', 'one', transaction => 'one');
$c->send('/topic/a', 'two', transaction => 'two');
$c->send('/topic/own', 'own', transaction => 'two');
$c->send('/topic/a', 'at once', receipt => 1);
$c->send('/topic/own', '', transaction => 'one');
$c->send('/topic/a', "\xe9\0", transaction => 'one', opcode => 'binary');
$c->commit('two', receipt => 'two');
$c->expect(MESSAGE => -body => 'own', destination => '/topic/own');
$c->commit('one', receipt => 'one');
$c->expect(MESSAGE => -body => '');

for my $s ($sub, $near) {
    $s->expect(MESSAGE => -body => $_) for 'at once', 'two', 'one', "\xe9\0";
}


# an end of the session is an end of its transactions

for ([ DISCONNECT => sub { $_[0]->disconnect } ],
     [ 'a close' => sub { $_[0]->close } ],
     [ 'a lost connection' => sub { $_[0]->abort } ])
{
    my ($name, $end) = @$_;
    my $v = $t->stomp;

    $v->begin('t');
    $v->send('/topic/a', 'never', transaction => 't', receipt => 1);
    $end->($v);
    $c->send('/topic/a', "after $name", receipt => 1);
    $_->expect(MESSAGE => -body => "after $name",
               -name => "$name: nothing was published")
        for $sub, $near;
}


# no message of others comes between those of a COMMIT

{
    my ($rounds, $size) = (40, 50);
    my @writers = map { $by->{$_}[0] } @slots[ 0, 2, 3 ];
    my $noise = $by->{$slots[2]}[1];
    my $listener = $by->{$slots[3]}[1];
    my (%seen, @wrong);

    $listener->subscribe('/topic/all', id => 'all');

    for my $round (1 .. $rounds) {
        for my $w (0 .. $#writers) {
            $writers[$w]->begin($round);
            $writers[$w]->send('/topic/all', "$w.$round.$_",
                               transaction => $round)
                for 1 .. $size;
        }

        $noise->send('/topic/all', "noise.$round.$_") for 1 .. 10;
        $writers[$_]->commit($round) for 0 .. $#writers;
        $noise->send('/topic/all', "noise.$round.$_") for 11 .. 20;
    }

    my $all = $rounds * ($size * @writers + 20);
    my @got = map { $_->{body} } $listener->collect($all, 30);
    is(scalar @got, $all, "$all messages of three workers came");

    while (@got) {
        my ($w, $round, $n) = split /\./, shift @got;
        next if $w eq 'noise';

        push @wrong, "$w.$round.$n" if $n != 1 || $seen{"$w.$round"}++;
        my @rest = splice @got, 0, $size - 1;
        push @wrong, "after $w.$round.1"
            if "@rest" ne join ' ', map { "$w.$round.$_" } 2 .. $size;
    }

    is("@wrong[0 .. ($#wrong > 5 ? 5 : $#wrong)]", '',
       'each transaction is whole, in order and alone');
    is(scalar keys %seen, $rounds * @writers, 'and none is missing');
}


# errors: frames before it, the frame, message, body, code

my $long = 'x' x 4096;

for (
    [ '/', [], [ BEGIN => [] ], 'missing header',
      'BEGIN needs a "transaction" header.', 1002 ],
    [ '/', [], [ COMMIT => [ id => 1 ] ], 'missing header',
      'COMMIT needs a "transaction" header.', 1002 ],
    [ '/', [], [ ABORT => [] ], 'missing header',
      'ABORT needs a "transaction" header.', 1002 ],
    [ '/', [ 1 ], [ BEGIN => [ transaction => 1 ] ],
      'transaction already open',
      'This session already has a transaction "1".', 1002 ],
    (map { [ '/', [ 1 ], [ $_ => [ transaction => 2 ] ], 'unknown transaction',
             "$_: this session has no open transaction \"2\".", 1002 ] }
     qw(COMMIT ABORT)),
    [ '/', [], [ SEND => [ destination => '/topic/a', transaction => '' ] ],
      'unknown transaction',
      'SEND: this session has no open transaction "".', 1002 ],
    [ '/', [ 1 ], [ SEND => [ destination => '/nope', transaction => 1 ] ],
      'unknown destination', qr/^SEND: .*: "\/nope"\.$/, 1008 ],
    [ '/none', [], [ BEGIN => [ transaction => 1 ] ], 'too many transactions',
      'A session can have 0 open transactions (stomp_max_transactions).',
      1008 ],
    [ '/few', [ 1, 2 ], [ BEGIN => [ transaction => 3 ] ],
      'too many transactions',
      'A session can have 2 open transactions (stomp_max_transactions).',
      1008 ],
    [ '/few', [ 1, 1, 1, 1 ],
      [ SEND => [ destination => '/topic/a', transaction => 1 ] ],
      'too many frames in a transaction',
      'A transaction can have 3 frames (stomp_max_transaction_frames).',
      1008 ],
    [ '/few', [ 1 ],
      [ SEND => [ destination => '/topic/a', transaction => 1 ], $long ],
      'transaction too large',
      'The open transactions of a session can take 4096 octets'
      . ' (stomp_max_transaction_size).', 1009 ],
    [ '/', [ 1 .. 8 ], [ BEGIN => [ transaction => 9 ] ],
      'too many transactions', qr/ can have 8 open transactions /, 1008 ],
) {
    my ($path, $open, $command, $message, $body, $code) = @$_;
    my $v = $t->stomp(path => $path);
    my ($name, $headers, $text) = @$command;
    my %seen;

    $name .= " to $path: $message";

    for (@$open) {
        $seen{$_}++ ? $v->send('/topic/a', 'no', transaction => $_)
                    : $v->begin($_);
    }

    $v->command($command->[0], [ @$headers, receipt => 'r' ], $text);
    my $error = $v->expect_error($message, $name, $code);
    is($error->{headers}{'receipt-id'}, 'r', "$name, with the receipt");
    like($error->{body}, ref $body ? $body : qr/^\Q$body\E$/, "$name, why");
}

# all transactions of a session together have a size; it is given back

{
    my $v = $t->stomp(path => '/few');

    for (1 .. 20) {
        $v->begin(1);
        $v->begin(2);
        $v->send('/topic/nobody', 'y' x 1500, transaction => 1);
        $v->send('/topic/nobody', 'y' x 1500, transaction => 2);
        $v->abort_tx(1);
        $v->commit(2, receipt => 1);
    }

    pass('what was held is free again');
    $v->disconnect;

    $v = $t->stomp;
    $v->begin('t');
    $v->send('/topic/a', $_, transaction => 't', receipt => $_ == 1000)
        for 1 .. 1000;
    $v->commit('t', receipt => 1);
    is(join(' ', map { $_->{body} } $sub->collect(1000, 20)),
       join(' ', 1 .. 1000), '1000 frames by default');
    $v->disconnect;
}

$sub->expect_none(0.1, 'nothing of what was refused was published');


# a zone without room: all or nothing, after the time that a SEND has

{
    my $s = $t->stomp(path => '/small');
    my $v = $t->stomp(path => '/small');

    $s->subscribe('/topic/b', id => 'b');
    $v->begin('t');
    $v->send('/topic/b', "$_" . 'z' x 400_000, transaction => 't') for 1 .. 4;
    $v->command(COMMIT => [ transaction => 't', receipt => 'r' ]);
    my $error = $v->expect_error('broker is full', 'COMMIT in vain', 1013);
    is($error->{headers}{'receipt-id'}, 'r', 'its receipt is told');
    is($error->{body}, 'The zone of stomp_broker "small" has no room for this'
                       . ' COMMIT, try again later.', 'and why');

    $v = $t->stomp(path => '/small');
    $v->begin('t');
    $v->send('/topic/b', 'fits', transaction => 't');
    $v->commit('t', receipt => 1);
    $s->expect(MESSAGE => -body => 'fits', -name => 'nothing of it came');
    $_->disconnect for $v, $s;
}

ok(wait_for(5, sub {
    my $status = $t->request(GET => '/status')->json;
    $status->{sessions} == 0 && $status->{zone}{used} == 0;
}), 'the zone is empty');

$_->disconnect for map { @$_ } values %$by;
ok(wait_for(5, sub {
    my $status = $t->status;
    $status->{sessions} == 0 && $status->{zone}{used} == 0;
}), 'the other one, too');

# more than an inbox has room for, at once, is not the receiver's fault

{
    my $at = $t->stomp_spread(4, 1, path => '/tight');
    my ($from, @to) = map { $_->[0] } values %$at;

    $_->subscribe('/topic/a', id => 'a') for $from, @to;

    for my $tx (1 .. 3) {
        $from->begin($tx);
        $from->send('/topic/a', $tx x 50000, transaction => $tx) for 1 .. 8;
    }

    $from->ws->send_text(join '', map {
        $from->build_frame(COMMIT => [ transaction => $_ ])
    } 1 .. 3);

    for ($from, @to) {
        is(join(' ', map { substr $_->{body}, 0, 1 } $_->collect(24)),
           join(' ', map { ($_) x 8 } 1 .. 3), 'three large transactions');
    }
}

$t->ok_no_alerts;

done_testing;
