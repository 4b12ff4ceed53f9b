
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <zone_check.h>
#include <zone_walk.h>


static int zone_check_pattern(zone_walk_t *w, uint32_t offset, uint32_t prev,
    uint32_t bucket);
static int zone_check_match(zone_walk_t *w, uint32_t offset, uint32_t prev);
static int zone_check_answer(zone_walk_t *w, ngx_stomp_match_sh_t *match);
static void zone_wildcard(zone_walk_t *w, ngx_stomp_pattern_sh_t *pattern,
    ngx_stomp_wildcard_t *wildcard);
static int zone_is_dest(zone_walk_t *w, uint32_t offset, uint32_t kind,
    uint32_t match);


int
zone_check_patterns(zone_walk_t *w)
{
    uint32_t                 i, n, offset, prev, depths[NGX_STOMP_DEPTHS];
    ngx_stomp_pattern_sh_t  *pattern;

    memset(depths, 0, sizeof(depths));
    n = 0;

    for (i = 0; i < NGX_STOMP_PATTERN_BUCKETS; i++) {

        prev = 0;

        for (offset = w->sh->patterns[i]; offset; offset = pattern->next) {

            if (!zone_check_pattern(w, offset, prev, i)) {
                return 0;
            }

            pattern = ngx_stomp_zone_ptr(w->zone, offset);
            depths[pattern->depth]++;
            prev = offset;
            n++;
        }
    }

    if (n != w->sh->npatterns
        || memcmp(depths, w->sh->depths, sizeof(depths)) != 0)
    {
        return zone_fail(w, "%u patterns are there, %u counted", n,
                         w->sh->npatterns);
    }

    return 1;
}


static int
zone_check_pattern(zone_walk_t *w, uint32_t offset, uint32_t prev,
    uint32_t bucket)
{
    ngx_str_t                literal;
    ngx_stomp_wildcard_t     wildcard;
    ngx_stomp_pattern_sh_t  *pattern;

    if (!zone_mark(w, offset, sizeof(ngx_stomp_pattern_sh_t), ZONE_PATTERN,
                   "pattern"))
    {
        return 0;
    }

    pattern = ngx_stomp_zone_ptr(w->zone, offset);

    if (!zone_is_dest(w, pattern->dest, NGX_STOMP_KIND_PATTERN, offset)) {
        return zone_fail(w, "pattern at %u has no destination", offset);
    }

    zone_wildcard(w, pattern, &wildcard);

    literal.data = wildcard.text.data;
    literal.len = pattern->literal;

    if (pattern->prev != prev
        || pattern->depth >= NGX_STOMP_DEPTHS
        || pattern->literal < pattern->base
        || pattern->literal >= wildcard.text.len
        || pattern->hash != ngx_stomp_dest_hash(w->zone, &literal)
        || (pattern->hash & (NGX_STOMP_PATTERN_BUCKETS - 1)) != bucket)
    {
        return zone_fail(w, "pattern at %u is damaged", offset);
    }

    return 1;
}


int
zone_check_matches(zone_walk_t *w)
{
    uint32_t               offset, prev, bytes;
    ngx_stomp_match_sh_t  *match;

    prev = 0;
    bytes = 0;

    for (offset = w->sh->matches; offset; offset = match->next) {

        if (!zone_check_match(w, offset, prev)) {
            return 0;
        }

        match = ngx_stomp_zone_ptr(w->zone, offset);
        bytes += match->bytes;
        prev = offset;
    }

    if (prev != w->sh->matches_tail || bytes != w->sh->match_bytes
        || bytes > w->sh->size / NGX_STOMP_MATCH_SHARE
        || w->sh->matched > w->sh->sequence)
    {
        return zone_fail(w, "matches: tail %u, not %u; %u octets, not %u",
                         w->sh->matches_tail, prev, w->sh->match_bytes,
                         bytes);
    }

    return 1;
}


static int
zone_check_match(zone_walk_t *w, uint32_t offset, uint32_t prev)
{
    ngx_stomp_match_sh_t  *match;

    if (!zone_mark(w, offset, sizeof(ngx_stomp_match_sh_t), ZONE_MATCH,
                   "match"))
    {
        return 0;
    }

    match = ngx_stomp_zone_ptr(w->zone, offset);

    if (match->prev != prev || match->generation > w->sh->generation) {
        return zone_fail(w, "match at %u is damaged", offset);
    }

    if (!zone_is_dest(w, match->dest, NGX_STOMP_KIND_TOPIC, offset)) {
        return zone_fail(w, "match at %u has no destination", offset);
    }

    if (match->generation == w->sh->generation
        && !zone_check_answer(w, match))
    {
        return zone_fail(w, "match at %u is wrong", offset);
    }

    return 1;
}


/* compares with all patterns, one after the other */

static int
zone_check_answer(zone_walk_t *w, ngx_stomp_match_sh_t *match)
{
    uint32_t                  i, in, n, offset;
    ngx_str_t                 name;
    uint32_t                  slots[NGX_STOMP_SLOTS_MAX / 32];
    ngx_uint_t                steps;
    ngx_stomp_dest_sh_t      *dest;
    ngx_stomp_wildcard_t      wildcard;
    ngx_stomp_pattern_sh_t   *pattern;
    ngx_stomp_interest_sh_t  *interest;

    dest = ngx_stomp_zone_ptr(w->zone, match->dest);
    name.data = dest->name;
    name.len = dest->len;

    memset(slots, 0, sizeof(slots));
    n = 0;
    steps = 0;

    for (i = 0; i < NGX_STOMP_PATTERN_BUCKETS; i++) {

        for (offset = w->sh->patterns[i]; offset; offset = pattern->next) {

            pattern = ngx_stomp_zone_ptr(w->zone, offset);
            zone_wildcard(w, pattern, &wildcard);

            if (!ngx_stomp_wildcard_match(&wildcard, &name, &steps)) {
                continue;
            }

            n++;
            dest = ngx_stomp_zone_ptr(w->zone, pattern->dest);

            for (in = dest->interests; in; in = interest->next) {
                interest = ngx_stomp_zone_ptr(w->zone, in);
                slots[interest->slot / 32] |= 1U << interest->slot % 32;
            }
        }
    }

    return (n == match->n && memcmp(slots, match->slots, sizeof(slots)) == 0);
}


static void
zone_wildcard(zone_walk_t *w, ngx_stomp_pattern_sh_t *pattern,
    ngx_stomp_wildcard_t *wildcard)
{
    ngx_stomp_dest_sh_t  *dest;

    dest = ngx_stomp_zone_ptr(w->zone, pattern->dest);

    wildcard->text.data = dest->name;
    wildcard->text.len = dest->len;
    wildcard->base = pattern->base;
    wildcard->literal = pattern->literal;
    wildcard->depth = pattern->depth;
    wildcard->separator = (u_char) pattern->separator;
}


/* a destination that was reached and refers to the same entry */

static int
zone_is_dest(zone_walk_t *w, uint32_t offset, uint32_t kind, uint32_t match)
{
    ngx_stomp_dest_sh_t  *dest;

    if (!zone_inside(w, offset)
        || w->marks[zone_index(w, offset)] != ZONE_DEST)
    {
        return 0;
    }

    dest = ngx_stomp_zone_ptr(w->zone, offset);

    return (dest->kind == kind && dest->match == match);
}
