
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stomp_session.h>
#include <ngx_stomp_header.h>
#include <ngx_stomp_publication.h>
#include <ngx_stomp_transaction.h>
#include <ngx_stomp_ws.h>


typedef struct ngx_stomp_held_s  ngx_stomp_held_t;


/* a frame */

struct ngx_stomp_held_s {
    ngx_stomp_held_t         *next;
    ngx_stomp_held_ack_t      ack;
    ngx_stomp_publication_t   publication;
    unsigned                  send:1;
    u_char                    data[1];        /* what both refer to */
};


struct ngx_stomp_transaction_s {
    ngx_stomp_transaction_t  *next;           /* of the session */
    ngx_stomp_held_t         *held;
    ngx_stomp_held_t        **last;
    ngx_uint_t                nheld;
    ngx_uint_t                nsends;
    size_t                    size;           /* octets, its own too */
    size_t                    id_len;
    u_char                    id[1];
};


static ngx_stomp_transaction_t **ngx_stomp_transaction_find(
    ngx_stomp_session_t *s, ngx_str_t *id);
static ngx_stomp_transaction_t **ngx_stomp_transaction_named(
    ngx_stomp_session_t *s, ngx_stomp_frame_t *frame, ngx_str_t **id);
static ngx_int_t ngx_stomp_transaction_room(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame, size_t size);
static ngx_stomp_held_t *ngx_stomp_transaction_hold(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame, size_t size);
static ngx_int_t ngx_stomp_transaction_publish(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame, ngx_stomp_transaction_t *t);
static void ngx_stomp_transaction_acknowledge(ngx_stomp_session_t *s,
    ngx_stomp_transaction_t *t);
static void ngx_stomp_transaction_end(ngx_stomp_session_t *s,
    ngx_stomp_transaction_t **place);


ngx_int_t
ngx_stomp_transaction_begin(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame)
{
    size_t                     size;
    ngx_str_t                 *id;
    ngx_stomp_extra_t         *extra;
    ngx_stomp_transaction_t   *t, **place;

    place = ngx_stomp_transaction_named(s, frame, &id);

    if (id == NULL) {
        return NGX_DONE;
    }

    if (place != NULL) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_PROTOCOL,
                                "transaction already open",
                                "This session already has a transaction "
                                "\"%V\".", id);
        return NGX_DONE;
    }

    extra = ngx_stomp_session_extra(s);
    if (extra == NULL) {
        ngx_stomp_session_abort(s);
        return NGX_DONE;
    }

    if (extra->ntransactions >= s->conf->max_transactions) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_POLICY,
                                "too many transactions",
                                "A session can have %ui open transactions "
                                "(stomp_max_transactions).",
                                s->conf->max_transactions);
        return NGX_DONE;
    }

    size = offsetof(ngx_stomp_transaction_t, id) + id->len;

    if (ngx_stomp_transaction_room(s, frame, size) != NGX_OK) {
        return NGX_DONE;
    }

    t = ngx_alloc(size, s->hub->log);
    if (t == NULL) {
        ngx_stomp_session_abort(s);
        return NGX_DONE;
    }

    t->held = NULL;
    t->last = &t->held;
    t->nheld = 0;
    t->nsends = 0;
    t->size = size;
    t->id_len = id->len;
    ngx_memcpy(t->id, id->data, id->len);

    t->next = extra->transactions;
    extra->transactions = t;
    extra->ntransactions++;
    extra->held += size;

    return NGX_OK;
}


