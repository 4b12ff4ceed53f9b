
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * What clients say, and the answers: HTTP, WebSocket and STOMP, as much as is
 * needed.  Answers are as long as those of nginx and the module.
 */


#include "limit.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define WS_KEY         "dGhlIHNhbXBsZSBub25jZQ=="
#define WS_ACCEPT      "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define HTTP_SERVER    "Server: limit/1.0000\r\n" \
                       "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"


/* one that is late may be in the middle of a frame; publishing can drop c */

static void
answer(conn_t *c, const void *data, size_t len)
{
    if (c->kind == FREE) {
        return;
    }

    if (c->late) {
        bad(c, "an answer to a subscriber that is late");

    } else if (send(c->fd, data, len, MSG_NOSIGNAL) != (ssize_t) len) {
        bad(c, "an answer was not taken");
    }
}


/* the value of a header; in STOMP the first of several counts, too */

static str_t
header(const unsigned char *p, const unsigned char *last, const char *name)
{
    str_t                 v = { NULL, 0 };
    size_t                len = strlen(name);
    const unsigned char  *nl;

    while ((p = memchr(p, '\n', last - p)) != NULL) {
        p++;

        if ((size_t) (last - p) <= len || p[len] != ':'
            || strncasecmp((const char *) p, name, len) != 0)
        {
            continue;
        }

        p += len + 1;
        nl = memchr(p, '\n', last - p);
        nl = nl ? nl : last;

        while (p < nl && *p == ' ') {
            p++;
        }

        while (nl > p && nl[-1] == '\r') {
            nl--;
        }

        v.data = p;
        v.len = nl - p;
        break;
    }

    return v;
}


/* MAX_INPUT + 1 if it is no number, or too large */

static size_t
length_of(str_t *v)
{
    size_t  i, n = 0;

    if (v->len == 0 || v->len > 7) {
        return MAX_INPUT + 1;
    }

    for (i = 0; i < v->len; i++) {
        if (v->data[i] < '0' || v->data[i] > '9') {
            return MAX_INPUT + 1;
        }

        n = n * 10 + (v->data[i] - '0');
    }

    return n;
}


static void
push_answer(conn_t *c, str_t *name, unsigned subscribers)
{
    unsigned char        *p, *b;
    static unsigned char  out[MAX_HEAD + 512], body[MAX_HEAD + 256];

    b = put_text(body, "{\"destination\":\"");
    b = put(b, name->data, name->len);
    b = put_text(b, "\",\"message-id\":\"");
    b = put(b, epoch, sizeof(epoch) - 1);
    *b++ = '-';
    b = put_number(b, number);
    b = put_text(b, "\",\"subscribers\":");
    b = put_number(b, subscribers);
    b = put_text(b, "}\n");

    p = put_text(out, "HTTP/1.1 200 OK\r\n" HTTP_SERVER
                 "Content-Type: application/json\r\nContent-Length: ");
    p = put_number(p, b - body);
    p = put_text(p, "\r\nConnection: keep-alive\r\n"
                 "Cache-Control: no-store\r\n\r\n");
    p = put(p, body, b - body);

    answer(c, out, p - out);
}


static void
upgrade(conn_t *c, const unsigned char *p, const unsigned char *last)
{
    str_t              key;
    static const char  switching[] =
        "HTTP/1.1 101 Switching Protocols\r\n" HTTP_SERVER
        "Connection: upgrade\r\n"
        "Sec-WebSocket-Accept: " WS_ACCEPT "\r\n"
        "Sec-WebSocket-Protocol: v12.stomp\r\n"
        "Upgrade: websocket\r\n\r\n";

    key = header(p, last, "Sec-WebSocket-Key");

    if (!is(&key, WS_KEY)) {
        bad(c, "GET without the key of RFC 6455's example");
        return;
    }

    c->kind = WS;
    answer(c, switching, sizeof(switching) - 1);
}


