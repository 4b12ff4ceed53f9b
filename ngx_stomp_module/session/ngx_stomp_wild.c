
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stomp_session.h>
#include <ngx_stomp_fanout.h>
#include <ngx_stomp_header.h>
#include <ngx_stomp_wild.h>


/* destinations whose patterns are kept, and patterns kept for all of them */
#define NGX_STOMP_WILD_ANSWERS  1024
#define NGX_STOMP_WILD_KEPT     65536


typedef struct {
    uint64_t                  id;           /* of a destination, 0: none */
    uint64_t                  generation;
    uint32_t                  n;
    ngx_stomp_local_t        *one;
    ngx_stomp_local_t       **locals;       /* &one, or allocated */
} ngx_stomp_wild_answer_t;


struct ngx_stomp_wild_s {
    ngx_stomp_wild_entry_t  **buckets;      /* by the hash of literal parts */
    ngx_stomp_local_t       **found;        /* room for all patterns */
    uint32_t                  size;         /* of both */
    uint32_t                  n;            /* patterns */
    uint32_t                  kept;         /* patterns in answers */
    uint64_t                  generation;
    uint32_t                  depths[NGX_STOMP_DEPTHS];
    ngx_stomp_wild_answer_t   answers[NGX_STOMP_WILD_ANSWERS];
};


static ngx_stomp_wild_t *ngx_stomp_wild_create(ngx_stomp_hub_t *hub);
static void ngx_stomp_wild_free(ngx_stomp_hub_t *hub);
static ngx_int_t ngx_stomp_wild_grow(ngx_stomp_wild_t *wild, ngx_log_t *log);
static ngx_uint_t ngx_stomp_wild_all(ngx_stomp_wild_t *wild);
static ngx_int_t ngx_stomp_wild_name(ngx_stomp_hub_t *hub,
    ngx_stomp_message_t *m, ngx_str_t *name);
static ngx_uint_t ngx_stomp_wild_search(ngx_stomp_hub_t *hub,
    ngx_str_t *name);
static ngx_uint_t ngx_stomp_wild_topic(ngx_stomp_hub_t *hub, ngx_str_t *name,
    uint32_t base, u_char separator, ngx_uint_t n);
static void ngx_stomp_wild_keep(ngx_stomp_hub_t *hub, uint64_t id,
    ngx_uint_t n);
static void ngx_stomp_wild_forget(ngx_stomp_wild_t *wild,
    ngx_stomp_wild_answer_t *answer);


#define ngx_stomp_wild_bucket(wild, hash)                                     \
    (&(wild)->buckets[(hash) & ((wild)->size - 1)])


/* scratch of the worker: a message's headers */

static struct {
    u_char    *data;
    size_t     size;
} ngx_stomp_wild_scratch;


ngx_int_t
ngx_stomp_wild_add(ngx_stomp_hub_t *hub, ngx_stomp_local_t *local)
{
    ngx_str_t                name, literal;
    const char              *error;
    ngx_stomp_wild_t        *wild;
    ngx_stomp_wild_entry_t  *entry, **bucket;

    entry = ngx_alloc(sizeof(ngx_stomp_wild_entry_t), hub->log);
    if (entry == NULL) {
        return NGX_ERROR;
    }

    name.data = local->name;
    name.len = local->name_len;

    if (ngx_stomp_broker_wildcard(hub->broker->conf, &name, &entry->w, &error)
        != NGX_OK)
    {
        ngx_free(entry);
        return NGX_ERROR;
    }

    wild = (hub->wild != NULL) ? hub->wild : ngx_stomp_wild_create(hub);

    if (wild == NULL
        || (wild->n == wild->size
            && ngx_stomp_wild_grow(wild, hub->log) != NGX_OK))
    {
        ngx_free(entry);
        return NGX_ERROR;
    }

    literal.data = name.data;
    literal.len = entry->w.literal;

    entry->hash = ngx_stomp_dest_hash(&hub->broker->zone, &literal);
    entry->local = local;
    local->wild = entry;

    bucket = ngx_stomp_wild_bucket(wild, entry->hash);

    entry->next = *bucket;
    *bucket = entry;

    wild->n++;
    wild->depths[entry->w.depth]++;
    wild->generation++;

    return NGX_OK;
}


static ngx_stomp_wild_t *
ngx_stomp_wild_create(ngx_stomp_hub_t *hub)
{
    ngx_stomp_wild_t  *wild;

    wild = ngx_calloc(sizeof(ngx_stomp_wild_t), hub->log);
    if (wild == NULL) {
        return NULL;
    }

    if (ngx_stomp_wild_grow(wild, hub->log) != NGX_OK) {
        ngx_free(wild);
        return NULL;
    }

    hub->wild = wild;

    return wild;
}


