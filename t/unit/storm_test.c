
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: messages come twice, out of order or not at all, or memory
 * leaks, when workers die under load.  Those of queues come until they are
 * acknowledged: what was promised of them stands in a ledger.
 *
 * STOMP_STORM_KILLS says how many are killed, STOMP_STORM_SEED repeats a run
 * as far as the machine's timing lets it.
 */


#include <queue_ledger.h>
#include <signal.h>


#define STORM_ZONE        (256 * 1024)
#define STORM_INBOX       (64 * 1024)
#define STORM_WORKERS     4
#define STORM_SLOTS       12
#define STORM_DESTS       8
#define STORM_BODY        40000
#define STORM_KILLS       1000
#define STORM_SESSIONS    16
#define STORM_WAITING     30


/* the start of each body */

typedef struct {
    uint32_t              incarnation;
    uint32_t              slot;
    uint32_t              dest;
    uint32_t              n;             /* of its publisher, to dest */
    uint64_t              start;         /* sequence at the publisher's start */
    uint32_t              len;           /* of the body */
} storm_body_t;


/* what a worker that lives says of its publications to one destination */

typedef struct {
    uint32_t              n;
    uint64_t              sequence;
} storm_sent_t;


typedef struct {
    ngx_atomic_t          stop;
    ngx_atomic_t          stopped;
    ngx_atomic_t          incarnations;
    ngx_atomic_t          published;
    ngx_atomic_t          delivered;
    ngx_atomic_t          busy;
    ngx_atomic_t          overruns;
    ngx_atomic_t          operations;
    uint32_t              incarnation[STORM_SLOTS];
    pid_t                 pid[STORM_SLOTS];
    storm_sent_t          sent[STORM_SLOTS][STORM_DESTS];
    ngx_uint_t            number[STORM_WORKERS];  /* in the ledger */
    char                  error[256];
} storm_shared_t;


/* the last message of a publisher to a destination that was delivered */

typedef struct {
    uint32_t              incarnation;
    uint32_t              n;
} storm_seen_t;


typedef struct {
    uint32_t              count;         /* subscriptions */
    uint32_t              interest;
    uint64_t              id;
    uint64_t              from;
    storm_seen_t          seen[STORM_SLOTS];
} storm_dest_t;


typedef struct {
    ngx_stomp_broker_t   *b;
    uint64_t              random;
    uint32_t              incarnation;
    uint64_t              start;
    uint64_t              last;          /* sequence delivered */
    uint32_t              nsessions;
    uint32_t              sessions[STORM_SESSIONS];
    uint32_t              sent[STORM_DESTS];
    storm_dest_t          dests[STORM_DESTS];
    ledger_worker_t       queues;
} storm_worker_t;


static broker_fixture_t   storm;
static storm_shared_t    *storm_shared;
static ledger_t          *storm_ledger;
static storm_worker_t     storm_self;
static u_char             storm_body[20][STORM_BODY];
static u_char             storm_read[STORM_BODY];


static void
storm_fail(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    vsnprintf(storm_shared->error, sizeof(storm_shared->error), fmt, args);
    va_end(args);

    _exit(2);
}


static void
storm_deliver(void *data, ngx_stomp_message_t *m)
{
    uint32_t        i, expected;
    storm_body_t    head;
    storm_dest_t   *dest;
    storm_seen_t   *seen;
    storm_worker_t *w = data;

    if (m->sequence <= w->last) {
        storm_fail("message %llu after %llu", (long long) m->sequence,
                   (long long) w->last);
    }

    w->last = m->sequence;

    for (i = 0; i < STORM_DESTS; i++) {
        if (w->dests[i].count && w->dests[i].id == m->destination) {
            break;
        }
    }

    if (i == STORM_DESTS || m->sequence <= w->dests[i].from) {
        return;
    }

    dest = &w->dests[i];

    if (m->headers != 4 || m->body < sizeof(storm_body_t)
        || m->body > STORM_BODY)
    {
        storm_fail("message %llu is damaged", (long long) m->sequence);
    }

    (void) ngx_stomp_message_read(&storm.zone, m, storm_read, 4);
    (void) ngx_stomp_message_read(&storm.zone, m, storm_read, m->body);
    memcpy(&head, storm_read, sizeof(storm_body_t));

    if (head.dest != i || head.len != m->body || head.slot >= STORM_SLOTS) {
        storm_fail("message %llu is another's", (long long) m->sequence);
    }

    for (i = sizeof(storm_body_t); i < head.len; i++) {
        if (storm_read[i] != (u_char) (head.n + i)) {
            storm_fail("octet %u of message %llu is wrong", i,
                       (long long) m->sequence);
        }
    }

    seen = &dest->seen[head.slot];

    if (seen->incarnation == head.incarnation) {
        expected = seen->n + 1;

    } else if (head.start >= dest->from) {
        expected = 1;

    } else {
        expected = head.n;
    }

    if (head.n != expected) {
        storm_fail("number %u of publisher %u, not %u", head.n,
                   head.incarnation, expected);
    }

    seen->incarnation = head.incarnation;
    seen->n = head.n;

    (void) ngx_atomic_fetch_add(&storm_shared->delivered, 1);
}


