
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _WS_FEED_H_INCLUDED_
#define _WS_FEED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_ws.h>
#include <unit_guard.h>

#define WS_MAX     (1024 * 1024)
#define WS_SIZE    (256 * 1024)
#define WS_SMALL   4096
#define WS_NO_FIN  0x100


typedef struct {
    size_t      len;
    u_char      data[WS_SIZE];
} ws_buf_t;


/* what was decoded, as text, so that two runs can be compared */

typedef struct {
    ws_buf_t    events;
    ws_buf_t    message;        /* data of the message that has begun */
    ngx_uint_t  opcode;         /* of that message */
    ngx_uint_t  begun;
} ws_log_t;


/* how a stream is cut: one piece of first octets, then of chunk octets */

typedef struct {
    size_t      first;
    size_t      chunk;
    uint32_t   *seed;           /* if set, of any length up to chunk */
} ws_cut_t;


/* what a client sends, and how its next frame is masked */

extern ws_buf_t  ws_stream;
extern u_char    ws_mask[4];

/* what was decoded in one piece, and in several */

extern ws_log_t  ws_whole, ws_pieces;


#define ws_gives_text(text)  ws_gives(WS_MAX, text, sizeof(text) - 1)


/* Called once before the others. */
void ws_feed_init(void);

void ws_put(ws_buf_t *b, const void *data, size_t len);

/*
 * Append a client's frame, or its header only, to the stream; WS_NO_FIN in
 * opcode: more fragments follow; octets: of the long length, 0, 2 or 8.
 */
void ws_put_head(ngx_uint_t opcode, uint64_t len, ngx_uint_t octets);
void ws_put_frame(ngx_uint_t opcode, const void *data, size_t len);
void ws_put_text(ngx_uint_t opcode, const char *text);

/*
 * Feeds the stream as a connection does: what the decoder left is kept, and
 * passed again at another address.  Messages and control frames are logged as
 * "opcode:code:length(data)", an error as opcode 0.  Returns the decoder's
 * last answer.
 */
ngx_int_t ws_run(ws_log_t *log, uint64_t max, ws_cut_t *cut);

/* The same in one piece, into ws_whole. */
ngx_int_t ws_run_whole(uint64_t max);

/* Cut as said, the stream gives what is in ws_whole. */
void ws_run_same(uint64_t max, size_t first, size_t chunk, uint32_t *seed);

/*
 * Checks that the stream gives what is expected (NULL: anything), in one
 * piece, cut in two at every octet, and in pieces of every length up to that
 * of a header; then empties it.
 */
void ws_gives(uint64_t max, const char *expected, size_t len);

/* The same for a stream that ends with an error. */
void ws_fails(uint64_t max, ngx_uint_t code);


#endif /* _WS_FEED_H_INCLUDED_ */
