
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_stomp_module.h>
#include <ngx_http_stomp_output.h>
#include <ngx_http_stomp_push.h>
#include <ngx_stomp_json.h>
#include <ngx_stomp_publication.h>
#include <ngx_stomp_user.h>
#include <ngx_stomp_utf8.h>
#include <ngx_stomp_wheel.h>


static ngx_int_t ngx_http_stomp_push_request(ngx_http_request_t *r);
static void ngx_http_stomp_push_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_stomp_push_message(ngx_http_request_t *r);
static ngx_int_t ngx_http_stomp_push_count(ngx_http_request_t *r);
static ngx_int_t ngx_http_stomp_push_destination(ngx_http_request_t *r,
    ngx_str_t *destination);
static ngx_int_t ngx_http_stomp_push_body(ngx_http_request_t *r,
    ngx_str_t *body);
static ngx_int_t ngx_http_stomp_push_read_body(ngx_http_request_t *r,
    ngx_str_t *body);
static ngx_int_t ngx_http_stomp_push_headers(ngx_http_request_t *r,
    ngx_array_t *headers, ngx_str_t *destination);
static ngx_int_t ngx_http_stomp_push_user_header(ngx_http_request_t *r,
    ngx_array_t *headers, ngx_table_elt_t *h);
static ngx_table_elt_t *ngx_http_stomp_push_next(ngx_http_request_t *r,
    ngx_table_elt_t *after);
static ngx_uint_t ngx_http_stomp_push_is_batch(ngx_http_request_t *r);


static const char  ngx_http_stomp_push_prefix[] = "x-stomp-";
#define NGX_HTTP_STOMP_PUSH_PREFIX_LEN  (sizeof("x-stomp-") - 1)


ngx_int_t
ngx_http_stomp_push_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_stomp_push_request(r);

    return ngx_http_stomp_result(rc);
}


static ngx_int_t
ngx_http_stomp_push_request(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_http_stomp_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_stomp_module);

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD
                       |NGX_HTTP_POST|NGX_HTTP_PUT)))
    {
        if (ngx_http_stomp_add_header(r, "Allow", "GET, HEAD, POST, PUT")
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_stomp_send_error(r, NGX_HTTP_NOT_ALLOWED,
                                         "POST and PUT publish a message, "
                                         "GET and HEAD tell how many "
                                         "subscriptions would get it");
    }

    if (ngx_http_stomp_add_header(r, "Cache-Control", "no-store") != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (slcf->push->broker == NULL) {
        return ngx_http_stomp_send_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                         "the broker is out of service");
    }

    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) {

        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }

        if (r->method == NGX_HTTP_GET && slcf->push_body != NULL) {
            return ngx_http_stomp_push_message(r);
        }

        return ngx_http_stomp_push_count(r);
    }

    if (r->headers_in.content_length_n
        > (off_t) slcf->session.limits.max_body)
    {
        return ngx_http_stomp_send_error(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                         "the body can have %uz octets "
                                         "(stomp_max_body)",
                                         slcf->session.limits.max_body);
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r,
                                           ngx_http_stomp_push_body_handler);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


static void
ngx_http_stomp_push_body_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_stomp_push_message(r);

    ngx_http_finalize_request(r, ngx_http_stomp_result(rc));
}


static ngx_int_t
ngx_http_stomp_push_message(ngx_http_request_t *r)
{
    u_char                     *buf;
    size_t                      size;
    ngx_int_t                   rc;
    ngx_str_t                   destination, body;
    const char                 *error;
    ngx_array_t                 headers;
    ngx_stomp_publication_t     p;
    ngx_http_stomp_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_stomp_module);

    rc = ngx_http_stomp_push_body(r, &body);
    if (rc != NGX_OK) {
        return rc;
    }

    if (body.len > slcf->session.limits.max_body) {
        return ngx_http_stomp_send_error(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                         "the body can have %uz octets "
                                         "(stomp_max_body)",
                                         slcf->session.limits.max_body);
    }

    if (slcf->push_body == NULL && ngx_http_stomp_push_is_batch(r)) {

        /* its members name their destinations and headers themselves */

        if (slcf->push_destination != NULL) {
            return ngx_http_stomp_send_error(r, NGX_HTTP_BAD_REQUEST,
                                             "this location takes no batch: "
                                             "it has a destination of its "
                                             "own (stomp_push_destination)");
        }

        if (ngx_http_stomp_push_next(r, NULL) != NULL) {
            return ngx_http_stomp_send_error(r, NGX_HTTP_BAD_REQUEST,
                                             "a batch has its headers in its "
                                             "members, not as \"%V\"",
                                             &ngx_http_stomp_push_next(r, NULL)
                                              ->key);
        }

        return ngx_http_stomp_push_batch(r, &body);
    }

    rc = ngx_http_stomp_push_destination(r, &destination);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_array_init(&headers, r->pool, 4, sizeof(ngx_stomp_header_t))
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_stomp_push_headers(r, &headers, &destination);
    if (rc != NGX_OK) {
        return rc;
    }

    size = ngx_stomp_publication_size(headers.elts, headers.nelts);

    buf = ngx_pnalloc(r->pool, size);
    if (buf == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_stomp_publication_init(&p, buf, headers.elts, headers.nelts,
                               &destination, &body);

    error = ngx_stomp_publication_options(slcf->push, &p, headers.elts,
                                          headers.nelts);

    if (error != NULL) {
        return ngx_http_stomp_send_error(r, NGX_HTTP_BAD_REQUEST, "%s (given "
                                         "as \"X-Stomp-...\")", error);
    }

    return ngx_http_stomp_push_publish(r, &p, 1, 0);
}


