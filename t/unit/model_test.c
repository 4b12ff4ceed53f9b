
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Without it: an operation that a kill leaves half done, or that leaves more
 * or less behind than it says, where the scripted operations don't look.
 *
 * Random operations of several workers, each of which is first done as a
 * whole, and then again from the same zone and killed: at each place if there
 * are few, else at some.  What is in the zone has to be what a plain model
 * says, before the operation, after it, or between two of its sections.
 *
 * STOMP_MODEL_SEED repeats a run; STOMP_MODEL_KILLS and STOMP_MODEL_SECONDS
 * bound it, 0 for no bound.
 */


#include <model_choice.h>


#define MODEL_ZONE      (256 * 1024)
#define MODEL_KILLS     20000
#define MODEL_SECONDS   50
#define MODEL_STATES    64
#define MODEL_EPISODE   200          /* operations between two empty zones */
#define MODEL_FEW       10           /* places: each of them */
#define MODEL_SOME      8            /* otherwise */

/* pages that an operation may need beyond its octets: one of each class */
#define MODEL_SPARE     16


static model_choice_t   model_c;

/* the states that an operation may leave behind */
static zone_model_t     model_states[MODEL_STATES];
static ngx_uint_t       model_nstates;

/* slots that have an unfinished message: before, after a kill, without one */
static uint32_t         model_building;
static uint32_t         model_killed_building;
static uint32_t         model_done_building;

static u_char          *model_before;
static u_char          *model_after;

/* for the log */
static uint64_t         model_seed;
static ngx_uint_t       model_episodes;
static ngx_uint_t       model_operations;
static ngx_uint_t       model_kills;
static ngx_uint_t       model_undone;
static ngx_uint_t       model_deaths;
static ngx_uint_t       model_paths[3];
static ngx_uint_t       model_overruns;
static ngx_uint_t       model_messages;


static void
model_fail(const char *when, ngx_uint_t n, const char *error)
{
    fail_msg("STOMP_MODEL_SEED=%llu, operation %zu (%s), %s %zu: %s",
             (long long) model_seed, (size_t) model_operations,
             model_describe(&model_call->op), when, (size_t) n, error);
}


static void
model_see(zone_model_t *m)
{
    if (model_nstates
        && model_diff(m, &model_states[model_nstates - 1]) == NULL)
    {
        return;
    }

    assert_true(model_nstates < MODEL_STATES);

    model_states[model_nstates++] = *m;
}


/* the zone's content, with whatever a killed process has left undone */

static void
model_look(zone_model_t *content, uint32_t *building, const char *when,
    ngx_uint_t n)
{
    uint64_t     recovered;
    ngx_uint_t   notes;
    const char  *error;

    notes = (model.zone.sh->undo_count != 0);
    recovered = model.zone.sh->counters.recovered;

    ngx_stomp_zone_lock(&model.zone);

    error = zone_check(&model.zone);

    if (error == NULL) {
        error = zone_content(&model.zone, model_names, content, building);
    }

    if (error == NULL
        && model.zone.sh->counters.recovered != recovered + notes)
    {
        error = "a recovery that is not counted";
    }

    ngx_stomp_zone_unlock(&model.zone);

    model_undone += notes;

    if (error) {
        model_fail(when, n, error);
    }

    if (ngx_stub_log->alerts) {
        model_fail(when, n, ngx_stub_log->last);
    }
}


/* counters are added up without notes: each may be before or after */

