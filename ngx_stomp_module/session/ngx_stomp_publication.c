
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
#include <ngx_stomp_ws.h>


static ngx_uint_t ngx_stomp_publication_is_destination(
    ngx_stomp_header_t *header);
static ngx_uint_t ngx_stomp_publication_skip(ngx_stomp_header_t *header,
    ngx_uint_t *destination);
static ngx_int_t ngx_stomp_publication_msec(ngx_str_t *value, uint64_t *msec);


/* milliseconds: some 30,000 years */
#define NGX_STOMP_MSEC_DIGITS  15

#define ngx_stomp_publication_is(header, text)                                \
    ((header)->name.len == sizeof(text) - 1                                   \
     && ngx_memcmp((header)->name.data, text, sizeof(text) - 1) == 0)


static ngx_str_t  ngx_stomp_reserved[] = {
    ngx_string("ack"),
    ngx_string("content-length"),
    ngx_string("message-id"),
    ngx_string("receipt"),
    ngx_string("redelivered"),
    ngx_string("replay-gap"),
    ngx_string("retained"),
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

    if (ngx_stomp_broker_queue_conf(conf, name) != NULL) {
        return NULL;
    }

    return "the destination does not begin with a prefix that this broker's "
           "\"topic\" or \"queue\" directive names";
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
    return ngx_stomp_publication_is(header, "destination");
}


/* of repeated destinations only the first is the message's */

static ngx_uint_t
ngx_stomp_publication_skip(ngx_stomp_header_t *header, ngx_uint_t *destination)
{
    if (ngx_stomp_publication_is_destination(header)) {
        return (*destination)++;
    }

    if (ngx_stomp_publication_is(header, "retain")
        || ngx_stomp_publication_is(header, "ttl"))
    {
        return 1;
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


const char *
ngx_stomp_publication_options(ngx_stomp_broker_conf_t *conf,
    ngx_stomp_publication_t *p, ngx_stomp_header_t *headers, ngx_uint_t n)
{
    uint64_t     ttl, expires, now;
    ngx_uint_t   i;
    ngx_str_t   *seen[3], *value;
    ngx_time_t  *tp;

    ngx_memzero(seen, sizeof(seen));

    for (i = n; i > 0; i--) {

        value = &headers[i - 1].value;

        if (ngx_stomp_publication_is(&headers[i - 1], "retain")) {
            seen[0] = value;

        } else if (ngx_stomp_publication_is(&headers[i - 1], "ttl")) {
            seen[1] = value;

        } else if (ngx_stomp_publication_is(&headers[i - 1], "expires")) {
            seen[2] = value;
        }
    }

    if (seen[0] != NULL) {

        p->retain = (seen[0]->len == 4
                     && ngx_memcmp(seen[0]->data, "true", 4) == 0);

        if (!p->retain
            && (seen[0]->len != 5 || ngx_memcmp(seen[0]->data, "false", 5)))
        {
            return "the \"retain\" header must be \"true\" or \"false\"";
        }

        if (p->retain && (p->flags & NGX_STOMP_MESSAGE_USER)) {
            return "the \"retain\" header is not for destinations of users";
        }

        if (p->retain
            && ngx_stomp_broker_queue_conf(conf, &p->destination) != NULL)
        {
            return "the \"retain\" header is not for queues";
        }
    }

    ttl = 0;
    expires = 0;

    if (seen[1] != NULL
        && ngx_stomp_publication_msec(seen[1], &ttl) != NGX_OK)
    {
        return "the \"ttl\" header must be a number of milliseconds";
    }

    if (seen[2] != NULL
        && ngx_stomp_publication_msec(seen[2], &expires) != NGX_OK)
    {
        return "the \"expires\" header must be a time in milliseconds since "
               "1970";
    }

    p->expires = expires;

    /* 0 is "never", as in JMS */

    if (ttl) {
        tp = ngx_timeofday();
        now = (uint64_t) tp->sec * 1000 + tp->msec;

        p->expires = expires ? ngx_min(expires, now + ttl) : now + ttl;
    }

    return NULL;
}


static ngx_int_t
ngx_stomp_publication_msec(ngx_str_t *value, uint64_t *msec)
{
    size_t  i;

    if (value->len == 0 || value->len > NGX_STOMP_MSEC_DIGITS) {
        return NGX_ERROR;
    }

    *msec = 0;

    for (i = 0; i < value->len; i++) {

        if (value->data[i] < '0' || value->data[i] > '9') {
            return NGX_ERROR;
        }

        *msec = *msec * 10 + (value->data[i] - '0');
    }

    return NGX_OK;
}


void
ngx_stomp_publication_over(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame)
{
    ngx_stomp_session_error(s, frame, NGX_STOMP_WS_POLICY,
                            "too much retained",
                            "stomp_broker \"%V\" retains as many messages as "
                            "it may (max_retained, history_size).",
                            &s->hub->broker->conf->name);
}
