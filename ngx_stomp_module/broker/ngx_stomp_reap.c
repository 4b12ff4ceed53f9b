
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_broker_private.h>
#include <ngx_stomp_dispatch.h>


/* cursors that one section frees: each holds several messages */
#define NGX_STOMP_REAP_CURSORS  8


static ngx_int_t ngx_stomp_slot_take_locked(ngx_stomp_broker_t *b,
    ngx_stomp_slot_sh_t *slot);
static void ngx_stomp_slot_clear_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_slot_sh_t *slot);


void
ngx_stomp_session_free_locked(ngx_stomp_zone_t *zone, ngx_stomp_slot_sh_t *slot,
    uint32_t offset)
{
    ngx_stomp_session_sh_t  *session, *other;

    session = ngx_stomp_zone_ptr(zone, offset);

    if (session->prev) {
        other = ngx_stomp_zone_ptr(zone, session->prev);
        ngx_stomp_set(zone, &other->next, session->next);

    } else {
        ngx_stomp_set(zone, &slot->sessions, session->next);
    }

    if (session->next) {
        other = ngx_stomp_zone_ptr(zone, session->next);
        ngx_stomp_set(zone, &other->prev, session->prev);
    }

    ngx_stomp_set(zone, &slot->nsessions, slot->nsessions - 1);

    ngx_stomp_free_locked(zone, offset);
}


ngx_int_t
ngx_stomp_slot_reap_locked(ngx_stomp_broker_t *b, ngx_stomp_slot_sh_t *slot)
{
    ngx_int_t          rc;
    ngx_stomp_zone_t  *zone;

    zone = &b->zone;

    if (slot->state == NGX_STOMP_SLOT_FREE) {
        return NGX_OK;
    }

    if (slot->state == NGX_STOMP_SLOT_LIVE) {
        ngx_stomp_set(zone, &slot->state, NGX_STOMP_SLOT_REAPING);
    }

    ngx_stomp_batch_discard_locked(zone, slot);

    rc = ngx_stomp_slot_take_locked(b, slot);

    ngx_stomp_dispatch_locked(b);

    ngx_stomp_test_point("reap");

    return rc;
}


static ngx_int_t
ngx_stomp_slot_take_locked(ngx_stomp_broker_t *b, ngx_stomp_slot_sh_t *slot)
{
    ngx_uint_t                n;
    ngx_stomp_zone_t         *zone;
    ngx_stomp_interest_sh_t  *in;

    zone = &b->zone;

    /* first what others wait for; a consumer may take several slices */

    if (slot->consumers) {
        for (n = 0; slot->consumers && n < NGX_STOMP_REAP_MAX; n++) {
            if (ngx_stomp_notes_low(zone)
                || ngx_stomp_consumer_reap_locked(b, slot->consumers, 1)
                   == NGX_AGAIN)
            {
                break;
            }
        }

        return NGX_AGAIN;
    }

    if (slot->inhand) {
        ngx_stomp_inbox_release_locked(zone, slot, &slot->inhand,
                                       NGX_STOMP_REAP_MAX);
        return NGX_AGAIN;
    }

    if (slot->inbox) {
        ngx_stomp_inbox_release_locked(zone, slot, &slot->inbox,
                                       NGX_STOMP_REAP_MAX);
        return NGX_AGAIN;
    }

    if (slot->cursors) {
        for (n = 0; slot->cursors && n < NGX_STOMP_REAP_CURSORS; n++) {
            ngx_stomp_cursor_free_locked(zone, slot, slot->cursors);
        }

        return NGX_AGAIN;
    }

    if (slot->interests) {
        for (n = 0; slot->interests && n < NGX_STOMP_REAP_MAX; n++) {
            in = ngx_stomp_zone_ptr(zone, slot->interests);
            ngx_stomp_interest_remove_locked(zone, slot->interests, in->count);
        }

        return NGX_AGAIN;
    }

    if (slot->sessions) {
        for (n = 0; slot->sessions && n < NGX_STOMP_REAP_MAX; n++) {
            ngx_stomp_session_free_locked(zone, slot, slot->sessions);
        }

        return NGX_AGAIN;
    }

    ngx_stomp_slot_clear_locked(zone, slot);

    return NGX_OK;
}


static void
ngx_stomp_slot_clear_locked(ngx_stomp_zone_t *zone, ngx_stomp_slot_sh_t *slot)
{
    ngx_stomp_set(zone, &slot->state, NGX_STOMP_SLOT_FREE);
    ngx_stomp_set(zone, &slot->pid, 0);
    ngx_stomp_set(zone, &slot->awake, 0);
    ngx_stomp_set(zone, &slot->overrun, 0);
}


ngx_int_t
ngx_stomp_broker_reap(ngx_stomp_broker_t *b)
{
    ngx_int_t             rc;
    ngx_uint_t            i, n;
    ngx_stomp_zone_t     *zone;
    ngx_stomp_slot_sh_t  *slot;
    uint32_t              generations[NGX_STOMP_SLOTS_MAX];

    zone = &b->zone;
    rc = NGX_OK;
    n = ngx_stomp_slots_count();

    /* whether an owner lives is a question to the kernel: without the lock */

    ngx_stomp_zone_lock(zone);

    /* nobody asks any more what patterns match */

    if (zone->sh->npatterns == 0 && zone->sh->matches) {
        ngx_stomp_match_trim_locked(zone, NGX_STOMP_MATCH_TRIM);
        rc = NGX_AGAIN;
    }

    for (i = 0; i < n; i++) {
        slot = &zone->sh->slots[i];

        generations[i] = (slot->state == NGX_STOMP_SLOT_FREE)
                         ? 0 : slot->generation;
    }

    ngx_stomp_broker_unlock(b);

    for (i = 0; i < n; i++) {

        if (generations[i] == 0
            || i == b->slot
            || ngx_stomp_slot_alive(i, generations[i]) == NGX_OK)
        {
            continue;
        }

        ngx_stomp_zone_lock(zone);

        slot = &zone->sh->slots[i];

        /* a new owner may have come, or another worker been faster */

        if (slot->state != NGX_STOMP_SLOT_FREE
            && slot->generation == generations[i]
            && ngx_stomp_slot_reap_locked(b, slot) == NGX_AGAIN)
        {
            rc = NGX_AGAIN;
        }

        ngx_stomp_dispatch_unlock(b);

        ngx_stomp_test_point("slice");
    }

    return rc;
}
