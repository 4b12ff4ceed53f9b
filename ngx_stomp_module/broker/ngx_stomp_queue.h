
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_QUEUE_H_INCLUDED_
#define _NGX_STOMP_QUEUE_H_INCLUDED_


#include <ngx_stomp_dest.h>
#include <ngx_stomp_message.h>


/*
 * Queues: each message goes to one consumer, on whichever worker.  A message
 * that is published waits as an entry of its queue's list until a consumer
 * with credit takes it; then it stands on that consumer's list until it is
 * settled, or given back to the queue's heap, which orders by sequence number
 * and is served before the list.
 *
 * There is nothing between dispatch and delivery: the worker finds what is new
 * by its slot's list of consumers that have something fresh.  So a dispatch
 * allocates nothing, and what a consumer leaves behind is on one list.
 */


/* a prefix of names that are queues; lives as long as its cycle */

typedef struct ngx_stomp_queue_conf_s {
    ngx_str_t    prefix;
    ngx_str_t    dead_letter;    /* name of a queue, or empty */
    ngx_uint_t   max_length;     /* messages that wait, 0: any number */
    size_t       max_bytes;      /* octets of the zone that wait, likewise */
    ngx_uint_t   max_deliveries; /* 0: any number */
    ngx_uint_t   drop_oldest;    /* unsigned  drop_oldest:1; */
} ngx_stomp_queue_conf_t;


/*
 * What a queue's destination has more than a topic's, which refers to it.  It
 * goes when it has neither entries nor consumers.
 */

typedef struct {
    uint32_t     dest;
    uint32_t     head;           /* entries, never dispatched, oldest first */
    uint32_t     tail;
    uint32_t     returned;       /* the heap's first entry */
    uint32_t     ready;          /* ring of consumers with credit, next one */
    uint32_t     consumers;      /* number of them */
    uint32_t     waiting;        /* entries of list and heap */
    uint32_t     unsettled;      /* entries of consumers */
    uint32_t     todo;           /* 1: on the zone's list, to be dispatched */
    uint32_t     todo_next;
    uint32_t     todo_prev;
    uint32_t     reserved;
    uint64_t     bytes;          /* waiting octets */
} ngx_stomp_queue_sh_t;


/* a message of a queue; it holds a reference to the message's batch */

typedef struct {
    uint32_t     next;           /* of the list; left in the heap */
    uint32_t     prev;           /* of a consumer's list; right in the heap */
    uint32_t     queue;
    uint32_t     consumer;       /* 0: it waits */
    uint32_t     message;
    uint32_t     batch;          /* the batch's first message */
    uint32_t     deliveries;     /* NGX_STOMP_ENTRY_REDELIVERED may be set */
    uint32_t     rank;           /* in the heap: length of the right spine */
    uint32_t     bytes;          /* of the zone */
    uint32_t     batch_bytes;    /* likewise, of the whole batch */
    uint64_t     sequence;
} ngx_stomp_entry_sh_t;


/* was on its way to a client before, also if that is not counted */
#define NGX_STOMP_ENTRY_REDELIVERED  0x80000000U


/* a subscription to a queue; on the list of its slot */

typedef struct {
    uint32_t     slot_next;
    uint32_t     slot_prev;
    uint32_t     ready_next;     /* in its queue's ring, 0: not there */
    uint32_t     ready_prev;
    uint32_t     work_next;      /* in its slot's list, if it has fresh ones */
    uint32_t     work_prev;
    uint32_t     queue;
    uint32_t     slot;
    uint32_t     tag;            /* the worker's own */
    uint32_t     credit;         /* messages that it may be given */
    uint32_t     window;         /* octets that it may have, 0: it closes */
    uint32_t     bytes;          /* octets that it has */
    uint32_t     head;           /* entries, as they were dispatched */
    uint32_t     tail;
    uint32_t     fresh;          /* first one that its worker hasn't taken */
    uint32_t     reserved;
} ngx_stomp_consumer_sh_t;


/* notes that a slice leaves for what follows it in its section */
#define NGX_STOMP_NOTES_SPARE  1024

/* 1: a slice of a section that may make so many notes more has to end */
#define ngx_stomp_notes_low(zone)                                             \
    ((zone)->sh->undo_count > NGX_STOMP_UNDO_MAX - NGX_STOMP_NOTES_SPARE)


/*
 * Returns the octets of the zone that a publication takes in a queue, its
 * entry included.  Needs no lock.
 */
size_t ngx_stomp_queue_octets(ngx_stomp_publication_t *p);

/*
 * Returns the octets that one more entry of a batch, whose messages take so
 * many, adds to those of all queues: the batch's memory counts once, as long
 * as one of its entries is there.  The lock is held.
 */
size_t ngx_stomp_queue_added_locked(ngx_stomp_zone_t *zone, uint32_t batch,
    uint32_t batch_bytes);

/*
 * Returns the queue of that name, which is created if it is new.  The lock is
 * held.  NULL: the zone is full; the caller rolls the section back.
 */
ngx_stomp_queue_sh_t *ngx_stomp_queue_ref_locked(ngx_stomp_zone_t *zone,
    ngx_str_t *name, uint32_t hash);

/* Frees a queue with its destination if nothing needs it.  The lock is held. */
void ngx_stomp_queue_unref_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_queue_sh_t *queue);

/*
 * Appends a message, numbered, with a reference to its batch; bytes of the
 * zone are its own, batch_bytes those of the batch.  The lock is held.
 * NGX_OK or NGX_BUSY (zone full).
 */
ngx_int_t ngx_stomp_queue_push_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_queue_sh_t *queue, uint32_t message, uint32_t batch,
    uint32_t bytes, uint32_t batch_bytes);

/*
 * Takes the oldest entry that waits off its list or heap; there is one.  The
 * lock is held.  Returns its offset.
 */
uint32_t ngx_stomp_queue_pop_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_queue_sh_t *queue);

/* Adds an entry that is on no list to the heap.  The lock is held. */
void ngx_stomp_queue_return_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_queue_sh_t *queue, uint32_t entry);

/*
 * Frees an entry that is on no list, and its reference.  The lock is held.
 */
void ngx_stomp_entry_free_locked(ngx_stomp_zone_t *zone, uint32_t entry);

/* Puts a queue that can be dispatched on the zone's list.  The lock is held. */
void ngx_stomp_queue_todo_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_queue_sh_t *queue);

/* Takes a queue off the zone's list, if it is there.  The lock is held. */
void ngx_stomp_queue_done_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_queue_sh_t *queue);


#endif /* _NGX_STOMP_QUEUE_H_INCLUDED_ */
