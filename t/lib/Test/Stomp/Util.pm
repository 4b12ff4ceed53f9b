package Test::Stomp::Util;

# Small helpers shared by the test classes.

use strict;
use warnings;

use Encode ();
use Exporter 'import';
use Time::HiRes qw(clock_gettime sleep CLOCK_MONOTONIC);

our @EXPORT_OK = qw(now wait_for patience octets show pairs_of build_tool);


# Monotonic seconds: a stepped wall clock must not fail a deadline.

sub now {
    return clock_gettime(CLOCK_MONOTONIC);
}


# STOMP_PATIENCE=10 multiplies the times after which a test gives up, for an
# nginx that is slow because it is watched.

sub patience {
    my ($seconds) = @_;

    return $seconds * ($ENV{STOMP_PATIENCE} || 1);
}


# Polls the condition until it is true or $timeout seconds have passed.
# Returns its last value; the poll interval grows from 10 to 50 ms.

sub wait_for {
    my ($timeout, $condition) = @_;

    my $deadline = now() + patience($timeout);
    my $pause = 0.01;

    while (1) {
        my $value = $condition->();
        return $value if $value || now() >= $deadline;

        sleep($pause);
        $pause = $pause * 1.5 > 0.05 ? 0.05 : $pause * 1.5;
    }
}


# Everything on the wire is octets; wide strings become UTF-8 here.

sub octets {
    my ($string) = @_;

    return $string unless defined $string && utf8::is_utf8($string);
    return Encode::encode('UTF-8', $string);
}


# build_tool($t, $name, \@files, @options): compiles the .c files of a tool
# into the build folder, unless it is newer than all of @files; its path.

sub build_tool {
    my ($t, $name, $files, @options) = @_;

    my $tool = "$t->{build}/$name";
    return $tool if -e $tool && !grep { -M $tool > -M $_ } @$files;

    my $new = "$tool.$$";
    system($ENV{CC} // 'cc', '-O2', '-Wall', '-Wextra', @options, '-o', $new,
           grep { /\.c$/ } @$files) == 0
        or die "cannot build $tool\n";
    rename $new, $tool or die "$tool: $!";

    return $tool;
}


# A printable form of octets for diagnostics, cut after $max characters.

sub show {
    my ($bytes, $max) = @_;

    return 'undef' unless defined $bytes;

    $max //= 400;
    my $length = length $bytes;
    my $text = substr($bytes, 0, $max);

    $text =~ s/\\/\\\\/g;
    $text =~ s/\n/\\n/g;
    $text =~ s/\r/\\r/g;
    $text =~ s/\0/^@/g;
    $text =~ s/([^\x20-\x7e])/sprintf '\\x%02x', ord $1/ge;

    return $length > $max ? "\"$text\"... ($length octets)" : "\"$text\"";
}


# Accepts headers as [ k => v, k => v ] (keeps order and repeats) or { ... }.

sub pairs_of {
    my ($headers) = @_;

    return () unless defined $headers;
    my @flat = ref $headers eq 'HASH'
             ? map({ $_ => $headers->{$_} } sort keys %$headers)
             : @$headers;

    my @pairs;
    while (@flat) {
        push @pairs, [ octets(shift @flat), octets(shift @flat) ];
    }

    return @pairs;
}

1;
