
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_credit.h>


static void ngx_stomp_consumer_ready_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_consumer_sh_t *consumer);
static void ngx_stomp_ring_add_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_queue_sh_t *queue, uint32_t consumer);
static void ngx_stomp_ring_remove_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_queue_sh_t *queue, uint32_t consumer);
static void ngx_stomp_work_add_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_slot_sh_t *slot, uint32_t consumer);
static void ngx_stomp_work_remove_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_slot_sh_t *slot, ngx_stomp_consumer_sh_t *consumer);


uint32_t
ngx_stomp_consumer_create_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_queue_sh_t *queue, ngx_uint_t slot, uint32_t tag,
    uint32_t credit, uint32_t window)
{
    uint32_t                  offset;
    ngx_stomp_dest_sh_t      *dest;
    ngx_stomp_slot_sh_t      *owner;
    ngx_stomp_consumer_sh_t  *consumer, *first;

    offset = ngx_stomp_alloc_locked(zone, sizeof(ngx_stomp_consumer_sh_t));
    if (offset == 0) {
        return 0;
    }

    owner = &zone->sh->slots[slot];
    dest = ngx_stomp_zone_ptr(zone, queue->dest);
    consumer = ngx_stomp_zone_ptr(zone, offset);

    ngx_memzero(consumer, sizeof(ngx_stomp_consumer_sh_t));
    consumer->slot_next = owner->consumers;
    consumer->queue = ngx_stomp_zone_offset(zone, queue);
    consumer->slot = (uint32_t) slot;
    consumer->tag = tag;
    consumer->credit = credit;
    consumer->window = window;

    if (consumer->slot_next) {
        first = ngx_stomp_zone_ptr(zone, consumer->slot_next);
        ngx_stomp_set(zone, &first->slot_prev, offset);
    }

    ngx_stomp_set(zone, &owner->consumers, offset);
    ngx_stomp_set(zone, &owner->nsubscriptions, owner->nsubscriptions + 1);
    ngx_stomp_set(zone, &dest->subscribers, dest->subscribers + 1);
    ngx_stomp_set(zone, &queue->consumers, queue->consumers + 1);

    ngx_stomp_consumer_ready_locked(zone, consumer);

    return offset;
}


void
ngx_stomp_consumer_free_locked(ngx_stomp_zone_t *zone, uint32_t offset)
{
    ngx_stomp_dest_sh_t      *dest;
    ngx_stomp_slot_sh_t      *owner;
    ngx_stomp_queue_sh_t     *queue;
    ngx_stomp_consumer_sh_t  *consumer, *other;

    consumer = ngx_stomp_zone_ptr(zone, offset);
    owner = &zone->sh->slots[consumer->slot];
    queue = ngx_stomp_zone_ptr(zone, consumer->queue);
    dest = ngx_stomp_zone_ptr(zone, queue->dest);

    ngx_stomp_consumer_stop_locked(zone, consumer);

    if (consumer->slot_prev) {
        other = ngx_stomp_zone_ptr(zone, consumer->slot_prev);
        ngx_stomp_set(zone, &other->slot_next, consumer->slot_next);

    } else {
        ngx_stomp_set(zone, &owner->consumers, consumer->slot_next);
    }

    if (consumer->slot_next) {
        other = ngx_stomp_zone_ptr(zone, consumer->slot_next);
        ngx_stomp_set(zone, &other->slot_prev, consumer->slot_prev);
    }

    ngx_stomp_set(zone, &owner->nsubscriptions, owner->nsubscriptions - 1);
    ngx_stomp_set(zone, &dest->subscribers, dest->subscribers - 1);
    ngx_stomp_set(zone, &queue->consumers, queue->consumers - 1);

    ngx_stomp_free_locked(zone, offset);

    ngx_stomp_queue_unref_locked(zone, queue);
}


void
ngx_stomp_consumer_stop_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_consumer_sh_t *consumer)
{
    if (consumer->window) {
        ngx_stomp_set(zone, &consumer->window, 0);
    }

    ngx_stomp_consumer_ready_locked(zone, consumer);
}


/* who has credit stands on the ring, and nobody else */

