
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#ifndef _NGX_STOMP_SLOT_H_INCLUDED_
#define _NGX_STOMP_SLOT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stomp_zone.h>


/*
 * Process slots: one table for all brokers, in a mapping of its own that the
 * master makes before its first fork and that outlives reloads.  A worker
 * owns a slot by a kernel lock on the slot's octet of an unlinked file; the
 * kernel drops it with the process, so that death shows at once and no pid
 * can be mistaken for another's.  Each slot has a descriptor that wakes its
 * owner, which the processes of all generations inherit.
 */


#define NGX_STOMP_SLOT_NONE  ((ngx_uint_t) -1)


/*
 * Makes the table, n slots of 1..NGX_STOMP_SLOTS_MAX, and its descriptors,
 * once in a master's life; later calls change nothing.
 * NGX_OK or NGX_ERROR (logged).
 */
ngx_int_t ngx_stomp_slots_init(ngx_uint_t n, ngx_log_t *log);

/* Closes and unmaps all of it: the module is unloaded. */
void ngx_stomp_slots_cleanup(ngx_log_t *log);

/* Returns the number of slots, 0 before ngx_stomp_slots_init(). */
ngx_uint_t ngx_stomp_slots_count(void);

/*
 * Claims a free slot for this process, for life, raises its generation and
 * empties its descriptor.  NGX_OK;  NGX_BUSY: all slots are taken;
 * NGX_ERROR: logged.
 */
ngx_int_t ngx_stomp_slot_claim(ngx_log_t *log);

/* Returns this process's slot or NGX_STOMP_SLOT_NONE. */
ngx_uint_t ngx_stomp_slot_own(void);

/* Returns the present generation of a slot. */
uint32_t ngx_stomp_slot_generation(ngx_uint_t slot);

/*
 * NGX_OK: the owner in that generation lives;  NGX_DECLINED: it is dead.
 * A system call: not under a lock.
 */
ngx_int_t ngx_stomp_slot_alive(ngx_uint_t slot, uint32_t generation);

/*
 * An ngx_stomp_alive_pt, for who waits for a zone's lock.
 * NGX_OK: a process with that pid may live;  NGX_DECLINED: it is dead.
 */
ngx_int_t ngx_stomp_slot_pid_alive(ngx_pid_t pid);

/* Wakes the owner of a slot.  A system call: not under a lock. */
void ngx_stomp_slot_wake(ngx_uint_t slot);

/* Returns the descriptor that this process waits on for wake-ups. */
ngx_fd_t ngx_stomp_slot_wake_fd(ngx_uint_t slot);

/* Empties the own descriptor; to be done before the inboxes are looked at. */
void ngx_stomp_slot_wake_clear(void);


#endif /* _NGX_STOMP_SLOT_H_INCLUDED_ */
