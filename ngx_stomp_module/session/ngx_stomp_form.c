
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_stomp_session.h>
#include <ngx_stomp_form.h>
#include <ngx_stomp_output.h>
#include <ngx_stomp_header.h>
#include <ngx_stomp_ws.h>


static ngx_stomp_form_t *ngx_stomp_form_find(ngx_stomp_hub_t *hub,
    ngx_str_t *id, ngx_uint_t version, ngx_stomp_wire_e wire,
    ngx_uint_t marks);
static ngx_int_t ngx_stomp_form_grow(ngx_stomp_hub_t *hub);
static void ngx_stomp_form_free(ngx_stomp_hub_t *hub, ngx_stomp_form_t *form);
static ngx_int_t ngx_stomp_form_block(ngx_stomp_hub_t *hub,
    ngx_stomp_message_t *m, ngx_stomp_encoded_t *e);
static ngx_int_t ngx_stomp_form_tail(ngx_stomp_hub_t *hub,
    ngx_stomp_message_t *m, ngx_stomp_encoded_t *e);
static ngx_stomp_segment_t *ngx_stomp_form_segment(ngx_stomp_hub_t *hub,
    ngx_stomp_form_t *form, ngx_stomp_encoded_t *e, size_t len);


static u_char  ngx_stomp_form_command[] = "MESSAGE\n";
static u_char  ngx_stomp_form_header[] = "subscription:";

/* by NGX_STOMP_MARK_* */

static ngx_str_t  ngx_stomp_form_marks[] = {
    ngx_null_string,
    ngx_string("replay-gap:true\n"),
    ngx_string("retained:true\n"),
    ngx_string("replay-gap:true\nretained:true\n")
};


/* scratch of the worker: a header block, and the same for another version */

static struct {
    u_char    *data;
    size_t     size;
} ngx_stomp_form_scratch;


ngx_stomp_form_t *
ngx_stomp_form_ref(ngx_stomp_hub_t *hub, ngx_str_t *id, ngx_uint_t version,
    ngx_stomp_wire_e wire)
{
    return ngx_stomp_form_find(hub, id, version, wire, 0);
}


ngx_stomp_form_t *
ngx_stomp_form_marked(ngx_stomp_hub_t *hub, ngx_stomp_form_t *form,
    ngx_uint_t marks)
{
    ngx_str_t  id;

    id.data = form->data;
    id.len = form->id_len;

    return ngx_stomp_form_find(hub, form->named ? &id : NULL, form->version,
                               form->wire, marks);
}


static ngx_stomp_form_t *
ngx_stomp_form_find(ngx_stomp_hub_t *hub, ngx_str_t *id, ngx_uint_t version,
    ngx_stomp_wire_e wire, ngx_uint_t marks)
{
    size_t             len, line;
    u_char            *p;
    uint32_t           hash;
    ngx_stomp_form_t  *form, **bucket;

    len = (id != NULL) ? id->len : 0;
    hash = (uint32_t) (version ^ marks << 8);

    if (len) {
        hash ^= ngx_stomp_dest_hash(&hub->broker->zone, id);
    }

    if (hub->nforms >= hub->forms_size && ngx_stomp_form_grow(hub) != NGX_OK) {
        return NULL;
    }

    bucket = &hub->forms[hash & (hub->forms_size - 1)];

    for (form = *bucket; form; form = form->next) {
        if (form->hash == hash
            && form->version == version
            && form->wire == wire
            && form->marks == marks
            && form->named == (id != NULL)
            && form->id_len == len
            && ngx_memcmp(form->data, len ? id->data : form->data, len) == 0)
        {
            form->refs++;
            return form;
        }
    }

    line = ngx_stomp_form_marks[marks].len;

    if (id != NULL) {
        line += sizeof(ngx_stomp_form_header) - 1
                + ngx_stomp_escape_len(id->data, len, version) + 1;
    }

    form = ngx_calloc(offsetof(ngx_stomp_form_t, data) + len + line, hub->log);
    if (form == NULL) {
        return NULL;
    }

    form->refs = 1;
    form->hash = hash;
    form->version = (uint8_t) version;
    form->wire = (uint8_t) wire;
    form->marks = (uint8_t) marks;
    form->id_len = (uint32_t) len;
    form->line_len = (uint32_t) line;

    p = form->data;

    if (id != NULL) {
        form->named = 1;
        p = ngx_cpymem(p, id->data, len);
        p = ngx_cpymem(p, ngx_stomp_form_header,
                       sizeof(ngx_stomp_form_header) - 1);
        p = ngx_stomp_escape(p, id->data, len, version);
        *p++ = LF;
    }

    if (marks) {
        ngx_memcpy(p, ngx_stomp_form_marks[marks].data,
                   ngx_stomp_form_marks[marks].len);
    }

    form->next = *bucket;
    *bucket = form;
    hub->nforms++;

    return form;
}


