
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <queue_ledger.h>


#define LEDGER_BATCH   10
#define LEDGER_WINDOW  30000


/* the start of each body */

typedef struct {
    uint32_t    number;
    uint32_t    len;
} ledger_body_t;


static void ledger_fail(ledger_worker_t *w, const char *fmt, ...);
static void ledger_check(ledger_worker_t *w, ngx_stomp_taken_t *taken,
    ledger_consumer_t *c, uint32_t number);


static ngx_stomp_queue_conf_t  ledger_queues[] = {
    { ngx_string("/q/"), ngx_string("/dead/a"), 0, 0, 4, 0 },
    { ngx_string("/dead/"), ngx_null_string, 0, 0, 0, 0 }
};


static u_char  ledger_body[LEDGER_BATCH][LEDGER_BODY];


ledger_t *
ledger_create(void)
{
    return ngx_stub_shared(sizeof(ledger_t));
}


void
ledger_configure(broker_fixture_t *f)
{
    f->conf.queues.elts = ledger_queues;
    f->conf.queues.nelts = sizeof(ledger_queues) / sizeof(ledger_queues[0]);
}


void
ledger_start(ledger_worker_t *w, ledger_t *ledger, ngx_stomp_broker_t *b)
{
    memset(w, 0, sizeof(ledger_worker_t));

    w->ledger = ledger;
    w->b = b;
    w->number = ngx_atomic_fetch_add(&ledger->workers, 1) + 1;

    if (w->number >= LEDGER_WORKERS) {
        ledger_fail(w, "too many workers");
    }
}


static void
ledger_fail(ledger_worker_t *w, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    vsnprintf(w->ledger->error, sizeof(w->ledger->error), fmt, args);
    va_end(args);

    _exit(2);
}


void
ledger_killed(ledger_t *ledger, ngx_uint_t number)
{
    ledger->dead[number] = 1;

    ngx_memory_barrier();
}


void
ledger_publish(ledger_worker_t *w, const char *name, ngx_uint_t n, size_t max,
    uint64_t expires)
{
    size_t                    k;
    uint32_t                  number;
    ngx_uint_t                i;
    ledger_body_t             head;
    ngx_stomp_publication_t   p[LEDGER_BATCH];

    number = ngx_atomic_fetch_add(&w->ledger->published, n);

    if (number + n > LEDGER_MESSAGES) {
        (void) ngx_atomic_fetch_add(&w->ledger->published, - (long) n);
        return;
    }

    for (i = 0; i < n; i++) {
        head.number = number + i;
        head.len = sizeof(ledger_body_t) + head.number * 37 % max;

        for (k = sizeof(ledger_body_t); k < head.len; k++) {
            ledger_body[i][k] = (u_char) (head.number + k);
        }

        memcpy(ledger_body[i], &head, sizeof(ledger_body_t));

        p[i] = fixture_publication(name, ledger_body[i], head.len);
        p[i].expires = expires;

        w->ledger->messages[head.number].expired = (expires != 0);
    }

    if (ngx_stomp_broker_publish(w->b, p, n) != NGX_OK) {
        (void) ngx_atomic_fetch_add(&w->ledger->refused, n);
        return;
    }

    for (i = 0; i < n; i++) {
        w->ledger->messages[number + i].accepted = 1;
    }
}


void
ledger_subscribe(ledger_worker_t *w, ngx_uint_t i, const char *name,
    ngx_uint_t credit)
{
    ngx_str_t           str;
    ledger_consumer_t  *c;

    c = &w->consumers[i];

    if (c->consumer) {
        return;
    }

    str = fixture_str(name);

    c->n = 0;
    c->dead = (name[1] == 'd');
    c->credit = credit;
    c->consumer = ngx_stomp_broker_consume(w->b, &str, (uint32_t) i,
                                           (uint32_t) credit, LEDGER_WINDOW);
}


void
ledger_consume(ledger_worker_t *w, ngx_stomp_taken_t *taken,
    ngx_stomp_message_t *m)
{
    uint32_t            i;
    ledger_body_t       head;
    ledger_consumer_t  *c;
    static u_char       body[LEDGER_BODY];

    c = &w->consumers[taken->tag];

    if (taken->consumer != c->consumer || m->headers != 4
        || m->body < sizeof(ledger_body_t) || m->body > LEDGER_BODY)
    {
        ledger_fail(w, "message %llu is damaged", (long long) m->sequence);
    }

    (void) ngx_stomp_message_read(&w->b->zone, m, body, 4);
    (void) ngx_stomp_message_read(&w->b->zone, m, body, m->body);
    memcpy(&head, body, sizeof(ledger_body_t));

    if (head.len != m->body || head.number >= LEDGER_MESSAGES) {
        ledger_fail(w, "message %llu is another", (long long) m->sequence);
    }

    for (i = sizeof(ledger_body_t); i < head.len; i++) {
        if (body[i] != (u_char) (head.number + i)) {
            ledger_fail(w, "octet %u of message %u is wrong", i, head.number);
        }
    }

    ledger_check(w, taken, c, head.number);

    c->numbers[c->n] = head.number;
    c->items[c->n++].entry = taken->entry;
}


