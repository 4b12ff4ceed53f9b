
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: a message reaches the wrong workers, or some of a batch; a full
 * zone or a slow worker loses more than it has to.
 */


#include <broker_fixture.h>


#define BROKER_ZONE       (1024 * 1024)
#define BROKER_LOG_MAX    4096


/* what b->deliver() was called with */

typedef struct {
    ngx_uint_t            n;
    ngx_uint_t            overruns;
    uint64_t              drained;
    uint64_t              sequence[BROKER_LOG_MAX];
    uint64_t              destination[BROKER_LOG_MAX];
    ngx_stomp_broker_t   *republish;
    ngx_uint_t            damaged;
} broker_log_t;


static broker_fixture_t   broker;
static ngx_stomp_broker_t broker_b[4];
static broker_log_t       broker_log[4];
static u_char             broker_body[256 * 1024];


static void
broker_deliver(void *data, ngx_stomp_message_t *m)
{
    size_t                    i, len;
    broker_log_t             *log = data;
    static u_char             buf[sizeof(broker_body)];
    ngx_stomp_broker_t       *b;
    ngx_stomp_publication_t   p;

    if (log->n == BROKER_LOG_MAX) {
        abort();
    }

    log->sequence[log->n] = m->sequence;
    log->destination[log->n++] = m->destination;

    len = m->body;
    b = log->republish;

    /* the callback may publish, also into what it reads from */

    if (b) {
        log->republish = NULL;

        for (i = 0; i < 50; i++) {
            p = fixture_publication("/a", broker_body, 2000);
            (void) ngx_stomp_broker_publish(b, &p, 1);
        }
    }

    (void) ngx_stomp_message_read(&broker.zone, m, buf, m->headers);

    if (memcmp(buf, "x:y\n", 4) != 0 || m->flags != 7) {
        log->damaged = 1;
    }

    (void) ngx_stomp_message_read(&broker.zone, m, buf, len);

    if (memcmp(buf, broker_body, len) != 0) {
        log->damaged = 1;
    }
}


static void
broker_overrun(void *data, uint64_t drained)
{
    broker_log_t  *log = data;

    log->overruns++;
    log->drained = drained;
}


static uint32_t
broker_subscribe(ngx_uint_t worker, const char *name, uint64_t *from)
{
    ngx_str_t             str;
    ngx_stomp_interest_t  in;

    str = fixture_str(name);

    assert_int_equal(ngx_stomp_broker_subscribe(&broker_b[worker], &str, &in),
                     NGX_OK);

    if (from) {
        *from = in.from;
    }

    return in.interest;
}


static ngx_int_t
broker_publish(ngx_uint_t worker, const char *name, size_t len)
{
    ngx_stomp_publication_t  p;

    p = fixture_publication(name, broker_body, len);

    return ngx_stomp_broker_publish(&broker_b[worker], &p, 1);
}


static void
broker_drain(ngx_uint_t worker)
{
    while (ngx_stomp_broker_drain(&broker_b[worker]) == NGX_AGAIN) {
        /* void */
    }
}


/* everything is taken back: no octet may be left */

static void
broker_end(void)
{
    ngx_uint_t  i;

    fixture_check(&broker);

    for (i = 0; i < 4; i++) {
        assert_int_equal(broker_log[i].damaged, 0);
        ngx_stomp_broker_detach(&broker_b[i]);
        fixture_check(&broker);
    }

    assert_int_equal(fixture_used(&broker), 0);
    assert_int_equal(broker.zone.sh->arena.nfree,
                     broker.zone.sh->arena.pages);
}


static int
broker_setup(void **state)
{
    ngx_uint_t  i;

    fixture_reset(&broker);
    broker.conf.inbox_size = BROKER_ZONE / 4;
    memset(broker_log, 0, sizeof(broker_log));

    for (i = 0; i < 4; i++) {
        fixture_worker(&broker, &broker_b[i], i);
        broker_b[i].deliver = broker_deliver;
        broker_b[i].overrun = broker_overrun;
        broker_b[i].data = &broker_log[i];
    }

    return 0;
}


