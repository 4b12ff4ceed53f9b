
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Shared by the parts of the machine's limit: limit.c (options, event loop),
 * limit_stream.c (destinations, deliveries), limit_wire.c (what clients say).
 */


#ifndef _LIMIT_H_INCLUDED_
#define _LIMIT_H_INCLUDED_


#define _GNU_SOURCE

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MAX_INPUT      (1 << 20)        /* octets of a request or a frame */
#define MAX_HEAD       4096             /* of its headers */
#define INPUT_SIZE     (MAX_INPUT + 65536)

#define put_text(p, text)  put(p, text, sizeof(text) - 1)
#define is(s, text)    ((s)->len == sizeof(text) - 1 \
                        && memcmp((s)->data, text, sizeof(text) - 1) == 0)

enum { FREE, HTTP, WS };

typedef struct {
    const unsigned char  *data;
    size_t                len;
} str_t;

/* descriptors of subscribers; each knows its index here */
typedef struct {
    int                  *fd;
    unsigned              n, size;
} list_t;

/*
 * All that was published to a destination is one stream of octets, of which
 * "data" holds the positions from base to end.  Subscribers in step have taken
 * what was flushed, so that nothing but the descriptor is read for them;
 * those that are late have a position of their own.
 */

typedef struct dest_s  dest_t;

struct dest_s {
    uint64_t              base, flushed, end;
    uint64_t              low;          /* nobody is later than that */
    unsigned char        *data;
    size_t                size;
    list_t                in_step, late;
    str_t                 name, id;
    dest_t               *next, *next_dirty;
    int                   dirty;
};

typedef struct {
    dest_t               *dest;
    uint64_t              pos;          /* if it is late */
    unsigned char        *carry;        /* input that is not complete */
    uint32_t              carry_len;
    uint32_t              index;        /* in one of the destination's lists */
    int                   fd;
    uint8_t               kind, late;
} conn_t;

extern int             ep, coalesce;
extern conn_t         *conns;           /* by descriptor */
extern dest_t         *dirty;           /* destinations with new messages */
extern unsigned char  *input;
extern uint64_t        number;          /* of the last message */
extern char            epoch[17];


static inline unsigned char *
put(unsigned char *p, const void *data, size_t len)
{
    memcpy(p, data, len);
    return p + len;
}


/* limit_stream.c */

void die(const char *what);
void *grow(void *old, size_t size);
unsigned char *put_number(unsigned char *p, uint64_t n);
unsigned char *put_ws_head(unsigned char *p, int opcode, size_t len);
void list_add(list_t *list, conn_t *c);
void watch(conn_t *c, int op, unsigned events);
void conn_drop(conn_t *c);
void bad(conn_t *c, const char *why);
dest_t *dest_find(str_t *name, int create);
void dest_flush(dest_t *d);
void sub_writable(conn_t *c);
void flush_dirty(void);
unsigned publish(str_t *name, str_t *type, str_t *body);

/* limit_wire.c */

void conn_read(conn_t *c, unsigned events);


#endif /* _LIMIT_H_INCLUDED_ */
