
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <host.h>
#include <model.h>
#include <reference.h>
#include <session_client.h>
#include <ngx_stomp_ws.h>
#include <stdio.h>


/* What the clients get. */


#define client_is(f, text)                                                    \
    ((f)->command.len == sizeof(text) - 1                                     \
     && memcmp((f)->command.data, text, sizeof(text) - 1) == 0)


static void
client_receipt(ngx_uint_t n, reference_frame_t *f)
{
    char        text[16];
    client_t   *c;
    ngx_str_t  *id;

    c = &clients[n];
    id = reference_header(f, "receipt-id");

    fuzz_check(id != NULL && f->nheaders == 1 && f->body.len == 0);

    if (c->wild) {
        return;
    }

    /* each that was asked for, once and in order */

    sprintf(text, "r%u", (unsigned) ++c->receipts);

    fuzz_check(c->receipts <= c->nreceipts);
    fuzz_check(id->len == strlen(text)
               && memcmp(id->data, text, id->len) == 0);
}


static void
client_stomp(ngx_uint_t n, reference_ws_t *ws)
{
    client_t           *c;
    reference_frame_t   f;

    c = &clients[n];

    if (ws->opcode == NGX_STOMP_WS_TEXT) {
        fuzz_check(reference_utf8(ws->payload.data, ws->payload.len));
    }

    /* nothing follows an ERROR but the end */

    fuzz_check(!c->error);

    if (ws->payload.len == 1 && ws->payload.data[0] == '\n') {
        fuzz_check(c->connected);
        return;
    }

    fuzz_check(reference_frame(&f, ws->payload.data, ws->payload.len));

    if (client_is(&f, "CONNECTED")) {
        fuzz_check(!c->connected);
        c->connected = 1;

    } else if (client_is(&f, "MESSAGE")) {
        fuzz_check(c->connected);
        model_received(c->id, &ws->payload);

    } else if (client_is(&f, "RECEIPT")) {
        fuzz_check(c->connected);
        client_receipt(n, &f);

    } else {
        fuzz_check(client_is(&f, "ERROR"));
        fuzz_check(reference_header(&f, "message") != NULL);
        fuzz_check(f.body.len != 0);
        c->error = 1;
    }
}


static void
client_frames(ngx_uint_t n)
{
    size_t           len;
    u_char          *p;
    ngx_int_t        rc;
    client_t        *c;
    host_buf_t      *out;
    reference_ws_t   ws;

    c = &clients[n];
    out = &host_clients[n].out;

    p = out->data;
    len = out->len;

    while (len) {
        rc = reference_ws(&ws, p, len);

        if (rc == NGX_AGAIN) {
            break;
        }

        fuzz_check(rc == NGX_OK);
        fuzz_check(!c->closed);

        switch (ws.opcode) {

        case NGX_STOMP_WS_TEXT:
        case NGX_STOMP_WS_BINARY:
            client_stomp(n, &ws);
            break;

        case NGX_STOMP_WS_CLOSE:
            fuzz_check(ws.payload.len != 1);
            c->closed = 1;
            break;

        default:
            fuzz_check(!c->error);
        }

        p += ws.len;
        len -= ws.len;
    }

    host_buf_cut(out, p - out->data);
}


void
client_receive(void)
{
    u_char      *end;
    ngx_uint_t   n;
    host_buf_t  *out;

    for (n = 0; n < CLIENTS; n++) {
        out = &host_clients[n].out;

        if (!clients[n].upgraded) {
            end = out->len ? memmem(out->data, out->len, "\r\n\r\n", 4) : NULL;

            if (end == NULL) {
                continue;
            }

            /* a worker that exits takes no sessions */

            if (memcmp(out->data, "HTTP/1.1 101 ", 13) != 0) {
                fuzz_check(memcmp(out->data, "HTTP/1.1 503 ", 13) == 0
                           && ngx_exiting);
                out->len = 0;
                continue;
            }

            clients[n].upgraded = 1;
            host_buf_cut(out, end + 4 - out->data);
        }

        client_frames(n);
    }
}


void
client_complete(ngx_uint_t n)
{
    client_t             *c;
    ngx_stomp_session_t  *s;

    c = &clients[n];
    s = c->session;

    if (s == NULL || s->dead || s->finished || ngx_stomp_session_paused(s)) {
        return;
    }

    fuzz_check(!c->error && !c->closed);
    fuzz_check(s->pending == 0 && s->range.segment == NULL);
    fuzz_check(host_clients[n].out.len == 0);
    fuzz_check(c->connected == (s->state != NGX_STOMP_SESSION_NEW));

    if (c->connected) {
        model_complete(c->id);
    }

    if (c->connected && !c->wild) {
        fuzz_check(c->receipts == c->nreceipts);
    }
}
