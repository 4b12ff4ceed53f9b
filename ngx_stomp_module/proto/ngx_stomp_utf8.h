
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_UTF8_H_INCLUDED_
#define _NGX_STOMP_UTF8_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Validates UTF-8 as RFC 3629 defines it (no overlong form, no surrogate,
 * nothing above U+10FFFF), in as many pieces as the caller has.
 * *state is 0 before the first octet and between characters.
 * NGX_OK: valid, and the last octet ended a character;
 * NGX_AGAIN: valid so far, the last character is incomplete;
 * NGX_ABORT: invalid; *state must not be used again.
 */
ngx_int_t ngx_stomp_utf8_validate(uint32_t *state, u_char *p, size_t len);

/*
 * Replaces control characters with "?", in place: what a stranger has sent
 * must not make lines of its own in a log.
 */
void ngx_stomp_utf8_printable(u_char *p, size_t len);


#endif /* _NGX_STOMP_UTF8_H_INCLUDED_ */
