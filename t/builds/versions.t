# Without this: a module that works with one version of nginx.
#
# Debian 12's own nginx is the one of all other tests.  Here the tests run on
# that of Debian 13, and on the newest one that Debian has.
#
#   STOMP_VERSIONS="trixie newest"    these, each a suite or "newest"
#   STOMP_VERSIONS_TESTS="t/a.t ..."  these tests

use strict;
use warnings;

use lib 't/lib';
use Test::Stomp::Build;

# what another nginx cannot change, or what other tests show as well
my %left_out = (
    't/harness.t'            => 'runs nginx without the module',
    't/docs.t'               => 'compares texts',
    't/bench.t'              => 'measures the installed nginx',
    't/chat_browser.t'       => 'one page; t/stompjs.t is here',
    't/lock_discipline.t'    => 'of the broker, which knows nothing of nginx',
    't/crash_stores.t'       => 'the same',
    't/crash_load.t'         => 'the same; t/crash_points.t is here',
    't/crash_load_points.t'  => 'the same',
    't/exactly_once.t'       => 'the same; t/workers.t is here',
    't/zone_full.t'          => 'the same',
    't/destinations.t'       => 'the same',
    't/fuzz.t'               => 'runs no nginx',
    't/alloc_failures.t'     => 'runs on an nginx of its own',
    't/hostile_frames.t'     => 'of the protocol; t/websocket.t is here',
    't/hostile_names.t'      => 'the same',
    't/hostile_readers.t'    => 't/flush.t is here',
    't/hostile_handshakes.t' => 't/handshake.t is here',
    't/reload_load.t'        => 't/reload.t is here',
    't/queue_crash.t'        => 'of the broker; t/queues.t is here',
    't/queue_lost.t'         => 'the same; t/ack.t is here',
    't/replay.t'             => 'the same; t/history.t is here',
    't/client_limits.t'      => 'of sessions; t/stomp_limits.t is here',
    't/login_wait.t'         => 'the same; t/users.t is here',
    't/stomppy.t'            => 'another client; t/stompjs.t is here',
    't/stompjs_queues.t'     => 'the same; t/queues.t is here',
);

for my $suite (split ' ', $ENV{STOMP_VERSIONS} // 'trixie newest') {
    my $b = Test::Stomp::Build->new($suite, 'plain');

    ok($b->version, "$suite has nginx " . $b->version);

    my @tests = split ' ', $ENV{STOMP_VERSIONS_TESTS} // '';
    @tests = Test::Stomp::Build::suite(%left_out) unless @tests;

    $b->run_ok($_) for @tests;
}

done_testing;
