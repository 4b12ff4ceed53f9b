
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: a frame that arrives in two reads is parsed as another one, or
 * a client sends more than the limits allow, or hides a header from a check.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_parse.h>
#include <ngx_stomp_header.h>
#include <parse_feed.h>


typedef struct {
    const char  *text;
    size_t       len;
    ngx_uint_t   version;
    const char  *expected;
} parse_case_t;


#define parse_case(version, text, expected)                                   \
    { text, sizeof(text) - 1, version, expected }

#define V10  NGX_STOMP_V10
#define V11  NGX_STOMP_V11
#define V12  NGX_STOMP_V12

#define MALFORMED  "!1"


static void
all_give(parse_case_t *cases, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        parse_gives(cases[i].text, cases[i].len, cases[i].version,
                    cases[i].expected);
    }
}


#define all_cases_give(cases)                                                 \
    all_give(cases, sizeof(cases) / sizeof(cases[0]))


static void
test_frames(void **state)
{
    static parse_case_t  cases[] = {
        parse_case(0, "CONNECT\naccept-version:1.2,1.1\nhost:x\n\n\0",
                   "CONNECT/0[accept-version=1.2,1.1][host=x]()@40"),
        parse_case(0, "STOMP\n\n\0", "STOMP/1()@8"),
        parse_case(V12, "SEND\ndestination:/topic/a\n\nhello\0\n",
                   "SEND/2[destination=/topic/a](hello)@33"),
        parse_case(V12, "SUBSCRIBE\nid:0\n\n\0", "SUBSCRIBE/3[id=0]()@17"),
        parse_case(V12, "UNSUBSCRIBE\nid:0\n\n\0",
                   "UNSUBSCRIBE/4[id=0]()@19"),
        parse_case(V12, "ACK\nid:1\n\n\0", "ACK/5[id=1]()@11"),
        parse_case(V12, "NACK\nid:1\n\n\0", "NACK/6[id=1]()@12"),
        parse_case(V12, "BEGIN\ntransaction:t\n\n\0",
                   "BEGIN/7[transaction=t]()@22"),
        parse_case(V12, "COMMIT\ntransaction:t\n\n\0",
                   "COMMIT/8[transaction=t]()@23"),
        parse_case(V12, "ABORT\ntransaction:t\n\n\0",
                   "ABORT/9[transaction=t]()@22"),
        parse_case(V12, "DISCONNECT\nreceipt:7\n\n\0",
                   "DISCONNECT/10[receipt=7]()@23"),

        /* a value may be empty, a name may be anything but that */

        parse_case(V12, "SEND\na:\n b :\n\n\0", "SEND/2[a=][ b =]()@15"),

        /* no limit is met by an empty SEND; the next frame isn't touched */

        parse_case(V12, "SEND\n\n\0SEND\n\n\0", "SEND/2()@7")
    };

    all_cases_give(cases);
}


static void
test_line_ends(void **state)
{
    static parse_case_t  cases[] = {
        parse_case(V12, "SEND\r\na:1\r\nb:2\r\n\r\nxyz\0",
                   "SEND/2[a=1][b=2](xyz)@22"),
        parse_case(V12, "SEND\na:1\r\nb:2\n\r\nxyz\0",
                   "SEND/2[a=1][b=2](xyz)@20"),
        parse_case(V11, "SEND\r\na:1\r\n\r\n\0", "SEND/2[a=1]()@14"),
        parse_case(V12, "SEND\n\n\r\n\nbody\r\n\0",
                   "SEND/2(\r\n\nbody\r\n)@16"),
        parse_case(V12, "SEND\na:b\rc\n\n\0", "SEND/2[a=b\rc]()@13"),
        parse_case(V12, "SEND\na:b\r\r\n\n\0", "SEND/2[a=b\r]()@13"),
        parse_case(V12, "SEND\r\r\n\n\0", "/11" MALFORMED),
        parse_case(V12, "SEND\rX\n\n\0", "/11" MALFORMED),
        parse_case(V12, "SEND\r\0", "/11" MALFORMED)
    };

    all_cases_give(cases);
}


