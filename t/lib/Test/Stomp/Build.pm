package Test::Stomp::Build;

# use Test::Stomp::Build; gives strict, warnings and Test::More.
#
#   my $b = Test::Stomp::Build->new('trixie', 'plain');     # tools/nginx.sh
#   $b->run_ok('t/push.t');
#
# Runs other tests on an nginx that was built from Debian's source package.
# Each is one test here; of one that fails all output is shown.

use strict;
use warnings;

use Cwd ();
use File::Basename ();
use File::Path ();
use Test::More;

use Test::Stomp::Nginx;
use Test::Stomp::Util qw(now);

my $root = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../../..');
my $build = $ENV{STOMP_BUILD} // "$root/build";


sub import {
    strict->import;
    warnings->import;
    chdir $root or die "$root: $!";
    Test::More->export_to_level(1);
    return;
}


# Dies if it can't be built, with what the tool said.

sub new {
    my ($class, $suite, $kind) = @_;

    my $start = now();
    local $ENV{BUILD} = $build;
    my $output = qx(tools/nginx.sh $suite $kind 2>&1);
    die "$output\nthere is no nginx of $suite, $kind\n" if $?;

    my ($folder, $origin) = $output =~ m!^(\S+)/nginx is (.*)$!m;
    diag(sprintf '%s: %s (built in %.0f s)', $suite, $origin, now() - $start);

    my $self = bless { folder => $folder, origin => $origin,
                       reports => "$folder/reports" }, $class;
    $self->link_packages;

    return $self;
}


sub folder { return $_[0]{folder} }
sub origin { return $_[0]{origin} }


# as nginx itself says it, "1.26.3"

sub version {
    my ($self) = @_;

    my ($version) = qx('$self->{folder}/nginx' -v 2>&1)
                    =~ m!^nginx version: nginx/([\d.]+)!;
    return $version;
}


# The packages of npm are the same for every nginx.

sub link_packages {
    my ($self) = @_;

    my $link = "$self->{folder}/npm-test";
    symlink '../npm-test', $link unless -l $link;
    return;
}


# All tests of the module on nginx, but those that the caller names.

sub suite {
    my (%left_out) = @_;

    my @files = sort glob 't/*.t';
    my %there = map { $_ => 1 } @files;
    my @gone = grep { !$there{$_} } sort keys %left_out;
    die "left out, but not there: @gone\n" if @gone;

    return grep { !$left_out{$_} } @files;
}


# run_ok('t/a.t', NAME => 'value', ...): with these in the environment.  What
# a sanitizer reports makes the test fail, also when nobody looked.

sub run_ok {
    my ($self, $file, %env) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($passed, $seconds, $output) = $self->run($file, %env);
    my @reports = $self->take_reports;

    # a file that skips all of its tests has shown nothing
    if ($passed && !@reports && $output =~ /^Result: NOTESTS$/m) {
        my ($reason) = $output =~ /\bskipped: (.*)/;
        return Test::More->builder->skip("$file: " . ($reason // ''));
    }

    my $ok = ok($passed && !@reports, sprintf '%s (%.0f s)', $file, $seconds);
    diag(tail($output, 200)) unless $passed;
    diag(head($_, 60)) for @reports;

    return $ok;
}


sub run {
    my ($self, $file, %env) = @_;

    $self->take_reports;

    my $start = now();
    local @ENV{ keys %env } = values %env;
    local @ENV{qw(ASAN_OPTIONS UBSAN_OPTIONS)} = ($self->log_options) x 2;
    local $ENV{PROVE_FLAGS} = '';
    delete local @ENV{qw(TEST_NGINX_BINARY HARNESS_ACTIVE HARNESS_VERSION
                         LD_LIBRARY_PATH)};
    my $output = qx(. '$self->{folder}/env' && tools/test.sh $file 2>&1);

    return ($? == 0, now() - $start, $output);
}


sub log_options { return "log_path=$_[0]{reports}/report" }


# Runs an nginx that makes a mistake of t/builds/seed, to its end.

sub make_mistake {
    my ($self, $binary, $mistake) = @_;

    local $ENV{TEST_NGINX_BINARY} = $binary;
    local $ENV{NDK_MODULE} = "$self->{folder}/ndk_http_module.so";
    local $ENV{STOMP_MODULE} = "$self->{folder}/ngx_http_seed_module.so";

    my $t = Test::Stomp::Nginx->new(workers => 0);
    $t->write_conf(<<"CONF")->start;
server {
    listen 127.0.0.1:%%PORT%%;
    location = /mistake { seed_mistake $mistake; }
}
CONF

    eval { $t->request(GET => '/mistake') };
    $t->stop(quit => 30);
    return;
}


# The reports since the last call.  Whoever wrote them may be writing still:
# the tests have stopped their nginx, or failed.

sub take_reports {
    my ($self) = @_;

    my @reports;
    for my $path (glob "$self->{reports}/*") {
        open my $in, '<', $path or die "$path: $!";
        my $text = join '', readline $in;
        push @reports, $text if $text ne '';
    }

    File::Path::remove_tree($self->{reports});
    File::Path::make_path($self->{reports});

    return @reports;
}


sub head {
    my ($text, $n) = @_;

    my @lines = split /^/, $text;
    splice @lines, $n if @lines > $n;
    return join '', @lines;
}


sub tail {
    my ($text, $n) = @_;

    my @lines = split /^/, $text;
    splice @lines, 0, @lines - $n if @lines > $n;
    return join '', @lines;
}

1;
