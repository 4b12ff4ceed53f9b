package Test::Stomp::Kill;

# Kills a worker of an nginx at a chosen place of the module's code: at the
# n-th store to shared memory, or at a named point.  The places are listed in
# broker/ngx_stomp_test_hooks.h; the module has to be built with its hooks.
#
#   my $t = nginx(workers => 2);
#   my $k = Test::Stomp::Kill->new($t);       # before the start; builds it
#   $t->start;
#   $k->arm(pid => $pid, nth => 17);          # its 17th store from now on
#   $k->arm(point => 'wake');                 # whoever is there first
#   $k->arm(point => 'alloc', nth => 5);      # the zone is full from then on
#   ...
#   $pid = $k->wait_hit;                      # dead; its successor runs

use strict;
use warnings;

use Carp;
use Fcntl qw(O_RDWR O_CREAT O_TRUNC SEEK_SET);
use POSIX ();

use Test::Stomp::Util qw(wait_for);

my $WORD = length pack 'L!', 0;


# The module with the hooks stands in a build folder of its own, so that no
# other test runs on it by mistake.

sub new {
    my ($class, $t) = @_;

    my $file = $t->prefix . '/control';
    sysopen my $fh, $file, O_RDWR | O_CREAT | O_TRUNC
        or croak("$file: $!");

    my $self = bless { t => $t, fh => $fh }, $class;
    $self->put(0, pack 'L!4 a32', 0, 0, 0, 0, '');

    $ENV{STOMP_MODULE} = build($t);
    $ENV{STOMP_TEST_CONTROL} = $file;

    return $self;
}


sub build {
    my ($t) = @_;

    my $folder = "$t->{build}/hooks";
    local @ENV{qw(BUILD NGX_STOMP_TEST_HOOKS)} = ($folder, 1);
    my $log = qx{'@{[ $t->root ]}/tools/build.sh' 2>&1};

    croak("the module with hooks cannot be built:\n$log") if $?;
    return "$folder/ngx_stomp_module.so";
}


sub put {
    my ($self, $at, $bytes) = @_;

    sysseek $self->{fh}, $at, SEEK_SET or croak("control: $!");
    syswrite($self->{fh}, $bytes) == length $bytes or croak("control: $!");
    return;
}


sub get {
    my ($self, $n) = @_;

    sysseek $self->{fh}, $n * $WORD, SEEK_SET or croak("control: $!");
    sysread($self->{fh}, my $bytes, $WORD) == $WORD or croak("control: $!");
    return unpack 'L!', $bytes;
}


# arm(pid => the only one that counts, nth => 1, point => '' (stores),
#     signal => KILL)

sub arm {
    my ($self, %opt) = @_;

    my $signal = $opt{signal} // 'KILL';

    $self->disarm;
    $self->put($WORD, pack 'L!3 a32', $opt{pid} // 0,
               POSIX->can("SIG$signal")->(), 0, $opt{point} // '');
    $self->put(0, pack 'L!', $opt{nth} // 1);
    return;
}


# Returns how many places were left.

sub disarm {
    my ($self) = @_;

    my $left = $self->get(0);
    $self->put(0, pack 'L!', 0);
    return $left;
}


# The process that got there, or 0.

sub hit { return $_[0]->get(3) }


# Waits for the kill, and then for the worker that follows; returns the dead
# one's pid, or 0 if nobody got there in time.  respawn => 0, timeout => 10

sub wait_hit {
    my ($self, %opt) = @_;

    my $t = $self->{t};
    my $timeout = $opt{timeout} // 10;
    my $pid = wait_for($timeout, sub { $self->hit }) or return 0;

    $t->allow_death($pid);

    wait_for($timeout, sub { !Test::Stomp::Nginx::alive($pid) })
        or croak("$pid survived");
    return $pid if defined $opt{respawn} && !$opt{respawn};

    wait_for($timeout, sub { $t->workers >= $t->{workers} })
        or croak("no worker came for $pid");
    return $pid;
}

1;