static ngx_int_t
ngx_stomp_wild_grow(ngx_stomp_wild_t *wild, ngx_log_t *log)
{
    uint32_t                  i, size, old;
    ngx_stomp_local_t       **found;
    ngx_stomp_wild_entry_t   *entry, *next, **buckets, **bucket;

    old = wild->size;
    size = old ? old * 2 : 64;

    buckets = ngx_calloc(size * sizeof(void *), log);
    if (buckets == NULL) {
        return NGX_ERROR;
    }

    found = ngx_alloc(size * sizeof(void *), log);
    if (found == NULL) {
        ngx_free(buckets);
        return NGX_ERROR;
    }

    for (i = 0; i < old; i++) {
        for (entry = wild->buckets[i]; entry; entry = next) {
            next = entry->next;

            bucket = &buckets[entry->hash & (size - 1)];
            entry->next = *bucket;
            *bucket = entry;
        }
    }

    if (old) {
        ngx_free(wild->buckets);
        ngx_free(wild->found);
    }

    wild->buckets = buckets;
    wild->found = found;
    wild->size = size;

    return NGX_OK;
}


void
ngx_stomp_wild_remove(ngx_stomp_hub_t *hub, ngx_stomp_local_t *local)
{
    ngx_stomp_wild_t        *wild;
    ngx_stomp_wild_entry_t  *entry, **next;

    wild = hub->wild;
    entry = local->wild;

    next = ngx_stomp_wild_bucket(wild, entry->hash);

    while (*next != entry) {
        next = &(*next)->next;
    }

    *next = entry->next;

    wild->n--;
    wild->depths[entry->w.depth]--;
    wild->generation++;

    ngx_free(entry);
    local->wild = NULL;

    if (wild->n == 0) {
        ngx_stomp_wild_free(hub);
    }
}


static void
ngx_stomp_wild_free(ngx_stomp_hub_t *hub)
{
    ngx_uint_t         i;
    ngx_stomp_wild_t  *wild;

    wild = hub->wild;
    hub->wild = NULL;

    for (i = 0; i < NGX_STOMP_WILD_ANSWERS; i++) {
        ngx_stomp_wild_forget(wild, &wild->answers[i]);
    }

    ngx_free(wild->buckets);
    ngx_free(wild->found);
    ngx_free(wild);
}


