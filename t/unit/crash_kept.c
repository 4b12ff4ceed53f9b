
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <crash_operations.h>


#define CRASH_LATER  (1ULL << 60)


/* /kept/ keeps three messages, /long/ many */

static ngx_stomp_history_rule_t  crash_rules[] = {
    { ngx_string("/kept/"), 3, 60000 },
    { ngx_string("/long/"), 1000, 60000 }
};

static ngx_stomp_replay_t        crash_replay;


static void
crash_keep(ngx_stomp_publication_t *p, ngx_uint_t n)
{
    (void) ngx_stomp_broker_publish(&crash_b[0], p, n);
}


static void
crash_keep_some(const char *name, ngx_uint_t n, size_t len, ngx_uint_t retain)
{
    ngx_stomp_publication_t  p;

    while (n--) {
        p = fixture_publication(name, crash_body, len);
        p.retain = retain;
        crash_keep(&p, 1);
    }
}


void
crash_forget_kept(void)
{
    ngx_int_t                rc;
    ngx_stomp_zone_t        *zone;
    ngx_stomp_extra_sh_t    *extra;

    zone = &crash.zone;

    do {
        ngx_stomp_zone_lock(zone);

        rc = ngx_stomp_history_sweep_locked(zone, CRASH_LATER);

        if (zone->sh->kept.retained) {
            extra = ngx_stomp_message_extra(zone, zone->sh->kept.retained);
            ngx_stomp_retain_clear_locked(zone,
                                      ngx_stomp_zone_ptr(zone, extra->dest));
        }

        ngx_stomp_zone_unlock(zone);

    } while (rc == NGX_AGAIN || zone->sh->kept.retained);
}


void
crash_prepare_kept_none(void)
{
    crash.conf.histories.elts = crash_rules;
    crash.conf.histories.nelts = sizeof(crash_rules) / sizeof(crash_rules[0]);
    crash.conf.history_size = crash.size / 2;
    crash.conf.max_retained = 4;

    crash_subscribe(1, "/all");
    crash_subscribe(2, "/kept/heard");
}


void
crash_prepare_kept(void)
{
    crash_prepare_kept_none();

    crash_keep_some("/kept/a", 4, 100, 0);
    crash_keep_some("/kept/heard", 2, 3000, 1);
    crash_keep_some("/retained", 2, 50, 1);
    crash_keep_some("/long/a", 45, 10, 0);
}


void
crash_prepare_kept_full(void)
{
    crash_prepare_kept();
    crash.conf.history_size = crash.size;
    crash.conf.inbox_size = crash.size;

    while (crash.zone.sh->arena.nfree) {
        crash_keep_some("/long/a", 1, 3900, 0);
    }
}


/* retained messages take all that may be kept */

void
crash_prepare_kept_over(void)
{
    crash_prepare_kept();

    ngx_stomp_zone_lock(&crash.zone);
    (void) ngx_stomp_history_evict_locked(&crash.zone, 60);
    ngx_stomp_zone_unlock(&crash.zone);

    crash.conf.history_size = crash.zone.sh->kept.retained_bytes;
}


void
crash_prepare_replay(void)
{
    crash_prepare_kept();
    crash_subscribe(0, "/long/a");

    memset(&crash_replay, 0, sizeof(ngx_stomp_replay_t));
    crash_replay.interest = crash_interest;
    crash_replay.count = 43;
}


void
crash_prepare_replay_taken(void)
{
    crash_prepare_replay();

    if (ngx_stomp_broker_replay(&crash_b[0], &crash_replay) != NGX_OK
        || crash_replay.n != NGX_STOMP_REPLAY_MAX)
    {
        abort();
    }
}


/* all that was taken, and more, is dropped behind the replay's back */

void
crash_prepare_replay_lost(void)
{
    crash_prepare_replay_taken();

    ngx_stomp_zone_lock(&crash.zone);
    (void) ngx_stomp_history_evict_locked(&crash.zone, 40);
    ngx_stomp_zone_unlock(&crash.zone);
}


