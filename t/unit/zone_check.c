
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <zone_check.h>
#include <zone_walk.h>


static int zone_check_limbo(zone_walk_t *w);
static int zone_check_dests(zone_walk_t *w);
static int zone_check_dest(zone_walk_t *w, ngx_stomp_dest_sh_t *dest,
    uint32_t offset, uint32_t bucket);
static int zone_check_dest_interests(zone_walk_t *w, ngx_stomp_dest_sh_t *dest,
    uint32_t offset);
static int zone_check_slot(zone_walk_t *w, uint32_t n);
static int zone_check_slot_free(zone_walk_t *w, uint32_t n);
static int zone_check_slot_interests(zone_walk_t *w, uint32_t n);
static int zone_check_slot_sessions(zone_walk_t *w, uint32_t n);
static int zone_check_slot_inbox(zone_walk_t *w, uint32_t n);
static int zone_check_deliveries(zone_walk_t *w, uint32_t list, uint32_t *count,
    uint32_t *bytes, uint32_t *tail, uint64_t *last);
static int zone_check_message(zone_walk_t *w, uint32_t *offset, uint32_t tail,
    uint32_t *bytes, ngx_uint_t first, ngx_uint_t building);
static int zone_check_refs(zone_walk_t *w);


const char *
zone_check(ngx_stomp_zone_t *zone)
{
    int           rc;
    uint32_t      i, n;
    static char   error[256];
    zone_walk_t   w;

    memset(&w, 0, sizeof(zone_walk_t));
    w.zone = zone;
    w.sh = zone->sh;

    n = (w.sh->arena.pages << NGX_STOMP_PAGE_SHIFT) / ZONE_GRAIN;

    w.marks = calloc(n, 1);
    w.refs = calloc(n, sizeof(uint32_t));
    w.held = calloc(n, sizeof(uint32_t));
    w.listed = calloc(w.sh->arena.pages, 1);

    zone_check_queues_start();

    rc = zone_check_pages(&w)
         && zone_check_page_lists(&w)
         && zone_check_limbo(&w)
         && zone_check_dests(&w)
         && zone_check_patterns(&w)
         && zone_check_matches(&w);

    for (i = 0; rc && i < NGX_STOMP_SLOTS_MAX; i++) {
        rc = zone_check_slot(&w, i);
    }

    for (i = 0; rc && i < NGX_STOMP_SLOTS_MAX; i++) {
        rc = zone_check_cursors(&w, i);
    }

    rc = rc && zone_check_queues_end(&w) && zone_check_kept(&w)
         && zone_check_refs(&w);

    free(w.marks);
    free(w.refs);
    free(w.held);
    free(w.listed);

    if (rc) {
        return NULL;
    }

    memcpy(error, w.error, sizeof(error));

    return error;
}


static int
zone_check_limbo(zone_walk_t *w)
{
    uint32_t  offset;

    for (offset = w->sh->arena.limbo; offset;
         offset = *(uint32_t *) ngx_stomp_zone_ptr(w->zone, offset))
    {
        if (!zone_mark(w, offset, 0, ZONE_LIMBO, "freed object")) {
            return 0;
        }
    }

    return 1;
}


static int
zone_check_dests(zone_walk_t *w)
{
    uint32_t              i, n, offset;
    ngx_stomp_dest_sh_t  *dest;

    n = 0;

    for (i = 0; i < w->sh->nbuckets; i++) {

        for (offset = w->zone->buckets[i]; offset; offset = dest->next) {

            if (!zone_mark(w, offset, 0, ZONE_DEST, "destination")) {
                return 0;
            }

            dest = ngx_stomp_zone_ptr(w->zone, offset);

            if (!zone_check_dest(w, dest, offset, i)) {
                return 0;
            }

            n++;
        }
    }

    if (n != w->sh->ndestinations) {
        return zone_fail(w, "%u destinations are there, %u counted", n,
                         w->sh->ndestinations);
    }

    return 1;
}


