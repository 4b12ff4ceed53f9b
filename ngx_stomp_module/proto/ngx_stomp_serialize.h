
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_SERIALIZE_H_INCLUDED_
#define _NGX_STOMP_SERIALIZE_H_INCLUDED_


#include <ngx_stomp_frame.h>


/*
 * Server frames, each with its NUL and nothing after it.  Each function
 * returns the number of octets of the frame; p == NULL: it only counts, so
 * that the caller allocates exactly that and calls again.
 */

typedef struct {
    ngx_uint_t    version;        /* one NGX_STOMP_V* bit */
    ngx_msec_t    send;           /* the server's own heart-beat values */
    ngx_msec_t    receive;
    ngx_str_t     session;
    ngx_str_t     server;
    ngx_str_t     user;           /* len 0: no user-name header */
} ngx_stomp_connected_t;

/*
 * CONNECTED: version, heart-beat, user-name if there is one, session, server,
 * in this order (Spring's first, so that clients that read by position work);
 * nothing is escaped, but CR, LF and NUL become spaces; to a 1.0 client
 * without heart-beat.  Returns the length.
 */
size_t ngx_stomp_write_connected(u_char *p, ngx_stomp_connected_t *c);

/* RECEIPT with receipt-id, escaped for the version.  Returns the length. */
size_t ngx_stomp_write_receipt(u_char *p, ngx_str_t *id, ngx_uint_t version);

/*
 * ERROR with message, receipt-id if receipt is not NULL, version:1.0,1.1,1.2
 * if versions is set, content-type:text/plain and content-length, and a body
 * (UTF-8).  Header values are escaped for the version.  Returns the length.
 */
size_t ngx_stomp_write_error(u_char *p, ngx_str_t *message, ngx_str_t *receipt,
    ngx_str_t *body, ngx_uint_t version, ngx_uint_t versions);


#endif /* _NGX_STOMP_SERIALIZE_H_INCLUDED_ */
