/* As whom a text is read.
 *
 * A server reads a text when it is prepared there, with the settings of that moment: what its quotes, dates and unqualified names mean stays so for
 * all who use it (session/reading.h). So a statement is shared among those whose settings agree, from one change of the catalogue to the next. Whoever
 * may read it in a way of its own, since something was SET in this transaction or a temporary table is there, has one apart. A name whose client has
 * other settings by now stands for another statement from then on: nobody's is ever read with settings that are not its own.
 *
 * Nor is a FETCH shared. One that was read beside another client's cursor would be described with that one's columns; and where there is no such cursor,
 * the Describe ends PostgreSQL's process (15.18 and 18), and everybody's session with it. */
#include <stdlib.h>

#include "serve/catalogs.h"
#include "serve/channel.h"
#include "serve/extras.h"
#include "serve/relay.h"
#include "session/catalog.h"
#include "session/look.h"
#include "session/reading.h"

/* What a worker found last, by a hash of the settings. */
#define READINGS_KNOWN 64
struct readings {
	struct reading_known {
		struct params *settings, *reading, *literals;
	} list[READINGS_KNOWN];
};

static void forget(struct reading_known *known)
{
	params_drop(known->settings);
	params_drop(known->reading);
	params_drop(known->literals);
	*known = (struct reading_known){ 0 };
}

void readings_fini(struct worker *worker)
{
	for (size_t i = 0; worker->readings && i < READINGS_KNOWN; i++)
		forget(&worker->readings->list[i]);
	free(worker->readings);
}

/* Of a client that wants these settings; good until the next is looked for. NULL: memory refused. */
static const struct reading_known *reading_in(struct worker *worker, struct params *settings)
{
	struct reading_known *known;
	struct params *empty;

	if (!worker->readings)
		worker->readings = calloc(1, sizeof *worker->readings);
	if (!worker->readings)
		return NULL;
	known = &worker->readings->list[params_hash(settings) % READINGS_KNOWN];
	if (known->settings != settings) {
		forget(known);
		empty = params_empty(worker->house->params);
		known->reading = reading_of(settings, empty, reading_depends);
		known->literals = reading_of(settings, empty, reading_decides_literals);
		params_drop(empty);
		if (!known->reading || !known->literals) {
			forget(known);
			return NULL;
		}
		known->settings = params_keep(settings);
	}
	return known;
}

/* NULL: with settings that are not known, or memory refused. All workers count who has a set of settings: nothing is counted here where it is known. */
static const struct reading_known *find_known(struct guest *guest)
{
	struct params *all;

	if (!remains_settings_known(guest))
		return NULL;
	all = channel_with_base(guest->channel, guest->wanted);
	return all ? reading_in(guest->worker, all) : NULL;
}

static struct params *find_reading(struct guest *guest)
{
	const struct reading_known *known = find_known(guest);

	return known ? known->reading : NULL;
}

struct params *relay_literals(struct guest *guest, struct params **settings)
{
	const struct reading_known *known = find_known(guest);

	*settings = known ? known->settings : NULL;
	return known ? known->literals : NULL;
}

/* A plan keeps what such a function said to whoever was planned for: its client shares it with nobody. */
static bool freezes(struct guest *guest, struct statement *statement)
{
	const struct catalog *catalog = catalogs_see(guest);
	struct look look;

	return catalog && catalog_tells(catalog, LOOK_FREEZES) && statement_touches(statement, catalog) &&
		statement_look(statement, catalog, &look) && (look.marks & LOOK_FREEZES);
}

struct statement *relay_take_statement(struct guest *guest, struct span tail)
{
	struct statement_book *book = guest->worker->house->statements;
	struct params *reading = remains_names_known(guest) ? find_reading(guest) : NULL;
	struct statement *statement = reading ? statement_take(book, tail, reading, catalogs_meaning(guest))
					      : statement_take_apart(book, tail);

	if (statement && reading &&
		((statement_marks(statement) & LOOK_CLOCK) || statement_follows_session(statement) ||
			pending_has(guest, statement->id) || freezes(guest, statement))) {
		statement_drop(statement);
		statement = statement_take_apart(book, tail);
	}
	if (!statement)
		guest_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL, NULL);
	return statement;
}

static bool note_former(struct guest *guest, const struct statement *statement, struct span name)
{
	struct extras *extras = extras_of(guest);

	return extras && relay_note_name(&extras->former, statement->id, name);
}

struct statement *relay_read_again(
	struct guest *guest, struct span name, struct statement *statement, struct shape **told)
{
	struct channel *channel = guest->channel;
	struct shape before;
	struct statement *read;
	bool ok;

	if (pending_changes(guest, name))
		return statement;
	/* What its names mean PostgreSQL itself looks up again, where it was prepared before; but that a temporary object is in front now it notices only
	 * when a session makes its first, and a server that was used before has made it. */
	if (statement_suits(statement, find_reading(guest)) && !remains_may_hide(guest, statement) &&
		(remains_names_known(guest) || statement_is_apart(statement) ||
			prepared_look(channel->prepared, statement, channel->batch) == PREPARED_READY))
		return statement;
	read = relay_take_statement(guest, span_of(statement->tail, statement->tail_length));
	if (!read)
		return NULL;
	while (guest->extras->former && track_quiet(&channel->track))
		relay_name_over(&extras_of(guest)->former, 0);
	ok = track_quiet(&channel->track) || note_former(guest, statement, name);
	before = **told;
	names_remove(&guest->names, name);
	ok = ok && names_put(&guest->names, name, read) && names_look(&guest->names, name, told);
	statement_drop(read);
	if (ok)
		**told = before;
	else
		guest_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL, NULL);
	return ok ? read : NULL;
}
