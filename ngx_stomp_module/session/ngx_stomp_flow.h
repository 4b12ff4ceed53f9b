
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_FLOW_H_INCLUDED_
#define _NGX_STOMP_FLOW_H_INCLUDED_


#include <ngx_stomp_session.h>
#include <ngx_stomp_consumer.h>


/*
 * Subscriptions to topics whose messages are acknowledged (STOMP 1.2,
 * "SUBSCRIBE ack Header").  An ACK gives credit for another message; what is
 * published meanwhile waits in this process's memory, up to the limit of the
 * session's output.  Such a subscription is no member of its group.
 */


/*
 * Makes the flow of a new subscription, whose group is set.  prefetch:
 * messages that may be unsettled at a time, at least 1.  NGX_OK or NGX_ERROR
 * (no memory).
 */
ngx_int_t ngx_stomp_flow_create(ngx_stomp_session_t *s, ngx_stomp_sub_t *sub,
    ngx_stomp_ack_e mode, uint32_t prefetch);

/* Frees what a subscription has of a flow, with what waits. */
void ngx_stomp_flow_free(ngx_stomp_sub_t *sub);

/*
 * From now on the subscription hears its destination, what is newer than from.
 * gap: the first message is to tell that others are missing.
 */
void ngx_stomp_flow_join(ngx_stomp_sub_t *sub, uint64_t from, ngx_uint_t gap);

/*
 * Sends a message, with NGX_STOMP_MARK_*, or lets it wait.  NGX_OK;
 * NGX_DECLINED: it was dropped, or the session is finished;  NGX_ERROR: no
 * memory.
 */
ngx_int_t ngx_stomp_flow_send(ngx_stomp_sub_t *sub, ngx_stomp_message_t *m,
    ngx_uint_t marks);

/* Returns 1 if a message would have to wait. */
ngx_uint_t ngx_stomp_flow_waits(ngx_stomp_sub_t *sub);

/* So many messages are settled: as many others may go. */
void ngx_stomp_flow_settled(ngx_stomp_consumer_t *c, ngx_uint_t n);

/* Sends a message to the flows of a destination, or of a pattern, here. */
void ngx_stomp_flow_deliver(ngx_stomp_hub_t *hub, ngx_stomp_local_t *local,
    ngx_stomp_message_t *m);

/*
 * Finishes the sessions of a destination's flows that have missed a message
 * with that number, and returns how many.
 */
ngx_uint_t ngx_stomp_flow_lost(ngx_stomp_hub_t *hub, ngx_stomp_local_t *local,
    uint64_t number, const char *reason);


#endif /* _NGX_STOMP_FLOW_H_INCLUDED_ */
