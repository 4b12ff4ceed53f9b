# Without this: a directive that nobody can look up, a default that is another
# one, an example that nginx does not take.

use Test::More;

use lib 't/lib';
use Test::Stomp;

my $t = nginx();
my $root = $t->root;

my @pages = map { "$root/$_" } 'README.md',
    map({ s!^\Q$root/!!r } sort glob "$root/docs/*.md");

my $reference = slurp("$root/docs/directives.md");
my $source = join '', map { slurp($_) } sort glob
    "$root/ngx_stomp_module/conf/*.c";


# the reference and the code

my %code = directives_of_code($source);
my %docs = directives_of_docs($reference);

cmp_ok(scalar(keys %code), '>=', 20, 'directives found in the command tables');

is_deeply([ sort keys %docs ], [ sort keys %code ],
          'the reference has the directives of the command tables');

for my $name (sort keys %code) {
    my $is = $docs{$name} or next;

    is($is->{context}, $code{$name}{context}, "context of $name");
    is($is->{default}, $code{$name}{default}, "default of $name");
    like($is->{syntax}, $code{$name}{syntax}, "syntax of $name");
}

cmp_ok(scalar(grep { $_->{parsed} } values %code), '>=', 12,
       'defaults found in the code');


# what "users users;" in examples refers to

mkdir $t->prefix . '/conf';
write_file($t->prefix . '/conf/users',
           slurp("$root/conf-examples/users/users"));


# the checks find what is wrong

