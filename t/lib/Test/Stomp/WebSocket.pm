package Test::Stomp::WebSocket;

# A WebSocket client that can also break every rule of RFC 6455 on request,
# and that dies when the server breaks one.

use strict;
use warnings;

use parent 'Test::Stomp::Socket';

use Carp;
use Digest::SHA ();
use Encode ();
use MIME::Base64 ();

use Test::Stomp::Util qw(now octets pairs_of show);

use constant {
    CONT => 0x0, TEXT => 0x1, BINARY => 0x2,
    CLOSE => 0x8, PING => 0x9, PONG => 0xa,
};

use constant GUID => '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';


# new(port => N, path => '/x', headers => [k => v], subprotocols => [...],
#     origin, host_header, key, version => 13, request => raw octets,
#     handshake => 0, auto_pong => 0, auto_close => 0, allow_rsv => 1,
#     timeout, tls, source, rcvbuf)
#
# Look at connected() or status() afterwards: a refusal is not an exception.

sub new {
    my ($class, %opt) = @_;

    my $self = $class->SUPER::new(%opt);

    $self->{key} = $opt{key}
        // MIME::Base64::encode_base64(pack('L4', map { rand 2**32 } 1 .. 4),
                                       '');
    @$self{qw(pongs pings parts)} = ([], 0, []);

    $self->handshake unless defined $opt{handshake} && !$opt{handshake};
    return $self;
}


