
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <zone_check.h>
#include <zone_model.h>
#include <ngx_stomp_cursor.h>
#include <ngx_stomp_match.h>
#include <stdio.h>
#include <stdarg.h>


static const char *zone_content_slot(ngx_stomp_zone_t *zone, ngx_uint_t n,
    zone_model_t *content);
static const char *zone_content_list(ngx_stomp_zone_t *zone, uint32_t offset,
    model_list_t *list);
static const char *zone_content_kept(ngx_stomp_zone_t *zone,
    zone_model_t *content);
static void zone_content_message_kept(ngx_stomp_zone_t *zone,
    zone_model_t *content, uint32_t offset, model_kept_t *message);
static const char *zone_content_replay(ngx_stomp_zone_t *zone,
    ngx_stomp_slot_sh_t *sh, model_slot_t *slot);
static const char *model_diff_kept(zone_model_t *got, zone_model_t *want);
static uint64_t zone_content_batch(ngx_stomp_zone_t *zone, uint32_t message);
static const char *model_differs(const char *fmt, ...);
static const char *model_diff_slot(ngx_uint_t n, model_slot_t *got,
    model_slot_t *want);
static const char *model_diff_list(ngx_uint_t n, const char *name,
    model_list_t *got, model_list_t *want);
static ngx_uint_t model_has_session(model_slot_t *slot, uint64_t id);


const char *
zone_content(ngx_stomp_zone_t *zone, const char **names, zone_model_t *content,
    uint32_t *building)
{
    uint32_t               i, offset;
    ngx_uint_t             n;
    const char            *error;
    ngx_stomp_dest_sh_t   *dest;
    ngx_stomp_zone_sh_t   *sh;
    ngx_stomp_match_sh_t  *match;

    sh = zone->sh;

    memset(content, 0, sizeof(zone_model_t));
    *building = 0;

    content->names = names;
    content->sequence = sh->sequence;
    content->destination = sh->destination;
    content->published = sh->counters.published;
    content->matched = sh->matched;

    for (i = 0; i < sh->nbuckets; i++) {
        for (offset = zone->buckets[i]; offset; offset = dest->next) {
            dest = ngx_stomp_zone_ptr(zone, offset);

            n = model_dest(content, dest->name, dest->len);

            content->dests[n].id = dest->id;
            content->dests[n].last = dest->last;
            content->dests[n].stored = dest->stored;
            content->dests[n].lost = dest->lost;

            if (dest->retained) {
                zone_content_message_kept(zone, content, dest->retained,
                                          &content->dests[n].retained);
            }

            if (dest->kind == NGX_STOMP_KIND_TOPIC && dest->match) {
                match = ngx_stomp_zone_ptr(zone, dest->match);

                content->dests[n].known = 1;
                content->dests[n].matched = match->n;
                content->dests[n].fresh = (match->generation
                                           == sh->generation);
            }
        }
    }

    for (i = 0; i < NGX_STOMP_SLOTS_MAX; i++) {

        if (sh->slots[i].state == NGX_STOMP_SLOT_FREE) {
            continue;
        }

        if (i >= MODEL_SLOTS) {
            return "a slot that nobody uses";
        }

        error = zone_content_slot(zone, i, content);
        if (error) {
            return error;
        }

        if (sh->slots[i].building) {
            *building |= 1U << i;
        }
    }

    return zone_content_kept(zone, content);
}


static const char *
zone_content_kept(ngx_stomp_zone_t *zone, zone_model_t *content)
{
    uint32_t  offset;

    for (offset = zone->sh->kept.history; offset;
         offset = ngx_stomp_message_extra(zone, offset)->all_next)
    {
        if (content->nhistory == MODEL_KEPT) {
            return "too much history for the model";
        }

        zone_content_message_kept(zone, content, offset,
                                  &content->history[content->nhistory++]);
    }

    return NULL;
}


