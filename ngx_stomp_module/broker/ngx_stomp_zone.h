
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_ZONE_H_INCLUDED_
#define _NGX_STOMP_ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_test_hooks.h>


/*
 * A zone is one mapping that all processes share.  Inside of it:
 *
 *   header | undo log | slots | hash buckets | page descriptors | pages
 *
 * Links are 32-bit offsets from the header, 0 is "none".
 *
 * There is one lock, the mutex of nginx's slab pool: the only one that the
 * master releases when a worker dies.  Two zones are never locked at a time.
 * Never while it is held: logging, system calls, callbacks, loops that grow
 * with the number of subscribers or destinations.
 *
 * Whatever is reachable from the header is written under the lock, and only
 * through ngx_stomp_set(), which notes the old value first; unlocking forgets
 * the notes.  Who finds notes when it locks plays them backwards: the last
 * holder was killed, and its operation has not happened.  So:
 *   - an object that is allocated and not linked yet is written directly, and
 *     so are the numbers of a batch in the section that publishes it: what is
 *     not published yet is linked only to be freed;
 *   - statistics that nothing depends on are added to directly;
 *   - an object that is freed is not handed out again before the unlock;
 *   - a section makes less than NGX_STOMP_UNDO_MAX notes: callers bound it.
 *
 * Without the lock a process reads what never changes (the header's layout,
 * epoch and key), "retired", and the messages that it has in hand, but for
 * their count of references; it writes nothing.  t/unit/lock_guard_rules.c
 * knows these rules, and a test watches that they are kept.
 */


#define NGX_STOMP_LAYOUT         2
#define NGX_STOMP_UNDO_MAX       4096
#define NGX_STOMP_SLOTS_MAX      256
#define NGX_STOMP_PAGE_SHIFT     12
#define NGX_STOMP_PAGE_SIZE      (1 << NGX_STOMP_PAGE_SHIFT)
#define NGX_STOMP_CLASSES        11
#define NGX_STOMP_DEPTHS         65     /* words before a wildcard, and none */
#define NGX_STOMP_PATTERN_BUCKETS  1024
#define NGX_STOMP_ZONE_MIN       (1024 * 1024)
#define NGX_STOMP_ZONE_MAX       0xfff00000U

/* objects given back to their pages at an unlock */
#define NGX_STOMP_LIMBO_SLICE    64


/* keeps the compiler, and so a killed process, to the order of stores */

#define ngx_stomp_barrier()      __asm__ volatile ("" : : : "memory")


typedef enum {
    NGX_STOMP_SLOT_FREE = 0,
    NGX_STOMP_SLOT_LIVE,
    NGX_STOMP_SLOT_REAPING
} ngx_stomp_slot_state_e;


typedef struct {
    uint32_t                 offset;
    uint32_t                 value;
} ngx_stomp_undo_t;


/* what one worker owns in a zone; found by its slot's number */

typedef struct {
    uint32_t                 state;         /* ngx_stomp_slot_state_e */
    uint32_t                 generation;    /* of the process slot */
    uint32_t                 pid;           /* to be shown only */
    uint32_t                 awake;         /* a wake-up is on its way */
    uint32_t                 overrun;
    uint32_t                 inbox;         /* deliveries, oldest first */
    uint32_t                 inbox_tail;
    uint32_t                 inbox_count;   /* messages */
    uint32_t                 inbox_bytes;
    uint32_t                 inhand;        /* deliveries being encoded */
    uint32_t                 building;      /* message not published yet */
    uint32_t                 interests;
    uint32_t                 sessions;
    uint32_t                 nsessions;
    uint32_t                 nsubscriptions;
    uint32_t                 npatterns;     /* interests in patterns */
    uint32_t                 cursors;       /* of replays */
    uint32_t                 ncursors;
    uint32_t                 consumers;
    uint32_t                 work;          /* consumers with fresh entries */
    uint32_t                 work_tail;
    uint64_t                 drained;       /* last sequence number taken */
} ngx_stomp_slot_sh_t;


/* page descriptor */

typedef struct {
    uint32_t                 next;          /* index + 1 */
    uint32_t                 prev;
    uint32_t                 class;
    uint32_t                 used;          /* objects */
    uint32_t                 bits[4];       /* set: in use */
} ngx_stomp_page_sh_t;


typedef struct {
    uint32_t                 pages;
    uint32_t                 fresh;         /* pages from here on: untouched */
    uint32_t                 free;          /* given back, index + 1 */
    uint32_t                 nfree;         /* with the untouched ones */
    uint32_t                 limbo;         /* objects freed, chained */
    uint32_t                 partial[NGX_STOMP_CLASSES];
    uint32_t                 used[NGX_STOMP_CLASSES];      /* objects */
} ngx_stomp_arena_sh_t;


typedef struct {
    uint64_t                 published;
    uint64_t                 delivered;
    uint64_t                 dropped;
    uint64_t                 refused;
    uint64_t                 refused_sessions;
    uint64_t                 dropped_messages;
    uint64_t                 delayed;
    uint64_t                 recovered;     /* sections played back */
    uint64_t                 evicted;       /* from history, for room */
    uint64_t                 expired;
    uint64_t                 redelivered;   /* of queues */
    uint64_t                 dead;          /* over max_deliveries */
    uint64_t                 overflowed;    /* dropped by a full queue */
} ngx_stomp_counters_sh_t;


/* messages that are kept for later subscribers */

