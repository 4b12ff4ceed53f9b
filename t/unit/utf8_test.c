
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: text that is not UTF-8 reaches browsers, which then close the
 * connection; or valid text is refused where it is cut between two reads.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_utf8.h>
#include <unit_guard.h>


typedef struct {
    const char  *text;
    size_t       len;
    ngx_int_t    rc;
} utf8_case_t;


#define utf8_case(text, rc)  { text, sizeof(text) - 1, rc }


static unit_guard_t  guard;


static utf8_case_t  utf8_cases[] = {
    utf8_case("", NGX_OK),
    utf8_case("a", NGX_OK),
    utf8_case("\0", NGX_OK),
    utf8_case("\x7f", NGX_OK),
    utf8_case("a line of plain ASCII text", NGX_OK),
    utf8_case("\xc2\x80", NGX_OK),
    utf8_case("\xdf\xbf", NGX_OK),
    utf8_case("\xe0\xa0\x80", NGX_OK),
    utf8_case("\xed\x9f\xbf", NGX_OK),
    utf8_case("\xee\x80\x80", NGX_OK),
    utf8_case("\xef\xbf\xbf", NGX_OK),
    utf8_case("\xf0\x90\x80\x80", NGX_OK),
    utf8_case("\xf3\xbf\xbf\xbf", NGX_OK),
    utf8_case("\xf4\x8f\xbf\xbf", NGX_OK),
    utf8_case("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", NGX_OK),
    utf8_case("seven 7\xf0\x9f\x98\x80 and 8 more \xd0\x96.", NGX_OK),

    utf8_case("\xc2", NGX_AGAIN),
    utf8_case("ab\xe2\x82", NGX_AGAIN),
    utf8_case("\xf0\x90\x80", NGX_AGAIN),
    utf8_case("12345678\xf4\x8f", NGX_AGAIN),

    utf8_case("\x80", NGX_ABORT),
    utf8_case("\xbf", NGX_ABORT),
    utf8_case("12345678\x80", NGX_ABORT),
    utf8_case("\xc0\x80", NGX_ABORT),
    utf8_case("\xc1\xbf", NGX_ABORT),
    utf8_case("\xe0\x9f\xbf", NGX_ABORT),
    utf8_case("\xf0\x8f\xbf\xbf", NGX_ABORT),
    utf8_case("\xed\xa0\x80", NGX_ABORT),
    utf8_case("\xed\xbf\xbf", NGX_ABORT),
    utf8_case("\xf4\x90\x80\x80", NGX_ABORT),
    utf8_case("\xf5\x80\x80\x80", NGX_ABORT),
    utf8_case("\xfe", NGX_ABORT),
    utf8_case("\xff", NGX_ABORT),
    utf8_case("\xc2" "a", NGX_ABORT),
    utf8_case("\xe2\x82" "a", NGX_ABORT),
    utf8_case("\xe2\xc2\xa0", NGX_ABORT),
    utf8_case("\xf0\x90\x80\xc0", NGX_ABORT),
    utf8_case("\xc2\x80\x80", NGX_ABORT)
};


#define UTF8_CASES  (sizeof(utf8_cases) / sizeof(utf8_cases[0]))


static ngx_int_t
validate(const void *data, size_t len)
{
    uint32_t  state;

    state = 0;

    return ngx_stomp_utf8_validate(&state, unit_guard_copy(&guard, data, len),
                                   len);
}


static void
test_whole(void **state)
{
    size_t  i;

    for (i = 0; i < UTF8_CASES; i++) {
        assert_int_equal(validate(utf8_cases[i].text, utf8_cases[i].len),
                         utf8_cases[i].rc);
    }
}


/* every cut in three, which has every cut in two and empty pieces in it */

static void
test_pieces(void **state)
{
    size_t        i, j, a, b, cuts[4];
    u_char       *p;
    uint32_t      st;
    ngx_int_t     rc;
    utf8_case_t  *c;

    for (i = 0; i < UTF8_CASES; i++) {
        c = &utf8_cases[i];

        for (a = 0; a <= c->len; a++) {
            for (b = a; b <= c->len; b++) {

                cuts[0] = 0;
                cuts[1] = a;
                cuts[2] = b;
                cuts[3] = c->len;

                st = 0;
                rc = NGX_OK;

                for (j = 0; j < 3 && rc != NGX_ABORT; j++) {
                    p = unit_guard_copy(&guard, c->text + cuts[j],
                                        cuts[j + 1] - cuts[j]);
                    rc = ngx_stomp_utf8_validate(&st, p,
                                                 cuts[j + 1] - cuts[j]);
                    assert_true((rc == NGX_OK) == (st == 0)
                                || rc == NGX_ABORT);
                }

                assert_int_equal(rc, c->rc);
            }
        }
    }
}