ngx_int_t
ngx_stomp_transaction_commit(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame)
{
    ngx_int_t                  rc;
    ngx_str_t                 *id;
    ngx_stomp_transaction_t   *t, **place;

    place = ngx_stomp_transaction_named(s, frame, &id);

    if (place == NULL) {
        return NGX_DONE;
    }

    t = *place;

    if (t->nsends) {
        rc = ngx_stomp_transaction_publish(s, frame, t);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    ngx_stomp_transaction_acknowledge(s, t);
    ngx_stomp_transaction_end(s, place);

    return NGX_OK;
}


ngx_int_t
ngx_stomp_transaction_abort(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame)
{
    ngx_str_t                 *id;
    ngx_stomp_transaction_t  **place;

    place = ngx_stomp_transaction_named(s, frame, &id);

    if (place == NULL) {
        return NGX_DONE;
    }

    ngx_stomp_transaction_end(s, place);

    return NGX_OK;
}


/* returns the place of the pointer to it, or NULL */

static ngx_stomp_transaction_t **
ngx_stomp_transaction_find(ngx_stomp_session_t *s, ngx_str_t *id)
{
    ngx_stomp_transaction_t  **place;

    if (s->extra == NULL) {
        return NULL;
    }

    for (place = &s->extra->transactions; *place; place = &(*place)->next) {

        if ((*place)->id_len == id->len
            && ngx_memcmp((*place)->id, id->data, id->len) == 0)
        {
            return place;
        }
    }

    return NULL;
}


/*
 * The transaction that a frame names, whose header is *id.  A frame without
 * it, and all but BEGIN with one that isn't open, are refused.
 */

static ngx_stomp_transaction_t **
ngx_stomp_transaction_named(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame,
    ngx_str_t **id)
{
    ngx_stomp_transaction_t  **place;

    *id = ngx_stomp_header(frame, "transaction");

    if (*id == NULL) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_PROTOCOL,
                                "missing header",
                                "%V needs a \"transaction\" header.",
                                &frame->name);
        return NULL;
    }

    place = ngx_stomp_transaction_find(s, *id);

    if (place == NULL && frame->command != NGX_STOMP_CMD_BEGIN) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_PROTOCOL,
                                "unknown transaction",
                                "%V: this session has no open transaction "
                                "\"%V\".", &frame->name, *id);
    }

    return place;
}


/* what a session holds has one limit, whatever it is */

static ngx_int_t
ngx_stomp_transaction_room(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame,
    size_t size)
{
    size_t  max;

    max = s->conf->max_transaction_size;

    if (size <= max && s->extra->held <= max - size) {
        return NGX_OK;
    }

    ngx_stomp_session_error(s, frame, NGX_STOMP_WS_TOO_BIG,
                            "transaction too large",
                            "The open transactions of a session can take %uz "
                            "octets (stomp_max_transaction_size).", max);
    return NGX_DECLINED;
}


ngx_int_t
ngx_stomp_transaction_hold_send(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame, ngx_str_t *destination)
{
    u_char            *p;
    size_t             size;
    ngx_str_t          name, body;
    const char        *error;
    ngx_stomp_held_t  *held;

    size = ngx_stomp_publication_size(frame->headers, frame->nheaders);

    held = ngx_stomp_transaction_hold(s, frame, size + destination->len
                                                + frame->body.len);
    if (held == NULL) {
        return NGX_DONE;
    }

    held->send = 1;

    name.data = held->data + size;
    name.len = destination->len;
    p = ngx_cpymem(name.data, destination->data, name.len);

    body.data = p;
    body.len = frame->body.len;

    if (body.len) {
        ngx_memcpy(p, frame->body.data, body.len);
    }

    ngx_stomp_publication_init(&held->publication, held->data, frame->headers,
                               frame->nheaders, &name, &body);

    error = ngx_stomp_publication_options(s->hub->broker->conf,
                                          &held->publication, frame->headers,
                                          frame->nheaders);
    if (error != NULL) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_PROTOCOL,
                                "malformed header", "SEND: %s.", error);
        return NGX_DONE;
    }

    return NGX_OK;
}


ngx_int_t
ngx_stomp_transaction_hold_ack(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame, ngx_uint_t nack)
{
    size_t             id_len, len;
    ngx_str_t         *id, *subscription;
    ngx_stomp_held_t  *held;

    id = (s->version == NGX_STOMP_V12) ? ngx_stomp_header(frame, "id")
                                       : ngx_stomp_header(frame, "message-id");
    subscription = ngx_stomp_header(frame, "subscription");

    id_len = (id != NULL) ? id->len : 0;
    len = (subscription != NULL) ? subscription->len : 0;

    held = ngx_stomp_transaction_hold(s, frame, id_len + len);
    if (held == NULL) {
        return NGX_DONE;
    }

    held->send = 0;
    held->ack.nack = nack;

    held->ack.id.data = held->data;
    held->ack.id.len = id_len;

    if (id_len) {
        ngx_memcpy(held->data, id->data, id_len);
    }

    held->ack.subscription.data = (subscription != NULL)
                                  ? held->data + id_len : NULL;
    held->ack.subscription.len = len;

    if (len) {
        ngx_memcpy(held->data + id_len, subscription->data, len);
    }

    return NGX_OK;
}


