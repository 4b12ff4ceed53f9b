
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stomp_session.h>
#include <ngx_stomp_fanout.h>
#include <ngx_stomp_flow.h>
#include <ngx_stomp_form.h>
#include <ngx_stomp_output.h>
#include <ngx_stomp_slow.h>
#include <ngx_stomp_wheel.h>
#include <ngx_stomp_ws.h>


/* a frame that waits for credit, wrapped for its link */

typedef struct ngx_stomp_waiting_s  ngx_stomp_waiting_t;

struct ngx_stomp_waiting_s {
    ngx_stomp_waiting_t    *next;
    uint64_t                number;         /* "ack" of its MESSAGE */
    uint64_t                sequence;
    uint64_t                expires;        /* as that of the message */
    size_t                  len;
    ngx_uint_t              marks;
    u_char                  data[1];
};


struct ngx_stomp_flow_s {
    ngx_stomp_flow_t       *next;           /* of the destination */
    ngx_stomp_flow_t      **place;          /* of the pointer to it, or NULL */
    ngx_stomp_sub_t        *sub;
    uint32_t                credit;         /* messages that may be sent */
    unsigned                gap:1;          /* to be told with the next one */
    ngx_stomp_waiting_t    *first;
    ngx_stomp_waiting_t   **last;
};


static ngx_int_t ngx_stomp_flow_encode(ngx_stomp_consumer_t *c,
    ngx_stomp_message_t *m, ngx_uint_t marks, ngx_stomp_encoded_t *e);
static ngx_int_t ngx_stomp_flow_wait(ngx_stomp_consumer_t *c,
    ngx_stomp_message_t *m, uint64_t number, ngx_uint_t marks,
    ngx_stomp_encoded_t *e);
static ngx_uint_t ngx_stomp_flow_full(ngx_stomp_session_t *s, size_t len);
static ngx_int_t ngx_stomp_flow_next(ngx_stomp_consumer_t *c);
static void ngx_stomp_flow_drop(ngx_stomp_consumer_t *c);


