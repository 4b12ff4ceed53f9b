
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: a server frame is longer than the memory that was counted for
 * it, or a client reads a header that somebody else has slipped in.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_serialize.h>
#include <unit_guard.h>


static unit_guard_t  in[3], out;


static ngx_str_t
str(ngx_uint_t i, const char *text)
{
    ngx_str_t  s;

    s.len = strlen(text);
    s.data = unit_guard_copy(&in[i], text, s.len);

    return s;
}


static void
frame_is(u_char *p, size_t n, const char *expected, size_t len)
{
    assert_int_equal(n, len);
    assert_memory_equal(p, expected, len);
    unit_guard_check(&out, len);
}


static void
connected_is(ngx_stomp_connected_t *c, const char *expected, size_t len)
{
    u_char  *p;

    assert_int_equal(ngx_stomp_write_connected(NULL, c), len);

    p = unit_guard_room(&out, len);
    frame_is(p, ngx_stomp_write_connected(p, c), expected, len);
}


#define connected_is_text(c, text)  connected_is(c, text, sizeof(text))


static void
test_connected(void **state)
{
    ngx_stomp_connected_t  c;

    c.version = NGX_STOMP_V12;
    c.send = 10000;
    c.receive = 0;
    c.session = str(0, "2-1f");
    c.server = str(1, "nginx/1.22.1");
    c.user = str(2, "");

    connected_is_text(&c, "CONNECTED\nversion:1.2\nheart-beat:10000,0\n"
                      "session:2-1f\nserver:nginx/1.22.1\n\n");

    c.version = NGX_STOMP_V11;
    c.user = str(2, "j:doe\\");

    connected_is_text(&c, "CONNECTED\nversion:1.1\nheart-beat:10000,0\n"
                      "user-name:j:doe\\\nsession:2-1f\n"
                      "server:nginx/1.22.1\n\n");

    c.version = NGX_STOMP_V10;

    connected_is_text(&c, "CONNECTED\nversion:1.0\nuser-name:j:doe\\\n"
                      "session:2-1f\nserver:nginx/1.22.1\n\n");

    c.version = NGX_STOMP_V12;
    c.send = 4294967295;
    c.receive = 9;
    c.user = str(2, "eve\nheart-beat:0,0\r");

    connected_is_text(&c, "CONNECTED\nversion:1.2\n"
                      "heart-beat:4294967295,9\n"
                      "user-name:eve heart-beat:0,0 \nsession:2-1f\n"
                      "server:nginx/1.22.1\n\n");
}


static void
receipt_is(const char *id, ngx_uint_t version, const char *expected,
    size_t len)
{
    u_char     *p;
    ngx_str_t   s;

    s = str(0, id);

    assert_int_equal(ngx_stomp_write_receipt(NULL, &s, version), len);

    p = unit_guard_room(&out, len);
    frame_is(p, ngx_stomp_write_receipt(p, &s, version), expected, len);
}


#define receipt_is_text(id, version, text)                                    \
    receipt_is(id, version, text, sizeof(text))


static void
test_receipt(void **state)
{
    receipt_is_text("close-1", NGX_STOMP_V12,
                    "RECEIPT\nreceipt-id:close-1\n\n");
    receipt_is_text("", NGX_STOMP_V12, "RECEIPT\nreceipt-id:\n\n");
    receipt_is_text("a:\\\n\r", NGX_STOMP_V12,
                    "RECEIPT\nreceipt-id:a\\c\\\\\\n\\r\n\n");
    receipt_is_text("a:\\\n\r", NGX_STOMP_V11,
                    "RECEIPT\nreceipt-id:a\\c\\\\\\n \n\n");
    receipt_is_text("a:\\\n\r", NGX_STOMP_V10,
                    "RECEIPT\nreceipt-id:a:\\  \n\n");
}


static void
error_is(const char *message, const char *receipt, const char *body,
    ngx_uint_t version, ngx_uint_t versions, const char *expected, size_t len)
{
    u_char     *p;
    size_t      n;
    ngx_str_t   m, r, b, *id;

    m = str(0, message);
    b = str(2, body);
    id = NULL;

    if (receipt != NULL) {
        r = str(1, receipt);
        id = &r;
    }

    n = ngx_stomp_write_error(NULL, &m, id, &b, version, versions);
    assert_int_equal(n, len);

    p = unit_guard_room(&out, n);
    n = ngx_stomp_write_error(p, &m, id, &b, version, versions);
    frame_is(p, n, expected, len);
}


#define error_is_text(message, receipt, body, version, versions, text)        \
    error_is(message, receipt, body, version, versions, text, sizeof(text))


static void
test_error(void **state)
{
    error_is_text("bad", NULL, "", 0, 0,
                  "ERROR\nmessage:bad\ncontent-type:text/plain\n"
                  "content-length:0\n\n");

    error_is_text("bad", "77", "what: to\ndo\\", NGX_STOMP_V12, 0,
                  "ERROR\nmessage:bad\nreceipt-id:77\n"
                  "content-type:text/plain\ncontent-length:12\n\n"
                  "what: to\ndo\\");

    error_is_text("no version", NULL, "0123456789", 0, 7,
                  "ERROR\nmessage:no version\nversion:1.0,1.1,1.2\n"
                  "content-type:text/plain\ncontent-length:10\n\n0123456789");

    error_is_text("a:b\r\nc", "r:\n", "x", NGX_STOMP_V12, 0,
                  "ERROR\nmessage:a\\cb\\r\\nc\nreceipt-id:r\\c\\n\n"
                  "content-type:text/plain\ncontent-length:1\n\nx");

    error_is_text("a:b\r\nc", "r:\n", "x", NGX_STOMP_V11, 1,
                  "ERROR\nmessage:a\\cb \\nc\nreceipt-id:r\\c\\n\n"
                  "version:1.0,1.1,1.2\n"
                  "content-type:text/plain\ncontent-length:1\n\nx");

    error_is_text("a:b\r\nc", "", "x", 0, 0,
                  "ERROR\nmessage:a:b  c\nreceipt-id:\n"
                  "content-type:text/plain\ncontent-length:1\n\nx");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_connected),
        cmocka_unit_test(test_receipt),
        cmocka_unit_test(test_error)
    };

    unit_guard_init(&in[0], 4096);
    unit_guard_init(&in[1], 4096);
    unit_guard_init(&in[2], 4096);
    unit_guard_init(&out, 4096);
    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests_name("serialize", tests, NULL, NULL);
}
