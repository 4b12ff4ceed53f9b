
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stomp_session.h>
#include <ngx_stomp_access.h>
#include <ngx_stomp_ack.h>
#include <ngx_stomp_consumer.h>
#include <ngx_stomp_fanout.h>
#include <ngx_stomp_header.h>
#include <ngx_stomp_output.h>
#include <ngx_stomp_publication.h>
#include <ngx_stomp_replay.h>
#include <ngx_stomp_serialize.h>
#include <ngx_stomp_transaction.h>
#include <ngx_stomp_user.h>
#include <ngx_stomp_wheel.h>
#include <ngx_stomp_ws.h>


/* how long a client may take to close after DISCONNECT, in ticks */
#define NGX_STOMP_DISCONNECT_TIME  10


typedef ngx_int_t (*ngx_stomp_command_pt)(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame);


static ngx_int_t ngx_stomp_command_again(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame);
static ngx_int_t ngx_stomp_command_send(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame);
static ngx_int_t ngx_stomp_command_subscribe(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame);
static ngx_int_t ngx_stomp_command_unsubscribe(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame);
static ngx_int_t ngx_stomp_command_ack(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame);
static ngx_int_t ngx_stomp_command_disconnect(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame);
static ngx_int_t ngx_stomp_command_ack(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame);
static ngx_int_t ngx_stomp_command_transaction(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame);
static ngx_int_t ngx_stomp_command_unknown(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame);
static ngx_str_t *ngx_stomp_command_destination(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame);
static ngx_int_t ngx_stomp_command_target(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame, u_char *buf, ngx_str_t *name);
static ngx_int_t ngx_stomp_command_full(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame, ngx_int_t rc, ngx_uint_t queue);
static void ngx_stomp_command_receipt(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame);


/* what a connected session does, by ngx_stomp_command_e */

static ngx_stomp_command_pt  ngx_stomp_commands[] = {
    ngx_stomp_command_again,                 /* CONNECT */
    ngx_stomp_command_again,                 /* STOMP */
    ngx_stomp_command_send,
    ngx_stomp_command_subscribe,
    ngx_stomp_command_unsubscribe,
    ngx_stomp_command_ack,
    ngx_stomp_command_ack,                   /* NACK */
    ngx_stomp_command_transaction,           /* BEGIN */
    ngx_stomp_command_transaction,           /* COMMIT */
    ngx_stomp_command_transaction,           /* ABORT */
    ngx_stomp_command_disconnect,
    ngx_stomp_command_unknown
};


ngx_int_t
ngx_stomp_session_command(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame)
{
    if (s->state == NGX_STOMP_SESSION_CONNECTED) {
        return ngx_stomp_commands[frame->command](s, frame);
    }

    if (frame->command == NGX_STOMP_CMD_CONNECT
        || frame->command == NGX_STOMP_CMD_STOMP)
    {
        return ngx_stomp_session_connect(s, frame);
    }

    ngx_stomp_session_error(s, frame, NGX_STOMP_WS_PROTOCOL, "not connected",
                            "The first frame must be CONNECT or STOMP, "
                            "not %V.", &frame->name);
    return NGX_DONE;
}


static ngx_int_t
ngx_stomp_command_again(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame)
{
    ngx_stomp_session_error(s, frame, NGX_STOMP_WS_PROTOCOL,
                            "already connected",
                            "A session begins with one CONNECT or STOMP "
                            "frame only.");
    return NGX_DONE;
}


static ngx_int_t
ngx_stomp_command_ack(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame)
{
    ngx_uint_t           nack;
    ngx_stomp_ack_ref_t  ref;

    nack = (frame->command == NGX_STOMP_CMD_NACK);

    if (ngx_stomp_ack_lookup(s, frame, &ref) != NGX_OK) {
        return NGX_DONE;
    }

    if (ngx_stomp_header(frame, "transaction") != NULL) {

        if (ngx_stomp_transaction_hold_ack(s, frame, nack) != NGX_OK) {
            return NGX_DONE;
        }

    } else {

        /* one that is settled already is what the client wants */

        ngx_stomp_ack_settle(&ref, nack ? NGX_STOMP_SETTLE_NACK
                                        : NGX_STOMP_SETTLE_ACK);
    }

    ngx_stomp_command_receipt(s, frame);

    return NGX_OK;
}


