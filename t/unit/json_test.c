
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: one message with an odd octet breaks the JSON of a whole batch
 * for a browser, or is written past the memory that was counted for it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_json.h>
#include <ngx_stomp_utf8.h>
#include <unit_guard.h>


typedef struct {
    const char  *text;
    size_t       len;
    const char  *json;
} json_case_t;


#define json_case(text, json)  { text, sizeof(text) - 1, "\"" json "\"" }

#define JSON_FFFD  "\xef\xbf\xbd"


static unit_guard_t  in, out;


static json_case_t  json_cases[] = {
    json_case("", ""),
    json_case("plain text", "plain text"),
    json_case("\"", "\\\""),
    json_case("\\", "\\\\"),
    json_case("/", "/"),
    json_case("\b\f\n\r\t", "\\b\\f\\n\\r\\t"),
    json_case("\0", "\\u0000"),
    json_case("a\0b", "a\\u0000b"),
    json_case("\x01\x0b\x1f", "\\u0001\\u000b\\u001f"),
    json_case("\x7f", "\x7f"),
    json_case("<script>&", "\\u003cscript\\u003e\\u0026"),
    json_case("SEND\nid:1\n\nx\0", "SEND\\nid:1\\n\\nx\\u0000"),

    json_case("\xc3\xa9", "\xc3\xa9"),
    json_case("\xe2\x82\xac", "\xe2\x82\xac"),
    json_case("\xe2\x80\xa8", "\\u2028"),
    json_case("\xe2\x80\xa9", "\\u2029"),
    json_case("\xe2\x80\xa7\xe2\x80\xaa", "\xe2\x80\xa7\xe2\x80\xaa"),
    json_case("\xe2\x81\xa8", "\xe2\x81\xa8"),
    json_case("\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"),
    json_case("x\xf4\x8f\xbf\xbfy", "x\xf4\x8f\xbf\xbfy"),
    json_case("\xef\xbf\xbd", JSON_FFFD),

    json_case("\x80", JSON_FFFD),
    json_case("\xff\xfe", JSON_FFFD JSON_FFFD),
    json_case("a\xc3", "a" JSON_FFFD),
    json_case("\xc3" "a", JSON_FFFD "a"),
    json_case("\xe2\x82", JSON_FFFD),
    json_case("\xe2\x80\"", JSON_FFFD "\\\""),
    json_case("\xf0\x9f\x98" "a", JSON_FFFD "a"),
    json_case("\xf0\x9f\xc3\xa9", JSON_FFFD "\xc3\xa9"),
    json_case("\xed\xa0\x80", JSON_FFFD JSON_FFFD JSON_FFFD),
    json_case("\xc0\xaf", JSON_FFFD JSON_FFFD),
    json_case("\xf4\x90\x80\x80", JSON_FFFD JSON_FFFD JSON_FFFD JSON_FFFD),

    /* valid characters around an invalid one are kept, and still escaped */

    json_case("\xe2\x80\xa8\x80\xe2\x80\xa9\xe2\x82\xac\n",
              "\\u2028" JSON_FFFD "\\u2029\xe2\x82\xac\\n")
};


/* writes into memory that is as long as the counted length */

static u_char *
json(const void *data, size_t len, size_t *n)
{
    u_char     *p;
    ngx_str_t   src;

    src.len = len;
    src.data = unit_guard_copy(&in, data, len);

    *n = ngx_stomp_json_string_len(&src);
    p = unit_guard_room(&out, *n);

    assert_ptr_equal(ngx_stomp_json_string(p, &src), p + *n);
    unit_guard_check(&out, *n);

    return p;
}


static void
test_table(void **state)
{
    u_char  *p;
    size_t   i, n;

    for (i = 0; i < sizeof(json_cases) / sizeof(json_cases[0]); i++) {
        p = json(json_cases[i].text, json_cases[i].len, &n);

        assert_int_equal(n, strlen(json_cases[i].json));
        assert_memory_equal(p, json_cases[i].json, n);
    }
}


static void
test_no_data(void **state)
{
    u_char     buf[2];
    ngx_str_t  src;

    ngx_str_null(&src);

    assert_int_equal(ngx_stomp_json_string_len(&src), 2);
    assert_ptr_equal(ngx_stomp_json_string(buf, &src), buf + 2);
    assert_memory_equal(buf, "\"\"", 2);
}


/* every octet that JSON or HTML would take for something else is escaped */

static void
test_each_ascii(void **state)
{
    char     expected[16];
    u_char   c, *p;
    size_t   n;

    for (c = 0; c < 0x80; c++) {
        p = json(&c, 1, &n);

        if (c < 0x20 || strchr("\"\\<>&", c) != NULL) {
            assert_int_equal(p[1], '\\');

            if (n == 8) {
                (void) snprintf(expected, sizeof(expected), "\"\\u%04x\"", c);
                assert_memory_equal(p, expected, 8);

            } else {
                assert_int_equal(n, 4);
                assert_non_null(strchr("\"\\bfnrt", p[2]));
            }

        } else {
            assert_int_equal(n, 3);
            assert_int_equal(p[1], c);
        }
    }
}


static void
test_random(void **state)
{
    char        text[64];
    u_char     *p;
    size_t      i, j, n, len;
    uint32_t    seed, st;
    ngx_uint_t  round;

    static const char  octets[] = "aZ\"\\<>&\n\0\x1f\x7f\x80\xa8\xa9\xbf\xc0"
                                  "\xc3\xe0\xe2\x80\xed\xef\xf0\x90\xf4\xff";

    seed = 1;

    for (round = 0; round < 50000; round++) {
        len = unit_random(&seed, sizeof(text));

        for (i = 0; i < len; i++) {
            text[i] = octets[unit_random(&seed, sizeof(octets) - 1)];
        }

        p = json(text, len, &n);

        st = 0;
        assert_int_equal(ngx_stomp_utf8_validate(&st, p, n), NGX_OK);
        assert_int_equal(p[0], '"');
        assert_int_equal(p[n - 1], '"');

        for (j = 1; j < n - 1; j++) {

            if (p[j] == '\\') {
                j++;
                assert_true(j < n - 1);
                assert_true(strchr("\"\\bfnrtu", p[j]) != NULL);
                continue;
            }

            assert_true(p[j] >= 0x20 && strchr("\"<>&", p[j]) == NULL);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_no_data),
        cmocka_unit_test(test_each_ascii),
        cmocka_unit_test(test_random)
    };

    unit_guard_init(&in, 4096);
    unit_guard_init(&out, 4096);
    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
