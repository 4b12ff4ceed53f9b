
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Shared by the parts of the load tool: fanout.c (the run), fanout_options.c,
 * fanout_report.c (the result), fanout_wire.c (connections, HTTP and
 * WebSocket), fanout_stomp.c (STOMP), fanout_check.c (what was sent, who has
 * received what), fanout_measure.c (latencies and processor time).
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

enum { SUBSCRIBER, PUB_HTTP, PUB_SEND, CHURNER };
enum { ST_IDLE, ST_TCP, ST_UPGRADE, ST_CONNECT, ST_SUBSCRIBE, ST_READY,
       ST_DEAD };
enum { HTTP = 1, SEND, ALTERNATE };

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

    /* one that subscribes and unsubscribes all the time */
    int             subscribed;
    uint32_t        changes;
} conn_t;

typedef struct {
    int             port, publish, json, survive, receipt, own_ids,
                    reconnect, until_eof, raw, lax, table, spin;
    long            body, window, hold;
    unsigned        subscribers, dests, publishers, messages, warmup, churners;
    double          rate, timeout, stall, churn_rate, seconds;
    const char     *path, *dest, *push_path, *host;
} options_t;

/* of a part of the run; times in microseconds */
typedef struct {
    double          seconds;
    double          cpu_us, user_us, system_us;     /* of the server */
    double          own_us;                         /* of this tool */
    double          stolen_us;                      /* by the host */
} figures_t;

extern options_t       o;
extern int             ep;              /* the epoll descriptor */
extern uint64_t        now_us, progress_us, last_us;
extern conn_t         *subs, *pubs, *churners;
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
                       reconnects, unavailable, errors, changes;
extern uint64_t        first_us;

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

void message_received(conn_t *c, unsigned p, uint32_t n, uint64_t seq);
void subscriber_ready(conn_t *c);
void subscriber_lost(conn_t *c);
void publisher_lost(conn_t *c);
void check_all(void);
uint64_t uncertain_seen(void);

/* fanout_measure.c */

extern int             measuring;
extern figures_t       opening_figures, figures;

int measure_pids(const char *list);
void measure_begin(figures_t *f);
void measure_end(figures_t *f);
void hist_add(uint64_t us);
uint64_t hist_quantile(double q);

/* fanout_options.c, fanout_report.c */

void parse_options(int argc, char **argv);
void print_result(int ok, uint64_t measured);

/* fanout_stomp.c */

void stomp_input(conn_t *c, const char *p, size_t len);
void body_input(conn_t *c, const char *p, size_t len, uint64_t seq);
void stomp_connect(conn_t *c);
void stomp_churn(conn_t *c);

/* fanout_wire.c */

void wire_init(void);
void conn_open(conn_t *c);
void conn_lost(conn_t *c, unsigned code);
void conn_ready(conn_t *c);
void broken(conn_t *c, const char *what);
void conn_event(conn_t *c, unsigned events);
void flush(conn_t *c);
void ws_write(conn_t *c, int opcode, const void *data, size_t len);


#endif /* _FANOUT_H_INCLUDED_ */
