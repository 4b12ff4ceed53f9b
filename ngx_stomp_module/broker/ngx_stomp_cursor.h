
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_CURSOR_H_INCLUDED_
#define _NGX_STOMP_CURSOR_H_INCLUDED_


#include <ngx_stomp_broker.h>


/*
 * A replay, as the zone knows it: the messages that a worker has taken of a
 * destination's kept ones, each with a reference to its batch.  The last of
 * them is the replay's place in the history.  On its slot's list.
 */

typedef struct {
    uint32_t    next;
    uint32_t    prev;
    uint32_t    n;
    uint32_t    reserved;
    uint32_t    messages[NGX_STOMP_REPLAY_MAX];
} ngx_stomp_cursor_sh_t;


/*
 * Releases what a slot's cursor has taken, unlinks and frees it.  The lock is
 * held.
 */
void ngx_stomp_cursor_free_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_slot_sh_t *slot, uint32_t cursor);


#endif /* _NGX_STOMP_CURSOR_H_INCLUDED_ */
