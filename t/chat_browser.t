#!/usr/bin/perl

# The chat example as its users see it: two pages in a browser, on different
# workers, with the real client library.  Whatever one page, the game
# master's page or an HTTP push sends must show on each page once, in order.

use Test::Stomp;
use Test::More;

my ($chromium) = grep { defined && -x } $ENV{CHROMIUM},
    '/usr/bin/chromium', '/usr/bin/chromium-browser';

plan skip_all => 'no chromium' unless $chromium;
plan skip_all => 'NODE_PATH not set' unless $ENV{NODE_PATH};

my $t = nginx(workers => 4);
my $pages = $t->root . '/conf-examples/chat';
my $bundle = "$ENV{NODE_PATH}/\@stomp/stompjs/bundles/stomp.umd.min.js";

for my $file (glob("$pages/*.html $pages/*.js $pages/*.css"), $bundle) {
    system('cp', $file, $t->prefix . '/html/') == 0 or die "cp $file\n";
}

Test::Stomp::Nginx::write_file($t->prefix . '/conf/nginx.conf',
                               adapted("$pages/nginx.conf"));
$t->start;

browse($chromium, 'http://127.0.0.1:' . $t->port);

$t->ok_no_alerts;
done_testing();


# The example's configuration with this test's modules, user and port.

sub adapted {
    my ($path) = @_;

    my $conf = Test::Stomp::Nginx::read_file($path);
    my $modules = join '', map { "load_module $_;\n" } $t->modules;
    my $user = $> == 0 ? "user root;\n" : '';
    my $port = $t->port;

    $conf =~ s/^load_module .*\n//mg;
    $conf =~ s/listen 127\.0\.0\.1:8020/listen 127.0.0.1:$port/
        or die "no listen directive to adapt in $path\n";
    $conf =~ s/^worker_processes .*/worker_processes 4;/m;

    return "$modules$user$conf";
}


# Each line that the script prints is a check or a remark.

sub browse {
    my ($browser, $url) = @_;

    my $shots = "$t->{build}/screenshots";
    my @command = ('node', $t->root . '/t/browser/chat.mjs', $browser, $url,
                   $shots, $t->prefix . '/profile');

    open my $out, '-|', @command or die "node: $!\n";

    while (my $line = <$out>) {
        chomp $line;

        if ($line =~ /^(not )?ok - (.*)/) {
            ok(!$1, $2);
        } else {
            diag($line);
        }
    }

    close $out;
    is($?, 0, 'the browser script ran to its end');
    return;
}
