
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stomp_session.h>
#include <ngx_stomp_rate.h>
#include <ngx_stomp_wheel.h>
#include <ngx_stomp_ws.h>


/* tokens are counted in thousandths: those of a millisecond */
#define NGX_STOMP_RATE_UNIT     1000

/*
 * Milliseconds of a delay, if the bucket holds that much: what was read before
 * it is handled in few portions then.
 */
#define NGX_STOMP_RATE_PORTION  20

/* sessions that go on in one turn of the event loop */
#define NGX_STOMP_RATE_TURN     128


static void ngx_stomp_rate_fill(ngx_stomp_session_t *s);
static int64_t ngx_stomp_rate_add(int64_t tokens, ngx_msec_t elapsed,
    size_t rate, size_t burst);
static ngx_msec_t ngx_stomp_rate_time(int64_t missing, size_t rate);
static ngx_int_t ngx_stomp_rate_exceeded(ngx_stomp_session_t *s,
    const char *directive, ngx_msec_t delay);
static void ngx_stomp_rate_delay(ngx_stomp_session_t *s, ngx_msec_t delay);
static void ngx_stomp_rate_timer(void);
static void ngx_stomp_rate_handler(ngx_event_t *ev);
static void ngx_stomp_rate_resume(ngx_stomp_session_t *s);


/* the delayed sessions of this worker; the timer is set if there are any */

static struct {
    ngx_rbtree_t         tree;          /* by the time when they go on */
    ngx_rbtree_node_t    sentinel;
    ngx_event_t          event;
    ngx_connection_t     dummy;         /* debug logs look for a descriptor */
} ngx_stomp_rate;


ngx_int_t
ngx_stomp_rate_init(ngx_stomp_session_t *s)
{
    ngx_stomp_rate_t           *rate;
    ngx_stomp_extra_t          *extra;
    ngx_stomp_session_conf_t   *conf;

    conf = s->conf;

    if (conf->message_rate == 0 && conf->byte_rate == 0) {
        return NGX_OK;
    }

    extra = ngx_stomp_session_extra(s);
    if (extra == NULL) {
        return NGX_ERROR;
    }

    rate = &extra->rate;

    rate->session = s;
    rate->frames = (int64_t) conf->message_burst * NGX_STOMP_RATE_UNIT;
    rate->octets = (int64_t) conf->byte_burst * NGX_STOMP_RATE_UNIT;
    rate->msec = ngx_current_msec;

    s->limited = 1;

    return NGX_OK;
}


void
ngx_stomp_rate_cleanup(ngx_stomp_session_t *s)
{
    if (s->delayed) {
        s->delayed = 0;

        ngx_rbtree_delete(&ngx_stomp_rate.tree, &s->extra->rate.node);
        ngx_stomp_rate_timer();
    }

    s->limited = 0;
}


void
ngx_stomp_rate_octets(ngx_stomp_session_t *s, size_t n)
{
    ngx_stomp_rate_t  *rate;

    if (s->conf->byte_rate == 0 || s->finished) {
        return;
    }

    rate = &s->extra->rate;

    ngx_stomp_rate_fill(s);

    rate->octets -= (int64_t) n * NGX_STOMP_RATE_UNIT;

    if (rate->octets < 0) {
        (void) ngx_stomp_rate_exceeded(s, "stomp_byte_rate",
                                       ngx_stomp_rate_time(-rate->octets,
                                                       s->conf->byte_rate));
    }
}


ngx_int_t
ngx_stomp_rate_check(ngx_stomp_session_t *s)
{
    size_t             burst;
    ngx_msec_t         delay, portion;
    ngx_stomp_rate_t  *rate;

    if (s->conf->message_rate == 0) {
        return NGX_OK;
    }

    rate = &s->extra->rate;

    if (rate->frames >= NGX_STOMP_RATE_UNIT) {
        return NGX_OK;
    }

    ngx_stomp_rate_fill(s);

    if (rate->frames >= NGX_STOMP_RATE_UNIT) {
        return NGX_OK;
    }

    delay = ngx_stomp_rate_time(NGX_STOMP_RATE_UNIT - rate->frames,
                                s->conf->message_rate);

    burst = s->conf->message_burst;
    portion = ngx_stomp_rate_time((int64_t) burst * NGX_STOMP_RATE_UNIT,
                                  s->conf->message_rate);

    portion = ngx_min(portion, NGX_STOMP_RATE_PORTION);

    return ngx_stomp_rate_exceeded(s, "stomp_message_rate",
                                   ngx_max(delay, portion));
}


void
ngx_stomp_rate_frame(ngx_stomp_session_t *s)
{
    if (s->state == NGX_STOMP_SESSION_CONNECTED) {
        s->extra->rate.frames -= NGX_STOMP_RATE_UNIT;
    }
}


/* as much as the time since the last call gives */

static void
ngx_stomp_rate_fill(ngx_stomp_session_t *s)
{
    ngx_msec_t                 elapsed;
    ngx_stomp_rate_t          *rate;
    ngx_stomp_session_conf_t  *conf;

    conf = s->conf;
    rate = &s->extra->rate;

    elapsed = ngx_current_msec - rate->msec;
    rate->msec = ngx_current_msec;

    /* without a monotonic clock it may be set back */

    if ((ngx_msec_int_t) elapsed <= 0) {
        return;
    }

    rate->frames = ngx_stomp_rate_add(rate->frames, elapsed,
                                      conf->message_rate,
                                      conf->message_burst);
    rate->octets = ngx_stomp_rate_add(rate->octets, elapsed,
                                      conf->byte_rate, conf->byte_burst);
}


