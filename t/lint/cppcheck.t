# Without this: one more pair of eyes on the same code, with other mistakes
# in mind.
#
# What it need not say, and why, stands in .cppcheck, or beside the line that
# it would complain about.

use lib 't/lib';
use Test::Stomp::Lint;

my $cppcheck = need_tool('cppcheck');

# nginx's headers make all of their switches dependent on each other: of the
# thousands of combinations the one that is built is looked at.

my @flags = map { s/^-isystem$/-I/r } compile_flags();
my @command = ($cppcheck, '--quiet', '--std=c99', '--platform=unix64',
               '--enable=warning,performance,portability', '--inline-suppr',
               '--suppressions-list=.cppcheck', '--max-configs=1', '-j2',
               '--error-exitcode=2', '-D__linux__=1', '-D__x86_64__=1', @flags);

clean('cppcheck: ngx_stomp_module',
      grep { length } run_all(1, [ @command, 'ngx_stomp_module' ]));


my $sample = temporary(<<'END', '.c');
#include <ngx_config.h>
#include <ngx_core.h>

void
ngx_sample(ngx_str_t *s)
{
    u_char  text[4];

    text[sizeof("four") - 1] = '\0';
    ngx_memzero(s, sizeof(s));
}
END

my ($text) = run_all(1, [ @command, $sample ]);

like($text, qr/:9:.*arrayIndexOutOfBounds/, 'caught: a write behind an array');
like($text, qr/:10:.*(?:pointerSize|sizeofwithnumericparameter)/,
     "caught: sizeof of a pointer, in nginx's macro");

done_testing;
