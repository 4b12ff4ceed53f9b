
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_PARSE_H_INCLUDED_
#define _NGX_STOMP_PARSE_H_INCLUDED_


#include <ngx_stomp_frame.h>


/* the longest command that is looked at */

#define NGX_STOMP_COMMAND_MAX  16


/* why a frame was refused */

typedef enum {
    NGX_STOMP_PARSE_OK = 0,
    NGX_STOMP_PARSE_MALFORMED,
    NGX_STOMP_PARSE_TOO_MANY_HEADERS,
    NGX_STOMP_PARSE_HEADER_TOO_LONG,
    NGX_STOMP_PARSE_BODY_TOO_LARGE
} ngx_stomp_parse_error_e;


/*
 * State of one frame.  Private to the parser, but for what is marked (r),
 * which the caller may read, and (w), which it sets before the first call.
 */

typedef struct {
    ngx_stomp_frame_t         frame;       /* (r) complete after NGX_OK; what
                                            * is known so far otherwise */
    ngx_stomp_header_t       *headers;     /* (w) limits->max_headers items */
    const ngx_stomp_limits_t *limits;      /* (w) */
    ngx_uint_t                version;     /* (w) 0 before CONNECT */

    const char               *error;       /* (r) static text, after
                                            * NGX_ABORT: a sentence without a
                                            * full stop, for the client */
    ngx_stomp_parse_error_e   reason;      /* (r) after NGX_ABORT */

    u_char                   *base;        /* data of the last call */
    size_t                    pos;         /* (r) scanned; after NGX_OK: the
                                            * length of the frame with NUL */
    size_t                    line;        /* where the current line starts */
    size_t                    body;        /* where the body starts */
    size_t                    content_length;
    ngx_uint_t                state;
    unsigned                  sized:1;     /* content-length is given */
} ngx_stomp_parser_t;


/*
 * Prepares p for a new frame; headers, limits and version stay as the caller
 * set them.
 */
void ngx_stomp_parse_init(ngx_stomp_parser_t *p);

/*
 * Parses one client frame (STOMP 1.2, "Augmented BNF", and what 1.1 and 1.0
 * do otherwise).  data is the frame's first octet: the caller skips the EOLs
 * between frames with ngx_stomp_skip_eol().  Lines end with LF or CRLF.
 * Header names and values are unescaped in place by version, not in CONNECT
 * and STOMP, nor where version is NGX_STOMP_V10 or 0; an undefined escape is
 * an error, also \r in 1.1.  A header line is split at its first colon before
 * it is unescaped.  Values are trimmed of spaces at both ends only where
 * version is NGX_STOMP_V10.  Headers must be UTF-8.  Repeated headers are all
 * kept (the first counts, see ngx_stomp_header_lookup()).  A body is allowed
 * only in SEND; content-length gives its length, else the first NUL ends it.
 *
 * NGX_OK: p->frame is complete and valid as long as data and the headers
 *   array are; p->pos is its length;
 * NGX_AGAIN: data[0..len) is an incomplete frame: the caller keeps it and
 *   calls again with the same octets, at any address, followed by more; what
 *   was scanned is not scanned again;
 * NGX_ABORT: p->error and p->reason say why; p->frame has the command and
 *   the headers that were read before, so that receipt can be looked up.
 *
 * Limits are checked before more input is asked for: an announced body that
 * is too large fails at its content-length header.
 */
ngx_int_t ngx_stomp_parse(ngx_stomp_parser_t *p, u_char *data, size_t len);

/*
 * Moves what p->frame points to: the octets of the last call are at data now.
 * For a complete frame that is handled later; ngx_stomp_parse() does it by
 * itself.
 */
void ngx_stomp_parse_rebase(ngx_stomp_parser_t *p, u_char *data);

/*
 * Returns how many CR and LF octets data begins with (heart-beats, and EOLs
 * after a frame).
 */
size_t ngx_stomp_skip_eol(u_char *data, size_t len);


#endif /* _NGX_STOMP_PARSE_H_INCLUDED_ */
