
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * The few functions of nginx, and of the broker's event part, that broker/
 * calls: for tests that are linked where only nginx's headers are installed.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stomp_slot.h>
#include <ngx_stomp_test_hooks.h>
#include <ngx_stomp_wake.h>
#include <ngx_broker_stub.h>
#include <stdio.h>
#include <sys/mman.h>


static u_char *ngx_stub_number(u_char *p, uint64_t n, unsigned base,
    unsigned width);


ngx_pid_t             ngx_pid;
ngx_int_t             ngx_ncpu = 2;
volatile ngx_time_t  *ngx_cached_time;
volatile ngx_cycle_t *ngx_cycle;

ngx_stub_log_t       *ngx_stub_log;
void                (*ngx_stub_unlock_hook)(void);
ngx_uint_t            ngx_stub_posted;

static ngx_time_t     ngx_stub_time;


void
ngx_stub_init(void)
{
    if (ngx_stub_log == NULL) {
        ngx_stub_log = ngx_stub_shared(sizeof(ngx_stub_log_t));
    }

    ngx_stub_time.sec = time(NULL);
    ngx_cached_time = &ngx_stub_time;

    ngx_stub_forked();
}


void
ngx_stub_forked(void)
{
    ngx_pid = getpid();
}


void *
ngx_stub_shared(size_t size)
{
    void  *p;

    p = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_ANON|MAP_SHARED, -1, 0);

    if (p == MAP_FAILED) {
        perror("mmap()");
        abort();
    }

    return p;
}


ngx_uint_t
ngx_shmtx_trylock(ngx_shmtx_t *mtx)
{
    return (*mtx->lock == 0 && ngx_atomic_cmp_set(mtx->lock, 0, ngx_pid));
}


void
ngx_shmtx_unlock(ngx_shmtx_t *mtx)
{
    if (ngx_stub_unlock_hook) {
        ngx_stub_unlock_hook();
    }

    if (!ngx_atomic_cmp_set(mtx->lock, ngx_pid, 0)) {
        fprintf(stderr, "# unlock of a lock that is not held\n");
        abort();
    }
}


ngx_uint_t
ngx_shmtx_force_unlock(ngx_shmtx_t *mtx, ngx_pid_t pid)
{
    return ngx_atomic_cmp_set(mtx->lock, pid, 0) ? 1 : 0;
}


ngx_int_t
ngx_shm_alloc(ngx_shm_t *shm)
{
    shm->addr = ngx_stub_shared(shm->size);

    return NGX_OK;
}


void
ngx_shm_free(ngx_shm_t *shm)
{
    (void) munmap(shm->addr, shm->size);
}


void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    return malloc(size);
}


void *
ngx_calloc(size_t size, ngx_log_t *log)
{
    return calloc(1, size);
}


#if (NGX_HAVE_FIONBIO)

int
ngx_nonblocking(ngx_socket_t s)
{
    int  nb;

    nb = 1;

    return ioctl(s, FIONBIO, &nb);
}

#endif


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    if (level <= NGX_LOG_ALERT) {
        (void) ngx_atomic_fetch_add(&ngx_stub_log->alerts, 1);
        snprintf(ngx_stub_log->last, sizeof(ngx_stub_log->last), "%s", fmt);

    } else {
        (void) ngx_atomic_fetch_add(&ngx_stub_log->others, 1);
    }
}


/* knows what broker/ needs: %uL, %xL, with a width of zeros */

u_char * ngx_cdecl
ngx_sprintf(u_char *buf, const char *fmt, ...)
{
    va_list   args;
    unsigned  base, width;

    va_start(args, fmt);

    while (*fmt) {

        if (*fmt != '%') {
            *buf++ = *fmt++;
            continue;
        }

        width = 0;

        for (fmt++; *fmt >= '0' && *fmt <= '9'; fmt++) {
            width = width * 10 + (*fmt - '0');
        }

        base = (*fmt == 'x') ? 16 : 10;

        if ((fmt[0] != 'x' && fmt[0] != 'u') || fmt[1] != 'L') {
            abort();
        }

        fmt += 2;
        buf = ngx_stub_number(buf, va_arg(args, uint64_t), base, width);
    }

    va_end(args);

    return buf;
}


static u_char *
ngx_stub_number(u_char *p, uint64_t n, unsigned base, unsigned width)
{
    u_char    text[32];
    unsigned  i;

    i = 0;

    do {
        text[i++] = "0123456789abcdef"[n % base];
        n /= base;
    } while (n);

    while (i < width) {
        text[i++] = '0';
    }

    while (i) {
        *p++ = text[--i];
    }

    return p;
}


void
ngx_stomp_wake_post(ngx_stomp_broker_t *b)
{
    ngx_stub_posted++;
}


/* as without events: at once */

void
ngx_stomp_wake_workers(ngx_stomp_broker_t *b)
{
    ngx_uint_t  i;

    for (i = 0; i < b->nwake; i++) {
        ngx_stomp_test_point("wake");
        ngx_stomp_slot_wake(b->wake[i]);
    }

    b->nwake = 0;
}
