
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_dest.h>
#include <ngx_stomp_hash.h>
#include <ngx_stomp_match.h>


#define ngx_stomp_dest_bucket(zone, hash)                                     \
    (&(zone)->buckets[(hash) & ((zone)->sh->nbuckets - 1)])


uint32_t
ngx_stomp_dest_hash(ngx_stomp_zone_t *zone, ngx_str_t *name)
{
    return (uint32_t) ngx_stomp_hash(zone->sh->key, name->data, name->len);
}


ngx_stomp_dest_sh_t *
ngx_stomp_dest_lookup_locked(ngx_stomp_zone_t *zone, ngx_str_t *name,
    uint32_t hash)
{
    return ngx_stomp_dest_find_locked(zone, name, hash, NGX_STOMP_KIND_TOPIC);
}


ngx_stomp_dest_sh_t *
ngx_stomp_dest_find_locked(ngx_stomp_zone_t *zone, ngx_str_t *name,
    uint32_t hash, uint32_t kind)
{
    uint32_t              offset;
    ngx_stomp_dest_sh_t  *dest;

    offset = *ngx_stomp_dest_bucket(zone, hash);

    while (offset) {
        dest = ngx_stomp_zone_ptr(zone, offset);

        if (dest->hash == hash
            && dest->len == name->len
            && dest->kind == kind
            && ngx_memcmp(dest->name, name->data, name->len) == 0)
        {
            return dest;
        }

        offset = dest->next;
    }

    return NULL;
}


ngx_stomp_dest_sh_t *
ngx_stomp_dest_create_locked(ngx_stomp_zone_t *zone, ngx_str_t *name,
    uint32_t hash, uint32_t kind)
{
    uint32_t              offset, *bucket;
    ngx_stomp_dest_sh_t  *dest;

    offset = ngx_stomp_alloc_locked(zone, offsetof(ngx_stomp_dest_sh_t, name)
                                          + name->len);
    if (offset == 0) {
        return NULL;
    }

    dest = ngx_stomp_zone_ptr(zone, offset);
    bucket = ngx_stomp_dest_bucket(zone, hash);

    dest->next = *bucket;
    dest->hash = hash;
    dest->id = zone->sh->destination + 1;
    dest->last = zone->sh->sequence;
    dest->interests = 0;
    dest->subscribers = 0;
    dest->match = 0;
    dest->kind = (uint16_t) kind;
    dest->len = (uint16_t) name->len;
    dest->history = 0;
    dest->history_tail = 0;
    dest->nhistory = 0;
    dest->retained = 0;
    dest->stored = 0;
    dest->lost = 0;
    ngx_memcpy(dest->name, name->data, name->len);

    ngx_stomp_set64(zone, &zone->sh->destination, dest->id);
    ngx_stomp_set(zone, &zone->sh->ndestinations, zone->sh->ndestinations + 1);
    ngx_stomp_set(zone, bucket, offset);

    return dest;
}


uint32_t
ngx_stomp_interest_add_locked(ngx_stomp_zone_t *zone, ngx_str_t *name,
    uint32_t hash, ngx_uint_t slot)
{
    ngx_stomp_dest_sh_t  *dest;

    dest = ngx_stomp_dest_lookup_locked(zone, name, hash);

    if (dest == NULL) {
        dest = ngx_stomp_dest_create_locked(zone, name, hash,
                                            NGX_STOMP_KIND_TOPIC);
        if (dest == NULL) {
            return 0;
        }
    }

    return ngx_stomp_dest_interest_locked(zone, dest, slot);
}


