
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_REAP_H_INCLUDED_
#define _NGX_STOMP_REAP_H_INCLUDED_


#include <ngx_stomp_broker.h>
#include <ngx_stomp_inbox.h>


/* objects that one section takes from a slot */
#define NGX_STOMP_REAP_MAX          128

#define NGX_STOMP_SESSION_TEXT_MAX  255


/* a session, for who lists them; on its slot's list */

typedef struct {
    uint32_t    next;
    uint32_t    prev;
    uint64_t    id;
    uint64_t    since;           /* seconds since the epoch */
    uint16_t    addr_len;
    uint16_t    user_len;
    u_char      text[1];         /* address, user */
} ngx_stomp_session_sh_t;


/* Unlinks and frees a session of a slot.  The lock is held. */
void ngx_stomp_session_free_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_slot_sh_t *slot, uint32_t session);

/*
 * Takes a slice of what a slot owns, which is not live from the first slice
 * on.  Any worker may do any slice.  The lock is held, and released with
 * ngx_stomp_dispatch_unlock().
 * NGX_OK: the slot is free, with nothing on it;  NGX_AGAIN: call again.
 */
ngx_int_t ngx_stomp_slot_reap_locked(ngx_stomp_broker_t *b,
    ngx_stomp_slot_sh_t *slot);


#endif /* _NGX_STOMP_REAP_H_INCLUDED_ */