static void
test_single_octets(void **state)
{
    size_t        i, n;
    uint32_t      st;
    ngx_int_t     rc;
    utf8_case_t  *c;

    for (i = 0; i < UTF8_CASES; i++) {
        c = &utf8_cases[i];

        st = 0;
        rc = NGX_OK;

        for (n = 0; n < c->len && rc != NGX_ABORT; n++) {
            rc = ngx_stomp_utf8_validate(&st, (u_char *) c->text + n, 1);
        }

        assert_int_equal(rc, c->rc);
    }
}


/* the shortest prefix that no valid text begins with is refused at once */

static void
test_fails_early(void **state)
{
    assert_int_equal(validate("\xc0", 1), NGX_ABORT);
    assert_int_equal(validate("\xe0\x9f", 2), NGX_ABORT);
    assert_int_equal(validate("\xed\xa0", 2), NGX_ABORT);
    assert_int_equal(validate("\xf0\x8f", 2), NGX_ABORT);
    assert_int_equal(validate("\xf4\x90", 2), NGX_ABORT);
    assert_int_equal(validate("\xf5", 1), NGX_ABORT);
}


static size_t
encode(u_char *p, uint32_t n)
{
    if (n < 0x80) {
        p[0] = (u_char) n;
        return 1;
    }

    if (n < 0x800) {
        p[0] = (u_char) (0xc0 | n >> 6);
        p[1] = (u_char) (0x80 | (n & 0x3f));
        return 2;
    }

    if (n < 0x10000) {
        p[0] = (u_char) (0xe0 | n >> 12);
        p[1] = (u_char) (0x80 | (n >> 6 & 0x3f));
        p[2] = (u_char) (0x80 | (n & 0x3f));
        return 3;
    }

    p[0] = (u_char) (0xf0 | n >> 18);
    p[1] = (u_char) (0x80 | (n >> 12 & 0x3f));
    p[2] = (u_char) (0x80 | (n >> 6 & 0x3f));
    p[3] = (u_char) (0x80 | (n & 0x3f));

    return 4;
}


/* up to the last number that four octets can hold */

static void
test_all_code_points(void **state)
{
    u_char     buf[4];
    size_t     len;
    uint32_t   n, st;
    ngx_int_t  rc, expected;

    for (n = 0; n < 0x200000; n++) {
        len = encode(buf, n);

        expected = (n > 0x10ffff || (n >= 0xd800 && n <= 0xdfff)) ? NGX_ABORT
                                                                  : NGX_OK;
        st = 0;
        rc = ngx_stomp_utf8_validate(&st, buf, len);

        if (rc != expected) {
            fail_msg("U+%04X: %d", n, (int) rc);
        }
    }
}


/* of all texts of two octets, exactly the encoded ones are valid */

static void
test_all_pairs(void **state)
{
    u_char     buf[2], twin[4];
    uint32_t   n, st;
    ngx_int_t  rc, valid;

    for (n = 0; n < 0x10000; n++) {
        buf[0] = (u_char) (n >> 8);
        buf[1] = (u_char) n;

        valid = (buf[0] < 0x80 && buf[1] < 0x80);

        if (!valid && (buf[0] & 0xe0) == 0xc0) {
            valid = (encode(twin, (buf[0] & 0x1fU) << 6 | (buf[1] & 0x3fU)) == 2
                     && memcmp(twin, buf, 2) == 0);
        }

        st = 0;
        rc = ngx_stomp_utf8_validate(&st, buf, 2);

        assert_int_equal(rc == NGX_OK, valid);
    }
}


/* a bad octet, and a good character, at every place of the fast path */

static void
test_ascii_runs(void **state)
{
    char    text[40];
    size_t  len, n;

    for (len = 1; len <= sizeof(text); len++) {
        memset(text, 'x', sizeof(text));
        assert_int_equal(validate(text, len), NGX_OK);

        for (n = 0; n < len; n++) {
            memset(text, 'x', sizeof(text));

            text[n] = (char) 0x80;
            assert_int_equal(validate(text, len), NGX_ABORT);

            text[n] = (char) 0xc3;
            assert_int_equal(validate(text, len),
                             (n + 1 == len) ? NGX_AGAIN : NGX_ABORT);

            if (n + 1 < len) {
                text[n + 1] = (char) 0xa9;
                assert_int_equal(validate(text, len), NGX_OK);
            }
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_single_octets),
        cmocka_unit_test(test_fails_early),
        cmocka_unit_test(test_all_code_points),
        cmocka_unit_test(test_all_pairs),
        cmocka_unit_test(test_ascii_runs)
    };

    unit_guard_init(&guard, 4096);
    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
