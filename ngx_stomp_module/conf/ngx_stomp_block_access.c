
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_access.h>
#include <ngx_stomp_block_access.h>
#include <ngx_stomp_pattern.h>
#include <ngx_stomp_user.h>
#include <ngx_stomp_users.h>


static ngx_int_t ngx_stomp_block_access_who(ngx_conf_t *cf,
    ngx_stomp_access_rule_t *rule, ngx_str_t *value);
static char *ngx_stomp_block_access_rule(ngx_conf_t *cf,
    ngx_stomp_broker_conf_t *bcf, ngx_stomp_access_rule_t *like,
    ngx_str_t *pattern);


char *
ngx_stomp_block_users(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                *value;
    ngx_stomp_users_t        *users;
    ngx_pool_cleanup_t       *cln;
    ngx_stomp_broker_conf_t  *bcf;
    ngx_stomp_users_error_t   error;

    bcf = conf;
    value = cf->args->elts;

    if (bcf->users != NULL) {
        return "is duplicate";
    }

    users = ngx_pcalloc(cf->pool, sizeof(ngx_stomp_users_t));
    if (users == NULL) {
        return NGX_CONF_ERROR;
    }

    users->file = value[1];

    if (ngx_conf_full_name(cf->cycle, &users->file, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_stomp_users_cleanup;
    cln->data = users;

    if (ngx_stomp_users_load(users, cf->log, &error) != NGX_OK) {

        if (error.line) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, error.err,
                               "users file \"%V\", line %ui: %s",
                               &users->file, error.line, error.text);

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, error.err,
                               "users file \"%V\": %s",
                               &users->file, error.text);
        }

        return NGX_CONF_ERROR;
    }

    bcf->users = users;

    return NGX_CONF_OK;
}


char *
ngx_stomp_block_access(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                *value;
    ngx_uint_t                i, n;
    ngx_stomp_access_rule_t   rule;

    value = cf->args->elts;
    n = cf->args->nelts;

    ngx_memzero(&rule, sizeof(ngx_stomp_access_rule_t));

    rule.allow = (cmd->name.data[0] == 'a');
    rule.send = (ngx_strcmp(value[1].data, "send") == 0);

    if (!rule.send && ngx_strcmp(value[1].data, "subscribe") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", write for example "
                           "\"%V send /topic/**;\" or \"%V subscribe "
                           "/topic/**;\"", &value[1], &cmd->name, &cmd->name);
        return NGX_CONF_ERROR;
    }

    switch (ngx_stomp_block_access_who(cf, &rule, &value[n - 1])) {

    case NGX_OK:
        n--;
        break;

    case NGX_ERROR:
        return NGX_CONF_ERROR;
    }

    if (n == 2) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V %V\" needs a pattern, write for example "
                           "\"%V %V /topic/** %V;\"", &cmd->name, &value[1],
                           &cmd->name, &value[1], &value[2]);
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < n; i++) {
        if (ngx_stomp_block_access_rule(cf, conf, &rule, &value[i])
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* NGX_OK: it says for whom the rule is;  NGX_DECLINED: it is something else */

static ngx_int_t
ngx_stomp_block_access_who(ngx_conf_t *cf, ngx_stomp_access_rule_t *rule,
    ngx_str_t *value)
{
    const char  *error;

    if (ngx_strcmp(value->data, "@authenticated") == 0) {
        rule->authenticated = 1;
        return NGX_OK;
    }

    if (ngx_strncmp(value->data, "user=", sizeof("user=") - 1) != 0) {
        return NGX_DECLINED;
    }

    rule->user.data = value->data + sizeof("user=") - 1;
    rule->user.len = value->len - (sizeof("user=") - 1);

    error = ngx_stomp_user_check(&rule->user);

    if (error != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the name of the user in \"%V\" %s", value, error);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static char *
ngx_stomp_block_access_rule(ngx_conf_t *cf, ngx_stomp_broker_conf_t *bcf,
    ngx_stomp_access_rule_t *like, ngx_str_t *pattern)
{
    const char               *error;
    ngx_stomp_access_rule_t  *rule;

    error = ngx_stomp_pattern_check(pattern);

    if (error != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "pattern \"%V\" %s", pattern, error);
        return NGX_CONF_ERROR;
    }

    rule = ngx_array_push(&bcf->access);
    if (rule == NULL) {
        return NGX_CONF_ERROR;
    }

    *rule = *like;
    rule->pattern = *pattern;

    return NGX_CONF_OK;
}
