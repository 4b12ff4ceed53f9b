
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: browsers refuse the 101, because Sec-WebSocket-Accept or the
 * subprotocol is not what they asked for.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_ws_accept.h>
#include <unit_guard.h>


static unit_guard_t  guard, out;


static ngx_str_t *
str(const char *text)
{
    static ngx_str_t  s;

    s.len = strlen(text);
    s.data = unit_guard_copy(&guard, text, s.len);

    return &s;
}


static void
accept_is(const char *key, const char *expected)
{
    u_char  *p;

    p = unit_guard_room(&out, NGX_STOMP_WS_ACCEPT_LEN);
    ngx_stomp_ws_accept(str(key), p);

    assert_int_equal(strlen(expected), NGX_STOMP_WS_ACCEPT_LEN);
    assert_memory_equal(p, expected, NGX_STOMP_WS_ACCEPT_LEN);
    unit_guard_check(&out, NGX_STOMP_WS_ACCEPT_LEN);
}


/* RFC 6455, section 1.3, and two more, computed elsewhere */

static void
test_accept(void **state)
{
    accept_is("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    accept_is("AAAAAAAAAAAAAAAAAAAAAA==", "ICX+Yqv66kxgM0FcWaLWlFLwTAI=");
    accept_is("/////////////////////w==", "XXpj4jYzLM2yUE0C7TIgMwTQh2g=");
}


static void
test_key(void **state)
{
    size_t  i;

    static const char  *good[] = {
        "dGhlIHNhbXBsZSBub25jZQ==",
        "AAAAAAAAAAAAAAAAAAAAAA==",
        "+/+/+/+/+/+/+/+/+/+/+w=="
    };

    static const char  *bad[] = {
        "",
        "==",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZQ=A",
        "dGhlIHNhbXBsZSBub25jZQA=",
        "dGhlIHNhbXBsZSBub25jZQAA",
        "dGhlIHNhbXBsZSBub25jZ===",
        "dGhlIHNhbXBs=SBub25jZQ==",
        "dGhlIHNhbXBs SBub25jZQ==",
        "dGhlIHNhbXBs-_Bub25jZQ==",
        "dGhlIHNhbXBs\xc3\xa9ub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZSBhbmQgbW9yZQ==",
        " GhlIHNhbXBsZSBub25jZQ=="
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(ngx_stomp_ws_key_check(str(good[i])), NGX_OK);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(ngx_stomp_ws_key_check(str(bad[i])), NGX_DECLINED);
    }
}


static ngx_int_t
token(const char *list)
{
    return ngx_stomp_ws_token(str(list), "upgrade", 7);
}


static void
test_token(void **state)
{
    ngx_str_t  null;

    ngx_str_null(&null);

    assert_int_equal(token("upgrade"), NGX_OK);
    assert_int_equal(token("Upgrade"), NGX_OK);
    assert_int_equal(token("keep-alive, Upgrade"), NGX_OK);
    assert_int_equal(token("keep-alive,UPGRADE"), NGX_OK);
    assert_int_equal(token("upgrade, keep-alive"), NGX_OK);
    assert_int_equal(token(" \t upgrade \t "), NGX_OK);
    assert_int_equal(token(",, ,upgrade,,"), NGX_OK);

    assert_int_equal(token(""), NGX_DECLINED);
    assert_int_equal(token(","), NGX_DECLINED);
    assert_int_equal(token(" , \t"), NGX_DECLINED);
    assert_int_equal(token("upgrad"), NGX_DECLINED);
    assert_int_equal(token("upgraded"), NGX_DECLINED);
    assert_int_equal(token("up grade"), NGX_DECLINED);
    assert_int_equal(token("upgrade keep-alive"), NGX_DECLINED);
    assert_int_equal(token("keep-alive"), NGX_DECLINED);
    assert_int_equal(ngx_stomp_ws_token(&null, "upgrade", 7), NGX_DECLINED);
    assert_int_equal(ngx_stomp_ws_token(str("a,,b"), "", 0), NGX_DECLINED);
}


static void
chosen_is(const char *first, const char *second, const char *expected)
{
    ngx_str_t  chosen;

    ngx_str_null(&chosen);

    ngx_stomp_ws_subprotocol(str(first), &chosen);
    ngx_stomp_ws_subprotocol(str(second), &chosen);

    assert_int_equal(chosen.len, strlen(expected));

    if (chosen.len) {
        assert_memory_equal(chosen.data, expected, chosen.len);
    }
}


static void
test_subprotocol(void **state)
{
    chosen_is("v12.stomp, v11.stomp, v10.stomp", "", "v12.stomp");
    chosen_is("v10.stomp, v11.stomp, v12.stomp", "", "v12.stomp");
    chosen_is("v10.stomp,v11.stomp", "", "v11.stomp");
    chosen_is("v10.stomp", "", "v10.stomp");
    chosen_is("mqtt, v11.stomp", "chat", "v11.stomp");

    /* one list over several header lines, in either order */

    chosen_is("v10.stomp", "v12.stomp", "v12.stomp");
    chosen_is("v12.stomp", "v10.stomp", "v12.stomp");
    chosen_is("", "v11.stomp", "v11.stomp");

    chosen_is("", "", "");
    chosen_is(" , ,", "", "");
    chosen_is("stomp, v13.stomp, v12.stomps, v12", "v12.stom", "");

    /* browsers compare the answer with case */

    chosen_is("V12.STOMP, v10.stomp", "", "v10.stomp");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_accept),
        cmocka_unit_test(test_key),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_subprotocol)
    };

    unit_guard_init(&guard, 4096);
    unit_guard_init(&out, 4096);
    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests_name("ws_accept", tests, NULL, NULL);
}
