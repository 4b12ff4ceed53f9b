#!/usr/bin/perl

# Without it a subscription with wildcards that is made anew after a reload,
# while a worker of the old configuration has the same one, hears nothing.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Test::Stomp;

my $t = nginx(workers => 1);

$t->write_conf(conf('/topic/ /topic/sub/'))->start;

my $old = $t->stomp;
$old->subscribe($_, id => $_) for '/topic/sub/*', '/topic/*';

# a prefix less, then other words

for my $topics ('/topic/', '/topic/ separator=.') {

    $t->write_conf(conf($topics));
    ok($t->reload, "a reload: topic $topics");

    my $new = $t->stomp;
    my $publisher = $t->stomp;

    for my $pattern ('/topic/sub/*', '/topic/*') {
        next if $pattern eq '/topic/sub/*' && $topics =~ /separator/;

        $new->subscribe($pattern, id => $pattern);
        $publisher->send($pattern =~ s/\*/a/r, $pattern, receipt => 1);
        $new->expect(MESSAGE => subscription => $pattern, -body => $pattern,
                     -name => "$pattern is heard");
        $new->unsubscribe($pattern);
    }

    $_->close for $new, $publisher;
}

$old->close;
$t->ok_no_alerts;
done_testing;


sub conf {
    my ($topics) = @_;

    return <<"CONF";
stomp_broker chat {
    zone   4m;
    topic  $topics;
    allow  send /topic/**;
}

server {
    listen 127.0.0.1:%%PORT%%;

    location = /endpoint-websocket { stomp_pass chat; }
    location = /stomp_status { stomp_status chat; }
}
CONF
}
