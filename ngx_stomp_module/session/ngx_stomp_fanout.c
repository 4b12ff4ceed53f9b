
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stomp_session.h>
#include <ngx_stomp_fanout.h>
#include <ngx_stomp_flow.h>
#include <ngx_stomp_form.h>
#include <ngx_stomp_output.h>
#include <ngx_stomp_replay.h>
#include <ngx_stomp_slow.h>
#include <ngx_stomp_wheel.h>
#include <ngx_stomp_wild.h>
#include <ngx_stomp_ws.h>


/* what is older than a subscription is not for it */

#define ngx_stomp_fanout_wanted(group, member, m)                             \
    (((m)->sequence > (group)->from                                           \
      || (m)->sequence > (member)->sub->from)                                 \
     && !(member)->session->finished                                          \
     && !(member)->session->dead)

/* from so many forms on the rest of a frame is shared by all */
#define NGX_STOMP_SPLIT_FORMS  8
#define NGX_STOMP_SPLIT_BODY   1024


static ngx_stomp_local_t *ngx_stomp_local_lookup(ngx_stomp_hub_t *hub,
    uint64_t id);
static ngx_stomp_local_t *ngx_stomp_local_create(ngx_stomp_hub_t *hub,
    ngx_stomp_interest_t *in, ngx_str_t *name);
static ngx_int_t ngx_stomp_local_grow(ngx_stomp_hub_t *hub);
static void ngx_stomp_local_free(ngx_stomp_hub_t *hub,
    ngx_stomp_local_t *local);
static void ngx_stomp_fanout_missed(ngx_stomp_group_t *group, uint64_t last);
static void ngx_stomp_fanout_encode(ngx_stomp_hub_t *hub,
    ngx_stomp_message_t *m, ngx_stomp_local_t *local,
    ngx_stomp_local_t **patterns, ngx_uint_t n);
static ngx_uint_t ngx_stomp_fanout_local(ngx_stomp_hub_t *hub,
    ngx_stomp_local_t *local, ngx_stomp_message_t *m, ngx_stomp_encoded_t *e,
    ngx_int_t rc);
static void ngx_stomp_fanout_group(ngx_stomp_hub_t *hub,
    ngx_stomp_group_t *group, ngx_stomp_message_t *m,
    ngx_stomp_encoded_t *e);
static void ngx_stomp_fanout_lost(ngx_stomp_hub_t *hub,
    ngx_stomp_group_t *group, ngx_stomp_message_t *m);


ngx_int_t
ngx_stomp_fanout_subscribe(ngx_stomp_session_t *s, ngx_str_t *name,
    ngx_str_t *id, ngx_stomp_ack_e mode, uint32_t prefetch,
    ngx_stomp_wanted_t *wanted)
{
    ngx_int_t              rc;
    ngx_stomp_hub_t       *hub;
    ngx_stomp_sub_t       *sub;
    ngx_stomp_form_t      *form;
    ngx_stomp_group_t     *group;
    ngx_stomp_local_t     *local;
    ngx_stomp_interest_t   in;

    hub = s->hub;

    rc = ngx_stomp_broker_subscribe(hub->broker, name, &in);
    if (rc != NGX_OK) {
        return rc;
    }

    local = ngx_stomp_local_lookup(hub, in.destination);
    group = NULL;

    form = ngx_stomp_form_ref(hub, id, s->version, s->link->wire);
    sub = ngx_alloc(sizeof(ngx_stomp_sub_t), hub->log);

    if (local == NULL) {
        local = ngx_stomp_local_create(hub, &in, name);
    }

    rc = NGX_ERROR;

    if (sub != NULL) {
        sub->consumer = NULL;
    }

    if (form == NULL || sub == NULL || local == NULL) {
        goto failed;
    }

    group = ngx_stomp_group_get(hub, local, form);
    if (group == NULL) {
        goto failed;
    }

    sub->group = group;

    if (mode != NGX_STOMP_ACK_AUTO
        && ngx_stomp_flow_create(s, sub, mode, prefetch) != NGX_OK)
    {
        goto failed;
    }

    if (wanted != NULL || in.retained) {
        rc = ngx_stomp_replay_start(s, sub, &in, wanted);

    } else if (sub->consumer != NULL) {
        ngx_stomp_flow_join(sub, in.from, 0);
        rc = NGX_OK;

    } else {
        sub->from = in.from;
        rc = ngx_stomp_group_add(group, s, sub, hub->log);
    }

    if (rc != NGX_OK) {
        goto failed;
    }

    /* the group has its own reference */

    ngx_stomp_form_unref(hub, form);

    sub->next = s->subs;
    s->subs = sub;
    s->nsubs++;
    local->n++;

    if (sub->index >= NGX_STOMP_SUB_FLOW) {
        group->waiting++;
    }

    if (sub->index == NGX_STOMP_SUB_REPLAYING) {
        ngx_stomp_replay_feed(sub);
    }

    return NGX_OK;

failed:

    if (form != NULL) {
        ngx_stomp_form_unref(hub, form);
    }

    if (sub != NULL) {

        if (sub->consumer != NULL) {
            ngx_stomp_flow_free(sub);
        }

        ngx_free(sub);
    }

    if (group != NULL && group->n == 0 && group->waiting == 0) {
        ngx_stomp_group_free(hub, group);
    }

    if (local != NULL && local->n == 0) {
        ngx_stomp_local_free(hub, local);
    }

    ngx_stomp_broker_unsubscribe(hub->broker, in.interest, 1);

    return rc;
}


