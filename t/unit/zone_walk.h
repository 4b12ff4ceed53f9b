
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _ZONE_WALK_H_INCLUDED_
#define _ZONE_WALK_H_INCLUDED_


#include <ngx_stomp_broker_private.h>


/* what the files of zone_check() share */


#define ZONE_GRAIN  16        /* all sizes are multiples of it */


typedef struct {
    ngx_stomp_zone_t     *zone;
    ngx_stomp_zone_sh_t  *sh;
    u_char               *marks;       /* an object's kind, by its start */
    uint32_t             *refs;        /* seen, of a batch */
    uint32_t             *held;        /* likewise, by what is kept */
    uint32_t              kept_bytes;
    u_char               *listed;      /* pages that are on a list */
    uint32_t              reached;     /* objects */
    uint32_t              interests;   /* reached by destinations */
    char                  error[256];
} zone_walk_t;


enum {
    ZONE_NONE = 0,
    ZONE_LIMBO,
    ZONE_DEST,
    ZONE_INTEREST,
    ZONE_INTEREST_TWICE,
    ZONE_SESSION,
    ZONE_DELIVERY,
    ZONE_MESSAGE,
    ZONE_CURSOR,
    ZONE_QUEUE,
    ZONE_ENTRY,
    ZONE_CONSUMER,
    ZONE_CHUNK,
    ZONE_PATTERN,
    ZONE_MATCH
};


#define zone_index(w, offset)                                                 \
    (((offset) - (w)->sh->first_page) / ZONE_GRAIN)

#define zone_inside(w, offset)                                                \
    ((offset) >= (w)->sh->first_page && (offset) % ZONE_GRAIN == 0            \
     && ((offset) - (w)->sh->first_page) >> NGX_STOMP_PAGE_SHIFT              \
        < (w)->sh->arena.pages)

#define zone_size_of(size)  ((uint32_t) ngx_stomp_arena_size(size))


/* Notes the first discrepancy, as by printf().  Returns 0. */
int zone_fail(zone_walk_t *w, const char *fmt, ...);

/*
 * Marks an object in use as reached; size 0: of any size.  Returns 1, or 0
 * if there is none at that offset, or it was reached before.
 */
int zone_mark(zone_walk_t *w, uint32_t offset, uint32_t size, u_char kind,
    const char *name);

/*
 * Check a batch that a cursor or a kept message refers to, by one of its
 * messages, and count the reference; return 1 or 0.
 */
int zone_check_kept_message(zone_walk_t *w, uint32_t message);

/* Check history and what is retained, and the cursors of a slot. */
int zone_check_kept(zone_walk_t *w);
int zone_check_cursors(zone_walk_t *w, uint32_t n);

/*
 * Checks a batch that something refers to, and counts the reference; delivery
 * NULL: what it holds is not known.  building: it is under construction.
 */
int zone_check_batch(zone_walk_t *w, uint32_t offset,
    ngx_stomp_delivery_sh_t *delivery, ngx_uint_t building);

/* Check queues: from destinations, from slots, and what is left then. */
void zone_check_queues_start(void);
int zone_check_queue(zone_walk_t *w, ngx_stomp_dest_sh_t *dest,
    uint32_t offset);
int zone_check_slot_consumers(zone_walk_t *w, uint32_t n, uint32_t *count);
int zone_check_queues_end(zone_walk_t *w);

/* Check the descriptors of pages, and their lists; return 1 or 0. */
int zone_check_pages(zone_walk_t *w);
int zone_check_page_lists(zone_walk_t *w);

/*
 * Check the patterns, and what is known of the names that match them, once
 * the destinations were reached; return 1 or 0.
 */
int zone_check_patterns(zone_walk_t *w);
int zone_check_matches(zone_walk_t *w);


#endif /* _ZONE_WALK_H_INCLUDED_ */
