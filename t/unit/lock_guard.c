
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <lock_guard.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>


#define GUARD_TRAP_FLAG   0x100      /* of EFLAGS */
#define GUARD_WRITE       2          /* of a page fault's error code */

/* pages that one instruction can touch: two operands, each on two */
#define GUARD_STEP_PAGES  4

/* notes that giving back one object can make: a few */
#define GUARD_COLLECT_MAX 64

#define guard_page(g, offset)                                                 \
    ((g)->addr + ((size_t) (offset) & ~(size_t) (NGX_STOMP_PAGE_SIZE - 1)))

#define guard_page_at(p, page)                                                \
    ((u_char *) (p) + ((size_t) (page) << NGX_STOMP_PAGE_SHIFT))


typedef Dl_info  guard_symbol_t;


static lock_guard_t *guard_find(void *addr);
static void *guard_map(size_t size);
static void guard_handlers(void);
static void guard_fault(int signo, siginfo_t *info, void *data);
static void guard_open(lock_guard_t *g, uint32_t offset, ngx_uint_t write);
static void guard_step(u_char *page, ngx_uint_t write, ucontext_t *uc);
static void guard_trap(int signo, siginfo_t *info, void *data);
static void guard_section(lock_guard_t *g);
static void guard_check(lock_guard_t *g, ngx_uint_t notes, void *caller);
static void guard_say(lock_guard_t *g, uint32_t offset, const char *what,
    void *pc);


lock_guard_figures_t   lock_guard_figures;
void                 (*lock_guard_report)(const char *text);

static lock_guard_t    guards[NGX_STOMP_BROKERS_MAX];
static ngx_uint_t      nguards;

static u_char         *guard_stepping[GUARD_STEP_PAGES];
static ngx_uint_t      guard_nstepping;

/* of lock_guard_reading() */
static ngx_uint_t      guard_reading;
static ngx_uint_t      guard_opened;


void
lock_guard_watch(ngx_stomp_zone_t *zone)
{
    size_t         pages;
    lock_guard_t  *g;

    g = guard_find(zone->sh);

    if (g == NULL) {
        if (nguards == NGX_STOMP_BROKERS_MAX) {
            abort();
        }

        g = &guards[nguards++];
    }

    g->addr = (u_char *) zone->sh;
    g->size = zone->sh->size;
    g->lock = zone->mutex->lock;

    pages = g->size >> NGX_STOMP_PAGE_SHIFT;

    /* of shared memory, an old size of 0 makes a second mapping */

    g->sh = mremap(g->addr, 0, g->size, MREMAP_MAYMOVE);

    if (g->sh == MAP_FAILED) {
        perror("mremap()");
        abort();
    }

    g->before = guard_map(g->size);
    g->undone = guard_map(g->size);
    g->written = guard_map(pages);
    g->pages = guard_map(pages * sizeof(uint32_t));
    g->npages = 0;

    guard_handlers();
    guard_section(g);
}


void
lock_guard_release(ngx_stomp_zone_t *zone)
{
    size_t         pages;
    lock_guard_t  *g;

    g = guard_find(zone->sh);

    (void) mprotect(g->addr, g->size, PROT_READ|PROT_WRITE);

    pages = g->size >> NGX_STOMP_PAGE_SHIFT;

    (void) munmap(g->sh, g->size);
    (void) munmap(g->before, g->size);
    (void) munmap(g->undone, g->size);
    (void) munmap(g->written, pages);
    (void) munmap(g->pages, pages * sizeof(uint32_t));

    *g = guards[--nguards];
}


static lock_guard_t *
guard_find(void *addr)
{
    u_char      *p;
    ngx_uint_t   i;

    p = addr;

    for (i = 0; i < nguards; i++) {
        if (p >= guards[i].addr && p < guards[i].addr + guards[i].size) {
            return &guards[i];
        }
    }

    return NULL;
}


static void *
guard_map(size_t size)
{
    void  *p;

    p = mmap(NULL, size, PROT_READ|PROT_WRITE,
             MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED) {
        perror("mmap()");
        abort();
    }

    return p;
}


