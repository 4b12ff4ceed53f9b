
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _SESSION_STUB_H_INCLUDED_
#define _SESSION_STUB_H_INCLUDED_


#include <ngx_stomp_session.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>


/*
 * What parts of session/ call, for tests of one of them alone: a session with
 * its hub, broker and settings, and notes of what was done to it.
 */

typedef struct {
    ngx_stomp_session_t         session;
    ngx_stomp_session_conf_t    conf;
    ngx_stomp_hub_t             hub;
    ngx_stomp_broker_t          broker;
    ngx_connection_t            connection;
    ngx_log_t                   log;

    const char                 *error;      /* message of the last ERROR */
    ngx_uint_t                  code;
    ngx_uint_t                  aborted;
    ngx_uint_t                  inputs;     /* of ngx_stomp_session_input() */
    ngx_int_t                   input;      /* what that returns */
    ngx_uint_t                  resumed;
    ngx_uint_t                  hurried;
    ngx_uint_t                  fail;       /* that allocation; 0: none */

    ngx_int_t                   published;  /* what publishing returns */
    ngx_uint_t                  calls;      /* of it */
    char                        text[4096]; /* all that was published */
    size_t                      len;
} session_stub_t;


extern session_stub_t  session_stub;


/* Makes a connected session of STOMP 1.2; settings are 0. */
void session_stub_init(void);

/* Returns 1 if there is a timer. */
ngx_uint_t session_stub_timer(void);

/* Time passes; timers are called when they are due. */
void session_stub_sleep(ngx_msec_t ms);

/*
 * Fills frame with headers, of which the last one is NULL: name, value, ...;
 * they are kept until the next call.
 */
void session_stub_frame(ngx_stomp_frame_t *frame, ngx_stomp_command_e command,
    const char *body, ...);


#endif /* _SESSION_STUB_H_INCLUDED_ */
