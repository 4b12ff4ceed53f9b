
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_WAKE_H_INCLUDED_
#define _NGX_STOMP_WAKE_H_INCLUDED_


#include <ngx_stomp_broker.h>


/*
 * What wake-ups have to do with nginx's events.  None of these functions is
 * called with a zone's lock held.
 */


/*
 * Waits for wake-ups of this process's slot: each calls drain(b) of every
 * broker that was given to ngx_stomp_wake_broker(), until their inboxes are
 * empty, with other events between the rounds.  NGX_OK or NGX_ERROR (logged).
 */
ngx_int_t ngx_stomp_wake_init(ngx_cycle_t *cycle);

/* Lets wake-ups drain b, once for each b.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_stomp_wake_broker(ngx_stomp_broker_t *b);

/* Has the inbox of b drained in this turn of the event loop. */
void ngx_stomp_wake_post(ngx_stomp_broker_t *b);

/*
 * Wakes the workers in b->wake, and empties it: once for all that is published
 * in this turn of the event loop, or at once if b was not given to
 * ngx_stomp_wake_broker().  If this process dies before, their ticks find it.
 */
void ngx_stomp_wake_workers(ngx_stomp_broker_t *b);


#endif /* _NGX_STOMP_WAKE_H_INCLUDED_ */
