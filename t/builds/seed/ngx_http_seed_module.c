
/*
 * Copyright (C) ngx_stomp_module contributors
 */


/*
 * Makes mistakes for the tests in t/builds, to show that nginx finds them, and
 * that its pools hide none: "seed_mistake leak;" in a location.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


typedef void (*ngx_http_seed_pt)(ngx_http_request_t *r);


typedef struct {
    ngx_str_t         name;
    ngx_http_seed_pt  make;
} ngx_http_seed_mistake_t;


typedef struct {
    ngx_http_seed_pt  make;
} ngx_http_seed_loc_conf_t;


static void ngx_http_seed_leak(ngx_http_request_t *r);
static void ngx_http_seed_pfree(ngx_http_request_t *r);
static void ngx_http_seed_pool(ngx_http_request_t *r);
static void ngx_http_seed_overflow(ngx_http_request_t *r);
static void ngx_http_seed_shift(ngx_http_request_t *r);

static ngx_int_t ngx_http_seed_handler(ngx_http_request_t *r);
static void *ngx_http_seed_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_seed_mistake(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_http_seed_mistake_t  ngx_http_seed_mistakes[] = {
    { ngx_string("leak"), ngx_http_seed_leak },
    { ngx_string("pfree"), ngx_http_seed_pfree },
    { ngx_string("pool"), ngx_http_seed_pool },
    { ngx_string("overflow"), ngx_http_seed_overflow },
    { ngx_string("shift"), ngx_http_seed_shift },
    { ngx_null_string, NULL }
};


static ngx_command_t  ngx_http_seed_commands[] = {

    { ngx_string("seed_mistake"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_seed_mistake,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_seed_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_seed_create_loc_conf,         /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_seed_module = {
    NGX_MODULE_V1,
    &ngx_http_seed_module_ctx,             /* module context */
    ngx_http_seed_commands,                /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* volatile: the compiler must neither warn of a mistake nor leave it out */

static volatile ngx_uint_t  ngx_http_seed_result;


static ngx_int_t
ngx_http_seed_handler(ngx_http_request_t *r)
{
    ngx_http_seed_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_seed_module);

    slcf->make(r);

    return NGX_HTTP_NO_CONTENT;
}


static void
ngx_http_seed_leak(ngx_http_request_t *r)
{
    volatile u_char  *p;

    p = ngx_alloc(100, r->connection->log);

    if (p != NULL) {
        p[0] = 1;
    }
}


static void
ngx_http_seed_pfree(ngx_http_request_t *r)
{
    volatile u_char  *p;

    p = ngx_pcalloc(r->pool, 16);

    if (p != NULL) {
        (void) ngx_pfree(r->pool, (void *) p);
        ngx_http_seed_result = p[0];
    }
}


static void
ngx_http_seed_pool(ngx_http_request_t *r)
{
    ngx_pool_t       *pool;
    volatile u_char  *p;

    pool = ngx_create_pool(1024, r->connection->log);
    if (pool == NULL) {
        return;
    }

    p = ngx_pcalloc(pool, 16);
    ngx_destroy_pool(pool);

    if (p != NULL) {
        ngx_http_seed_result = p[0];
    }
}


static void
ngx_http_seed_overflow(ngx_http_request_t *r)
{
    volatile u_char  *p;

    p = ngx_pcalloc(r->pool, 16);

    if (p != NULL) {
        p[16] = 1;
    }
}


static void
ngx_http_seed_shift(ngx_http_request_t *r)
{
    volatile int  n;

    n = 40;
    ngx_http_seed_result = 1 << n;
}


static void *
ngx_http_seed_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_seed_loc_conf_t));
}


static char *
ngx_http_seed_mistake(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_seed_loc_conf_t  *slcf = conf;

    ngx_str_t                 *value;
    ngx_http_seed_mistake_t   *m;
    ngx_http_core_loc_conf_t  *clcf;

    value = cf->args->elts;

    for (m = ngx_http_seed_mistakes; m->make != NULL; m++) {

        if (m->name.len == value[1].len
            && ngx_strncmp(m->name.data, value[1].data, m->name.len) == 0)
        {
            slcf->make = m->make;

            clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
            clcf->handler = ngx_http_seed_handler;

            return NGX_CONF_OK;
        }
    }

    return "has an unknown value";
}
