
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: a subscription hears names that its pattern doesn't match, or
 * misses some that it does; or a few octets of a pattern take minutes.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_wildcard.h>
#include <unit_guard.h>
#include <stdio.h>
#include <string.h>


#define WILDCARD_ROUNDS  200000


typedef struct {
    const char  *pattern;
    const char  *name;
    ngx_uint_t   matches;
} wildcard_case_t;


static unit_guard_t  guard_pattern;
static unit_guard_t  guard_name;

static ngx_str_t     prefixes[] = {
    ngx_string("/t/"), ngx_string("/r/"), ngx_string("/t/deep/"),
    ngx_string("/t/")
};

static ngx_str_t     dotted[] = {
    ngx_string("/r/"), ngx_string("/t/deep/")
};

static ngx_array_t   prefixes_array = { prefixes, 4, sizeof(ngx_str_t), 4,
                                        NULL };
static ngx_array_t   dotted_array = { dotted, 2, sizeof(ngx_str_t), 2, NULL };
static ngx_array_t   no_array = { NULL, 0, sizeof(ngx_str_t), 0, NULL };

static ngx_stomp_wildcard_topics_t  topics = { &prefixes_array,
                                               &dotted_array, 0 };
static ngx_stomp_wildcard_topics_t  slashes = { &prefixes_array, &no_array, 0 };


static wildcard_case_t  wildcard_cases[] = {
    { "/t/*", "/t/a", 1 },
    { "/t/*", "/t/a/b", 0 },
    { "/t/*", "/t/a/", 0 },
    { "/t/*/b", "/t/a/b", 1 },
    { "/t/*/b", "/t//b", 0 },
    { "/t/**", "/t/a", 1 },
    { "/t/**", "/t/a/b/", 1 },
    { "/t/a/**", "/t/a", 1 },
    { "/t/a/**", "/t/a/", 1 },
    { "/t/a/**", "/t/ab", 0 },
    { "/t/a/**", "/r/a", 0 },
    { "/t/*/**", "/t/a", 1 },
    { "/t/*/**", "/t/a/b", 1 },
    { "/t/**", "/t/deep/a.b", 1 },
    { "/t/deep/*", "/t/deep/a", 1 },
    { "/t/deep/*", "/t/deep/a.b", 0 },
    { "/t/deep/#", "/t/deep/a/b.c", 1 },
    { "/r/*", "/r/a", 1 },
    { "/r/*", "/r/a/b", 1 },
    { "/r/*", "/r/a.b", 0 },
    { "/r/a.#", "/r/a", 1 },
    { "/r/a.#", "/r/a.b.c", 1 },
    { "/r/a.#", "/r/ab", 0 },
    { "/r/#.z", "/r/z", 1 },
    { "/r/#.z", "/r/a.z.b.z", 1 },
    { "/r/#.z", "/r/a.z.b", 0 },
    { "/r/a.#.z", "/r/a", 0 },
    { "/r/#.b.#.b", "/r/a.b", 0 },
    { "/r/#.b.#.b", "/r/b.a.a.b", 1 },
    { "/r/*.#", "/r/a", 1 },
    { "/r/#.*", "/r/a.b", 1 },
    { "/r/c*.#", "/r/c*.x", 1 },
    { "/r/c*.#", "/r/cd.x", 0 },
};


static ngx_str_t
wildcard_str(unit_guard_t *guard, const char *text)
{
    ngx_str_t  str;

    str.len = strlen(text);
    str.data = unit_guard_copy(guard, text, str.len);

    return str;
}


static void
wildcard_cases_test(void **state)
{
    ngx_str_t              name, text;
    ngx_uint_t             i, steps;
    const char            *error;
    ngx_stomp_wildcard_t   w;

    for (i = 0; i < sizeof(wildcard_cases) / sizeof(wildcard_cases[0]); i++) {
        text = wildcard_str(&guard_pattern, wildcard_cases[i].pattern);
        name = wildcard_str(&guard_name, wildcard_cases[i].name);
        steps = 0;

        assert_int_equal(ngx_stomp_wildcard_parse(&topics, &text, &w, &error),
                         NGX_OK);

        if (ngx_stomp_wildcard_match(&w, &name, &steps)
            != wildcard_cases[i].matches)
        {
            fail_msg("%s and %s", wildcard_cases[i].pattern,
                     wildcard_cases[i].name);
        }
    }
}


