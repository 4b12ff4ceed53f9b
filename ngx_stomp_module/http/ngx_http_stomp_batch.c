
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_stomp_module.h>
#include <ngx_http_stomp_output.h>
#include <ngx_http_stomp_push.h>
#include <ngx_stomp_publication.h>
#include <ngx_stomp_utf8.h>

#include <cjson/cJSON.h>


/* a member of the batch while it is read; strings are the JSON document's */

typedef struct {
    ngx_http_request_t          *request;
    ngx_http_stomp_loc_conf_t   *slcf;
    ngx_uint_t                   index;
    ngx_stomp_publication_t     *publication;
    cJSON                       *destination;
    cJSON                       *body;
    cJSON                       *headers;
} ngx_http_stomp_batch_t;


static cJSON *ngx_http_stomp_batch_parse(ngx_str_t *body, const char **end);
static ngx_int_t ngx_http_stomp_batch_publications(ngx_http_request_t *r,
    cJSON *json);
static ngx_int_t ngx_http_stomp_batch_members(ngx_http_stomp_batch_t *batch,
    cJSON *item);
static ngx_int_t ngx_http_stomp_batch_headers(ngx_http_stomp_batch_t *batch,
    ngx_array_t *headers);
static ngx_int_t ngx_http_stomp_batch_header(ngx_http_stomp_batch_t *batch,
    ngx_array_t *headers, cJSON *item);
static ngx_int_t ngx_http_stomp_batch_finish(ngx_http_stomp_batch_t *batch);
static ngx_uint_t ngx_http_stomp_batch_nul(ngx_str_t *body);
static void ngx_http_stomp_batch_string(ngx_str_t *s, const char *value);


ngx_int_t
ngx_http_stomp_push_batch(ngx_http_request_t *r, ngx_str_t *body)
{
    cJSON       *json;
    uint32_t     state;
    ngx_int_t    rc;
    const char  *end;

    /* cJSON's strings end at the first NUL */

    if (ngx_http_stomp_batch_nul(body)) {
        return ngx_http_stomp_send_error(r, NGX_HTTP_BAD_REQUEST,
                                         "the strings of a batch can't have "
                                         "the character U+0000");
    }

    /* cJSON doesn't look */

    state = 0;

    if (ngx_stomp_utf8_validate(&state, body->data, body->len) != NGX_OK) {
        return ngx_http_stomp_send_error(r, NGX_HTTP_BAD_REQUEST,
                                         "the batch is not UTF-8");
    }

    end = NULL;

    /* cJSON doesn't tell why it gave up */

    ngx_set_errno(0);

    json = ngx_http_stomp_batch_parse(body, &end);

    if (json == NULL && ngx_errno == NGX_ENOMEM) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, ngx_errno,
                      "no memory to read a batch of %uz octets", body->len);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (json == NULL) {
        return ngx_http_stomp_send_error(r, NGX_HTTP_BAD_REQUEST,
                                         "the batch is not JSON, see octet "
                                         "%O", (off_t) (end ? end
                                               - (char *) body->data : 0));
    }

    if (!cJSON_IsArray(json) || cJSON_GetArraySize(json) == 0) {
        rc = ngx_http_stomp_send_error(r, NGX_HTTP_BAD_REQUEST,
                                       "the batch must be a JSON array of at "
                                       "least one object");

    } else if (cJSON_GetArraySize(json) > NGX_STOMP_BATCH_MAX) {
        rc = ngx_http_stomp_send_error(r, NGX_HTTP_BAD_REQUEST,
                                       "a batch can have %d messages",
                                       NGX_STOMP_BATCH_MAX);

    } else {
        rc = ngx_http_stomp_batch_publications(r, json);
    }

    cJSON_Delete(json);

    return rc;
}


/* NULL: *end is where the JSON went wrong */

static cJSON *
ngx_http_stomp_batch_parse(ngx_str_t *body, const char **end)
{
    cJSON       *json;
    const char  *last;

    json = cJSON_ParseWithLengthOpts((char *) body->data, body->len, end, 0);

    if (json == NULL) {
        return NULL;
    }

    /* cJSON doesn't look at what follows */

    last = (char *) body->data + body->len;

    for ( /* void */ ; *end < last; (*end)++) {

        if (**end != ' ' && **end != '\t' && **end != CR && **end != LF) {
            cJSON_Delete(json);
            return NULL;
        }
    }

    return json;
}


static ngx_int_t
ngx_http_stomp_batch_publications(ngx_http_request_t *r, cJSON *json)
{
    cJSON                    *item;
    ngx_int_t                 rc;
    ngx_stomp_publication_t  *p;
    ngx_http_stomp_batch_t    batch;

    p = ngx_palloc(r->pool, cJSON_GetArraySize(json)
                            * sizeof(ngx_stomp_publication_t));
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&batch, sizeof(ngx_http_stomp_batch_t));
    batch.request = r;
    batch.slcf = ngx_http_get_module_loc_conf(r, ngx_http_stomp_module);

    cJSON_ArrayForEach(item, json) {

        batch.publication = &p[batch.index];

        rc = ngx_http_stomp_batch_members(&batch, item);

        if (rc != NGX_OK) {
            return rc;
        }

        batch.index++;
    }

    return ngx_http_stomp_push_publish(r, p, batch.index, 1);
}


#define ngx_http_stomp_batch_wrong(batch, ...)                                \
    ngx_http_stomp_send_error((batch)->request, NGX_HTTP_BAD_REQUEST,         \
                              __VA_ARGS__)


