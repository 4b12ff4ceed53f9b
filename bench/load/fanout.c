
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Load and correctness tool: many STOMP subscribers over WebSocket, a few
 * publishers (HTTP push or SEND), one epoll loop.  Its codecs are its own, so
 * that it checks the server's.  Run it without options for the list.
 *
 *     cc -std=c99 -O2 -Wall -Wextra -o fanout fanout.c fanout_*.c
 */


#include "fanout.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define CONNECTING     200              /* connections being opened at once */
#define SETTLE_US      200000           /* late duplicates show up in it */

int             ep;
uint64_t        now_us, progress_us, last_us;
conn_t         *subs, *pubs, *churners;
char          **dest_name;
unsigned       *live;
unsigned        per_pub, per_dest, opening, ready, dead;
unsigned char  *flags;
uint32_t       *remaining;
uint64_t       *seq_of;
long            outstanding;
unsigned        slot_count[MAX_SLOTS], slot_lost[MAX_SLOTS];
unsigned        closes[5000];
uint64_t        max_us, sent, received, lost, duplicated, out_of_order,
                mismatch, refused, uncertain, lost_connections, beats,
                reconnects, unavailable, errors, changes;
uint64_t        first_us;

static uint64_t  deadline_us, retry_us, stop_us, unmeasured;


static void
poll_once(int ms)
{
    int                        i, n;
    conn_t                    *c;
    static struct epoll_event  ev[512];

    n = epoll_wait(ep, ev, 512, ms);

    if (n == -1 && errno != EINTR) {
        die("epoll_wait");
    }

    for (i = 0; i < n; i++) {
        c = ev[i].data.ptr;
        now_us = clock_us();

        if (c->fd >= 0) {
            conn_event(c, ev[i].events);
        }
    }

    now_us = clock_us();
}


static void
publish(conn_t *c)
{
    int           len, n;
    char          text[64];
    size_t        m;
    unsigned      dest;
    static char  *frame;
    const char   *fmt;

    if (frame == NULL) {
        frame = alloc(1, o.body + 2048);
    }

    dest = dest_of(c->index, c->next_n);
    m = message_of(c->index, c->next_n);

    if (c->kind == PUB_HTTP) {
        len = snprintf(frame, 1024, "POST %s%s HTTP/1.1\r\n"
                       "Host: 127.0.0.1:%d\r\nContent-Type: text/plain\r\n"
                       "Content-Length: %ld\r\n\r\n",
                       o.push_path, dest_name[dest], o.port, o.body);

    } else {
        fmt = o.receipt ? "SEND\ndestination:%s\ncontent-length:%ld\n"
                          "receipt:%u\n\n"
                        : "SEND\ndestination:%s\ncontent-length:%ld\n\n";
        len = snprintf(frame, 1024, fmt, dest_name[dest], o.body, c->next_n);
    }

    /* an open loop's latency counts from when it should have been sent */

    n = snprintf(text, sizeof(text), "p:%u n:%u t:%llu ", c->index, c->next_n,
                 (unsigned long long) (o.rate > 0 && o.window <= 0
                                       ? c->next_us : clock_us()));
    memset(frame + len, '.', o.body);
    memcpy(frame + len, text, n < o.body ? n : o.body);
    len += o.body;
    frame[len] = '\0';

    c->pending_n = c->next_n++;
    c->done = c->next_n == c->total_n;
    c->in_flight = 1;
    sent++;
    outstanding++;
    remaining[m] = live[dest];
    progress_us = now_us;
    first_us = first_us ? first_us : now_us;

    if (remaining[m] == 0) {
        settle(m, M_COMPLETE);
    }

    if (c->kind == PUB_HTTP) {
        append(&c->out, frame, len);
        flush(c);

    } else {
        ws_write(c, 1, frame, len + 1);
    }
}


static int
waits_for_answer(conn_t *c)
{
    return c->in_flight && (c->kind == PUB_HTTP || o.receipt);
}


static int
warming_up(void)
{
    return !measuring && sent >= o.warmup;
}


/* may send now; if only the clock is against it, *wake_us says until when */

static int
may_publish(conn_t *c, uint64_t *wake_us)
{
    if (warming_up() || c->done || c->state != ST_READY || c->out.len
        || waits_for_answer(c)
        || (o.window > 0 && outstanding >= o.window))
    {
        return 0;
    }

    if (c->next_us > now_us) {
        *wake_us = c->next_us < *wake_us ? c->next_us : *wake_us;
        return 0;
    }

    return 1;
}


