
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: a word of the zone that is read or written without the lock, or
 * written without a note, shows once in a million operations, as a damaged
 * list somewhere else.
 *
 * The scripted operations of the crash tests run in a zone that is watched,
 * and so do violations, each of which has to be told.  t/lock_discipline.t
 * does the same with nginx.
 */


#include <crash_operations.h>
#include <lock_guard.h>


#define GUARD_TEST_ZONE  (256 * 1024)


/* a violation, and what is said about it */

typedef struct {
    void                  (*run)(void);
    ngx_stomp_deliver_pt    deliver;
    const char             *report;
} guard_seed_t;


void __real_ngx_stomp_zone_lock(ngx_stomp_zone_t *zone);
void __real_ngx_stomp_zone_unlock(ngx_stomp_zone_t *zone);
void __real_ngx_stomp_arena_collect_locked(ngx_stomp_zone_t *zone,
    ngx_uint_t n);

void __wrap_ngx_stomp_zone_lock(ngx_stomp_zone_t *zone);
void __wrap_ngx_stomp_zone_unlock(ngx_stomp_zone_t *zone);
void __wrap_ngx_stomp_arena_collect_locked(ngx_stomp_zone_t *zone,
    ngx_uint_t n);

static void guard_test_prepare(void);


static char                  guard_text[512];
static ngx_uint_t            guard_reports;

/* of the seeds: what they do their damage to */
static ngx_stomp_interest_t  guard_interest;
static ngx_stomp_message_t   guard_message;
static ngx_stomp_dest_sh_t  *guard_dest;
static uint32_t             *guard_bucket;
static volatile uint64_t     guard_octets;


void
__wrap_ngx_stomp_zone_lock(ngx_stomp_zone_t *zone)
{
    lock_guard_lock(zone, __real_ngx_stomp_zone_lock);
}


void
__wrap_ngx_stomp_zone_unlock(ngx_stomp_zone_t *zone)
{
    lock_guard_unlock(zone, __real_ngx_stomp_zone_unlock,
                      __builtin_return_address(0));
}


void
__wrap_ngx_stomp_arena_collect_locked(ngx_stomp_zone_t *zone, ngx_uint_t n)
{
    lock_guard_collect(zone, n, __real_ngx_stomp_arena_collect_locked);
}


static void
guard_test_report(const char *text)
{
    if (guard_reports++ == 0) {
        snprintf(guard_text, sizeof(guard_text), "%s", text);
    }
}


/* as the fan-out does it: in pieces, without the lock */

static void
guard_test_deliver(void *data, ngx_stomp_message_t *m)
{
    size_t               len, n;
    u_char               piece[100];
    ngx_stomp_broker_t  *b = data;

    for (len = (size_t) m->headers + m->body; len; len -= n) {
        n = ngx_min(len, sizeof(piece));
        (void) ngx_stomp_message_read(&b->zone, m, piece, n);
    }
}


/* reads what is no part of the message */

static void
guard_test_deliver_refs(void *data, ngx_stomp_message_t *m)
{
    ngx_stomp_message_sh_t  *sh;

    sh = (ngx_stomp_message_sh_t *) (void *) m->pos - 1;
    guard_octets += *(volatile uint32_t *) &sh->refs;
}


static void
guard_test_deliver_keep(void *data, ngx_stomp_message_t *m)
{
    guard_message = *m;
}


static void
guard_test_begin(void (*prepare)(void), ngx_stomp_deliver_pt deliver)
{
    ngx_uint_t  i;

    fixture_reset(&crash);
    crash.conf.inbox_size = crash.size / 2;

    for (i = 0; i < CRASH_SLOTS; i++) {
        fixture_worker(&crash, &crash_b[i], i);

        crash_b[i].deliver = deliver;
        crash_b[i].data = &crash_b[i];

        /* all of them are this process's */
        crash.zone.sh->slots[i].pid = (uint32_t) ngx_pid;
    }

    prepare();

    guard_reports = 0;
    guard_text[0] = '\0';

    lock_guard_watch(&crash.zone);
}


