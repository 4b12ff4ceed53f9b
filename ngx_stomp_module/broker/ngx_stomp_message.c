
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_message.h>


/* what one section of a batch may copy, and allocate */

#define NGX_STOMP_BATCH_OCTETS   16384
#define NGX_STOMP_BATCH_OBJECTS  64


static uint32_t ngx_stomp_batch_object_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_slot_sh_t *slot, ngx_stomp_batch_t *batch);
static void ngx_stomp_message_fill(u_char *dst, ngx_stomp_publication_t *p,
    size_t from, size_t len);
static void ngx_stomp_message_init(ngx_stomp_message_sh_t *message,
    ngx_stomp_publication_t *p);


#define ngx_stomp_message_head(p)                                             \
    (sizeof(ngx_stomp_message_sh_t)                                           \
     + ((p)->extra ? sizeof(ngx_stomp_extra_sh_t) : 0))


size_t
ngx_stomp_message_size(ngx_stomp_publication_t *p)
{
    return ngx_stomp_message_head(p) + p->headers.len + p->body.len;
}


uint32_t
ngx_stomp_message_create_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_publication_t *p)
{
    uint32_t                 offset;
    ngx_stomp_message_sh_t  *message;

    offset = ngx_stomp_alloc_locked(zone, ngx_stomp_message_size(p));
    if (offset == 0) {
        return 0;
    }

    message = ngx_stomp_zone_ptr(zone, offset);

    ngx_stomp_message_init(message, p);
    message->tail = offset;

    ngx_stomp_message_fill((u_char *) message + ngx_stomp_message_head(p), p, 0,
                           p->headers.len + p->body.len);

    return offset;
}


static void
ngx_stomp_message_init(ngx_stomp_message_sh_t *message,
    ngx_stomp_publication_t *p)
{
    ngx_time_t            *tp;
    ngx_stomp_extra_sh_t  *extra;

    tp = ngx_timeofday();

    message->next = 0;
    message->refs = 0;
    message->tail = 0;
    message->sibling = 0;
    message->sequence = 0;
    message->destination = 0;
    message->time = (uint64_t) tp->sec * 1000 + tp->msec;
    message->flags = p->flags;
    message->headers = (uint32_t) p->headers.len;
    message->body = (uint32_t) p->body.len;
    message->held = 0;

    if (p->queue != NULL) {
        message->flags |= NGX_STOMP_MESSAGE_QUEUE;
    }

    if (!p->extra) {
        return;
    }

    message->flags |= NGX_STOMP_MESSAGE_EXTRA;

    extra = (ngx_stomp_extra_sh_t *) (message + 1);

    ngx_memzero(extra, sizeof(ngx_stomp_extra_sh_t));

    extra->expires = p->expires;
    extra->until = message->time + p->age;

    if (p->expires) {
        extra->until = ngx_min(extra->until, p->expires);
    }
}


/* copies a part of the headers and the body, as if they were one string */

static void
ngx_stomp_message_fill(u_char *dst, ngx_stomp_publication_t *p, size_t from,
    size_t len)
{
    size_t  n;

    if (from < p->headers.len) {
        n = ngx_min(len, p->headers.len - from);
        dst = ngx_cpymem(dst, p->headers.data + from, n);
        from += n;
        len -= n;
    }

    if (len) {
        ngx_memcpy(dst, p->body.data + (from - p->headers.len), len);
    }
}


ngx_int_t
ngx_stomp_batch_fill_locked(ngx_stomp_zone_t *zone, ngx_stomp_slot_sh_t *slot,
    ngx_stomp_batch_t *batch)
{
    size_t                    size, octets;
    u_char                   *p;
    uint32_t                  offset, left;
    ngx_uint_t                objects;
    ngx_stomp_publication_t  *pub;

    octets = 0;
    objects = 0;

    while (batch->current < batch->n) {

        pub = &batch->publications[batch->current];

        if (!pub->wanted) {
            batch->current++;
            continue;
        }

        if (octets >= NGX_STOMP_BATCH_OCTETS
            || objects == NGX_STOMP_BATCH_OBJECTS)
        {
            return NGX_AGAIN;
        }

        offset = ngx_stomp_batch_object_locked(zone, slot, batch);
        if (offset == 0) {
            return NGX_BUSY;
        }

        /* nobody reads an unfinished message: its data needs no notes */

        p = ngx_stomp_zone_ptr(zone, offset);
        left = pub->headers.len + pub->body.len - batch->written;

        size = (offset == batch->message) ? ngx_stomp_message_head(pub)
                                          : sizeof(ngx_stomp_chunk_sh_t);

        left = ngx_min(left, NGX_STOMP_PAGE_SIZE - size);

        ngx_stomp_message_fill(p + size, pub, batch->written, left);

        batch->written += left;
        octets += left;
        objects++;

        if (batch->written == pub->headers.len + pub->body.len) {
            batch->current++;
            batch->written = 0;
        }
    }

    return NGX_OK;
}


/* allocates and links the object that takes the batch's next octets */

