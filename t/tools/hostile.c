
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * The client that a server is afraid of: floods of handshakes, of frames and
 * of names, as fast as one process can, in one epoll loop.  What it has sent
 * is counted, so that the server's counters can be compared.  Run it without
 * options for the list.
 *
 *     cc -std=c99 -O2 -Wall -Wextra -o hostile hostile.c hostile_attacks.c
 */


#include "hostile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OPENING        64              /* connections being opened at once */
#define PINGS          1000            /* without a pong, unless deaf */

hostile_options_t  o = {
    .path = "/endpoint-websocket", .tag = "n", .connections = 1,
    .seconds = 10, .size = 40
};

static const attack_t  *attack;
static int              ep;
static uint64_t         now_us, start_us, end_us;
static uint64_t         items, answers, other_answers, frames, octets, errors,
                        opened, lost, finished;
static unsigned         opening, busy, source, closes[5000];


static uint64_t
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


static void
watch(conn_t *c, int op)
{
    struct epoll_event  ev;

    ev.events = (o.deaf && c->state >= ST_RUN ? 0 : EPOLLIN)
                | (c->writing ? EPOLLOUT : 0);
    ev.data.ptr = c;

    if (epoll_ctl(ep, op, c->fd, &ev) == -1) {
        die("epoll_ctl");
    }
}


static void
conn_close(conn_t *c, int reset)
{
    struct linger  l = { 1, 0 };

    if (c->fd < 0) {
        return;
    }

    if (c->state < ST_RUN) {
        opening--;
    }

    if (reset) {
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
    }

    close(c->fd);
    c->fd = -1;
    c->state = ST_DONE;
    busy--;
}


static void
conn_lost(conn_t *c, unsigned code)
{
    lost++;
    closes[code < 5000 ? code : 0]++;
    conn_close(c, 0);
}


/* the loopback has many addresses, each with all ports */

static void
conn_open(conn_t *c)
{
    int                 one = 1, small = 4096;
    struct sockaddr_in  sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;

    c->fd = socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, 0);
    if (c->fd == -1) {
        die("socket");
    }

    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    if (o.deaf) {
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    }

    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + source++ % 50);
    bind(c->fd, (struct sockaddr *) &sin, sizeof(sin));

    sin.sin_port = htons(o.port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    if (connect(c->fd, (struct sockaddr *) &sin, sizeof(sin)) == -1
        && errno != EINPROGRESS)
    {
        die("connect");
    }

    opening++;
    busy++;
    opened++;
    c->state = ST_TCP;
    c->writing = 1;
    c->len = c->pos = c->head_len = c->ws_len = c->left = 0;
    watch(c, EPOLL_CTL_ADD);
}


/* each connection has its share of the items */

static int
has_share(conn_t *c)
{
    return o.count == 0
           || c->next < o.count / o.connections
                        + (c->index < o.count % o.connections);
}


static int
may_add(conn_t *c)
{
    if (c->state != ST_RUN || attack->item == NULL || now_us >= end_us
        || !has_share(c))
    {
        return 0;
    }

    if (is_ping(attack) && !o.deaf && c->next - c->answers >= PINGS)
    {
        return 0;
    }

    if (o.window && c->next - c->answers >= o.window) {
        return 0;
    }

    return o.rate == 0 || items < o.rate * (now_us - start_us) / 1e6;
}


static int
is_over(void)
{
    return now_us >= end_us || (o.count && items >= o.count);
}


/* the RECEIPT shows that all before it was handled */

static void
fill(conn_t *c)
{
    static const char  end[] = "UNSUBSCRIBE\nid:none\nreceipt:end\n\n";

    if (c->pos == c->len) {
        c->pos = c->len = 0;
    }

    while (c->len < OUT_FILL && may_add(c)) {
        c->len += attack->item(c, c->out + c->len);
        c->next++;
        items++;
    }

    if (c->state == ST_RUN && c->len < OUT_FILL && attack->item
        && (now_us >= end_us || !has_share(c))
        && (attack->kind != PUSH || c->answers == c->next))
    {
        c->state = ST_END;

        if (attack->kind == STOMP) {
            c->len += ws_text(c->out + c->len, end, sizeof(end));

        } else {
            finished++;
            conn_close(c, 0);
        }
    }
}


