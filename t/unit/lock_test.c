
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: a worker that dies inside of the lock blocks all others for
 * good, or one that only stands still is robbed of it.
 */


#include <broker_fixture.h>
#include <signal.h>


#define LOCK_ZONE     (256 * 1024)
#define LOCK_STOP_MS  500


static broker_fixture_t  lock;


static ngx_uint_t
lock_wait_for(volatile uint32_t *word, uint32_t value)
{
    uint64_t  start;

    start = fixture_msec();

    while (*word != value) {
        if (fixture_msec() - start > 5000) {
            return 0;
        }

        usleep(100);
    }

    return 1;
}


/* forks a holder of the lock that has changed something and sleeps */

static pid_t
lock_holder(volatile uint32_t *word)
{
    pid_t  pid;

    *word = 0;

    pid = fixture_fork();

    if (pid == 0) {
        ngx_stomp_zone_lock(&lock.zone);
        ngx_stomp_set64(&lock.zone, &lock.zone.sh->sequence, 1000000);
        *word = 1;

        for ( ;; ) {
            pause();
        }
    }

    assert_true(lock_wait_for(word, 1));

    return pid;
}


static void
lock_dead_test(void **state)
{
    pid_t               pid;
    uint64_t            start, sequence, recovered;
    volatile uint32_t  *word;

    fixture_reset(&lock);

    word = ngx_stub_shared(NGX_STOMP_PAGE_SIZE);
    sequence = lock.zone.sh->sequence;
    recovered = lock.zone.sh->counters.recovered;

    pid = lock_holder(word);
    fixture_kill(pid);

    start = fixture_msec();

    ngx_stomp_zone_lock(&lock.zone);
    assert_int_equal(lock.zone.sh->sequence, sequence);
    assert_int_equal(lock.zone.sh->counters.recovered, recovered + 1);
    ngx_stomp_zone_unlock(&lock.zone);

    fprintf(stderr, "# a dead holder was noticed in %zu ms\n",
            (size_t) (fixture_msec() - start));

    assert_true(fixture_msec() - start < 2000);
    fixture_check(&lock);
}


static void
lock_stopped_test(void **state)
{
    pid_t               holder, waiter;
    volatile uint32_t  *word;

    fixture_reset(&lock);

    word = ngx_stub_shared(NGX_STOMP_PAGE_SIZE);

    holder = lock_holder(word);
    (void) kill(holder, SIGSTOP);

    waiter = fixture_fork();

    if (waiter == 0) {
        ngx_stomp_zone_lock(&lock.zone);
        word[1] = 1;
        ngx_stomp_zone_unlock(&lock.zone);
        _exit(0);
    }

    /* several times the patience of the lock: nothing to wait for but time */

    usleep(LOCK_STOP_MS * 1000);

    assert_int_equal(word[1], 0);
    assert_int_equal(*lock.mutex.lock, holder);

    fixture_kill(holder);

    assert_int_equal(fixture_wait(waiter), 0);
    assert_int_equal(word[1], 1);
    fixture_check(&lock);
}


static void
lock_contention_test(void **state)
{
    pid_t               pid[4];
    uint64_t            start;
    ngx_uint_t          i, n;
    volatile uint32_t  *word;

    fixture_reset(&lock);

    word = ngx_stub_shared(NGX_STOMP_PAGE_SIZE);

    for (i = 0; i < 4; i++) {
        pid[i] = fixture_fork();

        if (pid[i] == 0) {
            (void) __sync_fetch_and_add(word, 1);

            while (*word < 4) { sched_yield(); }

            for (n = 0; n < 100000; n++) {
                ngx_stomp_zone_lock(&lock.zone);
                ngx_stomp_set64(&lock.zone, &lock.zone.sh->sequence,
                                lock.zone.sh->sequence + 1);
                ngx_stomp_zone_unlock(&lock.zone);
            }

            _exit(0);
        }
    }

    start = fixture_msec();

    for (i = 0; i < 4; i++) {
        assert_int_equal(fixture_wait(pid[i]), 0);
    }

    assert_int_equal(lock.zone.sh->sequence, 400000);

    fprintf(stderr, "# 400000 sections of 4 processes in %zu ms\n",
            (size_t) (fixture_msec() - start));

    fixture_check(&lock);
}


static int
lock_setup(void **state)
{
    fixture_init(&lock, LOCK_ZONE, 4);

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(lock_dead_test),
        cmocka_unit_test(lock_stopped_test),
        cmocka_unit_test(lock_contention_test),
    };

    return cmocka_run_group_tests_name("lock", tests, lock_setup, NULL);
}
