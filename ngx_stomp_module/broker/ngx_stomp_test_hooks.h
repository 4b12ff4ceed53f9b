
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_TEST_HOOKS_H_INCLUDED_
#define _NGX_STOMP_TEST_HOOKS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Where tests stop or kill a process.  In a build without
 * NGX_STOMP_TEST_HOOKS=1 nothing of this is compiled.
 *
 * Places are each store of a section (before the store is done), and these
 * points:
 *
 *   "reap"   a slice has been taken from a slot (a dead worker's, by another
 *            or by its new owner; or the own one at exit), but is not final:
 *            the lock is held;
 *   "slice"  it is final and the lock released, the next slice may follow;
 *   "wake"   a message is published and the lock released, the worker that is
 *            to be woken has not been;
 *   "hand"   what was taken in hand is about to be delivered.
 *
 * At "alloc" nobody is killed: the allocation in the zone, and all that
 * follow, fail as long as it is armed.
 *
 * In nginx they are armed at run time: if the variable STOMP_TEST_CONTROL is
 * in the environment that nginx starts with, the file of this name is mapped
 * by the master, and by its workers with it, as an ngx_stomp_test_control_t.
 * The file has to have its size then.  A test writes into the file, "left"
 * last; t/lib/Test/Stomp/Kill.pm does.
 */


typedef struct {
    ngx_atomic_t    left;          /* places up to the signal; 0: unarmed */
    ngx_atomic_t    pid;           /* of the process that is meant; 0: any */
    ngx_atomic_t    signal;
    ngx_atomic_t    hit;           /* the process that got there */
    char            point[32];     /* name of the point; "": stores */
} ngx_stomp_test_control_t;


#if (NGX_STOMP_TEST_HOOKS)

/* unit tests set these themselves */
extern void (*ngx_stomp_store_hook)(void);
extern void (*ngx_stomp_point_hook)(const char *name);
extern ngx_uint_t (*ngx_stomp_alloc_hook)(void);

#define ngx_stomp_test_store()                                                \
    do {                                                                      \
        if (ngx_stomp_store_hook) {                                           \
            ngx_stomp_store_hook();                                           \
        }                                                                     \
    } while (0)

#define ngx_stomp_test_point(name)                                            \
    do {                                                                      \
        if (ngx_stomp_point_hook) {                                           \
            ngx_stomp_point_hook(name);                                       \
        }                                                                     \
    } while (0)

#define ngx_stomp_test_full()                                                 \
    (ngx_stomp_alloc_hook && ngx_stomp_alloc_hook())

#else

#define ngx_stomp_test_store()
#define ngx_stomp_test_point(name)
#define ngx_stomp_test_full()  0

#endif


#endif /* _NGX_STOMP_TEST_HOOKS_H_INCLUDED_ */
