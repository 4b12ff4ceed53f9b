
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_broker_private.h>
#include <ngx_stomp_dispatch.h>


/* publications that one section looks up; those whose match it notes */
#define NGX_STOMP_PROBE_MAX    256
#define NGX_STOMP_PROBE_MATCH  16

/* notes in the undo log: for a message's destination, for a delivery */
#define NGX_STOMP_NOTES_DEST   2
#define NGX_STOMP_NOTES_SLOT   12
#define NGX_STOMP_NOTES_MAX    (NGX_STOMP_UNDO_MAX - 512)

/* attempts to publish, each behind a slice of the oldest history */
#define NGX_STOMP_PUBLISH_TRIES  64

/* one comes, one goes; with a second one a history that is too long shrinks */
#define NGX_STOMP_TRIM_ONE     2


/* the workers that a batch goes to */

typedef struct {
    ngx_uint_t    n;
    uint64_t      last;          /* number of the section's last message */
    uint16_t      slots[NGX_STOMP_SLOTS_MAX];
    uint32_t      seen[NGX_STOMP_SLOTS_MAX / 32];
} ngx_stomp_audience_t;


static ngx_int_t ngx_stomp_publish_one(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p);
static ngx_int_t ngx_stomp_publish_batch(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p, ngx_uint_t n);
static void ngx_stomp_publish_probe(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p, ngx_uint_t n);
static ngx_int_t ngx_stomp_publish_fill(ngx_stomp_broker_t *b,
    ngx_stomp_batch_t *batch);
static ngx_int_t ngx_stomp_publish_link(ngx_stomp_broker_t *b,
    ngx_stomp_batch_t *batch);
static ngx_int_t ngx_stomp_publish_dest_locked(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p, ngx_stomp_match_t *m,
    ngx_stomp_audience_t *audience, ngx_stomp_dest_sh_t **found);
static void ngx_stomp_publish_last_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_publication_t *p, ngx_stomp_dest_sh_t *dest);
static void ngx_stomp_publish_match_locked(ngx_stomp_broker_t *b,
    ngx_stomp_match_t *m, ngx_stomp_audience_t *audience);
static ngx_int_t ngx_stomp_publish_number_locked(ngx_stomp_broker_t *b,
    ngx_stomp_batch_t *batch, ngx_stomp_audience_t *audience,
    ngx_stomp_delivery_sh_t *what);
static ngx_int_t ngx_stomp_publish_number_one_locked(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p, uint32_t offset,
    ngx_stomp_audience_t *audience, ngx_stomp_delivery_sh_t *what);
static ngx_int_t ngx_stomp_publish_push_locked(ngx_stomp_broker_t *b,
    ngx_stomp_delivery_sh_t *what, ngx_stomp_audience_t *audience,
    ngx_uint_t patient, uint32_t *own);
static void ngx_stomp_publish_done(ngx_stomp_broker_t *b, uint32_t own);


/* to be posted: the own inbox had something already */
#define NGX_STOMP_OWN_QUEUED   1


ngx_int_t
ngx_stomp_broker_publish(ngx_stomp_broker_t *b, ngx_stomp_publication_t *p,
    ngx_uint_t n)
{
    ngx_int_t   rc;
    ngx_uint_t  i, tries, evicted;

    if (b->slot == NGX_STOMP_SLOT_NONE) {
        return NGX_DECLINED;
    }

    if (n > NGX_STOMP_BATCH_MAX) {
        return NGX_ABORT;
    }

    for (i = 0; i < n; i++) {
        p[i].hash = ngx_stomp_dest_hash(&b->zone, &p[i].destination);
        p[i].queue = ngx_stomp_broker_queue_conf(b->conf, &p[i].destination);
        p[i].full = 0;
        ngx_stomp_publish_prepare(b, &p[i]);
    }

    rc = NGX_BUSY;
    evicted = 0;

    for (tries = 0;
         tries < 2 || (evicted && tries < NGX_STOMP_PUBLISH_TRIES);
         tries++)
    {

        if (n == 1 && ngx_stomp_message_size(p) <= NGX_STOMP_PAGE_SIZE) {
            rc = p->queue ? ngx_stomp_dispatch_publish(b, p)
                          : ngx_stomp_publish_one(b, p);

        } else {
            rc = ngx_stomp_publish_batch(b, p, n);
        }

        if (rc == NGX_AGAIN) {
            return NGX_BUSY;
        }

        if (rc != NGX_BUSY) {
            return rc;
        }

        for (i = 0; i < n && !p[i].over && !p[i].full; i++) { /* void */ }

        if (i == n) {
            evicted = ngx_stomp_broker_reclaim(b);
            continue;
        }

        if (p[i].over || ngx_stomp_dispatch_drop(b, p, i + 1) == 0) {
            return rc;
        }

        p[i].full = 0;
        evicted = 1;
    }

    return rc;
}


