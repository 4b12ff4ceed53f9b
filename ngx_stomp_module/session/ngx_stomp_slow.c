
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stomp_session.h>
#include <ngx_stomp_output.h>
#include <ngx_stomp_slow.h>
#include <ngx_stomp_wheel.h>


/*
 * Where messages are dropped the other frames still have room behind them: a
 * client that doesn't take its receipts is closed in the end.
 */
#define NGX_STOMP_SLOW_RESERVE  (16 * 1024)

/* ticks between two lines in the log on what a session misses */
#define NGX_STOMP_SLOW_TOLD     60


static ngx_uint_t ngx_stomp_slow_full(ngx_stomp_session_t *s, size_t len);


void
ngx_stomp_slow_init(ngx_stomp_session_t *s)
{
    s->max_output = (uint32_t) s->conf->max_output;

    if (s->conf->slow_policy == NGX_STOMP_SLOW_DROP) {
        s->drops = 1;
        s->max_output += NGX_STOMP_SLOW_RESERVE;
    }
}


ngx_uint_t
ngx_stomp_slow_drop(ngx_stomp_session_t *s, size_t len)
{
    if (!ngx_stomp_slow_full(s, len)) {
        return 0;
    }

    /* it may just not have had its turn */

    if (!s->blocked) {

        if (ngx_stomp_output_send(s) == NGX_ERROR) {
            ngx_stomp_session_abort(s);
            return 1;
        }

        if (!ngx_stomp_slow_full(s, len)) {
            return 0;
        }
    }

    s->hub->broker->dropped_messages++;

    ngx_stomp_slow_tell(s);

    return 1;
}


/* as for other sessions, one message alone is never too much */

static ngx_uint_t
ngx_stomp_slow_full(ngx_stomp_session_t *s, size_t len)
{
    size_t  max;

    max = s->conf->max_output;

    return s->pending && len > max - ngx_min(s->pending, max);
}


void
ngx_stomp_slow_tell(ngx_stomp_session_t *s)
{
    uint32_t    now;
    ngx_uint_t  level;

    now = ngx_stomp_wheel_now();

    if (s->drop_told && now - s->drop_told < NGX_STOMP_SLOW_TOLD) {
        return;
    }

    s->drop_told = now;

    level = ngx_stomp_hub_log_level(s->hub, NGX_LOG_WARN);

    ngx_log_error(level, s->connection->log, 0,
                  "STOMP session %xi-%016xL is too slow: %uD octets are "
                  "waiting to be sent, messages to it are dropped",
                  s->hub->broker->slot, s->id, s->pending);
}
