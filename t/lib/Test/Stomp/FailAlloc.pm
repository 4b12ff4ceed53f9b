package Test::Stomp::FailAlloc;

# Lets the n-th allocation of a process fail, in an nginx that is started with
# t/tools/fail_alloc.c preloaded, and tells what a process has not freed.
#
#   my $f = Test::Stomp::FailAlloc->new($t);    # before the start
#   $f->start;
#   $f->arm($pid, 17);       # counts from now on; the 17th fails
#   ...
#   $f->failed;              # did it?
#   $f->where;               # the functions that it was called from
#   $f->live;                # blocks since arm() that have not been freed

use strict;
use warnings;
no warnings 'portable';        # addresses have 64 bits

use Carp;
use Fcntl qw(O_RDWR O_CREAT O_TRUNC SEEK_SET);

use Test::Stomp::Util qw(build_tool);

# as fail_control_t has them

use constant {
    STACK => 16, BLOCKS => 2048,
    PID => 0, NTH => 1, ROUND => 2, COUNT => 3, FAILED => 4, LIVE => 5,
    LOST => 6, TRACE => 7,
};
use constant HEAD => 8 * (TRACE + STACK);
use constant BLOCK => 8 * (2 + STACK);


sub new {
    my ($class, $t) = @_;

    my $tool = build_tool($t, 'fail_alloc.so',
                          [ $t->root . '/t/tools/fail_alloc.c' ],
                          qw(-std=gnu99 -g -shared -fPIC -fno-builtin
                             -fno-omit-frame-pointer));
    my $file = $t->prefix . '/fail_alloc';

    sysopen my $fh, $file, O_RDWR | O_CREAT | O_TRUNC or croak("$file: $!");

    return bless { t => $t, tool => $tool, file => $file, fh => $fh,
                   round => 0, names => {} }, $class;
}


# The library stands before a sanitizer's own, which minds that, and then can't
# tell leaks from what the dynamic linker keeps.

sub start {
    my ($self, @options) = @_;

    local $ENV{LD_PRELOAD} = $self->{tool};
    local $ENV{FAIL_ALLOC} = $self->{file};
    local $ENV{ASAN_OPTIONS} = join ':', $ENV{ASAN_OPTIONS} // (),
        'verify_asan_link_order=0', 'detect_leaks=0';

    return $self->{t}->start(@options);
}


# nth => 0: only counts.  The process begins anew with its next allocation.

sub arm {
    my ($self, $pid, $nth) = @_;

    $self->put(PID, 0, 0, ++$self->{round}, 0, 0, 0, 0);
    $self->put(NTH, $nth);
    $self->put(PID, $pid);
    return;
}


sub disarm { return $_[0]->put(NTH, 0) }
sub count  { return $_[0]->get(COUNT) }
sub failed { return $_[0]->get(FAILED) }


# The functions above the failed allocation, innermost first.

sub where {
    my ($self) = @_;

    return () unless $self->failed;
    return $self->functions($self->get(TRACE, STACK));
}


# Blocks allocated since arm() and not freed: { address, size, where }.

sub live {
    my ($self) = @_;

    croak('too many blocks for the table') if $self->get(LOST);
    return () unless $self->get(LIVE);

    my $table = $self->octets(HEAD, BLOCK * BLOCKS);
    my @live;

    for my $i (0 .. BLOCKS - 1) {
        my ($address, $size, @stack) =
            unpack 'Q*', substr $table, $i * BLOCK, BLOCK;
        next unless $address;
        push @live, { address => $address, size => $size,
                      where => [ $self->functions(@stack) ] };
    }

    return @live;
}


# Names of the functions of return addresses, as far as they are known, but
# for those of the tool.

sub functions {
    my ($self, @stack) = @_;

    @stack = grep { $_ } @stack;
    my @unknown = grep { !exists $self->{names}{$_} } @stack;

    $self->look_up(@unknown) if @unknown;
    return grep { length } map { $self->{names}{$_} } @stack;
}


# Its workers have the master's addresses.

sub look_up {
    my ($self, @addresses) = @_;

    my %base;
    my $pid = $self->{t}->master;

    @{ $self->{names} }{@addresses} = ('') x @addresses;

    open my $maps, '<', "/proc/$pid/maps" or croak("maps of $pid: $!");

    while (my $line = <$maps>) {
        my ($from, $to, $file) =
            $line =~ m{^(\w+)-(\w+) \S+ \S+ \S+ \S+\s+(/\S+)} or next;
        my $base = $base{$file} //= hex $from;
        next if $file eq $self->{tool};

        for my $address (grep { $_ > hex $from && $_ <= hex $to } @addresses) {
            $self->{names}{$address} = $self->name($file, $address - 1 - $base);
        }
    }

    return;
}


sub name {
    my ($self, $file, $at) = @_;

    my $symbols = $self->{symbols}{$file} //= symbols($file);
    my ($low, $high) = (0, scalar @$symbols);

    while ($high - $low > 1) {
        my $middle = int(($low + $high) / 2);
        ($symbols->[$middle][0] <= $at ? $low : $high) = $middle;
    }

    my $symbol = $symbols->[$low];

    return $symbol && $at >= $symbol->[0]
           && $at < $symbol->[0] + $symbol->[1] ? $symbol->[2] : '';
}


# Functions of a file, by address: [ address, size, name ]; of one without a
# symbol table those that others may call.

sub symbols {
    my ($file) = @_;

    my @found;

    for my $dynamic ('', '-D') {
        for my $line (qx{nm -S --defined-only $dynamic '$file' 2>&1}) {
            my ($address, $size, $name) =
                $line =~ /^(\w+) (\w+) [tTwWi] ([^\s@]+)/ or next;
            push @found, [ hex $address, hex $size, $name ];
        }
        last if @found;
    }

    return [ sort { $a->[0] <=> $b->[0] } @found ];
}


sub put {
    my ($self, $at, @numbers) = @_;

    my $bytes = pack 'Q*', @numbers;
    sysseek $self->{fh}, 8 * $at, SEEK_SET or croak("fail_alloc: $!");
    syswrite($self->{fh}, $bytes) == length $bytes or croak("fail_alloc: $!");
    return;
}


sub get {
    my ($self, $at, $n) = @_;

    my @numbers = unpack 'Q*', $self->octets(8 * $at, 8 * ($n // 1));
    return wantarray ? @numbers : $numbers[0];
}


sub octets {
    my ($self, $at, $length) = @_;

    sysseek $self->{fh}, $at, SEEK_SET or croak("fail_alloc: $!");
    my $n = sysread $self->{fh}, my($bytes), $length;
    croak("fail_alloc: $!") unless defined $n && $n == $length;
    return $bytes;
}

1;