void
ngx_stomp_fanout_unsubscribe(ngx_stomp_session_t *s, ngx_stomp_sub_t *sub)
{
    uint32_t             interest;
    ngx_stomp_hub_t     *hub;
    ngx_stomp_sub_t    **next;
    ngx_stomp_group_t   *group;
    ngx_stomp_local_t   *local;

    hub = s->hub;
    group = sub->group;
    local = group->local;
    interest = local->interest;

    for (next = &s->subs; *next != sub; next = &(*next)->next) { /* void */ }

    *next = sub->next;
    s->nsubs--;

    if (sub->index == NGX_STOMP_SUB_REPLAYING) {
        ngx_stomp_replay_cancel(sub);
    }

    if (sub->index >= NGX_STOMP_SUB_FLOW) {
        group->waiting--;

    } else {
        ngx_stomp_group_remove(group, sub->index);
    }

    if (sub->consumer != NULL) {
        ngx_stomp_flow_free(sub);
    }

    ngx_free(sub);

    if (group->n == 0 && group->waiting == 0) {
        ngx_stomp_group_free(hub, group);
    }

    if (--local->n == 0) {
        ngx_stomp_local_free(hub, local);
    }

    ngx_stomp_broker_unsubscribe(hub->broker, interest, 1);
}


ngx_stomp_sub_t *
ngx_stomp_fanout_lookup(ngx_stomp_session_t *s, ngx_str_t *id,
    ngx_str_t *name)
{
    ngx_stomp_sub_t    *sub;
    ngx_stomp_form_t   *form;
    ngx_stomp_local_t  *local;

    for (sub = s->subs; sub; sub = sub->next) {

        form = sub->group->form;

        if (id != NULL) {
            if (form->named
                && form->id_len == id->len
                && ngx_memcmp(form->data, id->data, id->len) == 0)
            {
                return sub;
            }

            continue;
        }

        local = sub->group->local;

        if (!form->named
            && local->name_len == name->len
            && ngx_memcmp(local->name, name->data, name->len) == 0)
        {
            return sub;
        }
    }

    return NULL;
}


static ngx_stomp_local_t *
ngx_stomp_local_lookup(ngx_stomp_hub_t *hub, uint64_t id)
{
    ngx_stomp_local_t  *local;

    if (hub->nlocals == 0) {
        return NULL;
    }

    /* ids are given one after the other */

    local = hub->locals[id & (hub->locals_size - 1)];

    while (local != NULL && local->id != id) {
        local = local->next;
    }

    return local;
}


static ngx_stomp_local_t *
ngx_stomp_local_create(ngx_stomp_hub_t *hub, ngx_stomp_interest_t *in,
    ngx_str_t *name)
{
    ngx_stomp_local_t  *local, **bucket;

    if (hub->nlocals >= hub->locals_size
        && ngx_stomp_local_grow(hub) != NGX_OK)
    {
        return NULL;
    }

    local = ngx_alloc(offsetof(ngx_stomp_local_t, name) + name->len, hub->log);
    if (local == NULL) {
        return NULL;
    }

    bucket = &hub->locals[in->destination & (hub->locals_size - 1)];

    local->next = *bucket;
    local->id = in->destination;
    local->interest = in->interest;
    local->n = 0;
    local->ngroups = 0;
    local->groups = NULL;
    local->flows = NULL;
    local->wild = NULL;
    local->first.form = NULL;
    local->name_len = (uint32_t) name->len;
    ngx_memcpy(local->name, name->data, name->len);

    if (in->pattern && ngx_stomp_wild_add(hub, local) != NGX_OK) {
        ngx_free(local);
        return NULL;
    }

    *bucket = local;
    hub->nlocals++;

    return local;
}


