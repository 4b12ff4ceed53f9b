# Without it: somebody gets in with a wrong password, nobody with a right one,
# or a changed file is not looked at, or a spoilt one shuts everybody out.

use lib 't/lib';

use Digest::SHA qw(sha1);
use MIME::Base64 qw(encode_base64);
use Test::More;
use Test::Stomp;

my $t = nginx(workers => 3, log => 'info');
my $file = $t->prefix . '/conf/users';

my $http = <<'CONF';
stomp_broker chat { zone 1m; topic /topic/; allow send /topic/**;
                    users users; }
stomp_broker open { zone 1m; topic /topic/; allow send /topic/**; }

map $arg_user $named { default $arg_user; tab "a\tb"; }

log_format user '$uri "$stomp_user"';
access_log logs/access.log user;

server {
    listen 127.0.0.1:%%PORT%%;

    location = /endpoint-websocket { stomp_pass chat; }
    location = /short { stomp_pass chat; stomp_connect_timeout 2s; }
    location = /open { stomp_pass open; }
    location = /stomp_status { stomp_status chat; }

    location = /arg { stomp_pass chat; stomp_user $arg_user; }
    location = /arg-open { stomp_pass open; stomp_user $named; }
    location = /arg-kept { stomp_pass open; stomp_user $arg_user;
                           stomp_keep_request on; }
    location = /basic { stomp_pass chat; stomp_user $remote_user;
                        auth_basic stomp; auth_basic_user_file users; }

    location /inherited/ {
        stomp_user from-outside;
        location = /inherited/a { stomp_pass open; }
        location = /inherited/b { stomp_pass open; stomp_user ""; }
    }
}
CONF

# every kind of hash that nginx knows

my %hash = (
    plain  => '{PLAIN}secret-plain',
    sha    => '{SHA}' . encode_base64(sha1('secret-sha'), ''),
    ssha   => '{SSHA}' . encode_base64(sha1('secret-ssha' . 'salt') . 'salt',
                                       ''),
    apr1   => qx(openssl passwd -apr1 -salt abcdefgh secret-apr1) =~ s/\n//r,
    md5    => crypt('secret-md5', '$1$abcdefgh$'),
    sha256 => crypt('secret-sha256', '$5$rounds=1000$abcdefgh$'),
    sha512 => crypt('secret-sha512', '$6$rounds=1000$abcdefgh$'),
    bcrypt => crypt('secret-bcrypt', '$2b$04$abcdefghijklmnopqrstuu'),
    des    => crypt('secretde', 'ab'),
);
my %password = (map({ $_ => "secret-$_" } keys %hash), des => 'secretde');

# a fifth of a second each, or more
my $slow = crypt('secret-slow', '$2b$12$abcdefghijklmnopqrstuu');

write_users(map({ "$_:$hash{$_}" } sort keys %hash), "slow:$slow",
            '# a comment', '', "with comment:$hash{plain}:a comment",
            "j\xc3\xbcrgen/%:$hash{plain}");

$t->write_conf($http)->start;

for my $user (sort keys %hash) {
    my ($frame) = login($user, $password{$user});
    is($frame->{command}, 'CONNECTED', "$user: connected");
    is($frame->{headers}{'user-name'}, $user, "$user: user-name");
}

for my $user ("j\xc3\xbcrgen/%", 'with comment') {
    my ($frame) = login($user, 'secret-plain');
    is($frame->{headers}{'user-name'}, $user, "$user: connected");
}

refused(map { [ "wrong passcode for $_", $_, "x$password{$_}" ] }
        sort keys %hash);

{
    my $c = $t->stomp(connect => { login => 'plain',
                                   passcode => 'secret-plain' });
    my @names = map { $_->[0] } @{ $c->connected_frame->{list} };
    is("@names", 'version heart-beat user-name session server',
       'user-name stands where Spring has it, with its list unchanged')
        or diag "@names";
    $c->close;
}


# who doesn't exist gets the same answer

my $before = $t->status->{refused};
my @answer = refused(
    [ 'unknown user', 'nobody', 'secret-plain' ],
    [ 'known user', 'plain', 'nothing' ],
    [ 'empty passcode', 'plain', '' ],
    [ 'empty login', '', 'secret-plain' ],
    [ 'the hash itself', 'apr1', $hash{apr1} ],
    [ 'another case', 'Plain', 'secret-plain' ],
    [ 'begins the same', 'plai', 'secret-plain' ],
    [ 'cut', 'plain', 'secret-plai' ],
    [ 'a comment line', '# a comment', '' ],
    [ 'a long passcode', 'sha512', 'x' x 4000 ]);

is(scalar(grep { $_ ne $answer[0] } @answer), 0, 'all are told the same');
is($t->status->{refused} - $before, @answer, 'and are counted');

for ([ login => 'plain' ], [ passcode => 'secret-plain' ], [ ]) {
    my $c = client('/endpoint-websocket');
    $c->send_frame(CONNECT => [ 'accept-version' => '1.2', @$_ ]);
    $c->expect_error('login needed', "only @$_", 1008);
}

{
    my $c = client('/endpoint-websocket');
    $c->send_frame(CONNECT => [ 'accept-version' => '1.2', receipt => 'r1',
                                login => 'plain', passcode => 'x' ]);
    is($c->expect_error('login refused', 'with a receipt', 1008)
       ->{headers}{'receipt-id'}, 'r1', 'the ERROR names the receipt');
}

{
    my $text = $t->error_log;
    like($text, qr/\[notice\].*with a wrong login or passcode.*client: 127/,
         'wrong logins are logged with the address');
    unlike($text, qr/secret-/, 'no password is logged');
    unlike($text, qr/\Q$hash{apr1}\E/, 'no hash is logged');
}

# frames behind a CONNECT whose passcode is looked at wait for it

{
    my $c = client('/endpoint-websocket');
    my $hello = $c->build_frame(CONNECT => [ 'accept-version' => '1.2',
        login => 'bcrypt', passcode => 'secret-bcrypt' ])
        . "SUBSCRIBE\nid:0\ndestination:/topic/a\nreceipt:s\n\n\0";
    $c->ws->send_text($hello);
    $c->expect(CONNECTED => 'user-name' => 'bcrypt');
    $c->expect(RECEIPT => 'receipt-id' => 's');
    $c->close;
}


# many at once: they wait for their turn, and no right one is refused

{
    my @clients = map { client('/endpoint-websocket') } 1 .. 40;
    $_->send_frame(CONNECT => [ 'accept-version' => '1.2', login => 'sha512',
                                passcode => 'secret-sha512' ])
        for @clients;
    my @got = map { ($_->recv(20) // { })->{command} // '' } @clients;
    is(scalar(grep { $_ eq 'CONNECTED' } @got), 40, '40 at once get in');
    $_->close for @clients;
}


# A hash that takes long: a worker does nothing else for a bounded part of its
# time, some get in, and nobody waits forever.

{
    my @clients = map { client('/short') } 1 .. 40;

    $_->send_frame(CONNECT => [ 'accept-version' => '1.2', login => 'slow',
                                passcode => 'secret-slow' ])
        for @clients;

    my %got;
    for my $c (@clients) {
        my $frame = $c->recv(30) // { command => 'nothing' };
        my $what = $frame->{headers}{message} // $frame->{command};
        $got{$what}++;
        $c->expect_close(1013, 'closed with 1013')
            if $what eq 'too many logins';
    }

    is(join(', ', sort keys %got), 'CONNECTED, too many logins',
       'with a slow hash some get in, and the others are told')
        or diag explain \%got;
    $_->close for grep { !$_->closed } @clients;
}


# nginx knows the user

is(user('/arg?user=tom'), 'tom', 'stomp_user needs no passcode');
is(user('/arg-open?user=tom'), 'tom', 'also without users');
is(user('/arg-kept?user=tom'), 'tom', 'with the request kept');
is(user('/arg-open'), undef, 'an empty name is none');
is(user('/inherited/a'), 'from-outside', 'stomp_user is inherited');
is(user('/inherited/b'), undef, 'and can be taken back');
is(user('/open', login => 'x', passcode => 'y'), undef,
   'without users a login means nothing');
is(user('/arg?user=tom', login => 'x', passcode => 'y'), 'tom',
   'a login means nothing where nginx knows the user');
is(user('/arg', login => 'sha', passcode => 'secret-sha'), 'sha',
   'where nginx knows none, the login counts');

{
    my $c = client('/arg');
    $c->send_frame(CONNECT => [ 'accept-version' => '1.2' ]);
    $c->expect_error('login needed', 'no name and no login', 1008);
}

for ([ 'a control character', 'tab', 403 ], [ 'too long', 'x' x 256, 403 ],
     [ 'the longest', 'x' x 255, 101 ])
{
    my ($what, $name, $status) = @$_;
    my $ws = $t->ws(path => "/arg-open?user=$name");
    is($ws->status, $status, "stomp_user: $what");
    $ws->close if $status == 101;
}

{
    my $basic = encode_base64('ssha:secret-ssha', '');
    my $c = client('/basic', headers => [ Authorization => "Basic $basic" ]);
    is($c->connect->{headers}{'user-name'}, 'ssha', 'with auth_basic');
    $c->close;
}

ok(wait_for(5, sub {
    open my $in, '<', $t->prefix . '/logs/access.log' or die "log: $!";
    my $log = join '', readline $in;
    $log =~ m!^/arg-kept "tom"$!m && $log =~ m!^/arg-open "tom"$!m
        && $log =~ m!^/open "-"$!m;
}), '$stomp_user is in the access log');


# the file changes: all workers see it, existing sessions stay

my $old = $t->stomp(connect => { login => 'sha', passcode => 'secret-sha' });

change('new:{PLAIN}secret-new');
all_workers_accept('new', 'secret-new');
refused([ 'a removed user', 'sha', 'secret-sha' ]);
is($old->subscribe('/topic/x', id => 's'), 's', 'a session goes on');
$old->close;

# replaced by another one of the same size, in the same second

write_users('new:{PLAIN}secret-2nd');
all_workers_accept('new', 'secret-2nd');

# spoilt: the old users stay, with one error a worker

for ([ 'malformed' => sub { write_users('a:{PLAIN}b', 'no colon here') },
       qr/users file ".*users", line 2: it has no ":"/ ],
     [ 'gone' => sub { unlink $file or die "$file: $!" },
       qr/users file ".*users", line 0: it can't be looked at/ ])
{
    my ($what, $spoil, $message) = @$_;
    my $is = length $t->error_log;
    $spoil->();

    ok(wait_for(5, sub {
        my $new = substr $t->error_log, $is;
        3 == (() = $new =~ /\[error\].*$message/g);
    }), "$what: an error in each worker") or diag substr $t->error_log, $is;

    sleep_ticks(2);
    is(scalar(() = substr($t->error_log, $is) =~ /\[error\].*users file/g), 3,
       "$what: and no more of them");
    my ($frame) = login('new', 'secret-2nd');
    is($frame->{command}, 'CONNECTED', "$what: the users are as before");

    change('new:{PLAIN}secret-2nd', "# $what");
    all_workers_read();
}

write_users();
ok(wait_for(8, sub { (login('new', 'secret-2nd'))[0]{command} eq 'ERROR' }),
   'an empty file has no users');

$t->ok_no_alerts;


# nginx -t

for ([ 'a missing file', undef, qr/: it can't be opened \(2: / ],
     [ 'a line without a colon', "# x\n\nabc\n", qr/, line 3: it has no ":"/ ],
     [ 'no hash', "a:\n", qr/, line 1: there is no hash behind the name/ ],
     [ 'no hash but a comment', "a::b\n", qr/, line 1: there is no hash/ ],
     [ 'no name', "b:c\n:x\n", qr/, line 2: the name must have 1 to 255/ ],
     [ 'a name of 256', 'x' x 256 . ":x\n", qr/, line 1: the name must have/ ],
     [ 'a name not in UTF-8', "\xff:x\n", qr/, line 1: the name must have/ ],
     [ 'a user twice', "b:1\na:1\nb:2\n", qr/, line 3: this user was named/ ],
     [ 'an unknown kind', "b:{MD4}1\n", qr/, line 1: the kind of its hash/ ],
     [ 'lines with CR LF', "a:{PLAIN}b\r\n\r\nb:{PLAIN}c\r\n", undef ],
     [ 'no end of line', 'a:{PLAIN}b', undef ],
     [ 'nothing', '', undef ])
{
    my ($name, $text, $message) = @$_;

    unlink $file;
    defined $text and write_text($text);
    my ($code, $said) = $t->test_config(<<'CONF');
stomp_broker a {
    zone 1m; topic /a/;
    users users;
}
CONF

    if ($message) {
        isnt($code, 0, "$name: refused");
        like($said, qr/\[emerg\] users file "\Q$file\E"$message.*inc:3/,
             "$name: in words");
    } else {
        is($code, 0, "$name: accepted") or diag $said;
    }
}

my (undef, $said) = $t->test_config(
    "stomp_broker a { zone 1m; topic /a/; users users;\nusers users; }");
like($said, qr/"users" directive is duplicate in .*:2$/m, 'users twice');

unlink $file;
mkdir $file;
(undef, $said) = $t->test_config(
    'stomp_broker a { zone 1m; topic /a/; users users; }');
like($said, qr/users file ".*": it is not a file/, 'a directory');
rmdir $file;

done_testing;


sub client {
    my ($path, %opt) = @_;

    return Test::Stomp::Client->new(port => $t->port, path => $path, %opt);
}


# the first frame, and the client

sub login {
    my ($user, $password) = @_;

    my $c = client('/endpoint-websocket');
    return ($c->connect(login => $user, passcode => $password), $c);
}


sub user {
    my ($path, @opt) = @_;

    my $c = client($path);
    my $frame = $c->connect(@opt);
    is($frame->{command}, 'CONNECTED', "connected to $path");
    $c->close;
    return $frame->{headers}{'user-name'};
}


# What the clients are told, all at the same time: each waits for a tick.

sub refused {
    my (@logins) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my @clients = map { client('/endpoint-websocket') } @logins;

    for (0 .. $#logins) {
        $clients[$_]->send_frame(CONNECT => [ 'accept-version' => '1.2',
            login => $logins[$_][1], passcode => $logins[$_][2] ]);
    }

    return map { $clients[$_]->expect_error('login refused', $logins[$_][0],
                                            1008)->{body} } 0 .. $#logins;
}


sub all_workers_accept {
    my ($user, $password) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my %slots;
    ok(wait_for(15, sub {
        my ($frame, $c) = login($user, $password);
        $frame->{command} eq 'CONNECTED' and $slots{ $c->slot }++;
        $c->close;
        return keys(%slots) == 3;
    }), "all workers know $user with $password");
    return;
}


my $changes;

sub change {
    my (@lines) = @_;

    $changes = () = $t->error_log =~ /\[notice\].*has changed/g;
    write_users(@lines);
    return;
}


sub all_workers_read {
    return wait_for(8, sub {
        $changes + 3 <= (() = $t->error_log =~ /\[notice\].*has changed/g);
    });
}


# Whole ticks, as heart-beats of a session show them.

sub sleep_ticks {
    my ($n) = @_;

    my $c = client('/arg-open?user=tick');
    $c->connect(heart_beat => '0,1000');
    $c->recv($n + 0.5);
    $c->close;
    return;
}


sub write_users { return write_text(join '', map { "$_\n" } @_) }

sub write_text {
    my ($text) = @_;

    open my $out, '>', "$file.new" or die "$file: $!";
    print $out $text;
    close $out or die "$file: $!";
    rename "$file.new", $file or die "$file: $!";
    return;
}
