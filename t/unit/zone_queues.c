
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <zone_check.h>
#include <zone_walk.h>


static int zone_check_entry(zone_walk_t *w, uint32_t offset, uint32_t queue,
    uint32_t consumer);
static int zone_check_list(zone_walk_t *w, ngx_stomp_queue_sh_t *queue,
    uint32_t offset);
static int zone_check_heap(zone_walk_t *w, ngx_stomp_queue_sh_t *queue,
    uint32_t offset, uint64_t above);
static int zone_check_ring(zone_walk_t *w, ngx_stomp_queue_sh_t *queue,
    uint32_t offset);
static int zone_check_consumer(zone_walk_t *w, uint32_t offset);
static int zone_check_work(zone_walk_t *w, uint32_t n);


/* what is left to be found elsewhere: all of it is to be 0 at the end */

static int64_t   zone_consumers, zone_ready, zone_unsettled, zone_todo;
static uint32_t  zone_waiting, zone_nqueues;
static uint64_t  zone_bytes, zone_queue_bytes;


void
zone_check_queues_start(void)
{
    zone_consumers = 0;
    zone_ready = 0;
    zone_unsettled = 0;
    zone_todo = 0;
    zone_waiting = 0;
    zone_nqueues = 0;
    zone_bytes = 0;
}


int
zone_check_queue(zone_walk_t *w, ngx_stomp_dest_sh_t *dest, uint32_t offset)
{
    uint32_t               waiting;
    ngx_stomp_queue_sh_t  *queue;

    if (!zone_mark(w, dest->interests, sizeof(ngx_stomp_queue_sh_t),
                   ZONE_QUEUE, "queue"))
    {
        return 0;
    }

    queue = ngx_stomp_zone_ptr(w->zone, dest->interests);

    if (queue->dest != offset || queue->todo > 1) {
        return zone_fail(w, "queue at %u is damaged", dest->interests);
    }

    if (queue->consumers == 0 && queue->waiting == 0) {
        return zone_fail(w, "queue at %u has neither messages nor consumers",
                         dest->interests);
    }

    if (dest->subscribers != queue->consumers) {
        return zone_fail(w, "queue at %u: %u consumers, %u subscribers",
                         dest->interests, queue->consumers,
                         dest->subscribers);
    }

    if (queue->waiting && queue->ready && !queue->todo) {
        return zone_fail(w, "queue at %u could be dispatched, but nobody "
                         "knows", dest->interests);
    }

    waiting = zone_waiting;
    zone_queue_bytes = 0;

    if (!zone_check_list(w, queue, dest->interests)
        || !zone_check_heap(w, queue, queue->returned, 0)
        || !zone_check_ring(w, queue, dest->interests))
    {
        return 0;
    }

    if (zone_waiting - waiting != queue->waiting
        || zone_queue_bytes != queue->bytes)
    {
        return zone_fail(w, "queue at %u counts %u messages, %llu octets, has "
                         "%u, %llu", dest->interests, queue->waiting,
                         (long long) queue->bytes, zone_waiting - waiting,
                         (long long) zone_queue_bytes);
    }

    zone_nqueues++;
    zone_consumers += queue->consumers;
    zone_unsettled += queue->unsettled;
    zone_todo += queue->todo;

    return 1;
}


static int
zone_check_entry(zone_walk_t *w, uint32_t offset, uint32_t queue,
    uint32_t consumer)
{
    uint32_t              *held;
    ngx_stomp_entry_sh_t  *entry;

    if (!zone_mark(w, offset, sizeof(ngx_stomp_entry_sh_t), ZONE_ENTRY,
                   "entry"))
    {
        return 0;
    }

    entry = ngx_stomp_zone_ptr(w->zone, offset);

    if (entry->queue != queue || entry->consumer != consumer
        || entry->sequence == 0 || entry->sequence > w->sh->sequence
        || entry->bytes == 0 || entry->bytes % ZONE_GRAIN
        || entry->batch_bytes == 0 || entry->batch_bytes % ZONE_GRAIN)
    {
        return zone_fail(w, "entry at %u is damaged", offset);
    }

    if (!zone_check_batch(w, entry->batch, NULL, 0)) {
        return 0;
    }

    /* a batch counts once */

    held = &w->held[zone_index(w, entry->batch)];

    if ((*held & NGX_STOMP_HELD_ENTRIES) == 0) {
        zone_bytes += entry->batch_bytes;
    }

    *held += NGX_STOMP_HELD_ENTRY;
    zone_bytes += ngx_stomp_arena_size(sizeof(ngx_stomp_entry_sh_t));

    if (!zone_inside(w, entry->message)
        || w->marks[zone_index(w, entry->message)] != ZONE_MESSAGE)
    {
        return zone_fail(w, "entry at %u has no message", offset);
    }

    return 1;
}


