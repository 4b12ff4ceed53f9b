
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_wildcard.h>


typedef enum {
    NGX_STOMP_WORD_PLAIN = 0,
    NGX_STOMP_WORD_ONE,
    NGX_STOMP_WORD_MANY,
    NGX_STOMP_WORD_WRONG
} ngx_stomp_word_e;


static ngx_int_t ngx_stomp_wildcard_find(ngx_stomp_wildcard_topics_t *topics,
    ngx_str_t *name, ngx_stomp_wildcard_t *w);
static ngx_int_t ngx_stomp_wildcard_words(ngx_stomp_wildcard_t *w,
    const char **error);
static ngx_stomp_word_e ngx_stomp_wildcard_word(u_char *p, u_char *end,
    u_char separator);
static u_char *ngx_stomp_wildcard_end(u_char *p, u_char *last,
    u_char separator);


/* the word after one that ends at end, or NULL */

#define ngx_stomp_wildcard_next(end, last)                                    \
    ((end) == (last) ? NULL : (end) + 1)


ngx_int_t
ngx_stomp_wildcard_parse(ngx_stomp_wildcard_topics_t *topics, ngx_str_t *name,
    ngx_stomp_wildcard_t *w, const char **error)
{
    u_char  *last;

    last = name->data + name->len;

    if (ngx_strlchr(name->data, last, '*') == NULL
        && (topics->dotted->nelts == 0
            || ngx_strlchr(name->data, last, '#') == NULL))
    {
        return NGX_DECLINED;
    }

    if (ngx_stomp_wildcard_find(topics, name, w) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_stomp_wildcard_words(w, error);
}


/* the topic with the longest prefix is the name's */

static ngx_int_t
ngx_stomp_wildcard_find(ngx_stomp_wildcard_topics_t *topics, ngx_str_t *name,
    ngx_stomp_wildcard_t *w)
{
    ngx_str_t   *prefix;
    ngx_uint_t   i;

    w->text = *name;
    w->base = 0;
    w->separator = '/';

    prefix = topics->prefixes->elts;

    for (i = 0; i < topics->prefixes->nelts; i++) {

        if (prefix[i].len > w->base
            && ngx_stomp_wildcard_topic(topics, i, name))
        {
            w->base = (uint32_t) prefix[i].len;
            w->separator = ngx_stomp_wildcard_separator(topics, i);
        }
    }

    return w->base ? NGX_OK : NGX_DECLINED;
}


ngx_uint_t
ngx_stomp_wildcard_topic(ngx_stomp_wildcard_topics_t *topics, ngx_uint_t i,
    ngx_str_t *name)
{
    ngx_str_t   *prefix;
    ngx_uint_t   n;

    prefix = topics->prefixes->elts;

    if (name->len <= prefix[i].len
        || ngx_memcmp(name->data, prefix[i].data, prefix[i].len) != 0)
    {
        return 0;
    }

    for (n = 0; n < i; n++) {
        if (prefix[n].len == prefix[i].len
            && ngx_memcmp(prefix[n].data, prefix[i].data, prefix[i].len) == 0)
        {
            return 0;
        }
    }

    return 1;
}


const char *
ngx_stomp_wildcard_name(ngx_stomp_wildcard_topics_t *topics, ngx_str_t *name)
{
    u_char      *p, *last;
    ngx_str_t   *dotted;
    ngx_uint_t   i, n;

    dotted = topics->dotted->elts;
    last = name->data + name->len;

    for (i = 0; i < topics->dotted->nelts; i++) {

        if (name->len <= dotted[i].len
            || ngx_memcmp(name->data, dotted[i].data, dotted[i].len) != 0)
        {
            continue;
        }

        n = 1;

        for (p = name->data + dotted[i].len; p < last; p++) {
            n += (*p == '.');
        }

        if (n > NGX_STOMP_WILDCARD_WORDS) {
            return "the destination has more than 64 words between dots";
        }
    }

    return NULL;
}


u_char
ngx_stomp_wildcard_separator(ngx_stomp_wildcard_topics_t *topics, ngx_uint_t i)
{
    ngx_str_t   *prefix, *dotted;
    ngx_uint_t   n;

    prefix = topics->prefixes->elts;
    dotted = topics->dotted->elts;

    for (n = 0; n < topics->dotted->nelts; n++) {
        if (dotted[n].len == prefix[i].len
            && ngx_memcmp(dotted[n].data, prefix[i].data, prefix[i].len) == 0)
        {
            return '.';
        }
    }

    return '/';
}


static ngx_int_t
ngx_stomp_wildcard_words(ngx_stomp_wildcard_t *w, const char **error)
{
    u_char            *p, *end, *last;
    ngx_uint_t         n, wild;
    ngx_stomp_word_e   word;

    wild = 0;
    n = 0;
    w->literal = w->base;
    w->depth = 0;

    last = w->text.data + w->text.len;

    for (p = w->text.data + w->base; p != NULL;
         p = ngx_stomp_wildcard_next(end, last))
    {
        end = ngx_stomp_wildcard_end(p, last, w->separator);
        word = ngx_stomp_wildcard_word(p, end, w->separator);

        n++;

        if (word == NGX_STOMP_WORD_WRONG) {
            *error = "an asterisk must be a whole segment between slashes";
            return NGX_ERROR;
        }

        if (word == NGX_STOMP_WORD_MANY && w->separator == '/'
            && end != last)
        {
            *error = "two asterisks must be the last segment";
            return NGX_ERROR;
        }

        if (word != NGX_STOMP_WORD_PLAIN) {
            wild = 1;

        } else if (!wild) {
            w->literal = (uint32_t) (end - w->text.data);
            w->depth++;
        }
    }

    if (!wild) {
        return NGX_DECLINED;
    }

    if (n > NGX_STOMP_WILDCARD_WORDS) {
        *error = "the pattern has more than 64 segments";
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* between dots, as with others, an asterisk in a word is what it is */

static ngx_stomp_word_e
ngx_stomp_wildcard_word(u_char *p, u_char *end, u_char separator)
{
    if (end - p == 1) {

        if (*p == '*') {
            return NGX_STOMP_WORD_ONE;
        }

        return (*p == '#' && separator == '.') ? NGX_STOMP_WORD_MANY
                                               : NGX_STOMP_WORD_PLAIN;
    }

    if (separator == '.' || ngx_strlchr(p, end, '*') == NULL) {
        return NGX_STOMP_WORD_PLAIN;
    }

    return (end - p == 2 && p[0] == '*' && p[1] == '*') ? NGX_STOMP_WORD_MANY
                                                        : NGX_STOMP_WORD_WRONG;
}


static u_char *
ngx_stomp_wildcard_end(u_char *p, u_char *last, u_char separator)
{
    u_char  *end;

    end = ngx_strlchr(p, last, separator);

    return (end != NULL) ? end : last;
}


/*
 * What fails is tried again with one word more for the last "any number", and
 * for it only: those before it need never take more.
 */

ngx_uint_t
ngx_stomp_wildcard_match(ngx_stomp_wildcard_t *w, ngx_str_t *name,
    ngx_uint_t *steps)
{
    u_char            *p, *p_end, *p_last, *n, *n_end, *n_last;
    u_char            *after, *mark;
    ngx_uint_t         many;
    ngx_stomp_word_e   word;

    if (name->len <= w->base
        || name->len < w->literal
        || ngx_memcmp(name->data, w->text.data, w->literal) != 0)
    {
        return 0;
    }

    p = w->text.data + w->base;
    p_last = w->text.data + w->text.len;
    n = name->data + w->base;
    n_last = name->data + name->len;

    many = 0;
    after = NULL;
    mark = NULL;

    while (p != NULL || n != NULL) {

        (*steps)++;

        if (p != NULL) {

            p_end = ngx_stomp_wildcard_end(p, p_last, w->separator);
            word = ngx_stomp_wildcard_word(p, p_end, w->separator);

            if (word == NGX_STOMP_WORD_MANY) {

                after = ngx_stomp_wildcard_next(p_end, p_last);

                if (after == NULL) {
                    return 1;
                }

                many = 1;
                mark = n;
                p = after;
                continue;
            }

            if (n != NULL) {

                n_end = ngx_stomp_wildcard_end(n, n_last, w->separator);

                if ((word == NGX_STOMP_WORD_ONE && n_end != n)
                    || (word == NGX_STOMP_WORD_PLAIN
                        && p_end - p == n_end - n
                        && ngx_memcmp(p, n, p_end - p) == 0))
                {
                    p = ngx_stomp_wildcard_next(p_end, p_last);
                    n = ngx_stomp_wildcard_next(n_end, n_last);
                    continue;
                }
            }
        }

        if (!many || mark == NULL) {
            return 0;
        }

        n_end = ngx_stomp_wildcard_end(mark, n_last, w->separator);

        mark = ngx_stomp_wildcard_next(n_end, n_last);
        n = mark;
        p = after;
    }

    return 1;
}