/* returns the octets used, 0 if the request is not complete */

static size_t
http_input(conn_t *c, unsigned char *p, size_t len)
{
    str_t                 name, type, body, length;
    unsigned              n;
    const unsigned char  *end, *space;

    end = memmem(p, len < MAX_HEAD ? len : MAX_HEAD, "\r\n\r\n", 4);

    if (end == NULL) {
        if (len >= MAX_HEAD) {
            bad(c, "the head of a request is too long");
        }

        return 0;
    }

    end += 4;

    if (memcmp(p, "GET ", 4) == 0) {
        upgrade(c, p, end);
        return end - p;
    }

    space = memchr(p, '\n', end - p);
    space = memmem(p, space - p, " HTTP/1.1", 9);

    if (memcmp(p, "POST /push", 10) != 0 || space == NULL || space < p + 10) {
        bad(c, "unknown request");
        return 0;
    }

    name.data = p + 10;
    name.len = space - name.data;

    type = header(p, end - 2, "Content-Type");
    length = header(p, end - 2, "Content-Length");

    body.data = end;
    body.len = length_of(&length);

    if (body.len > MAX_INPUT - MAX_HEAD) {
        bad(c, "bad Content-Length");
        return 0;
    }

    if ((size_t) (p + len - end) < body.len) {
        return 0;
    }

    n = publish(&name, &type, &body);

    /* first the answer, which a publisher waits for, then the work */

    push_answer(c, &name, n);

    if (!coalesce) {
        flush_dirty();
    }

    return end + body.len - p;
}


static void
receipt(conn_t *c, str_t *id)
{
    size_t                len;
    unsigned char        *p;
    static unsigned char  out[MAX_HEAD + 64];

    if (id->data == NULL) {
        return;
    }

    len = sizeof("RECEIPT\nreceipt-id:\n\n") + id->len;

    p = put_ws_head(out, 1, len);
    p = put_text(p, "RECEIPT\nreceipt-id:");
    p = put(p, id->data, id->len);
    p = put(p, "\n\n", 3);

    answer(c, out, p - out);
}


static void
subscribe(conn_t *c, str_t *name, str_t *id)
{
    dest_t         *d;
    unsigned char  *copy;

    d = name->len && id->len && !c->dest ? dest_find(name, 1) : NULL;

    if (d == NULL) {
        bad(c, "SUBSCRIBE of what can't be subscribed");
        return;
    }

    /* whoever joins has to be in step */

    dest_flush(d);

    if (d->in_step.n + d->late.n == 0) {
        copy = grow((void *) d->id.data, id->len);
        d->id.data = memcpy(copy, id->data, id->len);
        d->id.len = id->len;

    } else if (d->id.len != id->len
               || memcmp(d->id.data, id->data, id->len) != 0)
    {
        bad(c, "SUBSCRIBE with another id than others have");
        return;
    }

    c->dest = d;
    list_add(&d->in_step, c);
}


static void
stomp_input(conn_t *c, unsigned char *p, size_t len)
{
    str_t                 cmd, name, type, id, rid, body;
    unsigned char        *end, *nl, *last = p + len - 1;
    static const char     connected[] =
        "CONNECTED\nversion:1.2\nheart-beat:0,0\nsession:0-0\n\n";
    static unsigned char  out[128];

    if (len == 1 && *p == '\n') {
        return;
    }

    end = memmem(p, len < MAX_HEAD ? len : MAX_HEAD, "\n\n", 2);

    if (end == NULL || *last != '\0') {
        bad(c, "not a STOMP frame");
        return;
    }

    nl = memchr(p, '\n', len);
    cmd.data = p;
    cmd.len = nl - p;
    rid = header(p, end, "receipt");

    if (is(&cmd, "CONNECT") || is(&cmd, "STOMP")) {
        p = put_ws_head(out, 1, sizeof(connected));
        p = put(p, connected, sizeof(connected));
        answer(c, out, p - out);
        return;
    }

    if (is(&cmd, "DISCONNECT")) {
        receipt(c, &rid);
        return;
    }

    name = header(p, end, "destination");

    if (is(&cmd, "SUBSCRIBE")) {
        id = header(p, end, "id");
        subscribe(c, &name, &id);

        receipt(c, &rid);
        return;
    }

    if (!is(&cmd, "SEND")) {
        bad(c, "unknown STOMP command");
        return;
    }

    type = header(p, end, "content-type");
    body.data = end + 2;
    body.len = last - body.data;

    publish(&name, &type, &body);

    receipt(c, &rid);

    if (!coalesce) {
        flush_dirty();
    }
}


