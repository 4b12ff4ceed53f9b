
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stomp_session.h>
#include <ngx_stomp_ack.h>
#include <ngx_stomp_consumer.h>
#include <ngx_stomp_fanout.h>
#include <ngx_stomp_hash.h>
#include <ngx_stomp_output.h>
#include <ngx_stomp_replay.h>
#include <ngx_stomp_users.h>
#include <ngx_stomp_wake.h>
#include <ngx_stomp_wheel.h>
#include <ngx_stomp_ws.h>


#define NGX_STOMP_TICK           1000

/* slices of a dead worker's belongings that are reaped in one tick */
#define NGX_STOMP_REAP_SLICES    64

/* slices of the kept messages that are looked at, by each worker */
#define NGX_STOMP_SWEEP_SLICES   16


static void ngx_stomp_wheel_tick(ngx_event_t *ev);
static void ngx_stomp_wheel_hub(ngx_stomp_hub_t *hub, uint32_t now);
static void ngx_stomp_wheel_sweep(ngx_stomp_hub_t *hub);
static void ngx_stomp_wheel_turn(ngx_stomp_hub_t *hub, uint32_t tick,
    uint32_t now);
static void ngx_stomp_wheel_due(ngx_stomp_session_t *s, uint32_t now);
static ngx_uint_t ngx_stomp_wheel_timeout(ngx_stomp_session_t *s,
    uint32_t now);
static void ngx_stomp_wheel_deadline(ngx_stomp_session_t *s);
static ngx_uint_t ngx_stomp_wheel_silence(ngx_stomp_session_t *s,
    uint32_t now);
static void ngx_stomp_wheel_place(ngx_stomp_session_t *s, uint32_t tick);
static void ngx_stomp_wheel_drain(ngx_stomp_hub_t *hub);
static void ngx_stomp_wheel_goodbye(ngx_stomp_hub_t *hub, uint32_t now);
static void ngx_stomp_wheel_count(void);
static void ngx_stomp_hub_close_dead(ngx_event_t *ev);


static struct {
    ngx_event_t          event;
    ngx_connection_t     dummy;      /* debug logs look for a descriptor */
    ngx_stomp_hub_t     *hubs[NGX_STOMP_BROKERS_MAX];
    ngx_uint_t           nhubs;
    ngx_uint_t           sessions;   /* of all hubs */
    ngx_msec_t           msec;       /* when the present tick began */
    uint32_t             now;        /* ticks before it */
    uint32_t             done;       /* the last tick looked at */
    ngx_uint_t           late;       /* this worker, not its clients */
    time_t               drain;
    ngx_cycle_t         *cycle;
    void               (*claim)(ngx_cycle_t *cycle);
} ngx_stomp_wheel;


ngx_stomp_hub_t *
ngx_stomp_hub_create(ngx_stomp_broker_t *broker, ngx_log_t *log)
{
    ngx_uint_t        i;
    ngx_stomp_hub_t  *hub;

    for (i = 0; i < ngx_stomp_wheel.nhubs; i++) {
        if (ngx_stomp_wheel.hubs[i]->broker == broker) {
            return ngx_stomp_wheel.hubs[i];
        }
    }

    if (ngx_stomp_wheel.nhubs
        == sizeof(ngx_stomp_wheel.hubs) / sizeof(ngx_stomp_wheel.hubs[0]))
    {
        ngx_log_error(NGX_LOG_ALERT, log, 0, "too many stomp_broker blocks");
        return NULL;
    }

    hub = ngx_calloc(sizeof(ngx_stomp_hub_t), log);
    if (hub == NULL) {
        return NULL;
    }

    hub->broker = broker;
    hub->log = log;
    hub->acknowledge = ngx_stomp_ack_held;

    broker->deliver = ngx_stomp_fanout_deliver;
    broker->overrun = ngx_stomp_fanout_overrun;
    broker->consume = ngx_stomp_consumer_deliver;
    broker->data = hub;

    hub->flush.handler = ngx_stomp_output_flush;
    hub->flush.data = hub;
    hub->flush.log = log;

    hub->closing.handler = ngx_stomp_hub_close_dead;
    hub->closing.data = hub;
    hub->closing.log = log;

    hub->replay.handler = ngx_stomp_replay_handler;
    hub->replay.data = hub;
    hub->replay.log = log;

    ngx_queue_init(&hub->dead);

    for (i = 0; i < NGX_STOMP_WHEEL_SIZE; i++) {
        ngx_queue_init(&hub->wheel[i]);
    }

    ngx_stomp_random((u_char *) hub->id_key, sizeof(hub->id_key));

    ngx_stomp_wheel.hubs[ngx_stomp_wheel.nhubs++] = hub;

    return hub;
}


