
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_broker_private.h>
#include <ngx_stomp_credit.h>
#include <ngx_stomp_dispatch.h>


/* messages that go for a publication in one section, and such sections */
#define NGX_STOMP_DROP_MAX      8
#define NGX_STOMP_DROP_SECTIONS 1024

/* what all queues may take of the pages, in quarters */
#define NGX_STOMP_QUEUES_SHARE  3

#define ngx_stomp_dispatch_limit(zone)                                        \
    ((uint64_t) (zone)->sh->arena.pages * NGX_STOMP_PAGE_SIZE                 \
     / 4 * NGX_STOMP_QUEUES_SHARE)


static ngx_uint_t ngx_stomp_dispatch_queue_locked(ngx_stomp_broker_t *b,
    ngx_stomp_queue_sh_t *queue, ngx_uint_t n);
static void ngx_stomp_dispatch_wake_locked(ngx_stomp_broker_t *b,
    uint32_t slot);
static ngx_int_t ngx_stomp_dispatch_room_locked(ngx_stomp_broker_t *b,
    ngx_stomp_queue_sh_t *queue, ngx_stomp_queue_conf_t *qcf, size_t bytes,
    size_t added);
static ngx_uint_t ngx_stomp_dispatch_drop_locked(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p, uint64_t bytes);
static ngx_stomp_queue_conf_t *ngx_stomp_dispatch_conf_locked(
    ngx_stomp_broker_t *b, ngx_stomp_queue_sh_t *queue);
static void ngx_stomp_dispatch_back_locked(ngx_stomp_broker_t *b,
    uint32_t entry, ngx_uint_t counted);
static ngx_int_t ngx_stomp_dispatch_dead_locked(ngx_stomp_broker_t *b,
    ngx_stomp_queue_sh_t *queue, uint32_t entry, ngx_stomp_queue_conf_t *qcf);
static void ngx_stomp_dispatch_untake(ngx_stomp_broker_t *b,
    uint32_t consumer, ngx_uint_t counted);
static void ngx_stomp_settle_locked(ngx_stomp_broker_t *b,
    ngx_stomp_settle_t *item);


ngx_stomp_queue_conf_t *
ngx_stomp_broker_queue_conf(ngx_stomp_broker_conf_t *conf, ngx_str_t *name)
{
    ngx_uint_t               i;
    ngx_stomp_queue_conf_t  *qcf;

    qcf = conf->queues.elts;

    for (i = 0; i < conf->queues.nelts; i++) {
        if (name->len > qcf[i].prefix.len
            && ngx_memcmp(name->data, qcf[i].prefix.data, qcf[i].prefix.len)
               == 0)
        {
            return &qcf[i];
        }
    }

    return NULL;
}


void
ngx_stomp_dispatch_locked(ngx_stomp_broker_t *b)
{
    ngx_uint_t             n;
    ngx_stomp_zone_t      *zone;
    ngx_stomp_queue_sh_t  *queue;

    zone = &b->zone;
    n = NGX_STOMP_DISPATCH_MAX;

    while (zone->sh->queues.todo && n && !ngx_stomp_notes_low(zone)) {

        queue = ngx_stomp_zone_ptr(zone, zone->sh->queues.todo);

        n = ngx_stomp_dispatch_queue_locked(b, queue, n);

        /* what is left goes behind the others */

        ngx_stomp_queue_done_locked(zone, queue);
        ngx_stomp_queue_todo_locked(zone, queue);
    }

    if (zone->sh->queues.todo) {
        b->rest = 1;
    }
}


/* returns how many of n are left */

