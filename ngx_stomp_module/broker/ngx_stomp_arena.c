
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_arena.h>


static ngx_uint_t ngx_stomp_arena_class(size_t size);
static ngx_stomp_page_sh_t *ngx_stomp_arena_page(ngx_stomp_zone_t *zone,
    ngx_uint_t class);
static void ngx_stomp_arena_link(ngx_stomp_zone_t *zone,
    ngx_stomp_page_sh_t *page);
static void ngx_stomp_arena_unlink(ngx_stomp_zone_t *zone,
    ngx_stomp_page_sh_t *page);
static void ngx_stomp_arena_give_back(ngx_stomp_zone_t *zone, uint32_t offset);


static const uint16_t  ngx_stomp_arena_sizes[NGX_STOMP_CLASSES] = {
    32, 48, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096
};

/* objects in a page */
static const uint16_t  ngx_stomp_arena_counts[NGX_STOMP_CLASSES] = {
    128, 85, 64, 42, 32, 21, 16, 8, 4, 2, 1
};


#define ngx_stomp_page_index(zone, page)                                      \
    ((uint32_t) ((page) - (zone)->descriptors))


uint32_t
ngx_stomp_alloc_locked(ngx_stomp_zone_t *zone, size_t size)
{
    uint32_t              free, bit;
    ngx_uint_t            class, i;
    ngx_stomp_page_sh_t  *page;

    class = ngx_stomp_arena_class(size);

    if (ngx_stomp_test_full()) {
        return 0;
    }

    page = ngx_stomp_arena_page(zone, class);
    if (page == NULL) {
        return 0;
    }

    for (i = 0; page->bits[i] == 0xffffffff; i++) { /* void */ }

    free = ~page->bits[i];
    bit = (uint32_t) __builtin_ctz(free);

    ngx_stomp_set(zone, &page->bits[i], page->bits[i] | (1U << bit));
    ngx_stomp_set(zone, &page->used, page->used + 1);
    ngx_stomp_set(zone, &zone->sh->arena.used[class],
                  zone->sh->arena.used[class] + 1);

    if (page->used == ngx_stomp_arena_counts[class]) {
        ngx_stomp_arena_unlink(zone, page);
    }

    return zone->sh->first_page
           + (ngx_stomp_page_index(zone, page) << NGX_STOMP_PAGE_SHIFT)
           + (i * 32 + bit) * ngx_stomp_arena_sizes[class];
}


static ngx_uint_t
ngx_stomp_arena_class(size_t size)
{
    ngx_uint_t  class;

    for (class = 0; ngx_stomp_arena_sizes[class] < size; class++) { /* void */ }

    return class;
}


/* returns a page of that class with room for an object, or NULL */

static ngx_stomp_page_sh_t *
ngx_stomp_arena_page(ngx_stomp_zone_t *zone, ngx_uint_t class)
{
    uint32_t               index;
    ngx_stomp_page_sh_t   *page;
    ngx_stomp_arena_sh_t  *arena;

    arena = &zone->sh->arena;

    if (arena->partial[class]) {
        return &zone->descriptors[arena->partial[class] - 1];
    }

    if (arena->free) {
        index = arena->free - 1;
        page = &zone->descriptors[index];
        ngx_stomp_set(zone, &arena->free, page->next);

    } else if (arena->fresh < arena->pages) {
        index = arena->fresh;
        page = &zone->descriptors[index];
        ngx_stomp_set(zone, &arena->fresh, index + 1);

    } else {
        return NULL;
    }

    ngx_stomp_set(zone, &arena->nfree, arena->nfree - 1);
    ngx_stomp_set(zone, &page->class, (uint32_t) class);

    ngx_stomp_arena_link(zone, page);

    return page;
}


