
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _MODEL_H_INCLUDED_
#define _MODEL_H_INCLUDED_


#include <fuzz.h>
#include <ngx_stomp_session.h>


/*
 * What a broker must do, as two lists: what was published, in its order, and
 * the subscriptions, from when to when each of them was one.  Calls between
 * the module's layers are what it learns this from (MODEL_WRAP in fuzz.mk).
 */


#define MODEL_PUBLICATIONS   4096
#define MODEL_SUBSCRIPTIONS  1024


typedef struct {
    uint64_t              sequence;
    ngx_str_t             destination;
    ngx_str_t             headers;
    ngx_str_t             body;
    unsigned              expires:1;     /* and so may never be delivered */
} model_publication_t;


typedef struct {
    ngx_stomp_session_t  *session;
    ngx_stomp_sub_t      *sub;           /* NULL: it is none any more */
    uint64_t              session_id;
    ngx_str_t             destination;
    ngx_str_t             id;
    unsigned              named:1;
    ngx_uint_t            version;
    uint64_t              last;          /* what was received, or its start */
    uint64_t              end;           /* of one that is none any more */
} model_subscription_t;


typedef struct {
    model_publication_t   publications[MODEL_PUBLICATIONS];
    ngx_uint_t            npublications;
    model_subscription_t  subscriptions[MODEL_SUBSCRIPTIONS];
    ngx_uint_t            nsubscriptions;
    uint64_t              epoch;
} model_t;


extern model_t  model;


/* Forgets all; the epoch is the zone's. */
void model_reset(uint64_t epoch);

/* Was told of too much; the input is too long. */
ngx_uint_t model_full(void);

/*
 * A client of that session has received a whole MESSAGE frame: it must be the
 * next one of one of the session's subscriptions, octet by octet.
 */
void model_received(uint64_t session_id, ngx_str_t *frame);

/* Checks that nothing is left to be received by a session. */
void model_complete(uint64_t session_id);


#endif /* _MODEL_H_INCLUDED_ */