static void
broker_publish_test(void **state)
{
    uint64_t                 from;
    uint32_t                 in;
    ngx_str_t                name;
    ngx_stomp_publication_t  p;

    /* nobody hears it: a number, no memory */

    assert_int_equal(broker_publish(0, "/a", 100), NGX_OK);
    assert_int_equal(fixture_used(&broker), 0);
    assert_int_equal(broker.zone.sh->sequence, 1);

    in = broker_subscribe(0, "/a", &from);
    assert_int_equal(from, 1);
    assert_int_equal(broker_subscribe(0, "/a", NULL), in);
    (void) broker_subscribe(1, "/a", NULL);

    name = fixture_str("/a");
    assert_int_equal(ngx_stomp_broker_subscribers(&broker_b[3], &name), 3);

    p = fixture_publication("/a", broker_body, 100);
    assert_int_equal(ngx_stomp_broker_publish(&broker_b[0], &p, 1), NGX_OK);
    assert_int_equal(p.subscribers, 3);
    assert_int_equal(p.sequence, 2);

    /* the own one has come within the call, the other waits */

    assert_int_equal(broker_log[0].n, 1);
    assert_int_equal(broker_log[1].n, 0);
    broker_drain(1);
    assert_int_equal(broker_log[1].n, 1);
    assert_int_equal(broker_log[1].sequence[0], 2);
    assert_int_equal(broker.zone.sh->slots[1].awake, 0);

    ngx_stomp_broker_unsubscribe(&broker_b[0], in, 2);
    assert_int_equal(ngx_stomp_broker_subscribers(&broker_b[3], &name), 1);
    assert_int_equal(broker_publish(0, "/a", 100), NGX_OK);
    assert_int_equal(broker_log[0].n, 1);

    broker_end();
}


/* sizes around the ends of objects and chains */

static void
broker_sizes_test(void **state)
{
    size_t               i, n;
    static const size_t  sizes[] = {
        0, 1, 3, 4, 5, 35, 36, 37, 4032, 4036, 4035, 4037, 8000, 8123, 8124,
        8125, 8126, 12000, 12211, 12212, 12213, 16300, 20000, 65536, 200000
    };

    (void) broker_subscribe(0, "/a", NULL);
    (void) broker_subscribe(1, "/a", NULL);

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(broker_publish(0, "/a", sizes[i]), NGX_OK);
        fixture_check(&broker);
        broker_drain(1);
    }

    n = sizeof(sizes) / sizeof(sizes[0]);

    assert_int_equal(broker_log[0].n, n);
    assert_int_equal(broker_log[1].n, n);

    broker_end();
}


static void
broker_batch_test(void **state)
{
    ngx_uint_t                i;
    ngx_stomp_publication_t   p[NGX_STOMP_BATCH_MAX];
    static const char        *names[] = { "/a", "/b", "/none", "/c" };

    (void) broker_subscribe(1, "/a", NULL);
    (void) broker_subscribe(2, "/b", NULL);
    (void) broker_subscribe(3, "/b", NULL);
    (void) broker_subscribe(3, "/c", NULL);

    for (i = 0; i < NGX_STOMP_BATCH_MAX; i++) {
        p[i] = fixture_publication(names[i % 4], broker_body, i % 50);
    }

    assert_int_equal(ngx_stomp_broker_publish(&broker_b[0], p,
                                              NGX_STOMP_BATCH_MAX + 1),
                     NGX_ABORT);
    assert_int_equal(ngx_stomp_broker_publish(&broker_b[0], p,
                                              NGX_STOMP_BATCH_MAX),
                     NGX_OK);

    fixture_check(&broker);

    for (i = 0; i < NGX_STOMP_BATCH_MAX; i++) {
        assert_int_equal(p[i].sequence, i + 1);
    }

    assert_int_equal(p[1].subscribers, 2);
    assert_int_equal(p[2].subscribers, 0);

    for (i = 1; i < 4; i++) {
        broker_drain(i);
        assert_int_equal(broker_log[i].n, NGX_STOMP_BATCH_MAX / 4 * 3);
    }

    assert_int_equal(broker.zone.sh->sequence, NGX_STOMP_BATCH_MAX);

    broker_end();
}


/* a batch to all slots that there can be stays within the undo log */

