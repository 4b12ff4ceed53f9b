
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Batches: the input is the body of a request, JSON.  What is published is
 * compared with a reader of JSON that takes nothing but RFC 8259.
 */


#include <host.h>
#include <reference.h>
#include <ngx_http_stomp_push.h>
#include <ngx_stomp_session.h>
#include <stdio.h>

#define BATCH_MAX        2048
#define BATCH_MESSAGES   64
#define BATCH_HEADERS    5
#define BATCH_NESTING    50


static const char  batch_conf[] =
    "stomp_broker fuzz { zone 1m; topic /topic/; }\n"
    "server {\n"
    "    listen %s;\n"
    "    client_body_buffer_size 8k;\n"
    "    location / { stomp_push fuzz; stomp_max_headers 4;\n"
    "        stomp_max_header_length 64; stomp_max_body 1m; }\n"
    "}\n";


typedef struct {
    u_char              *pos;
    u_char              *last;
    u_char              *out;            /* room for strings */
    ngx_uint_t           nul;            /* a string has U+0000 */
} batch_json_t;


typedef struct {
    ngx_str_t            destination;
    ngx_str_t            body;
    ngx_uint_t           nheaders;
    ngx_stomp_header_t   headers[BATCH_HEADERS];
} batch_message_t;


static batch_message_t  batch_messages[BATCH_MESSAGES];
static ngx_uint_t       batch_n;           /* that are to be published */
static ngx_uint_t       batch_published;
static u_char           batch_strings[4 * BATCH_MAX];


static ngx_int_t batch_value(batch_json_t *j, ngx_uint_t nesting);

ngx_int_t __wrap_ngx_http_stomp_push_publish(ngx_http_request_t *r,
    ngx_stomp_publication_t *p, ngx_uint_t n, ngx_uint_t batch);
ngx_int_t __real_ngx_http_stomp_push_publish(ngx_http_request_t *r,
    ngx_stomp_publication_t *p, ngx_uint_t n, ngx_uint_t batch);


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    host_init(batch_conf);

    return 0;
}


static void
batch_space(batch_json_t *j)
{
    while (j->pos < j->last && memchr(" \t\r\n", *j->pos, 4) != NULL) {
        j->pos++;
    }
}


/* takes that octet, with the space around it */

static ngx_uint_t
batch_take(batch_json_t *j, u_char c)
{
    batch_space(j);

    if (j->pos == j->last || *j->pos != c) {
        return 0;
    }

    j->pos++;
    batch_space(j);

    return 1;
}


/* RFC 8259, section 7; -1: none */

static ngx_int_t
batch_unit(batch_json_t *j)
{
    ngx_int_t  c;

    if (j->last - j->pos < 6 || j->pos[0] != '\\' || j->pos[1] != 'u') {
        return -1;
    }

    c = ngx_hextoi(j->pos + 2, 4);

    if (c != NGX_ERROR) {
        j->pos += 6;
    }

    return c;
}


static ngx_int_t
batch_escape(batch_json_t *j)
{
    u_char       c;
    ngx_int_t    unit, low;
    const char  *letter;

    static const char  letters[] = "\"\\/bfnrt";
    static const char  meaning[] = "\"\\/\b\f\n\r\t";

    if (j->last - j->pos < 2) {
        return NGX_ERROR;
    }

    c = j->pos[1];

    if (c != 'u') {
        letter = c ? strchr(letters, c) : NULL;

        if (letter == NULL) {
            return NGX_ERROR;
        }

        *j->out++ = meaning[letter - letters];
        j->pos += 2;

        return NGX_OK;
    }

    unit = batch_unit(j);

    if (unit >= 0xd800 && unit <= 0xdbff) {
        low = batch_unit(j);

        if (low < 0xdc00 || low > 0xdfff) {
            return NGX_ERROR;
        }

        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        *j->out++ = 0xf0 | unit >> 18;
        *j->out++ = 0x80 | (unit >> 12 & 0x3f);
        *j->out++ = 0x80 | (unit >> 6 & 0x3f);
        *j->out++ = 0x80 | (unit & 0x3f);

    } else if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff)) {
        return NGX_ERROR;

    } else if (unit < 0x80) {
        j->nul |= (unit == 0);
        *j->out++ = unit;

    } else if (unit < 0x800) {
        *j->out++ = 0xc0 | unit >> 6;
        *j->out++ = 0x80 | (unit & 0x3f);

    } else {
        *j->out++ = 0xe0 | unit >> 12;
        *j->out++ = 0x80 | (unit >> 6 & 0x3f);
        *j->out++ = 0x80 | (unit & 0x3f);
    }

    return NGX_OK;
}


