#ifndef PGWEIR_SERVE_REMAINS_PARTS_H
#define PGWEIR_SERVE_REMAINS_PARTS_H

#include "serve/remains.h"

/* What the files of remains share among themselves: remains.c suspects and ends, remains_question.c asks, remains_reset.c corrects. */

/* ---- remains.c ---- */

void remains_set_pins(struct channel *, uint32_t pins); /* all of them; a first one is counted */
void remains_pin(struct channel *, enum pin why);
void remains_come_in_front(struct channel *); /* a temporary object */

static inline bool remains_is_pinned(const struct remains *r, enum pin why)
{
	return r->pins & (1u << why);
}

static inline void remains_unpin(struct remains *r, enum pin why)
{
	r->pins &= ~(1u << why);
}

/* ---- remains_reset.c ---- */

/* A RESET is under way that must lead to the client's own values. */
static inline bool remains_is_reset(const struct remains *r)
{
	return r->reset_all || r->resets;
}

void remains_forget_resets(struct remains *);

#endif
