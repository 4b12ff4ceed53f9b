
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_broker.h>
#include <ngx_stomp_broker_private.h>
#include <ngx_stomp_dispatch.h>


/* sections that look for memory before a publisher is refused */
#define NGX_STOMP_RECLAIM_MAX  64


static ngx_stomp_broker_t *ngx_stomp_broker_find(void *addr);
static void ngx_stomp_broker_count_locked(ngx_stomp_broker_t *b);


/* brokers of this process, one for each zone that it has seen */

static struct {
    ngx_stomp_broker_t  **items;
    ngx_uint_t            n;
} ngx_stomp_brokers;


ngx_stomp_broker_t *
ngx_stomp_broker_create(ngx_stomp_broker_conf_t *conf, ngx_log_t *log)
{
    ngx_stomp_broker_t  *b, **items;

    b = ngx_stomp_broker_find(conf->zone_addr);

    if (b != NULL) {
        b->conf = conf;
        b->log = log;
        return b;
    }

    items = ngx_alloc((ngx_stomp_brokers.n + 1) * sizeof(void *), log);
    if (items == NULL) {
        return NULL;
    }

    b = ngx_calloc(sizeof(ngx_stomp_broker_t), log);
    if (b == NULL) {
        ngx_free(items);
        return NULL;
    }

    b->conf = conf;
    b->log = log;
    b->slot = NGX_STOMP_SLOT_NONE;

    if (ngx_stomp_zone_open(&b->zone, conf->zone_addr, conf->mutex,
                            ngx_stomp_slot_pid_alive)
        != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ALERT, log, 0,
                      "zone of stomp_broker \"%V\" has an unknown layout, "
                      "the broker is out of service", &conf->name);
        ngx_free(items);
        ngx_free(b);
        return NULL;
    }

    if (ngx_stomp_brokers.items != NULL) {
        ngx_memcpy(items, ngx_stomp_brokers.items,
                   ngx_stomp_brokers.n * sizeof(void *));
        ngx_free(ngx_stomp_brokers.items);
    }

    items[ngx_stomp_brokers.n++] = b;
    ngx_stomp_brokers.items = items;

    return b;
}


static ngx_stomp_broker_t *
ngx_stomp_broker_find(void *addr)
{
    ngx_uint_t           i;
    ngx_stomp_broker_t  *b;

    for (i = 0; i < ngx_stomp_brokers.n; i++) {
        b = ngx_stomp_brokers.items[i];

        if (!b->closed && (void *) b->zone.sh == addr) {
            return b;
        }
    }

    return NULL;
}


void
ngx_stomp_broker_attach(ngx_stomp_broker_t *b)
{
    ngx_uint_t            slot, done;
    ngx_stomp_zone_t     *zone;
    ngx_stomp_slot_sh_t  *own;

    slot = ngx_stomp_slot_own();

    if (slot == NGX_STOMP_SLOT_NONE || b->slot != NGX_STOMP_SLOT_NONE) {
        return;
    }

    zone = &b->zone;
    own = &zone->sh->slots[slot];
    b->generation = ngx_stomp_slot_generation(slot);

    do {
        ngx_stomp_zone_lock(zone);

        done = (ngx_stomp_slot_reap_locked(b, own) == NGX_OK);

        if (done) {
            ngx_stomp_set(zone, &own->generation, b->generation);
            ngx_stomp_set(zone, &own->pid, (uint32_t) ngx_pid);
            ngx_stomp_set64(zone, &own->drained, zone->sh->sequence);
            ngx_stomp_set(zone, &own->state, NGX_STOMP_SLOT_LIVE);
        }

        ngx_stomp_dispatch_unlock(b);

        ngx_stomp_test_point("slice");

    } while (!done);

    b->slot = slot;
}


void
ngx_stomp_broker_detach(ngx_stomp_broker_t *b)
{
    ngx_uint_t            done;
    ngx_stomp_zone_t     *zone;
    ngx_stomp_slot_sh_t  *own;

    if (b->slot == NGX_STOMP_SLOT_NONE) {
        return;
    }

    zone = &b->zone;
    own = &zone->sh->slots[b->slot];

    do {
        ngx_stomp_zone_lock(zone);

        ngx_stomp_broker_count_locked(b);
        done = (ngx_stomp_slot_reap_locked(b, own) == NGX_OK);

        ngx_stomp_dispatch_unlock(b);

    } while (!done);

    b->slot = NGX_STOMP_SLOT_NONE;
}


