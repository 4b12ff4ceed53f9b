
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_stomp_module.h>
#include <ngx_http_stomp_websocket.h>
#include <ngx_stomp_output.h>
#include <ngx_stomp_user.h>
#include <ngx_stomp_wheel.h>


/*
 * What a connection may have read in a turn of the event loop: what it SENDs
 * goes to many others right away, and the others are to have their turn.
 */

#define NGX_HTTP_STOMP_READ_SIZE    16384


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
static void ngx_http_stomp_websocket_ping(ngx_stomp_session_t *s);
static void ngx_http_stomp_websocket_resume(ngx_stomp_session_t *s);
static void ngx_http_stomp_websocket_close(ngx_stomp_session_t *s);


static const ngx_stomp_link_t  ngx_http_stomp_websocket_link = {
    ngx_string("websocket"),
    NGX_STOMP_WIRE_WEBSOCKET,
    ngx_http_stomp_websocket_send,
    ngx_http_stomp_websocket_send_chain,
    ngx_http_stomp_websocket_finish,
    ngx_http_stomp_websocket_ping,
    ngx_http_stomp_websocket_resume,
    ngx_http_stomp_websocket_close
};


/* one buffer for all connections: what is left over is carried */

static u_char  ngx_http_stomp_websocket_buffer[NGX_STOMP_WS_CARRY_MAX
                                               + NGX_HTTP_STOMP_READ_SIZE];


ngx_http_stomp_websocket_t *
ngx_http_stomp_websocket_create(ngx_http_request_t *r)
{
    size_t                       len;
    ngx_str_t                   *user;
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
    s->fd = (ngx_socket_t) -1;

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

    user = ngx_http_get_module_ctx(r, ngx_http_stomp_module);

    if ((user != NULL && ngx_stomp_user_set(s, user) != NGX_OK)
        || ngx_stomp_session_init(s) != NGX_OK)
    {
        ngx_stomp_user_free(s);

        if (ws->carry != NULL) {
            ngx_free(ws->carry);
        }

        ngx_free(ws);
        return NULL;
    }

    return ws;
}


void
ngx_http_stomp_websocket_run(ngx_http_stomp_websocket_t *ws)
{
    ngx_connection_t  *c;

    c = ws->session.connection;

    c->data = ws;
    c->log->action = "in a STOMP session";

    /* a kept request is logged with the octets that c->send() counts */

    if (c->send == ngx_send && ws->request == NULL) {
        ws->session.fd = c->fd;
    }

    c->read->handler = ngx_http_stomp_websocket_read_handler;
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

    if (ws->backlog && !ngx_stomp_session_paused(s)) {
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

    if (ngx_stomp_session_paused(s)) {
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

    ws->carry_len = 0;

    ngx_stomp_session_received(s, n);

    (void) ngx_http_stomp_websocket_input(ws, buf, buf + len + n);

done:

    if (s->dead) {
        return;
    }

    /* a backlog of no octets may still be the end of a message */

    if (ws->carry != NULL && ws->carry_len == 0 && !ws->backlog) {
        ngx_free(ws->carry);
        ws->carry = NULL;
    }

    if (ngx_stomp_session_paused(s)) {

        if (rev->pending_eof) {
            ngx_stomp_session_gone(s);
        }

        /* with other methods than epoll it would be told again and again */

        if ((ngx_event_flags & NGX_USE_LEVEL_EVENT) && rev->active) {
            (void) ngx_del_event(rev, NGX_READ_EVENT, 0);
        }

        return;
    }

    ngx_stomp_session_taken(s, ws->carry != NULL
                               || ws->decoder.payload
                               || ws->decoder.open);

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
                s->hub->broker->refused++;
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


/*
 * nginx's connection and its event are four cache lines that nothing else in a
 * delivery touches: c->send() is for when the socket does not take it all.
 */

static ssize_t
ngx_http_stomp_websocket_send(ngx_stomp_session_t *s, u_char *p, size_t len)
{
    ssize_t            n, sent;
    ngx_connection_t  *c;

    sent = 0;

    if (s->fd != (ngx_socket_t) -1) {

        sent = send(s->fd, p, len, 0);

        if (sent == (ssize_t) len) {
            return sent;
        }

        sent = ngx_max(sent, 0);
    }

    c = s->connection;

    n = c->send(c, p + sent, len - sent);

    if (n == (ssize_t) len - sent) {
        return (ssize_t) len;
    }

    if (n == NGX_ERROR || ngx_handle_write_event(c->write, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    sent += ngx_max(n, 0);

    return sent ? sent : NGX_AGAIN;
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
ngx_http_stomp_websocket_ping(ngx_stomp_session_t *s)
{
    u_char  buf[2];

    (void) ngx_stomp_ws_head(buf, NGX_STOMP_WS_PING, 0);

    ngx_stomp_output_raw(s, buf, sizeof(buf));
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
