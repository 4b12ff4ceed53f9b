# Without it: who has waited for a login is closed because of the time that it
# waited, or is sent heart-beats before it is connected.

use lib 't/lib';

use Test::More;
use Test::Stomp;
use Test::Stomp::Util qw(now);

my $t = nginx(workers => 1);

# all that a worker does in a second

my $slow = crypt('secret', '$2b$13$abcdefghijklmnopqrstuu');

open my $out, '>', $t->prefix . '/conf/users' or die "users: $!";
print $out "slow:$slow\n";
close $out or die "users: $!";

$t->write_conf(<<'CONF')->start;
stomp_broker chat { zone 1m; topic /topic/; users users; }

server {
    listen 127.0.0.1:%%PORT%%;

    stomp_heartbeat 1s;
    stomp_connect_timeout 60s;

    location = / { stomp_pass chat; }
    location = /rate { stomp_pass chat; stomp_byte_rate 1k burst=1k; }
    location = /stomp_status { stomp_status chat; }
}
CONF


# heart-beats are expected from CONNECTED on, whoever had to wait for it

{
    my @c = map { client('/') } 1 .. 8;
    my $start = now();
    my (%connected, $last);

    login($_, '1000,1000') for @c;

    wait_for(60, sub {
        for my $c (@c) {
            my $frame = $c->recv(0.02);

            if ($frame && $frame->{command} eq 'CONNECTED') {
                $connected{$c} = 1;
                $last = now() - $start;
            }

            # not before the first tick has come

            $c->beat if $c->beats && !$c->closed;
        }

        return !grep { !$_->beats && !$_->closed } @c;
    });

    is(keys %connected, 8, 'all are connected');
    cmp_ok($last, '>', 3, 'the last one has waited');
    is(scalar(grep { $_->closed } @c), 0, 'nobody was taken for silent');
    $_->close for @c;
}


# a session that waits, and that is delayed, too

{
    my $c = client('/rate');
    login($c, '0,1000', passcode => 'wrong', pad => 'x' x 3900);

    my $frame = $c->recv(20);
    is($frame->{headers}{message}, 'login refused', 'delayed, and refused');
    is($c->beats, 0, 'no heart-beats before the first frame');
    $c->close;
}

$t->ok_no_alerts;

done_testing;


sub client {
    my ($path) = @_;

    return Test::Stomp::Client->new(port => $t->port, path => $path);
}


sub login {
    my ($c, $beats, @headers) = @_;

    return $c->send_frame(CONNECT => [ 'accept-version' => '1.2',
        login => 'slow', 'heart-beat' => $beats,
        @headers ? @headers : (passcode => 'secret') ]);
}
