# Without it a worker with many destinations could lose some of them as its
# table of them grows and empties.

use lib 't/lib';

use Test::More;
use Test::Stomp;

my $n = 3000;
my $t = nginx();

$t->write_conf(<<'CONF')->start;
stomp_broker chat { zone 4m; topic /topic/; allow send /topic/**; }

server {
    listen 127.0.0.1:%%PORT%%;

    location / { stomp_pass chat; stomp_max_subscriptions 3000;
                 stomp_max_output 4m; }
    location = /stomp_status { stomp_status chat; }
}
CONF

my $c = $t->stomp(path => '/');
$c->subscribe("/topic/$_", id => $_, receipt => 0) for 1 .. $n;
all_heard('each destination', 1 .. $n);
is($t->status->{destinations}, $n, 'all are there');

$c->unsubscribe($_ * 2, receipt => 0) for 1 .. $n / 2;
all_heard('every second one', map { $_ * 2 - 1 } 1 .. $n / 2);
is($t->status->{destinations}, $n / 2, 'the others are gone');

$c->subscribe('/topic/2', id => 'again');
$c->send('/topic/2', 'x');
$c->expect(MESSAGE => subscription => 'again', -body => 'x');

$c->disconnect;
ok(wait_for(5, sub { $t->status->{zone}{used} == 0 }), 'nothing is left');

$t->ok_no_alerts;

done_testing;


# Sends one message to all of them, or to none: only those are to come.

sub all_heard {
    my ($name, @heard) = @_;

    $c->send("/topic/$_", "to $_", receipt => 0) for 1 .. $n;

    my @got = map { "$_->{headers}{subscription}: $_->{body}" }
              $c->collect(scalar @heard);

    is_deeply(\@got, [ map { "$_: to $_" } @heard ], "$name gets its message");

    $c->command(SEND => [ destination => '/topic/none', receipt => 'end' ]);
    $c->expect(RECEIPT => 'receipt-id' => 'end', -name => 'and no other does');
    return;
}
