
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <sys/mman.h>
#include <unit_guard.h>


#define UNIT_GUARD_FILL  0xa5


void
unit_guard_init(unit_guard_t *g, size_t size)
{
    size_t   page;
    u_char  *p;

    page = (size_t) sysconf(_SC_PAGESIZE);
    size = (size + page - 1) / page * page;

    p = mmap(NULL, size + page, PROT_READ|PROT_WRITE,
             MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);

    assert_true(p != MAP_FAILED);
    assert_int_equal(mprotect(p + size, page, PROT_NONE), 0);

    g->start = p;
    g->end = p + size;

    memset(g->start, UNIT_GUARD_FILL, size);
}


u_char *
unit_guard_room(unit_guard_t *g, size_t len)
{
    assert_true(len <= (size_t) (g->end - g->start));

    memset(g->start, UNIT_GUARD_FILL, g->end - g->start);

    return g->end - len;
}


u_char *
unit_guard_copy(unit_guard_t *g, const void *data, size_t len)
{
    u_char  *p;

    p = unit_guard_room(g, len);

    if (len) {
        memcpy(p, data, len);
    }

    return p;
}


void
unit_guard_check(unit_guard_t *g, size_t len)
{
    u_char  *p;

    for (p = g->start; p < g->end - len; p++) {
        assert_int_equal(*p, UNIT_GUARD_FILL);
    }
}


uint32_t
unit_random(uint32_t *seed, uint32_t n)
{
    uint32_t  x;

    x = *seed;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;

    *seed = x;

    return x % n;
}
