
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stomp_session.h>
#include <ngx_stomp_header.h>
#include <ngx_stomp_output.h>
#include <ngx_stomp_serialize.h>
#include <ngx_stomp_user.h>
#include <ngx_stomp_users.h>
#include <ngx_stomp_wheel.h>
#include <ngx_stomp_ws.h>


#define NGX_STOMP_SERVER  "ngx_stomp_module/0.1"

/* a beat after so much of the agreed time suits the strictest client */
#define NGX_STOMP_BEAT_PERCENT  80


static ngx_uint_t ngx_stomp_connect_version(ngx_str_t *accept);
static ngx_int_t ngx_stomp_connect_beats(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame);
static ngx_int_t ngx_stomp_connect_user(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame);
static ngx_int_t ngx_stomp_connect_login(ngx_stomp_session_t *s,
    ngx_stomp_frame_t *frame, ngx_str_t *login, ngx_str_t *passcode);
static ngx_int_t ngx_stomp_connect_answer(ngx_stomp_session_t *s);


ngx_int_t
ngx_stomp_session_connect(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame)
{
    ngx_int_t                 rc;
    ngx_str_t                *accept;
    ngx_uint_t                level, version;
    ngx_stomp_session_info_t  info;

    accept = ngx_stomp_header(frame, "accept-version");
    version = ngx_stomp_connect_version(accept);

    if (version == 0) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_PROTOCOL,
                                "no common version",
                                "This broker speaks STOMP 1.0, 1.1 and 1.2, "
                                "not \"%V\".", accept);
        return NGX_DONE;
    }

    if (version != NGX_STOMP_V10
        && ngx_stomp_connect_beats(s, frame) != NGX_OK)
    {
        return NGX_DONE;
    }

    rc = ngx_stomp_connect_user(s, frame);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memzero(&info, sizeof(ngx_stomp_session_info_t));
    info.id = s->id;
    info.since = ngx_time();
    info.addr = s->connection->addr_text;

    if (s->user != NULL) {
        info.user = s->user->name;
    }

    s->record = ngx_stomp_broker_session_add(s->hub->broker, &info);

    if (info.exceeded) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_TRY_LATER,
                                "too many sessions",
                                "stomp_broker \"%V\" can have %i sessions "
                                "(max_sessions), try again later.",
                                &s->hub->broker->conf->name,
                                s->hub->broker->conf->max_sessions);
        return NGX_DONE;
    }

    if (s->record == 0) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_TRY_LATER,
                                "broker is full",
                                "The zone of stomp_broker \"%V\" has no room "
                                "for another session, try again later.",
                                &s->hub->broker->conf->name);

        level = ngx_stomp_hub_log_level(s->hub, NGX_LOG_ERR);

        ngx_log_error(level, s->connection->log, 0,
                      "zone of stomp_broker \"%V\" is full",
                      &s->hub->broker->conf->name);
        return NGX_DONE;
    }

    s->version = version;
    s->state = NGX_STOMP_SESSION_CONNECTED;
    s->deadline = 0;

    if (ngx_stomp_connect_answer(s) != NGX_OK) {
        ngx_stomp_session_abort(s);
        return NGX_DONE;
    }

    ngx_stomp_wheel_hurry(s);

    return NGX_OK;
}


/* the highest one that both know */

static ngx_uint_t
ngx_stomp_connect_version(ngx_str_t *accept)
{
    ngx_uint_t  versions, version;

    versions = ngx_stomp_header_versions(accept);

    for (version = NGX_STOMP_V12; version; version >>= 1) {
        if (versions & version) {
            return version;
        }
    }

    return 0;
}


/* STOMP 1.2, "Heart-beating": each direction has the larger of two values */

