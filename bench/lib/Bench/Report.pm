package Bench::Report;

# Medians, ratios and the tables of a benchmark.

use strict;
use warnings;

use List::Util qw(max);


sub median {
    my @sorted = sort { $a <=> $b } @_;

    return unless @sorted;
    return ($sorted[$#sorted / 2] + $sorted[@sorted / 2]) / 2;
}


# Of pairs of the same round: the machine of one round is the same for both.

sub ratio {
    my ($s, $of, $to, $value) = @_;

    $value //= $s->{value};
    my ($x, $y) = map { $s->{results}{$_} // [] } $of, $to;
    my @ratios = map { $x->[$_]{$value} / $y->[$_]{$value} }
                 grep { $x->[$_] && $y->[$_] && $y->[$_]{$value} }
                 0 .. max($#$x, $#$y);

    return median(@ratios);
}


sub figure {
    my ($s, $run, $value) = @_;

    return median(map { $_->{ $value // $s->{value} } }
                  grep { defined } @{ $s->{results}{$run} // [] });
}


sub spread {
    my ($s, $run) = @_;

    my @all = sort { $a <=> $b } map { $_->{ $s->{value} } }
              grep { defined } @{ $s->{results}{$run} // [] };

    return @all ? sprintf('%s to %s', number($all[0]), number($all[-1])) : '';
}


sub number {
    my ($n) = @_;

    return '-' unless defined $n;
    return abs $n >= 100 ? sprintf('%.0f', $n)
           : abs $n >= 10 ? sprintf('%.1f', $n) : sprintf('%.2f', $n);
}


# [text, measured, aim, whether it is reached]

sub aims {
    my ($s) = @_;

    my @aims;

    for my $target (@{ $s->{targets} }) {
        my ($of, $to, $limit, $value) = @$target;
        my $ratio = ratio($s, $of, $to, $value) // next;

        push @aims, ["$of / $to" . ($value ? ", $value" : ''), $ratio, $limit,
                     $ratio <= $limit];
    }

    for my $run (sort keys %{ $s->{bounds} }) {
        my $figure = figure($s, $run) // next;

        push @aims, ["$run, $s->{value}", $figure, $s->{bounds}{$run},
                     $figure <= $s->{bounds}{$run}];
    }

    return @aims;
}


# Markdown: ratios first, then the figures behind them.

sub markdown {
    my (@scenarios) = @_;

    my $text = "| scenario | compared | measured | aim | |\n"
               . "|---|---|---:|---:|---|\n";

    for my $s (@scenarios) {
        for my $aim (aims($s)) {
            $text .= sprintf "| %s | %s | %s | %s | %s |\n", $s->{title},
                             $aim->[0], small($aim->[1]), small($aim->[2]),
                             $aim->[3] ? 'reached' : 'missed';
        }
    }

    $text .= "\n| scenario | system | figure | smallest to largest | user "
             . "| deliveries/s | p50 | p99 | p99.9 |\n"
             . "|---|---|---:|---:|---:|---:|---:|---:|---:|\n";

    for my $s (@scenarios) {
        for my $run (map { $_->[0] } @{ $s->{runs} }) {
            next unless $s->{results}{$run};

            $text .= sprintf "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n",
                $s->{title}, $run, number(figure($s, $run)),
                spread($s, $run), columns($s, $run);
        }
    }

    return $text;
}


sub small {
    my ($n) = @_;

    return $n < 0.1 ? sprintf('%.4f', $n) : number($n);
}


sub columns {
    my ($s, $run) = @_;

    my %f = map { $_ => figure($s, $run, $_) }
            qw(user_us system_us deliveries_per_s p50_us p99_us p999_us);
    my $all = $f{user_us} + $f{system_us};

    return ('', '', '', '', '') unless $f{deliveries_per_s};
    return ($all ? sprintf('%.0f %%', 100 * $f{user_us} / $all) : '',
            number($f{deliveries_per_s}),
            map { sprintf '%.1f ms', $f{$_} / 1000 }
                qw(p50_us p99_us p999_us));
}

1;
