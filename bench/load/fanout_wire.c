
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * The load tool's connections and its own HTTP and WebSocket codecs.
 * All input goes through one buffer; what is incomplete is carried over.
 */


#include "fanout.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* the key and the answer of the example in RFC 6455, so no SHA-1 is needed */
#define WS_KEY         "dGhlIHNhbXBsZSBub25jZQ=="
#define WS_ACCEPT      "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static int             source;          /* last octet of our address - 1 */
static size_t          rbuf_size;
static unsigned char  *rbuf;


void
wire_init(void)
{
    rbuf_size = RECV_SIZE + MAX_FRAME + 64;
    rbuf = alloc(rbuf_size + 1, 1);
}


static void
watch(conn_t *c, int op)
{
    struct epoll_event  ev;

    ev.events = EPOLLIN | (c->writing ? EPOLLOUT : 0);
    ev.data.ptr = c;

    if (epoll_ctl(ep, op, c->fd, &ev) == -1) {
        die("epoll_ctl");
    }
}


static void
drop(conn_t *c)
{
    close(c->fd);
    c->fd = -1;
    c->out_pos = 0;
    release(&c->carry);
    release(&c->frag);
    release(&c->out);
}


/* code: of the server's close frame, 1006 without one, 0: we gave up */

void
conn_lost(conn_t *c, unsigned code)
{
    if (c->fd < 0) {
        return;
    }

    drop(c);
    c->retry_us = now_us + RETRY_US;
    lost_connections++;

    if (code > 0 && code < 5000) {
        closes[code]++;
    }

    if (c->state != ST_READY) {
        opening--;

    } else if (c->kind == SUBSCRIBER) {
        ready--;
        subscriber_lost(c);
    }

    if (c->kind == SUBSCRIBER) {
        dead++;

    } else if (c->kind == CHURNER) {
        report(c, "connection lost");

    } else {
        publisher_lost(c);
    }

    c->state = ST_DEAD;
}


void
broken(conn_t *c, const char *what)
{
    if (c->fd >= 0) {
        report(c, "%s", what);
        conn_lost(c, 0);
    }
}


void
flush(conn_t *c)
{
    int      writing;
    ssize_t  n;

    while (c->out_pos < c->out.len) {
        n = send(c->fd, c->out.data + c->out_pos, c->out.len - c->out_pos,
                 MSG_NOSIGNAL);

        if (n == -1) {
            if (errno == EAGAIN) {
                break;
            }

            /* the reading side will tell how the connection ended */
            c->out_pos = c->out.len;
            break;
        }

        c->out_pos += n;
    }

    if (c->out_pos == c->out.len) {
        c->out.len = c->out_pos = 0;
    }

    writing = c->out.len != 0;

    if (writing != c->writing) {
        c->writing = writing;
        watch(c, EPOLL_CTL_MOD);
    }
}


void
ws_write(conn_t *c, int opcode, const void *data, size_t len)
{
    size_t                i, head, at;
    unsigned char         h[14];
    static unsigned char  mask[4] = { 0x5a, 0x13, 0xc7, 0x81 };

    h[0] = 0x80 | opcode;
    head = len < 126 ? 2 : len < 65536 ? 4 : 10;
    h[1] = 0x80 | (len < 126 ? len : len < 65536 ? 126 : 127);

    for (i = 2; i < head; i++) {
        h[i] = (uint64_t) len >> 8 * (head - 1 - i);
    }

    mask[0]++;
    memcpy(h + head, mask, 4);
    append(&c->out, h, head + 4);

    at = c->out.len;
    append(&c->out, data, len);

    for (i = 0; i < len; i++) {
        c->out.data[at + i] ^= mask[i & 3];
    }

    flush(c);
}


void
conn_open(conn_t *c)
{
    int                 one = 1;
    struct sockaddr_in  sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;

    c->fd = socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, 0);
    if (c->fd == -1) {
        die("socket");
    }

    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    for ( ;; ) {
        if (source > 0) {
            setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
                       sizeof(one));
            sin.sin_port = 0;
            sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK + source);
            bind(c->fd, (struct sockaddr *) &sin, sizeof(sin));
        }

        sin.sin_port = htons(o.port);
        sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

        if (connect(c->fd, (struct sockaddr *) &sin, sizeof(sin)) == 0
            || errno == EINPROGRESS)
        {
            break;
        }

        if (errno != EADDRNOTAVAIL || ++source > 50) {
            die("connect");
        }

        /* the ports of this source address have run out */
        close(c->fd);
        c->fd = socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, 0);
    }

    opening++;
    c->state = ST_TCP;
    c->writing = 1;
    watch(c, EPOLL_CTL_ADD);
}


