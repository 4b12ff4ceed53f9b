
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Origin and Host of a handshake: lines of the input are the origin, the host,
 * and a list of origins that are allowed.
 */


#include <fuzz.h>
#include <ngx_http_stomp_origin.h>

#define ORIGIN_MAX    512
#define ORIGIN_LINES  16


static u_char  *origin_rooms[ORIGIN_LINES];


/* "host:port" in lower case, with the port of the scheme; 0: it is none */

static ngx_uint_t
origin_authority(ngx_str_t *text, ngx_uint_t https, char *dst)
{
    char        s[ORIGIN_MAX + 1], *port, *bracket;
    size_t      i;

    for (i = 0; i < text->len; i++) {
        s[i] = ngx_tolower(text->data[i]);
    }

    s[i] = '\0';

    if (strchr(s, '/') != NULL) {
        return 0;
    }

    bracket = (s[0] == '[') ? strchr(s, ']') : s;

    if (bracket == NULL) {
        return 0;
    }

    port = strchr(bracket, ':');

    if (port == NULL) {
        sprintf(dst, "%s:%s", s, https ? "443" : "80");
        return s[0] != '\0';
    }

    /* more than 18 digits are no number of anything */

    if (port == s || port[1] == '\0'
        || strspn(port + 1, "0123456789") != strlen(port + 1))
    {
        return 0;
    }

    strcpy(dst, s);

    return 1;
}


/* "scheme://..."; 0: it is no origin */

static ngx_uint_t
origin_normal(ngx_str_t *origin, char *dst, ngx_uint_t *https)
{
    u_char     *p;
    size_t      n;
    ngx_str_t   rest;

    p = memmem(origin->data, origin->len, "://", 3);

    if (p == NULL || p == origin->data
        || memchr(origin->data, ':', p - origin->data) != NULL)
    {
        return 0;
    }

    n = p - origin->data;
    *https = (n == 5 && strncasecmp((char *) origin->data, "https", 5) == 0);

    rest.data = p + 3;
    rest.len = origin->len - n - 3;

    return origin_authority(&rest, *https, dst);
}


/* numbers that do not fit into an integer are refused, too */

static ngx_uint_t
origin_has_long_port(ngx_str_t *s)
{
    size_t  n;

    for (n = 0; n < s->len && s->data[s->len - 1 - n] >= '0'
                && s->data[s->len - 1 - n] <= '9'; n++) { /* void */ }

    return n > 18;
}


static void
origin_check_same(ngx_str_t *origin, ngx_str_t *host)
{
    char        a[ORIGIN_MAX + 8], b[ORIGIN_MAX + 8];
    ngx_int_t   rc;
    ngx_uint_t  https, valid, same;

    valid = origin_normal(origin, a, &https);
    same = valid && origin_authority(host, https, b) && strcmp(a, b) == 0;

    rc = ngx_http_stomp_origin_same(origin, host);

    fuzz_check(rc == NGX_OK || rc == NGX_DECLINED);

    if (origin_has_long_port(origin) || origin_has_long_port(host)) {
        fuzz_check(rc == NGX_DECLINED || same);
        return;
    }

    fuzz_check((rc == NGX_OK) == same);

    /* "null" is what browsers send for pages without an origin */

    valid |= (origin->len == 4 && memcmp(origin->data, "null", 4) == 0);

    fuzz_check((ngx_http_stomp_origin_check(origin) == NULL) == valid);
}


static void
origin_check_list(ngx_str_t *lines, ngx_uint_t n)
{
    ngx_int_t    rc;
    ngx_uint_t   i, found;
    ngx_array_t  list;

    found = 0;

    for (i = 1; i < n; i++) {
        found |= (lines[i].len == lines[0].len
                  && ngx_strncasecmp(lines[i].data, lines[0].data,
                                     lines[0].len)
                     == 0);
    }

    memset(&list, 0, sizeof(list));
    list.elts = &lines[1];
    list.nelts = n - 1;

    rc = ngx_http_stomp_origin_listed(&lines[0], &list);

    fuzz_check(rc == (found ? NGX_OK : NGX_DECLINED));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t       lines[ORIGIN_LINES];
    ngx_uint_t      n;
    const uint8_t  *eol, *last;

    /* nginx refuses headers with NUL */

    if (size > ORIGIN_MAX || memchr(data, '\0', size) != NULL) {
        return 0;
    }

    last = data + size;

    for (n = 0; n < ORIGIN_LINES && data < last; n++) {
        eol = memchr(data, '\n', last - data);
        eol = (eol != NULL) ? eol : last;

        lines[n].len = eol - data;
        lines[n].data = fuzz_copy(&origin_rooms[n], data, lines[n].len);

        data = ngx_min(eol + 1, last);
    }

    if (n >= 2) {
        origin_check_same(&lines[0], &lines[1]);
        origin_check_list(lines, n);
    }

    return 0;
}
