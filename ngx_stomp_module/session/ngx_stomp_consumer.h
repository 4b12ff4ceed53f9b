
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_CONSUMER_H_INCLUDED_
#define _NGX_STOMP_CONSUMER_H_INCLUDED_


#include <ngx_stomp_session.h>


/*
 * A session's subscriptions to queues, and of those to topics that are to be
 * acknowledged, with what of each was sent and is not settled.  A session has
 * none of this until its first one.
 */


typedef enum {
    NGX_STOMP_ACK_AUTO = 0,                 /* sent is settled */
    NGX_STOMP_ACK_CLIENT,                   /* ACK settles all before, too */
    NGX_STOMP_ACK_INDIVIDUAL
} ngx_stomp_ack_e;


/* a message that is not settled */

typedef struct {
    uint64_t                 number;        /* "ack" of its MESSAGE; auto: */
                                            /* octets sent when it is gone */
    uint64_t                 sequence;      /* of the message */
    uint32_t                 entry;         /* 0: it is settled; of a topic */
                                            /* 1 */
    uint32_t                 reserved;
} ngx_stomp_unsettled_t;


struct ngx_stomp_consumer_s {
    ngx_stomp_consumer_t    *next;          /* of the session */
    ngx_stomp_session_t     *session;
    ngx_stomp_form_t        *form;
    ngx_stomp_flow_t        *flow;          /* NULL: of a queue */
    ngx_stomp_unsettled_t   *items;         /* by number */
    uint32_t                 first;
    uint32_t                 last;          /* behind the last one */
    uint32_t                 size;
    uint32_t                 mixed;         /* 1: not by sequence as well */
    uint32_t                 consumer;      /* in the zone */
    uint32_t                 tag;           /* index in the hub's */
    ngx_stomp_ack_e          mode;
    uint32_t                 name_len;
    u_char                   name[1];
};


struct ngx_stomp_consumers_s {
    ngx_stomp_consumer_t    *list;
    uint64_t                 octets;        /* that the socket took */
    uint64_t                 number;        /* last one given to a MESSAGE */
    size_t                   waiting;       /* octets, of topics */
};


/* Returns what a session has of this, made if need be; NULL: no memory. */
ngx_stomp_consumers_t *ngx_stomp_consumers_get(ngx_stomp_session_t *s);


/*
 * Subscribes to a queue; id is NULL in 1.0 without one.  prefetch: messages
 * that may be unsettled at a time, at least 1; of no meaning for auto.
 * NGX_OK;  NGX_BUSY: the zone is full, or there is no slot;  NGX_ERROR: no
 * memory.
 */
ngx_int_t ngx_stomp_consumer_subscribe(ngx_stomp_session_t *s,
    ngx_str_t *name, ngx_str_t *id, ngx_stomp_ack_e mode, uint32_t prefetch);

/*
 * Removes a subscription; what is not settled goes back to the queue.  Not
 * counted as delivered if it is the server that wants the session to go.
 */
void ngx_stomp_consumer_unsubscribe(ngx_stomp_consumer_t *c);

/*
 * Notes a message that is sent and is to be settled.  NGX_OK or NGX_ERROR (no
 * memory).
 */
ngx_int_t ngx_stomp_consumer_push(ngx_stomp_consumer_t *c, uint32_t entry,
    uint64_t sequence, uint64_t number);

/* Removes all subscriptions to queues of a session. */
void ngx_stomp_consumer_cleanup(ngx_stomp_session_t *s);

/*
 * Looks for a session's subscription to a queue by id, or, if id is NULL, for
 * one without id by its destination.  Returns it or NULL.
 */
ngx_stomp_consumer_t *ngx_stomp_consumer_lookup(ngx_stomp_session_t *s,
    ngx_str_t *id, ngx_str_t *name);

/* Returns 1 if the session has been given that many messages to settle. */
#define ngx_stomp_consumer_numbered(s, n)                                     \
    ((s)->consumers != NULL && (n) <= (s)->consumers->number)

/*
 * The socket took so many octets of a session that has consumers: settles what
 * is gone with them.
 */
void ngx_stomp_consumer_sent(ngx_stomp_session_t *s, size_t len);

/* An ngx_stomp_consume_pt: data is the hub. */
void ngx_stomp_consumer_deliver(void *data, ngx_stomp_taken_t *taken,
    ngx_stomp_message_t *m);


#endif /* _NGX_STOMP_CONSUMER_H_INCLUDED_ */
