
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_stomp_module.h>
#include <ngx_http_stomp_origin.h>
#include <ngx_http_stomp_output.h>
#include <ngx_http_stomp_websocket.h>
#include <ngx_stomp_user.h>
#include <ngx_stomp_ws_accept.h>


static ngx_int_t ngx_http_stomp_handshake(ngx_http_request_t *r);
static ngx_int_t ngx_http_stomp_handshake_check(ngx_http_request_t *r,
    ngx_str_t *key);
static ngx_int_t ngx_http_stomp_handshake_upgrade(ngx_http_request_t *r);
static ngx_int_t ngx_http_stomp_handshake_version(ngx_http_request_t *r);
static ngx_int_t ngx_http_stomp_handshake_token(ngx_http_request_t *r,
    const char *name, size_t name_len, const char *token, size_t len);
static ngx_int_t ngx_http_stomp_handshake_origin(ngx_http_request_t *r,
    ngx_http_stomp_loc_conf_t *slcf);
static ngx_int_t ngx_http_stomp_handshake_user(ngx_http_request_t *r,
    ngx_http_stomp_loc_conf_t *slcf);
static ngx_int_t ngx_http_stomp_handshake_answer(ngx_http_request_t *r,
    ngx_str_t *key);


ngx_int_t
ngx_http_stomp_websocket_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_stomp_handshake(r);

    return ngx_http_stomp_result(rc);
}


static ngx_int_t
ngx_http_stomp_handshake(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_str_t                   key;
    ngx_http_stomp_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_stomp_module);

    rc = ngx_http_stomp_handshake_check(r, &key);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_stomp_handshake_origin(r, slcf);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_stomp_handshake_user(r, slcf);
    if (rc != NGX_OK) {
        return rc;
    }

    if (slcf->pass->broker == NULL
        || slcf->pass->broker->slot == NGX_STOMP_SLOT_NONE
        || ngx_exiting)
    {
        if (ngx_http_stomp_add_header(r, "Retry-After", "1") != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_stomp_send_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                         "this worker takes no new sessions "
                                         "now, try again");
    }

    if (ngx_stomp_broker_sessions_full(slcf->pass->broker)) {
        if (ngx_http_stomp_add_header(r, "Retry-After", "1") != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_stomp_send_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                         "the broker has all the sessions that "
                                         "it can have (max_sessions), try "
                                         "again later");
    }

    return ngx_http_stomp_handshake_answer(r, &key);
}


/* RFC 6455, section 4.2.1 */

