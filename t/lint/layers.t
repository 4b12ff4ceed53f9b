# Without this: a lower layer that calls an upper one, step by step, until
# none can be tested or replaced without the others.
#
# The rules are those of docs/architecture.md, "Layers".

use lib 't/lib';
use Test::Stomp::Lint;

# What the files of a layer include: headers of nginx and the system ("more":
# for one file), and of the module, by folder or by name.

my @broker = qw(ngx_stomp_broker.h ngx_stomp_hash.h ngx_stomp_pattern.h
                ngx_stomp_wake.h);

my %may_include = (
    proto => {
        system => [qw(ngx_config.h ngx_core.h)],
        more => { ngx_stomp_ws_accept => ['ngx_sha1.h'] },
        folders => [qw(proto)],
    },
    broker => {
        system => [qw(ngx_config.h ngx_core.h)],
        more => {
            ngx_stomp_slot => [qw(sys/eventfd.h sys/mman.h)],
            ngx_stomp_test_hooks => [qw(sys/mman.h)],
            ngx_stomp_wake => [qw(ngx_event.h ngx_channel.h)],
        },
        folders => [qw(broker)],
    },
    session => {
        system => [qw(ngx_config.h ngx_core.h ngx_event.h)],
        more => { ngx_stomp_users => ['ngx_crypt.h'] },
        folders => [qw(session proto)],
        names => [@broker],
    },
    http => {
        system => [qw(ngx_config.h ngx_core.h ngx_event.h ngx_http.h
                      cjson/cJSON.h)],
        folders => [qw(http session proto)],
        names => [@broker, 'ngx_http_stomp_module.h'],
    },
    conf => {
        system => [qw(ngx_config.h ngx_core.h ngx_event.h ngx_http.h ndk.h)],
        folders => [qw(conf http session proto)],
        names => [@broker],
    },
);

# Only a build for the crash tests has something in there: it is free to use
# the system, but not the other layers.

my $test_hooks = qr/^ngx_stomp_test_\w+$/;

# Prefixes of what nginx has above a layer.

my %foreign = (
    proto => qr/ngx_(?:http|stream|event|connection|log|pool|shm|shmtx|slab)_/,
    broker => qr/ngx_(?:http|stream)_/,
    session => qr/ngx_(?:http|stream)_/,
);

# What the objects of the lower layers may need of others: nginx, the C
# library, and what compilers add by themselves.

my $compiler = qr/^(?: mem(?:chr|cmp|cpy|move|set) | bcmp | strlen
                     | __(?:mem\w+|v?s\w*printf|read)_chk
                     | __stack_chk_fail | _GLOBAL_OFFSET_TABLE_ )$/x;

my $instrumented = qr/^__(?:asan|ubsan|tsan|msan|sanitizer|gcov|llvm)_/;

my %may_need = (
    proto => {
        ngx_stomp_ws_accept => [qw(ngx_sha1_init ngx_sha1_update
            ngx_sha1_final ngx_encode_base64 ngx_decode_base64
            ngx_strncasecmp)],
    },
    broker => {
        ngx_stomp_broker => [qw(ngx_alloc ngx_calloc free ngx_sprintf
            ngx_log_error_core ngx_pid)],
        ngx_stomp_hash => [qw(open read close random gettimeofday)],
        ngx_stomp_message => [qw(ngx_cached_time)],
        ngx_stomp_dispatch => [qw(ngx_cached_time)],
        ngx_stomp_slot => [qw(ngx_shm_alloc ngx_shm_free ngx_log_error_core
            ngx_pid __errno_location memfd_create mkstemp unlink eventfd pipe
            fcntl ioctl kill read write close)],
        ngx_stomp_wake => [qw(ngx_add_channel_event ngx_posted_events
            ngx_posted_next_events ngx_cycle ngx_palloc ngx_calloc
            ngx_array_push ngx_log_error_core)],
        ngx_stomp_zone => [qw(ngx_shmtx_trylock ngx_shmtx_unlock
            ngx_shmtx_force_unlock ngx_ncpu ngx_pid sched_yield usleep)],
    },
);

my %folder_of = map { m!/(\w+)/([\w.]+)$! ? ($2 => $1) : () } sources('h');
my @layers = map { m!/(\w+)$! ? $1 : () } grep { -d } glob 'ngx_stomp_module/*';


# includes

is_deeply([ sort @layers ], [ sort keys %may_include ],
          'every folder is a layer with rules');

for my $layer (@layers) {
    clean("includes of $layer/",
          map { wrong_includes($_, slurp($_)) } sources('[ch]', $layer));
}

catches('proto/ that includes broker/',
        wrong_includes('ngx_stomp_module/proto/ngx_stomp_ws.c',
                       "#include <ngx_stomp_zone.h>\n"));
catches('session/ that includes the inside of broker/',
        wrong_includes('ngx_stomp_module/session/ngx_stomp_form.c',
                       "#include <ngx_stomp_arena.h>\n"));
catches('broker/ with events outside of ngx_stomp_wake.c',
        wrong_includes('ngx_stomp_module/broker/ngx_stomp_zone.c',
                       "#include <ngx_event.h>\n"));
catches('an include that depends on the folder',
        wrong_includes('ngx_stomp_module/broker/ngx_stomp_zone.c',
                       "#include \"ngx_stomp_zone.h\"\n"));


# names