static ngx_int_t
ngx_stomp_local_grow(ngx_stomp_hub_t *hub)
{
    uint32_t             i, size;
    ngx_stomp_local_t   *local, *next, **locals;

    size = hub->locals_size ? hub->locals_size * 2 : 256;

    locals = ngx_calloc(size * sizeof(void *), hub->log);
    if (locals == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < hub->locals_size; i++) {

        for (local = hub->locals[i]; local; local = next) {
            next = local->next;

            local->next = locals[local->id & (size - 1)];
            locals[local->id & (size - 1)] = local;
        }
    }

    if (hub->locals != NULL) {
        ngx_free(hub->locals);
    }

    hub->locals = locals;
    hub->locals_size = size;

    return NGX_OK;
}


static void
ngx_stomp_local_free(ngx_stomp_hub_t *hub, ngx_stomp_local_t *local)
{
    ngx_stomp_local_t  **next;

    next = &hub->locals[local->id & (hub->locals_size - 1)];

    while (*next != local) {
        next = &(*next)->next;
    }

    *next = local->next;
    hub->nlocals--;

    if (local->wild != NULL) {
        ngx_stomp_wild_remove(hub, local);
    }

    ngx_free(local);
}


void
ngx_stomp_fanout_deliver(void *data, ngx_stomp_message_t *m)
{
    ngx_uint_t            i, n;
    ngx_stomp_hub_t      *hub;
    ngx_stomp_local_t    *local, **patterns;
    ngx_stomp_group_t    *group;

    hub = data;

    if (m->flags & NGX_STOMP_MESSAGE_QUEUE) {
        return;
    }

    local = ngx_stomp_local_lookup(hub, m->destination);
    patterns = NULL;
    n = 0;

    if ((local == NULL && hub->wild == NULL)
        || ngx_stomp_replay_expired(hub, m))
    {
        return;
    }

    if (hub->wild != NULL
        && !(m->flags & NGX_STOMP_MESSAGE_USER)
        && ngx_stomp_wild_match(hub, m, &patterns, &n) != NGX_OK)
    {
        for (i = 0; i < n; i++) {
            for (group = patterns[i]->groups; group; group = group->next) {
                ngx_stomp_fanout_lost(hub, group, m);
            }

            hub->broker->dropped += ngx_stomp_flow_lost(hub, patterns[i],
                                                     m->sequence,
                                                     "no memory for a message");
        }

        n = 0;
    }

    if (local != NULL || n) {
        ngx_stomp_fanout_encode(hub, m, local, patterns, n);
    }
}


/* for a destination's subscriptions here, if any, and those of n patterns */

static void
ngx_stomp_fanout_encode(ngx_stomp_hub_t *hub, ngx_stomp_message_t *m,
    ngx_stomp_local_t *local, ngx_stomp_local_t **patterns, ngx_uint_t n)
{
    ngx_int_t             rc;
    ngx_uint_t            i, split, marks;
    ngx_stomp_encoded_t   e;

    split = (local != NULL) ? local->ngroups : 0;

    for (i = 0; i < n; i++) {
        split += patterns[i]->ngroups;
    }

    split = (split >= NGX_STOMP_SPLIT_FORMS
             || (split > 1 && m->body >= NGX_STOMP_SPLIT_BODY));

    rc = ngx_stomp_form_message(hub, m, split, &e);
    marks = 0;

    if (local != NULL) {
        marks = ngx_stomp_fanout_local(hub, local, m, &e, rc);
    }

    for (i = 0; i < n; i++) {
        (void) ngx_stomp_fanout_local(hub, patterns[i], m, &e, rc);
    }

    ngx_stomp_form_done(&e);

    if (local != NULL && local->flows != NULL) {
        ngx_stomp_flow_deliver(hub, local, m);
    }

    for (i = 0; i < n; i++) {
        if (patterns[i]->flows != NULL) {
            ngx_stomp_flow_deliver(hub, patterns[i], m);
        }
    }

    /* patterns replay nothing, and so have no marks */

    if (marks) {
        ngx_stomp_replay_unmark(hub, local, m);
    }
}


