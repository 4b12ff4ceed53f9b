# Checks the test library itself: a parser that accepts everything, or a log
# check that never fails, would make every other test worthless.

use lib 't/lib';

use Test::More;
use Test::Stomp;

my $message = "MESSAGE\ndestination:/a\nmessage-id:1\nsubscription:1\n";
my %broken = (
    'two frames'           => "$message\nx\0y\0",
    'a LF after the frame' => "$message\nx\0\n",
    'wrong content-length' => "${message}content-length:2\n\nx\0",
    'undefined escape'     => "${message}a:\\t\n\nx\0",
    'raw colon'            => "${message}a:b:c\n\nx\0",
    'no NUL'               => "$message\nx",
    'no subscription'      => "MESSAGE\ndestination:/a\nmessage-id:1\n\nx\0",
    'unknown command'      => "SEND\n\n\0",
    'CR LF'                => "RECEIPT\r\nreceipt-id:1\r\n\r\n\0",
    'a body of RECEIPT'    => "RECEIPT\nreceipt-id:1\n\nx\0",
);

for my $name (sort keys %broken) {
    ok(!defined parse($broken{$name}), "$name refused");
}

my $frame = parse("${message}k:a\\c\\\\n\\r\nk:2\ncontent-length:3\n\na\0b\0");
is($frame->{headers}{k}, "a:\\n\r", 'first header wins, unescaped');
is($frame->{body}, "a\0b", 'body by length');

for ([ 'masked' => "\x81\x80\0\0\0\0" ],
     [ 'not minimal' => "\x81\x7e\0\x01x" ],
     [ 'fragmented ping' => "\x09\0" ],
     [ 'unknown opcode' => "\x83\0" ])
{
    my ($name, $bytes) = @$_;
    my $ws = bless { rbuf => $bytes }, 'Test::Stomp::WebSocket';
    ok(!eval { $ws->parse_frame; 1 }, "$name WebSocket frame refused");
}

$ENV{STOMP_MODULE} = 'none';

sub server {
    return "server {\n    listen 127.0.0.1:%%PORT%%;\n"
           . "    location / { return 200 hi; }\n@_}\n";
}

my $t = nginx(workers => 2);
$t->write_conf(server())->start;

my @old = $t->workers;
is(@old, 2, 'workers found');
is($t->request(GET => '/')->body, 'hi', 'served');

my ($code, $text) = $t->test_config(server("    foo;\n"));
is($code, 1, 'nginx -t fails');
like($text, qr/unknown directive "foo" in \S+:4$/m, 'at the line of the test');

ok($t->reload, 'reloaded');
my %old = map { $_ => 1 } @old;
is(scalar(grep { !$old{$_} } $t->workers), 2, 'by new workers');

my ($victim) = $t->workers;
$t->kill_worker($victim);
is(scalar(grep { $_ != $victim } $t->workers), 2, 'killed worker replaced');

$t->write_conf(server("    bar;\n"));
ok(!$t->reload, 'bad configuration is not loaded');
like($t->reload_error, qr/"bar"/, 'and it is told why');

{
    # the emerg line of the refused reload has to fail this check
    my $log = $t->error_log;
    like($log, qr/\[emerg\].*"bar"/, 'emerg logged');
    my ($count, $failed);
    {
        no warnings 'redefine';
        local *Test::Builder::ok = sub { $failed = !$_[1]; return 1 };
        local *Test::Builder::diag = sub { $count++ };
        $t->ok_no_alerts(stop => 0);
    }
    ok($failed, 'an emerg line fails the log check');
    is($count, 1, 'and is shown; the killed worker is not');
}

is($t->stop, 'QUIT', 'stopped gracefully');
$t->ok_no_alerts(allow => [ qr/unknown directive "bar"/ ]);

done_testing;


sub parse {
    my ($payload) = @_;

    my $client = bless { version => '1.2' }, 'Test::Stomp::Client';
    return eval { $client->parse({ payload => $payload, opcode => 'text' }) };
}
