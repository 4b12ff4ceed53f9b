
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_BROKER_H_INCLUDED_
#define _NGX_STOMP_BROKER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_dest.h>
#include <ngx_stomp_message.h>
#include <ngx_stomp_queue.h>
#include <ngx_stomp_slot.h>
#include <ngx_stomp_wildcard.h>


/*
 * A broker: destinations, subscriptions and messages that all workers share.
 * The layers above include this header, and of this layer's others only those
 * of the hash, the patterns and the wake-ups.  Each function takes the zone's
 * lock itself; none of them is called with it held.
 */


/* brokers of a configuration */
#define NGX_STOMP_BROKERS_MAX  64

/* publications in one call */
#define NGX_STOMP_BATCH_MAX  1000


typedef struct ngx_stomp_broker_s  ngx_stomp_broker_t;

/* the session layer's */
typedef struct ngx_stomp_users_s   ngx_stomp_users_t;


/* what the configuration says; lives as long as its cycle */

typedef struct {
    ngx_str_t             name;
    ngx_array_t           topics;          /* of ngx_str_t, prefixes */
    ngx_array_t           dotted;          /* of ngx_str_t, topics of words */
    uint32_t              topics_id;       /* of both */
    ngx_array_t           queues;          /* of ngx_stomp_queue_conf_t */
    ngx_array_t           access;          /* of ngx_stomp_access_rule_t */
    ngx_stomp_users_t    *users;           /* NULL: anybody may connect */
    ngx_array_t           histories;       /* ngx_stomp_history_rule_t */
    size_t                zone_size;
    size_t                inbox_size;      /* octets waiting for a worker */
    ngx_int_t             max_sessions;    /* of all workers, 0: any number */
    size_t                history_size;    /* octets kept, and retained */
    ngx_uint_t            max_retained;    /* destinations that retain */
    void                 *zone_addr;       /* of the mapping's zone */
    ngx_shmtx_t          *mutex;
    ngx_stomp_broker_t   *broker;          /* this process's, or NULL */
} ngx_stomp_broker_conf_t;


/* how long the messages to some destinations are kept */

typedef struct {
    ngx_str_t             prefix;
    uint32_t              length;          /* messages of a destination, > 0 */
    uint64_t              age;             /* milliseconds */
} ngx_stomp_history_rule_t;


/*
 * A message for this worker's subscribers.  Called without the lock, in the
 * order of sequence numbers; m is read within the call only.  It may publish
 * and subscribe, but not detach.
 */
typedef void (*ngx_stomp_deliver_pt)(void *data, ngx_stomp_message_t *m);

/*
 * This worker was too slow, or stopped: messages to destinations were left
 * out, those with a number above drained.  To close the sessions that may
 * miss one; see ngx_stomp_broker_last().
 */
typedef void (*ngx_stomp_overrun_pt)(void *data, uint64_t drained);


/* messages of queues that a worker takes at a time */
#define NGX_STOMP_TAKE_MAX  64


/* a message of a queue for a consumer of this worker */

typedef struct {
    uint32_t              entry;       /* to be settled */
    uint32_t              consumer;
    uint32_t              tag;         /* of the consumer */
    uint32_t              message;     /* private */
    unsigned              redelivered:1;
} ngx_stomp_taken_t;


/*
 * The same as ngx_stomp_deliver_pt, but for one consumer, which owns the
 * message until it is settled.  It may remove consumers, and settle.
 */
typedef void (*ngx_stomp_consume_pt)(void *data, ngx_stomp_taken_t *taken,
    ngx_stomp_message_t *m);


typedef enum {
    NGX_STOMP_SETTLE_ACK = 0,
    NGX_STOMP_SETTLE_NACK,             /* for another consumer */
    NGX_STOMP_SETTLE_RETURN            /* the same, not counted */
} ngx_stomp_settle_e;


typedef struct {
    uint32_t              entry;
    ngx_stomp_settle_e    how;
} ngx_stomp_settle_t;


/* a worker's broker; memory of the process, for the process's life */

struct ngx_stomp_broker_s {
    ngx_stomp_zone_t            zone;
    ngx_stomp_broker_conf_t    *conf;
    ngx_uint_t                  slot;      /* or NGX_STOMP_SLOT_NONE */
    uint32_t                    generation;