static void
ngx_stomp_consumer_ready_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_consumer_sh_t *consumer)
{
    ngx_uint_t             ready;
    ngx_stomp_queue_sh_t  *queue;

    ready = (consumer->credit && consumer->bytes < consumer->window);

    if (ready == (consumer->ready_next != 0)) {
        return;
    }

    queue = ngx_stomp_zone_ptr(zone, consumer->queue);

    if (ready) {
        ngx_stomp_ring_add_locked(zone, queue,
                                  ngx_stomp_zone_offset(zone, consumer));
        ngx_stomp_queue_todo_locked(zone, queue);

    } else {
        ngx_stomp_ring_remove_locked(zone, queue,
                                     ngx_stomp_zone_offset(zone, consumer));
    }
}


/* behind all others */

static void
ngx_stomp_ring_add_locked(ngx_stomp_zone_t *zone, ngx_stomp_queue_sh_t *queue,
    uint32_t offset)
{
    ngx_stomp_consumer_sh_t  *consumer, *first, *last;

    consumer = ngx_stomp_zone_ptr(zone, offset);

    if (queue->ready == 0) {
        ngx_stomp_set(zone, &consumer->ready_next, offset);
        ngx_stomp_set(zone, &consumer->ready_prev, offset);
        ngx_stomp_set(zone, &queue->ready, offset);
        return;
    }

    first = ngx_stomp_zone_ptr(zone, queue->ready);
    last = ngx_stomp_zone_ptr(zone, first->ready_prev);

    ngx_stomp_set(zone, &consumer->ready_next, queue->ready);
    ngx_stomp_set(zone, &consumer->ready_prev, first->ready_prev);
    ngx_stomp_set(zone, &last->ready_next, offset);
    ngx_stomp_set(zone, &first->ready_prev, offset);
}


static void
ngx_stomp_ring_remove_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_queue_sh_t *queue, uint32_t offset)
{
    ngx_stomp_consumer_sh_t  *consumer, *other;

    consumer = ngx_stomp_zone_ptr(zone, offset);

    if (consumer->ready_next == offset) {
        ngx_stomp_set(zone, &queue->ready, 0);

    } else {
        other = ngx_stomp_zone_ptr(zone, consumer->ready_prev);
        ngx_stomp_set(zone, &other->ready_next, consumer->ready_next);

        other = ngx_stomp_zone_ptr(zone, consumer->ready_next);
        ngx_stomp_set(zone, &other->ready_prev, consumer->ready_prev);

        if (queue->ready == offset) {
            ngx_stomp_set(zone, &queue->ready, consumer->ready_next);
        }
    }

    ngx_stomp_set(zone, &consumer->ready_next, 0);
    ngx_stomp_set(zone, &consumer->ready_prev, 0);
}


void
ngx_stomp_consumer_push_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_consumer_sh_t *consumer, uint32_t offset)
{
    ngx_stomp_entry_sh_t   *entry, *tail;
    ngx_stomp_queue_sh_t   *queue;
    ngx_stomp_queues_sh_t  *queues;

    queue = ngx_stomp_zone_ptr(zone, consumer->queue);
    entry = ngx_stomp_zone_ptr(zone, offset);
    queues = &zone->sh->queues;

    ngx_stomp_set(zone, &entry->consumer,
                  ngx_stomp_zone_offset(zone, consumer));
    ngx_stomp_set(zone, &entry->next, 0);
    ngx_stomp_set(zone, &entry->prev, consumer->tail);

    if (consumer->tail) {
        tail = ngx_stomp_zone_ptr(zone, consumer->tail);
        ngx_stomp_set(zone, &tail->next, offset);

    } else {
        ngx_stomp_set(zone, &consumer->head, offset);
    }

    ngx_stomp_set(zone, &consumer->tail, offset);

    if (consumer->fresh == 0) {
        ngx_stomp_set(zone, &consumer->fresh, offset);
        ngx_stomp_work_add_locked(zone, &zone->sh->slots[consumer->slot],
                                  ngx_stomp_zone_offset(zone, consumer));
    }

    ngx_stomp_set(zone, &consumer->credit, consumer->credit - 1);
    ngx_stomp_set(zone, &consumer->bytes, consumer->bytes + entry->bytes);
    ngx_stomp_set(zone, &queue->unsettled, queue->unsettled + 1);
    ngx_stomp_set(zone, &queues->unsettled, queues->unsettled + 1);

    /* it was the first: it is the last now, if it still has credit */

    ngx_stomp_set(zone, &queue->ready, consumer->ready_next);
    ngx_stomp_consumer_ready_locked(zone, consumer);
}


