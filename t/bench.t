#!/usr/bin/perl

# Without this: figures of a load that nobody has received.
#
# The load tool is shown servers that lose, double, reorder or damage a
# message, and the benchmark runs once, small, without its peers.

use strict;
use warnings;

use lib 't/lib';
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use Test::More;
use Test::Stomp;

my $ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';
my $t = nginx(workers => 1);

my %faults = (
    lose   => { lost => 1 },
    double => { duplicated => 1 },
    swap   => { out_of_order => 1 },
    damage => { errors => 1 },
    ''     => {},
);

for my $fault (sort keys %faults) {
    my ($port, $pid) = serve($fault);
    my ($r, $exit) = run_fanout($t, '--port', $port, '--raw', '--path', '/sub',
        '--subscribers', 3, '--messages', 20, '--window', 4, '--stall', 1,
        '--body', 128);
    kill KILL => $pid;
    waitpid $pid, 0;

    my $name = $fault || 'none';
    is($exit, %{ $faults{$fault} } ? 1 : 0, "fault $name: the exit code");
    is(!!$r->{ok}, !%{ $faults{$fault} }, "fault $name: the result");

    for my $count (qw(lost duplicated out_of_order errors)) {
        my $expected = $faults{$fault}{$count} // 0;

        # a connection with damage on it is given up
        cmp_ok($r->{$count}, $expected && $fault eq 'damage' ? '>=' : '==',
               $expected, "fault $name: $count");
    }
}


# A server that pushes each body to all, but the fifth one to the first
# subscriber as it should not.

sub serve {
    my ($fault) = @_;

    my $listen = IO::Socket::INET->new(Listen => 10, LocalAddr => '127.0.0.1')
        or BAIL_OUT("listen: $!");
    my $pid = fork // BAIL_OUT("fork: $!");

    return ($listen->sockport, $pid) if $pid;

    alarm 60;
    my $select = IO::Select->new($listen);
    my (@subscribers, %text, $messages);

    while (1) {
        for my $sock ($select->can_read) {
            if ($sock == $listen) {
                $select->add(scalar $listen->accept);

            } elsif (!sysread $sock, $text{$sock}, 65536,
                              length($text{$sock} // ''))
            {
                $select->remove($sock);

            } elsif ($text{$sock} =~ s/\AGET .*?\r\n\r\n//s) {
                push @subscribers, $sock;
                syswrite $sock, "HTTP/1.1 101 Switching Protocols\r\n"
                                . "Sec-WebSocket-Accept: $ACCEPT\r\n\r\n";

            } elsif ($text{$sock} =~ s/\APOST .*?\r\n\r\n(.{128})//s) {
                my $frame = pack 'C C n a*', 0x81, 126, 128, $1;
                my $damaged = $frame;
                substr $damaged, -1, 1, '!';

                my $first = shift @subscribers;
                syswrite $_, $frame for @subscribers;
                syswrite $first, faulty($fault, ++$messages, $frame, $damaged);
                unshift @subscribers, $first;

                syswrite $sock, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            }
        }
    }
}


my $kept;

sub faulty {
    my ($fault, $n, $frame, $damaged) = @_;

    if ($fault eq 'swap' && $n == 6) {
        return $frame . $kept;
    }

    return $frame if $n != 5;

    $kept = $frame;
    return $fault eq 'lose' || $fault eq 'swap' ? ''
           : $fault eq 'double' ? $frame . $frame
           : $fault eq 'damage' ? $damaged : $frame;
}


sub slurp {
    my ($file) = @_;

    open my $fh, '<', $file or return '{}';
    local $/;
    return readline $fh;
}


# The benchmark itself: figures for all who take part, and none without them.

local @ENV{qw(BENCH_ROUNDS BENCH_SECONDS BENCH_ONLY BENCH_WITHOUT)}
    = (1, 0.3, 'fan1k|own-ids|each-send|zone|connect|publish',
       'nchan|rabbitmq');

my $out = "$t->{build}/bench";
unlink "$out/results.json";
my $log = qx{'@{[ $t->root ]}/bench/run.sh' 2>&1};
is($?, 0, 'the benchmark runs') or diag $log;

my $results = decode_json(slurp("$out/results.json"));
my %value;

for my $s (@{ $results->{scenarios} }) {
    for my $run (sort keys %{ $s->{results} }) {
        my $value = $s->{results}{$run}[0]{ $s->{value} };

        $value{ $s->{name} }{$run} = $value;
        cmp_ok($value, '>', 0, "$s->{name}: $run");
    }
}

is(join(' ', sort keys %value),
   'connect each-send fan1k own-ids publish zone',
   'all scenarios') or diag $log;
like($log, qr/^\| fan-out to 1,000, window 16, HTTP \| stomp \//m,
     'the table compares');

done_testing;
