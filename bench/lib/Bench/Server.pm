package Bench::Server;

# The servers of a benchmark: this module and nchan in nginx, RabbitMQ, and
# the limit (bench/limit).  Each is started once and then left alone, idle,
# while the others are measured.
#
#   my $s = Bench::Server->new($system, out => 'build/bench');
#   $s->start;
#   my @options = $s->options('http');     # of the load tool
#   ... $s->pids, $s->pss ...
#   $s->stop;

use strict;
use warnings;
use feature 'state';

use Carp;
use Cwd ();
use File::Basename ();
use File::Path ();
use IO::Socket::INET;
use Time::HiRes qw(sleep time);

my $root = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../..');
my $next_port = 21000 + $$ % 500 * 8;

# kind: what runs; workers, and the processors they are bound to: one and the
# load tool on the other, or all together where there are more of them.
my %systems = (
    'stomp'          => { kind => 'nginx', conf => 'stomp', workers => 1 },
    'stomp, 2 workers' => { kind => 'nginx', conf => 'stomp', workers => 2 },
    'stomp, 4 workers' => { kind => 'nginx', conf => 'stomp', workers => 4 },
    'stomp, 2 workers on 1 processor' => { kind => 'nginx', conf => 'stomp',
                                           workers => 2, together => 1 },
    'base'           => { kind => 'nginx', conf => 'stomp', workers => 1,
                          module => $ENV{BENCH_BASE} },
    'nchan'          => { kind => 'nginx', conf => 'nchan', workers => 1 },
    'nchan, 2 workers' => { kind => 'nginx', conf => 'nchan', workers => 2 },
    'rabbitmq'       => { kind => 'rabbitmq', workers => 1 },
    'one-write limit'  => { kind => 'limit', workers => 1, args => [] },
    'coalescing limit' => { kind => 'limit', workers => 1,
                            args => ['--coalesce'] },
    'look-again limit' => { kind => 'limit', workers => 1,
                            args => ['--look-again'] },
);


sub new {
    my ($class, $system, %opt) = @_;

    my $known = $systems{$system} or croak("unknown system: $system");
    (my $folder = $system) =~ s/\W+/-/g;

    return bless { %$known, %opt, system => $system,
                   dir => "$opt{out}/$folder", port => free_port() }, $class;
}


sub free_port {
    for (1 .. 500) {
        my $port = $next_port++;
        my $probe = IO::Socket::INET->new(Listen => 1, ReuseAddr => 1,
            LocalAddr => '127.0.0.1', LocalPort => $port) or next;
        return $port;
    }

    croak('no free port');
}


sub port { return $_[0]{port} }


# whether it shares the load tool's processor

sub spread {
    my ($self) = @_;

    return !pinned() || ($self->{workers} > 1 && !$self->{together});
}


# On one processor alone nothing is bound to another.

sub pinned {
    state $cores = qx{nproc};
    return $cores > 1;
}


sub start {
    my ($self) = @_;

    return $self if $self->{started};

    File::Path::remove_tree($self->{dir});
    File::Path::make_path("$self->{dir}/logs", "$self->{dir}/temp");

    my $start = "start_$self->{kind}";
    $self->$start;
    $self->{started} = 1;

    return $self;
}


sub start_nginx {
    my ($self) = @_;

    my %value = (
        PORT => $self->{port}, WORKERS => $self->{workers},
        CPUS => $self->spread ? 'auto' : '01 ' x $self->{workers},
        PREFIX => $self->{dir},
        MODULE => $self->{module} // ($self->{conf} eq 'stomp'
                  ? "$self->{out}/../ngx_stomp_module.so"
                  : '/usr/lib/nginx/modules/ngx_nchan_module.so'),
        NDK => $ENV{NDK_MODULE} // '/usr/lib/nginx/modules/ndk_http_module.so',
    );

    my $conf = slurp("$root/bench/peers/$self->{conf}.conf");
    $conf =~ s/%%(\w+)%%/$value{$1} \/\/ croak("what is $1?")/ge;
    spew("$self->{dir}/nginx.conf", $conf);

    my $nginx = $ENV{NGINX_BIN} || '/usr/sbin/nginx';
    system($nginx, '-p', $self->{dir}, '-e', "$self->{dir}/error.log",
           '-c', "$self->{dir}/nginx.conf") == 0
        or croak("$self->{system} does not start");

    $self->wait_until('nginx', sub { $self->workers >= $self->{workers} });
    return;
}