static void
model_check_counters(u_char *before, const char *when, ngx_uint_t n,
    ngx_uint_t killed)
{
    uint64_t                  got[3], had[3];
    ngx_uint_t                i, counts;
    ngx_stomp_zone_sh_t      *sh;
    static const uint64_t     more[3] = { MODEL_DELIVERED, MODEL_DROPPED,
                                          MODEL_REFUSALS };

    sh = (ngx_stomp_zone_sh_t *) (void *) before;

    had[0] = sh->counters.delivered;
    had[1] = sh->counters.dropped;
    had[2] = sh->counters.refused;

    got[0] = model.zone.sh->counters.delivered;
    got[1] = model.zone.sh->counters.dropped;
    got[2] = model.zone.sh->counters.refused;

    counts = (model_call->op.kind == MODEL_DRAIN
              || model_call->op.kind == MODEL_DETACH
              || model_call->op.kind == MODEL_STAT);

    for (i = 0; i < 3; i++) {
        if (got[i] != had[i] + counts * more[i]
            && !(killed && got[i] == had[i]))
        {
            model_fail(when, n, "wrong counters");
        }
    }
}


/* what the broker has answered, against what the model says */

static const char *
model_check_answer(model_op_t *want)
{
    ngx_uint_t   i;
    model_op_t  *got;

    got = &model_call->op;

    if (got->rc != want->rc) {
        return "another answer";
    }

    if (got->handed != want->handed || got->content != want->content) {
        return "other messages are delivered";
    }

    if (got->overrun != want->overrun
        || (got->overrun && got->drained != want->drained))
    {
        return "another overrun";
    }

    for (i = 0; got->rc == NGX_OK && i < got->n; i++) {
        if (got->p[i].subscribers != want->p[i].subscribers
            || got->p[i].sequence != want->p[i].sequence)
        {
            return "another number, or other subscribers";
        }
    }

    return NULL;
}


static ngx_uint_t
model_needs_memory(model_kind_e kind)
{
    return (kind == MODEL_PUBLISH || kind == MODEL_SUBSCRIBE
            || kind == MODEL_SESSION_ADD);
}


/* if there was no need to, nothing is refused and nothing reclaimed */

static ngx_uint_t
model_has_room(model_op_t *op)
{
    size_t      octets;
    ngx_uint_t  i;

    octets = 0;

    for (i = 0; i < op->n; i++) {
        octets += model_octets(&op->p[i], 0);
    }

    return ((ngx_stomp_zone_sh_t *) (void *) model_before)->arena.nfree
           >= octets / NGX_STOMP_PAGE_SIZE + MODEL_SPARE;
}


/* finds what has become of an operation that was not disturbed */

static void
model_judge_whole(zone_model_t *result)
{
    uint32_t             building;
    model_op_t           op;
    const char          *error, *first;
    static zone_model_t  content, other;

    model_look(&content, &building, "done, place", model_call->places);

    /* those of the dead are left until they are reaped */

    if (building & ~model_building) {
        model_fail("done, place", model_call->places,
                   "a message is left unfinished");
    }

    model_done_building = building;

    model_check_counters(model_before, "done, place", model_call->places, 0);

    model_nstates = 0;
    model_see(&model_c.m);

    op = model_call->op;
    first = NULL;

    for (op.path = MODEL_DIRECT; op.path <= MODEL_REFUSED; op.path++) {

        *result = model_c.m;
        model_apply(result, &op, model_see);

        error = model_diff(&content, result);

        if (error == NULL) {
            error = model_check_answer(&op);
        }

        if (error == NULL) {
            break;
        }

        if (first == NULL) {
            first = strdup(error);
        }

        if (!model_needs_memory(op.kind) || model_has_room(&op)) {
            op.path = MODEL_REFUSED;
        }
    }

    if (error) {
        model_fail("done, place", model_call->places, first);
    }

    /* it may have been done at the second attempt with the same result */

    if (op.path == MODEL_DIRECT && model_needs_memory(op.kind)
        && !model_has_room(&op))
    {
        other = model_c.m;
        op.path = MODEL_RECLAIMED;
        model_apply(&other, &op, model_see);
        op.path = MODEL_DIRECT;
    }

    free((char *) first);

    model_paths[op.path]++;
    model_overruns += op.overrun;
    model_messages += op.handed;
}


/* returns the number of the state that a killed operation has left */