ngx_int_t
ngx_http_stomp_push_publish(ngx_http_request_t *r, ngx_stomp_publication_t *p,
    ngx_uint_t n, ngx_uint_t batch)
{
    u_char                     *last;
    size_t                      size;
    ngx_int_t                   rc;
    ngx_str_t                   json, written;
    ngx_uint_t                  i, level;
    ngx_stomp_broker_t         *b;
    ngx_http_stomp_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_stomp_module);
    b = slcf->push->broker;

    size = sizeof("[]\n");

    for (i = 0; i < n; i++) {
        size += sizeof("{\"destination\":,\"message-id\":\"\","
                       "\"subscribers\":},")
                + ngx_stomp_json_string_len(&p[i].destination)
                + NGX_STOMP_MESSAGE_ID_MAX + NGX_INT32_LEN;
    }

    /* what is published can't be refused any more */

    json.data = ngx_pnalloc(r->pool, size);
    if (json.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_stomp_broker_publish(b, p, n);

    if (rc != NGX_OK) {
        b->refused += n - 1;                /* the answer counts as one */

        if (rc == NGX_ABORT) {
            return ngx_http_stomp_send_error(r,
                                             NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                             "%ui messages are too many for "
                                             "one batch, split it", n);
        }

        for (i = 0; i < n; i++) {
            if (p[i].over) {
                return ngx_http_stomp_send_error(r,
                                             NGX_HTTP_INSUFFICIENT_STORAGE,
                                             "the broker retains as many "
                                             "messages as it may "
                                             "(max_retained, history_size)");
            }
        }

        if (ngx_http_stomp_add_header(r, "Retry-After", "1") != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        for (i = 0; rc == NGX_BUSY && i < n; i++) {
            if (p[i].full) {
                return ngx_http_stomp_send_error(r,
                                                 NGX_HTTP_SERVICE_UNAVAILABLE,
                                                 "the queue \"%V\" is full, "
                                                 "try again later",
                                                 &p[i].destination);
            }
        }

        if (rc == NGX_BUSY) {
            level = ngx_stomp_hub_log_level(b->data, NGX_LOG_ERR);

            ngx_log_error(level, r->connection->log, 0,
                          "zone of stomp_broker \"%V\" is full",
                          &slcf->push->name);
        }

        return ngx_http_stomp_send_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                         rc == NGX_BUSY
                                         ? "the zone of the broker is full, "
                                           "try again later"
                                         : "this worker can't publish that "
                                           "now, try again");
    }

    last = json.data;

    if (batch) {
        *last++ = '[';
    }

    for (i = 0; i < n; i++) {

        if (i) {
            *last++ = ',';
        }

        last = ngx_cpymem(last, "{\"destination\":",
                          sizeof("{\"destination\":") - 1);
        written = p[i].destination;
        ngx_stomp_user_written(&written);

        last = ngx_stomp_json_string(last, &written);
        last = ngx_cpymem(last, ",\"message-id\":\"",
                          sizeof(",\"message-id\":\"") - 1);
        last = ngx_stomp_broker_message_id(b, last, p[i].sequence);
        last = ngx_sprintf(last, "\",\"subscribers\":%uD}",
                           p[i].subscribers);
    }

    if (batch) {
        *last++ = ']';
    }

    *last++ = LF;

    json.len = last - json.data;

    return ngx_http_stomp_send_json(r, NGX_HTTP_OK, &json);
}


