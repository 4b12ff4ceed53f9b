
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_stomp_module.h>
#include <ngx_http_stomp_websocket.h>
#include <ngx_stomp_output.h>
#include <ngx_stomp_wheel.h>


/*
 * What a connection may have read in a turn of the event loop: what it SENDs
 * goes to many others right away, and the others are to have their turn.
 */

#define NGX_HTTP_STOMP_READ_SIZE    16384

/* how often a request that is still in use is looked at, milliseconds */
#define NGX_HTTP_STOMP_DETACH_WAIT  50


static void ngx_http_stomp_websocket_detach(ngx_event_t *ev);
static void ngx_http_stomp_websocket_drained(ngx_event_t *wev);
static ngx_int_t ngx_http_stomp_websocket_busy(ngx_http_request_t *r);
static ngx_http_stomp_websocket_t *ngx_http_stomp_websocket_create(
    ngx_http_request_t *r);
static void ngx_http_stomp_websocket_release(ngx_http_request_t *r,
    ngx_connection_t *c);
static void ngx_http_stomp_websocket_free_headers(ngx_connection_t *c,
    ngx_chain_t **list);
static void ngx_http_stomp_websocket_keep(ngx_http_request_t *r);
static void ngx_http_stomp_websocket_read_handler(ngx_event_t *rev);
static void ngx_http_stomp_websocket_write_handler(ngx_event_t *wev);
static void ngx_http_stomp_websocket_read(ngx_http_stomp_websocket_t *ws);
static ngx_int_t ngx_http_stomp_websocket_input(
    ngx_http_stomp_websocket_t *ws, u_char *p, u_char *last);
static ngx_int_t ngx_http_stomp_websocket_event(
    ngx_http_stomp_websocket_t *ws, ngx_stomp_ws_event_t *ev);
static ngx_int_t ngx_http_stomp_websocket_carry(
    ngx_http_stomp_websocket_t *ws, u_char *p, size_t len);
static void ngx_http_stomp_websocket_pong(ngx_http_stomp_websocket_t *ws,
    ngx_stomp_ws_event_t *ev);
static ssize_t ngx_http_stomp_websocket_send(ngx_stomp_session_t *s,
    u_char *p, size_t len);
static ngx_chain_t *ngx_http_stomp_websocket_send_chain(
    ngx_stomp_session_t *s, ngx_chain_t *in);
static void ngx_http_stomp_websocket_finish(ngx_stomp_session_t *s,
    ngx_uint_t code, ngx_str_t *reason);
static void ngx_http_stomp_websocket_resume(ngx_stomp_session_t *s);
static void ngx_http_stomp_websocket_close(ngx_stomp_session_t *s);


static const ngx_stomp_link_t  ngx_http_stomp_websocket_link = {
    ngx_string("websocket"),
    NGX_STOMP_WIRE_WEBSOCKET,
    ngx_http_stomp_websocket_send,
    ngx_http_stomp_websocket_send_chain,
    ngx_http_stomp_websocket_finish,
    ngx_http_stomp_websocket_resume,
    ngx_http_stomp_websocket_close
};


/* one buffer for all connections: what is left over is carried */

static u_char  ngx_http_stomp_websocket_buffer[NGX_STOMP_WS_CARRY_MAX
                                               + NGX_HTTP_STOMP_READ_SIZE];


void
ngx_http_stomp_websocket_start(ngx_http_request_t *r)
{
    ngx_connection_t  *c;

    c = r->connection;

    /*
     * The request is in use until the event handler that runs now is done.
     * The read event itself is posted: closing the connection takes it back.
     */

    c->read->handler = ngx_http_stomp_websocket_detach;
    c->write->handler = ngx_http_empty_handler;

    ngx_post_event(c->read, &ngx_posted_events);
}


