
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <zone_model_kept.h>


/* of the broker's documents */

#define MODEL_DRAIN_MESSAGES  64
#define MODEL_DRAIN_OCTETS    (256 * 1024)
#define MODEL_SLICE           128
#define MODEL_PAGE            4096
#define MODEL_TRIM            2


static ngx_int_t model_step(zone_model_t *m, model_op_t *op, model_see_pt see);
static void model_subscribe(zone_model_t *m, model_op_t *op);
static void model_unsubscribe(zone_model_t *m, model_op_t *op);
static ngx_int_t model_publish(zone_model_t *m, model_op_t *op,
    model_see_pt see);
static ngx_int_t model_link(zone_model_t *m, model_op_t *op);
static uint32_t model_hearers(zone_model_t *m, ngx_uint_t dest,
    ngx_uint_t *audience);
static void model_match(zone_model_t *m, ngx_uint_t dest);
static uint32_t model_patterns(zone_model_t *m);
static ngx_uint_t model_is_pattern(zone_model_t *m, ngx_uint_t dest);
static ngx_uint_t model_matches(const char *pattern, const char *name);
static void model_less(zone_model_t *m, ngx_uint_t slot, ngx_uint_t dest,
    uint32_t count);
static void model_changed(zone_model_t *m);
static ngx_uint_t model_forget(zone_model_t *m);
static void model_push(zone_model_t *m, model_op_t *op, ngx_uint_t slot,
    model_delivery_t *what);
static void model_take(model_op_t *op, model_slot_t *slot, ngx_uint_t n);
static ngx_int_t model_drain(zone_model_t *m, model_op_t *op);
static void model_reclaim(zone_model_t *m, model_op_t *op, model_see_pt see);
static ngx_int_t model_reap(zone_model_t *m, model_op_t *op, model_see_pt see);
static ngx_int_t model_reap_slice(zone_model_t *m, ngx_uint_t n);
static void model_reap_all(zone_model_t *m, ngx_uint_t n, model_see_pt see);
static void model_session_remove(model_slot_t *slot, uint64_t id);
static ngx_uint_t model_release(model_list_t *list, ngx_uint_t n);


void
model_apply(zone_model_t *m, model_op_t *op, model_see_pt see)
{
    ngx_uint_t  i;

    op->handed = 0;
    op->content = 0;
    op->overrun = 0;

    for (i = 0; i < op->n; i++) {
        op->p[i].subscribers = 0;
        op->p[i].sequence = 0;
    }

    do {
        op->rc = model_step(m, op, see);
        see(m);

    } while (op->repeat && op->rc == NGX_AGAIN);
}


static ngx_int_t
model_step(zone_model_t *m, model_op_t *op, model_see_pt see)
{
    model_slot_t  *own;

    own = &m->slots[op->worker];

    if (op->path != MODEL_DIRECT) {
        model_reclaim(m, op, see);
    }

    if (op->path == MODEL_REFUSED) {
        return NGX_BUSY;
    }

    switch (op->kind) {

    case MODEL_ATTACH:
        model_reap_all(m, op->worker, see);
        own->state = NGX_STOMP_SLOT_LIVE;
        own->generation = op->generation;
        own->drained = m->sequence;
        break;

    case MODEL_DETACH:
        model_reap_all(m, op->worker, see);
        break;

    case MODEL_SUBSCRIBE:
        model_subscribe(m, op);
        break;

    case MODEL_UNSUBSCRIBE:
        model_unsubscribe(m, op);
        break;

    case MODEL_PUBLISH:
        return model_publish(m, op, see);

    case MODEL_DRAIN:
        return model_drain(m, op);

    case MODEL_RECLAIM:
        model_reclaim(m, op, see);
        break;

    case MODEL_SESSION_ADD:
        own->sessions[own->nsessions++] = op->session;
        break;

    case MODEL_SESSION_REMOVE:
        model_session_remove(own, op->session);
        break;

    case MODEL_REAP:
        return model_reap(m, op, see);

    case MODEL_SWEEP:
        model_evict(m);
        return m->nhistory ? NGX_AGAIN : NGX_OK;

    case MODEL_REPLAY:
        return model_replay(m, op, see);

    case MODEL_STAT:
    case MODEL_UNKNOWN:
        break;
    }

    return NGX_OK;
}