/* a message of up to a page: one section */

static ngx_int_t
ngx_stomp_publish_one(ngx_stomp_broker_t *b, ngx_stomp_publication_t *p)
{
    uint32_t                  own;
    ngx_int_t                 rc;
    ngx_stomp_zone_t         *zone;
    ngx_stomp_match_t         match, *m;
    ngx_stomp_dest_sh_t      *dest;
    ngx_stomp_audience_t      audience;
    ngx_stomp_message_sh_t   *message;
    ngx_stomp_delivery_sh_t   what;

    zone = &b->zone;
    own = 0;

    audience.n = 0;
    ngx_memzero(audience.seen, sizeof(audience.seen));

    ngx_stomp_zone_lock(zone);

    m = NULL;

    if (zone->sh->npatterns) {
        m = &match;

        ngx_stomp_broker_match_locked(b, p, &match);
        p->matched = ngx_stomp_match_subscribers_locked(zone, &match);
    }

    ngx_stomp_broker_release_locked(b);

    p->sequence = zone->sh->sequence + 1;
    p->subscribers = 0;
    audience.last = p->sequence;

    rc = ngx_stomp_publish_dest_locked(b, p, m, &audience, &dest);

    if (rc == NGX_BUSY) {
        goto full;
    }

    ngx_stomp_publish_count_locked(b, 1);

    if (rc == NGX_DECLINED) {
        ngx_stomp_broker_unlock(b);
        return NGX_OK;
    }

    what.message = ngx_stomp_message_create_locked(zone, p);
    if (what.message == 0) {
        goto full;
    }

    message = ngx_stomp_zone_ptr(zone, what.message);
    message->sequence = p->sequence;
    message->destination = (dest != NULL) ? dest->id : 0;

    what.count = 1;
    what.bytes = ngx_stomp_arena_size(ngx_stomp_message_size(p));
    what.last = p->sequence;

    rc = ngx_stomp_publish_push_locked(b, &what, &audience, 0, &own);

    if (rc == NGX_BUSY) {
        goto full;
    }

    if (dest != NULL && (p->retain || p->length)) {

        if (ngx_stomp_publish_over_locked(b, p, dest, what.bytes)) {
            goto full;
        }

        ngx_stomp_publish_keep_locked(b, p, dest, what.message, &what);

        if (p->trim) {
            (void) ngx_stomp_history_trim_locked(zone, dest, p->length,
                                                 NGX_STOMP_TRIM_ONE);
        }
    }

    if (message->refs == 0) {
        ngx_stomp_free_locked(zone, what.message);
    }

    /* where retained messages take all room, this one may be what goes */

    if (p->length || p->retain) {
        ngx_stomp_publish_room_locked(b);
    }

    ngx_stomp_broker_unlock(b);

    ngx_stomp_publish_done(b, own);

    return NGX_OK;

full:

    ngx_stomp_publish_undo(b);

    return NGX_BUSY;
}


void
ngx_stomp_publish_undo(ngx_stomp_broker_t *b)
{
    ngx_stomp_zone_rollback(&b->zone);
    ngx_stomp_broker_unlock(b);

    b->nwake = 0;
    b->ndead = 0;
    b->noverflowed = 0;
    b->nexpired = 0;
    b->rest = 0;
}


/*
 * Adds the workers that want a numbered publication to the audience; match is
 * NULL if there is no pattern.  NGX_OK: *found is its destination, or NULL if
 * it has none;  NGX_DECLINED: nobody listens, and nothing is to be kept or
 * removed;  NGX_BUSY: the zone is full.
 */

static ngx_int_t
ngx_stomp_publish_dest_locked(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p, ngx_stomp_match_t *match,
    ngx_stomp_audience_t *audience, ngx_stomp_dest_sh_t **found)
{
    uint32_t                  offset, *word, bit;
    ngx_stomp_zone_t         *zone;
    ngx_stomp_dest_sh_t      *dest;
    ngx_stomp_interest_sh_t  *in;

    zone = &b->zone;

    dest = ngx_stomp_dest_lookup_locked(zone, &p->destination, p->hash);

    if (dest == NULL && ngx_stomp_publish_keeps(p)) {

        dest = ngx_stomp_dest_create_locked(zone, &p->destination, p->hash,
                                            NGX_STOMP_KIND_TOPIC);
        if (dest == NULL) {
            return NGX_BUSY;
        }
    }

    *found = dest;

    if (match != NULL && match->n) {
        p->subscribers = p->matched;
        ngx_stomp_publish_match_locked(b, match, audience);
    }

    if (dest == NULL) {
        return audience->n ? NGX_OK : NGX_DECLINED;
    }

    ngx_stomp_publish_last_locked(zone, p, dest);

    p->subscribers += dest->subscribers;

    for (offset = dest->interests; offset; offset = in->next) {
        in = ngx_stomp_zone_ptr(zone, offset);

        word = &audience->seen[in->slot / 32];
        bit = 1U << in->slot % 32;

        if (!(*word & bit)) {
            *word |= bit;
            audience->slots[audience->n++] = (uint16_t) in->slot;
        }
    }

    return (audience->n || p->length || p->retain) ? NGX_OK : NGX_DECLINED;
}