static void
ledger_check(ledger_worker_t *w, ngx_stomp_taken_t *taken,
    ledger_consumer_t *c, uint32_t number)
{
    ledger_t          *ledger;
    ngx_uint_t         who;
    ledger_message_t  *message;

    ledger = w->ledger;
    message = &ledger->messages[number];

    if (c->n == c->credit) {
        ledger_fail(w, "message %u is one more than the credit", number);
    }

    if (message->expired) {
        ledger_fail(w, "message %u has expired", number);
    }

    who = message->holder;

    if (who && !ledger->dead[who]) {
        ledger_fail(w, "message %u is with worker %u", number, (unsigned) who);
    }

    who = message->acked;

    if (who && !ledger->dead[who]) {
        ledger_fail(w, "message %u was acknowledged by worker %u", number,
                    (unsigned) who);
    }

    message->holder = w->number;

    if (ngx_atomic_fetch_add(&message->times[c->dead], 1)
        && !taken->redelivered)
    {
        ledger_fail(w, "message %u comes again, not flagged", number);
    }

    (void) ngx_atomic_fetch_add(&ledger->delivered, 1);
    (void) ngx_atomic_fetch_add(&ledger->redelivered, taken->redelivered);
}


/* whoever is given it next may be faster: the ledger is written first */

void
ledger_settle(ledger_worker_t *w, ngx_uint_t i, ngx_uint_t n,
    ngx_stomp_settle_e how)
{
    ngx_uint_t          k;
    ledger_message_t   *message;
    ledger_consumer_t  *c;

    c = &w->consumers[i];
    n = ngx_min(n, c->n);

    if (n == 0) {
        return;
    }

    for (k = 0; k < n; k++) {
        c->items[k].how = how;

        message = &w->ledger->messages[c->numbers[k]];

        if (how == NGX_STOMP_SETTLE_ACK) {
            message->acked = w->number;
        }

        ngx_memory_barrier();
        message->holder = 0;
    }

    ngx_stomp_broker_settle(w->b, c->items, n);

    if (how == NGX_STOMP_SETTLE_ACK) {
        (void) ngx_atomic_fetch_add(&w->ledger->acked, n);
    }

    c->n -= n;
    memmove(c->items, &c->items[n], c->n * sizeof(c->items[0]));
    memmove(c->numbers, &c->numbers[n], c->n * sizeof(c->numbers[0]));
}


void
ledger_unsubscribe(ledger_worker_t *w, ngx_uint_t i, ngx_uint_t counted)
{
    ngx_uint_t          k;
    ledger_consumer_t  *c;

    c = &w->consumers[i];

    if (c->consumer == 0) {
        return;
    }

    for (k = 0; k < c->n; k++) {
        w->ledger->messages[c->numbers[k]].holder = 0;
    }

    ngx_stomp_broker_consumer_remove(w->b, c->consumer, counted);

    c->consumer = 0;
    c->n = 0;
}


void
ledger_stop(ledger_worker_t *w)
{
    ngx_uint_t  i, k;

    for (i = 0; i < LEDGER_CONSUMERS; i++) {
        for (k = 0; k < w->consumers[i].n; k++) {
            w->ledger->messages[w->consumers[i].numbers[k]].holder = 0;
        }
    }
}


static void
ledger_subscribe_any(ledger_worker_t *w, ngx_uint_t i)
{
    static const char  *names[LEDGER_CONSUMERS] = {
        "/q/a", "/q/b", "/dead/a"
    };

    ledger_subscribe(w, i, names[i], 4 + i);
}


void
ledger_step(ledger_worker_t *w, uint64_t *random, ngx_uint_t waiting)
{
    uint32_t    what;
    ngx_uint_t  i;

    what = fixture_random(random);
    i = what / 16 % LEDGER_CONSUMERS;

    switch (what % 16) {

    case 0:
        ledger_subscribe_any(w, i);
        break;

    case 1:
        if (what / 64 % 8 == 0) {
            ledger_unsubscribe(w, i, what / 512 % 2);
        }

        break;

    case 2:
        ledger_settle(w, i, 3, NGX_STOMP_SETTLE_NACK);
        break;

    case 3:
        ledger_settle(w, i, 3, NGX_STOMP_SETTLE_RETURN);
        break;

    case 4:
    case 5:
    case 6:
    case 7:
        if (w->b->zone.sh->queues.waiting < waiting) {
            ledger_publish(w, i ? "/q/a" : "/q/b", i * 2 + 1, i ? 500 : 9000,
                           what / 64 % 16 == 0);
        }

        break;

    default:
        ledger_settle(w, i, LEDGER_HELD, NGX_STOMP_SETTLE_ACK);
    }
}


void
ledger_empty(ledger_worker_t *w)
{
    uint32_t           left;
    ngx_uint_t         i;
    ngx_stomp_zone_t  *zone;

    zone = &w->b->zone;

    do {
        (void) ngx_stomp_broker_reap(w->b);
        (void) ngx_stomp_broker_drain(w->b);

        for (i = 0; i < LEDGER_CONSUMERS; i++) {
            ledger_subscribe_any(w, i);
            ledger_settle(w, i, LEDGER_HELD, NGX_STOMP_SETTLE_ACK);
        }

        ngx_stomp_zone_lock(zone);
        left = zone->sh->queues.waiting + zone->sh->queues.unsettled;
        ngx_stomp_zone_unlock(zone);

        usleep(100);

    } while (left);
}


ngx_uint_t
ledger_lost(ledger_t *ledger)
{
    ngx_uint_t         i, lost;
    ledger_message_t  *message;

    lost = 0;

    for (i = 0; i < ledger->published; i++) {
        message = &ledger->messages[i];

        if (message->accepted && !message->acked && !message->expired) {
            lost++;
        }
    }

    return lost;
}
