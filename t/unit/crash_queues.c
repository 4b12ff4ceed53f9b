
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <crash_operations.h>
#include <ngx_stomp_dispatch.h>


#define CRASH_CONSUMERS  4
#define CRASH_HELD       256
#define CRASH_LAST       CRASH_CONSUMERS     /* who takes all that is left */
#define CRASH_WINDOW     1000000


typedef struct {
    uint32_t              consumer;
    ngx_uint_t            worker;
    ngx_uint_t            n;
    ngx_stomp_settle_t    items[CRASH_HELD];
} crash_consumer_t;


static ngx_stomp_queue_conf_t  crash_rules[] = {
    { ngx_string("/q/"), ngx_string("/dead/a"), 0, 0, 2, 0 },
    { ngx_string("/dead/"), ngx_null_string, 3, 0, 0, 1 },
    { ngx_string("/bin/"), ngx_null_string, 0, 0, 1, 0 },
    { ngx_string("/short/"), ngx_null_string, 3, 0, 0, 0 },
    { ngx_string("/small/"), ngx_null_string, 0, 8192, 0, 1 }
};

static const char  *crash_queues[] = {
    "/q/a", "/q/b", "/q/new", "/dead/a", "/bin/a", "/short/a", "/small/a"
};

static crash_consumer_t    crash_c[CRASH_CONSUMERS + 1];
static ngx_stomp_broker_t  crash_last;


/* what comes is the whole message */

static void
crash_consume(void *data, ngx_stomp_taken_t *taken, ngx_stomp_message_t *m)
{
    size_t               len, n, i;
    u_char               piece[256];
    crash_consumer_t    *c;
    ngx_stomp_broker_t  *b = data;

    (void) ngx_stomp_message_read(&b->zone, m, piece, m->headers);

    for (len = m->body; len; len -= n) {
        n = ngx_min(len, sizeof(piece));
        (void) ngx_stomp_message_read(&b->zone, m, piece, n);

        for (i = 0; i < n; i++) {
            if (piece[i] != 'b') {
                abort();
            }
        }
    }

    c = &crash_c[taken->tag];

    if (c->n == CRASH_HELD || taken->consumer != c->consumer) {
        abort();
    }

    c->items[c->n++].entry = taken->entry;
}


static void
crash_add(ngx_uint_t i, ngx_stomp_broker_t *b, const char *name,
    uint32_t credit)
{
    ngx_str_t  str;

    str = fixture_str(name);

    b->consume = crash_consume;
    b->data = b;

    crash_c[i].n = 0;
    crash_c[i].worker = b->slot;
    crash_c[i].consumer = ngx_stomp_broker_consume(b, &str, (uint32_t) i,
                                                   credit, CRASH_WINDOW);
    if (crash_c[i].consumer == 0) {
        abort();
    }
}


/* consumers are called as their workers */

static void
crash_add_consumer(ngx_uint_t worker, const char *name, uint32_t credit)
{
    crash_add(worker, &crash_b[worker], name, credit);
}


static void
crash_send(ngx_uint_t worker, const char *name, ngx_uint_t n, size_t len,
    uint64_t expires)
{
    ngx_stomp_publication_t  p;

    while (n--) {
        p = fixture_publication(name, crash_body, len);
        p.expires = expires;
        (void) ngx_stomp_broker_publish(&crash_b[worker], &p, 1);
    }
}


static void
crash_take(ngx_uint_t worker)
{
    while (ngx_stomp_broker_drain(&crash_b[worker]) == NGX_AGAIN) {
        /* void */
    }
}


static void
crash_settle(ngx_uint_t i, ngx_uint_t n, ngx_stomp_settle_e how)
{
    ngx_uint_t         k;
    crash_consumer_t  *c;

    c = &crash_c[i];

    if (n > c->n) {
        abort();
    }

    for (k = 0; k < n; k++) {
        c->items[k].how = how;
    }

    ngx_stomp_broker_settle(&crash_b[c->worker], c->items, n);

    c->n -= n;
    memmove(c->items, &c->items[n], c->n * sizeof(c->items[0]));
}


ngx_uint_t
crash_messages(void)
{
    return crash.zone.sh->queues.waiting + crash.zone.sh->queues.unsettled;
}


