
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_SLOW_H_INCLUDED_
#define _NGX_STOMP_SLOW_H_INCLUDED_


#include <ngx_stomp_session.h>


/*
 * Sessions whose clients don't take what they are sent.  By default one is
 * closed when its output goes over its limit; with s->drops it misses
 * messages instead.
 */


/* Sets the limits of a new session's output from its location's. */
void ngx_stomp_slow_init(ngx_stomp_session_t *s);

/*
 * For a session with s->drops, before a MESSAGE of len octets, all its ranges
 * together, is queued.  Returns 1 if it is to be left out, which is counted.
 */
ngx_uint_t ngx_stomp_slow_drop(ngx_stomp_session_t *s, size_t len);

/* Writes to the log, now and then, that messages to a session are dropped. */
void ngx_stomp_slow_tell(ngx_stomp_session_t *s);


#endif /* _NGX_STOMP_SLOW_H_INCLUDED_ */
