
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_ARENA_H_INCLUDED_
#define _NGX_STOMP_ARENA_H_INCLUDED_


#include <ngx_stomp_zone.h>


/*
 * The allocator of a zone: objects of eleven sizes up to a page, in O(1).
 * The first word of each object is its link: while the object lives it may
 * be any 32-bit offset of its owner's, once freed it chains the objects that
 * wait for their unlock.
 */


/*
 * Allocates size octets, at most NGX_STOMP_PAGE_SIZE; the content is
 * undefined.  The lock is held.  Returns the offset, or 0 if the zone is full.
 */
uint32_t ngx_stomp_alloc_locked(ngx_stomp_zone_t *zone, size_t size);

/*
 * Frees one object.  It is given back after an unlock, so that a section that
 * is undone finds it as it was.  The lock is held.
 */
void ngx_stomp_free_locked(ngx_stomp_zone_t *zone, uint32_t offset);

/*
 * Frees a chain of objects, linked by their first words from head to tail,
 * in O(1).  The lock is held.
 */
void ngx_stomp_free_chain_locked(ngx_stomp_zone_t *zone, uint32_t head,
    uint32_t tail);

/*
 * Gives at most n freed objects back to their pages.  The lock is held, and
 * no change of the section is pending.
 */
void ngx_stomp_arena_collect_locked(ngx_stomp_zone_t *zone, ngx_uint_t n);

/*
 * Returns the octets that an object of that size takes; size is at most
 * NGX_STOMP_PAGE_SIZE.  Needs no lock.
 */
size_t ngx_stomp_arena_size(size_t size);

/*
 * Returns what is in use, in octets, with objects that wait to be given back.
 * The lock is held.
 */
size_t ngx_stomp_arena_used_locked(ngx_stomp_zone_t *zone);


#endif /* _NGX_STOMP_ARENA_H_INCLUDED_ */