static void
test_commands(void **state)
{
    static parse_case_t  cases[] = {
        parse_case(V12, "SENDX\nreceipt:1\n\n\0", "SENDX/11[receipt=1]()@18"),
        parse_case(V12, "SEN\n\n\0", "SEN/11()@6"),
        parse_case(V12, "A\n\n\0", "A/11()@4"),
        parse_case(V12, "MESSAGE\n\n\0", "MESSAGE/11()@10"),
        parse_case(V12, "ABCDEFGHIJKLMNOP\n\n\0", "ABCDEFGHIJKLMNOP/11()@19"),
        parse_case(V12, "ABCDEFGHIJKLMNOP\r\n\r\n\0",
                   "ABCDEFGHIJKLMNOP/11()@21"),
        parse_case(V12, "ABCDEFGHIJKLMNOPQ\n\n\0", "/11" MALFORMED),
        parse_case(V12, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "/11" MALFORMED),
        parse_case(V12, "send\n\n\0", "/11" MALFORMED),
        parse_case(V12, "SEND \n\n\0", "/11" MALFORMED),
        parse_case(V12, "SE\0ND\n\n\0", "/11" MALFORMED),
        parse_case(V12, "GET / HTTP/1.1\r\n", "/11" MALFORMED),
        parse_case(V12, "\nSEND\n\n\0", "/11" MALFORMED),
        parse_case(V12, "\r\nSEND\n\n\0", "/11" MALFORMED),
        parse_case(V12, "\0", "/11" MALFORMED),
        parse_case(V12, "\xff\xfe", "/11" MALFORMED)
    };

    all_cases_give(cases);
}


static void
test_escapes(void **state)
{
    static parse_case_t  cases[] = {
        parse_case(V12, "SEND\na\\cb:c\\nd\\re\\\\f\\cg\n\n\0",
                   "SEND/2[a:b=c\nd\re\\f:g]()@26"),
        parse_case(V11, "SEND\na\\cb:c\\nd\\\\f\\cg\n\n\0",
                   "SEND/2[a:b=c\nd\\f:g]()@23"),
        parse_case(V10, "SEND\na\\cb:c\\nd\\t\n\n\0",
                   "SEND/2[a\\cb=c\\nd\\t]()@19"),

        /* split before unescaping; a raw colon is tolerated */

        parse_case(V12, "SEND\na:b:c\\cd\n\n\0", "SEND/2[a=b:c:d]()@16"),
        parse_case(V11, "SEND\na:b:c\n\n\0", "SEND/2[a=b:c]()@13"),

        /* values after a shorter one, and repeated ones */

        parse_case(V12, "SEND\na:\\\\\\\\\nb:\\n\\n\na:2\n\nx\0",
                   "SEND/2[a=\\\\][b=\n\n][a=2](x)@26"),

        /* CONNECT and STOMP are not escaped, whatever version is set */

        parse_case(0, "CONNECT\npasscode:a:b\\c:\\x\n\n\0",
                   "CONNECT/0[passcode=a:b\\c:\\x]()@28"),
        parse_case(V12, "CONNECT\npasscode: a:b\\c\n\n\0",
                   "CONNECT/0[passcode= a:b\\c]()@26"),
        parse_case(V10, "STOMP\nlogin: a \n\n\0", "STOMP/1[login= a ]()@18"),
        parse_case(0, "SEND\na:\\x \n\n\0", "SEND/2[a=\\x ]()@13"),

        parse_case(V12, "SEND\na:1\nb:\\t\n\n\0", "SEND/2[a=1]" MALFORMED),
        parse_case(V12, "SEND\na:1\n\\t:b\n\n\0", "SEND/2[a=1]" MALFORMED),
        parse_case(V12, "SEND\na:b\\\n\n\0", "SEND/2" MALFORMED),
        parse_case(V12, "SEND\na\\:b\n\n\0", "SEND/2" MALFORMED),
        parse_case(V11, "SEND\na:\\r\n\n\0", "SEND/2" MALFORMED),
        parse_case(V12, "FOO\na:\\t\n\n\0", "FOO/11" MALFORMED)
    };

    all_cases_give(cases);
}


static void
test_trim(void **state)
{
    static parse_case_t  cases[] = {
        parse_case(V10, "SEND\n a :  b c  \nd:   \ne: \t \n\n\0",
                   "SEND/2[ a =b c][d=][e=\t]()@31"),
        parse_case(V11, "SEND\na: b \n\n\0", "SEND/2[a= b ]()@13"),
        parse_case(V12, "SEND\na: b \n\n\0", "SEND/2[a= b ]()@13"),
        parse_case(V10, "SEND\ncontent-length: 1 \n\nx\0",
                   "SEND/2[content-length=1](x)@27"),
        parse_case(V12, "SEND\ncontent-length: 1\n\nx\0",
                   "SEND/2" MALFORMED)
    };

    all_cases_give(cases);
}


