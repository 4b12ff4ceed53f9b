
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_inbox.h>


ngx_int_t
ngx_stomp_inbox_push_locked(ngx_stomp_zone_t *zone, ngx_stomp_slot_sh_t *slot,
    ngx_stomp_delivery_sh_t *what, uint32_t limit)
{
    uint32_t                  offset;
    ngx_stomp_message_sh_t   *m;
    ngx_stomp_delivery_sh_t  *delivery, *tail;

    if (slot->state != NGX_STOMP_SLOT_LIVE || slot->overrun) {
        return NGX_DECLINED;
    }

    if (slot->inbox != 0 && ngx_stomp_inbox_full(slot, what, limit)) {
        ngx_stomp_set(zone, &slot->overrun, 1);
        return NGX_DECLINED;
    }

    offset = ngx_stomp_alloc_locked(zone, sizeof(ngx_stomp_delivery_sh_t));
    if (offset == 0) {
        return NGX_BUSY;
    }

    delivery = ngx_stomp_zone_ptr(zone, offset);
    *delivery = *what;
    delivery->next = 0;

    if (slot->inbox) {
        tail = ngx_stomp_zone_ptr(zone, slot->inbox_tail);
        ngx_stomp_set(zone, &tail->next, offset);

    } else {
        ngx_stomp_set(zone, &slot->inbox, offset);
    }

    ngx_stomp_set(zone, &slot->inbox_tail, offset);
    ngx_stomp_set(zone, &slot->inbox_count, slot->inbox_count + what->count);
    ngx_stomp_set(zone, &slot->inbox_bytes, slot->inbox_bytes + what->bytes);

    m = ngx_stomp_zone_ptr(zone, what->message);
    ngx_stomp_set(zone, &m->refs, m->refs + 1);

    return NGX_OK;
}


uint32_t
ngx_stomp_inbox_take_locked(ngx_stomp_zone_t *zone, ngx_stomp_slot_sh_t *slot,
    ngx_uint_t n)
{
    uint32_t                  first, next, count, bytes;
    ngx_stomp_delivery_sh_t  *delivery, *last;

    first = slot->inbox;

    if (first == 0) {
        return 0;
    }

    last = ngx_stomp_zone_ptr(zone, first);
    count = last->count;
    bytes = last->bytes;

    for (next = last->next; next; next = last->next) {

        delivery = ngx_stomp_zone_ptr(zone, next);

        if (count + delivery->count > n
            || bytes + delivery->bytes > NGX_STOMP_INHAND_MAX)
        {
            break;
        }

        count += delivery->count;
        bytes += delivery->bytes;
        last = delivery;
    }

    ngx_stomp_set(zone, &slot->inhand, first);
    ngx_stomp_set(zone, &slot->inbox, next);

    if (next) {
        ngx_stomp_set(zone, &last->next, 0);

    } else {
        ngx_stomp_set(zone, &slot->inbox_tail, 0);
    }

    ngx_stomp_set64(zone, &slot->drained, last->last);
    ngx_stomp_set(zone, &slot->inbox_count, slot->inbox_count - count);
    ngx_stomp_set(zone, &slot->inbox_bytes, slot->inbox_bytes - bytes);

    return first;
}


void
ngx_stomp_inbox_release_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_slot_sh_t *slot, uint32_t *list, ngx_uint_t n)
{
    uint32_t                  offset;
    ngx_stomp_delivery_sh_t  *delivery;

    while (*list && n--) {

        offset = *list;
        delivery = ngx_stomp_zone_ptr(zone, offset);

        if (list == &slot->inbox) {
            ngx_stomp_set(zone, &slot->inbox_count,
                          slot->inbox_count - delivery->count);
            ngx_stomp_set(zone, &slot->inbox_bytes,
                          slot->inbox_bytes - delivery->bytes);
        }

        ngx_stomp_set(zone, list, delivery->next);

        ngx_stomp_message_unref_locked(zone, delivery->message);
        ngx_stomp_free_locked(zone, offset);
    }

    if (slot->inbox == 0 && slot->inbox_tail) {
        ngx_stomp_set(zone, &slot->inbox_tail, 0);
    }
}
