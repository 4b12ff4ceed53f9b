
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Shared by the parts of the tool for hostile clients: hostile.c (options,
 * connections, result) and hostile_attacks.c (what they send).
 */


#ifndef _HOSTILE_H_INCLUDED_
#define _HOSTILE_H_INCLUDED_


#define _GNU_SOURCE

#include <stddef.h>
#include <stdint.h>

#define OUT_SIZE       262144
#define OUT_FILL       32768           /* items are added up to here */
#define ITEM_MAX       (OUT_SIZE - OUT_FILL - 1024)
#define HEAD_SIZE      96

/* how far a connection goes, and what it is for */
enum { TCP, HALF, REFUSED, SHAKE, IDLE, STOMP, PUSH };
enum { ST_NONE, ST_TCP, ST_UPGRADE, ST_CONNECT, ST_RUN, ST_END, ST_DONE };

typedef struct {
    int            fd, state, writing;
    unsigned       index, payload_seen, status;
    uint64_t       next, left, answers;
    size_t         len, pos, head_len;
    unsigned char  head[HEAD_SIZE];    /* of the frame that is being read */
    unsigned char  ws[10];
    unsigned       ws_len;
    char          *out;
} conn_t;

typedef struct {
    const char    *name;
    int            kind;
    size_t       (*item)(conn_t *c, char *p);
    const char    *what;
} attack_t;

typedef struct {
    int            port, deaf, hold, step;
    unsigned       connections;
    uint64_t       count, window;
    double         seconds, rate;
    const char    *path, *tag;
    long           size;
} hostile_options_t;

extern hostile_options_t  o;
extern const attack_t     attacks[];

/* hostile_attacks.c */

size_t ws_text(char *p, const char *data, size_t len);
int is_ping(const attack_t *attack);

/* hostile.c */

void die(const char *what);


#endif /* _HOSTILE_H_INCLUDED_ */
