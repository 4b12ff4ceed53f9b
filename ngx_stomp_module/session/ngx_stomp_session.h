
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_SESSION_H_INCLUDED_
#define _NGX_STOMP_SESSION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stomp_broker.h>
#include <ngx_stomp_parse.h>


/*
 * One STOMP conversation over an abstract link.  A worker has a hub for each
 * broker: its sessions, their subscriptions by destination, and the fan-out.
 */


typedef struct ngx_stomp_session_s  ngx_stomp_session_t;
typedef struct ngx_stomp_hub_s      ngx_stomp_hub_t;
typedef struct ngx_stomp_form_s     ngx_stomp_form_t;
typedef struct ngx_stomp_group_s    ngx_stomp_group_t;
typedef struct ngx_stomp_local_s    ngx_stomp_local_t;
typedef struct ngx_stomp_sub_s      ngx_stomp_sub_t;
typedef struct ngx_stomp_feed_s     ngx_stomp_feed_t;
typedef struct ngx_stomp_flow_s     ngx_stomp_flow_t;
typedef struct ngx_stomp_user_s     ngx_stomp_user_t;
typedef struct ngx_stomp_extra_s    ngx_stomp_extra_t;
typedef struct ngx_stomp_wild_s     ngx_stomp_wild_t;
typedef struct ngx_stomp_wild_entry_s  ngx_stomp_wild_entry_t;

/* of ngx_stomp_consumer.h */
typedef struct ngx_stomp_consumers_s  ngx_stomp_consumers_t;
typedef struct ngx_stomp_consumer_s   ngx_stomp_consumer_t;


/*
 * What a delivery touches of a session is 64 octets at its front, which seldom
 * are one cache line: aligned, a session takes 100 octets more.
 */

#if (__GNUC__)

#define ngx_stomp_session_prefetch(s)                                         \
    __builtin_prefetch(s, 1);                                                 \
    __builtin_prefetch((u_char *) (s) + 60, 1)

#else

#define ngx_stomp_session_prefetch(s)

#endif

/* so many deliveries ahead */
#define NGX_STOMP_PREFETCH  4


/* flags of a publication, which the broker only carries */

#define NGX_STOMP_MESSAGE_PLAIN  1     /* headers: the same in all versions */
#define NGX_STOMP_MESSAGE_TEXT   2     /* the body is UTF-8 */
#define NGX_STOMP_MESSAGE_USER   4     /* for one user: no pattern hears it */


/* how a frame is wrapped for a link */

typedef enum {
    NGX_STOMP_WIRE_WEBSOCKET = 0
} ngx_stomp_wire_e;


/* encoded frames, shared by the sessions that are to get them */

typedef struct ngx_stomp_segment_s  ngx_stomp_segment_t;

struct ngx_stomp_segment_s {
    ngx_stomp_segment_t        *next;       /* in the list of free ones */
    uint32_t                    refs;
    uint32_t                    size;
    uint32_t                    used;
    u_char                      data[1];
};


typedef struct {
    ngx_stomp_segment_t        *segment;    /* holds a reference */
    uint32_t                    start;
    uint32_t                    end;
} ngx_stomp_range_t;


/* output that doesn't follow the first range without a gap */

typedef struct {
    uint32_t                    first;
    uint32_t                    last;       /* behind the last one */
    uint32_t                    packed;     /* behind the last packed one */
    uint32_t                    size;
    ngx_stomp_range_t           ranges[1];
} ngx_stomp_ranges_t;


/*
 * A transport.  The functions are called from event handlers only, never
 * from within ngx_stomp_session_input().
 */

typedef struct {
    ngx_str_t                   name;
    ngx_stomp_wire_e            wire;

    /*
     * Sends what the socket takes.  Octets sent, NGX_AGAIN or NGX_ERROR; if
     * less than all was sent, the link calls ngx_stomp_session_writable()
     * when there is room.
     */
    ssize_t                   (*send)(ngx_stomp_session_t *s, u_char *p,
                                      size_t len);

    /* the same for several buffers; NGX_CHAIN_ERROR or what is left */
    ngx_chain_t              *(*send_chain)(ngx_stomp_session_t *s,
                                            ngx_chain_t *in);

    /* writes the transport's end, code and reason as in RFC 6455 */
    void                      (*finish)(ngx_stomp_session_t *s,
                                        ngx_uint_t code, ngx_str_t *reason);

    /* writes what the peer's end of the link answers by itself */
    void                      (*ping)(ngx_stomp_session_t *s);

    /* reads again after ngx_stomp_session_paused() was true */
    void                      (*resume)(ngx_stomp_session_t *s);

    /*
     * Closes at once and frees the session, which was closed with
     * ngx_stomp_session_cleanup().
     */
    void                      (*close)(ngx_stomp_session_t *s);
} ngx_stomp_link_t;


