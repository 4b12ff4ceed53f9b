
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _FUZZ_H_INCLUDED_
#define _FUZZ_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * What all fuzzers share.  A fuzzer reads its first octets as orders, and the
 * rest as the octets to be looked at; orders are letters and digits, so that
 * most of what is kept can be read.
 */

typedef struct {
    const u_char  *pos;
    const u_char  *last;
} fuzz_input_t;


#define fuzz_check(condition)                                                 \
    do {                                                                      \
        if (!(condition)) {                                                   \
            fuzz_fail(__FILE__, __LINE__, #condition);                        \
        }                                                                     \
    } while (0)


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Prints what was expected, and aborts. */
void fuzz_fail(const char *file, int line, const char *condition)
    __attribute__((noreturn));

/* Read; 0, or nothing, where the input has ended. */
ngx_uint_t fuzz_octet(fuzz_input_t *in);
ngx_str_t fuzz_octets(fuzz_input_t *in, size_t max);
ngx_str_t fuzz_rest(fuzz_input_t *in);

/*
 * Returns memory of exactly len octets, for the address sanitizer to watch
 * both ends of; the copy of what is given.  What *room held is freed.
 */
u_char *fuzz_room(u_char **room, size_t len);
u_char *fuzz_copy(u_char **room, const void *data, size_t len);

/* Returns a number below n, the same row of them for the same *seed. */
uint32_t fuzz_random(uint32_t *seed, uint32_t n);

/* Returns a seed made of all the input, never 0. */
uint32_t fuzz_seed(const uint8_t *data, size_t size);


#endif /* _FUZZ_H_INCLUDED_ */