static ngx_int_t
ngx_http_stomp_push_count(ngx_http_request_t *r)
{
    u_char                     *p;
    ngx_int_t                   rc;
    ngx_str_t                   destination, json;
    ngx_http_stomp_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_stomp_module);

    rc = ngx_http_stomp_push_destination(r, &destination);
    if (rc != NGX_OK) {
        return rc;
    }

    json.data = ngx_pnalloc(r->pool, sizeof("{\"destination\":,"
                                            "\"subscribers\":}\n")
                                     + ngx_stomp_json_string_len(&destination)
                                     + NGX_INT32_LEN);
    if (json.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(json.data, "{\"destination\":",
                   sizeof("{\"destination\":") - 1);
    p = ngx_stomp_json_string(p, &destination);
    p = ngx_sprintf(p, ",\"subscribers\":%uD}\n",
                    ngx_stomp_destination_subscribers(slcf->push->broker,
                                                      &destination));
    json.len = p - json.data;

    return ngx_http_stomp_send_json(r, NGX_HTTP_OK, &json);
}


/* what stomp_push_destination says, or the URI's rest behind the location */

static ngx_int_t
ngx_http_stomp_push_destination(ngx_http_request_t *r, ngx_str_t *destination)
{
    size_t                      n;
    uint32_t                    state;
    const char                 *error;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_stomp_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_stomp_module);

    if (slcf->push_destination != NULL) {

        if (ngx_http_complex_value(r, slcf->push_destination, destination)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

    } else {
        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        n = ngx_min(clcf->name.len, r->uri.len);

        if (n && clcf->name.data[n - 1] == '/') {
            n--;
        }

        destination->data = r->uri.data + n;
        destination->len = r->uri.len - n;
    }

    error = (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))
            ? ngx_stomp_destination_check(slcf->push, destination)
            : ngx_stomp_destination_check_send(slcf->push, destination);

    if (error == NULL) {
        state = 0;

        if (ngx_stomp_utf8_validate(&state, destination->data,
                                    destination->len)
            == NGX_OK)
        {
            return NGX_OK;
        }

        error = "the destination is not UTF-8";
    }

    /* the reason is to be seen, too */

    destination->len = ngx_min(destination->len, 256);

    return ngx_http_stomp_send_error(r, NGX_HTTP_BAD_REQUEST,
                                     "destination \"%V\": %s", destination,
                                     error);
}


static ngx_int_t
ngx_http_stomp_push_body(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_http_stomp_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_stomp_module);

    if (slcf->push_body != NULL) {
        return (ngx_http_complex_value(r, slcf->push_body, body) == NGX_OK)
               ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_stomp_push_read_body(r, body);
}


/* a body comes in one or more buffers, of memory or of a file */