static void
ngx_stomp_hub_close_dead(ngx_event_t *ev)
{
    ngx_uint_t            level;
    ngx_queue_t          *q;
    ngx_stomp_hub_t      *hub;
    ngx_stomp_session_t  *s;

    hub = ev->data;

    while (!ngx_queue_empty(&hub->dead)) {

        q = ngx_queue_head(&hub->dead);
        ngx_queue_remove(q);

        s = ngx_queue_data(q, ngx_stomp_session_t, queue);

        hub->nsessions--;
        ngx_stomp_wheel.sessions--;

        if (s->overflow) {
            level = ngx_stomp_hub_log_level(hub, NGX_LOG_WARN);

            ngx_log_error(level, s->connection->log, 0,
                          "STOMP session %xi-%016xL is too slow: %uD octets "
                          "are waiting to be sent, closing",
                          hub->broker->slot, s->id, s->pending);
        }

        s->link->close(s);
    }

    ngx_stomp_wheel_count();
}


void
ngx_stomp_wheel_init(ngx_cycle_t *cycle, time_t drain,
    void (*claim)(ngx_cycle_t *cycle))
{
    ngx_event_t  *ev;

    ngx_stomp_wheel.cycle = cycle;
    ngx_stomp_wheel.drain = drain;
    ngx_stomp_wheel.claim = claim;

    ev = &ngx_stomp_wheel.event;

    if (ev->timer_set) {
        return;
    }

    ngx_stomp_wheel.dummy.fd = (ngx_socket_t) -1;
    ngx_stomp_wheel.done = ngx_stomp_wheel_now();

    ev->handler = ngx_stomp_wheel_tick;
    ev->data = &ngx_stomp_wheel.dummy;
    ev->log = cycle->log;

    ngx_stomp_wheel_count();

    ngx_add_timer(ev, NGX_STOMP_TICK);
}


ngx_uint_t
ngx_stomp_hub_log_level(ngx_stomp_hub_t *hub, ngx_uint_t level)
{
    uint32_t  now;

    now = ngx_stomp_wheel_now();

    if (hub->logged[level] == now) {
        return NGX_LOG_INFO;
    }

    hub->logged[level] = now;

    return level;
}


/* counted, since ngx_current_msec starts again where it has 32 bits */

uint32_t
ngx_stomp_wheel_now(void)
{
    ngx_msec_t  n;

    /* without a monotonic clock it may be set back, too */

    if ((ngx_msec_int_t) (ngx_current_msec - ngx_stomp_wheel.msec) < 0) {
        ngx_stomp_wheel.msec = ngx_current_msec;
    }

    n = (ngx_current_msec - ngx_stomp_wheel.msec) / NGX_STOMP_TICK;

    ngx_stomp_wheel.msec += n * NGX_STOMP_TICK;
    ngx_stomp_wheel.now += (uint32_t) n;

    return ngx_stomp_wheel.now + 1;
}


/*
 * A worker that is told to quit goes as soon as all timers are cancelable:
 * this one is so exactly while there is nobody to say goodbye to.
 */

static void
ngx_stomp_wheel_count(void)
{
    ngx_stomp_wheel.event.cancelable = (ngx_stomp_wheel.sessions == 0);
}