static ngx_int_t
ngx_http_stomp_batch_members(ngx_http_stomp_batch_t *batch, cJSON *item)
{
    cJSON  *member, **place;

    batch->destination = NULL;
    batch->body = NULL;
    batch->headers = NULL;

    if (!cJSON_IsObject(item)) {
        return ngx_http_stomp_batch_wrong(batch, "[%ui] must be an object "
                                          "with \"destination\", \"body\" "
                                          "and, if wanted, \"headers\"",
                                          batch->index);
    }

    cJSON_ArrayForEach(member, item) {

        if (ngx_strcmp(member->string, "destination") == 0) {
            place = &batch->destination;

        } else if (ngx_strcmp(member->string, "body") == 0) {
            place = &batch->body;

        } else if (ngx_strcmp(member->string, "headers") == 0) {
            place = &batch->headers;

        } else {
            return ngx_http_stomp_batch_wrong(batch, "[%ui].%s is unknown, "
                                              "the members are "
                                              "\"destination\", \"body\" and "
                                              "\"headers\"", batch->index,
                                              member->string);
        }

        if (*place != NULL) {
            return ngx_http_stomp_batch_wrong(batch, "[%ui].%s is there twice",
                                              batch->index, member->string);
        }

        *place = member;
    }

    if (batch->destination == NULL || !cJSON_IsString(batch->destination)) {
        return ngx_http_stomp_batch_wrong(batch, "[%ui].destination must be "
                                          "a string", batch->index);
    }

    if (batch->body == NULL || !cJSON_IsString(batch->body)) {
        return ngx_http_stomp_batch_wrong(batch, "[%ui].body must be a string",
                                          batch->index);
    }

    if (batch->headers != NULL && !cJSON_IsObject(batch->headers)) {
        return ngx_http_stomp_batch_wrong(batch, "[%ui].headers must be an "
                                          "object of strings", batch->index);
    }

    return ngx_http_stomp_batch_finish(batch);
}


static ngx_int_t
ngx_http_stomp_batch_finish(ngx_http_stomp_batch_t *batch)
{
    u_char              *buf;
    ngx_int_t            rc;
    ngx_str_t            destination, body;
    const char          *error;
    ngx_array_t          headers;
    ngx_stomp_header_t  *header;

    ngx_http_stomp_batch_string(&destination, batch->destination->valuestring);
    ngx_http_stomp_batch_string(&body, batch->body->valuestring);

    error = ngx_stomp_destination_check_send(batch->slcf->push, &destination);

    if (error != NULL) {
        destination.len = ngx_min(destination.len, 256);

        return ngx_http_stomp_batch_wrong(batch, "[%ui].destination \"%V\": "
                                          "%s", batch->index, &destination,
                                          error);
    }

    if (ngx_array_init(&headers, batch->request->pool, 4,
                       sizeof(ngx_stomp_header_t))
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    header = ngx_array_push(&headers);
    if (header == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_set(&header->name, "destination");
    header->value = destination;

    rc = ngx_http_stomp_batch_headers(batch, &headers);
    if (rc != NGX_OK) {
        return rc;
    }

    buf = ngx_pnalloc(batch->request->pool,
                      ngx_stomp_publication_size(headers.elts, headers.nelts));
    if (buf == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_stomp_publication_init(batch->publication, buf, headers.elts,
                               headers.nelts, &destination, &body);

    error = ngx_stomp_publication_options(batch->slcf->push,
                                          batch->publication, headers.elts,
                                          headers.nelts);
    if (error != NULL) {
        return ngx_http_stomp_batch_wrong(batch, "[%ui].headers: %s",
                                          batch->index, error);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_stomp_batch_headers(ngx_http_stomp_batch_t *batch,
    ngx_array_t *headers)
{
    cJSON      *item;
    ngx_int_t   rc;

    if (batch->headers == NULL) {
        return NGX_OK;
    }

    cJSON_ArrayForEach(item, batch->headers) {

        rc = ngx_http_stomp_batch_header(batch, headers, item);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_stomp_batch_header(ngx_http_stomp_batch_t *batch,
    ngx_array_t *headers, cJSON *item)
{
    const char          *error;
    ngx_stomp_limits_t  *limits;
    ngx_stomp_header_t  *header;

    limits = &batch->slcf->session.limits;

    if (!cJSON_IsString(item)) {
        return ngx_http_stomp_batch_wrong(batch, "[%ui].headers.%s must be a "
                                          "string", batch->index,
                                          item->string);
    }

    header = ngx_array_push(headers);
    if (header == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_stomp_batch_string(&header->name, item->string);
    ngx_http_stomp_batch_string(&header->value, item->valuestring);

    /* there is no Content-Type for each of them */

    error = (ngx_strcmp(item->string, "content-type") == 0)
            ? ngx_http_stomp_push_header_text(header, limits)
            : ngx_http_stomp_push_header_check(header, limits);

    if (headers->nelts > limits->max_headers) {
        error = "there are too many headers (stomp_max_headers)";
    }

    if (error != NULL) {
        return ngx_http_stomp_batch_wrong(batch, "[%ui].headers.%s: %s",
                                          batch->index, item->string, error);
    }

    return NGX_OK;
}


static void
ngx_http_stomp_batch_string(ngx_str_t *s, const char *value)
{
    s->data = (u_char *) value;
    s->len = ngx_strlen(value);
}


/* looks for an escaped NUL */

static ngx_uint_t
ngx_http_stomp_batch_nul(ngx_str_t *body)
{
    u_char  *p, *last;

    last = body->data + body->len;

    for (p = body->data; p < last; p++) {

        if (*p == '\0') {
            return 1;
        }

        if (*p != '\\') {
            continue;
        }

        if (last - p >= 6 && ngx_memcmp(p + 1, "u0000", 5) == 0) {
            return 1;
        }

        /* what is escaped is not the start of an escape */

        p++;
    }

    return 0;
}
