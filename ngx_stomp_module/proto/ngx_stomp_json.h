
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_JSON_H_INCLUDED_
#define _NGX_STOMP_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Writes src as a JSON string with its quotes (RFC 8259, section 7).
 * What is not valid UTF-8 becomes U+FFFD, one for each incomplete character
 * or stray octet, as browsers decode it.  Beside what JSON demands,
 * "<", ">", "&", U+2028 and U+2029 are escaped, so that the result is safe
 * inside a script element and in old JavaScript.
 * dst: room for ngx_stomp_json_string_len(src) octets, which is exact.
 * Returns the position after the last octet written.
 */
u_char *ngx_stomp_json_string(u_char *dst, ngx_str_t *src);

/* Returns the exact number of octets that ngx_stomp_json_string() writes. */
size_t ngx_stomp_json_string_len(ngx_str_t *src);


#endif /* _NGX_STOMP_JSON_H_INCLUDED_ */