static uint64_t
publish_all(void)
{
    conn_t   *c;
    uint64_t  wake_us = now_us + 100000;

    for (c = pubs; c < pubs + o.publishers; c++) {

        if (c->state == ST_DEAD && !c->done && c->retry_us <= now_us) {
            conn_open(c);
        }

        while (may_publish(c, &wake_us)) {
            publish(c);

            if (o.rate > 0) {
                c->next_us += 1e6 * o.publishers / o.rate;
            }
        }
    }

    return wake_us;
}


static uint64_t
churn_all(uint64_t wake_us)
{
    conn_t  *c;

    for (c = churners; c < churners + o.churners; c++) {

        if (c->state != ST_READY || c->in_flight) {
            continue;
        }

        if (c->next_us <= now_us) {
            c->next_us += 1e6 * o.churners / o.churn_rate;
            stomp_churn(c);
        }

        wake_us = c->next_us < wake_us ? c->next_us : wake_us;
    }

    return wake_us;
}


/* all that was published has arrived */

static int
settled(void)
{
    conn_t  *c;

    for (c = pubs; c < pubs + o.publishers; c++) {
        if (c->out.len || (c->state == ST_READY && waits_for_answer(c))) {
            return 0;
        }
    }

    return outstanding == 0;
}


static int
finished(void)
{
    conn_t  *c;

    for (c = pubs; c < pubs + o.publishers; c++) {
        if (!c->done) {
            return 0;
        }
    }

    return settled() && (!o.reconnect || ready == o.subscribers);
}


/* lost subscribers, looked for now and then */

static void
reconnect_all(void)
{
    conn_t  *c;

    if (!o.reconnect || dead == 0 || retry_us > now_us) {
        return;
    }

    retry_us = now_us + RETRY_US / 5;

    for (c = subs; c < subs + o.subscribers && opening < CONNECTING; c++) {
        if (c->state == ST_DEAD && c->retry_us <= now_us) {
            dead--;
            reconnects++;
            conn_open(c);
        }
    }
}


static void
stop_publishing(void)
{
    conn_t         *c;
    struct pollfd   in = { .fd = 0, .events = POLLIN };

    if (!(o.until_eof && poll(&in, 1, 0) != 0)
        && !(stop_us && now_us >= stop_us))
    {
        return;
    }

    for (c = pubs; c < pubs + o.publishers; c++) {
        c->done = 1;
    }
}


static void
set_pace(void)
{
    conn_t  *c;

    for (c = pubs; c < pubs + o.publishers; c++) {
        c->next_us = now_us;

        if (o.rate > 0) {
            c->next_us += 1e6 * c->index / o.rate;
        }
    }
}


static void
run(void)
{
    conn_t    *c;
    uint64_t   wake_us, end_us;

    progress_us = now_us;

    for (c = pubs; c < pubs + o.publishers; c++) {
        c->done = c->total_n == 0;
    }

    for (c = churners; c < churners + o.churners; c++) {
        c->next_us = now_us + 1e6 * c->index / o.churn_rate;
    }

    set_pace();

    while (!finished()) {

        if (warming_up() && settled()) {
            measuring = 1;
            first_us = changes = 0;
            unmeasured = received;
            measure_begin(&figures);
            now_us = clock_us();
            stop_us = o.seconds > 0 ? now_us + o.seconds * 1e6 : 0;
            set_pace();
        }

        stop_publishing();
        reconnect_all();
        wake_us = churn_all(publish_all());

        if (now_us > deadline_us
            || now_us - progress_us > (uint64_t) (o.stall * 1e6))
        {
            fprintf(stderr, "fanout: gave up: %s\n", now_us > deadline_us
                    ? "time is over" : "no progress");
            return;
        }

        poll_once(!o.spin && wake_us > now_us
                  ? (wake_us - now_us + 999) / 1000 : 0);
    }

    if (measuring) {
        measure_end(&figures);
        measuring = 0;
    }

    for (end_us = now_us + SETTLE_US; now_us < end_us; /* void */) {
        poll_once((end_us - now_us) / 1000 + 1);
    }
}


/* opens all and waits until they are ready; false if one is not */

