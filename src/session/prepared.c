/* Which shared statements a server has (see statements.c). The table is small and needs an order of use: uthash keeps both. */
#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"
#include "base/table.h"
#include "session/statements.h"

struct prepared_entry {
	uint32_t id, batch, owed; /* owed: Parse messages sent and not answered */
	bool ready;
	bool doubt; /* sent again before the first was answered: whether it exists is known only when the last is answered well */
	bool lost; /* something that was sent behind all of them may have ended it */
	struct prepared_shape shape;
	struct statement *statement;
	struct link use; /* oldest first */
	UT_hash_handle hh;
};

struct prepared {
	struct prepared_entry *entries;
	struct link use;
	size_t count;
};

struct prepared *prepared_new(void)
{
	struct prepared *prepared = calloc(1, sizeof *prepared);

	if (prepared)
		link_init(&prepared->use);
	return prepared;
}

static struct prepared_entry *prepared_find(struct prepared *prepared, uint32_t id)
{
	struct prepared_entry *entry;

	HASH_FIND(hh, prepared->entries, &id, sizeof id, entry);
	return entry;
}

/* The entry goes; its reference to the statement is handed to the caller. */
static struct statement *prepared_take_out(struct prepared *prepared, struct prepared_entry *entry)
{
	struct statement *statement = entry->statement;

	check(prepared->count > 0 && statement->id == entry->id);
	HASH_DEL(prepared->entries, entry);
	link_remove(&entry->use);
	prepared->count--;
	free(entry);
	return statement;
}

static void prepared_clear(struct prepared *prepared, bool owed_too)
{
	struct link *at, *next;

	for (at = prepared->use.next; at != &prepared->use; at = next) {
		struct prepared_entry *entry = link_owner(at, struct prepared_entry, use);

		next = at->next;
		if (owed_too || entry->owed == 0)
			statement_drop(prepared_take_out(prepared, entry));
	}
}

void prepared_forget(struct prepared *prepared)
{
	prepared_clear(prepared, false);
}

void prepared_free(struct prepared *prepared)
{
	if (!prepared)
		return;
	prepared_clear(prepared, true);
	check(prepared->count == 0);
	free(prepared);
}

enum prepared_state prepared_look_shape(struct prepared *prepared, const struct statement *statement, uint32_t batch,
	const struct prepared_shape **shape)
{
	static const struct prepared_shape none;
	struct prepared_entry *entry = prepared_find(prepared, statement->id);

	*shape = entry ? &entry->shape : &none;
	if (!entry)
		return PREPARED_NONE;
	link_remove(&entry->use);
	link_last(&prepared->use, &entry->use);
	if (entry->ready)
		return PREPARED_READY;
	return entry->batch == batch ? PREPARED_PENDING : PREPARED_DOUBTFUL;
}

enum prepared_state prepared_look(struct prepared *prepared, const struct statement *statement, uint32_t batch)
{
	const struct prepared_shape *shape;

	return prepared_look_shape(prepared, statement, batch, &shape);
}

void prepared_asked(struct prepared *prepared, uint32_t id)
{
	struct prepared_entry *entry = prepared_find(prepared, id);

	if (entry)
		entry->shape.asked++;
}

void prepared_told(struct prepared *prepared, uint32_t id, struct shape shape)
{
	struct prepared_entry *entry = prepared_find(prepared, id);

	/* One that was sent again meanwhile is described by the last answer. */
	if (entry && entry->shape.asked > 0 && --entry->shape.asked == 0)
		entry->shape.shape = shape;
}

bool prepared_sent(struct prepared *prepared, struct statement *statement, uint32_t batch)
{
	struct prepared_entry *entry = prepared_find(prepared, statement->id);
	bool refused = false;

	if (!entry) {
		entry = calloc(1, sizeof *entry);
		if (!entry)
			return false;
		entry->id = statement->id;
		entry->statement = statement_keep(statement);
		HASH_ADD(hh, prepared->entries, id, sizeof entry->id, entry);
		if (refused) {
			statement_drop(entry->statement);
			free(entry);
			return false;
		}
		link_init(&entry->use);
		link_last(&prepared->use, &entry->use);
		prepared->count++;
	}
	entry->doubt = entry->doubt || entry->owed > 0;
	entry->owed++;
	entry->ready = entry->lost = false;
	entry->batch = batch;
	entry->shape.shape = (struct shape){ 0 };
	entry->shape.batch = batch;
	return true;
}

void prepared_done(struct prepared *prepared, uint32_t id)
{
	struct prepared_entry *entry = prepared_find(prepared, id);

	if (!entry || entry->owed == 0 || --entry->owed > 0)
		return;
	entry->ready = !entry->lost;
	entry->doubt = entry->lost;
}

void prepared_failed(struct prepared *prepared, uint32_t id)
{
	struct prepared_entry *entry = prepared_find(prepared, id);

	if (!entry || entry->owed == 0)
		return;
	entry->owed--;
	check(entry->owed == 0 || entry->doubt); /* what is answered still would be of another */
	if (!entry->doubt)
		statement_drop(prepared_take_out(prepared, entry));
}

bool prepared_doubt(struct prepared *prepared, uint32_t id)
{
	struct prepared_entry *entry = prepared_find(prepared, id);

	if (!entry)
		return false;
	entry->ready = false;
	entry->doubt = entry->lost = true;
	entry->batch = 0;
	return true;
}

struct statement *prepared_excess(struct prepared *prepared, size_t most)
{
	struct link *at;

	if (prepared->count <= most)
		return NULL;
	for (at = prepared->use.next; at != &prepared->use; at = at->next) {
		struct prepared_entry *entry = link_owner(at, struct prepared_entry, use);

		/* One that is doubtful may be there, and nobody may ever ask for it again. To close what is not there is no error. */
		if (entry->ready || (entry->doubt && entry->owed == 0 && entry->shape.asked == 0))
			return prepared_take_out(prepared, entry);
	}
	return NULL;
}

size_t prepared_count(const struct prepared *prepared)
{
	return prepared->count;
}
