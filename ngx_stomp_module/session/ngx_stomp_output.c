
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stomp_session.h>
#include <ngx_stomp_consumer.h>
#include <ngx_stomp_output.h>
#include <ngx_stomp_form.h>
#include <ngx_stomp_replay.h>
#include <ngx_stomp_wheel.h>
#include <ngx_stomp_ws.h>


/* with malloc's own word a segment fills pages exactly */

#define NGX_STOMP_SEGMENT_HEAD  offsetof(ngx_stomp_segment_t, data)
#define NGX_STOMP_SEGMENT_SIZE  (4096 - 16 - NGX_STOMP_SEGMENT_HEAD)

/* free segments that are kept */
#define NGX_STOMP_SEGMENTS_MAX  64

/*
 * Sends of one turn of the event loop.  What is published between two turns
 * joins what the sessions behind them are still to get, in the same send.
 */
#define NGX_STOMP_FLUSH_MAX     128

/* buffers of one send */
#define NGX_STOMP_SEND_MAX      64

/* ranges that may wait before they are packed */
#define NGX_STOMP_RANGES_LOOSE  32


static ngx_stomp_segment_t *ngx_stomp_segment_create(size_t len,
    ngx_log_t *log);
static ngx_uint_t ngx_stomp_output_full(ngx_stomp_session_t *s, uint32_t len);
static ngx_int_t ngx_stomp_output_more(ngx_stomp_session_t *s,
    ngx_stomp_segment_t *segment, uint32_t start, uint32_t end);
static ngx_stomp_ranges_t *ngx_stomp_output_grow(ngx_stomp_ranges_t *old,
    ngx_log_t *log);
static void ngx_stomp_output_pack(ngx_stomp_ranges_t *more, uint32_t from,
    ngx_log_t *log);
static ngx_uint_t ngx_stomp_output_copy(ngx_stomp_range_t *range,
    ngx_stomp_segment_t **to, ngx_log_t *log);
static ngx_int_t ngx_stomp_output_dirty(ngx_stomp_session_t *s);
static void ngx_stomp_output_compact(ngx_stomp_hub_t *hub);
static ngx_int_t ngx_stomp_output_send_one(ngx_stomp_session_t *s);
static ngx_int_t ngx_stomp_output_send_chain(ngx_stomp_session_t *s);
static void ngx_stomp_output_consume(ngx_stomp_session_t *s, size_t len);
static void ngx_stomp_output_next(ngx_stomp_session_t *s);


static ngx_stomp_segment_t  *ngx_stomp_segments;    /* free ones */
static ngx_uint_t            ngx_stomp_nsegments;


ngx_stomp_segment_t *
ngx_stomp_segment_reserve(ngx_stomp_segment_t **keep, size_t len,
    ngx_log_t *log)
{
    ngx_stomp_segment_t  *segment;

    segment = *keep;

    if (segment != NULL) {

#if !(NGX_DEBUG_PALLOC)

        /* nobody refers to what it has: it starts again, still in the cache */

        if (segment->refs == 1) {
            segment->used = 0;
        }

#endif

        if (len <= segment->size - segment->used) {
            return segment;
        }
    }

    segment = ngx_stomp_segment_create(len, log);
    if (segment == NULL) {
        return NULL;
    }

    if (*keep != NULL) {
        ngx_stomp_segment_unref(*keep);
    }

    *keep = segment;

    return segment;
}


static ngx_stomp_segment_t *
ngx_stomp_segment_create(size_t len, ngx_log_t *log)
{
    size_t                size;
    ngx_stomp_segment_t  *segment;

    if (len <= NGX_STOMP_SEGMENT_SIZE && ngx_stomp_segments != NULL) {
        segment = ngx_stomp_segments;
        ngx_stomp_segments = segment->next;
        ngx_stomp_nsegments--;

    } else {
        size = ngx_max(len, NGX_STOMP_SEGMENT_SIZE);

        segment = ngx_alloc(NGX_STOMP_SEGMENT_HEAD + size, log);
        if (segment == NULL) {
            return NULL;
        }

        segment->size = (uint32_t) size;
    }

    segment->next = NULL;
    segment->refs = 1;
    segment->used = 0;

    return segment;
}