static ngx_int_t
ngx_stomp_form_grow(ngx_stomp_hub_t *hub)
{
    uint32_t            i, size;
    ngx_stomp_form_t   *form, *next, **forms;

    size = hub->forms_size ? hub->forms_size * 2 : 64;

    forms = ngx_calloc(size * sizeof(void *), hub->log);
    if (forms == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < hub->forms_size; i++) {

        for (form = hub->forms[i]; form; form = next) {
            next = form->next;

            form->next = forms[form->hash & (size - 1)];
            forms[form->hash & (size - 1)] = form;
        }
    }

    if (hub->forms != NULL) {
        ngx_free(hub->forms);
    }

    hub->forms = forms;
    hub->forms_size = size;

    return NGX_OK;
}


void
ngx_stomp_form_unref(ngx_stomp_hub_t *hub, ngx_stomp_form_t *form)
{
    /* one that is on the list of open ones is freed when that is closed */

    if (--form->refs == 0 && !form->opened) {
        ngx_stomp_form_free(hub, form);
    }
}


static void
ngx_stomp_form_free(ngx_stomp_hub_t *hub, ngx_stomp_form_t *form)
{
    ngx_stomp_form_t  **next;

    next = &hub->forms[form->hash & (hub->forms_size - 1)];

    while (*next != form) {
        next = &(*next)->next;
    }

    *next = form->next;
    hub->nforms--;

    ngx_free(form);
}


