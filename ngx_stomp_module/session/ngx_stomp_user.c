
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stomp_session.h>
#include <ngx_stomp_user.h>
#include <ngx_stomp_utf8.h>


#define NGX_STOMP_USER_PREFIX_LEN  (sizeof("/user/") - 1)


static const char *ngx_stomp_user_rest_check(u_char *p, u_char *last);


const char *
ngx_stomp_user_check(ngx_str_t *name)
{
    size_t    i;
    uint32_t  state;

    if (name->len == 0) {
        return "is empty";
    }

    if (name->len > NGX_STOMP_USER_MAX) {
        return "is longer than 255 octets";
    }

    for (i = 0; i < name->len; i++) {
        if (name->data[i] < ' ' || name->data[i] == 0x7f) {
            return "has a control character";
        }
    }

    state = 0;

    if (ngx_stomp_utf8_validate(&state, name->data, name->len) != NGX_OK) {
        return "is not UTF-8";
    }

    return NULL;
}


ngx_int_t
ngx_stomp_user_set(ngx_stomp_session_t *s, ngx_str_t *name)
{
    ngx_stomp_user_t  *user;

    user = ngx_alloc(offsetof(ngx_stomp_user_t, data) + name->len,
                     s->connection->log);
    if (user == NULL) {
        return NGX_ERROR;
    }

    user->name.data = user->data;
    user->name.len = name->len;
    ngx_memcpy(user->data, name->data, name->len);

    s->user = user;

    return NGX_OK;
}


void
ngx_stomp_user_free(ngx_stomp_session_t *s)
{
    if (s->user != NULL) {
        ngx_free(s->user);
        s->user = NULL;
    }
}


const char *
ngx_stomp_user_destination_check(ngx_str_t *name)
{
    u_char  *p, *start, *last;

    if (name->len >= NGX_STOMP_DESTINATION_MAX) {
        return "the destination of a user is longer than 1023 octets";
    }

    start = name->data + NGX_STOMP_USER_PREFIX_LEN;
    last = name->data + name->len;

    for (p = start; p < last && *p != '/'; p++) {

        if (*p != '%') {
            continue;
        }

        /* one spelling for each name, so that rules can't be passed by */

        if (last - p < 3
            || (ngx_memcmp(p, "%2F", 3) != 0 && ngx_memcmp(p, "%25", 3) != 0))
        {
            return "in the name of a user \"%\" is written \"%25\", and \"/\" "
                   "is written \"%2F\"";
        }
    }

    if (p == start || p == last) {
        return "messages for a user are sent to \"/user/\", the user's name, "
               "\"/\" and a name of the destination";
    }

    return ngx_stomp_user_rest_check(p + 1, last);
}


/* what follows the user's name, or the prefix where it is subscribed to */

static const char *
ngx_stomp_user_rest_check(u_char *p, u_char *last)
{
    u_char  *end;

    if (p == last) {
        return "the destination of a user has no name";
    }

    for ( /* void */ ; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '/');

        if (end == NULL) {
            end = last;
        }

        if (*p == '*' && (end - p == 1 || (end - p == 2 && p[1] == '*'))) {
            return "destinations of users have no wildcards";
        }
    }

    return NULL;
}


size_t
ngx_stomp_user_key_size(ngx_str_t *name)
{
    return ngx_stomp_user_is(name) ? name->len + 1 : 0;
}


void
ngx_stomp_user_key(u_char *buf, ngx_str_t *name)
{
    if (!ngx_stomp_user_is(name)) {
        return;
    }

    *buf = '~';
    ngx_memcpy(buf + 1, name->data, name->len);

    name->data = buf;
    name->len++;
}


void
ngx_stomp_user_written(ngx_str_t *name)
{
    if (name->len && *name->data == '~') {
        name->data++;
        name->len--;
    }
}


const char *
ngx_stomp_user_subscribe(ngx_stomp_session_t *s, ngx_str_t *name, u_char *buf)
{
    u_char       id[NGX_STOMP_SESSION_ID_MAX], *p, *rest;
    size_t       i, len, size;
    ngx_str_t    user;
    const char  *error;

    rest = name->data + NGX_STOMP_USER_PREFIX_LEN;
    len = name->len - NGX_STOMP_USER_PREFIX_LEN;

    error = ngx_stomp_user_rest_check(rest, rest + len);
    if (error != NULL) {
        return error;
    }

    if (s->user != NULL) {
        user = s->user->name;

    } else {
        user.data = id;
        user.len = ngx_stomp_session_id(s, id) - id;
    }

    size = sizeof("~/user//") - 1 + user.len + len;

    for (i = 0; i < user.len; i++) {
        if (user.data[i] == '/' || user.data[i] == '%') {
            size += 2;
        }
    }

    if (size > NGX_STOMP_DESTINATION_MAX) {
        return "the destination is too long with the user's name";
    }

    p = ngx_cpymem(buf, "~/user/", sizeof("~/user/") - 1);

    for (i = 0; i < user.len; i++) {

        switch (user.data[i]) {

        case '/':
            p = ngx_cpymem(p, "%2F", 3);
            break;

        case '%':
            p = ngx_cpymem(p, "%25", 3);
            break;

        default:
            *p++ = user.data[i];
        }
    }

    *p++ = '/';
    p = ngx_cpymem(p, rest, len);

    name->data = buf;
    name->len = p - buf;

    return NULL;
}


ngx_str_t
ngx_stomp_user_rest(ngx_str_t *name)
{
    ngx_str_t  rest;

    rest.data = name->data + NGX_STOMP_USER_PREFIX_LEN;

    while (*rest.data != '/') {
        rest.data++;
    }

    rest.len = name->data + name->len - rest.data;

    return rest;
}
