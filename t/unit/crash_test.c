
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: a worker that is killed inside of the lock leaves a damaged
 * list, a lost message or lost memory to the others, once in some thousand
 * kills.
 *
 * Each operation of the broker is killed at each of its stores, and then
 * stopped after each of its instructions.  What is left has to be sound, to
 * be a state that the operation shows between its sections, each of which a
 * plain model of the broker must know, and to be reaped to the last octet.
 */


#include <crash_operations.h>
#include <ngx_stomp_dispatch.h>
#include <signal.h>
#include <ucontext.h>


#define CRASH_ZONE     (256 * 1024)
#define CRASH_STATES   512
#define CRASH_MODELS   64
#define CRASH_SLICES   1000         /* to reap a slot with */

/* the processor's own single step; the signal's handler sees each state */

#if (__linux__ && __x86_64__)
#define CRASH_CAN_STEP   1
#define CRASH_TRAP_FLAG  0x100
#else
#define CRASH_CAN_STEP   0
#endif


/* the digests that an operation may leave behind */

typedef struct {
    ngx_uint_t    n;
    uint64_t      digest[CRASH_STATES];
} crash_states_t;


/* of all processes that were stepped */

typedef struct {
    uint64_t      steps;
    uint64_t      points;
    char          error[256];
} crash_figures_t;


static crash_states_t       *crash_states;
static zone_model_t          crash_models[CRASH_MODELS];
static ngx_uint_t            crash_nmodels;
static ngx_uint_t            crash_modelled;
static u_char               *crash_snapshot;
static ngx_uint_t            crash_left;        /* stores to live */
static ngx_uint_t            crash_held;        /* by queues, before */

/* figures for the log */
static ngx_uint_t            crash_kills;
static crash_figures_t      *crash_figures;

/* of a process that is stepped */
static volatile ngx_uint_t   crash_stepping;
static u_char               *crash_copy;
static u_char                crash_front[offsetof(ngx_stomp_zone_sh_t, slots)];


static void
crash_state_add(uint64_t digest)
{
    if (crash_states->n == CRASH_STATES) {
        abort();
    }

    crash_states->digest[crash_states->n++] = digest;
}


static ngx_uint_t
crash_state_known(uint64_t digest)
{
    ngx_uint_t  i;

    for (i = 0; i < crash_states->n; i++) {
        if (crash_states->digest[i] == digest) {
            return 1;
        }
    }

    return 0;
}


static void
crash_see(zone_model_t *m)
{
    if (crash_nmodels == CRASH_MODELS) {
        abort();
    }

    crash_models[crash_nmodels++] = *m;
}


/* the states that an operation may go through, as the model knows them */

static void
crash_foresee(crash_operation_t *op)
{
    uint32_t             building;
    model_op_t           what;
    const char          *error;
    static zone_model_t  m;

    if (op->model.kind == MODEL_UNKNOWN) {
        return;
    }

    error = zone_content(&crash.zone, crash_names, &m, &building);
    if (error) {
        fail_msg("%s: %s", op->name, error);
    }

    m.inbox_size = crash.conf.inbox_size;
    m.rules = crash.conf.histories.elts;
    m.nrules = crash.conf.histories.nelts;
    m.history_size = crash.conf.history_size;
    m.max_retained = crash.conf.max_retained;

    what = op->model;
    what.generation = ngx_stomp_slot_generation(0);

    if (op->publish) {
        what.n = op->publish(what.p);
    }

    crash_nmodels = 0;
    crash_see(&m);

    model_apply(&m, &what, crash_see);
}


/* last: it is to be the state at the end */

static const char *
crash_unforeseen(ngx_uint_t last)
{
    uint32_t             building;
    ngx_uint_t           i;
    const char          *error;
    static zone_model_t  content;

    error = zone_content(&crash.zone, crash_names, &content, &building);
    if (error) {
        return error;
    }

    for (i = crash_nmodels; i > 0; i--) {
        error = model_diff(&content, &crash_models[i - 1]);

        if (error == NULL || last) {
            break;
        }
    }

    return error;
}


static void
crash_unlock_hook(void)
{
    const char  *error;

    crash_state_add(zone_digest(&crash.zone));

    error = crash_modelled ? crash_unforeseen(0) : NULL;

    if (error) {
        snprintf(crash_figures->error, sizeof(crash_figures->error),
                 "unlike the model: %s", error);
        _exit(1);
    }
}


/* makes the operation's first state, and learns those that it goes through */

static void
crash_begin(crash_operation_t *op)
{
    ngx_uint_t  i;

    fixture_reset(&crash);
    crash.conf.inbox_size = crash.size / 2;

    for (i = 0; i < CRASH_SLOTS; i++) {
        fixture_worker(&crash, &crash_b[i], i);
    }

    op->prepare();

    fixture_check(&crash);

    memcpy(crash_snapshot, crash.addr, crash.size);
    crash_held = crash_messages();

    crash_states->n = 0;
    crash_state_add(zone_digest(&crash.zone));

    crash_foresee(op);
}