static void
ngx_stomp_publish_last_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_publication_t *p, ngx_stomp_dest_sh_t *dest)
{
    if (p->length) {

        /* what was not stored makes a gap */

        if (dest->stored != dest->last) {
            ngx_stomp_set64(zone, &dest->lost, dest->last);
        }

        ngx_stomp_set64(zone, &dest->stored, p->sequence);
    }

    ngx_stomp_set64(zone, &dest->last, p->sequence);
}


static void
ngx_stomp_publish_match_locked(ngx_stomp_broker_t *b,
    ngx_stomp_match_t *m, ngx_stomp_audience_t *audience)
{
    uint32_t              i, bits, bit;
    ngx_stomp_zone_sh_t  *sh;

    sh = b->zone.sh;

    for (i = 0; i < NGX_STOMP_SLOTS_MAX / 32; i++) {

        bits = m->slots[i] & ~audience->seen[i];
        audience->seen[i] |= bits;

        while (bits) {
            bit = (uint32_t) __builtin_ctz(bits);
            bits &= bits - 1;
            audience->slots[audience->n++] = (uint16_t) (i * 32 + bit);
        }
    }

    if (sh->matched != audience->last) {
        ngx_stomp_set64(&b->zone, &sh->matched, audience->last);
    }
}


void
ngx_stomp_publish_count_locked(ngx_stomp_broker_t *b, ngx_uint_t n)
{
    ngx_stomp_zone_sh_t  *sh;

    sh = b->zone.sh;

    ngx_stomp_set64(&b->zone, &sh->sequence, sh->sequence + n);
    ngx_stomp_set64(&b->zone, &sh->counters.published,
                    sh->counters.published + n);
}


/*
 * NGX_OK: *own is the delivery that this worker has in hand now, or
 * NGX_STOMP_OWN_QUEUED, or 0;  NGX_BUSY: the zone is full;  NGX_AGAIN: who is
 * patient finds an inbox full.
 */

static ngx_int_t
ngx_stomp_publish_push_locked(ngx_stomp_broker_t *b,
    ngx_stomp_delivery_sh_t *what, ngx_stomp_audience_t *audience,
    ngx_uint_t patient, uint32_t *own)
{
    uint32_t              limit;
    ngx_int_t             rc;
    ngx_uint_t            i, first;
    ngx_stomp_zone_t     *zone;
    ngx_stomp_slot_sh_t  *slot;

    zone = &b->zone;
    limit = (uint32_t) b->conf->inbox_size;

    for (i = 0; i < audience->n; i++) {

        slot = &zone->sh->slots[audience->slots[i]];
        first = (slot->inbox == 0);

        if (patient && !first && ngx_stomp_inbox_full(slot, what, limit)) {
            return NGX_AGAIN;
        }

        rc = ngx_stomp_inbox_push_locked(zone, slot, what, limit);

        if (rc == NGX_BUSY) {
            return NGX_BUSY;
        }

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (audience->slots[i] != b->slot) {

            if (!slot->awake) {
                ngx_stomp_set(zone, &slot->awake, 1);
                b->wake[b->nwake++] = audience->slots[i];
            }

            continue;
        }

        /* nothing of others is before it: it needs no second section */

        if (first && slot->inhand == 0) {
            *own = ngx_stomp_inbox_take_locked(zone, slot, 1);

        } else {
            *own = NGX_STOMP_OWN_QUEUED;
        }
    }

    return NGX_OK;
}


/* what follows a section that has published, without the lock */

static void
ngx_stomp_publish_done(ngx_stomp_broker_t *b, uint32_t own)
{
    if (b->nwake) {
        ngx_stomp_wake_workers(b);
    }

    if (own == NGX_STOMP_OWN_QUEUED) {
        ngx_stomp_wake_post(b);

    } else if (own) {
        ngx_stomp_broker_hand(b, own);
    }
}


