# Without it a wrong configuration could start, fail in a worker, or be
# refused with a message that names neither the place nor the remedy.
#
# A block below is a configuration and what "nginx -t" has to say about it.
# "#HERE" marks the line that the message has to name; where a message is
# about the whole of http, it names the file that this block is included in.

use lib 't/lib';

use Test::More;
use Test::Stomp;

my $t = nginx();
my $file = $t->prefix . '/conf/http-test.inc';
my $main = $t->prefix . '/conf/test.conf';
my $broker = 'stomp_broker chat { zone 1m; topic /topic/; }';

for my $block (blocks()) {
    my ($name, $conf, $want) = @$block;

    my $line = 0;
    for (split /^/, $conf) {
        $line++;
        last if /#HERE/;
    }

    $conf =~ s/\bCHAT\b/$broker/g;
    my ($code, $text) = $t->test_config($conf);
    my @said = $text =~ /^nginx: (\[(?:emerg|warn)\] .*)$/mg;

    if ($want eq 'ok') {
        is($code, 0, "$name: accepted");
        is("@said", '', "$name: in silence");
        next;
    }

    # the end of http has another line with other modules
    $want .= $conf =~ /#HERE/ ? " in $file:$line" : " in $main:"
        unless $want =~ s/ HERE$/ $file:$line/;
    my $level = $want =~ s/^warn: // ? 'warn' : 'emerg';

    is($code, $level eq 'warn' ? 0 : 1, "$name: exit code");
    is(@said, 1, "$name: one message");

    my $said = $said[0] // '';
    $said =~ s/\d+$// if $want =~ /:$/;
    is($said, "[$level] $want", "$name: says what is wrong and where");
}

for ([ max_frame => 'from 128 to 2047m', 127, '2048m' ],
     [ max_headers => 'from 4 to 1024', 3, 1025 ],
     [ max_header_length => 'from 64 to 64k', 63, 65537 ],
     [ max_body => 'from 0 to 1023m', '1024m' ],
     [ max_subscriptions => 'from 1 to 100000', 0, 100001 ],
     [ heartbeat_tolerance => 'from 1 to 100', 0, 101 ],
     [ max_output => 'from 0 to 2047m', '2048m' ],
     [ max_transactions => 'from 0 to 1000', 1001 ],
     [ max_transaction_frames => 'from 1 to 1000', 0, 1001 ],
     [ max_transaction_size => 'from 128 to 2047m', 127, '2048m' ],
     [ connect_timeout => 'from 1s to 365d', 0, '366d' ],
     [ frame_timeout => 'from 1s to 365d', 0, '366d' ],
     [ output_timeout => 'from 1s to 365d', 0, '366d' ])
{
    my ($name, $range, @wrong) = @$_;

    for (@wrong) {
        my (undef, $text) = $t->test_config("server {\nstomp_$name $_;\n}");
        my ($said) = $text =~ /^nginx: (.*)/;
        is($said, "[emerg] stomp_$name must be $range, not \"$_\" in $file:2",
           "stomp_$name $_ refused");
    }

    my (undef, $text) = $t->test_config("stomp_$name x;");
    like($text, qr/^nginx: \[emerg\] .*"?stomp_$name.* in \Q$file\E:1$/m,
         "stomp_$name x refused");

    (undef, $text) = $t->test_config("stomp_$name 200;\nstomp_$name 200;\n");
    like($text, qr/\[emerg\] "stomp_$name" directive is duplicate in .*:2$/m,
         "stomp_$name twice refused") if $name !~ /tolerance/;
}

{
    local $t->{globals} = 'worker_shutdown_timeout 10s;';

    my $conf = "$broker\n";
    my $warn = 'worker_shutdown_timeout is shorter than stomp_shutdown_drain';

    my ($code, $text) = $t->test_config($conf);
    is($code, 0, 'a short worker_shutdown_timeout is accepted');
    like($text, qr/\[warn\] $warn, 30 seconds: /, 'with a warning');

    (undef, $text) = $t->test_config("$conf stomp_shutdown_drain 11s;");
    like($text, qr/\[warn\] $warn, 11 seconds: /, 'that has the time');

    (undef, $text) = $t->test_config("$conf stomp_shutdown_drain 10s;");
    unlike($text, qr/\[warn\]/, 'which both may have');
}

