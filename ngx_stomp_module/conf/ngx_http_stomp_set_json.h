
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_HTTP_STOMP_SET_JSON_H_INCLUDED_
#define _NGX_HTTP_STOMP_SET_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * The handler of "stomp_set_json $variable value [raw]": the variable becomes
 * the value as a JSON string with its quotes, percent-decoded before, unless
 * raw.
 */
char *ngx_http_stomp_set_json(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


#endif /* _NGX_HTTP_STOMP_SET_JSON_H_INCLUDED_ */
