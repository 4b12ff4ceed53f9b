
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_MESSAGE_H_INCLUDED_
#define _NGX_STOMP_MESSAGE_H_INCLUDED_


#include <ngx_stomp_arena.h>


/*
 * Messages that are published together are a batch, mostly of one.  Their
 * objects form one chain from the first message's head to the batch's tail,
 * so that it is freed at once.  From the section that publishes it on a
 * message doesn't change, but for refs; who holds a reference reads it
 * without the lock.
 */

typedef struct {
    uint32_t    next;            /* the batch's next object */
    uint32_t    refs;            /* deliveries, entries; of the first message */
    uint32_t    tail;            /* the batch's last object; likewise */
    uint32_t    sibling;         /* the batch's next message */
    uint64_t    sequence;
    uint64_t    destination;     /* its id */
    uint64_t    time;            /* milliseconds since the epoch */
    uint32_t    flags;           /* the publisher's own, but for two */
    uint32_t    headers;         /* octets; the body follows them */
    uint32_t    body;
    uint32_t    held;            /* why the batch's memory counts: messages */
                                 /* that are kept, entries; of the first one */
} ngx_stomp_message_sh_t;


/* of held: there are at most 1000 messages, which can be kept in two ways */
#define NGX_STOMP_HELD_KEPT      0x0000ffffU
#define NGX_STOMP_HELD_ENTRIES   0xffff0000U
#define NGX_STOMP_HELD_ENTRY     0x00010000U


/* of the flags: an ngx_stomp_extra_sh_t stands before the headers */
#define NGX_STOMP_MESSAGE_EXTRA  0x80000000U

/* it is a queue's, whoever else has its batch in hand */
#define NGX_STOMP_MESSAGE_QUEUE  0x40000000U


/*
 * What only a message has that is kept, or that expires.  But for expires it
 * is of the lock, also in a message that is in hand.
 */

typedef struct {
    uint32_t    next;            /* of the destination's history, newer */
    uint32_t    prev;
    uint32_t    all_next;        /* of all history of the zone */
    uint32_t    all_prev;
    uint32_t    retained_next;   /* of all retained messages */
    uint32_t    retained_prev;
    uint32_t    dest;
    uint32_t    batch;           /* its first message */
    uint32_t    bytes;           /* of the batch */
    uint32_t    state;           /* NGX_STOMP_KEPT_*, 0: not kept */
    uint64_t    expires;         /* milliseconds since the epoch, 0: never */
    uint64_t    until;           /* in history; likewise */
} ngx_stomp_extra_sh_t;


#define NGX_STOMP_KEPT_HISTORY   1
#define NGX_STOMP_KEPT_RETAINED  2

#define ngx_stomp_message_extra(zone, message)                                \
    ((ngx_stomp_extra_sh_t *) ngx_stomp_zone_ptr(zone, (message)              \
                                      + sizeof(ngx_stomp_message_sh_t)))


/* the objects after a message's first */

typedef struct {
    uint32_t    next;
    uint32_t    reserved;
} ngx_stomp_chunk_sh_t;


/* a batch in a worker's inbox, or in its hand */

typedef struct {
    uint32_t    next;
    uint32_t    message;
    uint32_t    count;           /* messages */
    uint32_t    bytes;           /* of the zone */
    uint64_t    last;            /* sequence number of the batch's last */
} ngx_stomp_delivery_sh_t;


/* what is to be published; the caller's */

