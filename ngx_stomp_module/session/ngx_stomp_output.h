
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_OUTPUT_H_INCLUDED_
#define _NGX_STOMP_OUTPUT_H_INCLUDED_


#include <ngx_stomp_session.h>


/*
 * What is on its way to the clients.  Frames are written into segments, which
 * sessions refer to by ranges; a hub's flush sends each session all that it
 * has with one call.
 */


/*
 * Returns a segment with room for len octets behind used: the one in *keep,
 * or a new one, for which the reference that *keep held is exchanged.
 * NULL: no memory; *keep is as it was.
 */
ngx_stomp_segment_t *ngx_stomp_segment_reserve(ngx_stomp_segment_t **keep,
    size_t len, ngx_log_t *log);

/* Drops a reference; the last one frees the segment. */
void ngx_stomp_segment_unref(ngx_stomp_segment_t *segment);

/*
 * Queues octets start..end of a segment for a session, and has the hub
 * flushed after the next turn of the event loop.  A session whose output
 * goes over its limit is closed.
 */
void ngx_stomp_output_range(ngx_stomp_session_t *s,
    ngx_stomp_segment_t *segment, uint32_t start, uint32_t end);

/*
 * Queues one STOMP frame, or a heart-beat, wrapped as the session's link has
 * it.  text: it is UTF-8.  A session that gets no memory is aborted.
 */
void ngx_stomp_output_frame(ngx_stomp_session_t *s, u_char *frame, size_t len,
    ngx_uint_t text);

/* Queues octets as they are: a link's own frames. */
void ngx_stomp_output_raw(ngx_stomp_session_t *s, u_char *p, size_t len);

/*
 * Sends what a session has.  NGX_OK: all sent;  NGX_AGAIN: the socket is full;
 * NGX_ERROR: it is broken.
 */
ngx_int_t ngx_stomp_output_send(ngx_stomp_session_t *s);

/* Throws away what a session has, and takes it off the hub's list. */
void ngx_stomp_output_discard(ngx_stomp_session_t *s);

/* Posts the hub's flush. */
void ngx_stomp_output_post(ngx_stomp_hub_t *hub);

/* An event's handler: flushes the hub that is its data. */
void ngx_stomp_output_flush(ngx_event_t *ev);


#endif /* _NGX_STOMP_OUTPUT_H_INCLUDED_ */
