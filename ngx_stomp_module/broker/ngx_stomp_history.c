
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_history.h>


static void ngx_stomp_history_hold_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_extra_sh_t *extra, uint32_t state);
static void ngx_stomp_history_unhold_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_extra_sh_t *extra, uint32_t state);
static void ngx_stomp_history_drop_locked(ngx_stomp_zone_t *zone,
    uint32_t message, ngx_uint_t lost);
static void ngx_stomp_history_unlink_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_extra_sh_t *extra);
static ngx_int_t ngx_stomp_history_sweep_old_locked(ngx_stomp_zone_t *zone,
    uint64_t now);
static void ngx_stomp_retain_drop_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_dest_sh_t *dest);
static void ngx_stomp_retain_link_locked(ngx_stomp_zone_t *zone,
    uint32_t message);
static void ngx_stomp_retain_unlink_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_extra_sh_t *extra);
static void ngx_stomp_retain_sweep_locked(ngx_stomp_zone_t *zone,
    uint64_t now);


/* takes a reference for one of the two ways to be kept */

static void
ngx_stomp_history_hold_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_extra_sh_t *extra, uint32_t state)
{
    ngx_stomp_kept_sh_t     *kept;
    ngx_stomp_message_sh_t  *batch;

    kept = &zone->sh->kept;
    batch = ngx_stomp_zone_ptr(zone, extra->batch);

    ngx_stomp_set(zone, &batch->refs, batch->refs + 1);
    ngx_stomp_set(zone, &batch->held, batch->held + 1);
    ngx_stomp_set(zone, &extra->state, extra->state | state);

    /* its memory counts once */

    if ((batch->held & NGX_STOMP_HELD_KEPT) == 1) {
        ngx_stomp_set(zone, &kept->bytes, kept->bytes + extra->bytes);
    }
}


/* the last reference frees the message: the caller doesn't touch it again */

static void
ngx_stomp_history_unhold_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_extra_sh_t *extra, uint32_t state)
{
    ngx_stomp_kept_sh_t     *kept;
    ngx_stomp_message_sh_t  *batch;

    kept = &zone->sh->kept;
    batch = ngx_stomp_zone_ptr(zone, extra->batch);

    ngx_stomp_set(zone, &batch->held, batch->held - 1);
    ngx_stomp_set(zone, &extra->state, extra->state & ~state);

    if ((batch->held & NGX_STOMP_HELD_KEPT) == 0) {
        ngx_stomp_set(zone, &kept->bytes, kept->bytes - extra->bytes);
    }

    ngx_stomp_message_unref_locked(zone, extra->batch);
}


void
ngx_stomp_history_add_locked(ngx_stomp_zone_t *zone, uint32_t message)
{
    ngx_stomp_kept_sh_t   *kept;
    ngx_stomp_dest_sh_t   *dest;
    ngx_stomp_extra_sh_t  *extra, *tail;

    kept = &zone->sh->kept;
    extra = ngx_stomp_message_extra(zone, message);
    dest = ngx_stomp_zone_ptr(zone, extra->dest);

    /* of a message that is not published yet only its links are stored so */

    extra->next = 0;
    extra->prev = dest->history_tail;
    extra->all_next = 0;
    extra->all_prev = kept->history_tail;

    if (extra->prev) {
        tail = ngx_stomp_message_extra(zone, extra->prev);
        ngx_stomp_set(zone, &tail->next, message);

    } else {
        ngx_stomp_set(zone, &dest->history, message);
    }

    if (extra->all_prev) {
        tail = ngx_stomp_message_extra(zone, extra->all_prev);
        ngx_stomp_set(zone, &tail->all_next, message);

    } else {
        ngx_stomp_set(zone, &kept->history, message);
    }

    ngx_stomp_set(zone, &dest->history_tail, message);
    ngx_stomp_set(zone, &dest->nhistory, dest->nhistory + 1);
    ngx_stomp_set(zone, &kept->history_tail, message);
    ngx_stomp_set(zone, &kept->nhistory, kept->nhistory + 1);

    ngx_stomp_history_hold_locked(zone, extra, NGX_STOMP_KEPT_HISTORY);
}


/* lost: who asks for it later is to be told that it is missing */

