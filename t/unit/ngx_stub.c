
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * The few functions of nginx that proto/ calls, for tests that are linked
 * where only nginx's headers are installed.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_sha1.h>


#define ngx_stub_rotate(x, n)  ((x) << (n) | (x) >> (32 - (n)))


static void ngx_stub_sha1_block(ngx_sha1_t *ctx);


static const char  ngx_stub_base64[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";


ngx_int_t
ngx_strncasecmp(u_char *s1, u_char *s2, size_t n)
{
    return strncasecmp((const char *) s1, (const char *) s2, n);
}


void
ngx_encode_base64(ngx_str_t *dst, ngx_str_t *src)
{
    size_t     i, n;
    u_char    *p;
    uint32_t   bits;

    p = dst->data;

    for (i = 0; i < src->len; i += 3) {
        n = src->len - i;

        bits = (uint32_t) src->data[i] << 16;
        bits |= (n > 1) ? (uint32_t) src->data[i + 1] << 8 : 0;
        bits |= (n > 2) ? (uint32_t) src->data[i + 2] : 0;

        *p++ = ngx_stub_base64[bits >> 18];
        *p++ = ngx_stub_base64[bits >> 12 & 63];
        *p++ = (n > 1) ? ngx_stub_base64[bits >> 6 & 63] : '=';
        *p++ = (n > 2) ? ngx_stub_base64[bits & 63] : '=';
    }

    dst->len = p - dst->data;
}


/* as nginx has it: what follows the first "=" is not looked at */

ngx_int_t
ngx_decode_base64(ngx_str_t *dst, ngx_str_t *src)
{
    size_t       i, n;
    uint32_t     bits;
    const char  *digit;

    bits = 0;
    n = 0;

    for (i = 0; i < src->len && src->data[i] != '='; i++) {

        if (src->data[i] == '\0') {
            return NGX_ERROR;
        }

        digit = strchr(ngx_stub_base64, src->data[i]);
        if (digit == NULL) {
            return NGX_ERROR;
        }

        bits = bits << 6 | (uint32_t) (digit - ngx_stub_base64);

        if (i % 4) {
            dst->data[n++] = (u_char) (bits >> (6 - i % 4 * 2));
        }
    }

    if (i % 4 == 1) {
        return NGX_ERROR;
    }

    dst->len = n;

    return NGX_OK;
}


void
ngx_sha1_init(ngx_sha1_t *ctx)
{
    ctx->a = 0x67452301;
    ctx->b = 0xefcdab89;
    ctx->c = 0x98badcfe;
    ctx->d = 0x10325476;
    ctx->e = 0xc3d2e1f0;

    ctx->bytes = 0;
}


void
ngx_sha1_update(ngx_sha1_t *ctx, const void *data, size_t size)
{
    const u_char  *p, *last;

    last = (const u_char *) data + size;

    for (p = data; p < last; p++) {
        ctx->buffer[ctx->bytes++ % 64] = *p;

        if (ctx->bytes % 64 == 0) {
            ngx_stub_sha1_block(ctx);
        }
    }
}


void
ngx_sha1_final(u_char result[20], ngx_sha1_t *ctx)
{
    u_char      c;
    uint32_t    words[5];
    uint64_t    bits;
    ngx_uint_t  i;

    bits = ctx->bytes * 8;

    c = 0x80;
    ngx_sha1_update(ctx, &c, 1);

    c = 0;

    while (ctx->bytes % 64 != 56) {
        ngx_sha1_update(ctx, &c, 1);
    }

    for (i = 0; i < 8; i++) {
        c = (u_char) (bits >> (56 - i * 8));
        ngx_sha1_update(ctx, &c, 1);
    }

    words[0] = ctx->a;
    words[1] = ctx->b;
    words[2] = ctx->c;
    words[3] = ctx->d;
    words[4] = ctx->e;

    for (i = 0; i < 20; i++) {
        result[i] = (u_char) (words[i / 4] >> (24 - i % 4 * 8));
    }
}


static void
ngx_stub_sha1_block(ngx_sha1_t *ctx)
{
    uint32_t    a, b, c, d, e, f, k, t, w[80];
    ngx_uint_t  i;

    for (i = 0; i < 16; i++) {
        w[i] = (uint32_t) ctx->buffer[i * 4] << 24
               | (uint32_t) ctx->buffer[i * 4 + 1] << 16
               | (uint32_t) ctx->buffer[i * 4 + 2] << 8
               | (uint32_t) ctx->buffer[i * 4 + 3];
    }

    for (i = 16; i < 80; i++) {
        t = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];
        w[i] = ngx_stub_rotate(t, 1);
    }

    a = ctx->a;
    b = ctx->b;
    c = ctx->c;
    d = ctx->d;
    e = ctx->e;

    for (i = 0; i < 80; i++) {

        if (i < 20) {
            f = (b & c) | (~b & d);
            k = 0x5a827999;

        } else if (i < 40) {
            f = b ^ c ^ d;
            k = 0x6ed9eba1;

        } else if (i < 60) {
            f = (b & c) | (b & d) | (c & d);
            k = 0x8f1bbcdc;

        } else {
            f = b ^ c ^ d;
            k = 0xca62c1d6;
        }

        t = ngx_stub_rotate(a, 5) + f + e + k + w[i];
        e = d;
        d = c;
        c = ngx_stub_rotate(b, 30);
        b = a;
        a = t;
    }

    ctx->a += a;
    ctx->b += b;
    ctx->c += c;
    ctx->d += d;
    ctx->e += e;
}
