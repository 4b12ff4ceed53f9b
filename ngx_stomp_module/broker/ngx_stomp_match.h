
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_MATCH_H_INCLUDED_
#define _NGX_STOMP_MATCH_H_INCLUDED_


#include <ngx_stomp_dest.h>
#include <ngx_stomp_message.h>
#include <ngx_stomp_wildcard.h>


/*
 * Patterns in the zone.  A pattern is a destination of its own kind, with
 * interests as any; an index finds it by what stands before its first
 * wildcard.  What a name matches is kept with the name's destination, which
 * is made for this if it isn't there, as long as no pattern comes or goes,
 * and as long as there is room: the oldest is thrown away.  It holds for who
 * has the same topics: workers of two configurations find different patterns.
 */


/* patterns of a match whose subscriptions are counted at each publish */
#define NGX_STOMP_MATCH_LISTED  8

/* what all matches may take of a zone: one part of so many */
#define NGX_STOMP_MATCH_SHARE   32

/* matches that one section throws away */
#define NGX_STOMP_MATCH_TRIM    64


/*
 * A pattern is another one where a configuration with other topics reads it
 * in another way: so is its hash.
 */
#define ngx_stomp_pattern_hash(w, hash)                                       \
    ((hash) + 2 * (w)->base + ((w)->separator == '.'))


/* a pattern's entry in the index; its destination has the text */

typedef struct {
    uint32_t    next;            /* in the bucket */
    uint32_t    prev;
    uint32_t    dest;
    uint32_t    hash;            /* of the literal part */
    uint32_t    base;
    uint32_t    literal;
    uint32_t    depth;
    uint32_t    separator;
} ngx_stomp_pattern_sh_t;


/* doesn't change once it is linked, but for its links */

typedef struct {
    uint32_t    next;            /* all of them, oldest first */
    uint32_t    prev;
    uint32_t    dest;
    uint32_t    topics;          /* id of those of who has looked */
    uint64_t    generation;      /* of the patterns */
    uint16_t    bytes;           /* of the zone, with its destination */
    uint16_t    n;               /* patterns, or more */
    uint32_t    rest;            /* subscriptions to those not listed */
    uint32_t    patterns[NGX_STOMP_MATCH_LISTED];    /* destinations */
    uint32_t    slots[NGX_STOMP_SLOTS_MAX / 32];     /* bits: who listens */
} ngx_stomp_match_sh_t;


/* a match while it is looked for, over as many sections as it needs */

typedef struct {
    uint64_t    generation;
    uint32_t    n;
    uint32_t    rest;
    uint32_t    patterns[NGX_STOMP_MATCH_LISTED];
    uint32_t    slots[NGX_STOMP_SLOTS_MAX / 32];

    /* private: where the search is */
    uint32_t    next;            /* pattern to be looked at */
    uint32_t    hash;
    uint32_t    topic;
    uint32_t    base;
    uint32_t    depth;
    uint32_t    pos;             /* end of the words up to that depth */
    uint32_t    sections;
    uint32_t    restarts;
    u_char      separator;
    unsigned    entered:1;       /* the topic */
} ngx_stomp_match_t;


/*
 * Adds one subscription of a slot to a pattern, which is created if it is
 * new; hash: ngx_stomp_pattern_hash() of its text's.  The lock is held.
 * Returns the offset of the interest, or 0 if the zone is full: the caller
 * rolls the section back.
 */
uint32_t ngx_stomp_pattern_add_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_wildcard_t *w, uint32_t hash, ngx_uint_t slot);

/* Takes a pattern that is to be freed from the index.  The lock is held. */
void ngx_stomp_pattern_unlink_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_dest_sh_t *dest);

/*
 * The workers that listen to patterns are others now: what matched has to be
 * looked for anew.  The lock is held.
 */
void ngx_stomp_pattern_changed_locked(ngx_stomp_zone_t *zone);

/*
 * Looks for what a publication matches; there is a pattern.  m is zeroed
 * before the first call.  A bounded number of steps, and less than 128 notes.
 * The lock is held.
 * NGX_OK: m is filled, and valid until the unlock;  NGX_AGAIN: to be called
 * in another section.
 */
ngx_int_t ngx_stomp_match_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_wildcard_topics_t *topics, ngx_stomp_publication_t *p,
    ngx_stomp_match_t *m);

/*
 * Fills in what is known of a destination, which may be NULL, or, if nothing
 * is, all workers that have patterns: they look themselves.  The lock is held.
 */
void ngx_stomp_match_known_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_wildcard_topics_t *topics, ngx_stomp_dest_sh_t *dest,
    ngx_stomp_match_t *m);

/* Returns the subscriptions to what matches; m is valid.  The lock is held. */
uint32_t ngx_stomp_match_subscribers_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_match_t *m);

/*
 * Forgets what a destination matches, and frees it if nothing else needs it.
 * The lock is held.
 */
void ngx_stomp_match_drop_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_dest_sh_t *dest);

/* Throws at most n matches away, the oldest first.  The lock is held. */
void ngx_stomp_match_trim_locked(ngx_stomp_zone_t *zone, ngx_uint_t n);


#endif /* _NGX_STOMP_MATCH_H_INCLUDED_ */
