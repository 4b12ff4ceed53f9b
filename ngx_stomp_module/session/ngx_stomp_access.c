
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_access.h>
#include <ngx_stomp_pattern.h>


static ngx_uint_t ngx_stomp_access_applies(ngx_stomp_access_rule_t *rule,
    ngx_str_t *user);


ngx_uint_t
ngx_stomp_access_send(ngx_stomp_broker_conf_t *conf, ngx_str_t *user,
    ngx_str_t *name)
{
    ngx_uint_t                i;
    ngx_stomp_access_rule_t  *rule;

    rule = conf->access.elts;

    for (i = 0; i < conf->access.nelts; i++) {
        if (rule[i].send
            && ngx_stomp_access_applies(&rule[i], user)
            && ngx_stomp_pattern_match(&rule[i].pattern, name))
        {
            return rule[i].allow;
        }
    }

    return 0;
}


ngx_uint_t
ngx_stomp_access_subscribe(ngx_stomp_broker_conf_t *conf, ngx_str_t *user,
    ngx_str_t *name, ngx_uint_t queue)
{
    ngx_uint_t                i, fits, wild;
    ngx_stomp_access_rule_t  *rule;

    rule = conf->access.elts;
    wild = ngx_stomp_pattern_wild(name);

    for (i = 0; i < conf->access.nelts; i++) {

        if (rule[i].send || !ngx_stomp_access_applies(&rule[i], user)) {
            continue;
        }

        if (!wild) {
            fits = ngx_stomp_pattern_match(&rule[i].pattern, name);

        } else if (rule[i].allow) {
            fits = ngx_stomp_pattern_covers(&rule[i].pattern, name);

        } else {
            fits = ngx_stomp_pattern_overlap(&rule[i].pattern, name);
        }

        if (fits) {
            return rule[i].allow;
        }
    }

    return !queue;
}


static ngx_uint_t
ngx_stomp_access_applies(ngx_stomp_access_rule_t *rule, ngx_str_t *user)
{
    if (rule->user.len) {
        return user != NULL
               && user->len == rule->user.len
               && ngx_memcmp(user->data, rule->user.data, user->len) == 0;
    }

    return !rule->authenticated || user != NULL;
}
