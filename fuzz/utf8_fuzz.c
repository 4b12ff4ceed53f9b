
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * UTF-8 in pieces, what a log and a JSON string make of octets.
 */


#include <fuzz.h>
#include <reference.h>
#include <ngx_stomp_json.h>
#include <ngx_stomp_utf8.h>

#define UTF8_MAX  4096


static u_char  *utf8_in, *utf8_out;


static ngx_int_t
utf8_run(const uint8_t *data, size_t size, size_t chunk, uint32_t *seed)
{
    u_char     *p;
    size_t      n;
    uint32_t    state;
    ngx_int_t   rc;

    state = 0;
    rc = NGX_OK;

    while (size && rc != NGX_ABORT) {
        n = seed ? fuzz_random(seed, chunk + 1) : chunk;
        n = ngx_min(n, size);

        p = fuzz_copy(&utf8_in, data, n);
        rc = ngx_stomp_utf8_validate(&state, p, n);

        fuzz_check(memcmp(p, data, n) == 0);
        fuzz_check(rc == NGX_ABORT || (rc == NGX_OK) == (state == 0));

        data += n;
        size -= n;
    }

    return rc;
}


static void
utf8_printable(const uint8_t *data, size_t size)
{
    size_t   i;
    u_char  *p;

    p = fuzz_copy(&utf8_in, data, size);

    ngx_stomp_utf8_printable(p, size);

    for (i = 0; i < size; i++) {
        fuzz_check(p[i] == ((data[i] < 0x20 || data[i] == 0x7f) ? '?'
                                                                : data[i]));
    }

}


/* one character of a JSON string: *c, and how many octets it took */

static size_t
utf8_json_character(u_char *p, u_char *last, uint32_t *c)
{
    size_t       i;
    const char  *letter;
    ngx_uint_t   n, len, cut;

    static const char  letters[] = "\"\\/bfnrt";
    static const char  meaning[] = "\"\\/\b\f\n\r\t";

    if (*p == '\\') {
        fuzz_check(last - p >= 2);

        if (p[1] == 'u') {
            fuzz_check(last - p >= 6);
            fuzz_check(ngx_hextoi(p + 2, 4) != NGX_ERROR);
            *c = ngx_hextoi(p + 2, 4);
            return 6;
        }

        letter = strchr(letters, p[1]);
        fuzz_check(p[1] != '\0' && letter != NULL);
        *c = meaning[letter - letters];
        return 2;
    }

    fuzz_check(*p >= 0x20 && strchr("\"<>&", *p) == NULL);

    len = reference_character(p, last, &n, &cut);
    fuzz_check(len != 0);

    *c = (len == 1) ? *p : *p & (0x7f >> len);

    for (i = 1; i < len; i++) {
        *c = *c << 6 | (p[i] & 0x3f);
    }

    fuzz_check(*c != 0x2028 && *c != 0x2029);

    return len;
}


static void
utf8_json(const uint8_t *data, size_t size)
{
    size_t       len;
    u_char      *p, *last, *from, *end;
    uint32_t     c, expected;
    ngx_str_t    s;
    ngx_uint_t   i, n, cut;

    s.data = fuzz_copy(&utf8_in, data, size);
    s.len = size;

    len = ngx_stomp_json_string_len(&s);
    p = fuzz_room(&utf8_out, len);

    last = ngx_stomp_json_string(p, &s);

    fuzz_check(last == p + len);
    fuzz_check(len >= 2 && *p++ == '"' && *--last == '"');

    from = s.data;
    end = s.data + s.len;

    while (p < last) {
        p += utf8_json_character(p, last, &c);

        fuzz_check(from < end);

        len = reference_character(from, end, &n, &cut);

        if (len == 0) {
            fuzz_check(c == 0xfffd);
            from += n;
            continue;
        }

        expected = (len == 1) ? *from : *from & (0x7f >> len);

        for (i = 1; i < len; i++) {
            expected = expected << 6 | (from[i] & 0x3f);
        }

        fuzz_check(c == expected);
        from += len;
    }

    fuzz_check(from == end);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t    seed;
    ngx_int_t   rc, expected;
    ngx_uint_t  i;

    if (size > UTF8_MAX) {
        return 0;
    }

    expected = reference_utf8(data, size) ? NGX_OK
               : reference_utf8_start(data, size) ? NGX_AGAIN : NGX_ABORT;

    rc = utf8_run(data, size, size, NULL);
    fuzz_check(rc == expected);

    for (i = 1; i <= 9; i++) {
        rc = utf8_run(data, size, i, NULL);
        fuzz_check(rc == expected);
    }

    seed = fuzz_seed(data, size);
    rc = utf8_run(data, size, 20, &seed);
    fuzz_check(rc == expected || size == 0);

    utf8_printable(data, size);
    utf8_json(data, size);

    return 0;
}
