
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _CRASH_OPERATIONS_H_INCLUDED_
#define _CRASH_OPERATIONS_H_INCLUDED_


#include <broker_fixture.h>
#include <zone_model.h>


#define CRASH_SLOTS  4


/*
 * What is killed half way: run(), in the state that prepare() makes.  model is
 * the same operation for the model, but for what is published.
 */

typedef struct {
    const char     *name;
    void          (*prepare)(void);
    void          (*run)(void);
    model_op_t      model;
    ngx_uint_t    (*publish)(ngx_stomp_publication_t *p);
} crash_operation_t;


extern broker_fixture_t     crash;
extern ngx_stomp_broker_t   crash_b[CRASH_SLOTS];
extern u_char               crash_body[64 * 1024];

extern const char          *crash_names[MODEL_DESTS];

/* those on queues are of their own */
extern crash_operation_t    crash_operations[];
extern ngx_uint_t           crash_noperations;
extern crash_operation_t    crash_queue_operations[];
extern ngx_uint_t           crash_nqueue_operations;

/* Returns the i-th operation of all, NULL: there are not so many. */
crash_operation_t *crash_operation(ngx_uint_t i);

/* Subscribes, or ends the program. */
void crash_subscribe(ngx_uint_t worker, const char *name);
extern uint32_t             crash_interest;

/* Returns the number of messages that queues and their consumers have. */
ngx_uint_t crash_messages(void);

/* Takes all messages of all queues, when all workers have been reaped. */
void crash_forget_queues(void);

/* Drops all history and all that is retained. */
void crash_forget_kept(void);

/* Publishes by worker 0 what publications() fills in, and counts. */
void crash_run_publish(ngx_uint_t (*publications)(ngx_stomp_publication_t *p));

/* operations on messages that are kept */
void crash_prepare_kept(void);
void crash_prepare_kept_none(void);
void crash_prepare_kept_full(void);
void crash_prepare_kept_over(void);
void crash_prepare_replay(void);
void crash_prepare_replay_taken(void);
void crash_prepare_replay_lost(void);
ngx_uint_t crash_publications_keep(ngx_stomp_publication_t *p);
ngx_uint_t crash_publications_keep_page(ngx_stomp_publication_t *p);
ngx_uint_t crash_publications_keep_batch(ngx_stomp_publication_t *p);
ngx_uint_t crash_publications_keep_large(ngx_stomp_publication_t *p);
ngx_uint_t crash_publications_retain(ngx_stomp_publication_t *p);
ngx_uint_t crash_publications_retain_new(ngx_stomp_publication_t *p);
ngx_uint_t crash_publications_clear(ngx_stomp_publication_t *p);
ngx_uint_t crash_publications_clear_heard(ngx_stomp_publication_t *p);
ngx_uint_t crash_publications_expiring(ngx_stomp_publication_t *p);
void crash_run_keep(void);
void crash_run_keep_page(void);
void crash_run_keep_batch(void);
void crash_run_keep_large(void);
void crash_run_retain(void);
void crash_run_retain_new(void);
void crash_run_clear(void);
void crash_run_clear_heard(void);
void crash_run_expiring(void);
void crash_run_sweep(void);
void crash_run_replay(void);
void crash_run_replay_reap(void);


#endif /* _CRASH_OPERATIONS_H_INCLUDED_ */
