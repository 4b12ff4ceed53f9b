
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <queue_worker.h>


static void queue_consume(void *data, ngx_stomp_taken_t *taken,
    ngx_stomp_message_t *m);


broker_fixture_t    queue;
ngx_stomp_broker_t  queue_b[QUEUE_SLOTS];
queue_consumer_t    queue_c[QUEUE_CONSUMERS];
u_char              queue_body[128 * 1024];

u_char              queue_state[QUEUE_MESSAGES];
u_char              queue_times[QUEUE_MESSAGES];
ngx_uint_t          queue_delivered;


static void
queue_consume(void *data, ngx_stomp_taken_t *taken, ngx_stomp_message_t *m)
{
    queue_consumer_t  *c;

    c = &queue_c[taken->tag];

    assert_true(m->sequence < QUEUE_MESSAGES);
    assert_int_equal(taken->consumer, c->consumer);
    assert_ptr_equal(data, &queue_b[c->worker]);
    assert_int_equal(queue_state[m->sequence], QUEUE_WAITING);
    assert_int_equal(taken->redelivered != 0, queue_times[m->sequence] != 0);
    assert_true(c->n < c->credit);

    queue_state[m->sequence] = QUEUE_TAKEN;
    queue_times[m->sequence]++;
    queue_delivered++;

    c->entries[c->n] = taken->entry;
    c->sequences[c->n++] = m->sequence;
}


void
queue_begin(void)
{
    ngx_uint_t  i;

    fixture_reset(&queue);

    for (i = 0; i < QUEUE_SLOTS; i++) {
        fixture_worker(&queue, &queue_b[i], i);
        queue_b[i].consume = queue_consume;
        queue_b[i].data = &queue_b[i];
    }

    memset(queue_c, 0, sizeof(queue_c));
    memset(queue_state, 0, sizeof(queue_state));
    memset(queue_times, 0, sizeof(queue_times));
    queue_delivered = 0;
}


void
queue_subscribe(ngx_uint_t i, ngx_uint_t worker, const char *name,
    uint32_t credit, uint32_t window)
{
    ngx_str_t  str;

    str = fixture_str(name);

    queue_c[i].worker = worker;
    queue_c[i].credit = credit;
    queue_c[i].n = 0;
    queue_c[i].consumer = ngx_stomp_broker_consume(&queue_b[worker], &str,
                                                   (uint32_t) i, credit,
                                                   window);
    assert_true(queue_c[i].consumer);
}


ngx_int_t
queue_publish(ngx_uint_t worker, const char *name, size_t len)
{
    ngx_int_t                rc;
    ngx_stomp_publication_t  p;

    p = fixture_publication(name, queue_body, len);

    rc = ngx_stomp_broker_publish(&queue_b[worker], &p, 1);

    if (rc == NGX_OK) {
        assert_true(p.sequence < QUEUE_MESSAGES);
        queue_state[p.sequence] = QUEUE_WAITING;

    } else {
        assert_int_equal(rc, NGX_BUSY);
    }

    return rc;
}


void
queue_drain(void)
{
    ngx_uint_t  i, again;

    do {
        again = 0;

        for (i = 0; i < QUEUE_SLOTS; i++) {
            if (queue_b[i].slot != NGX_STOMP_SLOT_NONE) {
                again |= (ngx_stomp_broker_drain(&queue_b[i]) == NGX_AGAIN);
            }
        }

    } while (again);
}


/* n of what a consumer has, from that one on */

void
queue_settle(ngx_uint_t i, ngx_uint_t from, ngx_uint_t n,
    ngx_stomp_settle_e how)
{
    ngx_uint_t          k;
    queue_consumer_t   *c;
    ngx_stomp_settle_t  items[64];

    c = &queue_c[i];

    for (k = 0; k < n; k++) {
        items[k].entry = c->entries[from + k];
        items[k].how = how;

        queue_state[c->sequences[from + k]] =
            (how == NGX_STOMP_SETTLE_ACK) ? QUEUE_SETTLED : QUEUE_WAITING;
    }

    ngx_stomp_broker_settle(&queue_b[c->worker], items, n);

    c->n -= n;
    memmove(&c->entries[from], &c->entries[from + n],
            (c->n - from) * sizeof(uint32_t));
    memmove(&c->sequences[from], &c->sequences[from + n],
            (c->n - from) * sizeof(uint64_t));
}


void
queue_unsubscribe(ngx_uint_t i, ngx_uint_t counted)
{
    ngx_uint_t         k;
    queue_consumer_t  *c;

    c = &queue_c[i];

    for (k = 0; k < c->n; k++) {
        queue_state[c->sequences[k]] = QUEUE_WAITING;
    }

    ngx_stomp_broker_consumer_remove(&queue_b[c->worker], c->consumer,
                                     counted);
    memset(c, 0, sizeof(queue_consumer_t));
}


void
queue_reap(ngx_uint_t worker)
{
    ngx_int_t  rc;

    do {
        ngx_stomp_zone_lock(&queue.zone);
        rc = ngx_stomp_slot_reap_locked(&queue_b[QUEUE_SLOTS - 1 - worker],
                                        &queue.zone.sh->slots[worker]);
        ngx_stomp_dispatch_unlock(&queue_b[QUEUE_SLOTS - 1 - worker]);
    } while (rc == NGX_AGAIN);
}
