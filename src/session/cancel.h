#ifndef PGWEIR_SESSION_CANCEL_H
#define PGWEIR_SESSION_CANCEL_H

#include "base/slots.h"

/* The process id we invent for a client names its worker and its slot there, so that a cancel request finds its owner by mail.
 * It is positive, as PostgreSQL's are. Which client of that slot is meant is proven by the secret alone. */
#define CANCEL_WORKERS_MAX 128
#define CANCEL_SLOTS_MAX   (1u << 23)

static inline uint32_t cancel_process_id(uint32_t worker, uint32_t slot)
{
	return (worker << 23 | slot) + 1;
}

/* False: no id of ours. */
static inline bool cancel_locate(uint32_t process_id, uint32_t *worker, uint32_t *slot)
{
	if (process_id == 0 || process_id > CANCEL_WORKERS_MAX * CANCEL_SLOTS_MAX)
		return false;
	*worker = (process_id - 1) >> 23;
	*slot = (process_id - 1) & (CANCEL_SLOTS_MAX - 1);
	return true;
}

#endif