uint32_t
ngx_stomp_dest_interest_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_dest_sh_t *dest, ngx_uint_t slot)
{
    uint32_t                  offset;
    ngx_stomp_slot_sh_t      *owner;
    ngx_stomp_interest_sh_t  *in, *first;

    owner = &zone->sh->slots[slot];

    /* at most one for each slot */

    for (offset = dest->interests; offset; offset = in->next) {
        in = ngx_stomp_zone_ptr(zone, offset);

        if (in->slot == slot) {
            ngx_stomp_set(zone, &in->count, in->count + 1);
            goto count;
        }
    }

    offset = ngx_stomp_alloc_locked(zone, sizeof(ngx_stomp_interest_sh_t));
    if (offset == 0) {
        return 0;
    }

    in = ngx_stomp_zone_ptr(zone, offset);

    in->next = dest->interests;
    in->prev = 0;
    in->slot_next = owner->interests;
    in->slot_prev = 0;
    in->dest = ngx_stomp_zone_offset(zone, dest);
    in->slot = (uint32_t) slot;
    in->count = 1;

    if (in->next) {
        first = ngx_stomp_zone_ptr(zone, in->next);
        ngx_stomp_set(zone, &first->prev, offset);
    }

    if (in->slot_next) {
        first = ngx_stomp_zone_ptr(zone, in->slot_next);
        ngx_stomp_set(zone, &first->slot_prev, offset);
    }

    ngx_stomp_set(zone, &dest->interests, offset);
    ngx_stomp_set(zone, &owner->interests, offset);

    if (dest->kind == NGX_STOMP_KIND_PATTERN) {
        ngx_stomp_set(zone, &owner->npatterns, owner->npatterns + 1);
        ngx_stomp_pattern_changed_locked(zone);
    }

count:

    ngx_stomp_set(zone, &dest->subscribers, dest->subscribers + 1);
    ngx_stomp_set(zone, &owner->nsubscriptions, owner->nsubscriptions + 1);

    return offset;
}


void
ngx_stomp_interest_remove_locked(ngx_stomp_zone_t *zone, uint32_t interest,
    uint32_t count)
{
    ngx_stomp_dest_sh_t      *dest;
    ngx_stomp_slot_sh_t      *owner;
    ngx_stomp_interest_sh_t  *in, *other;

    in = ngx_stomp_zone_ptr(zone, interest);
    dest = ngx_stomp_zone_ptr(zone, in->dest);
    owner = &zone->sh->slots[in->slot];

    ngx_stomp_set(zone, &in->count, in->count - count);
    ngx_stomp_set(zone, &dest->subscribers, dest->subscribers - count);
    ngx_stomp_set(zone, &owner->nsubscriptions, owner->nsubscriptions - count);

    if (in->count) {
        return;
    }

    if (in->prev) {
        other = ngx_stomp_zone_ptr(zone, in->prev);
        ngx_stomp_set(zone, &other->next, in->next);

    } else {
        ngx_stomp_set(zone, &dest->interests, in->next);
    }

    if (in->next) {
        other = ngx_stomp_zone_ptr(zone, in->next);
        ngx_stomp_set(zone, &other->prev, in->prev);
    }

    if (in->slot_prev) {
        other = ngx_stomp_zone_ptr(zone, in->slot_prev);
        ngx_stomp_set(zone, &other->slot_next, in->slot_next);

    } else {
        ngx_stomp_set(zone, &owner->interests, in->slot_next);
    }

    if (in->slot_next) {
        other = ngx_stomp_zone_ptr(zone, in->slot_next);
        ngx_stomp_set(zone, &other->slot_prev, in->slot_prev);
    }

    ngx_stomp_free_locked(zone, interest);

    if (dest->kind == NGX_STOMP_KIND_PATTERN) {
        ngx_stomp_set(zone, &owner->npatterns, owner->npatterns - 1);
        ngx_stomp_pattern_changed_locked(zone);
    }

    ngx_stomp_dest_release_locked(zone, dest);
}


/* a name that patterns hear keeps what is known of it, and its id */

void
ngx_stomp_dest_release_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_dest_sh_t *dest)
{
    ngx_stomp_match_sh_t  *match;

    if (dest->interests || dest->history || dest->retained) {
        return;
    }

    if (dest->kind == NGX_STOMP_KIND_PATTERN) {
        ngx_stomp_pattern_unlink_locked(zone, dest);

    } else if (dest->match) {
        match = ngx_stomp_zone_ptr(zone, dest->match);

        if (match->n == 0) {
            ngx_stomp_match_drop_locked(zone, dest);
        }

        return;
    }

    ngx_stomp_dest_free_locked(zone, dest);
}


void
ngx_stomp_dest_free_locked(ngx_stomp_zone_t *zone, ngx_stomp_dest_sh_t *dest)
{
    uint32_t              offset, *link;
    ngx_stomp_dest_sh_t  *d;

    offset = ngx_stomp_zone_offset(zone, dest);
    link = ngx_stomp_dest_bucket(zone, dest->hash);

    while (*link != offset) {
        d = ngx_stomp_zone_ptr(zone, *link);
        link = &d->next;
    }

    ngx_stomp_set(zone, link, dest->next);
    ngx_stomp_set(zone, &zone->sh->ndestinations, zone->sh->ndestinations - 1);

    ngx_stomp_free_locked(zone, offset);
}