void
ngx_stomp_segment_unref(ngx_stomp_segment_t *segment)
{
    if (--segment->refs) {
        return;
    }

#if !(NGX_DEBUG_PALLOC)

    if (segment->size == NGX_STOMP_SEGMENT_SIZE
        && ngx_stomp_nsegments < NGX_STOMP_SEGMENTS_MAX)
    {
        segment->next = ngx_stomp_segments;
        ngx_stomp_segments = segment;
        ngx_stomp_nsegments++;
        return;
    }

#endif

    ngx_free(segment);
}


void
ngx_stomp_output_range(ngx_stomp_session_t *s, ngx_stomp_segment_t *segment,
    uint32_t start, uint32_t end)
{
    uint32_t  len;

    if (s->dead) {
        return;
    }

    len = end - start;

    if (ngx_stomp_output_full(s, len)) {

        /* it may just not have had its turn */

        if (!s->blocked && ngx_stomp_output_send(s) == NGX_ERROR) {
            ngx_stomp_session_abort(s);
            return;
        }

        if (ngx_stomp_output_full(s, len)) {
            s->overflow = 1;
            s->hub->broker->dropped++;
            ngx_stomp_session_abort(s);
            return;
        }
    }

    if (s->range.segment == NULL) {
        s->range.segment = segment;
        s->range.start = start;
        s->range.end = end;
        segment->refs++;

    } else if (s->range.segment == segment
               && s->range.end == start
               && s->more == NULL)
    {
        s->range.end = end;

    } else if (ngx_stomp_output_more(s, segment, start, end) != NGX_OK) {
        ngx_stomp_session_abort(s);
        return;
    }

    s->pending += len;

    if (s->dirty == 0 && !s->blocked && ngx_stomp_output_dirty(s) != NGX_OK) {
        ngx_stomp_session_abort(s);
    }
}


/* one message alone is never too much: its own limit lets it through */

static ngx_uint_t
ngx_stomp_output_full(ngx_stomp_session_t *s, uint32_t len)
{
    return s->pending
           && len > s->max_output - ngx_min(s->pending, s->max_output);
}


static ngx_int_t
ngx_stomp_output_more(ngx_stomp_session_t *s, ngx_stomp_segment_t *segment,
    uint32_t start, uint32_t end)
{
    ngx_stomp_range_t   *range;
    ngx_stomp_ranges_t  *more;

    more = s->more;

    if (more != NULL) {
        range = &more->ranges[more->last - 1];

        if (range->segment == segment && range->end == start) {
            range->end = end;
            return NGX_OK;
        }
    }

    if (more != NULL
        && more->last >= more->packed + NGX_STOMP_RANGES_LOOSE)
    {
        ngx_stomp_output_pack(more, more->packed, s->hub->log);
    }

    if (more == NULL || more->last == more->size) {
        more = ngx_stomp_output_grow(more, s->hub->log);
        if (more == NULL) {
            return NGX_ERROR;
        }

        s->more = more;
    }

    range = &more->ranges[more->last++];

    range->segment = segment;
    range->start = start;
    range->end = end;
    segment->refs++;

    return NGX_OK;
}


static ngx_stomp_ranges_t *
ngx_stomp_output_grow(ngx_stomp_ranges_t *old, ngx_log_t *log)
{
    uint32_t             n, size;
    ngx_stomp_ranges_t  *more;

    /* what was shared may not be any more */

    if (old != NULL && old->size > NGX_STOMP_RANGES_LOOSE) {
        ngx_stomp_output_pack(old, old->first, log);
    }

    n = (old != NULL) ? old->last - old->first : 0;

    /* half of it was sent or packed: room enough */

    if (old != NULL && n <= old->size / 2) {
        ngx_memmove(old->ranges, &old->ranges[old->first],
                    n * sizeof(ngx_stomp_range_t));
        old->packed -= ngx_min(old->packed, old->first);
        old->first = 0;
        old->last = n;
        return old;
    }

    size = (old != NULL) ? old->size * 2 : 4;

    more = ngx_alloc(offsetof(ngx_stomp_ranges_t, ranges)
                     + size * sizeof(ngx_stomp_range_t), log);
    if (more == NULL) {
        return NULL;
    }

    more->first = 0;
    more->last = n;
    more->packed = 0;
    more->size = size;

    if (old != NULL) {
        ngx_memcpy(more->ranges, &old->ranges[old->first],
                   n * sizeof(ngx_stomp_range_t));
        more->packed = old->packed - ngx_min(old->packed, old->first);
        ngx_free(old);
    }

    return more;
}