void
ngx_stomp_broker_unlock(ngx_stomp_broker_t *b)
{
    ngx_stomp_zone_unlock(&b->zone);

    if (b->zone.overflow) {
        b->zone.overflow = 0;

        ngx_log_error(NGX_LOG_ALERT, b->log, 0,
                      "undo log of stomp_broker \"%V\" was too short",
                      &b->conf->name);
    }
}


void
ngx_stomp_dispatch_unlock(ngx_stomp_broker_t *b)
{
    ngx_uint_t                rest, dead, overflowed;
    ngx_stomp_counters_sh_t  *counters;

    rest = b->rest;
    dead = b->ndead;
    overflowed = b->noverflowed;

    counters = &b->zone.sh->counters;
    counters->dead += dead;
    counters->overflowed += overflowed;
    counters->expired += b->nexpired;

    b->rest = 0;
    b->ndead = 0;
    b->noverflowed = 0;
    b->nexpired = 0;

    ngx_stomp_broker_unlock(b);

    if (b->nwake) {
        ngx_stomp_wake_workers(b);
    }

    if (rest) {
        ngx_stomp_wake_post(b);
    }

    if (dead) {
        ngx_log_error(NGX_LOG_WARN, b->log, 0,
                      "%ui messages of stomp_broker \"%V\" reached "
                      "\"max_deliveries\" of their queue", dead,
                      &b->conf->name);
    }

    if (overflowed) {
        ngx_log_error(NGX_LOG_INFO, b->log, 0,
                      "%ui messages of stomp_broker \"%V\" were dropped: "
                      "their queue was full", overflowed, &b->conf->name);
    }
}


/* adds up what this process has counted without the lock */

static void
ngx_stomp_broker_count_locked(ngx_stomp_broker_t *b)
{
    ngx_stomp_counters_sh_t  *counters;

    counters = &b->zone.sh->counters;

    counters->delivered += b->delivered;
    counters->dropped += b->dropped;
    counters->refused += b->refused;
    counters->refused_sessions += b->refused_sessions;
    counters->dropped_messages += b->dropped_messages;
    counters->delayed += b->delayed;
    counters->expired += b->expired;

    b->delivered = 0;
    b->dropped = 0;
    b->refused = 0;
    b->refused_sessions = 0;
    b->dropped_messages = 0;
    b->delayed = 0;
    b->expired = 0;
}


u_char *
ngx_stomp_broker_message_id(ngx_stomp_broker_t *b, u_char *buf,
    uint64_t sequence)
{
    return ngx_sprintf(buf, "%016xL-%uL", b->zone.sh->epoch, sequence);
}


void
ngx_stomp_broker_topics(ngx_stomp_broker_conf_t *conf,
    ngx_stomp_wildcard_topics_t *topics)
{
    topics->prefixes = &conf->topics;
    topics->dotted = &conf->dotted;
    topics->id = conf->topics_id;
}


ngx_int_t
ngx_stomp_broker_wildcard(ngx_stomp_broker_conf_t *conf, ngx_str_t *name,
    ngx_stomp_wildcard_t *w, const char **error)
{
    ngx_stomp_wildcard_topics_t  topics;

    ngx_stomp_broker_topics(conf, &topics);

    return ngx_stomp_wildcard_parse(&topics, name, w, error);
}


const char *
ngx_stomp_broker_name(ngx_stomp_broker_conf_t *conf, ngx_str_t *name)
{
    ngx_stomp_wildcard_topics_t  topics;

    ngx_stomp_broker_topics(conf, &topics);

    return ngx_stomp_wildcard_name(&topics, name);
}