static void
test_malformed_headers(void **state)
{
    static parse_case_t  cases[] = {
        parse_case(V12, "SEND\na:1\nno colon\n\n\0", "SEND/2[a=1]" MALFORMED),
        parse_case(V12, "SEND\n:value\n\n\0", "SEND/2" MALFORMED),
        parse_case(V12, "SEND\n:\n\n\0", "SEND/2" MALFORMED),
        parse_case(V12, "SEND\na:b\0c\n\n\0", "SEND/2" MALFORMED),
        parse_case(V12, "SEND\n\0", "SEND/2" MALFORMED),
        parse_case(V12, "SEND\na:b\0", "SEND/2" MALFORMED),
        parse_case(V12, "SEND\na:b\n\0", "SEND/2[a=b]" MALFORMED),
        parse_case(V12, "DISCONNECT\nreceipt:1\n\0\n",
                   "DISCONNECT/10[receipt=1]" MALFORMED),

        /* not UTF-8, in CONNECT too */

        parse_case(V12, "SEND\na:\xc3\xa9\n\xe2\x82\xac:b\n\n\0",
                   "SEND/2[a=\xc3\xa9][\xe2\x82\xac=b]()@18"),
        parse_case(V12, "SEND\na:\xff\n\n\0", "SEND/2" MALFORMED),
        parse_case(V12, "SEND\na:\xe2\x82\n\n\0", "SEND/2" MALFORMED),
        parse_case(V12, "SEND\n\xc3:\xa9\n\n\0", "SEND/2" MALFORMED),
        parse_case(0, "CONNECT\nlogin:\xe9\n\n\0", "CONNECT/0" MALFORMED)
    };

    all_cases_give(cases);
}


static void
test_bodies(void **state)
{
    char    text[100];
    size_t  i;

    static parse_case_t  cases[] = {
        parse_case(V12, "SEND\n\nno length\n\0\n\n",
                   "SEND/2(no length\n)@17"),
        parse_case(V12, "SEND\n\n\xff\xfe\x80\0", "SEND/2(\xff\xfe\x80)@10"),
        parse_case(V12, "SEND\ncontent-length:0\n\n\0",
                   "SEND/2[content-length=0]()@24"),
        parse_case(V12, "SEND\ncontent-length:003\n\nxyz\0",
                   "SEND/2[content-length=003](xyz)@29"),

        /* the first content-length counts, whatever the second one is */

        parse_case(V12, "SEND\ncontent-length:2\ncontent-length:1\n\nxy\0",
                   "SEND/2[content-length=2][content-length=1](xy)@43"),
        parse_case(V12, "SEND\ncontent-length:2\ncontent-length:z\n\nxy\0",
                   "SEND/2[content-length=2][content-length=z](xy)@43"),

        /* header names are case-sensitive */

        parse_case(V12, "SEND\nContent-Length:1\n\nxyz\0",
                   "SEND/2[Content-Length=1](xyz)@27"),

        parse_case(V12, "SEND\ncontent-length:2\n\nxyz\0",
                   "SEND/2[content-length=2]" MALFORMED),
        parse_case(V12, "SEND\ncontent-length:0\n\nx\0",
                   "SEND/2[content-length=0]" MALFORMED),

        /* commands without a body */

        parse_case(V12, "SUBSCRIBE\ncontent-length:0\n\n\0",
                   "SUBSCRIBE/3[content-length=0]()@29"),
        parse_case(V12, "SUBSCRIBE\n\nx\0", "SUBSCRIBE/3" MALFORMED),
        parse_case(V12, "SUBSCRIBE\n\n\n\0", "SUBSCRIBE/3" MALFORMED),
        parse_case(V12, "SUBSCRIBE\ncontent-length:1\n\nx\0",
                   "SUBSCRIBE/3" MALFORMED),
        parse_case(V12, "SUBSCRIBE\ncontent-length:999999999999999999999\n\n",
                   "SUBSCRIBE/3" MALFORMED),
        parse_case(V12, "SUBSCRIBE\ncontent-length:0\n\nx\0",
                   "SUBSCRIBE/3[content-length=0]" MALFORMED),
        parse_case(0, "CONNECT\n\nx\0", "CONNECT/0" MALFORMED),
        parse_case(0, "STOMP\ncontent-length:5\n\nhello\0",
                   "STOMP/1" MALFORMED),
        parse_case(V12, "FOO\nreceipt:1\n\nx\0",
                   "FOO/11[receipt=1]" MALFORMED)
    };

    static const char  *lengths[] = {
        "", "x", "1x", "x1", "-1", "+1", "1.0", "0x1", "1 ", "1,1", "\xc2\xb2",
        "99999999999999999999999999999999z"
    };

    all_cases_give(cases);

    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        (void) snprintf(text, sizeof(text), "SEND\nreceipt:9\n"
                        "content-length:%s\n\nx", lengths[i]);
        parse_gives(text, strlen(text) + 1, V12, "SEND/2[receipt=9]" MALFORMED);
    }
}


