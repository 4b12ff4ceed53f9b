# Without this: what gcc sees when it follows all paths of a function (use
# after free, leaks, NULL) is seen by users.

use lib 't/lib';
use Test::Stomp::Lint;

my $gcc = need_tool('gcc');

# -O1: without inlining the analyzer follows fewer paths
my @command = ($gcc, '-c', '-O1', '-fPIC', '-fanalyzer', '-o', '/dev/null',
               compile_flags());

my @sources = sources('c');

cmp_ok(scalar @sources, '>', 30, 'sources found');

my @found = run_all(2, map { [ @command, $_ ] } @sources);

clean("gcc -fanalyzer: $sources[$_]", grep { length } $found[$_])
    for 0 .. $#sources;


my $leak = temporary(<<'END', '.c');
#include <ngx_config.h>
#include <ngx_core.h>

ngx_uint_t ngx_sample(ngx_log_t *log);

ngx_uint_t
ngx_sample(ngx_log_t *log)
{
    ngx_uint_t  *p;

    p = malloc(sizeof(ngx_uint_t));

    if (p == NULL) {
        return 0;
    }

    *p = 1;
    free(p);

    return *p;
}
END

like((run_all(1, [ @command, $leak ]))[0], qr/-Wanalyzer-use-after-free/,
     'caught: a use after free');

done_testing;
