
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * A whole broker: clients that speak STOMP over WebSocket to nginx, another
 * worker that publishes and subscribes in the same zone, time that passes.
 * The input is a script.  What clients receive is compared with a model, and
 * the zone is walked.
 *
 * The first octet chooses the broker; then each order is a letter with one or
 * more octets behind it.
 */


#include <host.h>
#include <model.h>
#include <reference.h>
#include <session_client.h>
#include <zone_check.h>
#include <ngx_stomp_wheel.h>
#include <stdio.h>


#define SESSION_MAX      2048
#define SESSION_ORDERS   400
#define SESSION_PEER     1            /* the other worker's slot */


static const char  session_conf[] =
    "stomp_broker small {\n"
    "    zone 1m; inbox 16k; topic /topic/ /other/;\n"
    "    max_retained 0;\n"
    "    allow send /topic/* /other/* /user/*/q;\n"
    "    allow subscribe /other/private user=u/v;\n"
    "    deny subscribe /other/private;\n"
    "}\n"
    "stomp_broker large {\n"
    "    zone 1m; inbox 1m; topic /topic/ /other/;\n"
    "    max_retained 0;\n"
    "    allow send /topic/* /other/* /user/*/q;\n"
    "    allow subscribe /other/private user=u/v;\n"
    "    deny subscribe /other/private;\n"
    "}\n"
    "stomp_shutdown_drain 3s;\n"
    "server {\n"
    "    listen %s;\n"
    "    stomp_max_frame 20k; stomp_max_headers 8;\n"
    "    stomp_max_header_length 128; stomp_max_body 9k;\n"
    "    stomp_max_subscriptions 10; stomp_max_output 24k;\n"
    "    stomp_output_timeout 7s; stomp_connect_timeout 5s;\n"
    "    stomp_heartbeat 4s 3s;\n"
    "    stomp_max_transactions 2; stomp_max_transaction_frames 6;\n"
    "    stomp_max_transaction_size 12k;\n"
    "    location /small0 { stomp_pass small; }\n"
    "    location /small1 { stomp_pass small; stomp_keep_request on;\n"
    "                       stomp_user u/v;\n"
    "                       stomp_message_rate 50 burst=12; }\n"
    "    location /large0 { stomp_pass large; }\n"
    "    location /large1 { stomp_pass large; stomp_user u/v;\n"
    "                       stomp_byte_rate 16k burst=20k; }\n"
    "}\n";


/* the broker of this run, and the other worker */

static struct {
    const char           *name;
    ngx_stomp_broker_t   *broker;
    ngx_stomp_hub_t      *hub;
    ngx_stomp_broker_t    peer;
    ngx_uint_t            peer_alive;
    uint32_t              peer_generation;
    uint64_t              peer_last;
    ngx_uint_t            ninterests;
    ngx_stomp_interest_t  interests[16];
} session;


static struct {
    ngx_stomp_broker_t   *broker;
    size_t                size;          /* all but the pages */
    u_char               *data;
} session_snapshots[2];


ngx_int_t __wrap_ngx_stomp_slot_alive(ngx_uint_t slot, uint32_t generation);
ngx_int_t __real_ngx_stomp_slot_alive(ngx_uint_t slot, uint32_t generation);


ngx_int_t
__wrap_ngx_stomp_slot_alive(ngx_uint_t slot, uint32_t generation)
{
    if (slot == SESSION_PEER) {
        return (session.peer_alive && generation == session.peer_generation)
               ? NGX_OK : NGX_DECLINED;
    }

    return __real_ngx_stomp_slot_alive(slot, generation);
}


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    ngx_uint_t           i;
    ngx_stomp_broker_t  *b;

    static const char  *names[] = { "small", "large" };

    host_init(session_conf);

    for (i = 0; i < 2; i++) {
        b = host_broker(names[i]);

        session_snapshots[i].broker = b;
        session_snapshots[i].size = b->zone.sh->first_page;
        session_snapshots[i].data = malloc(session_snapshots[i].size);
        memcpy(session_snapshots[i].data, b->zone.sh,
               session_snapshots[i].size);
    }

    return 0;
}


/* the other worker's subscribers get what was published, in its order */

static void
session_peer_deliver(void *data, ngx_stomp_message_t *m)
{
    u_char                buf[32768];
    ngx_uint_t            i;
    model_publication_t  *p;

    fuzz_check(m->sequence > session.peer_last);
    session.peer_last = m->sequence;

    for (i = 0; i < model.npublications; i++) {
        p = &model.publications[i];

        if (p->sequence == m->sequence) {
            fuzz_check(m->headers == p->headers.len
                       && m->body == p->body.len);
            fuzz_check(m->headers + m->body <= sizeof(buf));

            (void) ngx_stomp_message_read(&session.peer.zone, m, buf,
                                          m->headers + m->body);

            fuzz_check(memcmp(buf, p->headers.data, p->headers.len) == 0);
            fuzz_check(memcmp(buf + p->headers.len, p->body.data,
                              p->body.len)
                       == 0);
            return;
        }
    }

    fuzz_fail(__FILE__, __LINE__, "what is delivered was published");
}