static void
guard_test_end(void)
{
    lock_guard_release(&crash.zone);
    fixture_check(&crash);
}


static void
guard_operations_test(void **state)
{
    uint64_t              sections;
    ngx_uint_t            i;
    crash_operation_t    *op;

    for (i = 0; (op = crash_operation(i)) != NULL; i++) {
        sections = lock_guard_figures.sections;

        guard_test_begin(op->prepare, guard_test_deliver);
        op->run();
        guard_test_end();

        if (guard_reports) {
            fail_msg("%s: %s", op->name, guard_text);
        }

        if (lock_guard_figures.sections == sections) {
            fail_msg("%s: takes no lock", op->name);
        }
    }

    /* a test that sees nothing must not pass */

    assert_true(lock_guard_figures.words > 1000);
    assert_true(lock_guard_figures.allowed > 1000);

    fprintf(stderr, "# %zu sections, %zu notes, %zu reads without the lock\n",
            (size_t) lock_guard_figures.sections,
            (size_t) lock_guard_figures.words,
            (size_t) lock_guard_figures.allowed);
}


/* questions that need no operation of their own in the crash tests */

static void
guard_questions_test(void **state)
{
    u_char             id[NGX_STOMP_MESSAGE_ID_MAX];
    ngx_str_t          name;
    ngx_stomp_stat_t   stat;

    guard_test_begin(guard_test_prepare, guard_test_deliver);

    name = fixture_str("/a");

    assert_int_equal(ngx_stomp_broker_subscribers(&crash_b[1], &name), 1);
    assert_int_equal(ngx_stomp_broker_last(&crash_b[0],
                                           guard_interest.interest), 1);
    assert_int_equal(ngx_stomp_broker_retired(&crash_b[0]), 0);
    assert_true(ngx_stomp_broker_message_id(&crash_b[0], id, 1) > id);

    ngx_stomp_broker_stat(&crash_b[0], &stat);
    assert_int_equal(stat.destinations, 1);

    guard_test_end();

    assert_string_equal(guard_text, "");
}


/* worker 0 hears /a, and has one message in its inbox */

static void
guard_test_prepare(void)
{
    ngx_str_t                name;
    ngx_stomp_publication_t  p;

    name = fixture_str("/a");
    p = fixture_publication("/a", crash_body, 10);

    assert_int_equal(ngx_stomp_broker_subscribe(&crash_b[0], &name,
                                                &guard_interest), NGX_OK);
    assert_int_equal(ngx_stomp_broker_publish(&crash_b[1], &p, 1), NGX_OK);

    guard_dest = ngx_stomp_dest_lookup_locked(&crash.zone, &name, p.hash);
    guard_bucket = &crash.zone.buckets[p.hash & (crash.zone.sh->nbuckets - 1)];
}


static void
guard_lock_once(void)
{
    ngx_stomp_zone_lock(&crash.zone);
    ngx_stomp_zone_unlock(&crash.zone);
}


static void
guard_seed_count(void)
{
    guard_octets += guard_dest->subscribers;
    guard_lock_once();
}


static void
guard_seed_bucket(void)
{
    guard_octets += *guard_bucket;
}


static void
guard_seed_inbox(void)
{
    guard_octets += crash.zone.sh->slots[0].inbox;
}


static void
guard_seed_constant(void)
{
    crash.zone.sh->epoch = 1;
}


static void
guard_seed_late(void)
{
    guard_lock_once();
    crash.zone.sh->slots[2].work_tail = 1;
}


static void
guard_seed_no_note(void)
{
    ngx_stomp_zone_lock(&crash.zone);
    crash.zone.sh->slots[2].work_tail = 1;
    ngx_stomp_zone_unlock(&crash.zone);
}


static void
guard_seed_late_note(void)
{
    ngx_stomp_zone_lock(&crash.zone);
    guard_dest->match = 1;
    ngx_stomp_set(&crash.zone, &guard_dest->match, 0);
    guard_dest->match = 0;
    ngx_stomp_zone_unlock(&crash.zone);
}


