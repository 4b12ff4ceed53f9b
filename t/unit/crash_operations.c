
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <crash_operations.h>


#define CRASH_NEW  "/a/destination/that/nobody/has/heard/of"


broker_fixture_t      crash;
ngx_stomp_broker_t    crash_b[CRASH_SLOTS];
u_char                crash_body[64 * 1024];

const char           *crash_names[MODEL_DESTS] = {
    "/all", "/own", "/others", "/third", "/none", CRASH_NEW, "/p/*", "/p/**",
    "/p/1", "/p/2", "/p/1/2", "/kept/a", "/kept/heard", "/kept/new",
    "/long/a", "/retained", "/retained/too"
};

uint32_t              crash_interest;
static uint32_t       crash_session;


void
crash_subscribe(ngx_uint_t worker, const char *name)
{
    ngx_str_t             str;
    ngx_stomp_interest_t  in;

    str = fixture_str(name);

    if (ngx_stomp_broker_subscribe(&crash_b[worker], &str, &in) != NGX_OK) {
        abort();
    }

    crash_interest = in.interest;
}


static ngx_int_t
crash_publish(ngx_uint_t worker, const char *name, size_t len)
{
    ngx_stomp_publication_t  p;

    p = fixture_publication(name, crash_body, len);

    return ngx_stomp_broker_publish(&crash_b[worker], &p, 1);
}


static void
crash_add_session(uint64_t id)
{
    ngx_stomp_session_info_t  info;

    info.id = id;
    info.since = 1;
    info.addr = fixture_str("192.0.2.1");
    info.user = fixture_str("somebody");

    crash_session = ngx_stomp_broker_session_add(&crash_b[0], &info);

    if (crash_session == 0) {
        abort();
    }
}


/* workers 0 to 2 hear /all, 0 /own, 1 and 2 /others; 3 has something else */

static void
crash_prepare(void)
{
    crash_subscribe(0, "/all");
    crash_subscribe(1, "/all");
    crash_subscribe(2, "/all");
    crash_subscribe(0, "/own");
    crash_subscribe(1, "/others");
    crash_subscribe(1, "/others");
    crash_subscribe(2, "/others");
    crash_subscribe(3, "/third");
}


/* patterns of 1 to 3, and a name that is known to match them */

static void
crash_prepare_patterns(void)
{
    crash_prepare();

    crash_subscribe(1, "/p/*");
    crash_subscribe(2, "/p/*");
    crash_subscribe(2, "/p/**");

    (void) crash_publish(1, "/p/1", 10);
    (void) crash_publish(1, "/all", 10);

    crash_subscribe(3, "/p/1/2");
}


static void
crash_prepare_stale(void)
{
    crash_prepare_patterns();

    crash_subscribe(3, "/p/*");
}


/* names are known, and nobody listens */

static void
crash_prepare_known(void)
{
    uint32_t  pattern;

    crash_prepare();
    crash_subscribe(3, "/p/**");

    pattern = crash_interest;

    (void) crash_publish(1, "/p/1", 10);
    (void) crash_publish(1, "/p/2", 10);

    ngx_stomp_broker_unsubscribe(&crash_b[3], pattern, 1);
}


static void
crash_prepare_inbox(void)
{
    crash_prepare();

    (void) crash_publish(1, "/all", 10);
    (void) crash_publish(1, "/all", 3000);
    (void) crash_publish(2, "/all", 9000);
    (void) crash_publish(1, "/own", 100);
}


static void
crash_prepare_hand(void)
{
    crash_prepare_inbox();

    (void) ngx_stomp_broker_drain(&crash_b[0]);
    (void) ngx_stomp_broker_drain(&crash_b[2]);
    (void) crash_publish(1, "/all", 10);
}


static void
crash_prepare_sessions(void)
{
    crash_prepare();

    crash_add_session(1);
    crash_add_session(2);
    crash_add_session(3);
    crash_session = ((ngx_stomp_session_sh_t *) ngx_stomp_zone_ptr(&crash.zone,
                                                     crash_session))->next;
}


static void
crash_prepare_full(void)
{
    crash.conf.inbox_size = crash.size;

    crash_prepare();

    while (crash_publish(1, "/others", 4000) == NGX_OK) { /* void */ }
    while (crash_publish(1, "/others", 1) == NGX_OK) { /* void */ }
}


