
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_WS_H_INCLUDED_
#define _NGX_STOMP_WS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* RFC 6455, section 11.8 */

#define NGX_STOMP_WS_CONTINUATION  0x0
#define NGX_STOMP_WS_TEXT          0x1
#define NGX_STOMP_WS_BINARY        0x2
#define NGX_STOMP_WS_CLOSE         0x8
#define NGX_STOMP_WS_PING          0x9
#define NGX_STOMP_WS_PONG          0xa

/* RFC 6455, section 7.4.1 */

#define NGX_STOMP_WS_NORMAL        1000
#define NGX_STOMP_WS_GOING_AWAY    1001
#define NGX_STOMP_WS_PROTOCOL      1002
#define NGX_STOMP_WS_UNSUPPORTED   1003
#define NGX_STOMP_WS_NO_STATUS     1005
#define NGX_STOMP_WS_INVALID_DATA  1007
#define NGX_STOMP_WS_POLICY        1008
#define NGX_STOMP_WS_TOO_BIG       1009
#define NGX_STOMP_WS_INTERNAL      1011
#define NGX_STOMP_WS_RESTART       1012
#define NGX_STOMP_WS_TRY_LATER     1013

#define NGX_STOMP_WS_CONTROL_MAX   125

/* a client's header with its mask, and a whole control frame */

#define NGX_STOMP_WS_HEAD_MAX      14
#define NGX_STOMP_WS_CARRY_MAX                                                \
    (NGX_STOMP_WS_HEAD_MAX + NGX_STOMP_WS_CONTROL_MAX)

/* header (2) and the longest payload of a close frame sent by a server */

#define NGX_STOMP_WS_CLOSE_MAX     (2 + NGX_STOMP_WS_CONTROL_MAX)


/* zeroed by the caller before the first call; 40 octets, no buffer */

typedef struct {
    uint64_t      left;           /* of the current frame's payload */
    uint64_t      message;        /* payload of the current message so far */
    const char   *error;          /* static text, after NGX_ABORT */
    uint32_t      utf8;
    u_char        mask[4];
    uint16_t      code;           /* close code to send, after NGX_ABORT */
    u_char        opcode;         /* of the current message: TEXT or BINARY */
    unsigned      phase:2;        /* index of the mask's next octet */
    unsigned      payload:1;      /* inside of a data frame */
    unsigned      fin:1;          /* of the current data frame */
    unsigned      open:1;         /* a message has begun and not ended */
} ngx_stomp_ws_decoder_t;


typedef struct {
    ngx_uint_t    opcode;         /* TEXT, BINARY, PING, PONG or CLOSE */
    u_char       *data;           /* unmasked, in the caller's buffer */
    size_t        len;
    ngx_uint_t    code;           /* CLOSE: peer's code, 1005 if none */
    unsigned      last:1;         /* these octets end the message */
} ngx_stomp_ws_event_t;


/*
 * Decodes what a client sent (RFC 6455, sections 5 and 7), from *pos on, and
 * unmasks it in place.  Data comes in pieces as it arrives, also empty ones
 * where a message ends; opcode is that of the message, for continuation
 * frames too.  Control frames come whole; data and len of a CLOSE are its
 * reason.
 * max: limit of a message's payload, over all its frames, in octets.
 * NGX_OK: one event; call again, also if *pos == last;
 * NGX_AGAIN: needs more input; *pos..last, at most NGX_STOMP_WS_CARRY_MAX
 *   octets, is the start of a frame header or control frame: the caller keeps
 *   it and passes it again, followed by what came in;
 * NGX_ABORT: the client broke the protocol; d->code and d->error say how:
 *   1002 for an RSV bit, a reserved opcode, an unmasked frame, a length that
 *   is not minimal or has its highest bit set, a control frame that is
 *   fragmented or longer than 125 octets, a continuation without a start, a
 *   start within a message, a close of one octet or with a code that must not
 *   be sent; 1007 for text, or a close reason, that is not UTF-8; 1009 for a
 *   message over the limit (found from the header, before its payload).
 */
ngx_int_t ngx_stomp_ws_decode(ngx_stomp_ws_decoder_t *d, uint64_t max,
    u_char **pos, u_char *last, ngx_stomp_ws_event_t *ev);

/* Returns the length of a server's frame header: 2, 4 or 10. */
size_t ngx_stomp_ws_head_len(uint64_t len);

/*
 * Writes an unmasked frame header with FIN set.
 * p: room for ngx_stomp_ws_head_len(len) octets; returns the end.
 */
u_char *ngx_stomp_ws_head(u_char *p, ngx_uint_t opcode, uint64_t len);

/*
 * Writes a whole close frame; no payload if code is 0 or 1005 (then reason
 * may be NULL).  A longer reason than 123 octets is cut at a character.
 * p: room for NGX_STOMP_WS_CLOSE_MAX octets; returns the end.
 */
u_char *ngx_stomp_ws_close(u_char *p, ngx_uint_t code, ngx_str_t *reason);


#endif /* _NGX_STOMP_WS_H_INCLUDED_ */