static void
crash_learn(crash_operation_t *op)
{
    pid_t        pid;
    const char  *error;

    pid = fixture_fork();

    if (pid == 0) {
        ngx_stub_unlock_hook = crash_unlock_hook;
        crash_modelled = (op->model.kind != MODEL_UNKNOWN);
        op->run();
        _exit(0);
    }

    if (fixture_wait(pid) != 0) {
        fail_msg("%s: does not end well: %s", op->name,
                 crash_figures->error);
    }

    error = (op->model.kind == MODEL_UNKNOWN) ? NULL : crash_unforeseen(1);
    if (error) {
        fail_msg("%s: unlike the model: %s", op->name, error);
    }

    if (crash_messages() != crash_held + op->model.come - op->model.gone) {
        fail_msg("%s: %zu messages of queues, %zu before", op->name,
                 (size_t) crash_messages(), (size_t) crash_held);
    }

    fixture_check(&crash);
    memcpy(crash.addr, crash_snapshot, crash.size);
}


/* what the workers had can be taken back, and nothing else is left */

static void
crash_reap_all(const char *name, ngx_uint_t n)
{
    ngx_uint_t  i, again, slices;

    for (i = 0; i < CRASH_SLOTS; i++) {
        slices = 0;

        do {
            if (slices++ == CRASH_SLICES) {
                fail_msg("%s, store %zu: reaping does not end", name,
                         (size_t) n);
            }

            ngx_stomp_zone_lock(&crash.zone);
            again = (ngx_stomp_slot_reap_locked(&crash_b[0],
                                                &crash.zone.sh->slots[i])
                     == NGX_AGAIN);
            ngx_stomp_dispatch_unlock(&crash_b[0]);
        } while (again);
    }

    crash_forget_queues();
    crash_forget_kept();

    /* and with the patterns what is known of names, on a worker's tick */

    do {
        ngx_stomp_zone_lock(&crash.zone);
        again = (crash.zone.sh->npatterns == 0 && crash.zone.sh->matches);
        ngx_stomp_match_trim_locked(&crash.zone, again);
        ngx_stomp_zone_unlock(&crash.zone);
    } while (again);

    if (fixture_used(&crash) != 0) {
        fail_msg("%s, store %zu: %zu octets are lost", name, (size_t) n,
                 fixture_used(&crash));
    }

    fixture_check(&crash);
}


static void
crash_store_hook(void)
{
    if (--crash_left == 0) {
        (void) kill(getpid(), SIGKILL);
    }
}


/* returns 0 if the operation ended before its n-th store */

static ngx_uint_t
crash_at_store(crash_operation_t *op, ngx_uint_t n)
{
    int          status;
    pid_t        pid;
    const char  *error;

    memcpy(crash.addr, crash_snapshot, crash.size);

    pid = fixture_fork();

    if (pid == 0) {
        crash_left = n;
        ngx_stomp_store_hook = crash_store_hook;
        op->run();
        _exit(0);
    }

    status = fixture_wait(pid);

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return 0;
    }

    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        fail_msg("%s, store %zu: status %d", op->name, (size_t) n, status);
    }

    if (!ngx_shmtx_force_unlock(&crash.mutex, pid)) {
        fail_msg("%s, store %zu: without the lock", op->name, (size_t) n);
    }

    ngx_stomp_zone_lock(&crash.zone);
    error = zone_check(&crash.zone);
    ngx_stomp_zone_unlock(&crash.zone);

    if (error) {
        fail_msg("%s, store %zu: %s", op->name, (size_t) n, error);
    }

    if (!crash_state_known(zone_digest(&crash.zone))) {
        fail_msg("%s, store %zu: half of it has happened", op->name,
                 (size_t) n);
    }

    if (crash_messages() > crash_held + op->model.come
        || crash_messages() + op->model.gone < crash_held)
    {
        fail_msg("%s, store %zu: %zu messages of queues, %zu before",
                 op->name, (size_t) n, (size_t) crash_messages(),
                 (size_t) crash_held);
    }

    crash_reap_all(op->name, n);
    crash_kills++;

    return 1;
}


static void
crash_stores_test(void **state)
{
    uint64_t            start;
    ngx_uint_t          i, n, stride;
    crash_operation_t  *op;

    start = fixture_msec();

    for (i = 0; (op = crash_operation(i)) != NULL; i++) {

        crash_begin(op);
        crash_learn(op);

        stride = op->model.stride ? op->model.stride : 1;

        for (n = 1; crash_at_store(op, n); n += stride) { /* void */ }

        if (n == 1) {
            fail_msg("%s: stores nothing", op->name);
        }
    }

    fprintf(stderr, "# %zu kills at stores in %zu ms\n",
            (size_t) crash_kills, (size_t) (fixture_msec() - start));
}


/* a copy of the zone is recovered as the next holder would do it */

