
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <model.h>
#include <reference.h>
#include <ngx_stomp_fanout.h>
#include <ngx_stomp_pattern.h>
#include <stdio.h>


ngx_int_t __wrap_ngx_stomp_broker_publish(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p, ngx_uint_t n);
ngx_int_t __real_ngx_stomp_broker_publish(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p, ngx_uint_t n);
ngx_int_t __wrap_ngx_stomp_fanout_subscribe(ngx_stomp_session_t *s,
    ngx_str_t *name, ngx_str_t *id, ngx_stomp_ack_e mode, uint32_t prefetch,
    ngx_stomp_wanted_t *wanted);
ngx_int_t __real_ngx_stomp_fanout_subscribe(ngx_stomp_session_t *s,
    ngx_str_t *name, ngx_str_t *id, ngx_stomp_ack_e mode, uint32_t prefetch,
    ngx_stomp_wanted_t *wanted);
void __wrap_ngx_stomp_fanout_unsubscribe(ngx_stomp_session_t *s,
    ngx_stomp_sub_t *sub);
void __real_ngx_stomp_fanout_unsubscribe(ngx_stomp_session_t *s,
    ngx_stomp_sub_t *sub);


model_t  model;


static void
model_copy(ngx_str_t *dst, ngx_str_t *src)
{
    dst->len = src->len;
    dst->data = malloc(src->len + 1);
    fuzz_check(dst->data != NULL);

    if (src->len) {
        memcpy(dst->data, src->data, src->len);
    }
}


static void
model_free(model_publication_t *p)
{
    free(p->destination.data);
    free(p->headers.data);
    free(p->body.data);
}


void
model_reset(uint64_t epoch)
{
    ngx_uint_t             i;
    model_subscription_t  *sub;

    for (i = 0; i < model.npublications; i++) {
        model_free(&model.publications[i]);
    }

    for (i = 0; i < model.nsubscriptions; i++) {
        sub = &model.subscriptions[i];
        fuzz_check(sub->sub == NULL);
        free(sub->destination.data);
        free(sub->id.data);
    }

    model.npublications = 0;
    model.nsubscriptions = 0;
    model.epoch = epoch;
}


ngx_uint_t
model_full(void)
{
    return model.npublications > MODEL_PUBLICATIONS / 2
           || model.nsubscriptions > MODEL_SUBSCRIPTIONS / 2;
}


ngx_int_t
__wrap_ngx_stomp_broker_publish(ngx_stomp_broker_t *b,
    ngx_stomp_publication_t *p, ngx_uint_t n)
{
    uint64_t              before;
    ngx_int_t             rc;
    ngx_uint_t            i;
    model_publication_t  *publication;

    before = b->zone.sh->sequence;
    fuzz_check(model.npublications + n <= MODEL_PUBLICATIONS);

    /* it may be delivered before the call returns */

    for (i = 0; i < n; i++) {
        publication = &model.publications[model.npublications++];

        publication->sequence = before + i + 1;
        model_copy(&publication->destination, &p[i].destination);
        model_copy(&publication->headers, &p[i].headers);
        model_copy(&publication->body, &p[i].body);
        publication->expires = (p[i].expires != 0);
    }

    rc = __real_ngx_stomp_broker_publish(b, p, n);

    if (rc != NGX_OK) {
        fuzz_check(b->zone.sh->sequence == before);

        while (n--) {
            model_free(&model.publications[--model.npublications]);
        }

        return rc;
    }

    fuzz_check(b->zone.sh->sequence == before + n);

    for (i = 0; i < n; i++) {
        fuzz_check(p[i].sequence == before + i + 1);
    }

    return rc;
}


ngx_int_t
__wrap_ngx_stomp_fanout_subscribe(ngx_stomp_session_t *s, ngx_str_t *name,
    ngx_str_t *id, ngx_stomp_ack_e mode, uint32_t prefetch,
    ngx_stomp_wanted_t *wanted)
{
    ngx_int_t              rc;
    ngx_str_t              none;
    model_subscription_t  *sub;

    rc = __real_ngx_stomp_fanout_subscribe(s, name, id, mode, prefetch,
                                           wanted);

    if (rc != NGX_OK) {
        return rc;
    }

    /* nobody has what is another's */

    fuzz_check(name->len < 7 || memcmp(name->data, "~/user/", 7) != 0
               || (memcmp(name->data, "~/user/u%2Fv/", 13) == 0)
                  == (s->user != NULL));
    fuzz_check(s->user != NULL || name->len != sizeof("/other/private") - 1
               || memcmp(name->data, "/other/private", name->len) != 0);

    fuzz_check(model.nsubscriptions < MODEL_SUBSCRIPTIONS);
    sub = &model.subscriptions[model.nsubscriptions++];

    ngx_str_null(&none);

    sub->session = s;
    sub->sub = s->subs;
    sub->session_id = s->id;
    sub->named = (id != NULL);
    sub->version = s->version;
    sub->last = s->hub->broker->zone.sh->sequence;
    sub->end = 0;
    model_copy(&sub->destination, name);
    model_copy(&sub->id, id ? id : &none);

    return rc;
}