sub handshake_request {
    my ($self) = @_;

    my $opt = $self->{opt};
    my @headers = (
        [ Host => $opt->{host_header} // "$self->{host}:$self->{port}" ],
        [ Upgrade => 'websocket' ],
        [ Connection => 'Upgrade' ],
        [ 'Sec-WebSocket-Key' => $self->{key} ],
        [ 'Sec-WebSocket-Version' => $opt->{version} // 13 ],
    );

    push @headers, [ Origin => $opt->{origin} ] if defined $opt->{origin};
    push @headers, [ 'Sec-WebSocket-Protocol',
                     join ', ', @{ $opt->{subprotocols} } ]
        if $opt->{subprotocols} && @{ $opt->{subprotocols} };

    # a header of the caller replaces ours; a value of undef removes it
    my @own = pairs_of($opt->{headers});
    my %own = map { lc $_->[0] => 1 } @own;
    @headers = ((grep { !$own{ lc $_->[0] } } @headers),
                grep { defined $_->[1] } @own);

    return join '', 'GET ', $opt->{path} // '/endpoint-websocket',
        " HTTP/1.1\r\n", map({ "$_->[0]: $_->[1]\r\n" } @headers), "\r\n";
}


sub handshake {
    my ($self) = @_;

    $self->write_raw($self->{opt}{request} // $self->handshake_request);

    my $res = $self->read_head($self->{timeout}) or return 0;
    $self->{response} = $res;

    if ($res->{status} != 101) {
        my $length = $res->{headers}{'content-length'};
        $res->{body} = defined $length ? $self->read_raw($length)
                                       : $self->read_all(0.5);
        return 0;
    }

    my $headers = $res->{headers};
    my @why;

    push @why, 'Upgrade' if lc($headers->{upgrade} // '') ne 'websocket';
    push @why, 'Connection' if ($headers->{connection} // '') !~ /upgrade/i;
    push @why, 'Sec-WebSocket-Accept'
        if !defined $self->{opt}{request}
           && ($headers->{'sec-websocket-accept'} // '')
              ne accept_for($self->{key});

    my @chosen = map { $_->[1] }
        grep { lc $_->[0] eq 'sec-websocket-protocol' } @{ $res->{list} };
    push @why, 'repeated Sec-WebSocket-Protocol' if @chosen > 1;

    my %offered = map { $_ => 1 } @{ $self->{opt}{subprotocols} || [] };
    push @why, "Sec-WebSocket-Protocol $chosen[0] that was not offered"
        if @chosen && !$offered{ $chosen[0] } && !defined $self->{opt}{request};

    croak("101 with wrong header: @why") if @why;

    $self->{subprotocol} = $chosen[0];
    $self->{connected} = 1;
    return 1;
}


sub accept_for {
    my ($key) = @_;

    return MIME::Base64::encode_base64(Digest::SHA::sha1($key . GUID), '');
}


sub connected    { return $_[0]{connected} ? 1 : 0 }
sub response     { return $_[0]{response} }
sub status       { return $_[0]{response} && $_[0]{response}{status} }
sub status_line  { return $_[0]{response} && $_[0]{response}{status_line} }
sub subprotocol  { return $_[0]{subprotocol} }
sub close_code   { return $_[0]{close_code} }
sub close_reason { return $_[0]{close_reason} }
sub pongs        { return $_[0]{pongs} }
sub pings        { return $_[0]{pings} }

sub header {
    my ($self, $name) = @_;
    return $self->{response} && $self->{response}{headers}{ lc $name };
}


# build_frame($opcode, $payload, %opt) -> octets
#
#   fin => 0, rsv => 0..7, masked => 0, mask => 4 octets,
#   length_form => 7 | 16 | 64     even if not minimal
#   length => N                    claim another length than the payload's

sub build_frame {
    my ($opcode, $payload, %opt) = @_;

    $payload = octets($payload // '');

    my $masked = $opt{masked} // 1;
    my $length = $opt{length} // length $payload;
    my $form = $opt{length_form}
        // ($length < 126 ? 7 : $length < 65536 ? 16 : 64);
    my $bit = $masked ? 0x80 : 0;

    my $head = pack 'C',
        (($opt{fin} // 1) ? 0x80 : 0) | (($opt{rsv} // 0) << 4) | $opcode;

    $head .= $form == 7  ? pack('C', $bit | $length)
           : $form == 16 ? pack('Cn', $bit | 126, $length)
           :               pack('CQ>', $bit | 127, $length);

    return $head . $payload unless $masked;

    my $mask = $opt{mask} // pack 'L', rand 2**32;
    my $key = substr $mask x (length($payload) / 4 + 1), 0, length $payload;

    return $head . $mask . ($payload ^ $key);
}


sub send_frame {
    my ($self, $opcode, $payload, %opt) = @_;

    return $self->write_raw(build_frame($opcode, $payload, %opt));
}

sub send_text   { my $self = shift; return $self->send_frame(TEXT, @_) }
sub send_binary { my $self = shift; return $self->send_frame(BINARY, @_) }
sub ping        { my $self = shift; return $self->send_frame(PING, @_) }
sub pong        { my $self = shift; return $self->send_frame(PONG, @_) }


# One message in fragments of the given sizes; the rest is the last one.

sub send_fragmented {
    my ($self, $opcode, $payload, @sizes) = @_;

    $payload = octets($payload);
    my $out = '';

    for my $size (@sizes) {
        last if $size >= length $payload;
        $out .= build_frame($opcode, substr($payload, 0, $size, ''), fin => 0);
        $opcode = CONT;
    }

    return $self->write_raw($out . build_frame($opcode, $payload));
}


sub send_close {
    my ($self, $code, $reason) = @_;

    $self->{close_sent} = 1;
    return $self->send_frame(CLOSE,
        defined $code ? pack('n', $code) . octets($reason // '') : '');
}


# The next frame as the server sent it: { fin, rsv, opcode, payload }, undef
# on time-out or end.  Dies on a frame no server may send.

sub recv_frame {
    my ($self, $timeout) = @_;

    my $deadline = now() + ($timeout // $self->{timeout});

    while (1) {
        my $frame = $self->parse_frame;
        return $frame if $frame;

        my $left = $deadline - now();
        $self->fill($left > 0 ? $left : 0) or return;
    }
}


sub parse_frame {
    my ($self) = @_;

    my $buf = \$self->{rbuf};
    my $have = length $$buf;
    return if $have < 2;

    my ($first, $second) = unpack 'CC', $$buf;
    my ($opcode, $length) = ($first & 0x0f, $second & 0x7f);
    my $at = 2;

    croak('server sent a masked frame: ' . show($$buf, 60)) if $second & 0x80;

    if ($length == 126) {
        return if $have < 4;
        $length = unpack 'x2n', $$buf;
        croak("server sent length $length in 16 bits") if $length < 126;
        $at = 4;

    } elsif ($length == 127) {
        return if $have < 10;
        $length = unpack 'x2Q>', $$buf;
        croak("server sent length $length in 64 bits") if $length < 65536;
        $at = 10;
    }

    croak("server sent unknown opcode $opcode")
        if $opcode > BINARY && $opcode < CLOSE || $opcode > PONG;
    croak('server sent a long or fragmented control frame')
        if $opcode >= CLOSE && (!($first & 0x80) || $length > 125);

    return if $have < $at + $length;

    my $payload = substr $$buf, $at, $length;
    substr($$buf, 0, $at + $length) = '';

    return { fin => $first >> 7, rsv => $first >> 4 & 7,
             opcode => $opcode, payload => $payload };
}


# The next whole message: { opcode => 'text' | 'binary', payload, frames };
# undef on time-out, close or end: ask closed().  Pings are answered.

sub recv_message {
    my ($self, $timeout) = @_;

    my $deadline = now() + ($timeout // $self->{timeout});

    while (!defined $self->{close_code}) {
        my $left = $deadline - now();
        my $frame = $self->recv_frame($left > 0 ? $left : 0) or return;
        my $message = $self->take_frame($frame);
        return $message if $message;
    }

    return;
}


sub take_frame {
    my ($self, $frame) = @_;

    my ($opcode, $payload) = @$frame{qw(opcode payload)};
    my $parts = $self->{parts};

    croak("server set reserved bits $frame->{rsv}")
        if $frame->{rsv} && !$self->{opt}{allow_rsv};

    if ($opcode == PING) {
        $self->{pings}++;
        $self->pong($payload) unless defined $self->{opt}{auto_pong}
                                     && !$self->{opt}{auto_pong};
        return;
    }

    if ($opcode == PONG) {
        push @{ $self->{pongs} }, $payload;
        return;
    }

    if ($opcode == CLOSE) {
        $self->take_close($payload);
        return;
    }

    croak('server sent a continuation without a start')
        if $opcode == CONT && !@$parts;
    croak('server started a message inside another')
        if $opcode != CONT && @$parts;

    push @$parts, $frame;
    return unless $frame->{fin};

    my $message = {
        opcode  => $parts->[0]{opcode} == TEXT ? 'text' : 'binary',
        payload => join('', map { $_->{payload} } @$parts),
        frames  => scalar @$parts,
        rsv     => $parts->[0]{rsv},
    };
    @$parts = ();

    if ($message->{opcode} eq 'text' && !$message->{rsv}) {
        my $copy = $message->{payload};
        eval { Encode::decode('UTF-8', $copy, Encode::FB_CROAK); 1 }
            or croak('text message is not UTF-8: ' . show($message->{payload}));
    }

    return $message;
}


sub take_close {
    my ($self, $payload) = @_;

    croak('server sent a close frame of one octet') if length $payload == 1;

    $self->{close_code} = length $payload ? unpack('n', $payload) : 1005;
    $self->{close_reason} = length $payload > 2 ? substr($payload, 2) : '';

    croak("server sent close code $self->{close_code}")
        if $self->{close_code} != 1005
           && ($self->{close_code} < 1000 || $self->{close_code} > 4999
               || $self->{close_code} =~ /^(?:1004|1005|1006|1015)$/)
           || length $payload && $self->{close_code} == 1005;

    return if $self->{close_sent}
              || defined $self->{opt}{auto_close} && !$self->{opt}{auto_close};
    $self->send_close($self->{close_code} == 1005 ? () : $self->{close_code});
    return;
}


# True after a close frame or the end of the connection.

sub closed {
    my ($self) = @_;

    return 1 if defined $self->{close_code};
    return $self->{eof} && !length $self->{rbuf} ? 1 : 0;
}


# Reads (dropping messages) until the server has closed: (code, reason), with
# code 1006 for an end without a close frame; () when it is still open.

sub wait_close {
    my ($self, $timeout) = @_;

    my $deadline = now() + ($timeout // $self->{timeout});

    until ($self->closed) {
        my $left = $deadline - now();
        $self->recv_message($left > 0 ? $left : 0) or last;
    }

    # what is left without a close frame can only be a part of a frame
    return ($self->{close_code}, $self->{close_reason})
        if defined $self->{close_code};
    return $self->{eof} ? (1006, '') : ();
}


# Orderly end from our side: close frame, wait for the answer and for EOF.

sub close {
    my ($self, $code, $reason) = @_;

    return unless $self->{sock};

    $self->send_close($code // 1000, $reason) unless $self->{close_sent};
    my ($got) = $self->wait_close;
    $self->close_socket;

    return $got;
}

1;