ngx_uint_t
crash_publications_keep(ngx_stomp_publication_t *p)
{
    p[0] = fixture_publication("/kept/a", crash_body, 200);

    return 1;
}


ngx_uint_t
crash_publications_keep_page(ngx_stomp_publication_t *p)
{
    p[0] = fixture_publication("/kept/a", crash_body, 3900);

    return 1;
}


ngx_uint_t
crash_publications_keep_batch(ngx_stomp_publication_t *p)
{
    p[0] = fixture_publication("/kept/heard", crash_body, 10);
    p[1] = fixture_publication("/kept/heard", crash_body, 2000);
    p[2] = fixture_publication("/kept/new", crash_body, 6000);
    p[3] = fixture_publication("/retained", crash_body, 5);
    p[4] = fixture_publication("/retained", crash_body, 6);
    p[5] = fixture_publication("/kept/heard", crash_body, 0);
    p[3].retain = 1;
    p[4].retain = 1;
    p[5].retain = 1;

    return 6;
}


ngx_uint_t
crash_publications_keep_large(ngx_stomp_publication_t *p)
{
    p[0] = fixture_publication("/kept/heard", crash_body, 9000);
    p[0].retain = 1;

    return 1;
}


ngx_uint_t
crash_publications_retain(ngx_stomp_publication_t *p)
{
    p[0] = fixture_publication("/retained", crash_body, 70);
    p[0].retain = 1;

    return 1;
}


ngx_uint_t
crash_publications_retain_new(ngx_stomp_publication_t *p)
{
    p[0] = fixture_publication("/retained/too", crash_body, 70);
    p[0].retain = 1;

    return 1;
}


ngx_uint_t
crash_publications_clear(ngx_stomp_publication_t *p)
{
    p[0] = fixture_publication("/retained", crash_body, 0);
    p[0].retain = 1;

    return 1;
}


ngx_uint_t
crash_publications_clear_heard(ngx_stomp_publication_t *p)
{
    p[0] = fixture_publication("/kept/heard", crash_body, 0);
    p[0].retain = 1;

    return 1;
}


ngx_uint_t
crash_publications_expiring(ngx_stomp_publication_t *p)
{
    p[0] = fixture_publication("/all", crash_body, 100);
    p[0].expires = 1;

    return 1;
}


void
crash_run_keep(void)
{
    crash_run_publish(crash_publications_keep);
}


void
crash_run_keep_page(void)
{
    crash_run_publish(crash_publications_keep_page);
}


void
crash_run_keep_batch(void)
{
    crash_run_publish(crash_publications_keep_batch);
}


void
crash_run_keep_large(void)
{
    crash_run_publish(crash_publications_keep_large);
}


void
crash_run_retain(void)
{
    crash_run_publish(crash_publications_retain);
}


void
crash_run_retain_new(void)
{
    crash_run_publish(crash_publications_retain_new);
}


void
crash_run_clear(void)
{
    crash_run_publish(crash_publications_clear);
}


void
crash_run_clear_heard(void)
{
    crash_run_publish(crash_publications_clear_heard);
}


void
crash_run_expiring(void)
{
    crash_run_publish(crash_publications_expiring);
}


void
crash_run_sweep(void)
{
    ngx_int_t  rc;

    do {
        ngx_stomp_zone_lock(&crash.zone);
        rc = ngx_stomp_history_sweep_locked(&crash.zone, CRASH_LATER);
        ngx_stomp_zone_unlock(&crash.zone);
    } while (rc == NGX_AGAIN);
}


void
crash_run_replay(void)
{
    do {
        if (ngx_stomp_broker_replay(&crash_b[0], &crash_replay) != NGX_OK) {
            abort();
        }
    } while (!crash_replay.live);

    ngx_stomp_broker_replay_end(&crash_b[0], &crash_replay);
}


void
crash_run_replay_reap(void)
{
    ngx_stomp_broker_detach(&crash_b[0]);
}
