
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <host.h>
#include <model.h>
#include <reference.h>
#include <session_client.h>
#include <ngx_stomp_ws.h>
#include <stdio.h>


#define CLIENT_FRAME_MAX  16384


typedef struct {
    size_t      len;
    ngx_uint_t  version;
    u_char      data[CLIENT_FRAME_MAX];
} client_frame_t;


client_t  clients[CLIENTS];

static uint32_t  client_bodies;
static u_char    client_mask[4];


ngx_int_t __wrap_ngx_stomp_session_init(ngx_stomp_session_t *s);
ngx_int_t __real_ngx_stomp_session_init(ngx_stomp_session_t *s);
void __wrap_ngx_stomp_session_cleanup(ngx_stomp_session_t *s);
void __real_ngx_stomp_session_cleanup(ngx_stomp_session_t *s);


ngx_int_t
__wrap_ngx_stomp_session_init(ngx_stomp_session_t *s)
{
    ngx_int_t   rc;
    ngx_uint_t  n;

    rc = __real_ngx_stomp_session_init(s);

    for (n = 0; rc == NGX_OK && n < CLIENTS; n++) {
        if (host_clients[n].connection == s->connection) {
            clients[n].session = s;
            clients[n].id = s->id;
        }
    }

    return rc;
}


void
__wrap_ngx_stomp_session_cleanup(ngx_stomp_session_t *s)
{
    ngx_uint_t  n;

    __real_ngx_stomp_session_cleanup(s);

    fuzz_check(s->nsubs == 0 && s->subs == NULL && s->carry == NULL);
    fuzz_check(s->extra == NULL && !s->delayed);
    fuzz_check(s->range.segment == NULL && s->more == NULL);

    for (n = 0; n < CLIENTS; n++) {
        if (clients[n].session == s) {
            clients[n].session = NULL;
        }
    }
}


void
client_reset(void)
{
    memset(clients, 0, sizeof(clients));
    memcpy(client_mask, "\x11\x22\x33\x44", 4);
    client_bodies = 0;
}


/* mostly short, up to some pages */

size_t
client_size(fuzz_input_t *in)
{
    size_t  n;

    n = fuzz_octet(in);

    return n * n / 8;
}


/* no two are the same */

void
client_body(u_char *p, size_t len)
{
    size_t  i;
    char    number[16];

    snprintf(number, sizeof(number), "%u.", ++client_bodies);

    for (i = 0; i < len; i++) {
        p[i] = number[i % strlen(number)];
    }
}


/* a masked frame, as a client sends it; in as many fragments as ordered */

static void
client_ws(ngx_uint_t n, ngx_uint_t opcode, u_char *data, size_t len)
{
    u_char      head[14], c;
    size_t      i, part, size;
    ngx_uint_t  fragments;

    fragments = (opcode < 8) ? 1 + clients[n].fragments : 1;
    clients[n].fragments = 0;

    for ( /* void */ ; fragments; fragments--) {

        part = len / fragments;

        head[0] = opcode | ((fragments == 1) ? 0x80 : 0);
        head[1] = 0x80 | ((part < 126) ? part : 126);
        size = 2;

        if (part >= 126) {
            head[size++] = part >> 8;
            head[size++] = part & 0xff;
        }

        memcpy(head + size, client_mask, 4);
        host_write(n, head, size + 4);

        for (i = 0; i < part; i++) {
            c = data[i] ^ client_mask[i % 4];
            host_write(n, &c, 1);
        }

        data += part;
        len -= part;
        opcode = 0;

        client_mask[len % 4] += 17;
    }
}


/* nginx reads, if it does, until it has all */

static void
client_flush(ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < 64 && host_clients[n].in.len && client_listening(n); i++) {
        host_readable(n);
    }
}


ngx_uint_t
client_listening(ngx_uint_t n)
{
    ngx_stomp_session_t  *s;

    s = clients[n].session;

    return s == NULL || (!ngx_stomp_session_paused(s) && !s->dead);
}


