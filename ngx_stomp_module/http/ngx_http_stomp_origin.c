
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_stomp_origin.h>


typedef struct {
    ngx_str_t    scheme;
    ngx_str_t    host;            /* brackets of IPv6 with it */
    ngx_str_t    port;            /* may be empty */
} ngx_http_stomp_origin_t;


static ngx_int_t ngx_http_stomp_origin_parse(ngx_str_t *text,
    ngx_http_stomp_origin_t *o);
static ngx_int_t ngx_http_stomp_origin_authority(u_char *p, u_char *last,
    ngx_http_stomp_origin_t *o);
static void ngx_http_stomp_origin_default(ngx_http_stomp_origin_t *o);


ngx_int_t
ngx_http_stomp_origin_same(ngx_str_t *origin, ngx_str_t *host)
{
    ngx_http_stomp_origin_t  o, h;

    if (ngx_http_stomp_origin_parse(origin, &o) != NGX_OK) {
        return NGX_DECLINED;
    }

    /* a Host has no scheme: the page's own tells its default port */

    h.scheme = o.scheme;

    if (ngx_http_stomp_origin_authority(host->data, host->data + host->len, &h)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_http_stomp_origin_default(&o);
    ngx_http_stomp_origin_default(&h);

    if (o.host.len != h.host.len
        || ngx_strncasecmp(o.host.data, h.host.data, o.host.len) != 0
        || o.port.len != h.port.len
        || ngx_memcmp(o.port.data, h.port.data, o.port.len) != 0)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_stomp_origin_listed(ngx_str_t *origin, ngx_array_t *list)
{
    ngx_str_t   *item;
    ngx_uint_t   i;

    item = list->elts;

    for (i = 0; i < list->nelts; i++) {
        if (item[i].len == origin->len
            && ngx_strncasecmp(item[i].data, origin->data, origin->len) == 0)
        {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


const char *
ngx_http_stomp_origin_check(ngx_str_t *origin)
{
    ngx_http_stomp_origin_t  o;

    if (origin->len == 4 && ngx_memcmp(origin->data, "null", 4) == 0) {
        return NULL;
    }

    if (ngx_http_stomp_origin_parse(origin, &o) != NGX_OK) {
        return "it must be \"scheme://host\" or \"scheme://host:port\", "
               "without a path, as browsers send it";
    }

    return NULL;
}


static ngx_int_t
ngx_http_stomp_origin_parse(ngx_str_t *text, ngx_http_stomp_origin_t *o)
{
    u_char  *p, *last;

    last = text->data + text->len;

    for (p = text->data; p < last; p++) {
        if (*p == ':') {
            break;
        }
    }

    if (p == text->data || last - p < 4 || p[1] != '/' || p[2] != '/') {
        return NGX_DECLINED;
    }

    o->scheme.data = text->data;
    o->scheme.len = p - text->data;

    return ngx_http_stomp_origin_authority(p + 3, last, o);
}


static ngx_int_t
ngx_http_stomp_origin_authority(u_char *p, u_char *last,
    ngx_http_stomp_origin_t *o)
{
    u_char  *colon, *end;

    end = p;

    if (p < last && *p == '[') {
        end = ngx_strlchr(p, last, ']');

        if (end == NULL) {
            return NGX_DECLINED;
        }
    }

    colon = ngx_strlchr(end, last, ':');

    o->host.data = p;
    o->host.len = ((colon != NULL) ? colon : last) - p;

    ngx_str_null(&o->port);

    if (colon != NULL) {
        o->port.data = colon + 1;
        o->port.len = last - o->port.data;

        if (ngx_atoi(o->port.data, o->port.len) == NGX_ERROR) {
            return NGX_DECLINED;
        }
    }

    if (o->host.len == 0 || ngx_strlchr(p, last, '/') != NULL) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static void
ngx_http_stomp_origin_default(ngx_http_stomp_origin_t *o)
{
    if (o->port.len) {
        return;
    }

    if (o->scheme.len == 5
        && ngx_strncasecmp(o->scheme.data, (u_char *) "https", 5) == 0)
    {
        ngx_str_set(&o->port, "443");
        return;
    }

    ngx_str_set(&o->port, "80");
}
