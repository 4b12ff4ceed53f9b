
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: a message of a queue could be lost, go to two consumers, or come
 * out of order, and a worker that is gone could take its messages along.
 *
 * Random operations of four workers on queues are watched by a plain model.
 */


#include <queue_worker.h>


#define QUEUE_ZONE       (512 * 1024)
#define QUEUE_ROUNDS     4000
#define QUEUE_BODY       3000


static uint64_t    queue_seed;


static void
queue_test_order(void **state)
{
    ngx_uint_t  i;

    queue_begin();

    for (i = 0; i < 100; i++) {
        assert_int_equal(queue_publish(i % 4, "/q/a", i * 10), NGX_OK);
    }

    fixture_check(&queue);
    assert_int_equal(queue.zone.sh->queues.waiting, 100);

    queue_subscribe(0, 1, "/q/a", 10, 1000000);
    queue_drain();
    assert_int_equal(queue_c[0].n, 10);

    for (i = 1; i <= 100; i++) {
        assert_int_equal(queue_c[0].sequences[0], i);
        queue_settle(0, 0, 1, NGX_STOMP_SETTLE_ACK);
        queue_drain();
        fixture_check(&queue);
    }

    assert_int_equal(queue_c[0].n, 0);

    queue_unsubscribe(0, 1);
    assert_int_equal(fixture_used(&queue), 0);
    fixture_check(&queue);
}


/* three consumers of three workers, all with credit: one after the other */

static void
queue_test_fair(void **state)
{
    ngx_str_t   name;
    ngx_uint_t  i;

    queue_begin();
    name = fixture_str("/q/a");

    for (i = 0; i < 3; i++) {
        assert_int_equal(ngx_stomp_broker_subscribers(&queue_b[3], &name), i);
        queue_subscribe(i, i, "/q/a", 20, 1000000);
    }

    for (i = 0; i < 30; i++) {
        assert_int_equal(queue_publish(3, "/q/a", 10), NGX_OK);
    }

    queue_drain();

    for (i = 0; i < 3; i++) {
        assert_int_equal(queue_c[i].n, 10);
        assert_int_equal(queue_c[i].sequences[9], 28 + i);
    }

    fixture_check(&queue);

    for (i = 0; i < 3; i++) {
        queue_unsubscribe(i, 1);
    }

    assert_int_equal(queue.zone.sh->queues.waiting, 30);
    assert_int_equal(queue.zone.sh->queues.unsettled, 0);
}


static void
queue_test_window(void **state)
{
    ngx_uint_t  i;

    queue_begin();
    queue_subscribe(0, 0, "/q/a", 20, 10000);

    for (i = 0; i < 10; i++) {
        assert_int_equal(queue_publish(3, "/q/a", 4000), NGX_OK);
    }

    queue_drain();
    assert_int_equal(queue_c[0].n, 3);

    queue_settle(0, 0, 1, NGX_STOMP_SETTLE_ACK);
    queue_drain();
    assert_int_equal(queue_c[0].n, 3);
    fixture_check(&queue);
}


/* back to its place, and flagged; after three deliveries to the dead */