static void
broker_notes_test(void **state)
{
    ngx_uint_t                n, i;
    ngx_stomp_broker_t        b;
    ngx_stomp_interest_t      in;
    ngx_str_t                 name;
    ngx_stomp_publication_t   p[NGX_STOMP_BATCH_MAX];

    name = fixture_str("/a");

    for (i = 4; i < NGX_STOMP_SLOTS_MAX; i++) {
        fixture_worker(&broker, &b, i);
        assert_int_equal(ngx_stomp_broker_subscribe(&b, &name, &in), NGX_OK);
    }

    for (i = 0; i < 4; i++) {
        (void) broker_subscribe(i, "/a", NULL);
    }

    /* the most that can be in hand */

    for (i = 0; i < 80; i++) {
        assert_int_equal(broker_publish(1, "/a", 1), NGX_OK);
    }

    (void) ngx_stomp_broker_drain(&broker_b[0]);
    assert_int_equal(broker_publish(0, "/a", 1), NGX_OK);

    for (n = 1; n <= 400; n += 57) {
        (void) ngx_stomp_broker_drain(&broker_b[0]);

        for (i = 0; i < n; i++) {
            p[i] = fixture_publication("/a", broker_body, 1);
        }

        assert_int_equal(ngx_stomp_broker_publish(&broker_b[0], p, n),
                         (n < 257) ? NGX_OK : NGX_ABORT);
    }

    /* an alert would have told: fixture_check() looks for it */

    fixture_check(&broker);

    for (i = 0; i < NGX_STOMP_SLOTS_MAX; i++) {
        fixture_worker(&broker, &b, i);
        ngx_stomp_broker_detach(&b);
    }

    assert_int_equal(fixture_used(&broker), 0);
}


static void
broker_full_test(void **state)
{
    size_t      used;
    ngx_uint_t  i;

    broker.conf.inbox_size = BROKER_ZONE;

    (void) broker_subscribe(1, "/a", NULL);
    (void) broker_subscribe(2, "/a", NULL);

    for (i = 0; broker_publish(0, "/a", 4000) == NGX_OK; i++) { /* void */ }

    used = fixture_used(&broker);

    assert_int_equal(broker_publish(0, "/a", 60000), NGX_BUSY);
    assert_int_equal(fixture_used(&broker), used);
    assert_int_equal(broker.zone.sh->sequence, i);
    assert_int_equal(broker.zone.sh->counters.published, i);
    fixture_check(&broker);

    broker_drain(1);
    broker_drain(2);
    assert_int_equal(broker_log[1].n, i);
    assert_int_equal(broker_publish(0, "/a", 60000), NGX_OK);

    broker_end();
}


static void
broker_overrun_test(void **state)
{
    uint32_t    a, c;
    uint64_t    last;
    ngx_uint_t  i;

    broker.conf.inbox_size = 16 * 1024;

    a = broker_subscribe(1, "/a", NULL);
    c = broker_subscribe(1, "/c", NULL);
    (void) broker_subscribe(2, "/a", NULL);

    assert_int_equal(broker_publish(0, "/c", 10), NGX_OK);
    assert_int_equal(broker_publish(0, "/a", 10), NGX_OK);
    broker_drain(1);
    last = broker.zone.sh->sequence;

    for (i = 0; i < 20; i++) {
        assert_int_equal(broker_publish(0, "/a", 3000), NGX_OK);
        broker_drain(2);
    }

    assert_int_equal(broker.zone.sh->slots[1].overrun, 1);
    assert_int_equal(broker_log[2].n, 21);
    fixture_check(&broker);

    broker_drain(1);
    assert_int_equal(broker_log[1].overruns, 1);
    assert_int_equal(broker_log[1].drained, last);
    assert_int_equal(broker_log[1].n, 2);

    assert_true(ngx_stomp_broker_last(&broker_b[1], a) > last);
    assert_true(ngx_stomp_broker_last(&broker_b[1], c) <= last);

    assert_int_equal(broker_publish(0, "/a", 3000), NGX_OK);
    broker_drain(1);
    assert_int_equal(broker_log[1].n, 3);
    assert_int_equal(broker_log[1].overruns, 1);

    broker_end();
}


static void
broker_republish_test(void **state)
{
    ngx_uint_t  i;

    (void) broker_subscribe(0, "/a", NULL);
    (void) broker_subscribe(1, "/a", NULL);

    for (i = 0; i < 5; i++) {
        assert_int_equal(broker_publish(0, "/a", 9000), NGX_OK);
    }

    broker_log[1].republish = &broker_b[1];
    broker_drain(1);
    broker_drain(0);

    assert_int_equal(broker_log[0].n, 55);
    assert_int_equal(broker_log[1].n, 55);

    for (i = 1; i < 55; i++) {
        assert_true(broker_log[1].sequence[i] > broker_log[1].sequence[i - 1]);
    }

    broker_end();
}