static ngx_uint_t
ngx_stomp_dispatch_queue_locked(ngx_stomp_broker_t *b,
    ngx_stomp_queue_sh_t *queue, ngx_uint_t n)
{
    uint32_t                  offset;
    ngx_stomp_zone_t         *zone;
    ngx_stomp_entry_sh_t     *entry;
    ngx_stomp_consumer_sh_t  *consumer;

    zone = &b->zone;

    while (n && queue->waiting && queue->ready && !ngx_stomp_notes_low(zone)) {

        consumer = ngx_stomp_zone_ptr(zone, queue->ready);

        /* its worker is gone, and what it has will be given back */

        if (zone->sh->slots[consumer->slot].state != NGX_STOMP_SLOT_LIVE) {
            ngx_stomp_consumer_stop_locked(zone, consumer);
            continue;
        }

        offset = ngx_stomp_queue_pop_locked(zone, queue);

        entry = ngx_stomp_zone_ptr(zone, offset);

        n--;

        if (ngx_stomp_message_expired(zone, entry->message)) {
            b->nexpired++;
            ngx_stomp_entry_free_locked(zone, offset);
            continue;
        }

        if (entry->deliveries) {
            zone->sh->counters.redelivered++;
        }

        ngx_stomp_consumer_push_locked(zone, consumer, offset);
        ngx_stomp_dispatch_wake_locked(b, consumer->slot);
    }

    return n;
}


static void
ngx_stomp_dispatch_wake_locked(ngx_stomp_broker_t *b, uint32_t n)
{
    ngx_stomp_slot_sh_t  *slot;

    if (n == b->slot) {
        b->rest = 1;
        return;
    }

    slot = &b->zone.sh->slots[n];

    if (!slot->awake) {
        ngx_stomp_set(&b->zone, &slot->awake, 1);
        b->wake[b->nwake++] = (uint16_t) n;
    }
}


ngx_int_t
ngx_stomp_dispatch_push_locked(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p, uint32_t message, uint32_t batch,
    uint32_t batch_bytes)
{
    size_t                 bytes, added;
    ngx_int_t              rc;
    ngx_stomp_zone_t      *zone;
    ngx_stomp_dest_sh_t   *dest;
    ngx_stomp_queue_sh_t  *queue;

    zone = &b->zone;

    queue = ngx_stomp_queue_ref_locked(zone, &p->destination, p->hash);
    if (queue == NULL) {
        return NGX_BUSY;
    }

    dest = ngx_stomp_zone_ptr(zone, queue->dest);
    bytes = ngx_stomp_queue_octets(p);
    added = ngx_stomp_queue_added_locked(zone, batch, batch_bytes);

    p->subscribers = dest->subscribers;

    rc = ngx_stomp_dispatch_room_locked(b, queue, p->queue, bytes, added);

    if (ngx_stomp_notes_low(zone)) {
        return NGX_ABORT;
    }

    if (rc != NGX_OK) {
        p->full = 1;
        return NGX_BUSY;
    }

    if (ngx_stomp_queue_push_locked(zone, queue, message, batch,
                                    (uint32_t) bytes, batch_bytes)
        != NGX_OK)
    {
        return NGX_BUSY;
    }

    ngx_stomp_queue_todo_locked(zone, queue);

    return NGX_OK;
}


ngx_int_t
ngx_stomp_dispatch_publish(ngx_stomp_broker_t *b, ngx_stomp_publication_t *p)
{
    size_t                   bytes;
    uint32_t                 offset;
    ngx_int_t                rc;
    ngx_stomp_zone_t        *zone;
    ngx_stomp_message_sh_t  *message;

    zone = &b->zone;

    ngx_stomp_zone_lock(zone);

    ngx_stomp_broker_release_locked(b);

    p->sequence = zone->sh->sequence + 1;

    ngx_stomp_publish_count_locked(b, 1);

    offset = ngx_stomp_message_create_locked(zone, p);
    rc = NGX_BUSY;

    if (offset) {
        message = ngx_stomp_zone_ptr(zone, offset);
        message->sequence = p->sequence;

        bytes = ngx_stomp_queue_octets(p)
                - ngx_stomp_arena_size(sizeof(ngx_stomp_entry_sh_t));

        rc = ngx_stomp_dispatch_push_locked(b, p, offset, offset,
                                            (uint32_t) bytes);
    }

    if (rc != NGX_OK) {
        ngx_stomp_publish_undo(b);
        return rc;
    }

    ngx_stomp_dispatch_locked(b);
    ngx_stomp_dispatch_unlock(b);

    return NGX_OK;
}


