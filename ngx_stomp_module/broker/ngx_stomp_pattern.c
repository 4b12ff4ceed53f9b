
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_pattern.h>


#define ngx_stomp_pattern_any(p, end)                                         \
    ((end) - (p) == 2 && (p)[0] == '*' && (p)[1] == '*')

#define ngx_stomp_pattern_one(p, end)  ((end) - (p) == 1 && *(p) == '*')


static u_char *ngx_stomp_pattern_segment(u_char *p, u_char *last);


const char *
ngx_stomp_pattern_check(ngx_str_t *pattern)
{
    u_char  *p, *end, *last;

    p = pattern->data;
    last = p + pattern->len;

    if (p == last || *p != '/') {
        return "must begin with \"/\"";
    }

    for (p++; /* void */ ; p = end + 1) {

        end = ngx_stomp_pattern_segment(p, last);

        if (ngx_strlchr(p, end, '*') != NULL) {

            if (ngx_stomp_pattern_any(p, end)) {
                if (end != last) {
                    return "can have \"**\" only at its end";
                }

            } else if (end - p != 1) {
                return "can have \"*\" only as a whole segment";
            }
        }

        if (end == last) {
            return NULL;
        }
    }
}


/* returns the end of the segment that begins at p */

static u_char *
ngx_stomp_pattern_segment(u_char *p, u_char *last)
{
    u_char  *end;

    end = ngx_strlchr(p, last, '/');

    return (end != NULL) ? end : last;
}


ngx_uint_t
ngx_stomp_pattern_match(ngx_str_t *pattern, ngx_str_t *name)
{
    u_char  *p, *p_end, *p_last, *n, *n_end, *n_last;

    p = pattern->data;
    p_last = p + pattern->len;
    n = name->data;
    n_last = n + name->len;

    for ( ;; ) {

        p_end = ngx_stomp_pattern_segment(p, p_last);

        if (ngx_stomp_pattern_any(p, p_end)) {
            return 1;
        }

        n_end = ngx_stomp_pattern_segment(n, n_last);

        if (ngx_stomp_pattern_one(p, p_end)) {

            /* a segment has at least one character */

            if (n == n_end) {
                return 0;
            }

        } else if (p_end - p != n_end - n
                   || ngx_memcmp(p, n, p_end - p) != 0)
        {
            return 0;
        }

        if (p_end == p_last || n_end == n_last) {
            break;
        }

        p = p_end + 1;
        n = n_end + 1;
    }

    if (p_end == p_last) {
        return n_end == n_last;
    }

    /* the name ends: what is left of the pattern can be "/" "**" only */

    p = p_end + 1;

    return ngx_stomp_pattern_any(p, p_last);
}


ngx_uint_t
ngx_stomp_pattern_wild(ngx_str_t *pattern)
{
    return ngx_strlchr(pattern->data, pattern->data + pattern->len, '*') != NULL
           && ngx_stomp_pattern_check(pattern) == NULL;
}


ngx_uint_t
ngx_stomp_pattern_overlap(ngx_str_t *a, ngx_str_t *b)
{
    u_char  *p, *p_end, *p_last, *q, *q_end, *q_last;

    p = a->data;
    p_last = p + a->len;
    q = b->data;
    q_last = q + b->len;

    for ( ;; ) {

        p_end = ngx_stomp_pattern_segment(p, p_last);
        q_end = ngx_stomp_pattern_segment(q, q_last);

        /* what is left of the other one matches some names */

        if (ngx_stomp_pattern_any(p, p_end)
            || ngx_stomp_pattern_any(q, q_end))
        {
            return 1;
        }

        if (ngx_stomp_pattern_one(p, p_end)) {
            if (q == q_end) {
                return 0;
            }

        } else if (ngx_stomp_pattern_one(q, q_end)) {
            if (p == p_end) {
                return 0;
            }

        } else if (p_end - p != q_end - q
                   || ngx_memcmp(p, q, p_end - p) != 0)
        {
            return 0;
        }

        if (p_end == p_last || q_end == q_last) {
            break;
        }

        p = p_end + 1;
        q = q_end + 1;
    }

    if (p_end != p_last) {
        return ngx_stomp_pattern_any(p_end + 1, p_last);
    }

    return q_end == q_last || ngx_stomp_pattern_any(q_end + 1, q_last);
}


ngx_uint_t
ngx_stomp_pattern_covers(ngx_str_t *a, ngx_str_t *b)
{
    u_char  *p, *p_end, *p_last, *q, *q_end, *q_last;

    p = a->data;
    p_last = p + a->len;
    q = b->data;
    q_last = q + b->len;

    for ( ;; ) {

        p_end = ngx_stomp_pattern_segment(p, p_last);
        q_end = ngx_stomp_pattern_segment(q, q_last);

        if (ngx_stomp_pattern_any(p, p_end)) {
            return 1;
        }

        /* names of b may end here, those of a don't */

        if (ngx_stomp_pattern_any(q, q_end)) {
            return 0;
        }

        if (ngx_stomp_pattern_one(p, p_end)) {
            if (q == q_end) {
                return 0;
            }

        } else if (p_end - p != q_end - q
                   || ngx_memcmp(p, q, p_end - p) != 0)
        {
            return 0;
        }

        if (p_end == p_last || q_end == q_last) {
            break;
        }

        p = p_end + 1;
        q = q_end + 1;
    }

    if (p_end == p_last) {
        return q_end == q_last;
    }

    return q_end == q_last && ngx_stomp_pattern_any(p_end + 1, p_last);
}
