
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_block_history.h>
#include <ngx_stomp_user.h>


#define NGX_STOMP_HISTORY_SHARE    2
#define NGX_STOMP_HISTORY_LENGTH   10000000


static ngx_uint_t ngx_stomp_block_history_queue(ngx_stomp_broker_conf_t *bcf,
    ngx_str_t *prefix);
static ngx_int_t ngx_stomp_block_history_prefix(ngx_conf_t *cf,
    ngx_stomp_broker_conf_t *bcf, ngx_str_t *prefix);


char *
ngx_stomp_block_history(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t                  length, age;
    ngx_str_t                 *value;
    ngx_stomp_broker_conf_t   *bcf;
    ngx_stomp_history_rule_t  *rule;

    bcf = conf;
    value = cf->args->elts;

    if (ngx_stomp_block_history_prefix(cf, bcf, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    length = ngx_atoi(value[2].data, value[2].len);

    if (length < 1 || length > NGX_STOMP_HISTORY_LENGTH) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid length \"%V\" of a history, it must be "
                           "1 to %d messages, write for example \"history "
                           "/topic/quotes/ 100 10m;\"", &value[2],
                           NGX_STOMP_HISTORY_LENGTH);
        return NGX_CONF_ERROR;
    }

    age = ngx_parse_time(&value[3], 0);

    if (age == NGX_ERROR || age == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid age \"%V\" of a history, write for "
                           "example \"history /topic/quotes/ 100 10m;\"",
                           &value[3]);
        return NGX_CONF_ERROR;
    }

    rule = ngx_array_push(&bcf->histories);
    if (rule == NULL) {
        return NGX_CONF_ERROR;
    }

    rule->prefix = value[1];
    rule->length = (uint32_t) length;
    rule->age = (uint64_t) age;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_stomp_block_history_prefix(ngx_conf_t *cf, ngx_stomp_broker_conf_t *bcf,
    ngx_str_t *prefix)
{
    ngx_uint_t                 i;
    ngx_stomp_history_rule_t  *rule;

    if (prefix->len == 0 || prefix->data[0] != '/') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "history prefix \"%V\" must begin with \"/\", "
                           "write for example \"history /topic/quotes/ 100 "
                           "10m;\"", prefix);
        return NGX_ERROR;
    }

    if (ngx_stomp_user_is(prefix)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "history prefix \"%V\" is one of users, whose "
                           "messages are not kept", prefix);
        return NGX_ERROR;
    }

    rule = bcf->histories.elts;

    for (i = 0; i < bcf->histories.nelts; i++) {
        if (rule[i].prefix.len == prefix->len
            && ngx_memcmp(rule[i].prefix.data, prefix->data, prefix->len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "the history of \"%V\" is already defined",
                               prefix);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


char *
ngx_stomp_block_history_finish(ngx_conf_t *cf, ngx_stomp_broker_conf_t *bcf)
{
    ngx_uint_t                 i;
    ngx_stomp_history_rule_t  *rule;

    if (bcf->history_size == NGX_CONF_UNSET_SIZE) {
        bcf->history_size = bcf->zone_size / NGX_STOMP_HISTORY_SHARE;
    }

    ngx_conf_init_uint_value(bcf->max_retained, 10000);

    rule = bcf->histories.elts;

    for (i = 0; i < bcf->histories.nelts; i++) {
        if (ngx_stomp_block_history_queue(bcf, &rule[i].prefix)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "history prefix \"%V\" is one of queues, which "
                               "have no history", &rule[i].prefix);
            return NGX_CONF_ERROR;
        }
    }

    if (bcf->history_size > bcf->zone_size) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"history_size\" of stomp_broker \"%V\" is "
                           "larger than its \"zone\"", &bcf->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* returns 1 if all names with that prefix are queues' */

static ngx_uint_t
ngx_stomp_block_history_queue(ngx_stomp_broker_conf_t *bcf, ngx_str_t *prefix)
{
    ngx_uint_t               i;
    ngx_stomp_queue_conf_t  *qcf;

    qcf = bcf->queues.elts;

    for (i = 0; i < bcf->queues.nelts; i++) {
        if (prefix->len >= qcf[i].prefix.len
            && ngx_memcmp(prefix->data, qcf[i].prefix.data, qcf[i].prefix.len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}
