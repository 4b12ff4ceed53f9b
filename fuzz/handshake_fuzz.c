
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Requests as they come by the connection: handshakes, and messages that are
 * published by HTTP, in lines that end with LF.
 *
 * The first octet orders how much is read at once (0: all of it).
 */


#include <host.h>
#include <reference.h>
#include <ngx_http_stomp_module.h>
#include <ngx_http_stomp_output.h>
#include <ngx_http_stomp_websocket.h>
#include <ngx_sha1.h>
#include <stdio.h>

#define HANDSHAKE_MAX  4096


static const char  handshake_conf[] =
    "stomp_broker fuzz {\n"
    "    zone 1m;\n"
    "    topic /topic/;\n"
    "    allow send /topic/*;\n"
    "}\n"
    "server {\n"
    "    listen %s;\n"
    "    log_not_found off;\n"
    "    client_header_buffer_size 256;\n"
    "    large_client_header_buffers 4 1k;\n"
    "    location /ws { stomp_pass fuzz; }\n"
    "    location /list { stomp_pass fuzz;\n"
    "        stomp_origins https://a.example http://b.example:81 null; }\n"
    "    location /any { stomp_pass fuzz; stomp_origins *; }\n"
    "    location /keep { stomp_pass fuzz; stomp_keep_request on; }\n"
    "    location /push/ { stomp_push fuzz; stomp_max_headers 4;\n"
    "        stomp_max_header_length 64; stomp_max_body 300; }\n"
    "    location /fixed { stomp_push fuzz;\n"
    "        stomp_push_destination /topic/a;\n"
    "        stomp_push_body '\"$arg_a\"'; }\n"
    "    location /named { stomp_push fuzz;\n"
    "        stomp_push_destination /topic/$arg_d; }\n"
    "    location /status { stomp_status fuzz; }\n"
    "}\n";


ngx_int_t __wrap_ngx_http_stomp_websocket_handler(ngx_http_request_t *r);
ngx_int_t __real_ngx_http_stomp_websocket_handler(ngx_http_request_t *r);


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    host_init(handshake_conf);

    return 0;
}


/* all headers of that name, as a list; the number of them */

static ngx_uint_t
handshake_header(ngx_http_request_t *r, const char *name, char *value)
{
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    n = 0;
    value[0] = '\0';

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == strlen(name)
                && strncasecmp((char *) h[i].key.data, name, h[i].key.len)
                   == 0)
            {
                if (n++) {
                    strcat(value, ",");
                }

                strncat(value, (char *) h[i].value.data, h[i].value.len);
            }
        }
    }

    return n;
}


/* RFC 9110, section 5.6.1 */

typedef int (*handshake_compare_pt)(const char *a, const char *b, size_t n);


static ngx_uint_t
handshake_has(char *list, const char *token, handshake_compare_pt compare)
{
    char  *item, *end;

    for (item = strtok(list, ","); item; item = strtok(NULL, ",")) {

        item += strspn(item, " \t");
        end = item + strlen(item);

        while (end > item && (end[-1] == ' ' || end[-1] == '\t')) {
            end--;
        }

        if ((size_t) (end - item) == strlen(token)
            && compare(item, token, end - item) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* RFC 6455, section 4.1: 16 octets, that is 22 digits and two "=" */

static ngx_uint_t
handshake_key(char *key)
{
    static const char  digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    return strlen(key) == 24 && strspn(key, digits) == 22
           && strcmp(key + 22, "==") == 0;
}


static ngx_uint_t
handshake_origin(ngx_http_request_t *r)
{
    char                        value[HANDSHAKE_MAX], host[HANDSHAKE_MAX];
    char                       *p;
    ngx_http_stomp_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_stomp_module);

    if (slcf->origins_any || handshake_header(r, "Origin", value) == 0) {
        return 1;
    }

    /* the first one counts */

    if (handshake_header(r, "Origin", value) > 1) {
        return 2;
    }

    if (slcf->origins != NULL) {
        return strcasecmp(value, "https://a.example") == 0
               || strcasecmp(value, "http://b.example:81") == 0
               || strcmp(value, "null") == 0 || strcasecmp(value, "null") == 0;
    }

    /* ports have a fuzzer of their own */

    p = strchr(value, ':');

    if (p == NULL || p == value || strncmp(p, "://", 3) != 0) {
        return 0;
    }

    if (strpbrk(p + 3, ":[]/") || handshake_header(r, "Host", host) != 1
        || strpbrk(host, ":[]/"))
    {
        return 2;
    }

    return strcasecmp(p + 3, host) == 0;
}


/* the answer that a handshake deserves; 0: one of several */

static ngx_uint_t
handshake_status(ngx_http_request_t *r)
{
    char        value[HANDSHAKE_MAX];
    ngx_uint_t  origin;

    if (r->method != NGX_HTTP_GET) {
        return 405;
    }

    if (r->http_version != NGX_HTTP_VERSION_11) {
        return (r->http_version > NGX_HTTP_VERSION_11) ? 400 : 426;
    }

    (void) handshake_header(r, "Upgrade", value);

    if (!handshake_has(value, "websocket", strncasecmp)) {
        return 426;
    }

    (void) handshake_header(r, "Connection", value);

    if (!handshake_has(value, "upgrade", strncasecmp)) {
        return 426;
    }

    switch (handshake_header(r, "Sec-WebSocket-Version", value)) {

    case 0:
        return 426;

    case 1:
        if (strcmp(value, "13") != 0) {
            return 426;
        }

        break;

    default:
        return 0;
    }

    if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
        return 400;
    }

    if (handshake_header(r, "Sec-WebSocket-Key", value) != 1) {
        return 400;
    }

    /* the unused bits of the last digit may be anything */

    if (!handshake_key(value)) {
        return 400;
    }

    origin = handshake_origin(r);

    return (origin == 2) ? 0 : origin ? 101 : 403;
}


/* RFC 6455, section 4.2.2 */

static void
handshake_answer(ngx_http_request_t *r)
{
    char              value[HANDSHAKE_MAX], protocol[HANDSHAKE_MAX];
    u_char            hash[20], text[28];
    ngx_str_t         src, dst;
    ngx_uint_t        i, accepts, protocols;
    ngx_sha1_t        sha1;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    (void) handshake_header(r, "Sec-WebSocket-Key", value);

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, value, strlen(value));
    ngx_sha1_update(&sha1, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    ngx_sha1_final(hash, &sha1);

    src.data = hash;
    src.len = 20;
    dst.data = text;
    ngx_encode_base64(&dst, &src);

    accepts = 0;
    protocols = 0;

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (strcmp((char *) h[i].key.data, "Sec-WebSocket-Accept") == 0) {
                fuzz_check(h[i].value.len == 28);
                fuzz_check(memcmp(h[i].value.data, text, 28) == 0);
                accepts++;
            }

            if (strcmp((char *) h[i].key.data, "Sec-WebSocket-Protocol")
                == 0)
            {
                (void) handshake_header(r, "Sec-WebSocket-Protocol",
                                        protocol);
                fuzz_check(handshake_has(protocol, (char *) h[i].value.data,
                                         strncmp));
                fuzz_check(h[i].value.len == 9
                           && memcmp(h[i].value.data + 3, ".stomp", 6) == 0);
                protocols++;
            }
        }
    }

    fuzz_check(accepts == 1 && protocols <= 1);

    if (protocols == 0) {
        (void) handshake_header(r, "Sec-WebSocket-Protocol", protocol);
        fuzz_check(!handshake_has(protocol, "v12.stomp", strncmp));
    }
}


