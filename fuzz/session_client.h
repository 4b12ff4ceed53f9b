
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _SESSION_CLIENT_H_INCLUDED_
#define _SESSION_CLIENT_H_INCLUDED_


#include <fuzz.h>
#include <ngx_stomp_session.h>


/* The clients of the session fuzzer. */


#define CLIENTS           4
#define CLIENT_RECEIPTS   512
#define CLIENT_HELD       8


/* an open transaction: the numbers and lengths of its bodies */

typedef struct {
    ngx_uint_t            nheld;
    uint32_t              bodies[CLIENT_HELD];
    size_t                lengths[CLIENT_HELD];
    unsigned              open:1;
} client_transaction_t;


typedef struct {
    ngx_stomp_session_t  *session;        /* NULL: there is none (any more) */
    uint64_t              id;

    /* what it has sent */
    ngx_uint_t            fragments;      /* of the next frame */
    ngx_uint_t            nreceipts;      /* asked for */
    unsigned              gone:1;         /* DISCONNECT */
    unsigned              wild:1;         /* octets that nobody understands */
    unsigned              unsure:1;       /* what its transactions hold */
    client_transaction_t  transactions[4];

    /* what it has received */
    ngx_uint_t            receipts;
    unsigned              upgraded:1;
    unsigned              connected:1;
    unsigned              error:1;        /* ERROR; then */
    unsigned              closed:1;       /* the end */
} client_t;


extern client_t  clients[CLIENTS];


void client_reset(void);

/* Connects a client, if it is not, with a handshake. */
void client_open(ngx_uint_t n, const char *broker);

/* Something that a client does, by its letter. */
void client_order(ngx_uint_t n, ngx_uint_t order, fuzz_input_t *in);

/* All clients read, and check what they get. */
void client_receive(void);

/* Returns 1 if nginx listens to the client, 0 if it is paused. */
ngx_uint_t client_listening(ngx_uint_t n);

/* Checks that a client that is still served has got all it is to get. */
void client_complete(ngx_uint_t n);

/* Make a destination, a subscription id, a length and a body of orders. */
ngx_str_t client_destination(ngx_uint_t n);
ngx_str_t client_subscription(ngx_uint_t n);
size_t client_size(fuzz_input_t *in);
void client_body(u_char *p, size_t len);

/* Makes what is subscribed to: a destination, or a pattern. */
ngx_str_t client_listened(ngx_uint_t n);


#endif /* _SESSION_CLIENT_H_INCLUDED_ */
