
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _QUEUE_LEDGER_H_INCLUDED_
#define _QUEUE_LEDGER_H_INCLUDED_


#include <broker_fixture.h>


/*
 * What processes that may be killed promise about messages of queues, in
 * memory that they share: who was told that a message is accepted, who has it,
 * and who has acknowledged it.  A process that finds a promise broken says so
 * in error, and exits.
 */


#define LEDGER_MESSAGES   1000000
#define LEDGER_WORKERS    20000       /* with those that follow killed ones */
#define LEDGER_CONSUMERS  3
#define LEDGER_HELD       16
#define LEDGER_BODY       40000


/* each part is a store of its own: its process may be killed in between */

typedef struct {
    ngx_atomic_t            accepted;
    ngx_atomic_t            expired;      /* before it was published */
    ngx_atomic_t            acked;        /* by that worker, or about to be */
    ngx_atomic_t            holder;       /* the worker that has it, or 0 */
    ngx_atomic_t            times[2];     /* delivered, also as a dead one */
} ledger_message_t;


typedef struct {
    ngx_atomic_t            published;    /* numbers given to messages */
    ngx_atomic_t            workers;      /* numbers given to them */
    ngx_atomic_t            delivered;
    ngx_atomic_t            redelivered;
    ngx_atomic_t            acked;
    ngx_atomic_t            refused;
    char                    error[256];
    u_char                  dead[LEDGER_WORKERS];
    ledger_message_t        messages[LEDGER_MESSAGES];
} ledger_t;


typedef struct {
    uint32_t                consumer;     /* 0: none */
    ngx_uint_t              dead;         /* of the queue of dead messages */
    ngx_uint_t              credit;
    ngx_uint_t              n;
    ngx_stomp_settle_t      items[LEDGER_HELD];
    uint32_t                numbers[LEDGER_HELD];
} ledger_consumer_t;


typedef struct {
    ledger_t               *ledger;
    ngx_stomp_broker_t     *b;
    ngx_uint_t              number;
    ledger_consumer_t       consumers[LEDGER_CONSUMERS];
} ledger_worker_t;


/* Returns an empty ledger. */
ledger_t *ledger_create(void);

/*
 * Makes its configuration that of a fixture: "/q/", whose messages go to
 * "/dead/a" after some deliveries, and "/dead/".
 */
void ledger_configure(broker_fixture_t *f);

/* Begins a worker. */
void ledger_start(ledger_worker_t *w, ledger_t *ledger, ngx_stomp_broker_t *b);

/* Notes that a worker is killed; before it is. */
void ledger_killed(ledger_t *ledger, ngx_uint_t number);

/*
 * Publishes n messages, up to 10, of up to max octets, as one batch.  What has
 * expired already is accepted, and delivered to nobody.
 */
void ledger_publish(ledger_worker_t *w, const char *name, ngx_uint_t n,
    size_t max, uint64_t expires);

/* Makes the i-th consumer, if it has none, of a queue. */
void ledger_subscribe(ledger_worker_t *w, ngx_uint_t i, const char *name,
    ngx_uint_t credit);

/* What the broker's consume() does. */
void ledger_consume(ledger_worker_t *w, ngx_stomp_taken_t *taken,
    ngx_stomp_message_t *m);

/* Settles all that the i-th consumer has, or the oldest n. */
void ledger_settle(ledger_worker_t *w, ngx_uint_t i, ngx_uint_t n,
    ngx_stomp_settle_e how);

/* Removes the i-th consumer, if there is one, with all that it has. */
void ledger_unsubscribe(ledger_worker_t *w, ngx_uint_t i, ngx_uint_t counted);

/* Gives all back that a worker has: before it detaches. */
void ledger_stop(ledger_worker_t *w);

/*
 * Does one thing to some queue; publishes only if fewer messages than waiting
 * are there.  Takes nothing: that is ngx_stomp_broker_drain().
 */
void ledger_step(ledger_worker_t *w, uint64_t *random, ngx_uint_t waiting);

/*
 * Acknowledges all that comes, until no queue has anything left; nobody
 * publishes any more.
 */
void ledger_empty(ledger_worker_t *w);

/*
 * Returns the number of messages that were accepted and not acknowledged,
 * when no queue has any.
 */
ngx_uint_t ledger_lost(ledger_t *ledger);


#endif /* _QUEUE_LEDGER_H_INCLUDED_ */
