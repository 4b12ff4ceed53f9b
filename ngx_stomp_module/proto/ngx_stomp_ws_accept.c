
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_sha1.h>
#include <ngx_stomp_ws_accept.h>


static ngx_int_t ngx_stomp_ws_list_next(u_char **pos, u_char *last,
    ngx_str_t *element);


/* the worst first */

static ngx_str_t  ngx_stomp_ws_subprotocols[] = {
    ngx_string("v10.stomp"),
    ngx_string("v11.stomp"),
    ngx_string("v12.stomp")
};


void
ngx_stomp_ws_accept(ngx_str_t *key, u_char *accept)
{
    u_char             digest[20];
    ngx_str_t          src, dst;
    ngx_sha1_t         sha1;
    static const char  guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, key->data, key->len);
    ngx_sha1_update(&sha1, guid, sizeof(guid) - 1);
    ngx_sha1_final(digest, &sha1);

    src.len = sizeof(digest);
    src.data = digest;
    dst.data = accept;

    ngx_encode_base64(&dst, &src);
}


ngx_int_t
ngx_stomp_ws_key_check(ngx_str_t *key)
{
    u_char     buf[ngx_base64_decoded_length(24)];
    ngx_str_t  dst;

    if (key->len != 24 || key->data[22] != '=' || key->data[23] != '=') {
        return NGX_DECLINED;
    }

    dst.data = buf;

    if (ngx_decode_base64(&dst, key) != NGX_OK || dst.len != 16) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_stomp_ws_token(ngx_str_t *list, const char *token, size_t len)
{
    u_char     *pos, *last;
    ngx_str_t   element;

    if (list->len == 0) {
        return NGX_DECLINED;
    }

    pos = list->data;
    last = pos + list->len;

    while (ngx_stomp_ws_list_next(&pos, last, &element) == NGX_OK) {

        if (element.len == len
            && ngx_strncasecmp(element.data, (u_char *) token, len) == 0)
        {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


void
ngx_stomp_ws_subprotocol(ngx_str_t *offer, ngx_str_t *chosen)
{
    u_char      *pos, *last;
    ngx_str_t    element, *name;
    ngx_uint_t   i;

    if (offer->len == 0) {
        return;
    }

    pos = offer->data;
    last = pos + offer->len;

    /* clients compare the answer with their offer in the case of letters */

    while (ngx_stomp_ws_list_next(&pos, last, &element) == NGX_OK) {

        for (i = 0; i < 3; i++) {
            name = &ngx_stomp_ws_subprotocols[i];

            if (element.len != name->len
                || ngx_memcmp(element.data, name->data, name->len) != 0)
            {
                continue;
            }

            if (chosen->len == 0
                || ngx_memcmp(name->data, chosen->data, name->len) > 0)
            {
                *chosen = *name;
            }

            break;
        }
    }
}


/* empty elements are skipped, as RFC 9110, section 5.6.1.2, demands */

static ngx_int_t
ngx_stomp_ws_list_next(u_char **pos, u_char *last, ngx_str_t *element)
{
    u_char  *p, *start, *end;

    p = *pos;

    while (p < last && (*p == ',' || *p == ' ' || *p == '\t')) {
        p++;
    }

    if (p == last) {
        return NGX_DECLINED;
    }

    start = p;

    while (p < last && *p != ',') {
        p++;
    }

    end = p;

    while (end[-1] == ' ' || end[-1] == '\t') {
        end--;
    }

    element->len = end - start;
    element->data = start;
    *pos = p;

    return NGX_OK;
}
