
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_HTTP_STOMP_ORIGIN_H_INCLUDED_
#define _NGX_HTTP_STOMP_ORIGIN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Compares a request's Origin (RFC 6454, section 7) with its Host.
 * NGX_OK: the same host and port, where a missing port is that of the
 * origin's scheme;  NGX_DECLINED: another one, or no origin of a web page.
 */
ngx_int_t ngx_http_stomp_origin_same(ngx_str_t *origin, ngx_str_t *host);

/*
 * Looks for an Origin in a list of origins, in any case of letters.
 * NGX_OK or NGX_DECLINED.
 */
ngx_int_t ngx_http_stomp_origin_listed(ngx_str_t *origin, ngx_array_t *list);

/* Returns NULL if it is an origin, or a sentence that says what is not. */
const char *ngx_http_stomp_origin_check(ngx_str_t *origin);


#endif /* _NGX_HTTP_STOMP_ORIGIN_H_INCLUDED_ */
