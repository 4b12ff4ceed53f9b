
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: a pattern's worker isn't among those that a message goes to, a
 * flood of names fills the zone, or thousands of patterns hold the lock.
 */


#include <broker_fixture.h>


#define MATCH_ZONE  (4 * 1024 * 1024)


static broker_fixture_t    match;
static ngx_stomp_broker_t  match_b[4];
static u_char              match_body[4096];
static ngx_uint_t          match_sections;
static uint32_t            match_notes;         /* most of a section */


static void
match_unlock_hook(void)
{
    match_sections++;
}


static void
match_store_hook(void)
{
    match_notes = ngx_max(match_notes, match.zone.sh->undo_count);
}


static uint32_t
match_subscribe(ngx_uint_t worker, const char *name)
{
    ngx_str_t             str;
    ngx_stomp_interest_t  in;

    str = fixture_str(name);

    assert_int_equal(ngx_stomp_broker_subscribe(&match_b[worker], &str, &in),
                     NGX_OK);
    assert_int_equal(in.pattern, strchr(name, '*') != NULL);

    return in.interest;
}


static ngx_stomp_publication_t
match_publish(const char *name)
{
    ngx_stomp_publication_t  p;

    p = fixture_publication(name, match_body, 100);

    assert_int_equal(ngx_stomp_broker_publish(&match_b[0], &p, 1), NGX_OK);

    return p;
}


static void
match_drain(void)
{
    ngx_uint_t  i;

    for (i = 0; i < 4; i++) {
        while (ngx_stomp_broker_drain(&match_b[i]) == NGX_AGAIN) { /* void */ }
    }
}


static uint32_t
match_waiting(ngx_uint_t worker)
{
    return match.zone.sh->slots[worker].inbox_count;
}


static void
match_trim(void)
{
    while (match.zone.sh->matches) {
        ngx_stomp_zone_lock(&match.zone);
        ngx_stomp_match_trim_locked(&match.zone, NGX_STOMP_MATCH_TRIM);
        ngx_stomp_zone_unlock(&match.zone);
    }
}


static void
match_audience_test(void **state)
{
    uint32_t   a, b;
    uint64_t   last;
    ngx_str_t  name;

    a = match_subscribe(1, "/a/*");
    b = match_subscribe(2, "/a/**");
    (void) match_subscribe(2, "/a/**");

    assert_int_equal(match_publish("/a/b").subscribers, 3);
    assert_int_equal(match_publish("/a/b/c").subscribers, 2);
    assert_int_equal(match_publish("/b").subscribers, 0);
    assert_int_equal(match_waiting(1), 1);
    assert_int_equal(match_waiting(2), 2);
    assert_int_equal(match_waiting(3), 0);
    fixture_check(&match);

    /* a known name: who comes later, and who goes */

    (void) match_subscribe(3, "/a/*");
    assert_int_equal(match_publish("/a/b").subscribers, 4);
    assert_int_equal(match_waiting(3), 1);

    last = match.zone.sh->sequence;
    assert_true(ngx_stomp_broker_last(&match_b[1], a) == last);
    assert_true(ngx_stomp_broker_last(&match_b[2], b) == last);

    (void) match_publish("/b");
    assert_true(ngx_stomp_broker_last(&match_b[1], a) == last);

    ngx_stomp_broker_unsubscribe(&match_b[1], a, 1);
    assert_int_equal(match_publish("/a/b").subscribers, 3);
    assert_int_equal(match_waiting(1), 2);

    /* one more in a worker that has the pattern: counted at once */

    (void) match_subscribe(3, "/a/*");
    name = fixture_str("/a/b");
    assert_int_equal(ngx_stomp_broker_subscribers(&match_b[0], &name), 4);
    name = fixture_str("/a/*");
    assert_int_equal(ngx_stomp_broker_subscribers(&match_b[0], &name), 2);
    name = fixture_str("/none");
    assert_int_equal(ngx_stomp_broker_subscribers(&match_b[0], &name), 0);

    fixture_check(&match);
}


static void
match_id_test(void **state)
{
    uint32_t                 exact;
    uint64_t                 id;
    ngx_str_t                name;
    ngx_stomp_dest_sh_t     *dest;

    (void) match_subscribe(1, "/a/*");
    (void) match_publish("/a/b");

    name = fixture_str("/a/b");
    dest = ngx_stomp_dest_lookup_locked(&match.zone, &name,
                                        ngx_stomp_dest_hash(&match.zone,
                                                            &name));
    assert_non_null(dest);
    id = dest->id;

    /* it keeps its id when it is subscribed to, and when it isn't any more */

    exact = match_subscribe(2, "/a/b");
    assert_true(dest->id == id && dest->interests);
    ngx_stomp_broker_unsubscribe(&match_b[2], exact, 1);
    assert_true(dest->id == id && dest->interests == 0);

    fixture_check(&match);
}


