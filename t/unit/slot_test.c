
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: two workers own a slot, a dead one is taken for alive and keeps
 * its subscriptions for ever, or a living one is robbed of them.
 */


#include <broker_fixture.h>
#include <signal.h>


#define SLOT_N     4
#define SLOT_NONE  100


typedef struct {
    volatile uint32_t  slot;         /* + 1; SLOT_NONE: there was none */
    volatile uint32_t  go;
    volatile uint32_t  woken;
} slot_child_t;


static broker_fixture_t   slot;
static slot_child_t      *slot_children;


static ngx_uint_t
slot_wait(volatile uint32_t *word)
{
    uint64_t  start;

    for (start = fixture_msec(); *word == 0; usleep(100)) {
        if (fixture_msec() - start > 10000) {
            fail_msg("waited in vain");
        }
    }

    return *word;
}


/* forks a process that claims a slot and lives on until it is killed */

static pid_t
slot_claim(ngx_uint_t n)
{
    pid_t          pid;
    ngx_int_t      rc;
    struct pollfd  pfd;

    memset(&slot_children[n], 0, sizeof(slot_child_t));

    pid = fixture_fork();

    if (pid) {
        (void) slot_wait(&slot_children[n].slot);
        return pid;
    }

    rc = ngx_stomp_slot_claim(&slot.log);

    if (rc != NGX_OK) {
        slot_children[n].slot = (rc == NGX_BUSY) ? SLOT_NONE : 200;
        _exit(0);
    }

    /* a second claim changes nothing */

    if (ngx_stomp_slot_claim(&slot.log) != NGX_OK) {
        _exit(1);
    }

    slot_children[n].slot = ngx_stomp_slot_own() + 1;

    pfd.fd = ngx_stomp_slot_wake_fd(ngx_stomp_slot_own());
    pfd.events = POLLIN;

    for ( ;; ) {
        if (poll(&pfd, 1, -1) == 1) {
            ngx_stomp_slot_wake_clear();
            slot_children[n].woken++;
        }
    }
}


static void
slot_claim_test(void **state)
{
    pid_t       pid[SLOT_N + 1];
    uint32_t    generation[SLOT_N], seen;
    ngx_uint_t  i;

    seen = 0;

    for (i = 0; i < SLOT_N; i++) {
        assert_int_equal(ngx_stomp_slot_generation(i), 0);
        pid[i] = slot_claim(i);
        seen |= 1U << (slot_children[i].slot - 1);
    }

    assert_int_equal(seen, (1U << SLOT_N) - 1);

    pid[SLOT_N] = slot_claim(SLOT_N);
    assert_int_equal(slot_children[SLOT_N].slot, SLOT_NONE);
    assert_int_equal(fixture_wait(pid[SLOT_N]), 0);

    for (i = 0; i < SLOT_N; i++) {
        generation[i] = ngx_stomp_slot_generation(i);
        assert_int_equal(generation[i], 1);
        assert_int_equal(ngx_stomp_slot_alive(i, generation[i]), NGX_OK);
        assert_int_equal(ngx_stomp_slot_alive(i, 77), NGX_DECLINED);
    }

    assert_int_equal(ngx_stomp_slot_alive(SLOT_N, 1), NGX_DECLINED);

    /* dead, in another generation, and its successor */

    i = slot_children[1].slot - 1;
    fixture_kill(pid[1]);
    assert_int_equal(ngx_stomp_slot_alive(i, generation[i]), NGX_DECLINED);

    pid[1] = slot_claim(1);
    assert_int_equal(slot_children[1].slot, i + 1);
    assert_int_equal(ngx_stomp_slot_generation(i), generation[i] + 1);
    assert_int_equal(ngx_stomp_slot_alive(i, generation[i]), NGX_DECLINED);
    assert_int_equal(ngx_stomp_slot_alive(i, generation[i] + 1), NGX_OK);

    for (i = 0; i < SLOT_N; i++) {
        fixture_kill(pid[i]);
    }
}


/* many at once: each slot has one owner, none is left empty */

static void
slot_race_test(void **state)
{
    int                 status, owners;
    pid_t               pid[16];
    ngx_uint_t          i, n, round;
    volatile uint32_t  *shared;

    shared = ngx_stub_shared(NGX_STOMP_PAGE_SIZE);

    for (round = 0; round < 20; round++) {

        memset((void *) shared, 0, NGX_STOMP_PAGE_SIZE);

        for (i = 0; i < 16; i++) {
            pid[i] = fixture_fork();

            if (pid[i] == 0) {
                while (shared[0] == 0) { sched_yield(); }

                if (ngx_stomp_slot_claim(&slot.log) == NGX_OK) {
                    (void) __sync_fetch_and_add(
                                     &shared[2 + ngx_stomp_slot_own()], 1);
                }

                (void) __sync_fetch_and_add(&shared[1], 1);

                for ( ;; ) {
                    pause();
                }
            }
        }

        shared[0] = 1;

        while (shared[1] != 16) {
            (void) slot_wait(&shared[1]);
            usleep(100);
        }

        for (owners = 0, n = 0; n < SLOT_N; n++) {
            assert_int_equal(shared[2 + n], 1);
            owners++;
        }

        assert_int_equal(owners, SLOT_N);

        for (i = 0; i < 16; i++) {
            (void) kill(pid[i], SIGKILL);
            (void) waitpid(pid[i], &status, 0);
        }
    }
}