static int
zone_check_dest(zone_walk_t *w, ngx_stomp_dest_sh_t *dest, uint32_t offset,
    uint32_t bucket)
{
    uint32_t              hash, other;
    ngx_str_t             name;
    ngx_stomp_dest_sh_t  *d;

    if (dest->len == 0 || dest->len > NGX_STOMP_DESTINATION_MAX) {
        return zone_fail(w, "destination at %u has a name of %u octets",
                         offset, dest->len);
    }

    w->marks[zone_index(w, offset)] = 0;
    w->reached--;

    if (!zone_mark(w, offset, offsetof(ngx_stomp_dest_sh_t, name) + dest->len,
                   ZONE_DEST, "destination"))
    {
        return 0;
    }

    name.len = dest->len;
    name.data = dest->name;

    hash = ngx_stomp_dest_hash(w->zone, &name);

    if (dest->kind == NGX_STOMP_KIND_PATTERN
        && dest->match && dest->match < w->sh->size)
    {
        hash = ngx_stomp_pattern_hash(
                   (ngx_stomp_pattern_sh_t *) ngx_stomp_zone_ptr(w->zone,
                                                                 dest->match),
                   hash);
    }

    if (dest->hash != hash
        || (dest->hash & (w->sh->nbuckets - 1)) != bucket)
    {
        return zone_fail(w, "destination at %u is in the wrong bucket",
                         offset);
    }

    if (dest->id == 0 || dest->id > w->sh->destination
        || dest->last > w->sh->sequence)
    {
        return zone_fail(w, "destination at %u has a number of the future",
                         offset);
    }

    for (other = w->zone->buckets[bucket]; other != offset; other = d->next) {
        d = ngx_stomp_zone_ptr(w->zone, other);

        if (d->id == dest->id
            || (d->len == dest->len
                && d->kind == dest->kind
                && d->hash == dest->hash
                && memcmp(d->name, dest->name, d->len) == 0))
        {
            return zone_fail(w, "destinations at %u and %u are the same",
                             other, offset);
        }
    }

    return (dest->kind == NGX_STOMP_KIND_QUEUE)
           ? zone_check_queue(w, dest, offset)
           : zone_check_dest_interests(w, dest, offset);
}


static int
zone_check_dest_interests(zone_walk_t *w, ngx_stomp_dest_sh_t *dest,
    uint32_t offset)
{
    uint32_t                  i, prev, count;
    u_char                    seen[NGX_STOMP_SLOTS_MAX];
    ngx_stomp_interest_sh_t  *in;

    memset(seen, 0, sizeof(seen));
    prev = 0;
    count = 0;

    if (dest->interests == 0 && dest->history == 0 && dest->retained == 0
        && (dest->match == 0 || dest->kind == NGX_STOMP_KIND_PATTERN))
    {
        return zone_fail(w, "destination at %u has nothing", offset);
    }

    for (i = dest->interests; i; i = in->next) {

        if (!zone_mark(w, i, sizeof(ngx_stomp_interest_sh_t), ZONE_INTEREST,
                       "interest"))
        {
            return 0;
        }

        in = ngx_stomp_zone_ptr(w->zone, i);

        if (in->prev != prev || in->dest != offset) {
            return zone_fail(w, "interest at %u has wrong links", i);
        }

        if (in->slot >= NGX_STOMP_SLOTS_MAX || in->count == 0
            || seen[in->slot]++)
        {
            return zone_fail(w, "interest at %u: slot %u, count %u", i,
                             in->slot, in->count);
        }

        count += in->count;
        prev = i;
        w->interests++;
    }

    if (count != dest->subscribers) {
        return zone_fail(w, "destination at %u counts %u subscribers, its "
                         "interests %u", offset, dest->subscribers, count);
    }

    return 1;
}