static void
queue_test_nack(void **state)
{
    ngx_uint_t  i;

    queue_begin();

    for (i = 0; i < 5; i++) {
        assert_int_equal(queue_publish(0, "/q/a", 10), NGX_OK);
    }

    queue_subscribe(0, 1, "/q/a", 1, 10000);

    for (i = 0; i < 3; i++) {
        queue_drain();
        assert_int_equal(queue_c[0].sequences[0], 1);
        assert_int_equal(queue_times[1], i + 1);
        queue_settle(0, 0, 1, NGX_STOMP_SETTLE_NACK);
        fixture_check(&queue);
    }

    queue_drain();
    assert_int_equal(queue_c[0].sequences[0], 2);
    assert_int_equal(queue.zone.sh->counters.dead, 1);
    assert_int_equal(queue.zone.sh->queues.n, 2);

    /* what isn't counted comes again and again */

    for (i = 0; i < 10; i++) {
        queue_settle(0, 0, 1, NGX_STOMP_SETTLE_RETURN);
        queue_drain();
        assert_int_equal(queue_c[0].sequences[0], 2);
    }

    /* a dead one is as if new */

    queue_times[1] = 0;
    queue_subscribe(1, 2, "/q/dead", 1, 10000);
    queue_drain();
    assert_int_equal(queue_c[1].sequences[0], 1);

    for (i = 0; i < 3; i++) {
        queue_settle(1, 0, 1, NGX_STOMP_SETTLE_NACK);
        queue_drain();
    }

    assert_int_equal(queue_c[1].n, 0);
    assert_int_equal(queue.zone.sh->counters.dead, 2);
    fixture_check(&queue);

    queue_unsubscribe(0, 1);
    queue_unsubscribe(1, 1);
    assert_int_equal(queue.zone.sh->queues.waiting, 4);
}


static void
queue_test_limits(void **state)
{
    uint64_t                 dropped;
    ngx_uint_t               i;
    ngx_stomp_publication_t  p[10];

    queue_begin();

    for (i = 0; i < 3; i++) {
        assert_int_equal(queue_publish(0, "/short/a", 10), NGX_OK);
        assert_int_equal(queue_publish(0, "/drop/a", 10), NGX_OK);
    }

    assert_int_equal(queue_publish(0, "/short/a", 10), NGX_BUSY);
    assert_int_equal(queue.zone.sh->queues.waiting, 6);

    for (i = 0; i < 5; i++) {
        assert_int_equal(queue_publish(0, "/drop/a", 10), NGX_OK);
    }

    assert_int_equal(queue.zone.sh->queues.waiting, 6);
    assert_int_equal(queue.zone.sh->counters.overflowed, 5);

    /* a batch: all or none; also one that drops its own messages */

    for (i = 0; i < 10; i++) {
        p[i] = fixture_publication(i ? "/q/b" : "/short/a", queue_body, 3000);
    }

    assert_int_equal(ngx_stomp_broker_publish(&queue_b[0], p, 10), NGX_BUSY);
    assert_true(p[0].full);
    assert_int_equal(queue.zone.sh->queues.waiting, 6);
    fixture_check(&queue);

    for (i = 0; i < 10; i++) {
        p[i] = fixture_publication("/drop/b", queue_body, 3000);
    }

    assert_int_equal(ngx_stomp_broker_publish(&queue_b[0], p, 10), NGX_OK);
    assert_int_equal(queue.zone.sh->queues.waiting, 9);
    fixture_check(&queue);

    /* one for which more have to go than a section drops, and one too many */

    queue.queues[2].max_length = 0;
    queue.queues[2].max_bytes = 12000;

    for (i = 0; i < 40; i++) {
        assert_int_equal(queue_publish(0, "/drop/c", 10), NGX_OK);
    }

    dropped = queue.zone.sh->counters.overflowed;

    assert_int_equal(queue_publish(0, "/drop/c", 20000), NGX_BUSY);
    assert_int_equal(queue.zone.sh->counters.overflowed, dropped);
    assert_int_equal(queue_publish(0, "/drop/c", 9000), NGX_OK);
    assert_true(queue.zone.sh->counters.overflowed > dropped + 8);
    fixture_check(&queue);

    queue.queues[2].max_length = 3;
    queue.queues[2].max_bytes = 0;

    /* also of a queue that refuses, if all of them have expired */

    queue.queues[1].max_length = 0;
    queue.queues[1].max_bytes = 12000;

    for (i = 0; i < 30; i++) {
        p[0] = fixture_publication("/short/b", queue_body, 10);
        p[0].expires = 1;
        assert_int_equal(ngx_stomp_broker_publish(&queue_b[0], p, 1), NGX_OK);
    }

    assert_int_equal(queue_publish(0, "/short/b", 9000), NGX_OK);
    assert_true(queue.zone.sh->counters.expired > 8);
    assert_int_equal(queue_publish(0, "/short/b", 9000), NGX_BUSY);
    fixture_check(&queue);

    queue.queues[1].max_length = 3;
    queue.queues[1].max_bytes = 0;

    /* three quarters of the zone */

    while (queue_publish(1, "/q/full", 3000) == NGX_OK) { /* void */ }

    assert_true(queue.zone.sh->queues.bytes
                <= queue.zone.sh->arena.pages * 4096 / 4 * 3);
    assert_true(queue.zone.sh->arena.nfree > queue.zone.sh->arena.pages / 8);
    fixture_check(&queue);
}