static void
guard_handlers(void)
{
    struct sigaction  sa;

    memset(&sa, 0, sizeof(struct sigaction));
    sa.sa_flags = SA_SIGINFO;

    sa.sa_sigaction = guard_fault;
    (void) sigaction(SIGSEGV, &sa, NULL);

    sa.sa_sigaction = guard_trap;
    (void) sigaction(SIGTRAP, &sa, NULL);
}


static void
guard_fault(int signo, siginfo_t *info, void *data)
{
#if (LOCK_GUARD_WORKS)
    void          *pc;
    uint32_t       offset;
    ucontext_t    *uc;
    ngx_uint_t     write;
    lock_guard_t  *g;

    uc = data;
    g = guard_find(info->si_addr);

    if (g == NULL) {

        /* a fault of its own: the next one ends the process */

        (void) signal(signo, SIG_DFL);
        return;
    }

    offset = (uint32_t) ((u_char *) info->si_addr - g->addr);
    write = (uc->uc_mcontext.gregs[REG_ERR] & GUARD_WRITE) != 0;

    if ((pid_t) *g->lock == getpid()) {
        guard_open(g, offset, write);
        return;
    }

    if (lock_guard_may_access(g, offset, write)) {
        lock_guard_figures.allowed++;

        if (guard_reading) {
            guard_opened = 1;
            (void) mprotect(guard_page(g, offset), NGX_STOMP_PAGE_SIZE,
                            PROT_READ);
            return;
        }

    } else {
        pc = (void *) uc->uc_mcontext.gregs[REG_RIP];

        guard_say(g, offset, write ? "written without the lock"
                                   : "read without the lock", pc);
    }

    guard_step(guard_page(g, offset), write, uc);
#endif
}


/* under the lock a page stays open, and is kept as it was before a write */

static void
guard_open(lock_guard_t *g, uint32_t offset, ngx_uint_t write)
{
    uint32_t  page;

    page = offset >> NGX_STOMP_PAGE_SHIFT;

    if (write && !g->written[page]) {
        memcpy(guard_page_at(g->before, page), guard_page_at(g->sh, page),
               NGX_STOMP_PAGE_SIZE);

        g->written[page] = 1;
        g->pages[g->npages++] = page;
    }

    (void) mprotect(guard_page(g, offset), NGX_STOMP_PAGE_SIZE,
                    write ? PROT_READ|PROT_WRITE : PROT_READ);
}


/* opens a page for the one instruction that wants it */

static void
guard_step(u_char *page, ngx_uint_t write, ucontext_t *uc)
{
#if (LOCK_GUARD_WORKS)
    if (guard_nstepping == GUARD_STEP_PAGES) {
        abort();
    }

    guard_stepping[guard_nstepping++] = page;

    (void) mprotect(page, NGX_STOMP_PAGE_SIZE,
                    write ? PROT_READ|PROT_WRITE : PROT_READ);

    uc->uc_mcontext.gregs[REG_EFL] |= GUARD_TRAP_FLAG;
#endif
}


static void
guard_trap(int signo, siginfo_t *info, void *data)
{
#if (LOCK_GUARD_WORKS)
    ucontext_t  *uc = data;

    while (guard_nstepping) {
        (void) mprotect(guard_stepping[--guard_nstepping], NGX_STOMP_PAGE_SIZE,
                        PROT_NONE);
    }

    uc->uc_mcontext.gregs[REG_EFL] &= ~GUARD_TRAP_FLAG;
#endif
}


/* from here on changes are new ones */

static void
guard_section(lock_guard_t *g)
{
    if (mprotect(g->addr, g->size, PROT_NONE) == -1) {
        perror("mprotect()");
        abort();
    }

    while (g->npages) {
        g->written[g->pages[--g->npages]] = 0;
    }
}


