
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_ws.h>
#include <ngx_stomp_utf8.h>


typedef struct {
    size_t      size;           /* of the header with its mask */
    uint64_t    len;            /* of the payload */
    ngx_uint_t  opcode;
    ngx_uint_t  fin;
} ngx_stomp_ws_frame_t;


static ngx_int_t ngx_stomp_ws_read_head(ngx_stomp_ws_decoder_t *d,
    u_char *p, size_t n, ngx_stomp_ws_frame_t *f);
static ngx_int_t ngx_stomp_ws_check_head(ngx_stomp_ws_decoder_t *d,
    ngx_stomp_ws_frame_t *f, u_char *p);
static ngx_int_t ngx_stomp_ws_control(ngx_stomp_ws_decoder_t *d,
    ngx_stomp_ws_frame_t *f, u_char *p, ngx_stomp_ws_event_t *ev);
static ngx_int_t ngx_stomp_ws_close_code(ngx_stomp_ws_decoder_t *d,
    ngx_stomp_ws_event_t *ev);
static ngx_int_t ngx_stomp_ws_begin(ngx_stomp_ws_decoder_t *d,
    ngx_stomp_ws_frame_t *f, u_char *p, uint64_t max);
static ngx_int_t ngx_stomp_ws_payload(ngx_stomp_ws_decoder_t *d, u_char **pos,
    u_char *last, ngx_stomp_ws_event_t *ev);
static void ngx_stomp_ws_unmask(u_char *p, size_t len, u_char *mask,
    ngx_uint_t phase);
static ngx_int_t ngx_stomp_ws_fail(ngx_stomp_ws_decoder_t *d, ngx_uint_t code,
    const char *error);


ngx_int_t
ngx_stomp_ws_decode(ngx_stomp_ws_decoder_t *d, uint64_t max, u_char **pos,
    u_char *last, ngx_stomp_ws_event_t *ev)
{
    size_t                 n;
    u_char                *p;
    ngx_int_t              rc;
    ngx_stomp_ws_frame_t   f;

    for ( ;; ) {

        if (d->payload) {
            rc = ngx_stomp_ws_payload(d, pos, last, ev);

            if (rc != NGX_DECLINED) {
                return rc;
            }
        }

        p = *pos;
        n = last - p;

        rc = ngx_stomp_ws_read_head(d, p, n, &f);
        if (rc != NGX_OK) {
            return rc;
        }

        if (f.opcode & 0x8) {

            /* no overflow: len is at most NGX_STOMP_WS_CONTROL_MAX */

            if (n < f.size + f.len) {
                return NGX_AGAIN;
            }

            *pos = p + f.size + f.len;

            return ngx_stomp_ws_control(d, &f, p, ev);
        }

        if (ngx_stomp_ws_begin(d, &f, p, max) != NGX_OK) {
            return NGX_ABORT;
        }

        *pos = p + f.size;
    }
}


/* takes nothing from the input, and asks for no more than the header */

static ngx_int_t
ngx_stomp_ws_read_head(ngx_stomp_ws_decoder_t *d, u_char *p, size_t n,
    ngx_stomp_ws_frame_t *f)
{
    ngx_uint_t  i, octets;

    if (n < 2) {
        return NGX_AGAIN;
    }

    if (ngx_stomp_ws_check_head(d, f, p) != NGX_OK) {
        return NGX_ABORT;
    }

    octets = (f->len < 126) ? 0 : (f->len == 126) ? 2 : 8;

    f->size = 2 + octets + 4;

    if (n < f->size) {
        return NGX_AGAIN;
    }

    if (octets == 0) {
        return NGX_OK;
    }

    f->len = 0;

    for (i = 0; i < octets; i++) {
        f->len = f->len << 8 | p[2 + i];
    }

    if (f->len >> 63) {
        return ngx_stomp_ws_fail(d, NGX_STOMP_WS_PROTOCOL,
                                 "highest bit of payload length must be 0");
    }

    if (f->len < 126 || (octets == 8 && f->len <= 0xffff)) {
        return ngx_stomp_ws_fail(d, NGX_STOMP_WS_PROTOCOL,
                                 "payload length must be in its shortest form");
    }

    return NGX_OK;
}


