/* What a client was told of its statement's columns and types, and what another server says of them.
 *
 * PostgreSQL keeps both for as long as a statement is there: when DDL has changed its columns, using it is an error ("cached plan must not change
 * result type"), by which drivers know that they must prepare it anew; until then they read rows by a Describe of long ago. A server that is sent the
 * Parse behind that DDL, whoever did that and wherever, knows nothing of it: it would answer with columns that nobody was told of.
 *
 *   Parse "PGWEIR_7" -> [Describe "PGWEIR_7" of our own]      each server's answer is kept with its statement   (session/prepared)
 *   ParseComplete "q1" -> what was told of "q1" is what this server says                                       (session/statement_names)
 *   Bind "q1" -> elsewhere: [Parse, Describe, Flush,] wait; the same: Bind;  another: a Parse that fails, and the client is told PostgreSQL's error
 *
 * The Bind waits, since what it runs could not be taken back any more; it does so once for each server and statement. On a server that has it already
 * nothing is sent, and PostgreSQL itself refuses it there when its columns have changed. Nobody is refused by what a server said in an earlier batch: that
 * may be older than what its client was told, or of DDL that was rolled back. */
#include "base/reader.h"
#include "serve/catalogs.h"
#include "serve/relay.h"

bool relay_ask_shape(struct guest *guest, struct statement *statement)
{
	char name[STATEMENT_NAME];
	size_t length = statement_name(statement, name) + 1;
	uint8_t *at;

	if (guest->channel->track.skipping || !statement_keeps_columns(statement))
		return true;
	if (!relay_owe(guest, TRACK_DESCRIBE_STATEMENT, TRACK_OURS, statement->id))
		return false;
	prepared_asked(guest->channel->prepared, statement->id);
	at = relay_header(outbox_room(&guest->worker->to_server, FRAME_HEADER + 1 + length), 'D', 1 + length);
	*at++ = 'S';
	memcpy(at, name, length);
	return true;
}

static enum step hold(struct guest *guest)
{
	if (guest->channel->track.open)
		relay_empty(&guest->worker->to_server, 'H');
	return pending_hold(guest);
}

static enum step refuse(struct guest *guest, const struct statement *statement)
{
	/* Who prepares the text from now on must not be given one that some server has as it was. */
	if (statement_is_current(statement, catalogs_meaning(guest)))
		catalogs_outdated(guest->channel);
	return relay_send_in_vain(guest, span_of(statement->tail, statement->tail_length), TAG_CHANGED) ? STEP_DISCARD
													: STEP_STOP;
}

/* Whether one of a Bind's values is in binary. Text is read by its new type as well as by its old one. */
static bool has_binary(struct span values)
{
	struct reader r = reader_of(values);
	uint16_t count = read_u16(&r);

	if (!reader_ok(&r))
		return true; /* not here yet */
	while (count-- > 0)
		if (read_u16(&r) != 0 || !reader_ok(&r))
			return true;
	return false;
}

enum step relay_see_shape(
	struct guest *guest, struct statement *statement, struct shape *told, const struct span *values, bool *ready)
{
	struct channel *channel = guest->channel;
	const struct prepared_shape *there;
	bool is_there, parameters_matter;

	is_there = prepared_look_shape(channel->prepared, statement, channel->batch, &there) == PREPARED_READY &&
		there->shape.columns != 0;
	*ready = is_there;
	if (!told || channel->track.skipping)
		return STEP_FORWARD;
	if (told->columns == 0 && is_there)
		*told = there->shape;
	if (told->columns == 0 ||
		(is_there && told->columns == there->shape.columns && told->parameters == there->shape.parameters))
		return STEP_FORWARD;
	parameters_matter = !values || (told->parameters > SHAPE_NONE && has_binary(*values));
	/* What returns no rows, and is given no values or texts, is the same whatever its table is. */
	if (values && told->columns == SHAPE_NONE && !parameters_matter)
		return STEP_FORWARD;
	if (!is_there)
		return relay_ensure_prepared(guest, statement) ? hold(guest) : STEP_STOP;
	if (told->columns != there->shape.columns ||
		(values && parameters_matter && told->parameters != there->shape.parameters)) {
		if (there->batch == channel->batch)
			return refuse(guest, statement);
		/* It may be the server's that is old, or was read behind DDL that is undone: it is prepared anew, and asked once more. */
		(void)prepared_doubt(channel->prepared, statement->id);
		return relay_ensure_prepared(guest, statement) ? hold(guest) : STEP_STOP;
	}
	if (!values)
		told->parameters = there->shape.parameters; /* it is told of them now */
	return STEP_FORWARD;
}

void relay_name_shape(struct guest *guest, struct span name, struct statement *statement)
{
	struct channel *channel = guest->channel;
	const struct prepared_shape *there;
	struct shape *told;

	if (!names_look(&guest->names, name, &told))
		return;
	(void)prepared_look_shape(channel->prepared, statement, channel->batch, &there);
	*told = there->shape;
}

/* What the server says of it is whole. */
static void take_shape(struct channel *channel)
{
	struct guest *guest = channel->guest;
	uint32_t mixed = shape_end(&channel->shape_reader);
	struct span name;
	struct shape *told;

	channel->describing = false;
	if (channel->shape_reader.type == 't') {
		channel->shape.parameters = mixed;
		return;
	}
	channel->shape.columns = mixed;
	prepared_told(channel->prepared, channel->shape_of, channel->shape);
	if (!guest)
		return;
	if (names_find(&guest->names, channel->shape_of, &name) && names_look(&guest->names, name, &told) &&
		told->columns == 0)
		*told = channel->shape;
	pending_resume(guest);
}

void relay_shape_begins(struct channel *channel, char type, uint32_t id)
{
	shape_begin(&channel->shape_reader, type);
	channel->shape_of = id;
	channel->describing = true;
}

void relay_shape_goes_on(struct channel *channel, struct span here, bool last)
{
	shape_read(&channel->shape_reader, here);
	if (last)
		take_shape(channel);
}

void relay_shape_undone(struct channel *channel, uint32_t id)
{
	prepared_told(channel->prepared, id, (struct shape){ 0 });
	if (channel->guest)
		pending_resume(channel->guest);
}
