
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <host.h>
#include <ngx_stomp_core_module.h>
#include <ngx_stomp_slot.h>
#include <poll.h>
#include <sanitizer/lsan_interface.h>
#include <stdio.h>
#include <sys/stat.h>


/* a time to begin with, in seconds */
#define HOST_START  1700000000


static void host_cycle(char *dir, const char *http);
static void host_configuration(char *dir, const char *http);
static void host_started(ngx_cycle_t *cycle);
static void host_log_writer(ngx_log_t *log, ngx_uint_t level, u_char *buf,
    size_t len);
static void host_closed(void *data);
static ngx_connection_t *host_accept(int fd);
static host_client_t *host_client(ngx_connection_t *c);
static ssize_t host_recv(ngx_connection_t *c, u_char *buf, size_t size);
static ssize_t host_recv_chain(ngx_connection_t *c, ngx_chain_t *in,
    off_t limit);
static ssize_t host_send(ngx_connection_t *c, u_char *buf, size_t size);
static ngx_chain_t *host_send_chain(ngx_connection_t *c, ngx_chain_t *in,
    off_t limit);
static ngx_int_t host_no_event(ngx_event_t *ev, ngx_int_t event,
    ngx_uint_t flags);
static ngx_int_t host_no_connection(ngx_connection_t *c, ngx_uint_t flags);


host_client_t  host_clients[HOST_CONNECTIONS];


static struct {
    int                sockets[2];    /* all connections are the first */
    ngx_log_t          log;
    ngx_log_t          cycle_log;
    ngx_time_t         time;
    ngx_connection_t  *wake;
    ngx_uint_t         free;          /* connections, at rest */
} host;


void ngx_stomp_random(u_char *p, size_t len);
void __wrap_ngx_stomp_random(u_char *p, size_t len);


/* the same in every run */

void
__wrap_ngx_stomp_random(u_char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        p[i] = (u_char) (i * 37 + len + 1);
    }
}


void
host_init(const char *http)
{
    char  dir[] = "/tmp/stomp_fuzz.XXXXXX";
    char  command[64];

    fuzz_check(mkdtemp(dir) != NULL);

    fuzz_check(socketpair(AF_UNIX, SOCK_STREAM, 0, host.sockets) == 0);

    host_configuration(dir, http);
    host_cycle(dir, http);

    /* nothing of it is needed from now on */

    snprintf(command, sizeof(command), "rm -rf %s", dir);
    fuzz_check(system(command) == 0);
}


static void
host_configuration(char *dir, const char *http)
{
    char   name[64];
    FILE  *f;

    snprintf(name, sizeof(name), "%s/conf", dir);
    fuzz_check(mkdir(name, 0700) == 0);
    snprintf(name, sizeof(name), "%s/logs", dir);
    fuzz_check(mkdir(name, 0700) == 0);

    snprintf(name, sizeof(name), "%s/conf/nginx.conf", dir);
    f = fopen(name, "w");
    fuzz_check(f != NULL);

    snprintf(name, sizeof(name), "unix:%s/socket", dir);

    fprintf(f, "daemon off; master_process off; user root;\n"
               "error_log stderr emerg;\n"
               "events { worker_connections 64; }\n"
               "http { access_log off;\n");
    fprintf(f, http, name);
    fprintf(f, "}\n");

    fuzz_check(fclose(f) == 0);
}


/* as main() of nginx does it */

