
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_hash.h>
#include <ngx_stomp_match.h>


/* steps of one section: words compared, patterns and interests passed */
#define NGX_STOMP_MATCH_STEPS     1024

/* what the hash of a prefix counts for */
#define NGX_STOMP_MATCH_HASH      8

/* then all workers with patterns are the audience */
#define NGX_STOMP_MATCH_SECTIONS  1024
#define NGX_STOMP_MATCH_RESTARTS  8

/* old matches that one new one displaces */
#define NGX_STOMP_MATCH_DISPLACE  4


static ngx_int_t ngx_stomp_match_search_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_wildcard_topics_t *topics, ngx_str_t *name,
    ngx_stomp_match_t *m);
static ngx_int_t ngx_stomp_match_prefix_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_wildcard_topics_t *topics, ngx_str_t *name,
    ngx_stomp_match_t *m, ngx_uint_t *steps);
static void ngx_stomp_match_pattern_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_pattern_sh_t *pattern, ngx_str_t *name, ngx_stomp_match_t *m,
    ngx_uint_t *steps);
static ngx_uint_t ngx_stomp_match_cached_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_wildcard_topics_t *topics, ngx_stomp_dest_sh_t *dest,
    ngx_stomp_match_t *m);
static void ngx_stomp_match_all_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_match_t *m);
static void ngx_stomp_match_store_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_wildcard_topics_t *topics, ngx_stomp_publication_t *p,
    ngx_stomp_dest_sh_t *dest, ngx_stomp_match_t *m);
static void ngx_stomp_match_link_locked(ngx_stomp_zone_t *zone,
    uint32_t offset, ngx_stomp_dest_sh_t *dest, ngx_stomp_match_t *m,
    uint32_t topics, uint32_t bytes);
static void ngx_stomp_match_remove_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_dest_sh_t *dest);


#define ngx_stomp_pattern_bucket(zone, hash)                                  \
    (&(zone)->sh->patterns[(hash) & (NGX_STOMP_PATTERN_BUCKETS - 1)])


uint32_t
ngx_stomp_pattern_add_locked(ngx_stomp_zone_t *zone, ngx_stomp_wildcard_t *w,
    uint32_t hash, ngx_uint_t slot)
{
    uint32_t                 offset, *bucket;
    ngx_stomp_zone_sh_t     *sh;
    ngx_stomp_dest_sh_t     *dest;
    ngx_stomp_pattern_sh_t  *pattern, *first;

    sh = zone->sh;

    dest = ngx_stomp_dest_find_locked(zone, &w->text, hash,
                                      NGX_STOMP_KIND_PATTERN);
    if (dest != NULL) {
        return ngx_stomp_dest_interest_locked(zone, dest, slot);
    }

    offset = ngx_stomp_alloc_locked(zone, sizeof(ngx_stomp_pattern_sh_t));
    if (offset == 0) {
        return 0;
    }

    dest = ngx_stomp_dest_create_locked(zone, &w->text, hash,
                                        NGX_STOMP_KIND_PATTERN);
    if (dest == NULL) {
        return 0;
    }

    pattern = ngx_stomp_zone_ptr(zone, offset);

    pattern->hash = (uint32_t) ngx_stomp_hash(sh->key, w->text.data,
                                              w->literal);
    bucket = ngx_stomp_pattern_bucket(zone, pattern->hash);

    pattern->next = *bucket;
    pattern->prev = 0;
    pattern->dest = ngx_stomp_zone_offset(zone, dest);
    pattern->base = w->base;
    pattern->literal = w->literal;
    pattern->depth = w->depth;
    pattern->separator = w->separator;

    if (pattern->next) {
        first = ngx_stomp_zone_ptr(zone, pattern->next);
        ngx_stomp_set(zone, &first->prev, offset);
    }

    ngx_stomp_set(zone, bucket, offset);
    ngx_stomp_set(zone, &dest->match, offset);
    ngx_stomp_set(zone, &sh->npatterns, sh->npatterns + 1);
    ngx_stomp_set(zone, &sh->depths[w->depth], sh->depths[w->depth] + 1);

    return ngx_stomp_dest_interest_locked(zone, dest, slot);
}