/*
 * Whether so many octets have room in the queue, and those that are added to
 * the octets of all queues.  NGX_OK or NGX_BUSY.
 */

static ngx_int_t
ngx_stomp_dispatch_room_locked(ngx_stomp_broker_t *b,
    ngx_stomp_queue_sh_t *queue, ngx_stomp_queue_conf_t *qcf, size_t bytes,
    size_t added)
{
    uint64_t               limit;
    ngx_uint_t             n, expired;
    ngx_stomp_zone_t      *zone;
    ngx_stomp_entry_sh_t  *entry;

    zone = &b->zone;

    limit = ngx_stomp_dispatch_limit(zone);

    for (n = 0; /* void */ ; n++) {

        if ((qcf->max_length == 0 || queue->waiting < qcf->max_length)
            && (qcf->max_bytes == 0 || queue->bytes + bytes <= qcf->max_bytes)
            && zone->sh->queues.bytes + added <= limit)
        {
            return NGX_OK;
        }

        if (queue->waiting == 0 || n == NGX_STOMP_DROP_MAX
            || ngx_stomp_notes_low(zone))
        {
            return NGX_BUSY;
        }

        /* what a consumer may have, also of this batch, doesn't wait */

        if (queue->ready) {
            (void) ngx_stomp_dispatch_queue_locked(b, queue, 1);
            continue;
        }

        entry = ngx_stomp_zone_ptr(zone, queue->returned ? queue->returned
                                                         : queue->head);
        expired = ngx_stomp_message_expired(zone, entry->message);

        if (!expired && !qcf->drop_oldest) {
            return NGX_BUSY;
        }

        ngx_stomp_entry_free_locked(zone, ngx_stomp_queue_pop_locked(zone,
                                                                     queue));
        if (expired) {
            b->nexpired++;

        } else {
            b->noverflowed++;
        }
    }
}


ngx_uint_t
ngx_stomp_dispatch_drop(ngx_stomp_broker_t *b, ngx_stomp_publication_t *p,
    ngx_uint_t n)
{
    uint64_t                  bytes;
    ngx_uint_t                i, dropped, total;
    ngx_stomp_publication_t  *last;

    last = &p[n - 1];
    bytes = 0;

    for (i = 0; i < n; i++) {
        if (p[i].hash == last->hash
            && p[i].destination.len == last->destination.len
            && ngx_memcmp(p[i].destination.data, last->destination.data,
                          last->destination.len)
               == 0)
        {
            bytes += ngx_stomp_queue_octets(&p[i]);
        }
    }

    total = 0;

    for (i = 0; i < NGX_STOMP_DROP_SECTIONS; i++) {

        ngx_stomp_zone_lock(&b->zone);

        dropped = ngx_stomp_dispatch_drop_locked(b, last, bytes);

        ngx_stomp_dispatch_unlock(b);

        if (dropped == 0) {
            break;
        }

        total += dropped;
    }

    return total;
}


/* a slice; returns the number of messages */

static ngx_uint_t
ngx_stomp_dispatch_drop_locked(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p, uint64_t bytes)
{
    uint32_t               waiting;
    ngx_uint_t             dropped;
    ngx_stomp_zone_t      *zone;
    ngx_stomp_dest_sh_t   *dest;
    ngx_stomp_queue_sh_t  *queue;

    zone = &b->zone;

    dest = ngx_stomp_dest_find_locked(zone, &p->destination, p->hash,
                                      NGX_STOMP_KIND_QUEUE);
    if (dest == NULL) {
        return 0;
    }

    queue = ngx_stomp_zone_ptr(zone, dest->interests);

    /* nothing is dropped for what has no room in the end */

    if ((p->queue->max_bytes && bytes > p->queue->max_bytes)
        || zone->sh->queues.bytes - queue->bytes + bytes
           > ngx_stomp_dispatch_limit(zone))
    {
        return 0;
    }

    waiting = queue->waiting;

    (void) ngx_stomp_dispatch_room_locked(b, queue, p->queue, (size_t) bytes,
                                          (size_t) bytes);

    dropped = waiting - queue->waiting;

    ngx_stomp_queue_unref_locked(zone, queue);

    return dropped;
}