static ngx_uint_t
model_judge_killed(ngx_uint_t n)
{
    uint32_t             building, own;
    ngx_uint_t           i;
    const char          *error;
    static zone_model_t  content;

    model_look(&content, &building, "killed at place", n);
    model_check_counters(model_before, "killed at place", n, 1);

    own = (model_call->op.kind == MODEL_PUBLISH)
          ? 1U << model_call->op.worker : 0;

    if (building & ~(model_building | own)) {
        model_fail("killed at place", n, "somebody's message is unfinished");
    }

    model_killed_building = building;

    error = NULL;

    for (i = 0; i < model_nstates; i++) {
        error = model_diff(&content, &model_states[i]);

        if (error == NULL) {
            return i;
        }
    }

    model_fail("killed at place", n, error);

    return 0;
}


/* returns 1 and the state in m if the last kill is to stay */

static ngx_uint_t
model_kill_at_places(model_worker_t *w, zone_model_t *m)
{
    ngx_uint_t  i, n, places, tries, state;
    model_op_t  op;

    op = model_call->op;
    places = model_call->places;
    state = 0;

    tries = (places <= MODEL_FEW) ? places : MODEL_SOME;

    for (i = 0; i < tries; i++) {

        n = (places <= MODEL_FEW)
            ? i + 1 : 1 + fixture_random(&model_c.random) % places;

        memcpy(model.addr, model_before, model.size);

        model_call->op = op;
        model_call->kill_at = n;

        if (model_worker_run(w)) {
            model_fail("killed at place", n, "it lived");
        }

        state = model_judge_killed(n);
        model_kills++;
    }

    if (tries == 0 || fixture_random(&model_c.random) % 60) {
        return 0;
    }

    *m = model_states[state];

    return 1;
}


/* takes over what an operation has returned */

static void
model_remember(model_worker_t *w)
{
    ngx_uint_t   dest;
    model_op_t  *op;

    op = &model_call->op;

    if (op->kind == MODEL_ATTACH) {
        w->attached = 1;

    } else if (op->kind == MODEL_DETACH) {
        model_worker_kill(w);

    } else if (op->kind == MODEL_SUBSCRIBE && op->rc == NGX_OK) {
        dest = model_dest(&model_c.m, op->name, strlen(op->name));

        if (model_call->in.destination != model_c.m.dests[dest].id
            || model_call->in.from != model_c.m.sequence)
        {
            model_fail("done, place", 0, "another destination's interest");
        }

        model_c.interests[w->slot][dest] = model_call->in.interest;

    } else if (op->kind == MODEL_SESSION_ADD && op->rc == NGX_OK) {
        model_c.offsets[op->session] = model_call->handle;
    }
}


static void
model_operation(model_worker_t *w)
{
    static model_call_t  done;
    static zone_model_t  result, killed;

    model_operations++;

    memcpy(model_before, model.addr, model.size);

    model_call->kill_at = 0;

    if (!model_worker_run(w)) {
        model_fail("done, place", model_call->places, "it was killed");
    }

    model_judge_whole(&result);

    done = *model_call;
    memcpy(model_after, model.addr, model.size);

    if (model_kill_at_places(w, &killed)) {
        model_c.m = killed;
        model_building = model_killed_building;
        model_worker_kill(w);
        model_deaths++;
        return;
    }

    *model_call = done;
    memcpy(model.addr, model_after, model.size);

    model_c.m = result;
    model_building = model_done_building;
    model_remember(w);
}


/* all workers die, and a process without a slot takes what they had */

