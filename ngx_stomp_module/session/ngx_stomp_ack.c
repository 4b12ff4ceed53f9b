
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stomp_session.h>
#include <ngx_stomp_ack.h>
#include <ngx_stomp_flow.h>
#include <ngx_stomp_header.h>
#include <ngx_stomp_form.h>
#include <ngx_stomp_ws.h>


/* messages that are settled in one section of the lock */
#define NGX_STOMP_ACK_SLICE         64

/* who acknowledges without saying how many messages it wants at a time */
#define NGX_STOMP_PREFETCH_DEFAULT  64


static ngx_int_t ngx_stomp_ack_by_id(ngx_stomp_session_t *s, ngx_str_t *id,
    ngx_stomp_ack_ref_t *ref);
static ngx_int_t ngx_stomp_ack_by_message_id(ngx_stomp_session_t *s,
    ngx_str_t *id, ngx_str_t *subscription, ngx_stomp_ack_ref_t *ref);
static ngx_int_t ngx_stomp_ack_refuse(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame, const char *name, ngx_str_t *value);
static ngx_stomp_unsettled_t *ngx_stomp_ack_find(ngx_stomp_consumer_t *c,
    uint64_t number);
static ngx_stomp_unsettled_t *ngx_stomp_ack_find_sequence(
    ngx_stomp_consumer_t *c, uint64_t sequence);


static ngx_str_t  ngx_stomp_ack_modes[] = {
    ngx_string("auto"),
    ngx_string("client"),
    ngx_string("client-individual")
};


ngx_int_t
ngx_stomp_ack_mode(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame,
    ngx_stomp_ack_e *mode, uint32_t *prefetch)
{
    ngx_int_t    n;
    ngx_str_t   *value;
    ngx_uint_t   i, max;

    *mode = NGX_STOMP_ACK_AUTO;

    value = ngx_stomp_header(frame, "ack");

    if (value != NULL) {

        for (i = 0; i < 3; i++) {
            if (value->len == ngx_stomp_ack_modes[i].len
                && ngx_memcmp(value->data, ngx_stomp_ack_modes[i].data,
                              value->len) == 0)
            {
                break;
            }
        }

        if (i == 3) {
            ngx_stomp_session_error(s, frame, NGX_STOMP_WS_PROTOCOL,
                                    "unknown ack mode",
                                    "SUBSCRIBE with \"ack:%V\": it can be "
                                    "auto, client or client-individual.",
                                    value);
            return NGX_DONE;
        }

        *mode = (ngx_stomp_ack_e) i;
    }

    max = s->conf->max_prefetch;
    *prefetch = (uint32_t) ngx_min(NGX_STOMP_PREFETCH_DEFAULT, max);

    value = ngx_stomp_header(frame, "prefetch-count");

    if (value == NULL) {
        return NGX_OK;
    }

    n = ngx_atoi(value->data, value->len);

    if (n <= 0) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_PROTOCOL,
                                "malformed header",
                                "SUBSCRIBE with \"prefetch-count:%V\": it "
                                "must be a number from 1 on.", value);
        return NGX_DONE;
    }

    *prefetch = (uint32_t) ngx_min((ngx_uint_t) n, max);

    return NGX_OK;
}


ngx_int_t
ngx_stomp_ack_lookup(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame,
    ngx_stomp_ack_ref_t *ref)
{
    ngx_int_t    rc;
    ngx_str_t   *id, *subscription;
    const char  *name;

    if (s->version == NGX_STOMP_V12) {
        name = "id";
        id = ngx_stomp_header(frame, "id");

    } else {
        name = "message-id";
        id = ngx_stomp_header(frame, "message-id");
    }

    subscription = ngx_stomp_header(frame, "subscription");

    if (id == NULL) {
        return ngx_stomp_ack_refuse(s, frame, name, NULL);
    }

    if (subscription == NULL && s->version == NGX_STOMP_V11) {
        return ngx_stomp_ack_refuse(s, frame, "subscription", NULL);
    }

    rc = (s->version == NGX_STOMP_V12)
         ? ngx_stomp_ack_by_id(s, id, ref)
         : ngx_stomp_ack_by_message_id(s, id, subscription, ref);

    return (rc == NGX_OK) ? NGX_OK
                          : ngx_stomp_ack_refuse(s, frame, name, id);
}


void
ngx_stomp_ack_held(ngx_stomp_session_t *s, ngx_stomp_held_ack_t *ack)
{
    ngx_int_t             rc;
    ngx_str_t            *subscription;
    ngx_stomp_ack_ref_t   ref;

    subscription = ack->subscription.data ? &ack->subscription : NULL;

    rc = (s->version == NGX_STOMP_V12)
         ? ngx_stomp_ack_by_id(s, &ack->id, &ref)
         : ngx_stomp_ack_by_message_id(s, &ack->id, subscription, &ref);

    if (rc == NGX_OK) {
        ngx_stomp_ack_settle(&ref, ack->nack ? NGX_STOMP_SETTLE_NACK
                                             : NGX_STOMP_SETTLE_ACK);
    }
}


/* NGX_OK, or NGX_DECLINED: no MESSAGE has had it */

static ngx_int_t
ngx_stomp_ack_by_id(ngx_stomp_session_t *s, ngx_str_t *id,
    ngx_stomp_ack_ref_t *ref)
{
    off_t                  n;
    ngx_stomp_consumer_t  *c;

    ref->consumer = NULL;
    ref->number = 0;

    n = ngx_atoof(id->data, id->len);

    if (n <= 0 || !ngx_stomp_consumer_numbered(s, (uint64_t) n)) {
        return NGX_DECLINED;
    }

    for (c = s->consumers->list; c; c = c->next) {
        if (c->mode != NGX_STOMP_ACK_AUTO
            && ngx_stomp_ack_find(c, (uint64_t) n) != NULL)
        {
            ref->consumer = c;
            ref->number = (uint64_t) n;
            break;
        }
    }

    return NGX_OK;
}