uint32_t
model_subscribers(zone_model_t *m, ngx_uint_t dest)
{
    uint32_t    n;
    ngx_uint_t  i;

    n = 0;

    for (i = 0; i < MODEL_SLOTS; i++) {
        n += m->slots[i].counts[dest];
    }

    return n;
}


ngx_uint_t
model_dest(zone_model_t *m, const void *name, size_t len)
{
    ngx_uint_t  i;

    for (i = 0; i < MODEL_DESTS; i++) {
        if (m->names[i]
            && strlen(m->names[i]) == len
            && memcmp(m->names[i], name, len) == 0)
        {
            return i;
        }
    }

    abort();
}


static void
model_subscribe(zone_model_t *m, model_op_t *op)
{
    ngx_uint_t  dest;

    dest = model_dest(m, op->name, strlen(op->name));

    if (!model_exists(m, dest)) {
        memset(&m->dests[dest], 0, sizeof(model_dest_t));
        m->dests[dest].id = ++m->destination;
        m->dests[dest].last = m->sequence;
    }

    if (model_is_pattern(m, dest) && m->slots[op->worker].counts[dest] == 0) {
        model_changed(m);
    }

    m->slots[op->worker].counts[dest]++;
}


static void
model_unsubscribe(zone_model_t *m, model_op_t *op)
{
    ngx_uint_t  dest;

    dest = model_dest(m, op->name, strlen(op->name));

    model_less(m, op->worker, dest, op->count);
}


ngx_uint_t
model_exists(zone_model_t *m, ngx_uint_t dest)
{
    return (m->dests[dest].known || model_subscribers(m, dest) != 0
            || model_has_kept(m, dest));
}


static ngx_uint_t
model_is_pattern(zone_model_t *m, ngx_uint_t dest)
{
    return (m->names[dest] && strchr(m->names[dest], '*') != NULL);
}


/* patterns that have a subscription */

static uint32_t
model_patterns(zone_model_t *m)
{
    uint32_t    n;
    ngx_uint_t  i;

    for (i = 0, n = 0; i < MODEL_DESTS; i++) {
        n += (model_is_pattern(m, i) && model_subscribers(m, i) != 0);
    }

    return n;
}


/* segment for segment: as it is written in the documents, not for speed */

static ngx_uint_t
model_matches(const char *pattern, const char *name)
{
    size_t  p, n;

    if (strcmp(pattern, "/**") == 0) {
        return 1;
    }

    if (*pattern == '\0' || *name == '\0') {
        return (*pattern == *name);
    }

    p = 1 + strcspn(pattern + 1, "/");
    n = 1 + strcspn(name + 1, "/");

    if (p == 2 && pattern[1] == '*') {
        return n > 1 && model_matches(pattern + p, name + n);
    }

    return p == n && memcmp(pattern, name, n) == 0
           && model_matches(pattern + p, name + n);
}


/*
 * Subscriptions of a worker end.  What is known of a name stays, if patterns
 * have heard it.
 */

static void
model_less(zone_model_t *m, ngx_uint_t slot, ngx_uint_t dest, uint32_t count)
{
    if (count == 0) {
        return;
    }

    m->slots[slot].counts[dest] -= count;

    if (model_is_pattern(m, dest) && m->slots[slot].counts[dest] == 0) {
        model_changed(m);
    }

    model_release_dest(m, dest);
}


void
model_release_dest(zone_model_t *m, ngx_uint_t dest)
{
    if (model_subscribers(m, dest) == 0 && !model_has_kept(m, dest)
        && m->dests[dest].matched == 0)
    {
        m->dests[dest].known = 0;
    }
}