static void
session_peer_overrun(void *data, uint64_t drained)
{
    /* void */
}


static void
session_peer_start(void)
{
    ngx_stomp_broker_t   *peer;
    ngx_stomp_slot_sh_t  *sh;

    peer = &session.peer;
    sh = &session.broker->zone.sh->slots[SESSION_PEER];

    if (session.peer_alive || sh->state != NGX_STOMP_SLOT_FREE) {
        return;
    }

    memset(peer, 0, sizeof(ngx_stomp_broker_t));

    peer->zone = session.broker->zone;
    peer->conf = session.broker->conf;
    peer->log = session.broker->log;
    peer->slot = SESSION_PEER;
    peer->generation = ++session.peer_generation;
    peer->deliver = session_peer_deliver;
    peer->overrun = session_peer_overrun;

    ngx_stomp_zone_lock(&peer->zone);

    sh->state = NGX_STOMP_SLOT_LIVE;
    sh->generation = peer->generation;
    sh->drained = peer->zone.sh->sequence;

    ngx_stomp_zone_unlock(&peer->zone);

    session.peer_alive = 1;
    session.peer_last = peer->zone.sh->sequence;
    session.ninterests = 0;
}


static void
session_peer_subscribe(fuzz_input_t *in)
{
    ngx_str_t              name;
    ngx_stomp_interest_t  *interest;

    name = client_listened(fuzz_octet(in));
    interest = &session.interests[session.ninterests];

    if (session.ninterests < 16
        && ngx_stomp_broker_subscribe(&session.peer, &name, interest)
           == NGX_OK)
    {
        session.ninterests++;
    }
}


static void
session_peer_unsubscribe(fuzz_input_t *in)
{
    ngx_uint_t  i;

    if (session.ninterests == 0) {
        return;
    }

    i = fuzz_octet(in) % session.ninterests;

    ngx_stomp_broker_unsubscribe(&session.peer, session.interests[i].interest,
                                 1);
    session.interests[i] = session.interests[--session.ninterests];
}


/* by the other worker, or by this one as an HTTP request does it */

static void
session_publish(ngx_stomp_broker_t *b, fuzz_input_t *in)
{
    u_char                    body[8192], *h, headers[8][256];
    size_t                    len;
    ngx_uint_t                i, n;
    ngx_stomp_publication_t   p[8];

    n = 1 + fuzz_octet(in) % 8;
    memset(p, 0, sizeof(p));

    len = client_size(in);
    client_body(body, len);

    for (i = 0; i < n; i++) {
        p[i].destination = client_destination(fuzz_octet(in));

        /* by this header patterns find it */

        h = headers[i];
        h += sprintf((char *) h, "a:b\nc:\\\\d\\ne\ndestination:");
        h += reference_escape(h, p[i].destination.data,
                              p[i].destination.len, NGX_STOMP_V12);
        *h++ = '\n';

        p[i].headers.data = headers[i];
        p[i].headers.len = h - headers[i];
        p[i].body.data = body;
        p[i].body.len = len;
        p[i].flags = NGX_STOMP_MESSAGE_TEXT;
    }

    (void) ngx_stomp_broker_publish(b, p, n);
}


static void
session_order(fuzz_input_t *in)
{
    ngx_uint_t  order, n;

    order = fuzz_octet(in) & 0x1f;
    n = fuzz_octet(in) % CLIENTS;

    switch (order) {

    case 'o' & 0x1f:
        client_open(n, session.name);
        break;

    case 'b' & 0x1f:
        session_publish(session.broker, in);
        break;

    case 'v' & 0x1f:
        if (session.peer_alive) {
            session_publish(&session.peer, in);
        }

        break;

    case 'i' & 0x1f:
        if (session.peer_alive) {
            session_peer_subscribe(in);
        }

        break;

    case 'j' & 0x1f:
        if (session.peer_alive) {
            session_peer_unsubscribe(in);
        }

        break;

    case 'q' & 0x1f:
        if (session.peer_alive) {
            (void) ngx_stomp_broker_drain(&session.peer);
        }

        break;

    case 'k' & 0x1f:
        session.peer_alive = 0;
        session.ninterests = 0;
        break;

    case 'z' & 0x1f:
        session_peer_start();
        break;

    case 't' & 0x1f:
        (void) host_turn();
        break;

    case 'y' & 0x1f:
        host_sleep(1000 * (1 + fuzz_octet(in) % 16));
        break;

    case 'g' & 0x1f:
        ngx_exiting = 1;
        break;

    default:
        client_order(n, order | 0x60, in);
    }

    client_receive();
}