/* rc: NGX_OK if the message could be read; returns the marks of its forms */

static ngx_uint_t
ngx_stomp_fanout_local(ngx_stomp_hub_t *hub, ngx_stomp_local_t *local,
    ngx_stomp_message_t *m, ngx_stomp_encoded_t *e, ngx_int_t rc)
{
    ngx_uint_t          marks;
    ngx_stomp_group_t  *group;

    marks = 0;

    for (group = local->groups; group; group = group->next) {

        if (group->n == 0) {
            continue;
        }

        marks |= group->form->marks;

        if (rc == NGX_OK
            && ngx_stomp_form_encode(hub, group->form, m, e) == NGX_OK)
        {
            ngx_stomp_fanout_group(hub, group, m, e);

        } else {
            ngx_stomp_fanout_lost(hub, group, m);
        }
    }

    return marks;
}


/* no memory, hash or system call for each delivery */

static void
ngx_stomp_fanout_group(ngx_stomp_hub_t *hub, ngx_stomp_group_t *group,
    ngx_stomp_message_t *m, ngx_stomp_encoded_t *e)
{
    uint32_t              i, n;
    ngx_stomp_member_t   *member;
    ngx_stomp_session_t  *s;

    n = 0;

    for (i = 0; i < group->n; i++) {

        member = &group->members[i];

        if (i + NGX_STOMP_PREFETCH < group->n) {
            ngx_stomp_session_prefetch(member[NGX_STOMP_PREFETCH].session);
        }

        if (!ngx_stomp_fanout_wanted(group, member, m)) {
            continue;
        }

        s = member->session;

        if (s->drops && ngx_stomp_slow_drop(s, ngx_stomp_encoded_len(e))) {
            continue;
        }

        ngx_stomp_output_range(s, e->segment, e->start, e->end);

        if (e->tail != NULL) {
            ngx_stomp_output_range(s, e->tail, e->tail_start, e->tail_end);
        }

        n++;
    }

    hub->broker->delivered += n;
}


/* no memory to encode it: a session does not go on with a hole */

static void
ngx_stomp_fanout_lost(ngx_stomp_hub_t *hub, ngx_stomp_group_t *group,
    ngx_stomp_message_t *m)
{
    uint32_t             i, n;
    ngx_uint_t           level;
    ngx_stomp_member_t  *member;

    n = 0;

    for (i = 0; i < group->n; i++) {

        member = &group->members[i];

        if (!ngx_stomp_fanout_wanted(group, member, m)) {
            continue;
        }

        ngx_stomp_session_finish(member->session, NGX_STOMP_WS_TRY_LATER,
                                 "no memory for a message");
        n++;
    }

    if (n == 0) {
        return;
    }

    hub->broker->dropped += n;

    level = ngx_stomp_hub_log_level(hub, NGX_LOG_ERR);

    ngx_log_error(level, hub->log, 0,
                  "no memory to deliver a message to %uD subscriptions, "
                  "their sessions are closed", n);
}


void
ngx_stomp_fanout_overrun(void *data, uint64_t drained)
{
    uint32_t            i;
    uint64_t            last;
    ngx_stomp_hub_t    *hub;
    ngx_stomp_group_t  *group;
    ngx_stomp_local_t  *local;

    hub = data;

    for (i = 0; i < hub->locals_size; i++) {
        for (local = hub->locals[i]; local; local = local->next) {

            last = ngx_stomp_broker_last(hub->broker, local->interest);

            if (last <= drained) {
                continue;
            }

            for (group = local->groups; group; group = group->next) {
                ngx_stomp_fanout_missed(group, last);
            }

            hub->broker->dropped += ngx_stomp_flow_lost(hub, local, last,
                                                        "worker was too slow");
        }
    }
}


/* who has subscribed since then has missed nothing */

static void
ngx_stomp_fanout_missed(ngx_stomp_group_t *group, uint64_t last)
{
    uint32_t              i;
    ngx_stomp_session_t  *s;

    for (i = 0; i < group->n; i++) {

        s = group->members[i].session;

        if (group->members[i].sub->from < last && !s->finished && !s->dead) {
            s->hub->broker->dropped++;
            ngx_stomp_session_finish(s, NGX_STOMP_WS_TRY_LATER,
                                     "worker was too slow");
        }
    }
}
