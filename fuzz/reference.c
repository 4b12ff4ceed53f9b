
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <reference.h>


/* RFC 3629, section 3, and for what is replaced section 3.9 of Unicode */

ngx_uint_t
reference_character(const u_char *p, const u_char *last, ngx_uint_t *n,
    ngx_uint_t *cut)
{
    uint32_t    c, low, high;
    ngx_uint_t  i, len;

    static const uint32_t  smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };

    *n = 1;
    *cut = 0;

    if (p[0] < 0x80) {
        return 1;
    }

    len = (p[0] >> 5 == 0x6) ? 2 : (p[0] >> 4 == 0xe) ? 3
          : (p[0] >> 3 == 0x1e) ? 4 : 0;

    if (len == 0) {
        return 0;
    }

    c = p[0] & (0x7f >> len);

    for (i = 1; i <= len; i++) {

        /* what the octets so far can become */

        low = c << 6 * (len - i);
        high = low | (((uint32_t) 1 << 6 * (len - i)) - 1);

        if (high < smallest[len] || low > 0x10ffff
            || (low >= 0xd800 && high <= 0xdfff))
        {
            return 0;
        }

        *n = i;

        if (i == len) {
            break;
        }

        if (p + i == last) {
            *cut = 1;
            return 0;
        }

        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }

        c = c << 6 | (p[i] & 0x3f);
    }

    return len;
}


static ngx_uint_t
reference_utf8_check(const u_char *p, size_t len, ngx_uint_t start)
{
    const u_char  *last;
    ngx_uint_t     n, size, cut;

    for (last = p + len; p < last; p += size) {
        size = reference_character(p, last, &n, &cut);

        if (size == 0) {
            return start && cut;
        }
    }

    return 1;
}


ngx_uint_t
reference_utf8(const u_char *p, size_t len)
{
    return reference_utf8_check(p, len, 0);
}


ngx_uint_t
reference_utf8_start(const u_char *p, size_t len)
{
    return reference_utf8_check(p, len, 1);
}


/* STOMP 1.2 and 1.1, "Value Encoding" */

ssize_t
reference_unescape(u_char *dst, const u_char *p, size_t len,
    ngx_uint_t version)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < len; i++) {

        if (p[i] != '\\' || version < NGX_STOMP_V11) {
            dst[n++] = p[i];
            continue;
        }

        if (++i == len) {
            return -1;
        }

        if (p[i] == 'n') {
            dst[n++] = '\n';

        } else if (p[i] == 'c') {
            dst[n++] = ':';

        } else if (p[i] == '\\') {
            dst[n++] = '\\';

        } else if (p[i] == 'r' && version == NGX_STOMP_V12) {
            dst[n++] = '\r';

        } else {
            return -1;
        }
    }

    return n;
}


size_t
reference_escape(u_char *dst, const u_char *p, size_t len, ngx_uint_t version)
{
    size_t       i, n;
    const char  *escape;

    n = 0;

    for (i = 0; i < len; i++) {
        escape = NULL;

        if (version == NGX_STOMP_V11 || version == NGX_STOMP_V12) {
            escape = (p[i] == '\\') ? "\\\\" : (p[i] == ':') ? "\\c"
                     : (p[i] == '\n') ? "\\n" : NULL;
        }

        if (version == NGX_STOMP_V12 && p[i] == '\r') {
            escape = "\\r";
        }

        if (escape != NULL) {
            dst[n++] = escape[0];
            dst[n++] = escape[1];

        } else if (p[i] == '\n' || p[i] == '\r' || p[i] == '\0') {
            dst[n++] = ' ';

        } else {
            dst[n++] = p[i];
        }
    }

    return n;
}


static ngx_uint_t
reference_frame_headers(reference_frame_t *f, u_char **pos, u_char *last)
{
    u_char              *p, *eol, *colon;
    ngx_stomp_header_t  *h;

    p = *pos;

    for ( ;; ) {
        eol = memchr(p, '\n', last - p);

        if (eol == NULL || memchr(p, '\0', eol - p) != NULL) {
            return 0;
        }

        if (eol == p) {
            *pos = p + 1;
            return 1;
        }

        colon = memchr(p, ':', eol - p);

        if (colon == NULL || colon == p
            || f->nheaders == REFERENCE_HEADERS)
        {
            return 0;
        }

        h = &f->headers[f->nheaders++];

        h->name.data = p;
        h->name.len = colon - p;
        h->value.data = colon + 1;
        h->value.len = eol - colon - 1;

        p = eol + 1;
    }
}


ngx_uint_t
reference_frame(reference_frame_t *f, u_char *p, size_t len)
{
    u_char     *eol, *last;
    ngx_str_t  *length;

    memset(f, 0, sizeof(reference_frame_t));

    if (len == 0 || p[len - 1] != '\0') {
        return 0;
    }

    last = p + len - 1;
    eol = memchr(p, '\n', last - p);

    if (eol == NULL) {
        return 0;
    }

    f->command.data = p;
    f->command.len = eol - p;

    p = eol + 1;

    if (!reference_frame_headers(f, &p, last)) {
        return 0;
    }

    f->body.data = p;
    f->body.len = last - p;

    length = reference_header(f, "content-length");

    if (length != NULL) {
        return ngx_atoi(length->data, length->len) == last - p;
    }

    return f->body.len == 0 || memchr(p, '\0', last - p) == NULL;
}


ngx_str_t *
reference_header(reference_frame_t *f, const char *name)
{
    ngx_uint_t  i;

    for (i = 0; i < f->nheaders; i++) {
        if (f->headers[i].name.len == strlen(name)
            && memcmp(f->headers[i].name.data, name, strlen(name)) == 0)
        {
            return &f->headers[i].value;
        }
    }

    return NULL;
}


ngx_int_t
reference_ws(reference_ws_t *ws, u_char *p, size_t len)
{
    size_t      size, head;
    uint64_t    n;
    ngx_uint_t  i;

    if (len < 2) {
        return NGX_AGAIN;
    }

    /* a server sends no fragments, no masks and no extensions */

    if ((p[0] & 0xf0) != 0x80 || (p[1] & 0x80)) {
        return NGX_ERROR;
    }

    size = (p[1] == 127) ? 8 : (p[1] == 126) ? 2 : 0;
    head = 2 + size;

    if (len < head) {
        return NGX_AGAIN;
    }

    n = size ? 0 : p[1];

    for (i = 0; i < size; i++) {
        n = n << 8 | p[2 + i];
    }

    if ((size == 2 && n < 126) || (size == 8 && (n < 65536 || n >> 63))) {
        return NGX_ERROR;
    }

    ws->opcode = p[0] & 0xf;

    if (ws->opcode > 10 || (ws->opcode > 2 && ws->opcode < 8)
        || ws->opcode == 0 || (ws->opcode & 8 && size))
    {
        return NGX_ERROR;
    }

    if (len - head < n) {
        return NGX_AGAIN;
    }

    ws->payload.data = p + head;
    ws->payload.len = n;
    ws->len = head + n;

    return NGX_OK;
}
