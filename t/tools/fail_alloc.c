
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * To be preloaded into nginx: lets one chosen allocation of one process fail,
 * and keeps a list of what this process has allocated since and not freed.
 *
 * The environment variable FAIL_ALLOC names a file that is mapped by the
 * process that starts with it, and by its children with it.  The test writes
 * into it; t/lib/Test/Stomp/FailAlloc.pm does.
 *
 * What is allocated and what is freed is overwritten, so that who reads the
 * one or uses the other does not get away with it.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>


#define FAIL_STACK   16
#define FAIL_BLOCKS  2048          /* a power of two */

#define fail_hash(address)                                                    \
    (((address) >> 4) * 0x9e3779b1 & (FAIL_BLOCKS - 1))

#define FAIL_FRESH   0xa5
#define FAIL_FREED   0x5a


typedef struct {
    uint64_t   address;            /* 0: free */
    uint64_t   size;
    uint64_t   stack[FAIL_STACK];
} fail_block_t;


/* the file; all numbers but the first three are the process's */

typedef struct {
    uint64_t       pid;            /* who counts; 0: nobody */
    uint64_t       nth;            /* which is to fail; 0: none */
    uint64_t       round;          /* another one: all begins anew */

    uint64_t       count;          /* allocations of this round */
    uint64_t       failed;
    uint64_t       live;           /* blocks that are not freed yet */
    uint64_t       lost;           /* blocks that the table had no room for */
    uint64_t       stack[FAIL_STACK];

    fail_block_t   blocks[FAIL_BLOCKS];
} fail_control_t;


static void fail_init(void) __attribute__((constructor));
static int fail_now(void);
static int fail_count(void);
static void *fail_made(void *p, size_t size, int fresh);
static void fail_forget(void *p);
static void fail_stack(uint64_t *stack);
static fail_block_t *fail_find(void *p);
static void *fail_early(size_t size);


static void *(*fail_malloc)(size_t size);
static void *(*fail_calloc)(size_t n, size_t size);
static void *(*fail_realloc)(void *p, size_t size);
static int (*fail_posix_memalign)(void **p, size_t align, size_t size);
static void *(*fail_memalign)(size_t align, size_t size);
static void *(*fail_aligned_alloc)(size_t align, size_t size);
static void (*fail_real_free)(void *p);

static fail_control_t  *fail_control;
static uint64_t         fail_round;
static int              fail_inside;    /* in our own call of something */

/* what the dynamic linker takes before the real functions are known */
static union {
    long double    align;
    char           data[16384];
} fail_memory;

static size_t           fail_memory_used;


static void
fail_resolve(void)
{
    if (fail_real_free != NULL || fail_inside) {
        return;
    }

    fail_inside = 1;

    fail_malloc = dlsym(RTLD_NEXT, "malloc");
    fail_calloc = dlsym(RTLD_NEXT, "calloc");
    fail_realloc = dlsym(RTLD_NEXT, "realloc");
    fail_posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    fail_memalign = dlsym(RTLD_NEXT, "memalign");
    fail_aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc");
    fail_real_free = dlsym(RTLD_NEXT, "free");

    fail_inside = 0;
}


static void
fail_init(void)
{
    int          fd;
    void        *p, *stack[1];
    const char  *name;

    fail_resolve();

    name = getenv("FAIL_ALLOC");

    if (name == NULL) {
        return;
    }

    /* the first call loads a library */

    (void) backtrace(stack, 1);

    fd = open(name, O_RDWR|O_CREAT|O_CLOEXEC, 0600);

    if (fd == -1) {
        return;
    }

    if (ftruncate(fd, sizeof(fail_control_t)) == 0) {
        p = mmap(NULL, sizeof(fail_control_t), PROT_READ|PROT_WRITE,
                 MAP_SHARED, fd, 0);

        if (p != MAP_FAILED) {
            fail_control = p;
        }
    }

    (void) close(fd);
}


/* returns 1 if this process is to be looked at */

static int
fail_now(void)
{
    fail_control_t  *control;

    control = fail_control;

    if (control == NULL
        || fail_inside
        || control->pid == 0
        || control->pid != (uint64_t) getpid())
    {
        return 0;
    }

    if (control->round != fail_round) {
        fail_round = control->round;

        memset(&control->count, 0,
               sizeof(fail_control_t) - offsetof(fail_control_t, count));
    }

    return 1;
}


/* returns 1 if this allocation is to fail */

static int
fail_count(void)
{
    if (!fail_now() || ++fail_control->count != fail_control->nth) {
        return 0;
    }

    fail_control->failed++;
    fail_stack(fail_control->stack);

    errno = ENOMEM;

    return 1;
}


