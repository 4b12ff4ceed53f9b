
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _ZONE_MODEL_H_INCLUDED_
#define _ZONE_MODEL_H_INCLUDED_


#include <ngx_stomp_broker.h>


/*
 * What a broker holds, in plain arrays, and what each operation makes of it:
 * written from the documents of the broker, not from its code, and without
 * links, offsets, notes or reference counts.  It can be copied by assignment.
 */


#define MODEL_SLOTS       8
#define MODEL_DESTS       20
#define MODEL_DELIVERIES  400
#define MODEL_SESSIONS    64
#define MODEL_BATCH       32
#define MODEL_KEPT        128


/* messages that were published together; content is a hash of all of them */

typedef struct {
    uint64_t                   last;
    uint64_t                   content;
    uint32_t                   count;
    uint32_t                   bytes;
} model_delivery_t;


typedef struct {
    ngx_uint_t                 n;
    model_delivery_t           items[MODEL_DELIVERIES];
} model_list_t;


/* a message of history, or a retained one */

typedef struct {
    ngx_uint_t                 dest;
    uint64_t                   sequence;    /* 0: there is none */
    uint64_t                   content;
    uint64_t                   batch;       /* number of its first message */
    uint32_t                   bytes;       /* of the batch */
} model_kept_t;


typedef struct {
    uint32_t                   state;       /* ngx_stomp_slot_state_e */
    uint32_t                   generation;
    uint32_t                   awake;
    uint32_t                   overrun;
    uint64_t                   drained;
    model_list_t               inbox;
    model_list_t               inhand;
    uint32_t                   counts[MODEL_DESTS];   /* subscriptions */
    ngx_uint_t                 nsessions;
    uint64_t                   sessions[MODEL_SESSIONS];
    ngx_uint_t                 replays;     /* one for each slot */
    ngx_uint_t                 ntaken;
    uint64_t                   taken[NGX_STOMP_REPLAY_MAX];
} model_slot_t;


/*
 * Exists as long as it has a subscription, its patterns are known, or
 * something is kept.
 */

typedef struct {
    uint64_t                   id;
    uint64_t                   last;
    uint32_t                   known;
    uint32_t                   matched;     /* patterns; if known */
    uint32_t                   fresh;       /* and none has changed since */
    uint64_t                   stored;      /* last one that is in history */
    uint64_t                   lost;        /* and that is not, before it */
    model_kept_t               retained;
} model_dest_t;


typedef struct {
    const char               **names;       /* of the destinations */
    size_t                     inbox_size;
    uint64_t                   sequence;
    uint64_t                   destination;
    uint64_t                   published;
    uint64_t                   matched;     /* last that a pattern heard */
    model_dest_t               dests[MODEL_DESTS];
    model_slot_t               slots[MODEL_SLOTS];

    /* the configuration, and all history, oldest first */
    ngx_stomp_history_rule_t  *rules;
    ngx_uint_t                 nrules;
    size_t                     history_size;
    ngx_uint_t                 max_retained;
    ngx_uint_t                 nhistory;
    model_kept_t               history[MODEL_KEPT];
} zone_model_t;


typedef enum {
    MODEL_ATTACH = 0,
    MODEL_DETACH,
    MODEL_SUBSCRIBE,
    MODEL_UNSUBSCRIBE,
    MODEL_PUBLISH,
    MODEL_DRAIN,
    MODEL_RECLAIM,
    MODEL_SESSION_ADD,
    MODEL_SESSION_REMOVE,
    MODEL_REAP,
    MODEL_STAT,
    MODEL_SWEEP,                            /* all has become too old */
    MODEL_REPLAY,
    MODEL_UNKNOWN                           /* an operation without a model */
} model_kind_e;


/* what became of an operation that needs memory: the model can't know */

typedef enum {
    MODEL_DIRECT = 0,
    MODEL_RECLAIMED,                        /* at the second attempt */
    MODEL_REFUSED
} model_path_e;


#define MODEL_NOBODY  MODEL_SLOTS           /* a process without a slot */


typedef struct {
    model_kind_e               kind;
    model_path_e               path;
    ngx_uint_t                 worker;
    ngx_uint_t                 repeat;      /* called until nothing is left */

    const char                *name;        /* (un)subscribe, replay */
    uint32_t                   count;       /* unsubscribe, replay */
    uint64_t                   session;     /* its id */
    uint32_t                   generation;  /* attach */
    uint32_t                   dead;        /* reap: one bit for each slot */

    /* of an unknown one: messages of queues that it adds, and removes */
    ngx_uint_t                 come;
    ngx_uint_t                 gone;
    ngx_uint_t                 stride;      /* it is a long one, looked at */
                                            /* at each such store only */

    ngx_uint_t                 n;           /* publish */
    ngx_stomp_publication_t    p[MODEL_BATCH];

    /* the answer */
    ngx_int_t                  rc;
    ngx_uint_t                 handed;      /* messages delivered in the call */
    uint64_t                   content;     /* hash of them */
    ngx_uint_t                 overrun;     /* calls of overrun() */
    uint64_t                   drained;     /* its argument */
} model_op_t;


/* called with each state that may be seen while an operation goes on */
typedef void (*model_see_pt)(zone_model_t *m);


/*
 * Applies an operation, and fills in its answer; the publications get their
 * subscribers and numbers.  see() gets the states after each section.
 */
void model_apply(zone_model_t *m, model_op_t *op, model_see_pt see);

/* Returns the subscriptions to a destination. */
uint32_t model_subscribers(zone_model_t *m, ngx_uint_t dest);

/* Returns 1 if a destination is there. */
ngx_uint_t model_exists(zone_model_t *m, ngx_uint_t dest);

/* Forgets what is known of a destination, unless something needs it. */
void model_release_dest(zone_model_t *m, ngx_uint_t dest);

/* Returns the number of a destination. */
ngx_uint_t model_dest(zone_model_t *m, const void *name, size_t len);

/*
 * Returns a message's share of a hash: of its number, its destination's id,
 * its flags and lengths, and, from model_hash() of both, headers and body.
 */
uint64_t model_message_hash(uint64_t sequence, uint64_t destination,
    uint32_t flags, uint32_t headers, uint32_t body, uint64_t content);
uint64_t model_hash(uint64_t hash, const void *p, size_t len);

/*
 * Returns the octets that a publication takes of an inbox's limit; extra: it
 * is kept, or expires.
 */
uint32_t model_octets(ngx_stomp_publication_t *p, ngx_uint_t extra);

/* Returns NULL if both are the same, or the difference in words (static). */
const char *model_diff(zone_model_t *got, zone_model_t *want);


/*
 * Reads a zone, which is sound, into content; it needs the names.  Returns
 * NULL, or why it can't (static).  building: a bit for each slot that has an
 * unfinished message.
 */
const char *zone_content(ngx_stomp_zone_t *zone, const char **names,
    zone_model_t *content, uint32_t *building);

/* Returns model_message_hash() of a message that was opened. */
uint64_t zone_content_message(ngx_stomp_zone_t *zone, ngx_stomp_message_t *m);


#endif /* _ZONE_MODEL_H_INCLUDED_ */
