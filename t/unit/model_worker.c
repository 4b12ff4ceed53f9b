
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <model_worker.h>
#include <signal.h>


#define MODEL_PATIENCE  20000        /* milliseconds */


static void model_worker_main(int in, int out);
static void model_operate(ngx_stomp_broker_t *b);
static ngx_int_t model_operate_once(ngx_stomp_broker_t *b);
static ngx_int_t model_session_add(ngx_stomp_broker_t *b);
static void model_place(void);
static void model_point(const char *name);
static void model_deliver(void *data, ngx_stomp_message_t *m);
static void model_overrun(void *data, uint64_t drained);
static void model_answer(model_worker_t *w);


broker_fixture_t   model;
model_call_t      *model_call;

static uint64_t    model_last;       /* number of the last one delivered */


void
model_worker_start(model_worker_t *w)
{
    int  to[2], from[2];

    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);

    w->pid = fixture_fork();

    if (w->pid == 0) {
        (void) close(to[1]);
        (void) close(from[0]);
        model_worker_main(to[0], from[1]);
        _exit(0);
    }

    (void) close(to[0]);
    (void) close(from[1]);

    w->to = to[1];
    w->from = from[0];
    w->attached = 0;

    model_answer(w);

    w->slot = model_call->slot;
    w->generation = model_call->generation;
}


ngx_uint_t
model_worker_run(model_worker_t *w)
{
    model_call->places = 0;
    model_call->error[0] = '\0';
    model_call->attached = w->attached;

    assert_int_equal(write(w->to, "r", 1), 1);

    model_answer(w);

    (void) ngx_shmtx_force_unlock(&model.mutex, model_call->pid);

    if (WIFEXITED(model_call->status) && WEXITSTATUS(model_call->status) == 0) {
        return 1;
    }

    if (!WIFSIGNALED(model_call->status)
        || WTERMSIG(model_call->status) != SIGKILL)
    {
        fail_msg("status %d %s", model_call->status, model_call->error);
    }

    return 0;
}


static void
model_answer(model_worker_t *w)
{
    char           c;
    struct pollfd  pfd;

    pfd.fd = w->from;
    pfd.events = POLLIN;

    if (poll(&pfd, 1, MODEL_PATIENCE) != 1 || read(w->from, &c, 1) != 1) {
        fail_msg("a worker does not answer");
    }
}


void
model_worker_kill(model_worker_t *w)
{
    fixture_kill(w->pid);

    (void) close(w->to);
    (void) close(w->from);

    memset(w, 0, sizeof(model_worker_t));
}


static void
model_worker_main(int in, int out)
{
    char                 c;
    pid_t                pid;
    ngx_stomp_broker_t  *b;

    if (ngx_stomp_slot_claim(&model.log) != NGX_OK) {
        _exit(3);
    }

    b = fixture_broker(&model);
    b->deliver = model_deliver;
    b->overrun = model_overrun;

    model_call->slot = ngx_stomp_slot_own();
    model_call->generation = ngx_stomp_slot_generation(model_call->slot);

    while (write(out, "d", 1) == 1 && read(in, &c, 1) == 1) {

        pid = fixture_fork();

        if (pid == 0) {
            model_operate(b);
            _exit(0);
        }

        model_call->pid = pid;

        if (waitpid(pid, &model_call->status, 0) != pid) {
            _exit(4);
        }
    }
}


static void
model_operate(ngx_stomp_broker_t *b)
{
    model_op_t  *op;

    op = &model_call->op;

    if (model_call->attached) {
        b->slot = ngx_stomp_slot_own();
        b->generation = ngx_stomp_slot_generation(b->slot);
    }

    b->delivered = MODEL_DELIVERED;
    b->dropped = MODEL_DROPPED;
    b->refused = MODEL_REFUSALS;

    op->handed = 0;
    op->content = 0;
    op->overrun = 0;

    ngx_stomp_store_hook = model_place;
    ngx_stomp_point_hook = model_point;
    ngx_stub_unlock_hook = model_place;

    do {
        op->rc = model_operate_once(b);
    } while (op->repeat && op->rc == NGX_AGAIN);
}


static ngx_int_t
model_operate_once(ngx_stomp_broker_t *b)
{
    ngx_str_t          name;
    model_op_t        *op;
    ngx_stomp_stat_t   stat;

    op = &model_call->op;

    switch (op->kind) {

    case MODEL_ATTACH:
        ngx_stomp_broker_attach(b);
        break;

    case MODEL_DETACH:
        ngx_stomp_broker_detach(b);
        break;

    case MODEL_SUBSCRIBE:
        name = fixture_str(op->name);
        return ngx_stomp_broker_subscribe(b, &name, &model_call->in);

    case MODEL_UNSUBSCRIBE:
        ngx_stomp_broker_unsubscribe(b, model_call->handle, op->count);
        break;

    case MODEL_PUBLISH:
        return ngx_stomp_broker_publish(b, op->p, op->n);

    case MODEL_DRAIN:
        return ngx_stomp_broker_drain(b);

    case MODEL_RECLAIM:
        ngx_stomp_broker_reclaim(b);
        break;

    case MODEL_SESSION_ADD:
        return model_session_add(b);

    case MODEL_SESSION_REMOVE:
        ngx_stomp_broker_session_remove(b, model_call->handle);
        break;

    case MODEL_REAP:
        return ngx_stomp_broker_reap(b);

    case MODEL_STAT:
        ngx_stomp_broker_stat(b, &stat);
        break;

    case MODEL_SWEEP:
    case MODEL_REPLAY:
    case MODEL_UNKNOWN:
        break;
    }

    return NGX_OK;
}


static ngx_int_t
model_session_add(ngx_stomp_broker_t *b)
{
    ngx_stomp_session_info_t  info;

    info.id = model_call->op.session;
    info.since = 1;
    info.addr = fixture_str("192.0.2.1");
    info.user = fixture_str("somebody");

    /* of some lengths */

    info.user.len = info.id % 9;

    model_call->handle = ngx_stomp_broker_session_add(b, &info);

    return model_call->handle ? NGX_OK : NGX_BUSY;
}


/* before a store, before the lock is free, or between sections */

static void
model_place(void)
{
    if (++model_call->places == model_call->kill_at) {
        (void) kill(ngx_pid, SIGKILL);
    }
}


static void
model_point(const char *name)
{
    model_place();
}


static void
model_deliver(void *data, ngx_stomp_message_t *m)
{
    if (m->sequence <= model_last) {
        snprintf(model_call->error, sizeof(model_call->error),
                 "message %llu after %llu", (long long) m->sequence,
                 (long long) model_last);
        _exit(2);
    }

    model_last = m->sequence;

    model_call->op.handed++;
    model_call->op.content += zone_content_message(&model.zone, m);
}


static void
model_overrun(void *data, uint64_t drained)
{
    model_call->op.overrun++;
    model_call->op.drained = drained;
}