static void
session_check_counts(void)
{
    uint32_t              sessions, subscriptions;
    ngx_uint_t            n;
    ngx_stomp_slot_sh_t  *slot;

    sessions = 0;
    subscriptions = 0;

    for (n = 0; n < CLIENTS; n++) {
        if (clients[n].session != NULL) {
            sessions += (clients[n].session->record != 0);
            subscriptions += clients[n].session->nsubs;
        }
    }

    slot = &session.broker->zone.sh->slots[session.broker->slot];

    fuzz_check(slot->nsessions == sessions);
    fuzz_check(slot->nsubscriptions == subscriptions);
}


static void
session_check_zone(void)
{
    const char        *error;
    ngx_stomp_zone_t  *zone;

    zone = &session.broker->zone;

    ngx_stomp_zone_lock(zone);
    error = zone_check(zone);
    ngx_stomp_zone_unlock(zone);

    if (error != NULL) {
        fprintf(stderr, "FUZZ: the zone is damaged: %s\n", error);
        abort();
    }
}


/* everything comes to rest: who is still there has got all that is his */

static void
session_settle(void)
{
    ngx_uint_t  i, n;

    for (n = 0; n < CLIENTS; n++) {
        host_clients[n].chunk = 0;
    }

    for (i = 0; i < 2000; i++) {

        for (n = 0; n < CLIENTS; n++) {
            host_writable(n, NGX_MAX_INT32_VALUE);

            if (client_listening(n)) {
                host_readable(n);
            }
        }

        client_receive();

        if (!host_turn()) {
            break;
        }
    }

    fuzz_check(i < 2000);
    client_receive();

    for (n = 0; n < CLIENTS; n++) {
        client_complete(n);
    }

    session_check_counts();
    session_check_zone();
}


/* starts the ticks, if an exiting worker has stopped them */

static void
session_tick(void)
{
    ngx_stomp_wheel_init((ngx_cycle_t *) ngx_cycle, 3, NULL);
}


/* all is gone: nothing is left of it in the zone or in this process */

static void
session_finish(void)
{
    size_t                used;
    ngx_uint_t            i;
    ngx_stomp_hub_t      *hub;
    ngx_stomp_zone_sh_t  *sh;

    session.peer_alive = 0;

    host_leave();

    /* a worker that exits has stopped its ticks */

    ngx_exiting = 0;
    session_tick();

    /* who found the zone full is not read from before it is tried again */

    host_sleep(8000);
    host_finish();
    host_sleep(3000);

    for (i = 0; host_turn(); i++) {
        fuzz_check(i < 1000);
    }

    sh = session.broker->zone.sh;
    hub = session.hub;

    for (i = 0; i < 10000; i++) {
        ngx_stomp_zone_lock(&session.broker->zone);
        used = ngx_stomp_arena_used_locked(&session.broker->zone);
        ngx_stomp_zone_unlock(&session.broker->zone);

        if (used == 0) {
            break;
        }

        (void) ngx_stomp_broker_drain(session.broker);
        (void) ngx_stomp_broker_reap(session.broker);
    }

    fuzz_check(used == 0);
    session_check_zone();

    fuzz_check(sh->ndestinations == 0);
    fuzz_check(sh->slots[session.broker->slot].nsessions == 0);
    fuzz_check(sh->slots[session.broker->slot].nsubscriptions == 0);
    fuzz_check(sh->slots[SESSION_PEER].state == NGX_STOMP_SLOT_FREE);

    fuzz_check(hub->nsessions == 0 && hub->nlocals == 0);
    fuzz_check(hub->ngroups == 0 && hub->nforms == 0);
    fuzz_check(hub->ndirty == 0 && hub->open == NULL);
    fuzz_check(ngx_queue_empty(&hub->dead));
}


/* each run begins with the same zone, and at the same place of the wheel */

static void
session_start(ngx_uint_t n)
{
    ngx_msec_t           turn;
    ngx_stomp_broker_t  *b;

    static const char  *names[] = { "small", "large" };

    b = session_snapshots[n].broker;

    memcpy(b->zone.sh, session_snapshots[n].data, session_snapshots[n].size);

    b->delivered = 0;
    b->dropped = 0;
    b->refused = 0;

    memset(&session, 0, sizeof(session));
    session.name = names[n];
    session.broker = b;
    session.hub = b->data;
    session.hub->id_count = 0;
    session.hub->drain_end = 0;
    session.peer_generation = 1000;

    client_reset();
    model_reset(b->zone.sh->epoch);

    turn = 1000 * NGX_STOMP_WHEEL_SIZE;

    host_jump(turn - 1000 + turn - ngx_current_msec % turn);
    host_sleep(1000);

    session_peer_start();
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_uint_t     i;
    fuzz_input_t   in;

    if (size < 3 || size > SESSION_MAX) {
        return 0;
    }

    in.pos = data;
    in.last = data + size;

    session_start(fuzz_octet(&in) & 1);

    for (i = 0; in.pos < in.last && i < SESSION_ORDERS && !model_full(); i++) {
        session_order(&in);
        session_check_counts();
    }

    session_settle();
    session_finish();

    return 0;
}