/* room for one message may take many others, more than a section drops */

static void
queue_test_drop(void **state)
{
    ngx_uint_t               i;
    ngx_stomp_publication_t  p[NGX_STOMP_BATCH_MAX];

    queue_begin();

    queue.queues[2].max_length = 0;
    queue.queues[2].max_bytes = 20000;

    for (i = 0; i < 200; i++) {
        assert_int_equal(queue_publish(0, "/drop/a", 10), NGX_OK);
    }

    assert_int_equal(queue_publish(0, "/drop/a", 8000), NGX_OK);
    assert_true(queue.zone.sh->counters.overflowed > 8);
    fixture_check(&queue);

    /* what has no room in the end drops nothing */

    i = queue.zone.sh->queues.waiting;
    assert_int_equal(queue_publish(0, "/drop/a", 30000), NGX_BUSY);
    assert_int_equal(queue.zone.sh->queues.waiting, i);

    /* a reload may leave more than there may be */

    queue.queues[2].max_length = 2;
    assert_int_equal(queue_publish(0, "/drop/a", 10), NGX_OK);
    assert_int_equal(queue.zone.sh->queues.waiting, 2);

    /* also for a batch, each of whose messages is small */

    queue.queues[2].max_length = 0;
    queue.queues[2].max_bytes = 100000;

    for (i = 0; i < 400; i++) {
        assert_int_equal(queue_publish(0, "/drop/a", 10), NGX_OK);
    }

    for (i = 0; i < NGX_STOMP_BATCH_MAX; i++) {
        p[i] = fixture_publication("/drop/a", queue_body, 4000);
    }

    assert_int_equal(ngx_stomp_broker_publish(&queue_b[0], p, 15), NGX_OK);

    /* that a section is too long is another answer than that it is full */

    queue.queues[2].max_length = 3;
    queue.queues[2].max_bytes = 0;

    for (i = 0; i < NGX_STOMP_BATCH_MAX; i++) {
        p[i] = fixture_publication("/drop/c", queue_body, 10);
    }

    assert_int_equal(ngx_stomp_broker_publish(&queue_b[0], p, 3), NGX_OK);
    assert_int_equal(ngx_stomp_broker_publish(&queue_b[0], p, 180),
                     NGX_ABORT);
    fixture_check(&queue);
}


static void
queue_test_batch(void **state)
{
    ngx_int_t                rc;
    ngx_uint_t               i;
    ngx_stomp_interest_t     in;
    ngx_str_t                topic;
    ngx_stomp_publication_t  p[NGX_STOMP_BATCH_MAX];

    queue_begin();

    topic = fixture_str("/topic");
    assert_int_equal(ngx_stomp_broker_subscribe(&queue_b[2], &topic, &in),
                     NGX_OK);
    queue_subscribe(0, 1, "/q/a", 10, 1000000);

    for (i = 0; i < 20; i++) {
        p[i] = fixture_publication(i % 2 ? "/topic" : "/q/a", queue_body,
                                   i * 500);
    }

    assert_int_equal(ngx_stomp_broker_publish(&queue_b[0], p, 20), NGX_OK);
    fixture_check(&queue);

    for (i = 1; i <= 20; i++) {
        queue_state[i] = QUEUE_WAITING;
    }

    queue_drain();
    fixture_check(&queue);
    assert_int_equal(queue_c[0].n, 10);

    queue_settle(0, 0, 10, NGX_STOMP_SETTLE_ACK);
    queue_drain();
    fixture_check(&queue);

    queue_unsubscribe(0, 1);
    ngx_stomp_broker_unsubscribe(&queue_b[2], in.interest, 1);
    assert_int_equal(fixture_used(&queue), 0);

    /* as many as a section can have, and no more */

    for (i = 0; i < NGX_STOMP_BATCH_MAX; i++) {
        p[i] = fixture_publication(i < 400 ? "/q/a" : "/topic", queue_body, 1);
    }

    assert_int_equal(ngx_stomp_broker_publish(&queue_b[0], p, 100), NGX_OK);
    fixture_check(&queue);

    rc = ngx_stomp_broker_publish(&queue_b[0], p, NGX_STOMP_BATCH_MAX);
    assert_int_equal(rc, NGX_ABORT);
    assert_int_equal(queue.zone.overflow, 0);
    assert_int_equal(queue.zone.sh->queues.waiting, 100);
    fixture_check(&queue);
}