static void
match_flood_test(void **state)
{
    size_t      used;
    char        name[64];
    ngx_uint_t  i;

    (void) match_subscribe(1, "/**");
    used = 0;

    for (i = 0; i < 20000; i++) {
        snprintf(name, sizeof(name), "/a/name/%u", (unsigned) i);
        assert_int_equal(match_publish(name).subscribers, 1);
        match_drain();

        if (i % 5000 == 0) {
            fixture_check(&match);
        }
    }

    used = fixture_used(&match);
    assert_true(used < MATCH_ZONE / NGX_STOMP_MATCH_SHARE + 64 * 1024);
    assert_true(match.zone.sh->match_bytes
                > MATCH_ZONE / NGX_STOMP_MATCH_SHARE / 2);
    assert_true(match_notes < 256);
}


static void
match_slices_test(void **state)
{
    char                         name[64];
    ngx_int_t                    rc;
    ngx_uint_t                   i;
    ngx_stomp_match_t            m;
    ngx_stomp_publication_t      p;
    ngx_stomp_wildcard_topics_t  topics;

    ngx_stomp_broker_topics(&match.conf, &topics);

    for (i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "/*/p%u", (unsigned) i);
        (void) match_subscribe(i % 4, name);
    }

    /* all patterns begin alike: many sections, each of them short */

    match_sections = 0;
    assert_int_equal(match_publish("/x/p7").subscribers, 1);
    assert_true(match_sections > 5 && match_sections < 100);

    match_sections = 0;
    assert_int_equal(match_publish("/x/p7").subscribers, 1);
    assert_true(match_sections <= 2);

    /* known to be heard by nobody, as this was hard to find out */

    assert_int_equal(match_publish("/x/none").subscribers, 0);
    match_sections = 0;
    assert_int_equal(match_publish("/x/none").subscribers, 0);
    assert_int_equal(match_sections, 1);

    match_drain();

    /* patterns that come all the time: at last all workers are the audience */

    memset(&m, 0, sizeof(ngx_stomp_match_t));
    p = fixture_publication("/y/p8", match_body, 1);
    p.hash = ngx_stomp_dest_hash(&match.zone, &p.destination);

    for (i = 0; ; i++) {
        assert_true(i < 20);

        ngx_stomp_zone_lock(&match.zone);
        rc = ngx_stomp_match_locked(&match.zone, &topics, &p, &m);
        ngx_stomp_zone_unlock(&match.zone);

        if (rc == NGX_OK) {
            break;
        }

        snprintf(name, sizeof(name), "/*/q%u", (unsigned) i);
        (void) match_subscribe(0, name);
    }

    assert_int_equal(m.slots[0], 0xf);
    fixture_check(&match);
}


static void
match_batch_test(void **state)
{
    char                     names[200][32];
    ngx_uint_t               i;
    ngx_stomp_publication_t  p[200];

    (void) match_subscribe(1, "/b/*");
    (void) match_subscribe(2, "/b/7");

    for (i = 0; i < 200; i++) {
        snprintf(names[i], sizeof(names[i]), (i % 2) ? "/b/%u" : "/c/%u",
                 (unsigned) i);
        p[i] = fixture_publication(names[i], match_body, i);
    }

    assert_int_equal(ngx_stomp_broker_publish(&match_b[0], p, 200), NGX_OK);

    for (i = 0; i < 200; i++) {
        assert_int_equal(p[i].subscribers, (i == 7) ? 2 : i % 2);
    }

    assert_int_equal(match_waiting(1), 100);
    assert_int_equal(match_waiting(2), 100);
    fixture_check(&match);
}


static void
match_full_test(void **state)
{
    ngx_int_t                rc;
    ngx_stomp_publication_t  p;

    match.conf.inbox_size = MATCH_ZONE;

    (void) match_subscribe(1, "/a/**");
    (void) match_subscribe(1, "/fill");
    (void) match_publish("/a/known");

    do {
        p = fixture_publication("/fill", match_body, 4000);
    } while (ngx_stomp_broker_publish(&match_b[0], &p, 1) == NGX_OK);

    do {
        p = fixture_publication("/fill", match_body, 1);
    } while (ngx_stomp_broker_publish(&match_b[0], &p, 1) == NGX_OK);

    /* what was known has made room before a publisher was refused */

    assert_int_equal(match.zone.sh->matches, 0);

    /* without room for a match messages find their way, as long as they fit */

    do {
        p = fixture_publication("/a/new", match_body, 1);
        rc = ngx_stomp_broker_publish(&match_b[0], &p, 1);
    } while (rc == NGX_OK);

    assert_int_equal(rc, NGX_BUSY);

    fixture_check(&match);
    match_drain();

    assert_int_equal(match_publish("/a/new").subscribers, 1);

    match.conf.inbox_size = MATCH_ZONE / 8;
    fixture_check(&match);
}