static void
unmask(unsigned char *p, size_t len, const unsigned char *key)
{
    size_t    i;
    uint64_t  mask, word;

    memcpy(&mask, key, 4);
    memcpy((unsigned char *) &mask + 4, key, 4);

    for (i = 0; i + 8 <= len; i += 8) {
        memcpy(&word, p + i, 8);
        word ^= mask;
        memcpy(p + i, &word, 8);
    }

    for (/* void */; i < len; i++) {
        p[i] ^= key[i & 3];
    }
}


static size_t
ws_input(conn_t *c, unsigned char *p, size_t len)
{
    int            opcode;
    size_t         i, head;
    uint64_t       size;
    unsigned char  out[128], *last;

    if (len < 2) {
        return 0;
    }

    size = p[1] & 0x7f;
    head = size < 126 ? 2 : size == 126 ? 4 : 10;

    if (len < head + 4) {
        return 0;
    }

    if (head > 2) {
        for (size = 0, i = 2; i < head; i++) {
            size = size << 8 | p[i];
        }
    }

    opcode = p[0] & 0x0f;

    if (!(p[0] & 0x80) || !(p[1] & 0x80) || size > MAX_INPUT - MAX_HEAD
        || (opcode < 8 && size == 0) || (opcode > 7 && size > 125))
    {
        bad(c, "bad WebSocket frame");
        return 0;
    }

    head += 4;

    if (len < head + size) {
        return 0;
    }

    unmask(p + head, size, p + head - 4);

    if (opcode == 1 || opcode == 2) {
        stomp_input(c, p + head, size);

    } else if (opcode == 8) {
        conn_drop(c);

    } else if (opcode == 9) {
        last = put_ws_head(out, 10, size);
        last = put(last, p + head, size);
        answer(c, out, last - out);

    } else if (opcode != 10) {
        bad(c, "unknown WebSocket frame");
    }

    return head + size;
}


/*
 * All input goes through one buffer; what is incomplete is carried over.
 * A read that does not fill it has drained the socket, so edge-triggered epoll
 * needs no second one, unless the end of the stream was seen.
 */

void
conn_read(conn_t *c, unsigned events)
{
    size_t          used, rest, room;
    ssize_t         n;
    unsigned char  *p;

    do {
        if (c->carry_len) {
            memcpy(input, c->carry, c->carry_len);
        }

        room = INPUT_SIZE - c->carry_len;
        n = recv(c->fd, input + c->carry_len, room, 0);

        if (n <= 0) {
            if (n == 0 || errno != EAGAIN) {
                conn_drop(c);
            }

            return;
        }

        p = input;
        rest = c->carry_len + n;

        do {
            used = c->kind == WS ? ws_input(c, p, rest)
                                 : http_input(c, p, rest);

            if (c->kind == FREE) {
                return;
            }

            p += used;
            rest -= used;
        } while (used && rest);

        if (rest) {
            c->carry = grow(c->carry, rest);
            memcpy(c->carry, p, rest);

        } else if (c->carry) {
            free(c->carry);
            c->carry = NULL;
        }

        c->carry_len = rest;
    } while ((size_t) n == room || events & (EPOLLRDHUP|EPOLLHUP|EPOLLERR));
}