sub start_limit {
    my ($self) = @_;

    my $pid = fork // croak("fork: $!");

    if ($pid == 0) {
        open STDOUT, '>', "$self->{dir}/log";
        exec((pinned() ? ('taskset', '-c', '0') : ()), "$self->{out}/limit",
             '--port', $self->{port}, @{ $self->{args} });
        die "limit: $!";
    }

    $self->{pid} = $pid;
    $self->wait_until('the limit', sub { -s "$self->{dir}/log" });
    return;
}


sub start_rabbitmq {
    my ($self) = @_;

    system("$root/bench/peers/rabbitmq.sh", 'start', $self->{dir},
           $self->{port}, pinned() ? '0' : ()) == 0
        or croak('RabbitMQ does not start');
    return;
}


sub wait_until {
    my ($self, $what, $done) = @_;

    my $end = time + 15;

    until ($done->()) {
        croak("$what does not start: see $self->{dir}") if time > $end;
        sleep 0.05;
    }

    return;
}


sub stop {
    my ($self) = @_;

    return unless delete $self->{started};

    if ($self->{kind} eq 'rabbitmq') {
        system("$root/bench/peers/rabbitmq.sh", 'stop', $self->{dir});
        return;
    }

    my $pid = $self->{kind} eq 'limit' ? $self->{pid} : $self->master;
    kill TERM => $pid if $pid;

    if ($self->{kind} eq 'limit') {
        waitpid $pid, 0;

    } else {
        for (1 .. 200) {
            last unless -e "$self->{dir}/nginx.pid";
            sleep 0.05;
        }
    }

    return;
}


sub master {
    my ($self) = @_;

    return slurp("$self->{dir}/nginx.pid") =~ /(\d+)/ ? $1 : undef;
}


sub workers {
    my ($self) = @_;

    my $master = -s "$self->{dir}/nginx.pid" ? $self->master : return;
    return grep { slurp("/proc/$_/cmdline") =~ /^nginx: worker/ }
           split ' ', slurp("/proc/$master/task/$master/children");
}


# The processes whose processor time is the server's.  What a full processor
# leaves to the kernel's own threads belongs to it as well.

sub pids {
    my ($self) = @_;

    my @pids = $self->own_pids;
    my @cpus = $self->spread ? (0, 1) : (0);

    for my $cpu (@cpus) {
        push @pids, grep { defined } kernel_thread("ksoftirqd/$cpu");
    }

    return @pids;
}


sub own_pids {
    my ($self) = @_;

    return $self->{pid} if $self->{kind} eq 'limit';
    return ($self->master, $self->workers) if $self->{kind} eq 'nginx';

    return split ' ', qx{'$root/bench/peers/rabbitmq.sh' pids '$self->{dir}' \\
                         '$self->{port}'};
}


my %threads;

sub kernel_thread {
    my ($name) = @_;

    return $threads{$name} if exists $threads{$name};
    $threads{$name} = undef;

    for my $file (glob '/proc/[0-9]*/comm') {
        if (slurp($file) eq "$name\n" && $file =~ /(\d+)/) {
            $threads{$name} = $1;
        }
    }

    return $threads{$name};
}


# proportional set size of all its processes, octets

sub pss {
    my ($self) = @_;

    my $kb = 0;

    for my $pid ($self->own_pids) {
        $kb += $1 if slurp("/proc/$pid/smaps_rollup") =~ /^Pss:\s+(\d+) kB/m;
    }

    return $kb * 1024;
}


# what the load tool has to be told to speak to it

sub options {
    my ($self, $publish) = @_;

    my @options = ('--port', $self->{port}, '--pids', join ',', $self->pids);
    my $conf = $self->{conf} // '';

    if ($conf eq 'nchan') {
        return (@options, '--raw', '--path', '/sub', '--push-path', '/pub');
    }

    if ($self->{kind} eq 'rabbitmq') {
        return (@options, '--lax', '--path', '/ws', '--publish', 'send');
    }

    return (@options, '--publish', $publish);
}


sub slurp {
    my ($file) = @_;

    open my $fh, '<', $file or return '';
    local $/;
    return scalar(<$fh>) // '';
}


sub spew {
    my ($file, $text) = @_;

    open my $fh, '>', $file or croak("$file: $!");
    print $fh $text;
    close $fh or croak("$file: $!");
    return;
}


sub DESTROY {
    my ($self) = @_;

    local ($?, $@, $!);
    $self->stop;
    return;
}

1;
