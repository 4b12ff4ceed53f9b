
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_serialize.h>
#include <ngx_stomp_header.h>


/* where a frame is written to, or only counted if p is NULL */

typedef struct {
    u_char   *p;
    size_t    len;
} ngx_stomp_writer_t;


static void ngx_stomp_put(ngx_stomp_writer_t *w, const void *data, size_t len);
static void ngx_stomp_put_str(ngx_stomp_writer_t *w, ngx_str_t *s);
static void ngx_stomp_put_escaped(ngx_stomp_writer_t *w, ngx_str_t *s,
    ngx_uint_t version);
static void ngx_stomp_put_number(ngx_stomp_writer_t *w, uint64_t n);


#define ngx_stomp_put_text(w, text)                                           \
    ngx_stomp_put(w, text, sizeof(text) - 1)


size_t
ngx_stomp_write_connected(u_char *p, ngx_stomp_connected_t *c)
{
    ngx_stomp_writer_t  w;

    w.p = p;
    w.len = 0;

    ngx_stomp_put_text(&w, "CONNECTED\nversion:");
    ngx_stomp_put_str(&w, ngx_stomp_version_name(c->version));

    if (c->version != NGX_STOMP_V10) {
        ngx_stomp_put_text(&w, "\nheart-beat:");
        ngx_stomp_put_number(&w, c->send);
        ngx_stomp_put_text(&w, ",");
        ngx_stomp_put_number(&w, c->receive);
    }

    /* version 0 escapes nothing, but keeps a line end out of the values */

    if (c->user.len) {
        ngx_stomp_put_text(&w, "\nuser-name:");
        ngx_stomp_put_escaped(&w, &c->user, 0);
    }

    ngx_stomp_put_text(&w, "\nsession:");
    ngx_stomp_put_escaped(&w, &c->session, 0);
    ngx_stomp_put_text(&w, "\nserver:");
    ngx_stomp_put_escaped(&w, &c->server, 0);
    ngx_stomp_put_text(&w, "\n\n\0");

    return w.len;
}


size_t
ngx_stomp_write_receipt(u_char *p, ngx_str_t *id, ngx_uint_t version)
{
    ngx_stomp_writer_t  w;

    w.p = p;
    w.len = 0;

    ngx_stomp_put_text(&w, "RECEIPT\nreceipt-id:");
    ngx_stomp_put_escaped(&w, id, version);
    ngx_stomp_put_text(&w, "\n\n\0");

    return w.len;
}


size_t
ngx_stomp_write_error(u_char *p, ngx_str_t *message, ngx_str_t *receipt,
    ngx_str_t *body, ngx_uint_t version, ngx_uint_t versions)
{
    ngx_stomp_writer_t  w;

    w.p = p;
    w.len = 0;

    ngx_stomp_put_text(&w, "ERROR\nmessage:");
    ngx_stomp_put_escaped(&w, message, version);

    if (receipt != NULL) {
        ngx_stomp_put_text(&w, "\nreceipt-id:");
        ngx_stomp_put_escaped(&w, receipt, version);
    }

    if (versions) {
        ngx_stomp_put_text(&w, "\nversion:1.0,1.1,1.2");
    }

    ngx_stomp_put_text(&w, "\ncontent-type:text/plain\ncontent-length:");
    ngx_stomp_put_number(&w, body->len);
    ngx_stomp_put_text(&w, "\n\n");
    ngx_stomp_put_str(&w, body);
    ngx_stomp_put_text(&w, "\0");

    return w.len;
}


static void
ngx_stomp_put(ngx_stomp_writer_t *w, const void *data, size_t len)
{
    if (w->p != NULL && len) {
        ngx_memcpy(w->p + w->len, data, len);
    }

    w->len += len;
}


static void
ngx_stomp_put_str(ngx_stomp_writer_t *w, ngx_str_t *s)
{
    ngx_stomp_put(w, s->data, s->len);
}


static void
ngx_stomp_put_escaped(ngx_stomp_writer_t *w, ngx_str_t *s, ngx_uint_t version)
{
    u_char  *p;

    if (w->p == NULL) {
        w->len += ngx_stomp_escape_len(s->data, s->len, version);
        return;
    }

    p = w->p + w->len;
    w->len += ngx_stomp_escape(p, s->data, s->len, version) - p;
}


static void
ngx_stomp_put_number(ngx_stomp_writer_t *w, uint64_t n)
{
    u_char  *p, buf[NGX_INT64_LEN];

    p = buf + sizeof(buf);

    do {
        *--p = (u_char) ('0' + n % 10);
        n /= 10;
    } while (n);

    ngx_stomp_put(w, p, buf + sizeof(buf) - p);
}