/* directives of a location; lives as long as its cycle */

typedef struct {
    ngx_stomp_limits_t          limits;
    ngx_uint_t                  max_subscriptions;
    ngx_uint_t                  max_prefetch;
    ngx_msec_t                  heartbeat_send;
    ngx_msec_t                  heartbeat_receive;
    ngx_uint_t                  heartbeat_tolerance;
    time_t                      connect_timeout;
    time_t                      frame_timeout;
    time_t                      ping_interval;      /* 0: off */
    size_t                      max_output;
    time_t                      output_timeout;

    size_t                      message_rate;       /* a second, 0: off */
    size_t                      message_burst;
    size_t                      byte_rate;
    size_t                      byte_burst;
    ngx_uint_t                  rate_policy;        /* NGX_STOMP_RATE_* */
    ngx_uint_t                  slow_policy;        /* NGX_STOMP_SLOW_* */
    ngx_uint_t                  max_transactions;
    ngx_uint_t                  max_transaction_frames;
    size_t                      max_transaction_size;
} ngx_stomp_session_conf_t;


/* an incomplete frame; exists only as long as it is incomplete */

typedef struct {
    ngx_stomp_parser_t          parser;
    size_t                      len;
    size_t                      size;
    u_char                     *data;
    ngx_stomp_header_t          headers[1];
} ngx_stomp_carry_t;


typedef enum {
    NGX_STOMP_SESSION_NEW = 0,
    NGX_STOMP_SESSION_CONNECTED,
    NGX_STOMP_SESSION_DISCONNECTED,     /* DISCONNECT answered, client closes */
    NGX_STOMP_SESSION_CLOSING           /* finished, what is left is sent */
} ngx_stomp_session_state_e;


struct ngx_stomp_session_s {
    /* what a delivery and a flush touch */
    ngx_stomp_range_t           range;
    ngx_stomp_ranges_t         *more;
    const ngx_stomp_link_t     *link;
    ngx_connection_t           *connection;
    uint32_t                    pending;        /* octets not yet sent */
    uint32_t                    dirty;          /* index + 1 in the hub's */
    uint32_t                    sent;           /* tick of the last send */
    uint32_t                    max_output;
    ngx_socket_t                fd;             /* of a link that needs no */
                                                /* more for a send, or -1 */
    unsigned                    blocked:1;      /* the socket is full */
    unsigned                    overflow:1;     /* over max_output */
    unsigned                    dead:1;         /* to be closed */
    unsigned                    drops:1;        /* NGX_STOMP_SLOW_DROP */

    unsigned                    paused:1;       /* the zone was full */
    unsigned                    retried:1;
    unsigned                    limited:1;      /* it has a rate */
    unsigned                    delayed:1;      /* that was exceeded */
    unsigned                    finished:1;     /* the link's end is written */
    unsigned                    peer_closed:1;  /* the link's end was read */
    unsigned                    progress:1;     /* a frame was handled */
    unsigned                    pinged:1;       /* and nothing came since */
    unsigned                    wrong:1;        /* login, yet to be told */
    unsigned                    hungry:1;       /* a replay waits for room */
    unsigned                    state:3;
    unsigned                    version:3;      /* NGX_STOMP_V* */

    uint32_t                    received;       /* tick of that, or a ping */
    uint32_t                    partial;        /* tick of its start, 0: none */
    uint32_t                    deadline;       /* tick, 0: none */
    uint32_t                    beat_send;      /* ticks, 0: none */
    uint32_t                    beat_receive;
    uint32_t                    record;         /* in the zone, 0: none */
    uint32_t                    nsubs;
    uint32_t                    drop_told;      /* tick of the log line */

