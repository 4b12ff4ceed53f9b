
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <zone_model.h>


/* of the broker's documents */

#define MODEL_PAGE            4096
#define MODEL_HEAD            56
#define MODEL_EXTRA           56
#define MODEL_CHUNK           8


static uint32_t model_object(size_t size);


uint64_t
model_hash(uint64_t hash, const void *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        hash = (hash ^ ((const u_char *) p)[i]) * 0x100000001b3ULL + 1;
    }

    return hash;
}


uint64_t
model_message_hash(uint64_t sequence, uint64_t destination, uint32_t flags,
    uint32_t headers, uint32_t body, uint64_t content)
{
    uint64_t  words[6];

    words[0] = sequence;
    words[1] = destination;
    words[2] = flags;
    words[3] = headers;
    words[4] = body;
    words[5] = content;

    return model_hash(0, words, sizeof(words));
}


/* an inbox's limit is in octets of the zone: objects, with their heads */

uint32_t
model_octets(ngx_stomp_publication_t *p, ngx_uint_t extra)
{
    size_t    len, n, head;
    uint32_t  octets;

    head = MODEL_HEAD + (extra ? MODEL_EXTRA : 0);

    len = p->headers.len + p->body.len;
    n = ngx_min(len, MODEL_PAGE - head);
    octets = model_object(head + n);

    for (len -= n; len; len -= n) {
        n = ngx_min(len, MODEL_PAGE - MODEL_CHUNK);
        octets += model_object(MODEL_CHUNK + n);
    }

    return octets;
}


static uint32_t
model_object(size_t size)
{
    ngx_uint_t              i;
    static const uint32_t   sizes[] = { 32, 48, 64, 96, 128, 192, 256, 512,
                                        1024, 2048, 4096 };

    for (i = 0; sizes[i] < size; i++) { /* void */ }

    return sizes[i];
}