static ngx_int_t
ngx_stomp_connect_beats(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame)
{
    ngx_str_t                 *value;
    ngx_msec_t                 x, y, ms;
    ngx_stomp_session_conf_t  *conf;

    conf = s->conf;
    value = ngx_stomp_header(frame, "heart-beat");

    if (value == NULL) {
        return NGX_OK;
    }

    if (ngx_stomp_header_heartbeat(value, &x, &y) != NGX_OK) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_PROTOCOL,
                                "malformed header",
                                "\"heart-beat\" must be two numbers of "
                                "milliseconds with a comma between them, "
                                "not \"%V\".", value);
        return NGX_ERROR;
    }

    if (y && conf->heartbeat_send) {
        ms = ngx_max(y, conf->heartbeat_send);
        ms = ms / 1000 * NGX_STOMP_BEAT_PERCENT / 100;

        s->beat_send = (uint32_t) ngx_max(ms, 1);
    }

    if (x && conf->heartbeat_receive) {
        ms = ngx_max(x, conf->heartbeat_receive);

        s->beat_receive = (uint32_t) ((ms * conf->heartbeat_tolerance + 999)
                                      / 1000);
    }

    return NGX_OK;
}


/* NGX_OK: the session has its user, or needs none;  NGX_BUSY, NGX_DONE */

static ngx_int_t
ngx_stomp_connect_user(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame)
{
    ngx_str_t  *login, *passcode;

    /* nginx knows the user since the handshake */

    if (s->user != NULL || s->hub->broker->conf->users == NULL) {
        return NGX_OK;
    }

    login = ngx_stomp_header(frame, "login");
    passcode = ngx_stomp_header(frame, "passcode");

    if (login == NULL || passcode == NULL) {
        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_POLICY,
                                "login needed",
                                "%V needs \"login\" and \"passcode\" "
                                "headers.", &frame->name);
        return NGX_DONE;
    }

    if (!s->wrong) {
        return ngx_stomp_connect_login(s, frame, login, passcode);
    }

    ngx_stomp_session_error(s, frame, NGX_STOMP_WS_POLICY, "login refused",
                            "\"login\" and \"passcode\" don't fit.");
    return NGX_DONE;
}


static ngx_int_t
ngx_stomp_connect_login(ngx_stomp_session_t *s, ngx_stomp_frame_t *frame,
    ngx_str_t *login, ngx_str_t *passcode)
{
    uint32_t     now;
    ngx_int_t    rc;
    ngx_uint_t   level;

    now = ngx_stomp_wheel_now();

    rc = ngx_stomp_users_check(s->hub->broker->conf->users, login, passcode,
                               now, s->connection->log);

    if (rc == NGX_OK) {
        if (ngx_stomp_user_set(s, login) == NGX_OK) {
            return NGX_OK;
        }

        ngx_stomp_session_abort(s);
        return NGX_DONE;
    }

    if (rc == NGX_AGAIN) {

        if (now < s->deadline) {
            return NGX_BUSY;
        }

        ngx_stomp_session_error(s, frame, NGX_STOMP_WS_TRY_LATER,
                                "too many logins",
                                "There are too many logins at this time, try "
                                "again later.");
        return NGX_DONE;
    }

    /* told with the next tick: who guesses is to wait */

    s->wrong = 1;

    level = ngx_stomp_hub_log_level(s->hub, NGX_LOG_NOTICE);

    ngx_log_error(level, s->connection->log, 0,
                  "STOMP session with a wrong login or passcode for "
                  "stomp_broker \"%V\"", &s->hub->broker->conf->name);

    return NGX_BUSY;
}


static ngx_int_t
ngx_stomp_connect_answer(ngx_stomp_session_t *s)
{
    size_t                  len;
    u_char                 *p, id[NGX_STOMP_SESSION_ID_MAX];
    ngx_stomp_connected_t   c;
    u_char                  small[512];

    ngx_memzero(&c, sizeof(ngx_stomp_connected_t));

    c.version = s->version;
    c.send = s->conf->heartbeat_send;
    c.receive = s->conf->heartbeat_receive;
    c.session.data = id;
    c.session.len = ngx_stomp_session_id(s, id) - id;

    if (s->user != NULL) {
        c.user = s->user->name;
    }

    ngx_str_set(&c.server, NGX_STOMP_SERVER);

    len = ngx_stomp_write_connected(NULL, &c);

    p = (len <= sizeof(small)) ? small : ngx_alloc(len, s->hub->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_stomp_write_connected(p, &c);

    ngx_stomp_output_frame(s, p, len, 1);

    if (p != small) {
        ngx_free(p);
    }

    return NGX_OK;
}
