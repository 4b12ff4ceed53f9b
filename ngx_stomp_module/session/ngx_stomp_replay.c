
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stomp_session.h>
#include <ngx_stomp_fanout.h>
#include <ngx_stomp_flow.h>
#include <ngx_stomp_form.h>
#include <ngx_stomp_header.h>
#include <ngx_stomp_output.h>
#include <ngx_stomp_replay.h>
#include <ngx_stomp_ws.h>


/* output of a session beyond which it is fed no more */
#define NGX_STOMP_FEED_PENDING  65536

/* octets of a frame beside the message's headers and body, and a name */
#define NGX_STOMP_FEED_FRAME    256

/* subscriptions that are fed in one turn of the event loop */
#define NGX_STOMP_FEED_MAX      16


/* exists as long as a subscription isn't live */

struct ngx_stomp_feed_s {
    ngx_stomp_replay_t      replay;
    ngx_stomp_feed_t       *next_feed;      /* on the hub's list */
    ngx_stomp_feed_t       *prev_feed;
    ngx_stomp_session_t    *session;
    ngx_stomp_sub_t        *sub;
    ngx_uint_t              next;           /* of those that were taken */
    unsigned                queued:1;
    unsigned                gap:1;          /* to be told with the next one */
};


static ngx_int_t ngx_stomp_replay_number(ngx_str_t *value, uint64_t *n);
static void ngx_stomp_replay_take(ngx_stomp_feed_t *feed);
static ngx_int_t ngx_stomp_replay_send(ngx_stomp_feed_t *feed,
    ngx_stomp_message_t *m);
static void ngx_stomp_replay_live(ngx_stomp_feed_t *feed);
static ngx_int_t ngx_stomp_replay_join(ngx_stomp_session_t *s,
    ngx_stomp_sub_t *sub, uint64_t from, ngx_uint_t gap);
static ngx_int_t ngx_stomp_replay_mark(ngx_stomp_hub_t *hub,
    ngx_stomp_sub_t *sub, ngx_uint_t marks);
static void ngx_stomp_replay_queue(ngx_stomp_feed_t *feed);
static ngx_stomp_feed_t *ngx_stomp_replay_next(ngx_stomp_hub_t *hub);
static void ngx_stomp_replay_unqueue(ngx_stomp_feed_t *feed);
static ngx_uint_t ngx_stomp_replay_fits(ngx_stomp_feed_t *feed,
    ngx_stomp_message_t *m);
static uint32_t ngx_stomp_replay_limit(ngx_stomp_session_t *s);