void
crash_forget_queues(void)
{
    ngx_int_t          rc;
    ngx_uint_t         i, left;
    crash_consumer_t  *c;

    if (crash.zone.sh->queues.n == 0) {
        return;
    }

    fixture_worker(&crash, &crash_last, CRASH_LAST);

    c = &crash_c[CRASH_LAST];

    for (i = 0; i < sizeof(crash_queues) / sizeof(crash_queues[0]); i++) {

        crash_add(CRASH_LAST, &crash_last, crash_queues[i], CRASH_HELD);

        do {
            rc = ngx_stomp_broker_drain(&crash_last);

            left = c->n;
            c->n = 0;

            ngx_stomp_broker_settle(&crash_last, c->items, left);

        } while (rc == NGX_AGAIN || left);

        ngx_stomp_broker_consumer_remove(&crash_last, c->consumer, 1);
    }

    if (crash.zone.sh->queues.n || crash_messages()) {
        fail_msg("messages of queues are left");
    }

    do {
        ngx_stomp_zone_lock(&crash.zone);
        rc = ngx_stomp_slot_reap_locked(&crash_last,
                                        &crash.zone.sh->slots[CRASH_LAST]);
        ngx_stomp_dispatch_unlock(&crash_last);
    } while (rc == NGX_AGAIN);
}


static void
crash_prepare_none(void)
{
    crash_prepare_kept_none();

    crash.conf.queues.elts = crash_rules;
    crash.conf.queues.nelts = sizeof(crash_rules) / sizeof(crash_rules[0]);

    memset(crash_c, 0, sizeof(crash_c));
}


static void
crash_prepare_waiting(void)
{
    crash_prepare_none();

    crash_send(1, "/q/a", 3, 100, 0);
    crash_send(2, "/q/a", 1, 9000, 0);
    crash_send(1, "/q/a", 2, 1500, 0);
}


/* all have credit */

static void
crash_prepare_ready(void)
{
    crash_prepare_none();

    crash_add_consumer(1, "/q/a", 2);
    crash_add_consumer(0, "/q/a", 2);
    crash_add_consumer(2, "/q/b", 1);
}


/*
 * Nobody has credit, and 6 wait; 0 and 1 have 4 each, 2 has 2 of which it
 * knows nothing.
 */

static void
crash_prepare_held(void)
{
    crash_prepare_none();

    crash_add_consumer(0, "/q/a", 4);
    crash_add_consumer(1, "/q/a", 4);
    crash_add_consumer(2, "/q/a", 2);

    crash_send(3, "/q/a", 13, 100, 0);
    crash_send(3, "/q/a", 2, 5000, 0);
    crash_send(3, "/q/a", 1, 1500, 0);

    crash_take(0);
    crash_take(1);
}


/* some of them come again, from the heap */

static void
crash_prepare_again(void)
{
    crash_prepare_held();

    crash_settle(0, 3, NGX_STOMP_SETTLE_NACK);
    crash_settle(1, 2, NGX_STOMP_SETTLE_NACK);
    crash_take(0);
    crash_take(1);
    crash_settle(0, 1, NGX_STOMP_SETTLE_RETURN);
}


/* 0 has what was delivered as often as it may be */

static void
crash_prepare_dying(void)
{
    crash_prepare_none();

    crash_add_consumer(0, "/q/a", 5);
    crash_send(3, "/q/a", 5, 100, 0);
    crash_take(0);
    crash_settle(0, 5, NGX_STOMP_SETTLE_NACK);
    crash_take(0);
}


static void
crash_prepare_dying_full(void)
{
    crash_prepare_dying();

    crash_send(2, "/dead/a", 3, 200, 0);
    crash_add_consumer(3, "/dead/a", 1);
}


static void
crash_prepare_bin(void)
{
    crash_prepare_none();

    crash_add_consumer(0, "/bin/a", 3);
    crash_send(3, "/bin/a", 4, 100, 0);
    crash_take(0);
}


/* what one section cannot hand out */

static void
crash_prepare_rest(void)
{
    crash_prepare_none();

    crash_send(3, "/q/a", 40, 10, 0);
    crash_send(3, "/q/b", 2, 10, 0);
    crash_add_consumer(1, "/q/b", 1);
    crash_add_consumer(0, "/q/a", 30);
    crash_add_consumer(2, "/q/a", 10);
}