void
__wrap_ngx_stomp_fanout_unsubscribe(ngx_stomp_session_t *s,
    ngx_stomp_sub_t *sub)
{
    ngx_uint_t             i;
    model_subscription_t  *found;

    found = NULL;

    for (i = 0; i < model.nsubscriptions; i++) {
        if (model.subscriptions[i].sub == sub) {
            found = &model.subscriptions[i];
        }
    }

    fuzz_check(found != NULL && found->session == s);

    found->sub = NULL;
    found->end = s->hub->broker->zone.sh->sequence;

    __real_ngx_stomp_fanout_unsubscribe(s, sub);
}


/*
 * The next message behind a number that a subscription is to get, or NULL.
 * Patterns of the configuration are the same as those of topics, but found in
 * another way.
 */

static model_publication_t *
model_next(model_subscription_t *sub, uint64_t last)
{
    ngx_uint_t            i;
    model_publication_t  *p;

    for (i = 0; i < model.npublications; i++) {
        p = &model.publications[i];

        if (p->sequence > last
            && (sub->sub != NULL || p->sequence <= sub->end)
            && ngx_stomp_pattern_match(&sub->destination, &p->destination))
        {
            return p;
        }
    }

    return NULL;
}


/* STOMP 1.2, "MESSAGE", in the order that the module has */

static size_t
model_message(u_char *dst, model_publication_t *p,
    model_subscription_t *sub)
{
    size_t    i, start;
    ssize_t   n;
    u_char   *d, plain[8192];

    fuzz_check(p->headers.len <= sizeof(plain));

    d = dst + sprintf((char *) dst, "MESSAGE\n");

    for (i = 0, start = 0; i < p->headers.len; i++) {

        if (p->headers.data[i] != ':' && p->headers.data[i] != '\n') {
            continue;
        }

        n = reference_unescape(plain, p->headers.data + start, i - start,
                               NGX_STOMP_V12);
        fuzz_check(n >= 0);

        d += reference_escape(d, plain, n, sub->version);
        *d++ = p->headers.data[i];
        start = i + 1;
    }

    fuzz_check(start == p->headers.len);

    if (sub->named) {
        d += sprintf((char *) d, "subscription:");
        d += reference_escape(d, sub->id.data, sub->id.len, sub->version);
        *d++ = '\n';
    }

    d += sprintf((char *) d, "message-id:%016llx-%llu\ncontent-length:%zu\n\n",
                 (unsigned long long) model.epoch,
                 (unsigned long long) p->sequence, p->body.len);

    memcpy(d, p->body.data, p->body.len);
    d += p->body.len;
    *d++ = '\0';

    return d - dst;
}


/* nothing is kept here: the first message behind a replay may tell of a gap */

static int
model_same(ngx_str_t *frame, u_char *expected, size_t n)
{
    u_char  *end;
    size_t   gap, start;

    if (n == frame->len) {
        return memcmp(frame->data, expected, n) == 0;
    }

    gap = sizeof("replay-gap:true\n") - 1;

    if (n + gap != frame->len) {
        return 0;
    }

    end = memmem(frame->data, frame->len, "\nreplay-gap:true\n", gap + 1);

    if (end == NULL) {
        return 0;
    }

    start = end + 1 - frame->data;

    return memcmp(frame->data, expected, start) == 0
           && memcmp(frame->data + start + gap, expected + start, n - start)
              == 0;
}


void
model_received(uint64_t session_id, ngx_str_t *frame)
{
    size_t                 n;
    ngx_uint_t             i;
    model_publication_t   *p;
    model_subscription_t  *sub;
    static u_char          expected[65536];

    for (i = 0; i < model.nsubscriptions; i++) {
        sub = &model.subscriptions[i];

        if (sub->session_id != session_id) {
            continue;
        }

        for (p = model_next(sub, sub->last); p != NULL;
             p = p->expires ? model_next(sub, p->sequence) : NULL)
        {
            if (p->body.len + 2 * p->headers.len + 4096 > sizeof(expected)) {
                continue;
            }

            n = model_message(expected, p, sub);

            if (model_same(frame, expected, n)) {
                sub->last = p->sequence;
                return;
            }
        }
    }

    fprintf(stderr, "FUZZ: no subscription waits for this message:\n%.*s\n",
            (int) ngx_min(frame->len, 1000), frame->data);
    abort();
}


void
model_complete(uint64_t session_id)
{
    ngx_uint_t             i;
    model_publication_t   *p;
    model_subscription_t  *sub;

    for (i = 0; i < model.nsubscriptions; i++) {
        sub = &model.subscriptions[i];

        if (sub->session_id != session_id || sub->sub == NULL) {
            continue;
        }

        p = model_next(sub, sub->last);

        while (p != NULL && p->expires) {
            p = model_next(sub, p->sequence);
        }

        if (p != NULL) {
            fprintf(stderr, "FUZZ: message %llu to \"%.*s\" did not come\n",
                    (unsigned long long) p->sequence,
                    (int) p->destination.len, p->destination.data);
            abort();
        }
    }
}