/* what the first two octets tell */

static ngx_int_t
ngx_stomp_ws_check_head(ngx_stomp_ws_decoder_t *d, ngx_stomp_ws_frame_t *f,
    u_char *p)
{
    const char  *error;

    f->fin = p[0] >> 7;
    f->opcode = p[0] & 0x0f;
    f->len = p[1] & 0x7f;

    error = NULL;

    if (p[0] & 0x70) {
        error = "reserved bits must be 0";

    } else if (!(p[1] & 0x80)) {
        error = "client frames must be masked";

    } else {

        switch (f->opcode) {

        case NGX_STOMP_WS_CONTINUATION:
            if (!d->open) {
                error = "continuation frame without a message to continue";
            }

            break;

        case NGX_STOMP_WS_TEXT:
        case NGX_STOMP_WS_BINARY:
            if (d->open) {
                error = "new message before the end of a fragmented one";
            }

            break;

        case NGX_STOMP_WS_CLOSE:
        case NGX_STOMP_WS_PING:
        case NGX_STOMP_WS_PONG:
            if (!f->fin) {
                error = "control frames must not be fragmented";

            } else if (f->len > NGX_STOMP_WS_CONTROL_MAX) {
                error = "control frames must not exceed 125 octets";
            }

            break;

        default:
            error = "reserved opcode";
        }
    }

    if (error != NULL) {
        return ngx_stomp_ws_fail(d, NGX_STOMP_WS_PROTOCOL, error);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_stomp_ws_control(ngx_stomp_ws_decoder_t *d, ngx_stomp_ws_frame_t *f,
    u_char *p, ngx_stomp_ws_event_t *ev)
{
    ev->opcode = f->opcode;
    ev->data = p + f->size;
    ev->len = (size_t) f->len;
    ev->code = 0;
    ev->last = 1;

    ngx_stomp_ws_unmask(ev->data, ev->len, ev->data - 4, 0);

    if (f->opcode != NGX_STOMP_WS_CLOSE) {
        return NGX_OK;
    }

    return ngx_stomp_ws_close_code(d, ev);
}


static ngx_int_t
ngx_stomp_ws_close_code(ngx_stomp_ws_decoder_t *d, ngx_stomp_ws_event_t *ev)
{
    uint32_t    utf8;
    ngx_uint_t  code;

    if (ev->len == 0) {
        ev->code = NGX_STOMP_WS_NO_STATUS;
        return NGX_OK;
    }

    if (ev->len == 1) {
        return ngx_stomp_ws_fail(d, NGX_STOMP_WS_PROTOCOL,
                                 "close code must have two octets");
    }

    code = ev->data[0] << 8 | ev->data[1];

    /* 1004 to 1006 and 1015 are reserved; others to 2999 are not registered */

    if (code < 1000 || (code > 1003 && code < 1007)
        || (code > 1014 && code < 3000) || code > 4999)
    {
        return ngx_stomp_ws_fail(d, NGX_STOMP_WS_PROTOCOL,
                                 "close code must not be sent");
    }

    ev->code = code;
    ev->data += 2;
    ev->len -= 2;

    utf8 = 0;

    if (ngx_stomp_utf8_validate(&utf8, ev->data, ev->len) != NGX_OK) {
        return ngx_stomp_ws_fail(d, NGX_STOMP_WS_INVALID_DATA,
                                 "close reason is not valid UTF-8");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_stomp_ws_begin(ngx_stomp_ws_decoder_t *d, ngx_stomp_ws_frame_t *f,
    u_char *p, uint64_t max)
{
    /* message is 0 where none is open; the sum can't overflow */

    if (d->message > max || f->len > max - d->message) {
        return ngx_stomp_ws_fail(d, NGX_STOMP_WS_TOO_BIG,
                                 "message is larger than the server allows");
    }

    if (f->opcode != NGX_STOMP_WS_CONTINUATION) {
        d->opcode = (u_char) f->opcode;
        d->open = 1;
    }

    d->message += f->len;
    d->left = f->len;
    d->fin = f->fin;
    d->phase = 0;
    d->payload = 1;

    ngx_memcpy(d->mask, p + f->size - 4, 4);

    return NGX_OK;
}


/* NGX_DECLINED: an empty fragment that is not the last, there is no event */

static ngx_int_t
ngx_stomp_ws_payload(ngx_stomp_ws_decoder_t *d, u_char **pos, u_char *last,
    ngx_stomp_ws_event_t *ev)
{
    size_t     n;
    ngx_int_t  rc;

    n = last - *pos;

    if (d->left != 0 && n == 0) {
        return NGX_AGAIN;
    }

    if (n > d->left) {
        n = (size_t) d->left;
    }

    ev->opcode = d->opcode;
    ev->data = *pos;
    ev->len = n;
    ev->code = 0;
    ev->last = 0;

    ngx_stomp_ws_unmask(ev->data, n, d->mask, d->phase);

    d->phase = (d->phase + n) & 3;
    d->left -= n;
    *pos += n;

    rc = NGX_OK;

    if (d->opcode == NGX_STOMP_WS_TEXT) {
        rc = ngx_stomp_utf8_validate(&d->utf8, ev->data, n);
    }

    if (d->left == 0) {
        d->payload = 0;

        if (d->fin) {
            d->open = 0;
            d->message = 0;
            ev->last = 1;

            if (rc == NGX_AGAIN) {
                rc = NGX_ABORT;
            }
        }
    }

    if (rc == NGX_ABORT) {
        return ngx_stomp_ws_fail(d, NGX_STOMP_WS_INVALID_DATA,
                                 "text message is not valid UTF-8");
    }

    return (n == 0 && !ev->last) ? NGX_DECLINED : NGX_OK;
}


static void
ngx_stomp_ws_unmask(u_char *p, size_t len, u_char *mask, ngx_uint_t phase)
{
    u_char      key[8];
    uint64_t    wide, word;
    ngx_uint_t  i;

    for (i = 0; i < 8; i++) {
        key[i] = mask[(phase + i) & 3];
    }

    ngx_memcpy(&wide, key, 8);

    while (len >= 8) {
        ngx_memcpy(&word, p, 8);
        word ^= wide;
        ngx_memcpy(p, &word, 8);

        p += 8;
        len -= 8;
    }

    for (i = 0; i < len; i++) {
        p[i] ^= key[i];
    }
}


static ngx_int_t
ngx_stomp_ws_fail(ngx_stomp_ws_decoder_t *d, ngx_uint_t code,
    const char *error)
{
    d->code = (uint16_t) code;
    d->error = error;

    return NGX_ABORT;
}


size_t
ngx_stomp_ws_head_len(uint64_t len)
{
    return (len < 126) ? 2 : (len <= 0xffff) ? 4 : 10;
}


u_char *
ngx_stomp_ws_head(u_char *p, ngx_uint_t opcode, uint64_t len)
{
    ngx_uint_t  shift;

    *p++ = (u_char) (0x80 | opcode);

    if (len < 126) {
        *p++ = (u_char) len;
        return p;
    }

    if (len <= 0xffff) {
        *p++ = 126;
        shift = 16;

    } else {
        *p++ = 127;
        shift = 64;
    }

    while (shift) {
        shift -= 8;
        *p++ = (u_char) (len >> shift);
    }

    return p;
}


u_char *
ngx_stomp_ws_close(u_char *p, ngx_uint_t code, ngx_str_t *reason)
{
    size_t  len;

    if (code == 0 || code == NGX_STOMP_WS_NO_STATUS) {
        return ngx_stomp_ws_head(p, NGX_STOMP_WS_CLOSE, 0);
    }

    len = reason->len;

    if (len > NGX_STOMP_WS_CONTROL_MAX - 2) {
        len = NGX_STOMP_WS_CONTROL_MAX - 2;

        while (len && (reason->data[len] & 0xc0) == 0x80) {
            len--;
        }
    }

    p = ngx_stomp_ws_head(p, NGX_STOMP_WS_CLOSE, 2 + len);

    *p++ = (u_char) (code >> 8);
    *p++ = (u_char) code;

    if (len) {
        p = ngx_cpymem(p, reason->data, len);
    }

    return p;
}
