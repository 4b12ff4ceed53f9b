
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_WILD_H_INCLUDED_
#define _NGX_STOMP_WILD_H_INCLUDED_


#include <ngx_stomp_session.h>


/*
 * This worker's patterns: which of them a message's destination matches.
 * Answers are kept by the destination's id, in a table of a fixed size, until
 * a pattern comes or goes.  A hub has this only as long as it has patterns.
 */


struct ngx_stomp_wild_entry_s {
    ngx_stomp_wild_entry_t  *next;          /* in the bucket */
    ngx_stomp_local_t       *local;
    ngx_stomp_wildcard_t     w;             /* refers to the local's name */
    uint32_t                 hash;          /* of the literal part */
};


/*
 * Adds a pattern, whose name is the local's.  NGX_OK or NGX_ERROR (no memory).
 */
ngx_int_t ngx_stomp_wild_add(ngx_stomp_hub_t *hub, ngx_stomp_local_t *local);

/* Removes a pattern that was added. */
void ngx_stomp_wild_remove(ngx_stomp_hub_t *hub, ngx_stomp_local_t *local);

/*
 * Finds the patterns that a message is for; there is one in the hub.  *locals
 * is valid until the next call, or until a pattern comes or goes.
 * NGX_OK: these are *n, which may be 0;  NGX_ERROR: there is no memory to find
 * out, these are all that the hub has.
 */
ngx_int_t ngx_stomp_wild_match(ngx_stomp_hub_t *hub, ngx_stomp_message_t *m,
    ngx_stomp_local_t ***locals, ngx_uint_t *n);


#endif /* _NGX_STOMP_WILD_H_INCLUDED_ */
