
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_FANOUT_H_INCLUDED_
#define _NGX_STOMP_FANOUT_H_INCLUDED_


#include <ngx_stomp_session.h>
#include <ngx_stomp_consumer.h>
#include <ngx_stomp_form.h>
#include <ngx_stomp_replay.h>


/*
 * This worker's subscriptions, by destination, and within a destination by
 * form.
 */


typedef struct {
    ngx_stomp_session_t    *session;
    ngx_stomp_sub_t        *sub;
} ngx_stomp_member_t;


struct ngx_stomp_group_s {
    ngx_stomp_group_t      *next;           /* of the destination */
    ngx_stomp_group_t      *prev;
    ngx_stomp_group_t      *chain;          /* in the hub's table */
    ngx_stomp_local_t      *local;
    ngx_stomp_form_t       *form;
    uint64_t                from;           /* newest of the members' */
    ngx_stomp_member_t     *members;        /* &one as long as it is enough */
    uint32_t                n;
    uint32_t                size;
    uint32_t                waiting;        /* NGX_STOMP_SUB_* */
    ngx_stomp_member_t      one;
};


struct ngx_stomp_local_s {
    ngx_stomp_local_t      *next;           /* in the hub's table */
    uint64_t                id;
    uint32_t                interest;
    uint32_t                n;              /* subscriptions */
    uint32_t                ngroups;
    uint32_t                name_len;
    ngx_stomp_group_t      *groups;
    ngx_stomp_flow_t       *flows;          /* to be acknowledged */
    ngx_stomp_wild_entry_t *wild;           /* NULL: not a pattern */
    ngx_stomp_group_t       first;          /* mostly the only one */
    u_char                  name[1];
};


/*
 * Adds a subscription of a session to the zone and here; id is NULL in 1.0
 * without one; mode and prefetch: as of ngx_stomp_ack_mode(); wanted: what it
 * wants replayed first, or NULL.
 * NGX_OK;  NGX_BUSY: the zone is full;  NGX_DECLINED: no slot;  NGX_ERROR: no
 * memory.
 */
ngx_int_t ngx_stomp_fanout_subscribe(ngx_stomp_session_t *s, ngx_str_t *name,
    ngx_str_t *id, ngx_stomp_ack_e mode, uint32_t prefetch,
    ngx_stomp_wanted_t *wanted);

/* Returns a destination's group of a form, made if need be; NULL: no memory. */
ngx_stomp_group_t *ngx_stomp_group_get(ngx_stomp_hub_t *hub,
    ngx_stomp_local_t *local, ngx_stomp_form_t *form);

/*
 * Adds a subscription, whose from is set, to a group, or removes the member
 * with that index.  NGX_OK or NGX_ERROR (no memory).
 */
ngx_int_t ngx_stomp_group_add(ngx_stomp_group_t *group,
    ngx_stomp_session_t *s, ngx_stomp_sub_t *sub, ngx_log_t *log);
void ngx_stomp_group_remove(ngx_stomp_group_t *group, uint32_t index);

/* Frees a group without members, and without those that will be. */
void ngx_stomp_group_free(ngx_stomp_hub_t *hub, ngx_stomp_group_t *group);

/* Removes a subscription of a session, here and then from the zone. */
void ngx_stomp_fanout_unsubscribe(ngx_stomp_session_t *s,
    ngx_stomp_sub_t *sub);

/*
 * Looks for a session's subscription by id, or, if id is NULL, for one without
 * id by its destination.  Returns it or NULL.
 */
ngx_stomp_sub_t *ngx_stomp_fanout_lookup(ngx_stomp_session_t *s,
    ngx_str_t *id, ngx_str_t *name);

/* An ngx_stomp_deliver_pt: data is the hub. */
void ngx_stomp_fanout_deliver(void *data, ngx_stomp_message_t *m);

/* An ngx_stomp_overrun_pt: data is the hub. */
void ngx_stomp_fanout_overrun(void *data, uint64_t drained);


#endif /* _NGX_STOMP_FANOUT_H_INCLUDED_ */
