
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ws_feed.h>


ws_buf_t             ws_stream;
ws_log_t             ws_whole, ws_pieces;
u_char               ws_mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

static unit_guard_t  ws_small[2], ws_big[2];


void
ws_feed_init(void)
{
    unit_guard_init(&ws_small[0], WS_SMALL);
    unit_guard_init(&ws_small[1], WS_SMALL);
    unit_guard_init(&ws_big[0], WS_SIZE);
    unit_guard_init(&ws_big[1], WS_SIZE);
}


void
ws_put(ws_buf_t *b, const void *data, size_t len)
{
    assert_true(len <= WS_SIZE - b->len);

    if (len) {
        memcpy(b->data + b->len, data, len);
        b->len += len;
    }
}


static void
ws_put_octet(ws_buf_t *b, ngx_uint_t n)
{
    u_char  c;

    c = (u_char) n;
    ws_put(b, &c, 1);
}


void
ws_put_head(ngx_uint_t opcode, uint64_t len, ngx_uint_t octets)
{
    ws_put_octet(&ws_stream,
                 (opcode & WS_NO_FIN) ? opcode & 0xf : opcode | 0x80);
    ws_put_octet(&ws_stream,
                 0x80 | ((octets == 0) ? len : (octets == 2) ? 126 : 127));

    while (octets) {
        octets--;
        ws_put_octet(&ws_stream, len >> (octets * 8));
    }

    ws_put(&ws_stream, ws_mask, 4);
}


void
ws_put_frame(ngx_uint_t opcode, const void *data, size_t len)
{
    u_char  *p;
    size_t   i;

    ws_put_head(opcode, len, (len < 126) ? 0 : (len < 65536) ? 2 : 8);

    p = ws_stream.data + ws_stream.len;
    ws_put(&ws_stream, data, len);

    for (i = 0; i < len; i++) {
        p[i] ^= ws_mask[i % 4];
    }
}


void
ws_put_text(ngx_uint_t opcode, const char *text)
{
    ws_put_frame(opcode, text, strlen(text));
}


static void
ws_put_log(ws_log_t *log, ngx_uint_t opcode, ngx_uint_t code, const void *data,
    size_t len)
{
    char  buf[64];

    (void) snprintf(buf, sizeof(buf), "%u:%u:%u(", (unsigned) opcode,
                    (unsigned) code, (unsigned) len);

    ws_put(&log->events, buf, strlen(buf));
    ws_put(&log->events, data, len);
    ws_put(&log->events, ")", 1);
}


static void
ws_put_event(ws_log_t *log, ngx_stomp_ws_event_t *ev)
{
    if (ev->opcode & 0x8) {
        assert_int_equal(ev->last, 1);
        ws_put_log(log, ev->opcode, ev->code, ev->data, ev->len);
        return;
    }

    assert_true(ev->opcode == NGX_STOMP_WS_TEXT
                || ev->opcode == NGX_STOMP_WS_BINARY);
    assert_int_equal(ev->code, 0);
    assert_true(ev->len != 0 || ev->last);

    if (!log->begun) {
        log->begun = 1;
        log->opcode = ev->opcode;
    }

    assert_int_equal(ev->opcode, log->opcode);

    ws_put(&log->message, ev->data, ev->len);

    if (ev->last) {
        ws_put_log(log, log->opcode, 0, log->message.data, log->message.len);
        log->message.len = 0;
        log->begun = 0;
    }
}


ngx_int_t
ws_run(ws_log_t *log, uint64_t max, ws_cut_t *cut)
{
    size_t                   n, sent, left;
    u_char                  *p, *pos, *last;
    ngx_int_t                rc;
    ngx_uint_t               turn;
    unit_guard_t            *guards;
    ngx_stomp_ws_event_t     ev;
    ngx_stomp_ws_decoder_t   d;
    static u_char            buf[WS_SIZE];

    memset(&d, 0, sizeof(d));

    log->events.len = 0;
    log->message.len = 0;
    log->begun = 0;

    guards = (ws_stream.len <= WS_SMALL) ? ws_small : ws_big;
    rc = NGX_AGAIN;
    sent = 0;
    left = 0;
    turn = 0;

    while (sent < ws_stream.len) {
        n = (sent == 0 && cut->first) ? cut->first
            : (cut->seed != NULL) ? unit_random(cut->seed, cut->chunk + 1)
            : cut->chunk;

        n = ngx_min(n, ws_stream.len - sent);

        memcpy(buf + left, ws_stream.data + sent, n);

        p = unit_guard_copy(&guards[turn++ % 2], buf, left + n);
        pos = p;
        last = p + left + n;
        sent += n;

        do {
            memset(&ev, 0xff, sizeof(ev));
            rc = ngx_stomp_ws_decode(&d, max, &pos, last, &ev);

            if (rc == NGX_OK) {
                assert_true(ev.data >= p && ev.data + ev.len <= pos);
                ws_put_event(log, &ev);
            }

        } while (rc == NGX_OK);

        assert_true(pos >= p && pos <= last);

        if (rc == NGX_ABORT) {
            assert_non_null(d.error);
            ws_put_log(log, 0, d.code, d.error, strlen(d.error));
            return rc;
        }

        assert_int_equal(rc, NGX_AGAIN);
        assert_int_equal(d.code, 0);

        left = last - pos;
        assert_true(left <= NGX_STOMP_WS_CARRY_MAX);
        memcpy(buf, pos, left);
    }

    return rc;
}


ngx_int_t
ws_run_whole(uint64_t max)
{
    ws_cut_t  cut;

    cut.first = 0;
    cut.chunk = ws_stream.len;
    cut.seed = NULL;

    return ws_run(&ws_whole, max, &cut);
}


void
ws_run_same(uint64_t max, size_t first, size_t chunk, uint32_t *seed)
{
    ws_cut_t  cut;

    cut.first = first;
    cut.chunk = chunk;
    cut.seed = seed;

    (void) ws_run(&ws_pieces, max, &cut);

    assert_int_equal(ws_pieces.events.len, ws_whole.events.len);
    assert_memory_equal(ws_pieces.events.data, ws_whole.events.data,
                        ws_whole.events.len);
}


void
ws_gives(uint64_t max, const char *expected, size_t len)
{
    size_t  n;

    (void) ws_run_whole(max);

    if (expected != NULL) {
        assert_int_equal(ws_whole.events.len, len);
        assert_memory_equal(ws_whole.events.data, expected, len);
    }

    for (n = 1; n < ws_stream.len; n++) {
        ws_run_same(max, n, ws_stream.len, NULL);
    }

    for (n = 1; n <= 17; n++) {
        ws_run_same(max, 0, n, NULL);
    }

    ws_stream.len = 0;
}


void
ws_fails(uint64_t max, ngx_uint_t code)
{
    char  buf[16];

    assert_int_equal(ws_run_whole(max), NGX_ABORT);

    (void) snprintf(buf, sizeof(buf), "0:%u:", (unsigned) code);
    assert_non_null(memmem(ws_whole.events.data, ws_whole.events.len, buf,
                           strlen(buf)));

    ws_gives(max, NULL, 0);
}
