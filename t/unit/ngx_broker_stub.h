
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_BROKER_STUB_H_INCLUDED_
#define _NGX_BROKER_STUB_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* what was logged, by all processes that were forked after the init */

typedef struct {
    ngx_atomic_t   alerts;          /* and what is worse */
    ngx_atomic_t   others;
    char           last[128];       /* format of the last alert */
} ngx_stub_log_t;


extern ngx_stub_log_t  *ngx_stub_log;

/* called by ngx_shmtx_unlock() before the lock is free */
extern void (*ngx_stub_unlock_hook)(void);

/* calls of ngx_stomp_wake_post(), of this process */
extern ngx_uint_t  ngx_stub_posted;


/* Makes all of it; once, before the first fork. */
void ngx_stub_init(void);

/* For a forked process: takes its own pid over. */
void ngx_stub_forked(void);

/* Returns octets of shared memory, zero, aligned to pages. */
void *ngx_stub_shared(size_t size);


#endif /* _NGX_BROKER_STUB_H_INCLUDED_ */
