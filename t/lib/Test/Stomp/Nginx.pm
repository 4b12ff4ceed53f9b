package Test::Stomp::Nginx;

# Runs an nginx of its own for one test: prefix build/t/<test>, free ports,
# and a check of its log at the end.
#
#   STOMP_MODULE  the module (build/ngx_stomp_module.so); "none": not loaded
#   NDK_MODULE    ndk_http_module.so; searched in the usual places
#   TEST_NGINX_BINARY  the binary;  STOMP_BUILD  another build folder
#   STOMP_KEEP=1  keep the prefix of a test that passed
#   STOMP_LOG     log level (info); STOMP_GLOBALS  lines for the main context

use strict;
use warnings;

use Carp;
use Cwd ();
use Fcntl qw(:flock);
use File::Basename ();
use File::Path ();
use IO::Socket::INET;
use Scalar::Util ();
use Test::Builder;

use Test::Stomp::Client;
use Test::Stomp::HTTP;
use Test::Stomp::Util qw(now wait_for);
use Test::Stomp::WebSocket;

my %live;
my $root = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../../..');

my $DEFAULT_HTTP = <<'CONF';
stomp_broker chat {
    zone   16m;
    topic  /topic/ /chat/;
    allow  send /topic/**;
}

server {
    listen 127.0.0.1:%%PORT%%;

    location = /endpoint-websocket { stomp_pass chat; }
    location /push/ { stomp_push chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF


# new(workers => 1, name =>, log => 'info', connections => 4096,
#     access_log => 0, globals => 'main lines', events => 'events lines')
#
# workers => 0: "master_process off"

sub new {
    my ($class, %opt) = @_;

    my $build = $ENV{STOMP_BUILD} // "$root/build";
    my $name = $opt{name} // File::Basename::basename($0, '.t');

    my $self = bless {
        workers => 1, connections => 4096, access_log => 1, %opt,
        build => $build, prefix => "$build/t/$name", owner => $$,
        log => $ENV{STOMP_LOG} // $opt{log} // 'info',
        allowed => [], ports => {}, locks => [], masters => [],
    }, $class;

    File::Path::remove_tree($self->{prefix});
    File::Path::make_path(map { "$self->{prefix}/$_" } qw(conf logs temp html));

    $live{ Scalar::Util::refaddr($self) } = $self;
    Scalar::Util::weaken($live{ Scalar::Util::refaddr($self) });

    return $self;
}


sub root   { return $root }
sub prefix { return $_[0]{prefix} }
sub binary { return $ENV{TEST_NGINX_BINARY} // 'nginx' }


# A port below the ephemeral range, kept by a lock file for parallel tests.
# port() is %%PORT%%, port(2) is %%PORT2%% and so on.

sub port {
    my ($self, $which) = @_;

    $which = '' if !defined $which || $which eq '1';
    return $self->{ports}{$which} //= $self->find_port;
}


sub find_port {
    my ($self) = @_;

    my $start = 20000 + ($$ * 7) % 8000;
    File::Path::make_path("$self->{build}/t");

    for my $port ($start .. $start + 500) {
        open my $lock, '>', "$self->{build}/t/.port-$port" or croak("lock: $!");
        next unless flock $lock, LOCK_EX | LOCK_NB;

        my $probe = IO::Socket::INET->new(Listen => 1, ReuseAddr => 1,
            LocalAddr => '127.0.0.1', LocalPort => $port) or next;
        close $probe;

        push @{ $self->{locks} }, $lock;
        return $port;
    }

    croak('no free port');
}


# write_conf($http_text, workers =>, globals =>): the text stands alone in
# conf/http.inc, so that line numbers in messages are its own.

sub write_conf {
    my ($self, $http, %opt) = @_;

    @$self{ keys %opt } = values %opt;
    $self->write_files('nginx', 'http', $http // $DEFAULT_HTTP);

    return $self;
}


sub write_files {
    my ($self, $main, $inc, $http) = @_;

    write_file("$self->{prefix}/conf/$inc.inc", $self->expand($http));
    write_file("$self->{prefix}/conf/$main.conf",
               $self->expand($self->preamble($main, $inc)));

    return "$self->{prefix}/conf/$main.conf";
}


sub preamble {
    my ($self, $main, $inc) = @_;

    my $user = $> == 0 ? 'user root;' : '';
    my $log = $self->{access_log} ? "logs/$main-access.log" : 'off';
    my $extra = join "\n", $ENV{STOMP_GLOBALS} // '', $self->{globals} // '';
    my $events = $self->{events} // '';
    my $modules = join '', map { "load_module $_;\n" } $self->modules;
    my $processes = $self->{workers} ? "worker_processes $self->{workers};"
                                     : 'master_process off;';
    my $temp = join '', map { "    ${_}_temp_path temp/$_;\n" }
        qw(client_body proxy fastcgi uwsgi scgi);

    return <<"CONF";
$modules$user
daemon on;
$processes
pid logs/$main.pid;
error_log logs/error.log $self->{log};
$extra
events { worker_connections $self->{connections}; $events }
http {
    access_log $log;
$temp    include $inc.inc;
}
CONF
}


sub modules {
    my ($self) = @_;

    my $stomp = $ENV{STOMP_MODULE} // "$self->{build}/ngx_stomp_module.so";
    return () if $stomp eq '' || $stomp eq 'none';

    my ($ndk) = grep { -e } $ENV{NDK_MODULE} // (),
        "$self->{build}/ndk_http_module.so",
        '/usr/lib/nginx/modules/ndk_http_module.so',
        '/usr/share/nginx/modules/ndk_http_module.so';

    return ($ndk // (), Cwd::abs_path($stomp) // $stomp);
}


sub expand {
    my ($self, $text) = @_;

    $text =~ s/%%PORT(\d*)%%/$self->port($1)/ge;
    $text =~ s/%%PREFIX%%/$self->{prefix}/g;
    $text =~ s/%%ROOT%%/$root/g;
    return $text;
}


sub write_file {
    my ($path, $text) = @_;

    open my $out, '>', $path or croak("$path: $!");
    print {$out} $text;
    close $out or croak("$path: $!");
    return;
}


sub read_file {
    my ($path) = @_;

    open my $in, '<', $path or return '';
    local $/;
    return scalar(<$in>) // '';
}


sub run_nginx {
    my ($self, $conf, $log, @args) = @_;

    my $out = "$self->{prefix}/logs/$log.out";
    my $pid = fork // croak("fork: $!");

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $out;
        open STDERR, '>&', \*STDOUT;
        no warnings 'exec';
        exec binary(), '-p', "$self->{prefix}/", '-c', $conf,
             '-e', "logs/$log.log", @args;
        print STDERR "cannot run ", binary(), ": $!\n";
        require POSIX;
        POSIX::_exit(127);
    }

    waitpid $pid, 0;
    return ($? >> 8 || $? & 127, read_file($out));
}


# test_config($http_text, %opt) -> (exit code, message) of nginx -t

sub test_config {
    my ($self, $http, %opt) = @_;

    local @$self{ keys %opt } = values %opt;

    my $conf = $self->write_files('test', 'http-test', $http);
    return $self->run_nginx($conf, 'test', '-t');
}


# Starts and waits until every worker runs; dies with nginx's message.

sub start {
    my ($self, %opt) = @_;

    $self->write_conf unless -e "$self->{prefix}/conf/nginx.conf";

    my ($code, $message) = $self->run_nginx("$self->{prefix}/conf/nginx.conf",
                                            'error');
    croak("nginx did not start: $message") if $code;

    my $deadline = $opt{timeout} // 15;
    wait_for($deadline, sub {
        ($self->{master}) = read_file("$self->{prefix}/logs/nginx.pid")
                            =~ /^(\d+)$/m;
        return $self->{master} && alive($self->{master});
    }) or croak('no pid file: ' . $self->error_log);

    wait_for($deadline, sub { $self->workers >= $self->{workers} })
        or croak('workers did not start: ' . $self->error_log);

    return $self;
}


sub master { return $_[0]{master} }


# A zombie answers kill(0), so the state in /proc decides.

sub alive {
    my ($pid) = @_;

    my ($state) = read_file("/proc/$pid/stat") =~ /^\d+ \(.*\) (\S)/s;
    return defined $state && $state !~ /[ZX]/;
}


sub children {
    my ($self, $master) = @_;

    my %title;
    $master //= $self->{master} or return;

    opendir my $proc, '/proc' or croak("/proc: $!");

    for my $pid (grep { /^\d+$/ } readdir $proc) {
        my ($state, $parent) = read_file("/proc/$pid/stat")
                               =~ /^\d+ \(.*\) (\S) (\d+)/s or next;
        next if $parent != $master || $state =~ /[ZX]/;
        ($title{$pid} = read_file("/proc/$pid/cmdline")) =~ tr/\0/ /;
    }

    return %title;
}


# Pids of the running workers; all => 1 counts those that shut down, too;
# of => another master.  The title is set after the worker's initialisation.

sub workers {
    my ($self, %opt) = @_;

    my %title = $self->children($opt{of});
    my @pids = sort { $a <=> $b } grep {
        $title{$_} =~ /worker process/
        && ($opt{all} || $title{$_} !~ /shutting down/)
    } keys %title;

    return @pids;
}


# SIGKILL (or another signal) to one worker, then waits for its successor.
# respawn => 0 returns as soon as it is dead.

sub kill_worker {
    my ($self, $pid, %opt) = @_;

    my $signal = $opt{signal} // 'KILL';

    croak("$pid is not a worker")
        unless grep { $_ == $pid } $self->workers(all => 1);

    $self->allow_death($pid);
    kill $signal, $pid or croak("kill $pid: $!");

    my $timeout = $opt{timeout} // 10;
    wait_for($timeout, sub { !alive($pid) }) or croak("$pid survived $signal");
    return if defined $opt{respawn} && !$opt{respawn};

    wait_for($timeout, sub { $self->workers >= $self->{workers} })
        or croak("no worker came for $pid");
    return;
}


# What nginx itself writes about a process that was killed, and nothing else.

sub allow_death {
    my ($self, $pid, $title) = @_;

    $title //= 'worker process';

    push @{ $self->{allowed} },
        qr/\[alert\] \d+#\d+: $title $pid exited on signal 9$/,
        qr/\[alert\] \d+#\d+: shared memory zone "[^"]+" was locked by $pid$/;
    return;
}


# HUP, then waits until new workers run and the old ones have been told to
# leave; old_gone => 1 waits for their exit.  Returns false (and leaves the
# message in reload_error) when nginx kept the old configuration.

sub reload {
    my ($self, %opt) = @_;

    my %old = map { $_ => 1 } $self->workers(all => 1);
    my $from = length $self->error_log;

    $self->{reload_error} = undef;
    kill 'HUP', $self->{master} or croak("HUP: $!");

    wait_for($opt{timeout} // 20, sub {
        my $log = substr $self->error_log, $from;
        return $self->{reload_error} = $1 if $log =~ /(\[emerg\][^\n]*)/;

        my %title = map { $_ => 1 } $self->workers;
        my @new = grep { !$old{$_} } keys %title;
        my @left = $opt{old_gone} ? grep({ alive($_) } keys %old)
                                  : grep({ $old{$_} } keys %title);
        return @new >= $self->{workers} && !@left;
    }) or croak('reload did not end: ' . substr $self->error_log, $from);

    return !defined $self->{reload_error};
}


sub reload_error { return $_[0]{reload_error} }


# USR2, then waits until the workers of the new executable run, beside the
# others.  Returns the old master's pid; master() is the new one.

sub upgrade {
    my ($self, %opt) = @_;

    my $old = $self->{master};
    kill 'USR2', $old or croak("USR2: $!");

    wait_for($opt{timeout} // 20, sub {
        my ($new) = read_file("$self->{prefix}/logs/nginx.pid") =~ /^(\d+)$/m
            or return 0;
        return $new != $old && alive($new)
               && $self->workers(of => $new) >= $self->{workers}
               && ($self->{master} = $new);
    }) or croak('the new executable did not start: ' . $self->error_log);

    push @{ $self->{masters} }, $old;
    return $old;
}


# QUIT, then TERM, then KILL, each with a deadline; returns the signal that
# was enough.  Workers that outlive their master are killed by pid.

sub stop {
    my ($self, %opt) = @_;

    my @masters = grep { $_ && is_nginx($_) }
                  $self->{master}, @{ $self->{masters} };
    return unless @masters;

    my @pids = (@masters, map { keys %{ { $self->children($_) } } } @masters);
    my $last;

    for ([ QUIT => $opt{quit} // 5 ], [ TERM => 5 ], [ KILL => 5 ]) {
        my ($signal, $timeout) = @$_;
        next if $timeout == 0;

        $last = $signal;
        kill $signal, $signal eq 'KILL' ? grep({ is_nginx($_) } @pids)
                                        : @masters;
        last if wait_for($timeout, sub { !grep { is_nginx($_) } @pids });
    }

    $self->{master} = undef;
    return $last;
}


sub is_nginx {
    my ($pid) = @_;

    # without a master the command line stays as it was
    return alive($pid)
           && read_file("/proc/$pid/cmdline") =~ /^nginx:|\0-p\0/;
}


sub error_log {
    my ($self) = @_;

    return read_file("$self->{prefix}/logs/error.log");
}


# ok_no_alerts(allow => [qr//], name =>, stop => 0)
#
# Stops nginx (exit paths log, too), then fails on [alert], [emerg], [crit]
# and sanitizer reports.  The death of workers killed here is allowed.

sub ok_no_alerts {
    my ($self, %opt) = @_;

    $self->stop(%opt) unless defined $opt{stop} && !$opt{stop};

    my @allow = (@{ $self->{allowed} }, @{ $opt{allow} || [] });
    my $log = read_file("$self->{prefix}/logs/error.out") . $self->error_log;
    my (@bad, $report);

    for my $line (split /\n/, $log) {
        if ($line =~ /Sanitizer|runtime error: /) {
            $report = 1;
            push @bad, $line;
        } elsif ($line =~ /\[(?:alert|emerg|crit)\]/) {
            push @bad, $line unless grep { $line =~ $_ } @allow;
        } elsif ($report && $line =~ /^\s*#\d+ |^(?:READ|WRITE) of /) {
            push @bad, $line;
        }
    }

    my $tb = Test::Builder->new;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $tb->ok(!@bad, $opt{name} // 'no alerts, no sanitizer reports');
    splice @bad, 60;
    $tb->diag($_) for @bad;

    return !@bad;
}


# Clients for this nginx; all take the options of their classes.

sub ws {
    my ($self, %opt) = @_;
    return Test::Stomp::WebSocket->new(port => $self->port, %opt);
}

# stomp(%opt): a connected STOMP client; dies if the server refuses.
# Options of connect() go under connect => { ... }.

sub stomp {
    my ($self, %opt) = @_;

    my $connect = delete $opt{connect} // {};
    my $client = Test::Stomp::Client->new(port => $self->port, %opt);

    croak('handshake refused: ' . ($client->ws->status_line // 'no answer'))
        unless $client->ws->connected;

    my $frame = $client->connect(%$connect);
    croak('no CONNECTED: ' . ($frame ? Test::Stomp::Client::describe($frame)
                                     : $client->why_nothing))
        unless $frame && $frame->{command} eq 'CONNECTED';

    return $client;
}


# Clients on different workers: at least $slots slots with $each clients.
# Which worker accepts is the kernel's choice, hence the bounded loop.

sub stomp_spread {
    my ($self, $slots, $each, %opt) = @_;

    my (%by, @spare);

    for (1 .. 400) {
        my $client = $self->stomp(%opt);
        push @{ $by{ $client->slot // '' } }, $client;
        last if $slots <= grep { @$_ >= $each } values %by;
    }

    my @full = sort grep { @{ $by{$_} } >= $each } keys %by;
    croak("only @{[ scalar @full ]} of $slots workers took clients")
        if @full < $slots;

    $_->close for map { splice @{ $by{$_} }, $each } @full;
    return { map { $_ => $by{$_} } @full[ 0 .. $slots - 1 ] };
}


sub http_client {
    my ($self, %opt) = @_;
    return Test::Stomp::HTTP->new(port => $self->port, %opt);
}

# request($method, $path, %opt) on a connection of its own

sub request {
    my ($self, $method, $path, %opt) = @_;

    my $port = delete $opt{port} // $self->port;
    my %conn = map { $_ => delete $opt{$_} }
        grep { exists $opt{$_} } qw(tls tls_options source);

    return Test::Stomp::HTTP->new(port => $port, %conn)
        ->request($method, $path, close => 1, %opt);
}

# push_message($destination, $body, %opt): POST /push<destination>

sub push_message {
    my ($self, $destination, $body, %opt) = @_;

    my $path = (delete $opt{path} // '/push') . $destination;
    return $self->request('POST', $path, body => $body, %opt);
}

sub status {
    my ($self, $path) = @_;

    return $self->request('GET', $path // '/stomp_status')->json;
}


sub DESTROY {
    my ($self) = @_;

    # at the very end the END block below has been here
    return if $self->{owner} != $$ || ${^GLOBAL_PHASE} eq 'DESTRUCT';

    local ($?, $@, $!);
    delete $live{ Scalar::Util::refaddr($self) };
    $self->stop(quit => 2);
    $self->cleanup;
    return;
}


# The prefix of a failed or unfinished test is evidence.

sub cleanup {
    my ($self) = @_;

    my $tb = Test::Builder->new;
    my $plan = $tb->has_plan;
    my $done = $plan && ($plan eq 'no_plan' || $plan == $tb->current_test);

    return if $ENV{STOMP_KEEP} || $self->{keep} || !$done || !$tb->is_passing;
    File::Path::remove_tree($self->{prefix});
    return;
}


for my $signal (qw(INT TERM HUP)) {
    $SIG{$signal} //= sub { exit 130 };
}

END {
    my $status = $?;
    for my $nginx (grep { defined } values %live) {
        $nginx->DESTROY;
        $nginx->{owner} = 0;
    }
    $? = $status;
}

1;
