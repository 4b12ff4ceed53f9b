
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: a header value gets another header or frame into what other
 * clients read, or is written past the memory that was counted for it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_header.h>
#include <unit_guard.h>


typedef struct {
    const char  *text;
    size_t       len;
    const char  *v12;
    const char  *v11;
    const char  *v10;
} escape_case_t;


typedef struct {
    const char  *text;
    const char  *v12;            /* NULL: undefined escape */
    const char  *v11;
} unescape_case_t;


#define escape_case(text, v12, v11, v10)                                      \
    { text, sizeof(text) - 1, v12, v11, v10 }


static unit_guard_t  in, out;


static escape_case_t  escape_cases[] = {
    escape_case("", "", "", ""),
    escape_case("plain", "plain", "plain", "plain"),
    escape_case("\xc3\xa9", "\xc3\xa9", "\xc3\xa9", "\xc3\xa9"),
    escape_case("\\", "\\\\", "\\\\", "\\"),
    escape_case("\n", "\\n", "\\n", " "),
    escape_case("\r", "\\r", " ", " "),
    escape_case(":", "\\c", "\\c", ":"),
    escape_case("\0", " ", " ", " "),
    escape_case("a\r\nb:c\\d", "a\\r\\nb\\cc\\\\d", "a \\nb\\cc\\\\d",
                "a  b:c\\d"),
    escape_case("\\n", "\\\\n", "\\\\n", "\\n"),
    escape_case(" spaces ", " spaces ", " spaces ", " spaces "),
    escape_case("\t]^z~\x7f", "\t]^z~\x7f", "\t]^z~\x7f", "\t]^z~\x7f")
};


static unescape_case_t  unescape_cases[] = {
    { "", "", "" },
    { "plain", "plain", "plain" },
    { "\\n", "\n", "\n" },
    { "\\c", ":", ":" },
    { "\\\\", "\\", "\\" },
    { "\\r", "\r", NULL },
    { "\\\\n", "\\n", "\\n" },
    { "\\\\\\n", "\\\n", "\\\n" },
    { "a\\cb\\nc\\\\d", "a:b\nc\\d", "a:b\nc\\d" },
    { "x\\r\\ny", "x\r\ny", NULL },
    { "raw:colon", "raw:colon", "raw:colon" },
    { "\\t", NULL, NULL },
    { "\\N", NULL, NULL },
    { "\\:", NULL, NULL },
    { "\\", NULL, NULL },
    { "abc\\", NULL, NULL },
    { "\\\\\\", NULL, NULL },
    { "\\c\\x", NULL, NULL }
};


static ngx_str_t *
str(const void *data, size_t len)
{
    static ngx_str_t  s;

    s.len = len;
    s.data = unit_guard_copy(&in, data, len);

    return &s;
}


static u_char *
escape(ngx_str_t *s, ngx_uint_t version, size_t *n)
{
    u_char  *p;

    *n = ngx_stomp_escape_len(s->data, s->len, version);
    p = unit_guard_room(&out, *n);

    assert_ptr_equal(ngx_stomp_escape(p, s->data, s->len, version), p + *n);
    unit_guard_check(&out, *n);

    return p;
}


static void
escapes_to(escape_case_t *c, ngx_uint_t version, const char *expected)
{
    u_char  *p;
    size_t   n;

    p = escape(str(c->text, c->len), version, &n);

    assert_int_equal(n, strlen(expected));
    assert_memory_equal(p, expected, n);
}


static void
test_escape(void **state)
{
    size_t          i;
    escape_case_t  *c;

    for (i = 0; i < sizeof(escape_cases) / sizeof(escape_cases[0]); i++) {
        c = &escape_cases[i];

        escapes_to(c, NGX_STOMP_V12, c->v12);
        escapes_to(c, NGX_STOMP_V11, c->v11);
        escapes_to(c, NGX_STOMP_V10, c->v10);
        escapes_to(c, 0, c->v10);
    }
}


/* no octet alone, in no version, can end a line or a frame */

static void
test_escape_each_octet(void **state)
{
    u_char      c, *p;
    size_t      i, j, n;
    ngx_uint_t  octet;

    static const ngx_uint_t  versions[] = {
        0, NGX_STOMP_V10, NGX_STOMP_V11, NGX_STOMP_V12
    };

    for (octet = 0; octet < 256; octet++) {
        c = (u_char) octet;

        for (i = 0; i < 4; i++) {
            p = escape(str(&c, 1), versions[i], &n);
            assert_true(n == 1 || (n == 2 && p[0] == '\\'));

            for (j = 0; j < n; j++) {
                assert_true(p[j] != '\n' && p[j] != '\r' && p[j] != '\0');
            }
        }
    }
}


static void
unescapes_to(unescape_case_t *c, ngx_uint_t version, const char *expected)
{
    ngx_str_t  *s;

    s = str(c->text, strlen(c->text));

    if (expected == NULL) {
        assert_int_equal(ngx_stomp_unescape(s, version), NGX_ABORT);
        return;
    }

    assert_int_equal(ngx_stomp_unescape(s, version), NGX_OK);
    assert_int_equal(s->len, strlen(expected));
    assert_memory_equal(s->data, expected, s->len);
    unit_guard_check(&in, strlen(c->text));
}


