# Without it: a message for one user is lost on its way to another worker, or
# reaches somebody else.

use lib 't/lib';

use Test::More;
use Test::Stomp;

my $t = nginx(workers => 3);

$t->write_conf(<<'CONF')->start;
map $arg_user $named {
    default  $arg_user;
    slash    "a/b";
    escaped  "a%2Fb";
    stars    "**";
    dots     "..";
    tilde    "~/user/tom";
    utf8     "jürgen";
}

stomp_broker chat { zone 2m; topic / /topic/;
                    allow send /topic/** /user/*/in/**; }
stomp_broker other { zone 1m; topic /topic/; }
stomp_broker dotted { zone 1m; topic / separator=.;
                      deny subscribe /user/queue/b; }

server {
    listen 127.0.0.1:%%PORT%%;

    location = /endpoint-websocket { stomp_pass chat; stomp_user $named; }
    location = /other { stomp_pass other; stomp_user $named; }
    location = /dotted { stomp_pass dotted; stomp_user $named; }
    location = /stomp_status { stomp_status chat; }
    location /push/ { stomp_push chat; }
    location = /fixed { stomp_push chat;
                        stomp_push_destination /user/$arg_to/queue/notice; }
}
CONF

my $used = $t->status->{zone}{used};

# all sessions of a user, on all workers, and nobody else

my $toms = $t->stomp_spread(3, 2, path => '/endpoint-websocket?user=tom');
my @toms = map { @$_ } values %$toms;
my $eve = client('eve');
my $anonymous = client('');
my $stranger = client('tom', '/other');

$_->subscribe('/user/queue/notice', id => 'n')
    for @toms, $eve, $anonymous, $stranger;

# a pattern that has all names hears none of them

my $nosy = client('');
$nosy->subscribe('/**', id => 'all');

my $res = $t->push_message('/user/tom/queue/notice', 'hello tom');
is($res->status, 200, 'stomp_push to a user');
is($res->json->{subscribers}, 6, 'has all sessions of the user');
is($res->json->{destination}, '/user/tom/queue/notice',
   'the answer has the destination as it was written');
is($t->request(GET => '/push/user/tom/queue/notice')->json->{subscribers}, 6,
   'GET tells how many they are');

is($t->status('/stomp_status?destination=/user/tom/queue/notice')
   ->{destination}{subscribers}, 6, 'and so does the status');

$_->expect(MESSAGE => destination => '/user/queue/notice',
           subscription => 'n', 'message-id' => $res->json->{'message-id'},
           -body => 'hello tom') for @toms;

$t->push_message('/other/a', 'for all');
$nosy->expect(MESSAGE => -body => 'for all');
$nosy->disconnect;

is($t->push_message('/user/eve/queue/notice', 'hello eve')
   ->json->{subscribers}, 1, 'another user');
$eve->expect(MESSAGE => -body => 'hello eve', -name => 'eve has only hers');

is($t->push_message('/user/nobody/queue/notice', 'x')->json->{subscribers}, 0,
   'a user who is not there');

# a session without a user is addressed by its id

my $id = $anonymous->session;
is($t->push_message("/user/$id/queue/notice", 'hello you')
   ->json->{subscribers}, 1, 'by session id');
$anonymous->expect(MESSAGE => destination => '/user/queue/notice',
                   -body => 'hello you');
is($t->push_message('/user/' . $eve->session . '/queue/notice', 'x')
   ->json->{subscribers}, 0, 'who has a user is addressed by name only');

# a batch, a fixed destination

$res = $t->request(POST => '/push/', headers =>
    [ 'Content-Type' => 'application/vnd.stomp.batch+json' ], body =>
    '[{"destination":"/user/eve/queue/notice","body":"one"},'
    . '{"destination":"/topic/a","body":"two"},'
    . '{"destination":"/user/eve/queue/notice","body":"three"}]');
is(join(' ', map { "$_->{destination}=$_->{subscribers}" } @{ $res->json }),
   '/user/eve/queue/notice=1 /topic/a=0 /user/eve/queue/notice=1', 'a batch');
$eve->expect(MESSAGE => destination => '/user/queue/notice', -body => $_)
    for qw(one three);

is($t->request(POST => '/fixed?to=eve', body => 'fixed')->json->{subscribers},
   1, 'stomp_push_destination');
$eve->expect(MESSAGE => destination => '/user/queue/notice',
             -body => 'fixed');


# SEND, as written, by the rules; all versions, and the header is escaped

for my $version (qw(1.0 1.1 1.2)) {
    my $c = client('eve', undef, version => $version);
    $c->subscribe('/user/in/a:b\\c', id => 'x');

    $eve->send('/user/eve/in/a:b\\c', "to $version", receipt => 1);
    $c->expect(MESSAGE => destination => '/user/in/a:b\\c', subscription => 'x',
               -body => "to $version", -name => "SEND to a user, $version");

    if ($version eq '1.0') {
        $c->subscribe('/user/in/z', id => undef);
        $c->command(UNSUBSCRIBE => [ destination => '/user/in/z' ], undef,
                    receipt => 1);
        is($t->request(GET => '/push/user/eve/in/z')->json->{subscribers}, 0,
           'UNSUBSCRIBE by destination');
    }

    $c->close;
}

error_of(client('eve'), SEND => '/user/tom/queue/notice',
         'SEND not allowed', 'SEND where no rule allows it');


# nobody gets what is another's, whatever is subscribed to

my @attempts = ('/user/tom/queue/notice', '/user//user/tom/queue/notice',
    '/user/../tom/queue/notice', '/user/%2Ftom/queue/notice',
    '~/user/tom/queue/notice', '/~/user/tom/queue/notice',
    '/user/~/user/tom/queue/notice', '/tom/queue/notice',
    '/topic/../user/tom/queue/notice');

my @spies;

for my $name (@attempts) {
    for my $user ('', qw(eve slash stars dots tilde to t)) {
        my $spy = client($user);
        $spy->send_frame(SUBSCRIBE => [ destination => $name, id => 's',
                                        receipt => 'r' ]);
        my $frame = $spy->recv;
        push @spies, $spy if $frame->{command} eq 'RECEIPT';
    }
}

cmp_ok(scalar(@spies), '>', 40, 'spies with subscriptions');

is($t->push_message('/user/tom/queue/notice', 'secret')->json->{subscribers},
   6, 'only tom is counted');
$_->expect(MESSAGE => -body => 'secret', -name => 'tom gets it') for @toms;

my $heard = 0;
for my $spy (@spies) {
    $spy->send('/topic/end', 'x', receipt => 'end');
    $heard++ while ($spy->recv(0) // { })->{body};
}
is($heard, 0, 'nobody else does');
$_->close for @spies;


# names that need care

for ([ slash => 'a%252Fb' ], [ escaped => 'a%25252Fb' ], [ stars => '**' ],
     [ tilde => '~%252Fuser%252Ftom' ], [ utf8 => 'j%C3%BCrgen' ])
{
    my ($user, $written) = @$_;

    my $c = client($user);
    $c->subscribe('/user/queue/notice', id => 1);
    is($t->push_message("/user/$written/queue/notice", "for $user")
       ->json->{subscribers}, 1, "$user: found");
    $c->expect(MESSAGE => destination => '/user/queue/notice',
               -body => "for $user");
    $c->close;
}

{
    my $c = client('dots');
    $c->subscribe('/user/queue/notice', id => 1);
    $res = $t->request(POST => '/fixed?to=..', body => 'for dots');
    is($res->json->{subscribers}, 1, 'dots: found');
    $c->expect(MESSAGE => -body => 'for dots');
    $c->close;
}

# what can't be a destination

for ([ SUBSCRIBE => '/user/', qr/has no name/ ],
     [ SUBSCRIBE => '/user/*', qr/no wildcards/ ],
     [ SUBSCRIBE => '/user/queue/**', qr/no wildcards/ ],
     [ SUBSCRIBE => '/user/*/queue', qr/no wildcards/ ],
     [ SUBSCRIBE => '/user/' . 'x' x 1015, qr/too long with the user's name/ ],
     [ SEND => '/user/', qr/are sent to/ ], [ SEND => '/user/a', qr/are sent/ ],
     [ SEND => '/user//a', qr/are sent to/ ],
     [ SEND => '/user/a/', qr/has no name/ ],
     [ SEND => '/user/a/in/*', qr/no wildcards/ ],
     [ SEND => '/user/a%2fb/in/x', qr/"%" is written "%25"/ ],
     [ SEND => '/user/a%/in/x', qr/"%" is written "%25"/ ],
     [ SEND => '/user/a/' . 'x' x 1016, qr/is longer than 1023/ ])
{
    my ($command, $name, $body) = @$_;
    my $short = substr $name, 0, 30;

    my $frame = error_of(client('eve'), $command => $name,
                         'unknown destination', "$command $short");
    like($frame->{body}, $body, "$command $short: in words");
}

for my $name ('/user/', '/user/a', '/user/a/', '/user/a/**',
              '/user/a%252fb/c')
{
    is($t->push_message($name, 'x')->status, 400, "push to $name: 400");
}

{
    my $c = client('eve');
    my $longest = '/user/' . 'x' x (1024 - length '~/user/eve/');
    $c->subscribe($longest, id => 1);
    is($t->push_message('/user/eve/' . substr($longest, 6), 'x')
       ->json->{subscribers}, 1, 'the longest name');
    $c->expect(MESSAGE => destination => $longest);
    $c->close;
}


# where dots separate the words of topics: not those of users' destinations

{
    my $c = client('eve', '/dotted');
    is($c->subscribe('/user/queue/a.*', id => 1), 1, 'a star is not a pattern');
    $c->close;
}

like(error_of(client('eve', '/dotted'),
              SUBSCRIBE => '/user/' . 'x' x 3000 . '/b.*',
              'unknown destination', 'longer than all names')->{body},
     qr/too long with the user's name/, 'longer than all names: in words');


# a worker dies: the others go on

my ($slot) = sort keys %$toms;
my @others = map { @{ $toms->{$_} } } grep { $_ ne $slot } keys %$toms;

$t->kill_worker(worker_of($slot));
ok(wait_for(10, sub {
    4 == $t->request(GET => '/push/user/tom/queue/notice')->json->{subscribers}
}), 'the sessions of a killed worker are gone');
$t->push_message('/user/tom/queue/notice', 'after it');
$_->expect(MESSAGE => -body => 'after it') for @others;

$_->close for @others, $eve, $anonymous, $stranger;
ok(wait_for(10, sub { $t->status->{zone}{used} == $used }),
   'nothing is left in the zone');

my (undef, $said) = $t->test_config(
    "stomp_broker a {\nzone 1m;\ntopic /user/x/;\n}");
like($said, qr{topic prefix "/user/x/" can't begin with "/user/".*:3$}m,
     'a topic there is refused');

$t->ok_no_alerts;

done_testing;


sub client {
    my ($user, $path, @opt) = @_;

    my $c = Test::Stomp::Client->new(port => $t->port,
        path => ($path // '/endpoint-websocket') . "?user=$user");
    my $frame = $c->connect(@opt);
    die "not connected: $frame->{body}" if $frame->{command} ne 'CONNECTED';
    return $c;
}


sub error_of {
    my ($c, $command, $name, $message, $what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $c->send_frame($command => [ destination => $name,
                                 $command eq 'SUBSCRIBE' ? (id => 0) : () ]);
    return $c->expect_error($message, $what, 1008);
}


# the pid of the worker that has a slot

sub worker_of {
    my ($slot) = @_;

    my ($worker) = grep { $_->{slot} == hex $slot }
                   @{ $t->status->{workers} };
    return $worker->{pid};
}
