
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _ZONE_MODEL_KEPT_H_INCLUDED_
#define _ZONE_MODEL_KEPT_H_INCLUDED_


#include <zone_model.h>


/* The part of the model that knows history and retained messages. */


/* Returns how many messages the history of a publication's destination has. */
uint32_t model_length(zone_model_t *m, ngx_stomp_publication_t *p);

/* Returns 1 if a publication outlives its deliveries. */
ngx_uint_t model_keeps(zone_model_t *m, ngx_stomp_publication_t *p);

/* Returns 1 if anything of a destination is kept. */
ngx_uint_t model_has_kept(zone_model_t *m, ngx_uint_t dest);

/*
 * Gives a numbered publication its destination, if it has one; before: the
 * broker's last number when the section began.
 */
void model_number(zone_model_t *m, ngx_stomp_publication_t *p,
    ngx_uint_t dest, uint64_t before);

/*
 * Keeps a numbered publication as it wants it; message: its content, its
 * batch and the batch's octets.  NGX_OK;  NGX_BUSY: too much is retained.
 */
ngx_int_t model_keep(zone_model_t *m, ngx_stomp_publication_t *p,
    ngx_uint_t dest, model_kept_t *message);

/*
 * Drop what is too much of a publication's destination, of all history, and
 * the oldest of all history, in one section.  Return how many.
 */
ngx_uint_t model_trim(zone_model_t *m, ngx_stomp_publication_t *p,
    ngx_uint_t max);
ngx_uint_t model_room(zone_model_t *m);
ngx_uint_t model_evict(zone_model_t *m);

/* Replays a destination to the end, from where the slot is, if it is. */
ngx_int_t model_replay(zone_model_t *m, model_op_t *op, model_see_pt see);


#endif /* _ZONE_MODEL_KEPT_H_INCLUDED_ */
