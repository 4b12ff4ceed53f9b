
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_ACCESS_H_INCLUDED_
#define _NGX_STOMP_ACCESS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_broker.h>


/*
 * Who may SEND and SUBSCRIBE where: the first rule that fits decides.  Rules
 * are of the configuration and live as long as its cycle.
 */


typedef struct {
    ngx_str_t             pattern;         /* well-formed */
    ngx_str_t             user;            /* len 0: whoever it is */
    unsigned              allow:1;         /* or deny */
    unsigned              send:1;          /* or subscribe */
    unsigned              authenticated:1; /* for sessions with a user */
} ngx_stomp_access_rule_t;


/*
 * Returns 1 if a session may SEND to a name, as the client writes it.  user:
 * NULL if the session has none.  No rule fits: 0.
 */
ngx_uint_t ngx_stomp_access_send(ngx_stomp_broker_conf_t *conf,
    ngx_str_t *user, ngx_str_t *name);

/*
 * Returns 1 if a session may SUBSCRIBE to a name, as the client writes it, of
 * at most NGX_STOMP_DESTINATION_MAX octets but for those of users, or to a
 * well-formed pattern: a rule denies it if they have a name in common, and
 * allows it if it covers the pattern.  user: NULL if the session has none.  No
 * rule fits: 0 for a queue, 1 for a topic.
 */
ngx_uint_t ngx_stomp_access_subscribe(ngx_stomp_broker_conf_t *conf,
    ngx_str_t *user, ngx_str_t *name, ngx_uint_t queue);


#endif /* _NGX_STOMP_ACCESS_H_INCLUDED_ */