    ngx_stomp_hub_t            *hub;
    ngx_stomp_session_conf_t   *conf;
    ngx_stomp_sub_t            *subs;
    ngx_stomp_consumers_t      *consumers;      /* NULL: none yet */
    ngx_stomp_carry_t          *carry;
    ngx_stomp_user_t           *user;           /* NULL: none */
    ngx_stomp_extra_t          *extra;
    ngx_queue_t                 queue;          /* on the timer wheel */
    uint64_t                    id;
};


/* tokens, in thousandths, and the place among those who wait for them */

typedef struct {
    ngx_rbtree_node_t           node;
    ngx_stomp_session_t        *session;
    int64_t                     frames;
    int64_t                     octets;
    ngx_msec_t                  msec;           /* when they were counted */
    uint32_t                    since;          /* tick of the delay's start */
    unsigned                    logged:1;
} ngx_stomp_rate_t;


/* what few sessions need; made when it is needed */

typedef struct ngx_stomp_transaction_s  ngx_stomp_transaction_t;

struct ngx_stomp_extra_s {
    ngx_stomp_rate_t            rate;
    ngx_stomp_transaction_t    *transactions;   /* open ones */
    ngx_uint_t                  ntransactions;
    size_t                      held;           /* their octets */
};


/* a session's subscription */

struct ngx_stomp_sub_s {
    ngx_stomp_sub_t            *next;           /* of the session */
    ngx_stomp_group_t          *group;

    union {
        uint64_t                from;
        ngx_stomp_feed_t       *feed;           /* not in the group yet */
    };

    ngx_stomp_consumer_t       *consumer;       /* NULL: nothing to settle */
    uint32_t                    index;          /* in the group, or */
};                                              /* NGX_STOMP_SUB_* */


/* they have a reference to their group, but are no members */
#define NGX_STOMP_SUB_REPLAYING 0xffffffff
#define NGX_STOMP_SUB_FLOW      0xfffffffe


/* an acknowledgement in a transaction */

typedef struct ngx_stomp_held_ack_s {
    ngx_str_t                   id;             /* before 1.2 message-id */
    ngx_str_t                   subscription;   /* data is NULL: none */
    ngx_uint_t                  nack;
} ngx_stomp_held_ack_t;


/* what happens to the messages of a session whose client is too slow */

#define NGX_STOMP_SLOW_CLOSE    0
#define NGX_STOMP_SLOW_DROP     1


/* a hub's sessions are kept by ngx_stomp_wheel.c */

#define NGX_STOMP_WHEEL_SIZE    64

struct ngx_stomp_hub_s {
    ngx_stomp_broker_t         *broker;
    ngx_log_t                  *log;

    ngx_stomp_local_t         **locals;         /* by destination id */
    uint32_t                    nlocals;
    uint32_t                    locals_size;

    ngx_stomp_wild_t           *wild;           /* NULL: no patterns */

    ngx_stomp_group_t         **groups;         /* by destination and form */
    uint32_t                    ngroups;
    uint32_t                    groups_size;

    ngx_stomp_consumer_t      **consumers;      /* by tag */
    uint32_t                   *tags;           /* from nconsumers: free */
    uint32_t                    nconsumers;
    uint32_t                    consumers_size;

    ngx_stomp_form_t          **forms;
    uint32_t                    nforms;
    uint32_t                    forms_size;

    ngx_stomp_form_t           *open;           /* forms with a segment */
    ngx_stomp_segment_t        *shared;         /* what belongs to no form */

    ngx_stomp_session_t       **dirty;
    uint32_t                    ndirty;
    uint32_t                    dirty_size;
    uint32_t                    dirty_next;     /* to be flushed */
    uint32_t                    dirty_round;    /* then segments are closed */
    ngx_event_t                 flush;
    ngx_event_t                 closing;        /* closes the dead ones */
    ngx_event_t                 replay;         /* feeds the hungry ones */
    ngx_stomp_feed_t           *feeds;          /* first of them */
    ngx_stomp_feed_t           *feeds_tail;
    ngx_queue_t                 dead;

    uint32_t                    logged[NGX_LOG_DEBUG + 1];  /* last tick */

    /* what a COMMIT acknowledges, in its order */
    void                      (*acknowledge)(ngx_stomp_session_t *s,
                                               ngx_stomp_held_ack_t *ack);

