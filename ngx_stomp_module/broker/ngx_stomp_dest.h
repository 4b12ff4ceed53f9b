
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_DEST_H_INCLUDED_
#define _NGX_STOMP_DEST_H_INCLUDED_


#include <ngx_stomp_arena.h>


/* longest name of a destination, in octets */

#define NGX_STOMP_DESTINATION_MAX  1024


/*
 * A topic lives as long as it has a subscription, history or a retained
 * message, and as long as the patterns that match it are known, a queue as
 * long as it has a consumer or messages; its id is never used again.  In the
 * zone: lock of the zone; referred to by its bucket.
 */

typedef struct {
    uint32_t    next;            /* in the bucket */
    uint32_t    hash;
    uint64_t    id;
    uint64_t    last;            /* sequence number of the last message, or */
                                 /* of the broker's last when it was made */
    uint32_t    interests;       /* of a queue: its ngx_stomp_queue_sh_t */
    uint32_t    subscribers;
    uint32_t    match;           /* a topic's: the patterns that match; */
                                 /* a pattern's: its entry in the index */
    uint16_t    kind;            /* of NGX_STOMP_KIND_* */
    uint16_t    len;
    uint32_t    history;         /* kept messages, oldest first */
    uint32_t    history_tail;
    uint32_t    nhistory;
    uint32_t    retained;        /* a message, 0: none */
    uint64_t    stored;          /* number of the last one kept */
    uint64_t    lost;            /* of the last one not kept before it */
    u_char      name[1];
} ngx_stomp_dest_sh_t;


#define NGX_STOMP_KIND_TOPIC    0
#define NGX_STOMP_KIND_PATTERN  1
#define NGX_STOMP_KIND_QUEUE    2


/* one worker's share of a destination; on the lists of both */

typedef struct {
    uint32_t    next;            /* of the destination */
    uint32_t    prev;
    uint32_t    slot_next;
    uint32_t    slot_prev;
    uint32_t    dest;
    uint32_t    slot;
    uint32_t    count;           /* subscriptions */
} ngx_stomp_interest_sh_t;


/* Returns the hash of a name; without the lock. */
uint32_t ngx_stomp_dest_hash(ngx_stomp_zone_t *zone, ngx_str_t *name);

/* Returns the topic or NULL.  The lock is held. */
ngx_stomp_dest_sh_t *ngx_stomp_dest_lookup_locked(ngx_stomp_zone_t *zone,
    ngx_str_t *name, uint32_t hash);

/* Returns the destination of a kind or NULL.  The lock is held. */
ngx_stomp_dest_sh_t *ngx_stomp_dest_find_locked(ngx_stomp_zone_t *zone,
    ngx_str_t *name, uint32_t hash, uint32_t kind);

/*
 * Creates a destination, which isn't there, without interests.  The lock is
 * held.  Returns it, or NULL if the zone is full.
 */
ngx_stomp_dest_sh_t *ngx_stomp_dest_create_locked(ngx_stomp_zone_t *zone,
    ngx_str_t *name, uint32_t hash, uint32_t kind);

/*
 * Frees a destination that nothing needs: it has no interests, history and
 * retained message, and, if it is a topic, nothing known of it that is worth
 * to be kept.  The lock is held.
 */
void ngx_stomp_dest_release_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_dest_sh_t *dest);

/*
 * Adds one subscription of a slot to a destination.  The lock is held.
 * Returns the offset of the interest, or 0 if the zone is full: the caller
 * rolls the section back.
 */
uint32_t ngx_stomp_dest_interest_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_dest_sh_t *dest, ngx_uint_t slot);

/* Unlinks and frees a destination that nothing refers to.  The lock is held. */
void ngx_stomp_dest_free_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_dest_sh_t *dest);

/*
 * Adds one subscription of a slot to a destination, which is created if it is
 * new; its name is at most NGX_STOMP_DESTINATION_MAX octets.  The lock is
 * held.  Returns the offset of the interest, or 0 if the zone is full: the
 * caller rolls the section back.
 */
uint32_t ngx_stomp_interest_add_locked(ngx_stomp_zone_t *zone, ngx_str_t *name,
    uint32_t hash, ngx_uint_t slot);

/*
 * Takes count subscriptions from an interest; the last one frees it, and the
 * destination if nothing else needs it.  The lock is held.
 */
void ngx_stomp_interest_remove_locked(ngx_stomp_zone_t *zone, uint32_t interest,
    uint32_t count);


#endif /* _NGX_STOMP_DEST_H_INCLUDED_ */
