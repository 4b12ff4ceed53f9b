
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * The load tool's book-keeping: publisher p sends its messages n = 0, 1, ...
 * to destination (n + p) mod M, so it is known without talking what each
 * subscriber has to receive.  A bit for each message and subscriber.
 */


#include "fanout.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>


uint64_t
clock_us(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


void
die(const char *what)
{
    perror(what);
    exit(2);
}


void *
alloc(size_t n, size_t size)
{
    void  *p = calloc(n ? n : 1, size);

    if (p == NULL) {
        die("calloc");
    }

    return p;
}


void
append(bytes_t *b, const void *data, size_t len)
{
    if (b->len + len > b->cap) {
        b->cap = (b->len + len) * 3 / 2;
        b->data = realloc(b->data, b->cap);
        if (b->data == NULL) {
            die("realloc");
        }
    }

    memcpy(b->data + b->len, data, len);
    b->len += len;
}


void
release(bytes_t *b)
{
    free(b->data);
    memset(b, 0, sizeof(*b));
}


void
report(conn_t *c, const char *fmt, ...)
{
    va_list  args;

    if (++errors > 10) {
        return;
    }

    va_start(args, fmt);
    fprintf(stderr, "fanout: %s %u: ",
            c->kind == SUBSCRIBER ? "subscriber"
            : c->kind == CHURNER ? "churner" : "publisher", c->index);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
}


unsigned
dest_of(unsigned p, uint32_t n)
{
    return (n + p) % o.dests;
}


/* n of one publisher to one destination are M apart: n / M is unique */

static size_t
bit_of(unsigned p, uint32_t n)
{
    return (size_t) p * per_pub + n / o.dests;
}


size_t
message_of(unsigned p, uint32_t n)
{
    return (size_t) dest_of(p, n) * per_dest + bit_of(p, n);
}


/* the first n >= low_n that p publishes to the destination */

static uint32_t
first_to(unsigned p, unsigned dest, uint32_t low_n)
{
    return low_n + (dest + o.dests - dest_of(p, low_n)) % o.dests;
}


static int
seen(conn_t *c, size_t bit)
{
    return c->seen[bit / 64] >> (bit % 64) & 1;
}


/* nobody has to wait for this message any more */

void
settle(size_t m, int why)
{
    if (!(flags[m] & M_SETTLED)) {
        outstanding--;
    }

    flags[m] |= why;
}


/* what is published from now on is owed to it */

void
subscriber_ready(conn_t *c)
{
    unsigned  p;

    live[c->dest]++;
    c->first_seq = 0;

    for (p = 0; p < o.publishers; p++) {
        c->of[p].first_n = pubs[p].next_n;
    }
}


void
subscriber_lost(conn_t *c)
{
    size_t    m;
    conn_t   *p;
    uint32_t  n;

    live[c->dest]--;

    if (c->slot >= 0) {
        slot_lost[c->slot]++;
    }

    c->lives = realloc(c->lives, (c->nlives + 1) * sizeof(life_t));
    if (c->lives == NULL) {
        die("realloc");
    }

    c->lives[c->nlives].first_seq = c->first_seq;
    c->lives[c->nlives++].last_seq = c->last_seq;

    for (p = pubs; p < pubs + o.publishers; p++) {

        while (p->low_n < p->next_n
               && flags[message_of(p->index, p->low_n)] & M_SETTLED)
        {
            p->low_n++;
        }

        for (n = first_to(p->index, c->dest, p->low_n);
             n < p->next_n;
             n += o.dests)
        {
            m = message_of(p->index, n);

            if (n >= c->of[p->index].first_n
                && !(flags[m] & M_COMPLETE)
                && !seen(c, bit_of(p->index, n))
                && --remaining[m] == 0)
            {
                settle(m, M_COMPLETE);
            }
        }

        c->of[p->index].first_n = UINT32_MAX;
    }
}


/* whether the server took what was not confirmed is unknown */

void
publisher_lost(conn_t *c)
{
    size_t    m;
    uint32_t  n;

    n = (c->kind == PUB_HTTP || o.receipt) ? c->pending_n : c->low_n;

    for (/* void */; c->in_flight && n < c->next_n; n++) {
        m = message_of(c->index, n);

        /* complete and not seen: all who waited for it were lost */

        if (!(flags[m] & (M_REFUSED|M_CONFIRMED))
            && (flags[m] & (M_COMPLETE|M_SEEN)) != (M_COMPLETE|M_SEEN))
        {
            settle(m, M_UNCERTAIN);
            uncertain++;
        }
    }

    c->in_flight = 0;
    c->done = c->done || !o.survive;
}


void
message_received(conn_t *c, unsigned p, uint32_t n, uint64_t seq)
{
    size_t    m, bit;
    tally_t  *of = &c->of[p];

    m = message_of(p, n);
    bit = bit_of(p, n);

    /* also what a former connection of this subscriber has received */

    if (seen(c, bit)) {
        of->doubled++;
        duplicated++;
        return;
    }

    if ((seq && seq <= c->last_seq) || n < of->last_n) {
        of->disorder++;
        out_of_order++;
    }

    if (seq_of[m] == 0) {
        seq_of[m] = seq;

    } else if (seq_of[m] != seq) {
        report(c, "p:%u n:%u has another message-id elsewhere", p, n);
    }

    c->seen[bit / 64] |= (uint64_t) 1 << (bit % 64);
    c->first_seq = c->first_seq ? c->first_seq : seq;
    c->last_seq = seq > c->last_seq ? seq : c->last_seq;
    of->last_n = n + 1 > of->last_n ? n + 1 : of->last_n;
    c->hash = (c->hash ^ ((uint64_t) p << 32 | n)) * 0x9e3779b97f4a7c15ull;
    c->hash ^= c->hash >> 29;

    received++;
    progress_us = last_us = now_us;
    flags[m] |= M_SEEN;

    if (n >= of->first_n && --remaining[m] == 0) {
        settle(m, M_COMPLETE);
    }
}


/* a message nobody is sure about: if one has it, all must have it */

static int
expected(size_t m)
{
    if (flags[m] & M_REFUSED) {
        return 0;
    }

    return flags[m] & M_UNCERTAIN ? flags[m] & M_SEEN : 1;
}


/* between the first and the last message on a connection none is missing */

static int
skipped(conn_t *c, uint64_t seq)
{
    unsigned  i;

    for (i = 0; i < c->nlives; i++) {
        if (c->lives[i].first_seq && seq > c->lives[i].first_seq
            && seq < c->lives[i].last_seq)
        {
            return 1;
        }
    }

    return c->state == ST_READY && c->first_seq && seq > c->first_seq;
}


static int
missed(conn_t *c, unsigned p, uint32_t n)
{
    size_t  m = message_of(p, n);

    if (seen(c, bit_of(p, n))) {
        if (flags[m] & M_REFUSED) {
            report(c, "p:%u n:%u came though it was refused", p, n);
        }

        return 0;
    }

    return (n >= c->of[p].first_n && expected(m))
           || (seq_of[m] && skipped(c, seq_of[m]));
}


static uint64_t
count_missed(conn_t *c)
{
    uint32_t  n;
    uint64_t  count = 0;
    unsigned  p;

    for (p = 0; p < o.publishers; p++) {
        for (n = first_to(p, c->dest, 0); n < pubs[p].next_n; n += o.dests) {
            c->of[p].lost += missed(c, p, n);
        }

        count += c->of[p].lost;
    }

    lost += count;

    return count;
}


/*
 * Counts what was missed, then compares the order in which those that have
 * all of a destination have seen it (majority vote, then count).  Other
 * servers may have no order between several publishers.
 */

void
check_all(void)
{
    int                *all;
    conn_t             *c;
    unsigned            i;
    struct vote_s {
        uint64_t        hash;
        unsigned        count;
    }                  *vote, *v;

    vote = alloc(o.dests, sizeof(*vote));
    all = alloc(o.subscribers, sizeof(*all));

    for (i = 0; i < o.subscribers; i++) {
        c = &subs[i];
        all[i] = count_missed(c) == 0 && c->state == ST_READY && !c->nlives;

        if (all[i]) {
            v = &vote[c->dest];
            v->hash = v->count ? v->hash : c->hash;
            v->count += v->hash == c->hash ? 1 : -1;
        }
    }

    for (i = 0; i < o.subscribers; i++) {
        mismatch += !o.lax && all[i] && subs[i].hash != vote[subs[i].dest].hash;
    }

    free(vote);
    free(all);
}


/* published for certain, though nobody has told the publisher */

uint64_t
uncertain_seen(void)
{
    size_t    m;
    uint64_t  count = 0;

    for (m = 0; m < (size_t) per_dest * o.dests; m++) {
        count += (flags[m] & M_UNCERTAIN) && (flags[m] & M_SEEN);
    }

    return count;
}
