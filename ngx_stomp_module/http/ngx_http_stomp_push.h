
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_HTTP_STOMP_PUSH_H_INCLUDED_
#define _NGX_HTTP_STOMP_PUSH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_stomp_session.h>


/* The content handler of a location with stomp_push. */
ngx_int_t ngx_http_stomp_push_handler(ngx_http_request_t *r);

/*
 * Publishes the members of a batch, all or none, and answers the request.
 * body: a JSON array of {"destination", "body", "headers"}.
 * Returns what ngx_http_stomp_send_error() may return, or NGX_OK.
 */
ngx_int_t ngx_http_stomp_push_batch(ngx_http_request_t *r, ngx_str_t *body);

/*
 * Publishes n messages and answers the request with what became of them, as
 * one JSON object, or as an array of them where batch is set.
 * Returns what ngx_http_stomp_send_error() may return, or NGX_OK.
 */
ngx_int_t ngx_http_stomp_push_publish(ngx_http_request_t *r,
    ngx_stomp_publication_t *p, ngx_uint_t n, ngx_uint_t batch);

/*
 * Returns NULL if a publisher may set that header of a message, or a sentence
 * that says why it may not; limits are stomp_max_*.
 */
const char *ngx_http_stomp_push_header_check(ngx_stomp_header_t *header,
    const ngx_stomp_limits_t *limits);

/* Returns the same for a header of any name. */
const char *ngx_http_stomp_push_header_text(ngx_stomp_header_t *header,
    const ngx_stomp_limits_t *limits);


#endif /* _NGX_HTTP_STOMP_PUSH_H_INCLUDED_ */
