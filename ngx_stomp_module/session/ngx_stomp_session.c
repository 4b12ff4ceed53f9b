
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stomp_session.h>
#include <ngx_stomp_consumer.h>
#include <ngx_stomp_fanout.h>
#include <ngx_stomp_hash.h>
#include <ngx_stomp_header.h>
#include <ngx_stomp_output.h>
#include <ngx_stomp_rate.h>
#include <ngx_stomp_serialize.h>
#include <ngx_stomp_slow.h>
#include <ngx_stomp_transaction.h>
#include <ngx_stomp_user.h>
#include <ngx_stomp_utf8.h>
#include <ngx_stomp_wheel.h>
#include <ngx_stomp_ws.h>


/* how long a peer may take to answer our end, in ticks */
#define NGX_STOMP_FINISH_TIME  5

#define NGX_STOMP_ERROR_MAX    1024


static ngx_int_t ngx_stomp_session_frames(ngx_stomp_session_t *s,
    ngx_stomp_parser_t *parser, u_char **data, size_t *len);
static ngx_int_t ngx_stomp_session_keep(ngx_stomp_session_t *s,
    ngx_stomp_parser_t *parser, u_char *data, size_t len);
static ngx_int_t ngx_stomp_session_carry(ngx_stomp_session_t *s,
    u_char *data, size_t len);
static void ngx_stomp_session_refuse(ngx_stomp_session_t *s,
    ngx_stomp_parser_t *parser);
static void ngx_stomp_session_free_carry(ngx_stomp_session_t *s);


/* headers of a frame that came whole: nearly all of them */

static ngx_stomp_header_t  *ngx_stomp_session_headers;
static ngx_uint_t           ngx_stomp_session_nheaders;


ngx_int_t
ngx_stomp_session_init(ngx_stomp_session_t *s)
{
    uint64_t          n;
    ngx_stomp_hub_t  *hub;

    hub = s->hub;

    if (hub->broker->slot == NGX_STOMP_SLOT_NONE) {
        return NGX_DECLINED;
    }

    if (ngx_stomp_rate_init(s) != NGX_OK) {
        return NGX_ERROR;
    }

    n = ++hub->id_count;

    s->id = ngx_stomp_hash(hub->id_key, (u_char *) &n, sizeof(uint64_t));
    ngx_stomp_slow_init(s);
    s->received = ngx_stomp_wheel_now();
    s->sent = s->received;
    s->deadline = s->received + (uint32_t) s->conf->connect_timeout;

    ngx_stomp_wheel_add(s);

    return NGX_OK;
}


ngx_stomp_extra_t *
ngx_stomp_session_extra(ngx_stomp_session_t *s)
{
    ngx_stomp_extra_t  *extra;

    if (s->extra != NULL) {
        return s->extra;
    }

    extra = ngx_calloc(sizeof(ngx_stomp_extra_t), s->hub->log);
    if (extra == NULL) {
        return NULL;
    }

    s->extra = extra;

    return extra;
}


u_char *
ngx_stomp_session_id(ngx_stomp_session_t *s, u_char *buf)
{
    return ngx_sprintf(buf, "%xi-%016xL", s->hub->broker->slot, s->id);
}