static ngx_int_t
ngx_http_stomp_handshake_check(ngx_http_request_t *r, ngx_str_t *key)
{
    ngx_int_t         rc;
    ngx_table_elt_t  *h;

    if (r != r->main) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->method != NGX_HTTP_GET) {
        if (ngx_http_stomp_add_header(r, "Allow", "GET") != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_stomp_send_error(r, NGX_HTTP_NOT_ALLOWED,
                                         "a WebSocket handshake is a GET "
                                         "request");
    }

    if (r->http_version > NGX_HTTP_VERSION_11) {
        return ngx_http_stomp_send_error(r, NGX_HTTP_BAD_REQUEST,
                                         "a WebSocket handshake needs "
                                         "HTTP/1.1: open a connection of its "
                                         "own, without HTTP/2 or HTTP/3");
    }

    rc = ngx_http_stomp_handshake_upgrade(r);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_stomp_handshake_version(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
        return ngx_http_stomp_send_error(r, NGX_HTTP_BAD_REQUEST,
                                         "a WebSocket handshake has no body");
    }

    h = ngx_http_stomp_header(r, "Sec-WebSocket-Key");

    if (h == NULL
        || ngx_stomp_ws_key_check(&h->value) != NGX_OK
        || ngx_http_stomp_header_in(r, "Sec-WebSocket-Key",
                                    sizeof("Sec-WebSocket-Key") - 1, h))
    {
        return ngx_http_stomp_send_error(r, NGX_HTTP_BAD_REQUEST,
                                         "a WebSocket handshake needs one "
                                         "Sec-WebSocket-Key header with 16 "
                                         "octets in base64");
    }

    *key = h->value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_stomp_handshake_upgrade(ngx_http_request_t *r)
{
    if (r->http_version == NGX_HTTP_VERSION_11
        && ngx_http_stomp_handshake_token(r, "Upgrade", 7, "websocket", 9)
           == NGX_OK
        && ngx_http_stomp_handshake_token(r, "Connection", 10, "upgrade", 7)
           == NGX_OK)
    {
        return NGX_OK;
    }

    if (ngx_http_stomp_add_header(r, "Upgrade", "websocket") != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_stomp_send_error(r, NGX_HTTP_STOMP_UPGRADE,
                                     "this location speaks STOMP over "
                                     "WebSocket: it needs HTTP/1.1 with "
                                     "\"Upgrade: websocket\" and "
                                     "\"Connection: Upgrade\"");
}


static ngx_int_t
ngx_http_stomp_handshake_version(ngx_http_request_t *r)
{
    ngx_table_elt_t  *h;

    h = ngx_http_stomp_header(r, "Sec-WebSocket-Version");

    if (h != NULL
        && h->value.len == 2
        && h->value.data[0] == '1' && h->value.data[1] == '3')
    {
        return NGX_OK;
    }

    if (ngx_http_stomp_add_header(r, "Sec-WebSocket-Version", "13") != NGX_OK
        || ngx_http_stomp_add_header(r, "Upgrade", "websocket") != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_stomp_send_error(r, NGX_HTTP_STOMP_UPGRADE,
                                     "the version of WebSocket must be 13");
}


/* the header may be repeated, which is the same as one list */

static ngx_int_t
ngx_http_stomp_handshake_token(ngx_http_request_t *r, const char *name,
    size_t name_len, const char *token, size_t len)
{
    ngx_table_elt_t  *h;

    for (h = ngx_http_stomp_header_in(r, name, name_len, NULL);
         h != NULL;
         h = ngx_http_stomp_header_in(r, name, name_len, h))
    {
        if (ngx_stomp_ws_token(&h->value, token, len) == NGX_OK) {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_stomp_handshake_origin(ngx_http_request_t *r,
    ngx_http_stomp_loc_conf_t *slcf)
{
    ngx_int_t         rc;
    ngx_table_elt_t  *origin;

    if (slcf->origins_any) {
        return NGX_OK;
    }

    origin = ngx_http_stomp_header(r, "Origin");

    /* all browsers send it: this is not one */

    if (origin == NULL) {
        return NGX_OK;
    }

    if (slcf->origins != NULL) {
        rc = ngx_http_stomp_origin_listed(&origin->value, slcf->origins);

    } else if (r->headers_in.host != NULL) {
        rc = ngx_http_stomp_origin_same(&origin->value,
                                        &r->headers_in.host->value);

    } else {
        rc = NGX_DECLINED;
    }

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    return ngx_http_stomp_send_error(r, NGX_HTTP_FORBIDDEN,
                                     "pages of origin \"%V\" may not connect "
                                     "here, see stomp_origins",
                                     &origin->value);
}


/* the name is kept for the session that follows */

static ngx_int_t
ngx_http_stomp_handshake_user(ngx_http_request_t *r,
    ngx_http_stomp_loc_conf_t *slcf)
{
    ngx_str_t   *user;
    const char  *error;

    if (slcf->user == NULL) {
        return NGX_OK;
    }

    user = ngx_palloc(r->pool, sizeof(ngx_str_t));
    if (user == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_complex_value(r, slcf->user, user) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (user->len == 0) {
        return NGX_OK;
    }

    error = ngx_stomp_user_check(user);

    if (error != NULL) {
        return ngx_http_stomp_send_error(r, NGX_HTTP_FORBIDDEN,
                                         "the name of the user (stomp_user) "
                                         "%s", error);
    }

    ngx_http_set_ctx(r, user, ngx_http_stomp_module);

    return NGX_OK;
}


/* RFC 6455, section 4.2.2 */

static ngx_int_t
ngx_http_stomp_handshake_answer(ngx_http_request_t *r, ngx_str_t *key)
{
    u_char           *accept;
    ngx_int_t         rc;
    ngx_str_t         chosen;
    ngx_table_elt_t  *h, *offer;

    static const char  name[] = "Sec-WebSocket-Protocol";

    accept = ngx_pnalloc(r->pool, NGX_STOMP_WS_ACCEPT_LEN);
    if (accept == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* once it is on the list, it is sent with the error, too */

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_stomp_ws_accept(key, accept);

    ngx_memzero(h, sizeof(ngx_table_elt_t));
    h->hash = 1;
    ngx_str_set(&h->key, "Sec-WebSocket-Accept");
    h->value.data = accept;
    h->value.len = NGX_STOMP_WS_ACCEPT_LEN;

    ngx_str_null(&chosen);

    for (offer = ngx_http_stomp_header_in(r, name, sizeof(name) - 1, NULL);
         offer != NULL;
         offer = ngx_http_stomp_header_in(r, name, sizeof(name) - 1, offer))
    {
        ngx_stomp_ws_subprotocol(&offer->value, &chosen);
    }

    /* the choice is static text, with an end */

    if (chosen.len
        && ngx_http_stomp_add_header(r, name, (char *) chosen.data) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_stomp_add_header(r, "Upgrade", "websocket") != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* nginx writes "Connection: upgrade" itself, but no text for the code */

    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    ngx_str_set(&r->headers_out.status_line, "101 Switching Protocols");
    r->keepalive = 0;

    /* of an error_page that led here */

    r->err_status = 0;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    /* it would wait for more output */

    if (ngx_http_send_special(r, NGX_HTTP_FLUSH) == NGX_ERROR) {
        return NGX_ERROR;
    }

    r->main->count++;

    ngx_http_stomp_websocket_start(r);

    return NGX_DONE;
}
