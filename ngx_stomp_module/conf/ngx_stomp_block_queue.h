
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_BLOCK_QUEUE_H_INCLUDED_
#define _NGX_STOMP_BLOCK_QUEUE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_broker.h>


/* The handler of "queue PREFIX [parameters]"; conf is the broker's. */
char *ngx_stomp_block_queue(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * Checks what can be checked only at the end of the block.  Returns
 * NGX_CONF_OK, or NGX_CONF_ERROR (logged).
 */
char *ngx_stomp_block_queues(ngx_conf_t *cf, ngx_stomp_broker_conf_t *bcf);


#endif /* _NGX_STOMP_BLOCK_QUEUE_H_INCLUDED_ */