ngx_int_t
ngx_stomp_flow_create(ngx_stomp_session_t *s, ngx_stomp_sub_t *sub,
    ngx_stomp_ack_e mode, uint32_t prefetch)
{
    ngx_stomp_flow_t       *flow;
    ngx_stomp_consumer_t   *c;
    ngx_stomp_consumers_t  *consumers;

    consumers = ngx_stomp_consumers_get(s);
    if (consumers == NULL) {
        return NGX_ERROR;
    }

    c = ngx_calloc(sizeof(ngx_stomp_consumer_t), s->hub->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    flow = ngx_calloc(sizeof(ngx_stomp_flow_t), s->hub->log);
    if (flow == NULL) {
        ngx_free(c);
        return NGX_ERROR;
    }

    flow->sub = sub;
    flow->credit = prefetch;
    flow->last = &flow->first;

    c->session = s;
    c->mode = mode;
    c->flow = flow;
    c->form = sub->group->form;
    c->form->refs++;

    c->next = consumers->list;
    consumers->list = c;

    sub->consumer = c;

    return NGX_OK;
}


void
ngx_stomp_flow_free(ngx_stomp_sub_t *sub)
{
    ngx_stomp_flow_t       *flow;
    ngx_stomp_consumer_t   *c, **next;

    c = sub->consumer;
    flow = c->flow;

    next = &c->session->consumers->list;

    while (*next != c) {
        next = &(*next)->next;
    }

    *next = c->next;

    if (flow->place != NULL) {
        *flow->place = flow->next;

        if (flow->next != NULL) {
            flow->next->place = flow->place;
        }
    }

    while (flow->first != NULL) {
        ngx_stomp_flow_drop(c);
    }

    ngx_stomp_form_unref(c->session->hub, c->form);

    if (c->items != NULL) {
        ngx_free(c->items);
    }

    ngx_free(flow);
    ngx_free(c);

    sub->consumer = NULL;
}


void
ngx_stomp_flow_join(ngx_stomp_sub_t *sub, uint64_t from, ngx_uint_t gap)
{
    ngx_stomp_flow_t   *flow;
    ngx_stomp_local_t  *local;

    flow = sub->consumer->flow;
    local = sub->group->local;

    sub->index = NGX_STOMP_SUB_FLOW;
    sub->from = from;

    flow->gap = gap;
    flow->next = local->flows;
    flow->place = &local->flows;

    if (flow->next != NULL) {
        flow->next->place = &flow->next;
    }

    local->flows = flow;
}


ngx_uint_t
ngx_stomp_flow_waits(ngx_stomp_sub_t *sub)
{
    return sub->consumer->flow->credit == 0;
}


ngx_int_t
ngx_stomp_flow_send(ngx_stomp_sub_t *sub, ngx_stomp_message_t *m,
    ngx_uint_t marks)
{
    uint64_t               number;
    ngx_int_t              rc;
    ngx_stomp_flow_t      *flow;
    ngx_stomp_encoded_t    e;
    ngx_stomp_session_t   *s;
    ngx_stomp_consumer_t  *c;

    c = sub->consumer;
    s = c->session;
    flow = c->flow;

    if (ngx_stomp_flow_encode(c, m, marks, &e) != NGX_OK) {
        ngx_stomp_form_done(&e);
        return NGX_ERROR;
    }

    number = s->consumers->number;
    rc = NGX_OK;

    if (flow->credit == 0) {
        rc = ngx_stomp_flow_wait(c, m, number, marks, &e);

    } else if (s->drops && ngx_stomp_slow_drop(s, ngx_stomp_encoded_len(&e))) {

        /* it costs no credit: there will be no ACK for it */

        rc = NGX_DECLINED;

    } else if (ngx_stomp_consumer_push(c, 1, m->sequence, number) == NGX_OK) {
        ngx_stomp_output_range(s, e.segment, e.start, e.end);

        flow->credit--;
        s->hub->broker->delivered++;

    } else {
        rc = NGX_ERROR;
    }

    ngx_stomp_form_done(&e);

    return rc;
}


static ngx_int_t
ngx_stomp_flow_encode(ngx_stomp_consumer_t *c, ngx_stomp_message_t *m,
    ngx_uint_t marks, ngx_stomp_encoded_t *e)
{
    u_char              *p;
    ngx_int_t            rc;
    ngx_stomp_hub_t     *hub;
    ngx_stomp_form_t    *form;
    u_char               extra[NGX_STOMP_FORM_EXTRA_MAX];

    hub = c->session->hub;
    form = c->form;

    c->session->consumers->number++;

    if (ngx_stomp_form_message(hub, m, 0, e) != NGX_OK) {
        return NGX_ERROR;
    }

    if (c->session->version == NGX_STOMP_V12) {
        p = ngx_sprintf(extra, "ack:%uL\n", c->session->consumers->number);
        ngx_stomp_form_extra(e, extra, p - extra);
    }

    if (marks == 0) {
        return ngx_stomp_form_encode(hub, form, m, e);
    }

    form = ngx_stomp_form_marked(hub, form, marks);
    if (form == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_stomp_form_encode(hub, form, m, e);

    ngx_stomp_form_unref(hub, form);

    return rc;
}


/* a copy: a range of a segment would hold all that stands in it */

static ngx_int_t
ngx_stomp_flow_wait(ngx_stomp_consumer_t *c, ngx_stomp_message_t *m,
    uint64_t number, ngx_uint_t marks, ngx_stomp_encoded_t *e)
{
    size_t                len;
    ngx_uint_t            level;
    ngx_stomp_flow_t     *flow;
    ngx_stomp_session_t  *s;
    ngx_stomp_waiting_t  *w;

    s = c->session;
    flow = c->flow;
    len = ngx_stomp_encoded_len(e);

    if (ngx_stomp_flow_full(s, len)) {

        if (s->drops) {
            s->hub->broker->dropped_messages++;
            ngx_stomp_slow_tell(s);
            return NGX_DECLINED;
        }

        s->hub->broker->dropped++;

        level = ngx_stomp_hub_log_level(s->hub, NGX_LOG_WARN);

        ngx_log_error(level, s->connection->log, 0,
                      "STOMP session %xi-%016xL doesn't acknowledge its "
                      "messages: %uz octets are waiting, it is closed",
                      s->hub->broker->slot, s->id, s->consumers->waiting);

        ngx_stomp_session_finish(s, NGX_STOMP_WS_TRY_LATER,
                                 "too many messages to acknowledge");
        return NGX_DECLINED;
    }

    w = ngx_alloc(offsetof(ngx_stomp_waiting_t, data) + len, s->hub->log);
    if (w == NULL) {
        return NGX_ERROR;
    }

    w->next = NULL;
    w->number = number;
    w->sequence = m->sequence;
    w->expires = m->expires;
    w->len = len;
    w->marks = marks;
    ngx_memcpy(w->data, &e->segment->data[e->start], len);

    *flow->last = w;
    flow->last = &w->next;

    s->consumers->waiting += len;

    return NGX_OK;
}


/*
 * What waits will be output, and is to have room there.  As with other output,
 * one message alone is never too much.
 */

static ngx_uint_t
ngx_stomp_flow_full(ngx_stomp_session_t *s, size_t len)
{
    size_t  max, waiting;

    max = s->conf->max_output;
    waiting = s->consumers->waiting + s->pending;

    return waiting && len > max - ngx_min(waiting, max);
}


void
ngx_stomp_flow_settled(ngx_stomp_consumer_t *c, ngx_uint_t n)
{
    ngx_stomp_sub_t      *sub;
    ngx_stomp_flow_t     *flow;
    ngx_stomp_session_t  *s;

    s = c->session;
    flow = c->flow;
    sub = flow->sub;

    flow->credit += n;

    while (flow->first != NULL && flow->credit && !s->finished && !s->dead) {

        if (ngx_stomp_flow_next(c) != NGX_OK) {
            s->hub->broker->dropped++;
            ngx_stomp_session_finish(s, NGX_STOMP_WS_TRY_LATER,
                                     "no memory for a message");
            return;
        }
    }

    if (sub->index == NGX_STOMP_SUB_REPLAYING) {
        ngx_stomp_replay_resume(sub);
    }
}


/* sends the first that waits, if its time has not passed */

static ngx_int_t
ngx_stomp_flow_next(ngx_stomp_consumer_t *c)
{
    ngx_stomp_flow_t     *flow;
    ngx_stomp_session_t  *s;
    ngx_stomp_waiting_t  *w;

    s = c->session;
    flow = c->flow;
    w = flow->first;

    if (ngx_stomp_expired(s->hub, w->expires)
        || (s->drops && ngx_stomp_slow_drop(s, w->len)))
    {
        flow->gap |= ((w->marks & NGX_STOMP_MARK_GAP) != 0);

        ngx_stomp_flow_drop(c);
        return NGX_OK;
    }

    if (ngx_stomp_consumer_push(c, 1, w->sequence, w->number) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_stomp_output_raw(s, w->data, w->len);

    flow->credit--;
    s->hub->broker->delivered++;

    ngx_stomp_flow_drop(c);

    return NGX_OK;
}


/* frees the first that waits */

static void
ngx_stomp_flow_drop(ngx_stomp_consumer_t *c)
{
    ngx_stomp_flow_t     *flow;
    ngx_stomp_waiting_t  *w;

    flow = c->flow;
    w = flow->first;

    flow->first = w->next;

    if (flow->first == NULL) {
        flow->last = &flow->first;
    }

    c->session->consumers->waiting -= w->len;

    ngx_free(w);
}


void
ngx_stomp_flow_deliver(ngx_stomp_hub_t *hub, ngx_stomp_local_t *local,
    ngx_stomp_message_t *m)
{
    ngx_int_t             rc;
    ngx_stomp_sub_t      *sub;
    ngx_stomp_flow_t     *flow;
    ngx_stomp_session_t  *s;

    for (flow = local->flows; flow; flow = flow->next) {

        sub = flow->sub;
        s = sub->consumer->session;

        if (m->sequence <= sub->from || s->finished || s->dead) {
            continue;
        }

        rc = ngx_stomp_flow_send(sub, m, flow->gap ? NGX_STOMP_MARK_GAP : 0);

        if (rc == NGX_OK) {
            flow->gap = 0;
        }

        if (rc == NGX_ERROR) {
            hub->broker->dropped++;
            ngx_stomp_session_finish(s, NGX_STOMP_WS_TRY_LATER,
                                     "no memory for a message");
        }
    }
}


ngx_uint_t
ngx_stomp_flow_lost(ngx_stomp_hub_t *hub, ngx_stomp_local_t *local,
    uint64_t number, const char *reason)
{
    ngx_uint_t            n;
    ngx_stomp_flow_t     *flow;
    ngx_stomp_session_t  *s;

    n = 0;

    for (flow = local->flows; flow; flow = flow->next) {

        s = flow->sub->consumer->session;

        if (flow->sub->from < number && !s->finished && !s->dead) {
            ngx_stomp_session_finish(s, NGX_STOMP_WS_TRY_LATER, reason);
            n++;
        }
    }

    return n;
}