static void
ngx_http_stomp_websocket_detach(ngx_event_t *rev)
{
    ngx_int_t                    rc;
    ngx_connection_t            *c;
    ngx_http_request_t          *r;
    ngx_http_stomp_websocket_t  *ws;

    c = rev->data;
    r = c->data;

    rev->timedout = 0;

    /* an exiting worker says goodbye to it as to the others */

    rc = (c->error || c->close) ? NGX_ERROR
                                : ngx_http_stomp_websocket_busy(r);

    if (rc == NGX_AGAIN) {
        return;
    }

    if (rc == NGX_ERROR) {
        if (r->main->count > 1) {
            ngx_http_finalize_request(r, NGX_ERROR);
            ngx_http_run_posted_requests(c);
            return;
        }

        ngx_http_free_request(r, 0);
        ngx_http_close_connection(c);
        return;
    }

    ws = ngx_http_stomp_websocket_create(r);

    if (ws == NULL) {
        ngx_http_free_request(r, 0);
        ngx_http_close_connection(c);
        return;
    }

    if (rev->timer_set) {
        ngx_del_timer(rev);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    c->write->delayed = 0;

    if (ws->request != NULL) {
        ngx_http_stomp_websocket_keep(r);

    } else {
        ngx_http_stomp_websocket_release(r, c);
    }

    c->data = ws;
    c->log->action = "in a STOMP session";

    rev->handler = ngx_http_stomp_websocket_read_handler;
    c->write->handler = ngx_http_stomp_websocket_write_handler;

    if (c->tcp_nopush == NGX_TCP_NOPUSH_SET) {
        (void) ngx_tcp_push(c->fd);
        c->tcp_nopush = NGX_TCP_NOPUSH_UNSET;
    }

    if (ngx_tcp_nodelay(c) != NGX_OK) {
        ngx_stomp_session_abort(&ws->session);
        return;
    }

    /* at a graceful shutdown nginx asks it to go; it is never one to reuse */

    c->idle = 1;
    ngx_reusable_connection(c, 0);

    ngx_http_stomp_websocket_read(ws);
}


/*
 * NGX_OK: nothing but us holds the request;  NGX_AGAIN: it will be looked at
 * again;  NGX_ERROR: the connection is to be closed.
 */

static ngx_int_t
ngx_http_stomp_websocket_busy(ngx_http_request_t *r)
{
    ngx_connection_t          *c;
    ngx_http_core_loc_conf_t  *clcf;

    c = r->connection;

    if (r->out != NULL || c->buffered) {

        if (ngx_http_output_filter(r, NULL) == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (r->out != NULL || c->buffered) {
            c->write->handler = ngx_http_stomp_websocket_drained;

            if (!c->write->delayed) {
                clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
                ngx_add_timer(c->write, clcf->send_timeout);
            }

            return (ngx_handle_write_event(c->write, 0) == NGX_OK)
                   ? NGX_AGAIN : NGX_ERROR;
        }
    }

    /* a mirror's subrequest goes on after the answer, for example */

    if (r->main->count > 1
        || r->blocked
        || r->posted_requests != NULL
        || r->postponed != NULL)
    {
        ngx_add_timer(c->read, NGX_HTTP_STOMP_DETACH_WAIT);
        return NGX_AGAIN;
    }

    return NGX_OK;
}


static void
ngx_http_stomp_websocket_drained(ngx_event_t *wev)
{
    ngx_connection_t  *c;

    c = wev->data;

    if (wev->timedout) {
        wev->timedout = 0;

        /* a timer of limit_rate only says that more may be sent */

        if (!wev->delayed) {
            c->error = 1;
        }

        wev->delayed = 0;
    }

    ngx_http_stomp_websocket_detach(c->read);
}


/* copies all that will be needed of the request; NULL: it can't go on */

static ngx_http_stomp_websocket_t *
ngx_http_stomp_websocket_create(ngx_http_request_t *r)
{
    size_t                       len;
    ngx_stomp_session_t         *s;
    ngx_http_stomp_loc_conf_t   *slcf;
    ngx_http_stomp_websocket_t  *ws;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_stomp_module);

    ws = ngx_calloc(sizeof(ngx_http_stomp_websocket_t), r->connection->log);
    if (ws == NULL) {
        return NULL;
    }

    ws->max_frame = (uint32_t) slcf->max_frame;

    /* limit_conn counts a request until its end */

    if (slcf->keep_request || r->main->limit_conn_status) {
        ws->request = r;
    }

    /* what the client has sent behind its request */

    s = &ws->session;

    s->link = &ngx_http_stomp_websocket_link;
    s->connection = r->connection;

    len = r->header_in->last - r->header_in->pos;

    if (len) {
        if (ngx_http_stomp_websocket_carry(ws, r->header_in->pos, len)
            != NGX_OK)
        {
            ngx_free(ws);
            return NULL;
        }

        ws->backlog = 1;
    }
    s->conf = &slcf->session;
    s->hub = slcf->pass->broker->data;

    if (ngx_stomp_session_init(s) != NGX_OK) {

        if (ws->carry != NULL) {
            ngx_free(ws->carry);
        }

        ngx_free(ws);
        return NULL;
    }

    return ws;
}


/* as ngx_http_set_keepalive() gives back what an idle connection holds */

static void
ngx_http_stomp_websocket_release(ngx_http_request_t *r, ngx_connection_t *c)
{
    ngx_str_t               addr;
    ngx_buf_t              *b;
    ngx_http_connection_t  *hc;

    hc = r->http_connection;

    /* realip puts the proxy's address back when its request ends */

    addr = c->addr_text;

    r->keepalive = 0;
    ngx_http_free_request(r, 0);

    c->addr_text = addr;
    c->destroyed = 0;
    c->sent = 0;

    b = c->buffer;

    if (ngx_pfree(c->pool, b->start) == NGX_OK) {
        b->start = NULL;
        b->pos = NULL;
        b->last = NULL;
        b->end = NULL;
    }

    ngx_http_stomp_websocket_free_headers(c, &hc->free);
    ngx_http_stomp_websocket_free_headers(c, &hc->busy);

    hc->nbusy = 0;

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        ngx_ssl_free_buffer(c);
    }
#endif
}


