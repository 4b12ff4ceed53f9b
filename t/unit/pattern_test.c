
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: a rule lets a name pass, or a client subscribes with stars to
 * what is denied.  All short patterns are compared with all short names.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_pattern.h>
#include <unit_guard.h>


#define PATTERNS_MAX  256
#define NAMES_MAX     512
#define LENGTH_MAX    16


typedef struct {
    char        text[LENGTH_MAX];
    ngx_uint_t  segments;
} word_t;


static unit_guard_t  guard, other;
static word_t        patterns[PATTERNS_MAX], names[NAMES_MAX];
static ngx_uint_t    npatterns, nnames;
static u_char        matches[PATTERNS_MAX][NAMES_MAX];


static ngx_str_t *
str(unit_guard_t *g, const char *text)
{
    static ngx_str_t   s[2];
    ngx_str_t         *p;

    p = (g == &guard) ? &s[0] : &s[1];

    p->len = strlen(text);
    p->data = unit_guard_copy(g, text, p->len);

    return p;
}


/* all words of up to n segments, each one of four */

static ngx_uint_t
words(word_t *list, const char *const *segments, ngx_uint_t n)
{
    ngx_uint_t  i, k, from, to, level;

    memset(list, 0, sizeof(word_t));

    from = 0;
    to = 1;

    for (level = 1; level <= n; level++) {
        k = to;

        for ( /* void */ ; from < to; from++) {
            for (i = 0; i < 4; i++) {
                snprintf(list[k].text, LENGTH_MAX, "%s/%s", list[from].text,
                         segments[i]);
                list[k++].segments = level;
            }
        }

        from = to;
        to = k;
    }

    return to;
}


/* in other words than the module's */

static ngx_uint_t
fits(const char *pattern, const char *name)
{
    size_t  n;

    if (strcmp(pattern, "/**") == 0) {
        return 1;
    }

    if (*pattern == '\0' || *name == '\0') {
        return *pattern == *name;
    }

    n = strcspn(name + 1, "/");

    if (strncmp(pattern, "/*", 2) == 0
        && (pattern[2] == '/' || pattern[2] == '\0'))
    {
        return n != 0 && fits(pattern + 2, name + 1 + n);
    }

    return strcspn(pattern + 1, "/") == n
           && memcmp(pattern, name, n + 1) == 0
           && fits(pattern + 1 + n, name + 1 + n);
}


static int
setup(void **state)
{
    ngx_uint_t  i, k, n;

    static const char *const  plain[] = { "", "a", "b", "c" };
    static const char *const  stars[] = { "", "a", "b", "*" };

    nnames = words(names, plain, 4);
    assert_true(nnames <= NAMES_MAX);

    n = words(patterns, stars, 3);
    npatterns = n;

    for (i = 0; i < n; i++) {
        snprintf(patterns[npatterns].text, LENGTH_MAX, "%s/**",
                 patterns[i].text);
        npatterns++;
    }

    assert_true(npatterns <= PATTERNS_MAX);

    /* the first has no segment and is none */

    for (i = 1; i < npatterns; i++) {
        for (k = 0; k < nnames; k++) {
            matches[i][k] = (u_char) fits(patterns[i].text, names[k].text);
        }
    }

    return 0;
}


static void
test_match(void **state)
{
    ngx_uint_t  i, k, n;

    n = 0;

    for (i = 1; i < npatterns; i++) {
        for (k = 0; k < nnames; k++) {

            if (ngx_stomp_pattern_match(str(&guard, patterns[i].text),
                                        str(&other, names[k].text))
                != matches[i][k])
            {
                fail_msg("pattern %s, name %s", patterns[i].text,
                         names[k].text);
            }

            n += matches[i][k];
        }
    }

    assert_true(n > 1000);
}


static void
test_overlap_and_cover(void **state)
{
    ngx_str_t   *a, *b;
    ngx_uint_t   i, j, k, overlap, covers, noverlap, ncovers;

    noverlap = 0;
    ncovers = 0;

    for (i = 1; i < npatterns; i++) {
        for (j = 1; j < npatterns; j++) {

            overlap = 0;
            covers = 1;

            for (k = 0; k < nnames; k++) {
                overlap |= matches[i][k] & matches[j][k];
                covers &= matches[i][k] | !matches[j][k];
            }

            a = str(&guard, patterns[i].text);
            b = str(&other, patterns[j].text);

            if (ngx_stomp_pattern_overlap(a, b) != overlap) {
                fail_msg("overlap of %s and %s", patterns[i].text,
                         patterns[j].text);
            }

            if (ngx_stomp_pattern_covers(a, b) != covers) {
                fail_msg("%s covers %s", patterns[i].text, patterns[j].text);
            }

            noverlap += overlap;
            ncovers += covers;
        }
    }

    assert_true(ncovers > npatterns && noverlap > ncovers);
}


static void
test_wild(void **state)
{
    ngx_uint_t  i;

    for (i = 1; i < npatterns; i++) {
        assert_int_equal(ngx_stomp_pattern_wild(str(&guard, patterns[i].text)),
                         strchr(patterns[i].text, '*') != NULL);
    }

    assert_int_equal(ngx_stomp_pattern_wild(str(&guard, "/a*")), 0);
    assert_int_equal(ngx_stomp_pattern_wild(str(&guard, "/**/a")), 0);
    assert_int_equal(ngx_stomp_pattern_wild(str(&guard, "*")), 0);
    assert_int_equal(ngx_stomp_pattern_wild(str(&guard, "")), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_match),
        cmocka_unit_test(test_overlap_and_cover),
        cmocka_unit_test(test_wild)
    };

    unit_guard_init(&guard, 4096);
    unit_guard_init(&other, 4096);
    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests_name("pattern", tests, setup, NULL);
}
