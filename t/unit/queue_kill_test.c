
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: a worker that is killed while all others publish, consume and
 * settle could take a message of a queue along, or leave one to two of them.
 *
 * Eight workers, each a process with consumers of the same queues, are killed,
 * and replaced, at each store that any of them was seen to do in each kind of
 * operation.  STOMP_QUEUE_SEED repeats a run as far as the machine's timing
 * lets it.
 */


#include <queue_ledger.h>
#include <signal.h>


#define KILL_ZONE      (512 * 1024)
#define KILL_WORKERS   8
#define KILL_SLOTS     16
#define KILL_SITES     8192
#define KILL_WAITING   40
#define KILL_ROUNDS    2
#define KILL_CHANCE    4
#define KILL_PATIENCE  500          /* milliseconds without a kill */
#define KILL_TIME      15000        /* and in all */


typedef enum {
    KILL_ATTACH = 1,
    KILL_DETACH,
    KILL_PUBLISH,
    KILL_BATCH,
    KILL_CONSUME,
    KILL_REMOVE,
    KILL_DRAIN,
    KILL_ACK,
    KILL_NACK,
    KILL_RETURN,
    KILL_REAP
} kill_operation_e;


/* a store of the code, in one kind of operation */

typedef struct {
    ngx_atomic_t      key;
    ngx_uint_t        kills;
} kill_site_t;


typedef struct {
    ngx_atomic_t      stop;
    ngx_atomic_t      armed;        /* 0: nobody is to die */
    ngx_atomic_t      round;        /* kills that a site is to have */
    ngx_atomic_t      nsites;
    kill_site_t       sites[KILL_SITES];
} kill_shared_t;


static broker_fixture_t   queues;
static ledger_t          *ledger;
static kill_shared_t     *shared;

/* of a worker */
static ledger_worker_t    self;
static kill_operation_e   operation;
static uint64_t           kill_random;


static const char  *kill_names[LEDGER_CONSUMERS] = {
    "/q/work", "/q/brief", "/dead/a"
};


/* the lock is held: nobody else adds a site */

static void
kill_store_hook(void)
{
    ngx_uint_t     i;
    ngx_atomic_t   key;

    key = ((ngx_atomic_t) operation << 56)
          ^ (ngx_atomic_t) (uintptr_t) __builtin_return_address(0);

    for (i = key % KILL_SITES; shared->sites[i].key != key;
         i = (i + 1) % KILL_SITES)
    {
        if (shared->sites[i].key == 0) {
            shared->sites[i].key = key;
            shared->nsites++;
            break;
        }
    }

    /* somewhere in the operation, not always when it is done first */

    if (shared->armed && shared->sites[i].kills < shared->round
        && fixture_random(&kill_random) % KILL_CHANCE == 0)
    {
        shared->armed = 0;
        shared->sites[i].kills++;
        ledger_killed(ledger, self.number);
        (void) kill(getpid(), SIGKILL);
    }
}


static void
kill_consume(void *data, ngx_stomp_taken_t *taken, ngx_stomp_message_t *m)
{
    ledger_consume(data, taken, m);
}


static void
kill_subscribe(ngx_uint_t i)
{
    operation = KILL_CONSUME;

    ledger_subscribe(&self, i, kill_names[i], i == 0 ? 8 : 3);
}


static void
kill_settle(uint32_t what)
{
    ngx_uint_t  i, n;

    i = what % LEDGER_CONSUMERS;
    n = what / 16 % 5 + 1;

    switch (shared->stop ? 9 : what / 128 % 10) {

    case 0:
    case 1:
        operation = KILL_NACK;
        ledger_settle(&self, i, n, NGX_STOMP_SETTLE_NACK);
        break;

    case 2:
        operation = KILL_RETURN;
        ledger_settle(&self, i, n, NGX_STOMP_SETTLE_RETURN);
        break;

    default:
        operation = KILL_ACK;
        ledger_settle(&self, i, n, NGX_STOMP_SETTLE_ACK);
    }
}


