
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_HTTP_STOMP_MODULE_H_INCLUDED_
#define _NGX_HTTP_STOMP_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_stomp_session.h>


typedef struct {
    time_t                      shutdown_drain;
} ngx_http_stomp_main_conf_t;


typedef struct {
    /* what the location is, all NULL if it is none of ours */
    ngx_stomp_broker_conf_t    *pass;
    ngx_stomp_broker_conf_t    *push;
    ngx_stomp_broker_conf_t    *status;

    /* stomp_pass */
    ngx_stomp_session_conf_t    session;
    ngx_array_t                *origins;      /* of ngx_str_t; NULL: the same */
    ngx_uint_t                  origins_any;
    size_t                      max_frame;
    ngx_flag_t                  keep_request;
    ngx_http_complex_value_t   *user;

    /* stomp_push */
    ngx_http_complex_value_t   *push_destination;
    ngx_http_complex_value_t   *push_body;
} ngx_http_stomp_loc_conf_t;


extern ngx_module_t  ngx_http_stomp_module;


#endif /* _NGX_HTTP_STOMP_MODULE_H_INCLUDED_ */
