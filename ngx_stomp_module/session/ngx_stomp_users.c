
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_crypt.h>
#include <ngx_event.h>
#include <ngx_stomp_session.h>
#include <ngx_stomp_user.h>
#include <ngx_stomp_users.h>


#define NGX_STOMP_USERS_FILE_MAX      (16 * 1024 * 1024)

/* crypt() takes no more, and what it takes grows with it */
#define NGX_STOMP_USERS_PASSCODE_MAX  511

/* microseconds of each second that a worker has for hashes */
#define NGX_STOMP_USERS_TIME          200000


static ngx_int_t ngx_stomp_users_read(ngx_stomp_users_t *users,
    ngx_log_t *log, ngx_stomp_users_t *file, ngx_stomp_users_error_t *error);
static ngx_int_t ngx_stomp_users_parse(ngx_stomp_users_t *file,
    ngx_log_t *log, ngx_stomp_users_error_t *error);
static u_char *ngx_stomp_users_line(ngx_stomp_users_entry_t *entry, u_char *p,
    u_char *end, ngx_stomp_users_error_t *error);
static const char *ngx_stomp_users_hash_check(u_char *hash);
static int ngx_libc_cdecl ngx_stomp_users_compare(const void *one,
    const void *two);
static ngx_stomp_users_entry_t *ngx_stomp_users_lookup(
    ngx_stomp_users_t *users, ngx_str_t *name);
static ngx_int_t ngx_stomp_users_hash(u_char *hash, ngx_str_t *passcode,
    ngx_log_t *log);
static ngx_uint_t ngx_stomp_users_differ(u_char *hash, u_char *other);


/* of all brokers of the worker */

static struct {
    uint32_t    now;
    ngx_uint_t  spent;           /* microseconds */
} ngx_stomp_users_time;


ngx_int_t
ngx_stomp_users_load(ngx_stomp_users_t *users, ngx_log_t *log,
    ngx_stomp_users_error_t *error)
{
    ngx_stomp_users_t  file;

    ngx_memzero(error, sizeof(ngx_stomp_users_error_t));
    ngx_memzero(&file, sizeof(ngx_stomp_users_t));

    if (ngx_stomp_users_read(users, log, &file, error) != NGX_OK
        || ngx_stomp_users_parse(&file, log, error) != NGX_OK)
    {
        ngx_stomp_users_cleanup(&file);

        /* not to be read again before it changes */

        users->mtime = file.mtime;
        users->size = file.size;
        users->uniq = file.uniq;
        users->fresh = file.fresh;

        return NGX_ERROR;
    }

    ngx_stomp_users_cleanup(users);

    file.file = users->file;
    *users = file;

    return NGX_OK;
}


void
ngx_stomp_users_cleanup(void *data)
{
    ngx_stomp_users_t  *users = data;

    if (users->entries != NULL) {
        ngx_free(users->entries);
        users->entries = NULL;
    }

    if (users->text != NULL) {
        ngx_explicit_memzero(users->text, users->len);
        ngx_free(users->text);
        users->text = NULL;
    }

    users->n = 0;
}


/* fills file with the text, and with what shows whether it has changed */

static ngx_int_t
ngx_stomp_users_read(ngx_stomp_users_t *users, ngx_log_t *log,
    ngx_stomp_users_t *file, ngx_stomp_users_error_t *error)
{
    size_t           size;
    ssize_t          n;
    ngx_fd_t         fd;
    ngx_int_t        rc;
    ngx_file_info_t  fi;

    /* opening a pipe would wait for its writer */

    fd = ngx_open_file(users->file.data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        error->err = ngx_errno;
        error->text = "it can't be opened";
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        error->err = ngx_errno;
        error->text = "it can't be looked at";
        goto done;
    }

    file->mtime = ngx_file_mtime(&fi);
    file->uniq = ngx_file_uniq(&fi);
    file->size = ngx_file_size(&fi);
    file->fresh = (file->mtime <= ngx_time() + 1
                   && ngx_time() - file->mtime <= 1);

    if (!ngx_is_file(&fi)) {
        error->text = "it is not a file";
        goto done;
    }

    if (file->size > NGX_STOMP_USERS_FILE_MAX) {
        error->text = "it is larger than 16m";
        goto done;
    }

    file->text = ngx_alloc((size_t) file->size + 1, log);
    if (file->text == NULL) {
        error->text = "there is no memory for it";
        goto done;
    }

    for (size = 0; size < (size_t) file->size; size += n) {

        n = ngx_read_fd(fd, file->text + size, (size_t) file->size - size);

        if (n <= 0) {
            error->err = (n < 0) ? ngx_errno : 0;
            error->text = "it can't be read to its end";
            goto done;
        }
    }

    file->text[size] = LF;
    file->len = size;
    rc = NGX_OK;

done:

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      ngx_close_file_n " \"%V\" failed", &users->file);
    }

    return rc;
}