/*
 * A frame of a few octets holds a whole segment.  Where few others wait for
 * the same segment its octets are copied together with those before, so that
 * waiting output takes no more memory than about twice its length.
 */

static void
ngx_stomp_output_pack(ngx_stomp_ranges_t *more, uint32_t from,
    ngx_log_t *log)
{
    uint32_t              i, n;
    ngx_stomp_range_t     range, *last;
    ngx_stomp_segment_t  *to;

    to = NULL;
    n = ngx_max(from, more->first);
    last = (n > more->first) ? &more->ranges[n - 1] : NULL;

    /* that of the last time, if nobody else has a part of it */

    if (last != NULL
        && last->segment->refs == 1
        && last->segment->used == last->end)
    {
        to = last->segment;
        to->refs++;
    }

    for (i = n; i < more->last; i++) {

        range = more->ranges[i];

        if (ngx_stomp_output_copy(&range, &to, log)
            && last != NULL
            && last->segment == range.segment
            && last->end == range.start)
        {
            last->end = range.end;
            range.segment->refs--;      /* *last has one, too */
            continue;
        }

        last = &more->ranges[n++];
        *last = range;
    }

    more->last = n;
    more->packed = n;

    if (to != NULL) {
        ngx_stomp_segment_unref(to);
    }
}


/* moves a range to another segment if that saves memory; 0: it stays */

static ngx_uint_t
ngx_stomp_output_copy(ngx_stomp_range_t *range, ngx_stomp_segment_t **to,
    ngx_log_t *log)
{
    size_t                len;
    ngx_stomp_segment_t  *from;

    from = range->segment;
    len = range->end - range->start;

    /* its size is shared by those who refer to it */

    if (2 * len * from->refs > from->size) {
        return 0;
    }

    if (*to == NULL || len > (*to)->size - (*to)->used) {

        if (*to != NULL) {
            ngx_stomp_segment_unref(*to);
        }

        *to = ngx_stomp_segment_create(len, log);
        if (*to == NULL) {
            return 0;
        }
    }

    ngx_memcpy(&(*to)->data[(*to)->used], &from->data[range->start], len);

    range->segment = *to;
    range->start = (*to)->used;
    range->end = range->start + len;

    (*to)->used = range->end;
    (*to)->refs++;

    ngx_stomp_segment_unref(from);

    return 1;
}


static ngx_int_t
ngx_stomp_output_dirty(ngx_stomp_session_t *s)
{
    uint32_t               size;
    ngx_stomp_hub_t       *hub;
    ngx_stomp_session_t  **dirty;

    hub = s->hub;

    if (hub->ndirty == hub->dirty_size
        && hub->dirty_next
        && hub->dirty_next >= hub->dirty_size / 2)
    {
        ngx_stomp_output_compact(hub);
    }

    if (hub->ndirty == hub->dirty_size) {
        size = hub->dirty_size ? hub->dirty_size * 2 : 256;

        dirty = ngx_alloc(size * sizeof(void *), hub->log);
        if (dirty == NULL) {
            return NGX_ERROR;
        }

        if (hub->dirty != NULL) {
            ngx_memcpy(dirty, hub->dirty, hub->ndirty * sizeof(void *));
            ngx_free(hub->dirty);
        }

        hub->dirty = dirty;
        hub->dirty_size = size;
    }

    hub->dirty[hub->ndirty++] = s;
    s->dirty = hub->ndirty;

    ngx_stomp_output_post(hub);

    return NGX_OK;
}