static void
fail_stack(uint64_t *stack)
{
    int    i, n;
    void  *frames[FAIL_STACK];

    fail_inside = 1;
    n = backtrace(frames, FAIL_STACK);
    fail_inside = 0;

    for (i = 0; i < FAIL_STACK; i++) {
        stack[i] = (i < n) ? (uint64_t) (uintptr_t) frames[i] : 0;
    }
}


static fail_block_t *
fail_find(void *p)
{
    uint64_t       address;
    fail_block_t  *block;

    address = (uint64_t) (uintptr_t) p;
    block = &fail_control->blocks[fail_hash(address)];

    while (block->address != 0 && block->address != address) {
        if (++block == &fail_control->blocks[FAIL_BLOCKS]) {
            block = fail_control->blocks;
        }
    }

    return block;
}


static void *
fail_made(void *p, size_t size, int fresh)
{
    fail_block_t  *block;

    if (p == NULL || !fail_now()) {
        return p;
    }

    if (fresh) {
        memset(p, FAIL_FRESH, size);
    }

    /* never full: the search for a block ends at a free one */

    if (fail_control->live >= FAIL_BLOCKS / 2) {
        fail_control->lost++;
        return p;
    }

    block = fail_find(p);
    block->address = (uint64_t) (uintptr_t) p;
    block->size = size;
    fail_stack(block->stack);

    fail_control->live++;

    return p;
}


/* nothing to do for one that was allocated before */

static void
fail_forget(void *p)
{
    size_t         from, to, home;
    fail_block_t  *blocks, *block;

    block = fail_find(p);

    if (block->address == 0) {
        return;
    }

    fail_control->live--;

    /* what was put behind its own place for this one moves up */

    blocks = fail_control->blocks;
    to = block - blocks;
    from = to;

    for ( ;; ) {
        blocks[to].address = 0;

        do {
            from = (from + 1) & (FAIL_BLOCKS - 1);

            if (blocks[from].address == 0) {
                return;
            }

            home = fail_hash(blocks[from].address);

        } while (to <= from ? (to < home && home <= from)
                            : (to < home || home <= from));

        blocks[to] = blocks[from];
        to = from;
    }
}


static void *
fail_early(size_t size)
{
    size_t  start;

    start = fail_memory_used;
    size = (size + 15) & ~(size_t) 15;

    if (size > sizeof(fail_memory.data) - start) {
        errno = ENOMEM;
        return NULL;
    }

    fail_memory_used += size;

    return &fail_memory.data[start];
}


void *
malloc(size_t size)
{
    fail_resolve();

    if (fail_malloc == NULL) {
        return fail_early(size);
    }

    return fail_count() ? NULL : fail_made(fail_malloc(size), size, 1);
}


void *
calloc(size_t n, size_t size)
{
    fail_resolve();

    if (fail_calloc == NULL) {
        return (size && n > sizeof(fail_memory.data) / size)
               ? NULL : fail_early(n * size);
    }

    return fail_count() ? NULL : fail_made(fail_calloc(n, size), n * size, 0);
}


void *
realloc(void *p, size_t size)
{
    fail_resolve();

    if (fail_count()) {
        return NULL;
    }

    /* it fails in earnest for sizes only that nobody asks for */

    if (p != NULL && fail_now()) {
        fail_forget(p);
    }

    return fail_made(fail_realloc(p, size), size, 0);
}


int
posix_memalign(void **p, size_t align, size_t size)
{
    int  rc;

    fail_resolve();

    if (fail_count()) {
        return ENOMEM;
    }

    rc = fail_posix_memalign(p, align, size);

    if (rc == 0) {
        (void) fail_made(*p, size, 1);
    }

    return rc;
}


void *
memalign(size_t align, size_t size)
{
    fail_resolve();

    return fail_count() ? NULL : fail_made(fail_memalign(align, size), size, 1);
}


void *
aligned_alloc(size_t align, size_t size)
{
    fail_resolve();

    return fail_count() ? NULL
                        : fail_made(fail_aligned_alloc(align, size), size, 1);
}


void
free(void *p)
{
    char  *early;

    early = p;

    if (p == NULL
        || (early >= fail_memory.data
            && early < fail_memory.data + sizeof(fail_memory.data)))
    {
        return;
    }

    fail_resolve();

    if (fail_now()) {
        fail_forget(p);
        memset(p, FAIL_FREED, malloc_usable_size(p));
    }

    fail_real_free(p);
}
