
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <zone_model_kept.h>


#define MODEL_EVICT  32


static ngx_uint_t model_over(zone_model_t *m, ngx_stomp_publication_t *p,
    ngx_uint_t dest, uint32_t bytes);
static void model_history_drop(zone_model_t *m, ngx_uint_t n);
static ngx_uint_t model_history_length(zone_model_t *m, ngx_uint_t dest);
static void model_retain_drop(zone_model_t *m, ngx_uint_t dest);
static uint64_t model_kept_bytes(zone_model_t *m);


uint32_t
model_length(zone_model_t *m, ngx_stomp_publication_t *p)
{
    size_t       longest;
    uint32_t     length;
    ngx_str_t   *prefix;
    ngx_uint_t   i;

    longest = 0;
    length = 0;

    for (i = 0; i < m->nrules; i++) {
        prefix = &m->rules[i].prefix;

        if (prefix->len > longest && prefix->len <= p->destination.len
            && memcmp(prefix->data, p->destination.data, prefix->len) == 0)
        {
            longest = prefix->len;
            length = m->rules[i].length;
        }
    }

    return length;
}


ngx_uint_t
model_keeps(zone_model_t *m, ngx_stomp_publication_t *p)
{
    return model_length(m, p) || (p->retain && p->body.len);
}


ngx_uint_t
model_has_kept(zone_model_t *m, ngx_uint_t dest)
{
    return m->dests[dest].retained.sequence
           || model_history_length(m, dest) != 0;
}


void
model_number(zone_model_t *m, ngx_stomp_publication_t *p, ngx_uint_t dest,
    uint64_t before)
{
    model_dest_t  *d;

    d = &m->dests[dest];

    if (!model_exists(m, dest)) {

        if (!model_keeps(m, p)) {
            return;
        }

        memset(d, 0, sizeof(model_dest_t));
        d->id = ++m->destination;
        d->last = before;
    }

    if (model_length(m, p)) {

        if (d->stored != d->last) {
            d->lost = d->last;
        }

        d->stored = p->sequence;
    }

    d->last = p->sequence;
}


ngx_int_t
model_keep(zone_model_t *m, ngx_stomp_publication_t *p, ngx_uint_t dest,
    model_kept_t *message)
{
    if (model_over(m, p, dest, message->bytes)) {
        return NGX_BUSY;
    }

    message->dest = dest;
    message->sequence = p->sequence;

    if (model_length(m, p)) {

        if (m->nhistory == MODEL_KEPT) {
            abort();
        }

        m->history[m->nhistory++] = *message;
    }

    if (p->retain) {

        if (p->body.len) {
            m->dests[dest].retained = *message;

        } else {
            model_retain_drop(m, dest);
        }
    }

    return NGX_OK;
}


/* too much is retained */

static ngx_uint_t
model_over(zone_model_t *m, ngx_stomp_publication_t *p, ngx_uint_t dest,
    uint32_t bytes)
{
    uint64_t    total;
    ngx_uint_t  i, n;

    if (!p->retain || p->body.len == 0) {
        return 0;
    }

    total = bytes;

    for (i = 0, n = 0; i < MODEL_DESTS; i++) {
        if (i != dest && m->dests[i].retained.sequence) {
            total += m->dests[i].retained.bytes;
            n++;
        }
    }

    return n >= m->max_retained || total > m->history_size;
}


ngx_uint_t
model_trim(zone_model_t *m, ngx_stomp_publication_t *p, ngx_uint_t max)
{
    ngx_uint_t  i, n, dest, length;

    length = model_length(m, p);
    dest = model_dest(m, p->destination.data, p->destination.len);

    if (length == 0) {
        return 0;
    }

    for (n = 0; n < max && model_history_length(m, dest) > length; n++) {

        for (i = 0; m->history[i].dest != dest; i++) { /* void */ }

        model_history_drop(m, i);
    }

    return n;
}


ngx_uint_t
model_room(zone_model_t *m)
{
    ngx_uint_t  n;

    for (n = 0; n < MODEL_EVICT; n++) {

        if (m->nhistory == 0 || model_kept_bytes(m) <= m->history_size) {
            break;
        }

        model_history_drop(m, 0);
    }

    return n;
}


ngx_uint_t
model_evict(zone_model_t *m)
{
    ngx_uint_t  n;

    for (n = 0; n < MODEL_EVICT && m->nhistory; n++) {
        model_history_drop(m, 0);
    }

    return n;
}


/* who asks for it later is to be told that it is missing */

static void
model_history_drop(zone_model_t *m, ngx_uint_t n)
{
    model_kept_t  message;

    message = m->history[n];

    m->nhistory--;
    memmove(&m->history[n], &m->history[n + 1],
            (m->nhistory - n) * sizeof(model_kept_t));

    m->dests[message.dest].lost = ngx_max(m->dests[message.dest].lost,
                                          message.sequence);
    model_release_dest(m, message.dest);
}


static void
model_retain_drop(zone_model_t *m, ngx_uint_t dest)
{
    if (m->dests[dest].retained.sequence) {
        memset(&m->dests[dest].retained, 0, sizeof(model_kept_t));
        model_release_dest(m, dest);
    }
}


static ngx_uint_t
model_history_length(zone_model_t *m, ngx_uint_t dest)
{
    ngx_uint_t  i, n;

    for (i = 0, n = 0; i < m->nhistory; i++) {
        n += (m->history[i].dest == dest);
    }

    return n;
}


/* a batch counts once, as long as anything of it is kept */

static uint64_t
model_kept_bytes(zone_model_t *m)
{
    uint64_t       bytes, batches[MODEL_KEPT + MODEL_DESTS];
    ngx_uint_t     i, j, n;
    model_kept_t  *message;

    bytes = 0;
    n = 0;

    for (i = 0; i < m->nhistory + MODEL_DESTS; i++) {

        message = (i < m->nhistory) ? &m->history[i]
                                    : &m->dests[i - m->nhistory].retained;

        if (message->sequence == 0) {
            continue;
        }

        for (j = 0; j < n && batches[j] != message->batch; j++) { /* void */ }

        if (j == n) {
            batches[n++] = message->batch;
            bytes += message->bytes;
        }
    }

    return bytes;
}


ngx_int_t
model_replay(zone_model_t *m, model_op_t *op, model_see_pt see)
{
    uint64_t       after;
    ngx_uint_t     i, dest, left;
    model_slot_t  *slot;

    slot = &m->slots[op->worker];
    dest = model_dest(m, op->name, strlen(op->name));

    left = model_history_length(m, dest);
    left -= ngx_min(left, op->count);

    /* where it is, or where the last ones of so many begin */

    after = slot->ntaken ? slot->taken[slot->ntaken - 1] : 0;

    for (i = 0; after == 0 && left; i++) {
        if (m->history[i].dest == dest && --left == 0) {
            after = m->history[i].sequence;
        }
    }

    do {
        slot->replays = 1;
        slot->ntaken = 0;

        for (i = 0; i < m->nhistory; i++) {

            if (m->history[i].dest != dest
                || m->history[i].sequence <= after)
            {
                continue;
            }

            if (slot->ntaken == NGX_STOMP_REPLAY_MAX) {
                break;
            }

            slot->taken[slot->ntaken++] = m->history[i].sequence;
        }

        after = slot->ntaken ? slot->taken[slot->ntaken - 1] : 0;

        see(m);

    } while (i < m->nhistory);

    slot->replays = 0;
    slot->ntaken = 0;

    return NGX_OK;
}
