# Without this: functions that only their author can call, or that nobody can
# read in one go.
#
# The header is the contract.  Right above each prototype stands a comment:
#   - what the function does; a function that returns something says what:
#     "Returns ..." or the codes that it returns, each one by its name;
#   - in broker/ whether the lock is held: there, or for all functions in the
#     comment that the header begins with; "..._locked" says "the lock is
#     held";
#   - a prototype that follows another one without a blank line shares its
#     comment.

use lib 't/lib';
use Test::Stomp::Lint;

my $function_max = 120;
my $file_max = 800;

# what nginx refers to, in a file that it makes
my $by_nginx = qr/^ngx_\w+_module$/;

my @headers = sources('h');
my @sources = sources('c');

my %defined = definitions(map { [ $_, slurp($_) ] } @sources, @headers);

cmp_ok(scalar(keys %defined), '>', 100, 'functions found');


# documented

clean('every function that others call is documented',
      map { undocumented($_, slurp($_)) } @headers);
clean('the comment names what is returned',
      map { codes_not_named($_, slurp($_)) } @headers);
clean('the comment says whether the lock is held',
      map { lock_not_told($_, slurp($_)) } sources('h', 'broker'));
clean('a function that others can call is declared in a header',
      map { undeclared(@$_) } map { [ $_, slurp($_) ] } @sources);

my $lock_header = "/* Header. */\n\n\n%s\nint ngx_sample%s(int a);\n";

catches('a prototype without comment',
        undocumented('x.h', "/* one */\n\nvoid ngx_one(void);\n"
                     . "\nvoid ngx_two(void);\n"));
catches('a result without a word',
        codes_not_named('x.h', "/* Frees. */\nint ngx_one(void);\n"));
{
    local $defined{ngx_one} = { body => '{ return NGX_BUSY; }' };
    catches('a code that is not named',
            codes_not_named('x.h', "/* NGX_OK. */\n"
                            . "ngx_int_t ngx_one(void);\n"));
}
catches('no word about the lock',
        lock_not_told('x.h', sprintf $lock_header, '/* Returns 1. */', ''));
catches('_locked without the lock',
        lock_not_told('x.h', sprintf $lock_header, '/* Needs no lock. */',
                      '_locked'));
catches('a function without a prototype',
        undeclared('x.c', "int\nngx_one_more(void)\n{\n    return 1;\n}\n"));


# length

clean("no function is longer than $function_max lines",
      map { long_functions($_, slurp($_)) } files(qw(c h)));
clean("no file is longer than $file_max lines",
      map { long_file($_, slurp($_)) } grep { !/package-lock\.json$/ }
      files(qw(c h t pm pl sh mjs js mk), ''));

catches('a long function',
        long_functions('x.c', "int\nngx_one(void)\n{\n"
                       . "    ngx_two();\n" x $function_max . "}\n"));
catches('a long file', long_file('x.c', "\n" x ($file_max + 1)));


# used

my @nm = map { [ $_, run_all(1, [ need_tool('nm'), $_ ]) ] } objects_of();

clean('every function that is not static is used in another file',
      unused(@nm));

catches('an unused function', unused(
        [ 'broker/one.o', "0 T ngx_one\n0 T ngx_two\n" ],
        [ 'broker/two.o', "  U ngx_one\n" ]));

done_testing;


# name => { path, line, body }, of what is not static

sub definitions {
    my %found;

    for (@_) {
        my ($path, $text) = @$_;
        $found{$_->{name}} = { %$_, path => $path }
            for grep { !$_->{static} || $path =~ /\.h$/ } functions_of($text);
    }

    return %found;
}


# The prototypes of a header; those that follow another one without a blank
# line have its comment.

sub documented {
    my ($text) = @_;

    my @lines = lines($text);
    my $last;

    return map {
        $_->{comment} //= $last->{comment}
            if $last && $lines[$_->{line} - 2] =~ /[;,)]$/;
        $last = $_;
    } prototypes_of($text);
}


sub undocumented {
    my ($path, $text) = @_;

    return map { finding($path, $_->{line}, "$_->{name}() has no comment") }
           grep { !defined $_->{comment} } documented($text);
}


sub codes_not_named {
    my ($path, $text) = @_;

    my @found;

    for my $f (documented($text)) {
        next if $f->{type} =~ /\bvoid(?: ngx_cdecl)?$/;
        my $comment = $f->{comment} // next;

        push @found, finding($path, $f->{line},
                             "$f->{name}() does not say what it returns")
            if $comment !~ /\b(?:[Rr]eturns?|NGX_[A-Z]+|NULL|handler)\b/;

        next if $f->{type} !~ /\bngx_int_t\b/
                || $comment =~ /content handler returns/;

        my $body = ($defined{$f->{name}} // {})->{body} // '';
        my %codes = map { $_ => 1 }
            $body =~ /\breturn (NGX_[A-Z]+);/g,
            map { /(NGX_[A-Z]+)/g }
                $body =~ /\breturn [^;?]*\? ([^;]*NGX_[A-Z]+[^;]*);/g;

        push @found, finding($path, $f->{line},
                             "$f->{name}() returns $_, not in its comment")
            for grep { $comment !~ /\b$_\b/ } sort keys %codes;
    }

    return @found;
}


sub lock_not_told {
    my ($path, $text) = @_;

    # the comment behind the includes, set apart by two blank lines
    my ($general) = $text =~ m{\n\n\n(/\*(?:(?!\*/).)*\*/)\n\n\n}s;
    my @found;

    for my $f (documented($text)) {
        my $comment = $f->{comment} // next;

        if ($f->{name} =~ /_locked$/) {
            push @found, finding($path, $f->{line}, "$f->{name}() does not "
                                 . 'say "the lock is held"')
                if $comment !~ /\bthe lock is held\b/i;

        } elsif ($comment !~ /\block/i && ($general // '') !~ /\block/) {
            push @found, finding($path, $f->{line}, "neither $f->{name}() nor "
                                 . 'the comment of the header mentions the '
                                 . 'lock');
        }
    }

    return @found;
}


my %declared;

sub undeclared {
    my ($path, $text) = @_;

    %declared = map { $_->{name} => 1 } map { prototypes_of(slurp($_)) }
                    @headers if !%declared;

    return map { finding($path, $_->{line}, "$_->{name}() is in no header") }
           grep { !$_->{static} && !$declared{$_->{name}} }
           functions_of($text);
}


sub long_functions {
    my ($path, $text) = @_;

    return map { finding($path, $_->{line}, "$_->{name}() has "
                         . ($_->{last} - $_->{line} + 1) . ' lines') }
           grep { $_->{last} - $_->{line} >= $function_max }
           functions_of($text);
}


sub long_file {
    my ($path, $text) = @_;

    my $n = ($text =~ tr/\n//);

    return $n > $file_max ? finding($path, $n, "$n lines") : ();
}


# Global symbols that no other object needs.  Takes [ path, output of nm ].

sub unused {
    my (@objects) = @_;

    my %needed = map { $_ => 1 } map { $_->[1] =~ /\bU (\w+)$/mg } @objects;
    my @found;

    for my $object (@objects) {
        my ($path, $symbols) = @$object;
        my $source = $path =~ s!.*/(\w+/\w+)\.o$!ngx_stomp_module/$1.c!r;

        push @found, map { finding($source, ($defined{$_} // {})->{line} // 1,
                                   "nothing else uses $_: make it static") }
                     grep { !$needed{$_} && /^ngx_/ && $_ !~ $by_nginx }
                     $symbols =~ /\b[BCDRTVW] (\w+)$/mg;
    }

    return @found;
}