/* NUL in a body, which the text of the log can't show */

static void
test_body_with_nul(void **state)
{
    u_char              *data;
    size_t               n;
    ngx_int_t            rc;
    ngx_stomp_parser_t   p;

    static const char  text[] = "SEND\ncontent-length:5\n\n\0a\0\0b\0\n";

    for (n = 1; n < sizeof(text) - 2; n++) {
        parse_start(&p, V12);

        data = unit_guard_copy(&parse_guards[0], text, n);
        rc = ngx_stomp_parse(&p, data, n);
        assert_int_equal(rc, NGX_AGAIN);

        data = unit_guard_copy(&parse_guards[1], text, sizeof(text) - 1);
        rc = ngx_stomp_parse(&p, data, sizeof(text) - 1);
        assert_int_equal(rc, NGX_OK);

        assert_int_equal(p.pos, sizeof(text) - 2);
        assert_int_equal(p.frame.body.len, 5);
        assert_ptr_equal(p.frame.body.data, data + 23);
        assert_memory_equal(p.frame.body.data, "\0a\0\0b", 5);
    }
}


static void
test_header_count(void **state)
{
    parse_limits.max_headers = 3;

    parse_gives("SEND\na:1\na:2\na:3\n\n\0", 19, V12,
                "SEND/2[a=1][a=2][a=3]()@19");
    parse_gives("SEND\na:1\na:2\na:3\na:4\n\n\0", 23, V12,
                "SEND/2[a=1][a=2][a=3]!2");

    /* whatever the line is */

    parse_gives("SEND\na:1\na:2\na:3\nbad\n\n\0", 23, V12,
                "SEND/2[a=1][a=2][a=3]!2");

    parse_limits.max_headers = 0;

    parse_gives("SEND\n\n\0", 7, V12, "SEND/2()@7");
    parse_gives("SEND\na:1\n\n\0", 11, V12, "SEND/2!2");

    parse_limits.max_headers = 8;
}


static void
test_header_length(void **state)
{
    parse_limits.max_header_length = 5;

    parse_gives("SEND\na:345\n\n\0", 13, V12, "SEND/2[a=345]()@13");
    parse_gives("SEND\r\na:345\r\n\r\n\0", 16, V12, "SEND/2[a=345]()@16");
    parse_gives("SEND\na:345\r\n\n\0", 14, V12, "SEND/2[a=345]()@14");
    parse_gives("SEND\na:\\n5\n\n\0", 13, V12, "SEND/2[a=\n5]()@13");

    parse_gives("SEND\na:3456\n\n\0", 14, V12, "SEND/2!3");
    parse_gives("SEND\na:3456\r\n\n\0", 15, V12, "SEND/2!3");
    parse_gives("SEND\na:345\r\r\n\n\0", 15, V12, "SEND/2!3");
    parse_gives("SEND\na:345\rx\n\n\0", 15, V12, "SEND/2!3");
    parse_gives("SEND\na:1\nb:345678901234567890", 29, V12, "SEND/2[a=1]!3");

    /* before its end has come */

    parse_gives("SEND\na:3456", 11, V12, "SEND/2!3");
    parse_gives("SEND\na:345", 10, V12, "SEND/2?10");
    parse_gives("SEND\na:345\r", 11, V12, "SEND/2?11");
    parse_gives("SEND\na:345\rx", 12, V12, "SEND/2!3");

    /* the first error counts, also if more octets have come */

    parse_gives("SEND\na:3456\0", 12, V12, "SEND/2!3");
    parse_gives("SEND\na:34\0006", 11, V12, "SEND/2!1");
    parse_gives("SEND\na:345\0", 11, V12, "SEND/2!1");
    parse_gives("SEND\na:345\r\0", 12, V12, "SEND/2!1");

    parse_limits.max_header_length = 0;

    parse_gives("SEND\n\n\0", 7, V12, "SEND/2()@7");
    parse_gives("SEND\r\n\r\n\0", 9, V12, "SEND/2()@9");
    parse_gives("SEND\na", 6, V12, "SEND/2!3");

    parse_limits.max_header_length = (size_t) -1;

    parse_gives("SEND\na:1\r\n\n\0", 12, V12, "SEND/2[a=1]()@12");

    parse_limits.max_header_length = 64;
}


