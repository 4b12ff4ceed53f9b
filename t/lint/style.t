# Without this: every reader's eye stumbles in another place.
#
# The style is nginx's; what can be told without understanding the code is
# told here, and the rest in a review.

use lib 't/lib';
use Test::Stomp::Lint;
use re 'regexp_pattern';

my $columns = 80;

# Written by tools, or of a format that has no short lines.
my $no_lines = qr/(?:package-lock\.json|\.(?:md|svg|html|json|list))$/;

# What a declaration begins with.
my $type = qr/(?:(?:const|static|unsigned|volatile)\ )*
              (?:(?:struct|enum|union)\ \w+|\w+_(?:t|e|s|pt)|u_char|char|int
                 |void|double|long|short|DIR|FILE|Dl_info|cJSON|unsigned
                 |va_list)/x;

my @text = files();
my @c = grep { m!^(?:ngx_stomp_module|t|fuzz|bench)/! } files(qw(c h));
my @shell = grep { /\.sh$/ || slurp($_) =~ m{\A#!/bin/(?:ba)?sh\b} }
            files('sh', '');
my @perl = files(qw(t pm pl));
my @javascript = grep { !m!\.min\.! } files(qw(mjs js));


# all text

clean('no tabs', map { tabs($_, slurp($_)) } grep { !/\.md$/ } @text);
clean('no blanks at the ends of lines', map { blanks($_, slurp($_)) } @text);
clean('one newline at the end', map { file_end($_, slurp($_)) } @text);
clean("at most $columns columns", map { long_lines($_, slurp($_)) }
      grep { !/$no_lines/ } @text);
clean('nothing is left to be done', map { promises($_, slurp($_)) } @text);

catches('a tab', tabs('x.c', "\tint  i;\n"));
catches('a tab behind a recipe\'s own', tabs('Makefile', "\techo\ta\n"));
catches('a blank', blanks('x.c', "int  i; \n"));
catches('a carriage return', blanks('x.c', "int  i;\r\n"));
catches('no newline', file_end('x.c', 'int  i;'));
catches('two newlines', file_end('x.c', "int  i;\n\n"));
catches('a long line', long_lines('x.c', '-' x 81 . "\n"));
catches('a promise', promises('x.c', '/* TO' . "DO: check it */\n"));


# C

clean('how a file begins', map { beginning($_, slurp($_)) } @c);
clean('include guards', map { guard($_, slurp($_)) } grep { /\.h$/ } @c);
clean('functions', map { function_form($_, slurp($_)) } @c);
clean('declarations', map { declarations($_, slurp($_)) } @c);
clean('lines of code', map { code_lines($_, slurp($_)) } @c);
clean('conditions of several lines', map { conditions($_, slurp($_)) } @c);
clean('what is allocated is checked at once',
      map { unchecked($_, slurp($_)) } sources('c'));

my $top = "\n/*\n * Copyright (C) ngx_stomp_module contributors\n */\n\n\n";

catches('no copyright', beginning('x.c', "\n#include <a.h>\n"));
catches('another guard', guard('ngx_a.h', "#ifndef NGX_A_H\n#define NGX_A_H\n"
                                          . "\n\n#endif\n"));
catches($_->[0], function_form('x.c', $top . $_->[1])) for (
    [ 'a type on the line of its function',
      "static int ngx_a(void)\n{\n    return 1;\n}\n" ],
    [ 'a brace on the line of its function',
      "static int\nngx_a(void) {\n    return 1;\n}\n" ],
    [ 'one line between functions',
      "int\nngx_a(void)\n{\n    return 1;\n}\n\nint\nngx_b(void)\n{\n}\n" ],
    [ 'three lines between functions',
      "int\nngx_a(void)\n{\n}\n" . "\n" x 3 . "int\nngx_b(void)\n{\n}\n" ],
);
catches($_->[0], declarations('x.c', $top . "int\nngx_a(void)\n{\n$_->[1]}\n"))
    for (
    [ 'a declaration behind a statement',
      "    int  a;\n\n    a = 1;\n    int  b;\n" ],
    [ 'a declaration in an inner block',
      "    int  a;\n\n    if (a) {\n        ngx_str_t  *b;\n    }\n" ],
    [ 'names that are not aligned', "    int  a;\n    size_t   b;\n\n" ],
    [ 'one space before a name', "    int a;\n\n" ],
    [ 'no line behind the declarations', "    int  a;\n    a = 1;\n" ],
);
catches($_, code_lines('x.c', "    $_\n")) for (
    '// a comment', 'if(a) {', 'for (;;) {', 'if (a){', '}else {',
    'f(a,b);', 'p = (u_char *)q;', 'if (a ||', 'char* p;', 'a = b ;',
    'f( a);', 'f(a );', 'if (!p) return;',
);
catches('else right behind a block',
        code_lines('x.c', "    a();\n    } else {\n"));
catches('a brace behind a condition of several lines',
        conditions('x.c', "    if (a\n        && b) {\n"));
catches('no check of an allocation', unchecked('x.c',
        "    p = ngx_palloc(pool,\n                   len);\n    p[0] = 1;\n"));


# the other languages

clean('bash -n', map { run_each($_, [ 'bash', '-n', $_ ]) } @shell);

clean('shellcheck', grep { length } run_all(1,
      [ need_tool('shellcheck'), '--format=gcc', '-x', @shell ]));

is(scalar(@shell), scalar(grep { -x $_ || $_ eq 'tools/lib.sh'
                                 || /^tools\/lib-/ } @shell),
   'shell scripts can be run');

{
    local $ENV{PERL5LIB} = 't/lib:bench/lib' . (defined $ENV{PERL5LIB}
                                      ? ":$ENV{PERL5LIB}" : '');
    my @output = run_all(2, map { [ $^X, '-wc', $_ ] } @perl);

    clean('perl -c', map { finding($perl[$_], 1, $output[$_]) }
          grep { !compiles($perl[$_], $output[$_]) } 0 .. $#perl);
}

clean('perl is strict', map { lax_perl($_, slurp($_)) } @perl);

clean('node --check', map { run_each($_, [ need_tool('node'), '--check', $_ ]) }
      @javascript);

catches('wrong bash', run_each('x.sh', [ 'bash', '-n', temporary("if\n") ]));
catches('what shellcheck finds', run_all(1,
        [ 'shellcheck', '--format=gcc',
          temporary("#!/bin/bash\nrm -rf \$1/*\n") ]));
catches('wrong perl', run_each('x.pl', [ $^X, '-wc', temporary("if (\n") ]));
catches('perl without strict', lax_perl('x.t', "print 1;\n"));
catches('wrong JavaScript', run_each('x.mjs',
        [ 'node', '--check', temporary("if (\n", '.mjs') ]));

done_testing;


# A finding for each match of an expression, whose ^ and $ are those of lines.

sub each_match {
    my ($path, $text, $expression, $what) = @_;

    my $lines = (regexp_pattern($expression))[0];
    my @found;

    while ($text =~ /$lines/mg) {
        push @found, finding($path, line_of($text, $-[0]), $what);
    }

    return @found;
}


sub run_each {
    my ($path, $command) = @_;

    my ($output) = run_all(1, $command);
    return length $output ? finding($path, 1, $output) : ();
}


# A Makefile's recipes begin with one.

sub tabs {
    my ($path, $text) = @_;

    $text =~ s/^\t//mg if $path =~ /(?:Makefile|\.mk)$/;
    return each_match($path, $text, qr/\t/, 'a tab');
}


sub blanks {
    my ($path, $text) = @_;

    return each_match($path, $text, qr/[ \t\r]+$/, 'a blank at the end');
}


sub file_end {
    my ($path, $text) = @_;

    return if $text =~ /[^\n]\n\z/;
    return finding($path, line_of($text, length $text),
                   'the file does not end with one newline');
}


sub long_lines {
    my ($path, $text) = @_;

    my $line = 0;

    # in characters, not in octets
    return map { $line++; utf8::decode($_);
                 length > $columns
                 ? finding($path, $line, length() . ' columns') : () }
           lines($text);
}


sub promises {
    my ($path, $text) = @_;

    my $words = join '|', map { join '', @$_ }
        [ 'TO', 'DO' ], [ 'FIX', 'ME' ], [ 'XX', 'X' ], [ 'HA', 'CK' ];

    return each_match($path, $text, qr/\b(?:$words)\b/, 'a promise');
}


sub beginning {
    my ($path, $text) = @_;

    return if $text =~ m{\A\n/\*\n\ \*\ Copyright\ \(C\)
                         \ ngx_stomp_module\ contributors\n
                         (?:\ \*(?:\ .*)?\n)*\ \*/\n\n\n\S}x;
    return finding($path, 1, 'a blank line, the copyright and two blank lines '
                             . 'are missing');
}


sub guard {
    my ($path, $text) = @_;

    my $name = '_' . uc($path =~ s!.*/!!r =~ s/\.h$//r) . '_H_INCLUDED_';

    return if $text =~ /^\n\n\#ifndef $name\n\#define $name\n\n\n\S/m
              && $text =~ m{\n\n\n\#endif /\* $name \*/\n\z};
    return finding($path, 1, "#ifndef $name ... #endif /* $name */, set apart "
                             . 'by two blank lines, is missing');
}


sub function_form {
    my ($path, $text) = @_;

    my $code = blank_c($text);
    my @found;

    push @found, each_match($path, $code,
        qr/^\w[^\n(;={}\#]*[ *]\w+\([^;{}]*\)\s*\{/,
        'the type of a function has a line of its own');

    push @found, each_match($path, $code, qr/^\w.*\) *\{$/,
                            'the brace of a function has a line of its own');

    # its end and what follows; a directive may follow at once

    push @found, each_match($path, $code,
        qr/^\}\n(?!\n\n(?!\n)|\n*\z|\n*#)/,
        'two blank lines stand between functions');

    push @found, each_match($path, $text, qr/\n\n\n\n/,
                            'more than two blank lines');

    return @found;
}


# Declarations stand at the start of a function, with their names in one
# column, behind at least two spaces.  An asterisk stands before that column.

sub declarations {
    my ($path, $text) = @_;

    my @found;

    for my $function (functions_of($text)) {
        my $first = $function->{last}
                    - ($function->{body} =~ tr/\n//);
        my @lines = lines($function->{body});
        my $statements = 0;
        my (@block, $nested);

        for my $i (1 .. $#lines) {
            my $line = $lines[$i];
            my $number = $first + $i;

            if ($line =~ /^(\ {4,})($type)(\ +)(\**)(\w+)\s*(\[.*|=.*|,.*|;|\()/
                && $2 ne 'return')
            {
                next if $nested;

                if ($statements) {
                    push @found, finding($path, $number,
                        "\"$5\" is declared behind a statement");
                    next;
                }

                next if $6 eq '(';

                push @found, finding($path, $number, 'two spaces stand between '
                                     . "a type and \"$5\"")
                    if length $3 < 2 && !(@block && length $2 >= $block[0]);

                my $column = length("$1$2$3$4");

                push @found, finding($path, $number,
                                     "\"$5\" is not below the names above")
                    if @block && $block[1] != $column;

                @block = (length $2, $column);

            } elsif ($line =~ /^ {4}(?:static )?(?:const )?struct\b.*\{$/) {
                $nested = 1;

            } elsif ($nested) {
                $nested = 0 if $line =~ /^ {4}\}/;

            } elsif ($line eq '') {
                @block = ();

            } elsif (!$statements && $line =~ /^\ {4}$type\ +\(\*\w+\)\(/) {
                # a pointer to a function
                next;

            } elsif ($line =~ /^ {4}(?:[\w*(]|\}(?!;))/) {
                push @found, finding($path, $number, 'a blank line stands '
                                     . 'behind the declarations')
                    if @block && !$statements && $lines[$i - 1] ne ''
                       && $lines[$i - 1] =~ /;$/;
                $statements = 1;
                @block = ();
            }
        }
    }

    return @found;
}


sub code_lines {
    my ($path, $text) = @_;

    my $code = blank_c($text);

    return (
        each_match($path, $text =~ s{"(?:\\.|[^"\\\n])*"}{""}gr
                                =~ s{/\*.*?\*/}{$& =~ tr/\n//cdr}gser,
                   qr{//}, 'a // comment'),
        map { each_match($path, $code, @$_) } (
            [ qr/\b(?:if|for|while|switch|return)\(/,
              'a space stands behind a keyword' ],
            [ qr/\bfor \(;;\)/, 'for ( ;; )' ],
            [ qr/\)\{/, 'a space stands before a brace' ],
            [ qr/\}(?:else|while)/, 'a space stands behind a brace' ],
            [ qr/[^\n]\n *\} else\b/, 'a blank line stands before "} else"' ],
            [ qr/^ *else\b/, '"} else" stands in one line' ],
            [ qr/,[^\s]/, 'a space stands behind a comma' ],
            [ qr/\(\w+ \*+\)[\w(&]/, 'a space stands behind a cast' ],
            [ qr/(?:&&|\|\|)$/, 'an operator leads the next line' ],
            [ qr/\w\* \w/, 'the asterisk stands at the name' ],
            [ qr/[^\s;(] ;/, 'a space before a semicolon' ],
            [ qr/\( (?!;|\s)/, 'a space behind a parenthesis' ],
            [ qr/[^\s;] \)/, 'a space before a parenthesis' ],
            [ qr/^ +(?:if|for|while) (\((?:[^()\n]|(?1))*\)) [^{\n]*;$/,
              'a statement has a line of its own' ],
        ));
}


# The brace of a condition that takes several lines has a line of its own.

sub conditions {
    my ($path, $text) = @_;

    my $code = blank_c($text);
    my @found;

    while ($code =~ /^\ *(?:\}\ else\ )?(?:if|for|while|switch)
                     \ (\((?:[^()]|(?1))*\))(.*)$/xmg)
    {
        my ($condition, $rest, $end) = ($1, $2, $+[0]);

        push @found, finding($path, line_of($code, $end),
                             'the brace has a line of its own')
            if $condition =~ /\n/ && $rest =~ /\{$/;
    }

    return @found;
}


# The first thing that is done with what was allocated.

sub unchecked {
    my ($path, $text) = @_;

    my $code = blank_c($text);
    my @found;

    while ($code =~ /^\ *([\w.>\[\]*-]+)\ =\ (?:\([\w\ *]+\)\ )?
                     ngx_(?:p?n?c?alloc|calloc|array_push\w*|array_create
                            |list_push|alloc_chain_link|create_temp_buf)
                     (\((?:[^()]|(?2))*\));/xmg)
    {
        my ($name, $end) = ($1, $+[0]);

        push @found, finding($path, line_of($code, $end),
                             "$name is not compared with NULL at once")
            if substr($code, $end) !~ /(?<![\w.>])\Q$name\E(?!\w)(.{0,8})/s
               || $1 !~ /^ [=!]= NULL/;
    }

    return @found;
}


# Whether perl -c says nothing else; what a BEGIN block has made may complain
# that its test has no end.

sub compiles {
    my ($path, $output) = @_;

    return $output =~ s/^\t\(in cleanup\) .*\n//mr eq "$path syntax OK\n";
}


sub lax_perl {
    my ($path, $text) = @_;

    # the test libraries make those strict who use them
    return if $text =~ /^use strict;\n(?:.*\n)?use warnings;$/m
              || $text =~ /^use Test::Stomp(?:::Lint)?;$/m;
    return finding($path, 1, '"use strict" and "use warnings" are missing');
}
