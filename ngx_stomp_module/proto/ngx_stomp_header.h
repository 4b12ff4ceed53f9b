
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_HEADER_H_INCLUDED_
#define _NGX_STOMP_HEADER_H_INCLUDED_


#include <ngx_stomp_frame.h>


/*
 * Returns the value of the first header of that name (case-sensitive), or
 * NULL.  It points into the frame.
 */
ngx_str_t *ngx_stomp_header_lookup(ngx_stomp_frame_t *f, const char *name,
    size_t len);

#define ngx_stomp_header(f, name)                                             \
    ngx_stomp_header_lookup(f, name, sizeof(name) - 1)

/*
 * Escapes a header name or value for a version ("Value Encoding"):
 *   1.2: backslash, CR, LF and colon;  1.1: backslash, LF and colon, and CR,
 *   which 1.1 can't express, becomes a space;  1.0 and 0: nothing is escaped,
 *   CR and LF, which can't be expressed, become spaces;
 *   NUL, which would end the frame, becomes a space in every version.
 * dst: room for ngx_stomp_escape_len() octets, which is exact; must not
 * overlap src.  Returns the end.
 */
u_char *ngx_stomp_escape(u_char *dst, u_char *src, size_t len,
    ngx_uint_t version);
size_t ngx_stomp_escape_len(u_char *src, size_t len, ngx_uint_t version);

/*
 * Unescapes in place for a version, as ngx_stomp_escape() is reversed.
 * NGX_OK: s->len is the new length;  NGX_ABORT: undefined escape sequence.
 */
ngx_int_t ngx_stomp_unescape(ngx_str_t *s, ngx_uint_t version);

/*
 * A header block is how user headers are kept with a message: lines
 * "name:value" LF in their order, escaped as in 1.2.  It is plain if it has
 * no backslash: then it is the same for every version.
 *
 * Writes a block (made by escaping for 1.2) as another version has it.
 * dst: room for len octets; returns the end (never more than len octets).
 */
u_char *ngx_stomp_header_block(u_char *dst, u_char *block, size_t len,
    ngx_uint_t version);

/*
 * Reads a heart-beat value "x,y" in milliseconds.  Larger values than
 * 2^31 - 1 are taken as that.  NGX_OK or NGX_ABORT (not two numbers).
 */
ngx_int_t ngx_stomp_header_heartbeat(ngx_str_t *value, ngx_msec_t *x,
    ngx_msec_t *y);

/*
 * Reads accept-version: a set of NGX_STOMP_V* bits, in any order, with
 * unknown versions ignored; NULL (no such header) means 1.0.
 */
ngx_uint_t ngx_stomp_header_versions(ngx_str_t *value);

/* Returns "1.0", "1.1" or "1.2" for the highest bit set in version. */
ngx_str_t *ngx_stomp_version_name(ngx_uint_t version);


#endif /* _NGX_STOMP_HEADER_H_INCLUDED_ */
