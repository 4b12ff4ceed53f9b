
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * What hostile clients send: each function writes one item to p, at most
 * ITEM_MAX octets, and returns its length.
 */


#include "hostile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILLING        500             /* pings that are large */


/* client frames have a mask; with one of zeros the payload is as it is */

static size_t
ws_head(char *p, int first, size_t len)
{
    size_t  i, n = len < 126 ? 2 : len < 65536 ? 4 : 10;

    p[0] = (char) first;
    p[1] = (char) (0x80 | (len < 126 ? len : len < 65536 ? 126 : 127));

    for (i = 2; i < n; i++) {
        p[i] = (char) ((uint64_t) len >> 8 * (n - 1 - i));
    }

    memset(p + n, 0, 4);
    return n + 4;
}


size_t
ws_text(char *p, const char *data, size_t len)
{
    size_t  n = ws_head(p, 0x81, len);

    memcpy(p + n, data, len);
    return n + len;
}


static size_t
item_send(conn_t *c, char *p)
{
    char  buf[512];

    return ws_text(p, buf, 1 + snprintf(buf, sizeof(buf),
                   "SEND\ndestination:/topic/%s/%u-%llu\n\nx", o.tag,
                   c->index, (unsigned long long) c->next));
}


static size_t
item_flood(conn_t *c, char *p)
{
    char  buf[512];

    (void) c;
    return ws_text(p, buf, 1 + snprintf(buf, sizeof(buf),
                   "SEND\ndestination:/topic/%s\n\nx", o.tag));
}


static size_t
item_subscribe(conn_t *c, char *p)
{
    char  buf[512];

    return ws_text(p, buf, 1 + snprintf(buf, sizeof(buf),
                   "SUBSCRIBE\nid:%llu\ndestination:/topic/%s/%u-%llu\n\n",
                   (unsigned long long) c->next, o.tag, c->index,
                   (unsigned long long) c->next));
}


static size_t
item_churn(conn_t *c, char *p)
{
    char    buf[512];
    size_t  n = item_subscribe(c, p);

    return n + ws_text(p + n, buf, 1 + snprintf(buf, sizeof(buf),
                       "UNSUBSCRIBE\nid:%llu\n\n",
                       (unsigned long long) c->next));
}


/* all subscribe to one destination, each time with an id of its own */

static size_t
item_ids(conn_t *c, char *p)
{
    char  buf[512];

    return ws_text(p, buf, 1 + snprintf(buf, sizeof(buf),
                   "SUBSCRIBE\nid:%u-%llu\ndestination:/topic/%s\n\n",
                   c->index, (unsigned long long) c->next, o.tag));
}


static size_t
item_ids_churn(conn_t *c, char *p)
{
    char    buf[512];
    size_t  n = item_ids(c, p);

    return n + ws_text(p + n, buf, 1 + snprintf(buf, sizeof(buf),
                       "UNSUBSCRIBE\nid:%u-%llu\n\n", c->index,
                       (unsigned long long) c->next));
}


static size_t
item_push(conn_t *c, char *p)
{
    return sprintf(p, "POST /push/topic/%s/%u-%llu HTTP/1.1\r\nHost: h\r\n"
                   "Content-Length: 1\r\n\r\nx", o.tag, c->index,
                   (unsigned long long) c->next);
}


/* for who is deaf the first ones fill the buffers of both kernels */

static size_t
control(conn_t *c, char *p, int opcode)
{
    size_t  n, len = o.size < 125 && !(o.deaf && c->next < FILLING)
                     ? o.size : 125;

    n = ws_head(p, 0x80 | opcode, len);
    memset(p + n, 'p', len);
    return n + len;
}


static size_t
item_ping(conn_t *c, char *p)
{
    return control(c, p, 9);
}


static size_t
item_pong(conn_t *c, char *p)
{
    return control(c, p, 10);
}


static size_t
item_beat(conn_t *c, char *p)
{
    (void) c;
    return ws_text(p, "\n", 1);
}


static size_t
item_empty(conn_t *c, char *p)
{
    (void) c;
    return ws_head(p, 0x81, 0);
}


/* a frame of STOMP in fragments of one octet, an empty one after each */

static size_t
item_fragment(conn_t *c, char *p)
{
    char    buf[600];
    size_t  i, len, n = 0, skip;

    len = item_send(c, buf);
    skip = len - (buf[1] & 0x7f);

    for (i = skip; i < len; i++) {
        n += ws_head(p + n, i == skip ? 0x01 : 0x00, 1);
        p[n++] = buf[i];
        n += ws_head(p + n, i == len - 1 ? 0x80 : 0x00, 0);
    }

    return n;
}


/* headers as long and as many as the defaults let through in one message */

static size_t
item_headers(conn_t *c, char *p)
{
    int           i;
    size_t        n = 0, at;
    static char  *buf;

    (void) c;

    if (buf == NULL && (buf = malloc(ITEM_MAX)) == NULL) {
        die("malloc");
    }

    n += sprintf(buf, "SEND\ndestination:/topic/%s/h\n", o.tag);

    for (i = 0; i < 30; i++) {
        n += sprintf(buf + n, "h%02d:", i);
        memset(buf + n, '\\', 4090);   /* each pair is an escape */
        n += 4090;
        buf[n++] = '\n';
    }

    buf[n++] = '\n';
    buf[n++] = '\0';

    at = ws_head(p, 0x81, n);
    memcpy(p + at, buf, n);

    return at + n;
}


const attack_t  attacks[] = {
    { "tcp", TCP, NULL, "connections without an octet, held" },
    { "half", HALF, NULL, "half a request each, held" },
    { "idle", IDLE, NULL, "handshakes without CONNECT, held" },
    { "refused", REFUSED, NULL, "handshakes without a key" },
    { "handshakes", SHAKE, NULL, "handshakes, reset after the answer" },
    { "send", STOMP, item_send, "SEND, each to a name of its own" },
    { "flood", STOMP, item_flood, "SEND, all to one name" },
    { "subscribe", STOMP, item_subscribe, "SUBSCRIBE to names of their own" },
    { "churn", STOMP, item_churn, "the same, each with an UNSUBSCRIBE" },
    { "ids", STOMP, item_ids, "SUBSCRIBE to one name, with ids of their own" },
    { "ids-churn", STOMP, item_ids_churn, "the same, with UNSUBSCRIBE" },
    { "push", PUSH, item_push, "HTTP pushes, each to a name of its own" },
    { "ping", STOMP, item_ping, "pings of --size octets" },
    { "pong", STOMP, item_pong, "pongs of --size octets" },
    { "beat", STOMP, item_beat, "heart-beats" },
    { "empty", STOMP, item_empty, "empty messages" },
    { "fragment", STOMP, item_fragment, "SENDs in fragments of one octet" },
    { "octet", STOMP, item_send, "SENDs, one octet a packet" },
    { "headers", STOMP, item_headers, "SENDs with 120 KiB of headers" },
    { NULL, 0, NULL, NULL }
};


int
is_ping(const attack_t *attack)
{
    return attack->item == item_ping;
}
