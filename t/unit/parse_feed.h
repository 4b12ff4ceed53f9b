
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _PARSE_FEED_H_INCLUDED_
#define _PARSE_FEED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_parse.h>
#include <unit_guard.h>

#define PARSE_SIZE  8192


/*
 * What came of a parser, as text:
 *     COMMAND/number[name=value]...(body)@length   after NGX_OK
 *     COMMAND/number[name=value]...!reason:error   after NGX_ABORT
 *     COMMAND/number[name=value]...?scanned        after NGX_AGAIN
 */

typedef struct {
    size_t      len;
    char        data[PARSE_SIZE];
} parse_log_t;


typedef struct {
    size_t      first;          /* octets of the first piece, */
    size_t      chunk;          /* and of the others */
    uint32_t   *seed;           /* if set, of any length up to chunk */
} parse_cut_t;


extern ngx_stomp_limits_t  parse_limits;
extern unit_guard_t        parse_guards[2];
extern parse_log_t         parse_whole, parse_pieces;


/* Called once before the others. */
void parse_feed_init(void);

/* Prepares a parser, with parse_limits. */
void parse_start(ngx_stomp_parser_t *p, ngx_uint_t version);

/*
 * Appends what came of a parser; all that its frame points to must lie in
 * data, the octets of the last call.
 */
void parse_put_result(parse_log_t *log, ngx_stomp_parser_t *p, ngx_int_t rc,
    u_char *data, size_t len);

/*
 * Gives one frame to a parser, at another address each time, and logs what
 * came of it.  Returns the parser's last answer.
 */
ngx_int_t parse_run(parse_log_t *log, const char *text, size_t len,
    ngx_uint_t version, parse_cut_t *cut);

/* The same in one piece, into parse_whole. */
ngx_int_t parse_run_whole(const char *text, size_t len, ngx_uint_t version);

/*
 * Checks that the text, and each prefix of it, give the same whole, cut in
 * two anywhere and octet by octet, and that the text gives what is expected.
 * Of an error only the start is compared, not its text.
 */
void parse_gives(const char *text, size_t len, ngx_uint_t version,
    const char *expected);


#endif /* _PARSE_FEED_H_INCLUDED_ */
