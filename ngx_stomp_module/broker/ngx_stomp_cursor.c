
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_broker_private.h>


/* messages that one section passes over on its way to the first one */
#define NGX_STOMP_SEEK_MAX  256


static uint32_t ngx_stomp_cursor_create_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_slot_sh_t *slot);
static void ngx_stomp_cursor_release_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_cursor_sh_t *cursor, ngx_uint_t n);
static void ngx_stomp_cursor_push_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_cursor_sh_t *cursor, uint32_t message);
static void ngx_stomp_replay_section_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_cursor_sh_t *cursor, ngx_stomp_replay_t *r);
static ngx_int_t ngx_stomp_replay_seek_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_cursor_sh_t *cursor, ngx_stomp_dest_sh_t *dest,
    ngx_stomp_replay_t *r, uint32_t *start);
static void ngx_stomp_replay_retained_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_cursor_sh_t *cursor, ngx_stomp_dest_sh_t *dest,
    ngx_stomp_replay_t *r, uint32_t start);


#define ngx_stomp_message_sequence(zone, message)                             \
    (((ngx_stomp_message_sh_t *) ngx_stomp_zone_ptr(zone, message))->sequence)


static uint32_t
ngx_stomp_cursor_create_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_slot_sh_t *slot)
{
    uint32_t                offset;
    ngx_stomp_cursor_sh_t  *cursor, *first;

    offset = ngx_stomp_alloc_locked(zone, sizeof(ngx_stomp_cursor_sh_t));
    if (offset == 0) {
        return 0;
    }

    cursor = ngx_stomp_zone_ptr(zone, offset);

    cursor->next = slot->cursors;
    cursor->prev = 0;
    cursor->n = 0;
    cursor->reserved = 0;

    if (cursor->next) {
        first = ngx_stomp_zone_ptr(zone, cursor->next);
        ngx_stomp_set(zone, &first->prev, offset);
    }

    ngx_stomp_set(zone, &slot->cursors, offset);
    ngx_stomp_set(zone, &slot->ncursors, slot->ncursors + 1);

    return offset;
}


void
ngx_stomp_cursor_free_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_slot_sh_t *slot, uint32_t offset)
{
    ngx_stomp_cursor_sh_t  *cursor, *other;

    cursor = ngx_stomp_zone_ptr(zone, offset);

    ngx_stomp_cursor_release_locked(zone, cursor, cursor->n);

    if (cursor->prev) {
        other = ngx_stomp_zone_ptr(zone, cursor->prev);
        ngx_stomp_set(zone, &other->next, cursor->next);

    } else {
        ngx_stomp_set(zone, &slot->cursors, cursor->next);
    }

    if (cursor->next) {
        other = ngx_stomp_zone_ptr(zone, cursor->next);
        ngx_stomp_set(zone, &other->prev, cursor->prev);
    }

    ngx_stomp_set(zone, &slot->ncursors, slot->ncursors - 1);

    ngx_stomp_free_locked(zone, offset);
}


/* releases the first n messages; the others move to the front */

static void
ngx_stomp_cursor_release_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_cursor_sh_t *cursor, ngx_uint_t n)
{
    ngx_uint_t             i;
    ngx_stomp_extra_sh_t  *extra;

    for (i = 0; i < n; i++) {
        extra = ngx_stomp_message_extra(zone, cursor->messages[i]);
        ngx_stomp_message_unref_locked(zone, extra->batch);
    }

    for ( /* void */ ; i < cursor->n; i++) {
        ngx_stomp_set(zone, &cursor->messages[i - n], cursor->messages[i]);
    }

    if (n) {
        ngx_stomp_set(zone, &cursor->n, cursor->n - (uint32_t) n);
    }
}


static void
ngx_stomp_cursor_push_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_cursor_sh_t *cursor, uint32_t message)
{
    ngx_stomp_extra_sh_t    *extra;
    ngx_stomp_message_sh_t  *batch;

    extra = ngx_stomp_message_extra(zone, message);
    batch = ngx_stomp_zone_ptr(zone, extra->batch);

    ngx_stomp_set(zone, &batch->refs, batch->refs + 1);
    ngx_stomp_set(zone, &cursor->messages[cursor->n], message);
    ngx_stomp_set(zone, &cursor->n, cursor->n + 1);
}


ngx_int_t
ngx_stomp_broker_replay(ngx_stomp_broker_t *b, ngx_stomp_replay_t *r)
{
    ngx_uint_t            tries;
    ngx_stomp_zone_t     *zone;
    ngx_stomp_slot_sh_t  *own;

    if (b->slot == NGX_STOMP_SLOT_NONE) {
        return NGX_DECLINED;
    }

    zone = &b->zone;
    own = &zone->sh->slots[b->slot];

    r->gap = 0;
    r->retained = 0;
    r->missed = 0;
    r->live = 0;
    r->n = 0;

    for (tries = 0; tries < 2; tries++) {

        ngx_stomp_zone_lock(zone);

        if (r->cursor == 0) {
            r->cursor = ngx_stomp_cursor_create_locked(zone, own);
        }

        if (r->cursor) {
            ngx_stomp_replay_section_locked(zone,
                                            ngx_stomp_zone_ptr(zone,
                                                               r->cursor),
                                            r);
            ngx_stomp_broker_unlock(b);

            return NGX_OK;
        }

        ngx_stomp_zone_rollback(zone);
        ngx_stomp_broker_unlock(b);

        (void) ngx_stomp_broker_reclaim(b);
    }

    return NGX_BUSY;
}