static void
ngx_http_stomp_websocket_free_headers(ngx_connection_t *c, ngx_chain_t **list)
{
    ngx_chain_t  *cl, *next;

    for (cl = *list; cl; cl = next) {
        next = cl->next;

        (void) ngx_pfree(c->pool, cl->buf->start);
        ngx_free_chain(c->pool, cl);
    }

    *list = NULL;
}


/* its line in the access log is the handshake's, as if it were released */

static void
ngx_http_stomp_websocket_keep(ngx_http_request_t *r)
{
    ngx_uint_t                  i, n;
    ngx_http_handler_pt        *log_handler;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    log_handler = cmcf->phases[NGX_HTTP_LOG_PHASE].handlers.elts;
    n = cmcf->phases[NGX_HTTP_LOG_PHASE].handlers.nelts;

    for (i = 0; i < n; i++) {
        log_handler[i](r);
    }

    r->logged = 1;
}


static void
ngx_http_stomp_websocket_read_handler(ngx_event_t *rev)
{
    ngx_connection_t            *c;
    ngx_http_stomp_websocket_t  *ws;

    c = rev->data;
    ws = c->data;

    if (ws->session.dead) {
        return;
    }

    /* the time for a graceful shutdown is over */

    if (c->error) {
        ngx_stomp_session_abort(&ws->session);
        return;
    }

    /*
     * All idle connections are called at once: each would say goodbye now,
     * and all clients come back at the same time.
     */

    if (c->close && !ws->asked) {
        ws->asked = 1;
        ngx_stomp_wheel_drain_all();
    }

    ngx_http_stomp_websocket_read(ws);
}


static void
ngx_http_stomp_websocket_write_handler(ngx_event_t *wev)
{
    ngx_connection_t            *c;
    ngx_http_stomp_websocket_t  *ws;

    c = wev->data;
    ws = c->data;

    ngx_stomp_session_writable(&ws->session);

    /* with other methods than epoll it would be told again and again */

    if (!ws->session.dead && ngx_handle_write_event(wev, 0) != NGX_OK) {
        ngx_stomp_session_abort(&ws->session);
    }
}