static void
model_changed(zone_model_t *m)
{
    ngx_uint_t  i;

    for (i = 0; i < MODEL_DESTS; i++) {
        m->dests[i].fresh = 0;
    }
}


/* returns how many names were known */

static ngx_uint_t
model_forget(zone_model_t *m)
{
    ngx_uint_t  i, n;

    for (i = 0, n = 0; i < MODEL_DESTS; i++) {
        n += m->dests[i].known;
        m->dests[i].known = 0;
        m->dests[i].fresh = 0;
        m->dests[i].matched = 0;
    }

    return n;
}


/* finds out what a name matches, if that isn't known any more */

static void
model_match(zone_model_t *m, ngx_uint_t dest)
{
    uint32_t       n;
    ngx_uint_t     i;
    model_dest_t  *d;

    d = &m->dests[dest];

    if (d->known && d->fresh) {
        return;
    }

    for (i = 0, n = 0; i < MODEL_DESTS; i++) {
        n += (model_is_pattern(m, i)
              && model_subscribers(m, i) != 0
              && model_matches(m->names[i], m->names[dest]));
    }

    if (n == 0 && model_subscribers(m, dest) == 0) {
        d->known = 0;
        d->fresh = 0;
        d->matched = 0;
        return;
    }

    if (!model_exists(m, dest)) {
        memset(d, 0, sizeof(model_dest_t));
        d->id = ++m->destination;
        d->last = m->sequence;
    }

    d->known = 1;
    d->fresh = 1;
    d->matched = n;
}


static ngx_int_t
model_publish(zone_model_t *m, model_op_t *op, model_see_pt see)
{
    ngx_uint_t                i, n, one;
    static zone_model_t       before;
    ngx_stomp_publication_t  *p;

    if (model_patterns(m)) {
        for (i = 0; i < op->n; i++) {
            p = &op->p[i];
            model_match(m, model_dest(m, p->destination.data,
                                      p->destination.len));
        }

        see(m);
    }

    before = *m;

    if (model_link(m, op) != NGX_OK) {
        *m = before;
        return NGX_BUSY;
    }

    p = op->p;

    one = (op->n == 1
           && model_octets(p, p->expires || model_keeps(m, p)) <= MODEL_PAGE);

    if (one) {
        (void) model_trim(m, p, MODEL_TRIM);
        (void) model_room(m);
        return NGX_OK;
    }

    /* what is too much then goes in sections of its own */

    see(m);

    for (i = 0; i < op->n; i++) {
        do {
            n = model_trim(m, &op->p[i], MODEL_KEPT);
            see(m);
        } while (n);
    }

    do {
        n = model_room(m);
        see(m);
    } while (n);

    return NGX_OK;
}


/* the section in which the messages come into being */

