#!/usr/bin/perl

# Without this: a message that is lost because its publisher dies between the
# publication and the wake-up, or a dead worker's sessions that stay for good
# because the worker that took them away died as well.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;
use Test::Stomp::Kill;

my $hooks = qr/STOMP_TEST_CONTROL|ngx_stomp_test_(?!hooks\.)|stomp_\w+_hook\b/;
my $module = Test::Stomp::Nginx::read_file(
    $ENV{STOMP_MODULE} // "$ENV{STOMP_BUILD}/ngx_stomp_module.so");

ok($module =~ /ngx_stomp_zone/, 'the usual module is there');
ok($module !~ $hooks, '... without the hooks')
    unless $ENV{NGX_STOMP_TEST_HOOKS};

my $t = nginx(workers => 2);
my $k = Test::Stomp::Kill->new($t);

ok(Test::Stomp::Nginx::read_file($ENV{STOMP_MODULE}) =~ $hooks,
   'the one for this test has them');

$t->start;

my $empty = summary();


# published, but nobody has been told: the tick of each second finds it

my ($near, $far) = pair();
$far->subscribe('/topic/a', id => 'a');

$k->arm(pid => pid($near), point => 'wake');
$near->send('/topic/a', 'no wake-up');

my $dead = $k->wait_hit;
ok($dead, 'a worker dies between the publication and the wake-up');
$far->expect(MESSAGE => -body => 'no wake-up', -timeout => 5,
             -name => '... its message comes');
$t->push_message('/topic/a', 'next');
$far->expect(MESSAGE => -body => 'next', -name => '... and once');
$far->disconnect;
settles('...');


# what it had in hand is released by others

($near, $far) = pair();
$_->subscribe('/topic/a', id => 'a') for $near, $far;

$k->arm(pid => pid($far), point => 'hand');
$near->send('/topic/a', 'x' x 20000);

ok($k->wait_hit, 'a worker dies with a message in hand');
$near->expect(MESSAGE => -body => 'x' x 20000, -name => '... others have it');
$near->disconnect;
settles('...');


# who takes a dead worker's things away dies, too, in the midst or in between

for my $point (qw(reap slice)) {
    my $by = $t->stomp_spread(2, 3);
    my ($near, $far) = map { $by->{$_} } sort keys %$by;

    for my $client (@$near) {
        $client->subscribe("/topic/$_", id => $_) for 1 .. 100;
    }

    my $survivor = pid($far->[0]);
    $k->arm(point => $point, nth => 2);
    $t->kill_worker(pid($near->[0]), respawn => 0);

    my $second = $k->wait_hit;
    ok($second, "a worker dies at \"$point\"");

    for my $client (@$far) {
        $client->disconnect if $second != $survivor;
    }

    settles("$point:");
}

$t->ok_no_alerts;

done_testing;


# two clients on different workers

sub pair {
    my $by = $t->stomp_spread(2, 1);

    return map { $by->{$_}[0] } sort keys %$by;
}


sub pid {
    my ($client) = @_;

    my ($worker) = grep { sprintf('%x', $_->{slot}) eq $client->slot }
                   @{ $t->status->{workers} };
    return $worker->{pid};
}


sub summary {
    my $s = $t->status;

    return join ' ', map { "$_->[0]=$_->[1]" } [ used => $s->{zone}{used} ],
        [ workers => scalar @{ $s->{workers} } ],
        map { [ $_ => $s->{$_} ] } qw(sessions subscriptions destinations);
}


sub settles {
    my ($name) = @_;

    my $now;
    ok(wait_for(5, sub { ($now = summary()) eq $empty }),
       "$name and nothing is left") or diag "$now, not $empty";
    return;
}