static void
test_unescape(void **state)
{
    size_t            i;
    ngx_str_t         null;
    unescape_case_t  *c;

    for (i = 0; i < sizeof(unescape_cases) / sizeof(unescape_cases[0]); i++) {
        c = &unescape_cases[i];

        unescapes_to(c, NGX_STOMP_V12, c->v12);
        unescapes_to(c, NGX_STOMP_V11, c->v11);
        unescapes_to(c, NGX_STOMP_V10, c->text);
        unescapes_to(c, 0, c->text);
    }

    ngx_str_null(&null);
    assert_int_equal(ngx_stomp_unescape(&null, NGX_STOMP_V12), NGX_OK);
}


/* every octet after a backslash */

static void
test_unescape_each_octet(void **state)
{
    char        text[3];
    ngx_uint_t  octet, ok;

    for (octet = 0; octet < 256; octet++) {
        text[0] = '\\';
        text[1] = (char) octet;
        text[2] = 'x';

        ok = (octet == '\\' || octet == 'n' || octet == 'c');

        assert_int_equal(ngx_stomp_unescape(str(text, 3), NGX_STOMP_V11),
                         ok ? NGX_OK : NGX_ABORT);

        ok |= (octet == 'r');

        assert_int_equal(ngx_stomp_unescape(str(text, 3), NGX_STOMP_V12),
                         ok ? NGX_OK : NGX_ABORT);
    }
}


static void
block_is(const char *block, ngx_uint_t version, const char *expected)
{
    u_char     *p;
    size_t      n;
    ngx_str_t  *s;

    s = str(block, strlen(block));
    n = strlen(expected);
    assert_true(n <= s->len);

    p = unit_guard_room(&out, n);
    assert_ptr_equal(ngx_stomp_header_block(p, s->data, s->len, version),
                     p + n);
    assert_memory_equal(p, expected, n);
    unit_guard_check(&out, n);
}


static void
test_block(void **state)
{
    u_char       buf[1];
    const char  *block;

    block = "priority:4\nfoo:bar\n";
    block_is(block, NGX_STOMP_V12, block);
    block_is(block, NGX_STOMP_V11, block);
    block_is(block, NGX_STOMP_V10, block);

    block = "a\\cb:c\\\\d\ntext:one\\r\\ntwo\\c\nend:\\\\\n";
    block_is(block, NGX_STOMP_V12, block);
    block_is(block, NGX_STOMP_V11,
             "a\\cb:c\\\\d\ntext:one \\ntwo\\c\nend:\\\\\n");
    block_is(block, NGX_STOMP_V10, "a:b:c\\d\ntext:one  two:\nend:\\\n");

    /* an escaped backslash before a letter is not another escape */

    block_is("a:\\\\n\\\\r\n", NGX_STOMP_V11, "a:\\\\n\\\\r\n");
    block_is("a:\\\\n\\\\r\n", NGX_STOMP_V10, "a:\\n\\r\n");

    /* what escaping never makes is copied */

    block_is("a:\\x\\", NGX_STOMP_V11, "a:\\x\\");
    block_is("a:\\x\\", NGX_STOMP_V10, "a:\\x\\");
    block_is("\\n", NGX_STOMP_V10, " ");

    assert_ptr_equal(ngx_stomp_header_block(buf, NULL, 0, NGX_STOMP_V10), buf);
}


/*
 * Random values: escaping is undone by unescaping, and a block that was
 * escaped for 1.2 gives the other versions' own escaping.
 */

static void
test_random(void **state)
{
    u_char      text[40], line[80], expected[80], *p, *q;
    size_t      i, j, n, len, size;
    uint32_t    seed;
    ngx_str_t   s;
    ngx_uint_t  round;

    static const char        octets[] = "\\\\\n\r::ncr a\xc3\xa9";
    static const ngx_uint_t  versions[] = {
        NGX_STOMP_V10, NGX_STOMP_V11, NGX_STOMP_V12
    };

    seed = 3;

    for (round = 0; round < 20000; round++) {
        len = unit_random(&seed, sizeof(text));

        for (i = 0; i < len; i++) {
            text[i] = (u_char) octets[unit_random(&seed,
                                                  sizeof(octets) - 1)];
        }

        p = escape(str(text, len), NGX_STOMP_V12, &size);
        memcpy(line, p, size);

        s.len = size;
        s.data = p;
        assert_int_equal(ngx_stomp_unescape(&s, NGX_STOMP_V12), NGX_OK);
        assert_int_equal(s.len, len);
        assert_memory_equal(s.data, text, len);

        for (j = 0; j < 3; j++) {
            p = escape(str(text, len), versions[j], &n);
            memcpy(expected, p, n);

            p = unit_guard_room(&out, n);
            q = ngx_stomp_header_block(p, unit_guard_copy(&in, line, size),
                                       size, versions[j]);

            assert_ptr_equal(q, p + n);
            assert_memory_equal(p, expected, n);
        }
    }
}


