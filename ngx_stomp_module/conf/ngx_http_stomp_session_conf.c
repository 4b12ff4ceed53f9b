
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_stomp_module.h>
#include <ngx_http_stomp_session_conf.h>
#include <ngx_stomp_rate.h>


/* tokens are counted in thousandths, in 64 bits */
#define NGX_HTTP_STOMP_RATE_MAX    NGX_MAX_INT32_VALUE

/* what a turn of the event loop reads at once is paid in 16 seconds */
#define NGX_HTTP_STOMP_BYTE_RATE_MIN  1024


static ngx_int_t ngx_http_stomp_rate(ngx_conf_t *cf, ngx_uint_t octets,
    size_t *rate, size_t *burst);
static ngx_int_t ngx_http_stomp_rate_value(ngx_str_t *value,
    ngx_uint_t octets, size_t *number);
static ngx_int_t ngx_http_stomp_time_or_off(ngx_conf_t *cf, ngx_str_t *value,
    ngx_msec_t *time);


ngx_conf_enum_t  ngx_http_stomp_rate_policies[] = {
    { ngx_string("delay"), NGX_STOMP_RATE_DELAY },
    { ngx_string("close"), NGX_STOMP_RATE_CLOSE },
    { ngx_null_string, 0 }
};


ngx_conf_enum_t  ngx_http_stomp_slow_policies[] = {
    { ngx_string("close"), NGX_STOMP_SLOW_CLOSE },
    { ngx_string("drop"), NGX_STOMP_SLOW_DROP },
    { ngx_null_string, 0 }
};


void
ngx_http_stomp_init_limits(ngx_stomp_session_conf_t *conf)
{
    conf->message_rate = NGX_CONF_UNSET_SIZE;
    conf->byte_rate = NGX_CONF_UNSET_SIZE;
    conf->rate_policy = NGX_CONF_UNSET_UINT;
    conf->slow_policy = NGX_CONF_UNSET_UINT;
    conf->max_transactions = NGX_CONF_UNSET_UINT;
    conf->max_transaction_frames = NGX_CONF_UNSET_UINT;
    conf->max_transaction_size = NGX_CONF_UNSET_SIZE;
}


void
ngx_http_stomp_merge_limits(ngx_stomp_session_conf_t *prev,
    ngx_stomp_session_conf_t *conf)
{
    /* a burst belongs to its rate */

    if (conf->message_rate == NGX_CONF_UNSET_SIZE) {
        conf->message_burst = prev->message_burst;
    }

    if (conf->byte_rate == NGX_CONF_UNSET_SIZE) {
        conf->byte_burst = prev->byte_burst;
    }

    ngx_conf_merge_size_value(conf->message_rate, prev->message_rate, 0);
    ngx_conf_merge_size_value(conf->byte_rate, prev->byte_rate, 0);
    ngx_conf_merge_uint_value(conf->rate_policy, prev->rate_policy,
                              NGX_STOMP_RATE_DELAY);
    ngx_conf_merge_uint_value(conf->slow_policy, prev->slow_policy,
                              NGX_STOMP_SLOW_CLOSE);
    ngx_conf_merge_uint_value(conf->max_transactions, prev->max_transactions,
                              8);
    ngx_conf_merge_uint_value(conf->max_transaction_frames,
                              prev->max_transaction_frames, 1000);
    ngx_conf_merge_size_value(conf->max_transaction_size,
                              prev->max_transaction_size, 1024 * 1024);
}


char *
ngx_http_stomp_message_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_stomp_session_conf_t  *session;

    session = &((ngx_http_stomp_loc_conf_t *) conf)->session;

    if (session->message_rate != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    if (ngx_http_stomp_rate(cf, 0, &session->message_rate,
                            &session->message_burst)
        == NGX_OK)
    {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "stomp_message_rate must be \"off\" or a number a "
                       "second from 1 to 2147483647, and a burst likewise, "
                       "for example \"stomp_message_rate 100 burst=200;\"");
    return NGX_CONF_ERROR;
}


char *
ngx_http_stomp_byte_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_stomp_session_conf_t  *session;

    session = &((ngx_http_stomp_loc_conf_t *) conf)->session;

    if (session->byte_rate != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    if (ngx_http_stomp_rate(cf, 1, &session->byte_rate, &session->byte_burst)
        == NGX_OK)
    {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "stomp_byte_rate must be \"off\" or a size a second "
                       "from 1k to 2047m, and a burst likewise, for example "
                       "\"stomp_byte_rate 64k burst=256k;\"");
    return NGX_CONF_ERROR;
}


/* "off", or a rate and what may come at once: without it, that of a second */

static ngx_int_t
ngx_http_stomp_rate(ngx_conf_t *cf, ngx_uint_t octets, size_t *rate,
    size_t *burst)
{
    ngx_str_t  *value, parameter;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        *rate = 0;
        *burst = 0;
        return NGX_OK;
    }

    if (ngx_http_stomp_rate_value(&value[1], octets, rate) != NGX_OK) {
        return NGX_ERROR;
    }

    *burst = *rate;

    if (cf->args->nelts == 2) {
        return NGX_OK;
    }

    if (ngx_strncmp(value[2].data, "burst=", 6) != 0) {
        return NGX_ERROR;
    }

    parameter.data = value[2].data + 6;
    parameter.len = value[2].len - 6;

    return ngx_http_stomp_rate_value(&parameter, octets, burst);
}


static ngx_int_t
ngx_http_stomp_rate_value(ngx_str_t *value, ngx_uint_t octets, size_t *number)
{
    ssize_t  n, low;

    if (octets) {
        n = ngx_parse_size(value);
        low = NGX_HTTP_STOMP_BYTE_RATE_MIN;

    } else {
        n = ngx_atosz(value->data, value->len);
        low = 1;
    }

    if (n < low || n > NGX_HTTP_STOMP_RATE_MAX) {
        return NGX_ERROR;
    }

    *number = (size_t) n;

    return NGX_OK;
}


char *
ngx_http_stomp_heartbeat(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                  *value;
    ngx_stomp_session_conf_t   *session;

    session = &((ngx_http_stomp_loc_conf_t *) conf)->session;

    if (session->heartbeat_send != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_http_stomp_time_or_off(cf, &value[1], &session->heartbeat_send)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2) {
        session->heartbeat_receive = session->heartbeat_send;
        return NGX_CONF_OK;
    }

    if (ngx_http_stomp_time_or_off(cf, &value[2], &session->heartbeat_receive)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_stomp_ping_interval(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                 *value;
    ngx_msec_t                 ms;
    ngx_stomp_session_conf_t  *session;

    session = &((ngx_http_stomp_loc_conf_t *) conf)->session;

    if (session->ping_interval != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_http_stomp_time_or_off(cf, &value[1], &ms) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    session->ping_interval = (time_t) (ms / 1000);

    return NGX_CONF_OK;
}


/* milliseconds; 0: off */

static ngx_int_t
ngx_http_stomp_time_or_off(ngx_conf_t *cf, ngx_str_t *value, ngx_msec_t *time)
{
    ngx_int_t   ms;
    ngx_str_t  *name;

    ms = ngx_parse_time(value, 0);

    if (ngx_strcmp(value->data, "off") == 0) {
        ms = 0;
    }

    if (ms != NGX_ERROR
        && (ms == 0 || ms >= 1000)
        && ms <= NGX_MAX_INT32_VALUE)
    {
        *time = (ngx_msec_t) ms;
        return NGX_OK;
    }

    name = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid time \"%V\", write \"off\" or from 1s to 24d, "
                       "for example \"%V 25s;\"", value, name);

    return NGX_ERROR;
}