static void
host_cycle(char *dir, const char *http)
{
    char                name[64];
    ngx_uint_t          i;
    ngx_cycle_t        *cycle;
    static ngx_cycle_t  init;

    static char            *argv[] = { "fuzz", NULL };
    static ngx_open_file_t  file;

    fuzz_check(ngx_strerror_init() == NGX_OK);
    ngx_time_init();

    ngx_pid = getpid();
    ngx_process = NGX_PROCESS_SINGLE;
    ngx_max_sockets = -1;
    ngx_argc = 1;
    ngx_os_argv = argv;

    file.fd = STDERR_FILENO;
    host.log.file = &file;
    host.log.log_level = NGX_LOG_WARN;

    init.log = &host.log;
    ngx_cycle = &init;

    init.pool = ngx_create_pool(1024, &host.log);
    fuzz_check(init.pool != NULL);

    /* a trailing slash is a part of them */

    snprintf(name, sizeof(name), "%s/", dir);
    init.prefix.data = (u_char *) strdup(name);
    init.prefix.len = strlen(name);
    snprintf(name, sizeof(name), "%s/conf/", dir);
    init.conf_prefix.data = (u_char *) strdup(name);
    init.conf_prefix.len = strlen(name);
    snprintf(name, sizeof(name), "%s/conf/nginx.conf", dir);
    init.conf_file.data = (u_char *) strdup(name);
    init.conf_file.len = strlen(name);
    ngx_str_set(&init.error_log, "logs/error.log");

    /* nginx's room for the environment, which does not move here */

    __lsan_disable();
    fuzz_check(ngx_os_init(&host.log) == NGX_OK);
    __lsan_enable();

    fuzz_check(ngx_crc32_table_init() == NGX_OK);
    ngx_slab_sizes_init();
    fuzz_check(ngx_preinit_modules() == NGX_OK);

    cycle = ngx_init_cycle(&init);
    fuzz_check(cycle != NULL);

    ngx_cycle = cycle;
    ngx_use_stderr = 0;
    cycle->log->log_level = NGX_LOG_INFO;
    cycle->log->writer = host_log_writer;

    for (i = 0; cycle->modules[i]; i++) {
        if (cycle->modules[i]->init_process) {
            fuzz_check(cycle->modules[i]->init_process(cycle) == NGX_OK);
        }
    }

    host_started(cycle);
}


/* from now on the kernel has no part in it */

static void
host_started(ngx_cycle_t *cycle)
{
    ngx_uint_t        i;
    ngx_fd_t          fd;
    ngx_listening_t  *ls;

    ngx_event_actions.add = host_no_event;
    ngx_event_actions.del = host_no_event;
    ngx_event_actions.enable = host_no_event;
    ngx_event_actions.disable = host_no_event;
    ngx_event_actions.add_conn = NULL;
    ngx_event_actions.del_conn = host_no_connection;
#if (NGX_HAVE_EPOLLRDHUP)
    ngx_use_epoll_rdhup = 0;
#endif

    fd = ngx_stomp_slot_wake_fd(ngx_stomp_slot_own());

    for (i = 0; i < cycle->connection_n; i++) {
        if (cycle->connections[i].fd == fd
            && cycle->connections[i].read->handler != NULL)
        {
            host.wake = &cycle->connections[i];
        }
    }

    fuzz_check(host.wake != NULL);

    ls = cycle->listening.elts;
    ls[0].log.log_level = NGX_LOG_INFO;
    ls[0].log.writer = host_log_writer;

    host.time.sec = HOST_START;
    ngx_cached_time = &host.time;

    while (host_turn()) { /* void */ }

    host.free = cycle->free_connection_n;
}


static void
host_log_writer(ngx_log_t *log, ngx_uint_t level, u_char *buf, size_t len)
{
    if (level <= NGX_LOG_CRIT) {
        fprintf(stderr, "FUZZ: nginx logs: %.*s\n", (int) len, buf);
        abort();
    }
}


ngx_stomp_broker_t *
host_broker(const char *name)
{
    ngx_uint_t                  i;
    ngx_stomp_core_conf_t      *scf;
    ngx_stomp_broker_entry_t  **entry;

    scf = (ngx_stomp_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                                 ngx_stomp_core_module);
    entry = scf->brokers.elts;

    for (i = 0; i < scf->brokers.nelts; i++) {
        if (entry[i]->conf.name.len == strlen(name)
            && memcmp(entry[i]->conf.name.data, name, strlen(name)) == 0)
        {
            fuzz_check(entry[i]->conf.broker != NULL);
            return entry[i]->conf.broker;
        }
    }

    fuzz_fail(__FILE__, __LINE__, "there is that broker");
}


/* as ngx_event_accept() does it */

