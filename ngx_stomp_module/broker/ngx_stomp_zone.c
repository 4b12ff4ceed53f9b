
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_zone.h>
#include <ngx_stomp_arena.h>
#include <ngx_stomp_hash.h>


#define NGX_STOMP_MAGIC        0x53544d50      /* "STMP" */

/* one bucket for so many octets of a zone */
#define NGX_STOMP_BUCKET_SHARE 1024

#define NGX_STOMP_LOCK_SPIN    64
#define NGX_STOMP_LOCK_YIELD   16
#define NGX_STOMP_LOCK_SLEEP   50              /* microseconds */

/* sleeps: some 100 ms, since the kernel adds its slack of 50 us to each */
#define NGX_STOMP_LOCK_PATIENCE  1000


static size_t ngx_stomp_zone_overhead(size_t size);
static uint32_t ngx_stomp_zone_buckets(size_t size);
static void ngx_stomp_zone_wait(ngx_stomp_zone_t *zone, ngx_uint_t turn);
static void ngx_stomp_zone_free_dead(ngx_stomp_zone_t *zone);


/* octets of a zone's fixed part */

static size_t
ngx_stomp_zone_overhead(size_t size)
{
    size_t  fixed;

    fixed = ngx_align(sizeof(ngx_stomp_zone_sh_t), 64)
            + ngx_stomp_zone_buckets(size) * sizeof(uint32_t);

    fixed += (size >> NGX_STOMP_PAGE_SHIFT) * sizeof(ngx_stomp_page_sh_t);

    return ngx_align(fixed, NGX_STOMP_PAGE_SIZE);
}


static uint32_t
ngx_stomp_zone_buckets(size_t size)
{
    uint32_t  n;

    for (n = 1024; n < size / NGX_STOMP_BUCKET_SHARE; n <<= 1) { /* void */ }

    return n;
}


void
ngx_stomp_zone_format(void *addr, size_t size)
{
    size_t                fixed;
    ngx_stomp_zone_sh_t  *sh;

    sh = addr;
    fixed = ngx_stomp_zone_overhead(size);

#if (NGX_DEBUG_MALLOC)
    ngx_memzero(addr, fixed);
#endif

    /* the parts behind the header stay untouched: they are zero */

    ngx_memzero(sh, offsetof(ngx_stomp_zone_sh_t, slots));

    sh->layout = NGX_STOMP_LAYOUT;
    sh->size = (uint32_t) size;

    ngx_stomp_random((u_char *) &sh->epoch, sizeof(uint64_t));
    ngx_stomp_random((u_char *) sh->key, sizeof(sh->key));

    sh->nbuckets = ngx_stomp_zone_buckets(size);
    sh->buckets = ngx_align(sizeof(ngx_stomp_zone_sh_t), 64);
    sh->descriptors = sh->buckets + sh->nbuckets * sizeof(uint32_t);
    sh->first_page = fixed;

    sh->arena.pages = (size - fixed) >> NGX_STOMP_PAGE_SHIFT;
    sh->arena.nfree = sh->arena.pages;

    ngx_memory_barrier();

    sh->magic = NGX_STOMP_MAGIC;
}


ngx_int_t
ngx_stomp_zone_open(ngx_stomp_zone_t *zone, void *addr, ngx_shmtx_t *mutex,
    ngx_stomp_alive_pt alive)
{
    ngx_stomp_zone_sh_t  *sh;

    sh = addr;

    if (sh->magic != NGX_STOMP_MAGIC || sh->layout != NGX_STOMP_LAYOUT) {
        return NGX_DECLINED;
    }

    zone->sh = sh;
    zone->mutex = mutex;
    zone->alive = alive;
    zone->overflow = 0;
    zone->buckets = ngx_stomp_zone_ptr(zone, sh->buckets);
    zone->descriptors = ngx_stomp_zone_ptr(zone, sh->descriptors);

    return NGX_OK;
}


void
ngx_stomp_zone_lock(ngx_stomp_zone_t *zone)
{
    ngx_uint_t  turn;

    for (turn = 0; !ngx_shmtx_trylock(zone->mutex); turn++) {
        ngx_stomp_zone_wait(zone, turn);
    }

    if (zone->sh->undo_count) {
        ngx_stomp_zone_rollback(zone);
        zone->sh->counters.recovered++;
    }
}


/*
 * The mutex is never waited for on its semaphore: a holder that dies between
 * the release and the post would lose the wake-up for good.
 */

static void
ngx_stomp_zone_wait(ngx_stomp_zone_t *zone, ngx_uint_t turn)
{
    ngx_uint_t  i;

    if (turn < NGX_STOMP_LOCK_SPIN && ngx_ncpu > 1) {

        for (i = 0; i < turn; i++) {
            ngx_cpu_pause();
        }

        return;
    }

    if (turn < NGX_STOMP_LOCK_SPIN + NGX_STOMP_LOCK_YIELD) {
        ngx_sched_yield();
        return;
    }

    usleep(NGX_STOMP_LOCK_SLEEP);

    if (turn % NGX_STOMP_LOCK_PATIENCE == 0) {
        ngx_stomp_zone_free_dead(zone);
    }
}


/*
 * The master frees the locks of the current cycle's zones only: a worker that
 * dies in a zone that a reload has replaced would block the others for good.
 */

static void
ngx_stomp_zone_free_dead(ngx_stomp_zone_t *zone)
{
#if (NGX_HAVE_ATOMIC_OPS)
    ngx_pid_t  pid;

    pid = (ngx_pid_t) *zone->mutex->lock;

    if (pid != 0 && pid != ngx_pid && zone->alive(pid) == NGX_DECLINED) {
        (void) ngx_shmtx_force_unlock(zone->mutex, pid);
    }
#else
    (void) zone;
#endif
}


void
ngx_stomp_zone_unlock(ngx_stomp_zone_t *zone)
{
    ngx_stomp_barrier();

    zone->sh->undo_count = 0;

    ngx_stomp_barrier();

    if (zone->sh->arena.limbo) {
        ngx_stomp_arena_collect_locked(zone, NGX_STOMP_LIMBO_SLICE);
    }

    ngx_shmtx_unlock(zone->mutex);
}


void
ngx_stomp_zone_rollback(ngx_stomp_zone_t *zone)
{
    uint32_t              n;
    ngx_stomp_undo_t     *undo;
    ngx_stomp_zone_sh_t  *sh;

    sh = zone->sh;

    /* a death in here does no harm: the next holder plays it all again */

    for (n = sh->undo_count; n > 0; n--) {
        undo = &sh->undo[n - 1];
        *(uint32_t *) ngx_stomp_zone_ptr(zone, undo->offset) = undo->value;
    }

    ngx_stomp_barrier();

    sh->undo_count = 0;

    ngx_stomp_barrier();
}