typedef struct {
    uint32_t                 history;       /* of all destinations, oldest */
    uint32_t                 history_tail;  /* first */
    uint32_t                 nhistory;
    uint32_t                 sweep;         /* looked at next, 0: the first */
    uint32_t                 retained;      /* likewise */
    uint32_t                 retained_tail;
    uint32_t                 nretained;
    uint32_t                 retained_bytes;
    uint32_t                 bytes;         /* of batches that have any */
    uint32_t                 reserved;
} ngx_stomp_kept_sh_t;


/* all queues together */

typedef struct {
    uint32_t                 n;
    uint32_t                 waiting;       /* entries */
    uint32_t                 unsettled;
    uint32_t                 todo;          /* queues to be dispatched */
    uint32_t                 todo_tail;
    uint32_t                 reserved;
    uint64_t                 bytes;
} ngx_stomp_queues_sh_t;


typedef struct {
    uint32_t                 magic;
    uint32_t                 layout;
    uint32_t                 retired;       /* set once, by the master */
    uint32_t                 size;

    uint64_t                 epoch;
    uint64_t                 key[2];        /* of the hash */

    uint64_t                 sequence;      /* of the last message */
    uint64_t                 destination;   /* id of the last one made */

    uint32_t                 ndestinations;
    uint32_t                 nbuckets;
    uint32_t                 buckets;       /* offsets of the parts */
    uint32_t                 descriptors;
    uint32_t                 first_page;
    uint32_t                 undo_count;

    uint64_t                 generation;    /* of the patterns */
    uint64_t                 matched;       /* last number that one heard */
    uint32_t                 npatterns;
    uint32_t                 matches;       /* oldest first */
    uint32_t                 matches_tail;
    uint32_t                 match_bytes;

    ngx_stomp_kept_sh_t      kept;
    ngx_stomp_arena_sh_t     arena;
    ngx_stomp_counters_sh_t  counters;
    ngx_stomp_queues_sh_t    queues;
    ngx_stomp_slot_sh_t      slots[NGX_STOMP_SLOTS_MAX];
    uint32_t                 depths[NGX_STOMP_DEPTHS];       /* patterns */
    uint32_t                 patterns[NGX_STOMP_PATTERN_BUCKETS];
    ngx_stomp_undo_t         undo[NGX_STOMP_UNDO_MAX];
} ngx_stomp_zone_sh_t;


/*
 * NGX_OK if the process with that pid, which holds a lock, may live;
 * NGX_DECLINED if it is dead for certain.
 */
typedef ngx_int_t (*ngx_stomp_alive_pt)(ngx_pid_t pid);


/* a process's view of a zone; all pointers are into the mapping */

typedef struct {
    ngx_stomp_zone_sh_t     *sh;
    ngx_stomp_page_sh_t     *descriptors;
    uint32_t                *buckets;
    ngx_shmtx_t             *mutex;
    ngx_stomp_alive_pt       alive;
    unsigned                 overflow:1;    /* the undo log was too short */
} ngx_stomp_zone_t;


#define ngx_stomp_zone_ptr(zone, offset)                                      \
    ((void *) ((u_char *) (zone)->sh + (offset)))

#define ngx_stomp_zone_offset(zone, p)                                        \
    ((uint32_t) ((u_char *) (p) - (u_char *) (zone)->sh))


/*
 * Lays out a zone in size octets at addr, which are zero: page-aligned, at
 * least half of NGX_STOMP_ZONE_MIN.  Nothing else uses it yet, no lock needed.
 */
void ngx_stomp_zone_format(void *addr, size_t size);

/*
 * Fills zone for a mapping that was formatted, by whichever process.
 * NGX_OK;  NGX_DECLINED: what is there has another layout.
 */
ngx_int_t ngx_stomp_zone_open(ngx_stomp_zone_t *zone, void *addr,
    ngx_shmtx_t *mutex, ngx_stomp_alive_pt alive);

/*
 * Takes the lock; plays back what a killed holder had begun.  Waits without
 * sleeping on a semaphore, and frees the lock itself if its holder is dead.
 */
void ngx_stomp_zone_lock(ngx_stomp_zone_t *zone);

/*
 * Makes the section's changes final, gives freed objects back and releases
 * the lock.
 */
void ngx_stomp_zone_unlock(ngx_stomp_zone_t *zone);

/*
 * Undoes the section's changes; the lock stays held.  For a section that
 * finds out half way that it cannot be completed.
 */
void ngx_stomp_zone_rollback(ngx_stomp_zone_t *zone);


/* Stores to what is linked in the zone.  The lock is held. */

static ngx_inline void
ngx_stomp_set(ngx_stomp_zone_t *zone, uint32_t *p, uint32_t value)
{
    uint32_t              n;
    ngx_stomp_zone_sh_t  *sh;

    sh = zone->sh;
    n = sh->undo_count;

    ngx_stomp_test_store();

    if (n < NGX_STOMP_UNDO_MAX) {
        sh->undo[n].offset = ngx_stomp_zone_offset(zone, p);
        sh->undo[n].value = *p;

        ngx_stomp_barrier();

        sh->undo_count = n + 1;

        ngx_stomp_barrier();

    } else {
        zone->overflow = 1;
    }

    *p = value;
}


/* The same for 64 bits: two notes, one store. */

static ngx_inline void
ngx_stomp_set64(ngx_stomp_zone_t *zone, uint64_t *p, uint64_t value)
{
    uint32_t  *half;

    half = (uint32_t *) (void *) p;

    /* the halves are another type: what was stored before comes first */

    ngx_stomp_barrier();

    ngx_stomp_set(zone, &half[0], half[0]);
    ngx_stomp_set(zone, &half[1], half[1]);

    ngx_stomp_barrier();

    *p = value;
}


#endif /* _NGX_STOMP_ZONE_H_INCLUDED_ */
