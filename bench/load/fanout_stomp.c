
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * The load tool's STOMP codec, and what it expects of each frame.
 */


#include "fanout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char  *data;
    size_t       len;
} str_t;

static char  epoch[64];


static int
is(str_t *s, const char *text)
{
    return s->data != NULL && s->len == strlen(text)
           && memcmp(s->data, text, s->len) == 0;
}


static void
sub_id(conn_t *c, char *buf, size_t size)
{
    snprintf(buf, size, o.own_ids ? "sub-%u" : "sub-0", c->index);
}


/* message-id is <epoch>-<number>: one epoch for all, growing numbers */

static uint64_t
message_seq(conn_t *c, str_t *id)
{
    size_t       len;
    const char  *dash;

    dash = id->data ? memchr(id->data, '-', id->len) : NULL;

    if (dash == NULL || (len = dash - id->data) >= sizeof(epoch)) {
        broken(c, "bad message-id");
        return 0;
    }

    if (epoch[0] == '\0') {
        memcpy(epoch, id->data, len);
    }

    if (strlen(epoch) != len || memcmp(epoch, id->data, len) != 0) {
        broken(c, "another epoch in message-id");
        return 0;
    }

    return strtoull(dash + 1, NULL, 10);
}


/* the body of a message; seq: the number in its message-id, 0: unknown */

void
body_input(conn_t *c, const char *p, size_t len, uint64_t seq)
{
    char            text[80], *end;
    size_t          used;
    unsigned        from;
    uint32_t        n;
    uint64_t        t;
    static char    *fill;

    if (c->kind == CHURNER) {
        return;
    }

    if (c->kind != SUBSCRIBER || len != (size_t) o.body
        || memcmp(p, "p:", 2) != 0)
    {
        broken(c, "a body that nobody sent");
        return;
    }

    if (fill == NULL) {
        fill = alloc(1, o.body);
        memset(fill, '.', o.body);
    }

    used = len < sizeof(text) ? len : sizeof(text) - 1;
    memcpy(text, p, used);
    text[used] = '\0';

    from = strtoul(text + 2, &end, 10);
    n = strncmp(end, " n:", 3) == 0 ? strtoul(end + 3, &end, 10) : 0;
    t = strncmp(end, " t:", 3) == 0 ? strtoull(end + 3, &end, 10) : 0;
    used = end - text;
    used += *end == ' ';

    if (t == 0 || from >= o.publishers || n >= pubs[from].next_n
        || dest_of(from, n) != c->dest
        || memcmp(p + used, fill, len - used) != 0)
    {
        broken(c, "a body that nobody sent here");
        return;
    }

    hist_add(now_us > t ? now_us - t : 0);
    message_received(c, from, n, seq);
}


static void
message_input(conn_t *c, str_t *dest, str_t *sub, str_t *id, str_t *body)
{
    char      own[32];
    uint64_t  seq = 0;

    sub_id(c, own, sizeof(own));

    if (c->state < ST_SUBSCRIBE || (c->kind == CHURNER && !c->subscribed)) {
        broken(c, "MESSAGE without a subscription");
        return;
    }

    if (!is(dest, dest_name[c->dest]) || !is(sub, own)) {
        broken(c, "MESSAGE of another destination or subscription");
        return;
    }

    if (!o.lax && (seq = message_seq(c, id)) == 0) {
        broken(c, "message-id without a number");
        return;
    }

    body_input(c, body->data, body->len, seq);
}


static void
subscribe(conn_t *c)
{
    char  buf[512], id[32];

    sub_id(c, id, sizeof(id));
    ws_write(c, 1, buf, 1 + snprintf(buf, sizeof(buf),
             "SUBSCRIBE\nid:%s\ndestination:%s\nreceipt:r\n\n",
             id, dest_name[c->dest]));
}


/* the next of SUBSCRIBE to another destination and UNSUBSCRIBE */

void
stomp_churn(conn_t *c)
{
    char  buf[128], id[32];

    c->in_flight = 1;

    if (!c->subscribed) {
        c->subscribed = 1;
        c->dest = (c->dest + 1) % o.dests;
        subscribe(c);
        return;
    }

    sub_id(c, id, sizeof(id));
    ws_write(c, 1, buf, 1 + snprintf(buf, sizeof(buf),
             "UNSUBSCRIBE\nid:%s\nreceipt:r\n\n", id));
}