static int64_t
ngx_stomp_rate_add(int64_t tokens, ngx_msec_t elapsed, size_t rate,
    size_t burst)
{
    /* rates have 31 bits */

    elapsed = ngx_min(elapsed, NGX_MAX_INT32_VALUE);

    tokens += (int64_t) elapsed * (int64_t) rate;

    return ngx_min(tokens, (int64_t) burst * NGX_STOMP_RATE_UNIT);
}


/* milliseconds until a bucket has got what is missing, at least one */

static ngx_msec_t
ngx_stomp_rate_time(int64_t missing, size_t rate)
{
    return (ngx_msec_t) ((missing + (int64_t) rate - 1) / (int64_t) rate);
}


static ngx_int_t
ngx_stomp_rate_exceeded(ngx_stomp_session_t *s, const char *directive,
    ngx_msec_t delay)
{
    if (s->conf->rate_policy == NGX_STOMP_RATE_CLOSE) {
        ngx_stomp_session_error(s, NULL, NGX_STOMP_WS_POLICY, "rate exceeded",
                                "This session has sent more than %s allows.",
                                directive);
        return NGX_DONE;
    }

    if (!s->extra->rate.logged) {
        s->extra->rate.logged = 1;

        ngx_log_error(NGX_LOG_INFO, s->connection->log, 0,
                      "client sends more than %s allows, STOMP session "
                      "%xi-%016xL is delayed",
                      directive, s->hub->broker->slot, s->id);
    }

    ngx_stomp_rate_delay(s, delay);

    return NGX_BUSY;
}


static void
ngx_stomp_rate_delay(ngx_stomp_session_t *s, ngx_msec_t delay)
{
    ngx_msec_t         until;
    ngx_stomp_rate_t  *rate;

    rate = &s->extra->rate;
    until = ngx_current_msec + delay;

    if (s->delayed) {

        if ((ngx_msec_int_t) (until - rate->node.key) <= 0) {
            return;
        }

        ngx_rbtree_delete(&ngx_stomp_rate.tree, &rate->node);

    } else {
        s->delayed = 1;
        s->hub->broker->delayed++;
        rate->since = ngx_stomp_wheel_now();
    }

    if (ngx_stomp_rate.tree.root == NULL) {
        ngx_rbtree_init(&ngx_stomp_rate.tree, &ngx_stomp_rate.sentinel,
                        ngx_rbtree_insert_timer_value);

        ngx_stomp_rate.dummy.fd = (ngx_socket_t) -1;
        ngx_stomp_rate.event.handler = ngx_stomp_rate_handler;
        ngx_stomp_rate.event.data = &ngx_stomp_rate.dummy;
        ngx_stomp_rate.event.log = ngx_cycle->log;

        /* the sessions themselves keep an exiting worker alive */

        ngx_stomp_rate.event.cancelable = 1;
    }

    rate->node.key = until;
    ngx_rbtree_insert(&ngx_stomp_rate.tree, &rate->node);

    ngx_stomp_rate_timer();
}


void
ngx_stomp_rate_hurry(ngx_stomp_session_t *s)
{
    ngx_stomp_rate_t  *rate;

    rate = &s->extra->rate;

    ngx_rbtree_delete(&ngx_stomp_rate.tree, &rate->node);

    rate->node.key = ngx_current_msec;
    ngx_rbtree_insert(&ngx_stomp_rate.tree, &rate->node);

    ngx_stomp_rate_timer();
}


/* for the first of the delayed sessions */

static void
ngx_stomp_rate_timer(void)
{
    ngx_event_t        *ev;
    ngx_msec_int_t      delay;
    ngx_rbtree_node_t  *root;

    ev = &ngx_stomp_rate.event;
    root = ngx_stomp_rate.tree.root;

    /* nginx would leave one that is set as it is, if it is not much later */

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    if (root == &ngx_stomp_rate.sentinel) {
        return;
    }

    root = ngx_rbtree_min(root, &ngx_stomp_rate.sentinel);
    delay = (ngx_msec_int_t) (root->key - ngx_current_msec);

    ngx_add_timer(ev, (ngx_msec_t) ngx_max(delay, 0));
}


static void
ngx_stomp_rate_handler(ngx_event_t *ev)
{
    ngx_uint_t            n;
    ngx_stomp_rate_t     *rate;
    ngx_rbtree_node_t    *node;
    ngx_stomp_session_t  *s;

    for (n = 0; n < NGX_STOMP_RATE_TURN; n++) {

        if (ngx_stomp_rate.tree.root == &ngx_stomp_rate.sentinel) {
            break;
        }

        node = ngx_rbtree_min(ngx_stomp_rate.tree.root,
                              &ngx_stomp_rate.sentinel);

        if ((ngx_msec_int_t) (node->key - ngx_current_msec) > 0) {
            break;
        }

        ngx_rbtree_delete(&ngx_stomp_rate.tree, node);

        rate = ngx_rbtree_data(node, ngx_stomp_rate_t, node);
        s = rate->session;
        s->delayed = 0;

        if (!s->dead) {
            ngx_stomp_rate_resume(s);
        }
    }

    ngx_stomp_rate_timer();
}


static void
ngx_stomp_rate_resume(ngx_stomp_session_t *s)
{
    uint32_t  now;

    now = ngx_stomp_wheel_now();

    /* what came in that time is still to be seen */

    s->received = now;

    if (s->partial) {
        s->partial += now - s->extra->rate.since;
    }

    /* the zone was full: it is tried in the next tick */

    if (s->paused) {
        ngx_stomp_wheel_hurry(s);
        return;
    }

    if (s->carry != NULL && ngx_stomp_session_input(s, NULL, 0) == NGX_BUSY) {
        return;
    }

    /* also a session that ends waits for its peer's end */

    if (!s->dead) {
        s->link->resume(s);
    }
}