void
client_open(ngx_uint_t n, const char *broker)
{
    char  request[512];

    if (host_clients[n].connection != NULL) {
        return;
    }

    memset(&clients[n], 0, sizeof(client_t));

    host_connect(n);

    sprintf(request, "GET /%s%u HTTP/1.1\r\nHost: a\r\n"
                     "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            broker, (unsigned) n % 2);

    host_write(n, request, strlen(request));
    host_readable(n);
    (void) host_turn();
    (void) host_turn();
}


static void
client_put(client_frame_t *f, const void *data, size_t len)
{
    fuzz_check(len <= CLIENT_FRAME_MAX - f->len);

    memcpy(f->data + f->len, data, len);
    f->len += len;
}


static void
client_put_header(client_frame_t *f, const char *name, ngx_str_t *value)
{
    u_char  escaped[256];
    size_t  len;

    client_put(f, name, strlen(name));
    client_put(f, ":", 1);

    len = reference_escape(escaped, value->data, value->len, f->version);

    client_put(f, escaped, len);
    client_put(f, "\n", 1);
}


static void
client_begin(client_frame_t *f, ngx_uint_t n, const char *command)
{
    f->len = 0;
    f->version = (clients[n].session != NULL) ? clients[n].session->version
                                              : 0;

    client_put(f, command, strlen(command));
    client_put(f, "\n", 1);
}


static void
client_put_receipt(client_frame_t *f, ngx_uint_t n, ngx_uint_t wanted)
{
    char        text[16];
    ngx_str_t   value;

    /* what follows DISCONNECT is not read */

    if (!wanted || clients[n].gone
        || clients[n].nreceipts == CLIENT_RECEIPTS)
    {
        return;
    }

    value.data = (u_char *) text;
    value.len = sprintf(text, "r%u", (unsigned) ++clients[n].nreceipts);

    client_put_header(f, "receipt", &value);
}


static void
client_send_frame(client_frame_t *f, ngx_uint_t n, ngx_str_t *body)
{
    char  length[64];

    if (body != NULL) {
        sprintf(length, "content-length:%zu\n", body->len);
        client_put(f, length, strlen(length));
    }

    client_put(f, "\n", 1);

    if (body != NULL) {
        client_put(f, body->data, body->len);
    }

    client_put(f, "", 1);

    client_ws(n, NGX_STOMP_WS_TEXT, f->data, f->len);
    client_flush(n);
}


static void
client_connect(ngx_uint_t n, fuzz_input_t *in)
{
    ngx_uint_t      order;
    client_frame_t  f;

    static const char  *headers[] = {
        "", "accept-version:1.1\n", "accept-version:1.0,1.1,1.2\n",
        "accept-version:1.2\nheart-beat:0,0\n",
        "accept-version:1.1,1.2\nheart-beat:3000,2000\n",
        "accept-version:1.2\nheart-beat:1,x\n", "accept-version:2.0\n",
        "accept-version:1.2,1.0\nheart-beat:0,1000\nhost:a:b\\t\n"
    };

    order = fuzz_octet(in);

    client_begin(&f, n, (order & 8) ? "STOMP" : "CONNECT");
    client_put(&f, headers[order & 7], strlen(headers[order & 7]));
    client_send_frame(&f, n, NULL);
}


static void
client_subscribe(ngx_uint_t n, fuzz_input_t *in)
{
    ngx_str_t       name, id;
    ngx_uint_t      order, i;
    client_frame_t  f;

    order = fuzz_octet(in);
    i = fuzz_octet(in);
    name = client_listened(order);
    id = client_subscription(i);

    client_begin(&f, n, "SUBSCRIBE");
    client_put_header(&f, "destination", &name);

    if (!(i & 0x80)) {
        client_put_header(&f, "id", &id);
    }

    client_put_receipt(&f, n, i & 0x40);
    client_send_frame(&f, n, NULL);
}


static void
client_unsubscribe(ngx_uint_t n, fuzz_input_t *in)
{
    ngx_str_t       name, id;
    ngx_uint_t      i;
    client_frame_t  f;

    i = fuzz_octet(in);

    client_begin(&f, n, "UNSUBSCRIBE");

    if (i & 0x80) {
        name = client_listened(i);
        client_put_header(&f, "destination", &name);

    } else {
        id = client_subscription(i & 0x3f);
        client_put_header(&f, "id", &id);
    }

    client_put_receipt(&f, n, i & 0x40);
    client_send_frame(&f, n, NULL);
}


/* of what a client sent, this is what the broker is to carry */

static void
client_published(ngx_uint_t before, ngx_str_t *name, ngx_str_t *body,
    const char *headers)
{
    u_char                escaped[256];
    size_t                len;
    ngx_str_t             rest, key, shown;
    model_publication_t  *p;

    fuzz_check(model.npublications == before + 1);

    p = &model.publications[before];

    key = *name;
    shown = *name;

    /* the one user that messages are sent to */

    if (memcmp(name->data, "/user/", 6) == 0) {
        ngx_str_set(&key, "~/user/u%2Fv/q");
        ngx_str_set(&shown, "/user/q");
    }

    fuzz_check(p->destination.len == key.len
               && memcmp(p->destination.data, key.data, key.len) == 0);
    fuzz_check(p->body.len == body->len
               && memcmp(p->body.data, body->data, body->len) == 0);

    len = sprintf((char *) escaped, "destination:");
    len += reference_escape(escaped + len, shown.data, shown.len,
                            NGX_STOMP_V12);
    escaped[len++] = '\n';

    fuzz_check(p->headers.len == len + strlen(headers)
               && memcmp(p->headers.data, escaped, len) == 0);

    rest.data = p->headers.data + len;
    fuzz_check(memcmp(rest.data, headers, strlen(headers)) == 0);
}


/* the session handles the next frame right away */

static ngx_uint_t
client_ready(ngx_uint_t n)
{
    ngx_stomp_session_t  *s;

    s = clients[n].session;

    return s != NULL && s->state == NGX_STOMP_SESSION_CONNECTED
           && !clients[n].wild && !ngx_stomp_session_paused(s) && !s->dead
           && s->carry == NULL && host_clients[n].in.len == 0
           && host_clients[n].chunk == 0;
}


/* it has handled all, and goes on */

static ngx_uint_t
client_served(ngx_uint_t n)
{
    ngx_stomp_session_t  *s;

    s = clients[n].session;

    return s != NULL && !s->dead && !ngx_stomp_session_paused(s)
           && !s->finished;
}


static void
client_send(ngx_uint_t n, fuzz_input_t *in)
{
    u_char                buf[8192];
    ngx_str_t             name, body;
    ngx_uint_t            order, ready, before;
    client_frame_t        f;

    static const struct {
        const char  *sent;
        const char  *kept;                    /* as in 1.2 */
    } headers[] = {
        { "", "" },
        { "content-type:text/plain\n", "content-type:text/plain\n" },
        { "x:1\nmessage-id:5\nx:2\n", "x:1\nx:2\n" },
        { "subscription:5\nack:7\nk:\xc3\xa9\n", "k:\xc3\xa9\n" }
    };

    order = fuzz_octet(in);
    name = client_destination(order >> 2);

    body.data = buf;
    body.len = client_size(in);
    client_body(buf, body.len);

    client_begin(&f, n, "SEND");
    client_put_header(&f, "destination", &name);
    client_put(&f, headers[order & 3].sent, strlen(headers[order & 3].sent));
    client_put_receipt(&f, n, order & 0x40);

    ready = client_ready(n);
    before = model.npublications;

    client_send_frame(&f, n, &body);

    if (ready && client_served(n)) {
        client_published(before, &name, &body, headers[order & 3].kept);
    }
}


/* all that it held was published, in its order, and nothing else */

static void
client_committed(client_transaction_t *t, ngx_uint_t before)
{
    char                  number[16];
    size_t                len;
    ngx_uint_t            i;
    model_publication_t  *p;

    fuzz_check(t->open);
    fuzz_check(model.npublications == before + t->nheld);

    for (i = 0; i < t->nheld; i++) {
        p = &model.publications[before + i];
        len = snprintf(number, sizeof(number), "%u.", t->bodies[i]);

        fuzz_check(p->body.len == t->lengths[i]);
        fuzz_check(memcmp(p->body.data, number, ngx_min(len, p->body.len))
                   == 0);
    }
}


/* what became of a frame of a transaction: 0 to 2 end it, 3 is held */

static void
client_transacted(ngx_uint_t n, ngx_uint_t what, client_transaction_t *t,
    size_t len, ngx_uint_t before)
{
    if (what == 1) {
        client_committed(t, before);
        t->open = 0;
        return;
    }

    fuzz_check(model.npublications == before);
    fuzz_check(t->open == (what != 0));

    switch (what) {

    case 0:
        t->open = 1;
        t->nheld = 0;
        break;

    case 2:
        t->open = 0;
        break;

    default:
        fuzz_check(t->nheld < CLIENT_HELD);

        t->bodies[t->nheld] = client_bodies;
        t->lengths[t->nheld] = len;
        t->nheld++;
    }
}


/* BEGIN, COMMIT, ABORT, and SEND of one of four transactions */

static void
client_transaction(ngx_uint_t n, fuzz_input_t *in)
{
    u_char           buf[8192];
    ngx_str_t        name, id, body;
    ngx_uint_t       order, ready, before, what;
    client_frame_t   f;

    static const char  *commands[] = { "BEGIN", "COMMIT", "ABORT", "SEND" };
    static ngx_str_t    ids[] = {
        ngx_string("0"), ngx_string("a:b\\c"), ngx_string(""),
        ngx_string("3")
    };

    order = fuzz_octet(in);
    what = order & 3;
    id = ids[order >> 2 & 3];

    body.data = buf;
    body.len = 0;

    client_begin(&f, n, commands[what]);

    if (!(order & 0x80)) {
        client_put_header(&f, "transaction", &id);
    }

    if (what == 3) {
        name = client_destination(order >> 4);
        client_put_header(&f, "destination", &name);
        body.len = client_size(in);
        client_body(buf, body.len);
    }

    client_put_receipt(&f, n, order & 0x40);

    ready = client_ready(n) && !clients[n].unsure;
    before = model.npublications;

    client_send_frame(&f, n, (what == 3) ? &body : NULL);

    if (what == 3 && (order & 0x80)) {
        return;
    }

    if (!ready || !client_served(n)) {
        clients[n].unsure = 1;
        return;
    }

    client_transacted(n, what, &clients[n].transactions[order >> 2 & 3],
                      body.len, before);
}


static void
client_disconnect(ngx_uint_t n, fuzz_input_t *in)
{
    client_frame_t  f;

    client_begin(&f, n, "DISCONNECT");
    client_put_receipt(&f, n, fuzz_octet(in) & 1);
    clients[n].gone = 1;
    client_send_frame(&f, n, NULL);
}


/* octets of the input, as a message of WebSocket, or as they are */

static void
client_raw(ngx_uint_t n, fuzz_input_t *in, ngx_uint_t framed)
{
    ngx_str_t   s;
    ngx_uint_t  opcode;

    opcode = NGX_STOMP_WS_TEXT + (fuzz_octet(in) & 1);
    s = fuzz_octets(in, fuzz_octet(in));

    clients[n].wild = 1;

    if (framed) {
        client_ws(n, opcode, s.data, s.len);

    } else {
        host_write(n, s.data, s.len);
    }

    client_flush(n);
}


static void
client_close(ngx_uint_t n, fuzz_input_t *in)
{
    u_char      data[2];
    ngx_uint_t  code;

    code = 1000 + fuzz_octet(in);
    data[0] = code >> 8;
    data[1] = code & 0xff;

    client_ws(n, NGX_STOMP_WS_CLOSE, data, (code == 1255) ? 0 : 2);
    client_flush(n);
}


void
client_order(ngx_uint_t n, ngx_uint_t order, fuzz_input_t *in)
{
    ngx_str_t  s;

    if (host_clients[n].connection == NULL) {
        return;
    }

    switch (order) {

    case 'c':
        client_connect(n, in);
        break;

    case 's':
        client_subscribe(n, in);
        break;

    case 'u':
        client_unsubscribe(n, in);
        break;

    case 'm':
        client_send(n, in);
        break;

    case 'a':
        client_transaction(n, in);
        break;

    case 'd':
        client_disconnect(n, in);
        break;

    case 'r':
        client_raw(n, in, 1);
        break;

    case 'w':
        client_raw(n, in, 0);
        break;

    case 'p':
        s = fuzz_octets(in, fuzz_octet(in) % 126);
        client_ws(n, NGX_STOMP_WS_PING + (s.len & 1), s.data, s.len);
        client_flush(n);
        break;

    case 'h':
        client_ws(n, NGX_STOMP_WS_TEXT, (u_char *) "\n", 1);
        client_flush(n);
        break;

    case 'x':
        client_close(n, in);
        break;

    case 'e':
        host_clients[n].eof = 1;
        host_readable(n);
        break;

    case 'l':
        host_clients[n].chunk = fuzz_octet(in) % 64;
        break;

    case 'n':
        clients[n].fragments = fuzz_octet(in) % 4;
        break;

    case 'f':
        host_writable(n, 4 * client_size(in));
        break;
    }
}