void
conn_ready(conn_t *c)
{
    opening--;
    c->state = ST_READY;

    if (c->kind == SUBSCRIBER) {
        ready++;
        subscriber_ready(c);
    }
}


static void
tcp_connected(conn_t *c)
{
    int        err = 0;
    char       buf[1024];
    socklen_t  len = sizeof(err);

    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);

    if (err) {
        if (!o.survive) {
            report(c, "connect: %s", strerror(err));
        }

        conn_lost(c, 1006);
        return;
    }

    if (c->kind == PUB_HTTP) {
        conn_ready(c);

    } else {
        c->state = ST_UPGRADE;
        append(&c->out, buf, snprintf(buf, sizeof(buf),
               "GET %s%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
               "Upgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Key: " WS_KEY "\r\n"
               "Sec-WebSocket-Version: 13\r\n%s\r\n", o.path,
               o.raw ? dest_name[c->dest] : "", o.port,
               o.raw ? "" : "Sec-WebSocket-Protocol: v12.stomp\r\n"));
    }

    flush(c);
}


/* the value of a header, compared with a prefix, in a head with CRLF lines */

static const char *
http_header(const char *p, const char *last, const char *name)
{
    size_t  len = strlen(name);

    while ((p = memchr(p, '\n', last - p)) != NULL && ++p < last) {
        if ((size_t) (last - p) > len + 1 && p[len] == ':'
            && strncasecmp(p, name, len) == 0)
        {
            for (p += len + 1; *p == ' '; p++) { /* void */ }
            return p;
        }
    }

    return NULL;
}


static size_t
upgrade_input(conn_t *c, const char *p, size_t len)
{
    const char  *end, *v;

    end = memmem(p, len, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }

    end += 4;

    /* a worker that is about to end says so */

    if (o.survive && strncmp(p, "HTTP/1.1 503 ", 13) == 0) {
        unavailable++;
        conn_lost(c, 0);
        return 0;
    }

    if (strncmp(p, "HTTP/1.1 101 ", 13) != 0) {
        broken(c, "handshake refused");
        return 0;
    }

    v = http_header(p, end, "Sec-WebSocket-Accept");

    if (v == NULL || strncmp(v, WS_ACCEPT "\r", sizeof(WS_ACCEPT)) != 0) {
        broken(c, "wrong Sec-WebSocket-Accept");
        return 0;
    }

    if (o.raw) {
        conn_ready(c);
        return end - p;
    }

    v = http_header(p, end, "Sec-WebSocket-Protocol");

    if (v == NULL || strncmp(v, "v12.stomp\r", 10) != 0) {
        broken(c, "wrong Sec-WebSocket-Protocol");
        return 0;
    }

    stomp_connect(c);

    return end - p;
}


static void
http_answer(conn_t *c, int status)
{
    size_t  m;

    m = message_of(c->index, c->pending_n);
    c->in_flight = 0;
    progress_us = last_us = now_us;

    if (status >= 200 && status < 300) {
        flags[m] |= M_CONFIRMED;
        return;
    }

    if (refused++ == 0) {
        fprintf(stderr, "fanout: push answered %d\n", status);
    }

    settle(m, M_REFUSED);
    c->next_us = now_us + 20000;
}


static size_t
http_input(conn_t *c, const char *p, size_t len)
{
    size_t       size;
    const char  *end, *v;

    end = memmem(p, len, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }

    end += 4;
    v = http_header(p, end, "Content-Length");
    size = v ? strtoul(v, NULL, 10) : 0;

    if (http_header(p, end, "Transfer-Encoding")) {
        v = memmem(end - 2, p + len - end + 2, "\r\n0\r\n\r\n", 7);
        size = v ? (size_t) (v + 7 - end) : len;
    }

    if ((size_t) (p + len - end) < size) {
        return 0;
    }

    if (!c->in_flight || strncmp(p, "HTTP/1.", 7) != 0) {
        broken(c, "unexpected HTTP response");
        return 0;
    }

    http_answer(c, atoi(p + 9));
    v = http_header(p, end, "Connection");

    if (v != NULL && strncasecmp(v, "close", 5) == 0) {
        drop(c);
        conn_open(c);
        return 0;
    }

    return end + size - p;
}


