
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_stomp_module.h>
#include <ngx_http_stomp_output.h>
#include <ngx_http_stomp_status.h>
#include <ngx_stomp_json.h>
#include <ngx_stomp_publication.h>

#include <cjson/cJSON.h>


static ngx_int_t ngx_http_stomp_status_request(ngx_http_request_t *r);
static cJSON *ngx_http_stomp_status_json(ngx_http_request_t *r,
    ngx_stomp_broker_conf_t *conf);
static cJSON *ngx_http_stomp_status_broker(ngx_http_request_t *r,
    ngx_stomp_broker_conf_t *conf, ngx_stomp_stat_t *stat);
static ngx_int_t ngx_http_stomp_status_workers(cJSON *json,
    ngx_stomp_stat_t *stat);
static ngx_int_t ngx_http_stomp_status_destination(ngx_http_request_t *r,
    cJSON *json, ngx_stomp_broker_conf_t *conf);
static char *ngx_http_stomp_status_text(ngx_http_request_t *r, ngx_str_t *s);


ngx_int_t
ngx_http_stomp_status_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_stomp_status_request(r);

    return ngx_http_stomp_result(rc);
}


static ngx_int_t
ngx_http_stomp_status_request(ngx_http_request_t *r)
{
    char                       *text;
    cJSON                      *json;
    ngx_int_t                   rc;
    ngx_str_t                   answer;
    ngx_http_stomp_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_stomp_module);

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        if (ngx_http_stomp_add_header(r, "Allow", "GET, HEAD") != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_stomp_send_error(r, NGX_HTTP_NOT_ALLOWED,
                                         "the status is read with GET");
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_stomp_add_header(r, "Cache-Control", "no-store") != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (slcf->status->broker == NULL) {
        return ngx_http_stomp_send_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                         "the broker is out of service");
    }

    json = ngx_http_stomp_status_json(r, slcf->status);
    text = (json != NULL) ? cJSON_Print(json) : NULL;

    cJSON_Delete(json);

    if (text == NULL) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "no memory for the status of stomp_broker \"%V\"",
                      &slcf->status->name);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    answer.len = ngx_strlen(text) + 1;
    answer.data = ngx_pnalloc(r->pool, answer.len);

    if (answer.data == NULL) {
        cJSON_free(text);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(answer.data, text, answer.len - 1);
    answer.data[answer.len - 1] = LF;

    cJSON_free(text);

    return ngx_http_stomp_send_json(r, NGX_HTTP_OK, &answer);
}


/* NULL: no memory */

static cJSON *
ngx_http_stomp_status_json(ngx_http_request_t *r,
    ngx_stomp_broker_conf_t *conf)
{
    cJSON             *json;
    ngx_stomp_stat_t  *stat;

    stat = ngx_palloc(r->pool, sizeof(ngx_stomp_stat_t));
    if (stat == NULL) {
        return NULL;
    }

    ngx_stomp_broker_stat(conf->broker, stat);

    json = ngx_http_stomp_status_broker(r, conf, stat);

    if (json == NULL) {
        return NULL;
    }

    if (ngx_http_stomp_status_workers(json, stat) != NGX_OK
        || ngx_http_stomp_status_destination(r, json, conf) != NGX_OK)
    {
        cJSON_Delete(json);
        return NULL;
    }

    return json;
}


