
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_parse.h>
#include <ngx_stomp_header.h>
#include <ngx_stomp_utf8.h>


static ngx_int_t ngx_stomp_parse_command(ngx_stomp_parser_t *p, size_t len);
static void ngx_stomp_parse_command_name(ngx_stomp_parser_t *p, size_t len);
static ngx_int_t ngx_stomp_parse_line(ngx_stomp_parser_t *p, size_t len);
static ngx_int_t ngx_stomp_parse_header(ngx_stomp_parser_t *p, u_char *line,
    size_t len);
static ngx_int_t ngx_stomp_parse_value(ngx_stomp_parser_t *p,
    ngx_stomp_header_t *header);
static ngx_int_t ngx_stomp_parse_length(ngx_stomp_parser_t *p,
    ngx_str_t *value);
static ngx_int_t ngx_stomp_parse_sized(ngx_stomp_parser_t *p, size_t len);
static ngx_int_t ngx_stomp_parse_unsized(ngx_stomp_parser_t *p, size_t len);
static ngx_int_t ngx_stomp_parse_done(ngx_stomp_parser_t *p, size_t len);
static ngx_int_t ngx_stomp_parse_fail(ngx_stomp_parser_t *p,
    ngx_stomp_parse_error_e reason, const char *error);


#define ngx_stomp_malformed(p, error)                                         \
    ngx_stomp_parse_fail(p, NGX_STOMP_PARSE_MALFORMED, error)


typedef enum {
    sw_command = 0,
    sw_command_almost_done,
    sw_headers,
    sw_body
} ngx_stomp_parse_state_e;


/* in the order of ngx_stomp_command_e */

static ngx_str_t  ngx_stomp_commands[] = {
    ngx_string("CONNECT"),
    ngx_string("STOMP"),
    ngx_string("SEND"),
    ngx_string("SUBSCRIBE"),
    ngx_string("UNSUBSCRIBE"),
    ngx_string("ACK"),
    ngx_string("NACK"),
    ngx_string("BEGIN"),
    ngx_string("COMMIT"),
    ngx_string("ABORT"),
    ngx_string("DISCONNECT"),
    ngx_null_string
};


void
ngx_stomp_parse_init(ngx_stomp_parser_t *p)
{
    ngx_memzero(&p->frame, sizeof(ngx_stomp_frame_t));

    p->frame.command = NGX_STOMP_CMD_UNKNOWN;
    p->frame.headers = p->headers;

    p->error = NULL;
    p->reason = NGX_STOMP_PARSE_OK;

    p->base = NULL;
    p->pos = 0;
    p->line = 0;
    p->body = 0;
    p->content_length = 0;
    p->state = sw_command;
    p->sized = 0;
}


