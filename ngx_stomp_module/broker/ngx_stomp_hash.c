
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_hash.h>


#define ngx_stomp_rotl(x, b)  (((x) << (b)) | ((x) >> (64 - (b))))


static ngx_inline void ngx_stomp_sip_round(uint64_t v[4]);
static ngx_inline uint64_t ngx_stomp_sip_word(const u_char *p, size_t len);


uint64_t
ngx_stomp_hash(const uint64_t key[2], const u_char *p, size_t len)
{
    size_t      n;
    uint64_t    m, v[4];
    ngx_uint_t  i;

    v[0] = key[0] ^ 0x736f6d6570736575ULL;
    v[1] = key[1] ^ 0x646f72616e646f6dULL;
    v[2] = key[0] ^ 0x6c7967656e657261ULL;
    v[3] = key[1] ^ 0x7465646279746573ULL;

    for (n = len; n >= 8; n -= 8, p += 8) {
        m = ngx_stomp_sip_word(p, 8);

        v[3] ^= m;
        ngx_stomp_sip_round(v);
        ngx_stomp_sip_round(v);
        v[0] ^= m;
    }

    m = ((uint64_t) len << 56) | ngx_stomp_sip_word(p, n);

    v[3] ^= m;
    ngx_stomp_sip_round(v);
    ngx_stomp_sip_round(v);
    v[0] ^= m;

    v[2] ^= 0xff;

    for (i = 0; i < 4; i++) {
        ngx_stomp_sip_round(v);
    }

    return v[0] ^ v[1] ^ v[2] ^ v[3];
}


static ngx_inline void
ngx_stomp_sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = ngx_stomp_rotl(v[1], 13) ^ v[0];
    v[3] = ngx_stomp_rotl(v[3], 16) ^ v[2];
    v[0] = ngx_stomp_rotl(v[0], 32);

    v[2] += v[1];
    v[0] += v[3];
    v[1] = ngx_stomp_rotl(v[1], 17) ^ v[2];
    v[3] = ngx_stomp_rotl(v[3], 21) ^ v[0];
    v[2] = ngx_stomp_rotl(v[2], 32);
}


/* little-endian, whatever the machine is */

static ngx_inline uint64_t
ngx_stomp_sip_word(const u_char *p, size_t len)
{
    uint64_t  m;

    m = 0;

    while (len--) {
        m = (m << 8) | p[len];
    }

    return m;
}


void
ngx_stomp_random(u_char *p, size_t len)
{
    size_t           i;
    ssize_t          n;
    ngx_fd_t         fd;
    struct timeval   tv;

    n = -1;
    fd = ngx_open_file((u_char *) "/dev/urandom", NGX_FILE_RDONLY,
                       NGX_FILE_OPEN, 0);

    if (fd != NGX_INVALID_FILE) {
        n = ngx_read_fd(fd, p, len);
        (void) ngx_close_file(fd);
    }

    if (n == (ssize_t) len) {
        return;
    }

    ngx_gettimeofday(&tv);

    for (i = 0; i < len; i++) {
        p[i] = (u_char) (ngx_random() >> 8 ^ tv.tv_usec >> (i & 15));
    }
}