for my $layer (sort keys %foreign) {
    clean("$layer/ does not know what is above it",
          map { foreign_names($_, slurp($_)) } sources('[ch]', $layer));
}

catches('session/ with a request',
        foreign_names('ngx_stomp_module/session/ngx_stomp_form.c',
                      "ngx_http_request_t  *r;\n"));


# headers can be included alone, with what is below them

my @headers = sources('h');
my @flags = grep { !m!^-I.*/ngx_stomp_module/! } compile_flags();
my @output = run_all(2, map { alone($_) } @headers);

clean('each header can be included alone, with what is below its layer',
      map { finding($headers[$_], 1, $output[$_]) }
      grep { length $output[$_] } 0 .. $#headers);

catches('a header that needs another layer', map { finding('x.h', 1, $_) }
        grep { length } run_all(1, alone(temporary(
            "#include <ngx_stomp_broker.h>\n", '.h'), 'proto')));


# symbols

for my $layer (sort keys %may_need) {
    my @objects = objects_of($layer);

    cmp_ok(scalar @objects, '>=', 7, "objects of $layer/");
    clean("symbols that $layer/ needs", wrong_symbols($layer,
        map { [ $_, run_all(1, [ need_tool('nm'), '-A', $_ ]) ] } @objects));
}

catches('proto/ that logs', wrong_symbols('proto',
        [ 'proto/ngx_stomp_ws.o', "ngx_stomp_ws.o:  U ngx_log_error_core\n" ]));
catches('proto/ that calls broker/', wrong_symbols('proto',
        [ 'proto/ngx_stomp_ws.o', "ngx_stomp_ws.o: U ngx_stomp_zone_lock\n" ]));
catches('a system call in a new place', wrong_symbols('broker',
        [ 'broker/ngx_stomp_dest.o', "ngx_stomp_dest.o:   U write\n" ]));

done_testing;


sub wrong_includes {
    my ($path, $text) = @_;

    my ($layer, $name) = $path =~ m!/(\w+)/(\w+)\.[ch]$!;
    my $rules = $may_include{$layer};

    my %names = map { $_ => 1 } @{$rules->{system}}, @{$rules->{names} // []},
                                @{$rules->{more}{$name} // []};
    my %folders = map { $_ => 1 } @{$rules->{folders}};

    my @found;

    while ($text =~ /^[ \t]*#[ \t]*include\s+(\S+)/mg) {
        my ($what, $line) = ($1, line_of($text, $-[0]));

        if ($what !~ /^<(.*)>$/) {
            push @found, finding($path, $line, "$what instead of <...>");
            next;
        }

        my $header = $1;
        my $folder = $folder_of{$header};

        next if !defined $folder && $name =~ $test_hooks;

        push @found, finding($path, $line, "$layer/ must not include $what"
                             . (defined $folder ? " of $folder/" : ''))
            if !$names{$header} && !$folders{$folder // ''};
    }

    return @found;
}


sub foreign_names {
    my ($path, $text) = @_;

    my ($layer) = $path =~ m!/(\w+)/\w+\.[ch]$!;
    my $code = blank_c($text);
    my @found;

    while ($code =~ /\b($foreign{$layer}\w+)/g) {
        push @found, finding($path, line_of($code, $-[0]),
                             "$layer/ must not know $1");
    }

    return @found;
}


# The command that compiles a header with the folders of its layer and of
# those below.

sub alone {
    my ($header, $layer) = @_;

    $layer //= ($header =~ m!/(\w+)/[\w.]+$!)[0];

    my %below = (
        proto => [], broker => [], session => [qw(proto broker)],
        http => [qw(proto broker session conf)],
        conf => [qw(proto broker session http)],
    );

    return [ need_tool('gcc'), '-fsyntax-only', '-Wall', '-Wextra', '-Werror',
             '-Wno-unused-parameter', @flags,
             map({ "-Ingx_stomp_module/$_" } $layer, @{$below{$layer}}),
             '-include', 'ngx_config.h', '-include', 'ngx_core.h',
             '-include', $header, '-x', 'c', '/dev/null' ];
}


# What objects need and neither their layer has nor they may have.  Takes
# [ path, output of nm ] for each.

sub wrong_symbols {
    my ($layer, @objects) = @_;

    my $checked = qr/-fsanitize|-fprofile|--coverage/;
    my $built_to_check = slurp(nginx_tree() . '/objs/Makefile')
                         =~ /^CFLAGS = .*$checked/m;

    my %own;

    for my $object (@objects) {
        $own{$_} = 1 for $object->[1] =~ /\s[BCDRSTVW] (\w+)$/mg;
    }

    my @found;

    for my $object (@objects) {
        my ($path, $symbols) = @$object;
        my ($name) = $path =~ m!/(\w+)\.o$!;
        next if $name =~ $test_hooks;

        my %may = map { $_ => 1 } @{$may_need{$layer}{$name} // []};

        for my $symbol ($symbols =~ /\sU (\S+)$/mg) {
            next if $symbol =~ $compiler || $own{$symbol};
            next if $built_to_check && $symbol =~ $instrumented;

            # open64() and the like: large files
            next if $may{$symbol} || $may{$symbol =~ s/64$//r};

            push @found, finding("ngx_stomp_module/$layer/$name.c", 1,
                                 "$layer/ must not need $symbol");
        }
    }

    return @found;
}
