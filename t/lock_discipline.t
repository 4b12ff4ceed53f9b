# Without it: a word of the zone that is read or written without the lock, or
# written without a note in the undo log, shows once in a million operations.
#
# Runs other tests with an nginx whose workers are watched: t/unit/lock_guard.h
# says how, t/unit/lock_guard_rules.c what is allowed.
#
#   STOMP_GUARD_TESTS="t/a.t ..."  these tests instead

use lib 't/lib';

use Test::More;
use Test::Stomp;

my @tests = split ' ', $ENV{STOMP_GUARD_TESTS}
    // 't/stomp_messages.t t/stomp_commands.t t/push.t t/push_batch.t'
       . ' t/status.t t/workers.t t/overrun.t t/tls.t t/ack.t';

# what each of the mistakes that the guard can be told to make is told as
my %seeds = (
    read  => 'work_tail of slot 255: read without the lock',
    write => 'work_tail of slot 255: written without the lock',
    note  => 'work_tail of slot 255: changed without a note',
);

my $build = $ENV{STOMP_BUILD} // Test::Stomp::Nginx::root() . '/build';
my $guard = "$build/unit/lock_guard.so";
my $work = "$build/t/lock_guard";
my $report = "$work/report";

plan skip_all => 'single steps are written for Linux on x86-64'
    unless $^O eq 'linux' && `uname -m` eq "x86_64\n";
plan skip_all => 'a sanitizer reads the zone itself'
    if system('grep', '-q', '__asan_init', (nginx()->modules)[-1]) == 0;
die "$guard is missing: make unit-binaries\n" unless -e $guard;

my $plain = Test::Stomp::Nginx::binary();

system('mkdir', '-p', $work);
local $ENV{TEST_NGINX_BINARY} = wrapper();
local $ENV{STOMP_GUARD_REPORT} = $report;

for my $seed (sort keys %seeds) {
    local $ENV{STOMP_GUARD_SEED} = $seed;

    my %seen = watched(sub { one_message(); 1 });
    like($seen{violations}[0] // '', qr/^\d+ violation: \Q$seeds{$seed}\E,/,
         "a seeded violation is told: $seed");
}

my %sum;

for my $test (@tests) {
    my $output;
    my %seen = watched(sub {
        $output = `$^X $test 2>&1 </dev/null`;
        return $? == 0;
    });

    ok($seen{rc}, "$test passes") or diag $output;
    is(@{ $seen{violations} }, 0, "$test keeps to the lock and the notes")
        or diag head(@{ $seen{violations} });

    # a worker that nobody watches must not pass
    cmp_ok($seen{sections}, '>', 0, "$test was watched");
    $sum{$_} += $seen{$_} for qw(processes sections notes reads);
}

diag sprintf '%d processes, %d sections, %d notes, %d reads without the lock',
    @sum{qw(processes sections notes reads)};

system('rm', '-rf', $work);
done_testing;


# The preloaded library comes before the module, whose functions it stands
# around.  "rep movsb" would be stepped octet by octet.

sub wrapper {
    my $file = "$work/nginx";

    open my $out, '>', $file or die "$file: $!";
    print {$out} <<"END";
#!/bin/sh
LD_PRELOAD='$guard'
GLIBC_TUNABLES=glibc.cpu.x86_rep_movsb_threshold=1000000000
export LD_PRELOAD GLIBC_TUNABLES
exec '$plain' "\$@"
END
    close $out or die "$file: $!";
    chmod 0755, $file;

    return $file;
}


# Calls the function; returns what has been reported meanwhile.

sub watched {
    my ($run) = @_;

    unlink $report;
    my %seen = (rc => $run->(), violations => [], map { $_ => 0 }
                qw(processes sections notes reads));

    open my $in, '<', $report or return %seen;

    while (my $line = <$in>) {
        chomp $line;

        if ($line =~ /^\d+ figures: (\d+) sections, (\d+) notes, (\d+) reads/) {
            $seen{processes}++;
            $seen{sections} += $1;
            $seen{notes} += $2;
            $seen{reads} += $3;

        } else {
            push @{ $seen{violations} }, $line;
        }
    }

    return %seen;
}


sub one_message {
    my $t = nginx();
    $t->start;

    my $c = $t->stomp;
    $c->subscribe('/topic/a', id => 1);
    $t->push_message('/topic/a', 'seen');
    $c->expect(MESSAGE => -body => 'seen');
    $c->close;
    $t->stop;
    return;
}


sub head {
    my @lines = @_;
    return join "\n", splice @lines, 0, 20;
}
