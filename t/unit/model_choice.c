
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <model_choice.h>


#define MODEL_BODY  32768


static model_worker_t *model_choose_worker(model_choice_t *c);
static model_kind_e model_choose_kind(model_choice_t *c, model_slot_t *slot);
static void model_choose_publications(model_choice_t *c, model_op_t *op);
static ngx_uint_t model_choose_interest(model_choice_t *c, model_slot_t *slot,
    ngx_uint_t *dest);
static ngx_uint_t model_crowded(model_choice_t *c);


/* of different lengths, and so of different sizes in the zone */

const char  *model_names[MODEL_DESTS] = {
    "/a", "/topic/b", "/topic/a/destination/with/quite/a/long/name",
    "/topic/c", "/topic/d", "/topic/one/more/that/is/rather/long/or/so",
    "/topic/e", "/topic/f", "/g", "/topic/nobody/ever/hears/this"
};

#define MODEL_HEARD  9               /* the last one is never subscribed to */

static u_char  model_body[2 * MODEL_BODY];


void
model_choice_init(void)
{
    uint64_t    random;
    ngx_uint_t  i;

    random = 1;

    for (i = 0; i < sizeof(model_body); i++) {
        model_body[i] = (u_char) fixture_random(&random);
    }
}


model_worker_t *
model_choose(model_choice_t *c)
{
    ngx_uint_t       n, dest;
    model_op_t      *op;
    model_slot_t    *slot;
    model_worker_t  *w;

    w = model_choose_worker(c);
    slot = &c->m.slots[w->slot];
    op = &model_call->op;

    memset(op, 0, sizeof(model_op_t));
    op->worker = w->slot;
    op->kind = model_choose_kind(c, slot);

    if (!w->attached) {
        op->kind = MODEL_ATTACH;
    }

    switch (op->kind) {

    case MODEL_ATTACH:
        op->generation = w->generation;
        break;

    case MODEL_SUBSCRIBE:
        op->name = model_names[fixture_random(&c->random) % MODEL_HEARD];
        break;

    case MODEL_UNSUBSCRIBE:
        op->count = model_choose_interest(c, slot, &dest);

        if (op->count == 0) {
            op->kind = MODEL_SUBSCRIBE;
            op->name = model_names[0];
            break;
        }

        op->name = model_names[dest];
        op->count = 1 + fixture_random(&c->random) % op->count;
        model_call->handle = c->interests[w->slot][dest];
        break;

    case MODEL_PUBLISH:
        model_choose_publications(c, op);
        break;

    case MODEL_DRAIN:
        op->repeat = fixture_random(&c->random) % 4 == 0;
        break;

    case MODEL_SESSION_ADD:
        op->session = ++c->session;
        break;

    case MODEL_SESSION_REMOVE:
        n = fixture_random(&c->random) % slot->nsessions;
        op->session = slot->sessions[n];
        model_call->handle = c->offsets[op->session];
        break;

    case MODEL_REAP:
        op->dead = model_dead(c);
        break;

    default:
        break;
    }

    return w;
}


/* one that lives, or a new one */

static model_worker_t *
model_choose_worker(model_choice_t *c)
{
    ngx_uint_t  i, n;

    n = fixture_random(&c->random) % MODEL_WORKERS;

    /* others may see the dead before they are replaced */

    for (i = 0; i < MODEL_WORKERS; i++, n = (n + 1) % MODEL_WORKERS) {

        if (c->workers[n].pid) {
            return &c->workers[n];
        }

        if (fixture_random(&c->random) % 4 == 0) {
            break;
        }
    }

    model_worker_start(&c->workers[n]);

    return &c->workers[n];
}