ngx_int_t
ngx_stomp_broker_message_number(ngx_stomp_broker_t *b, ngx_str_t *id,
    uint64_t *sequence)
{
    u_char     *p, *last, hex[16 + 1];
    uint64_t    n;

    p = id->data;
    last = p + id->len;

    if (id->len < 16 + 2 || id->len > NGX_STOMP_MESSAGE_ID_MAX
        || p[16] != '-')
    {
        return NGX_ABORT;
    }

    for (n = 0; n < 16; n++) {
        if ((p[n] < '0' || p[n] > '9') && (p[n] < 'a' || p[n] > 'f')) {
            return NGX_ABORT;
        }
    }

    n = 0;

    for (p += 16 + 1; p < last; p++) {

        if (*p < '0' || *p > '9' || n > (uint64_t) -1 / 10 - 1) {
            return NGX_ABORT;
        }

        n = n * 10 + (*p - '0');
    }

    *sequence = n;

    (void) ngx_sprintf(hex, "%016xL", b->zone.sh->epoch);

    return (ngx_memcmp(id->data, hex, 16) == 0) ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_stomp_broker_subscribe(ngx_stomp_broker_t *b, ngx_str_t *name,
    ngx_stomp_interest_t *in)
{
    uint32_t                  hash;
    const char               *error;
    ngx_uint_t                tries;
    ngx_stomp_zone_t         *zone;
    ngx_stomp_dest_sh_t      *dest;
    ngx_stomp_wildcard_t      w;
    ngx_stomp_interest_sh_t  *sh;

    if (b->slot == NGX_STOMP_SLOT_NONE) {
        return NGX_DECLINED;
    }

    zone = &b->zone;
    hash = ngx_stomp_dest_hash(zone, name);
    in->pattern = (ngx_stomp_broker_wildcard(b->conf, name, &w, &error)
                   == NGX_OK);

    if (in->pattern) {
        hash = ngx_stomp_pattern_hash(&w, hash);
    }

    for (tries = 0; tries < 2; tries++) {

        ngx_stomp_zone_lock(zone);

        if (in->pattern) {
            in->interest = ngx_stomp_pattern_add_locked(zone, &w, hash,
                                                        b->slot);

        } else {
            in->interest = ngx_stomp_interest_add_locked(zone, name, hash,
                                                         b->slot);
        }

        if (in->interest) {
            sh = ngx_stomp_zone_ptr(zone, in->interest);
            dest = ngx_stomp_zone_ptr(zone, sh->dest);

            in->destination = dest->id;
            in->from = zone->sh->sequence;
            in->retained = (dest->retained != 0);

            ngx_stomp_broker_unlock(b);

            return NGX_OK;
        }

        ngx_stomp_zone_rollback(zone);
        ngx_stomp_broker_unlock(b);

        (void) ngx_stomp_broker_reclaim(b);
    }

    return NGX_BUSY;
}


void
ngx_stomp_broker_unsubscribe(ngx_stomp_broker_t *b, uint32_t interest,
    uint32_t count)
{
    if (b->slot == NGX_STOMP_SLOT_NONE) {
        return;
    }

    ngx_stomp_zone_lock(&b->zone);

    ngx_stomp_interest_remove_locked(&b->zone, interest, count);

    ngx_stomp_broker_unlock(b);
}


void
ngx_stomp_broker_match_locked(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p, ngx_stomp_match_t *m)
{
    ngx_stomp_wildcard_topics_t  topics;

    ngx_stomp_broker_topics(b->conf, &topics);
    ngx_memzero(m, sizeof(ngx_stomp_match_t));

    while (ngx_stomp_match_locked(&b->zone, &topics, p, m) == NGX_AGAIN) {

        /* a long search leaves the lock to others between its slices */

        ngx_stomp_broker_unlock(b);
        ngx_stomp_zone_lock(&b->zone);
    }
}


ngx_int_t
ngx_stomp_broker_drain(ngx_stomp_broker_t *b)
{
    uint32_t              delivery;
    uint64_t              drained;
    ngx_uint_t            overrun, rest;
    ngx_stomp_zone_t     *zone;
    ngx_stomp_slot_sh_t  *own;

    if (b->slot == NGX_STOMP_SLOT_NONE) {
        return NGX_OK;
    }

    if (b->handing) {
        return NGX_AGAIN;
    }

    zone = &b->zone;
    own = &zone->sh->slots[b->slot];

    ngx_stomp_zone_lock(zone);

    ngx_stomp_broker_count_locked(b);
    ngx_stomp_broker_release_locked(b);

    overrun = own->overrun;
    drained = own->drained;
    delivery = 0;

    if (overrun) {
        ngx_stomp_inbox_release_locked(zone, own, &own->inbox,
                                       NGX_STOMP_REAP_MAX);

        /* publishers pass this worker over until all is given back */

        if (own->inbox == 0) {
            ngx_stomp_set64(zone, &own->drained, zone->sh->sequence);
            ngx_stomp_set(zone, &own->overrun, 0);
        }

    } else if (own->inhand == 0) {
        delivery = ngx_stomp_inbox_take_locked(zone, own,
                                               NGX_STOMP_DRAIN_MAX);
    }

    if (zone->sh->queues.todo) {
        ngx_stomp_dispatch_locked(b);
    }

    if (own->work) {
        ngx_stomp_dispatch_take_locked(b, own);
    }

    rest = (own->inbox != 0 || own->inhand != 0 || own->work != 0);

    if (own->awake != (uint32_t) rest) {
        ngx_stomp_set(zone, &own->awake, (uint32_t) rest);
    }

    overrun = overrun && own->overrun == 0;
    rest |= (zone->sh->queues.todo != 0);

    ngx_stomp_dispatch_unlock(b);

    if (overrun) {
        ngx_log_error(NGX_LOG_WARN, b->log, 0,
                      "this worker was too slow for stomp_broker \"%V\": its "
                      "inbox went over its limit, sessions that missed a "
                      "message are closed", &b->conf->name);

        b->overrun(b->data, drained);
    }

    if (delivery) {
        ngx_stomp_broker_hand(b, delivery);
    }

    if (b->ntaken) {
        ngx_stomp_dispatch_hand(b);
    }

    return rest ? NGX_AGAIN : NGX_OK;
}


/* the list and the messages don't change as long as this process holds them */

void
ngx_stomp_broker_hand(ngx_stomp_broker_t *b, uint32_t offset)
{
    uint32_t                  message;
    ngx_stomp_message_t       m;
    ngx_stomp_delivery_sh_t  *delivery;

    ngx_stomp_test_point("hand");

    b->handing = 1;

    while (offset) {
        delivery = ngx_stomp_zone_ptr(&b->zone, offset);

        message = delivery->message;

        while (message) {
            message = ngx_stomp_message_open(&b->zone, message, &m);
            b->deliver(b->data, &m);
        }

        offset = delivery->next;
    }

    b->handing = 0;
}


void
ngx_stomp_broker_release_locked(ngx_stomp_broker_t *b)
{
    ngx_stomp_slot_sh_t  *own;

    if (b->slot == NGX_STOMP_SLOT_NONE || b->handing) {
        return;
    }

    own = &b->zone.sh->slots[b->slot];

    ngx_stomp_inbox_release_locked(&b->zone, own, &own->inhand,
                                   NGX_STOMP_DRAIN_MAX);
}


ngx_uint_t
ngx_stomp_broker_reclaim(ngx_stomp_broker_t *b)
{
    ngx_uint_t            i, n, limbo, evicted;
    ngx_stomp_zone_t     *zone;
    ngx_stomp_slot_sh_t  *slot;

    zone = &b->zone;
    n = 0;
    evicted = 0;

    /* each unlock gives a slice of what was freed back */

    do {
        ngx_stomp_zone_lock(zone);

        ngx_stomp_broker_release_locked(b);

        for (i = 0; i < NGX_STOMP_SLOTS_MAX; i++) {
            slot = &zone->sh->slots[i];

            if (slot->overrun && slot->inbox) {
                ngx_stomp_inbox_release_locked(zone, slot, &slot->inbox,
                                               NGX_STOMP_REAP_MAX);
                break;
            }
        }

        /* the first section gives up what can be looked for anew */

        if (n == 1) {
            evicted = ngx_stomp_history_evict_locked(zone,
                                                     NGX_STOMP_EVICT_MAX);

        } else {
            ngx_stomp_match_trim_locked(zone, NGX_STOMP_MATCH_TRIM);
        }

        limbo = (zone->sh->arena.limbo != 0);

        ngx_stomp_broker_unlock(b);

        n++;

    } while (n == 1 || (limbo && n < NGX_STOMP_RECLAIM_MAX));

    return evicted;
}


uint64_t
ngx_stomp_broker_last(ngx_stomp_broker_t *b, uint32_t interest)
{
    uint64_t                  last;
    ngx_stomp_dest_sh_t      *dest;
    ngx_stomp_interest_sh_t  *in;

    if (b->slot == NGX_STOMP_SLOT_NONE) {
        return 0;
    }

    ngx_stomp_zone_lock(&b->zone);

    in = ngx_stomp_zone_ptr(&b->zone, interest);
    dest = ngx_stomp_zone_ptr(&b->zone, in->dest);

    last = (dest->kind == NGX_STOMP_KIND_PATTERN) ? b->zone.sh->matched
                                                  : dest->last;

    ngx_stomp_broker_unlock(b);

    return last;
}


uint32_t
ngx_stomp_broker_subscribers(ngx_stomp_broker_t *b, ngx_str_t *name)
{
    uint32_t                  n, kind, hash;
    const char               *error;
    ngx_stomp_zone_t         *zone;
    ngx_stomp_match_t         m;
    ngx_stomp_dest_sh_t      *dest;
    ngx_stomp_wildcard_t      w;
    ngx_stomp_publication_t   p;

    if (name->len > NGX_STOMP_DESTINATION_MAX) {
        return 0;
    }

    zone = &b->zone;

    ngx_memzero(&p, sizeof(ngx_stomp_publication_t));
    p.destination = *name;
    p.hash = ngx_stomp_dest_hash(zone, name);

    kind = NGX_STOMP_KIND_TOPIC;
    hash = p.hash;

    if (ngx_stomp_broker_queue_conf(b->conf, name) != NULL) {
        kind = NGX_STOMP_KIND_QUEUE;

    } else if (ngx_stomp_broker_wildcard(b->conf, name, &w, &error)
               == NGX_OK)
    {
        kind = NGX_STOMP_KIND_PATTERN;
        hash = ngx_stomp_pattern_hash(&w, hash);
    }

    ngx_stomp_zone_lock(zone);

    n = 0;

    if (kind == NGX_STOMP_KIND_TOPIC && zone->sh->npatterns) {
        ngx_stomp_broker_match_locked(b, &p, &m);
        n = ngx_stomp_match_subscribers_locked(zone, &m);
    }

    dest = ngx_stomp_dest_find_locked(zone, name, hash, kind);

    if (dest != NULL) {
        n += dest->subscribers;
    }

    ngx_stomp_broker_unlock(b);

    return n;
}


void
ngx_stomp_broker_stat(ngx_stomp_broker_t *b, ngx_stomp_stat_t *stat)
{
    ngx_uint_t                i;
    ngx_stomp_zone_sh_t      *sh;
    ngx_stomp_slot_sh_t      *slot;
    ngx_stomp_worker_stat_t  *worker;

    ngx_memzero(stat, sizeof(ngx_stomp_stat_t));

    sh = b->zone.sh;

    ngx_stomp_zone_lock(&b->zone);

    ngx_stomp_broker_count_locked(b);

    stat->epoch = sh->epoch;
    stat->size = b->conf->zone_size;
    stat->used = ngx_stomp_arena_used_locked(&b->zone);
    stat->pages_free = sh->arena.nfree;
    stat->destinations = sh->ndestinations;
    stat->published = sh->counters.published;
    stat->delivered = sh->counters.delivered;
    stat->dropped = sh->counters.dropped;
    stat->refused = sh->counters.refused;
    stat->refused_sessions = sh->counters.refused_sessions;
    stat->dropped_messages = sh->counters.dropped_messages;
    stat->delayed = sh->counters.delayed;
    stat->recovered = sh->counters.recovered;
    stat->history = sh->kept.nhistory;
    stat->retained = sh->kept.nretained;
    stat->kept = sh->kept.bytes;
    stat->evicted = sh->counters.evicted;
    stat->expired = sh->counters.expired;
    stat->queues = sh->queues.n;
    stat->waiting = sh->queues.waiting;
    stat->unsettled = sh->queues.unsettled;
    stat->redelivered = sh->counters.redelivered;
    stat->dead = sh->counters.dead;
    stat->overflowed = sh->counters.overflowed;

    for (i = 0; i < NGX_STOMP_SLOTS_MAX; i++) {
        slot = &sh->slots[i];

        if (slot->state == NGX_STOMP_SLOT_FREE) {
            continue;
        }

        stat->sessions += slot->nsessions;
        stat->subscriptions += slot->nsubscriptions;
        stat->replaying += slot->ncursors;

        if (slot->state == NGX_STOMP_SLOT_LIVE) {
            worker = &stat->workers[stat->nworkers++];

            worker->pid = slot->pid;
            worker->slot = (uint32_t) i;
            worker->sessions = slot->nsessions;
            worker->subscriptions = slot->nsubscriptions;
        }
    }

    ngx_stomp_broker_unlock(b);
}


ngx_uint_t
ngx_stomp_broker_retired(ngx_stomp_broker_t *b)
{
    return b->zone.sh->retired;
}


ngx_int_t
ngx_stomp_broker_sweep(ngx_stomp_broker_t *b, uint64_t now)
{
    ngx_int_t  rc;

    ngx_stomp_zone_lock(&b->zone);

    rc = ngx_stomp_history_sweep_locked(&b->zone, now);

    ngx_stomp_broker_unlock(b);

    return rc;
}
