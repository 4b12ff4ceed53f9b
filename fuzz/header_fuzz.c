
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Escapes of headers, both ways, header blocks, typed headers, and the frames
 * of a server, which have them.
 */


#include <fuzz.h>
#include <reference.h>
#include <ngx_stomp_header.h>
#include <ngx_stomp_serialize.h>

#define HEADER_MAX  1024


static u_char  *header_in, *header_out;

static const ngx_uint_t  header_versions[] = {
    0, NGX_STOMP_V10, NGX_STOMP_V11, NGX_STOMP_V12
};


static void
header_escape(const uint8_t *data, size_t size, ngx_uint_t version)
{
    u_char     *p, *last, expected[2 * HEADER_MAX], back[2 * HEADER_MAX];
    size_t      len, n;
    ssize_t     rc;
    ngx_int_t   result;
    ngx_str_t   s;

    s.data = fuzz_copy(&header_in, data, size);

    len = ngx_stomp_escape_len(s.data, size, version);
    p = fuzz_room(&header_out, len);
    last = ngx_stomp_escape(p, s.data, size, version);

    n = reference_escape(expected, data, size, version);

    fuzz_check(last == p + len && n == len);
    fuzz_check(memcmp(p, expected, n) == 0);

    /* and what was escaped, back */

    rc = reference_unescape(back, p, len, version);
    fuzz_check(rc >= 0);

    s.data = fuzz_copy(&header_in, expected, n);
    s.len = n;
    result = ngx_stomp_unescape(&s, version);

    fuzz_check(result == NGX_OK && s.len == (size_t) rc);
    fuzz_check(memcmp(s.data, back, rc) == 0);

    /* and anything, which may be no escape */

    s.data = fuzz_copy(&header_in, data, size);
    s.len = size;
    result = ngx_stomp_unescape(&s, version);

    rc = reference_unescape(back, data, size, version);

    fuzz_check((result == NGX_OK) == (rc >= 0));
    fuzz_check(result == NGX_OK || result == NGX_ABORT);

    if (result == NGX_OK) {
        fuzz_check(s.len == (size_t) rc && memcmp(s.data, back, rc) == 0);
    }

}


/* a block of lines, as messages carry it, for another version */

static void
header_block(const uint8_t *data, size_t size, ngx_uint_t version)
{
    u_char   *p, *last, *block, *end, expected[8 * HEADER_MAX];
    u_char    escaped[4 * HEADER_MAX], plain[4 * HEADER_MAX];
    size_t    n, len, i;
    ssize_t   rc;

    len = reference_escape(escaped, data, size, NGX_STOMP_V12);

    for (i = 0; i < len; i++) {
        if (escaped[i] == '|') {
            escaped[i] = '\n';
        }
    }

    block = fuzz_copy(&header_in, escaped, len);
    p = fuzz_room(&header_out, len);
    last = ngx_stomp_header_block(p, block, len, version);

    fuzz_check(last >= p && last <= p + len);

    /* line by line; an escape does not reach over the end of a line */

    n = 0;

    for (i = 0; i < len; i = (end - escaped) + 1) {
        end = memchr(escaped + i, '\n', len - i);
        end = (end != NULL) ? end : escaped + len;

        rc = reference_unescape(plain, escaped + i, end - escaped - i,
                                NGX_STOMP_V12);
        if (rc < 0) {
            return;
        }

        n += reference_escape(expected + n, plain, rc, version);

        if (end < escaped + len) {
            expected[n++] = '\n';
        }
    }

    fuzz_check((size_t) (last - p) == n && memcmp(p, expected, n) == 0);
}


static ngx_uint_t
header_ref_number(const u_char **pos, const u_char *last, ngx_msec_t *n)
{
    const u_char  *start;

    *n = 0;
    start = *pos;

    while (*pos < last && **pos >= '0' && **pos <= '9') {
        *n = ngx_min(*n * 10 + (**pos - '0'), 0x7fffffff);
        (*pos)++;
    }

    return *pos > start;
}


static void
header_heartbeat(const uint8_t *data, size_t size)
{
    ngx_int_t      rc;
    ngx_str_t      s;
    ngx_msec_t     x, y, rx, ry;
    ngx_uint_t     ok;
    const u_char  *p, *last;

    p = data;
    last = data + size;

    ok = header_ref_number(&p, last, &rx) && p < last && *p++ == ','
         && header_ref_number(&p, last, &ry) && p == last;

    s.data = fuzz_copy(&header_in, data, size);
    s.len = size;
    rc = ngx_stomp_header_heartbeat(&s, &x, &y);

    fuzz_check(rc == (ok ? NGX_OK : NGX_ABORT));
    fuzz_check(!ok || (x == rx && y == ry));
}


