
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _REFERENCE_H_INCLUDED_
#define _REFERENCE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_frame.h>


/*
 * The protocols once more, from their documents, as simple as can be and
 * without regard to speed: what the module does is compared with it.  It
 * shares no code with the module.
 */


#define REFERENCE_HEADERS  64


/* a server's frame; all points into the octets that were read */

typedef struct {
    ngx_str_t           command;
    ngx_uint_t          nheaders;
    ngx_stomp_header_t  headers[REFERENCE_HEADERS];   /* still escaped */
    ngx_str_t           body;
} reference_frame_t;


/* a server's WebSocket frame */

typedef struct {
    ngx_uint_t          opcode;
    ngx_str_t           payload;
    size_t              len;                          /* with its header */
} reference_ws_t;


/*
 * Returns the length of the character at p, 0: there is none, it is cut by
 * the end if *cut is set; then *n octets at least are to be replaced.
 */
ngx_uint_t reference_character(const u_char *p, const u_char *last,
    ngx_uint_t *n, ngx_uint_t *cut);

/* Return 1 if it is UTF-8; the start of it, also where a character is cut. */
ngx_uint_t reference_utf8(const u_char *p, size_t len);
ngx_uint_t reference_utf8_start(const u_char *p, size_t len);

/* Write to dst, of twice the size; return the length; -1: undefined escape. */
ssize_t reference_unescape(u_char *dst, const u_char *p, size_t len,
    ngx_uint_t version);
size_t reference_escape(u_char *dst, const u_char *p, size_t len,
    ngx_uint_t version);

/* Reads one whole STOMP frame of a server, with its NUL; returns 1 or 0. */
ngx_uint_t reference_frame(reference_frame_t *f, u_char *p, size_t len);

/* Returns a header of the frame, or NULL. */
ngx_str_t *reference_header(reference_frame_t *f, const char *name);

/*
 * Reads a server's WebSocket frame.  NGX_OK, NGX_AGAIN (not complete), or
 * NGX_ERROR: it breaks the protocol.
 */
ngx_int_t reference_ws(reference_ws_t *ws, u_char *p, size_t len);


#endif /* _REFERENCE_H_INCLUDED_ */
