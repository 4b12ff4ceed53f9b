
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stomp_session.h>
#include <ngx_stomp_consumer.h>
#include <ngx_stomp_form.h>
#include <ngx_stomp_output.h>
#include <ngx_stomp_wheel.h>
#include <ngx_stomp_ws.h>


/* what may be on its way to a socket without ACK */
#define NGX_STOMP_AUTO_CREDIT  64
#define NGX_STOMP_AUTO_WINDOW  (64 * 1024)

/* a session's consumers together are not to fill its output */
#define NGX_STOMP_AUTO_SHARE   8

#define NGX_STOMP_SETTLE_MAX   64


static ngx_int_t ngx_stomp_consumer_add(ngx_stomp_hub_t *hub,
    ngx_stomp_consumer_t *c);
static void ngx_stomp_consumer_remove(ngx_stomp_consumer_t *c);
static void ngx_stomp_consumer_free(ngx_stomp_hub_t *hub,
    ngx_stomp_consumer_t *c);
static ngx_int_t ngx_stomp_consumer_encode(ngx_stomp_consumer_t *c,
    ngx_stomp_taken_t *taken, ngx_stomp_message_t *m,
    ngx_stomp_encoded_t *e);
static ngx_uint_t ngx_stomp_consumer_collect(ngx_stomp_session_t *s,
    ngx_stomp_settle_t *items);


ngx_stomp_consumers_t *
ngx_stomp_consumers_get(ngx_stomp_session_t *s)
{
    if (s->consumers != NULL) {
        return s->consumers;
    }

    s->consumers = ngx_calloc(sizeof(ngx_stomp_consumers_t), s->hub->log);
    if (s->consumers == NULL) {
        return NULL;
    }

    return s->consumers;
}


