
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_HTTP_STOMP_VARIABLES_H_INCLUDED_
#define _NGX_HTTP_STOMP_VARIABLES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * Adds $stomp_user: the name that stomp_user gave the session of a handshake.
 * NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_stomp_add_variables(ngx_conf_t *cf);


#endif /* _NGX_HTTP_STOMP_VARIABLES_H_INCLUDED_ */