ngx_int_t
ngx_stomp_form_message(ngx_stomp_hub_t *hub, ngx_stomp_message_t *m,
    ngx_uint_t split, ngx_stomp_encoded_t *e)
{
    u_char  *p;

    e->segment = NULL;
    e->tail = NULL;
    e->block = NULL;

    p = ngx_cpymem(e->mid, "message-id:", sizeof("message-id:") - 1);
    p = ngx_stomp_broker_message_id(hub->broker, p, m->sequence);
    p = ngx_sprintf(p, "\ncontent-length:%uD\n\n", m->body);

    e->mid_len = p - e->mid;

    if (split || !(m->flags & NGX_STOMP_MESSAGE_PLAIN)) {
        if (ngx_stomp_form_block(hub, m, e) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return split ? ngx_stomp_form_tail(hub, m, e) : NGX_OK;
}


void
ngx_stomp_form_extra(ngx_stomp_encoded_t *e, u_char *lines, size_t len)
{
    ngx_memmove(&e->mid[len], e->mid, e->mid_len);
    ngx_memcpy(e->mid, lines, len);

    e->mid_len += len;
}


/* reads the header block; behind it is as much room for another version's */

static ngx_int_t
ngx_stomp_form_block(ngx_stomp_hub_t *hub, ngx_stomp_message_t *m,
    ngx_stomp_encoded_t *e)
{
    size_t               size;
    u_char              *p;
    ngx_stomp_message_t  cursor;

    size = 2 * (size_t) m->headers;

    if (size > ngx_stomp_form_scratch.size) {
        size = ngx_max(size, 4096);

        p = ngx_alloc(size, hub->log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (ngx_stomp_form_scratch.data != NULL) {
            ngx_free(ngx_stomp_form_scratch.data);
        }

        ngx_stomp_form_scratch.data = p;
        ngx_stomp_form_scratch.size = size;
    }

    e->block = ngx_stomp_form_scratch.data;

    cursor = *m;

    (void) ngx_stomp_message_read(&hub->broker->zone, &cursor, e->block,
                                  m->headers);
    return NGX_OK;
}


/* what all forms share: the last headers, the body and the NUL */

static ngx_int_t
ngx_stomp_form_tail(ngx_stomp_hub_t *hub, ngx_stomp_message_t *m,
    ngx_stomp_encoded_t *e)
{
    size_t                len;
    u_char               *p;
    ngx_stomp_message_t   cursor;
    ngx_stomp_segment_t  *segment;

    len = e->mid_len + m->body + 1;

    segment = ngx_stomp_segment_reserve(&hub->shared, len, hub->log);
    if (segment == NULL) {
        return NGX_ERROR;
    }

    cursor = *m;

    p = &segment->data[segment->used];

    /* over the block, which was read already */

    (void) ngx_stomp_message_read(&hub->broker->zone, &cursor, e->block,
                                  m->headers);

    p = ngx_cpymem(p, e->mid, e->mid_len);
    p = ngx_stomp_message_read(&hub->broker->zone, &cursor, p, m->body);
    *p = '\0';

    e->tail = segment;
    e->tail_start = segment->used;
    e->tail_end = segment->used + len;

    segment->used += len;
    segment->refs++;

    return NGX_OK;
}


ngx_int_t
ngx_stomp_form_encode(ngx_stomp_hub_t *hub, ngx_stomp_form_t *form,
    ngx_stomp_message_t *m, ngx_stomp_encoded_t *e)
{
    size_t                head, block_len, len, total;
    u_char               *p, *block;
    ngx_stomp_message_t   cursor;
    ngx_stomp_segment_t  *segment;

    block = e->block;
    block_len = m->headers;

    if (!(m->flags & NGX_STOMP_MESSAGE_PLAIN)
        && form->version != NGX_STOMP_V12)
    {
        block += m->headers;
        block_len = ngx_stomp_header_block(block, e->block, m->headers,
                                           form->version)
                    - block;
    }

    len = sizeof(ngx_stomp_form_command) - 1 + block_len + form->line_len;
    total = len + e->mid_len + m->body + 1;
    head = ngx_stomp_ws_head_len(total);

    if (e->tail == NULL) {
        len = total;
    }

    segment = ngx_stomp_form_segment(hub, form, e, head + len);
    if (segment == NULL) {
        return NGX_ERROR;
    }

    cursor = *m;

    p = ngx_stomp_ws_head(&segment->data[segment->used],
                          (m->flags & NGX_STOMP_MESSAGE_TEXT)
                          ? NGX_STOMP_WS_TEXT : NGX_STOMP_WS_BINARY,
                          total);
    p = ngx_cpymem(p, ngx_stomp_form_command,
                   sizeof(ngx_stomp_form_command) - 1);

    if (block == NULL) {
        p = ngx_stomp_message_read(&hub->broker->zone, &cursor, p, block_len);

    } else {
        p = ngx_cpymem(p, block, block_len);
    }

    p = ngx_cpymem(p, form->data + form->id_len, form->line_len);

    if (e->tail == NULL) {
        p = ngx_cpymem(p, e->mid, e->mid_len);

        if (block != NULL) {
            (void) ngx_stomp_message_read(&hub->broker->zone, &cursor,
                                          e->block, m->headers);
        }

        p = ngx_stomp_message_read(&hub->broker->zone, &cursor, p, m->body);
        *p = '\0';
    }

    e->segment = segment;
    e->start = segment->used;
    e->end = segment->used + head + len;

    segment->used = e->end;

    return NGX_OK;
}


/* whole frames of a form follow each other, so that they are sent as one */

static ngx_stomp_segment_t *
ngx_stomp_form_segment(ngx_stomp_hub_t *hub, ngx_stomp_form_t *form,
    ngx_stomp_encoded_t *e, size_t len)
{
    ngx_stomp_output_post(hub);

    if (e->tail != NULL) {
        return ngx_stomp_segment_reserve(&hub->shared, len, hub->log);
    }

    if (!form->opened) {
        form->opened = 1;
        form->open_next = hub->open;
        hub->open = form;
    }

    return ngx_stomp_segment_reserve(&form->segment, len, hub->log);
}


void
ngx_stomp_form_done(ngx_stomp_encoded_t *e)
{
    if (e->tail != NULL) {
        ngx_stomp_segment_unref(e->tail);
        e->tail = NULL;
    }
}


void
ngx_stomp_form_close_segments(ngx_stomp_hub_t *hub)
{
    ngx_stomp_form_t  *form;

    while (hub->open != NULL) {
        form = hub->open;
        hub->open = form->open_next;

        form->opened = 0;

        if (form->segment != NULL) {
            ngx_stomp_segment_unref(form->segment);
            form->segment = NULL;
        }

        if (form->refs == 0) {
            ngx_stomp_form_free(hub, form);
        }
    }

    if (hub->shared != NULL) {
        ngx_stomp_segment_unref(hub->shared);
        hub->shared = NULL;
    }
}
