
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: an operation that finds the zone full half way leaves the first
 * half of it behind, or can't be done any more when there is room again.
 *
 * Each allocation of each operation of the broker fails: alone, and with all
 * that follow.
 */


#include <broker_fixture.h>


#define FULL_ZONE   (256 * 1024)
#define FULL_SLOTS  3


/* returns what the operation of the broker does */

typedef struct {
    const char   *name;
    ngx_int_t   (*run)(void);
    ngx_uint_t    allocations;
} full_operation_t;


static broker_fixture_t     full;
static ngx_stomp_broker_t   full_b[FULL_SLOTS];
static u_char               full_body[50000];

static ngx_uint_t           full_nth;
static ngx_uint_t           full_last;      /* the last one that fails */
static ngx_uint_t           full_count;


static ngx_uint_t
full_hook(void)
{
    full_count++;

    return full_count >= full_nth && full_count <= full_last;
}


static ngx_int_t
full_subscribe(ngx_uint_t worker, const char *name)
{
    ngx_str_t             str;
    ngx_stomp_interest_t  in;

    str = fixture_str(name);

    return ngx_stomp_broker_subscribe(&full_b[worker], &str, &in);
}


static ngx_int_t
full_publish(const char *name, size_t len)
{
    ngx_stomp_publication_t  p;

    p = fixture_publication(name, full_body, len);

    return ngx_stomp_broker_publish(&full_b[0], &p, 1);
}


static ngx_int_t
full_subscribe_new(void)
{
    return full_subscribe(0, "/nobody/has/heard/of/it");
}


static ngx_int_t
full_subscribe_others(void)
{
    return full_subscribe(0, "/others");
}


static ngx_int_t
full_subscribe_own(void)
{
    return full_subscribe(0, "/own");
}


static ngx_int_t
full_publish_none(void)
{
    return full_publish("/none", 100);
}


static ngx_int_t
full_publish_own(void)
{
    return full_publish("/own", 100);
}


static ngx_int_t
full_publish_all(void)
{
    return full_publish("/all", 3000);
}


static ngx_int_t
full_publish_large(void)
{
    return full_publish("/all", sizeof(full_body));
}


static ngx_int_t
full_publish_batch(void)
{
    ngx_uint_t                i;
    ngx_stomp_publication_t   p[12];
    static const char        *names[] = { "/all", "/none", "/own", "/others" };

    for (i = 0; i < 12; i++) {
        p[i] = fixture_publication(names[i % 4], full_body, i * 500);
    }

    return ngx_stomp_broker_publish(&full_b[0], p, 12);
}


static ngx_int_t
full_session_add(void)
{
    ngx_stomp_session_info_t  info;

    info.id = 1;
    info.since = 1;
    info.addr = fixture_str("192.0.2.1");
    info.user = fixture_str("somebody");

    return ngx_stomp_broker_session_add(&full_b[0], &info) ? NGX_OK : NGX_BUSY;
}


static full_operation_t  full_operations[] = {
    { "subscribe, new", full_subscribe_new, 2 },
    { "subscribe, others'", full_subscribe_others, 1 },
    { "subscribe, own", full_subscribe_own, 0 },
    { "publish, nobody", full_publish_none, 0 },
    { "publish, own", full_publish_own, 2 },
    { "publish, all", full_publish_all, 4 },
    { "publish, slices", full_publish_large, 16 },
    { "publish, batch", full_publish_batch, 14 },
    { "session add", full_session_add, 1 },
};


static void
full_prepare(void)
{
    ngx_uint_t  i;

    fixture_reset(&full);
    full.conf.inbox_size = full.size;

    for (i = 0; i < FULL_SLOTS; i++) {
        fixture_worker(&full, &full_b[i], i);
        assert_int_equal(full_subscribe(i, "/all"), NGX_OK);
    }

    assert_int_equal(full_subscribe(0, "/own"), NGX_OK);
    assert_int_equal(full_subscribe(1, "/others"), NGX_OK);
    assert_int_equal(full_subscribe(2, "/others"), NGX_OK);
    assert_int_equal(full_session_add(), NGX_OK);
}


/* nothing is left when the workers' belongings have been taken */

static void
full_reap(full_operation_t *op, ngx_uint_t n)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    for (i = 0; i < FULL_SLOTS; i++) {
        do {
            ngx_stomp_zone_lock(&full.zone);
            rc = ngx_stomp_slot_reap_locked(full_b,
                                            &full.zone.sh->slots[i]);
            ngx_stomp_zone_unlock(&full.zone);
        } while (rc == NGX_AGAIN);
    }

    if (fixture_used(&full) != 0) {
        fail_msg("%s, allocation %zu: %zu octets are lost", op->name,
                 (size_t) n, fixture_used(&full));
    }

    fixture_check(&full);
}


static ngx_int_t
full_run(full_operation_t *op, ngx_uint_t nth, ngx_uint_t last)
{
    ngx_int_t  rc;

    full_count = 0;
    full_nth = nth;
    full_last = last;
    ngx_stomp_alloc_hook = full_hook;

    rc = op->run();

    ngx_stomp_alloc_hook = NULL;

    fixture_check(&full);

    return rc;
}


/* refused as a whole, and possible as soon as there is room */

static void
full_from_nth(full_operation_t *op, ngx_uint_t n)
{
    size_t     used;
    uint64_t   digest;
    ngx_int_t  rc;

    full_prepare();

    used = fixture_used(&full);
    digest = zone_digest(&full.zone);

    rc = full_run(op, n, (ngx_uint_t) -1);

    if (rc != NGX_BUSY) {
        fail_msg("%s, from allocation %zu on: %d", op->name, (size_t) n,
                 (int) rc);
    }

    if (zone_digest(&full.zone) != digest) {
        fail_msg("%s, from allocation %zu on: a part of it has happened",
                 op->name, (size_t) n);
    }

    if (fixture_used(&full) != used) {
        fail_msg("%s, from allocation %zu on: %zd octets are left", op->name,
                 (size_t) n, (ssize_t) (fixture_used(&full) - used));
    }

    assert_int_equal(full_b[0].nwake, 0);

    assert_int_equal(full_run(op, 0, 0), NGX_OK);

    full_reap(op, n);
}


/* what others have freed is taken before anybody is refused */

static void
full_nth_only(full_operation_t *op, ngx_uint_t n)
{
    ngx_int_t  rc;

    full_prepare();

    rc = full_run(op, n, n);

    if (rc != NGX_OK) {
        fail_msg("%s, allocation %zu: %d", op->name, (size_t) n, (int) rc);
    }

    full_reap(op, n);
}


static void
full_test(void **state)
{
    ngx_uint_t         i, n;
    full_operation_t  *op;

    for (i = 0; i < sizeof(full_operations) / sizeof(full_operation_t); i++) {

        op = &full_operations[i];

        full_prepare();

        assert_int_equal(full_run(op, 0, 0), NGX_OK);

        if (full_count != op->allocations) {
            fail_msg("%s: %zu allocations", op->name, (size_t) full_count);
        }

        for (n = 1; n <= op->allocations; n++) {
            full_from_nth(op, n);
            full_nth_only(op, n);
        }
    }
}


static int
full_setup(void **state)
{
    fixture_init(&full, FULL_ZONE, FULL_SLOTS);
    memset(full_body, 'b', sizeof(full_body));

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(full_test),
    };

    return cmocka_run_group_tests_name("full", tests, full_setup, NULL);
}
