
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _MODEL_WORKER_H_INCLUDED_
#define _MODEL_WORKER_H_INCLUDED_


#include <broker_fixture.h>
#include <zone_model.h>


/*
 * Workers of a broker that do one operation at a time, as they are told.  A
 * worker holds its slot, and forks a process for each operation, which may be
 * killed at a place and tried again from the same zone.
 */


typedef struct {
    pid_t                      pid;         /* 0: there is none */
    int                        to;
    int                        from;
    ngx_uint_t                 slot;
    uint32_t                   generation;
    ngx_uint_t                 attached;
} model_worker_t;


/* what a process counts without the lock, before each operation */
#define MODEL_DELIVERED  5
#define MODEL_DROPPED    3
#define MODEL_REFUSALS   2


/* in shared memory */

typedef struct {
    model_op_t                 op;          /* its answer, too */
    ngx_uint_t                 attached;
    uint32_t                   handle;      /* interest or session */
    ngx_stomp_interest_t       in;
    ngx_uint_t                 kill_at;     /* place; 0: it ends */
    ngx_uint_t                 places;      /* stores, unlocks, points */

    /* of the process */
    ngx_uint_t                 slot;
    uint32_t                   generation;
    pid_t                      pid;
    int                        status;
    char                       error[128];
} model_call_t;


extern broker_fixture_t   model;
extern model_call_t      *model_call;


/* Starts a worker, which claims the lowest free slot. */
void model_worker_start(model_worker_t *w);

/*
 * Has model_call done.  Returns 1 if it ended, 0 if its process was killed as
 * it was to be, in which case the lock is free again.
 */
ngx_uint_t model_worker_run(model_worker_t *w);

void model_worker_kill(model_worker_t *w);


#endif /* _MODEL_WORKER_H_INCLUDED_ */
