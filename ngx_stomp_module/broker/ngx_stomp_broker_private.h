
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_BROKER_PRIVATE_H_INCLUDED_
#define _NGX_STOMP_BROKER_PRIVATE_H_INCLUDED_


#include <ngx_stomp_broker.h>
#include <ngx_stomp_inbox.h>
#include <ngx_stomp_match.h>
#include <ngx_stomp_reap.h>
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
 * what this worker has delivered, inboxes of overrun workers.  Takes the lock
 * a bounded number of times.
 */
void ngx_stomp_broker_reclaim(ngx_stomp_broker_t *b);


#endif /* _NGX_STOMP_BROKER_PRIVATE_H_INCLUDED_ */
