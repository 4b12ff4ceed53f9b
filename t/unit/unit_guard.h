
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _UNIT_GUARD_H_INCLUDED_
#define _UNIT_GUARD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>


/*
 * Memory that ends at a page without access: reading or writing one octet
 * too far crashes the test, whatever the compiler's sanitizers see.
 */

typedef struct {
    u_char  *start;
    u_char  *end;
} unit_guard_t;


/* Maps room for size octets; lives as long as the test program. */
void unit_guard_init(unit_guard_t *g, size_t size);

/*
 * Returns the last len octets before the page, filled with 0xa5, as is the
 * rest: what earlier calls returned is overwritten.
 */
u_char *unit_guard_room(unit_guard_t *g, size_t len);

/* The same with a copy of data in it. */
u_char *unit_guard_copy(unit_guard_t *g, const void *data, size_t len);

/* Checks that nothing was written before the last len octets. */
void unit_guard_check(unit_guard_t *g, size_t len);

/* A number below n, the same row of them for the same *seed (not 0). */
uint32_t unit_random(uint32_t *seed, uint32_t n);


#endif /* _UNIT_GUARD_H_INCLUDED_ */