/* an object that has been handed out in an earlier section is not new */

static void
guard_seed_object(void)
{
    uint32_t  *object, offset;

    ngx_stomp_zone_lock(&crash.zone);
    offset = ngx_stomp_alloc_locked(&crash.zone, 64);
    object = ngx_stomp_zone_ptr(&crash.zone, offset);
    object[8] = 1;
    ngx_stomp_zone_unlock(&crash.zone);

    assert_int_equal(guard_reports, 0);

    ngx_stomp_zone_lock(&crash.zone);
    object[8] = 2;
    ngx_stomp_zone_unlock(&crash.zone);

    ngx_stomp_zone_lock(&crash.zone);
    ngx_stomp_free_locked(&crash.zone, offset);
    ngx_stomp_zone_unlock(&crash.zone);
}


static void
guard_seed_drain(void)
{
    assert_int_equal(ngx_stomp_broker_drain(&crash_b[0]), NGX_AGAIN);
}


/* the next round releases what the last one has delivered */

static void
guard_seed_released(void)
{
    u_char  body[1];

    guard_seed_drain();
    assert_int_equal(ngx_stomp_broker_drain(&crash_b[0]), NGX_OK);
    assert_int_equal(guard_reports, 0);

    (void) ngx_stomp_message_read(&crash.zone, &guard_message, body, 1);
}


static guard_seed_t  guard_seeds[] = {
    { guard_seed_count, guard_test_deliver,
      "octet 28 of an object of 96: read without the lock" },
    { guard_seed_bucket, guard_test_deliver,
      "a hash bucket: read without the lock" },
    { guard_seed_inbox, guard_test_deliver,
      "inbox of slot 0: read without the lock" },
    { guard_seed_constant, guard_test_deliver,
      "epoch+0 of the header: written without the lock" },
    { guard_seed_late, guard_test_deliver,
      "work_tail of slot 2: written without the lock" },
    { guard_seed_no_note, guard_test_deliver,
      "work_tail of slot 2: changed without a note" },
    { guard_seed_late_note, guard_test_deliver,
      "octet 32 of an object of 96: changed without a note" },
    { guard_seed_object, guard_test_deliver,
      "octet 32 of an object of 64: changed without a note" },
    { guard_seed_drain, guard_test_deliver_refs,
      "octet 4 of an object of 96: read without the lock" },
    { guard_seed_released, guard_test_deliver_keep,
      "octet 56 of an object of 96: read without the lock" },
};


static void
guard_seeds_test(void **state)
{
    ngx_uint_t     i;
    guard_seed_t  *seed;

    for (i = 0; i < sizeof(guard_seeds) / sizeof(guard_seeds[0]); i++) {
        seed = &guard_seeds[i];

        guard_test_begin(guard_test_prepare, seed->deliver);
        seed->run();
        lock_guard_release(&crash.zone);

        if (strncmp(guard_text, seed->report, strlen(seed->report)) != 0) {
            fail_msg("not told: %s; but: %s", seed->report, guard_text);
        }

        if (guard_reports != 1) {
            fail_msg("told %zu times: %s", (size_t) guard_reports,
                     guard_text);
        }
    }
}


static int
guard_test_setup(void **state)
{
    fixture_init(&crash, GUARD_TEST_ZONE, 8);

    /* attach() wants a process slot: number 0 */

    if (ngx_stomp_slot_claim(&crash.log) != NGX_OK) {
        return -1;
    }

    memset(crash_body, 'b', sizeof(crash_body));
    lock_guard_report = guard_test_report;

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(guard_operations_test),
        cmocka_unit_test(guard_questions_test),
        cmocka_unit_test(guard_seeds_test),
    };

    if (!LOCK_GUARD_WORKS) {
        printf("1..0 # SKIP single steps are written for Linux on x86-64\n");
        return 0;
    }

    return cmocka_run_group_tests_name("guard", tests, guard_test_setup, NULL);
}
