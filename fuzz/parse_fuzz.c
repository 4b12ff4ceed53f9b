
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Streams of client frames, compared with a parser that sees them whole.
 *
 * The first octet orders the version (0123: none, 1.0, 1.1, 1.2), the second
 * one the limits.
 */


#include <fuzz.h>
#include <reference.h>
#include <parse_feed.h>

#define PARSE_MAX  2048


static const ngx_stomp_limits_t  parse_limits_all[] = {
    { 16, 256, PARSE_MAX }, { 4, 24, 20 }, { 1, 4, 0 }, { 0, 64, 9 }
};


static parse_log_t  parse_expected;


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    parse_feed_init();

    return 0;
}


static ngx_int_t
parse_ref_number(u_char *p, size_t len, size_t *n)
{
    size_t  i;

    *n = 0;

    for (i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return NGX_ABORT;
        }

        *n = ngx_min(*n * 10 + (p[i] - '0'), 1000000);
    }

    return len ? NGX_OK : NGX_ABORT;
}


/* STOMP 1.2, "Augmented BNF"; *line is moved behind the command */

static ngx_int_t
parse_ref_command(ngx_stomp_frame_t *f, u_char **pos, u_char *last)
{
    u_char      *p, *start;
    ngx_uint_t   i;

    static const char  *names[] = {
        "CONNECT", "STOMP", "SEND", "SUBSCRIBE", "UNSUBSCRIBE", "ACK", "NACK",
        "BEGIN", "COMMIT", "ABORT", "DISCONNECT"
    };

    start = *pos;

    for (p = start; p < last && *p >= 'A' && *p <= 'Z'; p++) {
        if (p - start == NGX_STOMP_COMMAND_MAX) {
            return NGX_ABORT;
        }
    }

    f->name.data = start;
    f->name.len = p - start;

    if (p < last && *p == '\r' && f->name.len) {
        p++;
    }

    if (p == last) {
        return NGX_AGAIN;
    }

    if (*p != '\n' || f->name.len == 0) {
        return NGX_ABORT;
    }

    *pos = p + 1;

    for (i = 0; i < NGX_STOMP_CMD_UNKNOWN; i++) {
        if (f->name.len == strlen(names[i])
            && memcmp(start, names[i], f->name.len) == 0)
        {
            break;
        }
    }

    f->command = i;

    return NGX_OK;
}


/* a header line without its end; name and value are made in place of it */

static ngx_int_t
parse_ref_header(ngx_stomp_frame_t *f, u_char *line, size_t len,
    ngx_uint_t version)
{
    u_char              *colon, buf[2 * PARSE_MAX];
    ssize_t              n;
    ngx_stomp_header_t  *h;

    colon = memchr(line, ':', len);

    if (f->nheaders == parse_limits.max_headers
        || colon == NULL || colon == line || !reference_utf8(line, len))
    {
        return NGX_ABORT;
    }

    h = &f->headers[f->nheaders];
    h->name.data = line;
    h->name.len = colon - line;
    h->value.data = colon + 1;
    h->value.len = line + len - colon - 1;

    if (f->command > NGX_STOMP_CMD_STOMP && version == NGX_STOMP_V10) {

        while (h->value.len && h->value.data[h->value.len - 1] == ' ') {
            h->value.len--;
        }

        while (h->value.len && h->value.data[0] == ' ') {
            h->value.data++;
            h->value.len--;
        }

    } else if (f->command > NGX_STOMP_CMD_STOMP) {

        n = reference_unescape(buf, h->name.data, h->name.len, version);
        if (n < 0) {
            return NGX_ABORT;
        }

        memcpy(h->name.data, buf, n);
        h->name.len = n;

        n = reference_unescape(buf, h->value.data, h->value.len, version);
        if (n < 0) {
            return NGX_ABORT;
        }

        memcpy(h->value.data, buf, n);
        h->value.len = n;
    }

    f->nheaders++;

    return NGX_OK;
}


static ngx_int_t
parse_ref_headers(ngx_stomp_frame_t *f, u_char **pos, u_char *last,
    ngx_uint_t version, ssize_t *length)
{
    u_char              *p, *eol;
    size_t               n, max;
    ngx_stomp_header_t  *h;

    *length = -1;
    max = parse_limits.max_header_length;

    for (p = *pos; /* void */ ; p = eol + 1) {

        eol = memchr(p, '\n', last - p);
        n = ((eol != NULL) ? eol : last) - p;

        if (n && memchr(p, '\0', n) != NULL) {
            return NGX_ABORT;
        }

        if (n && p[n - 1] == '\r') {
            n--;
        }

        if (n > max) {
            return NGX_ABORT;
        }

        if (eol == NULL) {
            return NGX_AGAIN;
        }

        if (n == 0) {
            *pos = eol + 1;
            return NGX_OK;
        }

        if (parse_ref_header(f, p, n, version) != NGX_OK) {
            return NGX_ABORT;
        }

        h = &f->headers[f->nheaders - 1];

        if (*length != -1 || h->name.len != strlen("content-length")
            || memcmp(h->name.data, "content-length", h->name.len) != 0)
        {
            continue;
        }

        if (parse_ref_number(h->value.data, h->value.len, &n) != NGX_OK
            || n > parse_limits.max_body
            || (n && f->command != NGX_STOMP_CMD_SEND))
        {
            return NGX_ABORT;
        }

        *length = n;
    }
}


