
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * What any server on this machine has to pay: one process, one thread, one
 * epoll loop that does nothing but write frames to subscribers.  It speaks as
 * much HTTP, WebSocket and STOMP as the load tool needs, and its answers and
 * frames are as long as the module's.  It is a measure, not a broker:
 *
 *   - no SHA-1: every handshake has the key of the example in RFC 6455;
 *   - a frame is encoded once for a destination, so all subscribers of one
 *     must have the same subscription id; a connection has one subscription;
 *   - a MESSAGE has the publisher's content-type and none of its other headers,
 *     nothing is escaped, and every frame is a text frame;
 *   - messages are whole WebSocket frames of at most 1 MiB;
 *   - who does not take an answer at once, or says what is not understood, is
 *     disconnected.
 *
 *     cc -std=c99 -O2 -Wall -Wextra -o limit limit.c limit_*.c
 *     limit --port N [--coalesce | --look-again]
 */


#include "limit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS         512
#define MAX_CONNS      (1 << 20)

int                    ep, coalesce;
conn_t                *conns;
dest_t                *dirty;
unsigned char         *input;
uint64_t               number;
char                   epoch[17];

static int             listener, signals, port, look_again;


static void
accept_all(void)
{
    int      fd;
    conn_t  *c;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) != -1) {
        c = &conns[fd];
        c->fd = fd;
        c->kind = HTTP;

        watch(c, EPOLL_CTL_ADD, 0);
    }

    if (errno != EAGAIN && errno != ECONNABORTED) {
        die("accept4");
    }
}


/* returns 0 if a signal ends all */

static int
turn(int ms)
{
    int                        i, n, fd;
    conn_t                    *c;
    unsigned                   events;
    static struct epoll_event  ev[EVENTS];

    n = epoll_wait(ep, ev, EVENTS, ms);

    if (n == -1 && errno != EINTR) {
        die("epoll_wait");
    }

    for (i = 0; i < n; i++) {
        fd = ev[i].data.fd;
        events = ev[i].events;

        if (fd == listener) {
            accept_all();
            continue;
        }

        if (fd == signals) {
            return 0;
        }

        /* a stale event of a descriptor with a new owner does no harm */

        c = &conns[fd];

        if (events & EPOLLOUT && c->late) {
            sub_writable(c);
        }

        if (events & ~EPOLLOUT && c->kind != FREE) {
            conn_read(c, events);
        }
    }

    return 1;
}


static void
add(int fd)
{
    struct epoll_event  ev;

    ev.events = EPOLLIN;
    ev.data.fd = fd;

    if (fd == -1 || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == -1) {
        die("epoll_ctl");
    }
}


static void
start(void)
{
    int                 one = 1;
    sigset_t            set;
    struct rlimit       limit;
    struct timespec     ts;
    struct sockaddr_in  sin;

    if (getrlimit(RLIMIT_NOFILE, &limit) == -1) {
        die("getrlimit");
    }

    limit.rlim_cur = limit.rlim_max < MAX_CONNS ? limit.rlim_max : MAX_CONNS;

    if (setrlimit(RLIMIT_NOFILE, &limit) == -1) {
        die("setrlimit");
    }

    conns = calloc(limit.rlim_cur, sizeof(conn_t));
    if (conns == NULL) {
        die("calloc");
    }

    /* memcmp() may look at some octets behind the input */
    input = grow(NULL, INPUT_SIZE + 64);
    memset(input + INPUT_SIZE, 0, 64);

    clock_gettime(CLOCK_REALTIME, &ts);
    snprintf(epoch, sizeof(epoch), "%08x%08x", (unsigned) ts.tv_sec,
             (unsigned) ts.tv_nsec);

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons(port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    listener = socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, 0);

    /* accepted sockets inherit TCP_NODELAY */

    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == -1
        || setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one))
           == -1
        || bind(listener, (struct sockaddr *) &sin, sizeof(sin)) == -1
        || listen(listener, 4096) == -1)
    {
        die("listen");
    }

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signals = signalfd(-1, &set, SFD_NONBLOCK);

    ep = epoll_create1(0);
    add(listener);
    add(signals);
}


static void
parse_options(int argc, char **argv)
{
    int                         c;
    static const struct option  list[] = {
        { "port", 1, 0, 'p' }, { "coalesce", 0, &coalesce, 1 },
        { "look-again", 0, &look_again, 1 }, { 0, 0, 0, 0 }
    };

    while ((c = getopt_long(argc, argv, "", list, NULL)) != -1) {
        if (c == 'p') {
            port = atoi(optarg);

        } else if (c != 0) {
            port = 0;
            break;
        }
    }

    if (port <= 0 || port > 65535 || optind != argc) {
        fprintf(stderr,
"usage: limit --port N [--coalesce | --look-again]\n"
"  --port N      listens on 127.0.0.1:N\n"
"                without the others: one write for each delivery, at once\n"
"  --coalesce    one write for each subscriber and turn of the event loop\n"
"  --look-again  the same, after one more look for what has come meanwhile\n");
        exit(2);
    }

    coalesce |= look_again;
}


int
main(int argc, char **argv)
{
    parse_options(argc, argv);
    start();

    printf("READY\n");
    fflush(stdout);

    while (turn(-1)) {
        if (look_again && dirty != NULL && !turn(0)) {
            break;
        }

        flush_dirty();
    }

    return 0;
}