ngx_int_t
__wrap_ngx_http_stomp_websocket_handler(ngx_http_request_t *r)
{
    ngx_int_t   rc;
    ngx_uint_t  status;

    status = handshake_status(r);

    rc = __real_ngx_http_stomp_websocket_handler(r);

    /* what came behind a refused request could not be read */

    if (rc > NGX_OK) {
        return rc;
    }

    if (status && r->headers_out.status != status) {
        fprintf(stderr, "FUZZ: answered with %u, not %u\n",
                (unsigned) r->headers_out.status, (unsigned) status);
        abort();
    }

    if (r->headers_out.status == 101) {
        handshake_answer(r);
    }

    return rc;
}


/* answers are HTTP, and not a line of them is the client's */

static void
handshake_output(host_buf_t *out)
{
    u_char      *p, *last, *eol;
    size_t       size;
    ngx_uint_t   status, lines;

    if (out->len == 0) {
        return;
    }

    /* HTTP/0.9 has no head */

    if (out->len < 12 || memcmp(out->data, "HTTP/1.1 ", 9) != 0) {
        return;
    }

    status = ngx_atoi(out->data + 9, 3);
    fuzz_check(status >= 101 && status < 600);

    last = out->data + out->len;
    lines = 0;
    size = 0;

    for (p = out->data; /* void */ ; p = eol + 2) {
        eol = memmem(p, last - p, "\r\n", 2);
        fuzz_check(eol != NULL);

        if (eol == p) {
            break;
        }

        fuzz_check(memchr(p, '\n', eol - p) == NULL
                   && memchr(p, '\r', eol - p) == NULL
                   && memchr(p, '\0', eol - p) == NULL);
        fuzz_check(lines++ < 20);
        fuzz_check(lines == 1 || memchr(p, ':', eol - p) != NULL);

        if (strncmp((char *) p, "Content-Length: ", 16) == 0) {
            size = ngx_atoi(p + 16, eol - p - 16);
        }
    }

    /* the next answer may follow, and after a 101 there are frames */

    p += 2;
    fuzz_check(reference_utf8_start(p, ngx_min(size, (size_t) (last - p))));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_uint_t  i;

    if (size < 2 || size > HANDSHAKE_MAX / 2) {
        return 0;
    }

    host_connect(0);
    host_clients[0].chunk = data[0] % 16 * 7;
    host_write(0, data + 1, size - 1);

    for (i = 0; i < 2 * size && host_clients[0].connection != NULL
                && host_clients[0].in.len; i++)
    {
        host_readable(0);
        (void) host_turn();
    }

    for (i = 0; host_turn(); i++) {
        fuzz_check(i < 100);
    }

    handshake_output(&host_clients[0].out);

    host_finish();

    return 0;
}