/* more than a section can give back */

static void
crash_prepare_many(void)
{
    crash_prepare_none();

    crash_add_consumer(1, "/q/a", 100);
    crash_send(3, "/q/a", 90, 10, 0);
    crash_take(1);
    crash_add_consumer(0, "/q/a", 5);
}


static void
crash_prepare_expired(void)
{
    crash_prepare_none();

    crash_send(1, "/q/a", 1, 100, 0);
    crash_send(1, "/q/a", 2, 100, 1);
    crash_send(1, "/q/a", 1, 6000, 1);
    crash_send(1, "/q/a", 1, 100, 0);
    crash_send(1, "/q/a", 1, 100, 1);
}


/* behind one that has not expired it is not looked at */

static void
crash_prepare_room(void)
{
    crash_prepare_none();

    crash_send(1, "/short/a", 2, 100, 1);
    crash_send(1, "/short/a", 1, 100, 0);
}


static void
crash_prepare_short(void)
{
    crash_prepare_none();

    crash_send(1, "/short/a", 3, 100, 0);
}


static void
crash_prepare_small(void)
{
    crash_prepare_none();

    crash_send(1, "/small/a", 1, 900, 1);
    crash_send(1, "/small/a", 5, 900, 0);
}


/* more has to go than one section drops */

static void
crash_prepare_small_many(void)
{
    crash_prepare_none();

    crash_send(1, "/small/a", 40, 10, 0);
}


static void
crash_prepare_full(void)
{
    crash_prepare_waiting();

    crash_send(1, "/q/b", 100, 3900, 0);
}


static void
crash_prepare_attach(void)
{
    crash_prepare_again();

    crash_b[0].slot = NGX_STOMP_SLOT_NONE;
}


static void
crash_run_new(void)
{
    crash_send(0, "/q/new", 1, 100, 0);
}


static void
crash_run_send(void)
{
    crash_send(0, "/q/a", 1, 100, 0);
}


/* one for each of them, and one for the queue */

static void
crash_run_send_more(void)
{
    crash_send(0, "/q/b", 1, 100, 0);
    crash_send(0, "/q/a", 1, 2000, 0);
    crash_send(0, "/q/b", 1, 100, 0);
    crash_send(0, "/q/a", 1, 100, 0);
}


static void
crash_run_send_large(void)
{
    crash_send(0, "/q/a", 1, 9000, 0);
}


/* to queues, with and without consumers, among topics and what is kept */

static void
crash_run_send_batch(void)
{
    ngx_uint_t               i;
    ngx_stomp_publication_t  p[14];
    static const char       *names[] = { "/q/a", "/all", "/short/a", "/q/new",
                                         "/kept/heard", "/small/a", "/none" };

    for (i = 0; i < 14; i++) {
        p[i] = fixture_publication(names[i % 7], crash_body, i * 200);
        p[i].expires = (i == 7);
    }

    (void) ngx_stomp_broker_publish(&crash_b[0], p, 14);
}


static void
crash_run_send_short(void)
{
    crash_send(0, "/short/a", 1, 100, 0);
}


static void
crash_run_send_small(void)
{
    crash_send(0, "/small/a", 1, 3000, 0);
}


static void
crash_run_send_small_page(void)
{
    crash_send(0, "/small/a", 1, 3900, 0);
}


static void
crash_run_send_page(void)
{
    crash_send(0, "/q/b", 1, 3900, 0);
}


static void
crash_run_consume(void)
{
    crash_add_consumer(0, "/q/a", 4);
    crash_take(0);
}


static void
crash_run_consume_new(void)
{
    crash_add_consumer(0, "/q/new", 4);
}


static void
crash_run_ack(void)
{
    crash_settle(0, 3, NGX_STOMP_SETTLE_ACK);
}


static void
crash_run_nack(void)
{
    crash_settle(0, crash_c[0].n, NGX_STOMP_SETTLE_NACK);
}


static void
crash_run_return(void)
{
    crash_settle(1, crash_c[1].n, NGX_STOMP_SETTLE_RETURN);
}


static void
crash_run_remove(void)
{
    ngx_stomp_broker_consumer_remove(&crash_b[1], crash_c[1].consumer, 1);
}


