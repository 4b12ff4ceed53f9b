
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_HISTORY_H_INCLUDED_
#define _NGX_STOMP_HISTORY_H_INCLUDED_


#include <ngx_stomp_dest.h>
#include <ngx_stomp_message.h>


/*
 * Messages that are kept for those who subscribe later: the history of a
 * destination, and its retained message.  A message can be both.  It is on the
 * lists itself, by its ngx_stomp_extra_sh_t, and each of the two holds a
 * reference to its batch: of a batch all memory stays as long as one of its
 * messages is kept.
 */


/* messages of history that one section drops */
#define NGX_STOMP_EVICT_MAX  32

/* messages that a section of the sweep looks at */
#define NGX_STOMP_SWEEP_MAX  64


/*
 * Appends a message, whose extra names its destination and its batch, to the
 * history of its destination.  The lock is held.
 */
void ngx_stomp_history_add_locked(ngx_stomp_zone_t *zone, uint32_t message);

/*
 * Drops at most n messages of the zone's oldest history, and with them
 * destinations that nothing else holds.  The lock is held.  Returns how many.
 */
ngx_uint_t ngx_stomp_history_evict_locked(ngx_stomp_zone_t *zone,
    ngx_uint_t n);

/*
 * Drops the oldest messages of a destination, at most n, until it has no more
 * than length, which is not 0.  The lock is held.  Returns how many.
 */
ngx_uint_t ngx_stomp_history_trim_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_dest_sh_t *dest, uint32_t length, ngx_uint_t n);

/*
 * Looks at some of the kept messages and drops those that are too old or have
 * expired; now: milliseconds since the epoch.  The lock is held.
 * NGX_OK: the last one was looked at;  NGX_AGAIN: call in another section.
 */
ngx_int_t ngx_stomp_history_sweep_locked(ngx_stomp_zone_t *zone, uint64_t now);

/*
 * Makes a message, whose extra names its destination and its batch, the one
 * that the destination retains.  The lock is held.
 */
void ngx_stomp_retain_locked(ngx_stomp_zone_t *zone, uint32_t message);

/*
 * Drops what a destination retains, if anything, and the destination if
 * nothing else holds it.  The lock is held.
 */
void ngx_stomp_retain_clear_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_dest_sh_t *dest);

/*
 * Returns the number of the newest message to a destination that is not, or
 * not any more, in its history: what is newer is.  The lock is held.
 */
uint64_t ngx_stomp_history_lost_locked(ngx_stomp_dest_sh_t *dest);


#endif /* _NGX_STOMP_HISTORY_H_INCLUDED_ */
