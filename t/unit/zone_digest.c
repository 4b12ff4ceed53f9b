
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <zone_check.h>


static uint64_t zone_hash(uint64_t hash, const void *p, size_t len);
static uint64_t zone_digest_kept(ngx_stomp_zone_t *zone, uint64_t hash,
    ngx_stomp_dest_sh_t *dest);
static uint64_t zone_digest_number(ngx_stomp_zone_t *zone, uint64_t hash,
    uint32_t message);
static uint64_t zone_digest_list(ngx_stomp_zone_t *zone, uint64_t hash,
    uint32_t offset);
static uint64_t zone_digest_message(ngx_stomp_zone_t *zone, uint64_t hash,
    uint32_t message, uint32_t *sibling);
static uint64_t zone_digest_queue(ngx_stomp_zone_t *zone, uint64_t hash,
    uint32_t offset);
static uint64_t zone_digest_heap(ngx_stomp_zone_t *zone, uint64_t hash,
    uint32_t offset);
static uint64_t zone_digest_consumers(ngx_stomp_zone_t *zone, uint64_t hash,
    ngx_stomp_slot_sh_t *slot);
static uint64_t zone_digest_entry(ngx_stomp_zone_t *zone, uint64_t hash,
    uint32_t offset);


uint64_t
zone_digest(ngx_stomp_zone_t *zone)
{
    uint32_t                  i, offset, n;
    uint64_t                  hash;
    ngx_stomp_slot_sh_t      *slot;
    ngx_stomp_cursor_sh_t    *cursor;
    ngx_stomp_dest_sh_t      *dest;
    ngx_stomp_zone_sh_t      *sh;
    ngx_stomp_session_sh_t   *session;
    ngx_stomp_interest_sh_t  *in;

    sh = zone->sh;

    hash = zone_hash(0xcbf29ce484222325ULL, &sh->sequence, 8);
    hash = zone_hash(hash, &sh->destination, 8);
    hash = zone_hash(hash, &sh->ndestinations, 4);
    hash = zone_hash(hash, &sh->counters.published, 8);
    hash = zone_hash(hash, &sh->generation, 8);
    hash = zone_hash(hash, &sh->matched, 8);
    hash = zone_hash(hash, &sh->npatterns, 4);
    hash = zone_hash(hash, &sh->match_bytes, 4);

    for (offset = sh->queues.todo; offset;
         offset = ((ngx_stomp_queue_sh_t *) ngx_stomp_zone_ptr(zone,
                                                     offset))->todo_next)
    {
        hash = zone_digest_queue(zone, hash, offset);
    }

    for (i = 0; i < sh->nbuckets; i++) {
        for (offset = zone->buckets[i]; offset; offset = dest->next) {
            dest = ngx_stomp_zone_ptr(zone, offset);

            hash = zone_hash(hash, &dest->id, 16);
            hash = zone_hash(hash, &dest->subscribers, 4);
            hash = zone_hash(hash, &dest->kind, 2);
            hash = zone_hash(hash, dest->name, dest->len);
            hash = zone_hash(hash, &dest->nhistory, 4);
            hash = zone_hash(hash, &dest->stored, 16);
            hash = zone_digest_kept(zone, hash, dest);

            if (dest->kind == NGX_STOMP_KIND_QUEUE) {
                hash = zone_digest_queue(zone, hash, dest->interests);
            }
        }
    }

    for (i = 0; i < NGX_STOMP_SLOTS_MAX; i++) {
        slot = &sh->slots[i];

        if (slot->state == NGX_STOMP_SLOT_FREE) {
            continue;
        }

        hash = zone_hash(hash, &i, 4);
        hash = zone_hash(hash, &slot->state, 8);
        hash = zone_hash(hash, &slot->awake, 8);
        hash = zone_hash(hash, &slot->inbox_count, 8);
        hash = zone_hash(hash, &slot->nsessions, 8);
        hash = zone_hash(hash, &slot->drained, 8);

        for (offset = slot->interests; offset; offset = in->slot_next) {
            in = ngx_stomp_zone_ptr(zone, offset);
            dest = ngx_stomp_zone_ptr(zone, in->dest);

            hash = zone_hash(hash, &dest->id, 8);
            hash = zone_hash(hash, &in->count, 4);
        }

        for (offset = slot->sessions; offset; offset = session->next) {
            session = ngx_stomp_zone_ptr(zone, offset);
            hash = zone_hash(hash, &session->id, 8);
        }

        for (offset = slot->cursors; offset; offset = cursor->next) {
            cursor = ngx_stomp_zone_ptr(zone, offset);

            hash = zone_hash(hash, &cursor->n, 4);

            for (n = 0; n < cursor->n; n++) {
                hash = zone_digest_number(zone, hash, cursor->messages[n]);
            }
        }

        hash = zone_digest_consumers(zone, hash, slot);
        hash = zone_digest_list(zone, hash, slot->inbox);
        hash = zone_digest_list(zone, hash, slot->inhand);
    }

    return hash;
}


static uint64_t
zone_digest_kept(ngx_stomp_zone_t *zone, uint64_t hash,
    ngx_stomp_dest_sh_t *dest)
{
    uint32_t  offset;

    for (offset = dest->history; offset;
         offset = ngx_stomp_message_extra(zone, offset)->next)
    {
        hash = zone_digest_number(zone, hash, offset);
    }

    return dest->retained ? zone_digest_number(zone, hash, dest->retained)
                          : hash;
}