static void
model_empty(void)
{
    ngx_uint_t      i, left;
    model_worker_t  w;

    for (i = 0; i < MODEL_WORKERS; i++) {
        if (model_c.workers[i].pid) {
            model_worker_kill(&model_c.workers[i]);
        }
    }

    do {
        model_worker_start(&w);

        memset(&model_call->op, 0, sizeof(model_op_t));
        model_call->op.kind = MODEL_REAP;
        model_call->op.worker = MODEL_NOBODY;
        model_call->op.dead = model_dead(&model_c);

        model_operation(&w);

        if (w.pid) {
            model_worker_kill(&w);
        }

        for (i = 0, left = 0; i < MODEL_SLOTS; i++) {
            left |= (model_c.m.slots[i].state != NGX_STOMP_SLOT_FREE);
        }

    } while (left);

    if (fixture_used(&model) != 0
        || model.zone.sh->arena.nfree != model.zone.sh->arena.pages
        || model.zone.sh->ndestinations != 0)
    {
        model_fail("at its end, used", fixture_used(&model), "not empty");
    }
}


/* the same zone for the same seed, but for its mutex */

static void
model_begin(void)
{
    static const size_t      sizes[] = { 48 * 1024, MODEL_ZONE, 12 * 1024,
                                         96 * 1024 };
    static const ngx_uint_t  eager[] = { 30, 5, 1 };

    fixture_reset(&model);

    model.zone.sh->key[0] = fixture_random(&model_c.random);
    model.zone.sh->key[1] = fixture_random(&model_c.random);

    /* all twelve, one after the other */

    model.conf.inbox_size = sizes[model_episodes % 4];
    model_c.eager = eager[(model_episodes + 1) % 3];
    model_episodes++;
    model_c.session = 0;

    memset(&model_c.m, 0, sizeof(zone_model_t));
    model_c.m.names = model_names;
    model_c.m.inbox_size = model.conf.inbox_size;
}


static void
model_figures(uint64_t start)
{
    fprintf(stderr, "# %zu kills, %zu undone, in %zu ms; %zu operations, %zu "
            "messages delivered\n", (size_t) model_kills,
            (size_t) model_undone, (size_t) (fixture_msec() - start),
            (size_t) model_operations, (size_t) model_messages);
    fprintf(stderr, "# %zu workers died, %zu overruns, %zu times memory was "
            "reclaimed, %zu times there was none\n", (size_t) model_deaths,
            (size_t) model_overruns, (size_t) model_paths[MODEL_RECLAIMED],
            (size_t) model_paths[MODEL_REFUSED]);
}


static uint64_t
model_env(const char *name, uint64_t value)
{
    char  *text;

    text = getenv(name);

    return text ? strtoull(text, NULL, 10) : value;
}


static void
model_random_test(void **state)
{
    uint64_t    start, shown, kills, end;
    ngx_uint_t  i;

    model_seed = model_env("STOMP_MODEL_SEED", (uint64_t) time(NULL));
    kills = model_env("STOMP_MODEL_KILLS", MODEL_KILLS);
    end = model_env("STOMP_MODEL_SECONDS", MODEL_SECONDS) * 1000;

    fprintf(stderr, "# STOMP_MODEL_SEED=%llu\n", (long long) model_seed);

    model_c.random = model_seed;
    start = fixture_msec();
    shown = start;

    do {
        model_begin();

        for (i = 0; i < MODEL_EPISODE; i++) {
            model_operation(model_choose(&model_c));

            if (fixture_msec() - shown > 10000) {
                shown = fixture_msec();
                model_figures(start);
            }
        }

        model_empty();

    } while ((kills == 0 || model_kills < kills)
             && (end == 0 || fixture_msec() - start < end));

    model_figures(start);

    /* the figures say that nothing was left out */

    assert_true(model_undone > 0 && model_deaths > 0 && model_messages > 0);
}


static int
model_setup(void **state)
{
    fixture_init(&model, MODEL_ZONE, MODEL_SLOTS);

    model_call = ngx_stub_shared(sizeof(model_call_t));
    model_before = ngx_stub_shared(model.size);
    model_after = ngx_stub_shared(model.size);

    model_choice_init();

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(model_random_test),
    };

    return cmocka_run_group_tests_name("model", tests, model_setup, NULL);
}
