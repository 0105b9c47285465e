#ifndef PGWEIR_BASE_LIST_H
#define PGWEIR_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* A circular list threaded through its members; a head is a link that no member owns.
 * An unlinked link points at itself, so unlinking twice is harmless. */
struct link {
	struct link *next, *prev;
};

#define link_owner(at, type, member) ((type *)(void *)((char *)(at)-offsetof(type, member)))

static inline void link_init(struct link *l)
{
	l->next = l->prev = l;
}

static inline bool link_empty(const struct link *l)
{
	return l->next == l;
}

static inline void link_after(struct link *where, struct link *l)
{
	l->prev = where;
	l->next = where->next;
	where->next->prev = l;
	where->next = l;
}

static inline void link_first(struct link *head, struct link *l)
{
	link_after(head, l);
}

static inline void link_last(struct link *head, struct link *l)
{
	link_after(head->prev, l);
}

static inline void link_remove(struct link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	link_init(l);
}

#endif