static uint64_t
zone_digest_number(ngx_stomp_zone_t *zone, uint64_t hash, uint32_t message)
{
    ngx_stomp_message_t  m;

    (void) ngx_stomp_message_open(zone, message, &m);

    return zone_hash(hash, &m.sequence, 8);
}


static uint64_t
zone_digest_list(ngx_stomp_zone_t *zone, uint64_t hash, uint32_t offset)
{
    uint32_t                  message;
    ngx_stomp_delivery_sh_t  *delivery;

    hash = zone_hash(hash, "list", 4);

    while (offset) {
        delivery = ngx_stomp_zone_ptr(zone, offset);
        message = delivery->message;

        while (message) {
            hash = zone_digest_message(zone, hash, message, &message);
        }

        offset = delivery->next;
    }

    return hash;
}


/* sibling: the next one of its batch, NULL if that does not matter */

static uint64_t
zone_digest_message(ngx_stomp_zone_t *zone, uint64_t hash, uint32_t message,
    uint32_t *sibling)
{
    size_t               n, left;
    u_char               buf[1024];
    ngx_stomp_message_t  m;

    message = ngx_stomp_message_open(zone, message, &m);

    hash = zone_hash(hash, &m.sequence, 16);
    hash = zone_hash(hash, &m.flags, 12);

    for (left = (size_t) m.headers + m.body; left; left -= n) {
        n = ngx_min(left, sizeof(buf));
        (void) ngx_stomp_message_read(zone, &m, buf, n);
        hash = zone_hash(hash, buf, n);
    }

    if (sibling != NULL) {
        *sibling = message;
    }

    return hash;
}


/* what waits, and who is next */

static uint64_t
zone_digest_queue(ngx_stomp_zone_t *zone, uint64_t hash, uint32_t offset)
{
    uint32_t                  entry;
    ngx_stomp_queue_sh_t     *queue;
    ngx_stomp_consumer_sh_t  *consumer;

    queue = ngx_stomp_zone_ptr(zone, offset);

    hash = zone_hash(hash, "queue", 5);
    hash = zone_hash(hash, &queue->consumers, 16);
    hash = zone_hash(hash, &queue->bytes, 8);

    for (entry = queue->head; entry;
         entry = ((ngx_stomp_entry_sh_t *) ngx_stomp_zone_ptr(zone,
                                                         entry))->next)
    {
        hash = zone_digest_entry(zone, hash, entry);
    }

    hash = zone_digest_heap(zone, hash, queue->returned);

    offset = queue->ready;

    while (offset) {
        consumer = ngx_stomp_zone_ptr(zone, offset);

        hash = zone_hash(hash, &consumer->slot, 16);

        offset = consumer->ready_next;

        if (offset == queue->ready) {
            break;
        }
    }

    return hash;
}


static uint64_t
zone_digest_heap(ngx_stomp_zone_t *zone, uint64_t hash, uint32_t offset)
{
    ngx_stomp_entry_sh_t  *entry;

    hash = zone_hash(hash, "heap", 4);

    if (offset == 0) {
        return hash;
    }

    entry = ngx_stomp_zone_ptr(zone, offset);

    hash = zone_digest_entry(zone, hash, offset);
    hash = zone_digest_heap(zone, hash, entry->next);

    return zone_digest_heap(zone, hash, entry->prev);
}


static uint64_t
zone_digest_consumers(ngx_stomp_zone_t *zone, uint64_t hash,
    ngx_stomp_slot_sh_t *slot)
{
    uint32_t                  offset, entry;
    ngx_stomp_entry_sh_t     *sh;
    ngx_stomp_consumer_sh_t  *consumer;

    for (offset = slot->consumers; offset; offset = consumer->slot_next) {
        consumer = ngx_stomp_zone_ptr(zone, offset);

        hash = zone_hash(hash, "consumer", 8);
        hash = zone_hash(hash, &consumer->slot, 20);

        for (entry = consumer->head; entry; entry = sh->next) {
            sh = ngx_stomp_zone_ptr(zone, entry);

            hash = zone_hash(hash, entry == consumer->fresh ? "f" : "", 1);
            hash = zone_digest_entry(zone, hash, entry);
        }
    }

    for (offset = slot->work; offset; offset = consumer->work_next) {
        consumer = ngx_stomp_zone_ptr(zone, offset);

        hash = zone_hash(hash, "work", 4);
        hash = zone_hash(hash, &consumer->tag, 4);
    }

    return hash;
}


/* with its message, which may be one of a batch */

static uint64_t
zone_digest_entry(ngx_stomp_zone_t *zone, uint64_t hash, uint32_t offset)
{
    ngx_stomp_entry_sh_t  *entry;

    entry = ngx_stomp_zone_ptr(zone, offset);

    hash = zone_hash(hash, "entry", 5);
    hash = zone_hash(hash, &entry->sequence, 8);
    hash = zone_hash(hash, &entry->deliveries, 4);
    hash = zone_hash(hash, &entry->bytes, 4);

    return zone_digest_message(zone, hash, entry->message, NULL);
}


static uint64_t
zone_hash(uint64_t hash, const void *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        hash = (hash ^ ((const u_char *) p)[i]) * 0x100000001b3ULL;
    }

    return hash;
}