static int
zone_check_list(zone_walk_t *w, ngx_stomp_queue_sh_t *queue, uint32_t self)
{
    uint32_t               offset, tail;
    uint64_t               last;
    ngx_stomp_entry_sh_t  *entry;

    tail = 0;
    last = 0;

    for (offset = queue->head; offset; offset = entry->next) {

        if (!zone_check_entry(w, offset, self, 0)) {
            return 0;
        }

        entry = ngx_stomp_zone_ptr(w->zone, offset);

        if (entry->sequence <= last || entry->prev || entry->deliveries
            || entry->rank != 1)
        {
            return zone_fail(w, "entry at %u is none of a list", offset);
        }

        last = entry->sequence;
        tail = offset;
        zone_waiting++;
        zone_queue_bytes += entry->bytes;
    }

    if (tail != queue->tail) {
        return zone_fail(w, "queue at %u has a wrong tail", self);
    }

    return 1;
}


static int
zone_check_heap(zone_walk_t *w, ngx_stomp_queue_sh_t *queue, uint32_t offset,
    uint64_t above)
{
    uint32_t               left, right;
    ngx_stomp_entry_sh_t  *entry, *other;

    if (offset == 0) {
        return 1;
    }

    if (!zone_check_entry(w, offset, ngx_stomp_zone_offset(w->zone, queue),
                          0))
    {
        return 0;
    }

    entry = ngx_stomp_zone_ptr(w->zone, offset);

    zone_waiting++;
    zone_queue_bytes += entry->bytes;

    if (!zone_check_heap(w, queue, entry->next, entry->sequence)
        || !zone_check_heap(w, queue, entry->prev, entry->sequence))
    {
        return 0;
    }

    other = ngx_stomp_zone_ptr(w->zone, entry->next);
    left = entry->next ? other->rank : 0;

    other = ngx_stomp_zone_ptr(w->zone, entry->prev);
    right = entry->prev ? other->rank : 0;

    if (entry->sequence < above || left < right || entry->rank != right + 1) {
        return zone_fail(w, "entry at %u is in the wrong place of its heap",
                         offset);
    }

    return 1;
}


static int
zone_check_ring(zone_walk_t *w, ngx_stomp_queue_sh_t *queue, uint32_t self)
{
    uint32_t                  offset, prev;
    ngx_stomp_consumer_sh_t  *consumer;

    offset = queue->ready;
    prev = 0;

    if (offset == 0) {
        return 1;
    }

    do {
        if (!zone_inside(w, offset)) {
            return zone_fail(w, "queue at %u has a ring outside", self);
        }

        consumer = ngx_stomp_zone_ptr(w->zone, offset);

        if (consumer->queue != self || (prev && consumer->ready_prev != prev)
            || consumer->credit == 0
            || consumer->bytes >= consumer->window
            || ++zone_ready > (int64_t) w->sh->arena.pages * 64)
        {
            return zone_fail(w, "consumer at %u is wrong in its ring", offset);
        }

        prev = offset;
        offset = consumer->ready_next;

    } while (offset != queue->ready);

    consumer = ngx_stomp_zone_ptr(w->zone, offset);

    if (consumer->ready_prev != prev) {
        return zone_fail(w, "ring of queue at %u is not closed", self);
    }

    return 1;
}


int
zone_check_slot_consumers(zone_walk_t *w, uint32_t n, uint32_t *count)
{
    uint32_t                  offset, prev;
    ngx_stomp_consumer_sh_t  *consumer;

    prev = 0;

    for (offset = w->sh->slots[n].consumers; offset;
         offset = consumer->slot_next)
    {
        if (!zone_mark(w, offset, sizeof(ngx_stomp_consumer_sh_t),
                       ZONE_CONSUMER, "consumer"))
        {
            return 0;
        }

        consumer = ngx_stomp_zone_ptr(w->zone, offset);

        if (consumer->slot != n || consumer->slot_prev != prev) {
            return zone_fail(w, "consumer at %u has wrong links of slot %u",
                             offset, n);
        }

        if (!zone_inside(w, consumer->queue)
            || w->marks[zone_index(w, consumer->queue)] != ZONE_QUEUE)
        {
            return zone_fail(w, "consumer at %u has no queue", offset);
        }

        if (!zone_check_consumer(w, offset)) {
            return 0;
        }

        prev = offset;
        zone_consumers--;
        (*count)++;
    }

    return zone_check_work(w, n);
}