static ngx_int_t
model_link(zone_model_t *m, model_op_t *op)
{
    uint32_t                  wanted[MODEL_BATCH];
    uint64_t                  hash, first;
    ngx_uint_t                i, slot, dest, audience[MODEL_SLOTS];
    model_kept_t              message;
    model_delivery_t          what;
    ngx_stomp_publication_t  *p;

    memset(&what, 0, sizeof(model_delivery_t));
    memset(&message, 0, sizeof(model_kept_t));
    memset(audience, 0, sizeof(audience));

    (void) model_release(&m->slots[op->worker].inhand, MODEL_DRAIN_MESSAGES);

    first = m->sequence;

    for (i = 0; i < op->n; i++) {
        p = &op->p[i];
        dest = model_dest(m, p->destination.data, p->destination.len);

        p->sequence = first + 1 + i;
        p->subscribers = model_hearers(m, dest, audience);
        wanted[i] = (p->subscribers || model_length(m, p) || p->retain);

        if (p->subscribers > model_subscribers(m, dest)) {
            m->matched = first + op->n;
        }

        if (wanted[i]) {
            what.bytes += model_octets(p, p->expires || model_keeps(m, p));
            message.batch = message.batch ? message.batch : p->sequence;
        }
    }

    for (i = 0; i < op->n; i++) {
        p = &op->p[i];
        dest = model_dest(m, p->destination.data, p->destination.len);

        model_number(m, p, dest, first);

        if (!wanted[i]) {
            continue;
        }

        hash = model_hash(0, p->headers.data, p->headers.len);
        hash = model_hash(hash, p->body.data, p->body.len);

        message.bytes = what.bytes;
        message.content = model_message_hash(p->sequence,
                              model_exists(m, dest) || model_keeps(m, p)
                              ? m->dests[dest].id : 0,
                              p->flags, p->headers.len, p->body.len, hash);

        what.last = p->sequence;
        what.count++;
        what.content += message.content;

        if (model_keep(m, p, dest, &message) != NGX_OK) {
            return NGX_BUSY;
        }
    }

    m->sequence += op->n;
    m->published += op->n;

    for (slot = 0; slot < MODEL_SLOTS; slot++) {
        if (audience[slot]) {
            model_push(m, op, slot, &what);
        }
    }

    return NGX_OK;
}


/* returns the subscriptions that hear a name; adds their workers */

static uint32_t
model_hearers(zone_model_t *m, ngx_uint_t dest, ngx_uint_t *audience)
{
    uint32_t    hearers;
    ngx_uint_t  n, slot;

    hearers = 0;

    for (n = 0; n < MODEL_DESTS; n++) {

        if (n != dest
            && !(model_is_pattern(m, n)
                 && model_matches(m->names[n], m->names[dest])))
        {
            continue;
        }

        hearers += model_subscribers(m, n);

        for (slot = 0; slot < MODEL_SLOTS; slot++) {
            audience[slot] |= (m->slots[slot].counts[n] != 0);
        }
    }

    return hearers;
}


static void
model_push(zone_model_t *m, model_op_t *op, ngx_uint_t n,
    model_delivery_t *what)
{
    uint64_t       bytes;
    ngx_uint_t     i;
    model_slot_t  *slot;

    slot = &m->slots[n];

    if (slot->state != NGX_STOMP_SLOT_LIVE || slot->overrun) {
        return;
    }

    bytes = what->bytes;

    for (i = 0; i < slot->inbox.n; i++) {
        bytes += slot->inbox.items[i].bytes;
    }

    if (slot->inbox.n && bytes > m->inbox_size) {
        slot->overrun = 1;
        return;
    }

    if (slot->inbox.n == MODEL_DELIVERIES) {
        abort();
    }

    slot->inbox.items[slot->inbox.n++] = *what;

    if (n != op->worker) {
        slot->awake = 1;

    } else if (slot->inbox.n == 1 && slot->inhand.n == 0) {
        model_take(op, slot, 1);
    }
}


/* from the inbox in hand: at most so many messages, at least one delivery */

static void
model_take(model_op_t *op, model_slot_t *slot, ngx_uint_t n)
{
    uint32_t           count, bytes;
    ngx_uint_t         i;
    model_delivery_t  *item;

    count = 0;
    bytes = 0;

    for (i = 0; i < slot->inbox.n; i++) {
        item = &slot->inbox.items[i];

        count += item->count;
        bytes += item->bytes;

        if (i && (count > n || bytes > MODEL_DRAIN_OCTETS)) {
            break;
        }

        slot->inhand.items[slot->inhand.n++] = *item;
        slot->drained = item->last;

        op->handed += item->count;
        op->content += item->content;
    }

    (void) model_release(&slot->inbox, i);
}


