package Bench::Chart;

# A picture of the figures: bars on a logarithmic scale, since the systems
# differ by more than a factor of ten.

use strict;
use warnings;

use List::Util qw(max min);

use Bench::Report;

my %colour = (
    'one-write limit' => '#b9c0c9', 'coalescing limit' => '#8d97a5',
    'stomp' => '#1a7f5a', 'stomp, 2 workers' => '#1a7f5a',
    'nchan' => '#c77d2e', 'nchan, 2 workers' => '#c77d2e',
    'rabbitmq' => '#b5483c',
);

my ($WIDTH, $LEFT, $BAR, $GAP) = (760, 270, 18, 26);


# scenarios whose figure is processor time for a delivery

sub svg {
    my @shown = grep { $_->{value} eq 'cpu_us_per_delivery' } @_;
    my (@rows, @values);

    for my $s (@shown) {
        my @runs = grep { $colour{$_} && defined Bench::Report::figure($s, $_) }
                   map { $_->[0] } @{ $s->{runs} };
        next if @runs < 2;

        push @rows, [$s->{title}];
        push @rows, map { [$_, Bench::Report::figure($s, $_)] } @runs;
    }

    return unless @rows;

    @values = map { $_->[1] } grep { @$_ > 1 } @rows;
    my ($low, $high) = (min(@values) / 1.5, max(@values));
    my $scale = ($WIDTH - $LEFT - 70) / log($high / $low);

    my ($y, $body) = (46, '');

    for my $row (@rows) {
        my ($name, $value) = @$row;

        if (!defined $value) {
            $y += $GAP - $BAR;
            $body .= text(16, $y + 13, "font-weight='bold'", $name);

        } else {
            my $w = $scale * log($value / $low);

            $body .= text($LEFT - 8, $y + 13, "text-anchor='end'", $name)
                     . sprintf("<rect x='%d' y='%d' width='%.1f' height='%d' "
                               . "fill='%s'/>\n", $LEFT, $y + 1, $w, $BAR - 4,
                               $colour{$name})
                     . text($LEFT + $w + 6, $y + 13, '',
                            Bench::Report::number($value));
        }

        $y += $BAR;
    }

    return sprintf("<svg xmlns='http://www.w3.org/2000/svg' width='%d' "
                   . "height='%d' font-family='sans-serif' font-size='12' "
                   . "fill='#222'>\n"
                   . "<rect width='100%%' height='100%%' fill='#fff'/>\n",
                   $WIDTH, $y + 16)
           . text(16, 26, "font-size='14'", 'Server processor time for a '
                  . 'delivery, microseconds (shorter is better; logarithmic)')
           . $body . "</svg>\n";
}


sub text {
    my ($x, $y, $attributes, $text) = @_;

    $text =~ s/&/&amp;/g;
    $text =~ s/</&lt;/g;
    return sprintf "<text x='%.0f' y='%.0f'%s>%s</text>\n", $x, $y,
                   length $attributes ? " $attributes" : '', $text;
}

1;