typedef struct {
    ngx_str_t   destination;
    ngx_str_t   headers;         /* opaque here */
    ngx_str_t   body;
    uint32_t    flags;           /* opaque here, but for two top bits: 0 */
    uint64_t    expires;         /* milliseconds since the epoch, 0: never */

    /* of the first one: NGX_BUSY rather than a worker that is overrun */
    unsigned    patient:1;

    /* the answer */
    uint32_t    subscribers;
    uint64_t    sequence;
    unsigned    full:1;          /* its queue had no room */

    /* private */
    uint32_t    hash;
    uint32_t    length;          /* of the destination's history, 0: none */
    uint64_t    age;             /* milliseconds */

    unsigned    retain:1;        /* replaces what the destination retains; */
                                 /* without a body: removes it */
    unsigned    over:1;          /* answer: too much is retained already */

    /* private */
    struct ngx_stomp_queue_conf_s  *queue;   /* NULL: of a topic */

    uint32_t    matched;         /* subscriptions of patterns */
    unsigned    heard:1;         /* by somebody when it was looked up */
    unsigned    wanted:1;
    unsigned    extra:1;
    unsigned    trim:1;          /* the history is too long now */
} ngx_stomp_publication_t;


/* a published message, seen by a worker that holds a reference */

typedef struct {
    uint64_t    sequence;
    uint64_t    destination;
    uint64_t    time;
    uint64_t    expires;         /* milliseconds since the epoch, 0: never */
    uint32_t    flags;
    uint32_t    headers;
    uint32_t    body;

    /* private: what is not read yet */
    u_char     *pos;
    size_t      left;            /* in this object */
    uint32_t    next;
} ngx_stomp_message_t;


/*
 * A batch while it is filled, over as many sections as it needs.  Between
 * them the slot's "building" holds it, for the reaper.
 */

typedef struct {
    ngx_stomp_publication_t  *publications;
    ngx_uint_t                n;
    ngx_uint_t                current;
    size_t                    written;   /* of the current one's data */
    uint32_t                  head;      /* first message, 0 if there is none */
    uint32_t                  message;   /* current one, 0 before its first */
    uint32_t                  count;
    uint32_t                  bytes;
} ngx_stomp_batch_t;


/*
 * Returns the octets that a publication takes in one object, its headers and
 * body included.  Needs no lock.
 */
size_t ngx_stomp_message_size(ngx_stomp_publication_t *p);

/*
 * Creates a message of at most NGX_STOMP_PAGE_SIZE octets in one object, not
 * linked to anything, with refs 0.  The lock is held.
 * Returns its offset or 0 if the zone is full.
 */
uint32_t ngx_stomp_message_create_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_publication_t *p);

/*
 * Adds what fits into one section to a batch: at most 16 KiB or 64 objects;
 * the publications that are not wanted are passed over.  The lock is held.
 * NGX_OK: the batch is complete;  NGX_AGAIN: call in another section;
 * NGX_BUSY: the zone is full; the caller discards the batch.
 */
ngx_int_t ngx_stomp_batch_fill_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_slot_sh_t *slot, ngx_stomp_batch_t *batch);

/* Frees what a slot was building, if anything.  The lock is held. */
void ngx_stomp_batch_discard_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_slot_sh_t *slot);

/* Drops one reference to a batch; the last one frees it.  The lock is held. */
void ngx_stomp_message_unref_locked(ngx_stomp_zone_t *zone, uint32_t message);

/*
 * Returns 1 if a message's time has passed.  Needs no lock if the caller holds
 * a reference.
 */
ngx_uint_t ngx_stomp_message_expired(ngx_stomp_zone_t *zone, uint32_t message);

/*
 * Prepares to read a message from its start; the caller holds a reference,
 * and needs no lock.  Returns the offset of the batch's next message, or 0.
 */
uint32_t ngx_stomp_message_open(ngx_stomp_zone_t *zone, uint32_t message,
    ngx_stomp_message_t *m);

/*
 * Copies the next len octets of the headers and the body to dst; the caller
 * asks for no more than there are, and still holds its reference: no lock is
 * needed.  Returns dst + len.
 */
u_char *ngx_stomp_message_read(ngx_stomp_zone_t *zone, ngx_stomp_message_t *m,
    u_char *dst, size_t len);


#endif /* _NGX_STOMP_MESSAGE_H_INCLUDED_ */
