
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_access.h>
#include <ngx_stomp_block_access.h>
#include <ngx_stomp_block_queue.h>
#include <ngx_stomp_core_module.h>
#include <ngx_stomp_block_history.h>
#include <ngx_stomp_user.h>


/*
 * The block "stomp_broker NAME { }", parsed as "events { }" is: by a module
 * type of its own, so that "include" works inside.
 */

#define NGX_STOMP_BLOCK_MODULE  0x424d5453       /* "STMB" */
#define NGX_STOMP_BLOCK_CONF    0x02000000

#define NGX_STOMP_INBOX_SHARE   8
#define NGX_STOMP_INBOX_MIN     (16 * 1024)


static char *ngx_stomp_block_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_stomp_block_topic(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_stomp_block_inbox(ngx_conf_t *cf, void *post, void *data);
static char *ngx_stomp_block_sessions(ngx_conf_t *cf, void *post, void *data);
static ngx_stomp_broker_entry_t *ngx_stomp_broker_entry(ngx_conf_t *cf,
    ngx_str_t *name);
static ngx_uint_t ngx_stomp_broker_count(ngx_conf_t *cf);
static char *ngx_stomp_block_finish(ngx_conf_t *cf,
    ngx_stomp_broker_entry_t *entry);
static void ngx_stomp_block_topics_id(ngx_stomp_broker_conf_t *bcf);
static ngx_int_t ngx_stomp_block_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);


static ngx_conf_post_t  ngx_stomp_block_inbox_post = {
    ngx_stomp_block_inbox
};


static ngx_conf_post_t  ngx_stomp_block_sessions_post = {
    ngx_stomp_block_sessions
};


static ngx_conf_num_bounds_t  ngx_stomp_block_retained_bounds = {
    ngx_conf_check_num_bounds, 0, 100000000
};


static ngx_command_t  ngx_stomp_block_commands[] = {

    { ngx_string("zone"),
      NGX_STOMP_BLOCK_CONF|NGX_CONF_TAKE1,
      ngx_stomp_block_zone,
      0,
      0,
      NULL },

    { ngx_string("topic"),
      NGX_STOMP_BLOCK_CONF|NGX_CONF_1MORE,
      ngx_stomp_block_topic,
      0,
      0,
      NULL },

    { ngx_string("users"),
      NGX_STOMP_BLOCK_CONF|NGX_CONF_TAKE1,
      ngx_stomp_block_users,
      0,
      0,
      NULL },

    { ngx_string("queue"),
      NGX_STOMP_BLOCK_CONF|NGX_CONF_1MORE,
      ngx_stomp_block_queue,
      0,
      0,
      NULL },

    { ngx_string("allow"),
      NGX_STOMP_BLOCK_CONF|NGX_CONF_2MORE,
      ngx_stomp_block_access,
      0,
      0,
      NULL },

    { ngx_string("deny"),
      NGX_STOMP_BLOCK_CONF|NGX_CONF_2MORE,
      ngx_stomp_block_access,
      0,
      0,
      NULL },

    { ngx_string("inbox"),
      NGX_STOMP_BLOCK_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      0,
      offsetof(ngx_stomp_broker_conf_t, inbox_size),
      &ngx_stomp_block_inbox_post },

    { ngx_string("max_sessions"),
      NGX_STOMP_BLOCK_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      0,
      offsetof(ngx_stomp_broker_conf_t, max_sessions),
      &ngx_stomp_block_sessions_post },

    { ngx_string("history"),
      NGX_STOMP_BLOCK_CONF|NGX_CONF_TAKE3,
      ngx_stomp_block_history,
      0,
      0,
      NULL },

    { ngx_string("history_size"),
      NGX_STOMP_BLOCK_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      0,
      offsetof(ngx_stomp_broker_conf_t, history_size),
      NULL },

    { ngx_string("max_retained"),
      NGX_STOMP_BLOCK_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      0,
      offsetof(ngx_stomp_broker_conf_t, max_retained),
      &ngx_stomp_block_retained_bounds },

      ngx_null_command
};