static void
ngx_stomp_wheel_tick(ngx_event_t *ev)
{
    uint32_t    now;
    ngx_uint_t  i;

    now = ngx_stomp_wheel_now();

    ngx_stomp_wheel.late = (now - ngx_stomp_wheel.done > 2);

    if (ngx_stomp_slot_own() == NGX_STOMP_SLOT_NONE && !ngx_exiting) {
        ngx_stomp_wheel.claim(ngx_stomp_wheel.cycle);
    }

    if (ngx_exiting) {
        ngx_stomp_wheel_drain_all();
    }

    for (i = 0; i < ngx_stomp_wheel.nhubs; i++) {
        if (!ngx_stomp_wheel.hubs[i]->broker->closed) {
            ngx_stomp_wheel_hub(ngx_stomp_wheel.hubs[i], now);
        }
    }

    ngx_stomp_wheel.done = now;

    if (ngx_exiting && ngx_stomp_wheel.sessions == 0) {
        return;
    }

    ngx_add_timer(ev, NGX_STOMP_TICK);
}


static void
ngx_stomp_wheel_hub(ngx_stomp_hub_t *hub, uint32_t now)
{
    uint32_t    tick;
    ngx_uint_t  i;

    /* whatever became of a wake-up */

    ngx_stomp_wake_post(hub->broker);

    for (i = 0; i < NGX_STOMP_REAP_SLICES; i++) {
        if (ngx_stomp_broker_reap(hub->broker) != NGX_AGAIN) {
            break;
        }
    }

    if (hub->broker->conf->users != NULL) {
        ngx_stomp_users_refresh(hub->broker->conf->users, hub->log);
    }

    ngx_stomp_wheel_sweep(hub);

    if (ngx_stomp_broker_retired(hub->broker)) {
        ngx_stomp_wheel_drain(hub);
    }

    if (hub->drain_end) {
        ngx_stomp_wheel_goodbye(hub, now);
    }

    /* after a long pause each bucket is looked at once */

    tick = ngx_stomp_wheel.done + 1;

    if (now - tick >= NGX_STOMP_WHEEL_SIZE) {
        tick = now - (NGX_STOMP_WHEEL_SIZE - 1);
    }

    for ( /* void */ ; tick <= now; tick++) {
        ngx_stomp_wheel_turn(hub, tick, now);
    }
}


/* kept messages go when their time has passed */

static void
ngx_stomp_wheel_sweep(ngx_stomp_hub_t *hub)
{
    uint64_t     msec;
    ngx_uint_t   i;
    ngx_time_t  *tp;

    tp = ngx_timeofday();
    msec = (uint64_t) tp->sec * 1000 + tp->msec;

    for (i = 0; i < NGX_STOMP_SWEEP_SLICES; i++) {
        if (ngx_stomp_broker_sweep(hub->broker, msec) != NGX_AGAIN) {
            break;
        }
    }
}


static void
ngx_stomp_wheel_turn(ngx_stomp_hub_t *hub, uint32_t tick, uint32_t now)
{
    ngx_queue_t          *q, *bucket, due;
    ngx_stomp_session_t  *s;

    bucket = &hub->wheel[tick % NGX_STOMP_WHEEL_SIZE];

    if (ngx_queue_empty(bucket)) {
        return;
    }

    ngx_queue_init(&due);
    ngx_queue_add(&due, bucket);
    ngx_queue_init(bucket);

    while (!ngx_queue_empty(&due)) {

        q = ngx_queue_head(&due);
        s = ngx_queue_data(q, ngx_stomp_session_t, queue);

        /* placed anew before it is looked at: it may be aborted there */

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&hub->wheel[(now + 1) % NGX_STOMP_WHEEL_SIZE],
                              q);

        ngx_stomp_wheel_due(s, now);
    }
}