void
ngx_stomp_broker_replay_end(ngx_stomp_broker_t *b, ngx_stomp_replay_t *r)
{
    if (b->slot == NGX_STOMP_SLOT_NONE || r->cursor == 0) {
        return;
    }

    ngx_stomp_zone_lock(&b->zone);

    ngx_stomp_cursor_free_locked(&b->zone, &b->zone.sh->slots[b->slot],
                                 r->cursor);
    ngx_stomp_broker_unlock(b);

    r->cursor = 0;
}


static void
ngx_stomp_replay_section_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_cursor_sh_t *cursor, ngx_stomp_replay_t *r)
{
    uint32_t                  next;
    ngx_uint_t                former, i;
    ngx_stomp_dest_sh_t      *dest;
    ngx_stomp_extra_sh_t     *extra;
    ngx_stomp_interest_sh_t  *in;

    in = ngx_stomp_zone_ptr(zone, r->interest);
    dest = ngx_stomp_zone_ptr(zone, in->dest);

    if (r->started) {
        extra = ngx_stomp_message_extra(zone, cursor->messages[cursor->n - 1]);

        /* behind what is retained the history may be older than asked for */

        if (r->count && (extra->state & NGX_STOMP_KEPT_HISTORY)) {
            former = cursor->n;
            next = extra->next;
            goto take;
        }

        /* it was dropped meanwhile: what is newer is looked for anew */

        ngx_stomp_cursor_release_locked(zone, cursor, cursor->n);

        r->started = 0;
        r->resumed = 1;
        r->since = r->position;
        r->count = (uint64_t) -1;
    }

    if (ngx_stomp_replay_seek_locked(zone, cursor, dest, r, &next)
        == NGX_AGAIN)
    {
        return;
    }

    ngx_stomp_cursor_release_locked(zone, cursor, cursor->n);

    former = 0;
    r->started = 1;
    r->position = r->since;
    r->gap = r->resumed && (r->since < ngx_stomp_history_lost_locked(dest));

    ngx_stomp_replay_retained_locked(zone, cursor, dest, r, next);

take:

    /* those of the call before go when their successors are known */

    ngx_stomp_cursor_release_locked(zone, cursor, former);

    while (next && cursor->n < NGX_STOMP_REPLAY_MAX) {
        ngx_stomp_cursor_push_locked(zone, cursor, next);

        r->position = ngx_stomp_message_sequence(zone, next);
        next = ngx_stomp_message_extra(zone, next)->next;
    }

    r->n = cursor->n;

    for (i = 0; i < r->n; i++) {
        r->messages[i] = cursor->messages[i];
    }

    if (next == 0) {
        r->live = 1;
        r->from = zone->sh->sequence;
        r->missed = ((r->n || former) && r->count
                     && ngx_stomp_history_lost_locked(dest) > r->position);
        r->position = r->from;
    }
}


/*
 * Finds the first message to be replayed, from the newest one back: who
 * resumes has mostly missed few.  NGX_OK: it is *start, or 0 if there is none;
 * NGX_AGAIN: the cursor holds the place to go on from.
 */

static ngx_int_t
ngx_stomp_replay_seek_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_cursor_sh_t *cursor, ngx_stomp_dest_sh_t *dest,
    ngx_stomp_replay_t *r, uint32_t *start)
{
    uint32_t               message, prev;
    ngx_uint_t             i;
    ngx_stomp_extra_sh_t  *extra;

    *start = 0;
    message = 0;

    if (cursor->n) {
        message = cursor->messages[0];
        extra = ngx_stomp_message_extra(zone, message);

        if (!(extra->state & NGX_STOMP_KEPT_HISTORY)) {
            message = 0;
        }
    }

    if (message == 0) {
        message = dest->history_tail;

        if (r->count == 0
            || message == 0
            || ngx_stomp_message_sequence(zone, message) <= r->since)
        {
            return NGX_OK;
        }

        if (r->count >= dest->nhistory
            && ngx_stomp_message_sequence(zone, dest->history) > r->since)
        {
            *start = dest->history;
            return NGX_OK;
        }

        r->left = r->count - 1;
    }

    for (i = 0; i < NGX_STOMP_SEEK_MAX; i++) {

        prev = ngx_stomp_message_extra(zone, message)->prev;

        if (r->left == 0
            || prev == 0
            || ngx_stomp_message_sequence(zone, prev) <= r->since)
        {
            *start = message;
            return NGX_OK;
        }

        message = prev;
        r->left--;
    }

    ngx_stomp_cursor_push_locked(zone, cursor, message);
    ngx_stomp_cursor_release_locked(zone, cursor, cursor->n - 1);

    return NGX_AGAIN;
}


/* what is retained comes first, unless it comes anyway */

static void
ngx_stomp_replay_retained_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_cursor_sh_t *cursor, ngx_stomp_dest_sh_t *dest,
    ngx_stomp_replay_t *r, uint32_t start)
{
    uint64_t               sequence;
    ngx_stomp_extra_sh_t  *extra;

    if (dest->retained == 0) {
        return;
    }

    extra = ngx_stomp_message_extra(zone, dest->retained);
    sequence = ngx_stomp_message_sequence(zone, dest->retained);

    if (sequence <= r->since) {
        return;
    }

    if (start
        && (extra->state & NGX_STOMP_KEPT_HISTORY)
        && sequence >= ngx_stomp_message_sequence(zone, start))
    {
        return;
    }

    ngx_stomp_cursor_push_locked(zone, cursor, dest->retained);

    r->retained = 1;
}
