
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <lock_guard.h>
#include <stdio.h>


typedef struct {
    const char  *name;
    size_t       offset;
    size_t       size;
    ngx_uint_t   open;
} guard_field_t;


#define GUARD_LOCKED  0
#define GUARD_CONST   1        /* written once, before anybody has the zone */
#define GUARD_FLAG    2        /* one word, set once; looked at in each tick */

#define guard_field(type, name, open)                                         \
    { #name, offsetof(type, name), sizeof(((type *) 0)->name), open }

#define guard_header(name, open)                                              \
    guard_field(ngx_stomp_zone_sh_t, name, open)
#define guard_slot(name)                                                      \
    guard_field(ngx_stomp_slot_sh_t, name, GUARD_LOCKED)


static const guard_field_t *guard_lookup(const guard_field_t *field,
    size_t offset);
static size_t guard_size(ngx_uint_t class);
static ngx_stomp_page_sh_t *guard_descriptor(lock_guard_t *g,
    uint32_t offset);
static const void *guard_before(lock_guard_t *g, uint32_t offset);
static ngx_uint_t guard_inside(lock_guard_t *g, uint32_t object,
    uint32_t offset);
static ngx_uint_t guard_own(lock_guard_t *g, ngx_stomp_slot_sh_t *slot);
static ngx_uint_t guard_in_hand(lock_guard_t *g, uint32_t offset);
static ngx_uint_t guard_consumed(lock_guard_t *g, ngx_stomp_slot_sh_t *slot,
    uint32_t offset);
static ngx_uint_t guard_of_batch(lock_guard_t *g, uint32_t message,
    uint32_t offset);
static ngx_uint_t guard_was_free(lock_guard_t *g, uint32_t offset);
static ngx_uint_t guard_numbered(lock_guard_t *g, uint32_t offset);


static const guard_field_t  guard_headers[] = {
    guard_header(magic, GUARD_CONST),
    guard_header(layout, GUARD_CONST),
    guard_header(retired, GUARD_FLAG),
    guard_header(size, GUARD_CONST),
    guard_header(epoch, GUARD_CONST),
    guard_header(key, GUARD_CONST),
    guard_header(sequence, GUARD_LOCKED),
    guard_header(destination, GUARD_LOCKED),
    guard_header(ndestinations, GUARD_LOCKED),
    guard_header(nbuckets, GUARD_CONST),
    guard_header(buckets, GUARD_CONST),
    guard_header(descriptors, GUARD_CONST),
    guard_header(first_page, GUARD_CONST),
    guard_header(undo_count, GUARD_LOCKED),
    guard_header(generation, GUARD_LOCKED),
    guard_header(matched, GUARD_LOCKED),
    guard_header(npatterns, GUARD_LOCKED),
    guard_header(matches, GUARD_LOCKED),
    guard_header(matches_tail, GUARD_LOCKED),
    guard_header(match_bytes, GUARD_LOCKED),
    guard_header(kept, GUARD_LOCKED),
    guard_header(arena, GUARD_LOCKED),
    guard_header(counters, GUARD_LOCKED),
    guard_header(queues, GUARD_LOCKED),
    guard_header(slots, GUARD_LOCKED),
    guard_header(depths, GUARD_LOCKED),
    guard_header(patterns, GUARD_LOCKED),
    guard_header(undo, GUARD_LOCKED),
    { NULL, 0, 0, 0 }
};


static const guard_field_t  guard_slots[] = {
    guard_slot(state),
    guard_slot(generation),
    guard_slot(pid),
    guard_slot(awake),
    guard_slot(overrun),
    guard_slot(inbox),
    guard_slot(inbox_tail),
    guard_slot(inbox_count),
    guard_slot(inbox_bytes),
    guard_slot(inhand),
    guard_slot(building),
    guard_slot(interests),
    guard_slot(sessions),
    guard_slot(nsessions),
    guard_slot(nsubscriptions),
    guard_slot(npatterns),
    guard_slot(cursors),
    guard_slot(ncursors),
    guard_slot(consumers),
    guard_slot(work),
    guard_slot(work_tail),
    guard_slot(drained),
    { NULL, 0, 0, 0 }
};


ngx_uint_t
lock_guard_may_access(lock_guard_t *g, uint32_t offset, ngx_uint_t write)
{
    const guard_field_t  *field;

    field = guard_lookup(guard_headers, offset);

    if (field != NULL) {
        return (field->open == GUARD_FLAG
                || (field->open == GUARD_CONST && !write));
    }

    return !write && guard_in_hand(g, offset);
}


static const guard_field_t *
guard_lookup(const guard_field_t *field, size_t offset)
{
    for ( /* void */ ; field->name != NULL; field++) {
        if (offset >= field->offset && offset < field->offset + field->size) {
            return field;
        }
    }

    return NULL;
}


/*
 * What a worker has in hand doesn't change until it releases it, but for the
 * count of references.
 */

static ngx_uint_t
guard_in_hand(lock_guard_t *g, uint32_t offset)
{
    uint32_t                  next, n;
    ngx_uint_t                i;
    ngx_stomp_slot_sh_t      *slot;
    ngx_stomp_extra_sh_t     *extra;
    ngx_stomp_cursor_sh_t    *cursor;
    ngx_stomp_delivery_sh_t  *delivery;

    for (i = 0; i < NGX_STOMP_SLOTS_MAX; i++) {
        slot = &g->sh->slots[i];

        if (!guard_own(g, slot)) {
            continue;
        }

        for (next = slot->inhand; next; next = delivery->next) {
            delivery = ngx_stomp_zone_ptr(g, next);

            if (guard_inside(g, next, offset)
                || guard_of_batch(g, delivery->message, offset))
            {
                return 1;
            }
        }

        for (next = slot->cursors; next; next = cursor->next) {
            cursor = ngx_stomp_zone_ptr(g, next);

            for (n = 0; n < cursor->n; n++) {
                extra = ngx_stomp_message_extra(g, cursor->messages[n]);

                if (guard_of_batch(g, extra->batch, offset)) {
                    return 1;
                }
            }
        }

        if (guard_consumed(g, slot, offset)) {
            return 1;
        }
    }

    return 0;
}


/* and of the messages of queues what its consumers have, until it is settled */

static ngx_uint_t
guard_consumed(lock_guard_t *g, ngx_stomp_slot_sh_t *slot, uint32_t offset)
{
    uint32_t                  next, entry;
    ngx_stomp_entry_sh_t     *e;
    ngx_stomp_consumer_sh_t  *consumer;

    for (next = slot->consumers; next; next = consumer->slot_next) {
        consumer = ngx_stomp_zone_ptr(g, next);

        for (entry = consumer->head; entry; entry = e->next) {
            e = ngx_stomp_zone_ptr(g, entry);

            if (guard_of_batch(g, e->batch, offset)) {
                return 1;
            }
        }
    }

    return 0;
}


static ngx_uint_t
guard_of_batch(lock_guard_t *g, uint32_t message, uint32_t offset)
{
    uint32_t  next;

    if (offset >= message + offsetof(ngx_stomp_message_sh_t, refs)
        && offset < message + offsetof(ngx_stomp_message_sh_t, tail))
    {
        return 0;
    }

    /* the objects of a batch are chained by their first words */

    for (next = message; next; next = *(uint32_t *) ngx_stomp_zone_ptr(g, next))
    {
        if (guard_inside(g, next, offset)) {
            return 1;
        }
    }

    return 0;
}


/* a slot of this process; its pid is written by the owner only */

static ngx_uint_t
guard_own(lock_guard_t *g, ngx_stomp_slot_sh_t *slot)
{
    return (slot->state == NGX_STOMP_SLOT_LIVE
            && (pid_t) slot->pid == getpid());
}


static ngx_uint_t
guard_inside(lock_guard_t *g, uint32_t object, uint32_t offset)
{
    return (offset >= object
            && offset < object
                        + guard_size(guard_descriptor(g, object)->class));
}


static size_t
guard_size(ngx_uint_t class)
{
    static size_t  sizes[NGX_STOMP_CLASSES];

    ngx_uint_t     i;

    if (sizes[0] == 0) {
        for (i = 0; i < NGX_STOMP_CLASSES; i++) {
            sizes[i] = ngx_stomp_arena_size(i ? sizes[i - 1] + 1 : 1);
        }
    }

    return sizes[class];
}


static ngx_stomp_page_sh_t *
guard_descriptor(lock_guard_t *g, uint32_t offset)
{
    ngx_stomp_page_sh_t  *pages;

    pages = ngx_stomp_zone_ptr(g, g->sh->descriptors);

    return &pages[(offset - g->sh->first_page) >> NGX_STOMP_PAGE_SHIFT];
}


ngx_uint_t
lock_guard_may_change(lock_guard_t *g, uint32_t offset)
{
    size_t                field;
    const guard_field_t  *header;

    header = guard_lookup(guard_headers, offset);

    if (header == NULL) {
        return guard_was_free(g, offset) || guard_numbered(g, offset);
    }

    /* the log itself */

    if (header->offset == offsetof(ngx_stomp_zone_sh_t, undo)
        || header->offset == offsetof(ngx_stomp_zone_sh_t, undo_count))
    {
        return 1;
    }

    /* statistics that nothing depends on: added to as they are */

    field = offset - offsetof(ngx_stomp_zone_sh_t, counters);

    return (header->offset == offsetof(ngx_stomp_zone_sh_t, counters)
            && field >= offsetof(ngx_stomp_counters_sh_t, delivered));
}


/* in an object that nobody had before the section */

static ngx_uint_t
guard_was_free(lock_guard_t *g, uint32_t offset)
{
    uint32_t                    n;
    const ngx_stomp_page_sh_t  *page;

    if (offset < g->sh->first_page) {
        return 0;
    }

    page = guard_before(g, ngx_stomp_zone_offset(g, guard_descriptor(g,
                                                                offset)));

    /* the class of an empty page is not its class any more */

    if (!(page->bits[0] | page->bits[1] | page->bits[2] | page->bits[3])) {
        return 1;
    }

    n = (offset & (NGX_STOMP_PAGE_SIZE - 1)) / guard_size(page->class);

    return !(page->bits[n / 32] & (1U << n % 32));
}


/*
 * In the section that publishes a batch its messages get their numbers: until
 * then it hangs on the slot only to be freed, by who does not look at them.
 */

static ngx_uint_t
guard_numbered(lock_guard_t *g, uint32_t offset)
{
    uint32_t                       next;
    ngx_uint_t                     i;
    const ngx_stomp_slot_sh_t     *slot;
    const ngx_stomp_message_sh_t  *m;

    for (i = 0; i < NGX_STOMP_SLOTS_MAX; i++) {

        if (!guard_own(g, &g->sh->slots[i])) {
            continue;
        }

        slot = guard_before(g, ngx_stomp_zone_offset(g, &g->sh->slots[i]));

        for (next = slot->building; next; next = m->sibling) {
            m = guard_before(g, next);

            if (offset >= next + offsetof(ngx_stomp_message_sh_t, sequence)
                && offset < next + offsetof(ngx_stomp_message_sh_t, time))
            {
                return 1;
            }

            if ((m->flags & NGX_STOMP_MESSAGE_EXTRA)
                && offset >= next + sizeof(*m)
                && offset < next + sizeof(*m) + sizeof(ngx_stomp_extra_sh_t))
            {
                return 1;
            }
        }
    }

    return 0;
}


/* the zone as the section has found it */

static const void *
guard_before(lock_guard_t *g, uint32_t offset)
{
    return g->written[offset >> NGX_STOMP_PAGE_SHIFT]
           ? (void *) (g->before + offset) : ngx_stomp_zone_ptr(g, offset);
}


const char *
lock_guard_name(lock_guard_t *g, uint32_t offset)
{
    static char           text[128];

    size_t                rest, size;
    const guard_field_t  *field;

    field = guard_lookup(guard_headers, offset);
    rest = (field != NULL) ? offset - field->offset : 0;

    if (field != NULL
        && field->offset == offsetof(ngx_stomp_zone_sh_t, slots))
    {
        snprintf(text, sizeof(text), "%s of slot %zu",
                 guard_lookup(guard_slots,
                              rest % sizeof(ngx_stomp_slot_sh_t))->name,
                 rest / sizeof(ngx_stomp_slot_sh_t));

    } else if (field != NULL) {
        snprintf(text, sizeof(text), "%s+%zu of the header", field->name,
                 rest);

    } else if (offset < g->sh->descriptors) {
        snprintf(text, sizeof(text), "a hash bucket");

    } else if (offset < g->sh->first_page) {
        snprintf(text, sizeof(text), "a page descriptor");

    } else {
        size = guard_size(guard_descriptor(g, offset)->class);
        rest = (offset & (NGX_STOMP_PAGE_SIZE - 1)) % size;

        snprintf(text, sizeof(text), "octet %zu of an object of %zu", rest,
                 size);
    }

    return text;
}