static int
open_all(conn_t *conns, unsigned count)
{
    unsigned  next = 0;

    while (next < count || opening) {
        while (next < count && opening < CONNECTING) {
            conn_open(&conns[next++]);
        }

        poll_once(100);

        if (lost_connections || now_us > deadline_us) {
            fprintf(stderr, "fanout: could not open all connections\n");
            return 0;
        }
    }

    return 1;
}


static void
print_ready(void)
{
    printf("READY\n");
    fflush(stdout);
}


/* the standard input is in the epoll set only while it is waited for */

static void
hold(void)
{
    char                buf[64];
    int                 watched;
    uint64_t            end_us;
    conn_t              in = { .fd = -1 };
    struct epoll_event  first;
    struct epoll_event  ev = { .events = EPOLLIN, .data.ptr = &in };

    print_ready();

    end_us = o.hold ? now_us + (uint64_t) o.hold * 1000000 : deadline_us;
    end_us = end_us < deadline_us ? end_us : deadline_us;

    if (o.hold) {
        while (now_us < end_us) {
            poll_once(100);
        }

        return;
    }

    /* a plain file can't be watched and can always be read */
    watched = epoll_ctl(ep, EPOLL_CTL_ADD, 0, &ev) == 0;

    while (watched && now_us < end_us) {
        /* peek: poll_once() skips the entry because it has no descriptor */
        if (epoll_wait(ep, &first, 1, 100) == 1 && first.data.ptr == &in) {
            break;
        }

        poll_once(0);
    }

    if (read(0, buf, sizeof(buf)) == -1) {
        die("read");
    }
}


static void
make_tables(void)
{
    char      name[512];
    size_t    all;
    conn_t   *c;
    unsigned  i, numbered;

    numbered = o.dests > 0;
    o.dests = numbered ? o.dests : 1;
    per_pub = o.messages / o.publishers / o.dests + 2;
    per_dest = per_pub * o.publishers;
    all = (size_t) per_dest * o.dests;

    flags = alloc(all, 1);
    remaining = alloc(all, sizeof(*remaining));
    seq_of = alloc(all, sizeof(*seq_of));
    live = alloc(o.dests, sizeof(*live));
    dest_name = alloc(o.dests, sizeof(*dest_name));
    subs = alloc(o.subscribers, sizeof(*subs));
    pubs = alloc(o.publishers, sizeof(*pubs));
    churners = alloc(o.churners, sizeof(*churners));

    for (i = 0; i < o.dests; i++) {
        snprintf(name, sizeof(name), numbered ? "%s%u" : "%s", o.dest, i);
        dest_name[i] = strdup(name);
    }

    for (i = 0; i < o.subscribers; i++) {
        c = &subs[i];
        c->fd = c->slot = -1;
        c->index = i;
        c->dest = i % o.dests;
        c->seen = alloc(per_dest / 64 + 1, 8);
        c->of = alloc(o.publishers, sizeof(*c->of));
    }

    for (i = 0; i < o.churners; i++) {
        c = &churners[i];
        c->fd = c->slot = -1;
        c->index = i;
        c->dest = i % o.dests;
        c->kind = CHURNER;
    }

    for (i = 0; i < o.publishers; i++) {
        c = &pubs[i];
        c->fd = c->slot = -1;
        c->index = i;
        c->total_n = o.messages / o.publishers
                     + (i < o.messages % o.publishers);
        c->kind = o.publish == SEND || (o.publish == ALTERNATE && i % 2)
                  ? PUB_SEND : PUB_HTTP;
    }
}


int
main(int argc, char **argv)
{
    int            ok;
    struct rlimit  limit;

    parse_options(argc, argv);

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }

    ep = epoll_create1(0);
    now_us = clock_us();
    deadline_us = now_us + (uint64_t) (o.timeout * 1e6);

    wire_init();
    make_tables();

    measure_begin(&opening_figures);
    ok = open_all(subs, o.subscribers);
    measure_end(&opening_figures);

    if (ok && o.hold >= 0) {
        hold();

    } else if (ok && (ok = open_all(pubs, o.publishers)
                           && open_all(churners, o.churners)) != 0)
    {
        if (o.survive) {
            print_ready();
        }

        run();
        check_all();
        ok = (sent == o.messages || o.until_eof || o.seconds > 0)
             && (finished() || (o.survive && !o.reconnect));
    }

    ok = ok && !lost && !duplicated && !out_of_order && !mismatch && !errors
         && (o.survive ? ready > 0 : !lost_connections && !refused);

    print_result(ok, received - unmeasured);

    return ok ? 0 : 1;
}
