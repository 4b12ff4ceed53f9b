
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Shared by the parts of the load tool: fanout.c (options, run, result),
 * fanout_wire.c (connections and codecs), fanout_check.c (what was sent, who
 * has received what).
 */


#ifndef _FANOUT_H_INCLUDED_
#define _FANOUT_H_INCLUDED_


#define _GNU_SOURCE

#include <stddef.h>
#include <stdint.h>

#define RECV_SIZE      65536
#define MAX_FRAME      (o.body + 16384)
#define MAX_SLOTS      4096
#define RETRY_US       50000

enum { SUBSCRIBER, PUB_HTTP, PUB_SEND };
enum { ST_IDLE, ST_TCP, ST_UPGRADE, ST_CONNECT, ST_SUBSCRIBE, ST_READY,
       ST_DEAD };

/* what is known about a message */
enum { M_COMPLETE = 1, M_CONFIRMED = 2, M_REFUSED = 4, M_UNCERTAIN = 8,
       M_SEEN = 16 };

#define M_SETTLED      (M_COMPLETE|M_REFUSED|M_UNCERTAIN)

typedef struct {
    unsigned char  *data;
    size_t          len, cap;
} bytes_t;

/* what a subscriber knows of a publisher */
typedef struct {
    uint32_t        first_n;            /* owed from this one on */
    uint32_t        last_n;             /* highest n + 1 */
    uint32_t        lost, doubled, disorder;
} tally_t;

/* numbers of the first and the last message on one connection */
typedef struct {
    uint64_t        first_seq, last_seq;
} life_t;

typedef struct {
    int             fd, kind, state, writing;
    unsigned        index, dest;
    int             slot;
    bytes_t         carry, frag, out;
    size_t          out_pos;

    /* a subscriber */
    uint64_t        first_seq, last_seq, hash;
    uint64_t       *seen;               /* a bit for each message */
    tally_t        *of;                 /* one for each publisher */
    life_t         *lives;              /* of its former connections */
    unsigned        nlives;

    /* a publisher */
    uint32_t        next_n, total_n, low_n, pending_n;
    int             in_flight, done;
    uint64_t        next_us;

    uint64_t        retry_us;           /* a lost one comes back then */
} conn_t;

typedef struct {
    int             port, publish, json, survive, receipt, own_ids,
                    reconnect, until_eof;
    long            body, window, hold;
    unsigned        subscribers, dests, publishers, messages;
    double          rate, timeout, stall;
    const char     *path, *dest, *push_path;
} options_t;

extern options_t       o;
extern int             ep;              /* the epoll descriptor */
extern uint64_t        now_us, progress_us, last_us;
extern conn_t         *subs, *pubs;
extern char          **dest_name;
extern unsigned       *live;            /* subscribers of a destination */
extern unsigned        per_pub, per_dest, opening, ready, dead;

extern unsigned char  *flags;           /* of messages, and: */
extern uint32_t       *remaining;       /* subscribers still without it */
extern uint64_t       *seq_of;          /* the number in its message-id */
extern long            outstanding;     /* messages not settled */

extern unsigned        slot_count[MAX_SLOTS], slot_lost[MAX_SLOTS];
extern unsigned        closes[5000];
extern uint64_t        max_us, sent, received, lost, duplicated, out_of_order,
                       mismatch, refused, uncertain, lost_connections, beats,
                       reconnects, unavailable, errors;

/* fanout_check.c */

uint64_t clock_us(void);
void die(const char *what);
void *alloc(size_t n, size_t size);
void append(bytes_t *b, const void *data, size_t len);
void release(bytes_t *b);
void report(conn_t *c, const char *fmt, ...);

unsigned dest_of(unsigned p, uint32_t n);
size_t message_of(unsigned p, uint32_t n);
void settle(size_t m, int why);

void hist_add(uint64_t us);
uint64_t hist_quantile(double q);

void message_received(conn_t *c, unsigned p, uint32_t n, uint64_t seq);
void subscriber_ready(conn_t *c);
void subscriber_lost(conn_t *c);
void publisher_lost(conn_t *c);
void check_all(void);
uint64_t uncertain_seen(void);

/* fanout_wire.c */

void wire_init(void);
void conn_open(conn_t *c);
void conn_lost(conn_t *c, unsigned code);
void conn_event(conn_t *c, unsigned events);
void flush(conn_t *c);
void ws_write(conn_t *c, int opcode, const void *data, size_t len);


#endif /* _FANOUT_H_INCLUDED_ */
