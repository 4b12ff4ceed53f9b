
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <zone_check.h>
#include <zone_walk.h>
#include <stdio.h>
#include <stdarg.h>


static const uint32_t  zone_sizes[NGX_STOMP_CLASSES] = {
    32, 48, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096
};


int
zone_fail(zone_walk_t *w, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    vsnprintf(w->error, sizeof(w->error), fmt, args);
    va_end(args);

    return 0;
}


/* size 0: any */

int
zone_mark(zone_walk_t *w, uint32_t offset, uint32_t size, u_char kind,
    const char *name)
{
    uint32_t              page, in, n;
    ngx_stomp_page_sh_t  *descriptor;

    if (offset < w->sh->first_page) {
        return zone_fail(w, "%s at %u is before the pages", name, offset);
    }

    page = (offset - w->sh->first_page) >> NGX_STOMP_PAGE_SHIFT;
    in = (offset - w->sh->first_page) & (NGX_STOMP_PAGE_SIZE - 1);

    if (page >= w->sh->arena.fresh) {
        return zone_fail(w, "%s at %u is in an untouched page", name, offset);
    }

    descriptor = &w->zone->descriptors[page];

    if (descriptor->used == 0) {
        return zone_fail(w, "%s at %u is in a free page", name, offset);
    }

    if (in % zone_sizes[descriptor->class]) {
        return zone_fail(w, "%s at %u is inside of an object", name, offset);
    }

    n = in / zone_sizes[descriptor->class];

    if (!(descriptor->bits[n / 32] & (1U << n % 32))) {
        return zone_fail(w, "%s at %u is not in use", name, offset);
    }

    if (size && zone_size_of(size) != zone_sizes[descriptor->class]) {
        return zone_fail(w, "%s at %u of %u octets has %u", name, offset, size,
                         zone_sizes[descriptor->class]);
    }

    if (w->marks[zone_index(w, offset)]) {
        return zone_fail(w, "%s at %u is reached twice (first as kind %u)",
                         name, offset, w->marks[zone_index(w, offset)]);
    }

    w->marks[zone_index(w, offset)] = kind;
    w->reached++;

    return 1;
}


int
zone_check_pages(zone_walk_t *w)
{
    uint32_t              i, n, used[NGX_STOMP_CLASSES];
    ngx_stomp_page_sh_t  *page;

    if (w->sh->undo_count) {
        return zone_fail(w, "%u notes are pending", w->sh->undo_count);
    }

    if (w->sh->arena.fresh > w->sh->arena.pages) {
        return zone_fail(w, "more fresh pages than pages");
    }

    memset(used, 0, sizeof(used));

    for (i = 0; i < w->sh->arena.pages; i++) {
        page = &w->zone->descriptors[i];

        n = __builtin_popcount(page->bits[0])
            + __builtin_popcount(page->bits[1])
            + __builtin_popcount(page->bits[2])
            + __builtin_popcount(page->bits[3]);

        if (page->class >= NGX_STOMP_CLASSES) {
            return zone_fail(w, "page %u is of class %u", i, page->class);
        }

        if (n != page->used) {
            return zone_fail(w, "page %u counts %u objects, its bits %u", i,
                             page->used, n);
        }

        if (n > NGX_STOMP_PAGE_SIZE / zone_sizes[page->class]) {
            return zone_fail(w, "page %u has too many objects", i);
        }

        for (n = NGX_STOMP_PAGE_SIZE / zone_sizes[page->class]; n < 128; n++) {
            if (page->bits[n / 32] & (1U << n % 32)) {
                return zone_fail(w, "page %u has bit %u set", i, n);
            }
        }

        if (i >= w->sh->arena.fresh && page->used) {
            return zone_fail(w, "untouched page %u has objects", i);
        }

        used[page->class] += page->used;
    }

    for (i = 0; i < NGX_STOMP_CLASSES; i++) {
        if (used[i] != w->sh->arena.used[i]) {
            return zone_fail(w, "class %u counts %u objects, its pages %u", i,
                             w->sh->arena.used[i], used[i]);
        }
    }

    return 1;
}


int
zone_check_page_lists(zone_walk_t *w)
{
    uint32_t              i, n, prev, full;
    ngx_stomp_page_sh_t  *page;

    n = w->sh->arena.pages - w->sh->arena.fresh;

    for (i = w->sh->arena.free; i; i = page->next) {

        if (i > w->sh->arena.fresh) {
            return zone_fail(w, "free list has page %u", i - 1);
        }

        page = &w->zone->descriptors[i - 1];

        if (page->used || w->listed[i - 1]++) {
            return zone_fail(w, "page %u, in use or twice, is free", i - 1);
        }

        n++;
    }

    if (n != w->sh->arena.nfree) {
        return zone_fail(w, "%u pages are free, not %u", n,
                         w->sh->arena.nfree);
    }

    for (n = 0; n < NGX_STOMP_CLASSES; n++) {

        full = NGX_STOMP_PAGE_SIZE / zone_sizes[n];
        prev = 0;

        for (i = w->sh->arena.partial[n]; i; i = page->next) {

            if (i > w->sh->arena.fresh) {
                return zone_fail(w, "list of class %u has page %u", n, i - 1);
            }

            page = &w->zone->descriptors[i - 1];

            if (page->class != n || page->prev != prev || page->used == 0
                || page->used == full || w->listed[i - 1]++)
            {
                return zone_fail(w, "page %u does not belong to the list of "
                                 "class %u", i - 1, n);
            }

            prev = i;
        }
    }

    for (i = 0; i < w->sh->arena.fresh; i++) {
        page = &w->zone->descriptors[i];
        full = NGX_STOMP_PAGE_SIZE / zone_sizes[page->class];

        if ((page->used != full) != w->listed[i]) {
            return zone_fail(w, "page %u with %u of %u objects is on %u lists",
                             i, page->used, full, w->listed[i]);
        }
    }

    return 1;
}
