
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_broker_private.h>


static ngx_uint_t ngx_stomp_broker_sessions_full_locked(
    ngx_stomp_broker_t *b);
static void ngx_stomp_broker_session_fill_locked(ngx_stomp_broker_t *b,
    uint32_t offset, ngx_stomp_session_info_t *info);


uint32_t
ngx_stomp_broker_session_add(ngx_stomp_broker_t *b,
    ngx_stomp_session_info_t *info)
{
    size_t             size;
    uint32_t           offset;
    ngx_stomp_zone_t  *zone;

    if (b->slot == NGX_STOMP_SLOT_NONE) {
        return 0;
    }

    zone = &b->zone;

    info->addr.len = ngx_min(info->addr.len, NGX_STOMP_SESSION_TEXT_MAX);
    info->user.len = ngx_min(info->user.len, NGX_STOMP_SESSION_TEXT_MAX);

    size = offsetof(ngx_stomp_session_sh_t, text)
           + info->addr.len + info->user.len;

    ngx_stomp_zone_lock(zone);

    if (ngx_stomp_broker_sessions_full_locked(b)) {
        ngx_stomp_broker_unlock(b);

        info->exceeded = 1;
        b->refused_sessions++;
        return 0;
    }

    offset = ngx_stomp_alloc_locked(zone, size);

    if (offset == 0) {
        ngx_stomp_broker_unlock(b);

        (void) ngx_stomp_broker_reclaim(b);

        ngx_stomp_zone_lock(zone);

        offset = ngx_stomp_alloc_locked(zone, size);
    }

    if (offset) {
        ngx_stomp_broker_session_fill_locked(b, offset, info);
    }

    ngx_stomp_broker_unlock(b);

    return offset;
}


ngx_uint_t
ngx_stomp_broker_sessions_full(ngx_stomp_broker_t *b)
{
    ngx_uint_t  full;

    if (b->conf->max_sessions == 0) {
        return 0;
    }

    ngx_stomp_zone_lock(&b->zone);

    full = ngx_stomp_broker_sessions_full_locked(b);

    ngx_stomp_broker_unlock(b);

    b->refused_sessions += full;

    return full;
}


/* sessions of dead workers count until they are reaped */

static ngx_uint_t
ngx_stomp_broker_sessions_full_locked(ngx_stomp_broker_t *b)
{
    uint64_t    n;
    ngx_uint_t  i;

    if (b->conf->max_sessions == 0) {
        return 0;
    }

    n = 0;

    for (i = 0; i < NGX_STOMP_SLOTS_MAX; i++) {
        n += b->zone.sh->slots[i].nsessions;
    }

    return n >= (uint64_t) b->conf->max_sessions;
}


static void
ngx_stomp_broker_session_fill_locked(ngx_stomp_broker_t *b, uint32_t offset,
    ngx_stomp_session_info_t *info)
{
    u_char                  *p;
    ngx_stomp_zone_t        *zone;
    ngx_stomp_slot_sh_t     *own;
    ngx_stomp_session_sh_t  *session, *first;

    zone = &b->zone;
    own = &zone->sh->slots[b->slot];

    session = ngx_stomp_zone_ptr(zone, offset);

    session->next = own->sessions;
    session->prev = 0;
    session->id = info->id;
    session->since = (uint64_t) info->since;
    session->addr_len = (uint16_t) info->addr.len;
    session->user_len = (uint16_t) info->user.len;
    p = session->text;

    if (info->addr.len) {
        p = ngx_cpymem(p, info->addr.data, info->addr.len);
    }

    if (info->user.len) {
        ngx_memcpy(p, info->user.data, info->user.len);
    }

    if (session->next) {
        first = ngx_stomp_zone_ptr(zone, session->next);
        ngx_stomp_set(zone, &first->prev, offset);
    }

    ngx_stomp_set(zone, &own->sessions, offset);
    ngx_stomp_set(zone, &own->nsessions, own->nsessions + 1);
}


void
ngx_stomp_broker_session_remove(ngx_stomp_broker_t *b, uint32_t session)
{
    if (b->slot == NGX_STOMP_SLOT_NONE) {
        return;
    }

    ngx_stomp_zone_lock(&b->zone);

    ngx_stomp_session_free_locked(&b->zone, &b->zone.sh->slots[b->slot],
                                  session);
    ngx_stomp_broker_unlock(b);
}
