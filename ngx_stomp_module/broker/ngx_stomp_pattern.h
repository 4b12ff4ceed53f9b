
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_PATTERN_H_INCLUDED_
#define _NGX_STOMP_PATTERN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Patterns of destinations: segments between slashes, where "*" stands for
 * any one segment, and "**", as the last one, for any number of segments,
 * also none.  They are the process's own: no lock is needed.
 */


/* Returns NULL if the pattern is well-formed, or what is wrong with it. */
const char *ngx_stomp_pattern_check(ngx_str_t *pattern);

/* Returns 1 if the name matches a well-formed pattern, else 0. */
ngx_uint_t ngx_stomp_pattern_match(ngx_str_t *pattern, ngx_str_t *name);

/* Returns 1 if it is a well-formed pattern with a star, else 0. */
ngx_uint_t ngx_stomp_pattern_wild(ngx_str_t *pattern);

/* Returns 1 if some name matches both well-formed patterns, else 0. */
ngx_uint_t ngx_stomp_pattern_overlap(ngx_str_t *a, ngx_str_t *b);

/* Returns 1 if each name that matches b matches a, else 0; well-formed both. */
ngx_uint_t ngx_stomp_pattern_covers(ngx_str_t *a, ngx_str_t *b);


#endif /* _NGX_STOMP_PATTERN_H_INCLUDED_ */