/*
 * After a reload workers of two configurations publish to one zone: what one
 * of them has found out must not hide patterns from the other.
 */

static void
match_topics_test(void **state)
{
    ngx_str_t                prefix, name;
    ngx_uint_t               i;
    ngx_stomp_interest_t     in;
    ngx_stomp_broker_conf_t  dotted;
    ngx_stomp_publication_t  p[2];

    prefix = fixture_str("/");

    dotted = match.conf;
    dotted.dotted.elts = &prefix;
    dotted.dotted.nelts = 1;
    dotted.topics_id = match.conf.topics_id + 1;

    match_b[2].conf = &dotted;
    match_b[3].conf = &dotted;

    (void) match_subscribe(1, "/**");

    name = fixture_str("/a.#");
    assert_int_equal(ngx_stomp_broker_subscribe(&match_b[3], &name, &in),
                     NGX_OK);
    assert_int_equal(in.pattern, 1);

    for (i = 1; i <= 3; i++) {

        /* by an old worker, then by a new one */

        (void) match_publish("/a.b");

        p[0] = fixture_publication("/a.b", match_body, 100);
        p[1] = p[0];

        assert_int_equal(ngx_stomp_broker_publish(&match_b[2], p, i % 2 + 1),
                         NGX_OK);
        assert_int_equal(p[0].subscribers, 1);
        assert_true(match_waiting(3) != 0);

        match_drain();
    }
}


/* what takes too long is not searched to its end, and only once */

static void
match_long_test(void **state)
{
    char                      name[NGX_STOMP_DESTINATION_MAX];
    size_t                    len;
    ngx_str_t                 prefix, pattern;
    ngx_uint_t                i;
    ngx_stomp_interest_t      in;
    ngx_stomp_broker_conf_t   dotted;

    prefix = fixture_str("/");

    dotted = match.conf;
    dotted.dotted.elts = &prefix;
    dotted.dotted.nelts = 1;

    match_b[0].conf = &dotted;
    match_b[1].conf = &dotted;

    for (i = 0; i < 1100; i++) {
        len = 2;
        memcpy(name, "/#", len);

        while (len < 2 + 2 * 60) {
            memcpy(&name[len], ".a", 2);
            len += 2;
        }

        snprintf(&name[len], sizeof(name) - len, ".b%u", (unsigned) i);

        pattern = fixture_str(name);
        assert_int_equal(ngx_stomp_broker_subscribe(&match_b[1], &pattern,
                                                    &in),
                         NGX_OK);
    }

    memset(name, 'a', sizeof(name));
    name[0] = '/';

    for (i = 2; i < 200; i += 2) {
        name[i] = '.';
    }

    name[200] = '\0';

    match_sections = 0;
    (void) match_publish(name);
    assert_true(match_sections > 1024 && match_sections < 1100);
    assert_int_equal(match_waiting(1), 1);

    match_sections = 0;
    (void) match_publish(name);
    assert_true(match_sections <= 2);
    assert_int_equal(match_waiting(1), 2);
}


static int
match_setup(void **state)
{
    ngx_uint_t  i;

    fixture_reset(&match);

    for (i = 0; i < 4; i++) {
        fixture_worker(&match, &match_b[i], i);
    }

    match_notes = 0;

    return 0;
}


/* whatever a test did, all of it can be taken back */

static int
match_teardown(void **state)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    match_drain();

    for (i = 0; i < 4; i++) {
        do {
            ngx_stomp_zone_lock(&match.zone);
            rc = ngx_stomp_slot_reap_locked(&match_b[0],
                                            &match.zone.sh->slots[i]);
            ngx_stomp_zone_unlock(&match.zone);
        } while (rc == NGX_AGAIN);
    }

    match_trim();
    fixture_check(&match);

    assert_int_equal(match.zone.sh->npatterns, 0);
    assert_int_equal(match.zone.sh->ndestinations, 0);
    assert_int_equal(fixture_used(&match), 0);

    return 0;
}


static int
match_group_setup(void **state)
{
    fixture_init(&match, MATCH_ZONE, 4);

    ngx_stub_unlock_hook = match_unlock_hook;
    ngx_stomp_store_hook = match_store_hook;

    return 0;
}


#define match_unit_test(f)                                                    \
    cmocka_unit_test_setup_teardown(f, match_setup, match_teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        match_unit_test(match_audience_test),
        match_unit_test(match_id_test),
        match_unit_test(match_flood_test),
        match_unit_test(match_slices_test),
        match_unit_test(match_batch_test),
        match_unit_test(match_full_test),
        match_unit_test(match_topics_test),
        match_unit_test(match_long_test),
    };

    return cmocka_run_group_tests_name("match", tests, match_group_setup,
                                       NULL);
}