static void
test_lookup(void **state)
{
    ngx_str_t           *value;
    ngx_stomp_frame_t    f;
    ngx_stomp_header_t   headers[] = {
        { ngx_string("id"), ngx_string("1") },
        { ngx_string("Receipt"), ngx_string("wrong case") },
        { ngx_string("receipt"), ngx_string("first") },
        { ngx_string("receipt"), ngx_string("second") },
        { ngx_string("empty"), ngx_string("") }
    };

    memset(&f, 0, sizeof(f));
    f.headers = headers;
    f.nheaders = 5;

    value = ngx_stomp_header(&f, "receipt");
    assert_ptr_equal(value, &headers[2].value);

    assert_ptr_equal(ngx_stomp_header(&f, "id"), &headers[0].value);
    assert_int_equal(ngx_stomp_header(&f, "empty")->len, 0);

    assert_null(ngx_stomp_header(&f, "i"));
    assert_null(ngx_stomp_header(&f, "idx"));
    assert_null(ngx_stomp_header(&f, "ID"));

    f.nheaders = 2;
    assert_null(ngx_stomp_header(&f, "receipt"));

    f.nheaders = 0;
    f.headers = NULL;
    assert_null(ngx_stomp_header(&f, "id"));
}


static void
heartbeat_is(const char *text, ngx_msec_t x, ngx_msec_t y)
{
    ngx_msec_t  a, b;

    assert_int_equal(ngx_stomp_header_heartbeat(str(text, strlen(text)),
                                                &a, &b),
                     NGX_OK);
    assert_int_equal(a, x);
    assert_int_equal(b, y);
}


static void
test_heartbeat(void **state)
{
    size_t      i;
    ngx_msec_t  x, y;

    static const char  *bad[] = {
        "", ",", "1", "1,", ",1", "1,2,", "1,2,3", "a,b", "1,b", "-1,2",
        "1,-2", "+1,2", " 1,2", "1 ,2", "1, 2", "1,2 ", "1.5,2", "0x1,2",
        "1;2", "1,2a"
    };

    heartbeat_is("0,0", 0, 0);
    heartbeat_is("10000,10000", 10000, 10000);
    heartbeat_is("1,2", 1, 2);
    heartbeat_is("007,0", 7, 0);
    heartbeat_is("2147483646,2147483647", 2147483646, 2147483647);
    heartbeat_is("2147483648,4294967296", 2147483647, 2147483647);
    heartbeat_is("99999999999999999999999999,18446744073709551616",
                 2147483647, 2147483647);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(ngx_stomp_header_heartbeat(str(bad[i],
                                                        strlen(bad[i])),
                                                    &x, &y),
                         NGX_ABORT);
    }
}


static ngx_uint_t
versions(const char *text)
{
    return ngx_stomp_header_versions(str(text, strlen(text)));
}


static void
test_versions(void **state)
{
    assert_int_equal(ngx_stomp_header_versions(NULL), NGX_STOMP_V10);

    assert_int_equal(versions("1.0"), NGX_STOMP_V10);
    assert_int_equal(versions("1.1"), NGX_STOMP_V11);
    assert_int_equal(versions("1.2"), NGX_STOMP_V12);
    assert_int_equal(versions("1.2,1.1,1.0"),
                     NGX_STOMP_V10|NGX_STOMP_V11|NGX_STOMP_V12);
    assert_int_equal(versions("1.0,1.1"), NGX_STOMP_V10|NGX_STOMP_V11);
    assert_int_equal(versions("1.1, 1.2 "), NGX_STOMP_V11|NGX_STOMP_V12);
    assert_int_equal(versions("2.0,,1.2,1.2,x"), NGX_STOMP_V12);

    assert_int_equal(versions(""), 0);
    assert_int_equal(versions(" "), 0);
    assert_int_equal(versions(",,"), 0);
    assert_int_equal(versions("1"), 0);
    assert_int_equal(versions("1.3,2.0"), 0);
    assert_int_equal(versions("1.20,11.2,1x2"), 0);
}


static void
name_is(ngx_uint_t version, const char *expected)
{
    ngx_str_t  *name;

    name = ngx_stomp_version_name(version);

    assert_int_equal(name->len, 3);
    assert_memory_equal(name->data, expected, 3);
}


static void
test_version_name(void **state)
{
    name_is(0, "1.0");
    name_is(NGX_STOMP_V10, "1.0");
    name_is(NGX_STOMP_V11, "1.1");
    name_is(NGX_STOMP_V12, "1.2");
    name_is(NGX_STOMP_V10|NGX_STOMP_V11, "1.1");
    name_is(NGX_STOMP_V10|NGX_STOMP_V12, "1.2");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_escape_each_octet),
        cmocka_unit_test(test_unescape),
        cmocka_unit_test(test_unescape_each_octet),
        cmocka_unit_test(test_block),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_heartbeat),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_version_name)
    };

    unit_guard_init(&in, 4096);
    unit_guard_init(&out, 4096);
    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests_name("header", tests, NULL, NULL);
}