static ngx_int_t
ngx_stomp_command_unknown(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame)
{
    ngx_stomp_session_error(s, frame, NGX_STOMP_WS_PROTOCOL,
                            "unknown command",
                            "%V is not a command of a STOMP client.",
                            &frame->name);
    return NGX_DONE;
}


static ngx_int_t
ngx_stomp_command_send(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame)
{
    size_t                    size;
    u_char                   *buf;
    ngx_int_t                 rc;
    ngx_str_t                *destination;
    const char               *error;
    ngx_stomp_publication_t   p;
    u_char                    small[1024];

    destination = ngx_stomp_command_destination(s, frame);
    if (destination == NULL) {
        return NGX_DONE;
    }

    if (!ngx_stomp_access_send(s->hub->broker->conf, ngx_stomp_user(s),
                               destination))
    {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_POLICY,
                                "SEND not allowed",
                                "No \"allow send\" directive of "
                                "stomp_broker \"%V\" lets clients SEND to "
                                "\"%V\".", &s->hub->broker->conf->name,
                                destination);
        return NGX_DONE;
    }

    if (ngx_stomp_header(frame, "transaction") != NULL) {
        rc = ngx_stomp_transaction_hold_send(s, frame, destination);

        if (rc == NGX_OK) {
            ngx_stomp_command_receipt(s, frame);
        }

        return rc;
    }

    size = ngx_stomp_publication_size(frame->headers, frame->nheaders);

    buf = small;

    if (size > sizeof(small)) {
        buf = ngx_alloc(size, s->hub->log);
        if (buf == NULL) {
            ngx_stomp_session_abort(s);
            return NGX_DONE;
        }
    }

    ngx_stomp_publication_init(&p, buf, frame->headers, frame->nheaders,
                               destination, &frame->body);

    error = ngx_stomp_publication_options(s->hub->broker->conf, &p,
                                          frame->headers, frame->nheaders);

    rc = (error != NULL) ? NGX_ABORT
                         : ngx_stomp_broker_publish(s->hub->broker, &p, 1);

    if (buf != small) {
        ngx_free(buf);
    }

    if (error != NULL) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_PROTOCOL,
                                "malformed header", "SEND: %s.", error);
        return NGX_DONE;
    }

    if (p.over) {
        ngx_stomp_publication_over(s, frame);
        return NGX_DONE;
    }

    if (rc != NGX_OK) {
        return ngx_stomp_command_full(s, frame, rc, p.full);
    }

    ngx_stomp_command_receipt(s, frame);

    return NGX_OK;
}


/* returns NULL if the frame was refused */

static ngx_str_t *
ngx_stomp_command_destination(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame)
{
    const char  *error;
    ngx_str_t   *destination;

    destination = ngx_stomp_header(frame, "destination");

    if (destination == NULL) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_PROTOCOL,
                                "missing header",
                                "%V needs a \"destination\" header.",
                                &frame->name);
        return NULL;
    }

    error = (frame->command == NGX_STOMP_CMD_SEND)
            ? ngx_stomp_destination_check_send(s->hub->broker->conf,
                                               destination)
            : ngx_stomp_destination_check(s->hub->broker->conf, destination);

    if (error != NULL) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_POLICY,
                                "unknown destination", "%V: %s: \"%V\".",
                                &frame->name, error, destination);
        return NULL;
    }

    return destination;
}


/*
 * NGX_OK: *name is what the broker calls the SUBSCRIBE frame's destination,
 * maybe in buf, of NGX_STOMP_DESTINATION_MAX octets;  NGX_DONE: refused.
 */