static void
storm_overrun(void *data, uint64_t drained)
{
    ngx_uint_t       i;
    storm_worker_t  *w = data;

    if (drained < w->last) {
        storm_fail("drained up to %llu, delivered %llu", (long long) drained,
                   (long long) w->last);
    }

    /* begins anew, as new subscriptions would */

    for (i = 0; i < STORM_DESTS; i++) {
        memset(w->dests[i].seen, 0, sizeof(w->dests[i].seen));
        w->dests[i].from = w->b->zone.sh->sequence;
    }

    (void) ngx_atomic_fetch_add(&storm_shared->overruns, 1);
}


static ngx_str_t
storm_name(ngx_uint_t dest)
{
    ngx_str_t    name;
    static char  text[STORM_DESTS][200];

    name.len = snprintf(text[dest], sizeof(text[dest]), "/topic/%0*zu",
                        (int) (dest * 20 + 1), (size_t) dest);
    name.data = (u_char *) text[dest];

    return name;
}


static void
storm_publish(storm_worker_t *w, ngx_uint_t n, ngx_uint_t max)
{
    uint32_t                  i, j, dest, sent[STORM_DESTS];
    storm_body_t              head;
    ngx_stomp_publication_t   p[20];

    memcpy(sent, w->sent, sizeof(sent));

    for (i = 0; i < n; i++) {
        dest = fixture_random(&w->random) % STORM_DESTS;

        memset(&head, 0, sizeof(storm_body_t));
        head.incarnation = w->incarnation;
        head.slot = w->b->slot;
        head.dest = dest;
        head.n = ++sent[dest];
        head.start = w->start;
        head.len = sizeof(storm_body_t) + fixture_random(&w->random) % max;

        for (j = sizeof(storm_body_t); j < head.len; j++) {
            storm_body[i][j] = (u_char) (head.n + j);
        }

        memcpy(storm_body[i], &head, sizeof(storm_body_t));

        p[i] = fixture_publication("", storm_body[i], head.len);
        p[i].destination = storm_name(dest);
    }

    if (ngx_stomp_broker_publish(w->b, p, n) != NGX_OK) {
        (void) ngx_atomic_fetch_add(&storm_shared->busy, 1);
        return;
    }

    memcpy(w->sent, sent, sizeof(sent));

    for (i = 0; i < n; i++) {
        memcpy(&head, storm_body[i], sizeof(storm_body_t));

        storm_shared->sent[w->b->slot][head.dest].n = head.n;
        storm_shared->sent[w->b->slot][head.dest].sequence = p[i].sequence;
    }

    (void) ngx_atomic_fetch_add(&storm_shared->published, n);
}


static void
storm_subscribe(storm_worker_t *w, ngx_uint_t n)
{
    ngx_str_t             name;
    storm_dest_t         *dest;
    ngx_stomp_interest_t  in;

    dest = &w->dests[n];
    name = storm_name(n);

    if (ngx_stomp_broker_subscribe(w->b, &name, &in) != NGX_OK) {
        return;
    }

    if (dest->count++ == 0) {
        dest->interest = in.interest;
        dest->id = in.destination;
        dest->from = in.from;
        memset(dest->seen, 0, sizeof(dest->seen));

    } else if (dest->interest != in.interest || dest->id != in.destination) {
        storm_fail("destination %u has changed", (unsigned) n);
    }
}