    ngx_stomp_deliver_pt        deliver;
    ngx_stomp_overrun_pt        overrun;
    ngx_stomp_consume_pt        consume;
    void                       *data;

    uint64_t                    delivered; /* not yet added to the counters */
    uint64_t                    dropped;
    uint64_t                    refused;
    uint64_t                    refused_sessions;
    uint64_t                    dropped_messages;
    uint64_t                    delayed;
    uint64_t                    expired;

    /* posted when this worker's own inbox has something */
    ngx_event_t                *drain;

    /* posted when other workers' inboxes have something from this one */
    ngx_event_t                *waker;

    ngx_log_t                  *log;

    ngx_uint_t                  nwake;     /* slots for which a section has */
    uint16_t                    wake[NGX_STOMP_SLOTS_MAX];  /* something */

    ngx_uint_t                  nwaking;   /* those that waker will wake */
    uint16_t                    waking[NGX_STOMP_SLOTS_MAX];

    ngx_uint_t                  ntaken;    /* of queues, being delivered */
    ngx_stomp_taken_t           taken[NGX_STOMP_TAKE_MAX];

    ngx_uint_t                  ndead;     /* of queues, in this section */
    ngx_uint_t                  noverflowed;
    ngx_uint_t                  nexpired;

    unsigned                    rest:1;    /* the section leaves work for */
                                           /* a drain of this worker */
    unsigned                    closed:1;  /* its zone is gone */
    unsigned                    handing:1; /* deliver() is being called */
};


/* a subscription of this worker, as the zone counts it */

typedef struct {
    uint64_t                    destination;   /* its id */
    uint64_t                    from;      /* deliver what is newer */
    uint32_t                    interest;  /* private */
    unsigned                    pattern:1; /* the destination is one */
    unsigned                    retained:1; /* there is a retained message */
} ngx_stomp_interest_t;


/* messages that one section takes for a replay */
#define NGX_STOMP_REPLAY_MAX  20

/*
 * A subscription that gets kept messages first: it takes no others until it
 * is live.  The caller's; zeroed but for the question.
 */

typedef struct {
    /* the question */
    uint32_t                    interest;
    uint64_t                    since;     /* what is newer, */
    uint64_t                    count;     /* at most so many, the newest */
    unsigned                    resumed:1; /* what is missing since matters */

    /* the answer of each call */
    unsigned                    gap:1;     /* some are missing before these */
    unsigned                    retained:1; /* the first one is retained */
    unsigned                    missed:1;  /* and before the next live one */
    unsigned                    live:1;    /* these are the last ones: */
    uint64_t                    from;      /* deliver what is newer */
    ngx_uint_t                  n;
    uint32_t                    messages[NGX_STOMP_REPLAY_MAX];

    /* private */
    unsigned                    started:1;
    uint32_t                    cursor;
    uint64_t                    left;
    uint64_t                    position;
} ngx_stomp_replay_t;


typedef struct {
    uint64_t                    id;
    time_t                      since;
    ngx_str_t                   addr;
    ngx_str_t                   user;

    /* the answer */
    unsigned                    exceeded:1; /* conf->max_sessions */
} ngx_stomp_session_info_t;


typedef struct {
    uint32_t                    pid;
    uint32_t                    slot;
    uint32_t                    sessions;
    uint32_t                    subscriptions;
} ngx_stomp_worker_stat_t;


typedef struct {
    uint64_t                    epoch;
    size_t                      size;
    size_t                      used;
    size_t                      pages_free;
    uint64_t                    sessions;
    uint64_t                    subscriptions;
    uint64_t                    destinations;
    uint64_t                    published;
    uint64_t                    delivered;
    uint64_t                    dropped;
    uint64_t                    refused;
    uint64_t                    refused_sessions;
    uint64_t                    dropped_messages;
    uint64_t                    delayed;
    uint64_t                    recovered;
    uint64_t                    history;   /* messages */
    uint64_t                    retained;
    uint64_t                    replaying; /* subscriptions */
    size_t                      kept;      /* octets of both */
    uint64_t                    evicted;
    uint64_t                    expired;
    uint64_t                    queues;
    uint64_t                    waiting;   /* messages of queues */
    uint64_t                    unsettled;
    uint64_t                    redelivered;
    uint64_t                    dead;
    uint64_t                    overflowed;
    ngx_uint_t                  nworkers;
    ngx_stomp_worker_stat_t     workers[NGX_STOMP_SLOTS_MAX];
} ngx_stomp_stat_t;


