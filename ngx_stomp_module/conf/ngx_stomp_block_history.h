
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_BLOCK_HISTORY_H_INCLUDED_
#define _NGX_STOMP_BLOCK_HISTORY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_broker.h>


/* A directive's handler: "history PREFIX LENGTH AGE". */
char *ngx_stomp_block_history(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * Sets and checks what was not given of a broker's directives for history,
 * when its zone is known.  Returns NGX_CONF_OK or NGX_CONF_ERROR (logged).
 */
char *ngx_stomp_block_history_finish(ngx_conf_t *cf,
    ngx_stomp_broker_conf_t *bcf);


#endif /* _NGX_STOMP_BLOCK_HISTORY_H_INCLUDED_ */
