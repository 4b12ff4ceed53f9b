
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_HTTP_STOMP_SESSION_CONF_H_INCLUDED_
#define _NGX_HTTP_STOMP_SESSION_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_stomp_session.h>


/*
 * Directives of a session with more than a number: heart-beats, and the limits
 * of what one client may do.
 */


/* Marks what the limits of clients have in conf as not set. */
void ngx_http_stomp_init_limits(ngx_stomp_session_conf_t *conf);

/* Merges it, with the defaults. */
void ngx_http_stomp_merge_limits(ngx_stomp_session_conf_t *prev,
    ngx_stomp_session_conf_t *conf);

/* The handler of "stomp_heartbeat send [receive] | off". */
char *ngx_http_stomp_heartbeat(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* The handler of "stomp_ping_interval time | off". */
char *ngx_http_stomp_ping_interval(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* The handler of "stomp_message_rate number [burst=number] | off". */
char *ngx_http_stomp_message_rate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* The handler of "stomp_byte_rate size [burst=size] | off". */
char *ngx_http_stomp_byte_rate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/* the words of "stomp_rate_policy" and "stomp_slow_policy" */

extern ngx_conf_enum_t  ngx_http_stomp_rate_policies[];
extern ngx_conf_enum_t  ngx_http_stomp_slow_policies[];


#endif /* _NGX_HTTP_STOMP_SESSION_CONF_H_INCLUDED_ */
