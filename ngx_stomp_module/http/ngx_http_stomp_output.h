
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_HTTP_STOMP_OUTPUT_H_INCLUDED_
#define _NGX_HTTP_STOMP_OUTPUT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* Short answers that the module's locations give. */


/* Upgrade Required; nginx has neither name nor text for it */
#define NGX_HTTP_STOMP_UPGRADE  426


/*
 * Sends a whole answer with a JSON body, in memory that lives as long as the
 * request; nothing of it for HEAD.  Returns what a content handler returns.
 */
ngx_int_t ngx_http_stomp_send_json(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *json);

/*
 * Sends {"error": text}, logs the text at info, and counts it as refused by
 * the location's broker; the text is made as by ngx_sprintf().  Never NGX_OK,
 * so that a check may return it: NGX_ABORT, or what else a content handler
 * returns.
 */
ngx_int_t ngx_cdecl ngx_http_stomp_send_error(ngx_http_request_t *r,
    ngx_uint_t status, const char *fmt, ...);

/* What a content handler returns after that: an answer is an answer to nginx */
#define ngx_http_stomp_result(rc)  ((rc) == NGX_ABORT ? NGX_OK : (rc))

/* Adds an answer's header; both are static text.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_stomp_add_header(ngx_http_request_t *r, const char *key,
    const char *value);

/*
 * Looks for a request's header, in any case of letters.  after: NULL the first
 * time; then what was returned, to find a repeated one.  Returns it or NULL.
 */
ngx_table_elt_t *ngx_http_stomp_header_in(ngx_http_request_t *r,
    const char *name, size_t len, ngx_table_elt_t *after);

/* Returns the same for headers whose names begin with a prefix. */
ngx_table_elt_t *ngx_http_stomp_header_prefix(ngx_http_request_t *r,
    const char *prefix, size_t len, ngx_table_elt_t *after);

#define ngx_http_stomp_header(r, name)                                        \
    ngx_http_stomp_header_in(r, name, sizeof(name) - 1, NULL)


#endif /* _NGX_HTTP_STOMP_OUTPUT_H_INCLUDED_ */