static void
ngx_stomp_history_drop_locked(ngx_stomp_zone_t *zone, uint32_t message,
    ngx_uint_t lost)
{
    ngx_stomp_dest_sh_t     *dest;
    ngx_stomp_extra_sh_t    *extra;
    ngx_stomp_message_sh_t  *m;

    m = ngx_stomp_zone_ptr(zone, message);
    extra = ngx_stomp_message_extra(zone, message);
    dest = ngx_stomp_zone_ptr(zone, extra->dest);

    if (lost && dest->lost < m->sequence) {
        ngx_stomp_set64(zone, &dest->lost, m->sequence);
    }

    if (zone->sh->kept.sweep == message) {
        ngx_stomp_set(zone, &zone->sh->kept.sweep, extra->all_next);
    }

    ngx_stomp_history_unlink_locked(zone, extra);
    ngx_stomp_history_unhold_locked(zone, extra, NGX_STOMP_KEPT_HISTORY);

    ngx_stomp_dest_release_locked(zone, dest);
}


static void
ngx_stomp_history_unlink_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_extra_sh_t *extra)
{
    ngx_stomp_kept_sh_t   *kept;
    ngx_stomp_dest_sh_t   *dest;
    ngx_stomp_extra_sh_t  *other;

    kept = &zone->sh->kept;
    dest = ngx_stomp_zone_ptr(zone, extra->dest);

    if (extra->prev) {
        other = ngx_stomp_message_extra(zone, extra->prev);
        ngx_stomp_set(zone, &other->next, extra->next);

    } else {
        ngx_stomp_set(zone, &dest->history, extra->next);
    }

    if (extra->next) {
        other = ngx_stomp_message_extra(zone, extra->next);
        ngx_stomp_set(zone, &other->prev, extra->prev);

    } else {
        ngx_stomp_set(zone, &dest->history_tail, extra->prev);
    }

    if (extra->all_prev) {
        other = ngx_stomp_message_extra(zone, extra->all_prev);
        ngx_stomp_set(zone, &other->all_next, extra->all_next);

    } else {
        ngx_stomp_set(zone, &kept->history, extra->all_next);
    }

    if (extra->all_next) {
        other = ngx_stomp_message_extra(zone, extra->all_next);
        ngx_stomp_set(zone, &other->all_prev, extra->all_prev);

    } else {
        ngx_stomp_set(zone, &kept->history_tail, extra->all_prev);
    }

    ngx_stomp_set(zone, &dest->nhistory, dest->nhistory - 1);
    ngx_stomp_set(zone, &kept->nhistory, kept->nhistory - 1);
}


ngx_uint_t
ngx_stomp_history_evict_locked(ngx_stomp_zone_t *zone, ngx_uint_t n)
{
    ngx_uint_t            i;
    ngx_stomp_kept_sh_t  *kept;

    kept = &zone->sh->kept;

    for (i = 0; i < n && kept->history; i++) {
        ngx_stomp_history_drop_locked(zone, kept->history, 1);
    }

    zone->sh->counters.evicted += i;

    return i;
}


ngx_uint_t
ngx_stomp_history_trim_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_dest_sh_t *dest, uint32_t length, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n && dest->nhistory > length; i++) {
        ngx_stomp_history_drop_locked(zone, dest->history, 1);
    }

    return i;
}


ngx_int_t
ngx_stomp_history_sweep_locked(ngx_stomp_zone_t *zone, uint64_t now)
{
    if (zone->sh->kept.sweep == 0) {
        ngx_stomp_retain_sweep_locked(zone, now);
    }

    return ngx_stomp_history_sweep_old_locked(zone, now);
}


/* destinations keep for different times: all have to be looked at */

static ngx_int_t
ngx_stomp_history_sweep_old_locked(ngx_stomp_zone_t *zone, uint64_t now)
{
    uint32_t                 message, next;
    ngx_uint_t               i, dropped;
    ngx_stomp_kept_sh_t     *kept;
    ngx_stomp_extra_sh_t    *extra;

    kept = &zone->sh->kept;
    next = kept->sweep ? kept->sweep : kept->history;
    dropped = 0;

    for (i = 0; next && i < NGX_STOMP_SWEEP_MAX; i++) {

        if (dropped == NGX_STOMP_EVICT_MAX) {
            break;
        }

        message = next;
        extra = ngx_stomp_message_extra(zone, message);
        next = extra->all_next;

        if (extra->until > now) {
            continue;
        }

        /* what has expired is nobody's loss */

        ngx_stomp_history_drop_locked(zone, message,
                                      extra->expires == 0
                                      || extra->expires > now);
        dropped++;
    }

    if (kept->sweep != next) {
        ngx_stomp_set(zone, &kept->sweep, next);
    }

    return next ? NGX_AGAIN : NGX_OK;
}