static void
zone_content_message_kept(ngx_stomp_zone_t *zone, zone_model_t *content,
    uint32_t offset, model_kept_t *message)
{
    ngx_stomp_dest_sh_t   *dest;
    ngx_stomp_message_t    m;
    ngx_stomp_extra_sh_t  *extra;

    extra = ngx_stomp_message_extra(zone, offset);
    dest = ngx_stomp_zone_ptr(zone, extra->dest);

    message->dest = model_dest(content, dest->name, dest->len);
    message->bytes = extra->bytes;

    (void) ngx_stomp_message_open(zone, extra->batch, &m);
    message->batch = m.sequence;

    (void) ngx_stomp_message_open(zone, offset, &m);
    message->sequence = m.sequence;
    message->content = zone_content_message(zone, &m);
}


static const char *
zone_content_replay(ngx_stomp_zone_t *zone, ngx_stomp_slot_sh_t *sh,
    model_slot_t *slot)
{
    ngx_uint_t              i;
    ngx_stomp_message_t     m;
    ngx_stomp_cursor_sh_t  *cursor;

    slot->replays = sh->ncursors;

    if (sh->cursors == 0) {
        return NULL;
    }

    cursor = ngx_stomp_zone_ptr(zone, sh->cursors);

    if (cursor->next) {
        return "too many replays for the model";
    }

    slot->ntaken = cursor->n;

    for (i = 0; i < cursor->n; i++) {
        (void) ngx_stomp_message_open(zone, cursor->messages[i], &m);
        slot->taken[i] = m.sequence;
    }

    return NULL;
}


static const char *
zone_content_slot(ngx_stomp_zone_t *zone, ngx_uint_t n, zone_model_t *content)
{
    uint32_t                  offset;
    const char               *error;
    model_slot_t             *slot;
    ngx_stomp_slot_sh_t      *sh;
    ngx_stomp_dest_sh_t      *dest;
    ngx_stomp_session_sh_t   *session;
    ngx_stomp_interest_sh_t  *in;

    slot = &content->slots[n];
    sh = &zone->sh->slots[n];

    slot->state = sh->state;
    slot->generation = sh->generation;
    slot->awake = sh->awake;
    slot->overrun = sh->overrun;
    slot->drained = sh->drained;

    for (offset = sh->interests; offset; offset = in->slot_next) {
        in = ngx_stomp_zone_ptr(zone, offset);
        dest = ngx_stomp_zone_ptr(zone, in->dest);

        slot->counts[model_dest(content, dest->name, dest->len)] += in->count;
    }

    for (offset = sh->sessions; offset; offset = session->next) {
        session = ngx_stomp_zone_ptr(zone, offset);

        if (slot->nsessions == MODEL_SESSIONS) {
            return "too many sessions for the model";
        }

        slot->sessions[slot->nsessions++] = session->id;
    }

    error = zone_content_replay(zone, sh, slot);

    if (error == NULL) {
        error = zone_content_list(zone, sh->inhand, &slot->inhand);
    }

    return error ? error : zone_content_list(zone, sh->inbox, &slot->inbox);
}


static const char *
zone_content_list(ngx_stomp_zone_t *zone, uint32_t offset, model_list_t *list)
{
    model_delivery_t         *item;
    ngx_stomp_delivery_sh_t  *delivery;

    for ( /* void */ ; offset; offset = delivery->next) {
        delivery = ngx_stomp_zone_ptr(zone, offset);

        if (list->n == MODEL_DELIVERIES) {
            return "too many deliveries for the model";
        }

        item = &list->items[list->n++];

        item->last = delivery->last;
        item->count = delivery->count;
        item->bytes = delivery->bytes;
        item->content = zone_content_batch(zone, delivery->message);
    }

    return NULL;
}


static uint64_t
zone_content_batch(ngx_stomp_zone_t *zone, uint32_t message)
{
    uint64_t             content;
    ngx_stomp_message_t  m;

    content = 0;

    while (message) {
        message = ngx_stomp_message_open(zone, message, &m);
        content += zone_content_message(zone, &m);
    }

    return content;
}