static void
slot_zombie_test(void **state)
{
    pid_t      pid;
    uint32_t   n, generation;
    uint64_t   start;
    siginfo_t  info;

    pid = slot_claim(0);
    n = slot_children[0].slot - 1;
    generation = ngx_stomp_slot_generation(n);

    assert_int_equal(ngx_stomp_slot_pid_alive(pid), NGX_OK);

    /* dead, and not waited for */

    (void) kill(pid, SIGKILL);
    assert_int_equal(waitid(P_PID, pid, &info, WEXITED|WNOWAIT), 0);
    assert_int_equal(kill(pid, 0), 0);

    start = fixture_msec();

    while (ngx_stomp_slot_alive(n, generation) == NGX_OK) {
        assert_true(fixture_msec() - start < 1000);
    }

    assert_int_equal(ngx_stomp_slot_pid_alive(pid), NGX_DECLINED);

    fixture_kill(pid);
}


/* the number of a process says nothing: a slot's kernel lock does */

static void
slot_pid_test(void **state)
{
    pid_t     pid, other;
    uint32_t  n, generation;

    pid = slot_claim(0);
    n = slot_children[0].slot - 1;
    generation = ngx_stomp_slot_generation(n);
    fixture_kill(pid);

    /* somebody lives under that number, who is none of ours */

    assert_int_equal(ngx_stomp_slot_alive(n, generation), NGX_DECLINED);

    /* without a slot: a master, or a worker that found none */

    assert_int_equal(ngx_stomp_slot_pid_alive(getpid()), NGX_OK);

    other = fixture_fork();

    if (other == 0) {
        for ( ;; ) {
            pause();
        }
    }

    assert_int_equal(ngx_stomp_slot_pid_alive(other), NGX_OK);
    fixture_kill(other);
    assert_int_equal(ngx_stomp_slot_pid_alive(other), NGX_DECLINED);
}


static void
slot_wake_test(void **state)
{
    pid_t       pid;
    uint32_t    n, woken;
    ngx_uint_t  i;

    /* a wake-up for the former owner is not its successor's */

    ngx_stomp_slot_wake(0);

    pid = slot_claim(0);
    n = slot_children[0].slot - 1;
    assert_int_equal(n, 0);
    usleep(20000);
    assert_int_equal(slot_children[0].woken, 0);

    for (i = 0; i < 10; i++) {
        woken = slot_children[0].woken;
        slot_children[0].woken = 0;
        (void) woken;

        ngx_stomp_slot_wake(n);
        (void) slot_wait(&slot_children[0].woken);
    }

    /* many before it looks: none blocks */

    (void) kill(pid, SIGSTOP);

    for (i = 0; i < 100000; i++) {
        ngx_stomp_slot_wake(n);
    }

    fixture_kill(pid);

    pid = slot_claim(0);
    usleep(20000);
    assert_int_equal(slot_children[0].woken, 0);
    fixture_kill(pid);
}


/* from another process, after SIGKILL, also while it is not waited for */

