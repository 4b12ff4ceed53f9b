
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_INBOX_H_INCLUDED_
#define _NGX_STOMP_INBOX_H_INCLUDED_


#include <ngx_stomp_message.h>


/*
 * Messages on their way to a worker.  A delivery is appended to the slot's
 * inbox in the section that publishes its batch; the worker moves it in hand,
 * encodes without the lock, and releases it in a later section.  Both lists
 * hang on the slot, so that nothing leaks whenever the worker dies.
 */


/* whether a delivery is too much for a slot that has something already */

#define ngx_stomp_inbox_full(slot, what, limit)                               \
    ((slot)->state == NGX_STOMP_SLOT_LIVE && !(slot)->overrun                 \
     && (what)->bytes > (limit) - ngx_min(limit, (slot)->inbox_bytes))


/*
 * Appends a copy of a delivery to a slot's inbox and takes a reference to its
 * batch.  limit: octets that may wait there.  The lock is held.
 * NGX_OK: appended;  NGX_DECLINED: the slot isn't live, or is overrun;
 * NGX_BUSY: the zone is full; the caller rolls the section back.
 */
ngx_int_t ngx_stomp_inbox_push_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_slot_sh_t *slot, ngx_stomp_delivery_sh_t *what, uint32_t limit);

/* octets of the zone that a worker takes in hand at a time, if it can */
#define NGX_STOMP_INHAND_MAX  (256 * 1024)

/*
 * Moves deliveries of at most n messages and NGX_STOMP_INHAND_MAX octets, but
 * at least one delivery, from a slot's inbox to its hand, which is empty.  The
 * lock is held.
 * Returns the first delivery's offset or 0; they are chained by next.
 */
uint32_t ngx_stomp_inbox_take_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_slot_sh_t *slot, ngx_uint_t n);

/*
 * Releases at most n deliveries of a list: pass &slot->inbox or
 * &slot->inhand.  The lock is held.
 */
void ngx_stomp_inbox_release_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_slot_sh_t *slot, uint32_t *list, ngx_uint_t n);


#endif /* _NGX_STOMP_INBOX_H_INCLUDED_ */
