
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_PUBLICATION_H_INCLUDED_
#define _NGX_STOMP_PUBLICATION_H_INCLUDED_


#include <ngx_stomp_session.h>


/*
 * From headers and a body, whoever sent them, to what the broker takes.
 */


/*
 * Returns NULL if that name may be subscribed to, or a sentence for the client
 * that says what is wrong with it.
 */
const char *ngx_stomp_destination_check(ngx_stomp_broker_conf_t *conf,
    ngx_str_t *name);

/* Returns the same for a name that messages are sent to: not a pattern. */
const char *ngx_stomp_destination_check_send(ngx_stomp_broker_conf_t *conf,
    ngx_str_t *name);

/*
 * Returns the number of subscriptions to a destination, as senders write it,
 * on all workers.
 */
uint32_t ngx_stomp_destination_subscribers(ngx_stomp_broker_t *b,
    ngx_str_t *name);

/*
 * Returns 1 for the header names that are the broker's or the frame's own and
 * so never carried from a sender to the subscribers.
 */
ngx_uint_t ngx_stomp_header_reserved(ngx_str_t *name);

/*
 * Fills in p, which ngx_stomp_publication_init() has made of the same headers,
 * what "retain", "ttl" and "expires" say; of repeated ones the first counts.
 * Nothing of the headers is referred to.  Returns NULL, or a sentence that says
 * what is wrong with them.
 */
const char *ngx_stomp_publication_options(ngx_stomp_broker_conf_t *conf,
    ngx_stomp_publication_t *p, ngx_stomp_header_t *headers, ngx_uint_t n);

/*
 * Answers a frame that was not published since too much would be retained:
 * ERROR, and the session's end.
 */
void ngx_stomp_publication_over(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame);

/* Returns the size of the block that the headers make. */
size_t ngx_stomp_publication_size(ngx_stomp_header_t *headers, ngx_uint_t n);

/*
 * Fills p: the header block, without reserved names, repeated destinations,
 * "retain" and "ttl", is written to buf, of ngx_stomp_publication_size()
 * octets, and behind it the name that the broker has for the destination of a
 * user; body and other destinations are referred to.  The first destination
 * among the headers is the message's own.
 */
void ngx_stomp_publication_init(ngx_stomp_publication_t *p, u_char *buf,
    ngx_stomp_header_t *headers, ngx_uint_t n, ngx_str_t *destination,
    ngx_str_t *body);


#endif /* _NGX_STOMP_PUBLICATION_H_INCLUDED_ */
