
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _CRASH_OPERATIONS_H_INCLUDED_
#define _CRASH_OPERATIONS_H_INCLUDED_


#include <broker_fixture.h>


#define CRASH_SLOTS  4


/* what is killed half way: run(), in the state that prepare() makes */

typedef struct {
    const char   *name;
    void        (*prepare)(void);
    void        (*run)(void);
} crash_operation_t;


extern broker_fixture_t     crash;
extern ngx_stomp_broker_t   crash_b[CRASH_SLOTS];
extern u_char               crash_body[64 * 1024];

extern crash_operation_t    crash_operations[];
extern ngx_uint_t           crash_noperations;


#endif /* _CRASH_OPERATIONS_H_INCLUDED_ */
