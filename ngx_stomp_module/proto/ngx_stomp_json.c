
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_json.h>
#include <ngx_stomp_utf8.h>


static size_t ngx_stomp_json_write(u_char *dst, ngx_str_t *src);
static size_t ngx_stomp_json_ascii(u_char *dst, u_char c);
static size_t ngx_stomp_json_wide(u_char *dst, u_char **pos, u_char *last);


/* 0: as it is; 'u': as \u00xx; else the letter after the backslash */

static const u_char  ngx_stomp_json_escapes[128] = {
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u',
    'b', 't', 'n', 'u', 'f', 'r', 'u', 'u',
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u',
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u',
    0,   0,   '"', 0,   0,   0,   'u', 0,      /* & */
    0,   0,   0,   0,   0,   0,   0,   0,
    0,   0,   0,   0,   0,   0,   0,   0,
    0,   0,   0,   0,   'u', 0,   'u', 0,      /* < > */
    0,   0,   0,   0,   0,   0,   0,   0,
    0,   0,   0,   0,   0,   0,   0,   0,
    0,   0,   0,   0,   0,   0,   0,   0,
    0,   0,   0,   0,   '\\', 0,  0,   0,
    0,   0,   0,   0,   0,   0,   0,   0,
    0,   0,   0,   0,   0,   0,   0,   0,
    0,   0,   0,   0,   0,   0,   0,   0,
    0,   0,   0,   0,   0,   0,   0,   0
};


u_char *
ngx_stomp_json_string(u_char *dst, ngx_str_t *src)
{
    return dst + ngx_stomp_json_write(dst, src);
}


size_t
ngx_stomp_json_string_len(ngx_str_t *src)
{
    return ngx_stomp_json_write(NULL, src);
}


/* one function counts (dst is NULL) and writes, so that both agree */

static size_t
ngx_stomp_json_write(u_char *dst, ngx_str_t *src)
{
    size_t      n;
    u_char     *p, *out, *last, *start;
    uint32_t    state;
    ngx_uint_t  valid;

    n = 0;

    if (dst != NULL) {
        dst[n] = '"';
    }

    n++;

    if (src->len) {
        p = src->data;
        last = p + src->len;

        state = 0;
        valid = (ngx_stomp_utf8_validate(&state, p, src->len) == NGX_OK);

        for ( ;; ) {
            start = p;

            /* in valid UTF-8 only 0xe2 may begin U+2028 or U+2029 */

            while (p < last
                   && ((*p < 0x80) ? (ngx_stomp_json_escapes[*p] == 0)
                                   : (valid && *p != 0xe2)))
            {
                p++;
            }

            if (dst != NULL) {
                ngx_memcpy(dst + n, start, p - start);
            }

            n += p - start;

            if (p == last) {
                break;
            }

            out = (dst != NULL) ? dst + n : NULL;

            n += (*p < 0x80) ? ngx_stomp_json_ascii(out, *p++)
                             : ngx_stomp_json_wide(out, &p, last);
        }
    }

    if (dst != NULL) {
        dst[n] = '"';
    }

    return n + 1;
}


static size_t
ngx_stomp_json_ascii(u_char *dst, u_char c)
{
    u_char               escape;
    static const u_char  hex[] = "0123456789abcdef";

    escape = ngx_stomp_json_escapes[c];

    if (dst != NULL) {
        dst[0] = '\\';
        dst[1] = escape;

        if (escape == 'u') {
            dst[2] = '0';
            dst[3] = '0';
            dst[4] = hex[c >> 4];
            dst[5] = hex[c & 0xf];
        }
    }

    return (escape == 'u') ? 6 : 2;
}


/*
 * Writes one character, and U+FFFD for the longest start of a character that
 * is not followed by its rest (The Unicode Standard, "U+FFFD Substitution of
 * Maximal Subparts"), as browsers decode it.
 */

static size_t
ngx_stomp_json_wide(u_char *dst, u_char **pos, u_char *last)
{
    size_t       n, len;
    u_char      *p;
    uint32_t     state;
    ngx_int_t    rc;
    const char  *text;

    p = *pos;
    state = 0;
    rc = NGX_AGAIN;

    for (n = 0; n < (size_t) (last - p); n++) {
        rc = ngx_stomp_utf8_validate(&state, p + n, 1);

        if (rc != NGX_AGAIN) {
            break;
        }
    }

    if (rc == NGX_OK) {
        n++;
        text = (const char *) p;
        len = n;

        if (n == 3 && p[0] == 0xe2 && p[1] == 0x80
            && (p[2] == 0xa8 || p[2] == 0xa9))
        {
            text = (p[2] == 0xa8) ? "\\u2028" : "\\u2029";
            len = 6;
        }

    } else {
        n = ngx_max(n, 1);
        text = "\xef\xbf\xbd";
        len = 3;
    }

    *pos = p + n;

    if (dst != NULL) {
        ngx_memcpy(dst, text, len);
    }

    return len;
}
