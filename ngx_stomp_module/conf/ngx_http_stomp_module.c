
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_stomp_core_module.h>
#include <ngx_http_stomp_module.h>
#include <ngx_http_stomp_origin.h>
#include <ngx_http_stomp_push.h>
#include <ngx_http_stomp_session_conf.h>
#include <ngx_http_stomp_set_json.h>
#include <ngx_http_stomp_status.h>
#include <ngx_http_stomp_variables.h>
#include <ngx_http_stomp_websocket.h>


/* for numbers and sizes, both of which have the width of ngx_int_t */

typedef struct {
    ngx_conf_post_handler_pt    post_handler;
    ngx_int_t                   low;
    ngx_int_t                   high;
    const char                 *text;
} ngx_http_stomp_bounds_t;


static void *ngx_http_stomp_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_stomp_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_stomp_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_stomp_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static void ngx_http_stomp_merge_session(ngx_stomp_session_conf_t *prev,
    ngx_stomp_session_conf_t *conf);
static void ngx_http_stomp_merge_handler(ngx_conf_t *cf,
    ngx_http_stomp_loc_conf_t *prev, ngx_http_stomp_loc_conf_t *conf);
static ngx_http_handler_pt ngx_http_stomp_handler(
    ngx_http_stomp_loc_conf_t *conf);
static char *ngx_http_stomp_check_handler(ngx_conf_t *cf,
    ngx_http_stomp_loc_conf_t *conf);
static char *ngx_http_stomp_check_push(ngx_conf_t *cf,
    ngx_http_stomp_loc_conf_t *conf);