ngx_module_t  ngx_stomp_block_module = {
    NGX_MODULE_V1,
    NULL,                                  /* module context */
    ngx_stomp_block_commands,              /* module directives */
    NGX_STOMP_BLOCK_MODULE,                /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


ngx_stomp_broker_conf_t *
ngx_stomp_broker_ref(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_stomp_broker_entry_t  *entry;

    entry = ngx_stomp_broker_entry(cf, name);

    return (entry != NULL) ? &entry->conf : NULL;
}


void
ngx_stomp_core_set_drain(ngx_conf_t *cf, time_t drain)
{
    ngx_stomp_core_conf_t  *scf;

    scf = (ngx_stomp_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                                 ngx_stomp_core_module);
    scf->drain = drain;
}


/* finds or makes the entry of that name; NULL: no memory */

static ngx_stomp_broker_entry_t *
ngx_stomp_broker_entry(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t                  i;
    ngx_stomp_core_conf_t      *scf;
    ngx_stomp_broker_entry_t  **entry;

    scf = (ngx_stomp_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                                 ngx_stomp_core_module);
    entry = scf->brokers.elts;

    for (i = 0; i < scf->brokers.nelts; i++) {
        if (entry[i]->conf.name.len == name->len
            && ngx_memcmp(entry[i]->conf.name.data, name->data, name->len)
               == 0)
        {
            return entry[i];
        }
    }

    entry = ngx_array_push(&scf->brokers);
    if (entry == NULL) {
        return NULL;
    }

    *entry = ngx_pcalloc(cf->pool, sizeof(ngx_stomp_broker_entry_t));
    if (*entry == NULL) {
        scf->brokers.nelts--;
        return NULL;
    }

    (*entry)->conf.name = *name;
    (*entry)->file = cf->conf_file->file.name.data;
    (*entry)->line = cf->conf_file->line;

    return *entry;
}


static ngx_uint_t
ngx_stomp_broker_count(ngx_conf_t *cf)
{
    ngx_stomp_core_conf_t  *scf;

    scf = (ngx_stomp_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                                 ngx_stomp_core_module);
    return scf->brokers.nelts;
}


char *
ngx_stomp_broker_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                      *rv;
    void                     **ctx, *confs[1];
    ngx_str_t                 *value;
    ngx_conf_t                 pcf;
    ngx_stomp_broker_conf_t   *bcf;
    ngx_stomp_broker_entry_t  *entry;

    value = cf->args->elts;

    if (value[1].len == 0 || value[1].len > 64) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the name of a stomp_broker must have 1 to 64 "
                           "characters");
        return NGX_CONF_ERROR;
    }

    entry = ngx_stomp_broker_entry(cf, &value[1]);
    if (entry == NULL) {
        return NGX_CONF_ERROR;
    }

    if (entry->defined) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "stomp_broker \"%V\" is already defined in %s:%ui, "
                           "give this one another name", &value[1],
                           entry->file, entry->line);
        return NGX_CONF_ERROR;
    }

    if (ngx_stomp_broker_count(cf) > NGX_STOMP_BROKERS_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "there can be %d stomp_broker blocks",
                           NGX_STOMP_BROKERS_MAX);
        return NGX_CONF_ERROR;
    }

    entry->defined = 1;
    entry->file = cf->conf_file->file.name.data;
    entry->line = cf->conf_file->line;

    bcf = &entry->conf;
    bcf->zone_size = NGX_CONF_UNSET_SIZE;
    bcf->inbox_size = NGX_CONF_UNSET_SIZE;
    bcf->max_sessions = NGX_CONF_UNSET;
    bcf->history_size = NGX_CONF_UNSET_SIZE;
    bcf->max_retained = NGX_CONF_UNSET_UINT;

    if (ngx_array_init(&bcf->topics, cf->pool, 4, sizeof(ngx_str_t)) != NGX_OK
        || ngx_array_init(&bcf->dotted, cf->pool, 1, sizeof(ngx_str_t))
           != NGX_OK
        || ngx_array_init(&bcf->access, cf->pool, 4,
                          sizeof(ngx_stomp_access_rule_t))
           != NGX_OK
        || ngx_array_init(&bcf->queues, cf->pool, 4,
                          sizeof(ngx_stomp_queue_conf_t))
           != NGX_OK
        || ngx_array_init(&bcf->histories, cf->pool, 4,
                          sizeof(ngx_stomp_history_rule_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    /* nginx looks for the configuration at ctx[cmd->conf][ctx_index] */

    ngx_stomp_block_module.ctx_index = 0;

    confs[0] = bcf;
    ctx = confs;

    pcf = *cf;

    /* cppcheck-suppress autoVariables; *cf is restored below */
    cf->ctx = &ctx;
    cf->module_type = NGX_STOMP_BLOCK_MODULE;
    cf->cmd_type = NGX_STOMP_BLOCK_CONF;

    rv = ngx_conf_parse(cf, NULL);

    *cf = pcf;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_stomp_block_finish(cf, entry);
}


static char *
ngx_stomp_block_finish(ngx_conf_t *cf, ngx_stomp_broker_entry_t *entry)
{
    ngx_str_t                 name;
    ngx_shm_zone_t           *shm_zone;
    ngx_stomp_broker_conf_t  *bcf;

    bcf = &entry->conf;

    if (bcf->zone_size == NGX_CONF_UNSET_SIZE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "stomp_broker \"%V\" has no \"zone\", add for "
                           "example \"zone 16m;\"", &bcf->name);
        return NGX_CONF_ERROR;
    }

    if (bcf->topics.nelts == 0 && bcf->queues.nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "stomp_broker \"%V\" has no \"topic\", add for "
                           "example \"topic /topic/;\"", &bcf->name);
        return NGX_CONF_ERROR;
    }

    ngx_stomp_block_topics_id(bcf);

    if (ngx_stomp_block_queues(cf, bcf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (bcf->inbox_size == NGX_CONF_UNSET_SIZE) {
        bcf->inbox_size = bcf->zone_size / NGX_STOMP_INBOX_SHARE;
    }

    if (bcf->max_sessions == NGX_CONF_UNSET) {
        bcf->max_sessions = 0;
    }

    if (bcf->inbox_size > bcf->zone_size) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"inbox\" of stomp_broker \"%V\" is larger than "
                           "its \"zone\"", &bcf->name);
        return NGX_CONF_ERROR;
    }

    if (ngx_stomp_block_history_finish(cf, bcf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    /* names of zones are global: not to collide with limit_req's, say */

    name.len = sizeof("stomp:") - 1 + bcf->name.len;
    name.data = ngx_pnalloc(cf->pool, name.len);

    if (name.data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_sprintf(name.data, "stomp:%V", &bcf->name);

    shm_zone = ngx_shared_memory_add(cf, &name, bcf->zone_size,
                                     &ngx_stomp_core_module);
    if (shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    shm_zone->init = ngx_stomp_block_init_zone;
    shm_zone->data = bcf;

    return NGX_CONF_OK;
}


/* workers of two configurations tell by it whether they have the same */

static void
ngx_stomp_block_topics_id(ngx_stomp_broker_conf_t *bcf)
{
    u_char                        separator;
    uint32_t                      id;
    ngx_str_t                    *prefix;
    ngx_uint_t                    i;
    ngx_stomp_wildcard_topics_t   topics;

    ngx_stomp_broker_topics(bcf, &topics);

    prefix = bcf->topics.elts;

    ngx_crc32_init(id);

    for (i = 0; i < bcf->topics.nelts; i++) {
        separator = ngx_stomp_wildcard_separator(&topics, i);

        ngx_crc32_update(&id, prefix[i].data, prefix[i].len);
        ngx_crc32_update(&id, &separator, 1);
    }

    ngx_crc32_final(id);

    bcf->topics_id = id;
}


/* whether the new cycle comes to life is not certain yet */

static ngx_int_t
ngx_stomp_block_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    size_t                    size;
    ngx_slab_pool_t          *shpool;
    ngx_stomp_broker_conf_t  *bcf, *old;

    bcf = shm_zone->data;
    old = data;

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    bcf->mutex = &shpool->mutex;

    if (old != NULL) {
        bcf->zone_addr = old->zone_addr;
        return NGX_OK;
    }

    if (shm_zone->shm.exists) {
        bcf->zone_addr = shpool->data;
        return NGX_OK;
    }

    /* never to be logged under the lock */

    shpool->log_nomem = 0;

    size = shpool->pfree << ngx_pagesize_shift;

    shpool->data = ngx_slab_alloc(shpool, size);

    if (shpool->data == NULL) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "zone of stomp_broker \"%V\" could not be laid out",
                      &bcf->name);
        return NGX_ERROR;
    }

    ngx_stomp_zone_format(shpool->data, size);

    bcf->zone_addr = shpool->data;

    return NGX_OK;
}


static char *
ngx_stomp_block_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    off_t                     size;
    ngx_str_t                *value;
    ngx_stomp_broker_conf_t  *bcf;

    bcf = conf;
    value = cf->args->elts;

    if (bcf->zone_size != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    size = ngx_parse_offset(&value[1]);

    if (size == (off_t) NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\" of a zone, write for example "
                           "\"zone 16m;\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (size < NGX_STOMP_ZONE_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" is too small, it must have at least "
                           "1m", &value[1]);
        return NGX_CONF_ERROR;
    }

    if ((uint64_t) size > NGX_STOMP_ZONE_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" is too large, it can have 4095m",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    bcf->zone_size = (size_t) size;

    return NGX_CONF_OK;
}


static char *
ngx_stomp_block_topic(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                *value, *topic, *dotted;
    ngx_uint_t                i, n, dots;
    ngx_stomp_broker_conf_t  *bcf;

    bcf = conf;
    value = cf->args->elts;
    n = cf->args->nelts;
    dots = 0;

    if (ngx_strncmp(value[n - 1].data, "separator=", 10) == 0) {

        n--;
        dots = (ngx_strcmp(&value[n].data[10], ".") == 0);

        if (n == 1 || (!dots && ngx_strcmp(&value[n].data[10], "/") != 0)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", write for example "
                               "\"topic /topic/ separator=.;\", or "
                               "\"separator=/\"", &value[n]);
            return NGX_CONF_ERROR;
        }
    }

    for (i = 1; i < n; i++) {

        if (value[i].len == 0
            || value[i].data[0] != '/'
            || value[i].data[value[i].len - 1] != '/')
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "topic prefix \"%V\" must begin and end with "
                               "\"/\", write for example \"topic /topic/;\"",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        if (ngx_stomp_user_is(&value[i])) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "topic prefix \"%V\" can't begin with "
                               "\"/user/\", which is there for the "
                               "destinations of users and needs no \"topic\"",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        topic = ngx_array_push(&bcf->topics);
        if (topic == NULL) {
            return NGX_CONF_ERROR;
        }

        *topic = value[i];

        if (dots) {
            dotted = ngx_array_push(&bcf->dotted);
            if (dotted == NULL) {
                return NGX_CONF_ERROR;
            }

            *dotted = value[i];
        }
    }

    return NGX_CONF_OK;
}


/* with less, two messages at a time would be one too many */

static char *
ngx_stomp_block_inbox(ngx_conf_t *cf, void *post, void *data)
{
    size_t  *sp = data;

    ngx_str_t  *value;

    if (*sp >= NGX_STOMP_INBOX_MIN) {
        return NGX_CONF_OK;
    }

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "inbox \"%V\" is too small, it must have at least "
                       "16k", &value[1]);

    return NGX_CONF_ERROR;
}


static char *
ngx_stomp_block_sessions(ngx_conf_t *cf, void *post, void *data)
{
    ngx_int_t  *np = data;

    if (*np > 0) {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "max_sessions must be at least 1; without it the "
                       "\"zone\" alone limits the number of sessions");

    return NGX_CONF_ERROR;
}