static void
ngx_stomp_arena_link(ngx_stomp_zone_t *zone, ngx_stomp_page_sh_t *page)
{
    uint32_t  *head, index;

    head = &zone->sh->arena.partial[page->class];
    index = ngx_stomp_page_index(zone, page) + 1;

    ngx_stomp_set(zone, &page->prev, 0);
    ngx_stomp_set(zone, &page->next, *head);

    if (*head) {
        ngx_stomp_set(zone, &zone->descriptors[*head - 1].prev, index);
    }

    ngx_stomp_set(zone, head, index);
}


static void
ngx_stomp_arena_unlink(ngx_stomp_zone_t *zone, ngx_stomp_page_sh_t *page)
{
    if (page->prev) {
        ngx_stomp_set(zone, &zone->descriptors[page->prev - 1].next,
                      page->next);

    } else {
        ngx_stomp_set(zone, &zone->sh->arena.partial[page->class], page->next);
    }

    if (page->next) {
        ngx_stomp_set(zone, &zone->descriptors[page->next - 1].prev,
                      page->prev);
    }
}


void
ngx_stomp_free_locked(ngx_stomp_zone_t *zone, uint32_t offset)
{
    ngx_stomp_free_chain_locked(zone, offset, offset);
}


void
ngx_stomp_free_chain_locked(ngx_stomp_zone_t *zone, uint32_t head,
    uint32_t tail)
{
    uint32_t  *link;

    link = ngx_stomp_zone_ptr(zone, tail);

    ngx_stomp_set(zone, link, zone->sh->arena.limbo);
    ngx_stomp_set(zone, &zone->sh->arena.limbo, head);
}


void
ngx_stomp_arena_collect_locked(ngx_stomp_zone_t *zone, ngx_uint_t n)
{
    uint32_t              offset, *link;
    ngx_stomp_zone_sh_t  *sh;

    sh = zone->sh;

    while (sh->arena.limbo && n--) {

        offset = sh->arena.limbo;
        link = ngx_stomp_zone_ptr(zone, offset);

        ngx_stomp_set(zone, &sh->arena.limbo, *link);

        ngx_stomp_arena_give_back(zone, offset);

        /* each object is a change of its own */

        ngx_stomp_barrier();

        sh->undo_count = 0;

        ngx_stomp_barrier();
    }
}


static void
ngx_stomp_arena_give_back(ngx_stomp_zone_t *zone, uint32_t offset)
{
    uint32_t               index, n;
    ngx_stomp_page_sh_t   *page;
    ngx_stomp_arena_sh_t  *arena;

    arena = &zone->sh->arena;

    offset -= zone->sh->first_page;
    index = offset >> NGX_STOMP_PAGE_SHIFT;
    page = &zone->descriptors[index];

    n = (offset & (NGX_STOMP_PAGE_SIZE - 1))
        / ngx_stomp_arena_sizes[page->class];

    ngx_stomp_set(zone, &page->bits[n / 32],
                  page->bits[n / 32] & ~(1U << n % 32));
    ngx_stomp_set(zone, &arena->used[page->class],
                  arena->used[page->class] - 1);

    if (page->used == ngx_stomp_arena_counts[page->class]) {
        ngx_stomp_arena_link(zone, page);
    }

    ngx_stomp_set(zone, &page->used, page->used - 1);

    if (page->used == 0) {
        ngx_stomp_arena_unlink(zone, page);

        ngx_stomp_set(zone, &page->next, arena->free);
        ngx_stomp_set(zone, &arena->free, index + 1);
        ngx_stomp_set(zone, &arena->nfree, arena->nfree + 1);
    }
}


size_t
ngx_stomp_arena_size(size_t size)
{
    return ngx_stomp_arena_sizes[ngx_stomp_arena_class(size)];
}


size_t
ngx_stomp_arena_used_locked(ngx_stomp_zone_t *zone)
{
    size_t      used;
    ngx_uint_t  class;

    used = 0;

    for (class = 0; class < NGX_STOMP_CLASSES; class++) {
        used += (size_t) zone->sh->arena.used[class]
                * ngx_stomp_arena_sizes[class];
    }

    return used;
}