ngx_int_t
ngx_stomp_parse(ngx_stomp_parser_t *p, u_char *data, size_t len)
{
    ngx_int_t  rc;

    if (p->base != data) {
        ngx_stomp_parse_rebase(p, data);
    }

    while (p->pos < len) {

        switch (p->state) {

        case sw_command:
        case sw_command_almost_done:
            rc = ngx_stomp_parse_command(p, len);
            break;

        case sw_headers:
            rc = ngx_stomp_parse_line(p, len);
            break;

        default: /* sw_body */
            return p->sized ? ngx_stomp_parse_sized(p, len)
                            : ngx_stomp_parse_unsized(p, len);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_AGAIN;
}


/* the old address may be free memory: it is used as a number only */

void
ngx_stomp_parse_rebase(ngx_stomp_parser_t *p, u_char *data)
{
    ngx_uint_t           i;
    ngx_stomp_header_t  *header;

    if (p->frame.name.data != NULL) {
        p->frame.name.data = data + (p->frame.name.data - p->base);
    }

    for (i = 0; i < p->frame.nheaders; i++) {
        header = &p->headers[i];
        header->name.data = data + (header->name.data - p->base);
        header->value.data = data + (header->value.data - p->base);
    }

    if (p->frame.body.data != NULL) {
        p->frame.body.data = data + (p->frame.body.data - p->base);
    }

    p->base = data;
}


static ngx_int_t
ngx_stomp_parse_command(ngx_stomp_parser_t *p, size_t len)
{
    u_char  c;
    size_t  pos;

    for (pos = p->pos; pos < len; pos++) {
        c = p->base[pos];

        if (p->state == sw_command_almost_done) {

            if (c != '\n') {
                break;
            }

            ngx_stomp_parse_command_name(p, pos - 1);

            return NGX_OK;
        }

        if (c >= 'A' && c <= 'Z') {

            if (pos == NGX_STOMP_COMMAND_MAX) {
                break;
            }

            continue;
        }

        if (pos == 0) {
            break;
        }

        if (c == '\n') {
            ngx_stomp_parse_command_name(p, pos);
            return NGX_OK;
        }

        if (c != '\r') {
            break;
        }

        p->state = sw_command_almost_done;
    }

    p->pos = pos;

    if (pos == len) {
        return NGX_AGAIN;
    }

    return ngx_stomp_malformed(p, "frame must begin with a line that is "
                               "a command in capital letters");
}


static void
ngx_stomp_parse_command_name(ngx_stomp_parser_t *p, size_t len)
{
    ngx_str_t   *command;
    ngx_uint_t   i;

    p->frame.name.len = len;
    p->frame.name.data = p->base;

    for (i = 0; i < NGX_STOMP_CMD_UNKNOWN; i++) {
        command = &ngx_stomp_commands[i];

        if (command->len == len
            && ngx_memcmp(command->data, p->base, len) == 0)
        {
            break;
        }
    }

    p->frame.command = (ngx_stomp_command_e) i;

    p->pos = len + ((p->state == sw_command) ? 1 : 2);
    p->line = p->pos;
    p->state = sw_headers;
}


/*
 * Only octets that may belong to a line within the limit are looked at, so
 * that the same error is found however the input is sliced.
 */

static ngx_int_t
ngx_stomp_parse_line(ngx_stomp_parser_t *p, size_t len)
{
    u_char  *line, *start, *eol;
    size_t   n, max;

    line = p->base + p->line;
    start = p->base + p->pos;

    n = len - p->line;
    max = p->limits->max_header_length;

    if (n > max) {

        /* a line of the largest length may end with LF or CRLF */

        n = (line[max] == '\r' && n - 1 > max) ? max + 2 : max + 1;
    }

    eol = memchr(start, '\n', line + n - start);

    if (memchr(start, '\0', ((eol != NULL) ? eol : line + n) - start)
        != NULL)
    {
        return ngx_stomp_malformed(p, "headers must end with an empty line, "
                                   "and must not contain NUL");
    }

    if (eol == NULL) {

        if (n > max && (n - 1 > max || line[max] != '\r')) {
            return ngx_stomp_parse_fail(p, NGX_STOMP_PARSE_HEADER_TOO_LONG,
                                        "header line is longer than "
                                        "the server allows");
        }

        p->pos = p->line + n;

        return NGX_AGAIN;
    }

    n = eol - line;

    p->pos = p->line + n + 1;
    p->line = p->pos;

    if (n && eol[-1] == '\r') {
        n--;
    }

    if (n) {
        return ngx_stomp_parse_header(p, line, n);
    }

    p->body = p->pos;
    p->state = sw_body;

    return NGX_OK;
}


static ngx_int_t
ngx_stomp_parse_header(ngx_stomp_parser_t *p, u_char *line, size_t len)
{
    u_char              *colon;
    uint32_t             utf8;
    ngx_stomp_header_t  *header;

    if (p->frame.nheaders == p->limits->max_headers) {
        return ngx_stomp_parse_fail(p, NGX_STOMP_PARSE_TOO_MANY_HEADERS,
                                    "frame has more headers than "
                                    "the server allows");
    }

    colon = memchr(line, ':', len);

    if (colon == NULL || colon == line) {
        return ngx_stomp_malformed(p, "header line must have the form "
                                   "name:value");
    }

    utf8 = 0;

    if (ngx_stomp_utf8_validate(&utf8, line, len) != NGX_OK) {
        return ngx_stomp_malformed(p, "headers must be valid UTF-8");
    }

    header = &p->headers[p->frame.nheaders];

    header->name.len = colon - line;
    header->name.data = line;
    header->value.len = len - header->name.len - 1;
    header->value.data = colon + 1;

    if (ngx_stomp_parse_value(p, header) != NGX_OK) {
        return NGX_ABORT;
    }

    if (!p->sized
        && header->name.len == sizeof("content-length") - 1
        && ngx_memcmp(header->name.data, "content-length",
                      sizeof("content-length") - 1)
           == 0)
    {
        if (ngx_stomp_parse_length(p, &header->value) != NGX_OK) {
            return NGX_ABORT;
        }
    }

    p->frame.nheaders++;

    return NGX_OK;
}


static ngx_int_t
ngx_stomp_parse_value(ngx_stomp_parser_t *p, ngx_stomp_header_t *header)
{
    ngx_str_t  *value;

    if (p->frame.command == NGX_STOMP_CMD_CONNECT
        || p->frame.command == NGX_STOMP_CMD_STOMP)
    {
        return NGX_OK;
    }

    value = &header->value;

    if (p->version == NGX_STOMP_V10) {

        while (value->len && value->data[value->len - 1] == ' ') {
            value->len--;
        }

        while (value->len && value->data[0] == ' ') {
            value->len--;
            value->data++;
        }

        return NGX_OK;
    }

    if (ngx_stomp_unescape(&header->name, p->version) != NGX_OK
        || ngx_stomp_unescape(value, p->version) != NGX_OK)
    {
        return ngx_stomp_malformed(p, (p->version == NGX_STOMP_V12)
                                      ? "after a backslash headers may have "
                                        "only r, n, c or another backslash"
                                      : "after a backslash headers may have "
                                        "only n, c or another backslash");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_stomp_parse_length(ngx_stomp_parser_t *p, ngx_str_t *value)
{
    u_char      c;
    size_t      i, n, max;
    ngx_uint_t  large;

    n = 0;
    large = 0;
    max = p->limits->max_body;

    for (i = 0; i < value->len; i++) {
        c = value->data[i];

        if (c < '0' || c > '9') {
            break;
        }

        c -= '0';

        if (n > max / 10 || (n == max / 10 && c > max % 10)) {
            large = 1;
            continue;
        }

        n = n * 10 + c;
    }

    if (value->len == 0 || i != value->len) {
        return ngx_stomp_malformed(p, "content-length must be "
                                   "a decimal number");
    }

    if (p->frame.command != NGX_STOMP_CMD_SEND && (n || large)) {
        return ngx_stomp_malformed(p, "only SEND frames may have a body");
    }

    if (large) {
        return ngx_stomp_parse_fail(p, NGX_STOMP_PARSE_BODY_TOO_LARGE,
                                    "body is larger than the server allows");
    }

    p->content_length = n;
    p->sized = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_stomp_parse_sized(ngx_stomp_parser_t *p, size_t len)
{
    if (len - p->body <= p->content_length) {
        p->pos = len;
        return NGX_AGAIN;
    }

    if (p->base[p->body + p->content_length] != '\0') {
        return ngx_stomp_malformed(p, "NUL must follow a body of "
                                   "content-length octets");
    }

    return ngx_stomp_parse_done(p, p->content_length);
}


static ngx_int_t
ngx_stomp_parse_unsized(ngx_stomp_parser_t *p, size_t len)
{
    u_char  *start, *nul;
    size_t   n, max;

    max = (p->frame.command == NGX_STOMP_CMD_SEND) ? p->limits->max_body : 0;

    n = len - p->body;

    if (n > max) {
        n = max + 1;
    }

    start = p->base + p->pos;

    nul = memchr(start, '\0', p->base + p->body + n - start);

    if (nul != NULL) {
        return ngx_stomp_parse_done(p, nul - p->base - p->body);
    }

    if (n <= max) {
        p->pos = len;
        return NGX_AGAIN;
    }

    if (p->frame.command != NGX_STOMP_CMD_SEND) {
        return ngx_stomp_malformed(p, "only SEND frames may have a body");
    }

    return ngx_stomp_parse_fail(p, NGX_STOMP_PARSE_BODY_TOO_LARGE,
                                "body is larger than the server allows");
}


static ngx_int_t
ngx_stomp_parse_done(ngx_stomp_parser_t *p, size_t len)
{
    p->frame.body.len = len;
    p->frame.body.data = p->base + p->body;
    p->pos = p->body + len + 1;

    return NGX_OK;
}


static ngx_int_t
ngx_stomp_parse_fail(ngx_stomp_parser_t *p, ngx_stomp_parse_error_e reason,
    const char *error)
{
    p->reason = reason;
    p->error = error;

    return NGX_ABORT;
}


size_t
ngx_stomp_skip_eol(u_char *data, size_t len)
{
    size_t  n;

    for (n = 0; n < len; n++) {

        if (data[n] != '\n' && data[n] != '\r') {
            break;
        }
    }

    return n;
}
