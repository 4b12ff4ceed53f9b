
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: a frame that arrives in two reads is decoded as another one,
 * or a client that breaks the protocol is answered with a wrong close code.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_ws.h>
#include <ws_feed.h>


static unit_guard_t  in, out;


typedef struct {
    const char  *data;
    size_t       len;
    ngx_uint_t   code;
} ws_error_t;


static void
test_decoder_size(void **state)
{
    assert_true(sizeof(ngx_stomp_ws_decoder_t) <= 40);
}


/* RFC 6455, section 5.7, and the same as a client may send it */

static void
test_rfc_examples(void **state)
{
    u_char  data[65536];

    ws_put(&ws_stream, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    ws_gives_text("1:0:5(Hello)");

    ws_put(&ws_stream, "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    ws_gives_text("10:0:5(Hello)");

    ws_put_text(NGX_STOMP_WS_TEXT|WS_NO_FIN, "Hel");
    ws_put_text(NGX_STOMP_WS_CONTINUATION, "lo");
    ws_gives_text("1:0:5(Hello)");

    ws_put_text(NGX_STOMP_WS_PING, "Hello");
    ws_gives_text("9:0:5(Hello)");

    memset(data, 'x', sizeof(data));

    ws_put_frame(NGX_STOMP_WS_BINARY, data, 256);
    assert_memory_equal(ws_stream.data, "\x82\xfe\x01\x00", 4);
    ws_gives(WS_MAX, NULL, 0);
    assert_int_equal(ws_whole.events.len, sizeof("2:0:256()") - 1 + 256);

    ws_put_frame(NGX_STOMP_WS_BINARY, data, 65536);
    assert_memory_equal(ws_stream.data, "\x82\xff\0\0\0\0\0\x01\0\0", 10);
    assert_int_equal(ws_run_whole(WS_MAX), NGX_AGAIN);
    assert_int_equal(ws_whole.events.len, sizeof("2:0:65536()") - 1 + 65536);
    ws_run_same(WS_MAX, 5, 4093, NULL);
    ws_stream.len = 0;

    ws_put(&ws_stream, "\x81\x05\x48\x65\x6c\x6c\x6f", 7);
    ws_fails(WS_MAX, 1002);
}


/* lengths around the 8 octets that are unmasked at once, in all phases */

static void
test_masks(void **state)
{
    u_char  data[80];
    size_t  len, i;

    for (i = 0; i < sizeof(data); i++) {
        data[i] = (u_char) (i * 7);
    }

    for (len = 0; len <= sizeof(data); len++) {
        ws_put_frame(NGX_STOMP_WS_BINARY, data, len);

        assert_int_equal(ws_run_whole(WS_MAX), NGX_AGAIN);

        assert_memory_equal(ws_whole.events.data + ws_whole.events.len - 1
                            - len, data, len);

        for (i = 1; i < ws_stream.len; i++) {
            ws_run_same(WS_MAX, i, ws_stream.len, NULL);
            ws_run_same(WS_MAX, 0, i, NULL);
        }

        ws_stream.len = 0;
    }
}


static void
test_lengths(void **state)
{
    size_t         i, octets;
    static u_char  data[70000];

    static const size_t  lengths[] = {
        0, 1, 124, 125, 126, 127, 128, 255, 256, 65534, 65535, 65536, 65537,
        70000
    };

    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        ws_stream.len = 0;
        ws_put_frame(NGX_STOMP_WS_BINARY, data, lengths[i]);

        octets = ws_stream.len - lengths[i];
        assert_int_equal(octets, ngx_stomp_ws_head_len(lengths[i]) + 4);

        assert_int_equal(ws_run_whole(lengths[i]), NGX_AGAIN);
        assert_int_equal(ws_whole.events.data[0], '2');

        ws_run_same(lengths[i], 0, 1021, NULL);
        ws_run_same(lengths[i], octets - 1, 65536, NULL);

        if (lengths[i]) {
            assert_int_equal(ws_run_whole(lengths[i] - 1), NGX_ABORT);
            assert_memory_equal(ws_whole.events.data, "0:1009:", 7);
        }
    }

    ws_stream.len = 0;
}


/* a wrong length is found without its payload */

static void
test_length_errors(void **state)
{
    ws_put_head(NGX_STOMP_WS_BINARY, 125, 2);
    ws_fails(WS_MAX, 1002);

    ws_put_head(NGX_STOMP_WS_BINARY, 0, 2);
    ws_fails(WS_MAX, 1002);

    ws_put_head(NGX_STOMP_WS_BINARY, 125, 8);
    ws_fails(WS_MAX, 1002);

    ws_put_head(NGX_STOMP_WS_BINARY, 65535, 8);
    ws_fails(WS_MAX, 1002);

    ws_put_head(NGX_STOMP_WS_BINARY, 1ULL << 63, 8);
    ws_fails(UINT64_MAX, 1002);

    ws_put_head(NGX_STOMP_WS_BINARY, UINT64_MAX, 8);
    ws_fails(UINT64_MAX, 1002);

    ws_put_head(NGX_STOMP_WS_BINARY, INT64_MAX, 8);
    ws_fails(WS_MAX, 1009);

    ws_put_head(NGX_STOMP_WS_BINARY, WS_MAX + 1, 8);
    ws_fails(WS_MAX, 1009);

    ws_put_head(NGX_STOMP_WS_BINARY, WS_MAX, 8);
    assert_int_equal(ws_run_whole(WS_MAX), NGX_AGAIN);
    assert_int_equal(ws_whole.events.len, 0);
    ws_gives(WS_MAX, NULL, 0);
}


/* the limit is the message's, however many frames it has */

static void
test_message_limit(void **state)
{
    ws_put_text(NGX_STOMP_WS_TEXT|WS_NO_FIN, "1234");
    ws_put_text(NGX_STOMP_WS_CONTINUATION|WS_NO_FIN, "5678");
    ws_put_text(NGX_STOMP_WS_CONTINUATION, "90");
    ws_put_text(NGX_STOMP_WS_TEXT, "1234567890");
    ws_gives(10, "1:0:10(1234567890)1:0:10(1234567890)", 36);

    ws_put_text(NGX_STOMP_WS_TEXT|WS_NO_FIN, "1234");
    ws_put_text(NGX_STOMP_WS_CONTINUATION|WS_NO_FIN, "5678");
    ws_put_text(NGX_STOMP_WS_CONTINUATION, "90");
    ws_fails(9, 1009);

    ws_put_text(NGX_STOMP_WS_TEXT|WS_NO_FIN, "1");
    ws_put_head(NGX_STOMP_WS_CONTINUATION, INT64_MAX, 8);
    ws_fails(INT64_MAX, 1009);

    /* control frames don't count */

    ws_put_text(NGX_STOMP_WS_TEXT|WS_NO_FIN, "1");
    ws_put_text(NGX_STOMP_WS_PING, "a long ping");
    ws_put_text(NGX_STOMP_WS_CONTINUATION, "2");
    ws_gives(2, "9:0:11(a long ping)1:0:2(12)", 28);

    ws_put_text(NGX_STOMP_WS_TEXT, "");
    ws_put_text(NGX_STOMP_WS_BINARY, "");
    ws_gives(0, "1:0:0()2:0:0()", 14);
}


static void
test_fragments(void **state)
{
    ws_put_text(NGX_STOMP_WS_TEXT|WS_NO_FIN, "one ");
    ws_put_text(NGX_STOMP_WS_PING, "p1");
    ws_put_text(NGX_STOMP_WS_CONTINUATION|WS_NO_FIN, "two ");
    ws_put_text(NGX_STOMP_WS_PONG, "");
    ws_put_text(NGX_STOMP_WS_PING, "p2");
    ws_put_text(NGX_STOMP_WS_CONTINUATION, "three");
    ws_put_text(NGX_STOMP_WS_BINARY|WS_NO_FIN, "");
    ws_put_text(NGX_STOMP_WS_CONTINUATION|WS_NO_FIN, "");
    ws_put_text(NGX_STOMP_WS_PING, "p3");
    ws_put_text(NGX_STOMP_WS_CONTINUATION, "");
    ws_put_text(NGX_STOMP_WS_TEXT|WS_NO_FIN, "a");
    ws_put_text(NGX_STOMP_WS_CONTINUATION, "");
    ws_put_text(NGX_STOMP_WS_TEXT, "b");
    ws_put_text(NGX_STOMP_WS_CLOSE, "");

    ws_gives_text("9:0:2(p1)10:0:0()9:0:2(p2)1:0:13(one two three)"
                  "9:0:2(p3)2:0:0()1:0:1(a)1:0:1(b)8:1005:0()");
}


/* every octet that makes a header wrong is refused, with nothing behind it */

static void
test_header_errors(void **state)
{
    size_t  i;

    static const ws_error_t  errors[] = {
        { "\xc1\x80", 2, 1002 },             /* RSV1, without deflate */
        { "\xa1\x80", 2, 1002 },
        { "\x91\x80", 2, 1002 },
        { "\xf9\x80", 2, 1002 },
        { "\x81\x00", 2, 1002 },             /* not masked */
        { "\x89\x00", 2, 1002 },
        { "\x83\x80", 2, 1002 },             /* reserved opcodes */
        { "\x84\x80", 2, 1002 },
        { "\x85\x80", 2, 1002 },
        { "\x86\x80", 2, 1002 },
        { "\x87\x80", 2, 1002 },
        { "\x8b\x80", 2, 1002 },
        { "\x8c\x80", 2, 1002 },
        { "\x8d\x80", 2, 1002 },
        { "\x8e\x80", 2, 1002 },
        { "\x8f\x80", 2, 1002 },
        { "\x08\x80", 2, 1002 },             /* fragmented control frames */
        { "\x09\x80", 2, 1002 },
        { "\x0a\x80", 2, 1002 },
        { "\x88\xfe", 2, 1002 },             /* too long ones */
        { "\x89\xfe", 2, 1002 },
        { "\x8a\xff", 2, 1002 },
        { "\x80\x80", 2, 1002 },             /* nothing to continue */
        { "\x00\x80", 2, 1002 }
    };

    for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        ws_put(&ws_stream, errors[i].data, errors[i].len);
        ws_fails(WS_MAX, errors[i].code);

        /* the same after a message */

        ws_put_text(NGX_STOMP_WS_TEXT, "before");
        ws_put(&ws_stream, errors[i].data, errors[i].len);
        ws_fails(WS_MAX, errors[i].code);
    }

    ws_put_text(NGX_STOMP_WS_TEXT|WS_NO_FIN, "begun");
    ws_put_text(NGX_STOMP_WS_TEXT, "again");
    ws_fails(WS_MAX, 1002);

    ws_put_text(NGX_STOMP_WS_BINARY|WS_NO_FIN, "begun");
    ws_put_text(NGX_STOMP_WS_BINARY|WS_NO_FIN, "again");
    ws_fails(WS_MAX, 1002);

    ws_put_text(NGX_STOMP_WS_TEXT|WS_NO_FIN, "begun");
    ws_put_text(NGX_STOMP_WS_CONTINUATION, "ended");
    ws_put_text(NGX_STOMP_WS_CONTINUATION, "more");
    ws_fails(WS_MAX, 1002);
}