static void
kill_publish(uint32_t what)
{
    const char  *name;

    name = kill_names[what / 8 % 2];

    switch (what % 8) {

    case 0:
        operation = KILL_BATCH;
        ledger_publish(&self, name, 1, 12000, 0);
        break;

    case 1:
        operation = KILL_BATCH;
        ledger_publish(&self, name, what / 16 % 4 + 2, 1000, 0);
        break;

    case 2:
        operation = KILL_PUBLISH;
        ledger_publish(&self, name, 1, 500, 1);
        break;

    default:
        operation = KILL_PUBLISH;
        ledger_publish(&self, name, 1, 1000, 0);
    }
}


/* returns 0 if this worker is to end */

static ngx_uint_t
kill_step(void)
{
    uint32_t    what, which;

    which = fixture_random(&kill_random) % 100;
    what = fixture_random(&kill_random);

    if (which < 25) {
        if (!shared->stop && queues.zone.sh->queues.waiting < KILL_WAITING) {
            kill_publish(what);
        }

    } else if (which < 60) {
        operation = KILL_DRAIN;
        (void) ngx_stomp_broker_drain(self.b);

    } else if (which < 90) {
        kill_settle(what);

    } else if (which < 93) {
        kill_subscribe(what % LEDGER_CONSUMERS);

    } else if (which < 94) {
        if (!shared->stop) {
            operation = KILL_REMOVE;
            ledger_unsubscribe(&self, what % LEDGER_CONSUMERS, what / 8 % 2);
        }

    } else if (which < 98) {
        operation = KILL_REAP;
        (void) ngx_stomp_broker_reap(self.b);

    } else {
        return what % 128 != 0;
    }

    return 1;
}


/* waits, once nothing more is published, until there is nothing left */

static ngx_uint_t
kill_done(void)
{
    ngx_uint_t  left;

    if (!shared->stop) {
        return 0;
    }

    ngx_stomp_zone_lock(&self.b->zone);

    left = self.b->zone.sh->queues.waiting
           + self.b->zone.sh->queues.unsettled;

    ngx_stomp_zone_unlock(&self.b->zone);

    return left == 0;
}


static void
kill_worker(uint64_t seed)
{
    ngx_uint_t           i;
    ngx_stomp_broker_t  *b;

    kill_random = seed;

    while (ngx_stomp_slot_claim(&queues.log) == NGX_BUSY) {
        usleep(1000);
    }

    b = fixture_broker(&queues);

    ledger_start(&self, ledger, b);

    b->consume = kill_consume;
    b->data = &self;

    ngx_stomp_store_hook = kill_store_hook;

    operation = KILL_ATTACH;
    ngx_stomp_broker_attach(b);

    for (i = 0; i < LEDGER_CONSUMERS; i++) {
        kill_subscribe(i);
    }

    for (i = 0; !kill_done(); i++) {

        if (!kill_step() && !shared->stop) {
            break;
        }

        if (i % 8 == 0) {
            usleep(50);
        }
    }

    ledger_stop(&self);

    operation = KILL_DETACH;
    ngx_stomp_broker_detach(b);

    _exit(0);
}


static pid_t
kill_spawn(uint64_t *random)
{
    pid_t     pid;
    uint64_t  seed;

    seed = fixture_random(random);
    pid = fixture_fork();

    if (pid == 0) {
        kill_worker(seed);
    }

    return pid;
}


/* one of the workers has ended: returns 1 if it was killed */

static ngx_uint_t
kill_ended(pid_t pid, int status)
{
    const char  *error;

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return 0;
    }

    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        fail_msg("a worker's status %d: %s", status, ledger->error);
    }

    if (!ngx_shmtx_force_unlock(&queues.mutex, pid)) {
        fail_msg("a worker was killed without the lock");
    }

    ngx_stomp_zone_lock(&queues.zone);
    error = zone_check(&queues.zone);
    ngx_stomp_zone_unlock(&queues.zone);

    if (error) {
        fail_msg("%s", error);
    }

    return 1;
}


