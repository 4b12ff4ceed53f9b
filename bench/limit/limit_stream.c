
/*
 * Copyright (C) ngx_stomp_module contributors
 *
 * Destinations, and what is written to their subscribers.
 */


#include "limit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUCKETS        4096
#define MAX_DESTS      65536
#define MAX_BEHIND     (16 << 20)       /* octets that a subscriber may be */
#define KEEP_SIZE      (4 << 20)        /* of a buffer that is empty */

static dest_t         *dests[BUCKETS];
static unsigned        ndests;


void
die(const char *what)
{
    perror(what);
    exit(1);
}


void *
grow(void *old, size_t size)
{
    void  *p = realloc(old, size);

    if (p == NULL) {
        die("realloc");
    }

    return p;
}


unsigned char *
put_number(unsigned char *p, uint64_t n)
{
    unsigned char   digits[20];
    unsigned char  *d = digits + sizeof(digits);

    do {
        *--d = '0' + n % 10;
        n /= 10;
    } while (n);

    return put(p, d, digits + sizeof(digits) - d);
}


unsigned char *
put_ws_head(unsigned char *p, int opcode, size_t len)
{
    int  shift;

    *p++ = 0x80 | opcode;

    if (len < 126) {
        *p++ = len;
        return p;
    }

    *p++ = len < 65536 ? 126 : 127;

    for (shift = len < 65536 ? 8 : 56; shift >= 0; shift -= 8) {
        *p++ = (uint64_t) len >> shift;
    }

    return p;
}


void
list_add(list_t *list, conn_t *c)
{
    if (list->n == list->size) {
        list->size = list->size ? list->size * 2 : 4;
        list->fd = grow(list->fd, list->size * sizeof(int));
    }

    c->index = list->n;
    list->fd[list->n++] = c->fd;
}


/* the last takes its place, so loops that remove go backwards */

static void
list_remove(list_t *list, conn_t *c)
{
    int  fd = list->fd[--list->n];

    list->fd[c->index] = fd;
    conns[fd].index = c->index;
}


void
watch(conn_t *c, int op, unsigned events)
{
    struct epoll_event  ev;

    ev.events = EPOLLIN|EPOLLRDHUP|EPOLLET|events;
    ev.data.fd = c->fd;

    if (epoll_ctl(ep, op, c->fd, &ev) == -1) {
        die("epoll_ctl");
    }
}


void
conn_drop(conn_t *c)
{
    if (c->dest != NULL) {
        list_remove(c->late ? &c->dest->late : &c->dest->in_step, c);
    }

    close(c->fd);
    free(c->carry);
    memset(c, 0, sizeof(conn_t));
}


void
bad(conn_t *c, const char *why)
{
    static unsigned  told;

    if (told++ < 10) {
        fprintf(stderr, "limit: %s\n", why);
    }

    conn_drop(c);
}


dest_t *
dest_find(str_t *name, int create)
{
    size_t          i;
    dest_t         *d, **bucket;
    uint32_t        hash = 2166136261;
    unsigned char  *copy;

    for (i = 0; i < name->len; i++) {
        hash = (hash ^ name->data[i]) * 16777619;
    }

    bucket = &dests[(hash ^ hash >> 16) % BUCKETS];

    for (d = *bucket; d != NULL; d = d->next) {
        if (d->name.len == name->len
            && memcmp(d->name.data, name->data, name->len) == 0)
        {
            return d;
        }
    }

    if (!create || ndests == MAX_DESTS) {
        return NULL;
    }

    ndests++;

    d = grow(NULL, sizeof(dest_t));
    memset(d, 0, sizeof(dest_t));

    copy = grow(NULL, name->len);
    memcpy(copy, name->data, name->len);

    d->name.data = copy;
    d->name.len = name->len;
    d->next = *bucket;
    *bucket = d;

    return d;
}


/* finds out who is the latest, and disconnects who is too late */

static void
dest_late(dest_t *d, size_t len)
{
    conn_t    *c;
    unsigned   i;

    d->low = d->flushed;

    for (i = d->late.n; i-- > 0; /* void */) {
        c = &conns[d->late.fd[i]];

        if (d->end + len - c->pos > MAX_BEHIND) {
            bad(c, "a subscriber is too late");

        } else if (c->pos < d->low) {
            d->low = c->pos;
        }
    }
}


/* room for one more frame at the end of the stream */