/* a dead worker's messages go to others, flagged if it may have sent them */

static void
queue_test_reap(void **state)
{
    ngx_uint_t  i;

    queue_begin();

    queue_subscribe(0, 0, "/q/a", 50, 1000000);
    queue_subscribe(1, 0, "/q/a", 50, 1000000);

    for (i = 0; i < 60; i++) {
        assert_int_equal(queue_publish(2, "/q/a", 10), NGX_OK);
    }

    (void) ngx_stomp_broker_drain(&queue_b[0]);
    assert_int_equal(queue_delivered, 60);

    for (i = 0; i < 20; i++) {
        assert_int_equal(queue_publish(2, "/q/a", 10), NGX_OK);
    }

    for (i = 0; i < 2; i++) {
        while (queue_c[i].n) {
            queue_state[queue_c[i].sequences[--queue_c[i].n]] = QUEUE_WAITING;
        }
    }

    queue_subscribe(2, 1, "/q/a", 50, 1000000);
    queue_b[0].slot = NGX_STOMP_SLOT_NONE;
    queue_reap(0);
    queue_drain();
    fixture_check(&queue);

    assert_int_equal(queue_c[2].n, 50);

    for (i = 0; i < 50; i++) {
        assert_int_equal(queue_c[2].sequences[i], i + 1);
    }

    queue_settle(2, 0, 50, NGX_STOMP_SETTLE_ACK);
    queue_drain();
    queue_settle(2, 0, 30, NGX_STOMP_SETTLE_ACK);
    queue_unsubscribe(2, 1);
    assert_int_equal(fixture_used(&queue), 0);
}


/* one step of a random life; returns 0 if there was nothing to do */

static void
queue_step(uint32_t what)
{
    ngx_uint_t         i, n, from;
    queue_consumer_t  *c;

    i = (what >> 8) % QUEUE_CONSUMERS;
    c = &queue_c[i];

    switch (what % 8) {

    case 0:
        if (c->consumer == 0) {
            queue_subscribe(i, (what >> 12) % QUEUE_SLOTS, "/short/a",
                            1 + (what >> 16) % 60,
                            1000 + (what >> 16) % 20000);
            break;
        }

        if ((what >> 12) % 4 == 0) {
            queue_unsubscribe(i, (what >> 16) % 2);
        }

        break;

    case 1:
    case 2:
    case 3:
        for (n = (what >> 12) % 20; n; n--) {
            (void) queue_publish((what >> 14) % QUEUE_SLOTS, "/short/a",
                                 (what >> 16) % QUEUE_BODY);
        }

        break;

    case 4:
        (void) ngx_stomp_broker_drain(&queue_b[(what >> 12) % QUEUE_SLOTS]);
        break;

    default:
        if (c->n) {
            from = (what >> 12) % c->n;
            n = 1 + (what >> 16) % (c->n - from);

            queue_settle(i, from, n, (what >> 24) % 4
                                     ? NGX_STOMP_SETTLE_ACK
                                     : NGX_STOMP_SETTLE_NACK
                                       + (what >> 26) % 2);
        }
    }
}


