
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_TRANSACTION_H_INCLUDED_
#define _NGX_STOMP_TRANSACTION_H_INCLUDED_


#include <ngx_stomp_session.h>


/*
 * Transactions of a session (STOMP 1.2, "BEGIN", "COMMIT", "ABORT"): what is
 * sent within one is held in this process's memory, in its order, and comes
 * to the broker at COMMIT, as a whole or not at all.
 */


/*
 * BEGIN: opens a transaction.  NGX_OK;  NGX_DONE: the frame was refused, or
 * there was no memory, and the session ends.
 */
ngx_int_t ngx_stomp_transaction_begin(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame);

/*
 * COMMIT: publishes all that the transaction's SEND frames hold, in one call,
 * then acknowledges with hub->acknowledge(), and ends the transaction.
 * NGX_OK;  NGX_BUSY: the zone is full, nothing was published, the transaction
 * is as it was;  NGX_ABORT: the same, a queue is full;  NGX_DECLINED: the same,
 * this worker has no slot;  NGX_DONE: as with BEGIN.
 */
ngx_int_t ngx_stomp_transaction_commit(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame);

/* ABORT: forgets what a transaction holds.  NGX_OK or NGX_DONE, as BEGIN. */
ngx_int_t ngx_stomp_transaction_abort(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame);

/*
 * Holds a copy of a SEND frame with a "transaction" header, whose destination
 * has been checked.  NGX_OK or NGX_DONE, as BEGIN.
 */
ngx_int_t ngx_stomp_transaction_hold_send(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame, ngx_str_t *destination);

/*
 * Holds an ACK or, if nack is set, a NACK frame with a "transaction" header.
 * NGX_OK or NGX_DONE, as BEGIN.
 */
ngx_int_t ngx_stomp_transaction_hold_ack(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame, ngx_uint_t nack);

/* Forgets all transactions of a session, if there are any. */
void ngx_stomp_transaction_forget(ngx_stomp_session_t *s);


#endif /* _NGX_STOMP_TRANSACTION_H_INCLUDED_ */