static cJSON *
ngx_http_stomp_status_broker(ngx_http_request_t *r,
    ngx_stomp_broker_conf_t *conf, ngx_stomp_stat_t *stat)
{
    char        *name;
    cJSON       *json, *zone;
    u_char       epoch[17];
    ngx_uint_t   i;

    struct {
        const char  *name;
        uint64_t     value;
    } numbers[] = {
        { "sessions", stat->sessions },
        { "subscriptions", stat->subscriptions },
        { "destinations", stat->destinations },
        { "published", stat->published },
        { "delivered", stat->delivered },
        { "dropped", stat->dropped },
        { "refused", stat->refused },
        { "refused_sessions", stat->refused_sessions },
        { "dropped_messages", stat->dropped_messages },
        { "delayed", stat->delayed },
        { "recovered", stat->recovered },
        { "history", stat->history },
        { "retained", stat->retained },
        { "kept_octets", stat->kept },
        { "replaying", stat->replaying },
        { "evicted", stat->evicted },
        { "expired", stat->expired },
        { "queues", stat->queues },
        { "queued", stat->waiting },
        { "unacknowledged", stat->unsettled },
        { "redelivered", stat->redelivered },
        { "dead_lettered", stat->dead },
        { "overflowed", stat->overflowed }
    };

    *ngx_sprintf(epoch, "%016xL", stat->epoch) = '\0';

    name = ngx_http_stomp_status_text(r, &conf->name);
    json = cJSON_CreateObject();

    if (name == NULL
        || json == NULL
        || cJSON_AddRawToObject(json, "broker", name) == NULL
        || cJSON_AddStringToObject(json, "epoch", (char *) epoch) == NULL)
    {
        goto failed;
    }

    zone = cJSON_AddObjectToObject(json, "zone");

    if (zone == NULL
        || cJSON_AddNumberToObject(zone, "size", (double) stat->size) == NULL
        || cJSON_AddNumberToObject(zone, "used", (double) stat->used) == NULL
        || cJSON_AddNumberToObject(zone, "pages_free",
                                   (double) stat->pages_free)
           == NULL)
    {
        goto failed;
    }

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (cJSON_AddNumberToObject(json, numbers[i].name,
                                    (double) numbers[i].value)
            == NULL)
        {
            goto failed;
        }
    }

    return json;

failed:

    cJSON_Delete(json);

    return NULL;
}


static ngx_int_t
ngx_http_stomp_status_workers(cJSON *json, ngx_stomp_stat_t *stat)
{
    cJSON                    *workers, *worker;
    ngx_uint_t                i;
    ngx_stomp_worker_stat_t  *w;

    workers = cJSON_AddArrayToObject(json, "workers");
    if (workers == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < stat->nworkers; i++) {

        w = &stat->workers[i];
        worker = cJSON_CreateObject();

        if (worker == NULL) {
            return NGX_ERROR;
        }

        cJSON_AddItemToArray(workers, worker);

        if (cJSON_AddNumberToObject(worker, "pid", w->pid) == NULL
            || cJSON_AddNumberToObject(worker, "slot", w->slot) == NULL
            || cJSON_AddNumberToObject(worker, "sessions", w->sessions) == NULL
            || cJSON_AddNumberToObject(worker, "subscriptions",
                                       w->subscriptions)
               == NULL)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* ?destination=/topic/x */

static ngx_int_t
ngx_http_stomp_status_destination(ngx_http_request_t *r, cJSON *json,
    ngx_stomp_broker_conf_t *conf)
{
    char       *name;
    cJSON      *destination;
    u_char     *src, *dst;
    uint32_t    n;
    ngx_str_t   value, arg;

    if (ngx_http_arg(r, (u_char *) "destination", 11, &arg) != NGX_OK) {
        return NGX_OK;
    }

    value.data = ngx_pnalloc(r->pool, arg.len);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    src = arg.data;
    dst = value.data;

    ngx_unescape_uri(&dst, &src, arg.len, 0);

    value.len = dst - value.data;

    n = ngx_stomp_destination_subscribers(conf->broker, &value);
    name = ngx_http_stomp_status_text(r, &value);

    destination = cJSON_AddObjectToObject(json, "destination");

    if (name == NULL
        || destination == NULL
        || cJSON_AddRawToObject(destination, "name", name) == NULL
        || cJSON_AddNumberToObject(destination, "subscribers", n) == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* as JSON: cJSON would end at a NUL and pass on what is not UTF-8 */

static char *
ngx_http_stomp_status_text(ngx_http_request_t *r, ngx_str_t *s)
{
    u_char  *text;

    text = ngx_pnalloc(r->pool, ngx_stomp_json_string_len(s) + 1);

    if (text != NULL) {
        *ngx_stomp_json_string(text, s) = '\0';
    }

    return (char *) text;
}