static void
conn_write(conn_t *c)
{
    int      writing;
    size_t   n;
    ssize_t  sent;

    fill(c);

    while (c->fd >= 0 && c->pos < c->len) {
        n = o.step && c->state >= ST_RUN ? 1 : c->len - c->pos;
        sent = send(c->fd, c->out + c->pos, n, MSG_NOSIGNAL);

        if (sent == -1) {
            if (errno == EAGAIN) {
                break;
            }

            /* what the server has said is still to be read */
            c->pos = c->len;

            if (o.deaf) {
                conn_lost(c, 1006);
            }

            break;
        }

        c->pos += sent;

        if (o.step) {
            break;
        }

        fill(c);
    }

    if (c->fd < 0) {
        return;
    }

    if (o.deaf && c->state == ST_END && c->pos == c->len) {
        finished++;
        c->state = ST_DONE;

        if (!o.hold) {
            conn_close(c, 0);
            return;
        }
    }

    writing = c->pos < c->len || may_add(c);

    if (writing != c->writing) {
        c->writing = writing;
        watch(c, EPOLL_CTL_MOD);
    }
}


static void
put(conn_t *c, const char *text, size_t len)
{
    memcpy(c->out + c->len, text, len);
    c->len += len;
}


static void
tcp_connected(conn_t *c)
{
    int        n, err = 0;
    char       buf[512];
    socklen_t  size = sizeof(err);

    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &size);

    if (err) {
        conn_lost(c, 1006);
        return;
    }

    if (attack->kind == TCP || attack->kind == PUSH) {
        c->state = ST_RUN;
        opening--;

    } else {
        n = snprintf(buf, sizeof(buf), "GET %s HTTP/1.1\r\nHost: h\r\n"
                     "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Version: 13\r\n%s\r\n", o.path,
                     attack->kind == REFUSED ? ""
                     : "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
        put(c, buf, attack->kind == HALF ? n / 2 : n);

        if (attack->kind == HALF) {
            c->state = ST_RUN;
            opening--;

        } else {
            c->state = ST_UPGRADE;
        }
    }

    conn_write(c);

    if (c->fd >= 0) {
        watch(c, EPOLL_CTL_MOD);
    }
}


/* a whole frame of the server; only its beginning is kept */

static void
frame_input(conn_t *c)
{
    int  opcode = c->ws[0] & 0x0f;

    frames++;

    if (opcode == 8) {
        conn_lost(c, c->head_len < 2 ? 1005 : c->head[0] << 8 | c->head[1]);
        return;
    }

    if (opcode == 10) {
        c->answers++;
    }

    if (c->head_len > 6 && memcmp(c->head, "ERROR\n", 6) == 0) {
        errors++;

    } else if (c->state == ST_CONNECT && c->head_len > 10
               && memcmp(c->head, "CONNECTED\n", 10) == 0)
    {
        c->state = ST_RUN;
        opening--;
        conn_write(c);

        if (c->fd >= 0) {
            watch(c, EPOLL_CTL_MOD);
        }

    } else if (c->state == ST_END && c->head_len > 22
               && memcmp(c->head, "RECEIPT\nreceipt-id:end", 22) == 0)
    {
        finished++;
        c->state = ST_DONE;

        if (!o.hold) {
            conn_close(c, 0);
        }
    }
}


static void
ws_input(conn_t *c, unsigned char *p, unsigned char *last)
{
    size_t    n, need;
    unsigned  i;

    while (c->fd >= 0 && (p < last || c->payload_seen)) {

        if (!c->payload_seen) {
            c->ws[c->ws_len++] = *p++;
            need = 2;

            if (c->ws_len >= 2) {
                n = c->ws[1] & 0x7f;
                need = n < 126 ? 2 : n == 126 ? 4 : 10;
            }

            if (c->ws_len < need || c->ws_len < 2) {
                continue;
            }

            c->left = c->ws[1] & 0x7f;

            if (need > 2) {
                for (c->left = 0, i = 2; i < need; i++) {
                    c->left = c->left << 8 | c->ws[i];
                }
            }

            c->payload_seen = 1;
            c->head_len = 0;
        }

        n = (size_t) (last - p) < c->left ? (size_t) (last - p) : c->left;
        need = HEAD_SIZE - c->head_len;
        need = n < need ? n : need;

        memcpy(c->head + c->head_len, p, need);
        c->head_len += need;
        c->left -= n;
        p += n;

        if (c->left) {
            break;
        }

        c->payload_seen = 0;
        c->ws_len = 0;
        frame_input(c);
    }
}


/* an answer is one line that begins with the version; bodies have none */

