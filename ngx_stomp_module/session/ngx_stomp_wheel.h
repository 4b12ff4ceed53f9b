
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_WHEEL_H_INCLUDED_
#define _NGX_STOMP_WHEEL_H_INCLUDED_


#include <ngx_stomp_session.h>


/*
 * Time, in ticks of a second: heart-beats and time-outs of all sessions, and
 * what a worker has to look after, from one timer.  It keeps an exiting
 * worker alive exactly as long as there are sessions.
 */


/* Returns this process's hub of a broker; NULL: no memory. */
ngx_stomp_hub_t *ngx_stomp_hub_create(ngx_stomp_broker_t *broker,
    ngx_log_t *log);

/*
 * Starts the ticks.  drain: how long, in seconds, an exiting worker takes to
 * say goodbye to its sessions.  claim: called in each tick as long as this
 * process has no slot.
 */
void ngx_stomp_wheel_init(ngx_cycle_t *cycle, time_t drain,
    void (*claim)(ngx_cycle_t *cycle));

/* Returns the present tick; never 0. */
uint32_t ngx_stomp_wheel_now(void);

/*
 * Returns level, or NGX_LOG_INFO if this worker has been told that level in
 * this tick: what a client can bring about must not fill the error log.  To
 * be called once for a line, so not within the macro that logs.
 */
ngx_uint_t ngx_stomp_hub_log_level(ngx_stomp_hub_t *hub, ngx_uint_t level);

/* Adds a session, which is due in the next tick. */
void ngx_stomp_wheel_add(ngx_stomp_session_t *s);

/* Has a session looked at in the next tick. */
void ngx_stomp_wheel_hurry(ngx_stomp_session_t *s);

/* Takes a session off the wheel: it is not looked at any more. */
void ngx_stomp_wheel_remove(ngx_stomp_session_t *s);

/* Starts the goodbyes of all hubs: nginx asks the connections to go. */
void ngx_stomp_wheel_drain_all(void);

/* Aborts all of a hub's sessions: its zone is about to vanish. */
void ngx_stomp_wheel_abort(ngx_stomp_hub_t *hub);


#endif /* _NGX_STOMP_WHEEL_H_INCLUDED_ */