ngx_int_t
ngx_stomp_session_input(ngx_stomp_session_t *s, u_char *data, size_t len)
{
    ngx_int_t            rc;
    ngx_uint_t           n;
    ngx_stomp_parser_t   parser;

    if (s->dead || s->state >= NGX_STOMP_SESSION_DISCONNECTED) {
        return NGX_DONE;
    }

    if (s->carry != NULL) {

        if (ngx_stomp_session_carry(s, data, len) != NGX_OK) {
            ngx_stomp_session_abort(s);
            return NGX_DONE;
        }

        data = s->carry->data;
        len = s->carry->len;

        rc = ngx_stomp_session_frames(s, &s->carry->parser, &data, &len);

        if (rc == NGX_DONE || len == 0) {
            ngx_stomp_session_free_carry(s);
            return rc;
        }

        /* what is not complete moves to the front */

        if (data != s->carry->data) {
            ngx_memmove(s->carry->data, data, len);
            s->carry->len = len;
        }

        return rc;
    }

    n = s->conf->limits.max_headers;

    if (ngx_stomp_session_nheaders < n) {

        if (ngx_stomp_session_headers != NULL) {
            ngx_free(ngx_stomp_session_headers);
            ngx_stomp_session_nheaders = 0;
        }

        ngx_stomp_session_headers = ngx_alloc(n * sizeof(ngx_stomp_header_t),
                                              s->hub->log);
        if (ngx_stomp_session_headers == NULL) {
            ngx_stomp_session_abort(s);
            return NGX_DONE;
        }

        ngx_stomp_session_nheaders = n;
    }

    parser.headers = ngx_stomp_session_headers;
    parser.limits = &s->conf->limits;
    ngx_stomp_parse_init(&parser);

    rc = ngx_stomp_session_frames(s, &parser, &data, &len);

    if (rc != NGX_DONE && len != 0
        && ngx_stomp_session_keep(s, &parser, data, len) != NGX_OK)
    {
        ngx_stomp_session_abort(s);
        return NGX_DONE;
    }

    return rc;
}


void
ngx_stomp_session_received(ngx_stomp_session_t *s, size_t n)
{
    s->received = ngx_stomp_wheel_now();
    s->pinged = 0;

    if (s->limited) {
        ngx_stomp_rate_octets(s, n);
    }
}


void
ngx_stomp_session_gone(ngx_stomp_session_t *s)
{
    if (s->deadline == 0) {
        s->deadline = ngx_stomp_wheel_now()
                      + (uint32_t) s->conf->frame_timeout;
        ngx_stomp_wheel_hurry(s);
    }
}


void
ngx_stomp_session_taken(ngx_stomp_session_t *s, ngx_uint_t held)
{
    if (!held && s->carry == NULL) {
        s->partial = 0;

    } else if (s->partial == 0) {
        s->partial = ngx_stomp_wheel_now();
        ngx_stomp_wheel_hurry(s);

    } else if (s->progress) {
        s->partial = ngx_stomp_wheel_now();
    }

    s->progress = 0;
}


/*
 * Handles the complete frames; *data and *len are what is left.
 * NGX_OK: the start of a frame, or nothing;  NGX_BUSY: frames that wait;
 * NGX_DONE: nothing is to be handled any more.
 */

static ngx_int_t
ngx_stomp_session_frames(ngx_stomp_session_t *s, ngx_stomp_parser_t *parser,
    u_char **data, size_t *len)
{
    size_t     n;
    ngx_int_t  rc;

    if (s->retried) {
        ngx_stomp_parse_rebase(parser, *data);
        goto ready;
    }

    for ( ;; ) {

        if (parser->pos == 0) {
            n = ngx_stomp_skip_eol(*data, *len);
            *data += n;
            *len -= n;
        }

        if (*len == 0) {
            return NGX_OK;
        }

        if (s->limited) {
            rc = ngx_stomp_rate_check(s);

            if (rc != NGX_OK) {
                return rc;
            }
        }

        parser->version = s->version;

        rc = ngx_stomp_parse(parser, *data, *len);

        if (rc == NGX_AGAIN) {
            return NGX_OK;
        }

        if (rc == NGX_ABORT) {
            ngx_stomp_session_refuse(s, parser);
            return NGX_DONE;
        }

        if (s->limited) {
            ngx_stomp_rate_frame(s);
        }

    ready:

        rc = ngx_stomp_session_command(s, &parser->frame);

        n = parser->pos;

        if (rc == NGX_BUSY) {

            /* it is parsed: what is left is to handle it again */

            s->paused = 1;
            ngx_stomp_wheel_hurry(s);
            return NGX_BUSY;
        }

        ngx_stomp_parse_init(parser);

        *data += n;
        *len -= n;

        s->retried = 0;
        s->progress = 1;

        if (rc == NGX_DONE || s->finished || s->dead) {
            return NGX_DONE;
        }
    }
}


