# Without this: a decision that depends on memory that nobody has written,
# which the sanitizers do not see.
#
# A short life of a broker under valgrind's memcheck, with pools that take
# everything from malloc(): master, workers, a reload, the end of all of them.

BEGIN { $ENV{STOMP_PATIENCE} = 10 }

use lib 't/lib';
use JSON::PP ();
use Test::Stomp;
use Test::Stomp::Build;

my $b = Test::Stomp::Build->new('installed', 'valgrind');
my $memcheck = memcheck();

seeds();

local $ENV{TEST_NGINX_BINARY} = $memcheck;
local $ENV{NDK_MODULE} = $b->folder . '/ndk_http_module.so';
local $ENV{STOMP_MODULE} = $b->folder . '/ngx_stomp_module.so';

my $t = bless nginx(workers => 2), 'Test::Stomp::Nginx::Memcheck';
$t->start(timeout => 60);

scenario();
ok($t->reload(old_gone => 1, timeout => 60), 'a reload');
scenario();

is($t->stop(quit => 60), 'QUIT', 'all processes ended by themselves');
$t->ok_no_alerts;

my @reports = $b->take_reports;
ok(!@reports, 'no errors, and no leaks') or diag(@reports);

done_testing;


# The ways in and out, at lengths that make each form of a frame and of a
# message in the zone; the last client leaves in the middle of a frame.

sub scenario {
    my ($c, $d) = map { $t->stomp } 1 .. 2;
    my ($id) = map { $_->subscribe('/topic/a') } $c, $d;

    for my $length (0, 1, 200, 5000, 60_000) {
        my $body = 'x' x $length;

        $t->push_message('/topic/a', $body,
                         headers => [ 'X-Stomp-Length' => $length ]);
        $d->send('/topic/a', $body, headers => [ "le\nngth" => ":$length" ]);

        for my $n (1 .. 2) {
            $_->expect(MESSAGE => -body => $body,
                       -name => "$length octets, $n") for $c, $d;
        }
    }

    $t->push_message('/', JSON::PP::encode_json([
            map +{ destination => "/topic/$_", body => "in $_" }, qw(a b a) ]),
        headers => [ 'Content-Type' => 'application/vnd.stomp.batch+json' ]);

    for my $n (1 .. 2) {
        $_->expect(MESSAGE => -body => 'in a', -name => "batch, $n") for $c, $d;
    }

    $c->unsubscribe($id);
    is($t->status->{sessions}, 2, 'the status is told');
    $c->disconnect;

    my $bad = $t->stomp;
    $bad->send_frame('SEND', [ destination => '/nowhere' ], 'x');
    $bad->expect_error('unknown destination');

    $d->ws->write_raw("\x81\xfe\x10\x00abcdSEND");
    $d->abort;
}


# Mistakes of t/builds/seed are found: the check of a check.

sub seeds {
    my %seeds = (
        leak     => qr/definitely lost.*\bngx_http_seed_leak\b/s,
        pfree    => qr/Invalid read.*\bngx_http_seed_pfree\b/s,
        pool     => qr/Invalid read.*\bngx_http_seed_pool\b/s,
        overflow => qr/Invalid write.*\bngx_http_seed_overflow\b/s,
    );

    for my $seed (sort keys %seeds) {
        $b->take_reports;
        $b->make_mistake($memcheck, $seed);
        like(join('', $b->take_reports), $seeds{$seed}, "found: $seed");
    }
}


# A program as nginx that runs nginx.  Quiet: a process writes only errors.

sub memcheck {
    my $folder = $b->folder;

    my @options = (qw(--quiet --leak-check=full --show-leak-kinds=definite
                      --errors-for-leak-kinds=definite --num-callers=30),
                   "--suppressions=t/builds/valgrind.supp",
                   "--log-file=$folder/reports/%p");
    s!^(--suppressions=)!$1 . Test::Stomp::Nginx::root() . '/'!e for @options;

    Test::Stomp::Nginx::write_file("$folder/memcheck",
        "#!/bin/sh\nexec valgrind @options '$folder/nginx' \"\$@\"\n");
    chmod 0755, "$folder/memcheck";
    return "$folder/memcheck";
}


# The command line that others see is valgrind's for all processes, so that it
# does not tell who is a worker.

package Test::Stomp::Nginx::Memcheck;

our @ISA;
BEGIN { @ISA = ('Test::Stomp::Nginx') }

sub children {
    my ($self, $master) = @_;

    my %title = $self->SUPER::children($master);
    return map { $_ => 'nginx: worker process' } keys %title;
}
