package Test::Stomp::Refusals;

# A scripted life of a broker with two subscribers in which a step may be
# refused.  Each publication has to arrive once, or its subscriber has to be
# closed; a refused one must not arrive, and nothing may hang.
#
#   my $r = Test::Stomp::Refusals->new($t, sub { ... });
#   my @notes = $r->run;      # what was refused, or closed; () if all went well
#   $r->problems;             # what must not be
#
# The function is called with each note, before anything is tried again.

use strict;
use warnings;

use Test::Stomp::Client;
use Test::Stomp::Util qw(now show);

my $LARGE = 20_000;            # goes through a temporary file, and is split
my $TOPIC = '/topic/a';

# two forms of frames, in one of which headers are not escaped
my %SUBSCRIBER = (a => { version => '1.2' },
                  b => { version => '1.0', path => '/limited' });


sub new {
    my ($class, $t, $noted) = @_;

    return bless { t => $t, noted => $noted, number => 0, client => {},
                   problems => [] }, $class;
}


sub problems { return splice @{ $_[0]{problems} } }

sub problem {
    my ($self, $text) = @_;

    push @{ $self->{problems} }, "$self->{step}: $text";
    return;
}

sub note {
    my ($self, $text) = @_;

    push @{ $self->{notes} }, "$self->{step}: $text";
    $self->{noted}->() if $self->{noted};
    return;
}


# accepted, unknown and received are numbers of publications of this run.

sub run {
    my ($self) = @_;

    @$self{qw(accepted unknown received)} = (0, 0, 0);
    $self->{notes} = [];

    my @steps = (
        [ 'connect a'   => sub { $self->open_client('a') } ],
        [ 'connect b'   => sub { $self->open_client('b') } ],
        [ 'SEND'        => sub { $self->by_send('small') } ],
        [ 'large SEND'  => sub { $self->by_send('x' x $LARGE) } ],
        [ 'odd SEND'    => sub { $self->by_odd_send } ],
        [ 'COMMIT'      => sub { $self->by_commit } ],
        [ 'push'        => sub { $self->by_push('small') } ],
        [ 'large push'  => sub { $self->by_push('y' x $LARGE) } ],
        [ 'batch'       => sub { $self->by_batch } ],
        [ 'JSON push'   => sub { $self->by_json } ],
        [ 'count'       => sub { $self->counts } ],
        [ 'status'      => sub { $self->shows } ],
        [ 'UNSUBSCRIBE' => sub { $self->leaves_topic } ],
        [ 'DISCONNECT'  => sub { $self->disconnects } ],
        [ 'close'       => sub { $self->closes } ],
    );

    for (@steps) {
        ($self->{step}, my $do) = @$_;
        eval { $do->(); 1 } or $self->problem("died: $@");
    }

    return @{ $self->{notes} };
}


# A session with a subscription; tried again when it is refused.

sub open_client {
    my ($self, $name) = @_;

    for (1 .. 3) {
        return if $self->try_client($name);
    }

    $self->problem("$name can't connect");
    return;
}


