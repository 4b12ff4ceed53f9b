
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_CORE_MODULE_H_INCLUDED_
#define _NGX_STOMP_CORE_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_broker.h>


/* a broker of the configuration, defined or only referred to so far */

typedef struct {
    ngx_stomp_broker_conf_t   conf;
    u_char                   *file;        /* of the first mention */
    ngx_uint_t                line;
    unsigned                  defined:1;
} ngx_stomp_broker_entry_t;


typedef struct {
    ngx_array_t               brokers;     /* of ngx_stomp_broker_entry_t * */
    time_t                    drain;       /* seconds */
} ngx_stomp_core_conf_t;


/*
 * Returns the broker of that name, which may be defined later: who is not by
 * the end of the configuration is reported then, with file and line.
 * NULL: no memory.
 */
ngx_stomp_broker_conf_t *ngx_stomp_broker_ref(ngx_conf_t *cf, ngx_str_t *name);

/* The handler of "stomp_broker NAME { }". */
char *ngx_stomp_broker_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Tells how long an exiting worker may take for its goodbyes, in seconds. */
void ngx_stomp_core_set_drain(ngx_conf_t *cf, time_t drain);


extern ngx_module_t  ngx_stomp_core_module;
extern ngx_module_t  ngx_stomp_block_module;


#endif /* _NGX_STOMP_CORE_MODULE_H_INCLUDED_ */