static void
test_control_limit(void **state)
{
    char  data[126];

    memset(data, 'p', sizeof(data));

    ws_put_frame(NGX_STOMP_WS_PING, data, 125);
    ws_gives(0, NULL, 0);
    assert_int_equal(ws_whole.events.len, sizeof("9:0:125()") - 1 + 125);

    ws_put_frame(NGX_STOMP_WS_PING, data, 126);
    ws_fails(WS_MAX, 1002);
}


static void
test_utf8(void **state)
{
    char         expected[64];
    size_t       a, b, len;
    const char  *text;

    text = "7 \xce\xba\xe2\x82\xac \xf0\x9f\x98\x80.";
    len = strlen(text);

    (void) snprintf(expected, sizeof(expected), "1:0:%u(%s)", (unsigned) len,
                    text);

    /* characters over the borders of fragments, with a ping between */

    for (a = 0; a <= len; a++) {
        for (b = a; b <= len; b++) {
            ws_put_frame(NGX_STOMP_WS_TEXT|WS_NO_FIN, text, a);
            ws_put_frame(NGX_STOMP_WS_CONTINUATION|WS_NO_FIN, text + a, b - a);
            ws_put_frame(NGX_STOMP_WS_CONTINUATION, text + b, len - b);
            ws_gives(WS_MAX, expected, strlen(expected));
        }
    }

    ws_put_text(NGX_STOMP_WS_TEXT|WS_NO_FIN, "\xe2");
    ws_put_text(NGX_STOMP_WS_PING, "\xff\xfe");
    ws_put_text(NGX_STOMP_WS_CONTINUATION, "\x82\xac");
    ws_gives_text("9:0:2(\xff\xfe)1:0:3(\xe2\x82\xac)");

    ws_put_text(NGX_STOMP_WS_BINARY, "\xff\xfe\x80");
    ws_put_text(NGX_STOMP_WS_TEXT, "ok");
    ws_gives_text("2:0:3(\xff\xfe\x80)1:0:2(ok)");
}


