
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Linked into the nginx that tools/nginx.sh builds with sanitizers: what they
 * are told before they read ASAN_OPTIONS and its like.
 */


const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
const char *__lsan_default_options(void);
const char *__lsan_default_suppressions(void);


/*
 * SIGABRT, and not an exit code, so that the master logs an alert; it is
 * reported, too, as the sanitizer of undefined behaviour knows no log_path
 * beside this one.  Each of nginx's dynamic modules has variables of the same
 * names, for its dlsym().
 */

const char *
__asan_default_options(void)
{
    return "abort_on_error=1:handle_abort=1:detect_stack_use_after_return=1:"
           "detect_odr_violation=0:strict_string_checks=1";
}


const char *
__ubsan_default_options(void)
{
    return "abort_on_error=1:print_stacktrace=1";
}


const char *
__lsan_default_options(void)
{
    return "print_suppressions=0";
}


/*
 * What nginx itself leaves behind; nothing of the module may stand here.
 *
 * ngx_regex_malloc: the compile context of PCRE2, which a process makes once,
 * and loses with the pool that was current.
 *
 * ngx_event_process_init: the connections of a process without a master,
 * which does not free them.
 */

const char *
__lsan_default_suppressions(void)
{
    return "leak:^ngx_regex_malloc$\n"
           "leak:^ngx_event_process_init$\n";
}
