
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <parse_feed.h>


unit_guard_t         parse_guards[2];
parse_log_t          parse_whole, parse_pieces;
ngx_stomp_limits_t   parse_limits = { 8, 64, 100 };

static unit_guard_t  parse_items;


void
parse_feed_init(void)
{
    unit_guard_init(&parse_guards[0], PARSE_SIZE);
    unit_guard_init(&parse_guards[1], PARSE_SIZE);
    unit_guard_init(&parse_items, 4096);
}


static void
parse_put(parse_log_t *log, const void *data, size_t len)
{
    assert_true(len < PARSE_SIZE - log->len);

    if (len) {
        memcpy(log->data + log->len, data, len);
        log->len += len;
    }

    log->data[log->len] = '\0';
}


static void
parse_put_number(parse_log_t *log, const char *fmt, size_t n)
{
    char  buf[32];

    (void) snprintf(buf, sizeof(buf), fmt, (unsigned) n);
    parse_put(log, buf, strlen(buf));
}


/* all that p->frame points to lies in the octets of the last call */

static void
parse_put_str(parse_log_t *log, ngx_str_t *s, u_char *data, size_t len)
{
    if (s->data != NULL) {
        assert_true(s->data >= data && s->data + s->len <= data + len);
    }

    parse_put(log, s->data, s->len);
}


void
parse_put_result(parse_log_t *log, ngx_stomp_parser_t *p, ngx_int_t rc,
    u_char *data, size_t len)
{
    ngx_uint_t           i;
    ngx_stomp_frame_t   *f;

    f = &p->frame;

    parse_put_str(log, &f->name, data, len);
    parse_put_number(log, "/%u", f->command);

    for (i = 0; i < f->nheaders; i++) {
        parse_put(log, "[", 1);
        parse_put_str(log, &f->headers[i].name, data, len);
        parse_put(log, "=", 1);
        parse_put_str(log, &f->headers[i].value, data, len);
        parse_put(log, "]", 1);
    }

    switch (rc) {

    case NGX_OK:
        parse_put(log, "(", 1);
        parse_put_str(log, &f->body, data, len);
        parse_put_number(log, ")@%u", p->pos);
        break;

    case NGX_ABORT:
        assert_non_null(p->error);
        assert_true(p->error[0] != '\0');
        assert_true(p->error[strlen(p->error) - 1] != '.');
        parse_put_number(log, "!%u:", p->reason);
        parse_put(log, p->error, strlen(p->error));
        break;

    default:
        assert_int_equal(rc, NGX_AGAIN);
        assert_int_equal(p->pos, len);
        parse_put_number(log, "?%u", p->pos);
    }
}


void
parse_start(ngx_stomp_parser_t *p, ngx_uint_t version)
{
    memset(p, 0xa5, sizeof(ngx_stomp_parser_t));

    p->headers = (ngx_stomp_header_t *)
                     unit_guard_room(&parse_items,
                                     parse_limits.max_headers
                                     * sizeof(ngx_stomp_header_t));
    p->limits = &parse_limits;
    p->version = version;

    ngx_stomp_parse_init(p);
}


ngx_int_t
parse_run(parse_log_t *log, const char *text, size_t len, ngx_uint_t version,
    parse_cut_t *cut)
{
    size_t               n, size;
    u_char              *data, buf[PARSE_SIZE];
    ngx_int_t            rc;
    ngx_uint_t           turn;
    ngx_stomp_parser_t   p;

    parse_start(&p, version);

    log->len = 0;
    data = NULL;
    rc = NGX_AGAIN;
    size = 0;
    turn = 0;

    while (rc == NGX_AGAIN && size < len) {
        n = (size == 0 && cut->first) ? cut->first
            : (cut->seed != NULL) ? unit_random(cut->seed, cut->chunk + 1)
            : cut->chunk;

        n = ngx_min(n, len - size);

        /* the octets as the parser left them, then new ones */

        if (size) {
            memcpy(buf, data, size);
        }

        memcpy(buf + size, text + size, n);
        size += n;

        data = unit_guard_copy(&parse_guards[turn % 2], buf, size);
        (void) unit_guard_room(&parse_guards[++turn % 2], 0);

        rc = ngx_stomp_parse(&p, data, size);
    }

    if (rc == NGX_OK) {
        assert_true(p.pos <= size);
        assert_int_equal(data[p.pos - 1], '\0');
        assert_memory_equal(data + p.pos, text + p.pos, size - p.pos);
    }

    parse_put_result(log, &p, rc, data, size);

    return rc;
}


ngx_int_t
parse_run_whole(const char *text, size_t len, ngx_uint_t version)
{
    parse_cut_t  cut;

    cut.first = 0;
    cut.chunk = len;
    cut.seed = NULL;

    return parse_run(&parse_whole, text, len, version, &cut);
}


static void
parse_run_same(const char *text, size_t len, ngx_uint_t version, size_t first,
    size_t chunk)
{
    parse_cut_t  cut;

    cut.first = first;
    cut.chunk = chunk;
    cut.seed = NULL;

    (void) parse_run(&parse_pieces, text, len, version, &cut);

    assert_int_equal(parse_pieces.len, parse_whole.len);
    assert_memory_equal(parse_pieces.data, parse_whole.data, parse_whole.len);
}


void
parse_gives(const char *text, size_t len, ngx_uint_t version,
    const char *expected)
{
    size_t  n, size;

    for (size = 1; size <= len; size++) {
        (void) parse_run_whole(text, size, version);

        for (n = 1; n < size; n++) {
            parse_run_same(text, size, version, n, size);
        }

        parse_run_same(text, size, version, 0, 1);
    }

    /* of an error only the start is compared, not the text */

    if (strchr(expected, '!') != NULL) {
        n = strlen(expected);
        parse_whole.data[ngx_min(n, parse_whole.len)] = '\0';
    }

    assert_string_equal(parse_whole.data, expected);
}
