
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_USER_H_INCLUDED_
#define _NGX_STOMP_USER_H_INCLUDED_


#include <ngx_stomp_session.h>


/*
 * A session's user, and the destinations of users.
 *
 * What is sent to "/user/NAME/REST" reaches the sessions of that user which
 * have subscribed to "/user/REST".  Within the broker it is called
 * "~/user/NAME/REST", which no client can write: names and patterns of
 * clients begin with "/".  In NAME "/" is written "%2F", and "%" as "%25", so
 * that a user has one spelling only.
 */


/* the limit of a session's record in the zone */
#define NGX_STOMP_USER_MAX  255


struct ngx_stomp_user_s {
    ngx_str_t                   name;
    u_char                      data[1];
};


/* NULL: the session has no user */
#define ngx_stomp_user(s)  ((s)->user != NULL ? &(s)->user->name : NULL)

/* whether a destination is a user's, as clients write it */
#define ngx_stomp_user_is(dst)                                                \
    ((dst)->len >= sizeof("/user/") - 1                                       \
     && ngx_memcmp((dst)->data, "/user/", sizeof("/user/") - 1) == 0)


/* Returns NULL if it can be a user's name, or what is wrong with it. */
const char *ngx_stomp_user_check(ngx_str_t *name);

/*
 * Gives a session a user; the name is copied, and freed with the session.
 * NGX_OK or NGX_ERROR (no memory).
 */
ngx_int_t ngx_stomp_user_set(ngx_stomp_session_t *s, ngx_str_t *name);

/* Frees a session's user, if there is one. */
void ngx_stomp_user_free(ngx_stomp_session_t *s);

/*
 * Returns NULL if messages may be sent to a name that ngx_stomp_user_is(), or
 * a sentence for the client that says what is wrong with it.
 */
const char *ngx_stomp_user_destination_check(ngx_str_t *name);

/* Returns the size of the key of a destination; 0 if it is no user's. */
size_t ngx_stomp_user_key_size(ngx_str_t *name);

/*
 * Makes of a checked destination the name that the broker has for it, in buf
 * of ngx_stomp_user_key_size(); others than users' stay as they are.
 */
void ngx_stomp_user_key(u_char *buf, ngx_str_t *name);

/* Makes of a name of the broker the destination that a sender writes. */
void ngx_stomp_user_written(ngx_str_t *name);

/*
 * Makes of a destination that ngx_stomp_user_is(), and that a session
 * subscribes to, the name that the broker has for it, in buf of
 * NGX_STOMP_DESTINATION_MAX octets.  A session without a user is addressed by
 * its id.  NULL, or a sentence for the client that says what is wrong.
 */
const char *ngx_stomp_user_subscribe(ngx_stomp_session_t *s, ngx_str_t *name,
    u_char *buf);

/*
 * Returns what of a checked user's destination follows the name, with its
 * slash: its subscribers know it as "/user" and that.
 */
ngx_str_t ngx_stomp_user_rest(ngx_str_t *name);


#endif /* _NGX_STOMP_USER_H_INCLUDED_ */
