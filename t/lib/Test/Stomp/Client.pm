package Test::Stomp::Client;

# A STOMP client over WebSocket.  All strings are octets (wide strings given
# to it become UTF-8).  recv() dies on anything a server must not send.

use strict;
use warnings;

use Carp;
use Test::Builder;

use Test::Stomp::Util qw(now octets pairs_of patience show);
use Test::Stomp::WebSocket;

our $TIMEOUT = patience(5);

my %SERVER_COMMAND = map { $_ => 1 } qw(CONNECTED MESSAGE RECEIPT ERROR);
my %ESCAPE = ("\r" => '\\r', "\n" => '\\n', ':' => '\\c', '\\' => '\\\\');
my %UNESCAPE = reverse %ESCAPE;


# new(port => N, ... options of Test::Stomp::WebSocket) or new(ws => $ws)

sub new {
    my ($class, %opt) = @_;

    my $ws = $opt{ws} // Test::Stomp::WebSocket->new(
        subprotocols => [qw(v12.stomp v11.stomp v10.stomp)], %opt);

    return bless {
        ws => $ws, queue => [], beats => 0, next_id => 0, received => 0,
    }, $class;
}


sub ws       { return $_[0]{ws} }
sub version  { return $_[0]{version} }
sub session  { return $_[0]{session} }
sub beats    { return $_[0]{beats} }
sub received { return $_[0]{received} }
sub closed   { return !@{ $_[0]{queue} } && $_[0]{ws}->closed }

sub connected_frame { return $_[0]{connected} }

# The hex number before the first '-' of the session id: its worker slot.