static void
crash_prepare_nearly_full(void)
{
    crash.conf.inbox_size = crash.size;

    crash_prepare();

    while (crash.zone.sh->arena.nfree > 2
           && crash_publish(1, "/others", 4000) == NGX_OK)
    {
        /* void */
    }
}


static void
crash_prepare_overrun(void)
{
    crash.conf.inbox_size = 16 * 1024;

    crash_prepare();

    while (crash.zone.sh->slots[2].overrun == 0) {
        (void) crash_publish(1, "/all", 3000);
        (void) ngx_stomp_broker_drain(&crash_b[1]);
    }
}


static void
crash_prepare_overrun_next(void)
{
    crash.conf.inbox_size = 16 * 1024;

    crash_prepare();

    while (crash.zone.sh->slots[2].inbox_bytes + 4096 <= 16 * 1024) {
        (void) crash_publish(1, "/others", 3000);
    }
}


/* a slot of the own process with all that a former owner can leave */

static void
crash_prepare_attach(void)
{
    ngx_stomp_batch_t        batch;
    ngx_stomp_publication_t  p;

    crash_prepare_hand();
    crash_add_session(1);
    crash_add_session(2);

    memset(&batch, 0, sizeof(ngx_stomp_batch_t));
    p = fixture_publication("/others", crash_body, 30000);
    p.wanted = 1;
    batch.publications = &p;
    batch.n = 1;

    ngx_stomp_zone_lock(&crash.zone);

    if (ngx_stomp_batch_fill_locked(&crash.zone, &crash.zone.sh->slots[0],
                                    &batch)
        != NGX_AGAIN)
    {
        abort();
    }

    ngx_stomp_zone_unlock(&crash.zone);

    crash_b[0].slot = NGX_STOMP_SLOT_NONE;
}


static void
crash_prepare_detach(void)
{
    crash_prepare_attach();

    crash_b[0].slot = 0;
}


static void
crash_run_subscribe_new(void)
{
    crash_subscribe(0, CRASH_NEW);
}


static void
crash_run_subscribe_own(void)
{
    crash_subscribe(0, "/own");
}


static void
crash_run_subscribe_pattern(void)
{
    crash_subscribe(0, "/p/*");
}


static void
crash_run_subscribe_known(void)
{
    crash_subscribe(0, "/p/1");
}


static void
crash_run_subscribe_others(void)
{
    crash_subscribe(0, "/others");
}


static void
crash_run_unsubscribe(void)
{
    ngx_stomp_broker_unsubscribe(&crash_b[3], crash_interest, 1);
}


void
crash_run_publish(ngx_uint_t (*publications)(ngx_stomp_publication_t *p))
{
    ngx_uint_t               n;
    ngx_stomp_publication_t  p[MODEL_BATCH];

    n = publications(p);

    (void) ngx_stomp_broker_publish(&crash_b[0], p, n);
}


static ngx_uint_t
crash_publications_none(ngx_stomp_publication_t *p)
{
    p[0] = fixture_publication("/none", crash_body, 100);

    return 1;
}


static void
crash_run_publish_none(void)
{
    crash_run_publish(crash_publications_none);
}


static ngx_uint_t
crash_publications_own(ngx_stomp_publication_t *p)
{
    p[0] = fixture_publication("/own", crash_body, 100);

    return 1;
}


static void
crash_run_publish_own(void)
{
    crash_run_publish(crash_publications_own);
}


static ngx_uint_t
crash_publications_others(ngx_stomp_publication_t *p)
{
    p[0] = fixture_publication("/others", crash_body, 2000);

    return 1;
}


static void
crash_run_publish_others(void)
{
    crash_run_publish(crash_publications_others);
}


static ngx_uint_t
crash_publications_all(ngx_stomp_publication_t *p)
{
    p[0] = fixture_publication("/all", crash_body, 3000);

    return 1;
}


static void
crash_run_publish_all(void)
{
    crash_run_publish(crash_publications_all);
}


static ngx_uint_t
crash_publications_large(ngx_stomp_publication_t *p)
{
    p[0] = fixture_publication("/all", crash_body, 10000);

    return 1;
}