static void
test_utf8_errors(void **state)
{
    ws_put_text(NGX_STOMP_WS_TEXT, "a\xff");
    ws_fails(WS_MAX, 1007);

    ws_put_text(NGX_STOMP_WS_TEXT, "\xed\xa0\x80");
    ws_fails(WS_MAX, 1007);

    /* an incomplete character at the end of a message */

    ws_put_text(NGX_STOMP_WS_TEXT, "a\xe2\x82");
    ws_fails(WS_MAX, 1007);

    ws_put_text(NGX_STOMP_WS_TEXT|WS_NO_FIN, "a\xe2\x82");
    ws_put_text(NGX_STOMP_WS_CONTINUATION, "");
    ws_fails(WS_MAX, 1007);

    ws_put_text(NGX_STOMP_WS_TEXT|WS_NO_FIN, "a\xe2\x82");
    ws_put_text(NGX_STOMP_WS_CONTINUATION, "b");
    ws_fails(WS_MAX, 1007);

    /* before the rest of the frame has come */

    ws_put_text(NGX_STOMP_WS_TEXT, "a\xff" "bcdef");
    ws_stream.len -= 5;
    ws_fails(WS_MAX, 1007);
}


static void
test_close_codes(void **state)
{
    u_char      data[2];
    char        expected[16];
    ngx_uint_t  code, valid;

    ws_put_text(NGX_STOMP_WS_CLOSE, "\x03\xe8" "bye \xe2\x82\xac");
    ws_gives_text("8:1000:7(bye \xe2\x82\xac)");

    ws_put_text(NGX_STOMP_WS_CLOSE, "");
    ws_gives_text("8:1005:0()");

    ws_put_text(NGX_STOMP_WS_CLOSE, "\x03");
    ws_fails(WS_MAX, 1002);

    ws_put_text(NGX_STOMP_WS_CLOSE, "\x03\xe8\xff");
    ws_fails(WS_MAX, 1007);

    ws_put_text(NGX_STOMP_WS_CLOSE, "\x03\xe8" "bye \xe2\x82");
    ws_fails(WS_MAX, 1007);

    for (code = 0; code < 65536; code++) {
        data[0] = (u_char) (code >> 8);
        data[1] = (u_char) code;

        ws_stream.len = 0;
        ws_put_frame(NGX_STOMP_WS_CLOSE, data, 2);

        valid = (code >= 1000 && code <= 1014
                 && code != 1004 && code != 1005 && code != 1006)
                || (code >= 3000 && code <= 4999);

        (void) snprintf(expected, sizeof(expected),
                        valid ? "8:%u:0()" : "0:1002:", (unsigned) code);

        if (ws_run_whole(WS_MAX) != (valid ? NGX_AGAIN : NGX_ABORT)
            || memcmp(ws_whole.events.data, expected, strlen(expected)) != 0)
        {
            fail_msg("close code %u", (unsigned) code);
        }
    }

    ws_stream.len = 0;
}


