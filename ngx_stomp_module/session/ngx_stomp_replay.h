
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_REPLAY_H_INCLUDED_
#define _NGX_STOMP_REPLAY_H_INCLUDED_


#include <ngx_stomp_session.h>


/*
 * Subscriptions that get kept messages first.  Until such a one has caught up
 * it is no member of a group, and is fed as its session's output goes out.
 */


/* what a SUBSCRIBE frame asks for */

typedef struct {
    uint64_t                count;          /* at most so many, the newest */
    uint64_t                since;          /* only what is newer */
    unsigned                resumed:1;      /* what is missing matters */
    unsigned                gap:1;          /* and something is for certain */
} ngx_stomp_wanted_t;


/*
 * Reads the headers of a SUBSCRIBE frame to what the broker knows by that name.
 * A pattern has nothing to be replayed.  NGX_OK: *wanted is filled in;
 * NGX_DECLINED: nothing is to be replayed;  NGX_ABORT: the frame was refused.
 */
ngx_int_t ngx_stomp_replay_wanted(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame, ngx_str_t *name, ngx_stomp_wanted_t *wanted);

/*
 * Starts the replay of a subscription whose group is set; wanted is NULL if it
 * gets the retained message only.  The caller adds it to the session and then
 * calls ngx_stomp_replay_feed().
 * NGX_OK;  NGX_BUSY: the zone is full;  NGX_DECLINED: no slot;  NGX_ERROR: no
 * memory.
 */
ngx_int_t ngx_stomp_replay_start(ngx_stomp_session_t *s, ngx_stomp_sub_t *sub,
    ngx_stomp_interest_t *in, ngx_stomp_wanted_t *wanted);

/* Feeds a replaying subscription what it has taken; it may be live then. */
void ngx_stomp_replay_feed(ngx_stomp_sub_t *sub);

/* One that waits for credit may have got some: it is fed in the next turn. */
void ngx_stomp_replay_resume(ngx_stomp_sub_t *sub);

/* Ends a subscription's replay before it is live: it is being removed. */
void ngx_stomp_replay_cancel(ngx_stomp_sub_t *sub);

/*
 * Who was told of a gap with a message is told once: from now on it gets
 * messages without that mark.
 */
void ngx_stomp_replay_unmark(ngx_stomp_hub_t *hub, ngx_stomp_local_t *local,
    ngx_stomp_message_t *m);

/* A session that is hungry has sent something. */
void ngx_stomp_replay_room(ngx_stomp_session_t *s);

/* An event's handler: feeds some of the hub's subscriptions. */
void ngx_stomp_replay_handler(ngx_event_t *ev);


#define ngx_stomp_replay_expired(hub, m)  ngx_stomp_expired(hub, (m)->expires)


/* Returns 1 if a message's time has passed; it is counted then. */

static ngx_inline ngx_uint_t
ngx_stomp_expired(ngx_stomp_hub_t *hub, uint64_t expires)
{
    ngx_time_t  *tp;

    if (expires == 0) {
        return 0;
    }

    tp = ngx_timeofday();

    if (expires > (uint64_t) tp->sec * 1000 + tp->msec) {
        return 0;
    }

    hub->broker->expired++;

    return 1;
}


#endif /* _NGX_STOMP_REPLAY_H_INCLUDED_ */
