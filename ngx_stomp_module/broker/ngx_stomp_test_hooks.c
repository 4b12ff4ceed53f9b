
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_test_hooks.h>

#if (NGX_STOMP_TEST_HOOKS)

#include <sys/mman.h>


static void ngx_stomp_test_map(void) __attribute__((constructor));
static void ngx_stomp_test_store_hook(void);
static void ngx_stomp_test_point_hook(const char *name);
static ngx_uint_t ngx_stomp_test_alloc_hook(void);
static void ngx_stomp_test_count(void);


void (*ngx_stomp_store_hook)(void);
void (*ngx_stomp_point_hook)(const char *name);
ngx_uint_t (*ngx_stomp_alloc_hook)(void);

static ngx_stomp_test_control_t  *ngx_stomp_test_control;


/* by the master, when it loads the module: its workers inherit the mapping */

static void
ngx_stomp_test_map(void)
{
    int          fd;
    void        *p;
    const char  *name;

    name = getenv("STOMP_TEST_CONTROL");

    if (name == NULL) {
        return;
    }

    fd = open(name, O_RDWR|O_CLOEXEC);

    if (fd == -1) {
        return;
    }

    p = mmap(NULL, sizeof(ngx_stomp_test_control_t), PROT_READ|PROT_WRITE,
             MAP_SHARED, fd, 0);

    (void) close(fd);

    if (p == MAP_FAILED) {
        return;
    }

    ngx_stomp_test_control = p;
    ngx_stomp_store_hook = ngx_stomp_test_store_hook;
    ngx_stomp_point_hook = ngx_stomp_test_point_hook;
    ngx_stomp_alloc_hook = ngx_stomp_test_alloc_hook;
}


static void
ngx_stomp_test_store_hook(void)
{
    if (ngx_stomp_test_control->left
        && ngx_stomp_test_control->point[0] == '\0')
    {
        ngx_stomp_test_count();
    }
}


static void
ngx_stomp_test_point_hook(const char *name)
{
    if (ngx_stomp_test_control->left
        && ngx_strcmp(ngx_stomp_test_control->point, name) == 0)
    {
        ngx_stomp_test_count();
    }
}


/* the lock is held: nobody else counts */

static ngx_uint_t
ngx_stomp_test_alloc_hook(void)
{
    ngx_stomp_test_control_t  *control;

    control = ngx_stomp_test_control;

    if (control->left == 0
        || (control->pid != 0 && control->pid != (ngx_atomic_uint_t) ngx_pid)
        || ngx_strcmp(control->point, "alloc") != 0)
    {
        return 0;
    }

    if (control->left > 1) {
        control->left--;
        return 0;
    }

    control->hit = (ngx_atomic_uint_t) ngx_pid;

    return 1;
}


static void
ngx_stomp_test_count(void)
{
    ngx_atomic_uint_t          left;
    ngx_stomp_test_control_t  *control;

    control = ngx_stomp_test_control;

    if (control->pid != 0 && control->pid != (ngx_atomic_uint_t) ngx_pid) {
        return;
    }

    do {
        left = control->left;

        if (left == 0) {
            return;
        }

    } while (!ngx_atomic_cmp_set(&control->left, left, left - 1));

    if (left == 1) {
        control->hit = (ngx_atomic_uint_t) ngx_pid;

        (void) kill(ngx_pid, (int) control->signal);
    }
}

#endif