static ngx_int_t
model_drain(zone_model_t *m, model_op_t *op)
{
    model_slot_t  *slot;

    slot = &m->slots[op->worker];

    (void) model_release(&slot->inhand, MODEL_DRAIN_MESSAGES);

    if (slot->overrun) {
        (void) model_release(&slot->inbox, MODEL_SLICE);

        if (slot->inbox.n == 0) {
            op->overrun++;
            op->drained = slot->drained;

            slot->drained = m->sequence;
            slot->overrun = 0;
        }

    } else if (slot->inhand.n == 0) {
        model_take(op, slot, MODEL_DRAIN_MESSAGES);
    }

    slot->awake = (slot->inbox.n || slot->inhand.n);

    return slot->awake ? NGX_AGAIN : NGX_OK;
}


/* what can be had back before an operation is refused */

static void
model_reclaim(zone_model_t *m, model_op_t *op, model_see_pt see)
{
    ngx_uint_t  i, n, sections;

    sections = 0;

    do {
        n = model_release(&m->slots[op->worker].inhand, MODEL_DRAIN_MESSAGES);

        for (i = 0; i < MODEL_SLOTS; i++) {
            if (m->slots[i].overrun && m->slots[i].inbox.n) {
                n += model_release(&m->slots[i].inbox, MODEL_SLICE);
                break;
            }
        }

        if (sections++ == 1) {
            n += model_evict(m);

        } else {
            n += model_forget(m);
        }

        see(m);

    } while (n || sections == 1);
}


/* a slice of each slot whose owner is dead */

static ngx_int_t
model_reap(zone_model_t *m, model_op_t *op, model_see_pt see)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    rc = NGX_OK;

    /* nobody asks for it any more */

    if (model_patterns(m) == 0 && model_forget(m)) {
        rc = NGX_AGAIN;
        see(m);
    }

    for (i = 0; i < MODEL_SLOTS; i++) {

        if (i == op->worker || !(op->dead & (1U << i))) {
            continue;
        }

        if (model_reap_slice(m, i) == NGX_AGAIN) {
            rc = NGX_AGAIN;
        }

        see(m);
    }

    return rc;
}


static ngx_int_t
model_reap_slice(zone_model_t *m, ngx_uint_t number)
{
    ngx_uint_t     i, n;
    model_slot_t  *slot;

    slot = &m->slots[number];

    if (slot->state == NGX_STOMP_SLOT_FREE) {
        return NGX_OK;
    }

    slot->state = NGX_STOMP_SLOT_REAPING;

    if (slot->inhand.n) {
        (void) model_release(&slot->inhand, MODEL_SLICE);
        return NGX_AGAIN;
    }

    if (slot->inbox.n) {
        (void) model_release(&slot->inbox, MODEL_SLICE);
        return NGX_AGAIN;
    }

    if (slot->replays) {
        slot->replays = 0;
        slot->ntaken = 0;
        return NGX_AGAIN;
    }

    /* there are never so many of these that a slice were too short */

    for (i = 0, n = 0; i < MODEL_DESTS; i++) {
        n += slot->counts[i];
        model_less(m, number, i, slot->counts[i]);
    }

    if (n) {
        return NGX_AGAIN;
    }

    if (slot->nsessions) {
        slot->nsessions = 0;
        return NGX_AGAIN;
    }

    slot->state = NGX_STOMP_SLOT_FREE;
    slot->awake = 0;
    slot->overrun = 0;

    return NGX_OK;
}


static void
model_reap_all(zone_model_t *m, ngx_uint_t n, model_see_pt see)
{
    while (model_reap_slice(m, n) == NGX_AGAIN) {
        see(m);
    }
}


static void
model_session_remove(model_slot_t *slot, uint64_t id)
{
    ngx_uint_t  i;

    for (i = 0; slot->sessions[i] != id; i++) { /* void */ }

    slot->sessions[i] = slot->sessions[--slot->nsessions];
}


/* the first n of a list; returns how many there were */

static ngx_uint_t
model_release(model_list_t *list, ngx_uint_t n)
{
    n = ngx_min(n, list->n);

    list->n -= n;
    memmove(&list->items[0], &list->items[n],
            list->n * sizeof(model_delivery_t));

    return n;
}
