# Without this: mistakes that a compiler has no warning for.
#
# What is looked for, and what is not and why, stands in .clang-tidy.

use lib 't/lib';
use Test::Stomp::Lint;

my $tidy = need_tool('clang-tidy');

my @flags = ('-std=gnu99', compile_flags());
my @sources = sources('c');

cmp_ok(scalar @sources, '>', 30, 'sources found');

my @found = run_all(2, map { [ $tidy, '--quiet', $_, '--', @flags ] } @sources);

for my $i (0 .. $#sources) {
    clean("clang-tidy: $sources[$i]", findings_of($found[$i]));
}


# the check finds what is wrong, and only that

my $sample = temporary(<<'END', '.c');
#include <ngx_config.h>
#include <ngx_core.h>

size_t ngx_sample(int a, int b, size_t *p);

size_t
ngx_sample(int a, int b, size_t *p)
{
    *p = 64 * 1024;

    if (a > b) {
        p = NULL;
    }

    *p = a * b;

    return *p;
}
END

my ($text) = run_all(1, [ $tidy, '--quiet', '--config-file=.clang-tidy',
                          $sample, '--', @flags ]);
my $all = join "\n", findings_of($text);

like($all, qr/:15:.*NullDereference/s, 'caught: a NULL that is used');
like($all, qr/:15:.*implicit-widening/s, 'caught: a product of two int');
unlike($all, qr/\.c:9:/, 'a product of numbers passes');
like((findings_of("Error while processing x.c.\n"))[0], qr/Error/,
     'caught: clang-tidy fails');

done_testing;


# Findings with their lines of explanation.  clang-tidy counts on standard
# error what it has suppressed in nginx's headers.

sub findings_of {
    my ($output) = @_;

    my @found = split /^(?=\S+:\d+:\d+: (?:warning|error):)/m,
        $output =~ s/^\d+ warnings?(?: and \d+ errors?)? generated\.\n//gmr
                =~ s/^Suppressed \d+ warnings.*\n//gmr
                =~ s/^Use -header-filter=.*\n//gmr;

    return grep { !product_of_numbers($_) } @found;
}


# IgnoreConstantIntExpr, which clang-tidy before 17 doesn't know.

sub product_of_numbers {
    my ($finding) = @_;

    return unless $finding =~ /^\S+: warning: .*\[.*implicit-widening/;

    # a macro's place comes with the next note
    my ($own) = $finding =~ /^(.*?)^\S+: note: make conversion/msg
        or return;
    my ($path, $line, $column)
        = ($own =~ /^(\S+?):(\d+):(\d+): /mg)[-3, -2, -1];

    return substr((lines(slurp($path)))[$line - 1], $column - 1)
           =~ /^\d+(?: \* \d+)+/;
}
