
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stomp_session.h>
#include <ngx_stomp_fanout.h>
#include <ngx_stomp_form.h>


static ngx_stomp_group_t **ngx_stomp_group_bucket(ngx_stomp_hub_t *hub,
    ngx_stomp_local_t *local, ngx_stomp_form_t *form);
static ngx_stomp_group_t *ngx_stomp_group_lookup(ngx_stomp_hub_t *hub,
    ngx_stomp_local_t *local, ngx_stomp_form_t *form);
static ngx_int_t ngx_stomp_group_grow(ngx_stomp_hub_t *hub);
static ngx_stomp_group_t *ngx_stomp_group_create(ngx_stomp_hub_t *hub,
    ngx_stomp_local_t *local, ngx_stomp_form_t *form);


/*
 * A destination may have as many groups as subscriptions, and an id may be
 * used for as many destinations: neither list is good to search in.
 */

static ngx_stomp_group_t **
ngx_stomp_group_bucket(ngx_stomp_hub_t *hub, ngx_stomp_local_t *local,
    ngx_stomp_form_t *form)
{
    uint32_t  hash;

    /* ids of destinations follow each other, hashes of forms are random */

    hash = (uint32_t) local->id ^ form->hash;

    return &hub->groups[hash & (hub->groups_size - 1)];
}


static ngx_stomp_group_t *
ngx_stomp_group_lookup(ngx_stomp_hub_t *hub, ngx_stomp_local_t *local,
    ngx_stomp_form_t *form)
{
    ngx_stomp_group_t  *group;

    if (hub->ngroups == 0) {
        return NULL;
    }

    group = *ngx_stomp_group_bucket(hub, local, form);

    while (group != NULL && (group->local != local || group->form != form)) {
        group = group->chain;
    }

    return group;
}


ngx_stomp_group_t *
ngx_stomp_group_get(ngx_stomp_hub_t *hub, ngx_stomp_local_t *local,
    ngx_stomp_form_t *form)
{
    ngx_stomp_group_t  *group;

    group = ngx_stomp_group_lookup(hub, local, form);

    return (group != NULL) ? group
                           : ngx_stomp_group_create(hub, local, form);
}


static ngx_int_t
ngx_stomp_group_grow(ngx_stomp_hub_t *hub)
{
    uint32_t             i, size;
    ngx_stomp_group_t   *group, *next, **groups, **old, **bucket;

    size = hub->groups_size ? hub->groups_size * 2 : 256;

    groups = ngx_calloc(size * sizeof(void *), hub->log);
    if (groups == NULL) {
        return NGX_ERROR;
    }

    old = hub->groups;
    hub->groups = groups;

    i = hub->groups_size;
    hub->groups_size = size;

    while (i) {
        for (group = old[--i]; group; group = next) {
            next = group->chain;

            bucket = ngx_stomp_group_bucket(hub, group->local, group->form);
            group->chain = *bucket;
            *bucket = group;
        }
    }

    if (old != NULL) {
        ngx_free(old);
    }

    return NGX_OK;
}


static ngx_stomp_group_t *
ngx_stomp_group_create(ngx_stomp_hub_t *hub, ngx_stomp_local_t *local,
    ngx_stomp_form_t *form)
{
    ngx_stomp_group_t  *group, **bucket;

    if (hub->ngroups >= hub->groups_size
        && ngx_stomp_group_grow(hub) != NGX_OK)
    {
        return NULL;
    }

    if (local->first.form == NULL) {
        group = &local->first;

    } else {
        group = ngx_alloc(sizeof(ngx_stomp_group_t), hub->log);
        if (group == NULL) {
            return NULL;
        }
    }

    bucket = ngx_stomp_group_bucket(hub, local, form);

    group->chain = *bucket;
    *bucket = group;
    hub->ngroups++;

    group->next = local->groups;
    group->prev = NULL;
    group->local = local;
    group->form = form;
    group->from = 0;
    group->members = &group->one;
    group->n = 0;
    group->size = 1;
    group->waiting = 0;

    if (group->next != NULL) {
        group->next->prev = group;
    }

    local->groups = group;
    local->ngroups++;
    form->refs++;

    return group;
}


void
ngx_stomp_group_free(ngx_stomp_hub_t *hub, ngx_stomp_group_t *group)
{
    ngx_stomp_group_t  **next;
    ngx_stomp_local_t   *local;

    local = group->local;

    next = ngx_stomp_group_bucket(hub, local, group->form);

    while (*next != group) {
        next = &(*next)->chain;
    }

    *next = group->chain;
    hub->ngroups--;

    if (group->prev != NULL) {
        group->prev->next = group->next;

    } else {
        local->groups = group->next;
    }

    if (group->next != NULL) {
        group->next->prev = group->prev;
    }

    local->ngroups--;

    if (group->members != &group->one) {
        ngx_free(group->members);
    }

    ngx_stomp_form_unref(hub, group->form);

    if (group == &local->first) {
        group->form = NULL;

    } else {
        ngx_free(group);
    }
}


ngx_int_t
ngx_stomp_group_add(ngx_stomp_group_t *group, ngx_stomp_session_t *s,
    ngx_stomp_sub_t *sub, ngx_log_t *log)
{
    uint32_t             size;
    ngx_stomp_member_t  *members;

    if (group->n == group->size) {
        size = ngx_max(4, group->size + group->size / 2);

        members = ngx_alloc(size * sizeof(ngx_stomp_member_t), log);
        if (members == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(members, group->members,
                   group->n * sizeof(ngx_stomp_member_t));

        if (group->members != &group->one) {
            ngx_free(group->members);
        }

        group->members = members;
        group->size = size;
    }

    sub->group = group;
    sub->index = group->n;

    group->members[group->n].session = s;
    group->members[group->n].sub = sub;
    group->n++;

    group->from = ngx_max(group->from, sub->from);

    return NGX_OK;
}


void
ngx_stomp_group_remove(ngx_stomp_group_t *group, uint32_t index)
{
    group->n--;

    if (index != group->n) {
        group->members[index] = group->members[group->n];
        group->members[index].sub->index = index;
    }
}
