
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_stomp_module.h>
#include <ngx_http_stomp_output.h>
#include <ngx_stomp_json.h>
#include <ngx_stomp_utf8.h>


#define NGX_HTTP_STOMP_ERROR_MAX  1024


static void ngx_http_stomp_count_refused(ngx_http_request_t *r);


ngx_int_t
ngx_http_stomp_send_json(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *json)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    if (status == NGX_HTTP_STOMP_UPGRADE) {
        ngx_str_set(&r->headers_out.status_line, "426 Upgrade Required");
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = (off_t) json->len;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = json->data;
    b->last = json->data + json->len;
    b->memory = (json->len != 0);
    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_int_t ngx_cdecl
ngx_http_stomp_send_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *fmt, ...)
{
    u_char     *p, buf[NGX_HTTP_STOMP_ERROR_MAX];
    va_list     args;
    ngx_int_t   rc;
    ngx_str_t   text, json;

    ngx_http_stomp_count_refused(r);

    va_start(args, fmt);
    p = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args);
    va_end(args);

    text.data = buf;
    text.len = p - buf;

    /* what the client sends is not waited for */

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    json.len = sizeof("{\"error\":}\n") - 1 + ngx_stomp_json_string_len(&text);
    json.data = ngx_pnalloc(r->pool, json.len);
    if (json.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(json.data, "{\"error\":", sizeof("{\"error\":") - 1);
    p = ngx_stomp_json_string(p, &text);
    ngx_memcpy(p, "}\n", 2);

    ngx_stomp_utf8_printable(text.data, text.len);

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "STOMP request refused: %V", &text);

    rc = ngx_http_stomp_send_json(r, status, &json);

    return (rc == NGX_OK) ? NGX_ABORT : rc;
}


static void
ngx_http_stomp_count_refused(ngx_http_request_t *r)
{
    ngx_stomp_broker_conf_t    *conf;
    ngx_http_stomp_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_stomp_module);

    conf = (slcf->push != NULL) ? slcf->push : slcf->pass;

    if (conf != NULL && conf->broker != NULL) {
        conf->broker->refused++;
    }
}


ngx_int_t
ngx_http_stomp_add_header(ngx_http_request_t *r, const char *key,
    const char *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key.data = (u_char *) key;
    h->key.len = ngx_strlen(key);
    h->value.data = (u_char *) value;
    h->value.len = ngx_strlen(value);

    return NGX_OK;
}


ngx_table_elt_t *
ngx_http_stomp_header_in(ngx_http_request_t *r, const char *name, size_t len,
    ngx_table_elt_t *after)
{
    ngx_table_elt_t  *h;

    for (h = ngx_http_stomp_header_prefix(r, name, len, after);
         h != NULL;
         h = ngx_http_stomp_header_prefix(r, name, len, h))
    {
        if (h->key.len == len) {
            return h;
        }
    }

    return NULL;
}


ngx_table_elt_t *
ngx_http_stomp_header_prefix(ngx_http_request_t *r, const char *prefix,
    size_t len, ngx_table_elt_t *after)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (after != NULL) {
            if (&h[i] == after) {
                after = NULL;
            }

            continue;
        }

        if (h[i].key.len >= len
            && ngx_strncasecmp(h[i].key.data, (u_char *) prefix, len) == 0)
        {
            return &h[i];
        }
    }
}
