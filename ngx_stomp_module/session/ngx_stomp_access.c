
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_access.h>
#include <ngx_stomp_pattern.h>
#include <ngx_stomp_user.h>


static ngx_uint_t ngx_stomp_access_reach(ngx_stomp_broker_conf_t *conf,
    ngx_str_t *name, u_char *buf);
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
    ngx_str_t                 reach;
    ngx_uint_t                i, fits, wild;
    ngx_stomp_access_rule_t  *rule;
    u_char                    buf[NGX_STOMP_DESTINATION_MAX
                                  + sizeof("**") - 1];

    reach = *name;

    rule = conf->access.elts;

    /* a queue has that name, whatever is in it */

    wild = !queue
           && (ngx_stomp_access_reach(conf, &reach, buf)
               || ngx_stomp_pattern_wild(&reach));

    for (i = 0; i < conf->access.nelts; i++) {

        if (rule[i].send || !ngx_stomp_access_applies(&rule[i], user)) {
            continue;
        }

        if (!wild) {
            fits = ngx_stomp_pattern_match(&rule[i].pattern, &reach);

        } else if (rule[i].allow) {
            fits = ngx_stomp_pattern_covers(&rule[i].pattern, &reach);

        } else {
            fits = ngx_stomp_pattern_overlap(&rule[i].pattern, &reach);
        }

        if (fits) {
            return rule[i].allow;
        }
    }

    return !queue;
}


/*
 * Returns 1 for what the broker takes for a pattern, whatever its topic is
 * called.  Rules know words between slashes only.  Where a pattern has others,
 * it is taken for all that is in the folder in which its first wildcard
 * stands; so it is refused rather than let through.
 */

static ngx_uint_t
ngx_stomp_access_reach(ngx_stomp_broker_conf_t *conf, ngx_str_t *name,
    u_char *buf)
{
    size_t                 len;
    const char            *error;
    ngx_stomp_wildcard_t   w;

    /* those of users are no patterns, and may be too long for buf */

    if (ngx_stomp_user_is(name)
        || ngx_stomp_broker_wildcard(conf, name, &w, &error) != NGX_OK)
    {
        return 0;
    }

    if (w.separator == '/') {
        return 1;
    }

    /* the prefix of a topic ends with a slash */

    for (len = w.literal; name->data[len - 1] != '/'; len--) { /* void */ }

    ngx_memcpy(buf, name->data, len);
    ngx_memcpy(buf + len, "**", sizeof("**") - 1);

    name->data = buf;
    name->len = len + sizeof("**") - 1;

    return 1;
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