/*
 * "<epoch>-<sequence>"; 1.1 names the subscription, too, 1.0 may.  NGX_OK, or
 * NGX_DECLINED: it is of another broker.
 */

static ngx_int_t
ngx_stomp_ack_by_message_id(ngx_stomp_session_t *s, ngx_str_t *id,
    ngx_str_t *subscription, ngx_stomp_ack_ref_t *ref)
{
    off_t                   n;
    u_char                 *p, *last, buf[NGX_STOMP_MESSAGE_ID_MAX];
    ngx_stomp_form_t       *form;
    ngx_stomp_consumer_t   *c;
    ngx_stomp_unsettled_t  *item;

    ref->consumer = NULL;
    ref->number = 0;

    p = ngx_strlchr(id->data, id->data + id->len, '-');
    n = (p != NULL) ? ngx_atoof(p + 1, id->data + id->len - p - 1) : NGX_ERROR;

    if (n <= 0) {
        return NGX_DECLINED;
    }

    last = ngx_stomp_broker_message_id(s->hub->broker, buf, (uint64_t) n);

    if (id->len != (size_t) (last - buf)
        || ngx_memcmp(buf, id->data, id->len) != 0)
    {
        return NGX_DECLINED;
    }

    if (s->consumers == NULL) {
        return NGX_OK;
    }

    for (c = s->consumers->list; c; c = c->next) {

        form = c->form;

        if (c->mode == NGX_STOMP_ACK_AUTO
            || (subscription != NULL
                && (!form->named
                    || form->id_len != subscription->len
                    || ngx_memcmp(form->data, subscription->data,
                                  subscription->len)
                       != 0)))
        {
            continue;
        }

        item = ngx_stomp_ack_find_sequence(c, (uint64_t) n);

        if (item != NULL) {
            ref->consumer = c;
            ref->number = item->number;
            break;
        }
    }

    return NGX_OK;
}


/* a missing header, or one that no MESSAGE of this session has had */

static ngx_int_t
ngx_stomp_ack_refuse(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame,
    const char *name, ngx_str_t *value)
{
    if (value == NULL) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_PROTOCOL,
                                "missing header",
                                "%V needs the \"%s\" header.", &frame->name,
                                name);

    } else {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_PROTOCOL,
                                "unknown message",
                                "%V with \"%s:%V\": this session was sent no "
                                "such message to acknowledge.", &frame->name,
                                name, value);
    }

    return NGX_DONE;
}


/* returns what is not settled yet, or NULL */

static ngx_stomp_unsettled_t *
ngx_stomp_ack_find(ngx_stomp_consumer_t *c, uint64_t number)
{
    uint32_t  low, high, i;

    low = c->first;
    high = c->last;

    while (low < high) {
        i = low + (high - low) / 2;

        if (c->items[i].number == number) {
            return c->items[i].entry ? &c->items[i] : NULL;
        }

        if (c->items[i].number < number) {
            low = i + 1;

        } else {
            high = i;
        }
    }

    return NULL;
}


/* numbers grow, sequences may not: then the prefetch bounds the search */

static ngx_stomp_unsettled_t *
ngx_stomp_ack_find_sequence(ngx_stomp_consumer_t *c, uint64_t sequence)
{
    uint32_t  low, high, i;

    low = c->first;
    high = c->last;

    while (low < high && !c->mixed) {
        i = low + (high - low) / 2;

        if (c->items[i].sequence < sequence) {
            low = i + 1;

        } else {
            high = i;
        }
    }

    for (i = low; i < c->last; i++) {

        if (c->items[i].sequence == sequence && c->items[i].entry) {
            return &c->items[i];
        }

        if (!c->mixed) {
            break;
        }
    }

    return NULL;
}


void
ngx_stomp_ack_settle(ngx_stomp_ack_ref_t *ref, ngx_stomp_settle_e how)
{
    uint32_t                i;
    ngx_uint_t              n, total;
    ngx_stomp_broker_t     *b;
    ngx_stomp_consumer_t   *c;
    ngx_stomp_unsettled_t  *item;
    ngx_stomp_settle_t      items[NGX_STOMP_ACK_SLICE];

    c = ref->consumer;

    if (c == NULL) {
        return;
    }

    b = c->session->hub->broker;
    item = ngx_stomp_ack_find(c, ref->number);

    if (item == NULL) {
        return;
    }

    /* in client mode it stands for all that came before */

    n = 0;
    total = 0;
    i = (c->mode == NGX_STOMP_ACK_CLIENT) ? c->first
                                          : (uint32_t) (item - c->items);

    for ( /* void */ ; i < c->last && c->items[i].number <= ref->number; i++) {

        if (c->items[i].entry == 0) {
            continue;
        }

        total++;

        if (c->flow != NULL) {
            c->items[i].entry = 0;
            continue;
        }

        if (n == NGX_STOMP_ACK_SLICE) {
            ngx_stomp_broker_settle(b, items, n);
            n = 0;
        }

        items[n].entry = c->items[i].entry;
        items[n++].how = how;

        c->items[i].entry = 0;
    }

    if (n) {
        ngx_stomp_broker_settle(b, items, n);
    }

    while (c->first < c->last && c->items[c->first].entry == 0) {
        c->first++;
    }

    if (c->flow != NULL) {
        ngx_stomp_flow_settled(c, total);
    }
}
