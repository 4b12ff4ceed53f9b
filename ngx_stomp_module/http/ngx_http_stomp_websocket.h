
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_HTTP_STOMP_WEBSOCKET_H_INCLUDED_
#define _NGX_HTTP_STOMP_WEBSOCKET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_stomp_session.h>
#include <ngx_stomp_ws.h>


/* a WebSocket connection (RFC 6455) that carries a STOMP session */

typedef struct {
    ngx_stomp_session_t      session;       /* first: it is freed by its link */
    ngx_stomp_ws_decoder_t   decoder;
    u_char                  *carry;         /* read and not decoded, or NULL */
    uint32_t                 carry_len;
    uint32_t                 max_frame;
    ngx_http_request_t      *request;       /* NULL: it was released */
    unsigned                 backlog:1;     /* carry is to be decoded first */
    unsigned                 asked:1;       /* by nginx to go */
    unsigned                 deaf:1;        /* input makes no sense any more */
} ngx_http_stomp_websocket_t;


/* The content handler of a location with stomp_pass: the handshake. */
ngx_int_t ngx_http_stomp_websocket_handler(ngx_http_request_t *r);

/*
 * Takes over the connection once the 101 has left; the request has one
 * reference more for it, and is released as soon as nothing else holds it.
 */
void ngx_http_stomp_websocket_start(ngx_http_request_t *r);

/*
 * Makes the connection's session, with all that will be needed of the
 * request.  NULL: it can't go on.
 */
ngx_http_stomp_websocket_t *ngx_http_stomp_websocket_create(
    ngx_http_request_t *r);

/* Starts to read; the request is released, or kept with the session. */
void ngx_http_stomp_websocket_run(ngx_http_stomp_websocket_t *ws);


#endif /* _NGX_HTTP_STOMP_WEBSOCKET_H_INCLUDED_ */