static void
head_is(ngx_uint_t opcode, uint64_t len, const char *expected, size_t size)
{
    u_char  *p;

    assert_int_equal(ngx_stomp_ws_head_len(len), size);

    p = unit_guard_room(&out, size);
    assert_ptr_equal(ngx_stomp_ws_head(p, opcode, len), p + size);
    assert_memory_equal(p, expected, size);
    unit_guard_check(&out, size);
}


static void
test_head(void **state)
{
    head_is(NGX_STOMP_WS_TEXT, 0, "\x81\x00", 2);
    head_is(NGX_STOMP_WS_TEXT, 5, "\x81\x05", 2);
    head_is(NGX_STOMP_WS_PING, 5, "\x89\x05", 2);
    head_is(NGX_STOMP_WS_PONG, 125, "\x8a\x7d", 2);
    head_is(NGX_STOMP_WS_BINARY, 126, "\x82\x7e\x00\x7e", 4);
    head_is(NGX_STOMP_WS_BINARY, 256, "\x82\x7e\x01\x00", 4);
    head_is(NGX_STOMP_WS_BINARY, 65535, "\x82\x7e\xff\xff", 4);
    head_is(NGX_STOMP_WS_BINARY, 65536, "\x82\x7f\0\0\0\0\0\x01\0\0", 10);
    head_is(NGX_STOMP_WS_BINARY, 0x0102030405060708ULL,
            "\x82\x7f\x01\x02\x03\x04\x05\x06\x07\x08", 10);
}


static void
close_is(ngx_uint_t code, const char *reason, const char *expected,
    size_t size)
{
    u_char     *p;
    ngx_str_t   s;

    s.len = strlen(reason);
    s.data = unit_guard_copy(&in, reason, s.len);

    p = unit_guard_room(&out, size);
    assert_ptr_equal(ngx_stomp_ws_close(p, code, &s), p + size);
    assert_memory_equal(p, expected, size);
    unit_guard_check(&out, size);
    assert_true(size <= NGX_STOMP_WS_CLOSE_MAX);
}