static void
queue_test_random(void **state)
{
    ngx_uint_t  i, waiting, taken;

    queue_begin();
    queue.queues[1].max_length = 2000;
    queue_seed = 1;

    for (i = 0; i < QUEUE_ROUNDS; i++) {
        queue_step(fixture_random(&queue_seed));

        if (i % 16 == 0) {
            fixture_check(&queue);
        }

        if (queue.zone.sh->sequence > QUEUE_MESSAGES - 1000) {
            break;
        }
    }

    queue_drain();
    fixture_check(&queue);

    /* the model and the zone agree about each message */

    waiting = 0;
    taken = 0;

    for (i = 0; i < QUEUE_MESSAGES; i++) {
        waiting += (queue_state[i] == QUEUE_WAITING);
        taken += (queue_state[i] == QUEUE_TAKEN);
    }

    assert_true(queue_delivered > 1000);
    assert_int_equal(queue.zone.sh->queues.waiting, waiting);
    assert_int_equal(queue.zone.sh->queues.unsettled, taken);

    /* and nothing is left when all has been settled */

    for (i = 0; i < QUEUE_CONSUMERS; i++) {
        if (queue_c[i].consumer) {
            queue_unsubscribe(i, 0);
        }
    }

    queue_subscribe(0, 0, "/short/a", 64, 1000000);
    queue_drain();

    while (queue_c[0].n) {
        queue_settle(0, 0, queue_c[0].n, NGX_STOMP_SETTLE_ACK);
        queue_drain();
    }

    queue_unsubscribe(0, 1);
    assert_int_equal(queue.zone.sh->queues.n, 0);
    assert_int_equal(fixture_used(&queue), 0);

    for (i = 0; i < QUEUE_MESSAGES; i++) {
        assert_true(queue_state[i] == QUEUE_NONE
                    || queue_state[i] == QUEUE_SETTLED);
    }

    queue.queues[1].max_length = 3;
}


/* a heap as large as it may get, from many returned messages at once */

static void
queue_test_return_many(void **state)
{
    ngx_uint_t  i;

    queue_begin();
    queue.queues[0].max_deliveries = 0;

    for (i = 0; i < 2000; i++) {
        assert_int_equal(queue_publish(0, "/q/a", 10), NGX_OK);
    }

    for (i = 0; i < QUEUE_CONSUMERS; i++) {
        queue_subscribe(i, i % 4, "/q/a", 60, 1000000);
        queue_drain();
    }

    for (i = 0; i < QUEUE_CONSUMERS; i++) {
        queue_unsubscribe(QUEUE_CONSUMERS - 1 - i, 1);
        fixture_check(&queue);
    }

    assert_int_equal(queue.zone.overflow, 0);
    queue_subscribe(0, 0, "/q/a", 60, 1000000);
    queue_drain();

    for (i = 1; i <= 2000; i++) {
        assert_int_equal(queue_c[0].sequences[0], i);
        queue_settle(0, 0, 1, NGX_STOMP_SETTLE_ACK);

        if (queue_c[0].n == 0) {
            queue_drain();
        }
    }

    queue_unsubscribe(0, 1);
    queue.queues[0].max_deliveries = 3;
    assert_int_equal(fixture_used(&queue), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(queue_test_order),
        cmocka_unit_test(queue_test_fair),
        cmocka_unit_test(queue_test_window),
        cmocka_unit_test(queue_test_nack),
        cmocka_unit_test(queue_test_limits),
        cmocka_unit_test(queue_test_drop),
        cmocka_unit_test(queue_test_batch),
        cmocka_unit_test(queue_test_reap),
        cmocka_unit_test(queue_test_random),
        cmocka_unit_test(queue_test_return_many)
    };

    fixture_init(&queue, QUEUE_ZONE, 8);
    memset(queue_body, 'x', sizeof(queue_body));

    return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
