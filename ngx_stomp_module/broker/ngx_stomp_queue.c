
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_queue.h>
#include <ngx_stomp_heap.h>


static void ngx_stomp_queue_count_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_queue_sh_t *queue, uint32_t n, uint64_t bytes);


size_t
ngx_stomp_queue_octets(ngx_stomp_publication_t *p)
{
    size_t  len, n, octets;

    len = ngx_stomp_message_size(p);
    octets = ngx_stomp_arena_size(sizeof(ngx_stomp_entry_sh_t));

    for ( ;; ) {
        n = ngx_min(len, NGX_STOMP_PAGE_SIZE);
        octets += ngx_stomp_arena_size(n);
        len -= n;

        if (len == 0) {
            return octets;
        }

        len += sizeof(ngx_stomp_chunk_sh_t);
    }
}


size_t
ngx_stomp_queue_added_locked(ngx_stomp_zone_t *zone, uint32_t batch,
    uint32_t batch_bytes)
{
    size_t                   bytes;
    ngx_stomp_message_sh_t  *m;

    m = ngx_stomp_zone_ptr(zone, batch);
    bytes = ngx_stomp_arena_size(sizeof(ngx_stomp_entry_sh_t));

    return (m->held & NGX_STOMP_HELD_ENTRIES) ? bytes : bytes + batch_bytes;
}


ngx_stomp_queue_sh_t *
ngx_stomp_queue_ref_locked(ngx_stomp_zone_t *zone, ngx_str_t *name,
    uint32_t hash)
{
    uint32_t               offset;
    ngx_stomp_dest_sh_t   *dest;
    ngx_stomp_queue_sh_t  *queue;

    dest = ngx_stomp_dest_find_locked(zone, name, hash, NGX_STOMP_KIND_QUEUE);

    if (dest != NULL) {
        return ngx_stomp_zone_ptr(zone, dest->interests);
    }

    offset = ngx_stomp_alloc_locked(zone, sizeof(ngx_stomp_queue_sh_t));
    if (offset == 0) {
        return NULL;
    }

    dest = ngx_stomp_dest_create_locked(zone, name, hash,
                                        NGX_STOMP_KIND_QUEUE);
    if (dest == NULL) {
        ngx_stomp_free_locked(zone, offset);
        return NULL;
    }

    queue = ngx_stomp_zone_ptr(zone, offset);

    ngx_memzero(queue, sizeof(ngx_stomp_queue_sh_t));
    queue->dest = ngx_stomp_zone_offset(zone, dest);

    ngx_stomp_set(zone, &dest->interests, offset);
    ngx_stomp_set(zone, &zone->sh->queues.n, zone->sh->queues.n + 1);

    return queue;
}


void
ngx_stomp_queue_unref_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_queue_sh_t *queue)
{
    if (queue->consumers || queue->waiting || queue->unsettled) {
        return;
    }

    ngx_stomp_queue_done_locked(zone, queue);

    ngx_stomp_set(zone, &zone->sh->queues.n, zone->sh->queues.n - 1);

    ngx_stomp_dest_free_locked(zone, ngx_stomp_zone_ptr(zone, queue->dest));
    ngx_stomp_free_locked(zone, ngx_stomp_zone_offset(zone, queue));
}


/* what is added up of all entries that wait */

static void
ngx_stomp_queue_count_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_queue_sh_t *queue, uint32_t n, uint64_t bytes)
{
    ngx_stomp_set(zone, &queue->waiting, queue->waiting + n);
    ngx_stomp_set64(zone, &queue->bytes, queue->bytes + bytes);
    ngx_stomp_set(zone, &zone->sh->queues.waiting,
                  zone->sh->queues.waiting + n);
}


ngx_int_t
ngx_stomp_queue_push_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_queue_sh_t *queue, uint32_t message, uint32_t batch,
    uint32_t bytes, uint32_t batch_bytes)
{
    uint32_t                 offset;
    ngx_stomp_entry_sh_t    *entry, *tail;
    ngx_stomp_message_sh_t  *m;

    offset = ngx_stomp_alloc_locked(zone, sizeof(ngx_stomp_entry_sh_t));
    if (offset == 0) {
        return NGX_BUSY;
    }

    m = ngx_stomp_zone_ptr(zone, message);
    entry = ngx_stomp_zone_ptr(zone, offset);

    ngx_memzero(entry, sizeof(ngx_stomp_entry_sh_t));
    entry->queue = ngx_stomp_zone_offset(zone, queue);
    entry->message = message;
    entry->batch = batch;
    entry->rank = 1;
    entry->bytes = bytes;
    entry->batch_bytes = batch_bytes;
    entry->sequence = m->sequence;

    if (queue->head) {
        tail = ngx_stomp_zone_ptr(zone, queue->tail);
        ngx_stomp_set(zone, &tail->next, offset);

    } else {
        ngx_stomp_set(zone, &queue->head, offset);
    }

    ngx_stomp_set(zone, &queue->tail, offset);

    ngx_stomp_queue_count_locked(zone, queue, 1, bytes);
    ngx_stomp_set64(zone, &zone->sh->queues.bytes,
                    zone->sh->queues.bytes
                    + ngx_stomp_queue_added_locked(zone, batch, batch_bytes));

    m = ngx_stomp_zone_ptr(zone, batch);
    ngx_stomp_set(zone, &m->refs, m->refs + 1);
    ngx_stomp_set(zone, &m->held, m->held + NGX_STOMP_HELD_ENTRY);

    return NGX_OK;
}


