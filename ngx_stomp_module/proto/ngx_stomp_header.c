
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_header.h>


#define NGX_STOMP_HEARTBEAT_MAX  0x7fffffff


static u_char ngx_stomp_escape_letter(u_char c, ngx_uint_t version);
static u_char ngx_stomp_unescape_letter(u_char c, ngx_uint_t version);
static ngx_int_t ngx_stomp_header_number(u_char **pos, u_char *last,
    ngx_msec_t *n);


static ngx_str_t  ngx_stomp_version_names[] = {
    ngx_string("1.0"),
    ngx_string("1.1"),
    ngx_string("1.2")
};


ngx_str_t *
ngx_stomp_header_lookup(ngx_stomp_frame_t *f, const char *name, size_t len)
{
    ngx_uint_t           i;
    ngx_stomp_header_t  *header;

    for (i = 0; i < f->nheaders; i++) {
        header = &f->headers[i];

        if (header->name.len == len
            && ngx_memcmp(header->name.data, name, len) == 0)
        {
            return &header->value;
        }
    }

    return NULL;
}


u_char *
ngx_stomp_escape(u_char *dst, u_char *src, size_t len, ngx_uint_t version)
{
    u_char  c, letter;
    size_t  i;

    for (i = 0; i < len; i++) {
        c = src[i];
        letter = ngx_stomp_escape_letter(c, version);

        if (letter) {
            *dst++ = '\\';
            *dst++ = letter;
            continue;
        }

        *dst++ = (c == '\n' || c == '\r' || c == '\0') ? ' ' : c;
    }

    return dst;
}


size_t
ngx_stomp_escape_len(u_char *src, size_t len, ngx_uint_t version)
{
    size_t  i, n;

    n = len;

    for (i = 0; i < len; i++) {

        if (ngx_stomp_escape_letter(src[i], version)) {
            n++;
        }
    }

    return n;
}


/* 0: the octet is not escaped in this version */

static u_char
ngx_stomp_escape_letter(u_char c, ngx_uint_t version)
{
    if (c > '\\' || version < NGX_STOMP_V11) {
        return 0;
    }

    switch (c) {

    case '\\':
        return '\\';

    case ':':
        return 'c';

    case '\n':
        return 'n';

    case '\r':
        return (version >= NGX_STOMP_V12) ? 'r' : 0;

    default:
        return 0;
    }
}


ngx_int_t
ngx_stomp_unescape(ngx_str_t *s, ngx_uint_t version)
{
    u_char  *p, *dst, *last, c;
    size_t   n;

    if (version < NGX_STOMP_V11 || s->len == 0) {
        return NGX_OK;
    }

    last = s->data + s->len;

    p = memchr(s->data, '\\', s->len);
    if (p == NULL) {
        return NGX_OK;
    }

    dst = p;

    /* p is at a backslash */

    for ( ;; ) {

        if (last - p < 2) {
            return NGX_ABORT;
        }

        c = ngx_stomp_unescape_letter(p[1], version);
        if (c == 0) {
            return NGX_ABORT;
        }

        *dst++ = c;
        p += 2;

        while (p < last && *p != '\\') {
            *dst++ = *p++;
        }

        if (p == last) {
            break;
        }
    }

    n = dst - s->data;
    s->len = n;

    return NGX_OK;
}


/* 0: the escape sequence is not defined in this version */

static u_char
ngx_stomp_unescape_letter(u_char c, ngx_uint_t version)
{
    switch (c) {

    case '\\':
        return '\\';

    case 'c':
        return ':';

    case 'n':
        return '\n';

    case 'r':
        return (version >= NGX_STOMP_V12) ? '\r' : 0;

    default:
        return 0;
    }
}


u_char *
ngx_stomp_header_block(u_char *dst, u_char *block, size_t len,
    ngx_uint_t version)
{
    u_char  *p, *last, c;
    size_t   n;

    if (len == 0) {
        return dst;
    }

    if (version >= NGX_STOMP_V12) {
        return ngx_cpymem(dst, block, len);
    }

    last = block + len;

    for ( ;; ) {
        p = memchr(block, '\\', last - block);

        n = ((p != NULL) ? p : last) - block;
        dst = ngx_cpymem(dst, block, n);
        block += n;

        if (last - block < 2) {
            break;
        }

        c = ngx_stomp_unescape_letter(block[1], NGX_STOMP_V12);

        if (c == '\r' || (c == '\n' && version < NGX_STOMP_V11)) {
            *dst++ = ' ';

        } else if (c != 0 && version < NGX_STOMP_V11) {
            *dst++ = c;

        } else {
            *dst++ = block[0];
            *dst++ = block[1];
        }

        block += 2;

        if (block == last) {
            return dst;
        }
    }

    /* nothing, or a backslash that no escaping has left behind */

    return ngx_cpymem(dst, block, last - block);
}


ngx_int_t
ngx_stomp_header_heartbeat(ngx_str_t *value, ngx_msec_t *x, ngx_msec_t *y)
{
    u_char  *p, *last;

    if (value->len == 0) {
        return NGX_ABORT;
    }

    p = value->data;
    last = p + value->len;

    if (ngx_stomp_header_number(&p, last, x) != NGX_OK
        || p == last || *p++ != ','
        || ngx_stomp_header_number(&p, last, y) != NGX_OK
        || p != last)
    {
        return NGX_ABORT;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_stomp_header_number(u_char **pos, u_char *last, ngx_msec_t *n)
{
    u_char    *p;
    uint64_t   value;

    value = 0;

    for (p = *pos; p < last && *p >= '0' && *p <= '9'; p++) {
        value = value * 10 + (*p - '0');
        value = ngx_min(value, NGX_STOMP_HEARTBEAT_MAX);
    }

    if (p == *pos) {
        return NGX_ABORT;
    }

    *pos = p;
    *n = (ngx_msec_t) value;

    return NGX_OK;
}


ngx_uint_t
ngx_stomp_header_versions(ngx_str_t *value)
{
    u_char      *p, *last, *start, *end;
    ngx_uint_t   i, versions;

    if (value == NULL) {
        return NGX_STOMP_V10;
    }

    if (value->len == 0) {
        return 0;
    }

    versions = 0;
    p = value->data;
    last = p + value->len;

    for ( ;; ) {

        while (p < last && (*p == ',' || *p == ' ' || *p == '\t')) {
            p++;
        }

        if (p == last) {
            return versions;
        }

        start = p;

        while (p < last && *p != ',') {
            p++;
        }

        end = p;

        while (end[-1] == ' ' || end[-1] == '\t') {
            end--;
        }

        for (i = 0; end - start == 3 && i < 3; i++) {

            if (ngx_memcmp(start, ngx_stomp_version_names[i].data, 3) == 0) {
                versions |= NGX_STOMP_V10 << i;
            }
        }
    }
}


ngx_str_t *
ngx_stomp_version_name(ngx_uint_t version)
{
    if (version & NGX_STOMP_V12) {
        return &ngx_stomp_version_names[2];
    }

    if (version & NGX_STOMP_V11) {
        return &ngx_stomp_version_names[1];
    }

    return &ngx_stomp_version_names[0];
}
