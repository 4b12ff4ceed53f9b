
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_FORM_H_INCLUDED_
#define _NGX_STOMP_FORM_H_INCLUDED_


#include <ngx_stomp_session.h>


/*
 * What makes one subscriber's MESSAGE frames differ from another's: the
 * subscription's id, the version's escapes, marks and the link's wrapping.
 * Forms are interned, and a message is encoded once for each of them.
 */

struct ngx_stomp_form_s {
    ngx_stomp_form_t       *next;           /* in the hub's table */
    ngx_stomp_form_t       *open_next;
    ngx_stomp_segment_t    *segment;        /* open, NULL: none */
    uint32_t                refs;           /* groups */
    uint32_t                hash;
    uint8_t                 version;        /* NGX_STOMP_V* */
    uint8_t                 wire;           /* ngx_stomp_wire_e */
    uint8_t                 marks;          /* NGX_STOMP_MARK_* */
    unsigned                named:1;        /* has a subscription id */
    unsigned                opened:1;       /* on the hub's list */
    uint32_t                id_len;
    uint32_t                line_len;
    u_char                  data[1];        /* id, "subscription:id" LF */
};


/* headers that only some of a subscription's frames have */

#define NGX_STOMP_MARK_GAP       1
#define NGX_STOMP_MARK_RETAINED  2


/* octets of headers that only one subscriber gets */
#define NGX_STOMP_FORM_EXTRA_MAX  64


/* a message, encoded for one form after the other */

typedef struct {
    ngx_stomp_segment_t    *segment;        /* of the form's frame or head */
    uint32_t                start;
    uint32_t                end;

    ngx_stomp_segment_t    *tail;           /* what all forms share, or NULL */
    uint32_t                tail_start;
    uint32_t                tail_end;

    u_char                 *block;          /* the headers, if read already */
    size_t                  mid_len;
    u_char                  mid[NGX_STOMP_FORM_EXTRA_MAX
                                + sizeof("message-id:")
                                + NGX_STOMP_MESSAGE_ID_MAX
                                + sizeof("content-length:")
                                + NGX_INT_T_LEN + 4];
} ngx_stomp_encoded_t;


/* octets of the form's frame */

#define ngx_stomp_encoded_len(e)                                              \
    ((size_t) ((e)->end - (e)->start)                                         \
     + (((e)->tail != NULL) ? (e)->tail_end - (e)->tail_start : 0))


/*
 * Returns the form of a subscription id, NULL: without one, with a reference
 * for the caller.  NULL: no memory.
 */
ngx_stomp_form_t *ngx_stomp_form_ref(ngx_stomp_hub_t *hub, ngx_str_t *id,
    ngx_uint_t version, ngx_stomp_wire_e wire);

/*
 * Returns the form that is like another, but for its marks, with a reference
 * for the caller.  NULL: no memory.
 */
ngx_stomp_form_t *ngx_stomp_form_marked(ngx_stomp_hub_t *hub,
    ngx_stomp_form_t *form, ngx_uint_t marks);

/* Drops a reference; the last one frees the form. */
void ngx_stomp_form_unref(ngx_stomp_hub_t *hub, ngx_stomp_form_t *form);

/*
 * Starts to encode a message.  split: the forms share all that comes after
 * the subscription header.  NGX_OK or NGX_ERROR (no memory).
 */
ngx_int_t ngx_stomp_form_message(ngx_stomp_hub_t *hub, ngx_stomp_message_t *m,
    ngx_uint_t split, ngx_stomp_encoded_t *e);

/*
 * Adds header lines to a message that was started without split, before its
 * form is encoded; len is at most NGX_STOMP_FORM_EXTRA_MAX.
 */
void ngx_stomp_form_extra(ngx_stomp_encoded_t *e, u_char *lines, size_t len);

/*
 * Encodes the message for a form: e's ranges are valid until the next call.
 * NGX_OK or NGX_ERROR (no memory).
 */
ngx_int_t ngx_stomp_form_encode(ngx_stomp_hub_t *hub, ngx_stomp_form_t *form,
    ngx_stomp_message_t *m, ngx_stomp_encoded_t *e);

/* Ends what ngx_stomp_form_message() has started. */
void ngx_stomp_form_done(ngx_stomp_encoded_t *e);

/* Closes all open segments of a hub, after a flush. */
void ngx_stomp_form_close_segments(ngx_stomp_hub_t *hub);


#endif /* _NGX_STOMP_FORM_H_INCLUDED_ */
