# Without this: a limit, a field or an error message of the reference that is
# another one in the code, and a directive in a text that nobody has.
#
# t/docs.t compares the tables of directives with the reference, both ways,
# and has nginx read all examples; this is about the rest of the reference.

use lib 't/lib';
use Test::Stomp::Lint;

my $reference = 'docs/directives.md';
my $docs = slurp($reference);
my @conf = sources('c', 'conf');

my %directives = map { $_ => 1 } map { names_of_table(slurp($_)) } @conf;

cmp_ok(scalar(grep { /^stomp_/ } keys %directives), '>=', 20,
       'directives found in the command tables');


# names

clean('texts mention directives that exist',
      map { unknown_directives($_, slurp($_)) }
      'README.md', glob('docs/*.md'), glob('conf-examples/*/nginx.conf'));
clean('messages mention directives that exist',
      map { unknown_directives($_, strings_of(slurp($_))) } sources('c'));
clean('the contents of the reference have each directive once',
      contents($reference, $docs));

catches('a directive that is none', unknown_directives('x.md',
        "Set `stomp_max_bodies` in ngx_stomp_module.so.\n"));
catches('a directive without a line in the contents',
        contents($reference, $docs =~ s/\[stomp_pass\]\(#stomp_pass\), //r));


# bounds

my %bounds = map { bounds_of(slurp($_)) } @conf;

cmp_ok(scalar(keys %bounds), '>=', 7, 'bounds found');
clean('bounds', bounds_differ($docs, %bounds));

catches('a bound that the reference has not',
        bounds_differ($docs, stomp_max_body => [ 0, 1, 'from 0 to 1' ]));
catches('a bound that is another one than its message says',
        bounds_differ($docs, stomp_max_headers =>
                             [ 4, 1025, 'from 4 to 1024' ]));


# fields of the status and of answers

my $status = 'ngx_stomp_module/http/ngx_http_stomp_status.c';

clean('fields of the status', differ($reference, 'field of the status',
      [ status_of_docs($docs) ], [ status_of_code(slurp($status)) ]));
clean('the sample of the status', differ($reference, 'field of the sample',
      [ status_of_sample($docs) ], [ status_of_code(slurp($status)) ]));

catches('a field that the reference has not', differ($reference, 'field',
        [ status_of_docs($docs =~ s/^\| `dropped`.*\n//mr) ],
        [ status_of_code(slurp($status)) ]));
catches('a field that is not in the code', differ($reference, 'field',
        [ status_of_docs($docs) ],
        [ status_of_code(slurp($status) =~ s/"refused"/"denied"/r) ]));

my $push = slurp('ngx_stomp_module/http/ngx_http_stomp_push.c');
my ($answer) = $docs =~ /^The answer is given when.*\n\n((?:- .*\n)+)/m;
my %keys = map { $_ => 1 } $push =~ /\\"([\w-]+)\\":(?! )/g;

clean('fields of the answer to a publisher', differ($reference, 'field',
      [ $answer =~ /^- `([\w-]+)`/mg ], [ sort keys %keys ]));


# ERROR frames and close codes

my $code = join '', map { slurp($_) } sources('c', qw(proto session http));
my %closing = slurp('ngx_stomp_module/proto/ngx_stomp_ws.h')
              =~ /^#define (NGX_STOMP_WS_[A-Z_]+) +(1\d\d\d)$/mg;

clean('ERROR messages', differ($reference, 'ERROR message',
      [ errors_of_docs($docs) ], [ errors_of_code($code) ]));
clean('reasons of close frames', differ($reference, 'reason',
      [ reasons_of_docs($docs) ], [ reasons_of_code($code) ]));

catches('an ERROR that the reference has not', differ($reference, 'ERROR',
        [ errors_of_docs($docs =~ s/^\| `unknown command`.*\n//mr) ],
        [ errors_of_code($code) ]));
catches('another close code', differ($reference, 'ERROR',
        [ errors_of_docs($docs =~ s/^\| `broker is full` \| \K1013/1008/mr) ],
        [ errors_of_code($code) ]));
catches('another reason', differ($reference, 'reason',
        [ reasons_of_docs($docs =~ s/^\| 1001 \| `\Kserver/worker/mr) ],
        [ reasons_of_code($code) ]));

done_testing;


# What only one of two lists has, as findings in the reference.

sub differ {
    my ($path, $what, $documented, $coded) = @_;

    my %documented = map { $_ => 1 } @$documented;
    my %coded = map { $_ => 1 } @$coded;

    return finding($path, 1, "no $what found")
        if !%documented || !%coded;

    return map({ finding($path, 1, "$what \"$_\" is not in the code") }
               grep { !$coded{$_} } sort keys %documented),
           map({ finding($path, 1, "$what \"$_\" is not in the reference") }
               grep { !$documented{$_} } sort keys %coded);
}


sub names_of_table {
    my ($text) = @_;

    return map { /\{\s*ngx_string\("(\w+)"\),/g }
           $text =~ /^static ngx_command_t\s+\w+\[\] = \{(.*?)^\};/msg;
}


# Of C only its strings, in their lines.

sub strings_of {
    my ($text) = @_;

    $text =~ s{/\*.*?\*/}{$& =~ tr/\n//cdr}gse;

    return join "\n", map { join ' ', /"((?:\\.|[^"\\])*)"/g }
           lines($text =~ s/^#include.*//mgr);
}


sub unknown_directives {
    my ($path, $text) = @_;

    my @found;

    # "stomp_max_*" is a group of them, "/stomp_status" a location
    while ($text =~ m{(?<![\w\$/-])(stomp_[a-z_]*[a-z])(?![\w.]*\.(?:c|h|so)\b)
                      (?!_?\*)(?!_)}xg)
    {
        my ($name, $from) = ($1, $-[0]);

        push @found, finding($path, line_of($text, $from),
                             "\"$name\" is no directive")
            if !$directives{$name};
    }

    return @found;
}


sub contents {
    my ($path, $text) = @_;

    my ($lines) = $text =~ /\A# .*\n\n((?:- .*\n)+)/
        or return finding($path, 1, 'no contents');
    my %count;

    $count{$_}++ for $lines =~ /\[(\w+)\]\(#\1\)/g;

    return map({ finding($path, 3, "$_ is there " . ($count{$_} // 0)
                         . ' times') }
               grep { ($count{$_} // 0) != 1 } sort keys %directives),
           map({ finding($path, 3, "$_ is no directive") }
               grep { !$directives{$_} } sort keys %count);
}


# directive => [ lowest, highest, text of the message ]

sub bounds_of {
    my ($text) = @_;

    my %table;

    while ($text =~ /^static\ ngx_http_stomp_bounds_t\s+(\w+)\ =\ \{\s*
                     \w+,\s*([^,]+),\s*([^,]+),\s*"([^"]+)"\s*\};/xmg)
    {
        $table{$1} = [ $2, $3, $4 ];
    }

    return map { /\{\s*ngx_string\("(\w+)"\),[^{}]*&(\w+)\s*\}/
                 && $table{$2} ? ($1 => $table{$2}) : () }
           $text =~ /(\{\s*ngx_string\([^{}]*\})/g;
}


sub bounds_differ {
    my ($text, %table) = @_;

    my @found;

    for my $name (sort keys %table) {
        my ($low, $high, $said) = @{$table{$name}};
        my ($section) = $text =~ /^(\#\#\# $name\n.*?)(?=^\#)/ms;
        my $line = $section ? line_of($text, index $text, $section) : 1;

        my ($from, $to) = $said =~ /from (\w+) to (\w+)/;
        my $told = $from eq '0' ? "(?:from 0|up) to $to" : "from $from to $to";

        push @found, finding($reference, $line, "$name: not \"$said\"")
            if ($section // '') =~ s/`//gr !~ /\b$told(?!\w)/;

        # "2047m" is all whole megabytes that an int32 can hold
        my $unit = $said =~ /m$/ ? 1048576 : 1;

        push @found, finding($reference, $line, "$name: \"$said\" is said "
                             . "where $low and $high are meant")
            if number_of($from) != number_of($low)
               || number_of($to) != int(number_of($high) / $unit) * $unit;
    }

    return @found;
}


sub number_of {
    my ($text) = @_;

    $text =~ s/NGX_MAX_INT32_VALUE/0x7fffffff/;
    $text =~ s/^(\d+)k$/$1 * 1024/e;
    $text =~ s/^(\d+)m$/$1 * 1048576/e;

    die "not a number: $text" if $text !~ m!^[\dxa-f\s*/]+$!;
    return int eval $text;
}


# names, those of an inner object behind its own: "zone.size"

sub status_of_code {
    my ($text) = @_;

    my @found = $text =~ /^\s+\{ "(\w+)", stat->\w+ \}/mg;

    while ($text =~ /cJSON_Add(\w+)ToObject\(\s*(\w+),\s*"(\w+)"/g) {
        my ($kind, $object, $name) = ($1, $2, $3);

        next if $object eq 'worker' || $object eq 'destination'
                || $name eq 'zone';
        push @found, $object eq 'json' ? $name : "$object.$name";
    }

    return @found;
}


sub status_of_docs {
    my ($text) = @_;

    my ($section) = $text =~ /^## Status\n(.*?)^## /ms;
    return $section =~ /^\| `([\w.]+)` \|/mg;
}


sub status_of_sample {
    my ($text) = @_;

    my ($sample) = $text
        =~ /^\$ curl [^\n]*stomp_status[^\n]*\n(\{\n.*?^\})$/ms;
    my ($zone) = $sample =~ /"zone":\s*\{(.*?)\}/s;

    return map({ "zone.$_" } $zone =~ /"(\w+)":/g),
           grep { $_ ne 'zone' } $sample =~ /^\t"(\w+)":/mg;
}


# "text 1002"; errors whose code is a variable have that of the table

sub errors_of_code {
    my ($text) = @_;

    my %found;

    while ($text =~ /ngx_stomp_session_error\(\s*[\w&>-]+,\s*[\w&>.-]+,\s*
                     (\w+),\s*"([^"]+)"/xg)
    {
        my ($name, $title) = ($1, $2);
        my $number = $closing{$name};

        ($number) = map { $closing{$_} }
            substr($text, 0, $-[0]) =~ /.*\b$name = (NGX_STOMP_WS_\w+);/s
            if !defined $number;

        $found{"$title $number"} = 1;
    }

    return keys %found;
}


sub errors_of_docs {
    my ($text) = @_;

    my ($table) = $text =~ /^\| `message` \| code .*?\n((?:\|.*\n)+)/m;
    return map { "$_->[0] $_->[1]" }
           map { /^\| `([^`]+)` \| (\d+) \|/ ? [ $1, $2 ] : () } lines($table);
}


sub reasons_of_code {
    my ($text) = @_;

    # what is wrong with a frame, 1002, is not listed

    my %found = map { $_ => 1 }
        $text =~ /ngx_stomp_session_finish\(\s*[\w&>-]+,\s*\w+,\s*
                  "([^"]+)"/xg,
        $text =~ /ngx_stomp_ws_fail\(d,\s*NGX_STOMP_WS_INVALID_DATA,\s*
                  "([^"]+)"/xg;

    return keys %found;
}


sub reasons_of_docs {
    my ($text) = @_;

    my ($table) = $text =~ /^\| code \| reason .*?\n((?:\|.*\n)+)/m;
    return $table =~ /^\| \d+ \| `([^`]+)` \|/mg;
}
