
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <session_stub.h>
#include <ngx_stomp_wheel.h>

#include <stdlib.h>
#include <string.h>


#define STUB_HEADERS  8


session_stub_t              session_stub;

volatile ngx_msec_t         ngx_current_msec;
volatile ngx_cycle_t       *ngx_cycle;
ngx_rbtree_t                ngx_event_timer_rbtree;
volatile ngx_time_t        *ngx_cached_time;

static ngx_cycle_t          session_stub_cycle;
static ngx_stomp_link_t     session_stub_link;
static ngx_rbtree_node_t    session_stub_sentinel;
static ngx_time_t           session_stub_time;
static ngx_stomp_header_t   session_stub_headers[STUB_HEADERS];


static void
session_stub_resume(ngx_stomp_session_t *s)
{
    session_stub.resumed++;
}


void
session_stub_init(void)
{
    session_stub_t  *stub;

    stub = &session_stub;

    memset(stub, 0, sizeof(session_stub_t));

    session_stub_cycle.log = &stub->log;
    ngx_cycle = &session_stub_cycle;
    ngx_current_msec = 1000000;
    ngx_cached_time = &session_stub_time;

    ngx_rbtree_init(&ngx_event_timer_rbtree, &session_stub_sentinel,
                    ngx_rbtree_insert_timer_value);

    session_stub_link.resume = session_stub_resume;

    stub->hub.broker = &stub->broker;
    stub->hub.log = &stub->log;
    stub->connection.log = &stub->log;

    stub->session.link = &session_stub_link;
    stub->session.connection = &stub->connection;
    stub->session.hub = &stub->hub;
    stub->session.conf = &stub->conf;
    stub->session.state = NGX_STOMP_SESSION_CONNECTED;
    stub->session.version = NGX_STOMP_V12;
}


ngx_uint_t
session_stub_timer(void)
{
    return ngx_event_timer_rbtree.root != &session_stub_sentinel;
}


void
session_stub_sleep(ngx_msec_t ms)
{
    ngx_msec_t          end;
    ngx_event_t        *ev;
    ngx_rbtree_node_t  *node;

    end = ngx_current_msec + ms;

    while (session_stub_timer()) {

        node = ngx_event_timer_rbtree.root;

        if (node->key > end) {
            break;
        }

        ev = ngx_rbtree_data(node, ngx_event_t, timer);

        ngx_current_msec = ngx_max(ngx_current_msec, node->key);
        ngx_rbtree_delete(&ngx_event_timer_rbtree, node);

        ev->timer_set = 0;
        ev->handler(ev);
    }

    ngx_current_msec = end;
}


void
session_stub_frame(ngx_stomp_frame_t *frame, ngx_stomp_command_e command,
    const char *body, ...)
{
    char        *text;
    va_list      args;
    ngx_str_t   *str;
    ngx_uint_t   n;

    memset(frame, 0, sizeof(ngx_stomp_frame_t));

    frame->command = command;
    ngx_str_set(&frame->name, "COMMAND");
    frame->headers = session_stub_headers;
    frame->body.data = (u_char *) body;
    frame->body.len = (body != NULL) ? strlen(body) : 0;

    va_start(args, body);

    for (n = 0; (text = va_arg(args, char *)) != NULL; n++) {

        assert_true(n / 2 < STUB_HEADERS);

        str = (n % 2) ? &session_stub_headers[n / 2].value
                      : &session_stub_headers[n / 2].name;

        str->data = (u_char *) text;
        str->len = strlen(text);
    }

    va_end(args);

    frame->nheaders = n / 2;
}


/* nginx; a tree is a list from its root to the right, in the order of keys */

void
ngx_rbtree_insert(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    ngx_rbtree_node_t  **next;

    next = &tree->root;

    while (*next != tree->sentinel && (*next)->key <= node->key) {
        next = &(*next)->right;
    }

    node->left = tree->sentinel;
    node->right = *next;
    *next = node;
}


void
ngx_rbtree_delete(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    ngx_rbtree_node_t  **next;

    next = &tree->root;

    while (*next != node) {
        assert_true(*next != tree->sentinel);
        next = &(*next)->right;
    }

    *next = node->right;
}


void
ngx_rbtree_insert_timer_value(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    /* void */
}


void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    if (session_stub.fail && --session_stub.fail == 0) {
        return NULL;
    }

    return malloc(size);
}


void ngx_cdecl
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    /* void */
}


/* the rest of session/ */

ngx_stomp_extra_t *
ngx_stomp_session_extra(ngx_stomp_session_t *s)
{
    void  *extra;

    if (s->extra == NULL) {
        extra = ngx_alloc(sizeof(ngx_stomp_extra_t), s->hub->log);

        if (extra != NULL) {
            memset(extra, 0, sizeof(ngx_stomp_extra_t));
        }

        s->extra = extra;
    }

    return s->extra;
}


void ngx_cdecl
ngx_stomp_session_error(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame,
    ngx_uint_t code, const char *message, const char *fmt, ...)
{
    session_stub.error = message;
    session_stub.code = code;
}


void
ngx_stomp_session_abort(ngx_stomp_session_t *s)
{
    session_stub.aborted++;
}


ngx_int_t
ngx_stomp_session_input(ngx_stomp_session_t *s, u_char *data, size_t len)
{
    assert_true(!s->delayed && data == NULL && len == 0);

    session_stub.inputs++;

    return session_stub.input;
}


uint32_t
ngx_stomp_wheel_now(void)
{
    return (uint32_t) (ngx_current_msec / 1000);
}


void
ngx_stomp_wheel_hurry(ngx_stomp_session_t *s)
{
    session_stub.hurried++;
}


/* the broker: each message is noted as its destination, headers and body */

ngx_int_t
ngx_stomp_broker_publish(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *publications, ngx_uint_t n)
{
    size_t      room;
    ngx_uint_t  i;

    if (session_stub.published != NGX_OK) {
        return session_stub.published;
    }

    session_stub.calls++;

    for (i = 0; i < n; i++) {
        room = sizeof(session_stub.text) - session_stub.len;

        session_stub.len += snprintf(session_stub.text + session_stub.len,
            room, "%.*s|%.*s|%.*s;",
            (int) publications[i].destination.len,
            (char *) publications[i].destination.data,
            (int) publications[i].headers.len,
            (char *) publications[i].headers.data,
            (int) publications[i].body.len,
            (char *) publications[i].body.data);

        assert_true(session_stub.len < sizeof(session_stub.text));
    }

    return NGX_OK;
}


/* nothing that is tested here asks for these */

uint32_t
ngx_stomp_broker_subscribers(ngx_stomp_broker_t *b, ngx_str_t *name)
{
    return 0;
}


u_char *
ngx_stomp_session_id(ngx_stomp_session_t *s, u_char *buf)
{
    return buf;
}


ngx_int_t
ngx_stomp_broker_wildcard(ngx_stomp_broker_conf_t *conf, ngx_str_t *name,
    ngx_stomp_wildcard_t *w, const char **error)
{
    return NGX_DECLINED;
}


const char *
ngx_stomp_broker_name(ngx_stomp_broker_conf_t *conf, ngx_str_t *name)
{
    return NULL;
}


ngx_stomp_queue_conf_t *
ngx_stomp_broker_queue_conf(ngx_stomp_broker_conf_t *conf, ngx_str_t *name)
{
    return NULL;
}
