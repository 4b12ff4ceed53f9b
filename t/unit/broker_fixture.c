
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <broker_fixture.h>
#include <signal.h>
#include <sys/mman.h>

#if (NGX_LINUX)
#include <sys/prctl.h>
#endif


#define FIXTURE_PATIENCE  20000        /* milliseconds */


static void fixture_deliver(void *data, ngx_stomp_message_t *m);
static void fixture_overrun(void *data, uint64_t drained);


static ngx_str_t  fixture_topic = ngx_string("/");


void
fixture_init(broker_fixture_t *f, size_t size, ngx_uint_t nslots)
{
    ngx_shmtx_sh_t  *lock;

    memset(f, 0, sizeof(broker_fixture_t));

    ngx_stub_init();

    f->log.log_level = NGX_LOG_WARN;

    assert_int_equal(ngx_stomp_slots_init(nslots, &f->log), NGX_OK);

    lock = ngx_stub_shared(NGX_STOMP_PAGE_SIZE);
    f->mutex.lock = &lock->lock;
    f->mutex.spin = (ngx_uint_t) -1;

    f->size = size;
    f->addr = ngx_stub_shared(size);

    f->conf.name = fixture_str("test");
    f->conf.zone_size = size;
    f->conf.inbox_size = size / 8;
    f->conf.zone_addr = f->addr;
    f->conf.mutex = &f->mutex;
    f->conf.topics.elts = &fixture_topic;
    f->conf.topics.nelts = 1;

    f->queues[0].prefix = fixture_str("/q/");
    f->queues[0].max_deliveries = 3;
    f->queues[0].dead_letter = fixture_str("/q/dead");
    f->queues[1].prefix = fixture_str("/short/");
    f->queues[1].max_length = 3;
    f->queues[2].prefix = fixture_str("/drop/");
    f->queues[2].max_length = 3;
    f->queues[2].drop_oldest = 1;
    f->conf.queues.elts = f->queues;
    f->conf.queues.nelts = FIXTURE_QUEUES;

    fixture_reset(f);
}


void
fixture_cleanup(broker_fixture_t *f)
{
    (void) munmap(f->addr, f->size);
}


void
fixture_reset(broker_fixture_t *f)
{
    memset(f->addr, 0, f->size);
    ngx_stomp_zone_format(f->addr, f->size);

    assert_int_equal(ngx_stomp_zone_open(&f->zone, f->addr, &f->mutex,
                                         ngx_stomp_slot_pid_alive),
                     NGX_OK);
}


ngx_stomp_broker_t *
fixture_broker(broker_fixture_t *f)
{
    ngx_stomp_broker_t  *b;

    b = ngx_stomp_broker_create(&f->conf, &f->log);
    assert_non_null(b);

    b->deliver = fixture_deliver;
    b->overrun = fixture_overrun;

    return b;
}


static void
fixture_deliver(void *data, ngx_stomp_message_t *m)
{
    /* void */
}


static void
fixture_overrun(void *data, uint64_t drained)
{
    /* void */
}


void
fixture_worker(broker_fixture_t *f, ngx_stomp_broker_t *b, ngx_uint_t slot)
{
    ngx_stomp_slot_sh_t  *sh;

    memset(b, 0, sizeof(ngx_stomp_broker_t));

    b->zone = f->zone;
    b->conf = &f->conf;
    b->log = &f->log;
    b->slot = slot;
    b->generation = 1000 + slot;
    b->deliver = fixture_deliver;
    b->overrun = fixture_overrun;

    ngx_stomp_zone_lock(&f->zone);

    sh = &f->zone.sh->slots[slot];
    sh->state = NGX_STOMP_SLOT_LIVE;
    sh->generation = b->generation;
    sh->drained = f->zone.sh->sequence;

    ngx_stomp_zone_unlock(&f->zone);
}


void
fixture_check(broker_fixture_t *f)
{
    const char  *error;

    ngx_stomp_zone_lock(&f->zone);
    error = zone_check(&f->zone);
    ngx_stomp_zone_unlock(&f->zone);

    if (error) {
        fail_msg("%s", error);
    }

    if (ngx_stub_log->alerts) {
        fail_msg("alert: %s", ngx_stub_log->last);
    }
}


void
fixture_settle(broker_fixture_t *f)
{
    ngx_uint_t  limbo;

    do {
        ngx_stomp_zone_lock(&f->zone);
        limbo = f->zone.sh->arena.limbo;
        ngx_stomp_zone_unlock(&f->zone);

    } while (limbo);
}


size_t
fixture_used(broker_fixture_t *f)
{
    size_t  used;

    fixture_settle(f);

    ngx_stomp_zone_lock(&f->zone);
    used = ngx_stomp_arena_used_locked(&f->zone);
    ngx_stomp_zone_unlock(&f->zone);

    return used;
}


ngx_str_t
fixture_str(const char *text)
{
    ngx_str_t  str;

    str.len = strlen(text);
    str.data = (u_char *) text;

    return str;
}


ngx_stomp_publication_t
fixture_publication(const char *destination, u_char *body, size_t len)
{
    ngx_stomp_publication_t  p;

    memset(&p, 0, sizeof(ngx_stomp_publication_t));

    p.destination = fixture_str(destination);
    p.headers = fixture_str("x:y\n");
    p.body.data = body;
    p.body.len = len;
    p.flags = 7;

    return p;
}


pid_t
fixture_fork(void)
{
    pid_t  pid, parent;

    fflush(NULL);

    parent = getpid();
    pid = fork();

    if (pid == -1) {
        fail_msg("fork() failed");
    }

    if (pid == 0) {

        /* a test that fails leaves nobody behind */

#if (NGX_LINUX)
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
#endif

        if (getppid() != parent) {
            _exit(0);
        }

        ngx_stub_forked();
    }

    return pid;
}


int
fixture_wait(pid_t pid)
{
    int       status;
    pid_t     rc;
    uint64_t  start;

    start = fixture_msec();

    for ( ;; ) {
        rc = waitpid(pid, &status, WNOHANG);

        if (rc == pid) {
            return status;
        }

        if (rc == -1 || fixture_msec() - start > FIXTURE_PATIENCE) {
            (void) kill(pid, SIGKILL);
            (void) waitpid(pid, &status, 0);
            fail_msg("a process hung");
        }

        usleep(50);
    }
}


void
fixture_kill(pid_t pid)
{
    int  status;

    (void) kill(pid, SIGKILL);
    (void) waitpid(pid, &status, 0);
}


uint64_t
fixture_msec(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


uint32_t
fixture_random(uint64_t *state)
{
    uint64_t  z;

    /* splitmix64 */

    z = (*state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;

    return (uint32_t) (z >> 16);
}
