
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_block_queue.h>
#include <ngx_stomp_user.h>


#define NGX_STOMP_QUEUE_LENGTH_MAX      1000000000
#define NGX_STOMP_QUEUE_DELIVERIES      5
#define NGX_STOMP_QUEUE_DELIVERIES_MAX  1000000


static char *ngx_stomp_block_queue_parameter(ngx_conf_t *cf,
    ngx_stomp_queue_conf_t *qcf, ngx_str_t *parameter);
static ngx_uint_t ngx_stomp_block_queue_name(ngx_str_t *parameter,
    const char *name, ngx_str_t *value);
static char *ngx_stomp_block_queue_number(ngx_conf_t *cf, ngx_str_t *parameter,
    ngx_str_t *value, ngx_int_t min, ngx_int_t max, ngx_uint_t *number);
static ngx_uint_t ngx_stomp_block_overlap(ngx_str_t *a, ngx_str_t *b);


char *
ngx_stomp_block_queue(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                     *rv;
    ngx_str_t                *value;
    ngx_uint_t                i;
    ngx_stomp_queue_conf_t   *qcf;
    ngx_stomp_broker_conf_t  *bcf;

    bcf = conf;
    value = cf->args->elts;

    if (value[1].len == 0
        || value[1].data[0] != '/'
        || value[1].data[value[1].len - 1] != '/')
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "queue prefix \"%V\" must begin and end with "
                           "\"/\", write for example \"queue /queue/;\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    if (ngx_stomp_user_is(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "queue prefix \"%V\" can't begin with \"/user/\", "
                           "which is there for the destinations of users",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    qcf = ngx_array_push(&bcf->queues);
    if (qcf == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(qcf, sizeof(ngx_stomp_queue_conf_t));

    qcf->prefix = value[1];
    qcf->max_deliveries = NGX_STOMP_QUEUE_DELIVERIES;

    for (i = 2; i < cf->args->nelts; i++) {
        rv = ngx_stomp_block_queue_parameter(cf, qcf, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_stomp_block_queue_parameter(ngx_conf_t *cf, ngx_stomp_queue_conf_t *qcf,
    ngx_str_t *parameter)
{
    ssize_t    size;
    ngx_str_t  value;

    if (ngx_stomp_block_queue_name(parameter, "max_length=", &value)) {
        return ngx_stomp_block_queue_number(cf, parameter, &value, 1,
                                            NGX_STOMP_QUEUE_LENGTH_MAX,
                                            &qcf->max_length);
    }

    if (ngx_stomp_block_queue_name(parameter, "max_deliveries=", &value)) {
        return ngx_stomp_block_queue_number(cf, parameter, &value, 0,
                                            NGX_STOMP_QUEUE_DELIVERIES_MAX,
                                            &qcf->max_deliveries);
    }

    if (ngx_stomp_block_queue_name(parameter, "max_bytes=", &value)) {
        size = ngx_parse_size(&value);

        if (size <= 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid size in \"%V\", write for example "
                               "\"max_bytes=16m\"", parameter);
            return NGX_CONF_ERROR;
        }

        qcf->max_bytes = (size_t) size;

        return NGX_CONF_OK;
    }

    if (ngx_stomp_block_queue_name(parameter, "overflow=", &value)) {

        if (ngx_strcmp(value.data, "refuse") == 0) {
            qcf->drop_oldest = 0;
            return NGX_CONF_OK;
        }

        if (ngx_strcmp(value.data, "drop_oldest") == 0) {
            qcf->drop_oldest = 1;
            return NGX_CONF_OK;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value in \"%V\", it can be "
                           "\"overflow=refuse\" or \"overflow=drop_oldest\"",
                           parameter);
        return NGX_CONF_ERROR;
    }

    if (ngx_stomp_block_queue_name(parameter, "dead_letter=", &value)) {
        qcf->dead_letter = value;
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of a queue, there are "
                       "max_length=, max_bytes=, overflow=, max_deliveries= "
                       "and dead_letter=", parameter);

    return NGX_CONF_ERROR;
}


/* returns 1 if it has that name; *value is what follows, with its NUL */

static ngx_uint_t
ngx_stomp_block_queue_name(ngx_str_t *parameter, const char *name,
    ngx_str_t *value)
{
    size_t  len;

    len = ngx_strlen(name);

    if (parameter->len < len || ngx_memcmp(parameter->data, name, len) != 0) {
        return 0;
    }

    value->data = parameter->data + len;
    value->len = parameter->len - len;

    return 1;
}


static char *
ngx_stomp_block_queue_number(ngx_conf_t *cf, ngx_str_t *parameter,
    ngx_str_t *value, ngx_int_t min, ngx_int_t max, ngx_uint_t *number)
{
    ngx_int_t  n;

    n = ngx_atoi(value->data, value->len);

    if (n == NGX_ERROR || n < min || n > max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number in \"%V\", it can be from %i to "
                           "%i", parameter, min, max);
        return NGX_CONF_ERROR;
    }

    *number = (ngx_uint_t) n;

    return NGX_CONF_OK;
}


char *
ngx_stomp_block_queues(ngx_conf_t *cf, ngx_stomp_broker_conf_t *bcf)
{
    ngx_str_t               *topic;
    ngx_uint_t               i, k;
    ngx_stomp_queue_conf_t  *qcf;

    topic = bcf->topics.elts;
    qcf = bcf->queues.elts;

    for (i = 0; i < bcf->queues.nelts; i++) {

        for (k = 0; k < bcf->topics.nelts; k++) {
            if (ngx_stomp_block_overlap(&qcf[i].prefix, &topic[k])) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "queue \"%V\" and topic \"%V\" of "
                                   "stomp_broker \"%V\" have names in common",
                                   &qcf[i].prefix, &topic[k], &bcf->name);
                return NGX_CONF_ERROR;
            }
        }

        for (k = 0; k < i; k++) {
            if (ngx_stomp_block_overlap(&qcf[i].prefix, &qcf[k].prefix)
                && qcf[i].prefix.len >= qcf[k].prefix.len)
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "queue \"%V\" of stomp_broker \"%V\" is "
                                   "never used, put it before \"%V\"",
                                   &qcf[i].prefix, &bcf->name,
                                   &qcf[k].prefix);
                return NGX_CONF_ERROR;
            }
        }

        if (qcf[i].dead_letter.len
            && (qcf[i].dead_letter.len > NGX_STOMP_DESTINATION_MAX
                || ngx_stomp_broker_queue_conf(bcf, &qcf[i].dead_letter)
                   == NULL))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"dead_letter=%V\" is no queue of "
                               "stomp_broker \"%V\", write for example "
                               "\"dead_letter=%Vdead\"", &qcf[i].dead_letter,
                               &bcf->name, &qcf[i].prefix);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* one of both begins with the other */

static ngx_uint_t
ngx_stomp_block_overlap(ngx_str_t *a, ngx_str_t *b)
{
    return ngx_memcmp(a->data, b->data, ngx_min(a->len, b->len)) == 0;
}
