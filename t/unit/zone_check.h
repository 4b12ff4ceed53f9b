
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _ZONE_CHECK_H_INCLUDED_
#define _ZONE_CHECK_H_INCLUDED_


#include <ngx_stomp_broker_private.h>


/*
 * Walks all of a zone, without trusting anything in it: page descriptors,
 * lists of pages, freed objects, destinations, interests on both of their
 * lists, sessions, deliveries, messages and their references; each object in
 * use must be reached exactly once.  Nobody else changes the zone meanwhile,
 * and no section is pending.  It shares no code with broker/ but the structs.
 * Returns NULL, or the first discrepancy in words (static).
 */
const char *zone_check(ngx_stomp_zone_t *zone);

/*
 * Returns a hash of what the zone's users can see: numbers, destinations,
 * slots, inboxes, hands and messages, wherever they lie; not what is under
 * construction, nor what waits to be given back.  The zone is sound.
 */
uint64_t zone_digest(ngx_stomp_zone_t *zone);


#endif /* _ZONE_CHECK_H_INCLUDED_ */
