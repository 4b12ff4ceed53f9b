
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_BROKER_PRIVATE_H_INCLUDED_
#define _NGX_STOMP_BROKER_PRIVATE_H_INCLUDED_


#include <ngx_stomp_broker.h>
#include <ngx_stomp_inbox.h>
#include <ngx_stomp_match.h>
#include <ngx_stomp_reap.h>
#include <ngx_stomp_history.h>
#include <ngx_stomp_cursor.h>
#include <ngx_stomp_wake.h>


/* what the files of the broker share; not for other layers */


/* messages that a round of the inbox delivers */
#define NGX_STOMP_DRAIN_MAX  64


/*
 * Fills m with what a publication, whose hash is set, matches.  The lock is
 * held, with nothing changed yet; it may be released and taken again.  m is
 * valid until the next unlock.
 */
void ngx_stomp_broker_match_locked(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p, ngx_stomp_match_t *m);

/* Releases the lock; logs then what could not be logged before. */
void ngx_stomp_broker_unlock(ngx_stomp_broker_t *b);

/*
 * Releases what this worker has in hand, unless it is being delivered: the
 * callback may publish or subscribe.  The lock is held.
 */
void ngx_stomp_broker_release_locked(ngx_stomp_broker_t *b);

/*
 * Delivers what is in hand, from that delivery on.  Without the lock: the
 * process holds references.
 */
void ngx_stomp_broker_hand(ngx_stomp_broker_t *b, uint32_t delivery);

/*
 * Gives back what waits for it, before a publisher is refused: freed objects,
 * what this worker has delivered, inboxes of overrun workers, and the oldest
 * history.  Takes the lock a bounded number of times.
 * Returns the number of messages that history has lost.
 */
ngx_uint_t ngx_stomp_broker_reclaim(ngx_stomp_broker_t *b);


/*
 * Makes the numbers that n publications were given final.  The lock is held.
 */
void ngx_stomp_publish_count_locked(ngx_stomp_broker_t *b, ngx_uint_t n);

/*
 * Ends a section that cannot publish, as if it had never been.  The lock is
 * held, and released.
 */
void ngx_stomp_publish_undo(ngx_stomp_broker_t *b);

/* a publication that outlives its deliveries */

#define ngx_stomp_publish_keeps(p)                                            \
    ((p)->length || ((p)->retain && (p)->body.len))

/*
 * Notes in a publication what the configuration says about its history.
 * Needs no lock.
 */
void ngx_stomp_publish_prepare(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p);

/*
 * Returns 1, and sets p->over, if a publication of a batch of so many octets
 * would have too much retained; or 0.  The lock is held.
 */
ngx_uint_t ngx_stomp_publish_over_locked(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p, ngx_stomp_dest_sh_t *dest, uint32_t bytes);

/*
 * Keeps a message as its publication wants it, and sets p->trim if the history
 * of its destination is too long then.  what: of its batch.  The destination
 * may be freed if its retained message was all that held it.  The lock is
 * held.
 */
void ngx_stomp_publish_keep_locked(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p, ngx_stomp_dest_sh_t *dest, uint32_t message,
    ngx_stomp_delivery_sh_t *what);

/*
 * Drops some of the oldest history as long as it takes more than its share of
 * the zone.  The lock is held.
 */
void ngx_stomp_publish_room_locked(ngx_stomp_broker_t *b);

/*
 * Drops what the n publications of a batch make too much, in sections of
 * bounded length.  Takes the lock.
 */
void ngx_stomp_publish_trim(ngx_stomp_broker_t *b, ngx_stomp_publication_t *p,
    ngx_uint_t n);


#endif /* _NGX_STOMP_BROKER_PRIVATE_H_INCLUDED_ */
