
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_BLOCK_ACCESS_H_INCLUDED_
#define _NGX_STOMP_BLOCK_ACCESS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Handlers of directives in the stomp_broker block: who may do what. */


/* The handler of "users FILE".  Returns NGX_CONF_OK or an error. */
char *ngx_stomp_block_users(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * The handler of "allow" and "deny", which both have the parameters
 * "send|subscribe PATTERN... [user=NAME|@authenticated]".  Returns NGX_CONF_OK
 * or an error.
 */
char *ngx_stomp_block_access(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


#endif /* _NGX_STOMP_BLOCK_ACCESS_H_INCLUDED_ */