static void
header_accept_version(const uint8_t *data, size_t size)
{
    size_t       i, start, end;
    ngx_str_t    s;
    ngx_uint_t   versions, expected;

    s.data = fuzz_copy(&header_in, data, size);
    s.len = size;
    versions = ngx_stomp_header_versions(&s);

    expected = 0;

    for (i = 0; i < size; i++) {
        for (start = i; i < size && data[i] != ','; i++) { /* void */ }

        for (end = i; end > start
                      && (data[end - 1] == ' ' || data[end - 1] == '\t');
             end--) { /* void */ }

        for ( /* void */ ; start < end
                           && (data[start] == ' ' || data[start] == '\t');
             start++) { /* void */ }

        if (end - start == 3 && memcmp(&data[start], "1.", 2) == 0
            && data[start + 2] >= '0' && data[start + 2] <= '2')
        {
            expected |= NGX_STOMP_V10 << (data[start + 2] - '0');
        }
    }

    fuzz_check(versions == expected);
    fuzz_check(ngx_stomp_header_versions(NULL) == NGX_STOMP_V10);

    s = *ngx_stomp_version_name(versions);
    fuzz_check(s.len == 3);
    fuzz_check(versions == 0
               || versions >> (s.data[2] - '0') == NGX_STOMP_V10);
}


/* an escaped header of a frame is that text */

static void
header_is(reference_frame_t *f, const char *name, ngx_str_t *text,
    ngx_uint_t version)
{
    u_char      expected[2 * HEADER_MAX];
    size_t      n;
    ngx_str_t  *value;

    value = reference_header(f, name);
    fuzz_check(value != NULL);

    n = reference_escape(expected, text->data, text->len, version);

    fuzz_check(value->len == n && memcmp(value->data, expected, n) == 0);
}


#define header_command(f, text)                                               \
    ((f)->command.len == sizeof(text) - 1                                     \
     && memcmp((f)->command.data, text, sizeof(text) - 1) == 0)


static void
header_connected(ngx_str_t *text, ngx_str_t *user, ngx_uint_t version)
{
    u_char                 *p;
    size_t                  len, n;
    ngx_stomp_connected_t   c;
    reference_frame_t       f;

    memset(&c, 0, sizeof(c));
    c.version = version;
    c.send = 10000;
    c.receive = text->len;
    c.session = *text;
    c.user = *user;
    ngx_str_set(&c.server, "fuzz/1");

    len = ngx_stomp_write_connected(NULL, &c);
    p = fuzz_room(&header_out, len);
    n = ngx_stomp_write_connected(p, &c);

    fuzz_check(n == len);
    fuzz_check(reference_frame(&f, p, len) && header_command(&f, "CONNECTED"));
    fuzz_check(f.body.len == 0);

    /* CONNECTED has no escapes in any version */

    header_is(&f, "session", text, 0);
    fuzz_check((reference_header(&f, "heart-beat") != NULL)
               == (version != NGX_STOMP_V10));
    fuzz_check((reference_header(&f, "user-name") != NULL)
               == (user->len != 0));

    if (user->len) {
        header_is(&f, "user-name", user, 0);
    }
}


static void
header_frames(ngx_str_t *text, ngx_str_t *other, ngx_uint_t version)
{
    u_char             *p;
    size_t              len, n;
    reference_frame_t   f;

    len = ngx_stomp_write_receipt(NULL, text, version);
    p = fuzz_room(&header_out, len);
    n = ngx_stomp_write_receipt(p, text, version);

    fuzz_check(n == len);
    fuzz_check(reference_frame(&f, p, len) && header_command(&f, "RECEIPT"));
    fuzz_check(f.body.len == 0 && f.nheaders == 1);
    header_is(&f, "receipt-id", text, version);

    len = ngx_stomp_write_error(NULL, text, other->len ? other : NULL, other,
                                version, version == 0);
    p = fuzz_room(&header_out, len);
    n = ngx_stomp_write_error(p, text, other->len ? other : NULL, other,
                              version, version == 0);

    fuzz_check(n == len);
    fuzz_check(reference_frame(&f, p, len) && header_command(&f, "ERROR"));
    header_is(&f, "message", text, version);
    fuzz_check((reference_header(&f, "version") != NULL) == (version == 0));
    fuzz_check(reference_header(&f, "content-length") != NULL);
    fuzz_check(f.body.len == other->len
               && memcmp(f.body.data, other->data, other->len) == 0);

    if (other->len) {
        header_is(&f, "receipt-id", other, version);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t      text, other;
    ngx_uint_t     i;
    fuzz_input_t   in;

    if (size > HEADER_MAX) {
        return 0;
    }

    in.pos = data;
    in.last = data + size;
    text = fuzz_octets(&in, size / 2);
    other = fuzz_rest(&in);

    for (i = 0; i < 4; i++) {
        header_escape(data, size, header_versions[i]);
        header_block(data, size, header_versions[i]);
        header_frames(&text, &other, header_versions[i]);

        if (header_versions[i]) {
            header_connected(&text, &other, header_versions[i]);
        }
    }

    header_heartbeat(data, size);
    header_accept_version(data, size);

    return 0;
}