uint32_t
ngx_stomp_queue_pop_locked(ngx_stomp_zone_t *zone, ngx_stomp_queue_sh_t *queue)
{
    uint32_t               offset;
    ngx_stomp_entry_sh_t  *entry;

    if (queue->returned) {
        offset = queue->returned;
        entry = ngx_stomp_zone_ptr(zone, offset);

        ngx_stomp_set(zone, &queue->returned,
                      ngx_stomp_heap_merge_locked(zone, entry->next,
                                                  entry->prev));
        ngx_stomp_set(zone, &entry->prev, 0);
        ngx_stomp_set(zone, &entry->rank, 1);

    } else {
        offset = queue->head;
        entry = ngx_stomp_zone_ptr(zone, offset);

        ngx_stomp_set(zone, &queue->head, entry->next);

        if (entry->next == 0) {
            ngx_stomp_set(zone, &queue->tail, 0);
        }
    }

    ngx_stomp_set(zone, &entry->next, 0);

    ngx_stomp_queue_count_locked(zone, queue, (uint32_t) -1,
                                 - (uint64_t) entry->bytes);
    return offset;
}


void
ngx_stomp_queue_return_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_queue_sh_t *queue, uint32_t offset)
{
    ngx_stomp_entry_sh_t  *entry;

    entry = ngx_stomp_zone_ptr(zone, offset);

    ngx_stomp_set(zone, &queue->returned,
                  ngx_stomp_heap_merge_locked(zone, queue->returned, offset));

    ngx_stomp_queue_count_locked(zone, queue, 1, entry->bytes);
}


void
ngx_stomp_entry_free_locked(ngx_stomp_zone_t *zone, uint32_t offset)
{
    ngx_stomp_entry_sh_t    *entry;
    ngx_stomp_message_sh_t  *m;

    entry = ngx_stomp_zone_ptr(zone, offset);
    m = ngx_stomp_zone_ptr(zone, entry->batch);

    ngx_stomp_set(zone, &m->held, m->held - NGX_STOMP_HELD_ENTRY);

    ngx_stomp_set64(zone, &zone->sh->queues.bytes,
                    zone->sh->queues.bytes
                    - ngx_stomp_queue_added_locked(zone, entry->batch,
                                                   entry->batch_bytes));

    ngx_stomp_message_unref_locked(zone, entry->batch);
    ngx_stomp_free_locked(zone, offset);
}


void
ngx_stomp_queue_todo_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_queue_sh_t *queue)
{
    uint32_t               offset;
    ngx_stomp_queue_sh_t  *tail;

    if (queue->todo || queue->waiting == 0 || queue->ready == 0) {
        return;
    }

    offset = ngx_stomp_zone_offset(zone, queue);

    if (zone->sh->queues.todo) {
        tail = ngx_stomp_zone_ptr(zone, zone->sh->queues.todo_tail);
        ngx_stomp_set(zone, &tail->todo_next, offset);

    } else {
        ngx_stomp_set(zone, &zone->sh->queues.todo, offset);
    }

    ngx_stomp_set(zone, &queue->todo, 1);
    ngx_stomp_set(zone, &queue->todo_next, 0);
    ngx_stomp_set(zone, &queue->todo_prev, zone->sh->queues.todo_tail);
    ngx_stomp_set(zone, &zone->sh->queues.todo_tail, offset);
}


void
ngx_stomp_queue_done_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_queue_sh_t *queue)
{
    ngx_stomp_queue_sh_t  *other;

    if (!queue->todo) {
        return;
    }

    if (queue->todo_prev) {
        other = ngx_stomp_zone_ptr(zone, queue->todo_prev);
        ngx_stomp_set(zone, &other->todo_next, queue->todo_next);

    } else {
        ngx_stomp_set(zone, &zone->sh->queues.todo, queue->todo_next);
    }

    if (queue->todo_next) {
        other = ngx_stomp_zone_ptr(zone, queue->todo_next);
        ngx_stomp_set(zone, &other->todo_prev, queue->todo_prev);

    } else {
        ngx_stomp_set(zone, &zone->sh->queues.todo_tail, queue->todo_prev);
    }

    ngx_stomp_set(zone, &queue->todo, 0);
}