static ngx_connection_t *
host_accept(int fd)
{
    ngx_log_t           *log;
    ngx_listening_t     *ls;
    ngx_connection_t    *c;
    struct sockaddr_in  *sin;

    ls = ngx_cycle->listening.elts;

    c = ngx_get_connection(fd, ngx_cycle->log);
    fuzz_check(c != NULL);

    c->type = SOCK_STREAM;
    c->pool = ngx_create_pool(ls->pool_size, ngx_cycle->log);
    c->sockaddr = ngx_pcalloc(c->pool, sizeof(struct sockaddr_in));
    log = ngx_palloc(c->pool, sizeof(ngx_log_t));

    sin = (struct sockaddr_in *) c->sockaddr;
    sin->sin_family = AF_INET;
    sin->sin_addr.s_addr = htonl(0x7f000001);

    *log = ls->log;
    log->data = NULL;
    log->handler = NULL;

    c->log = log;
    c->pool->log = log;
    c->socklen = sizeof(struct sockaddr_in);
    c->listening = ls;
    c->local_sockaddr = ls->sockaddr;
    c->local_socklen = ls->socklen;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;
    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->start_time = ngx_current_msec;
    ngx_str_set(&c->addr_text, "127.0.0.1");

    c->recv = host_recv;
    c->recv_chain = host_recv_chain;
    c->send = host_send;
    c->send_chain = host_send_chain;

    c->read->log = log;
    c->write->log = log;
    c->write->ready = 1;

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, 1);
#endif

    return c;
}


void
host_connect(ngx_uint_t n)
{
    int                  fd;
    host_client_t       *client;
    ngx_connection_t    *c;
    ngx_pool_cleanup_t  *cln;

    client = &host_clients[n];
    fuzz_check(client->connection == NULL);

    fd = dup(host.sockets[0]);
    fuzz_check(fd != -1);

    c = host_accept(fd);

    cln = ngx_pool_cleanup_add(c->pool, 0);
    cln->handler = host_closed;
    cln->data = client;

    client->connection = c;
    client->in.len = 0;
    client->out.len = 0;
    client->chunk = 0;
    client->room = NGX_MAX_INT32_VALUE;
    client->eof = 0;

    c->listening->handler(c);
}


/* nginx destroys the pool of a connection last */

static void
host_closed(void *data)
{
    host_client_t  *client = data;

    client->connection = NULL;
}


static host_client_t *
host_client(ngx_connection_t *c)
{
    ngx_uint_t  n;

    for (n = 0; n < HOST_CONNECTIONS; n++) {
        if (host_clients[n].connection == c) {
            return &host_clients[n];
        }
    }

    fuzz_fail(__FILE__, __LINE__, "it is a connection of a client");
}


void
host_buf_add(host_buf_t *b, const void *data, size_t len)
{
    if (len == 0) {
        return;
    }

    if (len > b->size - b->len) {
        b->size = 2 * b->size + len;
        b->data = realloc(b->data, b->size);
        fuzz_check(b->data != NULL);
    }

    memcpy(b->data + b->len, data, len);
    b->len += len;
}


void
host_buf_cut(host_buf_t *b, size_t len)
{
    b->len -= len;

    if (b->len && len) {
        memmove(b->data, b->data + len, b->len);
    }
}


static ssize_t
host_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    size_t          n;
    host_client_t  *client;

    client = host_client(c);

    n = ngx_min(size, client->in.len);

    if (client->chunk) {
        n = ngx_min(n, client->chunk);
    }

    if (n) {
        memcpy(buf, client->in.data, n);
        host_buf_cut(&client->in, n);
        c->read->ready = (client->in.len != 0 || client->eof);
        return n;
    }

    if (client->eof) {
        c->read->eof = 1;
        return 0;
    }

    c->read->ready = 0;

    return NGX_AGAIN;
}


static ssize_t
host_recv_chain(ngx_connection_t *c, ngx_chain_t *in, off_t limit)
{
    return host_recv(c, in->buf->last, in->buf->end - in->buf->last);
}


static ssize_t
host_send(ngx_connection_t *c, u_char *buf, size_t size)
{
    size_t          n;
    host_client_t  *client;

    client = host_client(c);

    n = ngx_min(size, client->room);
    client->room -= n;
    c->sent += n;

    host_buf_add(&client->out, buf, n);

    if (n < size) {
        c->write->ready = 0;
    }

    return n ? (ssize_t) n : NGX_AGAIN;
}


