package Test::Stomp::Lint;

# use Test::Stomp::Lint; gives strict, warnings, Test::More and the helpers
# below.  It runs in the checkout's top folder.
#
#   clean('no tabs', map { tabs_of($_, slurp($_)) } files(qw(c h)));
#   catches('tabs', tabs_of('x.c', "\tint  i;\n"));
#
# A finding is a line "file:line: what is wrong".

use strict;
use warnings;

use Cwd ();
use Exporter ();
use File::Basename ();
use File::Find ();
use Test::More;

our @ISA = ('Exporter');
our @EXPORT = qw(files sources slurp lines line_of finding clean catches
                 blank_c functions_of prototypes_of nginx_tree object_folder
                 objects_of compile_flags need_tool run_all temporary);


my $root = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../../..');
my $build = $ENV{STOMP_BUILD} // "$root/build";


sub import {
    strict->import;
    warnings->import;
    $ENV{LC_ALL} = 'C';
    chdir $root or die "$root: $!";
    Test::More->export_to_level(1);
    __PACKAGE__->export_to_level(1, @_);
    return;
}


# The project's own files with these extensions, all without any; by their
# paths from the top folder.  Not what fuzzers have found: that is data.

sub files {
    my %wanted = map { $_ => 1 } @_;

    my @found;
    my %skipped = map { $_ => 1 } qw(.git build corpus node_modules servroot);

    File::Find::find({
        no_chdir => 1,
        preprocess => sub { return sort grep { !$skipped{$_} } @_ },
        wanted => sub {
            my $path = $File::Find::name =~ s!^\./!!r;
            return unless -f $path && !-l $path;

            my $extension = $path =~ /\.(\w+)$/ ? $1 : '';
            push @found, $path if !%wanted || $wanted{$extension};
        },
    }, '.');

    return @found;
}


# The module's files with an extension, of some layers or of all.

sub sources {
    my ($extension, @layers) = @_;

    @layers = ('*') unless @layers;
    return map { sort glob "ngx_stomp_module/$_/*.$extension" } @layers;
}


sub slurp {
    my ($path) = @_;

    open my $in, '<:raw', $path or die "$path: $!";
    local $/;
    return readline($in) // '';
}


sub lines {
    my ($text) = @_;

    return split /\n/, $text, -1;
}


# The number of the line in which an offset is.

