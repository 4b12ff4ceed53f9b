
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_RATE_H_INCLUDED_
#define _NGX_STOMP_RATE_H_INCLUDED_


#include <ngx_stomp_session.h>


/*
 * What a client may send in a second: two buckets of tokens, for frames and
 * for octets.  A session that has none left is not read for a while: its
 * client is slowed down by TCP.  Only sessions with s->limited have buckets.
 */


/* what happens to a session that sends too much */

#define NGX_STOMP_RATE_DELAY  0
#define NGX_STOMP_RATE_CLOSE  1


/*
 * Fills the buckets of a session whose location limits them.  NGX_OK or
 * NGX_ERROR (no memory).
 */
ngx_int_t ngx_stomp_rate_init(ngx_stomp_session_t *s);

/*
 * Takes back what ngx_stomp_rate_init() did; the session is not delayed any
 * more.
 */
void ngx_stomp_rate_cleanup(ngx_stomp_session_t *s);

/*
 * Counts n octets that the link has read, whatever they are: they can be
 * handled still.  Too many delay the session, or end it.
 */
void ngx_stomp_rate_octets(ngx_stomp_session_t *s, size_t n);

/*
 * Before a frame is parsed.  NGX_OK;  NGX_BUSY: not now, the session is
 * delayed;  NGX_DONE: there were too many, the session ends.
 */
ngx_int_t ngx_stomp_rate_check(ngx_stomp_session_t *s);

/* Counts a frame, which is complete, of a connected session. */
void ngx_stomp_rate_frame(ngx_stomp_session_t *s);

/* Ends a session's delay in the next turn: it finishes. */
void ngx_stomp_rate_hurry(ngx_stomp_session_t *s);


#endif /* _NGX_STOMP_RATE_H_INCLUDED_ */
