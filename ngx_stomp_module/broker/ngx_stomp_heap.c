
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_heap.h>


/* two right spines of all entries that 32-bit offsets can have */
#define NGX_STOMP_HEAP_PATH  64


static uint32_t ngx_stomp_heap_rank(ngx_stomp_zone_t *zone, uint32_t offset);
static void ngx_stomp_heap_balance_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_entry_sh_t *entry, uint32_t right);


uint32_t
ngx_stomp_heap_merge_locked(ngx_stomp_zone_t *zone, uint32_t a, uint32_t b)
{
    uint32_t               rest, path[NGX_STOMP_HEAP_PATH];
    ngx_uint_t             n;
    ngx_stomp_entry_sh_t  *first, *second;

    /* down the right spines, always the older of both */

    n = 0;

    while (a && b) {
        first = ngx_stomp_zone_ptr(zone, a);
        second = ngx_stomp_zone_ptr(zone, b);

        if (second->sequence < first->sequence) {
            path[n++] = b;
            b = second->prev;

        } else {
            path[n++] = a;
            a = first->prev;
        }
    }

    /* and up again, the longer side to the left */

    rest = a ? a : b;

    while (n) {
        ngx_stomp_heap_balance_locked(zone, ngx_stomp_zone_ptr(zone,
                                                               path[n - 1]),
                                      rest);
        rest = path[--n];
    }

    return rest;
}


static void
ngx_stomp_heap_balance_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_entry_sh_t *entry, uint32_t right)
{
    uint32_t  left, rank;

    left = entry->next;

    if (ngx_stomp_heap_rank(zone, left) < ngx_stomp_heap_rank(zone, right)) {
        ngx_stomp_set(zone, &entry->next, right);
        right = left;
    }

    if (entry->prev != right) {
        ngx_stomp_set(zone, &entry->prev, right);
    }

    rank = ngx_stomp_heap_rank(zone, right) + 1;

    if (entry->rank != rank) {
        ngx_stomp_set(zone, &entry->rank, rank);
    }
}


static uint32_t
ngx_stomp_heap_rank(ngx_stomp_zone_t *zone, uint32_t offset)
{
    ngx_stomp_entry_sh_t  *entry;

    if (offset == 0) {
        return 0;
    }

    entry = ngx_stomp_zone_ptr(zone, offset);

    return entry->rank;
}
