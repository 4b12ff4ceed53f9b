
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * What clients send by WebSocket, whole and in pieces, compared with a decoder
 * that sees all of it; and what a server sends, decoded again.
 *
 * The first octet orders the limit (0123), and whether the rest is a stream of
 * octets (0123) or a script of frames (4567).
 */


#include <fuzz.h>
#include <reference.h>
#include <ws_feed.h>

#define WS_FUZZ_MAX  4096


/* orders of a script, for each frame */

#define WS_FUZZ_MORE      0x10        /* it is not the last fragment */
#define WS_FUZZ_LONG      0x20        /* its length is not minimal */
#define WS_FUZZ_WORDS     0x40        /* 64 times as long */


static ws_log_t  ws_expected;
static u_char   *ws_room;


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    ws_feed_init();

    return 0;
}


static void
ws_script(fuzz_input_t *in)
{
    u_char      data[64 * 256];
    size_t      i, n;
    ngx_str_t   s;
    ngx_uint_t  order, opcode, octets;

    while (in->pos < in->last) {
        order = fuzz_octet(in);
        n = fuzz_octet(in);

        s = fuzz_octets(in, n);

        if (order & WS_FUZZ_WORDS) {
            n *= 64;
        }

        for (i = 0; i < n; i++) {
            data[i] = s.len ? s.data[i % s.len] : 'x';
        }

        opcode = (order & 0xf) | ((order & WS_FUZZ_MORE) ? WS_NO_FIN : 0);

        if (!(order & WS_FUZZ_LONG)) {
            ws_put_frame(opcode, data, n);

        } else {
            octets = (n & 1) ? 2 : 8;
            ws_put_head(opcode, n, octets);
            ws_put(&ws_stream, data, n);
        }

        /* each frame has another mask */

        for (i = 0; i < 4; i++) {
            ws_mask[i] = ws_mask[i] * 167 + 13 + i;
        }
    }
}


static ngx_int_t
ws_ref_log(ws_log_t *log, ngx_uint_t opcode, ngx_uint_t code,
    const void *data, size_t len)
{
    char  buf[64];

    snprintf(buf, sizeof(buf), "%u:%u:%u(", (unsigned) opcode,
             (unsigned) code, (unsigned) len);

    ws_put(&log->events, buf, strlen(buf));
    ws_put(&log->events, data, len);
    ws_put(&log->events, ")", 1);

    return NGX_OK;
}


/* RFC 6455, section 7.4 */

static ngx_int_t
ws_ref_close(ws_log_t *log, u_char *p, size_t len)
{
    ngx_uint_t  code;

    if (len == 0) {
        return ws_ref_log(log, 8, 1005, p, 0);
    }

    code = (len == 1) ? 0 : p[0] << 8 | p[1];

    if (!((code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014)
          || (code >= 3000 && code <= 4999)))
    {
        return 1002;
    }

    if (!reference_utf8(p + 2, len - 2)) {
        return 1007;
    }

    return ws_ref_log(log, 8, code, p + 2, len - 2);
}


/* octets of a message; cut: the stream ends before the frame does */

static ngx_int_t
ws_ref_data(ws_log_t *log, ngx_uint_t fin, u_char *p, size_t len,
    ngx_uint_t cut)
{
    ws_buf_t  *m;

    m = &log->message;
    ws_put(m, p, len);

    fin = fin && !cut;

    if (log->opcode == 1
        && !(fin ? reference_utf8(m->data, m->len)
                 : reference_utf8_start(m->data, m->len)))
    {
        return 1007;
    }

    if (fin) {
        (void) ws_ref_log(log, log->opcode, 0, m->data, m->len);
        log->opcode = 0;
        m->len = 0;
    }

    return cut ? NGX_AGAIN : NGX_OK;
}


/*
 * RFC 6455, section 5.2: one frame.  NGX_OK: *len is its length; NGX_AGAIN;
 * or the code that the client is to be told
 */

static ngx_int_t
ws_ref_frame(ws_log_t *log, uint64_t max, u_char *p, size_t *len)
{
    u_char      data[WS_FUZZ_MAX * 64], *mask;
    size_t      i, head, n;
    uint64_t    size;
    ngx_uint_t  opcode, fin, control, octets;

    if (*len < 2) {
        return NGX_AGAIN;
    }

    opcode = p[0] & 0xf;
    fin = p[0] >> 7;
    control = opcode >> 3;

    if ((p[0] & 0x70) || !(p[1] & 0x80)
        || (opcode > 2 && opcode < 8) || opcode > 10
        || (control && (!fin || (p[1] & 0x7f) > 125))
        || (!control && (opcode == 0) != (log->opcode != 0)))
    {
        return 1002;
    }

    size = p[1] & 0x7f;
    octets = (size == 126) ? 2 : (size == 127) ? 8 : 0;
    head = 2 + octets + 4;

    if (*len < head) {
        return NGX_AGAIN;
    }

    if (octets) {
        size = 0;

        for (i = 0; i < octets; i++) {
            size = size << 8 | p[2 + i];
        }

        if (size < 126 || (octets == 8 && size < 65536) || size >> 63) {
            return 1002;
        }
    }

    if (!control && size > max - log->message.len) {
        return 1009;
    }

    n = ngx_min(size, *len - head);

    if (control && n < size) {
        return NGX_AGAIN;
    }

    mask = p + head - 4;

    for (i = 0; i < n; i++) {
        data[i] = p[head + i] ^ mask[i % 4];
    }

    *len = head + n;

    if (control) {
        return (opcode == 8) ? ws_ref_close(log, data, n)
                             : ws_ref_log(log, opcode, 0, data, n);
    }

    if (opcode) {
        log->opcode = opcode;
    }

    return ws_ref_data(log, fin, data, n, n < size);
}


