
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_ACK_H_INCLUDED_
#define _NGX_STOMP_ACK_H_INCLUDED_


#include <ngx_stomp_session.h>
#include <ngx_stomp_consumer.h>


/* ACK and NACK (STOMP 1.2, "ACK", "NACK"; 1.0 and 1.1: by message-id) */


/* what an ACK or NACK frame names */

typedef struct {
    ngx_stomp_consumer_t    *consumer;      /* NULL: settled or gone already */
    uint64_t                 number;
} ngx_stomp_ack_ref_t;


/*
 * Looks for what a frame names.  NGX_OK: *ref is filled, and valid as long as
 * no subscription is removed;  NGX_DONE: the frame was refused.
 */
ngx_int_t ngx_stomp_ack_lookup(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame, ngx_stomp_ack_ref_t *ref);

/*
 * Settles what an ACK or NACK names that a transaction has held, if it is
 * still there to be settled.
 */
void ngx_stomp_ack_held(ngx_stomp_session_t *s, ngx_stomp_held_ack_t *ack);

/*
 * Settles a message, or in client mode all up to it; one that is settled
 * already is left alone.
 */
void ngx_stomp_ack_settle(ngx_stomp_ack_ref_t *ref, ngx_stomp_settle_e how);

/*
 * Reads the ack mode of a SUBSCRIBE frame, and its prefetch-count, within the
 * limits of the location.  NGX_OK;  NGX_DONE: the frame was refused.
 */
ngx_int_t ngx_stomp_ack_mode(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame,
    ngx_stomp_ack_e *mode, uint32_t *prefetch);


#endif /* _NGX_STOMP_ACK_H_INCLUDED_ */