static void
storm_session(storm_worker_t *w, ngx_uint_t add)
{
    uint32_t                  i;
    ngx_stomp_session_info_t  info;

    if (add && w->nsessions < STORM_SESSIONS) {
        info.id = fixture_random(&w->random);
        info.since = 1;
        info.addr = fixture_str("2001:db8::1");
        info.user = fixture_str("somebody with quite a long name");

        i = ngx_stomp_broker_session_add(w->b, &info);

        if (i) {
            w->sessions[w->nsessions++] = i;
        }

    } else if (w->nsessions) {
        i = fixture_random(&w->random) % w->nsessions;

        ngx_stomp_broker_session_remove(w->b, w->sessions[i]);
        w->sessions[i] = w->sessions[--w->nsessions];
    }
}


static void
storm_consume(void *data, ngx_stomp_taken_t *taken, ngx_stomp_message_t *m)
{
    storm_worker_t  *w = data;

    ledger_consume(&w->queues, taken, m);
}


static void
storm_operation(storm_worker_t *w)
{
    uint32_t          n, what;
    ngx_stomp_stat_t  stat;

    n = fixture_random(&w->random) % STORM_DESTS;
    what = fixture_random(&w->random) % 100;

    if (what < 8) {
        if (w->dests[n].count < 3) {
            storm_subscribe(w, n);
        }

    } else if (what < 12) {
        if (w->dests[n].count) {
            w->dests[n].count--;
            ngx_stomp_broker_unsubscribe(w->b, w->dests[n].interest, 1);
        }

    } else if (what < 45) {
        storm_publish(w, 1, 3000);

    } else if (what < 48) {
        storm_publish(w, 1, STORM_BODY - sizeof(storm_body_t));

    } else if (what < 53) {
        storm_publish(w, 1 + n * 2, 500);

    } else if (what < 60) {
        storm_session(w, what % 2);

    } else if (what < 62) {
        (void) ngx_stomp_broker_reap(w->b);

    } else if (what < 63) {
        ngx_stomp_broker_stat(w->b, &stat);

    } else if (what < 78) {
        ledger_step(&w->queues, &w->random, STORM_WAITING);

    } else {
        (void) ngx_stomp_broker_drain(w->b);
    }

    (void) ngx_atomic_fetch_add(&storm_shared->operations, 1);
}


/* all that the living have published has come */

static void
storm_complete(storm_worker_t *w)
{
    ngx_uint_t     i, n;
    storm_sent_t  *sent;
    storm_seen_t  *seen;

    for (i = 0; i < STORM_DESTS; i++) {
        for (n = 0; w->dests[i].count && n < STORM_SLOTS; n++) {

            sent = &storm_shared->sent[n][i];
            seen = &w->dests[i].seen[n];

            if (storm_shared->incarnation[n] == 0
                || sent->sequence <= w->dests[i].from)
            {
                continue;
            }

            if (seen->incarnation != storm_shared->incarnation[n]
                || seen->n != sent->n)
            {
                storm_fail("%u messages of publisher %u, not %u", seen->n,
                           storm_shared->incarnation[n], sent->n);
            }
        }
    }
}


static void
storm_worker(ngx_uint_t n, uint64_t seed)
{
    storm_worker_t  *w;

    w = &storm_self;
    memset(w, 0, sizeof(storm_worker_t));

    w->random = seed;
    w->incarnation = ngx_atomic_fetch_add(&storm_shared->incarnations, 1) + 1;

    while (ngx_stomp_slot_claim(&storm.log) == NGX_BUSY) {
        usleep(1000);
    }

    w->b = fixture_broker(&storm);
    w->b->deliver = storm_deliver;
    w->b->overrun = storm_overrun;
    w->b->consume = storm_consume;
    w->b->data = w;

    ledger_start(&w->queues, storm_ledger, w->b);
    storm_shared->number[n] = w->queues.number;

    ngx_stomp_broker_attach(w->b);

    memset(storm_shared->sent[w->b->slot], 0,
           sizeof(storm_shared->sent[w->b->slot]));
    storm_shared->pid[w->b->slot] = ngx_pid;
    storm_shared->incarnation[w->b->slot] = w->incarnation;

    ngx_stomp_zone_lock(&w->b->zone);
    w->start = w->b->zone.sh->sequence;
    ngx_stomp_zone_unlock(&w->b->zone);

    while (!storm_shared->stop) {
        storm_operation(w);
    }

    (void) ngx_atomic_fetch_add(&storm_shared->stopped, 1);

    while (storm_shared->stopped < STORM_WORKERS) {
        (void) ngx_stomp_broker_drain(w->b);
        usleep(100);
    }

    ledger_empty(&w->queues);

    while (ngx_stomp_broker_drain(w->b) == NGX_AGAIN) { /* void */ }

    storm_complete(w);

    ngx_stomp_broker_detach(w->b);
    _exit(0);
}