static ngx_int_t
batch_string(batch_json_t *j, ngx_str_t *s)
{
    if (j->pos == j->last || *j->pos != '"') {
        return NGX_ERROR;
    }

    s->data = j->out;

    for (j->pos++; j->pos < j->last; /* void */ ) {

        if (*j->pos == '"') {
            j->pos++;
            s->len = j->out - s->data;
            return NGX_OK;
        }

        if (*j->pos < 0x20) {
            return NGX_ERROR;
        }

        if (*j->pos != '\\') {
            *j->out++ = *j->pos++;

        } else if (batch_escape(j) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_ERROR;
}


/* the object {"name": value, ...}; name is called at each value */

typedef ngx_int_t (*batch_member_pt)(batch_json_t *j, ngx_str_t *name,
    void *data);


static ngx_int_t
batch_object(batch_json_t *j, batch_member_pt member, void *data)
{
    ngx_str_t  name;

    if (!batch_take(j, '{')) {
        return NGX_ERROR;
    }

    if (batch_take(j, '}')) {
        return NGX_OK;
    }

    do {
        if (batch_string(j, &name) != NGX_OK || !batch_take(j, ':')
            || member(j, &name, data) != NGX_OK)
        {
            return NGX_ERROR;
        }

    } while (batch_take(j, ','));

    return batch_take(j, '}') ? NGX_OK : NGX_ERROR;
}


#define batch_is(s, text)                                                     \
    ((s)->len == sizeof(text) - 1                                             \
     && memcmp((s)->data, text, sizeof(text) - 1) == 0)


static ngx_int_t
batch_header(batch_json_t *j, ngx_str_t *name, void *data)
{
    ngx_uint_t            i;
    batch_message_t      *m = data;
    ngx_stomp_header_t   *h;

    static const char  *taken[] = {
        "ack", "content-length", "message-id", "receipt", "redelivered",
        "replay-gap", "subscription", "transaction", "destination"
    };

    /* a message has its destination, too */

    if (m->nheaders == BATCH_HEADERS - 2) {
        return NGX_ERROR;
    }

    h = &m->headers[m->nheaders++];
    h->name = *name;

    if (name->len == 0 || batch_string(j, &h->value) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < 9; i++) {
        if (name->len == strlen(taken[i])
            && memcmp(name->data, taken[i], name->len) == 0)
        {
            return NGX_ERROR;
        }
    }

    return (name->len + h->value.len + 1 <= 64) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
batch_member(batch_json_t *j, ngx_str_t *name, void *data)
{
    ngx_str_t        *s;
    batch_message_t  *m = data;

    if (batch_is(name, "headers")) {

        if (m->nheaders) {
            return NGX_ERROR;
        }

        return batch_object(j, batch_header, m);
    }

    s = batch_is(name, "destination") ? &m->destination
        : batch_is(name, "body") ? &m->body : NULL;

    if (s == NULL || s->data != NULL) {
        return NGX_ERROR;
    }

    return batch_string(j, s);
}


/*
 * NGX_OK: a batch that is to be published; NGX_ERROR: it may be refused, or
 * is none
 */

static ngx_int_t
batch_read(u_char *p, size_t len)
{
    batch_json_t      j;
    batch_message_t  *m;

    memset(&j, 0, sizeof(j));
    j.pos = p;
    j.last = p + len;
    j.out = batch_strings;

    if (!batch_take(&j, '[')) {
        return NGX_ERROR;
    }

    do {
        if (batch_n == BATCH_MESSAGES) {
            return NGX_ERROR;
        }

        m = &batch_messages[batch_n++];
        memset(m, 0, sizeof(batch_message_t));

        if (batch_object(&j, batch_member, m) != NGX_OK
            || m->body.data == NULL || m->destination.len <= 7
            || m->destination.len > 1024
            || memchr(m->destination.data, '*', m->destination.len) != NULL
            || memcmp(m->destination.data, "/topic/", 7) != 0)
        {
            return NGX_ERROR;
        }

    } while (batch_take(&j, ','));

    if (!batch_take(&j, ']') || j.pos != j.last || j.nul) {
        return NGX_ERROR;
    }

    return reference_utf8(p, len) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
batch_array(batch_json_t *j, ngx_uint_t nesting)
{
    if (batch_take(j, ']')) {
        return NGX_OK;
    }

    do {
        if (batch_value(j, nesting) != NGX_OK) {
            return NGX_ERROR;
        }

    } while (batch_take(j, ','));

    return batch_take(j, ']') ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
batch_any_member(batch_json_t *j, ngx_str_t *name, void *data)
{
    return batch_value(j, *(ngx_uint_t *) data);
}


/* what the module's own answers have */

static ngx_int_t
batch_value(batch_json_t *j, ngx_uint_t nesting)
{
    u_char     *start;
    ngx_str_t   s;

    nesting++;

    if (nesting == BATCH_NESTING || j->pos == j->last) {
        return NGX_ERROR;
    }

    j->out = batch_strings;

    if (*j->pos == '"') {
        return batch_string(j, &s);
    }

    if (*j->pos == '{') {
        return batch_object(j, batch_any_member, &nesting);
    }

    if (batch_take(j, '[')) {
        return batch_array(j, nesting);
    }

    start = j->pos;

    while (j->pos < j->last && *j->pos >= '0' && *j->pos <= '9') {
        j->pos++;
    }

    return (j->pos > start) ? NGX_OK : NGX_ERROR;
}


/* a header block has the message's headers, and nothing else */

static void
batch_headers(ngx_str_t *block, batch_message_t *m)
{
    u_char      expected[4 * BATCH_MAX];
    size_t      n;
    ngx_uint_t  i;

    n = sprintf((char *) expected, "destination:");
    n += reference_escape(expected + n, m->destination.data,
                          m->destination.len, NGX_STOMP_V12);
    expected[n++] = '\n';

    for (i = 0; i < m->nheaders; i++) {
        n += reference_escape(expected + n, m->headers[i].name.data,
                              m->headers[i].name.len, NGX_STOMP_V12);
        expected[n++] = ':';
        n += reference_escape(expected + n, m->headers[i].value.data,
                              m->headers[i].value.len, NGX_STOMP_V12);
        expected[n++] = '\n';
    }

    fuzz_check(block->len == n && memcmp(block->data, expected, n) == 0);
}


ngx_int_t
__wrap_ngx_http_stomp_push_publish(ngx_http_request_t *r,
    ngx_stomp_publication_t *p, ngx_uint_t n, ngx_uint_t batch)
{
    ngx_uint_t        i;
    batch_message_t  *m;

    fuzz_check(batch && n > 0);

    for (i = 0; i < n; i++) {
        fuzz_check(p[i].destination.len > 7);

        /* what the broker calls a destination of users */

        fuzz_check(memcmp(p[i].destination.data, "/topic/", 7) == 0
                   || (memcmp(p[i].destination.data, "~/user/", 7) == 0
                       && (p[i].flags & NGX_STOMP_MESSAGE_USER)));

        fuzz_check(reference_utf8(p[i].destination.data,
                                  p[i].destination.len));
        fuzz_check(reference_utf8(p[i].headers.data, p[i].headers.len));
        fuzz_check(reference_utf8(p[i].body.data, p[i].body.len));
        fuzz_check(memchr(p[i].headers.data, '\0', p[i].headers.len) == NULL);

        if (batch_n == 0) {
            continue;
        }

        fuzz_check(n == batch_n);
        m = &batch_messages[i];

        fuzz_check(p[i].destination.len == m->destination.len
                   && memcmp(p[i].destination.data, m->destination.data,
                             m->destination.len)
                      == 0);
        fuzz_check(p[i].body.len == m->body.len
                   && memcmp(p[i].body.data, m->body.data, m->body.len) == 0);

        batch_headers(&p[i].headers, m);
    }

    batch_published = 1;

    return __real_ngx_http_stomp_push_publish(r, p, n, batch);
}


static void
batch_answer(host_buf_t *out)
{
    u_char        *p;
    ngx_uint_t     status;
    batch_json_t   j;

    fuzz_check(out->len > 12 && memcmp(out->data, "HTTP/1.1 ", 9) == 0);

    status = ngx_atoi(out->data + 9, 3);
    fuzz_check(status == 200 || status == 400);
    fuzz_check((status == 200) == batch_published);

    p = memmem(out->data, out->len, "\r\n\r\n", 4);
    fuzz_check(p != NULL);

    memset(&j, 0, sizeof(j));
    j.pos = p + 4;
    j.last = out->data + out->len;
    j.out = batch_strings;

    fuzz_check(reference_utf8(j.pos, j.last - j.pos));
    fuzz_check(batch_value(&j, 0) == NGX_OK);
    batch_space(&j);
    fuzz_check(j.pos == j.last);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char        head[256];
    ngx_uint_t  i;

    if (size > BATCH_MAX) {
        return 0;
    }

    batch_n = 0;
    batch_published = 0;

    if (batch_read((u_char *) data, size) != NGX_OK) {
        batch_n = 0;
    }

    sprintf(head, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n"
                  "Content-Type: application/vnd.stomp.batch+json\r\n\r\n",
            size);

    host_connect(0);
    host_write(0, head, strlen(head));
    host_write(0, data, size);

    for (i = 0; host_clients[0].in.len && i < 100; i++) {
        host_readable(0);
    }

    while (host_turn()) { /* void */ }

    fuzz_check(batch_n == 0 || batch_published);
    batch_answer(&host_clients[0].out);

    host_finish();

    return 0;
}