void
ngx_stomp_consumer_remove_locked(ngx_stomp_zone_t *zone, uint32_t offset)
{
    ngx_stomp_entry_sh_t     *entry, *other;
    ngx_stomp_queue_sh_t     *queue;
    ngx_stomp_queues_sh_t    *queues;
    ngx_stomp_consumer_sh_t  *consumer;

    entry = ngx_stomp_zone_ptr(zone, offset);
    consumer = ngx_stomp_zone_ptr(zone, entry->consumer);
    queue = ngx_stomp_zone_ptr(zone, consumer->queue);
    queues = &zone->sh->queues;

    if (consumer->fresh == offset) {
        ngx_stomp_consumer_taken_locked(zone, consumer);
    }

    if (entry->prev) {
        other = ngx_stomp_zone_ptr(zone, entry->prev);
        ngx_stomp_set(zone, &other->next, entry->next);

    } else {
        ngx_stomp_set(zone, &consumer->head, entry->next);
    }

    if (entry->next) {
        other = ngx_stomp_zone_ptr(zone, entry->next);
        ngx_stomp_set(zone, &other->prev, entry->prev);

    } else {
        ngx_stomp_set(zone, &consumer->tail, entry->prev);
    }

    ngx_stomp_set(zone, &entry->next, 0);
    ngx_stomp_set(zone, &entry->prev, 0);
    ngx_stomp_set(zone, &entry->consumer, 0);

    ngx_stomp_set(zone, &consumer->credit, consumer->credit + 1);
    ngx_stomp_set(zone, &consumer->bytes, consumer->bytes - entry->bytes);
    ngx_stomp_set(zone, &queue->unsettled, queue->unsettled - 1);
    ngx_stomp_set(zone, &queues->unsettled, queues->unsettled - 1);

    ngx_stomp_consumer_ready_locked(zone, consumer);
}


void
ngx_stomp_consumer_taken_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_consumer_sh_t *consumer)
{
    ngx_stomp_entry_sh_t  *entry;

    entry = ngx_stomp_zone_ptr(zone, consumer->fresh);

    ngx_stomp_set(zone, &consumer->fresh, entry->next);

    if (consumer->fresh == 0) {
        ngx_stomp_work_remove_locked(zone, &zone->sh->slots[consumer->slot],
                                     consumer);
    }
}


static void
ngx_stomp_work_add_locked(ngx_stomp_zone_t *zone, ngx_stomp_slot_sh_t *slot,
    uint32_t offset)
{
    ngx_stomp_consumer_sh_t  *consumer, *tail;

    consumer = ngx_stomp_zone_ptr(zone, offset);

    if (slot->work) {
        tail = ngx_stomp_zone_ptr(zone, slot->work_tail);
        ngx_stomp_set(zone, &tail->work_next, offset);

    } else {
        ngx_stomp_set(zone, &slot->work, offset);
    }

    ngx_stomp_set(zone, &consumer->work_prev, slot->work_tail);
    ngx_stomp_set(zone, &consumer->work_next, 0);
    ngx_stomp_set(zone, &slot->work_tail, offset);
}


static void
ngx_stomp_work_remove_locked(ngx_stomp_zone_t *zone, ngx_stomp_slot_sh_t *slot,
    ngx_stomp_consumer_sh_t *consumer)
{
    ngx_stomp_consumer_sh_t  *other;

    if (consumer->work_prev) {
        other = ngx_stomp_zone_ptr(zone, consumer->work_prev);
        ngx_stomp_set(zone, &other->work_next, consumer->work_next);

    } else {
        ngx_stomp_set(zone, &slot->work, consumer->work_next);
    }

    if (consumer->work_next) {
        other = ngx_stomp_zone_ptr(zone, consumer->work_next);
        ngx_stomp_set(zone, &other->work_prev, consumer->work_prev);

    } else {
        ngx_stomp_set(zone, &slot->work_tail, consumer->work_prev);
    }
}