static void
wildcard_parse(ngx_stomp_wildcard_topics_t *of, const char *name, ngx_int_t rc,
    const char *why)
{
    ngx_str_t              text;
    const char            *error;
    ngx_stomp_wildcard_t   w;

    text = wildcard_str(&guard_pattern, name);
    error = "";

    if (ngx_stomp_wildcard_parse(of, &text, &w, &error) != rc
        || strstr(error, why) == NULL)
    {
        fail_msg("%s: %s", name, error);
    }
}


static void
wildcard_parse_test(void **state)
{
    size_t  i;
    char    text[3 + 2 * NGX_STOMP_WILDCARD_WORDS + 2];

    wildcard_parse(&topics, "/t/a", NGX_DECLINED, "");
    wildcard_parse(&topics, "/t/a#", NGX_DECLINED, "");
    wildcard_parse(&topics, "/t/#", NGX_DECLINED, "");
    wildcard_parse(&slashes, "/r/#", NGX_DECLINED, "");
    wildcard_parse(&slashes, "/r/a.*", NGX_ERROR, "whole segment");
    wildcard_parse(&slashes, "/r/*", NGX_OK, "");
    wildcard_parse(&topics, "/r/a.*", NGX_OK, "");
    wildcard_parse(&topics, "/r/a/*", NGX_DECLINED, "");
    wildcard_parse(&topics, "/r/a/**", NGX_DECLINED, "");
    wildcard_parse(&topics, "/r/**", NGX_DECLINED, "");
    wildcard_parse(&topics, "/x/*", NGX_DECLINED, "");
    wildcard_parse(&topics, "/*/a", NGX_DECLINED, "");
    wildcard_parse(&topics, "*", NGX_DECLINED, "");
    wildcard_parse(&topics, "/t/a*", NGX_ERROR, "whole segment");
    wildcard_parse(&topics, "/t/***", NGX_ERROR, "whole segment");
    wildcard_parse(&topics, "/t/**/a", NGX_ERROR, "last segment");
    wildcard_parse(&topics, "/t/*/", NGX_OK, "");

    memcpy(text, "/t/", 3);

    for (i = 0; i <= NGX_STOMP_WILDCARD_WORDS; i++) {
        memcpy(&text[3 + 2 * i], "*/", 2);
    }

    text[3 + 2 * NGX_STOMP_WILDCARD_WORDS + 1] = '\0';
    wildcard_parse(&topics, text, NGX_ERROR, "64");
    text[3 + 2 * NGX_STOMP_WILDCARD_WORDS - 1] = '\0';
    wildcard_parse(&topics, text, NGX_OK, "");
}


/* the same by trying everything */

static ngx_uint_t
wildcard_try(const char *pattern, const char *name)
{
    size_t  p, n;

    /* NULL: there are no more words */

    if (pattern == NULL) {
        return name == NULL;
    }

    p = strcspn(pattern, ".");
    n = name ? strcspn(name, ".") : 0;

#define wildcard_rest(s, len)  ((s)[len] ? &(s)[(len) + 1] : NULL)

    if (p == 1 && *pattern == '#') {
        return wildcard_try(wildcard_rest(pattern, p), name)
               || (name && wildcard_try(pattern, wildcard_rest(name, n)));
    }

    if (name == NULL) {
        return 0;
    }

    if (!(p == 1 && *pattern == '*' && n)
        && (p != n || memcmp(pattern, name, n) != 0))
    {
        return 0;
    }

    return wildcard_try(wildcard_rest(pattern, p), wildcard_rest(name, n));
}


static void
wildcard_words(char *text, uint32_t *seed, const char **words, uint32_t n)
{
    uint32_t  i, last;

    last = 1 + unit_random(seed, 6);
    memcpy(text, "/r/", 4);

    for (i = 0; i < last; i++) {
        strcat(text, i ? "." : "");
        strcat(text, words[unit_random(seed, n)]);
    }
}