void
lock_guard_lock(ngx_stomp_zone_t *zone, lock_guard_pt real)
{
    lock_guard_t  *g;

    real(zone);

    g = guard_find(zone->sh);

    if (g != NULL) {
        lock_guard_figures.sections++;

        /* what a dead holder had begun has been undone: no change of ours */

        guard_section(g);
    }
}


void
lock_guard_unlock(ngx_stomp_zone_t *zone, lock_guard_pt real, void *caller)
{
    lock_guard_t  *g;

    g = guard_find(zone->sh);

    if (g == NULL) {
        real(zone);
        return;
    }

    guard_check(g, g->sh->undo_count, caller);

    real(zone);

    guard_section(g);
}


/* each object is a section of its own, whose notes are forgotten inside */

void
lock_guard_collect(ngx_stomp_zone_t *zone, ngx_uint_t n,
    lock_guard_collect_pt real)
{
    ngx_uint_t     notes;
    lock_guard_t  *g;

    g = guard_find(zone->sh);

    if (g == NULL) {
        real(zone, n);
        return;
    }

    while (g->sh->arena.limbo && n--) {

        /* no note has an offset of 0: where they end shows afterwards */

        memset(g->sh->undo, 0, GUARD_COLLECT_MAX * sizeof(ngx_stomp_undo_t));
        guard_section(g);

        real(zone, 1);

        for (notes = 0; g->sh->undo[notes].offset; notes++) {
            if (notes == GUARD_COLLECT_MAX - 1) {
                abort();
            }
        }

        guard_check(g, notes, __builtin_return_address(0));
    }
}


void
lock_guard_reading(ngx_stomp_zone_t *zone, ngx_uint_t reading)
{
    lock_guard_t  *g;

    guard_reading = reading;
    g = guard_find(zone->sh);

    if (!reading && guard_opened && g != NULL) {
        guard_opened = 0;
        guard_section(g);
    }
}


/*
 * The notes are played back in a copy: who is killed in this moment must
 * leave each word as it was when the section began.
 */

static void
guard_check(lock_guard_t *g, ngx_uint_t notes, void *caller)
{
    uint32_t           offset, page;
    ngx_uint_t         i, n;
    ngx_stomp_undo_t  *undo;

    for (i = 0; i < g->npages; i++) {
        page = g->pages[i];
        memcpy(guard_page_at(g->undone, page), guard_page_at(g->sh, page),
               NGX_STOMP_PAGE_SIZE);
    }

    for (n = notes; n > 0; n--) {
        undo = &g->sh->undo[n - 1];

        if (g->written[undo->offset >> NGX_STOMP_PAGE_SHIFT]) {
            memcpy(g->undone + undo->offset, &undo->value, sizeof(uint32_t));
        }
    }

    lock_guard_figures.words += notes;

    for (i = 0; i < g->npages; i++) {
        offset = g->pages[i] << NGX_STOMP_PAGE_SHIFT;

        for (n = 0; n < NGX_STOMP_PAGE_SIZE; n += sizeof(uint32_t)) {

            if (memcmp(g->before + offset + n, g->undone + offset + n,
                       sizeof(uint32_t))
                == 0
                || lock_guard_may_change(g, offset + n))
            {
                continue;
            }

            guard_say(g, offset + n, "changed without a note", caller);
            return;
        }
    }
}


static void
guard_say(lock_guard_t *g, uint32_t offset, const char *what, void *pc)
{
    char             text[512];
    const char      *file;
    guard_symbol_t   info;

    memset(&info, 0, sizeof(guard_symbol_t));
    (void) dladdr(pc, &info);

    file = (info.dli_fname != NULL) ? strrchr(info.dli_fname, '/') : NULL;

    snprintf(text, sizeof(text), "%s: %s, at offset 0x%x, by %s+0x%zx (%s)",
             lock_guard_name(g, offset), what, offset,
             (file != NULL) ? file + 1 : "?",
             (size_t) ((u_char *) pc - (u_char *) info.dli_fbase),
             (info.dli_sname != NULL) ? info.dli_sname : "no symbol");

    lock_guard_report(text);
}