static void
test_body_limit(void **state)
{
    parse_limits.max_body = 12;

    parse_gives("SEND\n\n123456789012\0", 19, V12, "SEND/2(123456789012)@19");
    parse_gives("SEND\n\n1234567890123\0", 20, V12, "SEND/2!4");
    parse_gives("SEND\n\n1234567890123", 19, V12, "SEND/2!4");
    parse_gives("SEND\n\n123456789012", 18, V12, "SEND/2?18");

    parse_gives("SEND\ncontent-length:12\n\n123456789012\0", 37, V12,
                "SEND/2[content-length=12](123456789012)@37");

    /* an announced body fails at the header, before others are read */

    parse_gives("SEND\nreceipt:1\ncontent-length:13\n", 33, V12,
                "SEND/2[receipt=1]!4");
    parse_gives("SEND\nreceipt:1\ncontent-length:20\n", 33, V12,
                "SEND/2[receipt=1]!4");
    parse_gives("SEND\ncontent-length:18446744073709551616\n", 41, V12,
                "SEND/2!4");
    parse_gives("SEND\ncontent-length:18446744073709551617\n", 41, V12,
                "SEND/2!4");
    parse_gives("SEND\ncontent-length:00000000000000000000000\n\n\0", 46, V12,
                "SEND/2[content-length=00000000000000000000000]()@46");

    parse_limits.max_body = 0;

    parse_gives("SEND\n\n\0", 7, V12, "SEND/2()@7");
    parse_gives("SEND\n\nx", 7, V12, "SEND/2!4");
    parse_gives("SEND\ncontent-length:1\n", 22, V12, "SEND/2!4");
    parse_gives("BEGIN\ncontent-length:1\n", 23, V12, "BEGIN/7!1");
    parse_gives("SEND\ncontent-length:0\n\n\0", 24, V12,
                "SEND/2[content-length=0]()@24");

    parse_limits.max_body = (size_t) -1;

    parse_gives("SEND\n\nx\0", 8, V12, "SEND/2(x)@8");
    parse_gives("SEND\ncontent-length:99999999999999999999\n", 41, V12,
                "SEND/2!4");

    if (sizeof(size_t) == 8) {
        parse_gives("SEND\ncontent-length:18446744073709551616\n", 41, V12,
                    "SEND/2!4");
        parse_gives("SEND\ncontent-length:18446744073709551615\n\nx\0", 44, V12,
                    "SEND/2[content-length=18446744073709551615]?44");
    }

    parse_limits.max_body = 100;
}


/* what an ERROR needs is there after each kind of failure */

static void
test_receipt_after_error(void **state)
{
    size_t               i;
    u_char              *data;
    ngx_str_t           *receipt;
    ngx_stomp_parser_t   p;

    static const char  *texts[] = {
        "SEND\nreceipt:r\\c1\nbad line\n",
        "SEND\nreceipt:r\\c1\nx:\\t\n",
        "SEND\nreceipt:r\\c1\ncontent-length:x\n",
        "SEND\nreceipt:r\\c1\ncontent-length:1000\n",
        "SEND\nreceipt:r\\c1\ncontent-length:1\n\nxyz",
        "BEGIN\nreceipt:r\\c1\n\nbody",
        "SEND\nreceipt:r\\c1\nreceipt:2\na:3\na:4\na:5\na:6\na:7\na:8\na:9\n",
        ("SEND\nreceipt:r\\c1\n"
        "123456789 123456789 123456789 123456789 123456789 123456789 12345")
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        parse_start(&p, V12);

        data = unit_guard_copy(&parse_guards[0], texts[i], 8);
        assert_int_equal(ngx_stomp_parse(&p, data, 8), NGX_AGAIN);

        data = unit_guard_copy(&parse_guards[1], texts[i], strlen(texts[i]));
        assert_int_equal(ngx_stomp_parse(&p, data, strlen(texts[i])),
                         NGX_ABORT);

        receipt = ngx_stomp_header(&p.frame, "receipt");
        assert_non_null(receipt);
        assert_int_equal(receipt->len, 3);
        assert_memory_equal(receipt->data, "r:1", 3);
    }
}