static ngx_chain_t *
host_send_chain(ngx_connection_t *c, ngx_chain_t *in, off_t limit)
{
    ssize_t  n, size;

    for ( /* void */ ; in; in = in->next) {

        if (ngx_buf_special(in->buf)) {
            continue;
        }

        fuzz_check(ngx_buf_in_memory(in->buf));

        size = in->buf->last - in->buf->pos;
        n = host_send(c, in->buf->pos, size);

        if (n == NGX_AGAIN) {
            return in;
        }

        in->buf->pos += n;

        if (n < size) {
            return in;
        }
    }

    return NULL;
}


static ngx_int_t
host_no_event(ngx_event_t *ev, ngx_int_t event, ngx_uint_t flags)
{
    ev->active = 1;

    return NGX_OK;
}


static ngx_int_t
host_no_connection(ngx_connection_t *c, ngx_uint_t flags)
{
    c->read->active = 0;
    c->write->active = 0;

    return NGX_OK;
}


void
host_write(ngx_uint_t n, const void *data, size_t len)
{
    host_buf_add(&host_clients[n].in, data, len);
}


void
host_readable(ngx_uint_t n)
{
    ngx_event_t       *rev;
    ngx_connection_t  *c;

    c = host_clients[n].connection;

    if (c != NULL && (host_clients[n].in.len || host_clients[n].eof)) {
        rev = c->read;
        rev->ready = 1;
        rev->handler(rev);
    }
}


void
host_writable(ngx_uint_t n, size_t room)
{
    ngx_event_t       *wev;
    ngx_connection_t  *c;

    c = host_clients[n].connection;
    host_clients[n].room = room;

    if (c != NULL && room && !c->write->ready) {
        wev = c->write;
        wev->ready = 1;
        wev->handler(wev);
    }
}


ngx_uint_t
host_turn(void)
{
    ngx_uint_t     busy;
    struct pollfd  pfd;

    busy = !ngx_queue_empty(&ngx_posted_next_events);

    ngx_event_move_posted_next((ngx_cycle_t *) ngx_cycle);

    pfd.fd = host.wake->fd;
    pfd.events = POLLIN;

    if (poll(&pfd, 1, 0) == 1) {
        busy = 1;
        host.wake->read->handler(host.wake->read);
    }

    busy |= !ngx_queue_empty(&ngx_posted_events);

    ngx_event_process_posted((ngx_cycle_t *) ngx_cycle, &ngx_posted_events);

    return busy;
}


void
host_jump(ngx_msec_t ms)
{
    ngx_current_msec += ms;
    host.time.sec = HOST_START + ngx_current_msec / 1000;
    host.time.msec = ngx_current_msec % 1000;

    ngx_event_expire_timers();
    ngx_event_process_posted((ngx_cycle_t *) ngx_cycle, &ngx_posted_events);
}


void
host_sleep(ngx_msec_t ms)
{
    ngx_msec_t  timer;

    while (ms) {
        timer = ngx_event_find_timer();

        if (timer == NGX_TIMER_INFINITE || timer > ms) {
            timer = ms;
        }

        ms -= timer;

        host_jump(timer);

        if (timer == 0 && ngx_event_find_timer() == 0) {
            break;
        }
    }
}


void
host_leave(void)
{
    ngx_uint_t  n, i;

    for (n = 0; n < HOST_CONNECTIONS; n++) {
        host_clients[n].eof = 1;
        host_clients[n].chunk = 0;
        host_clients[n].in.len = 0;

        host_writable(n, NGX_MAX_INT32_VALUE);
        host_readable(n);
    }

    for (i = 0; host_turn(); i++) {
        fuzz_check(i < 1000);
    }
}


void
host_finish(void)
{
    ngx_uint_t  n;

    host_leave();

    for (n = 0; n < HOST_CONNECTIONS; n++) {
        fuzz_check(host_clients[n].connection == NULL);
    }

    fuzz_check(ngx_cycle->free_connection_n == host.free);
}