{
    my (undef, $text) = $t->test_config("$broker\n$broker\n");
    my ($said) = $text =~ /^nginx: (.*)/;
    is($said, qq([emerg] stomp_broker "chat" is already defined in $file:1,)
              . " give this one another name in $file:2",
       'two brokers of one name');

    my @brokers = map { "stomp_broker b$_ { zone 1m; topic /topic/; }\n" }
                  1 .. 65;

    my ($code) = $t->test_config(join '', @brokers[ 0 .. 63 ]);
    is($code, 0, '64 brokers are accepted');

    (undef, $text) = $t->test_config(join '', @brokers);
    like($text, qr/\[emerg\] there can be 64 stomp_broker blocks in .*:65$/m,
         'and no more');
}

$t->ok_no_alerts;

done_testing;


sub blocks {
    my ($text) = do { local $/; <DATA> };

    return map {
        my ($name, $conf, $want) = /\A(.*?)\n(.*?)^--- (.*)\n\s*\z/ms
            or die "bad block: $_";
        $want =~ s/\n/ /g;
        [ $name, $conf, $want ];
    } split /^=== /m, $text =~ s/\A=== //r;
}


__DATA__
=== nothing of ours
server { }
--- ok
=== the least
CHAT
--- ok
=== all of a broker
stomp_broker a {
    zone   1m;
    topic  / /a/b/;
    allow  send / /a /a/* /a/** /*/*/x /**;
    inbox  16k;
}
--- ok
=== the same as 1m
stomp_broker a { zone 1024k; topic /a/; inbox 1024k; }
--- ok
=== the largest zone
stomp_broker a { zone 4095m; topic /a/; }
--- ok
=== undefined broker
server {
    location / { stomp_pass cat; } #HERE
}
--- stomp_broker "cat" is not defined, add a block
"stomp_broker cat { zone 16m; topic /topic/; }" to http, in HERE
=== undefined broker of a push
CHAT
server {
    location / { stomp_push chat2; } #HERE
}
--- stomp_broker "chat2" is not defined, add a block
"stomp_broker chat2 { zone 16m; topic /topic/; }" to http, in HERE
=== undefined broker of a status
server {
    location / {
        stomp_status x; #HERE
    }
}
--- stomp_broker "x" is not defined, add a block
"stomp_broker x { zone 16m; topic /topic/; }" to http, in HERE
=== broker without a name
stomp_broker "" { #HERE
}
--- the name of a stomp_broker must have 1 to 64 characters
=== broker with a long name
stomp_broker
    a1234567890123456789012345678901234567890123456789012345678901234 { #HERE
}
--- the name of a stomp_broker must have 1 to 64 characters
=== broker with the longest name
stomp_broker a123456789012345678901234567890123456789012345678901234567890123 {
    zone 1m; topic /topic/;
}
--- ok
=== histories
stomp_broker a {
    zone     1m;
    topic    /topic/;
    history  /topic/a/ 1 1ms;
    history  /topic/ 10000000 365d;
    history  /topic/a/b 100 1h;
    history  /users/ 100 1h;
    history_size 1m;
    max_retained 0;
}
--- ok
=== a history that begins with no slash
stomp_broker a {
    zone 1m; topic /topic/;
    history topic/ 10 1h; #HERE
}
--- history prefix "topic/" must begin with "/", write for example
"history /topic/quotes/ 100 10m;"
=== a history of users
stomp_broker a {
    zone 1m; topic /topic/;
    history /user/tom/ 10 1h; #HERE
}
--- history prefix "/user/tom/" is one of users, whose messages are not kept
=== a history of nothing
stomp_broker a {
    zone 1m; topic /topic/;
    history /topic/ 0 1h; #HERE
}
--- invalid length "0" of a history, it must be 1 to 10000000 messages, write
for example "history /topic/quotes/ 100 10m;"
=== a history that is too long
stomp_broker a {
    zone 1m; topic /topic/;
    history /topic/ 10000001 1h; #HERE
}
--- invalid length "10000001" of a history, it must be 1 to 10000000 messages,
write for example "history /topic/quotes/ 100 10m;"
=== a history without an age
stomp_broker a {
    zone 1m; topic /topic/;
    history /topic/ 10 0; #HERE
}
--- invalid age "0" of a history, write for example
"history /topic/quotes/ 100 10m;"
=== a history of some age
stomp_broker a {
    zone 1m; topic /topic/;
    history /topic/ 10 old; #HERE
}
--- invalid age "old" of a history, write for example
"history /topic/quotes/ 100 10m;"
=== two histories of one prefix
stomp_broker a {
    zone 1m; topic /topic/;
    history /topic/ 10 1h;
    history /topic/ 20 1h; #HERE
}
--- the history of "/topic/" is already defined
=== more history than zone
stomp_broker a {
    zone 1m; topic /topic/;
    history_size 2m;
} #HERE
--- "history_size" of stomp_broker "a" is larger than its "zone"
=== two sizes of history
stomp_broker a {
    zone 1m; topic /topic/;
    history_size 64k;
    history_size 64k; #HERE
}
--- "history_size" directive is duplicate
=== a wrong number of retained messages
stomp_broker a {
    zone 1m; topic /topic/;
    max_retained many; #HERE
}
--- "max_retained" directive invalid number
=== no zone
stomp_broker a {
    topic /topic/;
} #HERE
--- stomp_broker "a" has no "zone", add for example "zone 16m;"
=== no topic
stomp_broker a {
    zone 1m;
} #HERE
--- stomp_broker "a" has no "topic", add for example "topic /topic/;"
=== two zones
stomp_broker a {
    zone 1m;
    zone 1m; #HERE
}
--- "zone" directive is duplicate
=== small zone
stomp_broker a {
    zone 1023k; #HERE
}
--- zone "1023k" is too small, it must have at least 1m
=== large zone
stomp_broker a {
    zone 4096m; #HERE
}
--- zone "4096m" is too large, it can have 4095m
=== very large zone
stomp_broker a {
    zone 8192g; #HERE
}
--- zone "8192g" is too large, it can have 4095m
=== zone without a number
stomp_broker a {
    zone big; #HERE
}
--- invalid size "big" of a zone, write for example "zone 16m;"
=== zone with a negative size
stomp_broker a {
    zone -1m; #HERE
}
--- invalid size "-1m" of a zone, write for example "zone 16m;"
=== zone with two parameters
stomp_broker a {
    zone a 1m; #HERE
}
--- invalid number of arguments in "zone" directive
=== topic without a slash before
stomp_broker a {
    topic /a/ topic/; #HERE
}
--- topic prefix "topic/" must begin and end with "/", write for example
"topic /topic/;"
=== topic without a slash behind
stomp_broker a {
    topic /topic; #HERE
}
--- topic prefix "/topic" must begin and end with "/", write for example
"topic /topic/;"
=== topic with a separator of its own
stomp_broker a {
    topic /topic/ separator=_; #HERE
}
--- invalid parameter "separator=_", write for example "topic /topic/
separator=.;", or "separator=/"
=== topic with a separator only
stomp_broker a {
    topic separator=.; #HERE
}
--- invalid parameter "separator=.", write for example "topic /topic/
separator=.;", or "separator=/"
=== empty topic
stomp_broker a {
    topic ""; #HERE
}
--- topic prefix "" must begin and end with "/", write for example
"topic /topic/;"
=== topic of nothing
stomp_broker a {
    topic; #HERE
}
--- invalid number of arguments in "topic" directive
=== allow what
stomp_broker a {
    allow publish /topic/**; #HERE
}
--- invalid parameter "publish", write for example "allow send /topic/**;"
or "allow subscribe /topic/**;"
=== deny what
stomp_broker a {
    deny all; #HERE
}
--- invalid number of arguments in "deny" directive
=== deny without a pattern
stomp_broker a {
    deny subscribe @authenticated; #HERE
}
--- "deny subscribe" needs a pattern, write for example
"deny subscribe /topic/** @authenticated;"
=== a rule for nobody
stomp_broker a {
    allow send /topic/** user=; #HERE
}
--- the name of the user in "user=" is empty
=== a rule for two
stomp_broker a {
    allow send /topic/** user=a user=b; #HERE
}
--- pattern "user=a" must begin with "/"
=== an unknown kind of users
stomp_broker a {
    allow send /topic/** @anonymous; #HERE
}
--- pattern "@anonymous" must begin with "/"
=== rules
stomp_broker a {
    zone 1m; topic /topic/;
    deny subscribe /topic/** user=a; allow subscribe /** @authenticated;
    allow send /topic/a user=b; deny send /a /b "user=b c";
}
--- ok
=== a topic of users
stomp_broker a {
    topic /user/; #HERE
}
--- topic prefix "/user/" can't begin with "/user/", which is there for the
destinations of users and needs no "topic"
=== allow without a pattern
stomp_broker a {
    allow send; #HERE
}
--- invalid number of arguments in "allow" directive
=== pattern without a slash
stomp_broker a {
    allow send /a topic/**; #HERE
}
--- pattern "topic/**" must begin with "/"
=== empty pattern
stomp_broker a {
    allow send ""; #HERE
}
--- pattern "" must begin with "/"
=== pattern with two stars inside
stomp_broker a {
    allow send /a/**/b; #HERE
}
--- pattern "/a/**/b" can have "**" only at its end
=== pattern with a star in a word
stomp_broker a {
    allow send /a/b*; #HERE
}
--- pattern "/a/b*" can have "*" only as a whole segment
=== pattern with three stars
stomp_broker a {
    allow send /***; #HERE
}
--- pattern "/***" can have "*" only as a whole segment
=== large inbox
stomp_broker a {
    inbox 1025k; topic /a/; zone 1m;
} #HERE
--- "inbox" of stomp_broker "a" is larger than its "zone"
=== small inbox
stomp_broker a {
    inbox 16383; #HERE
}
--- inbox "16383" is too small, it must have at least 16k
=== inbox without a number
stomp_broker a {
    inbox few; #HERE
}
--- "inbox" directive invalid value
=== no sessions
stomp_broker a {
    max_sessions 0; #HERE
}
--- max_sessions must be at least 1; without it the "zone" alone limits the
number of sessions
=== sessions without a number
stomp_broker a {
    max_sessions many; #HERE
}
--- "max_sessions" directive invalid number
=== sessions twice
stomp_broker a {
    max_sessions 1;
    max_sessions 1; #HERE
}
--- "max_sessions" directive is duplicate
=== rates
CHAT
stomp_message_rate 10; stomp_byte_rate 1k; stomp_rate_policy close;
stomp_slow_policy drop;
server {
    stomp_message_rate 1 burst=2147483647; stomp_rate_policy delay;
    stomp_byte_rate 2047m burst=1k; stomp_slow_policy close;
    location / {
        stomp_pass chat; stomp_message_rate off; stomp_byte_rate off;
    }
}
--- ok
=== no messages a second
stomp_message_rate 0; #HERE
--- stomp_message_rate must be "off" or a number a second from 1 to 2147483647,
and a burst likewise, for example "stomp_message_rate 100 burst=200;"
=== messages a second without a number
stomp_message_rate 10r/s; #HERE
--- stomp_message_rate must be "off" or a number a second from 1 to 2147483647,
and a burst likewise, for example "stomp_message_rate 100 burst=200;"
=== a burst of no messages
stomp_message_rate 10 burst=; #HERE
--- stomp_message_rate must be "off" or a number a second from 1 to 2147483647,
and a burst likewise, for example "stomp_message_rate 100 burst=200;"
=== messages a second with something else
stomp_message_rate 10 nodelay; #HERE
--- stomp_message_rate must be "off" or a number a second from 1 to 2147483647,
and a burst likewise, for example "stomp_message_rate 100 burst=200;"
=== a burst without a rate
stomp_message_rate off burst=10; #HERE
--- stomp_message_rate must be "off" or a number a second from 1 to 2147483647,
and a burst likewise, for example "stomp_message_rate 100 burst=200;"
=== messages a second twice
stomp_message_rate off;
stomp_message_rate 10; #HERE
--- "stomp_message_rate" directive is duplicate
=== few octets a second
stomp_byte_rate 1023; #HERE
--- stomp_byte_rate must be "off" or a size a second from 1k to 2047m, and a
burst likewise, for example "stomp_byte_rate 64k burst=256k;"
=== a large burst
stomp_byte_rate 1k burst=2048m; #HERE
--- stomp_byte_rate must be "off" or a size a second from 1k to 2047m, and a
burst likewise, for example "stomp_byte_rate 64k burst=256k;"
=== octets a second twice
stomp_byte_rate 1k;
stomp_byte_rate off; #HERE
--- "stomp_byte_rate" directive is duplicate
=== another policy
stomp_rate_policy drop; #HERE
--- invalid value "drop"
=== another policy for slow clients
stomp_slow_policy delay; #HERE
--- invalid value "delay"
=== unknown directive in a broker
stomp_broker a {
    queues /queue/; #HERE
}
--- unknown directive "queues"
=== directive of http in a broker
stomp_broker a {
    stomp_max_body 1m; #HERE
}
--- "stomp_max_body" directive is not allowed here
=== directive of a broker in http
inbox 1m; #HERE
--- "inbox" directive is not allowed here
=== broker in a server
server {
    stomp_broker a { } #HERE
}
--- "stomp_broker" directive is not allowed here
=== broker without a block
stomp_broker a; #HERE
--- directive "stomp_broker" has no opening "{"
=== stomp_pass in a server
server { stomp_pass chat; } #HERE
--- "stomp_pass" directive is not allowed here
=== two of the same in a location
CHAT
server { location / { stomp_pass chat;
    stomp_pass chat; #HERE
} }
--- "stomp_pass" directive is duplicate
=== two handlers in a location
CHAT
server { location / { stomp_pass chat;
    stomp_push chat; #HERE
} }
--- "stomp_push" directive can't be in a location that has another handler,
such as stomp_pass, stomp_push, stomp_status or proxy_pass
=== stomp_status behind stub_status
CHAT
server { location / { stub_status;
    stomp_status chat; #HERE
} }
--- "stomp_status" directive can't be in a location that has another handler,
such as stomp_pass, stomp_push, stomp_status or proxy_pass
=== stomp_pass behind proxy_pass
CHAT
server { location / { proxy_pass http://127.0.0.1;
    stomp_pass chat; #HERE
} }
--- "stomp_pass" directive can't be in a location that has another handler,
such as stomp_pass, stomp_push, stomp_status or proxy_pass
=== stomp_pass before proxy_pass
CHAT
server { location /ws { stomp_pass chat; proxy_pass http://127.0.0.1; } }
--- location "/ws" has stomp_pass, stomp_push or stomp_status and another
handler, such as proxy_pass, give it a location of its own
=== handlers of a location and of one in it
CHAT
server { location / { stomp_pass chat; location /p { proxy_pass http://[::1]; }
    location /push { stomp_push chat; } } }
--- ok
=== push in an exact location
CHAT
server { location = /push { stomp_push chat; } }
--- stomp_push in location "/push" needs "stomp_push_destination": only a
location by prefix takes the destination from the rest of the URI
=== push in a location by regular expression
CHAT
server { location ~ ^/p { stomp_push chat; } }
--- stomp_push in location "^/p" needs "stomp_push_destination": only a
location by prefix takes the destination from the rest of the URI
=== push in a named location
CHAT
server { location @push { stomp_push chat; } }
--- stomp_push in location "@push" needs "stomp_push_destination": only a
location by prefix takes the destination from the rest of the URI
=== push with a destination everywhere
CHAT
server { location = /push { stomp_push chat; stomp_push_destination /topic/a; }
    location ~ ^/p { stomp_push_destination $uri; stomp_push chat; }
    location @push { stomp_push chat; stomp_push_destination $uri; }
    location /x { stomp_push chat; stomp_push_body $arg_x; } }
--- ok
=== body without a push
CHAT
server { location /x { stomp_pass chat; stomp_push_body a; } }
--- "stomp_push_destination" and "stomp_push_body" in location "/x" need
"stomp_push BROKER;" beside them
=== destination without a push
server { location /y { stomp_push_destination /topic/a; } }
--- "stomp_push_destination" and "stomp_push_body" in location "/y" need
"stomp_push BROKER;" beside them
=== two bodies
CHAT
server { location / { stomp_push chat; stomp_push_body a;
    stomp_push_body b; #HERE
} }
--- "stomp_push_body" directive is duplicate
=== good origins
stomp_origins http://a https://a.example:8443 http://[::1]:80 null app://x;
--- ok
=== origin without a scheme
stomp_origins https://a.example b.example; #HERE
--- invalid origin "b.example": it must be "scheme://host" or
"scheme://host:port", without a path, as browsers send it
=== origin with a path
stomp_origins https://a.example/; #HERE
--- invalid origin "https://a.example/": it must be "scheme://host" or
"scheme://host:port", without a path, as browsers send it
=== origin with a bad port
stomp_origins https://a.example:x; #HERE
--- invalid origin "https://a.example:x": it must be "scheme://host" or
"scheme://host:port", without a path, as browsers send it
=== origin without a host
stomp_origins https://; #HERE
--- invalid origin "https://": it must be "scheme://host" or
"scheme://host:port", without a path, as browsers send it
=== origin with an open bracket
stomp_origins http://[::1; #HERE
--- invalid origin "http://[::1": it must be "scheme://host" or
"scheme://host:port", without a path, as browsers send it
=== all origins and another one
stomp_origins https://a.example *; #HERE
--- "stomp_origins" directive has "*" and other origins, "*" alone allows all
=== two lists of origins
stomp_origins https://a.example;
stomp_origins same; #HERE
--- "stomp_origins" directive is duplicate
=== two lists of origins, the first for all
stomp_origins *;
stomp_origins https://a.example; #HERE
--- "stomp_origins" directive is duplicate
=== two lists of origins, the first the default
stomp_origins same;
stomp_origins *; #HERE
--- "stomp_origins" directive is duplicate
=== good heart-beats
stomp_heartbeat 25s;
server { stomp_heartbeat off 1m; location / { stomp_heartbeat 1s off; }
    location /a { stomp_heartbeat 0; } }
--- ok
=== short heart-beat
stomp_heartbeat 999ms; #HERE
--- invalid time "999ms", write "off" or from 1s to 24d, for example
"stomp_heartbeat 25s;"
=== wrong heart-beat
stomp_heartbeat 10s often; #HERE
--- invalid time "often", write "off" or from 1s to 24d, for example
"stomp_heartbeat 25s;"
=== two heart-beats
stomp_heartbeat 10s;
stomp_heartbeat 10s; #HERE
--- "stomp_heartbeat" directive is duplicate
=== three heart-beats
stomp_heartbeat 10s 10s 10s; #HERE
--- invalid number of arguments in "stomp_heartbeat" directive
=== ping interval too short
stomp_ping_interval 500ms; #HERE
--- invalid time "500ms", write "off" or from 1s to 24d, for example
"stomp_ping_interval 25s;"
=== ping interval too long
stomp_ping_interval 30d; #HERE
--- invalid time "30d", write "off" or from 1s to 24d, for example
"stomp_ping_interval 25s;"
=== ping interval twice
stomp_ping_interval off;
stomp_ping_interval 10s; #HERE
--- "stomp_ping_interval" directive is duplicate
=== stomp_set_json with a bad third parameter
server {
    stomp_set_json $a $b json; #HERE
}
--- invalid parameter "json", the third one can only be "raw"
=== stomp_set_json without a variable
server {
    stomp_set_json a $b; #HERE
}
--- invalid variable name "a"
=== stomp_set_json in http
stomp_set_json $a $b; #HERE
--- "stomp_set_json" directive is not allowed here
=== wrong flag
stomp_keep_request yes; #HERE
--- invalid value "yes" in "stomp_keep_request" directive, it must be
"on" or "off"
=== all limits at their lower bounds
stomp_max_frame 128; stomp_max_headers 4; stomp_max_header_length 64;
stomp_max_body 0; stomp_max_subscriptions 1; stomp_heartbeat_tolerance 1;
stomp_max_output 0; stomp_connect_timeout 1; stomp_output_timeout 1s;
stomp_frame_timeout 1; stomp_ping_interval 1;
stomp_shutdown_drain 0;
--- ok
=== all limits at their upper bounds
stomp_max_frame 2047m; stomp_max_headers 1024; stomp_max_header_length 64k;
stomp_max_body 1023m; stomp_max_subscriptions 100000; stomp_max_output 2047m;
stomp_heartbeat_tolerance 100; stomp_connect_timeout 365d;
stomp_frame_timeout 365d; stomp_output_timeout 365d;
--- ok
