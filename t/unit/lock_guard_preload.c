
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Preloaded into nginx, stands around the module's functions of these names:
 * each process that opens a zone is watched from then on.
 *
 *   STOMP_GUARD_REPORT  file that violations, and the figures of each process
 *                       at its exit, are appended to
 *   STOMP_GUARD_SEED    read, write or note: each process makes this mistake
 *                       once itself
 */


#define _GNU_SOURCE

#include <lock_guard.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>


typedef ngx_int_t (*guard_zone_open_pt)(ngx_stomp_zone_t *zone, void *addr,
    ngx_shmtx_t *mutex, ngx_stomp_alive_pt alive);
typedef uint32_t (*guard_message_open_pt)(ngx_stomp_zone_t *zone,
    uint32_t message, ngx_stomp_message_t *m);
typedef u_char *(*guard_message_read_pt)(ngx_stomp_zone_t *zone,
    ngx_stomp_message_t *m, u_char *dst, size_t len);


static void *guard_next(const char *name);
static void guard_write(const char *what, const char *text);
static void guard_violation(const char *text);
static void guard_seed(ngx_stomp_zone_t *zone, const char *kind);


static const char  *guard_file;
static const char  *guard_seeded;
static pid_t        guard_pid;         /* the process that is watched */


/* nginx's own environment is not that of its start */

__attribute__((constructor)) static void
guard_init(void)
{
    guard_file = getenv("STOMP_GUARD_REPORT");
    guard_seeded = getenv("STOMP_GUARD_SEED");
    lock_guard_report = guard_violation;
}


__attribute__((destructor)) static void
guard_exit(void)
{
    char  text[128];

    if (guard_pid != getpid()) {
        return;
    }

    snprintf(text, sizeof(text), "%zu sections, %zu notes, %zu reads",
             (size_t) lock_guard_figures.sections,
             (size_t) lock_guard_figures.words,
             (size_t) lock_guard_figures.allowed);

    guard_write("figures", text);
}


static void *
guard_next(const char *name)
{
    void  *p;

    p = dlsym(RTLD_NEXT, name);

    if (p == NULL) {
        guard_violation(dlerror());
        abort();
    }

    return p;
}


static void
guard_violation(const char *text)
{
    guard_write("violation", text);
}


static void
guard_write(const char *what, const char *text)
{
    FILE  *file;

    file = (guard_file != NULL) ? fopen(guard_file, "a") : NULL;

    if (file == NULL) {
        fprintf(stderr, "%d %s: %s\n", (int) getpid(), what, text);
        return;
    }

    fprintf(file, "%d %s: %s\n", (int) getpid(), what, text);
    fclose(file);
}


ngx_int_t
ngx_stomp_zone_open(ngx_stomp_zone_t *zone, void *addr, ngx_shmtx_t *mutex,
    ngx_stomp_alive_pt alive)
{
    ngx_int_t           rc;
    guard_zone_open_pt  real;

    real = (guard_zone_open_pt) guard_next("ngx_stomp_zone_open");
    rc = real(zone, addr, mutex, alive);

    if (rc == NGX_OK) {
        guard_pid = getpid();
        lock_guard_watch(zone);
    }

    return rc;
}


void
ngx_stomp_zone_lock(ngx_stomp_zone_t *zone)
{
    static lock_guard_pt  real;

    if (real == NULL) {
        real = (lock_guard_pt) guard_next("ngx_stomp_zone_lock");
    }

    lock_guard_lock(zone, real);
    guard_seed(zone, "note");
}


void
ngx_stomp_zone_unlock(ngx_stomp_zone_t *zone)
{
    static lock_guard_pt  real;

    if (real == NULL) {
        real = (lock_guard_pt) guard_next("ngx_stomp_zone_unlock");
    }

    lock_guard_unlock(zone, real, __builtin_return_address(0));
    guard_seed(zone, "read");
    guard_seed(zone, "write");
}


void
ngx_stomp_arena_collect_locked(ngx_stomp_zone_t *zone, ngx_uint_t n)
{
    static lock_guard_collect_pt  real;

    if (real == NULL) {
        real = (lock_guard_collect_pt)
                   guard_next("ngx_stomp_arena_collect_locked");
    }

    lock_guard_collect(zone, n, real);
}


uint32_t
ngx_stomp_message_open(ngx_stomp_zone_t *zone, uint32_t message,
    ngx_stomp_message_t *m)
{
    uint32_t                      next;

    static guard_message_open_pt  real;

    if (real == NULL) {
        real = (guard_message_open_pt) guard_next("ngx_stomp_message_open");
    }

    lock_guard_reading(zone, 1);
    next = real(zone, message, m);
    lock_guard_reading(zone, 0);

    return next;
}


u_char *
ngx_stomp_message_read(ngx_stomp_zone_t *zone, ngx_stomp_message_t *m,
    u_char *dst, size_t len)
{
    u_char                       *p;

    static guard_message_read_pt  real;

    if (real == NULL) {
        real = (guard_message_read_pt) guard_next("ngx_stomp_message_read");
    }

    lock_guard_reading(zone, 1);
    p = real(zone, m, dst, len);
    lock_guard_reading(zone, 0);

    return p;
}


static void
guard_seed(ngx_stomp_zone_t *zone, const char *kind)
{
    volatile uint32_t  *word;

    if (guard_seeded == NULL || strcmp(guard_seeded, kind) != 0) {
        return;
    }

    guard_seeded = NULL;
    word = &zone->sh->slots[NGX_STOMP_SLOTS_MAX - 1].work_tail;

    if (kind[0] == 'r') {
        (void) *word;

    } else {
        *word = (uint32_t) getpid();
    }
}