/* under a steady load the list is never empty: what was flushed is cut off */

static void
ngx_stomp_output_compact(ngx_stomp_hub_t *hub)
{
    uint32_t  i, n;

    n = hub->dirty_next;

    hub->ndirty -= n;
    hub->dirty_round -= ngx_min(hub->dirty_round, n);
    hub->dirty_next = 0;

    ngx_memmove(hub->dirty, &hub->dirty[n], hub->ndirty * sizeof(void *));

    for (i = 0; i < hub->ndirty; i++) {
        if (hub->dirty[i] != NULL) {
            hub->dirty[i]->dirty = i + 1;
        }
    }
}


void
ngx_stomp_output_frame(ngx_stomp_session_t *s, u_char *frame, size_t len,
    ngx_uint_t text)
{
    size_t                head;
    u_char               *p;
    uint32_t              start;
    ngx_stomp_segment_t  *segment;

    head = ngx_stomp_ws_head_len(len);

    segment = ngx_stomp_segment_reserve(&s->hub->shared, head + len,
                                        s->hub->log);
    if (segment == NULL) {
        ngx_stomp_session_abort(s);
        return;
    }

    start = segment->used;

    p = ngx_stomp_ws_head(&segment->data[start],
                          text ? NGX_STOMP_WS_TEXT : NGX_STOMP_WS_BINARY, len);
    ngx_memcpy(p, frame, len);

    segment->used += head + len;

    ngx_stomp_output_range(s, segment, start, segment->used);
}


void
ngx_stomp_output_raw(ngx_stomp_session_t *s, u_char *p, size_t len)
{
    uint32_t              start;
    ngx_stomp_segment_t  *segment;

    segment = ngx_stomp_segment_reserve(&s->hub->shared, len, s->hub->log);
    if (segment == NULL) {
        ngx_stomp_session_abort(s);
        return;
    }

    start = segment->used;

    ngx_memcpy(&segment->data[start], p, len);
    segment->used += len;

    ngx_stomp_output_range(s, segment, start, segment->used);
}


ngx_int_t
ngx_stomp_output_send(ngx_stomp_session_t *s)
{
    ngx_int_t  rc;

    if (s->range.segment == NULL) {
        return NGX_OK;
    }

    do {
        rc = (s->more == NULL) ? ngx_stomp_output_send_one(s)
                               : ngx_stomp_output_send_chain(s);

    } while (rc == NGX_OK && s->range.segment != NULL);

    /* from now on it is watched for its time-out */

    if (rc == NGX_AGAIN && !s->blocked) {
        ngx_stomp_wheel_hurry(s);
    }

    s->blocked = (rc == NGX_AGAIN);

    if (s->hungry) {
        ngx_stomp_replay_room(s);
    }

    return rc;
}


