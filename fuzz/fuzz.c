
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <fuzz.h>
#include <stdio.h>


void
fuzz_fail(const char *file, int line, const char *condition)
{
    fprintf(stderr, "FUZZ: %s:%d: not true: %s\n", file, line, condition);
    abort();
}


ngx_uint_t
fuzz_octet(fuzz_input_t *in)
{
    return (in->pos < in->last) ? *in->pos++ : 0;
}


ngx_str_t
fuzz_octets(fuzz_input_t *in, size_t max)
{
    ngx_str_t  s;

    s.data = (u_char *) in->pos;
    s.len = ngx_min(max, (size_t) (in->last - in->pos));

    in->pos += s.len;

    return s;
}


ngx_str_t
fuzz_rest(fuzz_input_t *in)
{
    return fuzz_octets(in, in->last - in->pos);
}


u_char *
fuzz_room(u_char **room, size_t len)
{
    free(*room);

    *room = malloc(len);
    fuzz_check(*room != NULL);

    return *room;
}


u_char *
fuzz_copy(u_char **room, const void *data, size_t len)
{
    u_char  *p;

    p = fuzz_room(room, len);

    if (len) {
        memcpy(p, data, len);
    }

    return p;
}


uint32_t
fuzz_random(uint32_t *seed, uint32_t n)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;

    return *seed % n;
}


uint32_t
fuzz_seed(const uint8_t *data, size_t size)
{
    size_t    i;
    uint32_t  seed;

    seed = 2166136261;

    for (i = 0; i < size; i++) {
        seed = (seed ^ data[i]) * 16777619;
    }

    return seed ? seed : 1;
}