/*
 * Returns this process's broker for a configuration; an earlier cycle's is
 * taken over if it has the same zone.  NULL: no memory, or the zone has
 * another layout (logged).
 */
ngx_stomp_broker_t *ngx_stomp_broker_create(ngx_stomp_broker_conf_t *conf,
    ngx_log_t *log);

/*
 * Makes the process's slot, which was claimed, live in the zone; what a
 * former owner has left there is reaped first.
 */
void ngx_stomp_broker_attach(ngx_stomp_broker_t *b);

/* Gives up the slot with all that it owns; nothing is delivered after it. */
void ngx_stomp_broker_detach(ngx_stomp_broker_t *b);

/*
 * Publishes n messages, 1..NGX_STOMP_BATCH_MAX, in their order and under
 * one lock: all or none.  Fills in subscribers and sequence of each.
 * Messages that nobody hears, and that are not kept, take no memory.  This
 * worker's subscribers may be served within the call.
 * NGX_OK;  NGX_BUSY: the zone is full, a publication's over is set (too much
 * is retained already) or its full (its queue is), or, for a batch that is
 * patient, an inbox is full;  NGX_DECLINED: this worker has no slot (yet);
 * NGX_ABORT: the messages are too many for one section of the lock, with as
 * many workers as listen, or with so many for queues.
 */
ngx_int_t ngx_stomp_broker_publish(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *publications, ngx_uint_t n);

/* "<epoch in hex>-<sequence>" */
#define NGX_STOMP_MESSAGE_ID_MAX  (16 + 1 + NGX_INT64_LEN)

/*
 * Writes a message's id to buf, of NGX_STOMP_MESSAGE_ID_MAX octets.  Returns
 * its end.
 */
u_char *ngx_stomp_broker_message_id(ngx_stomp_broker_t *b, u_char *buf,
    uint64_t sequence);

/*
 * Reads a message's id.  NGX_OK: *sequence is its number;  NGX_DECLINED: it is
 * another broker's, or this one's before its zone was made anew;  NGX_ABORT:
 * it is malformed.
 */
ngx_int_t ngx_stomp_broker_message_number(ngx_stomp_broker_t *b,
    ngx_str_t *id, uint64_t *sequence);

/*
 * Counts one subscription of this worker to a destination or a pattern of
 * destinations, whose name has 1..NGX_STOMP_DESTINATION_MAX octets.
 * NGX_OK: *in is filled;  NGX_BUSY: the zone is full;  NGX_DECLINED: no slot.
 */
ngx_int_t ngx_stomp_broker_subscribe(ngx_stomp_broker_t *b, ngx_str_t *name,
    ngx_stomp_interest_t *in);

/*
 * Takes the next messages of a replay, in one section that releases those of
 * the call before.  They are read with ngx_stomp_message_open() up to the next
 * call; there may be none though it is not live yet.  Who can't deliver them
 * at once is not live either: it clears r->live, and calls again later.
 * NGX_OK: the answer is filled in;  NGX_BUSY: the zone is full, which only the
 * first call says;  NGX_DECLINED: no slot.
 */
ngx_int_t ngx_stomp_broker_replay(ngx_stomp_broker_t *b,
    ngx_stomp_replay_t *r);

/*
 * Ends a replay, whatever came of it: releases what it has taken.  Before its
 * subscription is taken back.
 */
void ngx_stomp_broker_replay_end(ngx_stomp_broker_t *b, ngx_stomp_replay_t *r);

/*
 * Drops kept messages that are too old or have expired, of all destinations:
 * a slice of them.  now: milliseconds since the epoch.
 * NGX_OK: all were looked at;  NGX_AGAIN: there are more.
 */
ngx_int_t ngx_stomp_broker_sweep(ngx_stomp_broker_t *b, uint64_t now);

/* Takes back count subscriptions of one destination. */
void ngx_stomp_broker_unsubscribe(ngx_stomp_broker_t *b, uint32_t interest,
    uint32_t count);

