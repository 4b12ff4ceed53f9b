
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_WILDCARD_H_INCLUDED_
#define _NGX_STOMP_WILDCARD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Patterns that are subscribed to.  What follows the prefix of a topic is
 * split into words, at "/" or, where the topic is said to have that separator,
 * at ".":
 *
 *   "/":  "*" is any one word, "**", as the last, any number, also none;
 *   ".":  "*" is any one word, "#", anywhere, any number, also none.
 *
 * All of this is the process's own: no lock is needed.
 */


/* words of a pattern, and between dots of a name, behind the topic's prefix */
#define NGX_STOMP_WILDCARD_WORDS  64


/* the topics of a broker, as its configuration names them */

typedef struct {
    ngx_array_t   *prefixes;     /* of ngx_str_t */
    ngx_array_t   *dotted;       /* of ngx_str_t, those of them split at "." */
    uint32_t       id;           /* the same for the same topics only */
} ngx_stomp_wildcard_topics_t;


typedef struct {
    ngx_str_t      text;
    uint32_t       base;         /* octets of the topic's prefix */
    uint32_t       literal;      /* octets before the first wildcard */
    uint32_t       depth;        /* words in them */
    u_char         separator;
} ngx_stomp_wildcard_t;


/*
 * Reads a name, which w then refers to.  NGX_OK: it is a pattern;
 * NGX_DECLINED: it is a plain name;  NGX_ERROR: it is neither, *error is a
 * sentence for the client.
 */
ngx_int_t ngx_stomp_wildcard_parse(ngx_stomp_wildcard_topics_t *topics,
    ngx_str_t *name, ngx_stomp_wildcard_t *w, const char **error);

/*
 * Returns NULL if a plain name can be published to, or a sentence for the
 * client: the longer a name, the longer patterns between dots are compared.
 */
const char *ngx_stomp_wildcard_name(ngx_stomp_wildcard_topics_t *topics,
    ngx_str_t *name);

/*
 * Returns 1 if the name matches, else 0.  Adds the words that were compared
 * to *steps: at most the product of the numbers of words.
 */
ngx_uint_t ngx_stomp_wildcard_match(ngx_stomp_wildcard_t *w, ngx_str_t *name,
    ngx_uint_t *steps);

/*
 * Returns 1 if the name begins with the prefix of topic i and no topic before
 * it has the same prefix, else 0.
 */
ngx_uint_t ngx_stomp_wildcard_topic(ngx_stomp_wildcard_topics_t *topics,
    ngx_uint_t i, ngx_str_t *name);

/* Returns the separator of topic i. */
u_char ngx_stomp_wildcard_separator(ngx_stomp_wildcard_topics_t *topics,
    ngx_uint_t i);


#endif /* _NGX_STOMP_WILDCARD_H_INCLUDED_ */