typedef struct {
    ngx_uint_t   kills;
    ngx_uint_t   inside;        /* while it held the lock */
    ngx_uint_t   undone;
    ngx_uint_t   left;          /* lock left to the workers */
    ngx_uint_t   checks;
    ngx_uint_t   stops;
    uint64_t     sequence;
} storm_figures_t;


/* waits for a moment and returns the worker to be killed */

static ngx_uint_t
storm_victim(pid_t *pids, uint64_t *random)
{
    pid_t       pid;
    uint64_t    end;
    ngx_uint_t  i;

    usleep(1000 + fixture_random(random) % 8000);

    /* every second time one that is inside */

    end = fixture_msec() + 5;

    while (fixture_random(random) % 2 == 0 && fixture_msec() < end) {
        pid = (pid_t) *storm.mutex.lock;

        for (i = 0; pid && i < STORM_WORKERS; i++) {
            if (pids[i] == pid) {
                return i;
            }
        }
    }

    return fixture_random(random) % STORM_WORKERS;
}


static void
storm_look(storm_figures_t *figures)
{
    const char  *error;

    ngx_stomp_zone_lock(&storm.zone);

    error = (figures->kills % 4) ? NULL : zone_check(&storm.zone);
    figures->checks += (figures->kills % 4 == 0);

    if (storm.zone.sh->sequence < figures->sequence) {
        error = "the sequence went back";
    }

    figures->sequence = storm.zone.sh->sequence;

    ngx_stomp_zone_unlock(&storm.zone);

    if (error) {
        fail_msg("after %zu kills: %s", (size_t) figures->kills, error);
    }
}


/* what a killed publisher says of itself may be one message short */

static void
storm_forget(pid_t pid)
{
    ngx_uint_t  i;

    for (i = 0; i < STORM_SLOTS; i++) {
        if (storm_shared->pid[i] == pid) {
            storm_shared->pid[i] = 0;
            storm_shared->incarnation[i] = 0;
        }
    }
}


static const char *
storm_reason(void)
{
    return storm_ledger->error[0] ? storm_ledger->error : storm_shared->error;
}


static void
storm_kill(pid_t *pids, uint64_t *random, storm_figures_t *figures)
{
    int         status;
    pid_t       pid;
    ngx_uint_t  n;

    n = storm_victim(pids, random);
    pid = pids[n];

    ledger_killed(storm_ledger, storm_shared->number[n]);

    (void) kill(pid, SIGKILL);
    (void) waitpid(pid, &status, 0);

    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        fail_msg("after %zu kills: worker status %d: %s",
                 (size_t) figures->kills, status, storm_reason());
    }

    figures->kills++;
    storm_shared->number[n] = 0;
    storm_forget(pid);

    if ((pid_t) *storm.mutex.lock == pid) {
        figures->inside++;
        figures->undone += (storm.zone.sh->undo_count != 0);

        /* the master helps, but for old zones */

        if (fixture_random(random) % 32) {
            (void) ngx_shmtx_force_unlock(&storm.mutex, pid);

        } else {
            figures->left++;
        }
    }

    storm_look(figures);

    pids[n] = fixture_fork();

    if (pids[n] == 0) {
        storm_worker(n, fixture_random(random));
    }
}


/* a worker that stands still for a while: its inbox runs over */