/* NULL: no queue of that name is configured any more */

static ngx_stomp_queue_conf_t *
ngx_stomp_dispatch_conf_locked(ngx_stomp_broker_t *b,
    ngx_stomp_queue_sh_t *queue)
{
    ngx_str_t             name;
    ngx_stomp_dest_sh_t  *dest;

    dest = ngx_stomp_zone_ptr(&b->zone, queue->dest);

    name.len = dest->len;
    name.data = dest->name;

    return ngx_stomp_broker_queue_conf(b->conf, &name);
}


/* an entry that is on no list goes back to its queue, or to the dead */

static void
ngx_stomp_dispatch_back_locked(ngx_stomp_broker_t *b, uint32_t offset,
    ngx_uint_t counted)
{
    uint32_t                 n;
    ngx_stomp_zone_t        *zone;
    ngx_stomp_entry_sh_t    *entry;
    ngx_stomp_queue_sh_t    *queue;
    ngx_stomp_queue_conf_t  *qcf;

    zone = &b->zone;
    entry = ngx_stomp_zone_ptr(zone, offset);
    queue = ngx_stomp_zone_ptr(zone, entry->queue);

    n = entry->deliveries & ~NGX_STOMP_ENTRY_REDELIVERED;
    qcf = ngx_stomp_dispatch_conf_locked(b, queue);

    if (counted && qcf != NULL && qcf->max_deliveries
        && n >= qcf->max_deliveries)
    {
        b->ndead++;

        if (ngx_stomp_dispatch_dead_locked(b, queue, offset, qcf) != NGX_OK) {
            ngx_stomp_entry_free_locked(zone, offset);
        }

        return;
    }

    ngx_stomp_queue_return_locked(zone, queue, offset);
    ngx_stomp_queue_todo_locked(zone, queue);
}


/* NGX_OK: it is in the dead-letter queue;  NGX_DECLINED: it is to be dropped */

static ngx_int_t
ngx_stomp_dispatch_dead_locked(ngx_stomp_broker_t *b,
    ngx_stomp_queue_sh_t *queue, uint32_t offset, ngx_stomp_queue_conf_t *qcf)
{
    uint32_t                 hash;
    ngx_stomp_zone_t        *zone;
    ngx_stomp_entry_sh_t    *entry;
    ngx_stomp_queue_sh_t    *to;
    ngx_stomp_queue_conf_t  *dead;

    zone = &b->zone;

    if (qcf->dead_letter.len == 0) {
        return NGX_DECLINED;
    }

    dead = ngx_stomp_broker_queue_conf(b->conf, &qcf->dead_letter);
    if (dead == NULL) {
        return NGX_DECLINED;
    }

    hash = ngx_stomp_dest_hash(zone, &qcf->dead_letter);

    to = ngx_stomp_queue_ref_locked(zone, &qcf->dead_letter, hash);
    if (to == NULL || to == queue) {
        return NGX_DECLINED;
    }

    /* its octets count for all queues together already */

    if (ngx_stomp_dispatch_room_locked(b, to, dead, 0, 0) != NGX_OK) {
        return NGX_DECLINED;
    }

    entry = ngx_stomp_zone_ptr(zone, offset);

    ngx_stomp_set(zone, &entry->queue, ngx_stomp_zone_offset(zone, to));
    ngx_stomp_set(zone, &entry->deliveries, 0);

    ngx_stomp_queue_return_locked(zone, to, offset);
    ngx_stomp_queue_todo_locked(zone, to);

    return NGX_OK;
}