static void
ngx_http_stomp_websocket_read(ngx_http_stomp_websocket_t *ws)
{
    u_char               *buf, *backlog;
    size_t                len;
    ssize_t               n;
    ngx_int_t             rc;
    ngx_event_t          *rev;
    ngx_connection_t     *c;
    ngx_stomp_session_t  *s;

    s = &ws->session;
    c = s->connection;
    rev = c->read;
    buf = ngx_http_stomp_websocket_buffer;

    if (ws->backlog && !s->paused) {
        backlog = ws->carry;
        len = ws->carry_len;

        ws->backlog = 0;
        ws->carry = NULL;
        ws->carry_len = 0;

        rc = ngx_http_stomp_websocket_input(ws, backlog, backlog + len);

        ngx_free(backlog);

        if (rc != NGX_OK) {
            goto done;
        }
    }

    if (s->paused) {
        goto done;
    }

    len = ws->carry_len;

    if (len) {
        ngx_memcpy(buf, ws->carry, len);
    }

    n = c->recv(c, buf + len, NGX_HTTP_STOMP_READ_SIZE);

    if (n == NGX_AGAIN) {
        goto done;
    }

    if (n == 0 || n == NGX_ERROR) {
        ngx_stomp_session_abort(s);
        return;
    }

    s->received = ngx_stomp_wheel_now();
    ws->carry_len = 0;

    (void) ngx_http_stomp_websocket_input(ws, buf, buf + len + n);

done:

    if (s->dead) {
        return;
    }

    if (ws->carry != NULL && ws->carry_len == 0) {
        ngx_free(ws->carry);
        ws->carry = NULL;
    }

    if (s->paused) {

        /* with other methods than epoll it would be told again and again */

        if ((ngx_event_flags & NGX_USE_LEVEL_EVENT) && rev->active) {
            (void) ngx_del_event(rev, NGX_READ_EVENT, 0);
        }

        return;
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_stomp_session_abort(s);
        return;
    }

    if (rev->ready) {
        ngx_post_event(rev, &ngx_posted_next_events);
    }
}


/* NGX_OK: go on reading;  NGX_BUSY: not now;  NGX_DONE: it is aborted */

static ngx_int_t
ngx_http_stomp_websocket_input(ngx_http_stomp_websocket_t *ws, u_char *p,
    u_char *last)
{
    ngx_int_t              rc;
    ngx_stomp_session_t   *s;
    ngx_stomp_ws_event_t   ev;

    s = &ws->session;

    while (!ws->deaf) {

        rc = ngx_stomp_ws_decode(&ws->decoder, ws->max_frame, &p, last, &ev);

        if (rc == NGX_AGAIN) {
            break;
        }

        if (rc == NGX_ABORT) {
            ngx_log_error(NGX_LOG_INFO, s->connection->log, 0,
                          "client broke the WebSocket protocol: %s",
                          ws->decoder.error);

            ws->deaf = 1;

            if (ws->decoder.code == NGX_STOMP_WS_TOO_BIG) {
                ngx_stomp_session_error(s, NULL, NGX_STOMP_WS_TOO_BIG,
                                        "message too large",
                                        "A WebSocket message can have %uD "
                                        "octets (stomp_max_frame).",
                                        ws->max_frame);

            } else {
                ngx_stomp_session_finish(s, ws->decoder.code,
                                         ws->decoder.error);
            }

            /* its answer would not be understood */

            s->deadline = ngx_stomp_wheel_now() + 2;
            break;
        }

        rc = ngx_http_stomp_websocket_event(ws, &ev);

        if (rc == NGX_BUSY) {
            ws->backlog = 1;
            break;
        }

        if (rc == NGX_DONE) {
            return NGX_DONE;
        }
    }

    if (ws->deaf || (p == last && !ws->backlog)) {
        return NGX_OK;
    }

    if (ngx_http_stomp_websocket_carry(ws, p, last - p) != NGX_OK) {
        ngx_stomp_session_abort(s);
        return NGX_DONE;
    }

    return ws->backlog ? NGX_BUSY : NGX_OK;
}


static ngx_int_t
ngx_http_stomp_websocket_event(ngx_http_stomp_websocket_t *ws,
    ngx_stomp_ws_event_t *ev)
{
    ngx_int_t             rc;
    ngx_stomp_session_t  *s;

    s = &ws->session;

    switch (ev->opcode) {

    case NGX_STOMP_WS_PING:
        ngx_http_stomp_websocket_pong(ws, ev);
        break;

    case NGX_STOMP_WS_PONG:
        break;

    case NGX_STOMP_WS_CLOSE:
        ws->deaf = 1;
        ngx_stomp_session_peer_closed(s, ev->code);
        break;

    default:

        /* a frame of its own makes no frame of STOMP: it is a stream */

        rc = ngx_stomp_session_input(s, ev->data, ev->len);

        if (rc == NGX_BUSY) {
            return NGX_BUSY;
        }
    }

    return s->dead ? NGX_DONE : NGX_OK;
}