void
ngx_stomp_pattern_unlink_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_dest_sh_t *dest)
{
    ngx_stomp_zone_sh_t     *sh;
    ngx_stomp_pattern_sh_t  *pattern, *other;

    sh = zone->sh;
    pattern = ngx_stomp_zone_ptr(zone, dest->match);

    if (pattern->prev) {
        other = ngx_stomp_zone_ptr(zone, pattern->prev);
        ngx_stomp_set(zone, &other->next, pattern->next);

    } else {
        ngx_stomp_set(zone, ngx_stomp_pattern_bucket(zone, pattern->hash),
                      pattern->next);
    }

    if (pattern->next) {
        other = ngx_stomp_zone_ptr(zone, pattern->next);
        ngx_stomp_set(zone, &other->prev, pattern->prev);
    }

    ngx_stomp_set(zone, &sh->npatterns, sh->npatterns - 1);
    ngx_stomp_set(zone, &sh->depths[pattern->depth],
                  sh->depths[pattern->depth] - 1);

    ngx_stomp_free_locked(zone, dest->match);
}


void
ngx_stomp_pattern_changed_locked(ngx_stomp_zone_t *zone)
{
    ngx_stomp_set64(zone, &zone->sh->generation, zone->sh->generation + 1);
}


ngx_int_t
ngx_stomp_match_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_wildcard_topics_t *topics, ngx_stomp_publication_t *p,
    ngx_stomp_match_t *m)
{
    uint32_t              restarts, sections;
    ngx_stomp_dest_sh_t  *dest;

    dest = ngx_stomp_dest_lookup_locked(zone, &p->destination, p->hash);

    if (ngx_stomp_match_cached_locked(zone, topics, dest, m)) {
        return NGX_OK;
    }

    if (m->generation != zone->sh->generation) {

        /* patterns came or went: what was found may be gone */

        restarts = m->restarts + 1;
        sections = m->sections;

        ngx_memzero(m, sizeof(ngx_stomp_match_t));

        m->generation = zone->sh->generation;
        m->restarts = restarts;
        m->sections = sections;
    }

    m->sections++;

    if (m->restarts > NGX_STOMP_MATCH_RESTARTS) {
        ngx_stomp_match_all_locked(zone, m);
        return NGX_OK;
    }

    /* what took too long is kept, too: not to try it again at each publish */

    if (m->sections > NGX_STOMP_MATCH_SECTIONS) {
        ngx_stomp_match_all_locked(zone, m);
        ngx_stomp_match_store_locked(zone, topics, p, dest, m);
        return NGX_OK;
    }

    if (ngx_stomp_match_search_locked(zone, topics, &p->destination, m)
        == NGX_AGAIN)
    {
        return NGX_AGAIN;
    }

    ngx_stomp_match_store_locked(zone, topics, p, dest, m);

    return NGX_OK;
}


static ngx_uint_t
ngx_stomp_match_cached_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_wildcard_topics_t *topics, ngx_stomp_dest_sh_t *dest,
    ngx_stomp_match_t *m)
{
    ngx_stomp_match_sh_t  *match;

    if (dest == NULL || dest->match == 0) {
        return 0;
    }

    match = ngx_stomp_zone_ptr(zone, dest->match);

    if (match->generation != zone->sh->generation
        || match->topics != topics->id)
    {
        return 0;
    }

    m->generation = match->generation;
    m->n = match->n;
    m->rest = match->rest;

    ngx_memcpy(m->patterns, match->patterns, sizeof(m->patterns));
    ngx_memcpy(m->slots, match->slots, sizeof(m->slots));

    return 1;
}


void
ngx_stomp_match_known_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_wildcard_topics_t *topics, ngx_stomp_dest_sh_t *dest,
    ngx_stomp_match_t *m)
{
    if (!ngx_stomp_match_cached_locked(zone, topics, dest, m)) {
        ngx_memzero(m, sizeof(ngx_stomp_match_t));
        ngx_stomp_match_all_locked(zone, m);
    }
}


static void
ngx_stomp_match_all_locked(ngx_stomp_zone_t *zone, ngx_stomp_match_t *m)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_STOMP_SLOTS_MAX; i++) {
        if (zone->sh->slots[i].npatterns) {
            m->slots[i / 32] |= 1U << i % 32;
        }
    }

    m->n = ngx_max(m->n, 1);
}


/* NGX_OK: all patterns that could match were looked at */

static ngx_int_t
ngx_stomp_match_search_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_wildcard_topics_t *topics, ngx_str_t *name, ngx_stomp_match_t *m)
{
    ngx_uint_t               steps;
    ngx_stomp_pattern_sh_t  *pattern;

    steps = 0;

    while (steps < NGX_STOMP_MATCH_STEPS) {

        if (m->next == 0) {

            if (ngx_stomp_match_prefix_locked(zone, topics, name, m, &steps)
                != NGX_OK)
            {
                return NGX_OK;
            }

            continue;
        }

        pattern = ngx_stomp_zone_ptr(zone, m->next);
        m->next = pattern->next;
        steps++;

        if (pattern->hash == m->hash
            && pattern->base == m->base
            && pattern->depth == m->depth
            && pattern->separator == m->separator)
        {
            ngx_stomp_match_pattern_locked(zone, pattern, name, m, &steps);
        }
    }

    return NGX_AGAIN;
}


