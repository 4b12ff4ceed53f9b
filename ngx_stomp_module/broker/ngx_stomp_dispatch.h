
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_DISPATCH_H_INCLUDED_
#define _NGX_STOMP_DISPATCH_H_INCLUDED_


#include <ngx_stomp_broker.h>
#include <ngx_stomp_queue.h>


/*
 * From queues to consumers and back.  What one section has no room for is left
 * on the zone's list of queues to be dispatched, which each worker's drain
 * goes on with.
 */


/* entries that one section hands out */
#define NGX_STOMP_DISPATCH_MAX  16


/*
 * Hands out entries of the queues on the zone's list, at most so many as one
 * section may; their workers are to be woken by ngx_stomp_dispatch_unlock().
 * The lock is held.
 */
void ngx_stomp_dispatch_locked(ngx_stomp_broker_t *b);

/*
 * Adds a publication, whose message is numbered, to its queue, which is put on
 * the zone's list; what is over the queue's limits is dropped or refused.  The
 * lock is held.
 * NGX_OK;  NGX_BUSY: there is no room, p->full: not in the queue or for queues;
 * the caller rolls the section back;  NGX_ABORT: likewise, the section is too
 * long.
 */
ngx_int_t ngx_stomp_dispatch_push_locked(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p, uint32_t message, uint32_t batch,
    uint32_t batch_bytes);

/*
 * Publishes a message of up to a page to its queue, in one section of the
 * lock, which is not held, and hands out what is possible.  NGX_OK, NGX_BUSY
 * or NGX_ABORT as above.
 */
ngx_int_t ngx_stomp_dispatch_publish(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p);

/*
 * Drops what has expired of the queue of the last of n publications, or what
 * is oldest if that is configured, where one section was too short to make
 * room for those of them that are for it.  Takes the lock, as often as needed.
 * Returns how many messages it has dropped: with none there is nothing to try
 * again.
 */
ngx_uint_t ngx_stomp_dispatch_drop(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p, ngx_uint_t n);

/*
 * Moves what is fresh of this worker's consumers to b->taken, which is empty,
 * and counts it as delivered.  The lock is held.
 */
void ngx_stomp_dispatch_take_locked(ngx_stomp_broker_t *b,
    ngx_stomp_slot_sh_t *own);

/* Delivers what was taken.  Without the lock. */
void ngx_stomp_dispatch_hand(ngx_stomp_broker_t *b);

/*
 * Gives back a slice of what a consumer has, and frees it with the last one.
 * counted: what its worker had taken counts as delivered.  The lock is held.
 * NGX_OK: it is gone;  NGX_AGAIN: call again, in another section.
 */
ngx_int_t ngx_stomp_consumer_reap_locked(ngx_stomp_broker_t *b,
    uint32_t consumer, ngx_uint_t counted);

/*
 * Ends a section that may have handed out entries: releases the lock, wakes
 * workers, and logs what was dropped.
 */
void ngx_stomp_dispatch_unlock(ngx_stomp_broker_t *b);


#endif /* _NGX_STOMP_DISPATCH_H_INCLUDED_ */
