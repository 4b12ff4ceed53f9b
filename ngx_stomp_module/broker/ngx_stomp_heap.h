
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_HEAP_H_INCLUDED_
#define _NGX_STOMP_HEAP_H_INCLUDED_


#include <ngx_stomp_queue.h>


/*
 * Merges two leftist heaps of entries, by sequence number, either of them may
 * be 0.  Their right spines have at most log2(n) entries each, and each of
 * those costs four notes: an insertion into a zone's worth of entries makes
 * about 100, a removal 200.  The lock is held.  Returns the new root.
 */
uint32_t ngx_stomp_heap_merge_locked(ngx_stomp_zone_t *zone, uint32_t a,
    uint32_t b);


#endif /* _NGX_STOMP_HEAP_H_INCLUDED_ */
