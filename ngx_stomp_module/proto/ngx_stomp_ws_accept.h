
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_WS_ACCEPT_H_INCLUDED_
#define _NGX_STOMP_WS_ACCEPT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_STOMP_WS_ACCEPT_LEN  28


/*
 * Computes Sec-WebSocket-Accept (RFC 6455, section 4.2.2).
 * accept: room for NGX_STOMP_WS_ACCEPT_LEN octets.
 */
void ngx_stomp_ws_accept(ngx_str_t *key, u_char *accept);

/*
 * NGX_OK: key is the base64 form of 16 octets (RFC 6455, section 4.1), spaces
 * around it already removed;  NGX_DECLINED: it is not.
 */
ngx_int_t ngx_stomp_ws_key_check(ngx_str_t *key);

/*
 * Looks for a token in a comma-separated list (RFC 9110, section 5.6.1), in
 * any case of letters.  NGX_OK: found;  NGX_DECLINED: not there.
 */
ngx_int_t ngx_stomp_ws_token(ngx_str_t *list, const char *token, size_t len);

/*
 * Chooses the highest of v12.stomp, v11.stomp and v10.stomp in a client's
 * Sec-WebSocket-Protocol list.  Called once for each such header line, with
 * *chosen zeroed before the first; keeps the better choice in *chosen, which
 * then points to static text; chosen->len stays 0 if nothing fits.
 */
void ngx_stomp_ws_subprotocol(ngx_str_t *offer, ngx_str_t *chosen);


#endif /* _NGX_STOMP_WS_ACCEPT_H_INCLUDED_ */