static void
slot_reap_test(void **state)
{
    pid_t                     pid;
    ngx_str_t                 name;
    siginfo_t                 info;
    ngx_uint_t                n;
    ngx_stomp_stat_t          stat;
    ngx_stomp_broker_t       *b;
    ngx_stomp_interest_t      in;
    ngx_stomp_session_info_t  session;

    fixture_reset(&slot);
    memset(slot_children, 0, sizeof(slot_child_t));

    name = fixture_str("/topic/a");
    pid = fixture_fork();

    if (pid == 0) {
        b = fixture_broker(&slot);

        if (ngx_stomp_broker_subscribe(b, &name, &in) != NGX_DECLINED
            || ngx_stomp_slot_claim(&slot.log) != NGX_OK)
        {
            _exit(1);
        }

        ngx_stomp_broker_attach(b);

        for (n = 0; n < 300; n++) {
            name.len = 1 + n / 2;
            name.data = memset(malloc(name.len), 'x', name.len);

            memset(&session, 0, sizeof(ngx_stomp_session_info_t));

            if (ngx_stomp_broker_subscribe(b, &name, &in) != NGX_OK
                || ngx_stomp_broker_session_add(b, &session) == 0)
            {
                _exit(1);
            }
        }

        slot_children[0].slot = ngx_stomp_slot_own() + 1;

        for ( ;; ) {
            pause();
        }
    }

    (void) slot_wait(&slot_children[0].slot);

    b = fixture_broker(&slot);

    ngx_stomp_broker_stat(b, &stat);
    assert_int_equal(stat.nworkers, 1);
    assert_int_equal(stat.workers[0].pid, pid);
    assert_int_equal(stat.subscriptions, 300);
    assert_int_equal(stat.sessions, 300);
    assert_int_equal(stat.destinations, 150);

    /* it lives: nothing is taken from it */

    assert_int_equal(ngx_stomp_broker_reap(b), NGX_OK);
    ngx_stomp_broker_stat(b, &stat);
    assert_int_equal(stat.subscriptions, 300);

    (void) kill(pid, SIGKILL);
    assert_int_equal(waitid(P_PID, pid, &info, WEXITED|WNOWAIT), 0);

    for (n = 0; ngx_stomp_broker_reap(b) == NGX_AGAIN; n++) {
        assert_true(n < 100);
        fixture_check(&slot);
    }

    assert_true(n > 4);

    ngx_stomp_broker_stat(b, &stat);
    assert_int_equal(stat.nworkers, 0);
    assert_int_equal(stat.subscriptions, 0);
    assert_int_equal(stat.destinations, 0);
    assert_int_equal(fixture_used(&slot), 0);
    fixture_check(&slot);

    fixture_kill(pid);
}


/* a successor takes over what nobody has reaped */

static void
slot_successor_test(void **state)
{
    pid_t                 pid;
    ngx_str_t             name;
    ngx_uint_t            i;
    ngx_stomp_broker_t   *b;
    ngx_stomp_interest_t  in;

    fixture_reset(&slot);
    name = fixture_str("/topic/a");

    for (i = 0; i < 20; i++) {
        slot_children[0].slot = 0;
        pid = fixture_fork();

        if (pid == 0) {
            b = fixture_broker(&slot);
            (void) ngx_stomp_slot_claim(&slot.log);
            ngx_stomp_broker_attach(b);
            (void) ngx_stomp_broker_subscribe(b, &name, &in);
            slot_children[0].slot = ngx_stomp_slot_own() + 1;

            for ( ;; ) {
                pause();
            }
        }

        assert_int_equal(slot_wait(&slot_children[0].slot), 1);

        b = fixture_broker(&slot);
        assert_int_equal(ngx_stomp_broker_subscribers(b, &name), 1);
        assert_int_equal(slot.zone.sh->slots[0].generation,
                         ngx_stomp_slot_generation(0));
        fixture_check(&slot);
        fixture_kill(pid);
    }
}


/* a holder that died and is not waited for does not block the others */

static void
slot_lock_test(void **state)
{
    pid_t      pid;
    uint64_t   start;
    siginfo_t  info;

    fixture_reset(&slot);
    slot_children[0].slot = 0;

    pid = fixture_fork();

    if (pid == 0) {
        (void) ngx_stomp_slot_claim(&slot.log);
        ngx_stomp_zone_lock(&slot.zone);
        ngx_stomp_set(&slot.zone, &slot.zone.sh->slots[3].state, 1);
        slot_children[0].slot = 1;

        for ( ;; ) {
            pause();
        }
    }

    (void) slot_wait(&slot_children[0].slot);
    (void) kill(pid, SIGKILL);
    assert_int_equal(waitid(P_PID, pid, &info, WEXITED|WNOWAIT), 0);

    start = fixture_msec();
    fixture_check(&slot);
    assert_true(fixture_msec() - start < 1000);
    assert_int_equal(slot.zone.sh->slots[3].state, 0);

    fixture_kill(pid);
}


static int
slot_setup(void **state)
{
    fixture_init(&slot, 1024 * 1024, SLOT_N);
    slot_children = ngx_stub_shared(NGX_STOMP_PAGE_SIZE);

    /* a second call changes nothing */

    if (ngx_stomp_slots_init(SLOT_N + 1, &slot.log) != NGX_OK
        || ngx_stomp_slots_count() != SLOT_N)
    {
        return -1;
    }

    return 0;
}


static int
slot_teardown(void **state)
{
    ngx_stomp_slots_cleanup(&slot.log);

    return (ngx_stomp_slots_count() == 0) ? 0 : -1;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(slot_claim_test),
        cmocka_unit_test(slot_race_test),
        cmocka_unit_test(slot_zombie_test),
        cmocka_unit_test(slot_pid_test),
        cmocka_unit_test(slot_wake_test),
        cmocka_unit_test(slot_reap_test),
        cmocka_unit_test(slot_successor_test),
        cmocka_unit_test(slot_lock_test),
    };

    return cmocka_run_group_tests_name("slot", tests, slot_setup,
                                       slot_teardown);
}