uint64_t
zone_content_message(ngx_stomp_zone_t *zone, ngx_stomp_message_t *m)
{
    size_t    n, left;
    u_char    buf[1024];
    uint64_t  hash;

    hash = 0;

    for (left = (size_t) m->headers + m->body; left; left -= n) {
        n = ngx_min(left, sizeof(buf));
        (void) ngx_stomp_message_read(zone, m, buf, n);
        hash = model_hash(hash, buf, n);
    }

    return model_message_hash(m->sequence, m->destination, m->flags,
                              m->headers, m->body, hash);
}


const char *
model_diff(zone_model_t *got, zone_model_t *want)
{
    ngx_uint_t   i;
    const char  *error;

    if (got->sequence != want->sequence) {
        return model_differs("sequence %llu, not %llu",
                             (long long) got->sequence,
                             (long long) want->sequence);
    }

    if (got->published != want->published) {
        return model_differs("%llu published, not %llu",
                             (long long) got->published,
                             (long long) want->published);
    }

    if (got->matched != want->matched) {
        return model_differs("a pattern has heard %llu, not %llu",
                             (long long) got->matched,
                             (long long) want->matched);
    }

    if (got->destination != want->destination) {
        return model_differs("last destination made is %llu, not %llu",
                             (long long) got->destination,
                             (long long) want->destination);
    }

    for (i = 0; i < MODEL_DESTS; i++) {

        if (model_subscribers(got, i) != model_subscribers(want, i)) {
            return model_differs("%u subscriptions to %s, not %u",
                                 model_subscribers(got, i), want->names[i],
                                 model_subscribers(want, i));
        }

        if (got->dests[i].known != want->dests[i].known
            || (want->dests[i].known
                && (got->dests[i].matched != want->dests[i].matched
                    || got->dests[i].fresh != want->dests[i].fresh)))
        {
            return model_differs("%s: known %u, %u, %u, not %u, %u, %u",
                                 want->names[i], got->dests[i].known,
                                 got->dests[i].matched, got->dests[i].fresh,
                                 want->dests[i].known, want->dests[i].matched,
                                 want->dests[i].fresh);
        }

        if (model_exists(want, i)
            && (got->dests[i].id != want->dests[i].id
                || got->dests[i].last != want->dests[i].last
                || got->dests[i].stored != want->dests[i].stored
                || got->dests[i].lost != want->dests[i].lost))
        {
            return model_differs("%s is %llu, %llu, %llu, %llu, not %llu, "
                                 "%llu, %llu, %llu",
                                 want->names[i],
                                 (long long) got->dests[i].id,
                                 (long long) got->dests[i].last,
                                 (long long) got->dests[i].stored,
                                 (long long) got->dests[i].lost,
                                 (long long) want->dests[i].id,
                                 (long long) want->dests[i].last,
                                 (long long) want->dests[i].stored,
                                 (long long) want->dests[i].lost);
        }
    }

    error = model_diff_kept(got, want);

    if (error) {
        return error;
    }

    for (i = 0; i < MODEL_SLOTS; i++) {
        error = model_diff_slot(i, &got->slots[i], &want->slots[i]);

        if (error) {
            return error;
        }
    }

    return NULL;
}


/* history, and then what each destination retains */

static const char *
model_diff_kept(zone_model_t *got, zone_model_t *want)
{
    ngx_uint_t     i;
    model_kept_t  *g, *w;

    if (got->nhistory != want->nhistory) {
        return model_differs("%u messages of history, not %u",
                             (unsigned) got->nhistory,
                             (unsigned) want->nhistory);
    }

    for (i = 0; i < want->nhistory + MODEL_DESTS; i++) {

        if (i < want->nhistory) {
            g = &got->history[i];
            w = &want->history[i];

        } else {
            g = &got->dests[i - want->nhistory].retained;
            w = &want->dests[i - want->nhistory].retained;
        }

        if (g->sequence != w->sequence || g->dest != w->dest
            || g->batch != w->batch || g->bytes != w->bytes
            || g->content != w->content)
        {
            return model_differs("%s %u: kept is %llu to %u, of %llu, %u "
                                 "octets, not %llu to %u, of %llu, %u%s",
                                 i < want->nhistory ? "history" : "retained",
                                 (unsigned) i, (long long) g->sequence,
                                 (unsigned) g->dest, (long long) g->batch,
                                 g->bytes, (long long) w->sequence,
                                 (unsigned) w->dest, (long long) w->batch,
                                 w->bytes, (g->content != w->content)
                                           ? "; another content" : "");
        }
    }

    return NULL;
}