static char *ngx_http_stomp_check_bounds(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_stomp_check_time(ngx_conf_t *cf, void *post, void *data);
static char *ngx_http_stomp_location(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_stomp_origins(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/* ticks of a second and their sums are kept in 32 bits */
#define NGX_HTTP_STOMP_TIME_MAX  (365 * 24 * 60 * 60)


/*
 * With the largest values of all a message for a client still has less than
 * 4 GiB: headers escaped to twice their length, and the body.
 */

static ngx_http_stomp_bounds_t  ngx_http_stomp_frame_bounds = {
    ngx_http_stomp_check_bounds, 128, NGX_MAX_INT32_VALUE, "from 128 to 2047m"
};

static ngx_http_stomp_bounds_t  ngx_http_stomp_headers_bounds = {
    ngx_http_stomp_check_bounds, 4, 1024, "from 4 to 1024"
};

static ngx_http_stomp_bounds_t  ngx_http_stomp_length_bounds = {
    ngx_http_stomp_check_bounds, 64, 64 * 1024, "from 64 to 64k"
};

static ngx_http_stomp_bounds_t  ngx_http_stomp_prefetch_bounds = {
    ngx_http_stomp_check_bounds, 1, 65535, "from 1 to 65535"
};

static ngx_http_stomp_bounds_t  ngx_http_stomp_body_bounds = {
    ngx_http_stomp_check_bounds, 0, NGX_MAX_INT32_VALUE / 2, "from 0 to 1023m"
};

static ngx_http_stomp_bounds_t  ngx_http_stomp_subscriptions_bounds = {
    ngx_http_stomp_check_bounds, 1, 100000, "from 1 to 100000"
};

static ngx_http_stomp_bounds_t  ngx_http_stomp_transactions_bounds = {
    ngx_http_stomp_check_bounds, 0, 1000, "from 0 to 1000"
};

/* NGX_STOMP_BATCH_MAX: a COMMIT is one batch */

static ngx_http_stomp_bounds_t  ngx_http_stomp_held_frames_bounds = {
    ngx_http_stomp_check_bounds, 1, 1000, "from 1 to 1000"
};

static ngx_http_stomp_bounds_t  ngx_http_stomp_held_size_bounds = {
    ngx_http_stomp_check_bounds, 128, NGX_MAX_INT32_VALUE, "from 128 to 2047m"
};

static ngx_http_stomp_bounds_t  ngx_http_stomp_tolerance_bounds = {
    ngx_http_stomp_check_bounds, 1, 100, "from 1 to 100"
};

static ngx_http_stomp_bounds_t  ngx_http_stomp_output_bounds = {
    ngx_http_stomp_check_bounds, 0, NGX_MAX_INT32_VALUE, "from 0 to 2047m"
};

static ngx_conf_post_t  ngx_http_stomp_time_bounds = {
    ngx_http_stomp_check_time
};


#define NGX_HTTP_STOMP_ANY                                                    \
    (NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF)


static ngx_command_t  ngx_http_stomp_commands[] = {

    { ngx_string("stomp_broker"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_stomp_broker_block,
      0,
      0,
      NULL },

    { ngx_string("stomp_shutdown_drain"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_stomp_main_conf_t, shutdown_drain),
      NULL },

    { ngx_string("stomp_pass"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_stomp_location,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, pass),
      ngx_http_stomp_websocket_handler },

    { ngx_string("stomp_push"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_stomp_location,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, push),
      ngx_http_stomp_push_handler },

    { ngx_string("stomp_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_stomp_location,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, status),
      ngx_http_stomp_status_handler },

    { ngx_string("stomp_push_destination"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, push_destination),
      NULL },

    { ngx_string("stomp_push_body"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, push_body),
      NULL },

    { ngx_string("stomp_set_json"),
      NGX_HTTP_SRV_CONF|NGX_HTTP_SIF_CONF|NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF
                       |NGX_CONF_TAKE23,
      ngx_http_stomp_set_json,
      0,
      0,
      NULL },

    { ngx_string("stomp_origins"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_1MORE,
      ngx_http_stomp_origins,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("stomp_user"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, user),
      NULL },

    { ngx_string("stomp_max_frame"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, max_frame),
      &ngx_http_stomp_frame_bounds },

    { ngx_string("stomp_max_headers"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, session.limits.max_headers),
      &ngx_http_stomp_headers_bounds },

    { ngx_string("stomp_max_header_length"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, session.limits.max_header_length),
      &ngx_http_stomp_length_bounds },

    { ngx_string("stomp_max_body"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, session.limits.max_body),
      &ngx_http_stomp_body_bounds },

    { ngx_string("stomp_max_subscriptions"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, session.max_subscriptions),
      &ngx_http_stomp_subscriptions_bounds },

    { ngx_string("stomp_max_transactions"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, session.max_transactions),
      &ngx_http_stomp_transactions_bounds },

    { ngx_string("stomp_max_transaction_frames"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, session.max_transaction_frames),
      &ngx_http_stomp_held_frames_bounds },

    { ngx_string("stomp_max_transaction_size"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, session.max_transaction_size),
      &ngx_http_stomp_held_size_bounds },

    { ngx_string("stomp_message_rate"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_TAKE12,
      ngx_http_stomp_message_rate,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("stomp_byte_rate"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_TAKE12,
      ngx_http_stomp_byte_rate,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("stomp_rate_policy"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, session.rate_policy),
      &ngx_http_stomp_rate_policies },

    { ngx_string("stomp_slow_policy"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, session.slow_policy),
      &ngx_http_stomp_slow_policies },

    { ngx_string("stomp_max_prefetch"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, session.max_prefetch),
      &ngx_http_stomp_prefetch_bounds },

    { ngx_string("stomp_heartbeat"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_TAKE12,
      ngx_http_stomp_heartbeat,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("stomp_heartbeat_tolerance"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, session.heartbeat_tolerance),
      &ngx_http_stomp_tolerance_bounds },

    { ngx_string("stomp_connect_timeout"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, session.connect_timeout),
      &ngx_http_stomp_time_bounds },

    { ngx_string("stomp_frame_timeout"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, session.frame_timeout),
      &ngx_http_stomp_time_bounds },

    { ngx_string("stomp_ping_interval"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_TAKE1,
      ngx_http_stomp_ping_interval,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, session.ping_interval),
      NULL },

    { ngx_string("stomp_max_output"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, session.max_output),
      &ngx_http_stomp_output_bounds },

    { ngx_string("stomp_output_timeout"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, session.output_timeout),
      &ngx_http_stomp_time_bounds },

    { ngx_string("stomp_keep_request"),
      NGX_HTTP_STOMP_ANY|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_stomp_loc_conf_t, keep_request),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_stomp_module_ctx = {
    ngx_http_stomp_add_variables,          /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_stomp_create_main_conf,       /* create main configuration */
    ngx_http_stomp_init_main_conf,         /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_stomp_create_loc_conf,        /* create location configuration */
    ngx_http_stomp_merge_loc_conf          /* merge location configuration */
};


ngx_module_t  ngx_http_stomp_module = {
    NGX_MODULE_V1,
    &ngx_http_stomp_module_ctx,            /* module context */
    ngx_http_stomp_commands,               /* module directives */
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


static void *
ngx_http_stomp_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_stomp_main_conf_t  *smcf;

    smcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_stomp_main_conf_t));
    if (smcf == NULL) {
        return NULL;
    }

    smcf->shutdown_drain = NGX_CONF_UNSET;

    return smcf;
}


static char *
ngx_http_stomp_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_stomp_main_conf_t  *smcf;

    smcf = conf;

    ngx_conf_init_value(smcf->shutdown_drain, 30);

    ngx_stomp_core_set_drain(cf, smcf->shutdown_drain);

    return NGX_CONF_OK;
}


static void *
ngx_http_stomp_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_stomp_loc_conf_t  *slcf;

    slcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_stomp_loc_conf_t));
    if (slcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     slcf->pass = NULL;
     *     slcf->push = NULL;
     *     slcf->status = NULL;
     *     slcf->origins_any = 0;
     *     slcf->user = NULL;
     *     slcf->push_destination = NULL;
     *     slcf->push_body = NULL;
     */

    slcf->origins = NGX_CONF_UNSET_PTR;
    slcf->max_frame = NGX_CONF_UNSET_SIZE;
    slcf->keep_request = NGX_CONF_UNSET;

    slcf->session.limits.max_headers = NGX_CONF_UNSET_UINT;
    slcf->session.limits.max_header_length = NGX_CONF_UNSET_SIZE;
    slcf->session.limits.max_body = NGX_CONF_UNSET_SIZE;
    slcf->session.max_subscriptions = NGX_CONF_UNSET_UINT;
    slcf->session.max_prefetch = NGX_CONF_UNSET_UINT;
    slcf->session.heartbeat_send = NGX_CONF_UNSET_MSEC;
    slcf->session.heartbeat_receive = NGX_CONF_UNSET_MSEC;
    slcf->session.heartbeat_tolerance = NGX_CONF_UNSET_UINT;
    slcf->session.connect_timeout = NGX_CONF_UNSET;
    slcf->session.frame_timeout = NGX_CONF_UNSET;
    slcf->session.ping_interval = NGX_CONF_UNSET;
    slcf->session.max_output = NGX_CONF_UNSET_SIZE;
    slcf->session.output_timeout = NGX_CONF_UNSET;

    ngx_http_stomp_init_limits(&slcf->session);

    return slcf;
}


static char *
ngx_http_stomp_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    char                       *rv;
    ngx_http_stomp_loc_conf_t  *prev, *conf;

    prev = parent;
    conf = child;

    ngx_http_stomp_merge_handler(cf, prev, conf);

    if (conf->origins == NGX_CONF_UNSET_PTR) {
        conf->origins_any = prev->origins_any;
    }

    ngx_conf_merge_ptr_value(conf->origins, prev->origins, NULL);
    ngx_conf_merge_size_value(conf->max_frame, prev->max_frame, 128 * 1024);
    ngx_conf_merge_value(conf->keep_request, prev->keep_request, 0);

    if (conf->user == NULL) {
        conf->user = prev->user;
    }

    ngx_http_stomp_merge_session(&prev->session, &conf->session);

    rv = ngx_http_stomp_check_handler(cf, conf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_stomp_check_push(cf, conf);
}


static void
ngx_http_stomp_merge_session(ngx_stomp_session_conf_t *prev,
    ngx_stomp_session_conf_t *conf)
{
    ngx_conf_merge_uint_value(conf->limits.max_headers,
                              prev->limits.max_headers, 64);
    ngx_conf_merge_size_value(conf->limits.max_header_length,
                              prev->limits.max_header_length, 4096);
    ngx_conf_merge_size_value(conf->limits.max_body, prev->limits.max_body,
                              64 * 1024);
    ngx_conf_merge_uint_value(conf->max_subscriptions,
                              prev->max_subscriptions, 128);
    ngx_conf_merge_uint_value(conf->max_prefetch, prev->max_prefetch, 1000);
    ngx_conf_merge_msec_value(conf->heartbeat_send, prev->heartbeat_send,
                              25000);
    ngx_conf_merge_msec_value(conf->heartbeat_receive,
                              prev->heartbeat_receive, 25000);
    ngx_conf_merge_uint_value(conf->heartbeat_tolerance,
                              prev->heartbeat_tolerance, 3);
    ngx_conf_merge_sec_value(conf->connect_timeout, prev->connect_timeout, 10);
    ngx_conf_merge_sec_value(conf->frame_timeout, prev->frame_timeout, 60);
    ngx_conf_merge_sec_value(conf->ping_interval, prev->ping_interval, 45);
    ngx_conf_merge_size_value(conf->max_output, prev->max_output,
                              1024 * 1024);
    ngx_conf_merge_sec_value(conf->output_timeout, prev->output_timeout, 30);

    ngx_http_stomp_merge_limits(prev, conf);
}


/* "if" and "limit_except" are locations of their own, in ours */

static void
ngx_http_stomp_merge_handler(ngx_conf_t *cf, ngx_http_stomp_loc_conf_t *prev,
    ngx_http_stomp_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (!clcf->noname) {
        return;
    }

    conf->pass = prev->pass;
    conf->push = prev->push;
    conf->status = prev->status;
    conf->push_destination = prev->push_destination;
    conf->push_body = prev->push_body;

    if (clcf->lmt_excpt && clcf->handler == NULL) {
        clcf->handler = ngx_http_stomp_handler(conf);
    }
}


static ngx_http_handler_pt
ngx_http_stomp_handler(ngx_http_stomp_loc_conf_t *conf)
{
    if (conf->pass != NULL) {
        return ngx_http_stomp_websocket_handler;
    }

    if (conf->push != NULL) {
        return ngx_http_stomp_push_handler;
    }

    return (conf->status != NULL) ? ngx_http_stomp_status_handler : NULL;
}


/* a handler that was set before ours was refused, most take what is there */

static char *
ngx_http_stomp_check_handler(ngx_conf_t *cf, ngx_http_stomp_loc_conf_t *conf)
{
    ngx_http_handler_pt        handler;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    handler = ngx_http_stomp_handler(conf);

    if (handler == NULL || clcf->noname || clcf->handler == handler) {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "location \"%V\" has stomp_pass, stomp_push or "
                       "stomp_status and another handler, such as "
                       "proxy_pass, give it a location of its own",
                       &clcf->name);
    return NGX_CONF_ERROR;
}


/* a location without a rest of its URI tells no destination */

static char *
ngx_http_stomp_check_push(ngx_conf_t *cf, ngx_http_stomp_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->push != NULL
        && conf->push_destination == NULL
        && (clcf->exact_match
            || clcf->named
#if (NGX_PCRE)
            || clcf->regex
#endif
           ))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "stomp_push in location \"%V\" needs "
                           "\"stomp_push_destination\": only a location by "
                           "prefix takes the destination from the rest of "
                           "the URI", &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (conf->push == NULL
        && (conf->push_destination != NULL || conf->push_body != NULL))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"stomp_push_destination\" and "
                           "\"stomp_push_body\" in location \"%V\" need "
                           "\"stomp_push BROKER;\" beside them", &clcf->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_stomp_check_bounds(ngx_conf_t *cf, void *post, void *data)
{
    ngx_http_stomp_bounds_t  *bounds = post;
    ngx_int_t                *np = data;

    ngx_str_t  *value;

    if (*np >= bounds->low && *np <= bounds->high) {
        return NGX_CONF_OK;
    }

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "%V must be %s, not \"%V\"",
                       &value[0], bounds->text, &value[1]);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_stomp_check_time(ngx_conf_t *cf, void *post, void *data)
{
    time_t  *sp = data;

    ngx_str_t  *value;

    if (*sp >= 1 && *sp <= NGX_HTTP_STOMP_TIME_MAX) {
        return NGX_CONF_OK;
    }

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "%V must be from 1s to 365d, not \"%V\"",
                       &value[0], &value[1]);

    return NGX_CONF_ERROR;
}


/* stomp_pass, stomp_push and stomp_status: what a location is */

static char *
ngx_http_stomp_location(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                  *value;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_stomp_broker_conf_t   **place;

    place = (ngx_stomp_broker_conf_t **) ((char *) conf + cmd->offset);

    if (*place != NULL) {
        return "is duplicate";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler != NULL) {
        return "can't be in a location that has another handler, such as "
               "stomp_pass, stomp_push, stomp_status or proxy_pass";
    }

    value = cf->args->elts;

    *place = ngx_stomp_broker_ref(cf, &value[1]);
    if (*place == NULL) {
        return NGX_CONF_ERROR;
    }

    clcf->handler = (ngx_http_handler_pt) cmd->post;

    return NGX_CONF_OK;
}


static char *
ngx_http_stomp_origins(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                  *value, *origin;
    ngx_uint_t                  i;
    const char                 *error;
    ngx_http_stomp_loc_conf_t  *slcf;

    slcf = conf;

    if (slcf->origins != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    slcf->origins = ngx_array_create(cf->pool, cf->args->nelts,
                                     sizeof(ngx_str_t));
    if (slcf->origins == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (value[i].len == 1 && value[i].data[0] == '*') {

            if (cf->args->nelts != 2) {
                return "has \"*\" and other origins, \"*\" alone allows all";
            }

            slcf->origins_any = 1;
            break;
        }

        if (ngx_strcmp(value[i].data, "same") == 0 && cf->args->nelts == 2) {
            slcf->origins = NULL;
            break;
        }

        error = ngx_http_stomp_origin_check(&value[i]);

        if (error != NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid origin \"%V\": %s", &value[i], error);
            return NGX_CONF_ERROR;
        }

        origin = ngx_array_push(slcf->origins);
        if (origin == NULL) {
            return NGX_CONF_ERROR;
        }

        *origin = value[i];
    }

    return NGX_CONF_OK;
}