static void
http_input(conn_t *c, unsigned char *p, unsigned char *last)
{
    static const char  version[] = "HTTP/1.1 ";

    for ( /* void */ ; p < last; p++) {

        if (c->head_len < sizeof(version) - 1) {
            if (*p == (unsigned char) version[c->head_len]) {
                c->head_len++;

            } else {
                c->head_len = *p == 'H';
            }

            c->status = 0;
            continue;
        }

        c->status = c->status * 10 + (*p - '0');

        if (++c->head_len == sizeof(version) - 1 + 3) {
            c->head_len = 0;
            c->answers++;
            answers += c->status == 200 || c->status == 101;
            other_answers += c->status != 200 && c->status != 101;
        }
    }
}


static void
upgrade_input(conn_t *c, unsigned char *p, unsigned char *last)
{
    unsigned char      *end;
    static const char   hello[] = "CONNECT\naccept-version:1.2\n\n";

    http_input(c, p, last);

    if (attack->kind == REFUSED || attack->kind == SHAKE) {
        if (c->answers) {
            c->answers = 0;
            items++;
            conn_close(c, attack->kind == SHAKE);
        }

        return;
    }

    end = memmem(p, last - p, "\r\n\r\n", 4);
    if (end == NULL) {
        return;
    }

    c->head_len = c->ws_len = c->payload_seen = 0;
    c->answers = 0;

    if (attack->kind == IDLE) {
        c->state = ST_RUN;
        opening--;

    } else {
        c->state = ST_CONNECT;
        c->len = c->pos = 0;
        c->len = ws_text(c->out, hello, sizeof(hello));
        conn_write(c);
    }

    ws_input(c, end + 4, last);
}


static void
conn_read(conn_t *c)
{
    ssize_t               n;
    static unsigned char  buf[65536];

    n = recv(c->fd, buf, sizeof(buf), 0);

    if (n == -1 && errno == EAGAIN) {
        return;
    }

    if (n <= 0) {
        conn_lost(c, 1006);
        return;
    }

    octets += n;

    if (c->state == ST_UPGRADE) {
        upgrade_input(c, buf, buf + n);

    } else if (attack->kind == PUSH) {
        http_input(c, buf, buf + n);
        conn_write(c);

    } else if (attack->kind != HALF && attack->kind != TCP) {
        ws_input(c, buf, buf + n);
    }
}


static void
conn_event(conn_t *c, unsigned events)
{
    if (c->state == ST_TCP) {
        if (events & (EPOLLOUT|EPOLLERR|EPOLLHUP)) {
            tcp_connected(c);
        }

        return;
    }

    if (events & EPOLLOUT) {
        conn_write(c);
    }

    if (c->fd >= 0 && events & (EPOLLERR|EPOLLHUP) && o.deaf) {
        conn_lost(c, 1006);
    }

    if (c->fd >= 0 && events & (EPOLLIN|EPOLLERR|EPOLLHUP)) {
        conn_read(c);
    }
}


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

    now_us = clock_us();

    for (i = 0; i < n; i++) {
        c = ev[i].data.ptr;

        if (c->fd >= 0) {
            conn_event(c, ev[i].events);
        }
    }
}


/* with a rate nobody but the clock tells when to go on */

static void
run(conn_t *conns)
{
    int        again, holds;
    conn_t    *c;
    uint64_t   give_up;

    holds = attack->item == NULL && attack->kind != REFUSED
            && attack->kind != SHAKE;
    again = attack->kind == REFUSED || attack->kind == SHAKE;
    give_up = end_us + 20 * 1000000;

    do {
        for (c = conns; c < conns + o.connections; c++) {

            if (c->fd < 0 && opening < OPENING && !is_over()
                && (c->state == ST_NONE || again))
            {
                conn_open(c);

            } else if (c->fd >= 0 && c->state == ST_RUN && !c->writing
                       && attack->item)
            {
                conn_write(c);
            }
        }

        poll_once(o.rate ? 1 : 20);

    } while (holds ? busy && now_us < end_us
                   : !(is_over() && (busy == 0 || (o.hold
                       && finished + lost >= opened)))
                     && now_us < give_up);
}


/* unless it is deaf it goes on reading */

static void
hold(void)
{
    struct pollfd  in = { .fd = 0, .events = POLLIN };

    printf("READY\n");
    fflush(stdout);

    while (poll(&in, 1, 0) == 0) {
        poll_once(10);
    }
}