static void
test_close(void **state)
{
    u_char  *p;
    char     reason[200], expected[200];
    size_t   len;

    close_is(0, "not sent", "\x88\x00", 2);
    close_is(1005, "not sent", "\x88\x00", 2);
    close_is(1000, "", "\x88\x02\x03\xe8", 4);
    close_is(1001, "bye", "\x88\x05\x03\xe9" "bye", 7);

    p = unit_guard_room(&out, 2);
    assert_ptr_equal(ngx_stomp_ws_close(p, 0, NULL), p + 2);

    for (len = 120; len < 130; len++) {
        memset(reason, 'x', sizeof(reason));
        reason[len] = '\0';

        memcpy(expected, "\x88\x00\x03\xe8", 4);
        expected[1] = (char) (2 + ngx_min(len, 123));
        memset(expected + 4, 'x', 123);

        close_is(1000, reason, expected, 4 + ngx_min(len, 123));
    }

    /* cut before a character that would go over the end */

    for (len = 119; len <= 124; len++) {
        memset(reason, 'x', sizeof(reason));
        memcpy(reason + len, "\xf0\x9f\x98\x80", 4);
        reason[150] = '\0';

        memcpy(expected, "\x88\x00\x03\xe8", 4);
        memcpy(expected + 4, reason, 123);
        expected[1] = (char) (2 + ((len == 119) ? 123 : ngx_min(len, 123)));

        close_is(1000, reason, expected, 2 + expected[1]);
    }
}


/* messages of random fragments, with control frames between them */

static void
test_random(void **state)
{
    size_t      n, i;
    u_char      data[300];
    uint32_t    seed;
    ngx_int_t   frames;
    ngx_uint_t  round, opcode;

    seed = 7;

    for (round = 0; round < 3000; round++) {
        ws_stream.len = 0;
        frames = 1 + unit_random(&seed, 12);
        opcode = 0;

        while (frames-- > 0 || opcode != 0) {
            memcpy(ws_mask, &seed, 4);
            n = unit_random(&seed, unit_random(&seed, 4) ? 20 : 300);

            for (i = 0; i < n; i++) {
                data[i] = (u_char) unit_random(&seed, 128);
            }

            if (unit_random(&seed, 4) == 0) {
                ws_put_frame(NGX_STOMP_WS_PING + unit_random(&seed, 2), data,
                             n % 126);
                continue;
            }

            if (opcode == 0) {
                opcode = unit_random(&seed, 2) ? NGX_STOMP_WS_TEXT
                                               : NGX_STOMP_WS_BINARY;

            } else {
                opcode = NGX_STOMP_WS_CONTINUATION;
            }

            /* the last frame ends its message, as does each second one */

            if (frames <= 0 || unit_random(&seed, 2)) {
                ws_put_frame(opcode, data, n);
                opcode = 0;

            } else {
                ws_put_frame(opcode|WS_NO_FIN, data, n);
                opcode = WS_NO_FIN;
            }
        }

        assert_int_equal(ws_run_whole(WS_MAX), NGX_AGAIN);
        assert_int_equal(ws_whole.begun, 0);
        assert_true(ws_whole.events.len > 0);

        for (i = 0; i < 5; i++) {
            ws_run_same(WS_MAX, 0, 1 + unit_random(&seed, 60), &seed);
        }
    }

    ws_stream.len = 0;
}


/* any octets: no crash, and the same answer in pieces */

static void
test_noise(void **state)
{
    size_t      i;
    uint32_t    seed;
    ngx_uint_t  round;

    static const char  octets[] = "\x01\x02\x81\x82\x80\x88\x89\x00\x84\xfe"
                                  "\xff\x03\xe8\x85";

    seed = 11;

    for (round = 0; round < 20000; round++) {
        ws_stream.len = 1 + unit_random(&seed, 60);

        for (i = 0; i < ws_stream.len; i++) {
            ws_stream.data[i] = unit_random(&seed, 4)
                             ? (u_char) octets[unit_random(&seed, 14)]
                             : (u_char) unit_random(&seed, 256);
        }

        (void) ws_run_whole(100);

        ws_run_same(100, 0, 1, NULL);
        ws_run_same(100, 0, 1 + unit_random(&seed, 20), &seed);
    }

    ws_stream.len = 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_decoder_size),
        cmocka_unit_test(test_rfc_examples),
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_length_errors),
        cmocka_unit_test(test_message_limit),
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_header_errors),
        cmocka_unit_test(test_control_limit),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_utf8_errors),
        cmocka_unit_test(test_close_codes),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_noise)
    };

    ws_feed_init();
    unit_guard_init(&in, 4096);
    unit_guard_init(&out, 4096);
    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests_name("ws", tests, NULL, NULL);
}