static void
crash_run_remove_fresh(void)
{
    ngx_stomp_broker_consumer_remove(&crash_b[2], crash_c[2].consumer, 0);
}


static void
crash_run_take(void)
{
    crash_take(0);
    crash_take(2);
}


/* workers 1 to 3 have no process */

static void
crash_run_reap(void)
{
    while (ngx_stomp_broker_reap(&crash_b[0]) == NGX_AGAIN) { /* void */ }
}


static void
crash_run_attach(void)
{
    ngx_stomp_broker_attach(&crash_b[0]);
}


static void
crash_run_detach(void)
{
    ngx_stomp_broker_detach(&crash_b[0]);
}


#define crash_queue(name, prepare, run, add, remove)                          \
    { name, prepare, run,                                                     \
      { .kind = MODEL_UNKNOWN, .come = add, .gone = remove }, NULL }

crash_operation_t  crash_queue_operations[] = {
    crash_queue("queue, new", crash_prepare_none, crash_run_new, 1, 0),
    crash_queue("queue, nobody", crash_prepare_waiting, crash_run_send, 1, 0),
    crash_queue("queue, three pages", crash_prepare_waiting,
                crash_run_send_large, 1, 0),
    crash_queue("queue, dispatch", crash_prepare_ready, crash_run_send_more,
                4, 0),
    crash_queue("queue, dispatch, three pages", crash_prepare_ready,
                crash_run_send_large, 1, 0),
    crash_queue("queue, no credit", crash_prepare_again, crash_run_send, 1,
                0),
    crash_queue("queue, batch", crash_prepare_ready, crash_run_send_batch, 8,
                1),
    crash_queue("queue, batch, refused", crash_prepare_short,
                crash_run_send_batch, 0, 0),
    crash_queue("queue, too long", crash_prepare_short, crash_run_send_short,
                0, 0),
    crash_queue("queue, too large", crash_prepare_small, crash_run_send_small,
                1, 3),
    { "queue, slices of room", crash_prepare_small_many,
      crash_run_send_small_page,
      { .kind = MODEL_UNKNOWN, .come = 1, .gone = 12, .stride = 3 }, NULL },
    crash_queue("queue, expired, for room", crash_prepare_room,
                crash_run_send_short, 1, 1),
    crash_queue("queue, zone is full", crash_prepare_full,
                crash_run_send_page, 0, 0),
    crash_queue("consume, new", crash_prepare_none, crash_run_consume_new, 0,
                0),
    crash_queue("consume", crash_prepare_waiting, crash_run_consume, 0, 0),
    crash_queue("consume, expired", crash_prepare_expired, crash_run_consume,
                0, 4),
    crash_queue("ack", crash_prepare_held, crash_run_ack, 0, 3),
    crash_queue("ack, redelivered", crash_prepare_again, crash_run_ack, 0, 3),
    crash_queue("nack", crash_prepare_held, crash_run_nack, 0, 0),
    crash_queue("return", crash_prepare_again, crash_run_return, 0, 0),
    crash_queue("nack, dead", crash_prepare_dying, crash_run_nack, 0, 2),
    crash_queue("nack, dead, full", crash_prepare_dying_full, crash_run_nack,
                0, 4),
    crash_queue("nack, dropped", crash_prepare_bin, crash_run_nack, 0, 3),
    crash_queue("unconsume", crash_prepare_again, crash_run_remove, 0, 0),
    crash_queue("unconsume, fresh", crash_prepare_held,
                crash_run_remove_fresh, 0, 0),
    crash_queue("take", crash_prepare_rest, crash_run_take, 0, 0),
    crash_queue("reap, consumers", crash_prepare_again, crash_run_reap, 0, 0),
    { "reap, slices of a consumer", crash_prepare_many, crash_run_reap,
      { .kind = MODEL_UNKNOWN, .stride = 13 }, NULL },
    { "unconsume, slices", crash_prepare_many, crash_run_remove,
      { .kind = MODEL_UNKNOWN, .stride = 13 }, NULL },
    crash_queue("attach, consumers", crash_prepare_attach, crash_run_attach,
                0, 0),
    crash_queue("detach, consumers", crash_prepare_again, crash_run_detach,
                0, 0)
};

ngx_uint_t  crash_nqueue_operations = sizeof(crash_queue_operations)
                                      / sizeof(crash_queue_operations[0]);
