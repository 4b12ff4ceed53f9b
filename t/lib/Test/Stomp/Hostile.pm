package Test::Stomp::Hostile;

# For the tests with hostile clients: two equal nginx instances, one that is
# attacked with others on it, and a decoy; the tool t/tools/hostile.c; and
# what an attack may do to the others, to memory and to the error log.
#
#   STOMP_HOSTILE_SECONDS  how long an attack lasts while the others are
#                          looked at (2);  STOMP_HOSTILE_SCALE  factor for
#                          the numbers of connections and names (1)

use strict;
use warnings;

use Exporter 'import';
use Test::Builder;

use Test::Stomp;
use Test::Stomp::Util qw(build_tool);

our @EXPORT = qw(start_hostile run_hostile pair others_ok log_levels
                 only_info memory_of steady zone_empty seconds scaled);

# milliseconds of p99 that nobody complains about on a busy machine
our $FLOOR = 50;
our $TRIES = 4;


sub seconds { return $ENV{STOMP_HOSTILE_SECONDS} // 2 }
sub scaled  { return int($_[0] * ($ENV{STOMP_HOSTILE_SCALE} // 1)) }


# start_hostile($t, $attack, @options) -> Test::Stomp::Fanout
# run_hostile(...) -> its result, undef if it has none

sub start_hostile {
    my ($t, $attack, @options) = @_;

    my $tool = build_tool($t, 'hostile',
                          [ sort glob $t->root . '/t/tools/hostile*.[ch]' ],
                          '-std=c99');

    return Test::Stomp::start_tool($tool, '--port', $t->port, @options,
                                   $attack);
}

sub run_hostile {
    my ($result) = start_hostile(@_)->finish;
    return $result;
}


# pair($conf, %options of nginx()) -> (the attacked one, the decoy)

sub pair {
    my ($conf, %opt) = @_;

    my $t = nginx(%opt);
    my $decoy = nginx(%opt, name => "$t->{prefix}-decoy" =~ s{.*/}{}r);

    $_->write_conf($conf)->start for $t, $decoy;
    return ($t, $decoy);
}


# p99 in milliseconds of clients that do nothing wrong, and the number of
# their messages; dies if one is lost, doubled or late beyond all bounds

sub others {
    my ($t) = @_;

    my $rate = 200;
    my ($r, $exit, $text) = run_fanout($t,
        '--subscribers' => 40, '--destination' => '/chat/others',
        '--messages' => $rate * seconds() * 0.8, '--rate' => $rate,
        '--publish' => 'http', '--publishers' => 2,
        '--timeout' => 60 + seconds(), '--stall' => 20);

    die "the others lost something: $text" if $exit;
    return ($r->{p99_us} / 1000, $r->{published});
}


# others_ok($t, $decoy, $name, $attack, @options): the attack goes on until
# the others have been looked at.  p99 is compared with that during the same
# attack on the decoy: the same load of the machine, but nothing in common
# inside of nginx.  It may be twice as much.  Another process may have its
# turn in any of the two: of a few tries the best one counts.  Returns the
# results of the tool for $t, all added up, with the others' messages.

sub others_ok {
    my ($t, $decoy, $name, $attack, @options) = @_;

    my $tb = Test::Builder->new;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my (%sum, @seen, $good);

    for my $try (1 .. $TRIES) {
        my %p99;

        for my $which ($t, $decoy) {
            my $f = start_hostile($which, $attack, '--seconds' => seconds(),
                                  @options);
            ($p99{$which}, my $published) = others($t);
            $sum{others} += $published;
            my ($result, $exit, $text) = $f->finish;

            die "$attack: $text" unless $result;
            add(\%sum, $result) if $which == $t;
        }

        push @seen, sprintf '%.1f ms (decoy %.1f ms)', @p99{ $t, $decoy };
        $good = $p99{$t} <= $FLOOR || $p99{$t} <= 2 * $p99{$decoy};
        last if $good;
    }

    $tb->ok($good, "$name: the others' p99 is $seen[-1]")
        or $tb->diag(join "\n", @seen);

    return \%sum;
}


sub add {
    my ($sum, $result) = @_;

    for (keys %$result) {
        if (ref $result->{$_}) {
            add($sum->{$_} //= {}, $result->{$_});
        } else {
            $sum->{$_} += $result->{$_};
        }
    }

    return;
}


# lines of the error log behind an offset, by level

sub log_levels {
    my ($t, $from) = @_;

    my %count;
    my $lines = substr $t->error_log, $from // 0;
    $count{$_}++ for $lines =~ /^\S+ \S+ \[(\w+)\]/mg;
    return \%count;
}


# only_info($t, $from, $most, $name): an attack leaves nothing above info in
# the log, and there not more than so many lines

sub only_info {
    my ($t, $from, $most, $name) = @_;

    my $tb = Test::Builder->new;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $count = log_levels($t, $from);
    my @above = grep { !/^(?:info|debug)$/ } sort keys %$count;
    my $info = $count->{info} // 0;

    return $tb->ok(!@above && $info <= $most,
                   "$name: $info lines of log, none above info")
        || $tb->diag(join ', ', map { "$_: $count->{$_}" } sort keys %$count);
}


# octets that the workers hold by themselves, without the zone

sub memory_of {
    my ($t) = @_;

    my $kb = 0;

    for my $pid ($t->workers) {
        my ($anon) = Test::Stomp::Nginx::read_file("/proc/$pid/status")
                     =~ /^RssAnon:\s+(\d+) kB/m or die "worker $pid is gone";
        $kb += $anon;
    }

    return $kb * 1024;
}


# steady($t, $limit, $name, $attack): done twice before it is measured, an
# attack takes no more than so much memory when it is done once more.
# STOMP_ANY_MEMORY: that can't be told of this nginx

sub steady {
    my ($t, $limit, $name, $attack) = @_;

    my $tb = Test::Builder->new;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $attack->() for 1 .. 2;
    my $before = memory_of($t);
    $attack->();
    my $grown = memory_of($t) - $before;

    return $tb->skip("$name: any memory will do") if $ENV{STOMP_ANY_MEMORY};
    return $tb->cmp_ok($grown, '<=', $limit,
                       "$name: memory grows by $grown octets");
}


# everything was given back

sub zone_empty {
    my ($t, $name) = @_;

    my $tb = Test::Builder->new;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $s;
    my $empty = wait_for(15, sub {
        $s = $t->status;
        return !grep { $_ } $s->{zone}{used},
                            @$s{qw(sessions subscriptions destinations)};
    });

    $tb->ok($empty, "$name: sessions, names and memory are gone")
        or $tb->diag($tb->explain($s));
    return $s;
}

1;