/* NULs are put behind the hashes, the names are referred to */

static ngx_int_t
ngx_stomp_users_parse(ngx_stomp_users_t *file, ngx_log_t *log,
    ngx_stomp_users_error_t *error)
{
    u_char      *p, *end, *last;
    ngx_uint_t   i, n;

    last = file->text + file->len;
    n = 1;

    for (p = file->text; p < last; p++) {
        n += (*p == LF);
    }

    file->entries = ngx_alloc(n * sizeof(ngx_stomp_users_entry_t), log);
    if (file->entries == NULL) {
        error->text = "there is no memory for it";
        return NGX_ERROR;
    }

    for (p = file->text; p < last; p = end + 1) {

        end = ngx_strlchr(p, last + 1, LF);
        error->line++;

        if (*p == '#' || p == end || (*p == CR && p + 1 == end)) {
            continue;
        }

        file->entries[file->n].line = error->line;

        if (ngx_stomp_users_line(&file->entries[file->n], p, end, error)
            == NULL)
        {
            return NGX_ERROR;
        }

        file->n++;
    }

    ngx_qsort(file->entries, (size_t) file->n,
              sizeof(ngx_stomp_users_entry_t), ngx_stomp_users_compare);

    for (i = 1; i < file->n; i++) {
        if (ngx_stomp_users_compare(&file->entries[i - 1], &file->entries[i])
            == 0)
        {
            error->line = ngx_max(file->entries[i - 1].line,
                                  file->entries[i].line);
            error->text = "this user was named before, remove one of the "
                          "two lines";
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* returns the hash, or NULL if the line is malformed */

static u_char *
ngx_stomp_users_line(ngx_stomp_users_entry_t *entry, u_char *p, u_char *end,
    ngx_stomp_users_error_t *error)
{
    u_char  *colon, *last;

    colon = ngx_strlchr(p, end, ':');

    if (colon == NULL) {
        error->text = "it has no \":\", write \"name:hash\", as htpasswd "
                      "does";
        return NULL;
    }

    entry->name.data = p;
    entry->name.len = colon - p;

    if (ngx_stomp_user_check(&entry->name) != NULL) {
        error->text = "the name must have 1 to 255 octets of UTF-8, without "
                      "control characters";
        return NULL;
    }

    entry->hash = colon + 1;

    for (last = entry->hash; last < end; last++) {
        if (*last == ':' || *last == CR) {
            break;
        }
    }

    *last = '\0';

    error->text = ngx_stomp_users_hash_check(entry->hash);

    return (error->text == NULL) ? entry->hash : NULL;
}


static const char *
ngx_stomp_users_hash_check(u_char *hash)
{
    if (*hash == '\0') {
        return "there is no hash behind the name, write \"name:hash\", as "
               "htpasswd does";
    }

    if (*hash == '{'
        && ngx_strncmp(hash, "{PLAIN}", sizeof("{PLAIN}") - 1) != 0
        && ngx_strncmp(hash, "{SHA}", sizeof("{SHA}") - 1) != 0
        && ngx_strncmp(hash, "{SSHA}", sizeof("{SSHA}") - 1) != 0)
    {
        return "the kind of its hash is unknown, there are {PLAIN}, {SHA}, "
               "{SSHA}, $apr1$ and those of crypt()";
    }

    return NULL;
}


static int ngx_libc_cdecl
ngx_stomp_users_compare(const void *one, const void *two)
{
    const ngx_stomp_users_entry_t  *a, *b;

    a = one;
    b = two;

    return (int) ngx_memn2cmp(a->name.data, b->name.data, a->name.len,
                              b->name.len);
}


void
ngx_stomp_users_refresh(ngx_stomp_users_t *users, ngx_log_t *log)
{
    ngx_uint_t               changed;
    ngx_file_info_t          fi;
    ngx_stomp_users_error_t  error;

    ngx_memzero(&error, sizeof(ngx_stomp_users_error_t));

    if (ngx_file_info(users->file.data, &fi) == NGX_FILE_ERROR) {
        error.err = ngx_errno;
        error.text = "it can't be looked at";
        users->mtime = 0;
        goto failed;
    }

    changed = (users->mtime != ngx_file_mtime(&fi)
               || users->size != ngx_file_size(&fi)
               || users->uniq != ngx_file_uniq(&fi));

    if (!changed && !users->fresh) {
        return;
    }

    if (ngx_stomp_users_load(users, log, &error) != NGX_OK) {
        goto failed;
    }

    if (changed) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "users file \"%V\" has changed, it has %ui users",
                      &users->file, users->n);
    }

    users->failed = 0;

    return;

failed:

    if (users->failed) {
        return;
    }

    users->failed = 1;

    ngx_log_error(NGX_LOG_ERR, log, error.err,
                  "users file \"%V\", line %ui: %s; the users are those from "
                  "before", &users->file, error.line, error.text);
}


ngx_int_t
ngx_stomp_users_check(ngx_stomp_users_t *users, ngx_str_t *login,
    ngx_str_t *passcode, uint32_t now, ngx_log_t *log)
{
    ngx_int_t                 rc;
    struct timeval            start, end;
    ngx_stomp_users_entry_t  *entry, *like;

    if (ngx_stomp_users_time.now != now) {
        ngx_stomp_users_time.now = now;
        ngx_stomp_users_time.spent = 0;
    }

    if (ngx_stomp_users_time.spent >= NGX_STOMP_USERS_TIME) {
        return NGX_AGAIN;
    }

    if (users->n == 0) {
        return NGX_DECLINED;
    }

    /* who doesn't exist costs the same as somebody who does */

    entry = ngx_stomp_users_lookup(users, login);

    like = (entry != NULL)
           ? entry
           : &users->entries[ngx_crc32_short(login->data, login->len)
                             % users->n];

    ngx_gettimeofday(&start);
    rc = ngx_stomp_users_hash(like->hash, passcode, log);
    ngx_gettimeofday(&end);

    ngx_stomp_users_time.spent += ngx_max(0,
                                      (end.tv_sec - start.tv_sec) * 1000000
                                      + (end.tv_usec - start.tv_usec));

    if (rc == NGX_ERROR && entry != NULL) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "users file \"%V\", line %ui: the hash is of a kind "
                      "that crypt() doesn't know here",
                      &users->file, entry->line);
    }

    return (entry != NULL && rc == NGX_OK) ? NGX_OK : NGX_DECLINED;
}