static ngx_int_t
ngx_http_stomp_push_read_body(ngx_http_request_t *r, ngx_str_t *body)
{
    off_t         size;
    u_char       *p;
    size_t        len;
    ssize_t       n;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    ngx_str_set(body, "");

    if (r->request_body == NULL || r->request_body->bufs == NULL) {
        return NGX_OK;
    }

    /* it was another location's, which read it without buffering */

    if (r->request_body->rest > 0) {
        return ngx_http_stomp_send_error(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                         "the body was read only in part "
                                         "before it came here");
    }

    cl = r->request_body->bufs;

    if (cl->next == NULL && !cl->buf->in_file) {

        /* the only buffer of an empty body has no memory */

        if (cl->buf->pos != NULL) {
            body->data = cl->buf->pos;
            body->len = cl->buf->last - cl->buf->pos;
        }

        return NGX_OK;
    }

    size = 0;

    for ( /* void */ ; cl; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    p = ngx_pnalloc(r->pool, (size_t) size);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body->data = p;
    body->len = (size_t) size;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;
        len = (size_t) ngx_buf_size(b);

        /* the last buffer of a chunked body has no memory */

        if (len == 0) {
            continue;
        }

        if (!b->in_file) {
            p = ngx_cpymem(p, b->pos, len);
            continue;
        }

        n = ngx_read_file(b->file, p, len, b->file_pos);

        if (n != (ssize_t) len) {
            ngx_log_error(NGX_LOG_CRIT, r->connection->log, 0,
                          ngx_read_file_n " has read only %z of %uz octets "
                          "from \"%V\"", n, len, &b->file->name);
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        p += n;
    }

    return NGX_OK;
}


/* in the order that Spring's clients know: destination, content-type, ... */

static ngx_int_t
ngx_http_stomp_push_headers(ngx_http_request_t *r, ngx_array_t *headers,
    ngx_str_t *destination)
{
    ngx_int_t                   rc;
    const char                 *error;
    ngx_table_elt_t            *h;
    ngx_stomp_header_t         *header;
    ngx_http_stomp_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_stomp_module);

    header = ngx_array_push_n(headers, 2);
    if (header == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_set(&header[0].name, "destination");
    header[0].value = *destination;

    ngx_str_set(&header[1].name, "content-type");

    if (slcf->push_body != NULL) {
        ngx_str_set(&header[1].value, "application/json");

    } else if (r->headers_in.content_type != NULL) {
        header[1].value = r->headers_in.content_type->value;

        error = ngx_http_stomp_push_header_text(&header[1],
                                                &slcf->session.limits);
        if (error != NULL) {
            return ngx_http_stomp_send_error(r, NGX_HTTP_BAD_REQUEST,
                                             "header \"Content-Type\": %s",
                                             error);
        }

    } else {
        headers->nelts--;
    }

    for (h = ngx_http_stomp_push_next(r, NULL);
         h != NULL;
         h = ngx_http_stomp_push_next(r, h))
    {
        rc = ngx_http_stomp_push_user_header(r, headers, h);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/* returns the first X-Stomp-* header, or the one after another, or NULL */

static ngx_table_elt_t *
ngx_http_stomp_push_next(ngx_http_request_t *r, ngx_table_elt_t *after)
{
    ngx_table_elt_t  *h;

    h = after;

    /* the prefix alone is not one */

    do {
        h = ngx_http_stomp_header_prefix(r, ngx_http_stomp_push_prefix,
                                         NGX_HTTP_STOMP_PUSH_PREFIX_LEN, h);

    } while (h != NULL && h->key.len == NGX_HTTP_STOMP_PUSH_PREFIX_LEN);

    return h;
}


static ngx_int_t
ngx_http_stomp_push_user_header(ngx_http_request_t *r, ngx_array_t *headers,
    ngx_table_elt_t *h)
{
    const char                 *error;
    ngx_stomp_header_t         *header;
    ngx_http_stomp_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_stomp_module);

    header = ngx_array_push(headers);
    if (header == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* names of HTTP have no case */

    header->name.data = h->lowcase_key + NGX_HTTP_STOMP_PUSH_PREFIX_LEN;
    header->name.len = h->key.len - NGX_HTTP_STOMP_PUSH_PREFIX_LEN;
    header->value = h->value;

    error = (headers->nelts > slcf->session.limits.max_headers)
            ? "there are too many headers (stomp_max_headers)"
            : ngx_http_stomp_push_header_check(header, &slcf->session.limits);

    if (error != NULL) {
        return ngx_http_stomp_send_error(r, NGX_HTTP_BAD_REQUEST,
                                         "header \"%V\": %s", &h->key, error);
    }

    return NGX_OK;
}


const char *
ngx_http_stomp_push_header_check(ngx_stomp_header_t *header,
    const ngx_stomp_limits_t *limits)
{
    ngx_str_t  *name;

    static ngx_str_t  taken[] = {
        ngx_string("destination"),
        ngx_string("content-type"),
        ngx_null_string
    };

    if (ngx_stomp_header_reserved(&header->name)) {
        return "a message has that header from the broker only";
    }

    for (name = taken; name->len; name++) {
        if (header->name.len == name->len
            && ngx_memcmp(header->name.data, name->data, name->len) == 0)
        {
            return "that header is made of the request's own destination and "
                   "Content-Type";
        }
    }

    return ngx_http_stomp_push_header_text(header, limits);
}


const char *
ngx_http_stomp_push_header_text(ngx_stomp_header_t *header,
    const ngx_stomp_limits_t *limits)
{
    uint32_t  state;

    if (header->name.len == 0) {
        return "the name is empty";
    }

    if (header->name.len + 1 + header->value.len > limits->max_header_length) {
        return "it is too long (stomp_max_header_length)";
    }

    state = 0;

    if (ngx_stomp_utf8_validate(&state, header->value.data, header->value.len)
        != NGX_OK)
    {
        return "its value is not UTF-8";
    }

    state = 0;

    if (ngx_stomp_utf8_validate(&state, header->name.data, header->name.len)
        != NGX_OK)
    {
        return "its name is not UTF-8";
    }

    return NULL;
}


static ngx_uint_t
ngx_http_stomp_push_is_batch(ngx_http_request_t *r)
{
    size_t      n;
    ngx_str_t  *type;

    static const char  batch[] = "application/vnd.stomp.batch+json";

    if (r->headers_in.content_type == NULL) {
        return 0;
    }

    type = &r->headers_in.content_type->value;
    n = sizeof(batch) - 1;

    return type->len >= n
           && ngx_strncasecmp(type->data, (u_char *) batch, n) == 0
           && (type->len == n || type->data[n] == ';' || type->data[n] == ' ');
}