void
ngx_stomp_retain_locked(ngx_stomp_zone_t *zone, uint32_t message)
{
    uint32_t               old;
    ngx_stomp_dest_sh_t   *dest;
    ngx_stomp_extra_sh_t  *extra;

    extra = ngx_stomp_message_extra(zone, message);
    dest = ngx_stomp_zone_ptr(zone, extra->dest);
    old = dest->retained;

    /* first the new one: both may be of the same batch */

    ngx_stomp_history_hold_locked(zone, extra, NGX_STOMP_KEPT_RETAINED);

    if (old) {
        ngx_stomp_retain_drop_locked(zone, dest);
    }

    ngx_stomp_set(zone, &dest->retained, message);

    ngx_stomp_retain_link_locked(zone, message);
}


void
ngx_stomp_retain_clear_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_dest_sh_t *dest)
{
    if (dest->retained) {
        ngx_stomp_retain_drop_locked(zone, dest);
        ngx_stomp_dest_release_locked(zone, dest);
    }
}


static void
ngx_stomp_retain_drop_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_dest_sh_t *dest)
{
    ngx_stomp_extra_sh_t  *extra;

    extra = ngx_stomp_message_extra(zone, dest->retained);

    ngx_stomp_set(zone, &dest->retained, 0);

    ngx_stomp_retain_unlink_locked(zone, extra);
    ngx_stomp_history_unhold_locked(zone, extra, NGX_STOMP_KEPT_RETAINED);
}


static void
ngx_stomp_retain_link_locked(ngx_stomp_zone_t *zone, uint32_t message)
{
    ngx_stomp_kept_sh_t   *kept;
    ngx_stomp_extra_sh_t  *extra, *tail;

    kept = &zone->sh->kept;
    extra = ngx_stomp_message_extra(zone, message);

    ngx_stomp_set(zone, &extra->retained_next, 0);
    ngx_stomp_set(zone, &extra->retained_prev, kept->retained_tail);

    if (kept->retained_tail) {
        tail = ngx_stomp_message_extra(zone, kept->retained_tail);
        ngx_stomp_set(zone, &tail->retained_next, message);

    } else {
        ngx_stomp_set(zone, &kept->retained, message);
    }

    ngx_stomp_set(zone, &kept->retained_tail, message);
    ngx_stomp_set(zone, &kept->nretained, kept->nretained + 1);
    ngx_stomp_set(zone, &kept->retained_bytes,
                  kept->retained_bytes + extra->bytes);
}


static void
ngx_stomp_retain_unlink_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_extra_sh_t *extra)
{
    ngx_stomp_kept_sh_t   *kept;
    ngx_stomp_extra_sh_t  *other;

    kept = &zone->sh->kept;

    if (extra->retained_prev) {
        other = ngx_stomp_message_extra(zone, extra->retained_prev);
        ngx_stomp_set(zone, &other->retained_next, extra->retained_next);

    } else {
        ngx_stomp_set(zone, &kept->retained, extra->retained_next);
    }

    if (extra->retained_next) {
        other = ngx_stomp_message_extra(zone, extra->retained_next);
        ngx_stomp_set(zone, &other->retained_prev, extra->retained_prev);

    } else {
        ngx_stomp_set(zone, &kept->retained_tail, extra->retained_prev);
    }

    ngx_stomp_set(zone, &kept->nretained, kept->nretained - 1);
    ngx_stomp_set(zone, &kept->retained_bytes,
                  kept->retained_bytes - extra->bytes);
}


/* those that stay go to the end of the list: the next sweep sees others */

static void
ngx_stomp_retain_sweep_locked(ngx_stomp_zone_t *zone, uint64_t now)
{
    uint32_t               message, next;
    ngx_uint_t             i, n, many;
    ngx_stomp_kept_sh_t   *kept;
    ngx_stomp_extra_sh_t  *extra;

    kept = &zone->sh->kept;
    many = (kept->nretained > NGX_STOMP_SWEEP_MAX);
    n = ngx_min(kept->nretained, NGX_STOMP_SWEEP_MAX);
    message = kept->retained;

    for (i = 0; i < n; i++) {

        extra = ngx_stomp_message_extra(zone, message);
        next = extra->retained_next;

        if (extra->expires && extra->expires <= now) {
            ngx_stomp_retain_clear_locked(zone,
                                      ngx_stomp_zone_ptr(zone, extra->dest));

        } else if (many) {
            ngx_stomp_retain_unlink_locked(zone, extra);
            ngx_stomp_retain_link_locked(zone, message);
        }

        message = next;
    }
}


uint64_t
ngx_stomp_history_lost_locked(ngx_stomp_dest_sh_t *dest)
{
    return (dest->stored == dest->last) ? dest->lost : dest->last;
}