static void
print_result(void)
{
    unsigned     i;
    const char  *comma = "";

    printf("{\"items\": %llu, \"answers\": %llu, \"other_answers\": %llu, "
           "\"frames\": %llu, \"octets\": %llu, \"errors\": %llu, "
           "\"opened\": %llu, \"lost\": %llu, \"finished\": %llu, "
           "\"seconds\": %.3f, \"closes\": {",
           (unsigned long long) items, (unsigned long long) answers,
           (unsigned long long) other_answers, (unsigned long long) frames,
           (unsigned long long) octets, (unsigned long long) errors,
           (unsigned long long) opened, (unsigned long long) lost,
           (unsigned long long) finished, (now_us - start_us) / 1e6);

    for (i = 0; i < 5000; i++) {
        if (closes[i]) {
            printf("%s\"%u\": %u", comma, i, closes[i]);
            comma = ", ";
        }
    }

    printf("}}\n");
}


static void
bad_usage(void)
{
    const attack_t  *a;

    fprintf(stderr,
        "usage: hostile --port N [options] ATTACK\n"
        "  --path P          WebSocket endpoint (/endpoint-websocket)\n"
        "  --connections C   at the same time (1)\n"
        "  --count N         items of all of them (as many as fit)\n"
        "  --seconds S       then it ends in order (10)\n"
        "  --rate R          items a second (as fast as it can)\n"
        "  --size B          octets of pings and pongs (40)\n"
        "  --window W        pushes on a connection without an answer\n"
        "  --tag T           part of the names that it makes up (n)\n"
        "  --deaf            reads nothing, with a small receive buffer\n"
        "  --hold            READY, then stays until its input ends\n"
        "attacks:\n");

    for (a = attacks; a->name; a++) {
        fprintf(stderr, "  %-17s %s\n", a->name, a->what);
    }

    exit(2);
}


static void
parse_options(int argc, char **argv)
{
    int                         c;
    static const struct option  list[] = {
        { "port", 1, 0, 'p' }, { "path", 1, 0, 'u' },
        { "connections", 1, 0, 'c' }, { "count", 1, 0, 'n' },
        { "seconds", 1, 0, 's' }, { "rate", 1, 0, 'r' },
        { "size", 1, 0, 'b' }, { "tag", 1, 0, 't' },
        { "window", 1, 0, 'w' },
        { "deaf", 0, &o.deaf, 1 }, { "hold", 0, &o.hold, 1 },
        { "json", 0, 0, 0 }, { 0, 0, 0, 0 }
    };

    while ((c = getopt_long(argc, argv, "", list, NULL)) != -1) {
        switch (c) {
        case 'p': o.port = atoi(optarg); break;
        case 'u': o.path = optarg; break;
        case 'c': o.connections = strtoul(optarg, NULL, 10); break;
        case 'n': o.count = strtoull(optarg, NULL, 10); break;
        case 's': o.seconds = atof(optarg); break;
        case 'r': o.rate = atof(optarg); break;
        case 'b': o.size = atol(optarg); break;
        case 't': o.tag = optarg; break;
        case 'w': o.window = strtoull(optarg, NULL, 10); break;
        case 0: break;
        default: bad_usage();
        }
    }

    if (o.port <= 0 || optind != argc - 1 || o.connections == 0
        || o.connections > 18000 || strlen(o.path) > 200
        || strlen(o.tag) > 200)
    {
        bad_usage();
    }

    for (attack = attacks; attack->name; attack++) {
        if (strcmp(attack->name, argv[optind]) == 0) {
            break;
        }
    }

    if (attack->name == NULL) {
        bad_usage();
    }

    o.step = strcmp(attack->name, "octet") == 0;
}


int
main(int argc, char **argv)
{
    conn_t         *conns;
    unsigned        i;
    struct rlimit   limit;

    parse_options(argc, argv);

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }

    ep = epoll_create1(0);
    conns = calloc(o.connections, sizeof(conn_t));

    for (i = 0; i < o.connections; i++) {
        conns[i].fd = -1;
        conns[i].index = i;
        conns[i].out = malloc(attack->item ? OUT_SIZE : 1024);

        if (conns[i].out == NULL) {
            die("malloc");
        }
    }

    now_us = start_us = clock_us();
    end_us = now_us + (uint64_t) (o.seconds * 1e6);

    run(conns);

    if (o.hold) {
        hold();
        poll_once(0);
    }

    print_result();

    return attack->kind == STOMP || attack->kind == PUSH
           ? (finished == opened ? 0 : 1) : 0;
}
