# Without it a client could take messages from a queue that nobody opened to
# it, or be told nothing about a header that means nothing for queues.

use lib 't/lib';

use Test::More;
use Test::Stomp;

my $t = nginx(workers => 2);

$t->write_conf(<<'CONF')->start;
stomp_broker chat {
    zone  4m;
    topic /topic/;
    queue /queue/;
    allow send /topic/** /queue/**;

    deny  subscribe /queue/open/closed;
    allow subscribe /queue/open/**;
    allow subscribe /queue/tom/* user=tom;
    allow subscribe /queue/members/** @authenticated;
    deny  subscribe /queue/members/secret;
}

stomp_broker none { zone 1m; queue /queue/; }
stomp_broker topics {
    zone 1m; topic /topic/; queue /queue/; allow subscribe /topic/**;
}
stomp_broker every { zone 1m; queue /queue/; allow subscribe /**; }

server {
    listen 127.0.0.1:%%PORT%%;

    location / { stomp_pass chat; stomp_user $arg_user; }
    location = /none { stomp_pass none; }
    location = /topics { stomp_pass topics; }
    location = /every { stomp_pass every; }
    location = /stomp_status { stomp_status chat; }
    location /push/ { stomp_push chat; }
}
CONF

my $used = $t->status->{zone}{used};


# a queue is closed unless a rule opens it: [ path, name, allowed ]

for ([ '/', '/queue/a', 0 ], [ '/', '/queue/open/a', 1 ],
     [ '/', '/queue/open/a/b', 1 ], [ '/', '/queue/open/closed', 0 ],
     [ '/', '/queue/tom/a', 0 ], [ '/?user=tom', '/queue/tom/a', 1 ],
     [ '/?user=tomas', '/queue/tom/a', 0 ],
     [ '/?user=tom', '/queue/tom/a/b', 0 ],
     [ '/', '/queue/members/a', 0 ], [ '/?user=x', '/queue/members/a', 1 ],
     [ '/?user=x', '/queue/members/secret', 1 ],
     [ '/', '/topic/a', 1 ],
     [ '/none', '/queue/a', 0 ], [ '/none', '/queue/*', 0 ],
     [ '/topics', '/queue/a', 0 ], [ '/topics', '/topic/a', 1 ],
     [ '/every', '/queue/a', 1 ])
{
    my ($path, $name, $allowed) = @$_;

    for my $mode ('auto', 'client-individual') {
        next if $mode ne 'auto' && $name =~ /^.topic/;

        my $c = $t->stomp(path => $path);
        my $is = "$path: $name, $mode";
        $c->command(SUBSCRIBE => [ destination => $name, id => 1,
                                   ack => $mode, receipt => 'r' ]);

        if ($allowed) {
            $c->expect(RECEIPT => 'receipt-id' => 'r', -name => $is);
            $c->close;
            next;
        }

        my $frame = $c->expect_error('SUBSCRIBE not allowed', $is, 1008);
        is($frame->{headers}{'receipt-id'}, 'r', 'with the receipt');
        like($frame->{body}, qr/SUBSCRIBE to "\Q$name\E"/, 'and told where');
    }
}


# a queue keeps nothing for those who come later

for my $header ('replay', 'since', 'last-event-id') {
    my $c = $t->stomp;
    $c->command(SUBSCRIBE => [ destination => '/queue/open/a', id => 1,
        $header => $header eq 'replay' ? 'all' : 'x', receipt => 'r' ]);
    my $frame = $c->expect_error('no replay of queues', $header, 1008);
    is($frame->{headers}{'receipt-id'}, 'r', 'with the receipt');
    like($frame->{body}, qr{"/queue/open/a": a queue has no history},
         'and told why');
}

{
    my $why = qr/the "retain" header is not for queues/;
    my $c = $t->stomp;
    $c->send('/queue/open/a', 'x', headers => [ retain => 'true',
                                                receipt => 'r' ]);
    my $frame = $c->expect_error('malformed header', 'retain: SEND', 1002);
    is($frame->{headers}{'receipt-id'}, 'r', 'with the receipt');
    like($frame->{body}, $why, 'and told why');

    my $v = $t->stomp;
    $v->begin('t');
    $v->send('/topic/a', 'x', transaction => 't', receipt => 1);
    $v->send('/queue/open/a', 'x', transaction => 't', headers => [
        retain => 'true', receipt => 'r' ]);
    $frame = $v->expect_error('malformed header', 'in a transaction', 1002);
    is($frame->{headers}{'receipt-id'}, 'r', 'with the receipt');
    like($frame->{body}, $why, 'and told why');

    my $res = $t->push_message('/queue/open/a', 'x', headers => [
        'X-Stomp-Retain' => 'true' ]);
    is($res->status, 400, 'retain: HTTP');
    like($res->json->{error}, $why, 'and told why');

    $res = batch('{"destination":"/queue/open/a","body":"0"}',
                 '{"destination":"/queue/open/a","body":"1",'
                 . '"headers":{"retain":"true"}}');
    is($res->status, 400, 'retain: a batch');
    like($res->json->{error}, qr/^\[1\]\.headers: .*not for queues/,
         'and told which');
    is($t->status->{queued}, 0, 'nothing of all that was published');

    $res = $t->push_message('/queue/open/a', 'x', headers => [
        'X-Stomp-Retain' => 'false' ]);
    is($res->status, 200, 'retain:false is what a queue does');
    my $d = $t->stomp;
    $d->subscribe('/queue/open/a', id => 1);
    $d->expect(MESSAGE => -body => 'x', retain => undef, retained => undef);
    $d->close;
}


# a queue's name has no wildcards

for my $name ('/queue/open/*', '/queue/open/**', '/queue/open/a*.#') {
    my ($c, $p) = ($t->stomp, $t->stomp);
    $c->subscribe($name, id => 'star');
    $t->push_message('/queue/open/a', 'another');
    $p->send($name, 'SEND', receipt => 1);
    $c->expect(MESSAGE => destination => $name, -body => 'SEND',
               -name => "$name is one queue");
    is($t->push_message($name =~ s/#/%23/r, 'HTTP')->json->{subscribers}, 1,
       'by HTTP, too');
    $c->expect(MESSAGE => destination => $name, -body => 'HTTP');
    $c->expect_none(0.1, 'and has nothing else');
    $c->subscribe('/queue/open/a', id => 'a');
    $c->expect(MESSAGE => destination => '/queue/open/a', -body => 'another');
    $_->close for $c, $p;
}


# configuration

for ([ 'history /queue/ 10 1m;',
       qr{history prefix "/queue/" is one of queues, which have no history} ],
     [ 'history /queue/a/ 10 1m;',
       qr{history prefix "/queue/a/" is one of queues} ],
     [ 'queue /user/;', qr{"/user/" can't begin with "/user/"} ],
     [ 'queue /user/a/;',
       qr{"/user/a/" can't begin with "/user/", which is there for the} ])
{
    my ($line, $error) = @$_;
    my ($code, $output) = nginx()->test_config('stomp_broker chat '
        . "{ zone 1m; topic /topic/; queue /queue/; $line }\n");
    isnt($code, 0, "$line: refused");
    like($output, $error, 'and told why');
}

my ($code) = nginx()->test_config('stomp_broker chat { zone 1m; topic /topic/;'
    . " queue /queue/; history / 10 1m; history /topic/ 10 1m; }\n");
is($code, 0, 'a history of all that are no queues');


ok(wait_for(10, sub {
    my $status = $t->status;
    return !$status->{sessions} && !$status->{queues}
        && $status->{zone}{used} == $used;
}), 'no memory of the zone is lost') or diag explain $t->status;

$t->ok_no_alerts;
done_testing;


sub batch {
    return $t->request(POST => '/push/', body => '[' . join(',', @_) . ']',
        headers => [ 'Content-Type' =>
                     'application/vnd.stomp.batch+json' ]);
}
