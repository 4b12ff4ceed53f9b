
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_slot.h>

#if (NGX_STOMP_HAVE_EVENTFD)
#include <sys/eventfd.h>
#endif

#if (NGX_STOMP_HAVE_MEMFD)
#include <sys/mman.h>
#endif


typedef struct {
    uint32_t             generation;
    uint32_t             pid;
} ngx_stomp_process_sh_t;


typedef struct {
    ngx_fd_t             read;
    ngx_fd_t             write;         /* the same for an eventfd */
} ngx_stomp_wake_t;


static ngx_fd_t ngx_stomp_slots_file(ngx_log_t *log);
static ngx_int_t ngx_stomp_slots_wake_init(ngx_stomp_wake_t *wake,
    ngx_log_t *log);
static ngx_int_t ngx_stomp_slot_lock(ngx_uint_t slot, int cmd, short *type);
static ngx_uint_t ngx_stomp_slot_held(ngx_uint_t slot);


static struct {
    ngx_shm_t                shm;
    ngx_stomp_process_sh_t  *table;
    ngx_uint_t               n;
    ngx_uint_t               own;
    ngx_fd_t                 fd;
    ngx_stomp_wake_t         wakes[NGX_STOMP_SLOTS_MAX];
} ngx_stomp_slots = { .own = NGX_STOMP_SLOT_NONE, .fd = NGX_INVALID_FILE };


ngx_int_t
ngx_stomp_slots_init(ngx_uint_t n, ngx_log_t *log)
{
    ngx_uint_t  i;

    if (ngx_stomp_slots.table != NULL) {
        return NGX_OK;
    }

    ngx_stomp_slots.shm.size = n * sizeof(ngx_stomp_process_sh_t);
    ngx_str_set(&ngx_stomp_slots.shm.name, "stomp slots");
    ngx_stomp_slots.shm.log = log;

    if (ngx_shm_alloc(&ngx_stomp_slots.shm) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_stomp_slots.table = (void *) ngx_stomp_slots.shm.addr;

    ngx_stomp_slots.fd = ngx_stomp_slots_file(log);
    if (ngx_stomp_slots.fd == NGX_INVALID_FILE) {
        goto failed;
    }

    for (i = 0; i < n; i++) {
        if (ngx_stomp_slots_wake_init(&ngx_stomp_slots.wakes[i], log)
            != NGX_OK)
        {
            goto failed;
        }

        ngx_stomp_slots.n = i + 1;
    }

    return NGX_OK;

failed:

    ngx_stomp_slots_cleanup(log);

    return NGX_ERROR;
}


static ngx_fd_t
ngx_stomp_slots_file(ngx_log_t *log)
{
    char      name[sizeof("/tmp/stomp.XXXXXX")];
    ngx_fd_t  fd;

#if (NGX_STOMP_HAVE_MEMFD)

    fd = memfd_create("stomp slots", MFD_CLOEXEC);

    if (fd != NGX_INVALID_FILE) {
        return fd;
    }

    ngx_log_error(NGX_LOG_NOTICE, log, ngx_errno, "memfd_create() failed");

#endif

    ngx_memcpy(name, "/tmp/stomp.XXXXXX", sizeof(name));

    fd = mkstemp(name);

    if (fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "mkstemp(\"%s\") failed", name);
        return NGX_INVALID_FILE;
    }

    (void) ngx_delete_file(name);

    if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "fcntl(FD_CLOEXEC) failed");
        (void) ngx_close_file(fd);
        return NGX_INVALID_FILE;
    }

    return fd;
}


static ngx_int_t
ngx_stomp_slots_wake_init(ngx_stomp_wake_t *wake, ngx_log_t *log)
{
#if !(NGX_STOMP_HAVE_EVENTFD)
    ngx_fd_t    fds[2];
    ngx_uint_t  i;
#endif

#if (NGX_STOMP_HAVE_EVENTFD)

    wake->read = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);
    wake->write = wake->read;

    if (wake->read == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno, "eventfd() failed");
        return NGX_ERROR;
    }

#else

    if (pipe(fds) == -1) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno, "pipe() failed");
        return NGX_ERROR;
    }

    wake->read = fds[0];
    wake->write = fds[1];

    for (i = 0; i < 2; i++) {
        if (ngx_nonblocking(fds[i]) == -1
            || fcntl(fds[i], F_SETFD, FD_CLOEXEC) == -1)
        {
            ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                          "could not prepare a pipe");
            (void) ngx_close_file(fds[0]);
            (void) ngx_close_file(fds[1]);
            return NGX_ERROR;
        }
    }

#endif

    return NGX_OK;
}