/* several messages, or one that is longer than a page */

static ngx_int_t
ngx_stomp_publish_batch(ngx_stomp_broker_t *b, ngx_stomp_publication_t *p,
    ngx_uint_t n)
{
    ngx_int_t             rc;
    ngx_stomp_zone_t     *zone;
    ngx_stomp_batch_t     batch;
    ngx_stomp_slot_sh_t  *slot;

    zone = &b->zone;
    slot = &zone->sh->slots[b->slot];

    ngx_memzero(&batch, sizeof(ngx_stomp_batch_t));
    batch.publications = p;
    batch.n = n;

    ngx_stomp_publish_probe(b, p, n);

    rc = ngx_stomp_publish_fill(b, &batch);

    if (rc == NGX_OK) {
        rc = ngx_stomp_publish_link(b, &batch);
    }

    if (rc == NGX_OK) {
        ngx_stomp_publish_trim(b, p, n);

    } else {
        ngx_stomp_zone_lock(zone);
        ngx_stomp_batch_discard_locked(zone, slot);
        ngx_stomp_broker_unlock(b);
    }

    return rc;
}


/* finds out which messages anybody hears: the others take no memory */

static void
ngx_stomp_publish_probe(ngx_stomp_broker_t *b, ngx_stomp_publication_t *p,
    ngx_uint_t n)
{
    ngx_uint_t            i, last, stored;
    ngx_stomp_zone_t     *zone;
    ngx_stomp_match_t     match;
    ngx_stomp_dest_sh_t  *dest;

    zone = &b->zone;

    for (i = 0; i < n; /* void */) {

        last = ngx_min(n, i + NGX_STOMP_PROBE_MAX);
        stored = 0;

        ngx_stomp_zone_lock(zone);

        for ( /* void */ ; i < last && stored < NGX_STOMP_PROBE_MATCH; i++) {

            p[i].matched = 0;
            p[i].heard = 0;

            if (p[i].queue != NULL) {
                p[i].wanted = 1;
                continue;
            }

            if (zone->sh->npatterns) {
                ngx_stomp_broker_match_locked(b, &p[i], &match);

                p[i].matched = ngx_stomp_match_subscribers_locked(zone,
                                                                  &match);
                p[i].heard = (match.n != 0);
                stored += (match.sections != 0);
            }

            dest = ngx_stomp_dest_lookup_locked(zone, &p[i].destination,
                                                p[i].hash);

            if (dest != NULL && dest->interests) {
                p[i].heard = 1;
            }

            p[i].wanted = (p[i].heard || p[i].length || p[i].retain);
        }

        ngx_stomp_broker_unlock(b);
    }
}


static ngx_int_t
ngx_stomp_publish_fill(ngx_stomp_broker_t *b, ngx_stomp_batch_t *batch)
{
    ngx_int_t             rc;
    ngx_stomp_zone_t     *zone;
    ngx_stomp_slot_sh_t  *slot;

    zone = &b->zone;
    slot = &zone->sh->slots[b->slot];

    do {
        ngx_stomp_zone_lock(zone);
        rc = ngx_stomp_batch_fill_locked(zone, slot, batch);
        ngx_stomp_broker_unlock(b);

    } while (rc == NGX_AGAIN);

    return rc;
}


/* the section in which the whole batch comes into being */

static ngx_int_t
ngx_stomp_publish_link(ngx_stomp_broker_t *b, ngx_stomp_batch_t *batch)
{
    uint32_t                  own;
    ngx_int_t                 rc;
    ngx_stomp_zone_t         *zone;
    ngx_stomp_slot_sh_t      *slot;
    ngx_stomp_audience_t      audience;
    ngx_stomp_message_sh_t   *message;
    ngx_stomp_delivery_sh_t   what;

    zone = &b->zone;
    slot = &zone->sh->slots[b->slot];
    own = 0;

    audience.n = 0;
    ngx_memzero(audience.seen, sizeof(audience.seen));

    ngx_stomp_zone_lock(zone);

    ngx_stomp_broker_release_locked(b);

    audience.last = zone->sh->sequence + batch->n;

    what.message = batch->head;
    what.count = batch->count;
    what.bytes = batch->bytes;
    what.last = 0;

    rc = ngx_stomp_publish_number_locked(b, batch, &audience, &what);

    if (rc == NGX_OK && batch->head) {
        rc = ngx_stomp_publish_push_locked(b, &what, &audience,
                                           batch->publications->patient, &own);
    }

    if (rc != NGX_OK) {
        ngx_stomp_publish_undo(b);
        return rc;
    }

    if (batch->head) {
        message = ngx_stomp_zone_ptr(zone, batch->head);

        ngx_stomp_set(zone, &message->refs, message->refs - 1);

        if (message->refs) {
            ngx_stomp_set(zone, &slot->building, 0);

        } else {
            ngx_stomp_batch_discard_locked(zone, slot);
        }
    }

    ngx_stomp_dispatch_locked(b);
    ngx_stomp_dispatch_unlock(b);

    ngx_stomp_publish_done(b, own);

    return NGX_OK;
}


