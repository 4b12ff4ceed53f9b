# Without this: a use after free, a leak, or an overflow that nobody notices
# until an allocator, or a compiler, is another one.
#
# Runs the tests of the module on an nginx that is built with the sanitizers
# for addresses, leaks and undefined behaviour, module and nginx alike, and
# with pools that take everything from malloc().  The first report ends the
# process, and fails the test.
#
#   STOMP_SANITIZE_TESTS="t/a.t ..."  these tests instead

use strict;
use warnings;

use lib 't/lib';
use Test::Stomp::Build;

my %left_out = (
    't/harness.t'           => 'runs nginx without the module',
    't/docs.t'              => 'compares texts; t/conf.t is here',
    't/chat_browser.t'      => 'one page; t/stompjs.t is here',
    't/bench.t'             => 'measures another build',
    't/idle.t'              => 'measures memory, of which sanitizers take more',
    't/hostile_readers.t'   => 'the same; t/flush.t is here',
    't/hostile_names.t'     => 'the same, with a million names',
    't/lock_discipline.t'   => 'watches memory itself; no room for both',
    't/alloc_failures.t'    => 'runs on this nginx in any case',
    't/fuzz.t'              => 'has sanitizers of its own',
    't/crash_load.t'        => 'a load that this nginx is too slow for',
    't/crash_load_points.t' => 'the same; t/crash_points.t is here',
    't/reload_load.t'       => 'the same; t/reload.t is here',
    't/crash_stores.t'      => 'too many kills, of which none can report',
);

# slower, and with other figures for memory, than an nginx for users
$ENV{STOMP_PATIENCE} //= 3;
$ENV{STOMP_HOSTILE_SECONDS} //= 0.5;
$ENV{STOMP_HOSTILE_SCALE} //= 0.1;
$ENV{STOMP_ANY_MEMORY} = 1;

my $b = Test::Stomp::Build->new('installed', 'sanitize');

seeds();

my @tests = split ' ', $ENV{STOMP_SANITIZE_TESTS} // '';
@tests = Test::Stomp::Build::suite(%left_out) unless @tests;

$b->run_ok($_) for @tests;

done_testing;


# Mistakes of t/builds/seed are found: the check of a check.

sub seeds {
    my %seeds = (
        leak     => qr/LeakSanitizer.*\bngx_http_seed_leak\b/s,
        pfree    => qr/heap-use-after-free.*\bngx_http_seed_pfree\b/s,
        pool     => qr/heap-use-after-free.*\bngx_http_seed_pool\b/s,
        overflow => qr/heap-buffer-overflow.*\bngx_http_seed_overflow\b/s,
        shift    => qr/\bABRT\b.*\b__ubsan.*\bngx_http_seed_shift\b/s,
    );

    local @ENV{qw(ASAN_OPTIONS UBSAN_OPTIONS)} = ($b->log_options) x 2;

    for my $seed (sort keys %seeds) {
        $b->take_reports;
        $b->make_mistake($b->folder . '/nginx', $seed);
        like(join('', $b->take_reports), $seeds{$seed}, "found: $seed");
    }
}
