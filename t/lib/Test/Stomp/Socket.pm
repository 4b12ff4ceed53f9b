package Test::Stomp::Socket;

# A TCP (or TLS) connection with deadlines: base of the WebSocket and HTTP
# clients.  Nothing here blocks for longer than the time-out it was given.

use strict;
use warnings;

use Carp;
use Errno qw(EAGAIN EWOULDBLOCK EINTR);
use IO::Select;
use IO::Socket::INET;
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY);

use Test::Stomp::Util qw(now patience show);


# new(port => N, host, timeout, tls, tls_options => {}, source, rcvbuf, sndbuf)
#
# rcvbuf makes a consumer that is slow early; source is a local address.

sub new {
    my ($class, %opt) = @_;

    my $self = bless {
        host    => $opt{host} // '127.0.0.1',
        port    => $opt{port} // croak('port is needed'),
        timeout => $opt{timeout} // patience(5),
        opt     => \%opt,
    }, $class;

    $self->open_socket;
    return $self;
}


sub open_socket {
    my ($self) = @_;

    my $opt = $self->{opt};
    my $peer = "$self->{host}:$self->{port}";
    my $sock = IO::Socket::INET->new;

    $sock->socket(AF_INET, SOCK_STREAM, 0) or croak("socket: $!");

    for ([ rcvbuf => SO_RCVBUF ], [ sndbuf => SO_SNDBUF ]) {
        my ($name, $option) = @$_;
        next unless $opt->{$name};
        setsockopt($sock, SOL_SOCKET, $option, $opt->{$name})
            or croak("setsockopt $name: $!");
    }

    if ($opt->{source}) {
        bind($sock, pack_sockaddr_in(0, inet_aton($opt->{source})))
            or croak("bind $opt->{source}: $!");
    }

    $sock->timeout($self->{timeout});
    $sock->connect(pack_sockaddr_in($self->{port}, inet_aton($self->{host})))
        or croak("connect to $peer: $!");

    setsockopt($sock, IPPROTO_TCP, TCP_NODELAY, 1);

    if ($opt->{tls}) {
        eval { require IO::Socket::SSL; 1 }
            or croak('TLS needs IO::Socket::SSL');
        IO::Socket::SSL->start_SSL($sock,
            SSL_verify_mode => IO::Socket::SSL::SSL_VERIFY_NONE(),
            Timeout => $self->{timeout}, %{ $opt->{tls_options} || {} })
            or croak("TLS with $peer: " . IO::Socket::SSL::errstr());
    }

    $sock->blocking(0);

    @$self{qw(sock rbuf eof error)} = ($sock, '', 0, undef);
    return;
}


sub tls_available {
    return eval { require IO::Socket::SSL; 1 } ? 1 : 0;
}


sub eof         { return $_[0]{eof} }
sub error       { return $_[0]{error} }
sub handle      { return $_[0]{sock} }
sub local_port  { return $_[0]{sock}->sockport }
sub buffered    { return length $_[0]{rbuf} }


# Writes all octets; returns false when the peer is gone, dies at the deadline.

sub write_raw {
    my ($self, $bytes, $timeout) = @_;

    local $SIG{PIPE} = 'IGNORE';
    my $sock = $self->{sock} or return 0;
    my $deadline = now() + ($timeout // 10);
    my $offset = 0;

    while ($offset < length $bytes) {
        my $n = syswrite($sock, $bytes, length($bytes) - $offset, $offset);

        if (defined $n) {
            $offset += $n;
            next;
        }

        if ($! != EAGAIN && $! != EWOULDBLOCK && $! != EINTR) {
            $self->{error} = "$!";
            return 0;
        }

        my $left = $deadline - now();
        croak(sprintf 'peer took %d of %d octets before the deadline',
            $offset, length $bytes) if $left <= 0;
        IO::Select->new($sock)->can_write($left < 0.2 ? $left : 0.2);
    }

    return 1;
}


# Reads once into the buffer: octets read, 0 at the end, undef on time-out.

sub fill {
    my ($self, $timeout) = @_;

    return 0 if $self->{eof};

    my $sock = $self->{sock};
    my $deadline = now() + $timeout;

    while (1) {
        my $n = sysread($sock, $self->{rbuf}, 65536, length $self->{rbuf});

        return $n if $n;

        if (defined $n) {
            $self->{eof} = 1;
            return 0;
        }

        if ($! != EAGAIN && $! != EWOULDBLOCK && $! != EINTR) {
            $self->{eof} = 1;
            $self->{error} = "$!";
            return 0;
        }

        my $left = $deadline - now();
        return if $left <= 0;
        IO::Select->new($sock)->can_read($left);
    }
}


# Takes exactly $count octets, or undef when they don't come in time.

sub read_raw {
    my ($self, $count, $timeout) = @_;

    my $deadline = now() + ($timeout // $self->{timeout});

    while (length $self->{rbuf} < $count) {
        my $left = $deadline - now();
        $self->fill($left > 0 ? $left : 0) or return;
    }

    return substr($self->{rbuf}, 0, $count, '');
}


# Takes everything that comes until the peer closes or the time is over.

sub read_all {
    my ($self, $timeout) = @_;

    my $deadline = now() + ($timeout // $self->{timeout});

    while (1) {
        my $left = $deadline - now();
        $self->fill($left > 0 ? $left : 0) or last;
    }

    return substr($self->{rbuf}, 0, length $self->{rbuf}, '');
}


# Reads a response head: { status, status_line, version, list, headers }.

sub read_head {
    my ($self, $timeout) = @_;

    my $deadline = now() + ($timeout // $self->{timeout});
    my $end;

    while (($end = index $self->{rbuf}, "\r\n\r\n") < 0) {
        my $left = $deadline - now();
        $self->fill($left > 0 ? $left : 0) or return;
    }

    my $head = substr($self->{rbuf}, 0, $end + 4, '');
    my ($line, @lines) = split /\r\n/, $head;

    my ($version, $status) = $line =~ m{^HTTP/(\d\.\d) (\d{3})(?: |$)}
        or croak('bad status line ' . show($line));

    my (@list, %first);
    for (@lines) {
        my ($name, $value) = /^([^\s:]+):[ \t]*(.*?)[ \t]*$/
            or croak('bad response header ' . show($_));
        push @list, [ $name, $value ];
        $first{ lc $name } //= $value;
    }

    return {
        status => $status, status_line => $line, version => $version,
        list => \@list, headers => \%first,
    };
}


# True when the peer closed (or reset) within the time; input is kept.

sub wait_eof {
    my ($self, $timeout) = @_;

    my $deadline = now() + ($timeout // $self->{timeout});

    while (!$self->{eof}) {
        my $left = $deadline - now();
        my $n = $self->fill($left > 0 ? $left : 0);
        return 0 unless defined $n;
    }

    return 1;
}


sub shutdown_write {
    my ($self) = @_;

    return $self->{sock}->shutdown(1);
}


sub close_socket {
    my ($self) = @_;

    close(delete $self->{sock}) if $self->{sock};
    $self->{eof} = 1;
    return;
}


# Resets the connection: the peer sees ECONNRESET, not an orderly end.

sub abort {
    my ($self) = @_;

    setsockopt($self->{sock}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0);
    $self->close_socket;
    return;
}

1;
