# Without it: a client sends or listens where a rule forbids it, or is refused
# where one allows it.

use lib 't/lib';

use Test::More;
use Test::Stomp;

my $t = nginx();

$t->write_conf(<<'CONF')->start;
stomp_broker chat {
    zone 1m;
    topic /topic/ /chat/;
    topic /stock/ /open/ /mixed/ separator=.;

    deny  subscribe /stock/nyse.secret /mixed/*/a.x/secret;

    deny  send /topic/locked /chat/*/locked;
    allow send /topic/admin user=root;
    deny  send /topic/admin;
    allow send /topic/** @authenticated;
    allow send /chat/*;
    allow send /chat/a/**;

    allow subscribe /topic/secret/own user=tom;
    deny  subscribe /topic/secret/**;
    allow subscribe /topic/members/* @authenticated;
    deny  subscribe /topic/members/** /chat/closed;

    history /topic/ 10 1h;
}

stomp_broker closed {
    zone 1m;
    topic /topic/;
    allow subscribe /topic/a/** /topic/b/*;
    deny subscribe /**;
}

stomp_broker starred { zone 1m; topic /a*/; deny subscribe /*/secret; }

server {
    listen 127.0.0.1:%%PORT%%;

    location = /endpoint-websocket { stomp_pass chat; stomp_user $arg_user; }
    location = /closed { stomp_pass closed; }
    location = /starred { stomp_pass starred; }
    location = /stomp_status { stomp_status chat; }
    location /push/ { stomp_push chat; }
}
CONF

{
    my $c = Test::Stomp::Client->new(port => $t->port, path => '/starred');
    $c->connect;
    is($c->subscribe('/a*/b', id => 1), 1, 'a topic that has a star');
    $c->send_frame(SUBSCRIBE => [ id => 2, destination => '/a*/*' ]);
    $c->expect_error('SUBSCRIBE not allowed', 'its patterns', 1008);
}


# [ who, name, allowed ]

for ([ '', '/topic/a', 0 ], [ 'tom', '/topic/a', 1 ], [ 'root', '/topic/a', 1 ],
     [ '', '/topic/admin', 0 ], [ 'tom', '/topic/admin', 0 ],
     [ 'root', '/topic/admin', 1 ], [ 'roo', '/topic/admin', 0 ],
     [ 'root', '/topic/locked', 0 ], [ '', '/chat/b', 1 ],
     [ '', '/chat/b/c', 0 ], [ 'tom', '/chat/b/c', 0 ], [ '', '/chat/a/c', 1 ],
     [ '', '/chat/a/locked', 0 ], [ '', '/chat/a/c/locked', 1 ],
     [ 'tom', '/user/tom/a', 0 ])
{
    my ($user, $name, $allowed) = @$_;

    try_it('SEND', $user, $name, $allowed);
}

for ([ '', '/topic/a', 1 ], [ '', '/chat/a/b/c', 1 ], [ '', '/chat/closed', 0 ],
     [ 'tom', '/chat/closed', 0 ], [ '', '/topic/secret/a', 0 ],
     [ '', '/topic/secret/own', 0 ], [ 'tom', '/topic/secret/own', 1 ],
     [ 'tomas', '/topic/secret/own', 0 ], [ 'tom', '/topic/secret/own/a', 0 ],
     [ '', '/topic/members/a', 0 ], [ 'x', '/topic/members/a', 1 ],
     [ 'x', '/topic/members/a/b', 0 ], [ '', '/user/a', 1 ])
{
    my ($user, $name, $allowed) = @$_;

    try_it('SUBSCRIBE', $user, $name, $allowed);
}

# stars are judged as all that they could reach

