
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_channel.h>
#include <ngx_stomp_test_hooks.h>
#include <ngx_stomp_wake.h>


static void ngx_stomp_wake_handler(ngx_event_t *ev);
static void ngx_stomp_wake_drain_handler(ngx_event_t *ev);
static void ngx_stomp_wake_workers_handler(ngx_event_t *ev);
static void ngx_stomp_wake_now(ngx_stomp_broker_t *b);


static ngx_array_t  ngx_stomp_wake_brokers;    /* of ngx_stomp_broker_t * */


ngx_int_t
ngx_stomp_wake_init(ngx_cycle_t *cycle)
{
    /*
     * as nginx's own channel: it is not reported as an open socket at exit,
     * and the shutdown timer does not close it
     */

    return ngx_add_channel_event(cycle,
                                 ngx_stomp_slot_wake_fd(ngx_stomp_slot_own()),
                                 NGX_READ_EVENT, ngx_stomp_wake_handler);
}


ngx_int_t
ngx_stomp_wake_broker(ngx_stomp_broker_t *b)
{
    ngx_event_t          *ev;
    ngx_stomp_broker_t  **item;

    if (b->drain != NULL) {
        return NGX_OK;
    }

    if (ngx_stomp_wake_brokers.elts == NULL
        && ngx_array_init(&ngx_stomp_wake_brokers, ngx_cycle->pool, 4,
                          sizeof(ngx_stomp_broker_t *))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    item = ngx_array_push(&ngx_stomp_wake_brokers);
    if (item == NULL) {
        return NGX_ERROR;
    }

    ev = ngx_calloc(2 * sizeof(ngx_event_t), b->log);
    if (ev == NULL) {
        ngx_stomp_wake_brokers.nelts--;
        return NGX_ERROR;
    }

    ev[0].handler = ngx_stomp_wake_drain_handler;
    ev[0].data = b;
    ev[0].log = b->log;

    ev[1].handler = ngx_stomp_wake_workers_handler;
    ev[1].data = b;
    ev[1].log = b->log;

    b->drain = &ev[0];
    b->waker = &ev[1];
    *item = b;

    return NGX_OK;
}


static void
ngx_stomp_wake_handler(ngx_event_t *ev)
{
    ngx_uint_t            i;
    ngx_stomp_broker_t  **b;

    /* first emptied, then looked: what comes after writes again */

    ngx_stomp_slot_wake_clear();

    b = ngx_stomp_wake_brokers.elts;

    for (i = 0; i < ngx_stomp_wake_brokers.nelts; i++) {
        if (!b[i]->closed && !b[i]->drain->posted) {
            ngx_stomp_wake_drain_handler(b[i]->drain);
        }
    }
}


static void
ngx_stomp_wake_drain_handler(ngx_event_t *ev)
{
    ngx_stomp_broker_t  *b = ev->data;

    if (ngx_stomp_broker_drain(b) == NGX_AGAIN) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


void
ngx_stomp_wake_post(ngx_stomp_broker_t *b)
{
    if (b->drain != NULL) {
        ngx_post_event(b->drain, &ngx_posted_events);
    }
}


void
ngx_stomp_wake_workers(ngx_stomp_broker_t *b)
{
    ngx_uint_t  i;

    for (i = 0; i < b->nwake; i++) {

        /* one whose tick drains it meanwhile may be in it twice */

        if (b->nwaking == NGX_STOMP_SLOTS_MAX) {
            ngx_stomp_wake_now(b);
        }

        b->waking[b->nwaking++] = b->wake[i];
    }

    b->nwake = 0;

    if (b->waker == NULL) {
        ngx_stomp_wake_now(b);
        return;
    }

    /* others do not wait until this worker has sent what it has to send */

    if (!b->waker->posted) {
        b->waker->posted = 1;
        ngx_queue_insert_head(&ngx_posted_events, &b->waker->queue);
    }
}


static void
ngx_stomp_wake_workers_handler(ngx_event_t *ev)
{
    ngx_stomp_wake_now(ev->data);
}


static void
ngx_stomp_wake_now(ngx_stomp_broker_t *b)
{
    ngx_uint_t  i;

    for (i = 0; i < b->nwaking; i++) {
        ngx_stomp_test_point("wake");
        ngx_stomp_slot_wake(b->waking[i]);
    }

    b->nwaking = 0;
}