/* a call without new octets changes nothing, but follows the address */

static void
test_no_new_octets(void **state)
{
    u_char              *data;
    ngx_stomp_parser_t   p;

    static const char  text[] = "SEND\na:\\n\nb:2\n\nbody";

    parse_start(&p, V12);

    assert_int_equal(ngx_stomp_parse(&p, NULL, 0), NGX_AGAIN);

    data = unit_guard_copy(&parse_guards[0], text, 16);
    assert_int_equal(ngx_stomp_parse(&p, data, 16), NGX_AGAIN);

    data = unit_guard_copy(&parse_guards[1], data, 16);
    (void) unit_guard_room(&parse_guards[0], 0);
    assert_int_equal(ngx_stomp_parse(&p, data, 16), NGX_AGAIN);

    assert_int_equal(p.pos, 16);
    assert_int_equal(p.frame.nheaders, 2);
    assert_ptr_equal(p.frame.name.data, data);
    assert_ptr_equal(p.headers[0].value.data, data + 7);
    assert_int_equal(p.headers[0].value.len, 1);
    assert_int_equal(p.headers[0].value.data[0], '\n');
    assert_ptr_equal(p.headers[1].name.data, data + 10);
}


static void
test_skip_eol(void **state)
{
    size_t   n;
    u_char  *p;

    static const char  text[] = "\n\r\n\rSEND\n";

    assert_int_equal(ngx_stomp_skip_eol(NULL, 0), 0);

    for (n = 0; n < sizeof(text); n++) {
        p = unit_guard_copy(&parse_guards[0], text, n);
        assert_int_equal(ngx_stomp_skip_eol(p, n), ngx_min(n, 4));
    }

    assert_int_equal(ngx_stomp_skip_eol((u_char *) "\0\n", 2), 0);
}


/* a random valid frame, with EOLs behind it; returns its length */

static size_t
random_frame(char *p, uint32_t *seed)
{
    char        *parse_start, body[64];
    size_t       len, i, headers;
    ngx_uint_t   crlf, sized;

    static const char  *names[] = { "a", "id", "x\\cy", "\xc3\xa9", "\\\\" };
    static const char  *values[] = { "", "1", "\\n\\n", "v\\cw\\\\", "u:v",
                                     "\\r", "\xe2\x82\xac", " s " };

    parse_start = p;
    crlf = unit_random(seed, 2);
    sized = unit_random(seed, 2);
    headers = unit_random(seed, 7);
    len = unit_random(seed, sizeof(body));

    if (unit_random(seed, 4) == 0) {
        p += sprintf(p, "SUBSCRIBE%s", crlf ? "\r\n" : "\n");
        len = 0;
        sized = 0;

    } else {
        p += sprintf(p, "SEND%s", crlf ? "\r\n" : "\n");
    }

    for (i = 0; i < len; i++) {
        body[i] = (char) unit_random(seed, 256);

        if (!sized && body[i] == '\0') {
            body[i] = 'x';
        }
    }

    while (headers--) {
        p += sprintf(p, "%s:%s%s", names[unit_random(seed, 5)],
                     values[unit_random(seed, 8)],
                     unit_random(seed, 2) ? "\r\n" : "\n");
    }

    if (sized) {
        p += sprintf(p, "content-length:%u\n", (unsigned) len);
    }

    p += sprintf(p, "%s", crlf ? "\r\n" : "\n");

    memcpy(p, body, len);
    p += len;
    *p++ = '\0';

    for (i = unit_random(seed, 3); i; i--) {
        p += sprintf(p, "%s", unit_random(seed, 2) ? "\r\n" : "\n");
    }

    return p - parse_start;
}