{
    my %other = directives_of_docs(
        $reference =~ s/^Default:  stomp_max_body \K64k/1m/mr
                   =~ s/^Context:  \Kstomp_broker$/http/mr
                   =~ s/^### stomp_push$/### stomp_shove/mr);

    isnt($other{stomp_max_body}{default}, $code{stomp_max_body}{default},
         'another default is seen');
    isnt($other{zone}{context}, $code{zone}{context},
         'another context is seen');
    ok(!$other{stomp_push}, 'a missing directive is seen');

    my %more = directives_of_code($source =~ s/"inbox"/"outbox"/r);
    ok($more{outbox} && !$docs{outbox}, 'an undocumented directive is seen');

    like(complaint(http_of("stomp_pass chat;\nstomp_max_body 0k0;\n")),
         qr/invalid value/, 'a wrong example is seen');
    is_deeply([ broken_links('x.md', '[a](nowhere.md) [b](#none)',
                             'x.md' => { }) ],
              [ 'nowhere.md', '#none' ], 'broken links are seen');
}


# examples

my $examples = 0;

for my $page (@pages) {
    my $name = $page =~ s!^\Q$root/!!r;
    my $text = slurp($page);

    while ($text =~ /^```nginx\n(.*?)^```$/msg) {
        my ($block, $line) = ($1, 1 + (substr($text, 0, $-[0]) =~ tr/\n//));

        $examples++;
        is(complaint($block =~ /^load_module/m ? { main => $block }
                                               : http_of($block)),
           '', "example in $name:$line");
    }
}

cmp_ok($examples, '>=', 5, 'examples found');


# links, to files and to headings

my %anchors = map { $_ => anchors_of(slurp($_)) } @pages;

for my $page (@pages) {
    is_deeply([ broken_links($page, slurp($page), %anchors) ], [],
              'links of ' . $page =~ s!^\Q$root/!!r);
}


# conf-examples, in a prefix as tools/run.sh makes it

my @configurations = glob "$root/conf-examples/*/nginx.conf";

cmp_ok(scalar @configurations, '>=', 2, 'example configurations found');

mkdir $t->prefix . '/modules';
link_modules();

for my $file (@configurations) {
    my $name = $file =~ s!^\Q$root/!!r;
    my $conf = slurp($file);

    make_certificate() if $conf =~ /^\s*ssl_certificate\s/m;
    write_file($t->prefix . '/conf/nginx.conf', $conf);

    my ($code, $message) = $t->run_nginx('conf/nginx.conf', 'example', '-t',
        $> == 0 ? ('-g', 'user root;') : ());

    is($code, 0, $name) or diag $message;

    # "listen ... http2" is what nginx 1.22 knows
    unlike($message, qr/\[warn\](?!.*deprecated)/, "$name: no warning");
}

done_testing;


# name => { context, default, parsed, syntax }

sub directives_of_code {
    my ($text) = @_;

    my ($any) = $text =~ /#define NGX_HTTP_STOMP_ANY\s*\\\n\s*\((.*?)\)\n/s;
    my %values = defaults_of_code($text);
    my %found;

    while ($text =~ /^static ngx_command_t\s+\w+\[\] = \{(.*?)^\};/msg) {
        my $table = $1;

        while ($table =~ /\{\s*ngx_string\("(\w+)"\),\s*([\w|\s]+?),
                          \s*(\w+),\s*(.*?)\}/xsg)
        {
            my ($name, $flags, $set, $rest) = ($1, $2, $3, $4);
            my ($member) = $rest =~ /offsetof\(\s*\w+,\s*([\w.]+)\s*\)/;

            $flags =~ s/NGX_HTTP_STOMP_ANY/$any/ if defined $any;
            $member = 'session.heartbeat_send' if $name eq 'stomp_heartbeat';
            $member = 'origins' if $name eq 'stomp_origins';
            $member = "session.$1" if $name =~ /^stomp_(\w+_rate)$/;

            my $value = defined $member ? $values{$member} : undef;
            my $default = default_as_text($name, $set, $value, $text);

            $found{$name} = {
                context => context_of($flags),
                default => defined $default ? $default : "\x{e2}\x{80}\x{94}",
                parsed => defined $default,
                syntax => $flags =~ /CONF_BLOCK/
                          ? qr/^\Q$name\E .*\{ \.\.\. \}$/
                          : qr/^\Q$name\E .*;$/,
            };
        }
    }

    return %found;
}


# member of a configuration => what it has if nothing is set

sub defaults_of_code {
    my ($text) = @_;

    my %value;

    while ($text =~ /ngx_conf_(?:merge|init)_(?:\w+_)?value\(\s*
                     \w+->([\w.]+),\s*(?:\w+->[\w.]+,\s*)?([^;]+?)\s*\);/xg)
    {
        $value{$1} = $2;

        # the session's settings are merged by a function of their own
        $value{"session.$1"} = $2;
    }

    for my $name (qw(inbox_size history_size)) {
        $value{$name} = $1
            if $text =~ /$name = bcf->zone_size \/ (\w+);/;
        $value{$name} = $1
            if $text =~ /#define \Q$value{$name}\E\s+(\d+)/;
    }

    return %value;
}


# as the reference writes it; undef: there is none

sub default_as_text {
    my ($name, $set, $value, $conf) = @_;

    return unless defined $value;

    return "$name same;" if $name eq 'stomp_origins' && $value eq 'NULL';
    return 'an eighth of the zone' if $name eq 'inbox' && $value == 8;
    return 'half of the zone' if $name eq 'history_size' && $value == 2;

    return "$name $1;"
        if $set =~ /_enum_slot$/
           && $conf =~ /\{ ngx_string\("(\w+)"\), \Q$value\E \}/;

    die "default of $name is $value" unless $value =~ /^[\d\s*]+$/;
    $value = eval $value;

    my $text = $set =~ /_size_slot$/   ? size_as_text($value)
             : "$set $name" =~ /_sec_slot |_interval$/ ? "${value}s"
             : $set =~ /_flag_slot$/   ? $value ? 'on' : 'off'
             : $name =~ /_heartbeat$/  ? $value / 1000 . 's'
             : $name =~ /_rate$/       ? $value || 'off'
             :                           $value;

    return "$name $text;";
}


sub size_as_text {
    my ($size) = @_;

    return $size / 1048576 . 'm' if $size && $size % 1048576 == 0;
    return $size / 1024 . 'k' if $size && $size % 1024 == 0;
    return $size;
}


sub context_of {
    my ($flags) = @_;

    my %is = map { $_ => 1 } $flags =~ /(\w+)/g;
    my @context;

    push @context, 'stomp_broker' if $is{NGX_STOMP_BLOCK_CONF};
    push @context, 'http' if $is{NGX_HTTP_MAIN_CONF};
    push @context, 'server' if $is{NGX_HTTP_SRV_CONF};
    push @context, 'location' if $is{NGX_HTTP_LOC_CONF};
    push @context, 'if' if $is{NGX_HTTP_SIF_CONF} || $is{NGX_HTTP_LIF_CONF};
    push @context, 'limit_except' if $is{NGX_HTTP_LMT_CONF};

    return join ', ', @context;
}


sub directives_of_docs {
    my ($text) = @_;

    my %found;

    while ($text =~ /^\#\#\#\ (\w+)\n\n```\nSyntax:\ \ \ (.*)\n
                     Default:\ \ (.*)\nContext:\ \ (.*)\n```$/mxg)
    {
        my ($name, $syntax, $default, $context) = ($1, $2, $3, $4);

        die "$name is there twice" if $found{$name};
        $found{$name} = { syntax => $syntax, default => $default,
                          context => $context };
    }

    return %found;
}


# A snippet of any level as what http { } holds; brokers that it only refers
# to are added.

sub http_of {
    my ($block) = @_;

    my $level = $block =~ /^(?:server|map|upstream|stomp_broker)\b/m ? 'http'
              : $block =~ /^location\b/m                           ? 'server'
              :                                                      'location';

    $block = "location / {\n$block}\n" if $level eq 'location';
    $block = "server {\nlisten 127.0.0.1:%%PORT%%;\n$block}\n"
        if $level ne 'http';

    my %defined = map { $_ => 1 } $block =~ /\bstomp_broker\s+(\w+)/g;
    my %used = map { $_ => 1 }
        $block =~ /\bstomp_(?:pass|push|status)\s+(\w+)\s*;/g;

    $block = "stomp_broker $_ { zone 1m; topic /topic/; }\n$block"
        for grep { !$defined{$_} } sort keys %used;

    return { http => $block };
}


# what nginx says to it, '' if nothing

sub complaint {
    my ($what) = @_;

    my ($code, $message);

    if (exists $what->{http}) {
        ($code, $message) = $t->test_config($what->{http});

    } else {
        mkdir $t->prefix . '/modules';
        link_modules();
        write_file($t->prefix . '/conf/main.conf', $what->{main}
            . "pid logs/main.pid;\nevents { }\n"
            . "http { access_log off; stomp_broker a { zone 1m; "
            . "topic /topic/; } }\n");
        ($code, $message) = $t->run_nginx('conf/main.conf', 'main', '-t');
    }

    my @lines = grep { /\[\w+\]/ && !/"user" directive/ } split /\n/, $message;
    push @lines, "exit code $code" if $code && !@lines;

    return join "\n", @lines;
}


sub link_modules {
    for my $module ($t->modules) {
        my $name = $module =~ s!.*/!!r;
        $name = 'ngx_stomp_module.so' if $module eq ($t->modules)[-1];

        my $link = $t->prefix . "/modules/$name";
        unlink $link;
        symlink $module, $link or die "$link: $!";
    }

    return;
}


sub make_certificate {
    my $base = $t->prefix . '/conf/server';

    return if -s "$base.crt";

    system("openssl req -x509 -newkey rsa:2048 -nodes -days 1 "
           . "-subj /CN=localhost -keyout $base.key -out $base.crt "
           . "2>$base.log") == 0
        or die 'openssl: ' . slurp("$base.log");

    return;
}


# headings as GitHub makes anchors of them

sub anchors_of {
    my ($text) = @_;

    my %found;
    $text =~ s/^```.*?^```$//msg;

    while ($text =~ /^#+ (.*)$/mg) {
        my $anchor = lc $1;
        $anchor =~ s/[^\w\- ]//g;
        $anchor =~ tr/ /-/;
        $found{$anchor} = 1;
    }

    return \%found;
}


sub broken_links {
    my ($page, $text, %known) = @_;

    my @broken;
    my $folder = $page =~ m!^(.*)/! ? $1 : '.';
    $text =~ s/^```.*?^```$//msg;

    while ($text =~ /\]\(([^)\s]+)\)/g) {
        my $link = $1;
        next if $link =~ /^https?:/;

        my ($path, $anchor) = split /#/, $link, 2;
        my $target = $path eq '' ? $page : "$folder/$path";

        if ($path ne '' && !-e $target) {
            push @broken, $link;

        } elsif (defined $anchor && !$known{$target}{$anchor}) {
            push @broken, $link;
        }
    }

    return @broken;
}


sub slurp {
    my ($path) = @_;

    open my $in, '<', $path or die "$path: $!";
    local $/;
    return readline $in;
}


sub write_file {
    my ($path, $text) = @_;

    open my $out, '>', $path or die "$path: $!";
    print {$out} $text;
    close $out or die "$path: $!";
    return;
}
