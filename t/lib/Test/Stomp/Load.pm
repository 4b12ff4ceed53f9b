package Test::Stomp::Load;

# The load under which processes are killed and configurations reloaded:
# 2,000 subscribers on 100 destinations, 40 publishers, HTTP and SEND in turn,
# that aim at 5,000 messages a second, each to 20 subscribers.  Who loses the
# connection comes back; bench/load/fanout_check.c says what is owed to whom.
#
#   my $load = Test::Stomp::Load->new($t);
#   ... kill something ...
#   $load->ok_settled('all are back');
#   my $result = $load->ok_finish('what was done');

use strict;
use warnings;

use Test::Builder;
use Test::Stomp;

my $SUBSCRIBERS = 2000;
my $DESTINATIONS = 100;
my $PUBLISHERS = 40;


# Further options of the load tool replace these.  There are messages for all
# of the time: a load that ended before its test would look like a lost one.

sub new {
    my ($class, $t, @options) = @_;

    my $before = $t->status;
    my $f = start_fanout($t, '--subscribers' => $SUBSCRIBERS,
        '--destination' => '/topic/load', '--destinations' => $DESTINATIONS,
        '--publish' => 'alternate', '--publishers' => $PUBLISHERS, '--receipt',
        '--messages' => 3_000_000, '--until-eof', '--reconnect',
        '--rate' => 5000, '--window' => 2000,
        '--timeout' => 600, '--stall' => 30, @options);

    my $self = bless { t => $t, f => $f, before => $before }, $class;
    builder()->ok($f->wait_ready, 'subscribers and publishers run');

    return $self;
}


sub builder { return Test::Builder->new }


# The counts of the status, and those of its workers, are what they have to
# be when all are connected.

sub ok_settled {
    my ($self, $name, %opt) = @_;

    my $t = $self->{t};
    my $sessions = $SUBSCRIBERS + $PUBLISHERS / 2;
    my ($s, $wrong);

    my $settled = wait_for($opt{timeout} // 60, sub {
        $s = eval { $t->status } or return 0;

        my %sum;
        for my $worker (@{ $s->{workers} }) {
            $sum{$_} += $worker->{$_} for qw(sessions subscriptions);
        }

        my @is = ([ sessions => $s->{sessions}, $sessions ],
            [ 'their sum' => $sum{sessions}, $sessions ],
            [ subscriptions => $s->{subscriptions}, $SUBSCRIBERS ],
            [ 'their sum' => $sum{subscriptions}, $SUBSCRIBERS ],
            [ destinations => $s->{destinations}, $DESTINATIONS ],
            [ workers => join(' ', sort map { $_->{pid} } @{ $s->{workers} }),
              join(' ', sort $t->workers(all => $opt{all})) ]);

        ($wrong) = map { "$_->[0]: $_->[1], not $_->[2]" }
                   grep { $_->[1] ne $_->[2] } @is;
        return !$wrong;
    });

    builder()->ok($settled, $name) or builder()->diag($wrong // 'no status');
    return $settled;
}


# Ends the load: nobody has missed or doubled anything, and the broker has
# counted what was published; others => N were published by the test.

sub ok_finish {
    my ($self, $name, %opt) = @_;

    my $tb = builder();
    my ($r, $exit, $text) = $self->{f}->finish;
    my $s = $self->{t}->status;
    my $published = $s->{published} - $self->{before}{published};

    $tb->is_num($exit, 0, "$name: nobody missed or doubled anything")
        or $tb->diag($text);
    $tb->is_num($r->{ready}, $SUBSCRIBERS, 'all subscribers are there');
    $tb->is_num($r->{refused}, 0, 'no publication was refused');

    # what a lost publisher has no answer to may have happened
    my $least = $r->{published} - $r->{uncertain} + $r->{uncertain_seen};
    $published -= $opt{others} // 0;
    $tb->ok($published >= $least && $published <= $r->{published},
            "$published messages are counted as published")
        or $tb->diag("not $least to $r->{published}");

    $tb->diag(sprintf '%s: %d messages, %d/s, to %d/s subscribers, '
              . '%d without an answer, %d reconnects, p99 %d ms', $name,
              $r->{published}, $r->{published} / $r->{seconds},
              $r->{deliveries_per_s}, $r->{uncertain}, $r->{reconnects},
              $r->{p99_us} / 1000);
    return $r;
}

1;