    ngx_queue_t                 wheel[NGX_STOMP_WHEEL_SIZE];
    ngx_uint_t                  nsessions;
    uint32_t                    drain_end;      /* tick; 0: not draining */

    uint64_t                    id_key[2];
    uint64_t                    id_count;
};


/* "<slot in hex>-<16 hex digits>" */
#define NGX_STOMP_SESSION_ID_MAX  (8 + 1 + 16)


/*
 * Starts the conversation: s is zeroed but for link and connection, which
 * the caller has set, as conf and the hub.  NGX_OK;  NGX_DECLINED: this
 * worker has no slot;  NGX_ERROR: no memory.
 */
ngx_int_t ngx_stomp_session_init(ngx_stomp_session_t *s);

/*
 * Feeds octets that the client sent, in any pieces; they may be changed.
 * NGX_OK: all taken;  NGX_BUSY: the zone is full, or the client has sent too
 * much: what is left is kept, feed nothing until link->resume();  NGX_DONE:
 * the session doesn't listen any more, it is finishing.
 */
ngx_int_t ngx_stomp_session_input(ngx_stomp_session_t *s, u_char *data,
    size_t len);

/*
 * The link has fed all that it can for now.  held: it keeps the start of
 * something back.  From here on a frame that is incomplete, of the link or of
 * STOMP, has stomp_frame_timeout to be completed.
 */
void ngx_stomp_session_taken(ngx_stomp_session_t *s, ngx_uint_t held);

/* The link has room again. */
void ngx_stomp_session_writable(ngx_stomp_session_t *s);

/*
 * Ends the conversation in order: the link writes its end behind what is
 * pending, waits for the peer's, and closes.  May be called twice.
 */
void ngx_stomp_session_finish(ngx_stomp_session_t *s, ngx_uint_t code,
    const char *reason);

/* The peer's end was read; the answer, if still owed, has that code. */
void ngx_stomp_session_peer_closed(ngx_stomp_session_t *s, ngx_uint_t code);

/*
 * Has the session closed, without more ado, when the present event handler is
 * done with it: from then on nothing is delivered to it.
 */
void ngx_stomp_session_abort(ngx_stomp_session_t *s);

/*
 * Gives back what a session holds, but not its memory.  The link's close() is
 * the only caller.
 */
void ngx_stomp_session_cleanup(ngx_stomp_session_t *s);

/*
 * Returns what the session has of its own, made if there is none yet; it lives
 * as long as the session.  NULL: no memory.
 */
ngx_stomp_extra_t *ngx_stomp_session_extra(ngx_stomp_session_t *s);

/*
 * Octets that the link has read; to be told before they are fed.  From then on
 * the link looks at ngx_stomp_session_paused().
 */
void ngx_stomp_session_received(ngx_stomp_session_t *s, size_t n);

/*
 * The link's client is gone, which it sees although it doesn't read: what it
 * has sent is handled still, but not for ever.
 */
void ngx_stomp_session_gone(ngx_stomp_session_t *s);

/* The link is to read nothing until link->resume(). */
#define ngx_stomp_session_paused(s)  ((s)->paused || (s)->delayed)

/*
 * Answers with an ERROR frame and finishes with a close code; counted as
 * refused.  frame: what it answers, for its receipt, or NULL.  The body is
 * made as by ngx_sprintf().
 */
void ngx_cdecl ngx_stomp_session_error(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame, ngx_uint_t code, const char *message,
    const char *fmt, ...);

/*
 * Handles a complete frame.  NGX_OK;  NGX_BUSY: the zone is full, to be called
 * again with the same frame;  NGX_DONE: the session doesn't listen any more.
 */
ngx_int_t ngx_stomp_session_command(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame);

/*
 * Handles CONNECT and STOMP.  NGX_OK: the session is connected;  NGX_BUSY: its
 * passcode can't be looked at now, or did not fit, to be called again in the
 * next tick;  NGX_DONE: it doesn't listen any more.
 */
ngx_int_t ngx_stomp_session_connect(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame);

/*
 * Writes the session's id to buf, of NGX_STOMP_SESSION_ID_MAX octets.  Returns
 * its end.
 */
u_char *ngx_stomp_session_id(ngx_stomp_session_t *s, u_char *buf);


#endif /* _NGX_STOMP_SESSION_H_INCLUDED_ */
