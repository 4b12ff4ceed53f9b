package Test::Stomp;

# use Test::Stomp; gives strict, warnings and the helpers below.
#
#   my $t = nginx(workers => 4);          # Test::Stomp::Nginx
#   $t->write_conf($http)->start          # or $t->start for the default one
#   my $c = $t->stomp;                    # Test::Stomp::Client, connected
#   $c->subscribe('/topic/a');
#   $t->push_message('/topic/a', 'hello');
#   $c->expect(MESSAGE => destination => '/topic/a', -body => 'hello');
#   $t->ok_no_alerts;

use strict;
use warnings;

use Exporter ();
use IO::Handle;
use JSON::PP ();

use Test::Stomp::Client;
use Test::Stomp::HTTP;
use Test::Stomp::Nginx;
use Test::Stomp::Util qw(now wait_for octets show build_tool);
use Test::Stomp::WebSocket;

our @ISA = ('Exporter');
our @EXPORT = qw(nginx wait_for now octets show run_fanout start_fanout);


sub import {
    strict->import;
    warnings->import;
    __PACKAGE__->export_to_level(1, @_);
    return;
}


sub nginx {
    my (%opt) = @_;

    return Test::Stomp::Nginx->new(%opt);
}


# run_fanout($t, @options) -> (result hash, exit code, its whole output)
#
# Runs the load tool against $t; it is built on first use.  The tool stops by
# itself at --timeout, so there is no other deadline here.

sub run_fanout {
    my ($t, @options) = @_;

    return start_fanout($t, @options)->finish;
}


# The same in the background: $f = start_fanout(...); $f->wait_ready (with
# --hold or --survive); kill or reload something; $f->finish.

sub start_fanout {
    my ($t, @options) = @_;

    return start_tool(fanout_path($t), '--port', $t->port, '--json', @options);
}


# start_tool($path, @arguments): one that reads and writes as that one does

sub start_tool {
    my (@command) = @_;

    pipe my $in, my $to or die "pipe: $!";

    my $pid = open my $from, '-|';
    die "fork: $!" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<&', $in;
        no warnings 'exec';
        exec @command;
        require POSIX;
        POSIX::_exit(127);
    }

    $to->autoflush(1);
    return bless { pid => $pid, from => $from, to => $to, text => '' },
                 'Test::Stomp::Fanout';
}


sub fanout_path {
    my ($t) = @_;

    return build_tool($t, 'fanout',
                      [ sort glob $t->root . '/bench/load/fanout*.[ch]' ],
                      '-std=c99');
}


package Test::Stomp::Fanout;

use IO::Handle;

sub pid { return $_[0]{pid} }


# True when it printed READY: all subscribers (and publishers) are connected.
# The tool ends at its own --timeout, which bounds this read.

sub wait_ready {
    my ($self) = @_;

    while (defined(my $line = readline $self->{from})) {
        $self->{text} .= $line;
        return 1 if $line eq "READY\n";
    }

    return 0;
}


# Ends a --hold 0, waits for the end: (result hash, exit code, output).

sub finish {
    my ($self) = @_;

    close delete $self->{to} if $self->{to};
    local $/;
    $self->{text} .= readline($self->{from}) // '';
    close delete $self->{from};
    my $code = $? >> 8 || $? & 127;

    my ($line) = $self->{text} =~ /^(\{.*\})\s*$/m;
    my $result = $line && eval { JSON::PP->new->utf8->decode($line) };

    return ($result, $code, $self->{text});
}


# A test that dies must not wait for the tool.

sub DESTROY {
    my ($self) = @_;

    return unless $self->{from};
    local ($?, $!);
    kill 'TERM', $self->{pid};
    close delete $self->{from};
    return;
}

1;
