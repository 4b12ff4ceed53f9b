
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_broker_private.h>


/* notes behind which a section drops no more history */
#define NGX_STOMP_NOTES_ROOM  (NGX_STOMP_UNDO_MAX - 64)


void
ngx_stomp_publish_prepare(ngx_stomp_broker_t *b, ngx_stomp_publication_t *p)
{
    size_t                     longest;
    ngx_uint_t                 i;
    ngx_stomp_history_rule_t  *rule;

    rule = b->conf->histories.elts;
    longest = 0;

    p->length = 0;
    p->age = 0;
    p->over = 0;
    p->trim = 0;

    for (i = 0; p->queue == NULL && i < b->conf->histories.nelts; i++) {

        if (rule[i].prefix.len > longest
            && p->destination.len >= rule[i].prefix.len
            && ngx_memcmp(p->destination.data, rule[i].prefix.data,
                          rule[i].prefix.len)
               == 0)
        {
            longest = rule[i].prefix.len;
            p->length = rule[i].length;
            p->age = rule[i].age;
        }
    }

    p->extra = (p->expires || ngx_stomp_publish_keeps(p));
}


ngx_uint_t
ngx_stomp_publish_over_locked(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p, ngx_stomp_dest_sh_t *dest, uint32_t bytes)
{
    uint32_t              n;
    uint64_t              total;
    ngx_stomp_kept_sh_t  *kept;

    if (!p->retain || p->body.len == 0) {
        return 0;
    }

    kept = &b->zone.sh->kept;

    n = kept->nretained;
    total = (uint64_t) kept->retained_bytes + bytes;

    if (dest->retained) {
        n--;
        total -= ngx_stomp_message_extra(&b->zone, dest->retained)->bytes;
    }

    if (n >= b->conf->max_retained || total > b->conf->history_size) {
        p->over = 1;
        return 1;
    }

    return 0;
}


void
ngx_stomp_publish_keep_locked(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p, ngx_stomp_dest_sh_t *dest, uint32_t message,
    ngx_stomp_delivery_sh_t *what)
{
    ngx_stomp_zone_t      *zone;
    ngx_stomp_extra_sh_t  *extra;

    zone = &b->zone;

    if (p->extra) {
        extra = ngx_stomp_message_extra(zone, message);

        extra->dest = ngx_stomp_zone_offset(zone, dest);
        extra->batch = what->message;
        extra->bytes = what->bytes;
    }

    if (p->length) {
        ngx_stomp_history_add_locked(zone, message);

        p->trim = (dest->nhistory > p->length);
    }

    if (!p->retain) {
        return;
    }

    if (p->body.len) {
        ngx_stomp_retain_locked(zone, message);

    } else {
        ngx_stomp_retain_clear_locked(zone, dest);
    }
}


void
ngx_stomp_publish_room_locked(ngx_stomp_broker_t *b)
{
    ngx_uint_t            i;
    ngx_stomp_kept_sh_t  *kept;

    kept = &b->zone.sh->kept;

    for (i = 0; i < NGX_STOMP_EVICT_MAX; i++) {

        /* a section that many workers hear has few notes left */

        if (kept->bytes <= b->conf->history_size
            || b->zone.sh->undo_count > NGX_STOMP_NOTES_ROOM
            || ngx_stomp_history_evict_locked(&b->zone, 1) == 0)
        {
            return;
        }
    }
}


void
ngx_stomp_publish_trim(ngx_stomp_broker_t *b, ngx_stomp_publication_t *p,
    ngx_uint_t n)
{
    ngx_uint_t            i, evicted, kept;
    ngx_stomp_zone_t     *zone;
    ngx_stomp_dest_sh_t  *dest;

    zone = &b->zone;
    kept = 0;

    for (i = 0; i < n; i++) {

        if (p[i].length) {
            kept = 1;
        }

        while (p[i].trim) {

            ngx_stomp_zone_lock(zone);

            dest = ngx_stomp_dest_lookup_locked(zone, &p[i].destination,
                                                p[i].hash);
            evicted = 0;

            if (dest != NULL) {
                evicted = ngx_stomp_history_trim_locked(zone, dest,
                                                        p[i].length,
                                                        NGX_STOMP_EVICT_MAX);
            }

            p[i].trim = (evicted == NGX_STOMP_EVICT_MAX);

            ngx_stomp_broker_unlock(b);
        }
    }

    while (kept) {
        ngx_stomp_zone_lock(zone);

        ngx_stomp_publish_room_locked(b);

        kept = (zone->sh->kept.history
                && zone->sh->kept.bytes > b->conf->history_size);

        ngx_stomp_broker_unlock(b);
    }
}
