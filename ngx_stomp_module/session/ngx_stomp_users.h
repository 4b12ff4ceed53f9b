
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_USERS_H_INCLUDED_
#define _NGX_STOMP_USERS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_broker.h>


/*
 * The users of a file, "name:hash" in each line, as those of
 * auth_basic_user_file.  They are the process's own: each worker reads the
 * file again when it has changed.
 */


typedef struct {
    ngx_str_t             name;
    u_char               *hash;            /* with a NUL */
    ngx_uint_t            line;
} ngx_stomp_users_entry_t;


/* in the configuration's memory; what it refers to is freed with that */

struct ngx_stomp_users_s {
    ngx_str_t                 file;        /* with a NUL */
    ngx_stomp_users_entry_t  *entries;     /* by name */
    ngx_uint_t                n;
    u_char                   *text;
    size_t                    len;

    time_t                    mtime;       /* of the file, when it was read */
    off_t                     size;
    ngx_file_uniq_t           uniq;
    unsigned                  fresh:1;     /* may change in the same second */
    unsigned                  failed:1;    /* and it was logged */
};


/* what is wrong with a file; the text is static */

typedef struct {
    const char           *text;
    ngx_uint_t            line;            /* 0: none */
    ngx_err_t             err;
} ngx_stomp_users_error_t;


/*
 * Reads the file.  NGX_OK: the users are the file's;  NGX_ERROR: they are as
 * before, and *error says why.
 */
ngx_int_t ngx_stomp_users_load(ngx_stomp_users_t *users, ngx_log_t *log,
    ngx_stomp_users_error_t *error);

/* A handler of pool cleanups: frees what was read; data is the users. */
void ngx_stomp_users_cleanup(void *data);

/*
 * Reads the file again if it has changed; otherwise one stat().  Of a file
 * that is gone or malformed the old users stay, and the error is logged once.
 */
void ngx_stomp_users_refresh(ngx_stomp_users_t *users, ngx_log_t *log);

/*
 * Looks whether a login and its passcode fit, which takes the same for users
 * that don't exist.  NGX_OK;  NGX_DECLINED: no, and logged;  NGX_AGAIN: this
 * worker has spent its time for that, ask again in the next second.  now: the
 * tick.
 */
ngx_int_t ngx_stomp_users_check(ngx_stomp_users_t *users, ngx_str_t *login,
    ngx_str_t *passcode, uint32_t now, ngx_log_t *log);


#endif /* _NGX_STOMP_USERS_H_INCLUDED_ */
