# Without it nginx could end, or a worker could take sessions that nobody
# serves, where there are more workers than slots: their number is that of the
# first configuration, since all processes know the table.

use lib 't/lib';

use Test::More;
use Test::Stomp;

my $http = <<'CONF';
stomp_broker chat { zone 1m; topic /topic/; }

server {
    listen 127.0.0.1:%%PORT%%;

    location / { stomp_pass chat; }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF

my $t = nginx(workers => 1, connections => 64);
$t->write_conf($http)->start;

# one worker more than there are slots

$t->write_conf($http, workers => 65);
ok($t->reload(old_gone => 1, timeout => 60), '65 workers start')
    or diag $t->reload_error;

my $owners = owners();
my @without = grep { !$owners->{$_} } $t->workers;
is(scalar @without, 1, 'one of them has no slot') or diag "@without";

like($t->error_log, qr/\[error\] $without[0]#.*all 64 slots for workers are/,
     'and says so') if @without;

# the only one that runs accepts

my @others = grep { $_ != $without[0] } $t->workers;
kill STOP => @others;
ok(wait_for(20, sub { !grep { !stopped($_) } @others }), 'the others stop');

my $ws = $t->ws(path => '/');
is($ws->status, 503, 'it takes no sessions');
is($ws->header('Retry-After'), 1, 'for now');

my $answer = $t->push_message('/topic/a', 'x');
is($answer->status, 503, 'nor messages');
is($answer->header('Retry-After'), 1, 'for now');
like($answer->json->{error}, qr/this worker can't publish that now/, 'and why');
is(scalar @{ $t->status->{workers} }, 64, 'it tells the status');

kill CONT => @others;

# a slot that becomes free

$t->kill_worker($others[0], timeout => 30);
my $after = owners();
ok(!$after->{ $others[0] }, 'the slot of a dead worker is taken again');

# no more workers than slots

$t->write_conf($http, workers => 64);
ok($t->reload(old_gone => 1, timeout => 60), '64 workers start');
$owners = owners();
is_deeply([ sort { $a <=> $b } keys %$owners ], [ $t->workers ],
          'each of them has a slot');

my $c = $t->stomp(path => '/');
$c->subscribe('/topic/a');
is($t->push_message('/topic/a', 'x')->status, 200, 'a push');
$c->expect(MESSAGE => -body => 'x');
$c->close;

$t->ok_no_alerts;

done_testing;


sub stopped {
    my ($pid) = @_;

    return Test::Stomp::Nginx::read_file("/proc/$pid/stat") =~ /\) T /;
}


# The pids of the workers with slots, once there are 64; they try each second.

sub owners {
    my %pids;

    wait_for(20, sub {
        my %running = map { $_ => 1 } $t->workers;
        %pids = map { $_->{pid} => 1 } @{ $t->status->{workers} };
        return 64 == grep { $running{$_} } keys %pids;
    });

    return \%pids;
}
