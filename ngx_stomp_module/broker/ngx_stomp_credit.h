
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_CREDIT_H_INCLUDED_
#define _NGX_STOMP_CREDIT_H_INCLUDED_


#include <ngx_stomp_queue.h>


/*
 * Consumers, and the lists that they stand on: their slot's, their queue's
 * ring while they have credit, and their slot's list of work while they have
 * entries that the worker hasn't taken.
 */


/*
 * Creates a consumer of a queue, with credit for so many messages and window
 * octets, which are not 0.  The lock is held.  Returns its offset, or 0 if the
 * zone is full: the caller rolls the section back.
 */
uint32_t ngx_stomp_consumer_create_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_queue_sh_t *queue, ngx_uint_t slot, uint32_t tag,
    uint32_t credit, uint32_t window);

/* Frees a consumer without entries.  The lock is held. */
void ngx_stomp_consumer_free_locked(ngx_stomp_zone_t *zone,
    uint32_t consumer);

/* Nothing more is dispatched to a consumer.  The lock is held. */
void ngx_stomp_consumer_stop_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_consumer_sh_t *consumer);

/*
 * Gives an entry that is on no list to the consumer that is next in the ring;
 * it takes a credit.  The lock is held.
 */
void ngx_stomp_consumer_push_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_consumer_sh_t *consumer, uint32_t entry);

/*
 * Takes an entry off its consumer's lists, who gets its credit back.  The lock
 * is held.
 */
void ngx_stomp_consumer_remove_locked(ngx_stomp_zone_t *zone, uint32_t entry);

/*
 * The consumer's worker has taken its first fresh entry.  The lock is held.
 */
void ngx_stomp_consumer_taken_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_consumer_sh_t *consumer);


#endif /* _NGX_STOMP_CREDIT_H_INCLUDED_ */
