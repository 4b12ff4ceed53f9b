
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_FRAME_H_INCLUDED_
#define _NGX_STOMP_FRAME_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* as bits, so that an accept-version list is a mask; 0: not negotiated */

#define NGX_STOMP_V10  1
#define NGX_STOMP_V11  2
#define NGX_STOMP_V12  4


typedef enum {
    NGX_STOMP_CMD_CONNECT = 0,
    NGX_STOMP_CMD_STOMP,
    NGX_STOMP_CMD_SEND,
    NGX_STOMP_CMD_SUBSCRIBE,
    NGX_STOMP_CMD_UNSUBSCRIBE,
    NGX_STOMP_CMD_ACK,
    NGX_STOMP_CMD_NACK,
    NGX_STOMP_CMD_BEGIN,
    NGX_STOMP_CMD_COMMIT,
    NGX_STOMP_CMD_ABORT,
    NGX_STOMP_CMD_DISCONNECT,
    NGX_STOMP_CMD_UNKNOWN
} ngx_stomp_command_e;


typedef struct {
    ngx_str_t             name;
    ngx_str_t             value;
} ngx_stomp_header_t;


typedef struct {
    ngx_uint_t            max_headers;        /* header lines in a frame */
    size_t                max_header_length;  /* octets of a header line */
    size_t                max_body;           /* octets */
} ngx_stomp_limits_t;


/* points into the caller's buffer and header array; owns nothing */

typedef struct {
    ngx_stomp_command_e   command;
    ngx_str_t             name;               /* the command as received */
    ngx_stomp_header_t   *headers;            /* unescaped, in their order */
    ngx_uint_t            nheaders;
    ngx_str_t             body;
} ngx_stomp_frame_t;


#endif /* _NGX_STOMP_FRAME_H_INCLUDED_ */