static unsigned char *
dest_reserve(dest_t *d, size_t len)
{
    size_t  used;

    if (d->late.n && d->end + len - d->low > MAX_BEHIND) {
        dest_late(d, len);
    }

    if (d->late.n == 0 && d->flushed == d->end) {
        d->base = d->end;

        if (d->size > KEEP_SIZE) {
            free(d->data);
            d->data = NULL;
            d->size = 0;
        }
    }

    used = d->end - d->base;

    if (used + len <= d->size) {
        return d->data + used;
    }

    dest_late(d, len);

    if (d->low > d->base) {
        used = d->end - d->low;
        memmove(d->data, d->data + (d->low - d->base), used);
        d->base = d->low;
    }

    if (used + len > d->size / 2) {
        d->size = 2 * (used + len);
        d->data = grow(d->data, d->size);
    }

    return d->data + used;
}


static void
sub_late(conn_t *c, uint64_t pos)
{
    dest_t  *d = c->dest;

    if (d->late.n == 0 || pos < d->low) {
        d->low = pos;
    }

    list_remove(&d->in_step, c);
    list_add(&d->late, c);

    c->late = 1;
    c->pos = pos;

    watch(c, EPOLL_CTL_MOD, EPOLLOUT);
}


void
dest_flush(dest_t *d)
{
    int             fd;
    size_t          len;
    ssize_t         n;
    uint64_t        start;
    unsigned        i;
    unsigned char  *p;

    start = d->flushed;
    len = d->end - start;

    if (len == 0) {
        return;
    }

    p = d->data + (start - d->base);
    d->flushed = d->end;

    for (i = d->in_step.n; i-- > 0; /* void */) {
        fd = d->in_step.fd[i];
        n = send(fd, p, len, MSG_NOSIGNAL);

        if (n == (ssize_t) len) {
            continue;
        }

        if (n == -1 && errno != EAGAIN) {
            conn_drop(&conns[fd]);

        } else {
            sub_late(&conns[fd], start + (n > 0 ? n : 0));
        }
    }
}


/* never over what is flushed, so that who has all of it is in step */

void
sub_writable(conn_t *c)
{
    ssize_t  n;
    dest_t  *d = c->dest;

    while (c->pos < d->flushed) {
        n = send(c->fd, d->data + (c->pos - d->base), d->flushed - c->pos,
                 MSG_NOSIGNAL);

        if (n == -1) {
            if (errno != EAGAIN) {
                conn_drop(c);
            }

            return;
        }

        c->pos += n;
    }

    list_remove(&d->late, c);
    list_add(&d->in_step, c);
    c->late = 0;

    watch(c, EPOLL_CTL_MOD, 0);
}


/* the stream's new frame; d has subscribers */

static void
dest_append(dest_t *d, str_t *type, str_t *body)
{
    size_t                len;
    unsigned char        *p, *h;
    static unsigned char  head[3 * MAX_HEAD + 256];

    h = put_text(head, "MESSAGE\ndestination:");
    h = put(h, d->name.data, d->name.len);

    if (type->data != NULL) {
        h = put_text(h, "\ncontent-type:");
        h = put(h, type->data, type->len);
    }

    h = put_text(h, "\nsubscription:");
    h = put(h, d->id.data, d->id.len);
    h = put_text(h, "\nmessage-id:");
    h = put(h, epoch, sizeof(epoch) - 1);
    *h++ = '-';
    h = put_number(h, number);
    h = put_text(h, "\ncontent-length:");
    h = put_number(h, body->len);
    h = put_text(h, "\n\n");

    len = h - head + body->len + 1;

    h = dest_reserve(d, 10 + len);
    p = put_ws_head(h, 1, len);
    p = put(p, head, len - body->len - 1);
    p = put(p, body->data, body->len);
    *p++ = '\0';

    d->end += p - h;

    if (!d->dirty) {
        d->dirty = 1;
        d->next_dirty = dirty;
        dirty = d;
    }
}


/* what --coalesce collects in a turn of the loop */

void
flush_dirty(void)
{
    dest_t  *d;

    while ((d = dirty) != NULL) {
        dirty = d->next_dirty;
        d->dirty = 0;
        dest_flush(d);
    }
}


/* returns the number of subscribers */

unsigned
publish(str_t *name, str_t *type, str_t *body)
{
    dest_t  *d;

    number++;
    d = dest_find(name, 0);

    if (d == NULL || d->in_step.n + d->late.n == 0) {
        return 0;
    }

    dest_append(d, type, body);

    return d->in_step.n + d->late.n;
}