/*
 * Numbers a batch, and keeps what is to be kept of it.
 * NGX_OK;  NGX_BUSY: the zone is full, or too much is retained;  NGX_ABORT:
 * too many messages for one section.
 */

static ngx_int_t
ngx_stomp_publish_number_locked(ngx_stomp_broker_t *b,
    ngx_stomp_batch_t *batch, ngx_stomp_audience_t *audience,
    ngx_stomp_delivery_sh_t *what)
{
    uint32_t                  offset;
    ngx_int_t                 rc;
    ngx_uint_t                i;
    ngx_stomp_zone_t         *zone;
    ngx_stomp_dest_sh_t      *dest;
    ngx_stomp_message_sh_t   *message;
    ngx_stomp_publication_t  *p;

    zone = &b->zone;
    offset = batch->head;

    /* one of its messages may replace another that is retained */

    if (offset) {
        message = ngx_stomp_zone_ptr(zone, offset);
        ngx_stomp_set(zone, &message->refs, message->refs + 1);
    }

    for (i = 0; i < batch->n; i++) {

        p = &batch->publications[i];

        p->sequence = zone->sh->sequence + 1 + i;
        p->subscribers = 0;

        /* who has come since is not served: it may have missed the start */

        if (!p->wanted) {
            dest = ngx_stomp_dest_lookup_locked(zone, &p->destination,
                                                p->hash);
            if (dest != NULL) {
                ngx_stomp_publish_last_locked(zone, p, dest);
            }

            continue;
        }

        rc = ngx_stomp_publish_number_one_locked(b, p, offset, audience,
                                                 what);
        if (rc != NGX_OK) {
            return rc;
        }

        message = ngx_stomp_zone_ptr(zone, offset);
        offset = message->sibling;
    }

    ngx_stomp_publish_count_locked(b, batch->n);

    if (NGX_STOMP_NOTES_DEST * batch->n + NGX_STOMP_NOTES_SLOT * audience->n
        > NGX_STOMP_NOTES_MAX
        || zone->sh->undo_count + NGX_STOMP_NOTES_SLOT * audience->n
           > NGX_STOMP_UNDO_MAX - NGX_STOMP_NOTES_SLOT)
    {
        return NGX_ABORT;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_stomp_publish_number_one_locked(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p, uint32_t offset,
    ngx_stomp_audience_t *audience, ngx_stomp_delivery_sh_t *what)
{
    ngx_int_t                     rc;
    ngx_stomp_zone_t             *zone;
    ngx_stomp_match_t             match, *m;
    ngx_stomp_dest_sh_t          *dest;
    ngx_stomp_message_sh_t       *message;
    ngx_stomp_wildcard_topics_t   topics;

    zone = &b->zone;
    m = NULL;

    message = ngx_stomp_zone_ptr(zone, offset);
    message->sequence = p->sequence;
    message->destination = 0;

    what->last = p->sequence;

    if (p->queue != NULL) {
        return ngx_stomp_dispatch_push_locked(b, p, offset, what->message,
                                              what->bytes);
    }

    if (ngx_stomp_notes_low(zone)) {
        return NGX_ABORT;
    }

    if (p->heard && zone->sh->npatterns) {
        m = &match;

        dest = ngx_stomp_dest_lookup_locked(zone, &p->destination, p->hash);
        ngx_stomp_broker_topics(b->conf, &topics);
        ngx_stomp_match_known_locked(zone, &topics, dest, &match);
    }

    rc = ngx_stomp_publish_dest_locked(b, p, m, audience, &dest);

    if (rc == NGX_BUSY) {
        return NGX_BUSY;
    }

    if (dest == NULL) {
        return NGX_OK;
    }

    message->destination = dest->id;

    if (p->length == 0 && !p->retain) {
        return NGX_OK;
    }

    if (ngx_stomp_publish_over_locked(b, p, dest, what->bytes)) {
        return NGX_BUSY;
    }

    ngx_stomp_publish_keep_locked(b, p, dest, offset, what);

    return (zone->sh->undo_count > NGX_STOMP_NOTES_MAX) ? NGX_ABORT : NGX_OK;
}
