
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


#endif /* _NGX_STOMP_PATTERN_H_INCLUDED_ */