static ngx_int_t
ngx_stomp_command_target(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame,
    u_char *buf, ngx_str_t *name)
{
    ngx_str_t   *destination;
    ngx_uint_t   queue;
    const char  *error;

    destination = ngx_stomp_header(frame, "destination");
    queue = 0;

    if (destination == NULL || !ngx_stomp_user_is(destination)) {

        destination = ngx_stomp_command_destination(s, frame);
        if (destination == NULL) {
            return NGX_DONE;
        }

        queue = (ngx_stomp_broker_queue_conf(s->hub->broker->conf,
                                             destination)
                 != NULL);
    }

    if (!ngx_stomp_access_subscribe(s->hub->broker->conf, ngx_stomp_user(s),
                                    destination, queue))
    {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_POLICY,
                                "SUBSCRIBE not allowed",
                                "The rules of stomp_broker \"%V\" don't let "
                                "this session SUBSCRIBE to \"%V\".",
                                &s->hub->broker->conf->name, destination);
        return NGX_DONE;
    }

    *name = *destination;

    if (!ngx_stomp_user_is(name)) {
        return NGX_OK;
    }

    error = ngx_stomp_user_subscribe(s, name, buf);

    if (error != NULL) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_POLICY,
                                "unknown destination", "%V: %s: \"%V\".",
                                &frame->name, error, destination);
        return NGX_DONE;
    }

    return NGX_OK;
}


/* the zone or a queue is full: the client waits, for a while, then is told */

static ngx_int_t
ngx_stomp_command_full(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame,
    ngx_int_t rc, ngx_uint_t queue)
{
    ngx_uint_t  level;

    if (rc == NGX_BUSY && !s->retried) {
        return NGX_BUSY;
    }

    if (queue) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_TRY_LATER,
                                "queue is full",
                                "The queue has no room for this message, try "
                                "again later.");
        return NGX_DONE;
    }

    ngx_stomp_session_error(s, frame, NGX_STOMP_WS_TRY_LATER, "broker is full",
                            "The zone of stomp_broker \"%V\" has no room for "
                            "this %V, try again later.",
                            &s->hub->broker->conf->name, &frame->name);

    level = ngx_stomp_hub_log_level(s->hub, NGX_LOG_ERR);

    ngx_log_error(level, s->connection->log, 0,
                  "zone of stomp_broker \"%V\" is full",
                  &s->hub->broker->conf->name);

    return NGX_DONE;
}


static void
ngx_stomp_command_receipt(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame)
{
    size_t      len;
    u_char     *p, small[512];
    ngx_str_t  *receipt;

    receipt = ngx_stomp_header(frame, "receipt");

    /* an own message can have been the session's end */

    if (receipt == NULL || s->finished) {
        return;
    }

    len = ngx_stomp_write_receipt(NULL, receipt, s->version);

    p = small;

    if (len > sizeof(small)) {
        p = ngx_alloc(len, s->hub->log);
        if (p == NULL) {
            ngx_stomp_session_abort(s);
            return;
        }
    }

    (void) ngx_stomp_write_receipt(p, receipt, s->version);

    ngx_stomp_output_frame(s, p, len, 1);

    if (p != small) {
        ngx_free(p);
    }
}


static ngx_int_t
ngx_stomp_command_subscribe(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame)
{
    u_char               buf[NGX_STOMP_DESTINATION_MAX];
    uint32_t             prefetch;
    ngx_int_t            rc;
    ngx_str_t           *id, name;
    ngx_uint_t           queue;
    ngx_stomp_ack_e      mode;
    ngx_stomp_wanted_t   wanted;

    rc = ngx_stomp_command_target(s, frame, buf, &name);
    if (rc != NGX_OK) {
        return rc;
    }

    id = ngx_stomp_header(frame, "id");

    if (id == NULL && s->version != NGX_STOMP_V10) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_PROTOCOL,
                                "missing header",
                                "SUBSCRIBE needs an \"id\" header.");
        return NGX_DONE;
    }

    if (ngx_stomp_ack_mode(s, frame, &mode, &prefetch) != NGX_OK) {
        return NGX_DONE;
    }

    if (id != NULL
        && (ngx_stomp_fanout_lookup(s, id, NULL) != NULL
            || ngx_stomp_consumer_lookup(s, id, NULL) != NULL))
    {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_PROTOCOL,
                                "duplicate subscription id",
                                "This session already has a subscription "
                                "with id \"%V\".", id);
        return NGX_DONE;
    }

    if (s->nsubs >= s->conf->max_subscriptions) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_POLICY,
                                "too many subscriptions",
                                "A session can have %ui subscriptions "
                                "(stomp_max_subscriptions).",
                                s->conf->max_subscriptions);
        return NGX_DONE;
    }

    queue = (ngx_stomp_broker_queue_conf(s->hub->broker->conf, &name) != NULL);

    rc = ngx_stomp_replay_wanted(s, frame, &name, &wanted);

    if (rc == NGX_ABORT) {
        return NGX_DONE;
    }

    rc = queue ? ngx_stomp_consumer_subscribe(s, &name, id, mode, prefetch)
               : ngx_stomp_fanout_subscribe(s, &name, id, mode, prefetch,
                                            (rc == NGX_OK) ? &wanted : NULL);

    if (rc == NGX_ERROR) {
        ngx_stomp_session_abort(s);
        return NGX_DONE;
    }

    if (rc != NGX_OK) {
        return ngx_stomp_command_full(s, frame, rc, 0);
    }

    ngx_stomp_command_receipt(s, frame);

    return NGX_OK;
}