static void
ngx_stomp_wheel_due(ngx_stomp_session_t *s, uint32_t now)
{
    uint32_t  next;

    static u_char  beat[] = { LF };

    if (s->paused && !s->delayed) {
        s->paused = 0;
        s->retried = 1;

        /* nothing was read: what came in that time is still to be seen */

        s->received = now;

        /* also a session that ends waits for its peer's end */

        if (ngx_stomp_session_input(s, NULL, 0) != NGX_BUSY && !s->dead) {
            s->link->resume(s);
        }

        return;
    }

    if (ngx_stomp_wheel_timeout(s, now)) {
        return;
    }

    next = now + NGX_STOMP_WHEEL_SIZE - 1;

    if (s->deadline) {
        next = ngx_min(next, s->deadline);
    }

    if (s->blocked) {
        next = ngx_min(next, s->sent + (uint32_t) s->conf->output_timeout);
    }

    if (s->partial) {
        next = ngx_min(next,
                       s->partial + (uint32_t) s->conf->frame_timeout + 1);
    }

    if (s->beat_receive) {
        next = ngx_min(next, s->received + s->beat_receive + 1);

    } else if (s->conf->ping_interval) {
        next = ngx_min(next,
                       s->received + (uint32_t) s->conf->ping_interval + 1);
    }

    /* while a login waits CONNECTED is still to come */

    if (s->beat_send && s->version && !s->finished) {

        /* what is pending is as good as a beat */

        if (s->pending == 0 && now - s->sent >= s->beat_send) {
            ngx_stomp_output_frame(s, beat, 1, 1);
            next = ngx_min(next, now + s->beat_send);

        } else {
            next = ngx_min(next, s->sent + s->beat_send);
        }
    }

    if (!s->dead) {
        ngx_stomp_wheel_place(s, ngx_max(next, now + 1));
    }
}


/* returns 1 if the session ends, now or soon */

static ngx_uint_t
ngx_stomp_wheel_timeout(ngx_stomp_session_t *s, uint32_t now)
{
    ngx_uint_t  level;

    /* after a pause of ours what it has sent and taken is still to be seen */

    if (ngx_stomp_wheel.late) {
        return 0;
    }

    if (s->blocked
        && now - s->sent >= (uint32_t) s->conf->output_timeout)
    {
        level = ngx_stomp_hub_log_level(s->hub, NGX_LOG_WARN);

        ngx_log_error(level, s->connection->log, 0,
                      "STOMP session %xi-%016xL has taken nothing for %T "
                      "seconds, %uD octets are waiting, closing",
                      s->hub->broker->slot, s->id, s->conf->output_timeout,
                      s->pending);

        s->hub->broker->dropped++;
        ngx_stomp_session_abort(s);
        return 1;
    }

    if (s->deadline && now >= s->deadline) {
        ngx_stomp_wheel_deadline(s);
        return 1;
    }

    /* of a session that is delayed nothing is read: it isn't silent */

    if (s->finished || s->delayed) {
        return 0;
    }

    if (s->partial
        && now - s->partial > (uint32_t) s->conf->frame_timeout)
    {
        ngx_stomp_session_error(s, NULL, NGX_STOMP_WS_POLICY,
                                "frame timed out",
                                "A frame was not complete within %T seconds "
                                "(stomp_frame_timeout).",
                                s->conf->frame_timeout);
        return 1;
    }

    return ngx_stomp_wheel_silence(s, now);
}


static void
ngx_stomp_wheel_deadline(ngx_stomp_session_t *s)
{
    switch (s->state) {

    case NGX_STOMP_SESSION_NEW:
        ngx_stomp_session_error(s, NULL, NGX_STOMP_WS_POLICY,
                                "connect timed out",
                                "No CONNECT frame came within %T seconds "
                                "(stomp_connect_timeout).",
                                s->conf->connect_timeout);
        break;

    case NGX_STOMP_SESSION_DISCONNECTED:
        ngx_stomp_session_finish(s, NGX_STOMP_WS_NORMAL, "");
        break;

    default:
        ngx_stomp_session_abort(s);
    }
}


/* returns 1 if nothing came for so long that the session ends */

static ngx_uint_t
ngx_stomp_wheel_silence(ngx_stomp_session_t *s, uint32_t now)
{
    uint32_t  silence;

    silence = now - s->received;

    if (s->beat_receive) {

        if (silence <= s->beat_receive) {
            return 0;
        }

        ngx_log_error(NGX_LOG_INFO, s->connection->log, 0,
                      "client sent no heart-beat for %uD seconds", silence);

        ngx_stomp_session_finish(s, NGX_STOMP_WS_POLICY,
                                 "heart-beat missing");
        return 1;
    }

    if (s->conf->ping_interval == 0
        || silence <= (uint32_t) s->conf->ping_interval)
    {
        return 0;
    }

    if (s->pinged) {
        ngx_log_error(NGX_LOG_INFO, s->connection->log, 0,
                      "client did not answer a ping for %uD seconds", silence);

        ngx_stomp_session_finish(s, NGX_STOMP_WS_POLICY, "no answer to ping");
        return 1;
    }

    /* to a peer that takes nothing it would not get */

    if (!s->blocked) {
        s->pinged = 1;
        s->received = now;
        s->link->ping(s);
    }

    return 0;
}