static int
zone_check_slot(zone_walk_t *w, uint32_t n)
{
    ngx_stomp_slot_sh_t  *slot;

    slot = &w->sh->slots[n];

    if (slot->state > NGX_STOMP_SLOT_REAPING || slot->awake > 1
        || slot->overrun > 1)
    {
        return zone_fail(w, "slot %u has an unknown state", n);
    }

    if (slot->drained > w->sh->sequence) {
        return zone_fail(w, "slot %u has drained the future", n);
    }

    if (slot->state == NGX_STOMP_SLOT_FREE && !zone_check_slot_free(w, n)) {
        return 0;
    }

    return zone_check_slot_interests(w, n)
           && zone_check_slot_sessions(w, n)
           && zone_check_slot_inbox(w, n)
           && (slot->building == 0
               || zone_check_batch(w, slot->building, NULL, 1));
}


static int
zone_check_slot_free(zone_walk_t *w, uint32_t n)
{
    ngx_stomp_slot_sh_t  *slot;

    slot = &w->sh->slots[n];

    if (slot->pid || slot->awake || slot->overrun || slot->inbox
        || slot->inbox_tail || slot->inbox_count || slot->inbox_bytes
        || slot->inhand || slot->building || slot->interests || slot->sessions
        || slot->nsessions || slot->nsubscriptions || slot->npatterns
        || slot->cursors || slot->ncursors
        || slot->consumers || slot->work || slot->work_tail)
    {
        return zone_fail(w, "slot %u is free and has something", n);
    }

    return 1;
}


static int
zone_check_slot_interests(zone_walk_t *w, uint32_t n)
{
    u_char                   *mark;
    uint32_t                  i, prev, count, patterns;
    ngx_stomp_dest_sh_t      *dest;
    ngx_stomp_interest_sh_t  *in;

    prev = 0;
    count = 0;
    patterns = 0;

    for (i = w->sh->slots[n].interests; i; i = in->slot_next) {

        if (!zone_inside(w, i)) {
            return zone_fail(w, "slot %u has an interest at %u", n, i);
        }

        mark = &w->marks[zone_index(w, i)];

        if (*mark != ZONE_INTEREST) {
            return zone_fail(w, "slot %u has an interest at %u that no "
                             "destination has", n, i);
        }

        *mark = ZONE_INTEREST_TWICE;
        in = ngx_stomp_zone_ptr(w->zone, i);

        if (in->slot != n || in->slot_prev != prev) {
            return zone_fail(w, "interest at %u has wrong links of slot %u",
                             i, n);
        }

        dest = ngx_stomp_zone_ptr(w->zone, in->dest);
        patterns += (dest->kind == NGX_STOMP_KIND_PATTERN);

        count += in->count;
        prev = i;
        w->interests--;
    }

    if (patterns != w->sh->slots[n].npatterns) {
        return zone_fail(w, "slot %u counts %u patterns, has %u", n,
                         w->sh->slots[n].npatterns, patterns);
    }

    if (!zone_check_slot_consumers(w, n, &count)) {
        return 0;
    }

    if (count != w->sh->slots[n].nsubscriptions) {
        return zone_fail(w, "slot %u counts %u subscriptions, its interests "
                         "%u", n, w->sh->slots[n].nsubscriptions, count);
    }

    return 1;
}


static int
zone_check_slot_sessions(zone_walk_t *w, uint32_t n)
{
    uint32_t                 i, prev, count;
    ngx_stomp_session_sh_t  *session;

    prev = 0;
    count = 0;

    for (i = w->sh->slots[n].sessions; i; i = session->next) {

        if (!zone_mark(w, i, 0, ZONE_SESSION, "session")) {
            return 0;
        }

        session = ngx_stomp_zone_ptr(w->zone, i);

        if (session->prev != prev
            || session->addr_len > NGX_STOMP_SESSION_TEXT_MAX
            || session->user_len > NGX_STOMP_SESSION_TEXT_MAX)
        {
            return zone_fail(w, "session at %u of slot %u is damaged", i, n);
        }

        prev = i;
        count++;
    }

    if (count != w->sh->slots[n].nsessions) {
        return zone_fail(w, "slot %u counts %u sessions, has %u", n,
                         w->sh->slots[n].nsessions, count);
    }

    return 1;
}