/*
 * Goes on to the next part of the name, from the prefix of a topic to the
 * whole, that a pattern may begin with.  NGX_OK, NGX_DONE: there is none.
 */

static ngx_int_t
ngx_stomp_match_prefix_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_wildcard_topics_t *topics, ngx_str_t *name,
    ngx_stomp_match_t *m, ngx_uint_t *steps)
{
    u_char     *end, *last;
    ngx_str_t  *prefix;

    prefix = topics->prefixes->elts;
    last = name->data + name->len;

    while (m->topic < topics->prefixes->nelts) {

        (*steps)++;

        if (!m->entered) {

            if (!ngx_stomp_wildcard_topic(topics, m->topic, name)) {
                m->topic++;
                continue;
            }

            m->entered = 1;
            m->depth = 0;
            m->base = (uint32_t) prefix[m->topic].len;
            m->pos = m->base;
            m->separator = ngx_stomp_wildcard_separator(topics, m->topic);

        } else if (m->pos == name->len
                   || m->depth == NGX_STOMP_WILDCARD_WORDS)
        {
            m->entered = 0;
            m->topic++;
            continue;

        } else {
            end = ngx_strlchr(name->data + m->pos + (m->depth != 0), last,
                              m->separator);
            m->pos = (uint32_t) ((end ? end : last) - name->data);
            m->depth++;
        }

        if (zone->sh->depths[m->depth] == 0) {
            continue;
        }

        *steps += NGX_STOMP_MATCH_HASH;

        m->hash = (uint32_t) ngx_stomp_hash(zone->sh->key, name->data, m->pos);
        m->next = *ngx_stomp_pattern_bucket(zone, m->hash);

        if (m->next) {
            return NGX_OK;
        }
    }

    return NGX_DONE;
}


static void
ngx_stomp_match_pattern_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_pattern_sh_t *pattern, ngx_str_t *name, ngx_stomp_match_t *m,
    ngx_uint_t *steps)
{
    uint32_t                  offset;
    ngx_stomp_dest_sh_t      *dest;
    ngx_stomp_wildcard_t      w;
    ngx_stomp_interest_sh_t  *in;

    dest = ngx_stomp_zone_ptr(zone, pattern->dest);

    w.text.data = dest->name;
    w.text.len = dest->len;
    w.base = pattern->base;
    w.literal = pattern->literal;
    w.depth = pattern->depth;
    w.separator = (u_char) pattern->separator;

    if (!ngx_stomp_wildcard_match(&w, name, steps)) {
        return;
    }

    for (offset = dest->interests; offset; offset = in->next) {
        in = ngx_stomp_zone_ptr(zone, offset);

        m->slots[in->slot / 32] |= 1U << in->slot % 32;
        (*steps)++;
    }

    if (m->n < NGX_STOMP_MATCH_LISTED) {
        m->patterns[m->n] = pattern->dest;

    } else {
        m->rest += dest->subscribers;
    }

    m->n++;
}


uint32_t
ngx_stomp_match_subscribers_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_match_t *m)
{
    uint32_t              i, n;
    ngx_stomp_dest_sh_t  *dest;

    n = m->rest;

    for (i = 0; i < NGX_STOMP_MATCH_LISTED && m->patterns[i]; i++) {
        dest = ngx_stomp_zone_ptr(zone, m->patterns[i]);
        n += dest->subscribers;
    }

    return n;
}


