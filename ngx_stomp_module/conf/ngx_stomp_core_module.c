
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stomp_core_module.h>
#include <ngx_stomp_wake.h>
#include <ngx_stomp_wheel.h>


#define NGX_STOMP_SLOTS_PER_WORKER  8
#define NGX_STOMP_SLOTS_MIN         64

/* how often, in seconds, a worker without a slot says so */
#define NGX_STOMP_CLAIM_LOG         60


static void *ngx_stomp_core_create_conf(ngx_cycle_t *cycle);
static char *ngx_stomp_core_init_conf(ngx_cycle_t *cycle, void *conf);
static ngx_int_t ngx_stomp_core_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_stomp_core_init_process(ngx_cycle_t *cycle);
static void ngx_stomp_core_exit_process(ngx_cycle_t *cycle);
static ngx_stomp_core_conf_t *ngx_stomp_core_conf(ngx_cycle_t *cycle);
static void ngx_stomp_core_cleanup(void *data);
static void ngx_stomp_core_retire(ngx_cycle_t *cycle);
static ngx_uint_t ngx_stomp_core_has_zone(ngx_stomp_core_conf_t *scf,
    void *addr);
static ngx_int_t ngx_stomp_core_start(ngx_cycle_t *cycle);
static void ngx_stomp_core_claim(ngx_cycle_t *cycle);


static ngx_core_module_t  ngx_stomp_core_module_ctx = {
    ngx_string("stomp"),
    ngx_stomp_core_create_conf,
    ngx_stomp_core_init_conf
};


ngx_module_t  ngx_stomp_core_module = {
    NGX_MODULE_V1,
    &ngx_stomp_core_module_ctx,            /* module context */
    NULL,                                  /* module directives */
    NGX_CORE_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_stomp_core_init_module,            /* init module */
    ngx_stomp_core_init_process,           /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_stomp_core_exit_process,           /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* cycles of this process that need the slots */
static ngx_uint_t  ngx_stomp_core_cycles;


static void *
ngx_stomp_core_create_conf(ngx_cycle_t *cycle)
{
    ngx_stomp_core_conf_t  *scf;

    scf = ngx_pcalloc(cycle->pool, sizeof(ngx_stomp_core_conf_t));
    if (scf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&scf->brokers, cycle->pool, 4,
                       sizeof(ngx_stomp_broker_entry_t *))
        != NGX_OK)
    {
        return NULL;
    }

    scf->drain = 30;

    return scf;
}


static char *
ngx_stomp_core_init_conf(ngx_cycle_t *cycle, void *conf)
{
    ngx_uint_t                  i;
    ngx_core_conf_t            *ccf;
    ngx_stomp_core_conf_t      *scf;
    ngx_stomp_broker_entry_t  **entry;

    scf = conf;
    entry = scf->brokers.elts;

    for (i = 0; i < scf->brokers.nelts; i++) {

        if (!entry[i]->defined) {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                          "stomp_broker \"%V\" is not defined, add a block "
                          "\"stomp_broker %V { zone 16m; topic /topic/; }\" "
                          "to http, in %s:%ui",
                          &entry[i]->conf.name, &entry[i]->conf.name,
                          entry[i]->file, entry[i]->line);
            return NGX_CONF_ERROR;
        }
    }

    /* nginx's own value is complete by now; 0: no limit */

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    if (scf->brokers.nelts
        && ccf->shutdown_timeout
        && ccf->shutdown_timeout / 1000 < (ngx_msec_t) scf->drain)
    {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "worker_shutdown_timeout is shorter than "
                      "stomp_shutdown_drain, %T seconds: STOMP sessions that "
                      "are left then are cut without a close frame",
                      scf->drain);
    }

    return NGX_CONF_OK;
}


/*
 * In the master, after each configuration.  From a reload on it must not
 * fail: nginx would end the master.
 */