static ngx_int_t
ngx_stomp_command_unsubscribe(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame)
{
    u_char                 buf[NGX_STOMP_DESTINATION_MAX];
    ngx_str_t             *id, *destination, name;
    ngx_stomp_sub_t       *sub;
    ngx_stomp_consumer_t  *consumer;

    id = ngx_stomp_header(frame, "id");
    destination = ngx_stomp_header(frame, "destination");

    if (id == NULL
        && (s->version != NGX_STOMP_V10 || destination == NULL))
    {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_PROTOCOL,
                                "missing header",
                                (s->version == NGX_STOMP_V10)
                                ? "UNSUBSCRIBE needs an \"id\" or a "
                                  "\"destination\" header."
                                : "UNSUBSCRIBE needs an \"id\" header.");
        return NGX_DONE;
    }

    if (id == NULL) {
        name = *destination;
        destination = &name;

        /* a name that nobody can have is not there either */

        if (ngx_stomp_user_is(&name)) {
            (void) ngx_stomp_user_subscribe(s, &name, buf);
        }
    }

    sub = ngx_stomp_fanout_lookup(s, id, destination);

    /* one that is not there is what the client wants */

    if (sub != NULL) {
        ngx_stomp_fanout_unsubscribe(s, sub);

    } else {
        consumer = ngx_stomp_consumer_lookup(s, id, destination);

        if (consumer != NULL) {
            ngx_stomp_consumer_unsubscribe(consumer);
        }
    }

    ngx_stomp_command_receipt(s, frame);

    return NGX_OK;
}


static ngx_int_t
ngx_stomp_command_transaction(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame)
{
    ngx_int_t  rc;

    switch (frame->command) {

    case NGX_STOMP_CMD_BEGIN:
        rc = ngx_stomp_transaction_begin(s, frame);
        break;

    case NGX_STOMP_CMD_COMMIT:
        rc = ngx_stomp_transaction_commit(s, frame);
        break;

    default:
        rc = ngx_stomp_transaction_abort(s, frame);
    }

    if (rc == NGX_ABORT) {
        return ngx_stomp_command_full(s, frame, NGX_BUSY, 1);
    }

    if (rc == NGX_BUSY || rc == NGX_DECLINED) {
        return ngx_stomp_command_full(s, frame, rc, 0);
    }

    if (rc == NGX_OK) {
        ngx_stomp_command_receipt(s, frame);
    }

    return rc;
}


static ngx_int_t
ngx_stomp_command_disconnect(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame)
{
    ngx_stomp_transaction_forget(s);

    while (s->subs != NULL) {
        ngx_stomp_fanout_unsubscribe(s, s->subs);
    }

    ngx_stomp_consumer_cleanup(s);

    if (ngx_stomp_header(frame, "receipt") == NULL) {
        ngx_stomp_session_finish(s, NGX_STOMP_WS_NORMAL, "");
        return NGX_DONE;
    }

    /* the client closes when it has the receipt */

    ngx_stomp_command_receipt(s, frame);

    s->state = NGX_STOMP_SESSION_DISCONNECTED;
    s->deadline = ngx_stomp_wheel_now() + NGX_STOMP_DISCONNECT_TIME;

    ngx_stomp_wheel_hurry(s);

    return NGX_DONE;
}