static ngx_stomp_users_entry_t *
ngx_stomp_users_lookup(ngx_stomp_users_t *users, ngx_str_t *name)
{
    ngx_int_t                rc;
    ngx_uint_t               low, high, i;
    ngx_stomp_users_entry_t  wanted;

    wanted.name = *name;
    low = 0;
    high = users->n;

    while (low < high) {
        i = low + (high - low) / 2;

        rc = ngx_stomp_users_compare(&wanted, &users->entries[i]);

        if (rc == 0) {
            return &users->entries[i];
        }

        if (rc < 0) {
            high = i;

        } else {
            low = i + 1;
        }
    }

    return NULL;
}


/* NGX_OK: it fits;  NGX_DECLINED;  NGX_ERROR: crypt() doesn't know the hash */

static ngx_int_t
ngx_stomp_users_hash(u_char *hash, ngx_str_t *passcode, ngx_log_t *log)
{
    u_char       key[NGX_STOMP_USERS_PASSCODE_MAX + 1], *encrypted;
    size_t       len;
    ngx_int_t    rc;
    ngx_pool_t  *pool;

    pool = ngx_create_pool(1024, log);
    if (pool == NULL) {
        return NGX_DECLINED;
    }

    len = ngx_min(passcode->len, NGX_STOMP_USERS_PASSCODE_MAX);

    ngx_memcpy(key, passcode->data, len);
    key[len] = '\0';

    rc = ngx_crypt(pool, key, hash, &encrypted);

    if (rc == NGX_OK) {
        rc = (ngx_stomp_users_differ(hash, encrypted)
              || len != passcode->len || ngx_strlen(key) != len)
             ? NGX_DECLINED : NGX_OK;

        ngx_explicit_memzero(encrypted, ngx_strlen(encrypted));

    } else {
        rc = NGX_ERROR;
    }

    ngx_explicit_memzero(key, sizeof(key));
    ngx_destroy_pool(pool);

    return rc;
}


/* in a time that doesn't show where the first difference is */

static ngx_uint_t
ngx_stomp_users_differ(u_char *hash, u_char *other)
{
    size_t      i, len, other_len;
    ngx_uint_t  diff;

    len = ngx_strlen(hash);
    other_len = ngx_strlen(other);

    diff = (len != other_len);

    for (i = 0; i < len; i++) {
        diff |= hash[i] ^ other[ngx_min(i, other_len)];
    }

    return diff;
}
