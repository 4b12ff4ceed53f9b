
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _HOST_H_INCLUDED_
#define _HOST_H_INCLUDED_


#include <fuzz.h>
#include <ngx_event.h>
#include <ngx_http.h>
#include <ngx_stomp_broker_private.h>


/*
 * nginx in the fuzzer's process, as a worker without a master: a real cycle of
 * a real configuration.  Only what is outside is not real: connections are
 * two buffers, the kernel tells of no event but by host_turn(), time passes
 * by host_sleep(), random numbers are always the same.  An alert in nginx's
 * log ends the process.
 *
 * Linked with HOST_WRAP (fuzz.mk).
 */


#define HOST_CONNECTIONS   8


typedef struct {
    u_char     *data;
    size_t      len;
    size_t      size;
} host_buf_t;


/* the client's end of a connection */

typedef struct {
    ngx_connection_t  *connection;    /* NULL: nginx has closed it */
    host_buf_t         in;            /* to be read by nginx */
    size_t             chunk;         /* octets of a read; 0: all */
    host_buf_t         out;           /* written by nginx */
    size_t             room;          /* octets that it may still write */
    unsigned           eof:1;         /* the client has gone */
} host_client_t;


extern host_client_t  host_clients[HOST_CONNECTIONS];


/*
 * Starts nginx; http: the contents of its http block, where "%s" is what its
 * server listens on.
 */
void host_init(const char *http);

/* The broker of that name. */
ngx_stomp_broker_t *host_broker(const char *name);

/* Connects client n, which is not connected, to the first server. */
void host_connect(ngx_uint_t n);

/* Appends to what a client has sent; nginx is not told. */
void host_write(ngx_uint_t n, const void *data, size_t len);

/* Tells nginx that there is something to read, or the client's end. */
void host_readable(ngx_uint_t n);

/* Gives a client room for more octets, and tells nginx. */
void host_writable(ngx_uint_t n, size_t room);

/* One turn of the event loop; returns 0 if there was nothing to do. */
ngx_uint_t host_turn(void);

/* Lets milliseconds pass, with the timers that are due. */
void host_sleep(ngx_msec_t ms);

/* The same, but nginx does not notice before it is over. */
void host_jump(ngx_msec_t ms);

/* All clients leave; nginx may not read from some of them yet. */
void host_leave(void);

/*
 * All clients leave, and nginx comes to rest; then no connection is left but
 * those of its start.
 */
void host_finish(void);

void host_buf_add(host_buf_t *b, const void *data, size_t len);
void host_buf_cut(host_buf_t *b, size_t len);


#endif /* _HOST_H_INCLUDED_ */