sub try_client {
    my ($self, $name) = @_;

    my @path = map { $_ ? (path => $_) : () } $SUBSCRIBER{$name}{path};
    my $c = Test::Stomp::Client->new(port => $self->{t}->port, @path);

    unless ($c->ws->connected) {
        my $status = $c->ws->status;
        $self->problem('handshake: no answer')
            unless defined $status || $c->ws->eof;
        $self->problem("handshake: $status") if $status && $status !~ /^50[03]/;
        $self->note('handshake ' . ($status // 'closed'));
        return 0;
    }

    my $frame = $c->connect(version => $SUBSCRIBER{$name}{version});
    return 0 unless $self->heard($c, 'CONNECT', $frame, 'CONNECTED');

    # 1.0 goes without an id
    my @id = $name eq 'a' ? (id => $name) : ();
    $c->send_frame(SUBSCRIBE => [ @id, destination => $TOPIC,
                                  receipt => "s-$name" ]);
    return 0 unless $self->heard($c, 'SUBSCRIBE', scalar $c->recv, 'RECEIPT');

    $self->{client}{$name} = $c;
    return 1;
}


# True if $frame is the wanted one; otherwise the session has to end.

sub heard {
    my ($self, $c, $what, $frame, $wanted) = @_;

    return 1 if $frame && $frame->{command} eq $wanted;

    $self->note("$what " . ($frame ? $frame->{command} : 'closed'));
    $self->problem("$what: " . Test::Stomp::Client::describe($frame))
        if $frame && $frame->{command} ne 'ERROR';
    $self->ends($c, $what);
    return 0;
}


sub ends {
    my ($self, $c, $what) = @_;

    my ($code) = $c->ws->wait_close(5);
    $self->problem("$what: it is not closed") unless defined $code;
    $c->ws->close_socket;
    return;
}


sub body {
    my ($self, $text) = @_;

    return ++$self->{number} . " $text";
}


sub by_send {
    my ($self, $text, %opt) = @_;

    my $c = $self->{client}{a};
    my $body = $self->body($text);
    my $receipt = $opt{receipt} // "r-$self->{number}";

    my $frame = $c->build_frame(SEND => [ destination => $TOPIC,
        receipt => $receipt, 'content-length' => length $body,
        %{ $opt{headers} || {} } ], $body);
    my $octets = Test::Stomp::WebSocket::build_frame(1, $frame);

    # in pieces, of which one is kept until the next comes
    if (length $octets > 1000) {
        for my $size (1, 500) {
            $c->ws->write_raw(substr $octets, 0, $size, '');
            $self->answer(GET => '/sync');
        }
    }

    $c->ws->write_raw($octets);

    return $self->published($self->outcome($c), $body);
}


# What became of a SEND; messages that come before it is known stay.

sub outcome {
    my ($self, $c) = @_;

    my (@before, $frame);

    while ($frame = $c->recv) {
        last if $frame->{command} ne 'MESSAGE';
        push @before, $frame;
    }

    unshift @{ $c->{queue} }, @before;
    return 'accepted' if $frame && $frame->{command} eq 'RECEIPT';

    $self->note('SEND ' . ($frame ? 'ERROR' : 'closed'));
    $self->ends($c, 'SEND');
    $self->lose('a');

    return $frame ? 'refused' : 'unknown';
}


# headers that are escaped, longer than what is at hand, and a ping

sub by_odd_send {
    my ($self) = @_;

    my $c = $self->{client}{a} or return;

    $c->ws->ping('p');
    $self->by_send('odd', receipt => 'r' x 600 . $self->{number},
                   headers => { 'a:b' => "c:\n" . 'd' x 1500 });
    return;
}


# A transaction of two messages; only the COMMIT is answered.

sub by_commit {
    my ($self) = @_;

    my $c = $self->{client}{a} or return;
    my @bodies = map { $self->body("held $_") } 1, 2;

    $c->begin('t');
    $c->send($TOPIC, $_, transaction => 't') for @bodies;
    $c->commit('t', receipt => "t-$self->{number}", wait => 0);

    return $self->published($self->outcome($c), @bodies);
}


sub by_push {
    my ($self, $text) = @_;

    my $body = $self->body($text);
    my $res = $self->answer(POST => "/push$TOPIC", body => $body,
                            headers => [ 'X-Stomp-a' => 'b' ]);
    return $self->published($res, $body);
}


sub by_batch {
    my ($self) = @_;

    my @bodies = map { $self->body("batch $_") } 1 .. 3;
    my @members = map { { destination => $TOPIC, body => $_,
                          headers => { x => 'y' } } } @bodies;
    my $res = $self->answer(POST => '/push',
        headers => [ 'Content-Type' => 'application/vnd.stomp.batch+json' ],
        body => JSON::PP->new->encode(\@members));

    return $self->published($res, @bodies);
}


sub by_json {
    my ($self) = @_;

    my $body = $self->body('json');
    my $res = $self->answer(GET => '/json?text=' . $body =~ s/ /%20/r);

    return $self->published($res, qq({"text":"$body"}));
}


# accepted (200), refused (an answer of 5xx) or unknown (no answer)

sub answer {
    my ($self, $method, $path, %opt) = @_;

    my $h = $self->{t}->http_client;
    my $res = $h->request($method, $path, close => 1, %opt);

    $self->{response} = $res;

    if (!$res || $res->{incomplete}) {
        $self->problem('no answer in time') unless $h->eof;
        $self->note('closed');
        return 'unknown';
    }

    my $status = $res->status;
    my $type = $res->header('Content-Type') // '';

    if ($status == 200) {
        $self->problem('no JSON: ' . show($res->body)) unless $res->json;
        return 'accepted';
    }

    $self->note($status);
    $self->problem("status $status: " . show($res->body))
        if $status !~ /^50[03]$/;
    $self->problem("status $status of type \"$type\"")
        unless $type =~ m{^application/json} ? $res->json && $res->json->{error}
                                             : $type =~ m{^text/html};
    return 'refused';
}


# Looks whether each subscriber has got that, and nothing else.

sub published {
    my ($self, $outcome, @bodies) = @_;

    my $n = @bodies;
    $self->{accepted} += $n if $outcome eq 'accepted';
    $self->{unknown} += $n if $outcome eq 'unknown';

    my $marker;

    if ($outcome ne 'accepted') {
        $marker = $self->body('marker');
        my $res = $self->{t}->push_message($TOPIC, $marker);
        $self->problem('no second push') unless $res && $res->status == 200;
        $self->{accepted}++;
    }

    for my $name (sort keys %SUBSCRIBER) {
        $self->receives($name, $outcome, $marker, @bodies);
    }

    $self->open_client($_) for grep { !$self->{client}{$_} } keys %SUBSCRIBER;
    return;
}


sub receives {
    my ($self, $name, $outcome, $marker, @bodies) = @_;

    my $c = $self->{client}{$name} or return;
    my @want = (@bodies, $marker // ());
    my $all = $outcome eq 'accepted' ? 1 : 0;
    my @got;

    while (@got < @want) {
        my $frame = $c->recv or last;

        if ($frame->{command} ne 'MESSAGE') {
            $self->problem("$name got a $frame->{command}");
            last;
        }

        push @got, $frame->{body};
        last if defined $marker && $frame->{body} eq $marker;
    }

    $self->{received} += @got;

    # a session that ends has got the start of it

    if ($c->closed) {
        $self->note("$name closed");
        $self->problem("$name got something else, then its end")
            if "@got" ne "@want[ 0 .. $#got ]";
        $self->lose($name);
        return;
    }

    my $got = join '|', map { show($_, 40) } @got;
    my @good = $outcome eq 'accepted' ? [ @want ]
             : $outcome eq 'refused'  ? [ $marker ]
             :                          ([ $marker ], [ @want ]);

    $self->problem("$outcome, $name got: $got")
        unless grep { join("\0", @got) eq join("\0", @$_) } @good;
    return;
}


sub lose {
    my ($self, $name) = @_;

    my $c = delete $self->{client}{$name} or return;
    $c->ws->close_socket;
    return;
}


sub counts {
    my ($self) = @_;

    return if $self->answer(GET => "/push$TOPIC") ne 'accepted';

    my $n = $self->{response}->json->{subscribers};
    $self->problem("$n subscribers") if $n != keys %{ $self->{client} };
    return;
}


sub shows {
    my ($self) = @_;

    return if $self->answer(GET => "/stomp_status?destination=$TOPIC")
              ne 'accepted';

    my $json = $self->{response}->json;
    my $n = keys %{ $self->{client} };
    my $got = join ' ', @$json{qw(sessions subscriptions destinations)},
                        $json->{destination}{subscribers};
    $self->problem("status $got") if $got ne "$n $n 1 $n";
    return;
}


sub leaves_topic {
    my ($self) = @_;

    my $c = $self->{client}{a};

    $c->send_frame(UNSUBSCRIBE => [ id => 'a', receipt => 'u' ]);
    return if $self->heard($c, 'UNSUBSCRIBE', scalar $c->recv, 'RECEIPT');

    $self->lose('a');
    return;
}


sub disconnects {
    my ($self) = @_;

    my $c = $self->{client}{a} or return;

    $c->send_frame(DISCONNECT => [ receipt => 'd' ]);
    $self->heard($c, 'DISCONNECT', scalar $c->recv, 'RECEIPT')
        or $self->lose('a');
    return;
}


sub closes {
    my ($self) = @_;

    for my $name (sort keys %{ $self->{client} }) {
        my $c = $self->{client}{$name};

        $c->ws->send_close(1000);
        my ($code) = $c->ws->wait_close;
        $self->problem("$name: no close") unless defined $code;
        $self->note("$name: $code") if defined $code && $code != 1000;
        $self->lose($name);
    }

    return;
}

1;