void
ngx_stomp_dispatch_take_locked(ngx_stomp_broker_t *b,
    ngx_stomp_slot_sh_t *own)
{
    uint32_t                  bytes;
    ngx_stomp_zone_t         *zone;
    ngx_stomp_taken_t        *taken;
    ngx_stomp_entry_sh_t     *entry;
    ngx_stomp_consumer_sh_t  *consumer;

    zone = &b->zone;
    bytes = 0;

    while (own->work && b->ntaken < NGX_STOMP_TAKE_MAX) {

        consumer = ngx_stomp_zone_ptr(zone, own->work);
        entry = ngx_stomp_zone_ptr(zone, consumer->fresh);

        bytes += entry->bytes;

        if (b->ntaken && bytes > NGX_STOMP_INHAND_MAX) {
            break;
        }

        taken = &b->taken[b->ntaken++];

        taken->entry = consumer->fresh;
        taken->consumer = own->work;
        taken->message = entry->message;
        taken->tag = consumer->tag;
        taken->redelivered = (entry->deliveries != 0);

        ngx_stomp_set(zone, &entry->deliveries,
                      (entry->deliveries + 1) | NGX_STOMP_ENTRY_REDELIVERED);

        ngx_stomp_consumer_taken_locked(zone, consumer);
    }
}


/* an entry that a consumer of this worker has holds its message */

void
ngx_stomp_dispatch_hand(ngx_stomp_broker_t *b)
{
    ngx_uint_t            i;
    ngx_stomp_taken_t     taken;
    ngx_stomp_message_t   m;

    b->handing = 1;

    for (i = 0; i < b->ntaken; i++) {
        taken = b->taken[i];

        /* from now on it is delivered */

        b->taken[i].entry = 0;

        /* its consumer may have been removed meanwhile */

        if (taken.entry) {
            (void) ngx_stomp_message_open(&b->zone, taken.message, &m);
            b->consume(b->data, &taken, &m);
        }
    }

    b->ntaken = 0;
    b->handing = 0;
}


ngx_int_t
ngx_stomp_consumer_reap_locked(ngx_stomp_broker_t *b, uint32_t offset,
    ngx_uint_t counted)
{
    uint32_t                  first;
    ngx_uint_t                taken;
    ngx_stomp_zone_t         *zone;
    ngx_stomp_entry_sh_t     *entry;
    ngx_stomp_consumer_sh_t  *consumer;

    zone = &b->zone;
    consumer = ngx_stomp_zone_ptr(zone, offset);

    ngx_stomp_consumer_stop_locked(zone, consumer);

    while (consumer->head) {

        if (ngx_stomp_notes_low(zone)) {
            return NGX_AGAIN;
        }

        first = consumer->head;
        entry = ngx_stomp_zone_ptr(zone, first);
        taken = (consumer->fresh != first);

        ngx_stomp_consumer_remove_locked(zone, first);

        if (taken && !counted) {
            ngx_stomp_set(zone, &entry->deliveries, entry->deliveries - 1);
        }

        ngx_stomp_dispatch_back_locked(b, first, taken && counted);
    }

    ngx_stomp_consumer_free_locked(zone, offset);

    return NGX_OK;
}