static int
zone_check_consumer(zone_walk_t *w, uint32_t self)
{
    uint32_t                  offset, prev, bytes, fresh;
    ngx_stomp_entry_sh_t     *entry;
    ngx_stomp_consumer_sh_t  *consumer;

    consumer = ngx_stomp_zone_ptr(w->zone, self);

    prev = 0;
    bytes = 0;
    fresh = 0;

    for (offset = consumer->head; offset; offset = entry->next) {

        if (!zone_check_entry(w, offset, consumer->queue, self)) {
            return 0;
        }

        entry = ngx_stomp_zone_ptr(w->zone, offset);

        if (entry->prev != prev) {
            return zone_fail(w, "entry at %u has wrong links", offset);
        }

        fresh |= (offset == consumer->fresh);

        if (!fresh && entry->deliveries == 0) {
            return zone_fail(w, "entry at %u was taken, but not counted",
                             offset);
        }

        bytes += entry->bytes;
        prev = offset;
        zone_unsettled--;
    }

    if (consumer->tail != prev || consumer->bytes != bytes
        || fresh != (consumer->fresh != 0))
    {
        return zone_fail(w, "consumer at %u: tail, octets or what is fresh is "
                         "wrong", self);
    }

    if ((consumer->credit && consumer->bytes < consumer->window)
        != (consumer->ready_next != 0))
    {
        return zone_fail(w, "consumer at %u: credit %u, ready %u", self,
                         consumer->credit, consumer->ready_next);
    }

    zone_ready -= (consumer->ready_next != 0);

    return 1;
}


/* consumers with something fresh are on the list, and no others */

static int
zone_check_work(zone_walk_t *w, uint32_t n)
{
    uint32_t                  offset, prev, count;
    ngx_stomp_slot_sh_t      *slot;
    ngx_stomp_consumer_sh_t  *consumer;

    slot = &w->sh->slots[n];
    count = 0;

    for (offset = slot->consumers; offset; offset = consumer->slot_next) {
        consumer = ngx_stomp_zone_ptr(w->zone, offset);
        count += (consumer->fresh != 0);
    }

    prev = 0;

    for (offset = slot->work; offset; offset = consumer->work_next) {

        if (!zone_inside(w, offset)
            || w->marks[zone_index(w, offset)] != ZONE_CONSUMER
            || count-- == 0)
        {
            return zone_fail(w, "slot %u has wrong work at %u", n, offset);
        }

        consumer = ngx_stomp_zone_ptr(w->zone, offset);

        if (consumer->slot != n || consumer->fresh == 0
            || consumer->work_prev != prev)
        {
            return zone_fail(w, "consumer at %u has no work", offset);
        }

        prev = offset;
    }

    if (count || slot->work_tail != prev) {
        return zone_fail(w, "slot %u: %u consumers with work are missed, tail "
                         "%u", n, count, slot->work_tail);
    }

    return 1;
}


int
zone_check_queues_end(zone_walk_t *w)
{
    uint32_t                offset, prev, unsettled;
    ngx_stomp_queue_sh_t   *queue;
    ngx_stomp_queues_sh_t  *queues;

    queues = &w->sh->queues;
    prev = 0;

    for (offset = queues->todo; offset; offset = queue->todo_next) {

        if (!zone_inside(w, offset)
            || w->marks[zone_index(w, offset)] != ZONE_QUEUE)
        {
            return zone_fail(w, "no queue at %u is to be dispatched", offset);
        }

        queue = ngx_stomp_zone_ptr(w->zone, offset);

        if (queue->todo != 1 || queue->todo_prev != prev || zone_todo-- <= 0) {
            return zone_fail(w, "queue at %u is wrong in its list", offset);
        }

        prev = offset;
    }

    unsettled = 0;

    for (offset = 0; offset < NGX_STOMP_SLOTS_MAX; offset++) {
        unsettled += (w->sh->slots[offset].consumers != 0);
    }

    if (queues->todo_tail != prev || zone_todo || zone_consumers || zone_ready
        || zone_unsettled || queues->n != zone_nqueues
        || queues->waiting != zone_waiting || queues->bytes != zone_bytes
        || (queues->unsettled && unsettled == 0))
    {
        return zone_fail(w, "queues: %u, %u waiting, %llu octets; there are "
                         "%u, %u, %llu; left: %d todo, %d consumers, %d ready, "
                         "%d unsettled", queues->n, queues->waiting,
                         (long long) queues->bytes, zone_nqueues,
                         zone_waiting, (long long) zone_bytes,
                         (int) zone_todo, (int) zone_consumers,
                         (int) zone_ready, (int) zone_unsettled);
    }

    return 1;
}