static void
broker_wake_test(void **state)
{
    u_char         buf[64];
    ngx_fd_t       fd;
    struct pollfd  pfd;

    (void) broker_subscribe(1, "/a", NULL);

    fd = ngx_stomp_slot_wake_fd(1);

    /* earlier tests have written, too */

    while (read(fd, buf, sizeof(buf)) > 0) { /* void */ }

    pfd.fd = fd;
    pfd.events = POLLIN;

    assert_int_equal(poll(&pfd, 1, 0), 0);
    assert_int_equal(broker_publish(0, "/a", 1), NGX_OK);
    assert_int_equal(poll(&pfd, 1, 0), 1);
    assert_int_equal(broker.zone.sh->slots[1].awake, 1);

    broker_drain(1);
    assert_int_equal(broker.zone.sh->slots[1].awake, 0);

    broker_end();
}


static void
broker_message_id_test(void **state)
{
    u_char  buf[NGX_STOMP_MESSAGE_ID_MAX], *p;

    broker.zone.sh->epoch = 0xabc;

    p = ngx_stomp_broker_message_id(&broker_b[0], buf, 17);
    assert_int_equal(p - buf, 19);
    assert_memory_equal(buf, "0000000000000abc-17", 19);

    (void) ngx_stomp_broker_message_id(&broker_b[0], buf, (uint64_t) -1);

    broker_end();
}


/* a new subscriber gets what is retained, and nothing older than itself */

static void
broker_retained_test(void **state)
{
    ngx_uint_t                       i;
    ngx_stomp_replay_t               r;
    ngx_stomp_message_t              m;
    ngx_stomp_publication_t          p;
    static ngx_stomp_history_rule_t  rule;

    rule.prefix = fixture_str("/a");
    rule.length = 100;
    rule.age = 60000;

    broker.conf.histories.elts = &rule;
    broker.conf.histories.nelts = 1;
    broker.conf.history_size = BROKER_ZONE;
    broker.conf.max_retained = 10;

    p = fixture_publication("/a", broker_body, 10);
    p.retain = 1;

    assert_int_equal(ngx_stomp_broker_publish(&broker_b[0], &p, 1), NGX_OK);

    for (i = 0; i < 5; i++) {
        assert_int_equal(broker_publish(0, "/a", 10), NGX_OK);
    }

    memset(&r, 0, sizeof(ngx_stomp_replay_t));
    r.interest = broker_subscribe(1, "/a", NULL);

    assert_int_equal(ngx_stomp_broker_replay(&broker_b[1], &r), NGX_OK);
    assert_int_equal(r.n, 1);
    assert_true(r.retained && r.live);

    /* its session has no room, and a message is published meanwhile */

    assert_int_equal(broker_publish(0, "/a", 10), NGX_OK);

    assert_int_equal(ngx_stomp_broker_replay(&broker_b[1], &r), NGX_OK);
    assert_int_equal(r.n, 1);
    assert_true(!r.retained && !r.gap && r.live);

    (void) ngx_stomp_message_open(&broker.zone, r.messages[0], &m);
    assert_int_equal(m.sequence, 7);

    ngx_stomp_broker_replay_end(&broker_b[1], &r);
    fixture_check(&broker);

    broker.conf.histories.nelts = 0;
}


static int
broker_group_setup(void **state)
{
    size_t  i;

    for (i = 0; i < sizeof(broker_body); i++) {
        broker_body[i] = (u_char) (i * 7 + i / 256);
    }

    fixture_init(&broker, BROKER_ZONE, 4);

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup(broker_publish_test, broker_setup),
        cmocka_unit_test_setup(broker_sizes_test, broker_setup),
        cmocka_unit_test_setup(broker_batch_test, broker_setup),
        cmocka_unit_test_setup(broker_notes_test, broker_setup),
        cmocka_unit_test_setup(broker_full_test, broker_setup),
        cmocka_unit_test_setup(broker_overrun_test, broker_setup),
        cmocka_unit_test_setup(broker_republish_test, broker_setup),
        cmocka_unit_test_setup(broker_wake_test, broker_setup),
        cmocka_unit_test_setup(broker_message_id_test, broker_setup),
        cmocka_unit_test_setup(broker_retained_test, broker_setup),
    };

    return cmocka_run_group_tests_name("broker", tests, broker_group_setup,
                                       NULL);
}