ngx_int_t
ngx_stomp_replay_wanted(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame,
    ngx_str_t *name, ngx_stomp_wanted_t *wanted)
{
    ngx_int_t              rc;
    ngx_str_t             *replay, *since;
    const char            *error;
    ngx_stomp_wildcard_t   w;

    replay = ngx_stomp_header(frame, "replay");
    since = ngx_stomp_header(frame, "since");

    if (since == NULL) {
        since = ngx_stomp_header(frame, "last-event-id");
    }

    if (replay == NULL && since == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_stomp_broker_queue_conf(s->hub->broker->conf, name) != NULL) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_POLICY,
                                "no replay of queues",
                                "SUBSCRIBE to \"%V\": a queue has no "
                                "history.", name);
        return NGX_ABORT;
    }

    if (ngx_stomp_broker_wildcard(s->hub->broker->conf, name, &w, &error)
        == NGX_OK)
    {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_POLICY,
                                "no replay with wildcards",
                                "SUBSCRIBE to \"%V\": replay needs a "
                                "destination without wildcards.", name);
        return NGX_ABORT;
    }

    ngx_memzero(wanted, sizeof(ngx_stomp_wanted_t));

    wanted->count = (uint64_t) -1;

    if (replay != NULL
        && (replay->len != 3 || ngx_memcmp(replay->data, "all", 3) != 0)
        && ngx_stomp_replay_number(replay, &wanted->count) != NGX_OK)
    {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_PROTOCOL,
                                "malformed header",
                                "The \"replay\" header must be a number of "
                                "messages or \"all\", not \"%V\".", replay);
        return NGX_ABORT;
    }

    if (since == NULL) {
        return NGX_OK;
    }

    rc = ngx_stomp_broker_message_number(s->hub->broker, since,
                                         &wanted->since);
    if (rc == NGX_ABORT) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_PROTOCOL,
                                "malformed header",
                                "The \"since\" or \"last-event-id\" header "
                                "must be a \"message-id\" of this broker, "
                                "not \"%V\".", since);
        return NGX_ABORT;
    }

    wanted->resumed = 1;

    if (rc == NGX_DECLINED) {
        wanted->since = 0;
        wanted->gap = 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_stomp_replay_number(ngx_str_t *value, uint64_t *n)
{
    ngx_int_t  number;

    number = ngx_atoi(value->data, value->len);

    if (number == NGX_ERROR) {
        return NGX_ERROR;
    }

    *n = (uint64_t) number;

    return NGX_OK;
}


ngx_int_t
ngx_stomp_replay_start(ngx_stomp_session_t *s, ngx_stomp_sub_t *sub,
    ngx_stomp_interest_t *in, ngx_stomp_wanted_t *wanted)
{
    ngx_int_t          rc;
    ngx_stomp_feed_t  *feed;

    feed = ngx_calloc(sizeof(ngx_stomp_feed_t), s->hub->log);
    if (feed == NULL) {
        return NGX_ERROR;
    }

    feed->session = s;
    feed->sub = sub;
    feed->replay.interest = in->interest;

    if (wanted != NULL) {
        feed->replay.count = wanted->count;
        feed->replay.since = wanted->since;
        feed->replay.resumed = wanted->resumed;
        feed->gap = wanted->gap;

        /* a number that was never given can't be a message's */

        if (wanted->since > in->from) {
            feed->replay.since = 0;
            feed->gap = 1;
        }
    }

    rc = ngx_stomp_broker_replay(s->hub->broker, &feed->replay);

    if (rc != NGX_OK) {
        ngx_free(feed);
        return rc;
    }

    sub->index = NGX_STOMP_SUB_REPLAYING;
    sub->feed = feed;

    return NGX_OK;
}


void
ngx_stomp_replay_feed(ngx_stomp_sub_t *sub)
{
    ngx_stomp_hub_t      *hub;
    ngx_stomp_feed_t     *feed;
    ngx_stomp_message_t   m;
    ngx_stomp_session_t  *s;

    feed = sub->feed;
    s = feed->session;
    hub = s->hub;

    if (feed->replay.gap) {
        feed->gap = 1;
        feed->replay.gap = 0;
    }

    for ( /* void */ ; feed->next < feed->replay.n; feed->next++) {

        if (s->finished || s->dead) {
            return;
        }

        (void) ngx_stomp_message_open(&hub->broker->zone,
                                      feed->replay.messages[feed->next], &m);

        if (ngx_stomp_replay_expired(hub, &m)) {
            continue;
        }

        if (!ngx_stomp_replay_fits(feed, &m)) {

            /* what is published meanwhile passes it by: it asks again then */

            feed->replay.live = 0;
            s->hungry = 1;
            return;
        }

        if (ngx_stomp_replay_send(feed, &m) != NGX_OK) {
            hub->broker->dropped++;
            ngx_stomp_session_finish(s, NGX_STOMP_WS_TRY_LATER,
                                     "no memory for a message");
            return;
        }
    }

    if (feed->replay.missed) {
        feed->gap = 1;
        feed->replay.missed = 0;
    }

    if (feed->replay.live) {
        ngx_stomp_replay_live(feed);

    } else {
        ngx_stomp_replay_queue(feed);
    }
}


static ngx_uint_t
ngx_stomp_replay_fits(ngx_stomp_feed_t *feed, ngx_stomp_message_t *m)
{
    size_t                len, max;
    ngx_stomp_session_t  *s;

    s = feed->session;

    if (feed->sub->consumer != NULL
        && ngx_stomp_flow_waits(feed->sub))
    {
        return 0;
    }

    if (s->pending == 0) {
        return 1;
    }

    len = (size_t) m->headers + m->body + NGX_STOMP_FEED_FRAME
          + feed->sub->group->form->line_len;
    max = s->conf->max_output;

    if (len > max - ngx_min(s->pending, max)) {
        return 0;
    }

    /* what is retained is as good as live: nothing is to pass it by */

    return (feed->next == 0 && feed->replay.retained)
           || s->pending < ngx_stomp_replay_limit(s);
}


/*
 * Encoded for this session alone, in segments that it shares with others.
 * Nothing is dropped for a slow session: it is fed when it has room.
 */

static ngx_int_t
ngx_stomp_replay_send(ngx_stomp_feed_t *feed, ngx_stomp_message_t *m)
{
    ngx_int_t             rc;
    ngx_uint_t            marks;
    ngx_stomp_hub_t      *hub;
    ngx_stomp_form_t     *form;
    ngx_stomp_encoded_t   e;

    hub = feed->session->hub;
    form = feed->sub->group->form;

    marks = (feed->gap ? NGX_STOMP_MARK_GAP : 0)
            | ((feed->next == 0 && feed->replay.retained)
               ? NGX_STOMP_MARK_RETAINED : 0);

    if (feed->sub->consumer != NULL) {

        rc = ngx_stomp_flow_send(feed->sub, m, marks);

        if (rc == NGX_OK) {
            feed->gap = 0;
        }

        return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
    }

    if (marks) {
        form = ngx_stomp_form_marked(hub, form, marks);
        if (form == NULL) {
            return NGX_ERROR;
        }
    }

    rc = ngx_stomp_form_message(hub, m, 0, &e);

    if (rc == NGX_OK) {
        rc = ngx_stomp_form_encode(hub, form, m, &e);
    }

    if (rc == NGX_OK) {
        ngx_stomp_output_range(feed->session, e.segment, e.start, e.end);

        hub->broker->delivered++;
        feed->gap = 0;
    }

    ngx_stomp_form_done(&e);

    if (marks) {
        ngx_stomp_form_unref(hub, form);
    }

    return rc;
}


static void
ngx_stomp_replay_live(ngx_stomp_feed_t *feed)
{
    ngx_stomp_sub_t      *sub;
    ngx_stomp_session_t  *s;

    sub = feed->sub;
    s = feed->session;

    /* room for another of the session's is room for this one, too */

    if (feed->queued) {
        ngx_stomp_replay_unqueue(feed);
    }

    if (ngx_stomp_replay_join(s, sub, feed->replay.from, feed->gap)
        != NGX_OK)
    {
        ngx_stomp_session_finish(s, NGX_STOMP_WS_TRY_LATER,
                                 "no memory for a message");
    }

    /* without memory it still is one that replays */

    if (sub->index != NGX_STOMP_SUB_REPLAYING) {
        ngx_stomp_broker_replay_end(s->hub->broker, &feed->replay);
        ngx_free(feed);
    }
}


/* makes a subscription a member of its group */

static ngx_int_t
ngx_stomp_replay_join(ngx_stomp_session_t *s, ngx_stomp_sub_t *sub,
    uint64_t from, ngx_uint_t gap)
{
    ngx_int_t           rc;
    ngx_stomp_feed_t   *feed;
    ngx_stomp_group_t  *group;

    if (sub->consumer != NULL) {
        ngx_stomp_flow_join(sub, from, gap);
        return NGX_OK;
    }

    group = sub->group;
    feed = sub->feed;
    sub->from = from;

    rc = ngx_stomp_group_add(group, s, sub, s->hub->log);

    if (rc != NGX_OK) {
        sub->index = NGX_STOMP_SUB_REPLAYING;
        sub->feed = feed;
        return rc;
    }

    group->waiting--;

    return gap ? ngx_stomp_replay_mark(s->hub, sub, NGX_STOMP_MARK_GAP)
               : NGX_OK;
}


/* a member goes to the group of its destination that has these marks */

static ngx_int_t
ngx_stomp_replay_mark(ngx_stomp_hub_t *hub, ngx_stomp_sub_t *sub,
    ngx_uint_t marks)
{
    uint32_t             index;
    ngx_int_t            rc;
    ngx_stomp_form_t    *form;
    ngx_stomp_group_t   *to, *group;
    ngx_stomp_member_t   member;

    group = sub->group;
    index = sub->index;

    form = ngx_stomp_form_marked(hub, group->form, marks);
    if (form == NULL) {
        return NGX_ERROR;
    }

    to = ngx_stomp_group_get(hub, group->local, form);

    ngx_stomp_form_unref(hub, form);

    if (to == NULL) {
        return NGX_ERROR;
    }

    member = group->members[index];

    rc = ngx_stomp_group_add(to, member.session, sub, hub->log);

    if (rc == NGX_OK) {
        ngx_stomp_group_remove(group, index);

    } else {
        sub->group = group;
        sub->index = index;
        group = to;
    }

    if (group->n == 0 && group->waiting == 0) {
        ngx_stomp_group_free(hub, group);
    }

    return rc;
}


void
ngx_stomp_replay_unmark(ngx_stomp_hub_t *hub, ngx_stomp_local_t *local,
    ngx_stomp_message_t *m)
{
    uint32_t            i;
    ngx_stomp_sub_t    *sub;
    ngx_stomp_group_t  *group, *next;

    for (group = local->groups; group; group = next) {

        next = group->next;

        if (!group->form->marks) {
            continue;
        }

        /*
         * Backwards: the last one takes the place of one that goes.  With its
         * last member the group goes, too.
         */

        for (i = group->n; i > 0; i--) {

            sub = group->members[i - 1].sub;

            if (sub->from < m->sequence
                && ngx_stomp_replay_mark(hub, sub, 0) != NGX_OK)
            {
                break;
            }
        }
    }
}


void
ngx_stomp_replay_resume(ngx_stomp_sub_t *sub)
{
    ngx_stomp_replay_queue(sub->feed);
}


void
ngx_stomp_replay_cancel(ngx_stomp_sub_t *sub)
{
    ngx_stomp_feed_t  *feed;

    feed = sub->feed;

    if (feed->queued) {
        ngx_stomp_replay_unqueue(feed);
    }

    ngx_stomp_broker_replay_end(feed->session->hub->broker, &feed->replay);
    ngx_free(feed);
}


static void
ngx_stomp_replay_queue(ngx_stomp_feed_t *feed)
{
    ngx_stomp_hub_t  *hub;

    hub = feed->session->hub;

    if (!feed->queued) {
        feed->queued = 1;
        feed->next_feed = NULL;
        feed->prev_feed = hub->feeds_tail;

        if (hub->feeds_tail != NULL) {
            hub->feeds_tail->next_feed = feed;

        } else {
            hub->feeds = feed;
        }

        hub->feeds_tail = feed;
    }

    if (!hub->replay.posted) {
        ngx_post_event(&hub->replay, &ngx_posted_next_events);
    }
}


/* takes the first one from the list; NULL: there is none */

static ngx_stomp_feed_t *
ngx_stomp_replay_next(ngx_stomp_hub_t *hub)
{
    ngx_stomp_feed_t  *feed;

    feed = hub->feeds;

    if (feed == NULL) {
        return NULL;
    }

    hub->feeds = feed->next_feed;

    if (hub->feeds != NULL) {
        hub->feeds->prev_feed = NULL;

    } else {
        hub->feeds_tail = NULL;
    }

    feed->queued = 0;

    return feed;
}


static void
ngx_stomp_replay_unqueue(ngx_stomp_feed_t *feed)
{
    ngx_stomp_hub_t  *hub;

    hub = feed->session->hub;

    if (feed->prev_feed != NULL) {
        feed->prev_feed->next_feed = feed->next_feed;

    } else {
        hub->feeds = feed->next_feed;
    }

    if (feed->next_feed != NULL) {
        feed->next_feed->prev_feed = feed->prev_feed;

    } else {
        hub->feeds_tail = feed->prev_feed;
    }

    feed->queued = 0;
}


/* what is waiting beyond that could as well wait in the zone */

static uint32_t
ngx_stomp_replay_limit(ngx_stomp_session_t *s)
{
    return ngx_min(NGX_STOMP_FEED_PENDING, s->max_output / 2);
}


void
ngx_stomp_replay_room(ngx_stomp_session_t *s)
{
    ngx_stomp_sub_t  *sub;

    if (s->pending >= ngx_stomp_replay_limit(s) / 2) {
        return;
    }

    s->hungry = 0;

    for (sub = s->subs; sub; sub = sub->next) {
        if (sub->index == NGX_STOMP_SUB_REPLAYING) {
            ngx_stomp_replay_queue(sub->feed);
        }
    }
}


void
ngx_stomp_replay_handler(ngx_event_t *ev)
{
    ngx_uint_t         i;
    ngx_stomp_hub_t   *hub;
    ngx_stomp_feed_t  *feed;

    hub = ev->data;

    for (i = 0; i < NGX_STOMP_FEED_MAX; i++) {

        feed = ngx_stomp_replay_next(hub);

        if (feed == NULL) {
            return;
        }

        if (!feed->session->finished && !feed->session->dead) {
            ngx_stomp_replay_take(feed);
        }
    }

    if (hub->feeds != NULL && !hub->replay.posted) {
        ngx_post_event(&hub->replay, &ngx_posted_next_events);
    }
}


/* the next messages, if those before are on their way */

static void
ngx_stomp_replay_take(ngx_stomp_feed_t *feed)
{
    ngx_stomp_session_t  *s;

    s = feed->session;

    if (feed->next == feed->replay.n && !feed->replay.live) {

        feed->next = 0;

        if (ngx_stomp_broker_replay(s->hub->broker, &feed->replay) != NGX_OK) {
            ngx_stomp_session_finish(s, NGX_STOMP_WS_GOING_AWAY,
                                     "server is restarting");
            return;
        }
    }

    ngx_stomp_replay_feed(feed->sub);
}
