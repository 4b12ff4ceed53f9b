
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _QUEUE_WORKER_H_INCLUDED_
#define _QUEUE_WORKER_H_INCLUDED_


#include <broker_fixture.h>
#include <ngx_stomp_dispatch.h>


/* workers with consumers of queues, and what each message has come to */


#define QUEUE_SLOTS      4
#define QUEUE_CONSUMERS  8
#define QUEUE_MESSAGES   20000


typedef enum {
    QUEUE_NONE = 0,
    QUEUE_WAITING,
    QUEUE_TAKEN,
    QUEUE_SETTLED,
    QUEUE_DEAD
} queue_state_e;


/* what a worker was given, oldest first */

typedef struct {
    uint32_t        consumer;          /* 0: there is none */
    ngx_uint_t      worker;
    ngx_uint_t      n;
    uint32_t        credit;
    uint32_t        entries[64];
    uint64_t        sequences[64];
} queue_consumer_t;


extern broker_fixture_t    queue;
extern ngx_stomp_broker_t  queue_b[QUEUE_SLOTS];
extern queue_consumer_t    queue_c[QUEUE_CONSUMERS];
extern u_char              queue_body[128 * 1024];

/* by sequence number */
extern u_char              queue_state[QUEUE_MESSAGES];
extern u_char              queue_times[QUEUE_MESSAGES];

extern ngx_uint_t          queue_delivered;


/* Begins with an empty zone, four workers, and no consumers. */
void queue_begin(void);

/* Makes a consumer, of a worker. */
void queue_subscribe(ngx_uint_t i, ngx_uint_t worker, const char *name,
    uint32_t credit, uint32_t window);

/* Publishes len octets.  Returns NGX_OK or NGX_BUSY. */
ngx_int_t queue_publish(ngx_uint_t worker, const char *name, size_t len);

/* Drains all workers until nothing is left. */
void queue_drain(void);

/* Settles n messages of what a consumer has, from that one on. */
void queue_settle(ngx_uint_t i, ngx_uint_t from, ngx_uint_t n,
    ngx_stomp_settle_e how);

/* Removes a consumer. */
void queue_unsubscribe(ngx_uint_t i, ngx_uint_t counted);

/* Reaps a worker. */
void queue_reap(ngx_uint_t worker);


#endif /* _QUEUE_WORKER_H_INCLUDED_ */
