
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_stomp_websocket.h>


/* how often a request that is still in use is looked at, milliseconds */
#define NGX_HTTP_STOMP_DETACH_WAIT  50


static void ngx_http_stomp_websocket_detach(ngx_event_t *ev);
static void ngx_http_stomp_websocket_drained(ngx_event_t *wev);
static ngx_int_t ngx_http_stomp_websocket_busy(ngx_http_request_t *r);
static void ngx_http_stomp_websocket_release(ngx_http_request_t *r,
    ngx_connection_t *c);
static void ngx_http_stomp_websocket_free_headers(ngx_connection_t *c,
    ngx_chain_t **list);
static void ngx_http_stomp_websocket_keep(ngx_http_request_t *r);


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

    ngx_http_stomp_websocket_run(ws);
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