static ngx_int_t
ngx_stomp_output_send_one(ngx_stomp_session_t *s)
{
    size_t   len;
    ssize_t  n;

    len = s->range.end - s->range.start;

    n = s->link->send(s, &s->range.segment->data[s->range.start], len);

    if (n == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (n < 0) {
        return NGX_ERROR;
    }

    ngx_stomp_output_consume(s, n);

    return ((size_t) n == len) ? NGX_OK : NGX_AGAIN;
}


static ngx_int_t
ngx_stomp_output_send_chain(ngx_stomp_session_t *s)
{
    size_t              sent;
    ngx_uint_t          i, n;
    ngx_chain_t        *cl, *rest;
    ngx_stomp_range_t  *range;

    static ngx_buf_t    bufs[NGX_STOMP_SEND_MAX];
    static ngx_chain_t  links[NGX_STOMP_SEND_MAX];

    ngx_memzero(bufs, sizeof(bufs));

    range = &s->range;
    n = 0;

    for (i = 0; i < NGX_STOMP_SEND_MAX; i++) {

        if (i) {
            if (s->more->first + i - 1 == s->more->last) {
                break;
            }

            range = &s->more->ranges[s->more->first + i - 1];
            links[i - 1].next = &links[i];
        }

        bufs[i].pos = &range->segment->data[range->start];
        bufs[i].last = &range->segment->data[range->end];
        bufs[i].start = bufs[i].pos;
        bufs[i].end = bufs[i].last;
        bufs[i].memory = 1;

        links[i].buf = &bufs[i];
        links[i].next = NULL;

        n += range->end - range->start;
    }

    bufs[i - 1].flush = 1;

    rest = s->link->send_chain(s, links);

    if (rest == NGX_CHAIN_ERROR) {
        return NGX_ERROR;
    }

    sent = n;

    for (cl = rest; cl; cl = cl->next) {
        sent -= cl->buf->last - cl->buf->pos;
    }

    ngx_stomp_output_consume(s, sent);

    return rest ? NGX_AGAIN : NGX_OK;
}


static void
ngx_stomp_output_consume(ngx_stomp_session_t *s, size_t len)
{
    size_t  n, sent;

    sent = len;

    if (len) {
        s->sent = ngx_stomp_wheel_now();
    }

    s->pending -= len;

    while (len && s->range.segment != NULL) {
        n = ngx_min(len, s->range.end - s->range.start);

        s->range.start += n;
        len -= n;

        if (s->range.start == s->range.end) {
            ngx_stomp_output_next(s);
        }
    }

    if (s->consumers != NULL) {
        ngx_stomp_consumer_sent(s, sent);
    }
}


/* the first range is done: the next one takes its place */

static void
ngx_stomp_output_next(ngx_stomp_session_t *s)
{
    ngx_stomp_ranges_t  *more;

    ngx_stomp_segment_unref(s->range.segment);
    s->range.segment = NULL;

    more = s->more;

    if (more == NULL) {
        return;
    }

    s->range = more->ranges[more->first++];

    if (more->first == more->last) {
        ngx_free(more);
        s->more = NULL;
    }
}


void
ngx_stomp_output_discard(ngx_stomp_session_t *s)
{
    while (s->range.segment != NULL) {
        ngx_stomp_output_next(s);
    }

    s->pending = 0;

    if (s->dirty) {
        s->hub->dirty[s->dirty - 1] = NULL;
        s->dirty = 0;
    }
}


void
ngx_stomp_output_post(ngx_stomp_hub_t *hub)
{
    /* what arrives in the next turn of the event loop joins it */

    if (!hub->flush.posted) {
        ngx_post_event(&hub->flush, &ngx_posted_next_events);
    }
}


void
ngx_stomp_output_flush(ngx_event_t *ev)
{
    uint32_t              last;
    ngx_stomp_hub_t      *hub;
    ngx_stomp_session_t  *s;

    hub = ev->data;

    last = ngx_min(hub->ndirty, hub->dirty_next + NGX_STOMP_FLUSH_MAX);

    while (hub->dirty_next < last) {

        s = hub->dirty[hub->dirty_next++];

        if (s == NULL) {
            continue;
        }

        /* the kernel's part takes long enough for it */

        if (hub->dirty_next < last && hub->dirty[hub->dirty_next] != NULL) {
            ngx_stomp_session_prefetch(hub->dirty[hub->dirty_next]);
        }

        /* off the list, also if it is to be closed: its place is reused */

        s->dirty = 0;

        if (s->dead) {
            continue;
        }

        if (!s->blocked && ngx_stomp_output_send(s) == NGX_ERROR) {
            ngx_stomp_session_abort(s);
            continue;
        }

        if (s->finished && s->range.segment == NULL && s->peer_closed) {
            ngx_stomp_session_abort(s);
        }
    }

    /* all that were on the list when the segments were opened had their turn */

    if (hub->dirty_next >= hub->dirty_round) {
        ngx_stomp_form_close_segments(hub);
        hub->dirty_round = hub->ndirty;
    }

    if (hub->dirty_next < hub->ndirty) {
        ngx_stomp_output_post(hub);
        return;
    }

    hub->ndirty = 0;
    hub->dirty_next = 0;
    hub->dirty_round = 0;
}