static void
crash_run_publish_large(void)
{
    crash_run_publish(crash_publications_large);
}


static ngx_uint_t
crash_publications_slices(ngx_stomp_publication_t *p)
{
    p[0] = fixture_publication("/all", crash_body, 50000);

    return 1;
}


static void
crash_run_publish_slices(void)
{
    crash_run_publish(crash_publications_slices);
}


static ngx_uint_t
crash_publications_batch(ngx_stomp_publication_t *p)
{
    ngx_uint_t          i;
    static const char  *names[] = { "/all", "/none", "/own", "/others" };

    for (i = 0; i < 20; i++) {
        p[i] = fixture_publication(names[i % 4], crash_body, i * 150);
    }

    return 20;
}


static void
crash_run_publish_batch(void)
{
    crash_run_publish(crash_publications_batch);
}


static ngx_uint_t
crash_publications_known(ngx_stomp_publication_t *p)
{
    p[0] = fixture_publication("/p/1", crash_body, 100);

    return 1;
}


static void
crash_run_publish_known(void)
{
    crash_run_publish(crash_publications_known);
}


static ngx_uint_t
crash_publications_unknown(ngx_stomp_publication_t *p)
{
    p[0] = fixture_publication("/p/2", crash_body, 100);

    return 1;
}


static void
crash_run_publish_unknown(void)
{
    crash_run_publish(crash_publications_unknown);
}


static ngx_uint_t
crash_publications_matched(ngx_stomp_publication_t *p)
{
    ngx_uint_t          i;
    static const char  *names[] = { "/p/2", "/none", "/p/1", "/all",
                                    "/p/1/2" };

    for (i = 0; i < 10; i++) {
        p[i] = fixture_publication(names[i % 5], crash_body, i * 150);
    }

    return 10;
}


static void
crash_run_publish_matched(void)
{
    crash_run_publish(crash_publications_matched);
}


static void
crash_run_drain(void)
{
    while (ngx_stomp_broker_drain(&crash_b[0]) == NGX_AGAIN) { /* void */ }
}


static void
crash_run_drain_overrun(void)
{
    while (ngx_stomp_broker_drain(&crash_b[2]) == NGX_AGAIN) { /* void */ }
}


static void
crash_run_reclaim(void)
{
    ngx_stomp_broker_reclaim(&crash_b[0]);
}


static void
crash_run_session_add(void)
{
    crash_add_session(4);
}


static void
crash_run_session_remove(void)
{
    ngx_stomp_broker_session_remove(&crash_b[0], crash_session);
}


static void
crash_run_reap(void)
{
    while (ngx_stomp_broker_reap(&crash_b[0]) == NGX_AGAIN) { /* void */ }
}


static void
crash_run_attach(void)
{
    ngx_stomp_broker_attach(&crash_b[0]);
}


static void
crash_run_detach(void)
{
    ngx_stomp_broker_detach(&crash_b[0]);
}


/* slots without an owner, but for the test's own */
#define CRASH_DEAD  (((1U << CRASH_SLOTS) - 1) & ~1U)


