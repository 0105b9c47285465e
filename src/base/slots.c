#include "base/slots.h"

#include <stdlib.h>

#include "base/check.h"

/* The table behind every handle.
 *
 *   slot        0        1        2        3
 *   object      A        -        C        -            '-': free
 *   generation  1        4        1        2            of the object that is or will be there
 *                        ^                 ^
 *                    free_head ---next---> free_tail
 *
 * A slot's generation goes up when it is freed, so a handle to what was there never names what comes
 * next. Freed slots queue at the tail and are taken from the head: with many slots it takes long
 * until the same one is named again, which makes a stale handle easy to tell in a log. The table
 * grows only when no slot is free, and never shrinks. */

#define NONE           UINT32_MAX
#define SLOTS_SMALLEST 16
#define SLOTS_MOST     (1u << 23)

struct slot {
	void *object;
	uint32_t generation;
	uint32_t next;
};

void slots_init(struct slots *s, uint32_t limit)
{
	check(limit <= SLOTS_MOST);
	*s = (struct slots){ .free_head = NONE, .free_tail = NONE, .limit = limit };
}

void slots_fini(struct slots *s)
{
	free(s->table);
	slots_init(s, s->limit);
}

static void queue_free(struct slots *s, uint32_t slot)
{
	s->table[slot].next = NONE;
	if (s->free_tail == NONE)
		s->free_head = slot;
	else
		s->table[s->free_tail].next = slot;
	s->free_tail = slot;
}

static bool grow(struct slots *s)
{
	uint32_t capacity = s->capacity ? s->capacity * 2 : SLOTS_SMALLEST;
	uint32_t i = s->capacity;
	struct slot *table;

	if (capacity > s->limit)
		capacity = s->limit;
	if (capacity == s->capacity)
		return false;
	table = realloc(s->table, capacity * sizeof *table);
	if (table == NULL)
		return false;
	s->table = table;
	s->capacity = capacity;
	for (; i < capacity; i++) {
		table[i] = (struct slot){ .generation = 1 };
		queue_free(s, i);
	}
	return true;
}

bool slots_add(struct slots *s, void *object, struct handle *out)
{
	struct slot *slot;
	uint32_t at;

	check(object != NULL);
	if (s->free_head == NONE && !grow(s))
		return false;
	at = s->free_head;
	slot = &s->table[at];
	s->free_head = slot->next;
	if (s->free_head == NONE)
		s->free_tail = NONE;
	slot->object = object;
	s->used++;
	*out = (struct handle){ .slot = at, .generation = slot->generation };
	return true;
}

void *slots_get(const struct slots *s, struct handle h)
{
	if (h.slot >= s->capacity || s->table[h.slot].generation != h.generation)
		return NULL;
	return s->table[h.slot].object;
}

void *slots_at(const struct slots *s, uint32_t slot)
{
	return slot < s->capacity ? s->table[slot].object : NULL;
}

void slots_remove(struct slots *s, struct handle h)
{
	struct slot *slot;

	check(slots_get(s, h) != NULL);
	slot = &s->table[h.slot];
	slot->object = NULL;
	if (++slot->generation == 0)
		slot->generation = 1;
	check(s->used > 0);
	s->used--;
	queue_free(s, h.slot);
}

void *slots_next(const struct slots *s, uint32_t *slot)
{
	while (*slot < s->capacity) {
		void *object = s->table[(*slot)++].object;

		if (object)
			return object;
	}
	return NULL;
}