ngx_int_t
ngx_stomp_wild_match(ngx_stomp_hub_t *hub, ngx_stomp_message_t *m,
    ngx_stomp_local_t ***locals, ngx_uint_t *n)
{
    ngx_int_t                 rc;
    ngx_str_t                 name;
    ngx_stomp_wild_t         *wild;
    ngx_stomp_wild_answer_t  *answer;

    wild = hub->wild;

    /* ids are given one after the other */

    answer = &wild->answers[m->destination & (NGX_STOMP_WILD_ANSWERS - 1)];

    if (m->destination
        && answer->id == m->destination
        && answer->generation == wild->generation)
    {
        *locals = answer->locals;
        *n = answer->n;

        return NGX_OK;
    }

    *locals = wild->found;

    rc = ngx_stomp_wild_name(hub, m, &name);

    if (rc == NGX_ERROR) {
        *n = ngx_stomp_wild_all(wild);
        return NGX_ERROR;
    }

    *n = (rc == NGX_OK) ? ngx_stomp_wild_search(hub, &name) : 0;

    if (m->destination) {
        ngx_stomp_wild_keep(hub, m->destination, *n);
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_stomp_wild_all(ngx_stomp_wild_t *wild)
{
    ngx_uint_t               i, n;
    ngx_stomp_wild_entry_t  *entry;

    n = 0;

    for (i = 0; i < wild->size; i++) {
        for (entry = wild->buckets[i]; entry; entry = entry->next) {
            wild->found[n++] = entry->local;
        }
    }

    return n;
}


/* NGX_DECLINED: the message has no destination that could be matched */

static ngx_int_t
ngx_stomp_wild_name(ngx_stomp_hub_t *hub, ngx_stomp_message_t *m,
    ngx_str_t *name)
{
    u_char               *p, *end, *last;
    size_t                size;
    ngx_stomp_message_t   cursor;

    if (m->headers > ngx_stomp_wild_scratch.size) {
        size = ngx_max(m->headers, 4096);

        p = ngx_alloc(size, hub->log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (ngx_stomp_wild_scratch.data != NULL) {
            ngx_free(ngx_stomp_wild_scratch.data);
        }

        ngx_stomp_wild_scratch.data = p;
        ngx_stomp_wild_scratch.size = size;
    }

    cursor = *m;
    p = ngx_stomp_wild_scratch.data;
    last = ngx_stomp_message_read(&hub->broker->zone, &cursor, p, m->headers);

    for ( /* void */ ; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, LF);

        if (end == NULL) {
            break;
        }

        if ((size_t) (end - p) >= sizeof("destination:") - 1
            && ngx_memcmp(p, "destination:", sizeof("destination:") - 1) == 0)
        {
            name->data = p + sizeof("destination:") - 1;
            name->len = end - name->data;

            return (ngx_stomp_unescape(name, NGX_STOMP_V12) == NGX_OK)
                   ? NGX_OK : NGX_DECLINED;
        }
    }

    return NGX_DECLINED;
}


/* returns how many it has found */

static ngx_uint_t
ngx_stomp_wild_search(ngx_stomp_hub_t *hub, ngx_str_t *name)
{
    ngx_str_t                    *prefix;
    ngx_uint_t                    i, n;
    ngx_stomp_wildcard_topics_t   topics;

    ngx_stomp_broker_topics(hub->broker->conf, &topics);

    prefix = topics.prefixes->elts;
    n = 0;

    for (i = 0; i < topics.prefixes->nelts; i++) {
        if (ngx_stomp_wildcard_topic(&topics, i, name)) {
            n = ngx_stomp_wild_topic(hub, name, (uint32_t) prefix[i].len,
                                     ngx_stomp_wildcard_separator(&topics, i),
                                     n);
        }
    }

    return n;
}


/* looks for those that begin with a part of the name, from its prefix on */

static ngx_uint_t
ngx_stomp_wild_topic(ngx_stomp_hub_t *hub, ngx_str_t *name, uint32_t base,
    u_char separator, ngx_uint_t n)
{
    u_char                  *end, *last;
    uint32_t                 hash, depth;
    ngx_str_t                part;
    ngx_uint_t               steps;
    ngx_stomp_wild_t        *wild;
    ngx_stomp_wild_entry_t  *entry;

    wild = hub->wild;
    last = name->data + name->len;
    steps = 0;

    part.data = name->data;
    part.len = base;

    for (depth = 0; depth < NGX_STOMP_DEPTHS; depth++) {

        if (depth) {
            end = ngx_strlchr(part.data + part.len + (depth != 1), last,
                              separator);
            part.len = (end ? end : last) - part.data;
        }

        if (wild->depths[depth]) {
            hash = ngx_stomp_dest_hash(&hub->broker->zone, &part);
            entry = *ngx_stomp_wild_bucket(wild, hash);

            for ( /* void */ ; entry; entry = entry->next) {

                if (entry->hash == hash
                    && entry->w.base == base
                    && entry->w.depth == depth
                    && entry->w.separator == separator
                    && ngx_stomp_wildcard_match(&entry->w, name, &steps))
                {
                    wild->found[n++] = entry->local;
                }
            }
        }

        if (part.len == name->len) {
            break;
        }
    }

    return n;
}


static void
ngx_stomp_wild_keep(ngx_stomp_hub_t *hub, uint64_t id, ngx_uint_t n)
{
    ngx_uint_t                 i;
    ngx_stomp_wild_t          *wild;
    ngx_stomp_wild_answer_t   *answer;

    wild = hub->wild;
    answer = &wild->answers[id & (NGX_STOMP_WILD_ANSWERS - 1)];

    ngx_stomp_wild_forget(wild, answer);

    if (n > 1 && n > NGX_STOMP_WILD_KEPT - wild->kept) {

        for (i = 0; i < NGX_STOMP_WILD_ANSWERS; i++) {
            ngx_stomp_wild_forget(wild, &wild->answers[i]);
        }

        if (n > NGX_STOMP_WILD_KEPT) {
            return;
        }
    }

    answer->locals = &answer->one;

    if (n > 1) {
        answer->locals = ngx_alloc(n * sizeof(void *), hub->log);
        if (answer->locals == NULL) {
            return;
        }

        wild->kept += n;
    }

    ngx_memcpy(answer->locals, wild->found, n * sizeof(void *));

    answer->id = id;
    answer->generation = wild->generation;
    answer->n = (uint32_t) n;
}


static void
ngx_stomp_wild_forget(ngx_stomp_wild_t *wild, ngx_stomp_wild_answer_t *answer)
{
    if (answer->id && answer->n > 1) {
        ngx_free(answer->locals);
        wild->kept -= answer->n;
    }

    answer->id = 0;
}