static void
crash_verify(void)
{
    const char        *error;
    ngx_stomp_zone_t   zone;

    memcpy(crash_copy, crash.addr, crash.size);

    error = NULL;

    if (ngx_stomp_zone_open(&zone, crash_copy, NULL, NULL) != NGX_OK) {
        error = "the header is damaged";

    } else {
        if (zone.sh->undo_count) {
            ngx_stomp_zone_rollback(&zone);
        }

        error = zone_check(&zone);

        if (error == NULL && !crash_state_known(zone_digest(&zone))) {
            error = "half of it has happened";
        }
    }

    crash_figures->points++;

    if (error) {
        snprintf(crash_figures->error, sizeof(crash_figures->error), "%s",
                 error);
        _exit(1);
    }
}


/*
 * Every change of the zone changes the header's front, if only the number of
 * notes, before or with it: no need to compare all after each instruction.
 */

static void
crash_step_handler(int signo, siginfo_t *info, void *data)
{
#if (CRASH_CAN_STEP)
    ucontext_t  *uc = data;

    if (crash_stepping == 0) {
        uc->uc_mcontext.gregs[REG_EFL] &= ~CRASH_TRAP_FLAG;
        return;
    }

    uc->uc_mcontext.gregs[REG_EFL] |= CRASH_TRAP_FLAG;

    crash_figures->steps++;

    if (memcmp(crash_front, crash.addr, sizeof(crash_front)) != 0) {
        memcpy(crash_front, crash.addr, sizeof(crash_front));
        crash_verify();
    }
#endif
}


static void
crash_trace(crash_operation_t *op)
{
    int               status;
    pid_t             pid;
    struct sigaction  sa;

    memcpy(crash_front, crash.addr, sizeof(crash_front));

    pid = fixture_fork();

    if (pid == 0) {
        memset(&sa, 0, sizeof(struct sigaction));
        sa.sa_sigaction = crash_step_handler;
        sa.sa_flags = SA_SIGINFO;
        (void) sigaction(SIGTRAP, &sa, NULL);

        crash_stepping = 1;
        (void) raise(SIGTRAP);

        op->run();

        crash_stepping = 0;
        _exit(0);
    }

    status = fixture_wait(pid);

    if (status != 0) {
        fail_msg("%s: status %d, %s", op->name, status, crash_figures->error);
    }
}


static void
crash_instructions_test(void **state)
{
    uint64_t            start;
    ngx_uint_t          i;
    crash_operation_t  *op;

    if (!CRASH_CAN_STEP) {
        skip();
    }

    start = fixture_msec();

    for (i = 0; (op = crash_operation(i)) != NULL; i++) {

        if (op->model.stride) {
            continue;
        }

        crash_begin(op);
        crash_learn(op);
        crash_trace(op);
    }

    fprintf(stderr, "# %zu states seen in %zu instructions, %zu ms\n",
            (size_t) crash_figures->points, (size_t) crash_figures->steps,
            (size_t) (fixture_msec() - start));
}


static void
crash_run_lock(void)
{
    ngx_stomp_zone_lock(&crash.zone);
    ngx_stomp_zone_unlock(&crash.zone);
}


/* who plays the notes back may be killed as well */

static void
crash_rollback_test(void **state)
{
    pid_t              pid;
    ngx_uint_t         i, n;
    crash_operation_t  lock, *op;

    memset(&lock, 0, sizeof(crash_operation_t));
    lock.name = "rollback";
    lock.run = crash_run_lock;

    for (i = 0; (op = crash_operation(i)) != NULL; i++) {

        crash_begin(op);
        crash_learn(op);

        /* the longest log that the operation leaves, of some */

        for (n = 64; n > 0; n /= 2) {
            memcpy(crash.addr, crash_snapshot, crash.size);

            pid = fixture_fork();

            if (pid == 0) {
                crash_left = n;
                ngx_stomp_store_hook = crash_store_hook;
                op->run();
                _exit(0);
            }

            (void) fixture_wait(pid);
            (void) ngx_shmtx_force_unlock(&crash.mutex, pid);

            if (crash.zone.sh->undo_count > 1) {
                break;
            }
        }

        if (n && CRASH_CAN_STEP) {
            crash_trace(&lock);
        }
    }
}


static int
crash_setup(void **state)
{
    fixture_init(&crash, CRASH_ZONE, 8);

    /* attach() wants a process slot: number 0 */

    if (ngx_stomp_slot_claim(&crash.log) != NGX_OK) {
        return -1;
    }

    crash_states = ngx_stub_shared(sizeof(crash_states_t));
    crash_figures = ngx_stub_shared(sizeof(crash_figures_t));
    crash_snapshot = ngx_stub_shared(crash.size);
    crash_copy = ngx_stub_shared(crash.size);
    memset(crash_body, 'b', sizeof(crash_body));

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(crash_stores_test),
        cmocka_unit_test(crash_instructions_test),
        cmocka_unit_test(crash_rollback_test),
    };

    return cmocka_run_group_tests_name("crash", tests, crash_setup, NULL);
}
