#!/usr/bin/perl

# Without this: a promise or a limit in the documents whose test was renamed or
# never written, a default that is another one, a limit that nobody mentions.

use strict;
use warnings;

use FindBin;
use Test::More;

my $root = "$FindBin::Bin/../..";

my $reference = slurp('docs/directives.md');
my %default = $reference =~ /^Syntax:   (\w+) .*\nDefault:  (.*)$/mg;

cmp_ok(scalar keys %default, '>=', 20, 'directives found in the reference');

# the value alone, without the name before and the semicolon behind it

$default{$_} =~ s/^\Q$_\E\s+|;$//g for keys %default;

for my $page (qw(docs/security.md docs/reliability.md docs/stomp.md)) {
    my $text = slurp($page);

    is_deeply([ wrong_tests($text) ], [], "$page: the tests exist");
    is_deeply([ wrong_directives($text) ], [], "$page: directives, defaults");
    is_deeply([ rows_without_test($text) ], [], "$page: each row has a test");
    cmp_ok(() = $text =~ m!`t/[\w/]+\.\w+`!g, '>=', 20, "$page: tests found");
}


# each limit is named where one looks for it

{
    my $text = slurp('docs/security.md');
    my ($limits) = $reference =~ /^## Limits\n(.*?)^## Memory$/ms;
    my @limits = grep { !/shutdown/ } $limits =~ /^### (\w+)$/mg;

    # those of a broker are among its other directives

    push @limits, $reference =~ /^### (\w+)\n\n```\n[^`]*```\n\nLimits /mg;

    cmp_ok(scalar @limits, '>=', 11, 'limits found in the reference');
    is(scalar(grep { /^(?:inbox|history_size|max_retained|max_sessions)$/ }
              @limits), 4, 'also those of a broker');
    is_deeply([ grep { $text !~ /\[\Q$_\E\]/ } @limits ], [],
              'docs/security.md names all limits');

    my @tests = map { s!^\Q$root/!!r } glob "$root/t/hostile_*.t";
    is_deeply([ grep { index($text, "`$_`") < 0 } @tests ], [],
              'and all tests with hostile clients');
}


# the checks find what is wrong

is_deeply([ wrong_tests('`t/docs.t`, `t/never.t`') ], [ 't/never.t' ],
          'a test that does not exist is seen');
is_deeply([ wrong_directives('[stomp_max_body](directives.md#stomp_max_body)'
                             . ' (63k), [zone](directives.md#zone) (—)') ],
          [ 'stomp_max_body 63k' ], 'another default is seen');
is_deeply([ wrong_directives('[stomp_no](directives.md#stomp_no) (1)') ],
          [ 'stomp_no 1' ], 'a directive that does not exist is seen');
is_deeply([ rows_without_test("| a | b | test |\n|-|-|-|\n| c | d | |\n") ],
          [ 'c' ], 'a row without a test is seen');

done_testing;


sub wrong_tests {
    my ($text) = @_;

    return grep { !-e "$root/$_" } $text =~ m!`(t/[^`\s]+)`!g;
}


# [name](directives.md#name) (default), where a default stands

sub wrong_directives {
    my ($text) = @_;

    my @wrong;

    while ($text =~ /\[(\w+)\]\(directives\.md\#\1\)\ \(([^)]+)\)/xg) {
        my ($name, $value) = ($1, $2);
        push @wrong, "$name $value" if ($default{$name} // '') ne $value;
    }

    return @wrong;
}


# in tables whose last column is "test"; a dash says that there is none

sub rows_without_test {
    my ($text) = @_;

    my (@rows, $inside);

    for (split /\n/, $text) {
        if (!/^\|/) {
            $inside = 0;
        } elsif (/\| test \|$/) {
            $inside = 1;
        } elsif ($inside && !/^\|-/ && !/`t\/[^|]*\|$/ && !/— \|$/) {
            push @rows, (split / *\| */)[1];
        }
    }

    return @rows;
}


sub slurp {
    my ($path) = @_;

    open my $in, '<', "$root/$path" or die "$path: $!";
    local $/;
    return scalar readline $in;
}
