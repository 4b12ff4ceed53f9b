#!/usr/bin/perl

# Without this: octets that a client chooses, and nobody has thought of, read
# or write what is not theirs, are understood otherwise when they come in
# other pieces, or make the broker lose, double or mix up messages.
#
# Each fuzzer first runs over the kept inputs, then over new ones, for
# STOMP_FUZZ_SECONDS (20), two at a time.  All runs make the same ones, as far
# as they get; STOMP_FUZZ_SEED=0 makes others each time, as "make fuzz" does.

use strict;
use warnings;

use File::Copy qw(copy);
use File::Path qw(make_path remove_tree);
use POSIX ();
use Test::More;

my $SECONDS = $ENV{STOMP_FUZZ_SECONDS} // 20;
my $SEED = $ENV{STOMP_FUZZ_SEED} // 1;
my $build = $ENV{STOMP_BUILD} // 'build';
my $out = "$build/fuzz";

# The largest inputs, in octets.  Where one is run in all pieces, or starts a
# whole connection, long ones only make it slow.
my %length = (
    batch => 800, handshake => 1000, header => 300, origin => 200,
    parse => 500, session => 600, utf8 => 300, ws => 500,
);

my @names = sort map { m{(\w+)_fuzz\.c$} } glob 'fuzz/*_fuzz.c';

is_deeply(\@names, [sort keys %length], 'all fuzzers are known here');

if (system('tools/fuzz.sh build >&2') != 0) {
    fail('the fuzzers build');
    done_testing;
    exit;
}

my %running;

while (@names || %running) {
    start(shift @names) while @names && keys %running < 2;

    my $pid = wait;
    my $status = $?;
    my $name = delete $running{$pid} // next;

    check($name, $status);
}

done_testing;


sub start {
    my ($name) = @_;

    my $dir = "$out/run/$name";
    remove_tree($dir);
    make_path("$dir/corpus");
    copy($_, "$dir/corpus/") for glob "fuzz/corpus/$name/*";

    my $pid = fork // die "fork: $!";

    if ($pid) {
        $running{$pid} = $name;
        return;
    }

    open STDIN, '<', '/dev/null';
    open STDOUT, '>', "$dir/log";
    open STDERR, '>&', \*STDOUT;

    # a check of cmocka that fails is to be caught where it stands
    $ENV{CMOCKA_TEST_ABORT} = 1;
    $ENV{ASAN_OPTIONS} = 'detect_stack_use_after_return=0';

    my @command = ("$out/${name}_fuzz", '-timeout=20', '-rss_limit_mb=1500',
        "-artifact_prefix=$dir/");

    # the kept inputs, all of them, in their own right
    system(@command, '-runs=1', glob "fuzz/corpus/$name/*") == 0
        or POSIX::_exit(1);

    exec @command, "-seed=$SEED", "-max_total_time=$SECONDS",
        "-max_len=$length{$name}",
        "-dict=fuzz/dict/$name.dict", '-print_final_stats=1', "$dir/corpus";
}


sub check {
    my ($name, $status) = @_;

    my $dir = "$out/run/$name";
    my $log = do { local (@ARGV, $/) = "$dir/log"; <> };

    my ($runs) = $log =~ /^stat::number_of_executed_units:\s*(\d+)/m;

    ok($status == 0 && $runs, "$name: " . ($runs // 'no') . ' inputs')
        or report($name, $dir, $log);
}


sub report {
    my ($name, $dir, $log) = @_;

    my @lines = split /\n/, $log;
    my ($first) = grep {
        $lines[$_] =~ /^FUZZ:|ERROR:|runtime error|^\[  ERROR/
    } 0 .. $#lines;

    $first //= @lines > 40 ? @lines - 40 : 0;
    my $last = $first + 40 < $#lines ? $first + 40 : $#lines;

    diag $_ for @lines[$first .. $last];
    diag "the whole log: $dir/log";

    for my $file (glob "$dir/{crash,leak,timeout,oom}-*") {
        diag "to run it again: $out/${name}_fuzz $file";
    }
}