sub line_of {
    my ($text, $offset) = @_;

    return 1 + (substr($text, 0, $offset) =~ tr/\n//);
}


sub finding {
    my ($path, $line, $what) = @_;

    return "$path:$line: $what";
}


# One test: there are no findings, or they are shown.

sub clean {
    my ($name, @findings) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my %seen;
    @findings = grep { !$seen{$_}++ } @findings;

    return ok(!@findings, $name) || diag(join "\n", @findings);
}


# One test of a check itself: it has findings in a sample that is wrong.

sub catches {
    my ($name, @findings) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return ok(scalar(grep { /^[^:]+:\d+:(?:\d+:)? ./ } @findings),
              "caught: $name");
}


# C without what is in comments and literals, of the same shape: each of
# their characters is a space, but for newlines and the quotes.

sub blank_c {
    my ($text) = @_;

    $text =~ s{(/\*.*?\*/) | (//[^\n]*)
               | ("(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])+')}
              {
                  my ($comment, $line, $literal) = ($1, $2, $3);
                  my $out = $comment // $line // $literal;

                  if (defined $literal) {
                      my $quote = substr $literal, 0, 1;
                      $out = $quote . ' ' x (length($literal) - 2) . $quote;
                  } else {
                      $out =~ tr/\n/ /c;
                  }
                  $out;
              }gesx;

    return $text;
}


# The functions that a C file defines: name, line, last, body, static, type.

sub functions_of {
    my ($text) = @_;

    my $code = blank_c($text);
    my @found;

    while ($code =~ /^ (\w[^\n;={}\#]*) \n
                       (\w+) \( ([^;{}]*?) \) \s* \n
                     (\{\n .*? ^\})/xmsg)
    {
        my ($type, $name, $body) = ($1, $2, $4);
        my ($from, $to) = ($-[0], $+[0]);

        push @found, {
            name => $name,
            type => $type =~ s/\s+/ /gr,
            static => scalar($type =~ /\bstatic\b/),
            line => line_of($code, $from),
            last => line_of($code, $to - 1),
            body => $body,
        };
    }

    return @found;
}


# What a header declares, functions that it defines as well: name, line, type,
# comment (undef: there is none right above it).

sub prototypes_of {
    my ($text) = @_;

    my $code = blank_c($text);
    my @found;

    while ($code =~ /^ (\w[\w\s]*?[\s*]+) (\w+) \( [^;{}]* \)
                     (?: ; | \s*\n\{ )/xmg)
    {
        my ($type, $name, $from) = ($1, $2, $-[0]);
        next if $type =~ /\b(?:typedef|define)\b/;

        my ($comment) = substr($text, 0, $from)
            =~ m{(/\*(?:(?!\*/).)*\*/)\n\n?\z}s;

        # a blank line belongs to definitions only
        undef $comment
            if defined $comment && $type !~ /static/
               && substr($text, 0, $from) =~ /\n\n\z/;

        push @found, {
            name => $name,
            type => $type =~ s/\s+/ /gr =~ s/ \z//r,
            line => line_of($code, $from),
            comment => $comment && ($comment =~ s/^\s*\*//mgr =~ s/\s+/ /gr),
        };
    }

    return @found;
}


# The tree that the module was built in; build/nginx.mk names it.

sub nginx_tree {
    my $file = "$build/nginx.mk";

    die "there is no $file: the module has to be built first\n" if !-e $file;

    return slurp($file) =~ m!^NGINX_INCS := (\S+)/src/core\b!m ? $1
           : die "no tree in $file\n";
}


sub object_folder {
    return nginx_tree() . '/objs/addon';
}


# The objects of the sources of some layers, or of all; a missing one is an
# error: nothing goes unchecked.

sub objects_of {
    my (@layers) = @_;

    return map {
        my ($name) = m!^ngx_stomp_module/(.*)\.c$!;
        my $object = object_folder() . "/$name.o";
        -e $object ? $object : die "there is no $object\n";
    } sources('c', @layers);
}


# The -I and -D that the module's files are compiled with, paths absolute.
# Those of nginx and the kit are system folders: their findings are theirs.

sub compile_flags {
    my $tree = nginx_tree();
    my $makefile = slurp("$tree/objs/Makefile") =~ s/\\\n/ /gr;

    my ($incs) = $makefile =~ /^ALL_INCS = *(.*)$/m;
    my ($cflags) = $makefile =~ /^CFLAGS = *(.*)$/m;

    my @flags = grep { /^-[DU]/ } split ' ', $cflags;

    for my $folder (grep { $_ ne '-I' } split ' ', $incs =~ s/-I/-I /gr) {
        $folder = "$tree/$folder" unless $folder =~ m!^/!;
        push @flags, $folder =~ m!^\Q$root\E/ngx_stomp_module/!
                     ? "-I$folder" : ('-isystem', $folder);
    }

    return @flags;
}


# A tool that is missing is a failure, not a skipped test.

sub need_tool {
    my ($tool) = @_;

    for my $folder (split /:/, $ENV{PATH}) {
        return $tool if -x "$folder/$tool";
    }

    BAIL_OUT("$tool is missing: tools/install.sh lint");
}


# run_all(2, [ command... ], ...) -> their outputs, in the same order
#
# Runs commands, so many at a time, standard error with standard output.
# A line "command: exit code N" is added if one fails.

sub run_all {
    my ($parallel, @commands) = @_;

    my (@output, %running);
    my $next = 0;

    while ($next < @commands || %running) {

        while ($next < @commands && keys(%running) < $parallel) {
            my $file = temporary('');
            my $pid = fork // die "fork: $!";

            if ($pid == 0) {
                open STDIN, '<', '/dev/null';
                open STDOUT, '>', $file or die "$file: $!";
                open STDERR, '>&', \*STDOUT;
                no warnings 'exec';
                exec @{$commands[$next]};
                require POSIX;
                POSIX::_exit(127);
            }

            $running{$pid} = [ $next++, $file ];
        }

        my $pid = wait;
        my ($index, $file) = @{delete $running{$pid} or next};

        $output[$index] = slurp($file);
        $output[$index] .= "$commands[$index][0]: exit code " . ($? >> 8)
                           . ($? & 127 ? ', signal ' . ($? & 127) : '') . "\n"
            if $?;
        unlink $file;
    }

    return @output;
}


# The path of a new file with that text; it goes with the process.

my ($folder, $count);

sub temporary {
    my ($text, $extension) = @_;

    if (!defined $folder) {
        require File::Temp;
        $folder = File::Temp->newdir('stomp-lint-XXXXXXXX', TMPDIR => 1);
    }

    my $path = sprintf '%s/%d%s', $folder, ++$count, $extension // '';

    open my $out, '>', $path or die "$path: $!";
    print {$out} $text;
    close $out or die "$path: $!";

    return $path;
}

1;