crash_operation_t  crash_operations[] = {
    { "subscribe, new", crash_prepare, crash_run_subscribe_new,
      { .kind = MODEL_SUBSCRIBE, .name = CRASH_NEW },
      NULL },
    { "subscribe, own", crash_prepare, crash_run_subscribe_own,
      { .kind = MODEL_SUBSCRIBE, .name = "/own" },
      NULL },
    { "subscribe, others'", crash_prepare, crash_run_subscribe_others,
      { .kind = MODEL_SUBSCRIBE, .name = "/others" },
      NULL },
    { "subscribe, pattern, new", crash_prepare, crash_run_subscribe_pattern,
      { .kind = MODEL_SUBSCRIBE, .name = "/p/*" },
      NULL },
    { "subscribe, pattern, others'", crash_prepare_patterns,
      crash_run_subscribe_pattern,
      { .kind = MODEL_SUBSCRIBE, .name = "/p/*" },
      NULL },
    { "subscribe, name is known", crash_prepare_patterns,
      crash_run_subscribe_known,
      { .kind = MODEL_SUBSCRIBE, .name = "/p/1" },
      NULL },
    { "unsubscribe, pattern", crash_prepare_stale, crash_run_unsubscribe,
      { .kind = MODEL_UNSUBSCRIBE, .worker = 3, .name = "/p/*",
        .count = 1 },
      NULL },
    { "unsubscribe, last", crash_prepare, crash_run_unsubscribe,
      { .kind = MODEL_UNSUBSCRIBE, .worker = 3, .name = "/third",
        .count = 1 },
      NULL },
    { "publish, nobody", crash_prepare_hand, crash_run_publish_none,
      { .kind = MODEL_PUBLISH },
      crash_publications_none },
    { "publish, own", crash_prepare, crash_run_publish_own,
      { .kind = MODEL_PUBLISH },
      crash_publications_own },
    { "publish, own waits", crash_prepare_inbox, crash_run_publish_own,
      { .kind = MODEL_PUBLISH },
      crash_publications_own },
    { "publish, others", crash_prepare_hand, crash_run_publish_others,
      { .kind = MODEL_PUBLISH },
      crash_publications_others },
    { "publish, all", crash_prepare_hand, crash_run_publish_all,
      { .kind = MODEL_PUBLISH },
      crash_publications_all },
    { "publish, three pages", crash_prepare_hand, crash_run_publish_large,
      { .kind = MODEL_PUBLISH },
      crash_publications_large },
    { "publish, slices", crash_prepare, crash_run_publish_slices,
      { .kind = MODEL_PUBLISH },
      crash_publications_slices },
    { "publish, batch", crash_prepare_hand, crash_run_publish_batch,
      { .kind = MODEL_PUBLISH },
      crash_publications_batch },
    { "publish, pattern", crash_prepare_patterns, crash_run_publish_known,
      { .kind = MODEL_PUBLISH },
      crash_publications_known },
    { "publish, pattern, new name", crash_prepare_patterns,
      crash_run_publish_unknown,
      { .kind = MODEL_PUBLISH },
      crash_publications_unknown },
    { "publish, pattern, another", crash_prepare_stale,
      crash_run_publish_known,
      { .kind = MODEL_PUBLISH },
      crash_publications_known },
    { "publish, pattern, nobody", crash_prepare_stale,
      crash_run_publish_none,
      { .kind = MODEL_PUBLISH },
      crash_publications_none },
    { "publish, pattern, batch", crash_prepare_stale,
      crash_run_publish_matched,
      { .kind = MODEL_PUBLISH },
      crash_publications_matched },
    { "publish, full", crash_prepare_full, crash_run_publish_others,
      { .kind = MODEL_PUBLISH, .path = MODEL_REFUSED },
      crash_publications_others },
    { "publish, full, large", crash_prepare_nearly_full,
      crash_run_publish_large,
      { .kind = MODEL_PUBLISH, .path = MODEL_REFUSED },
      crash_publications_large },
    { "publish, overrun", crash_prepare_overrun_next, crash_run_publish_others,
      { .kind = MODEL_PUBLISH },
      crash_publications_others },
    { "drain", crash_prepare_inbox, crash_run_drain,
      { .kind = MODEL_DRAIN, .repeat = 1 },
      NULL },
    { "drain, hand", crash_prepare_hand, crash_run_drain,
      { .kind = MODEL_DRAIN, .repeat = 1 },
      NULL },
    { "drain, overrun", crash_prepare_overrun, crash_run_drain_overrun,
      { .kind = MODEL_DRAIN, .worker = 2, .repeat = 1 },
      NULL },
    { "reclaim", crash_prepare_overrun, crash_run_reclaim,
      { .kind = MODEL_RECLAIM },
      NULL },
    { "reclaim, patterns", crash_prepare_stale, crash_run_reclaim,
      { .kind = MODEL_RECLAIM },
      NULL },
    { "reap, patterns", crash_prepare_stale, crash_run_reap,
      { .kind = MODEL_REAP, .dead = CRASH_DEAD, .repeat = 1 },
      NULL },
    { "reap, known names", crash_prepare_known, crash_run_reap,
      { .kind = MODEL_REAP, .dead = CRASH_DEAD, .repeat = 1 },
      NULL },
    { "session add", crash_prepare_sessions, crash_run_session_add,
      { .kind = MODEL_SESSION_ADD, .session = 4 },
      NULL },
    { "session remove", crash_prepare_sessions, crash_run_session_remove,
      { .kind = MODEL_SESSION_REMOVE, .session = 2 },
      NULL },
    { "reap", crash_prepare_hand, crash_run_reap,
      { .kind = MODEL_REAP, .dead = CRASH_DEAD, .repeat = 1 },
      NULL },
    { "attach", crash_prepare_attach, crash_run_attach,
      { .kind = MODEL_ATTACH },
      NULL },
    { "detach", crash_prepare_detach, crash_run_detach,
      { .kind = MODEL_DETACH },
      NULL },
    { "keep, new", crash_prepare_kept_none, crash_run_keep,
      { .kind = MODEL_PUBLISH },
      crash_publications_keep },
    { "keep, one too many", crash_prepare_kept, crash_run_keep,
      { .kind = MODEL_PUBLISH },
      crash_publications_keep },
    { "keep, batch", crash_prepare_kept, crash_run_keep_batch,
      { .kind = MODEL_PUBLISH },
      crash_publications_keep_batch },
    { "keep, three pages", crash_prepare_kept, crash_run_keep_large,
      { .kind = MODEL_PUBLISH },
      crash_publications_keep_large },
    { "keep, full", crash_prepare_kept_full, crash_run_keep_page,
      { .kind = MODEL_PUBLISH, .path = MODEL_RECLAIMED },
      crash_publications_keep_page },
    { "keep, no room", crash_prepare_kept_over, crash_run_keep,
      { .kind = MODEL_PUBLISH },
      crash_publications_keep },
    { "keep, no room, batch", crash_prepare_kept_over, crash_run_keep_batch,
      { .kind = MODEL_PUBLISH },
      crash_publications_keep_batch },
    { "retain", crash_prepare_kept, crash_run_retain,
      { .kind = MODEL_PUBLISH },
      crash_publications_retain },
    { "retain, new", crash_prepare_kept, crash_run_retain_new,
      { .kind = MODEL_PUBLISH },
      crash_publications_retain_new },
    { "retain, too many", crash_prepare_kept_over, crash_run_retain_new,
      { .kind = MODEL_PUBLISH },
      crash_publications_retain_new },
    { "retain, clear", crash_prepare_kept, crash_run_clear,
      { .kind = MODEL_PUBLISH },
      crash_publications_clear },
    { "retain, clear, heard", crash_prepare_kept, crash_run_clear_heard,
      { .kind = MODEL_PUBLISH },
      crash_publications_clear_heard },
    { "publish, expiring", crash_prepare_kept, crash_run_expiring,
      { .kind = MODEL_PUBLISH },
      crash_publications_expiring },
    { "reclaim, history", crash_prepare_kept, crash_run_reclaim,
      { .kind = MODEL_RECLAIM },
      NULL },
    { "sweep", crash_prepare_kept, crash_run_sweep,
      { .kind = MODEL_SWEEP, .repeat = 1 },
      NULL },
    { "replay", crash_prepare_replay, crash_run_replay,
      { .kind = MODEL_REPLAY, .name = "/long/a", .count = 43 },
      NULL },
    { "replay, next", crash_prepare_replay_taken, crash_run_replay,
      { .kind = MODEL_REPLAY, .name = "/long/a", .count = 43 },
      NULL },
    { "replay, lost", crash_prepare_replay_lost, crash_run_replay,
      { .kind = MODEL_REPLAY, .name = "/long/a", .count = 43 },
      NULL },
    { "replay, reap", crash_prepare_replay_taken, crash_run_replay_reap,
      { .kind = MODEL_DETACH },
      NULL },
};

ngx_uint_t  crash_noperations = sizeof(crash_operations)
                                / sizeof(crash_operations[0]);


crash_operation_t *
crash_operation(ngx_uint_t i)
{
    if (i < crash_noperations) {
        return &crash_operations[i];
    }

    i -= crash_noperations;

    return (i < crash_nqueue_operations) ? &crash_queue_operations[i] : NULL;
}