void
ngx_stomp_slots_cleanup(ngx_log_t *log)
{
    ngx_uint_t         i;
    ngx_stomp_wake_t  *wake;

    for (i = 0; i < ngx_stomp_slots.n; i++) {
        wake = &ngx_stomp_slots.wakes[i];

        if (wake->write != wake->read) {
            (void) ngx_close_file(wake->write);
        }

        (void) ngx_close_file(wake->read);
    }

    if (ngx_stomp_slots.fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(ngx_stomp_slots.fd);
    }

    if (ngx_stomp_slots.table != NULL) {
        ngx_stomp_slots.shm.log = log;
        ngx_shm_free(&ngx_stomp_slots.shm);
    }

    ngx_stomp_slots.table = NULL;
    ngx_stomp_slots.fd = NGX_INVALID_FILE;
    ngx_stomp_slots.n = 0;
    ngx_stomp_slots.own = NGX_STOMP_SLOT_NONE;
}


ngx_uint_t
ngx_stomp_slots_count(void)
{
    return ngx_stomp_slots.n;
}


ngx_int_t
ngx_stomp_slot_claim(ngx_log_t *log)
{
    ngx_int_t                rc;
    ngx_uint_t               i;
    ngx_stomp_process_sh_t  *process;

    if (ngx_stomp_slots.own != NGX_STOMP_SLOT_NONE) {
        return NGX_OK;
    }

    for (i = 0; i < ngx_stomp_slots.n; i++) {

        rc = ngx_stomp_slot_lock(i, F_SETLK, NULL);

        if (rc == NGX_BUSY) {
            continue;
        }

        if (rc == NGX_ERROR) {
            ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                          "fcntl(F_SETLK) failed for slot %ui", i);
            return NGX_ERROR;
        }

        process = &ngx_stomp_slots.table[i];

        process->pid = (uint32_t) ngx_pid;
        process->generation++;

        ngx_memory_barrier();

        ngx_stomp_slots.own = i;
        ngx_stomp_slot_wake_clear();

        return NGX_OK;
    }

    return NGX_BUSY;
}


/* F_SETLK takes the lock, F_GETLK puts what it found into *type */

static ngx_int_t
ngx_stomp_slot_lock(ngx_uint_t slot, int cmd, short *type)
{
    struct flock  fl;

    ngx_memzero(&fl, sizeof(struct flock));
    fl.l_type = F_WRLCK;
    fl.l_whence = SEEK_SET;
    fl.l_start = (off_t) slot;
    fl.l_len = 1;

    if (fcntl(ngx_stomp_slots.fd, cmd, &fl) == -1) {
        return (ngx_errno == EAGAIN || ngx_errno == EACCES) ? NGX_BUSY
                                                            : NGX_ERROR;
    }

    if (type != NULL) {
        *type = fl.l_type;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_stomp_slot_own(void)
{
    return ngx_stomp_slots.own;
}


uint32_t
ngx_stomp_slot_generation(ngx_uint_t slot)
{
    return ngx_stomp_slots.table[slot].generation;
}


ngx_int_t
ngx_stomp_slot_alive(ngx_uint_t slot, uint32_t generation)
{
    if (slot >= ngx_stomp_slots.n) {
        return NGX_DECLINED;
    }

    if (ngx_stomp_slots.table[slot].generation != generation) {
        return NGX_DECLINED;
    }

    return ngx_stomp_slot_held(slot) ? NGX_OK : NGX_DECLINED;
}


/* 1 if the slot has an owner, or if the kernel doesn't tell */

static ngx_uint_t
ngx_stomp_slot_held(ngx_uint_t slot)
{
    short  type;

    /* a process does not see its own locks */

    if (slot == ngx_stomp_slots.own) {
        return 1;
    }

    if (ngx_stomp_slot_lock(slot, F_GETLK, &type) != NGX_OK) {
        return 1;
    }

    return (type != F_UNLCK);
}


ngx_int_t
ngx_stomp_slot_pid_alive(ngx_pid_t pid)
{
    ngx_uint_t  i, found;

    found = 0;

    /* not by generation: the process may be raising it in this moment */

    for (i = 0; i < ngx_stomp_slots.n; i++) {

        if (ngx_stomp_slots.table[i].pid == (uint32_t) pid) {

            if (ngx_stomp_slot_held(i)) {
                return NGX_OK;
            }

            found = 1;
        }
    }

    if (found) {
        return NGX_DECLINED;
    }

    /* the master, or a worker without a slot */

    if (kill(pid, 0) == -1 && ngx_errno == NGX_ESRCH) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


void
ngx_stomp_slot_wake(ngx_uint_t slot)
{
    uint64_t  one;

    one = 1;

    /* EAGAIN: it has more wake-ups than it will read */

#if (NGX_STOMP_HAVE_EVENTFD)
    (void) !write(ngx_stomp_slots.wakes[slot].write, &one, sizeof(uint64_t));
#else
    (void) !write(ngx_stomp_slots.wakes[slot].write, &one, 1);
#endif
}


ngx_fd_t
ngx_stomp_slot_wake_fd(ngx_uint_t slot)
{
    return ngx_stomp_slots.wakes[slot].read;
}


void
ngx_stomp_slot_wake_clear(void)
{
    ssize_t   n;
    uint64_t  buf[8];

    do {
        n = read(ngx_stomp_slots.wakes[ngx_stomp_slots.own].read, buf,
                 sizeof(buf));

        /* an eventfd is empty after one read */

    } while (n == (ssize_t) sizeof(buf));
}