static int
zone_check_slot_inbox(zone_walk_t *w, uint32_t n)
{
    uint32_t              count, bytes, tail;
    uint64_t              last;
    ngx_stomp_slot_sh_t  *slot;

    slot = &w->sh->slots[n];
    last = 0;

    if (!zone_check_deliveries(w, slot->inhand, &count, &bytes, &tail, &last)) {
        return 0;
    }

    if (last > slot->drained) {
        return zone_fail(w, "slot %u has more in hand than drained", n);
    }

    last = slot->drained;

    if (!zone_check_deliveries(w, slot->inbox, &count, &bytes, &tail, &last)) {
        return 0;
    }

    if (count != slot->inbox_count || bytes != slot->inbox_bytes
        || tail != slot->inbox_tail)
    {
        return zone_fail(w, "slot %u counts %u messages, %u octets, tail %u; "
                         "its inbox %u, %u, %u", n, slot->inbox_count,
                         slot->inbox_bytes, slot->inbox_tail, count, bytes,
                         tail);
    }

    return 1;
}


static int
zone_check_deliveries(zone_walk_t *w, uint32_t list, uint32_t *count,
    uint32_t *bytes, uint32_t *tail, uint64_t *last)
{
    uint32_t                  offset;
    ngx_stomp_delivery_sh_t  *delivery;

    *count = 0;
    *bytes = 0;
    *tail = 0;

    for (offset = list; offset; offset = delivery->next) {

        if (!zone_mark(w, offset, sizeof(ngx_stomp_delivery_sh_t),
                       ZONE_DELIVERY, "delivery"))
        {
            return 0;
        }

        delivery = ngx_stomp_zone_ptr(w->zone, offset);

        if (delivery->last <= *last || delivery->last > w->sh->sequence) {
            return zone_fail(w, "delivery at %u is out of order", offset);
        }

        if (!zone_check_batch(w, delivery->message, delivery, 0)) {
            return 0;
        }

        *last = delivery->last;
        *count += delivery->count;
        *bytes += delivery->bytes;
        *tail = offset;
    }

    return 1;
}


/* building: its last message has no end yet; else it has one reference more */

int
zone_check_batch(zone_walk_t *w, uint32_t offset,
    ngx_stomp_delivery_sh_t *delivery, ngx_uint_t building)
{
    uint32_t                 next, count, bytes;
    uint64_t                 last;
    ngx_stomp_message_sh_t  *head, *m;

    if (!zone_inside(w, offset)) {
        return zone_fail(w, "batch at %u is outside", offset);
    }

    head = ngx_stomp_zone_ptr(w->zone, offset);

    if (!building && w->refs[zone_index(w, offset)]++) {
        return (w->marks[zone_index(w, offset)] == ZONE_MESSAGE)
               ? 1 : zone_fail(w, "batch at %u is none", offset);
    }

    if (building && (head->refs || head->held)) {
        return zone_fail(w, "unfinished batch at %u has references", offset);
    }

    next = offset;
    count = 0;
    bytes = 0;
    last = 0;

    do {
        m = ngx_stomp_zone_ptr(w->zone, next);

        if (!zone_check_message(w, &next, head->tail, &bytes, next == offset,
                                building))
        {
            return 0;
        }

        count++;

        if (building) {
            continue;
        }

        if (m->sequence <= last || m->destination > w->sh->destination) {
            return zone_fail(w, "batch at %u has wrong numbers", offset);
        }

        last = m->sequence;

        if (m->sibling != next) {
            return zone_fail(w, "batch at %u has wrong siblings", offset);
        }

    } while (next);

    if (delivery && delivery->count
        && (count != delivery->count || bytes != delivery->bytes
            || last != delivery->last))
    {
        return zone_fail(w, "batch at %u has %u messages, %u octets, its "
                         "delivery %u, %u", offset, count, bytes,
                         delivery->count, delivery->bytes);
    }

    return 1;
}


