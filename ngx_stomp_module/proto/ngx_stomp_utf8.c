
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_utf8.h>


/*
 * The state inside of a character: how many octets are missing (bits 0-7),
 * and the lowest (8-15) and highest (16-23) value of the next one.  Only the
 * second octet has bounds of its own (RFC 3629, section 4).
 */

#define ngx_stomp_utf8_state(n, low, high)                                    \
    ((uint32_t) (n) | (uint32_t) (low) << 8 | (uint32_t) (high) << 16)


static u_char *ngx_stomp_utf8_ascii(u_char *p, u_char *last);
static uint32_t ngx_stomp_utf8_lead(u_char c);


ngx_int_t
ngx_stomp_utf8_validate(uint32_t *state, u_char *p, size_t len)
{
    u_char    c, *last;
    uint32_t  st;

    st = *state;

    if (len == 0) {
        return (st == 0) ? NGX_OK : NGX_AGAIN;
    }

    last = p + len;

    while (p < last) {
        c = *p;

        if (st != 0) {

            if (c < ((st >> 8) & 0xff) || c > (st >> 16)) {
                return NGX_ABORT;
            }

            st = ((st & 0xff) == 1)
                 ? 0 : ngx_stomp_utf8_state((st & 0xff) - 1, 0x80, 0xbf);

            p++;
            continue;
        }

        if (c < 0x80) {
            p = ngx_stomp_utf8_ascii(p, last);
            continue;
        }

        st = ngx_stomp_utf8_lead(c);
        if (st == 0) {
            return NGX_ABORT;
        }

        p++;
    }

    *state = st;

    return (st == 0) ? NGX_OK : NGX_AGAIN;
}


static u_char *
ngx_stomp_utf8_ascii(u_char *p, u_char *last)
{
    uint64_t  word;

    while (last - p >= 8) {
        ngx_memcpy(&word, p, 8);

        if (word & 0x8080808080808080ULL) {
            break;
        }

        p += 8;
    }

    while (p < last && *p < 0x80) {
        p++;
    }

    return p;
}


/* 0: no character begins with c */

static uint32_t
ngx_stomp_utf8_lead(u_char c)
{
    if (c < 0xc2) {
        return 0;
    }

    if (c < 0xe0) {
        return ngx_stomp_utf8_state(1, 0x80, 0xbf);
    }

    if (c < 0xf0) {

        if (c == 0xe0) {
            return ngx_stomp_utf8_state(2, 0xa0, 0xbf);
        }

        if (c == 0xed) {
            return ngx_stomp_utf8_state(2, 0x80, 0x9f);
        }

        return ngx_stomp_utf8_state(2, 0x80, 0xbf);
    }

    if (c == 0xf0) {
        return ngx_stomp_utf8_state(3, 0x90, 0xbf);
    }

    if (c < 0xf4) {
        return ngx_stomp_utf8_state(3, 0x80, 0xbf);
    }

    if (c == 0xf4) {
        return ngx_stomp_utf8_state(3, 0x80, 0x8f);
    }

    return 0;
}


void
ngx_stomp_utf8_printable(u_char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (p[i] < 0x20 || p[i] == 0x7f) {
            p[i] = '?';
        }
    }
}