static const char *
model_differs(const char *fmt, ...)
{
    va_list      args;
    static char  text[256];

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    return text;
}


static const char *
model_diff_slot(ngx_uint_t n, model_slot_t *got, model_slot_t *want)
{
    ngx_uint_t   i;
    const char  *error;

    if (got->state != want->state) {
        return model_differs("slot %u in state %u, not %u", (unsigned) n,
                             got->state, want->state);
    }

    if (got->state == NGX_STOMP_SLOT_FREE) {
        return NULL;
    }

    if (got->generation != want->generation || got->awake != want->awake
        || got->overrun != want->overrun || got->drained != want->drained)
    {
        return model_differs("slot %u: generation %u, awake %u, overrun %u, "
                             "drained %llu, not %u, %u, %u, %llu",
                             (unsigned) n, got->generation, got->awake,
                             got->overrun, (long long) got->drained,
                             want->generation, want->awake, want->overrun,
                             (long long) want->drained);
    }

    for (i = 0; i < MODEL_DESTS; i++) {
        if (got->counts[i] != want->counts[i]) {
            return model_differs("slot %u: %u subscriptions to the "
                                 "destination %u, not %u", (unsigned) n,
                                 got->counts[i], (unsigned) i,
                                 want->counts[i]);
        }
    }

    if (got->replays != want->replays || got->ntaken != want->ntaken
        || memcmp(got->taken, want->taken, want->ntaken * sizeof(uint64_t))
           != 0)
    {
        return model_differs("slot %u: %u replays, %u taken up to %llu, not "
                             "%u, %u, %llu", (unsigned) n,
                             (unsigned) got->replays, (unsigned) got->ntaken,
                             (long long) (got->ntaken
                                          ? got->taken[got->ntaken - 1] : 0),
                             (unsigned) want->replays,
                             (unsigned) want->ntaken,
                             (long long) (want->ntaken
                                         ? want->taken[want->ntaken - 1] : 0));
    }

    if (got->nsessions != want->nsessions) {
        return model_differs("slot %u: %u sessions, not %u", (unsigned) n,
                             (unsigned) got->nsessions,
                             (unsigned) want->nsessions);
    }

    for (i = 0; i < want->nsessions; i++) {
        if (!model_has_session(got, want->sessions[i])) {
            return model_differs("slot %u: no session %llu", (unsigned) n,
                                 (long long) want->sessions[i]);
        }
    }

    error = model_diff_list(n, "hand", &got->inhand, &want->inhand);

    return error ? error
                 : model_diff_list(n, "inbox", &got->inbox, &want->inbox);
}


static const char *
model_diff_list(ngx_uint_t n, const char *name, model_list_t *got,
    model_list_t *want)
{
    ngx_uint_t         i;
    model_delivery_t  *g, *w;

    for (i = 0; i < got->n && i < want->n; i++) {
        g = &got->items[i];
        w = &want->items[i];

        if (g->last != w->last || g->count != w->count || g->bytes != w->bytes
            || g->content != w->content)
        {
            return model_differs("slot %u, %s, delivery %u: last %llu, count "
                                 "%u, %u octets, not %llu, %u, %u%s",
                                 (unsigned) n, name, (unsigned) i,
                                 (long long) g->last, g->count, g->bytes,
                                 (long long) w->last, w->count, w->bytes,
                                 (g->content != w->content)
                                 ? "; another content" : "");
        }
    }

    if (got->n != want->n) {
        return model_differs("slot %u: %u deliveries in its %s, not %u",
                             (unsigned) n, (unsigned) got->n, name,
                             (unsigned) want->n);
    }

    return NULL;
}


static ngx_uint_t
model_has_session(model_slot_t *slot, uint64_t id)
{
    ngx_uint_t  i;

    for (i = 0; i < slot->nsessions; i++) {
        if (slot->sessions[i] == id) {
            return 1;
        }
    }

    return 0;
}