/* leaves in *offset the object after the message's last, 0 at the tail */

static int
zone_check_message(zone_walk_t *w, uint32_t *offset, uint32_t tail,
    uint32_t *bytes, ngx_uint_t first, ngx_uint_t building)
{
    size_t                   left, n;
    uint32_t                 this;
    ngx_stomp_message_sh_t  *m;

    this = *offset;

    if (!zone_mark(w, this, 0, ZONE_MESSAGE, "message")) {
        return 0;
    }

    m = ngx_stomp_zone_ptr(w->zone, this);
    left = sizeof(ngx_stomp_message_sh_t) + m->headers + m->body;

    if (m->flags & NGX_STOMP_MESSAGE_EXTRA) {
        left += sizeof(ngx_stomp_extra_sh_t);
    }

    if (!first && (m->refs || m->tail || m->held)) {
        return zone_fail(w, "message at %u is not the batch's first", this);
    }

    w->marks[zone_index(w, this)] = 0;
    w->reached--;

    for ( ;; ) {
        n = ngx_min(left, NGX_STOMP_PAGE_SIZE);

        if (!zone_mark(w, this, n, (this == *offset) ? ZONE_MESSAGE
                                                     : ZONE_CHUNK,
                       "part of a message"))
        {
            return 0;
        }

        *bytes += zone_size_of(n);
        left -= n;

        if (left == 0 || (building && this == tail)) {
            break;
        }

        if (this == tail) {
            return zone_fail(w, "message at %u is cut off", *offset);
        }

        this = *(uint32_t *) ngx_stomp_zone_ptr(w->zone, this);
        left += sizeof(ngx_stomp_chunk_sh_t);
    }

    *offset = (this == tail) ? 0
                             : *(uint32_t *) ngx_stomp_zone_ptr(w->zone, this);

    return 1;
}


static int
zone_check_refs(zone_walk_t *w)
{
    uint32_t                 i, n, used;
    ngx_stomp_message_sh_t  *m;

    if (w->interests) {
        return zone_fail(w, "%u interests are on no slot", w->interests);
    }

    n = (w->sh->arena.pages << NGX_STOMP_PAGE_SHIFT) / ZONE_GRAIN;

    for (i = 0; i < n; i++) {

        if (w->refs[i]) {
            m = ngx_stomp_zone_ptr(w->zone,
                                   w->sh->first_page + i * ZONE_GRAIN);

            if (m->refs != w->refs[i]) {
                return zone_fail(w, "batch at %u counts %u references, has %u",
                                 w->sh->first_page + i * ZONE_GRAIN, m->refs,
                                 w->refs[i]);
            }

            if (m->held != w->held[i]) {
                return zone_fail(w, "batch at %u counts %u kept, has %u",
                                 w->sh->first_page + i * ZONE_GRAIN, m->held,
                                 w->held[i]);
            }
        }
    }

    used = 0;

    for (i = 0; i < NGX_STOMP_CLASSES; i++) {
        used += w->sh->arena.used[i];
    }

    if (used != w->reached) {
        return zone_fail(w, "%u objects are in use, %u are reached", used,
                         w->reached);
    }

    return 1;
}


int
zone_check_kept_message(zone_walk_t *w, uint32_t message)
{
    ngx_stomp_extra_sh_t    *extra;
    ngx_stomp_message_sh_t  *m;

    if (!zone_inside(w, message)) {
        return zone_fail(w, "kept message at %u is outside", message);
    }

    m = ngx_stomp_zone_ptr(w->zone, message);

    if (!(m->flags & NGX_STOMP_MESSAGE_EXTRA)) {
        return zone_fail(w, "kept message at %u has no place for it", message);
    }

    extra = ngx_stomp_message_extra(w->zone, message);

    if (!zone_check_batch(w, extra->batch, NULL, 0)) {
        return 0;
    }

    if (w->marks[zone_index(w, message)] != ZONE_MESSAGE) {
        return zone_fail(w, "kept message at %u is not of its batch", message);
    }

    return 1;
}