/* the whole frame at once; NGX_OK: *len is its length */

static ngx_int_t
parse_ref(ngx_stomp_frame_t *f, u_char *p, size_t *len, ngx_uint_t version)
{
    u_char     *start, *last, *nul;
    size_t      max;
    ssize_t     length;
    ngx_int_t   rc;

    start = p;
    last = p + *len;

    rc = parse_ref_command(f, &p, last);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = parse_ref_headers(f, &p, last, version, &length);
    if (rc != NGX_OK) {
        return rc;
    }

    f->body.data = p;

    if (length >= 0) {
        if (last - p <= length) {
            return NGX_AGAIN;
        }

        if (p[length] != '\0') {
            return NGX_ABORT;
        }

        f->body.len = length;

    } else {
        max = (f->command == NGX_STOMP_CMD_SEND) ? parse_limits.max_body : 0;
        nul = memchr(p, '\0', last - p);

        f->body.len = ((nul != NULL) ? nul : last) - p;

        if (f->body.len > max) {
            return NGX_ABORT;
        }

        if (nul == NULL) {
            return NGX_AGAIN;
        }
    }

    *len = p + f->body.len + 1 - start;

    return NGX_OK;
}


static void
parse_same(const char *text, size_t len, ngx_uint_t version, size_t chunk,
    uint32_t *seed)
{
    parse_cut_t  cut;

    cut.first = 0;
    cut.chunk = chunk;
    cut.seed = seed;

    (void) parse_run(&parse_pieces, text, len, version, &cut);

    fuzz_check(parse_pieces.len == parse_whole.len);
    fuzz_check(memcmp(parse_pieces.data, parse_whole.data, parse_whole.len)
               == 0);
}


/* one frame; returns its length, or 0 if there is no next one */

static size_t
parse_frame(u_char *text, size_t len, ngx_uint_t version, uint32_t *seed)
{
    u_char               copy[PARSE_MAX];
    size_t               size;
    ngx_int_t            rc, expected;
    ngx_stomp_parser_t   p;
    ngx_stomp_header_t   headers[16];

    rc = parse_run_whole((char *) text, len, version);

    parse_same((char *) text, len, version, 1, NULL);
    parse_same((char *) text, len, version, 7, NULL);
    parse_same((char *) text, len, version, 40, seed);

    memcpy(copy, text, len);
    size = len;

    memset(&p, 0, sizeof(p));
    p.frame.headers = headers;

    expected = parse_ref(&p.frame, copy, &size, version);
    fuzz_check(rc == expected);

    if (rc != NGX_OK) {
        return 0;
    }

    p.pos = size;
    parse_expected.len = 0;
    parse_put_result(&parse_expected, &p, NGX_OK, copy, size);

    fuzz_check(parse_expected.len == parse_whole.len);
    fuzz_check(memcmp(parse_expected.data, parse_whole.data, parse_whole.len)
               == 0);

    return size;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t         n;
    u_char         text[PARSE_MAX], *p;
    uint32_t       seed;
    ngx_uint_t     version;
    fuzz_input_t   in;

    static const ngx_uint_t  versions[] = {
        0, NGX_STOMP_V10, NGX_STOMP_V11, NGX_STOMP_V12
    };

    if (size < 3 || size > PARSE_MAX) {
        return 0;
    }

    in.pos = data;
    in.last = data + size;

    version = versions[fuzz_octet(&in) & 3];
    parse_limits = parse_limits_all[fuzz_octet(&in) & 3];
    seed = fuzz_seed(data, size);

    p = text;
    size -= 2;
    memcpy(p, in.pos, size);

    for ( ;; ) {
        n = ngx_stomp_skip_eol(p, size);
        p += n;
        size -= n;

        fuzz_check(size == 0 || (*p != '\n' && *p != '\r'));

        if (size == 0) {
            return 0;
        }

        n = parse_frame(p, size, version, &seed);

        if (n == 0) {
            return 0;
        }

        p += n;
        size -= n;
    }
}