static void
connected_input(conn_t *c, str_t *session)
{
    char           *end;
    unsigned long   slot = 0;

    if (c->state != ST_CONNECT || session->data == NULL) {
        broken(c, "unexpected CONNECTED, or without session");
        return;
    }

    if (!o.lax) {
        slot = strtoul(session->data, &end, 16);

        if (end == session->data || *end != '-' || slot >= MAX_SLOTS) {
            broken(c, "session without a slot");
            return;
        }
    }

    if (c->kind != SUBSCRIBER) {
        conn_ready(c);
        return;
    }

    c->slot = slot;
    slot_count[slot]++;
    c->state = ST_SUBSCRIBE;
    subscribe(c);
}


static void
receipt_input(conn_t *c, str_t *id)
{
    if (c->state == ST_SUBSCRIBE && is(id, "r")) {
        conn_ready(c);

    } else if (c->kind == CHURNER && c->in_flight && is(id, "r")) {
        /* each second one is for an UNSUBSCRIBE */
        c->subscribed = c->changes++ % 2 == 0;
        c->in_flight = 0;
        changes++;
        progress_us = now_us;

    } else if (c->in_flight && id->data
               && strtoul(id->data, NULL, 10) == c->pending_n)
    {
        flags[message_of(c->index, c->pending_n)] |= M_CONFIRMED;
        c->in_flight = 0;
        progress_us = last_us = now_us;

    } else {
        broken(c, "unexpected RECEIPT");
    }
}


void
stomp_connect(conn_t *c)
{
    char  buf[512];

    c->state = ST_CONNECT;
    ws_write(c, 1, buf, 1 + snprintf(buf, sizeof(buf),
             "CONNECT\naccept-version:1.2\nhost:%s\nheart-beat:0,0\n\n",
             o.host));
}


/* one WebSocket message: exactly one STOMP frame, or a heart-beat */

void
stomp_input(conn_t *c, const char *p, size_t len)
{
    str_t        cmd, body, *v, dest = { 0 }, sub = { 0 }, id = { 0 },
                 length = { 0 }, session = { 0 }, rid = { 0 }, text = { 0 };
    const char  *last = p + len - 1, *nl, *colon;

    if (len == 1 && *p == '\n') {
        beats++;
        return;
    }

    if (len < 2 || *last != '\0' || !(nl = memchr(p, '\n', len))) {
        broken(c, "not a STOMP frame");
        return;
    }

    cmd.data = p;
    cmd.len = nl - p;

    for (p = nl + 1; (nl = memchr(p, '\n', last - p)) != p; p = nl + 1) {
        colon = nl ? memchr(p, ':', nl - p) : NULL;

        if (colon == NULL) {
            broken(c, "broken STOMP headers");
            return;
        }

        body.data = p;
        body.len = colon - p;
        v = is(&body, "destination") ? &dest
            : is(&body, "subscription") ? &sub
            : is(&body, "message-id") ? &id
            : is(&body, "content-length") ? &length
            : is(&body, "session") ? &session
            : is(&body, "receipt-id") ? &rid
            : is(&body, "message") ? &text : NULL;

        if (v != NULL && v->data == NULL) {
            v->data = colon + 1;
            v->len = nl - colon - 1;
        }
    }

    body.data = p + 1;
    body.len = last - body.data;

    if (length.data ? strtoul(length.data, NULL, 10) != body.len
                    : memchr(body.data, 0, body.len) != NULL)
    {
        broken(c, "the body does not fill the frame");

    } else if (is(&cmd, "MESSAGE")) {
        message_input(c, &dest, &sub, &id, &body);

    } else if (is(&cmd, "RECEIPT")) {
        receipt_input(c, &rid);

    } else if (is(&cmd, "CONNECTED")) {
        connected_input(c, &session);

    } else if (is(&cmd, "ERROR")) {
        report(c, "ERROR %.*s", (int) text.len, text.data ? text.data : "");

    } else {
        broken(c, "unknown STOMP command");
    }
}