static ngx_int_t
ngx_stomp_core_init_module(ngx_cycle_t *cycle)
{
    ngx_int_t               n;
    ngx_core_conf_t        *ccf;
    ngx_pool_cleanup_t     *cln;
    ngx_stomp_core_conf_t  *scf;

    if (ngx_test_config) {
        return NGX_OK;
    }

    scf = ngx_stomp_core_conf(cycle);

    if (ngx_stomp_slots_count() == 0 && scf->brokers.nelts == 0) {
        ngx_stomp_core_retire(cycle);
        return NGX_OK;
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    n = ngx_max(NGX_STOMP_SLOTS_PER_WORKER * ccf->worker_processes,
                NGX_STOMP_SLOTS_MIN);
    n = ngx_min(n, NGX_STOMP_SLOTS_MAX);

    if (ngx_stomp_slots_init(n, cycle->log) != NGX_OK) {
        return ngx_is_init_cycle(cycle->old_cycle) ? NGX_ERROR : NGX_OK;
    }

    cln = ngx_pool_cleanup_add(cycle->pool, 0);

    if (cln != NULL) {
        cln->handler = ngx_stomp_core_cleanup;
        ngx_stomp_core_cycles++;
    }

    ngx_stomp_core_retire(cycle);

    /* without a master this process is the worker, and has its slot */

    if (ngx_process == NGX_PROCESS_SINGLE
        && ngx_stomp_slot_own() != NGX_STOMP_SLOT_NONE)
    {
        (void) ngx_stomp_core_start(cycle);
    }

    return NGX_OK;
}


/* the last cycle that has the module is gone: it will be unloaded */

static void
ngx_stomp_core_cleanup(void *data)
{
    if (--ngx_stomp_core_cycles == 0) {
        ngx_stomp_slots_cleanup(ngx_cycle->log);
    }
}


static ngx_stomp_core_conf_t *
ngx_stomp_core_conf(ngx_cycle_t *cycle)
{
    return (ngx_stomp_core_conf_t *) ngx_get_conf(cycle->conf_ctx,
                                                  ngx_stomp_core_module);
}


/* tells the workers of the old cycle which zones are the last of their kind */

static void
ngx_stomp_core_retire(ngx_cycle_t *cycle)
{
    ngx_uint_t                  i;
    ngx_cycle_t                *old;
    ngx_stomp_zone_sh_t        *sh;
    ngx_stomp_broker_t         *b;
    ngx_stomp_core_conf_t      *scf, *oscf;
    ngx_stomp_broker_entry_t  **entry;

    old = cycle->old_cycle;

    if (old == NULL || ngx_is_init_cycle(old)) {
        return;
    }

    oscf = ngx_stomp_core_conf(old);

    if (oscf == NULL) {
        return;
    }

    scf = ngx_stomp_core_conf(cycle);
    entry = oscf->brokers.elts;

    for (i = 0; i < oscf->brokers.nelts; i++) {

        sh = entry[i]->conf.zone_addr;

        if (sh == NULL || ngx_stomp_core_has_zone(scf, sh)) {
            continue;
        }

        sh->retired = 1;

        ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                      "the zone of stomp_broker \"%V\" was replaced or "
                      "removed, its sessions will be closed",
                      &entry[i]->conf.name);

        /* without a master its memory goes right away */

        b = entry[i]->conf.broker;

        if (b != NULL && ngx_process == NGX_PROCESS_SINGLE) {
            ngx_stomp_wheel_abort(b->data);
            ngx_stomp_broker_detach(b);
            b->closed = 1;
        }
    }
}


static ngx_uint_t
ngx_stomp_core_has_zone(ngx_stomp_core_conf_t *scf, void *addr)
{
    ngx_uint_t                  i;
    ngx_stomp_broker_entry_t  **entry;

    entry = scf->brokers.elts;

    for (i = 0; i < scf->brokers.nelts; i++) {
        if (entry[i]->conf.zone_addr == addr) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_stomp_core_init_process(ngx_cycle_t *cycle)
{
    ngx_stomp_core_conf_t  *scf;

    /* the cache manager and loader own nothing */

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    scf = ngx_stomp_core_conf(cycle);

    if (scf->brokers.nelts == 0) {
        return NGX_OK;
    }

    return ngx_stomp_core_start(cycle);
}


/* makes this process's brokers; NGX_OK also where some are out of service */

static ngx_int_t
ngx_stomp_core_start(ngx_cycle_t *cycle)
{
    ngx_uint_t                  i;
    ngx_stomp_broker_t         *b;
    ngx_stomp_core_conf_t      *scf;
    ngx_stomp_broker_entry_t  **entry;

    scf = ngx_stomp_core_conf(cycle);
    entry = scf->brokers.elts;

    for (i = 0; i < scf->brokers.nelts; i++) {

        b = ngx_stomp_broker_create(&entry[i]->conf, cycle->log);
        if (b == NULL) {
            continue;
        }

        if (ngx_stomp_hub_create(b, cycle->log) == NULL
            || ngx_stomp_wake_broker(b) != NGX_OK)
        {
            continue;
        }

        entry[i]->conf.broker = b;
    }

    ngx_stomp_wheel_init(cycle, scf->drain, ngx_stomp_core_claim);
    ngx_stomp_core_claim(cycle);

    return NGX_OK;
}


/* also in each tick, as long as this process has no slot */

static void
ngx_stomp_core_claim(ngx_cycle_t *cycle)
{
    ngx_int_t                   rc;
    ngx_uint_t                  i, first;
    ngx_stomp_core_conf_t      *scf;
    ngx_stomp_broker_entry_t  **entry;

    static time_t  logged;

    first = (ngx_stomp_slot_own() == NGX_STOMP_SLOT_NONE);

    rc = ngx_stomp_slot_claim(cycle->log);

    if (rc != NGX_OK) {

        if (logged == 0 || ngx_time() - logged >= NGX_STOMP_CLAIM_LOG) {
            logged = ngx_time();

            ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                          "all %ui slots for workers are taken, this worker "
                          "refuses STOMP sessions and pushes until one is "
                          "free", ngx_stomp_slots_count());
        }

        return;
    }

    if (first && ngx_stomp_wake_init(cycle) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "no connection for wake-ups, messages come with the "
                      "tick; raise worker_connections");
    }

    scf = ngx_stomp_core_conf(cycle);
    entry = scf->brokers.elts;

    for (i = 0; i < scf->brokers.nelts; i++) {
        if (entry[i]->conf.broker != NULL) {
            ngx_stomp_broker_attach(entry[i]->conf.broker);
        }
    }
}


static void
ngx_stomp_core_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                  i;
    ngx_stomp_core_conf_t      *scf;
    ngx_stomp_broker_entry_t  **entry;

    scf = ngx_stomp_core_conf(cycle);
    entry = scf->brokers.elts;

    for (i = 0; i < scf->brokers.nelts; i++) {
        if (entry[i]->conf.broker != NULL) {
            ngx_stomp_broker_detach(entry[i]->conf.broker);
        }
    }
}