/* keeps what can't be decoded yet */

static ngx_int_t
ngx_http_stomp_websocket_carry(ngx_http_stomp_websocket_t *ws, u_char *p,
    size_t len)
{
    u_char  *carry;

    carry = ws->carry;

    if (carry == NULL || len > NGX_STOMP_WS_CARRY_MAX) {

        carry = ngx_alloc(ngx_max(len, NGX_STOMP_WS_CARRY_MAX),
                          ws->session.connection->log);
        if (carry == NULL) {
            return NGX_ERROR;
        }

        if (ws->carry != NULL) {
            ngx_free(ws->carry);
        }

        ws->carry = carry;
    }

    if (len) {
        ngx_memcpy(carry, p, len);
    }

    ws->carry_len = (uint32_t) len;

    return NGX_OK;
}


static void
ngx_http_stomp_websocket_pong(ngx_http_stomp_websocket_t *ws,
    ngx_stomp_ws_event_t *ev)
{
    u_char  *p, buf[2 + NGX_STOMP_WS_CONTROL_MAX];

    if (ws->session.finished) {
        return;
    }

    p = ngx_stomp_ws_head(buf, NGX_STOMP_WS_PONG, ev->len);
    p = ngx_cpymem(p, ev->data, ev->len);

    ngx_stomp_output_raw(&ws->session, buf, p - buf);
}


static ssize_t
ngx_http_stomp_websocket_send(ngx_stomp_session_t *s, u_char *p, size_t len)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = s->connection;

    n = c->send(c, p, len);

    if (n == (ssize_t) len || n == NGX_ERROR) {
        return n;
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    return n;
}


static ngx_chain_t *
ngx_http_stomp_websocket_send_chain(ngx_stomp_session_t *s, ngx_chain_t *in)
{
    ngx_chain_t       *cl;
    ngx_connection_t  *c;
#if (NGX_SSL)
    ssize_t            n;
#endif

    c = s->connection;

#if (NGX_SSL)

    /*
     * nginx's own chain for TLS keeps what it could not send in a buffer of
     * its own, which would be as large as what is saved by it
     */

    if (c->ssl) {

        for (cl = in; cl; cl = cl->next) {
            n = ngx_http_stomp_websocket_send(s, cl->buf->pos,
                                              cl->buf->last - cl->buf->pos);
            if (n == NGX_ERROR) {
                return NGX_CHAIN_ERROR;
            }

            if (n > 0) {
                cl->buf->pos += n;
            }

            if (cl->buf->pos != cl->buf->last) {
                return cl;
            }
        }

        return NULL;
    }

#endif

    cl = c->send_chain(c, in, 0);

    if (cl == NULL || cl == NGX_CHAIN_ERROR) {
        return cl;
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        return NGX_CHAIN_ERROR;
    }

    return cl;
}


static void
ngx_http_stomp_websocket_finish(ngx_stomp_session_t *s, ngx_uint_t code,
    ngx_str_t *reason)
{
    u_char  *p, buf[NGX_STOMP_WS_CLOSE_MAX];

    p = ngx_stomp_ws_close(buf, code, reason);

    ngx_stomp_output_raw(s, buf, p - buf);
}


static void
ngx_http_stomp_websocket_resume(ngx_stomp_session_t *s)
{
    ngx_http_stomp_websocket_read((ngx_http_stomp_websocket_t *) s);
}


static void
ngx_http_stomp_websocket_close(ngx_stomp_session_t *s)
{
    ngx_connection_t            *c;
    ngx_http_request_t          *r;
    ngx_http_stomp_websocket_t  *ws;

    ws = (ngx_http_stomp_websocket_t *) s;
    c = s->connection;
    r = ws->request;

    ngx_stomp_session_cleanup(s);

    if (ws->carry != NULL) {
        ngx_free(ws->carry);
    }

    ngx_free(ws);

    if (r != NULL) {
        c->data = r;
        ngx_http_free_request(r, 0);
    }

    ngx_http_close_connection(c);
}