static model_kind_e
model_choose_kind(model_choice_t *c, model_slot_t *slot)
{
    uint32_t  what;

    what = fixture_random(&c->random) % 100;

    if (what < c->eager) {
        return MODEL_DRAIN;
    }

    what = fixture_random(&c->random) % 100;

    if (what < 15) {
        return MODEL_SUBSCRIBE;
    }

    if (what < 22) {
        return MODEL_UNSUBSCRIBE;
    }

    if (what < 32) {
        return (c->session + 1 < 65536 && slot->nsessions < MODEL_SESSIONS)
               ? MODEL_SESSION_ADD : MODEL_DRAIN;
    }

    if (what < 37) {
        return slot->nsessions ? MODEL_SESSION_REMOVE : MODEL_SESSION_ADD;
    }

    if (what < 41) {
        return MODEL_REAP;
    }

    if (what < 42) {
        return MODEL_DETACH;
    }

    if (what < 43) {
        return MODEL_STAT;
    }

    if (what < 44) {
        return MODEL_RECLAIM;
    }

    return model_crowded(c) ? MODEL_DRAIN : MODEL_PUBLISH;
}


static void
model_choose_publications(model_choice_t *c, model_op_t *op)
{
    size_t       len, max;
    uint32_t     what;
    ngx_uint_t   i, dest, tries;

    what = fixture_random(&c->random) % 100;

    op->n = 1;
    max = 200;

    if (what < 15) {
        op->n = 2 + fixture_random(&c->random) % (MODEL_BATCH - 1);
        max = (what < 3) ? 3000 : 300;

    } else if (what < 25) {
        max = MODEL_BODY;

    } else if (what < 55) {
        max = 4000;
    }

    for (i = 0; i < op->n; i++) {
        len = fixture_random(&c->random) % max;

        /* mostly one that is heard */

        for (tries = 0; tries < 4; tries++) {
            dest = fixture_random(&c->random) % (MODEL_HEARD + 1);

            if (model_subscribers(&c->m, dest)) {
                break;
            }
        }

        op->p[i] = fixture_publication(model_names[dest],
            model_body + fixture_random(&c->random) % MODEL_BODY, len);
        op->p[i].flags = fixture_random(&c->random) % 8;
    }
}


/* returns the subscriptions of a slot to a destination that it has */

static ngx_uint_t
model_choose_interest(model_choice_t *c, model_slot_t *slot, ngx_uint_t *dest)
{
    ngx_uint_t  i, start;

    start = fixture_random(&c->random) % MODEL_DESTS;

    for (i = 0; i < MODEL_DESTS; i++) {
        *dest = (start + i) % MODEL_DESTS;

        if (slot->counts[*dest]) {
            return slot->counts[*dest];
        }
    }

    return 0;
}


/* 1 if the model has no room for more */

static ngx_uint_t
model_crowded(model_choice_t *c)
{
    ngx_uint_t  i;

    for (i = 0; i < MODEL_SLOTS; i++) {
        if (c->m.slots[i].inbox.n == MODEL_DELIVERIES) {
            return 1;
        }
    }

    return 0;
}


uint32_t
model_dead(model_choice_t *c)
{
    uint32_t         dead;
    ngx_uint_t       i;
    model_worker_t  *w;

    dead = (1U << MODEL_SLOTS) - 1;

    for (i = 0; i < MODEL_WORKERS; i++) {
        w = &c->workers[i];

        if (w->pid && c->m.slots[w->slot].generation == w->generation) {
            dead &= ~(1U << w->slot);
        }
    }

    return dead;
}


const char *
model_describe(model_op_t *op)
{
    static char         text[256];
    static const char  *names[] = {
        "attach", "detach", "subscribe", "unsubscribe", "publish", "drain",
        "reclaim", "session add", "session remove", "reap", "stat"
    };

    snprintf(text, sizeof(text), "worker %u: %s%s%s, %u messages (first %zu "
             "octets)", (unsigned) op->worker, names[op->kind],
             op->name ? " " : "", op->name ? op->name : "", (unsigned) op->n,
             op->n ? op->p[0].body.len : 0);

    return text;
}