static ngx_int_t
ws_ref(ws_log_t *log, uint64_t max, u_char *p, size_t len)
{
    size_t     n;
    ngx_int_t  rc;

    log->events.len = 0;
    log->message.len = 0;
    log->opcode = 0;

    do {
        n = len;
        rc = ws_ref_frame(log, max, p, &n);

        p += n;
        len -= n;

    } while (rc == NGX_OK);

    return rc;
}


static void
ws_server_head(uint64_t len, ngx_uint_t opcode)
{
    size_t           head;
    u_char          *p, *last, frame[NGX_STOMP_WS_HEAD_MAX + 128];
    ngx_int_t        rc;
    reference_ws_t   ws;

    head = ngx_stomp_ws_head_len(len);
    p = fuzz_room(&ws_room, head);
    last = ngx_stomp_ws_head(p, opcode, len);

    fuzz_check(last == p + head);

    memcpy(frame, p, head);
    rc = reference_ws(&ws, frame, head + ngx_min(len, 128));

    fuzz_check(rc == ((len <= 128) ? NGX_OK : NGX_AGAIN));
    fuzz_check(rc != NGX_OK || (ws.opcode == opcode && ws.payload.len == len));
}


static void
ws_server_close(ngx_uint_t code, ngx_str_t *reason)
{
    u_char          *p, *last;
    size_t           n;
    ngx_int_t        rc;
    reference_ws_t   ws;

    p = fuzz_room(&ws_room, NGX_STOMP_WS_CLOSE_MAX);
    last = ngx_stomp_ws_close(p, code, reason);

    rc = reference_ws(&ws, p, last - p);
    fuzz_check(rc == NGX_OK && ws.len == (size_t) (last - p));
    fuzz_check(ws.opcode == 8);

    if (code == 0 || code == 1005) {
        fuzz_check(ws.payload.len == 0);
        return;
    }

    fuzz_check(ws.payload.len >= 2
               && (ngx_uint_t) (ws.payload.data[0] << 8 | ws.payload.data[1])
                  == code);

    n = ws.payload.len - 2;

    fuzz_check(n <= 123 && n <= reason->len);
    fuzz_check(memcmp(ws.payload.data + 2, reason->data, n) == 0);

    /* cut at a character, and not before it must be */

    fuzz_check(n == reason->len || (reason->len > 123 && n >= 120)
               || !reference_utf8(reason->data, reason->len));
    fuzz_check(!reference_utf8(reason->data, reason->len)
               || reference_utf8(ws.payload.data + 2, n));
}


static void
ws_server(const uint8_t *data, size_t size)
{
    uint64_t    len;
    ngx_str_t   reason;
    ngx_uint_t  code;

    static const ngx_uint_t  codes[] = { 0, 1000, 1005, 1011 };

    len = 0;
    memcpy(&len, data, ngx_min(size, 8));

    ws_server_head(len >> 1, 1);
    ws_server_head(len & 0x1ffff, 2);
    ws_server_head(len & 0x3f, 10);

    reason.data = (u_char *) data;
    reason.len = size;
    code = codes[len & 3];

    ws_server_close(code, &reason);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char           text[16];
    uint32_t       seed;
    uint64_t       max;
    ngx_int_t      rc, expected;
    ngx_uint_t     order;
    fuzz_input_t   in;

    static const uint64_t  limits[] = { WS_MAX, 20, 200, 70000 };

    if (size < 2 || size > WS_FUZZ_MAX) {
        return 0;
    }

    in.pos = data;
    in.last = data + size;
    order = fuzz_octet(&in);
    max = limits[order & 3];

    ws_stream.len = 0;
    memcpy(ws_mask, "mask", 4);

    if (order & 4) {
        ws_script(&in);

    } else {
        ws_put(&ws_stream, in.pos, in.last - in.pos);
    }

    expected = ws_ref(&ws_expected, max, ws_stream.data, ws_stream.len);
    rc = ws_run_whole(max);

    fuzz_check(rc == ((expected == NGX_AGAIN) ? NGX_AGAIN : NGX_ABORT));
    fuzz_check(ws_whole.events.len >= ws_expected.events.len);
    fuzz_check(memcmp(ws_whole.events.data, ws_expected.events.data,
                      ws_expected.events.len) == 0);

    if (rc == NGX_ABORT) {
        snprintf(text, sizeof(text), "0:%u:", (unsigned) expected);
        fuzz_check(memcmp(ws_whole.events.data + ws_expected.events.len, text,
                          strlen(text)) == 0);

    } else {
        fuzz_check(ws_whole.events.len == ws_expected.events.len);
    }

    seed = fuzz_seed(data, size);

    if (ws_stream.len <= WS_SMALL) {
        ws_run_same(max, 0, 1, NULL);
        ws_run_same(max, 0, 3, NULL);
    }

    ws_run_same(max, 0, 100, &seed);
    ws_run_same(max, seed % size, ws_stream.len, NULL);

    ws_server(data, size);

    return 0;
}