static void
message_input(conn_t *c, const char *p, size_t len)
{
    if (o.raw) {
        body_input(c, p, len, 0);

    } else {
        stomp_input(c, p, len);
    }
}


static void
ws_frame(conn_t *c, int first, const unsigned char *p, size_t len)
{
    int  opcode = first & 0x0f;

    if (opcode == 8) {
        conn_lost(c, len >= 2 ? p[0] << 8 | p[1] : 1005);

    } else if (opcode == 9) {
        ws_write(c, 10, p, len);

    } else if (opcode > 10 || (opcode > 2 && opcode < 8) || first & 0x70
               || (opcode < 8 && (opcode == 0) != (c->frag.cap != 0)))
    {
        broken(c, "bad WebSocket frame");

    } else if (opcode < 8 && (!(first & 0x80) || c->frag.cap != 0)) {
        append(&c->frag, p, len);

        if (c->frag.len > (size_t) MAX_FRAME) {
            broken(c, "message too large");

        } else if (first & 0x80) {
            message_input(c, (char *) c->frag.data, c->frag.len);
            release(&c->frag);

        } else if (c->frag.cap == 0) {
            append(&c->frag, "", 1);    /* an empty first fragment */
            c->frag.len = 0;
        }

    } else if (opcode < 8) {
        message_input(c, (const char *) p, len);
    }
}


static size_t
ws_input(conn_t *c, const unsigned char *p, size_t len)
{
    int       i;
    size_t    head;
    uint64_t  size;

    if (len < 2) {
        return 0;
    }

    size = p[1] & 0x7f;
    head = size < 126 ? 2 : size == 126 ? 4 : 10;

    if (len < head) {
        return 0;
    }

    if (head > 2) {
        for (size = 0, i = 2; i < (int) head; i++) {
            size = size << 8 | p[i];
        }
    }

    if (p[1] & 0x80) {
        broken(c, "masked frame");
        return 0;
    }

    if (size > (uint64_t) MAX_FRAME || (head == 4 && size < 126)
        || (head == 10 && size < 65536) || (p[0] & 8 && size > 125))
    {
        broken(c, "bad length of a WebSocket frame");
        return 0;
    }

    if (len < head + size) {
        return 0;
    }

    ws_frame(c, p[0], p + head, size);

    return head + size;
}


static void
conn_read(conn_t *c)
{
    int             fd = c->fd;
    size_t          used, carry = c->carry.len;
    ssize_t         n;
    unsigned char  *p = rbuf, *last;

    memcpy(rbuf, c->carry.data ? c->carry.data : rbuf, carry);

    n = recv(c->fd, rbuf + carry, rbuf_size - carry, 0);

    if (n == -1 && errno == EAGAIN) {
        return;
    }

    if (n <= 0) {
        if (c->kind == PUB_HTTP && !c->in_flight && c->state == ST_READY) {
            drop(c);                    /* an idle one may be closed */
            conn_open(c);
            return;
        }

        conn_lost(c, 1006);
        return;
    }

    last = rbuf + carry + n;
    c->carry.len = 0;

    while (p < last) {
        used = c->kind == PUB_HTTP ? http_input(c, (char *) p, last - p)
               : c->state == ST_UPGRADE ? upgrade_input(c, (char *) p, last - p)
               : ws_input(c, p, last - p);

        if (c->fd != fd || c->state == ST_TCP) {
            return;                     /* lost, or replaced */
        }

        if (used == 0) {
            break;
        }

        p += used;
    }

    if (last - p > MAX_FRAME + 14) {
        broken(c, "too much input for one frame");
        return;
    }

    if (p < last) {
        append(&c->carry, p, last - p);

    } else if (c->carry.cap > 1024) {
        release(&c->carry);
    }
}


void
conn_event(conn_t *c, unsigned events)
{
    if (c->state == ST_TCP) {
        if (events & (EPOLLOUT|EPOLLERR|EPOLLHUP)) {
            tcp_connected(c);
        }

        return;
    }

    if (events & EPOLLOUT) {
        flush(c);
    }

    if (events & (EPOLLIN|EPOLLERR|EPOLLHUP)) {
        conn_read(c);
    }
}