for ([ '', '/stock/nyse.ibm', 1 ], [ '', '/stock/nyse.secret', 0 ],
     [ '', '/stock/nyse.*', 0 ], [ '', '/stock/#', 0 ],
     [ '', '/stock/*.secret', 0 ], [ '', '/stock/#.secret', 0 ],
     [ '', '/stock/nyse.*.a', 0 ], [ '', '/open/nyse.*', 1 ],
     [ '', '/open/#', 1 ],
     [ '', '/mixed/*/a.*', 0 ], [ '', '/mixed/**/a.*', 0 ],
     [ '', '/mixed/x*/a.*', 0 ], [ '', '/mixed/x*/a.y', 1 ],
     [ '', '/topic/**', 0 ], [ 'tom', '/topic/**', 0 ],
     [ '', '/topic/secret/*', 0 ], [ 'tom', '/topic/secret/*', 0 ],
     [ 'tom', '/topic/*/own', 0 ], [ '', '/topic/*/own', 0 ],
     [ '', '/topic/*', 0 ], [ '', '/topic/*/*', 0 ], [ '', '/chat/*', 0 ],
     [ 'x', '/topic/members/*', 1 ], [ '', '/topic/members/*', 0 ],
     [ 'x', '/topic/members/**', 0 ], [ '', '/topic/others/**', 1 ],
     [ '', '/chat/*/a', 1 ])
{
    my ($user, $name, $allowed) = @$_;

    try_it('SUBSCRIBE', $user, $name, $allowed);
}

for ([ '/topic/a', 1 ], [ '/topic/a/b/c', 1 ], [ '/topic/a/**', 1 ],
     [ '/topic/a/*', 1 ], [ '/topic/b', 0 ], [ '/topic/b/c', 1 ],
     [ '/topic/b/*', 1 ], [ '/topic/b/**', 0 ], [ '/topic/*', 0 ],
     [ '/user/a', 0 ])
{
    my ($name, $allowed) = @$_;

    try_it('SUBSCRIBE', '', $name, $allowed, '/closed');
}


# what is kept is for those who may subscribe

my $kept = $t->push_message('/topic/secret/own', 'kept')->json->{'message-id'};
$t->push_message('/topic/secret/own', 'retained', headers => [
    'X-Stomp-Retain' => 'true' ]);

for my $header ([], [ replay => 'all' ], [ since => $kept ],
                [ 'last-event-id' => $kept ])
{
    my $what = $header->[0] // 'what is retained';

    my $eve = client('eve', '/endpoint-websocket');
    $eve->send_frame(SUBSCRIBE => [ destination => '/topic/secret/own',
                                    id => 0, @$header ]);
    $eve->expect_error('SUBSCRIBE not allowed', "$what: nothing comes", 1008);

    my $tom = client('tom', '/endpoint-websocket');
    $tom->send_frame(SUBSCRIBE => [ destination => '/topic/secret/own',
                                    id => 0, @$header ]);
    $tom->expect(MESSAGE => -body => 'kept', -name => "$what: to whom it may")
        if $what eq 'replay';
    $tom->expect(MESSAGE => -body => 'retained');
    $tom->close;
}


# what is refused is counted, and answers the receipt

my $before = $t->status->{refused};
my $c = client('', '/endpoint-websocket');
my $neighbor = client('', '/endpoint-websocket');

$neighbor->subscribe('/topic/x');
$c->send_frame(SUBSCRIBE => [ destination => '/chat/closed', id => 0,
                              receipt => 'r1' ]);
my $frame = $c->expect_error('SUBSCRIBE not allowed', 'with a receipt', 1008);
is($frame->{headers}{'receipt-id'}, 'r1', 'the ERROR names it');
like($frame->{body}, qr{"chat".*"/chat/closed"}, 'and the destination');
is($t->status->{refused}, $before + 1, 'counted');

# locations of stomp_push are guarded by nginx

is($t->push_message('/topic/locked', 'x')->status, 200, 'stomp_push may');
$t->push_message('/topic/x', 'to the neighbor');
$neighbor->expect(MESSAGE => -body => 'to the neighbor');
$neighbor->close;

$t->ok_no_alerts;

done_testing;


sub client {
    my ($user, $path) = @_;

    my $c = Test::Stomp::Client->new(port => $t->port,
                                     path => "$path?user=$user");
    $c->connect;
    return $c;
}


sub try_it {
    my ($command, $user, $name, $allowed, $path) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $c = client($user, $path // '/endpoint-websocket');
    my $what = "$command $name by \"$user\"";
    my @id = $command eq 'SUBSCRIBE' ? (id => 0) : ();

    $c->send_frame($command => [ destination => $name, @id, receipt => 'r' ]);

    if ($allowed) {
        $c->expect(RECEIPT => 'receipt-id' => 'r', -name => "$what: allowed");
        $c->close;
    } else {
        $c->expect_error("$command not allowed", "$what: refused", 1008);
    }

    return;
}
