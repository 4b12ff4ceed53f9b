package Test::Stomp::HTTP;

# An HTTP/1.x client on one connection; a response is { status, status_line,
# headers (lower-case names, first wins), list, body } with method json().

use strict;
use warnings;

use parent 'Test::Stomp::Socket';

use Carp;
use Time::HiRes qw(sleep);

use Test::Stomp::Util qw(now octets pairs_of show);


# request($method, $path, %opt) -> response, or undef if none came in time
#
#   headers => [k => v], body => octets, version => '1.0', host => name,
#   chunked => 1 or chunk size,        send the body in chunks
#   split   => N or [sizes], delay =>  write the request in such pieces
#   close   => 1,                      ask for "Connection: close"
#   content_length => N,               a false one, or undef for none
#   stream  => 1,                      return after the head, then read_body()

sub request {
    my ($self, $method, $path, %opt) = @_;

    $self->open_socket if !$self->{sock} || $self->{eof};

    my $bytes = build_request($self, $method, $path, %opt);
    $self->write_pieces($bytes, $opt{split}, $opt{delay});

    return $self->read_response($method, %opt);
}


sub build_request {
    my ($self, $method, $path, %opt) = @_;

    my $version = $opt{version} // '1.1';
    my $body = octets($opt{body});
    my @headers = pairs_of($opt{headers});
    my %given = map { lc $_->[0] => 1 } @headers;

    unless ($given{host}) {
        unshift @headers,
            [ Host => $opt{host} // "$self->{host}:$self->{port}" ];
    }

    push @headers, [ Connection => 'close' ] if $opt{close};

    if ($opt{chunked}) {
        push @headers, [ 'Transfer-Encoding' => 'chunked' ];
        $body = chunks($body // '', $opt{chunked});

    } elsif (exists $opt{content_length}) {
        push @headers, [ 'Content-Length' => $opt{content_length} ]
            if defined $opt{content_length};

    } elsif (defined $body || $method =~ /^(?:POST|PUT)$/) {
        push @headers, [ 'Content-Length' => length($body // '') ]
            unless $given{'content-length'};
    }

    return join('', "$method ", octets($path), " HTTP/$version\r\n",
                map({ "$_->[0]: $_->[1]\r\n" } @headers), "\r\n",
                $body // '');
}


sub chunks {
    my ($body, $size) = @_;

    $size = length $body if $size == 1;

    my $out = '';
    for (my $at = 0; $at < length $body; $at += $size) {
        my $part = substr $body, $at, $size;
        $out .= sprintf("%x\r\n", length $part) . "$part\r\n";
    }

    return "${out}0\r\n\r\n";
}


# The pause lets the server read each piece alone; it orders nothing.

sub write_pieces {
    my ($self, $bytes, $split, $delay) = @_;

    return $self->write_raw($bytes) unless $split;

    my @sizes = ref $split ? @$split : ();
    while (length $bytes) {
        my $size = @sizes ? shift @sizes : ref $split ? length $bytes : $split;
        $self->write_raw(substr $bytes, 0, $size, '') or return 0;
        sleep($delay // 0.002) if length $bytes;
    }

    return 1;
}


sub read_response {
    my ($self, $method, %opt) = @_;

    my $deadline = now() + ($opt{timeout} // $self->{timeout});
    my $res;

    do {
        $res = $self->read_head($deadline - now()) or return;
    } while ($res->{status} < 200 && $res->{status} != 101);

    bless $res, 'Test::Stomp::HTTP::Response';

    my $headers = $res->{headers};
    my $left;

    if ($method eq 'HEAD' || $res->{status} =~ /^(?:101|204|304)$/) {
        $left = 0;
    } elsif (($headers->{'transfer-encoding'} // '') =~ /chunked/i) {
        $left = 'chunked';
    } else {
        $left = $headers->{'content-length'} // 'eof';
    }

    $self->{body} = { mode => $left, done => $left eq '0' };
    return $res if $opt{stream};

    $res->{body} = '';
    while (defined(my $part = $self->read_body($deadline - now()))) {
        $res->{body} .= $part;
    }

    $res->{incomplete} = 1 unless $self->{body}{done};

    if (($headers->{connection} // '') =~ /close/i
        || $left eq 'eof' || $res->{version} eq '1.0'
           && ($headers->{connection} // '') !~ /keep-alive/i)
    {
        $self->close_socket;
    }

    return $res;
}


# The next decoded octets of the body; undef at its end or on time-out
# (body_done tells which).

sub read_body {
    my ($self, $timeout) = @_;

    my $body = $self->{body} or croak('no response is being read');
    my $deadline = now() + ($timeout // $self->{timeout});

    while (!$body->{done}) {
        my $part = $self->body_part($body);
        return $part if defined $part && length $part;
        last if $body->{done};

        my $left = $deadline - now();
        my $n = $self->fill($left > 0 ? $left : 0);
        next if $n;

        $body->{done} = 1 if defined $n && $body->{mode} eq 'eof';
        return;
    }

    return;
}


sub body_done { return $_[0]{body} && $_[0]{body}{done} }


sub body_part {
    my ($self, $body) = @_;

    if ($body->{mode} eq 'eof') {
        return substr $self->{rbuf}, 0, length $self->{rbuf}, '';
    }

    if ($body->{mode} ne 'chunked') {
        my $part = substr $self->{rbuf}, 0, $body->{mode}, '';
        $body->{mode} -= length $part;
        $body->{done} = 1 if $body->{mode} == 0;
        return $part;
    }

    my ($line, $hex) = $self->{rbuf} =~ /^(([0-9a-f]+)[^\r\n]*\r\n)/i
        or return;
    my $size = hex $hex;
    my $whole = length($line) + $size + 2;

    return if length $self->{rbuf} < $whole;

    my $chunk = substr $self->{rbuf}, 0, $whole, '';
    croak('chunk without CRLF: ' . show($chunk)) if $chunk !~ /\r\n\z/;
    $body->{done} = 1 if $size == 0;

    return substr $chunk, length $line, $size;
}


package Test::Stomp::HTTP::Response;

use JSON::PP ();

sub status { return $_[0]{status} }
sub body   { return $_[0]{body} }

sub header {
    my ($self, $name) = @_;
    return $self->{headers}{ lc $name };
}

sub header_all {
    my ($self, $name) = @_;
    return map { $_->[1] } grep { lc $_->[0] eq lc $name } @{ $self->{list} };
}

# Decodes the body; undef if it isn't JSON.

sub json {
    my ($self) = @_;
    return eval { JSON::PP->new->utf8->decode($self->{body}) };
}

1;
