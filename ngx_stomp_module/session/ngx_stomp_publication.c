
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stomp_session.h>
#include <ngx_stomp_publication.h>
#include <ngx_stomp_header.h>
#include <ngx_stomp_user.h>
#include <ngx_stomp_utf8.h>


static ngx_uint_t ngx_stomp_publication_is_destination(
    ngx_stomp_header_t *header);
static ngx_uint_t ngx_stomp_publication_skip(ngx_stomp_header_t *header,
    ngx_uint_t *destination);


static ngx_str_t  ngx_stomp_reserved[] = {
    ngx_string("ack"),
    ngx_string("content-length"),
    ngx_string("message-id"),
    ngx_string("receipt"),
    ngx_string("redelivered"),
    ngx_string("replay-gap"),
    ngx_string("subscription"),
    ngx_string("transaction"),
    ngx_null_string
};


const char *
ngx_stomp_destination_check(ngx_stomp_broker_conf_t *conf, ngx_str_t *name)
{
    ngx_str_t             *topic;
    ngx_uint_t             i;
    const char            *error;
    ngx_stomp_wildcard_t   w;

    if (name->len == 0) {
        return "the destination is empty";
    }

    if (name->len > NGX_STOMP_DESTINATION_MAX) {
        return "the destination is longer than 1024 octets";
    }

    if (ngx_stomp_user_is(name)) {
        return ngx_stomp_user_destination_check(name);
    }

    topic = conf->topics.elts;

    for (i = 0; i < conf->topics.nelts; i++) {
        if (name->len > topic[i].len
            && ngx_memcmp(name->data, topic[i].data, topic[i].len) == 0)
        {
            error = NULL;

            (void) ngx_stomp_broker_wildcard(conf, name, &w, &error);

            return error;
        }
    }

    return "the destination does not begin with a prefix that this broker's "
           "\"topic\" directive names";
}


uint32_t
ngx_stomp_destination_subscribers(ngx_stomp_broker_t *b, ngx_str_t *name)
{
    u_char     buf[NGX_STOMP_DESTINATION_MAX];
    ngx_str_t  key;

    if (ngx_stomp_user_key_size(name) > sizeof(buf)) {
        return 0;
    }

    key = *name;
    ngx_stomp_user_key(buf, &key);

    return ngx_stomp_broker_subscribers(b, &key);
}


const char *
ngx_stomp_destination_check_send(ngx_stomp_broker_conf_t *conf,
    ngx_str_t *name)
{
    const char            *error;
    ngx_stomp_wildcard_t   w;

    error = ngx_stomp_destination_check(conf, name);

    /* a user may be called as a wildcard */

    if (error != NULL || ngx_stomp_user_is(name)) {
        return error;
    }

    if (ngx_stomp_broker_wildcard(conf, name, &w, &error) == NGX_OK) {
        return "the destination has wildcards, which only subscriptions can "
               "have";
    }

    return ngx_stomp_broker_name(conf, name);
}


ngx_uint_t
ngx_stomp_header_reserved(ngx_str_t *name)
{
    ngx_str_t  *reserved;

    for (reserved = ngx_stomp_reserved; reserved->len; reserved++) {
        if (name->len == reserved->len
            && ngx_memcmp(name->data, reserved->data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_stomp_publication_is_destination(ngx_stomp_header_t *header)
{
    return header->name.len == sizeof("destination") - 1
           && ngx_memcmp(header->name.data, "destination", header->name.len)
              == 0;
}


/* of repeated destinations only the first is the message's */

static ngx_uint_t
ngx_stomp_publication_skip(ngx_stomp_header_t *header, ngx_uint_t *destination)
{
    if (ngx_stomp_publication_is_destination(header)) {
        return (*destination)++;
    }

    return ngx_stomp_header_reserved(&header->name);
}


size_t
ngx_stomp_publication_size(ngx_stomp_header_t *headers, ngx_uint_t n)
{
    size_t      size;
    ngx_uint_t  i, destination;

    size = 0;
    destination = 0;

    for (i = 0; i < n; i++) {

        if (ngx_stomp_publication_skip(&headers[i], &destination)) {
            continue;
        }

        if (ngx_stomp_publication_is_destination(&headers[i])) {
            size += ngx_stomp_user_key_size(&headers[i].value);
        }

        size += ngx_stomp_escape_len(headers[i].name.data, headers[i].name.len,
                                     NGX_STOMP_V12)
                + ngx_stomp_escape_len(headers[i].value.data,
                                       headers[i].value.len, NGX_STOMP_V12)
                + sizeof(":\n") - 1;
    }

    return size;
}


void
ngx_stomp_publication_init(ngx_stomp_publication_t *p, u_char *buf,
    ngx_stomp_header_t *headers, ngx_uint_t n, ngx_str_t *destination,
    ngx_str_t *body)
{
    u_char      *last;
    uint32_t     state;
    ngx_str_t    value;
    ngx_uint_t   i, seen;

    last = buf;
    seen = 0;

    for (i = 0; i < n; i++) {

        if (ngx_stomp_publication_skip(&headers[i], &seen)) {
            continue;
        }

        last = ngx_stomp_escape(last, headers[i].name.data,
                                headers[i].name.len, NGX_STOMP_V12);
        *last++ = ':';

        value = headers[i].value;

        if (ngx_stomp_publication_is_destination(&headers[i])
            && ngx_stomp_user_is(&value))
        {
            last = ngx_cpymem(last, "/user", sizeof("/user") - 1);
            value = ngx_stomp_user_rest(&value);
        }

        last = ngx_stomp_escape(last, value.data, value.len, NGX_STOMP_V12);
        *last++ = LF;
    }

    ngx_memzero(p, sizeof(ngx_stomp_publication_t));

    p->destination = *destination;
    p->headers.data = buf;
    p->headers.len = last - buf;
    p->body = *body;

    if (ngx_stomp_user_is(&p->destination)) {
        ngx_stomp_user_key(last, &p->destination);
        p->flags |= NGX_STOMP_MESSAGE_USER;
    }

    if (ngx_strlchr(buf, last, '\\') == NULL) {
        p->flags |= NGX_STOMP_MESSAGE_PLAIN;
    }

    state = 0;

    if (ngx_stomp_utf8_validate(&state, body->data, body->len) == NGX_OK) {
        p->flags |= NGX_STOMP_MESSAGE_TEXT;
    }
}
