
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_HTTP_STOMP_STATUS_H_INCLUDED_
#define _NGX_HTTP_STOMP_STATUS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* The content handler of a location with stomp_status. */
ngx_int_t ngx_http_stomp_status_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_STOMP_STATUS_H_INCLUDED_ */