static void
storm_stop(pid_t *pids, uint64_t *random, storm_figures_t *figures)
{
    ngx_uint_t  n;

    n = fixture_random(random) % STORM_WORKERS;

    (void) kill(pids[n], SIGSTOP);
    usleep(10000);
    (void) kill(pids[n], SIGCONT);

    figures->stops++;
}


static void
storm_reap(void)
{
    ngx_int_t            rc;
    uint64_t             start;
    ngx_uint_t           i;
    ngx_stomp_broker_t  *b;

    b = fixture_broker(&storm);
    start = fixture_msec();

    do {
        rc = ngx_stomp_broker_reap(b);

        if (fixture_msec() - start > 10000) {
            fail_msg("reaping does not end");
        }
    } while (rc == NGX_AGAIN);

    for (i = 0; i < NGX_STOMP_SLOTS_MAX; i++) {
        assert_int_equal(storm.zone.sh->slots[i].state, NGX_STOMP_SLOT_FREE);
    }
}


static void
storm_test(void **state)
{
    int               status;
    char             *text;
    pid_t             pids[STORM_WORKERS];
    uint64_t          random, start;
    ngx_uint_t        i, kills;
    storm_figures_t   figures;

    text = getenv("STOMP_STORM_KILLS");
    kills = text ? strtoul(text, NULL, 10) : STORM_KILLS;

    text = getenv("STOMP_STORM_SEED");
    random = text ? strtoull(text, NULL, 10) : (uint64_t) time(NULL);

    fprintf(stderr, "# STOMP_STORM_SEED=%llu\n", (long long) random);

    memset(&figures, 0, sizeof(storm_figures_t));
    storm_shared = ngx_stub_shared(sizeof(storm_shared_t));
    storm.conf.inbox_size = STORM_INBOX;
    start = fixture_msec();

    for (i = 0; i < STORM_WORKERS; i++) {
        pids[i] = fixture_fork();

        if (pids[i] == 0) {
            storm_worker(i, fixture_random(&random));
        }

        (void) fixture_random(&random);
    }

    for (i = 0; i < kills; i++) {
        storm_kill(pids, &random, &figures);
        (void) fixture_random(&random);

        if (i % 16 == 0) {
            storm_stop(pids, &random, &figures);
        }
    }

    storm_shared->stop = 1;

    for (i = 0; i < STORM_WORKERS; i++) {
        status = fixture_wait(pids[i]);

        if (status != 0) {
            fail_msg("a worker's status %d: %s", status, storm_reason());
        }
    }

    fprintf(stderr, "# %zu kills in %zu ms, %zu inside of the lock, %zu "
            "undone, %zu left locked, %zu recovered, %zu stops\n",
            (size_t) figures.kills, (size_t) (fixture_msec() - start),
            (size_t) figures.inside, (size_t) figures.undone,
            (size_t) figures.left,
            (size_t) storm.zone.sh->counters.recovered,
            (size_t) figures.stops);
    fprintf(stderr, "# %zu operations, %zu published, %zu delivered, %zu "
            "refused, %zu overruns, %zu checks\n",
            (size_t) storm_shared->operations,
            (size_t) storm_shared->published,
            (size_t) storm_shared->delivered, (size_t) storm_shared->busy,
            (size_t) storm_shared->overruns, (size_t) figures.checks);
    fprintf(stderr, "# queues: %zu published, %zu refused, %zu delivered, %zu "
            "of them again, %zu acknowledged\n",
            (size_t) storm_ledger->published, (size_t) storm_ledger->refused,
            (size_t) storm_ledger->delivered,
            (size_t) storm_ledger->redelivered, (size_t) storm_ledger->acked);

    storm_reap();
    fixture_check(&storm);

    assert_int_equal(ledger_lost(storm_ledger), 0);

    assert_true(storm.zone.sh->counters.recovered >= figures.undone);

    assert_int_equal(fixture_used(&storm), 0);
    assert_int_equal(storm.zone.sh->arena.nfree, storm.zone.sh->arena.pages);
    fixture_check(&storm);
}


static int
storm_setup(void **state)
{
    fixture_init(&storm, STORM_ZONE, STORM_SLOTS);

    storm_ledger = ledger_create();
    ledger_configure(&storm);

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(storm_test),
    };

    return cmocka_run_group_tests_name("storm", tests, storm_setup, NULL);
}
