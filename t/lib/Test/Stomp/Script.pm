package Test::Stomp::Script;

# run_script($t, $name, @command): runs a client's script.  Each line that it
# prints is a check ("ok - ...", "not ok - ..."), a wish ("do ...") or a
# remark.  It is stopped by its own deadline.

use strict;
use warnings;

use Exporter qw(import);
use Test::More;

our @EXPORT = qw(run_script);

my %wishes = (
    reload => sub { return $_[0]->reload },
    kill => sub { return $_[0]->kill_worker(worker(@_)) },
    stop => sub { return kill STOP => worker(@_) },
    continue => sub { return kill CONT => $_[0]->workers },
);


sub run_script {
    my ($t, $name, @command) = @_;

    open my $out, '-|', @command or die "$command[0]: $!\n";

    while (my $line = <$out>) {
        chomp $line;

        if ($line =~ /^(not )?ok - (.*)/) {
            ok(!$1, "$name: $2");

        } elsif ($line =~ /^do (\w+)(?: ([0-9a-f]+))?$/ && $wishes{$1}) {
            $wishes{$1}->($t, $2);

        } else {
            diag($line);
        }
    }

    close $out;
    is($?, 0, "$name: ran to its end");
    return;
}


# the process of a slot, whose number in hex begins a session's id

sub worker {
    my ($t, $slot) = @_;

    my ($worker) = grep { $_->{slot} == hex $slot }
                   @{ $t->status->{workers} };
    return $worker->{pid};
}


1;
