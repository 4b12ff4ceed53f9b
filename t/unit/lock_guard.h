
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _LOCK_GUARD_H_INCLUDED_
#define _LOCK_GUARD_H_INCLUDED_


#include <ngx_stomp_broker_private.h>


/*
 * Watches a process's use of a zone.  Its memory is unreadable; what faults
 * is let through if the process holds the lock, or if lock_guard_rules.c says
 * why it may go without, and reported otherwise.  At the end of a section
 * each word that was written must be one that the undo log would restore.
 *
 * It stands around four functions of the broker: a unit test is linked with
 * --wrap, nginx gets them from a preloaded library.
 */


/* the processor's own single step lets one access through */

#if (__linux__ && __x86_64__)
#define LOCK_GUARD_WORKS  1
#else
#define LOCK_GUARD_WORKS  0
#endif


/* a zone that is watched */

typedef struct {
    u_char               *addr;
    size_t                size;
    ngx_atomic_t         *lock;
    ngx_stomp_zone_sh_t  *sh;          /* the same memory, never protected */
    u_char               *before;      /* pages that this section writes to */
    u_char               *undone;      /* the same with the notes played back */
    u_char               *written;     /* by page: it is one of them */
    uint32_t             *pages;       /* their numbers */
    ngx_uint_t            npages;
} lock_guard_t;


/* what has been seen, of all zones */

typedef struct {
    uint64_t              sections;
    uint64_t              words;       /* changed in a section */
    uint64_t              allowed;     /* reads without the lock */
} lock_guard_figures_t;


extern lock_guard_figures_t  lock_guard_figures;

/* called with one line for each violation */
extern void (*lock_guard_report)(const char *text);


typedef void (*lock_guard_pt)(ngx_stomp_zone_t *zone);
typedef void (*lock_guard_collect_pt)(ngx_stomp_zone_t *zone, ngx_uint_t n);


/* Starts and ends to watch a zone that was opened; nobody holds its lock. */
void lock_guard_watch(ngx_stomp_zone_t *zone);
void lock_guard_release(ngx_stomp_zone_t *zone);

/* Stand around the functions of these names, and call the real ones. */
void lock_guard_lock(ngx_stomp_zone_t *zone, lock_guard_pt real);
void lock_guard_unlock(ngx_stomp_zone_t *zone, lock_guard_pt real,
    void *caller);
void lock_guard_collect(ngx_stomp_zone_t *zone, ngx_uint_t n,
    lock_guard_collect_pt real);

/*
 * To be called with 1 before a message in hand is read, without the lock, and
 * with 0 behind it: a page that is read rightly once is open in between, which
 * saves thousands of single steps.
 */
void lock_guard_reading(ngx_stomp_zone_t *zone, ngx_uint_t reading);


/* The rules; lock_guard_rules.c. */

/* Returns 1 if a word may be read, or written, without the lock. */
ngx_uint_t lock_guard_may_access(lock_guard_t *g, uint32_t offset,
    ngx_uint_t write);

/* Returns 1 if a word may be changed under the lock without a note. */
ngx_uint_t lock_guard_may_change(lock_guard_t *g, uint32_t offset);

/* Returns what an octet of the zone is, for a report. */
const char *lock_guard_name(lock_guard_t *g, uint32_t offset);


#endif /* _LOCK_GUARD_H_INCLUDED_ */