/*
 * Feeds a stream as a session does: skips EOLs, keeps an incomplete frame,
 * goes on behind a complete one.  Returns the number of frames.
 */

static size_t
run_stream(parse_log_t *log, const char *text, size_t len, uint32_t *seed)
{
    size_t               n, sent, used, size, frames;
    u_char              *data, buf[PARSE_SIZE];
    ngx_int_t            rc;
    ngx_uint_t           turn, begun;
    ngx_stomp_parser_t   p;

    log->len = 0;
    frames = 0;
    begun = 0;
    size = 0;
    turn = 0;

    for (sent = 0; sent < len; sent += n) {
        n = (seed != NULL) ? unit_random(seed, 40) : len;
        n = ngx_min(n, len - sent);

        memcpy(buf + size, text + sent, n);
        size += n;

        data = unit_guard_copy(&parse_guards[turn++ % 2], buf, size);
        used = 0;

        for ( ;; ) {

            if (!begun) {
                used += ngx_stomp_skip_eol(data + used, size - used);

                if (used == size) {
                    break;
                }

                parse_start(&p, V12);
                begun = 1;
            }

            rc = ngx_stomp_parse(&p, data + used, size - used);

            if (rc == NGX_AGAIN) {
                break;
            }

            assert_int_equal(rc, NGX_OK);

            parse_put_result(log, &p, rc, data + used, size - used);

            used += p.pos;
            frames++;
            begun = 0;
        }

        size -= used;
        memcpy(buf, data + used, size);
    }

    assert_int_equal(begun, 0);
    assert_int_equal(size, 0);

    return frames;
}


static void
test_random(void **state)
{
    char        text[PARSE_SIZE / 2];
    size_t      i, n, len;
    uint32_t    seed;
    ngx_uint_t  round;

    seed = 5;

    for (round = 0; round < 2000; round++) {
        n = 1 + unit_random(&seed, 8);
        len = 0;

        for (i = 0; i < n; i++) {
            len += random_frame(text + len, &seed);
        }

        assert_int_equal(run_stream(&parse_whole, text, len, NULL), n);

        for (i = 0; i < 5; i++) {
            assert_int_equal(run_stream(&parse_pieces, text, len, &seed), n);
            assert_int_equal(parse_pieces.len, parse_whole.len);
            assert_memory_equal(parse_pieces.data, parse_whole.data,
                                parse_whole.len);
        }
    }
}


/* frames with random damage: no crash, and the same answer in pieces */

static void
test_damaged(void **state)
{
    char         text[PARSE_SIZE / 2];
    size_t       i, n, len;
    uint32_t     seed;
    ngx_uint_t   round;
    parse_cut_t  cut;

    static const char        octets[] = "\0\n\r:\\\xff\xc3 xA0";
    static const ngx_uint_t  versions[] = { 0, V10, V11, V12 };

    parse_limits.max_header_length = 12;
    parse_limits.max_headers = 4;
    parse_limits.max_body = 40;

    seed = 9;

    for (round = 0; round < 20000; round++) {
        len = random_frame(text, &seed);

        for (n = unit_random(&seed, 4); n; n--) {
            i = unit_random(&seed, len);
            text[i] = octets[unit_random(&seed, sizeof(octets) - 1)];
        }

        n = versions[unit_random(&seed, 4)];

        (void) parse_run_whole(text, len, n);

        for (i = 0; i < 3; i++) {
            cut.first = i;
            cut.chunk = (i == 0) ? 1 : 30;
            cut.seed = (i == 0) ? NULL : &seed;

            (void) parse_run(&parse_pieces, text, len, n, &cut);

            assert_int_equal(parse_pieces.len, parse_whole.len);
            assert_memory_equal(parse_pieces.data, parse_whole.data,
                                parse_whole.len);
        }
    }

    parse_limits.max_header_length = 64;
    parse_limits.max_headers = 8;
    parse_limits.max_body = 100;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_line_ends),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_malformed_headers),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_body_with_nul),
        cmocka_unit_test(test_header_count),
        cmocka_unit_test(test_header_length),
        cmocka_unit_test(test_body_limit),
        cmocka_unit_test(test_receipt_after_error),
        cmocka_unit_test(test_no_new_octets),
        cmocka_unit_test(test_skip_eol),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_damaged)
    };

    parse_feed_init();
    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