sub slot {
    my ($self) = @_;

    my ($slot) = ($self->{session} // '') =~ /^([0-9a-f]+)-/i;
    return $slot;
}


# connect(%opt) -> the server's first frame (CONNECTED or ERROR), or undef
#
#   version => '1.2' or '1.2,1.1,1.0' or undef for none, heart_beat => '0,0',
#   host, login, passcode, headers => [k => v], command => 'STOMP', timeout

sub connect {
    my ($self, %opt) = @_;

    my $version = exists $opt{version} ? $opt{version} : '1.2,1.1,1.0';
    my @headers;

    push @headers, 'accept-version' => $version if defined $version;
    push @headers, 'heart-beat' => $opt{heart_beat}
        if defined $opt{heart_beat};
    defined $opt{$_} and push @headers, $_ => $opt{$_}
        for qw(host login passcode);
    push @headers, map { @$_ } pairs_of($opt{headers});

    $self->send_frame($opt{command} // 'CONNECT', \@headers);

    my $frame = $self->recv($opt{timeout});

    if ($frame && $frame->{command} eq 'CONNECTED') {
        $self->{connected} = $frame;
        $self->{version} = $frame->{headers}{version} // '1.0';
        $self->{session} = $frame->{headers}{session};
    }

    return $frame;
}


# Encodes a frame; headers as given, escaped by the agreed version.

sub build_frame {
    my ($self, $command, $headers, $body) = @_;

    my $version = $command =~ /^(?:CONNECT|STOMP)$/ ? '1.0'
                : $self->{version} // '1.0';
    my $out = "$command\n";

    for (pairs_of($headers)) {
        $out .= join(':', map { escape($_, $version) } @$_) . "\n";
    }

    return $out . "\n" . octets($body // '') . "\0";
}


sub escape {
    my ($text, $version) = @_;

    return $text if $version eq '1.0';

    if ($version eq '1.1') {
        $text =~ s/([\n:\\])/$ESCAPE{$1}/g;
    } else {
        $text =~ s/([\r\n:\\])/$ESCAPE{$1}/g;
    }

    return $text;
}


sub unescape {
    my ($text, $version) = @_;

    return $text if $version eq '1.0';

    my %known = %UNESCAPE;
    delete $known{'\\r'} if $version eq '1.1';

    $text =~ s{(\\.?)}{
        $known{$1} // croak("undefined escape $1 for STOMP $version")
    }gesx;

    return $text;
}


# $opt{opcode}: 'text' (default) or 'binary'; $opt{fragments}: sizes.

sub send_frame {
    my ($self, $command, $headers, $body, %opt) = @_;

    my $bytes = $self->build_frame($command, $headers, $body);
    my $opcode = ($opt{opcode} // 'text') eq 'binary'
               ? Test::Stomp::WebSocket::BINARY
               : Test::Stomp::WebSocket::TEXT;

    return $self->{ws}->send_fragmented($opcode, $bytes, @{ $opt{fragments} })
        if $opt{fragments};
    return $self->{ws}->send_frame($opcode, $bytes);
}


# Sends a frame and, if $opt{receipt} is true, waits for its RECEIPT.
# receipt => 1 makes an id, another true value is the id itself;
# wait => 0 asks for the receipt without waiting.

sub command {
    my ($self, $command, $headers, $body, %opt) = @_;

    my @headers = (@$headers, map { @$_ } pairs_of($opt{headers}));
    my $receipt = $opt{receipt};

    if ($receipt) {
        $receipt = 'receipt-' . ++$self->{next_id} if $receipt eq '1';
        push @headers, receipt => $receipt;
    }

    my $sent = $self->send_frame($command, \@headers, $body, %opt);
    return $sent if !$receipt || defined $opt{wait} && !$opt{wait};

    return $self->wait_receipt($receipt, $opt{timeout});
}


# Waits for a RECEIPT; what comes before it stays for recv().  Returns the
# frame; dies if ERROR, the close or the deadline came instead.

sub wait_receipt {
    my ($self, $id, $timeout) = @_;

    my $deadline = now() + ($timeout // $TIMEOUT);
    my @skipped;

    while (1) {
        my $left = $deadline - now();
        my $frame = $self->recv($left > 0 ? $left : 0);

        if ($frame && $frame->{command} eq 'RECEIPT'
            && ($frame->{headers}{'receipt-id'} // '') eq octets($id))
        {
            unshift @{ $self->{queue} }, @skipped;
            return $frame;
        }

        push @skipped, $frame if $frame;
        next if $frame && $frame->{command} ne 'ERROR';

        unshift @{ $self->{queue} }, @skipped;
        croak("no RECEIPT \"$id\": " . ($frame ? describe($frame)
                                               : $self->why_nothing));
    }
}


# subscribe($destination, id =>, ack =>, headers => [], receipt => 0) -> id
#
# With the receipt (the default) the subscription is known to be in force.

sub subscribe {
    my ($self, $destination, %opt) = @_;

    my $id = exists $opt{id} ? $opt{id} : 'sub-' . $self->{next_id}++;
    my @headers = (destination => $destination);

    push @headers, id => $id if defined $id;
    push @headers, ack => $opt{ack} if defined $opt{ack};

    $self->command('SUBSCRIBE', \@headers, undef, receipt => 1, %opt);
    return $id;
}


sub unsubscribe {
    my ($self, $id, %opt) = @_;

    return $self->command('UNSUBSCRIBE', [ id => $id ], undef,
                          receipt => 1, %opt);
}


# send($destination, $body, headers => [], receipt => 1, content_length => 0,
#      transaction =>, opcode => 'binary', fragments => [])

sub send {
    my ($self, $destination, $body, %opt) = @_;

    my @headers = (destination => $destination);

    $body = octets($body // '');
    push @headers, transaction => $opt{transaction}
        if defined $opt{transaction};
    push @headers, 'content-length' => length $body
        unless defined $opt{content_length} && !$opt{content_length};

    return $self->command('SEND', \@headers, $body, %opt);
}


sub ack  { my $self = shift; return $self->answer('ACK', @_) }
sub nack { my $self = shift; return $self->answer('NACK', @_) }

# ack($message, %opt): names the MESSAGE in the way of the agreed version.

sub answer {
    my ($self, $command, $message, %opt) = @_;

    my $h = $message->{headers};
    my @headers = $self->{version} eq '1.2' ? (id => $h->{ack})
                : ('message-id' => $h->{'message-id'});

    push @headers, subscription => $h->{subscription}
        if $self->{version} eq '1.1';
    push @headers, transaction => $opt{transaction}
        if defined $opt{transaction};

    return $self->command($command, \@headers, undef, %opt);
}


sub begin      { my $self = shift; return $self->in_tx('BEGIN', @_) }
sub commit     { my $self = shift; return $self->in_tx('COMMIT', @_) }
sub abort_tx   { my $self = shift; return $self->in_tx('ABORT', @_) }

sub in_tx {
    my ($self, $command, $id, %opt) = @_;

    return $self->command($command, [ transaction => $id ], undef, %opt);
}


# DISCONNECT with a receipt, then the WebSocket close; receipt => 0 for none.

sub disconnect {
    my ($self, %opt) = @_;

    $self->command('DISCONNECT', [], undef, receipt => 1, %opt);
    return $self->{ws}->close;
}


sub beat { return $_[0]{ws}->send_text("\n") }


# recv($timeout) -> { command, headers, list, body, opcode, beats_before },
# undef on time-out or close.  Heart-beats are counted and skipped.

sub recv {
    my ($self, $timeout) = @_;

    return shift @{ $self->{queue} } if @{ $self->{queue} };

    my $deadline = now() + ($timeout // $TIMEOUT);

    while (1) {
        my $left = $deadline - now();
        my $message = $self->{ws}->recv_message($left > 0 ? $left : 0)
            or return;

        if ($message->{payload} eq "\n") {
            $self->{beats}++;
            next;
        }

        $self->{received}++;
        return $self->parse($message);
    }
}


# Exactly one STOMP frame must fill the WebSocket message.

sub parse {
    my ($self, $message) = @_;

    my $payload = $message->{payload};
    my $bad = sub { croak("$_[0] in " . show($payload)) };

    my $end = index $payload, "\n\n";
    $bad->('no end of the headers') if $end < 0;

    my ($command, @lines) = split /\n/, substr($payload, 0, $end), -1;
    $command //= '';
    $bad->('unknown command ' . show($command))
        unless $SERVER_COMMAND{$command};

    my $version = $command eq 'CONNECTED' ? '1.0' : $self->{version} // '1.0';
    my (@list, %first);

    for my $line (@lines) {
        $bad->('CR in a header') if $line =~ /\r/;
        my ($name, $value) = split /:/, $line, 2;
        $bad->('header without colon') unless defined $value;
        $bad->('raw colon in a header')
            if $version ne '1.0' && $value =~ /:/;

        $_ = unescape($_, $version) for $name, $value;
        push @list, [ $name, $value ];
        $first{$name} //= $value;
    }

    my $body = substr $payload, $end + 2;
    $bad->('no NUL at the end') if $body !~ /\0\z/;
    chop $body;

    my $length = $first{'content-length'};
    if (defined $length) {
        $bad->('content-length is not ' . length $body)
            if $length !~ /^\d+\z/ || $length != length $body;
    } elsif ($body =~ /\0/) {
        $bad->('NUL in a body without content-length');
    }

    my $frame = { command => $command, headers => \%first, list => \@list,
                  body => $body, opcode => $message->{opcode} };

    $self->check_required($frame, $bad);
    return $frame;
}


sub check_required {
    my ($self, $frame, $bad) = @_;

    my $version = $self->{version} // '1.0';
    my @need = $frame->{command} eq 'MESSAGE' ? qw(destination message-id)
             : $frame->{command} eq 'RECEIPT' ? 'receipt-id'
             :                                  ();

    push @need, 'subscription'
        if $frame->{command} eq 'MESSAGE' && $version ne '1.0';

    for (@need) {
        $bad->("no \"$_\" header") unless defined $frame->{headers}{$_};
    }

    $bad->('a body')
        if $frame->{command} =~ /^(?:CONNECTED|RECEIPT)$/
           && length $frame->{body};
    return;
}


# Up to $count frames of MESSAGE within the time, as a list.

sub collect {
    my ($self, $count, $timeout) = @_;

    my $deadline = now() + ($timeout // $TIMEOUT);
    my (@got, @other);

    while (@got < $count) {
        my $left = $deadline - now();
        my $frame = $self->recv($left > 0 ? $left : 0) or last;
        push @{ $frame->{command} eq 'MESSAGE' ? \@got : \@other }, $frame;
    }

    unshift @{ $self->{queue} }, @other;
    return @got;
}


sub describe {
    my ($frame) = @_;

    return 'nothing' unless $frame;
    return join "\n    ", "$frame->{command} ($frame->{opcode})",
        map({ "$_->[0]: " . show($_->[1]) } @{ $frame->{list} }),
        'body ' . show($frame->{body});
}


sub why_nothing {
    my ($self) = @_;

    my $ws = $self->{ws};

    return "closed with $ws->{close_code} " . show($ws->{close_reason})
        if defined $ws->{close_code};
    return 'connection ended' . ($ws->error ? ': ' . $ws->error : '')
        if $ws->eof;
    return 'nothing before the deadline';
}


# expect($command, name => 'value' | qr// | undef (must be absent),
#        -body => 'value' | qr//, -opcode =>, -timeout =>, -name => 'test name')
#
# One TAP line about the next frame; returns the frame.

sub expect {
    my ($self, $command, %want) = @_;

    my %opt = map { $_ => delete $want{$_} } grep { /^-/ } keys %want;
    my $tb = Test::Builder->new;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $frame = $self->recv($opt{-timeout});
    my @wrong;

    if (!$frame) {
        push @wrong, $self->why_nothing;

    } else {
        push @wrong, "command is $frame->{command}"
            if $frame->{command} ne $command;
        push @wrong, mismatch("header \"$_\"", $frame->{headers}{$_}, $want{$_})
            for sort keys %want;
        push @wrong, mismatch('body', $frame->{body}, $opt{-body})
            if exists $opt{-body};
        push @wrong, mismatch('opcode', $frame->{opcode}, $opt{-opcode})
            if exists $opt{-opcode};
    }

    unless ($tb->ok(!@wrong, $opt{-name} // "$command received")) {
        $tb->diag(join "\n  ", "expected $command:", @wrong);
        $tb->diag('got ' . describe($frame)) if $frame;
    }

    return $frame;
}


sub mismatch {
    my ($what, $got, $want) = @_;

    if (!defined $want) {
        return defined $got ? "$what is there: " . show($got) : ();
    }

    return "$what is missing" unless defined $got;

    if (ref $want eq 'Regexp') {
        return $got =~ $want ? () : "$what is " . show($got) . ", not $want";
    }

    $want = octets($want);
    return $got eq $want ? ()
         : "$what is " . show($got) . ', expected ' . show($want);
}


# Passes when no frame comes for that long (heart-beats are not frames).

sub expect_none {
    my ($self, $seconds, $name) = @_;

    my $tb = Test::Builder->new;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $frame = $self->recv($seconds // 0.3);
    $tb->ok(!$frame, $name // 'no frame received')
        or $tb->diag('got ' . describe($frame));

    return !$frame;
}


# Passes when the server closes with this code (undef: any); frames that are
# still under way are dropped.

sub expect_close {
    my ($self, $code, $name, $timeout) = @_;

    my $tb = Test::Builder->new;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($got, $reason) = $self->{ws}->wait_close($timeout // $TIMEOUT);
    my $good = defined $got && (!defined $code || $got == $code);

    $tb->ok($good, $name // 'closed' . (defined $code ? " with $code" : ''))
        or $tb->diag(defined $got ? "closed with $got " . show($reason)
                                  : 'still open at the deadline');
    return $good;
}


# ERROR whose "message" header fits, then the close that must follow.

sub expect_error {
    my ($self, $message, $name, $code) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $frame = $self->expect('ERROR', message => $message,
                              -name => $name // 'ERROR received');
    $self->expect_close($code, ($name // 'ERROR') . ', then closed');

    return $frame;
}


sub close { my $self = shift; return $self->{ws}->close(@_) }
sub abort { my $self = shift; return $self->{ws}->abort(@_) }

1;