void
ngx_stomp_wheel_add(ngx_stomp_session_t *s)
{
    ngx_queue_insert_tail(&s->hub->wheel[(ngx_stomp_wheel_now() + 1)
                                         % NGX_STOMP_WHEEL_SIZE],
                          &s->queue);

    s->hub->nsessions++;
    ngx_stomp_wheel.sessions++;

    ngx_stomp_wheel_count();

    /* an exiting worker had no session left, and stopped to look */

    if (!ngx_stomp_wheel.event.timer_set) {
        ngx_add_timer(&ngx_stomp_wheel.event, NGX_STOMP_TICK);
    }
}


static void
ngx_stomp_wheel_place(ngx_stomp_session_t *s, uint32_t tick)
{
    ngx_queue_remove(&s->queue);
    ngx_queue_insert_tail(&s->hub->wheel[tick % NGX_STOMP_WHEEL_SIZE],
                          &s->queue);
}


void
ngx_stomp_wheel_hurry(ngx_stomp_session_t *s)
{
    /* a dead one has left the wheel, and waits to be closed */

    if (!s->dead) {
        ngx_stomp_wheel_place(s, ngx_stomp_wheel_now() + 1);
    }
}


void
ngx_stomp_wheel_remove(ngx_stomp_session_t *s)
{
    ngx_queue_remove(&s->queue);
}


/* starts the goodbyes: the worker is exiting, or the zone is retired */

static void
ngx_stomp_wheel_drain(ngx_stomp_hub_t *hub)
{
    if (hub->drain_end == 0) {
        hub->drain_end = ngx_stomp_wheel_now()
                         + (uint32_t) ngx_stomp_wheel.drain;
    }
}


void
ngx_stomp_wheel_drain_all(void)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_stomp_wheel.nhubs; i++) {
        ngx_stomp_wheel_drain(ngx_stomp_wheel.hubs[i]);
    }
}


/*
 * As many as it takes to be done in time, one tick like the other; few go
 * one by one in the last ticks.
 */

static void
ngx_stomp_wheel_goodbye(ngx_stomp_hub_t *hub, uint32_t now)
{
    ngx_uint_t            i, n, left;
    ngx_queue_t          *q, *next;
    ngx_stomp_session_t  *s;

    left = (hub->drain_end > now) ? hub->drain_end - now : 1;
    n = hub->nsessions / left;

    for (i = 0; i < NGX_STOMP_WHEEL_SIZE && n; i++) {

        for (q = ngx_queue_head(&hub->wheel[i]);
             q != ngx_queue_sentinel(&hub->wheel[i]) && n;
             q = next)
        {
            next = ngx_queue_next(q);
            s = ngx_queue_data(q, ngx_stomp_session_t, queue);

            if (!s->finished) {
                ngx_stomp_session_finish(s, NGX_STOMP_WS_GOING_AWAY,
                                         "server is restarting");
                n--;
            }
        }
    }
}


void
ngx_stomp_wheel_abort(ngx_stomp_hub_t *hub)
{
    ngx_uint_t            i;
    ngx_queue_t          *q;
    ngx_stomp_session_t  *s;

    for (i = 0; i < NGX_STOMP_WHEEL_SIZE; i++) {

        while (!ngx_queue_empty(&hub->wheel[i])) {
            q = ngx_queue_head(&hub->wheel[i]);
            s = ngx_queue_data(q, ngx_stomp_session_t, queue);

            ngx_stomp_session_abort(s);
        }
    }

    ngx_stomp_hub_close_dead(&hub->closing);

    if (hub->flush.posted) {
        ngx_delete_posted_event(&hub->flush);
    }

    if (hub->replay.posted) {
        ngx_delete_posted_event(&hub->replay);
    }

    if (hub->closing.posted) {
        ngx_delete_posted_event(&hub->closing);
    }
}
