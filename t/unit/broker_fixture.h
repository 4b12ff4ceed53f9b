
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _BROKER_FIXTURE_H_INCLUDED_
#define _BROKER_FIXTURE_H_INCLUDED_


#include <ngx_stomp_broker_private.h>
#include <ngx_broker_stub.h>
#include <zone_check.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <poll.h>
#include <sys/wait.h>
#include <cmocka.h>


#define FIXTURE_QUEUES  3


/* a zone in shared memory, as nginx would have made it */

typedef struct {
    size_t                     size;
    u_char                    *addr;
    ngx_shmtx_t                mutex;
    ngx_log_t                  log;
    ngx_stomp_zone_t           zone;
    ngx_stomp_broker_conf_t    conf;
    ngx_stomp_queue_conf_t     queues[FIXTURE_QUEUES];  /* /q/, /short/, */
                                                        /* /drop/ */
} broker_fixture_t;


/* Makes a zone and, once a program, nslots process slots. */
void fixture_init(broker_fixture_t *f, size_t size, ngx_uint_t nslots);
void fixture_cleanup(broker_fixture_t *f);

/* Makes the zone as it was after fixture_init(). */
void fixture_reset(broker_fixture_t *f);

/* Returns this process's broker; its callbacks do nothing. */
ngx_stomp_broker_t *fixture_broker(broker_fixture_t *f);

/*
 * Fills in b for a slot of the zone that is made live without a process,
 * in a generation that the process slots don't have: it can be reaped.
 */
void fixture_worker(broker_fixture_t *f, ngx_stomp_broker_t *b,
    ngx_uint_t slot);

/* Locks, checks the zone, fails the test if it is damaged. */
void fixture_check(broker_fixture_t *f);

/* Unlocks until all that was freed is given back. */
void fixture_settle(broker_fixture_t *f);

/* Returns the octets in use when nothing waits to be given back. */
size_t fixture_used(broker_fixture_t *f);

/* ngx_str_t of a string; a publication of it. */
ngx_str_t fixture_str(const char *text);
ngx_stomp_publication_t fixture_publication(const char *destination,
    u_char *body, size_t len);

/* Forks; the child has its own pid, the parent gets it. */
pid_t fixture_fork(void);

/* Waits for a child's end, at most some seconds; returns its status. */
int fixture_wait(pid_t pid);

/* Kills and reaps. */
void fixture_kill(pid_t pid);

/* Milliseconds of a clock that doesn't jump. */
uint64_t fixture_msec(void);

/* A random number, the same in each run for the same state. */
uint32_t fixture_random(uint64_t *state);


#endif /* _BROKER_FIXTURE_H_INCLUDED_ */