/* returns what the frame's transaction has got, or NULL: the session ends */

static ngx_stomp_held_t *
ngx_stomp_transaction_hold(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame,
    size_t size)
{
    ngx_str_t                 *id;
    ngx_stomp_held_t          *held;
    ngx_stomp_transaction_t   *t, **place;

    place = ngx_stomp_transaction_named(s, frame, &id);

    if (place == NULL) {
        return NULL;
    }

    t = *place;

    if (t->nheld >= s->conf->max_transaction_frames) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_POLICY,
                                "too many frames in a transaction",
                                "A transaction can have %ui frames "
                                "(stomp_max_transaction_frames).",
                                s->conf->max_transaction_frames);
        return NULL;
    }

    size += offsetof(ngx_stomp_held_t, data);

    if (ngx_stomp_transaction_room(s, frame, size) != NGX_OK) {
        return NULL;
    }

    held = ngx_alloc(size, s->hub->log);
    if (held == NULL) {
        ngx_stomp_session_abort(s);
        return NULL;
    }

    held->next = NULL;

    *t->last = held;
    t->last = &held->next;
    t->nheld++;
    t->size += size;
    t->nsends += (frame->command == NGX_STOMP_CMD_SEND);

    s->extra->held += size;

    return held;
}


/* one call: the messages' numbers follow each other, or there are none */

static ngx_int_t
ngx_stomp_transaction_publish(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame, ngx_stomp_transaction_t *t)
{
    ngx_int_t                 rc;
    ngx_uint_t                i, n, over, full;
    ngx_stomp_held_t         *held;
    ngx_stomp_publication_t  *p;

    p = ngx_alloc(t->nsends * sizeof(ngx_stomp_publication_t), s->hub->log);
    if (p == NULL) {
        ngx_stomp_session_abort(s);
        return NGX_DONE;
    }

    n = 0;

    for (held = t->held; held; held = held->next) {
        if (held->send) {
            p[n++] = held->publication;
        }
    }

    /* two of them can be more than a worker that is not slow has room for */

    p->patient = !s->retried;

    rc = ngx_stomp_broker_publish(s->hub->broker, p, n);

    over = 0;
    full = 0;

    for (i = 0; rc == NGX_BUSY && i < n; i++) {
        over |= p[i].over;
        full |= p[i].full;
    }

    ngx_free(p);

    if (over) {
        ngx_stomp_publication_over(s, frame);
        return NGX_DONE;
    }

    if (full) {
        return NGX_ABORT;
    }

    if (rc == NGX_ABORT) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_TOO_BIG,
                                "transaction too large",
                                "The %ui messages of a transaction are too "
                                "many for one COMMIT, split it.", n);
        return NGX_DONE;
    }

    return rc;
}


static void
ngx_stomp_transaction_acknowledge(ngx_stomp_session_t *s,
    ngx_stomp_transaction_t *t)
{
    ngx_stomp_held_t  *held;

    for (held = t->held; held; held = held->next) {
        if (!held->send) {
            s->hub->acknowledge(s, &held->ack);
        }
    }
}


static void
ngx_stomp_transaction_end(ngx_stomp_session_t *s,
    ngx_stomp_transaction_t **place)
{
    ngx_stomp_held_t         *held, *next;
    ngx_stomp_transaction_t  *t;

    t = *place;
    *place = t->next;

    s->extra->ntransactions--;
    s->extra->held -= t->size;

    for (held = t->held; held; held = next) {
        next = held->next;
        ngx_free(held);
    }

    ngx_free(t);
}


void
ngx_stomp_transaction_forget(ngx_stomp_session_t *s)
{
    if (s->extra == NULL) {
        return;
    }

    while (s->extra->transactions != NULL) {
        ngx_stomp_transaction_end(s, &s->extra->transactions);
    }
}