static void
ngx_stomp_match_store_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_wildcard_topics_t *topics, ngx_stomp_publication_t *p,
    ngx_stomp_dest_sh_t *dest, ngx_stomp_match_t *m)
{
    uint32_t              offset, bytes, limit;
    ngx_uint_t            i;
    ngx_stomp_zone_sh_t  *sh;

    sh = zone->sh;

    if (dest != NULL && dest->match) {
        ngx_stomp_match_remove_locked(zone, dest);
    }

    /* a name that nobody hears is kept only if that was hard to find out */

    if (m->n == 0 && m->sections == 1
        && (dest == NULL || dest->interests == 0))
    {
        if (dest != NULL) {
            ngx_stomp_dest_release_locked(zone, dest);
        }

        return;
    }

    bytes = (uint32_t) (ngx_stomp_arena_size(sizeof(ngx_stomp_match_sh_t))
                        + ngx_stomp_arena_size(
                                         offsetof(ngx_stomp_dest_sh_t, name)
                                         + p->destination.len));
    limit = sh->size / NGX_STOMP_MATCH_SHARE;

    for (i = 0; sh->match_bytes + bytes > limit && sh->matches
                && i < NGX_STOMP_MATCH_DISPLACE;
         i++)
    {
        ngx_stomp_match_trim_locked(zone, 1);
    }

    offset = 0;

    if (sh->match_bytes + bytes <= limit) {
        offset = ngx_stomp_alloc_locked(zone, sizeof(ngx_stomp_match_sh_t));
    }

    if (offset && dest == NULL) {

        dest = ngx_stomp_dest_create_locked(zone, &p->destination, p->hash,
                                            NGX_STOMP_KIND_TOPIC);
        if (dest == NULL) {
            ngx_stomp_free_locked(zone, offset);
            return;
        }
    }

    if (offset) {
        ngx_stomp_match_link_locked(zone, offset, dest, m, topics->id, bytes);

    } else if (dest != NULL) {
        ngx_stomp_match_drop_locked(zone, dest);
    }
}


static void
ngx_stomp_match_link_locked(ngx_stomp_zone_t *zone, uint32_t offset,
    ngx_stomp_dest_sh_t *dest, ngx_stomp_match_t *m, uint32_t topics,
    uint32_t bytes)
{
    ngx_stomp_zone_sh_t   *sh;
    ngx_stomp_match_sh_t  *match, *tail;

    sh = zone->sh;
    match = ngx_stomp_zone_ptr(zone, offset);

    match->next = 0;
    match->prev = sh->matches_tail;
    match->dest = ngx_stomp_zone_offset(zone, dest);
    match->topics = topics;
    match->generation = m->generation;
    match->bytes = (uint16_t) bytes;
    match->n = (uint16_t) ngx_min(m->n, 0xffff);
    match->rest = m->rest;

    ngx_memcpy(match->patterns, m->patterns, sizeof(m->patterns));
    ngx_memcpy(match->slots, m->slots, sizeof(m->slots));

    if (match->prev) {
        tail = ngx_stomp_zone_ptr(zone, match->prev);
        ngx_stomp_set(zone, &tail->next, offset);

    } else {
        ngx_stomp_set(zone, &sh->matches, offset);
    }

    ngx_stomp_set(zone, &sh->matches_tail, offset);
    ngx_stomp_set(zone, &sh->match_bytes, sh->match_bytes + bytes);
    ngx_stomp_set(zone, &dest->match, offset);
}


static void
ngx_stomp_match_remove_locked(ngx_stomp_zone_t *zone,
    ngx_stomp_dest_sh_t *dest)
{
    ngx_stomp_zone_sh_t   *sh;
    ngx_stomp_match_sh_t  *match, *other;

    sh = zone->sh;
    match = ngx_stomp_zone_ptr(zone, dest->match);

    if (match->prev) {
        other = ngx_stomp_zone_ptr(zone, match->prev);
        ngx_stomp_set(zone, &other->next, match->next);

    } else {
        ngx_stomp_set(zone, &sh->matches, match->next);
    }

    if (match->next) {
        other = ngx_stomp_zone_ptr(zone, match->next);
        ngx_stomp_set(zone, &other->prev, match->prev);

    } else {
        ngx_stomp_set(zone, &sh->matches_tail, match->prev);
    }

    ngx_stomp_set(zone, &sh->match_bytes, sh->match_bytes - match->bytes);

    ngx_stomp_free_locked(zone, dest->match);
    ngx_stomp_set(zone, &dest->match, 0);
}


void
ngx_stomp_match_drop_locked(ngx_stomp_zone_t *zone, ngx_stomp_dest_sh_t *dest)
{
    if (dest->match) {
        ngx_stomp_match_remove_locked(zone, dest);
    }

    ngx_stomp_dest_release_locked(zone, dest);
}


void
ngx_stomp_match_trim_locked(ngx_stomp_zone_t *zone, ngx_uint_t n)
{
    ngx_stomp_match_sh_t  *match;

    while (zone->sh->matches && n--) {
        match = ngx_stomp_zone_ptr(zone, zone->sh->matches);

        ngx_stomp_match_drop_locked(zone, ngx_stomp_zone_ptr(zone,
                                                             match->dest));
    }
}
