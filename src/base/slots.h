#ifndef PGWEIR_BASE_SLOTS_H
#define PGWEIR_BASE_SLOTS_H

#include "base/span.h"

/* A table of pointers named by slot and generation: a handle that outlived its object is
 * a checked miss, never a crash. Slots are reused oldest-freed first, and each reuse has a new generation.
 * A generation is never 0, so an all-zero handle names nobody. */
struct handle {
	uint32_t slot, generation;
};

static inline bool handle_equal(struct handle a, struct handle b)
{
	return a.slot == b.slot && a.generation == b.generation;
}

static inline bool handle_none(struct handle h)
{
	return h.generation == 0;
}

struct slots {
	struct slot *table;
	uint32_t capacity, used, free_head, free_tail, limit;
};

/* `limit`: the most objects ever held at once (at most 2^23); the table grows as needed. */
void slots_init(struct slots *, uint32_t limit);
void slots_fini(struct slots *);

/* Give `object` a slot. False: full, or memory refused. */
bool slots_add(struct slots *, void *object, struct handle *out);

/* The object, or NULL when the handle is stale or was never given out. */
void *slots_get(const struct slots *, struct handle);

/* The object in this slot whatever its generation, or NULL. */
void *slots_at(const struct slots *, uint32_t slot);

/* Free the slot; the handle must be live (checked). */
void slots_remove(struct slots *, struct handle);

/* Walk: the first object at or after *slot, or NULL; *slot is left behind it. Start with 0. */
void *slots_next(const struct slots *, uint32_t *slot);

#endif