uint32_t
ngx_stomp_broker_consume(ngx_stomp_broker_t *b, ngx_str_t *name, uint32_t tag,
    uint32_t credit, uint32_t window)
{
    uint32_t               hash, consumer;
    ngx_uint_t             tries;
    ngx_stomp_zone_t      *zone;
    ngx_stomp_queue_sh_t  *queue;

    if (b->slot == NGX_STOMP_SLOT_NONE) {
        return 0;
    }

    zone = &b->zone;
    hash = ngx_stomp_dest_hash(zone, name);

    for (tries = 0; tries < 2; tries++) {

        ngx_stomp_zone_lock(zone);

        queue = ngx_stomp_queue_ref_locked(zone, name, hash);
        consumer = 0;

        if (queue != NULL) {
            consumer = ngx_stomp_consumer_create_locked(zone, queue, b->slot,
                                                        tag, credit, window);
        }

        if (consumer) {
            ngx_stomp_dispatch_locked(b);
            ngx_stomp_dispatch_unlock(b);
            return consumer;
        }

        ngx_stomp_zone_rollback(zone);
        ngx_stomp_broker_unlock(b);

        ngx_stomp_broker_reclaim(b);
    }

    return 0;
}


void
ngx_stomp_broker_consumer_remove(ngx_stomp_broker_t *b, uint32_t consumer,
    ngx_uint_t counted)
{
    ngx_int_t  rc;

    if (b->slot == NGX_STOMP_SLOT_NONE) {
        return;
    }

    if (b->ntaken) {
        ngx_stomp_dispatch_untake(b, consumer, counted);
    }

    do {
        ngx_stomp_zone_lock(&b->zone);

        rc = ngx_stomp_consumer_reap_locked(b, consumer, counted);

        ngx_stomp_dispatch_locked(b);
        ngx_stomp_dispatch_unlock(b);

    } while (rc == NGX_AGAIN);
}


/*
 * What was taken and not handed out is not delivered: it doesn't count.  Where
 * nothing is to be counted, that is seen to when it is given back.
 */

static void
ngx_stomp_dispatch_untake(ngx_stomp_broker_t *b, uint32_t consumer,
    ngx_uint_t counted)
{
    ngx_uint_t             i;
    ngx_stomp_taken_t     *taken;
    ngx_stomp_entry_sh_t  *entry;

    ngx_stomp_zone_lock(&b->zone);

    for (i = 0; i < b->ntaken; i++) {
        taken = &b->taken[i];

        if (taken->entry == 0 || taken->consumer != consumer) {
            continue;
        }

        if (counted) {
            entry = ngx_stomp_zone_ptr(&b->zone, taken->entry);
            ngx_stomp_set(&b->zone, &entry->deliveries,
                          entry->deliveries - 1);
        }

        taken->entry = 0;
    }

    ngx_stomp_broker_unlock(b);
}


void
ngx_stomp_broker_settle(ngx_stomp_broker_t *b, ngx_stomp_settle_t *items,
    ngx_uint_t n)
{
    ngx_uint_t         i;
    ngx_stomp_zone_t  *zone;

    if (b->slot == NGX_STOMP_SLOT_NONE) {
        return;
    }

    zone = &b->zone;
    i = 0;

    while (i < n) {
        ngx_stomp_zone_lock(zone);

        while (i < n && !ngx_stomp_notes_low(zone)) {
            ngx_stomp_settle_locked(b, &items[i++]);
        }

        ngx_stomp_dispatch_locked(b);
        ngx_stomp_dispatch_unlock(b);
    }
}


static void
ngx_stomp_settle_locked(ngx_stomp_broker_t *b, ngx_stomp_settle_t *item)
{
    ngx_stomp_zone_t      *zone;
    ngx_stomp_entry_sh_t  *entry;

    zone = &b->zone;
    entry = ngx_stomp_zone_ptr(zone, item->entry);

    ngx_stomp_consumer_remove_locked(zone, item->entry);

    switch (item->how) {

    case NGX_STOMP_SETTLE_ACK:
        ngx_stomp_entry_free_locked(zone, item->entry);
        break;

    case NGX_STOMP_SETTLE_NACK:
        ngx_stomp_dispatch_back_locked(b, item->entry, 1);
        break;

    default: /* NGX_STOMP_SETTLE_RETURN */
        ngx_stomp_set(zone, &entry->deliveries, entry->deliveries - 1);
        ngx_stomp_dispatch_back_locked(b, item->entry, 0);
    }
}
