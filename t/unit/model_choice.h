
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _MODEL_CHOICE_H_INCLUDED_
#define _MODEL_CHOICE_H_INCLUDED_


#include <model_worker.h>


#define MODEL_WORKERS  4


/* what operations are chosen from */

typedef struct {
    uint64_t         random;
    ngx_uint_t       eager;              /* of 100: drains, at least */
    zone_model_t     m;                  /* what the zone holds */
    model_worker_t   workers[MODEL_WORKERS];

    /* what the broker has returned */
    uint32_t         interests[MODEL_SLOTS][MODEL_DESTS];
    uint64_t         session;            /* id of the last one */
    uint32_t         offsets[65536];     /* of sessions, by their ids */
} model_choice_t;


extern const char  *model_names[MODEL_DESTS];


/* Fills what bodies are taken from; once, before the first worker. */
void model_choice_init(void);

/*
 * Puts an operation that is possible into model_call; returns who has to do
 * it.  Starts a worker where one is missing, now and then.
 */
model_worker_t *model_choose(model_choice_t *c);

/* Returns a bit for each slot whose owner is dead. */
uint32_t model_dead(model_choice_t *c);

/* Returns an operation in words (static). */
const char *model_describe(model_op_t *op);


#endif /* _MODEL_CHOICE_H_INCLUDED_ */