/* until no store is met any more at which nobody died; returns the kills */

static ngx_uint_t
kill_all(pid_t *pids, uint64_t *random)
{
    int         status;
    pid_t       pid;
    uint64_t    begin, last;
    ngx_uint_t  i, kills;

    kills = 0;
    begin = fixture_msec();
    last = begin;

    shared->round = 1;
    shared->armed = 1;

    while (fixture_msec() - begin < KILL_TIME) {

        if (fixture_msec() - last > KILL_PATIENCE) {

            if (shared->round == KILL_ROUNDS) {
                break;
            }

            shared->round++;
            last = fixture_msec();
        }

        pid = waitpid(-1, &status, WNOHANG);

        if (pid <= 0) {
            usleep(100);
            continue;
        }

        if (kill_ended(pid, status)) {
            kills++;
            last = fixture_msec();
            shared->armed = 1;
        }

        for (i = 0; i < KILL_WORKERS; i++) {
            if (pids[i] == pid) {
                pids[i] = kill_spawn(random);
            }
        }
    }

    shared->armed = 0;

    return kills;
}


static void
kill_reap(void)
{
    ngx_stomp_broker_t  *b;

    b = fixture_broker(&queues);

    while (ngx_stomp_broker_reap(b) == NGX_AGAIN) { /* void */ }
}


static void
kill_test(void **state)
{
    int          status;
    char        *text;
    pid_t        pids[KILL_WORKERS];
    uint64_t     random, start;
    ngx_uint_t   i, kills, met;

    text = getenv("STOMP_QUEUE_SEED");
    random = text ? strtoull(text, NULL, 10) : (uint64_t) time(NULL);

    fprintf(stderr, "# STOMP_QUEUE_SEED=%llu\n", (long long) random);

    start = fixture_msec();

    for (i = 0; i < KILL_WORKERS; i++) {
        pids[i] = kill_spawn(&random);
    }

    kills = kill_all(pids, &random);

    shared->stop = 1;

    for (i = 0; i < KILL_WORKERS; i++) {
        status = fixture_wait(pids[i]);

        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {

            /* it was just about to meet the last one */

            (void) kill_ended(pids[i], status);

        } else if (status != 0) {
            fail_msg("a worker's status %d: %s", status, ledger->error);
        }
    }

    met = 0;

    for (i = 0; i < KILL_SITES; i++) {
        met += (shared->sites[i].kills != 0);
    }

    fprintf(stderr, "# %zu kills at %zu of %zu stores in %zu ms\n",
            (size_t) kills, (size_t) met, (size_t) shared->nsites,
            (size_t) (fixture_msec() - start));
    fprintf(stderr, "# %zu published, %zu refused, %zu delivered, %zu of them "
            "again, %zu acknowledged\n", (size_t) ledger->published,
            (size_t) ledger->refused, (size_t) ledger->delivered,
            (size_t) ledger->redelivered, (size_t) ledger->acked);

    kill_reap();
    fixture_check(&queues);

    assert_int_equal(queues.zone.sh->queues.n, 0);
    assert_int_equal(ledger_lost(ledger), 0);
    assert_int_equal(fixture_used(&queues), 0);
    assert_int_equal(queues.zone.sh->arena.nfree, queues.zone.sh->arena.pages);

    assert_true(met > 500);
    assert_true(met * 100 >= shared->nsites * 90);
    assert_true(ledger->redelivered > 100);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(kill_test),
    };

    fixture_init(&queues, KILL_ZONE, KILL_SLOTS);

    shared = ngx_stub_shared(sizeof(kill_shared_t));
    ledger = ledger_create();
    ledger_configure(&queues);

    return cmocka_run_group_tests_name("queue_kill", tests, NULL, NULL);
}
