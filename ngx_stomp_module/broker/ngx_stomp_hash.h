
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_HASH_H_INCLUDED_
#define _NGX_STOMP_HASH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Returns the SipHash-2-4 (Aumasson and Bernstein) of len octets: names come
 * from strangers, who must not be able to choose those that fall into one
 * bucket.  key: two random words.  Needs no lock.
 */
uint64_t ngx_stomp_hash(const uint64_t key[2], const u_char *p, size_t len);

/*
 * Fills p with octets from the kernel's random source, or, where there is
 * none, from nginx's generator and the clock.  System calls: not under a lock.
 */
void ngx_stomp_random(u_char *p, size_t len);


#endif /* _NGX_STOMP_HASH_H_INCLUDED_ */