static void
wildcard_random_test(void **state)
{
    char                   pattern[64], name[64];
    uint32_t               seed;
    ngx_str_t              text, str;
    ngx_uint_t             i, steps, same, matches;
    const char            *error;
    ngx_stomp_wildcard_t   w;
    static const char     *words[] = { "a", "b", "", "#", "#", "*" };

    seed = 1;
    same = 0;
    matches = 0;

    for (i = 0; i < WILDCARD_ROUNDS; i++) {
        wildcard_words(pattern, &seed, words, 6);
        wildcard_words(name, &seed, words, 3);

        if (strlen(name) == 3) {
            continue;
        }

        text = wildcard_str(&guard_pattern, pattern);
        str = wildcard_str(&guard_name, name);
        steps = 0;

        if (ngx_stomp_wildcard_parse(&topics, &text, &w, &error) != NGX_OK) {
            assert_null(strpbrk(pattern, "*#"));
            continue;
        }

        if (ngx_stomp_wildcard_match(&w, &str, &steps)
            != wildcard_try(pattern + 3, name + 3))
        {
            fail_msg("%s and %s", pattern, name);
        }

        same++;
        matches += wildcard_try(pattern + 3, name + 3);
    }

    assert_true(same > WILDCARD_ROUNDS / 2 && matches > same / 10);
}


/* a name and a pattern as bad as can be */

static void
wildcard_steps_test(void **state)
{
    size_t                 i;
    char                   pattern[256], name[1024 + 1];
    ngx_str_t              text, str;
    ngx_uint_t             steps;
    const char            *error;
    ngx_stomp_wildcard_t   w;

    memcpy(pattern, "/r/", 4);

    for (i = 0; i < NGX_STOMP_WILDCARD_WORDS / 2 - 1; i++) {
        strcat(pattern, "#.a.");
    }

    strcat(pattern, "#.b");

    memcpy(name, "/r/", 3);

    for (i = 3; i < 1023; i += 2) {
        memcpy(&name[i], "a.", 2);
    }

    name[1023] = 'a';
    name[1024] = '\0';

    text = wildcard_str(&guard_pattern, pattern);
    str = wildcard_str(&guard_name, name);
    steps = 0;

    assert_int_equal(ngx_stomp_wildcard_parse(&topics, &text, &w, &error),
                     NGX_OK);
    assert_int_equal(ngx_stomp_wildcard_match(&w, &str, &steps), 0);
    assert_true(steps <= NGX_STOMP_WILDCARD_WORDS * 512);
}


static void
wildcard_topic_test(void **state)
{
    ngx_str_t  name;

    name = wildcard_str(&guard_name, "/t/deep/x");

    assert_int_equal(ngx_stomp_wildcard_topic(&topics, 0, &name), 1);
    assert_int_equal(ngx_stomp_wildcard_topic(&topics, 1, &name), 0);
    assert_int_equal(ngx_stomp_wildcard_topic(&topics, 2, &name), 1);

    /* named twice, it is one topic */

    assert_int_equal(ngx_stomp_wildcard_topic(&topics, 3, &name), 0);

    assert_int_equal(ngx_stomp_wildcard_separator(&topics, 0), '/');
    assert_int_equal(ngx_stomp_wildcard_separator(&topics, 1), '.');
    assert_int_equal(ngx_stomp_wildcard_separator(&topics, 2), '.');
}


static void
wildcard_name_test(void **state)
{
    u_char     text[3 + 2 * 64];
    ngx_str_t  name;

    memset(text, '.', sizeof(text));
    memcpy(text, "/r/", 3);

    name.data = text;
    name.len = 3 + 63;
    assert_null(ngx_stomp_wildcard_name(&topics, &name));
    assert_null(ngx_stomp_wildcard_name(&slashes, &name));

    name.len++;
    assert_non_null(ngx_stomp_wildcard_name(&topics, &name));
    assert_null(ngx_stomp_wildcard_name(&slashes, &name));

    memcpy(text, "/t/", 3);
    assert_null(ngx_stomp_wildcard_name(&topics, &name));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(wildcard_cases_test),
        cmocka_unit_test(wildcard_parse_test),
        cmocka_unit_test(wildcard_random_test),
        cmocka_unit_test(wildcard_steps_test),
        cmocka_unit_test(wildcard_topic_test),
        cmocka_unit_test(wildcard_name_test),
    };

    unit_guard_init(&guard_pattern, 4096);
    unit_guard_init(&guard_name, 4096);

    return cmocka_run_group_tests_name("wildcard", tests, NULL, NULL);
}