/*
 * Returns what is configured for a queue's name, or NULL if it is none.  Needs
 * no lock.
 */
ngx_stomp_queue_conf_t *ngx_stomp_broker_queue_conf(
    ngx_stomp_broker_conf_t *conf, ngx_str_t *name);

/*
 * Subscribes to a queue: at most credit messages and, but for the last of
 * them, window octets of the zone are on their way to this consumer, or not
 * settled, at a time; neither is 0.  b->consume() gets the tag.  Returns the
 * consumer, or 0: the zone is full, or there is no slot.
 */
uint32_t ngx_stomp_broker_consume(ngx_stomp_broker_t *b, ngx_str_t *name,
    uint32_t tag, uint32_t credit, uint32_t window);

/*
 * Removes a consumer, and gives back to its queue what it has not settled.
 * counted: that it was delivered counts for max_deliveries.  Takes the lock as
 * often as it needs.
 */
void ngx_stomp_broker_consumer_remove(ngx_stomp_broker_t *b,
    uint32_t consumer, ngx_uint_t counted);

/*
 * Settles n messages of this worker's consumers, in this order; an entry is
 * settled once.  Takes the lock once for about 60 of them.
 */
void ngx_stomp_broker_settle(ngx_stomp_broker_t *b, ngx_stomp_settle_t *items,
    ngx_uint_t n);

/*
 * Records a session.  Returns its offset, to be given to
 * ngx_stomp_broker_session_remove();  0: the zone is full, there is no slot, or
 * info->exceeded is set.
 */
uint32_t ngx_stomp_broker_session_add(ngx_stomp_broker_t *b,
    ngx_stomp_session_info_t *info);
void ngx_stomp_broker_session_remove(ngx_stomp_broker_t *b, uint32_t session);

/*
 * Returns 1, and counts it, if all workers together have so many sessions that
 * the configuration allows no other one.
 */
ngx_uint_t ngx_stomp_broker_sessions_full(ngx_stomp_broker_t *b);

/*
 * One round of this worker's inbox: releases what the last one has delivered,
 * takes a bounded number of messages and delivers them.
 * NGX_OK: nothing is left;  NGX_AGAIN: call again, after other events.
 */
ngx_int_t ngx_stomp_broker_drain(ngx_stomp_broker_t *b);

/*
 * Looks for workers that died and takes a slice of what they owned.
 * NGX_OK: nothing is left to reap;  NGX_AGAIN: call again.
 */
ngx_int_t ngx_stomp_broker_reap(ngx_stomp_broker_t *b);

/*
 * Returns the number of the last message to an interest's destination; of a
 * pattern: of the last message to any pattern.
 */
uint64_t ngx_stomp_broker_last(ngx_stomp_broker_t *b, uint32_t interest);

/* Fills in the topics of a broker, for who looks for patterns. */
void ngx_stomp_broker_topics(ngx_stomp_broker_conf_t *conf,
    ngx_stomp_wildcard_topics_t *topics);

/*
 * Reads a name as ngx_stomp_wildcard_parse() does, and returns what that does,
 * with the topics of a broker.
 */
ngx_int_t ngx_stomp_broker_wildcard(ngx_stomp_broker_conf_t *conf,
    ngx_str_t *name, ngx_stomp_wildcard_t *w, const char **error);

/*
 * Returns what ngx_stomp_wildcard_name() does, with the topics of a broker:
 * NULL, or a sentence for the client.
 */
const char *ngx_stomp_broker_name(ngx_stomp_broker_conf_t *conf,
    ngx_str_t *name);

/*
 * Returns the number of subscriptions that hear a destination, on all workers,
 * or that a pattern has.
 */
uint32_t ngx_stomp_broker_subscribers(ngx_stomp_broker_t *b, ngx_str_t *name);

/* Fills in all of stat. */
void ngx_stomp_broker_stat(ngx_stomp_broker_t *b, ngx_stomp_stat_t *stat);

/* Returns 1 if a reload has replaced or removed the zone. */
ngx_uint_t ngx_stomp_broker_retired(ngx_stomp_broker_t *b);


#endif /* _NGX_STOMP_BROKER_H_INCLUDED_ */
