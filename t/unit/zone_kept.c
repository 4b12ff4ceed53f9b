
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <zone_walk.h>


static int zone_check_histories(zone_walk_t *w);
static int zone_check_history(zone_walk_t *w, ngx_stomp_dest_sh_t *dest,
    uint32_t *n);
static int zone_check_all_history(zone_walk_t *w);
static int zone_check_retained(zone_walk_t *w);
static void zone_hold(zone_walk_t *w, ngx_stomp_extra_sh_t *extra);


int
zone_check_kept(zone_walk_t *w)
{
    if (!zone_check_histories(w)
        || !zone_check_all_history(w)
        || !zone_check_retained(w))
    {
        return 0;
    }

    if (w->kept_bytes != w->sh->kept.bytes) {
        return zone_fail(w, "%u octets are kept, %u counted", w->kept_bytes,
                         w->sh->kept.bytes);
    }

    return 1;
}


/* the octets of a batch count once */

static void
zone_hold(zone_walk_t *w, ngx_stomp_extra_sh_t *extra)
{
    if ((w->held[zone_index(w, extra->batch)]++ & NGX_STOMP_HELD_KEPT) == 0) {
        w->kept_bytes += extra->bytes;
    }
}


static int
zone_check_histories(zone_walk_t *w)
{
    uint32_t              i, n, offset;
    ngx_stomp_dest_sh_t  *dest;

    n = 0;

    for (i = 0; i < w->sh->nbuckets; i++) {
        for (offset = w->zone->buckets[i]; offset; offset = dest->next) {
            dest = ngx_stomp_zone_ptr(w->zone, offset);

            if (!zone_check_history(w, dest, &n)) {
                return 0;
            }
        }
    }

    if (n != w->sh->kept.nhistory) {
        return zone_fail(w, "%u messages of history, %u counted", n,
                         w->sh->kept.nhistory);
    }

    return 1;
}


static int
zone_check_history(zone_walk_t *w, ngx_stomp_dest_sh_t *dest, uint32_t *n)
{
    uint32_t                 i, prev, count;
    uint64_t                 last;
    ngx_stomp_extra_sh_t    *extra;
    ngx_stomp_message_sh_t  *m;

    prev = 0;
    last = 0;
    count = 0;

    if (dest->stored > dest->last || dest->lost > dest->last) {
        return zone_fail(w, "destination %lu keeps what it never had",
                         (unsigned long) dest->id);
    }

    for (i = dest->history; i; i = extra->next) {

        if (!zone_check_kept_message(w, i)) {
            return 0;
        }

        m = ngx_stomp_zone_ptr(w->zone, i);
        extra = ngx_stomp_message_extra(w->zone, i);

        if (extra->prev != prev
            || extra->dest != ngx_stomp_zone_offset(w->zone, dest)
            || !(extra->state & NGX_STOMP_KEPT_HISTORY)
            || m->destination != dest->id
            || m->sequence <= last
            || m->sequence > dest->stored)
        {
            return zone_fail(w, "history at %u is damaged", i);
        }

        zone_hold(w, extra);

        last = m->sequence;
        prev = i;
        count++;
    }

    if (prev != dest->history_tail || count != dest->nhistory) {
        return zone_fail(w, "history of %u messages up to %u, counted %u, %u",
                         count, prev, dest->nhistory, dest->history_tail);
    }

    *n += count;

    return 1;
}


static int
zone_check_all_history(zone_walk_t *w)
{
    uint32_t               i, n, prev, sweep;
    ngx_stomp_extra_sh_t  *extra;

    n = 0;
    prev = 0;
    sweep = 0;

    for (i = w->sh->kept.history; i; i = extra->all_next) {

        if (!zone_inside(w, i) || ++n > w->sh->kept.nhistory) {
            return zone_fail(w, "the list of all history is damaged at %u", i);
        }

        extra = ngx_stomp_message_extra(w->zone, i);

        if (extra->all_prev != prev
            || !(extra->state & NGX_STOMP_KEPT_HISTORY))
        {
            return zone_fail(w, "history at %u has wrong links", i);
        }

        sweep |= (i == w->sh->kept.sweep);
        prev = i;
    }

    if (n != w->sh->kept.nhistory || prev != w->sh->kept.history_tail
        || (w->sh->kept.sweep && !sweep))
    {
        return zone_fail(w, "all history has %u messages up to %u, counted "
                         "%u, %u; sweep %u", n, prev, w->sh->kept.nhistory,
                         w->sh->kept.history_tail, w->sh->kept.sweep);
    }

    return 1;
}


static int
zone_check_retained(zone_walk_t *w)
{
    uint32_t               i, n, prev, bytes;
    ngx_stomp_dest_sh_t   *dest;
    ngx_stomp_extra_sh_t  *extra;

    n = 0;
    prev = 0;
    bytes = 0;

    for (i = w->sh->kept.retained; i; i = extra->retained_next) {

        if (!zone_check_kept_message(w, i)) {
            return 0;
        }

        extra = ngx_stomp_message_extra(w->zone, i);

        if (!zone_inside(w, extra->dest)
            || w->marks[zone_index(w, extra->dest)] != ZONE_DEST)
        {
            return zone_fail(w, "retained message at %u has no destination",
                             i);
        }

        dest = ngx_stomp_zone_ptr(w->zone, extra->dest);

        if (extra->retained_prev != prev || dest->retained != i
            || !(extra->state & NGX_STOMP_KEPT_RETAINED))
        {
            return zone_fail(w, "retained message at %u is damaged", i);
        }

        zone_hold(w, extra);

        bytes += extra->bytes;
        prev = i;
        n++;
    }

    if (n != w->sh->kept.nretained || prev != w->sh->kept.retained_tail
        || bytes != w->sh->kept.retained_bytes)
    {
        return zone_fail(w, "%u messages retained, %u octets, counted %u, %u",
                         n, bytes, w->sh->kept.nretained,
                         w->sh->kept.retained_bytes);
    }

    return 1;
}


int
zone_check_cursors(zone_walk_t *w, uint32_t n)
{
    uint32_t                i, j, prev, count;
    ngx_stomp_cursor_sh_t  *cursor;

    prev = 0;
    count = 0;

    for (i = w->sh->slots[n].cursors; i; i = cursor->next) {

        if (!zone_mark(w, i, sizeof(ngx_stomp_cursor_sh_t), ZONE_CURSOR,
                       "cursor"))
        {
            return 0;
        }

        cursor = ngx_stomp_zone_ptr(w->zone, i);

        if (cursor->prev != prev || cursor->n > NGX_STOMP_REPLAY_MAX) {
            return zone_fail(w, "cursor at %u of slot %u is damaged", i, n);
        }

        for (j = 0; j < cursor->n; j++) {
            if (!zone_check_kept_message(w, cursor->messages[j])) {
                return 0;
            }
        }

        prev = i;
        count++;
    }

    if (count != w->sh->slots[n].ncursors) {
        return zone_fail(w, "slot %u counts %u cursors, has %u", n,
                         w->sh->slots[n].ncursors, count);
    }

    return 1;
}