static uint32_t
ngx_stomp_batch_object_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_slot_sh_t *slot, ngx_stomp_batch_t *batch)
{
    size_t                    size;
    uint32_t                  offset, *link;
    ngx_stomp_chunk_sh_t     *chunk;
    ngx_stomp_message_sh_t   *message, *head;
    ngx_stomp_publication_t  *pub;

    pub = &batch->publications[batch->current];

    size = (batch->written == 0) ? ngx_stomp_message_head(pub)
                                 : sizeof(ngx_stomp_chunk_sh_t);

    size += pub->headers.len + pub->body.len - batch->written;
    size = ngx_min(size, NGX_STOMP_PAGE_SIZE);

    offset = ngx_stomp_alloc_locked(zone, size);
    if (offset == 0) {
        return 0;
    }

    batch->bytes += ngx_stomp_arena_size(size);

    if (batch->written == 0) {
        ngx_stomp_message_init(ngx_stomp_zone_ptr(zone, offset), pub);

        if (batch->message) {
            message = ngx_stomp_zone_ptr(zone, batch->message);
            ngx_stomp_set(zone, &message->sibling, offset);
        }

        batch->message = offset;
        batch->count++;

    } else {
        chunk = ngx_stomp_zone_ptr(zone, offset);
        chunk->next = 0;
        chunk->reserved = 0;
    }

    if (batch->head == 0) {
        batch->head = offset;
        head = ngx_stomp_zone_ptr(zone, offset);
        head->tail = offset;
        ngx_stomp_set(zone, &slot->building, offset);
        return offset;
    }

    head = ngx_stomp_zone_ptr(zone, batch->head);
    link = ngx_stomp_zone_ptr(zone, head->tail);

    ngx_stomp_set(zone, link, offset);
    ngx_stomp_set(zone, &head->tail, offset);

    return offset;
}


void
ngx_stomp_batch_discard_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_slot_sh_t *slot)
{
    ngx_stomp_message_sh_t  *head;

    if (slot->building) {
        head = ngx_stomp_zone_ptr(zone, slot->building);

        ngx_stomp_free_chain_locked(zone, slot->building, head->tail);
        ngx_stomp_set(zone, &slot->building, 0);
    }
}


void
ngx_stomp_message_unref_locked(ngx_stomp_zone_t *zone, uint32_t message)
{
    ngx_stomp_message_sh_t  *m;

    m = ngx_stomp_zone_ptr(zone, message);

    ngx_stomp_set(zone, &m->refs, m->refs - 1);

    if (m->refs == 0) {
        ngx_stomp_free_chain_locked(zone, message, m->tail);
    }
}


ngx_uint_t
ngx_stomp_message_expired(ngx_stomp_zone_t *zone, uint32_t message)
{
    uint64_t                 expires;
    ngx_time_t              *tp;
    ngx_stomp_message_sh_t  *m;

    m = ngx_stomp_zone_ptr(zone, message);

    if (!(m->flags & NGX_STOMP_MESSAGE_EXTRA)) {
        return 0;
    }

    expires = ngx_stomp_message_extra(zone, message)->expires;
    tp = ngx_timeofday();

    return expires && expires <= (uint64_t) tp->sec * 1000 + tp->msec;
}


uint32_t
ngx_stomp_message_open(ngx_stomp_zone_t *zone, uint32_t message,
    ngx_stomp_message_t *m)
{
    size_t                   len, head;
    ngx_stomp_extra_sh_t    *extra;
    ngx_stomp_message_sh_t  *sh;

    sh = ngx_stomp_zone_ptr(zone, message);

    m->sequence = sh->sequence;
    m->destination = sh->destination;
    m->time = sh->time;
    m->flags = sh->flags & ~NGX_STOMP_MESSAGE_EXTRA;
    m->headers = sh->headers;
    m->body = sh->body;
    m->expires = 0;

    head = sizeof(ngx_stomp_message_sh_t);

    if (sh->flags & NGX_STOMP_MESSAGE_EXTRA) {
        extra = (ngx_stomp_extra_sh_t *) (sh + 1);
        m->expires = extra->expires;
        head += sizeof(ngx_stomp_extra_sh_t);
    }

    len = (size_t) sh->headers + sh->body;

    m->pos = (u_char *) sh + head;
    m->left = ngx_min(len, NGX_STOMP_PAGE_SIZE - head);
    m->next = sh->next;

    return sh->sibling;
}


u_char *
ngx_stomp_message_read(ngx_stomp_zone_t *zone, ngx_stomp_message_t *m,
    u_char *dst, size_t len)
{
    size_t                 n;
    ngx_stomp_chunk_sh_t  *chunk;

    while (len) {

        if (m->left == 0) {
            chunk = ngx_stomp_zone_ptr(zone, m->next);

            m->pos = (u_char *) (chunk + 1);
            m->left = NGX_STOMP_PAGE_SIZE - sizeof(ngx_stomp_chunk_sh_t);
            m->next = chunk->next;
        }

        n = ngx_min(len, m->left);

        dst = ngx_cpymem(dst, m->pos, n);

        m->pos += n;
        m->left -= n;
        len -= n;
    }

    return dst;
}
