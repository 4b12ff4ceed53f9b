#!/usr/bin/perl

# Without this: a worker that runs out of memory once crashes, hangs, loses a
# message without a word, or never gives back what it had in hand.
#
# For each n the n-th allocation of a new worker fails while a script of all
# that a broker does is run.  The step has to be refused clearly, and then the
# same worker has to do all of it, and give all memory back.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;
use Test::Stomp::FailAlloc;
use Test::Stomp::Kill;
use Test::Stomp::Refusals;

my $http = <<'CONF';
stomp_broker chat { zone 4m; topic /topic/; allow send /topic/**; }

server {
    listen 127.0.0.1:%%PORT%%;
    client_body_buffer_size 4k;
    large_client_header_buffers 4 1k;

    location = /endpoint-websocket { stomp_pass chat; }
    location = /limited { stomp_pass chat; stomp_message_rate 100000; }
    location = /stomp_status { stomp_status chat; }
    location /push { stomp_push chat; }
    location = /sync { return 200 '{}'; }

    location = /json {
        stomp_set_json $text $arg_text;
        stomp_push chat;
        stomp_push_destination /topic/a;
        stomp_push_body '{"text":$text}';
    }
}
CONF

# what a worker keeps for the next one that needs it
my $kept = qr/^ngx_stomp_(?:segment_create|form_block|output_dirty
              |local_grow|form_grow|session_input)$/x;

# the line of a request in the access log is what may be lost
my $unseen = qr/^ngx_http_log_handler /;

my ($t, $script, $idle, $worker);


# memory of the process: malloc() and its like

{
    my %kit = sanitized();
    local @ENV{ keys %kit } = values %kit;

    $t = nginx(workers => 1);
    my $f = Test::Stomp::FailAlloc->new($t);
    $script = Test::Stomp::Refusals->new($t);

    $t->write_conf($http);
    $f->start;

    my $n = each_n(
        arm    => sub { $f->arm($worker, $_[0]) },
        failed => sub { $f->failed },
        disarm => sub { $f->disarm },
        where  => sub { place($f->where) },
        leaks  => sub { of_leaks($f) },
    );

    cmp_ok($n, '>', 100, "malloc: $n allocations in a script");
    $t->ok_no_alerts(
        allow => [ qr/\[emerg\].*\(12: Cannot allocate memory\)/ ]);
}


# memory of the zone: it is full from the n-th allocation on, until somebody
# has been refused

{
    $t = nginx(workers => 1, name => 'alloc_failures_zone');
    my $k = Test::Stomp::Kill->new($t);
    $script = Test::Stomp::Refusals->new($t, sub { $k->disarm });

    $t->write_conf($http)->start;

    my $n = each_n(
        arm    => sub { $k->arm(pid => $worker, nth => $_[0],
                                point => 'alloc') },
        failed => sub { $k->hit },
        disarm => sub { $k->disarm },
        where  => sub { 'zone' },
        leaks  => sub { },
    );

    cmp_ok($n, '>', 20, "zone: $n allocations in a script");
    $t->ok_no_alerts;
}

done_testing();


# Runs the script in a new worker for n = 1, 2, ... as long as there is an
# n-th allocation; the last n.

sub each_n {
    my (%fault) = @_;

    $idle = $t->status->{zone}{used};

    my $start = now();
    my (%where, @problems);
    my $n = 0;

    while (@problems < 50) {
        $n++;
        $worker = new_worker();
        my $log = length $t->error_log;
        my $before = $t->status->{published};
        $fault{arm}->($n);

        my @notes = $script->run;
        my @wrong = $script->problems;

        last if !$fault{failed}->() && !@wrong;
        $fault{disarm}->();

        my $name = $fault{where}->();
        $where{$name}{ join ', ', @notes or 'nothing' } //= $n;

        push @wrong, 'nobody has seen it' if !@notes && "$name " !~ $unseen;
        push @wrong, of_log($log, @notes), of_numbers($before);
        push @wrong, again(), of_idle(), $fault{leaks}->() if of_worker();
        push @wrong, 'the worker is gone' unless of_worker();

        push @problems, map { "n $n ($name): $_" } @wrong;
    }

    is(join("\n", @problems), '', 'no failure matters to more than one step');
    diag(sprintf '%d allocations, %.1f s', $n - 1, now() - $start);

    for my $name (sort keys %where) {
        note("  $name: $_ (n $where{$name}{$_})")
            for sort keys %{ $where{$name} };
    }

    return $n - 1;
}


# An nginx in which each piece of a pool is an allocation of its own, and
# nothing is used that has been freed.  Where there is no source of it, that
# of the system will do, whose pools take memory in blocks.

sub sanitized {
    return () if $ENV{NGINX_BIN};

    my $root = Test::Stomp::Nginx::root();
    my $log = qx{'$root/tools/nginx.sh' installed sanitize 2>&1};

    if ($?) {
        diag("no nginx with sanitizers: $log");
        return ();
    }

    my ($folder) = $log =~ m{^(/.*)/nginx is }m or die $log;

    return (TEST_NGINX_BINARY => "$folder/nginx",
            NDK_MODULE => "$folder/ndk_http_module.so",
            STOMP_MODULE => "$folder/ngx_stomp_module.so");
}


sub new_worker {
    my ($old) = $t->workers;

    $t->kill_worker($old, signal => 'TERM');
    my ($pid) = $t->workers;
    return $pid;
}


# The function that asked for memory, and how it came there.

sub place {
    my @stack = grep { !/^(?:__interceptor_.*|ngx_(?:p?alloc|pnalloc|p?calloc
                             |memalign|palloc_\w+))$/x } @_;

    splice @stack, 4;
    return join ' < ', @stack;
}


sub of_worker {
    return "@{[ $t->workers ]}" eq $worker;
}


sub again {
    my @notes = $script->run;

    return ($script->problems, map { "not recovered: $_" } @notes);
}


# Who is refused has to find out why.

sub of_log {
    my ($from, @notes) = @_;

    my $log = substr $t->error_log, $from;
    my @lines = grep { /\[(?:error|crit|alert|emerg)\]/ } split /\n/, $log;
    my @wrong = grep { !/\(12: Cannot allocate memory\)|no memory|is full/ }
                @lines;

    push @wrong, 'nothing in the log' if @notes && !@lines;
    return map { "log: $_" } @wrong;
}


sub of_numbers {
    my ($before) = @_;

    my $n = $t->status->{published} - $before;
    my ($least, $more) = @$script{qw(accepted unknown)};

    return "$n published, $least to @{[ $least + $more ]} accepted"
        if $n < $least || $n > $least + $more;
    return;
}


# What a worker has in hand it gives back with its next publication.

sub of_idle {
    my $got;

    wait_for(5, sub {
        $t->push_message('/topic/nobody', '');
        my $status = $t->status;
        $got = "$status->{sessions} $status->{subscriptions} "
             . "$status->{destinations} $status->{zone}{used}";
        return $got eq "0 0 0 $idle";
    }) and return;

    return "it is left with $got, not 0 0 0 $idle";
}


# Connections that are being closed go within some turns of the event loop.

sub of_leaks {
    my ($f) = @_;

    my @left;

    wait_for(5, sub {
        @left = grep {
            !grep { /$kept/ } @{ $_->{where} }
        } $f->live;
        return !@left;
    });

    return map { "$_->{size} octets leaked: @{ $_->{where} }[ 0 .. 5 ]" }
           @left;
}