/* an incomplete frame is copied, with what is known of it */

static ngx_int_t
ngx_stomp_session_keep(ngx_stomp_session_t *s, ngx_stomp_parser_t *parser,
    u_char *data, size_t len)
{
    ngx_uint_t          n;
    ngx_stomp_carry_t  *carry;

    n = s->conf->limits.max_headers;

    carry = ngx_alloc(offsetof(ngx_stomp_carry_t, headers)
                      + n * sizeof(ngx_stomp_header_t), s->hub->log);
    if (carry == NULL) {
        return NGX_ERROR;
    }

    carry->parser = *parser;
    carry->parser.headers = carry->headers;
    carry->parser.frame.headers = carry->headers;
    carry->len = 0;
    carry->size = 0;
    carry->data = NULL;

    ngx_memcpy(carry->headers, parser->headers,
               parser->frame.nheaders * sizeof(ngx_stomp_header_t));

    s->carry = carry;

    return ngx_stomp_session_carry(s, data, len);
}


/* appends to an incomplete frame; limits have been checked by the parser */

static ngx_int_t
ngx_stomp_session_carry(ngx_stomp_session_t *s, u_char *data, size_t len)
{
    u_char             *p;
    size_t              size;
    ngx_stomp_carry_t  *carry;

    carry = s->carry;

    if (len > carry->size - carry->len) {

        size = ngx_max(carry->len + len, ngx_max(2 * carry->size, 512));

        p = ngx_alloc(size, s->hub->log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (carry->data != NULL) {
            ngx_memcpy(p, carry->data, carry->len);
            ngx_free(carry->data);
        }

        carry->data = p;
        carry->size = size;
    }

    if (len) {
        ngx_memcpy(carry->data + carry->len, data, len);
        carry->len += len;
    }

    return NGX_OK;
}


static void
ngx_stomp_session_free_carry(ngx_stomp_session_t *s)
{
    if (s->carry == NULL) {
        return;
    }

    if (s->carry->data != NULL) {
        ngx_free(s->carry->data);
    }

    ngx_free(s->carry);
    s->carry = NULL;
}


static void
ngx_stomp_session_refuse(ngx_stomp_session_t *s, ngx_stomp_parser_t *parser)
{
    ngx_uint_t                 code;
    ngx_stomp_session_conf_t  *conf;

    conf = s->conf;
    code = NGX_STOMP_WS_TOO_BIG;

    switch (parser->reason) {

    case NGX_STOMP_PARSE_TOO_MANY_HEADERS:
        ngx_stomp_session_error(s, &parser->frame, code, "too many headers",
                                "A frame can have %ui headers "
                                "(stomp_max_headers).",
                                conf->limits.max_headers);
        break;

    case NGX_STOMP_PARSE_HEADER_TOO_LONG:
        ngx_stomp_session_error(s, &parser->frame, code, "header too long",
                                "A header line can have %uz octets "
                                "(stomp_max_header_length).",
                                conf->limits.max_header_length);
        break;

    case NGX_STOMP_PARSE_BODY_TOO_LARGE:
        ngx_stomp_session_error(s, &parser->frame, code, "body too large",
                                "A body can have %uz octets "
                                "(stomp_max_body).", conf->limits.max_body);
        break;

    default:
        ngx_stomp_session_error(s, &parser->frame, NGX_STOMP_WS_PROTOCOL,
                                "malformed frame", "%s.", parser->error);
    }
}


void
ngx_stomp_session_writable(ngx_stomp_session_t *s)
{
    if (!s->blocked || s->dead) {
        return;
    }

    s->blocked = 0;

    if (ngx_stomp_output_send(s) == NGX_ERROR) {
        ngx_stomp_session_abort(s);
        return;
    }

    if (s->finished && s->peer_closed && s->range.segment == NULL) {
        ngx_stomp_session_abort(s);
    }
}


void ngx_cdecl
ngx_stomp_session_error(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame,
    ngx_uint_t code, const char *message, const char *fmt, ...)
{
    size_t       len;
    u_char      *p, *last, text[NGX_STOMP_ERROR_MAX];
    uint32_t     state;
    va_list      args;
    ngx_str_t    title, body, *receipt;
    ngx_uint_t   versions;

    /* nothing may follow the link's end */

    if (s->finished || s->dead) {
        return;
    }

    va_start(args, fmt);
    last = ngx_vslprintf(text, text + sizeof(text), fmt, args);
    va_end(args);

    s->hub->broker->refused++;

    body.data = text;
    body.len = last - text;

    title.data = (u_char *) message;
    title.len = ngx_strlen(message);

    receipt = (frame != NULL) ? ngx_stomp_header(frame, "receipt") : NULL;

    /* who could not agree on a version learns which there are */

    versions = (s->version == 0) ? NGX_STOMP_V10|NGX_STOMP_V11|NGX_STOMP_V12
                                 : 0;

    len = ngx_stomp_write_error(NULL, &title, receipt, &body, s->version,
                                versions);

    p = ngx_alloc(len, s->hub->log);
    if (p == NULL) {
        ngx_stomp_session_abort(s);
        return;
    }

    (void) ngx_stomp_write_error(p, &title, receipt, &body, s->version,
                                 versions);

    /* a value that was cut, or of an octet-wise client, isn't text */

    state = 0;

    ngx_stomp_output_frame(s, p, len,
                           ngx_stomp_utf8_validate(&state, p, len) == NGX_OK);
    ngx_free(p);

    ngx_stomp_utf8_printable(body.data, body.len);

    ngx_log_error(NGX_LOG_INFO, s->connection->log, 0,
                  "STOMP session refused a frame: %s: %V", message, &body);

    ngx_stomp_session_finish(s, code, message);
}


void
ngx_stomp_session_finish(ngx_stomp_session_t *s, ngx_uint_t code,
    const char *reason)
{
    ngx_str_t  text;

    if (s->finished || s->dead) {
        return;
    }

    text.data = (u_char *) reason;
    text.len = ngx_strlen(reason);

    s->state = NGX_STOMP_SESSION_CLOSING;

    s->link->finish(s, code, &text);

    s->finished = 1;
    s->deadline = ngx_stomp_wheel_now() + NGX_STOMP_FINISH_TIME;

    if (s->delayed) {
        ngx_stomp_rate_hurry(s);
    }

    ngx_stomp_wheel_hurry(s);
}


void
ngx_stomp_session_peer_closed(ngx_stomp_session_t *s, ngx_uint_t code)
{
    s->peer_closed = 1;

    ngx_stomp_session_finish(s, code, "");

    if (s->range.segment == NULL) {
        ngx_stomp_session_abort(s);
    }
}


void
ngx_stomp_session_abort(ngx_stomp_session_t *s)
{
    if (s->dead) {
        return;
    }

    s->dead = 1;

    ngx_stomp_wheel_remove(s);
    ngx_queue_insert_tail(&s->hub->dead, &s->queue);

    ngx_post_event(&s->hub->closing, &ngx_posted_events);
}


void
ngx_stomp_session_cleanup(ngx_stomp_session_t *s)
{
    while (s->subs != NULL) {
        ngx_stomp_fanout_unsubscribe(s, s->subs);
    }

    ngx_stomp_consumer_cleanup(s);

    if (s->record) {
        ngx_stomp_broker_session_remove(s->hub->broker, s->record);
        s->record = 0;
    }

    ngx_stomp_output_discard(s);
    ngx_stomp_session_free_carry(s);
    ngx_stomp_user_free(s);

    ngx_stomp_rate_cleanup(s);
    ngx_stomp_transaction_forget(s);

    if (s->extra != NULL) {
        ngx_free(s->extra);
        s->extra = NULL;
    }
}