ngx_int_t
ngx_stomp_consumer_subscribe(ngx_stomp_session_t *s, ngx_str_t *name,
    ngx_str_t *id, ngx_stomp_ack_e mode, uint32_t prefetch)
{
    uint32_t               credit, window;
    ngx_stomp_hub_t       *hub;
    ngx_stomp_consumer_t  *c;

    hub = s->hub;

    if (ngx_stomp_consumers_get(s) == NULL) {
        return NGX_ERROR;
    }

    c = ngx_calloc(offsetof(ngx_stomp_consumer_t, name) + name->len, hub->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->session = s;
    c->mode = mode;
    c->name_len = (uint32_t) name->len;
    ngx_memcpy(c->name, name->data, name->len);

    c->form = ngx_stomp_form_ref(hub, id, s->version, s->link->wire);

    if (c->form == NULL || ngx_stomp_consumer_add(hub, c) != NGX_OK) {
        ngx_stomp_consumer_free(hub, c);
        return NGX_ERROR;
    }

    /*
     * What is sent, or to be settled, may wait for a slow client as well, with
     * the last message that may exceed it.
     */

    credit = prefetch;
    window = s->max_output / 2 + 1;

    if (mode == NGX_STOMP_ACK_AUTO) {
        credit = NGX_STOMP_AUTO_CREDIT;
        window = ngx_min(NGX_STOMP_AUTO_WINDOW,
                         s->max_output / NGX_STOMP_AUTO_SHARE + 1);
    }

    c->consumer = ngx_stomp_broker_consume(hub->broker, name, c->tag, credit,
                                           window);
    if (c->consumer == 0) {
        ngx_stomp_consumer_free(hub, c);
        return NGX_BUSY;
    }

    c->next = s->consumers->list;
    s->consumers->list = c;
    s->nsubs++;

    return NGX_OK;
}


/* gives the consumer a tag */

static ngx_int_t
ngx_stomp_consumer_add(ngx_stomp_hub_t *hub, ngx_stomp_consumer_t *c)
{
    uint32_t                i, size, *tags;
    ngx_stomp_consumer_t  **consumers;

    if (hub->nconsumers == hub->consumers_size) {

        size = hub->consumers_size ? hub->consumers_size * 2 : 64;

        consumers = ngx_calloc(size * sizeof(void *), hub->log);
        tags = ngx_alloc(size * sizeof(uint32_t), hub->log);

        if (consumers == NULL || tags == NULL) {

            if (consumers != NULL) {
                ngx_free(consumers);
            }

            if (tags != NULL) {
                ngx_free(tags);
            }

            return NGX_ERROR;
        }

        /* all tags that there were are given */

        for (i = 0; i < hub->consumers_size; i++) {
            consumers[i] = hub->consumers[i];
        }

        for ( /* void */ ; i < size; i++) {
            tags[i] = i;
        }

        if (hub->consumers != NULL) {
            ngx_free(hub->consumers);
            ngx_free(hub->tags);
        }

        hub->consumers = consumers;
        hub->tags = tags;
        hub->consumers_size = size;
    }

    c->tag = hub->tags[hub->nconsumers++];
    hub->consumers[c->tag] = c;

    return NGX_OK;
}


static void
ngx_stomp_consumer_free(ngx_stomp_hub_t *hub, ngx_stomp_consumer_t *c)
{
    if (hub->consumers != NULL && hub->consumers[c->tag] == c) {
        hub->consumers[c->tag] = NULL;
        hub->tags[--hub->nconsumers] = c->tag;
    }

    if (c->form != NULL) {
        ngx_stomp_form_unref(hub, c->form);
    }

    if (c->items != NULL) {
        ngx_free(c->items);
    }

    ngx_free(c);
}


void
ngx_stomp_consumer_unsubscribe(ngx_stomp_consumer_t *c)
{
    ngx_stomp_session_t    *s;
    ngx_stomp_consumer_t  **next;

    s = c->session;

    for (next = &s->consumers->list; *next != c; next = &(*next)->next) {
        /* void */
    }

    *next = c->next;

    ngx_stomp_consumer_remove(c);
}


/* one that is off its session's list */

static void
ngx_stomp_consumer_remove(ngx_stomp_consumer_t *c)
{
    ngx_stomp_hub_t  *hub;

    hub = c->session->hub;
    c->session->nsubs--;

    ngx_stomp_broker_consumer_remove(hub->broker, c->consumer,
                                     hub->drain_end == 0);
    ngx_stomp_consumer_free(hub, c);
}


void
ngx_stomp_consumer_cleanup(ngx_stomp_session_t *s)
{
    ngx_stomp_consumer_t  *c, **next;

    if (s->consumers == NULL) {
        return;
    }

    for (next = &s->consumers->list; *next; /* void */) {

        c = *next;

        /* those of topics go with their subscriptions */

        if (c->flow != NULL) {
            next = &c->next;
            continue;
        }

        *next = c->next;
        ngx_stomp_consumer_remove(c);
    }

    if (s->consumers->list == NULL) {
        ngx_free(s->consumers);
        s->consumers = NULL;
    }
}


ngx_stomp_consumer_t *
ngx_stomp_consumer_lookup(ngx_stomp_session_t *s, ngx_str_t *id,
    ngx_str_t *name)
{
    ngx_stomp_form_t      *form;
    ngx_stomp_consumer_t  *c;

    if (s->consumers == NULL) {
        return NULL;
    }

    for (c = s->consumers->list; c; c = c->next) {

        form = c->form;

        if (c->flow != NULL) {
            continue;
        }

        if (id != NULL) {
            if (form->named
                && form->id_len == id->len
                && ngx_memcmp(form->data, id->data, id->len) == 0)
            {
                return c;
            }

            continue;
        }

        if (!form->named
            && c->name_len == name->len
            && ngx_memcmp(c->name, name->data, name->len) == 0)
        {
            return c;
        }
    }

    return NULL;
}


void
ngx_stomp_consumer_deliver(void *data, ngx_stomp_taken_t *taken,
    ngx_stomp_message_t *m)
{
    uint64_t                number;
    ngx_stomp_hub_t        *hub;
    ngx_stomp_session_t    *s;
    ngx_stomp_settle_t      back;
    ngx_stomp_encoded_t     e;
    ngx_stomp_consumer_t   *c;
    ngx_stomp_unsettled_t  *item;

    hub = data;
    c = hub->consumers[taken->tag];
    s = c->session;

    /* of auto: not gone before it is known how much has to be sent for that */

    number = (c->mode == NGX_STOMP_ACK_AUTO) ? (uint64_t) -1
                                             : s->consumers->number + 1;

    /* nobody is there to get it: others may have it at once, uncounted */

    if (s->finished || s->dead) {
        back.entry = taken->entry;
        back.how = NGX_STOMP_SETTLE_RETURN;

        ngx_stomp_broker_settle(hub->broker, &back, 1);
        ngx_stomp_consumer_cleanup(s);
        return;
    }

    if (ngx_stomp_consumer_push(c, taken->entry, m->sequence, number) != NGX_OK
        || ngx_stomp_consumer_encode(c, taken, m, &e) != NGX_OK)
    {
        hub->broker->dropped++;
        ngx_stomp_session_finish(s, NGX_STOMP_WS_TRY_LATER,
                                 "no memory for a message");
        return;
    }

    ngx_stomp_output_range(s, e.segment, e.start, e.end);
    ngx_stomp_form_done(&e);

    hub->broker->delivered++;

    if (c->mode == NGX_STOMP_ACK_AUTO) {
        item = &c->items[c->last - 1];
        item->number = s->consumers->octets + s->pending;
    }
}


static ngx_int_t
ngx_stomp_consumer_encode(ngx_stomp_consumer_t *c, ngx_stomp_taken_t *taken,
    ngx_stomp_message_t *m, ngx_stomp_encoded_t *e)
{
    u_char                *p;
    ngx_stomp_hub_t       *hub;
    u_char                 extra[NGX_STOMP_FORM_EXTRA_MAX];

    hub = c->session->hub;
    p = extra;

    if (ngx_stomp_form_message(hub, m, 0, e) != NGX_OK) {
        return NGX_ERROR;
    }

    if (c->mode != NGX_STOMP_ACK_AUTO) {
        c->session->consumers->number++;
    }

    if (c->mode != NGX_STOMP_ACK_AUTO
        && c->session->version == NGX_STOMP_V12)
    {
        p = ngx_sprintf(p, "ack:%uL\n", c->session->consumers->number);
    }

    if (taken->redelivered) {
        p = ngx_cpymem(p, "redelivered:true\n",
                       sizeof("redelivered:true\n") - 1);
    }

    ngx_stomp_form_extra(e, extra, p - extra);

    return ngx_stomp_form_encode(hub, c->form, m, e);
}


/* the number of items is bounded by the credit: holes are filled first */

ngx_int_t
ngx_stomp_consumer_push(ngx_stomp_consumer_t *c, uint32_t entry,
    uint64_t sequence, uint64_t number)
{
    uint32_t                i, n, size;
    ngx_stomp_unsettled_t  *items, *item;

    if (c->last == c->size) {

        for (i = c->first, n = 0; i < c->last; i++) {
            if (c->items[i].entry) {
                c->items[n++] = c->items[i];
            }
        }

        c->first = 0;
        c->last = n;

        if (n >= c->size / 2) {
            size = c->size ? c->size * 2 : 8;

            items = ngx_alloc(size * sizeof(ngx_stomp_unsettled_t),
                              c->session->hub->log);
            if (items == NULL) {
                return NGX_ERROR;
            }

            if (c->items != NULL) {
                ngx_memcpy(items, c->items, n * sizeof(ngx_stomp_unsettled_t));
                ngx_free(c->items);
            }

            c->items = items;
            c->size = size;
        }
    }

    if (c->first == c->last) {
        c->mixed = 0;

    } else if (c->items[c->last - 1].sequence >= sequence) {
        c->mixed = 1;
    }

    item = &c->items[c->last++];

    item->number = number;
    item->sequence = sequence;
    item->entry = entry;
    item->reserved = 0;

    return NGX_OK;
}


void
ngx_stomp_consumer_sent(ngx_stomp_session_t *s, size_t len)
{
    ngx_uint_t          n;
    ngx_stomp_settle_t  items[NGX_STOMP_SETTLE_MAX];

    s->consumers->octets += len;

    do {
        n = ngx_stomp_consumer_collect(s, items);

        if (n) {
            ngx_stomp_broker_settle(s->hub->broker, items, n);
        }

    } while (n == NGX_STOMP_SETTLE_MAX);
}


static ngx_uint_t
ngx_stomp_consumer_collect(ngx_stomp_session_t *s, ngx_stomp_settle_t *items)
{
    ngx_uint_t             n;
    ngx_stomp_consumer_t  *c;

    n = 0;

    for (c = s->consumers->list; c; c = c->next) {

        if (c->mode != NGX_STOMP_ACK_AUTO) {
            continue;
        }

        while (c->first < c->last
               && c->items[c->first].number <= s->consumers->octets)
        {
            if (n == NGX_STOMP_SETTLE_MAX) {
                return n;
            }

            items[n].entry = c->items[c->first++].entry;
            items[n++].how = NGX_STOMP_SETTLE_ACK;
        }
    }

    return n;
}
