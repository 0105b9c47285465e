/* A client's prepared statements on whichever server it is lent; the unnamed one is in relay_unnamed.c.
 *
 *   Parse "q1"  -> statement 7 (text and types)    -> Parse "PGWEIR_7", or nothing where the server has it (a fake ParseComplete)
 *   Bind "q1"   -> [Parse "PGWEIR_7" of our own,]  -> Bind "PGWEIR_7"
 *   Close "q1"  -> the name is forgotten           -> nothing (a fake CloseComplete); the server keeps it for others
 *
 * A name changes when the server has answered, or when the fake's turn has come: until then it is pending (relay_pending.c). */
#include "base/reader.h"
#include "serve/extras.h"
#include "serve/relay.h"

/* NULL: the one that is there for the sake of an error. */
static size_t name_on_server(const struct guest *guest, const struct statement *statement, char out[STATEMENT_NAME])
{
	if (statement)
		return statement_name(statement, out);
	return statement_name_of(guest->worker->house->statements, RELAY_ID_IN_USE, out);
}

static bool send_close(struct guest *guest, const struct statement *statement, unsigned flags, uint32_t tag)
{
	char name[STATEMENT_NAME];
	size_t length = name_on_server(guest, statement, name) + 1;
	struct outbox *o = &guest->worker->to_server;
	uint8_t *at;

	if (!relay_owe(guest, TRACK_CLOSE, flags, tag))
		return false;
	at = relay_header(outbox_room(o, FRAME_HEADER + 1 + length), 'C', 1 + length);
	*at++ = 'S';
	memcpy(at, name, length);
	return true;
}

static void add_parse(struct guest *guest, const struct statement *statement, struct span tail)
{
	char name[STATEMENT_NAME];
	size_t length = name_on_server(guest, statement, name) + 1;
	struct outbox *o = &guest->worker->to_server;
	uint8_t *at = relay_header(outbox_room(o, FRAME_HEADER + length), 'P', length + tail.length);

	memcpy(at, name, length);
	/* The text stays as long as the server has it; what the server skips may be gone before it is sent. */
	if (guest->channel->track.skipping)
		outbox_copy(o, tail.at, tail.length);
	else
		outbox_add(o, tail.at, tail.length);
}

static bool send_parse(struct guest *guest, struct statement *statement, unsigned flags)
{
	struct channel *channel = guest->channel;

	if (!relay_owe(guest, TRACK_PARSE, flags, statement->id))
		return false;
	/* While the server skips to the next Sync it does not read this. */
	if (!channel->track.skipping && !prepared_sent(channel->prepared, statement, channel->batch)) {
		guest_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL, NULL);
		return false;
	}
	guest_view(guest)->stats.server_parses++;
	add_parse(guest, statement, span_of(statement->tail, statement->tail_length));
	return relay_ask_shape(guest, statement);
}

bool relay_ensure_prepared(struct guest *guest, struct statement *statement)
{
	const struct prepared_shape *there;

	switch (prepared_look_shape(guest->channel->prepared, statement, guest->channel->batch, &there)) {
	case PREPARED_READY:
	case PREPARED_PENDING:
		return there->shape.columns != 0 || there->asked > 0 || relay_ask_shape(guest, statement);
	case PREPARED_DOUBTFUL:
		return send_close(guest, statement, TRACK_OURS, statement->id) &&
			send_parse(guest, statement, TRACK_OURS);
	case PREPARED_NONE:
		break;
	}
	return send_parse(guest, statement, TRACK_OURS);
}

/* What a Parse says behind its name, or as much of it as is here. */
static void say_tail(struct guest *guest, const uint8_t *tail, size_t length)
{
	const uint8_t *zero = memchr(tail, 0, length);

	habits_say(guest->channel, span_of(tail, zero ? (size_t)(zero - tail) : length), !zero);
}

/* What this Parse or Bind, as far as it is here, is about. Empty: nothing that is known. */
static struct span text_of(const struct guest *guest, struct span in, struct frame frame)
{
	struct reader r = reader_of(span_skip(in, FRAME_HEADER));
	struct span name, tail;
	struct statement *statement;

	if (frame.type == 'P')
		return in.length >= FRAME_HEADER + (size_t)frame.body &&
				message_read_parse(span_of(in.at + FRAME_HEADER, frame.body), &name, &tail)
			? span_text((const char *)tail.at)
			: span_of("", 0);
	(void)read_string(&r);
	name = read_string(&r);
	statement = reader_ok(&r) ? pending_get(guest, name) : NULL;
	return statement ? statement_text(statement) : span_of("", 0);
}

/* More statements than the server is to keep: close those used longest ago. At the front of a batch, where no error can make the server
 * skip it, and no COPY can run; it costs no round trip there. What is to stand before this batch goes out before that. */
enum ahead relay_close_excess(struct guest *guest, struct span in, struct frame frame)
{
	size_t most = (size_t)guest->worker->config->max_prepared_statements, total = FRAME_HEADER + (size_t)frame.body;
	struct channel *channel = guest->channel;
	struct statement *statement;
	enum ahead step;

	if (!relay_shares_statements(guest) || !track_quiet(&channel->track) ||
		prepared_count(channel->prepared) <= most ||
		(frame.type == 'P' && in.length < total && total <= WHOLE_MAX)) /* it comes again */
		return AHEAD_GO;
	step = remains_look_batch(guest, text_of(guest, in, frame));
	if (step != AHEAD_GO || !track_quiet(&channel->track))
		return step;
	while ((statement = prepared_excess(channel->prepared, most))) {
		bool sent;

		relay_note_request(guest); /* for the message at hand, though not all of it may be here */
		sent = send_close(guest, statement, TRACK_OURS, statement->id);
		statement_drop(statement);
		if (!sent)
			return AHEAD_STOP;
	}
	return AHEAD_GO;
}

/* A client may not reach another's statement by guessing its name on the server. */
static bool is_reserved(const struct guest *guest, struct span name)
{
	struct span prefix = span_text(statement_prefix(guest->worker->house->statements));

	return name.length >= prefix.length && memcmp(name.at, prefix.at, prefix.length) == 0;
}

static enum step refuse_reserved(struct guest *guest)
{
	guest_complain(guest, SQLSTATE_UNDEFINED_STATEMENT, "this prepared statement name is reserved", NULL,
		"Names that begin with the pooler's own prefix can not be used by clients.");
	return STEP_STOP;
}

static void add_frame(struct guest *guest, struct span whole)
{
	outbox_add(&guest->worker->to_server, whole.at, whole.length);
}

static bool is_long(const struct statement *statement)
{
	return statement->tail_length == 0;
}

/* The server must say an error, with what that does to a transaction. So the text is sent for a name that is surely in use there, as the
 * empty statement is allowed even in an aborted block: that is the error, or an earlier one. */
static bool occupy_name(struct guest *guest)
{
	if (!send_close(guest, NULL, TRACK_OURS, 0) || !relay_owe(guest, TRACK_PARSE, TRACK_OURS, 0))
		return false;
	add_parse(guest, NULL, span_of("\0\0", 3));
	return true;
}

bool relay_send_in_vain(struct guest *guest, struct span tail, uint32_t tag)
{
	if (!occupy_name(guest) || !relay_owe(guest, TRACK_PARSE, TRACK_AGAIN, tag))
		return false;
	add_parse(guest, NULL, tail);
	return true;
}

static bool note_again(struct guest *guest, struct statement *known, struct span name)
{
	struct extras *extras = extras_of(guest);

	if (extras && relay_note_name(&extras->again, known->id, name))
		return true;
	guest_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL, NULL);
	return false;
}

/* The same with a text that is too long to keep: it goes on as it comes, behind another name. */
static enum step parse_long_again(
	struct guest *guest, struct span here, size_t more, struct span name, struct statement *known)
{
	struct outbox *o = &guest->worker->to_server;
	char server_name[STATEMENT_NAME];
	size_t length = name_on_server(guest, NULL, server_name) + 1;

	if (!note_again(guest, known, name) || !occupy_name(guest) ||
		!relay_owe(guest, TRACK_PARSE, TRACK_AGAIN, known->id))
		return STEP_STOP;
	memcpy(relay_header(outbox_room(o, FRAME_HEADER + length), 'P', length + here.length + more), server_name,
		length);
	outbox_add(o, here.at, here.length);
	return STEP_TAKEN;
}

/* A statement too long to keep lives on the one server where it was sent, and its client with it. */
static enum step parse_long(struct guest *guest, struct span in, struct frame frame)
{
	size_t here = in.length - FRAME_HEADER < frame.body ? in.length - FRAME_HEADER : frame.body;
	struct span body = span_of(in.at + FRAME_HEADER, here);
	struct reader r = reader_of(body);
	struct span name = read_string(&r);
	struct statement *marker, *known;
	bool ok;

	if (!reader_ok(&r))
		return here < WHOLE_MAX ? STEP_WAIT : relay_owe(guest, TRACK_PARSE, 0, 0) ? STEP_FORWARD : STEP_STOP;
	if (is_reserved(guest, name))
		return refuse_reserved(guest);
	if (name.length > 0 && pending_unsure(guest, name))
		return pending_hold(guest);
	known = name.length > 0 ? pending_get(guest, name) : NULL;
	if (known && !is_long(known))
		return parse_long_again(guest, span_skip(body, name.length + 1), frame.body - here, name, known);
	if (!relay_owe(guest, TRACK_PARSE, 0, TAG_LONG))
		return STEP_STOP;
	if (name.length > 0 && !known) {
		marker = statement_take(guest->worker->house->statements, span_of("", 0), NULL, 0);
		ok = marker && pending_reserve(guest) && names_put(&guest->names, name, marker);
		statement_drop(marker);
		if (!ok) {
			guest_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL, NULL);
			return STEP_STOP;
		}
		guest->long_names = true;
		guest->channel->pinned = true;
	}
	return STEP_FORWARD;
}

/* The name is in use: the server says so; relay_server puts the client's name into the text. */
static enum step parse_again(
	struct guest *guest, struct span whole, struct span name, struct span tail, struct statement *known)
{
	if (is_long(known)) {
		if (!relay_owe(guest, TRACK_PARSE, 0, 0))
			return STEP_STOP;
		add_frame(guest, whole);
		return STEP_TAKEN;
	}
	return note_again(guest, known, name) && relay_send_in_vain(guest, tail, known->id) ? STEP_TAKEN : STEP_STOP;
}

/* What a client may keep here has an end, as a session of PostgreSQL has one in memory. */
static bool has_too_many(const struct guest *guest, struct span name, const struct statement *more)
{
	int64_t most = guest->worker->config->client_statements_max;

	return most > 0 && pending_bytes(guest) + name_bytes(name, more) > (uint64_t)most;
}

/* Whether a message may be answered without the server. What stands behind a COPY from the client ends it, with an error. */
static bool may_answer(const struct channel *channel)
{
	return !channel->may_copy || track_quiet(&channel->track);
}

/* The server closes one that it has not got. */
static enum step answer_close(struct guest *guest, unsigned flags)
{
	if (!may_answer(guest->channel))
		return send_close(guest, NULL, flags, 0) ? STEP_DISCARD : STEP_STOP;
	return relay_owe(guest, TRACK_CLOSE, TRACK_FAKE | flags, 0) ? STEP_DISCARD : STEP_STOP;
}

static enum step parse_named(struct guest *guest, struct span whole, struct span name, struct span tail)
{
	struct channel *channel = guest->channel;
	struct statement *statement = pending_get(guest, name);
	enum step step = STEP_TAKEN;
	enum ahead ahead;

	if (pending_unsure(guest, name))
		return pending_hold(guest);
	ahead = remains_look_batch(guest, span_text((const char *)tail.at));
	if (ahead != AHEAD_GO)
		return relay_step(ahead);
	guest_view(guest)->stats.client_parses++;
	say_tail(guest, tail.at, tail.length);
	if (statement)
		return parse_again(guest, whole, name, tail, statement);
	statement = relay_take_statement(guest, tail);
	if (!statement)
		return STEP_STOP;
	if (has_too_many(guest, name, statement)) {
		statement_drop(statement);
		return relay_send_in_vain(guest, tail, TAG_TOO_MANY) ? STEP_TAKEN : STEP_STOP;
	}
	if (!pending_add(guest, name, statement)) {
		statement_drop(statement);
		return STEP_STOP;
	}
	switch (prepared_look(channel->prepared, statement, channel->batch)) {
	case PREPARED_READY:
	case PREPARED_PENDING:
		if (channel->track.status != 'E' && !channel->failing && track_readies(&channel->track) == 0 &&
			may_answer(channel)) {
			if (!relay_owe(guest, TRACK_PARSE, TRACK_FAKE | TRACK_NAMES, statement->id))
				step = STEP_STOP;
			break;
		}
		/* In an aborted block a Parse fails, and the server must say so. A ROLLBACK may be on its way, and then it must succeed;
		 * or an error is. */
		__attribute__((fallthrough));
	case PREPARED_DOUBTFUL:
		if (!send_close(guest, statement, TRACK_OURS, statement->id) ||
			!send_parse(guest, statement, TRACK_NAMES))
			step = STEP_STOP;
		break;
	case PREPARED_NONE:
		if (!send_parse(guest, statement, TRACK_NAMES))
			step = STEP_STOP;
		break;
	}
	statement_drop(statement);
	return step;
}

void relay_note_statement(struct channel *channel, struct span text)
{
	const uint8_t *zero = memchr(text.at, 0, text.length);
	size_t length = zero ? (size_t)(zero - text.at) : text.length;

	habits_say(channel, span_of(text.at, length), !zero);
	/* What was cut can not be judged. */
	channel->reads_only = zero && length <= sizeof channel->statement;
}

enum step relay_parse(struct guest *guest, struct span in, struct frame frame)
{
	size_t total = FRAME_HEADER + (size_t)frame.body;
	struct span whole = span_of(in.at, total), name, tail;

	guest->channel->reads_only = false;
	if (relay_moves(guest) && frame.body > 0 && in.length == FRAME_HEADER)
		return STEP_WAIT;
	if (relay_moves(guest) && frame.body > 0 && in.at[FRAME_HEADER] == 0)
		return unnamed_parse(guest, in, frame);
	if (!relay_shares_statements(guest) || frame.body == 0) {
		size_t here = in.length < total ? in.length - FRAME_HEADER : frame.body;
		const uint8_t *zero = here > 0 ? memchr(in.at + FRAME_HEADER, 0, here) : NULL;

		size_t said = zero ? here - (size_t)(zero + 1 - (in.at + FRAME_HEADER)) : 0;
		const uint8_t *end = said > 0 ? memchr(zero + 1, 0, said) : NULL;
		enum ahead step = AHEAD_GO;

		if (end)
			step = remains_look_session(guest, span_of(zero + 1, (size_t)(end - (zero + 1))), true);
		if (step != AHEAD_GO)
			return relay_step(step);
		if (zero)
			say_tail(guest, zero + 1, said);
		relay_note_request(guest);
		return relay_owe(guest, TRACK_PARSE, 0, 0) ? STEP_FORWARD : STEP_STOP;
	}
	if (frame.body > guest->worker->config->statement_text_max)
		return parse_long(guest, in, frame);
	if (in.length < total)
		return total <= WHOLE_MAX ? STEP_WAIT : STEP_COLLECT;
	relay_note_request(guest);
	if (!message_read_parse(span_of(in.at + FRAME_HEADER, frame.body), &name, &tail))
		/* PostgreSQL has the words for what is wrong with it. */
		return relay_owe(guest, TRACK_PARSE, 0, 0) ? STEP_FORWARD : STEP_STOP;
	return parse_named(guest, whole, name, tail);
}

/* For a statement that is not shared, or the unnamed one: it goes on as it is. */
static enum step bind_unshared(struct guest *guest, struct span portal, struct span name, struct span values,
	const struct statement *statement)
{
	bool shares = relay_shares_statements(guest);
	uint32_t unseen = 0;
	enum ahead step;
	enum step seen;

	if (!statement && name.length > 0 && shares && is_reserved(guest, name))
		return refuse_reserved(guest);
	if (name.length > 0)
		relay_note_bound(guest, portal, NULL);
	else if ((seen = unnamed_bind(guest, portal, values)) != STEP_FORWARD)
		return seen;
	if (statement || guest->unnamed_long || (name.length > 0 && !shares))
		unseen = LOOK_UNKNOWN | LOOK_UNNAMED; /* nobody looked at it */
	else if (name.length > 0)
		unseen = LOOK_EXECUTE; /* made by SQL's PREPARE, or it is not there */
	step = unseen ? remains_run(guest, unseen, true) : AHEAD_GO;
	if (step != AHEAD_GO)
		return relay_step(step);
	guest_view(guest)->stats.binds++;
	return relay_owe(guest, TRACK_BIND, 0, 0) ? STEP_FORWARD : STEP_STOP;
}

/* With the server's name of the statement; of the `length` bytes behind it, those that are here. */
static void send_bind(
	struct guest *guest, const struct statement *statement, struct span portal, struct span here, size_t length)
{
	struct outbox *to = &guest->worker->to_server;
	char name[STATEMENT_NAME];
	size_t name_length = statement_name(statement, name) + 1, front = portal.length + 1 + name_length;
	uint8_t *at = relay_header(outbox_room(to, FRAME_HEADER + front), 'B', front + length);

	memcpy(at, portal.at, portal.length);
	at += portal.length;
	*at++ = 0;
	memcpy(at, name, name_length);
	outbox_add(to, here.at, here.length);
}

enum step relay_bind(struct guest *guest, struct span in, struct frame frame)
{
	size_t here = in.length - FRAME_HEADER < frame.body ? in.length - FRAME_HEADER : frame.body;
	struct reader r = reader_of(span_of(in.at + FRAME_HEADER, here));
	struct span portal, name, values, formats;
	struct statement *statement;
	struct shape *told = NULL;
	enum ahead step;
	enum step seen;
	bool ready;

	portal = read_string(&r);
	name = read_string(&r);
	values = here == frame.body && reader_ok(&r) ? span_of(r.at, reader_left(&r)) : span_of("", 0);
	if (!reader_ok(&r)) {
		if (here < frame.body && here < WHOLE_MAX)
			return STEP_WAIT;
		name = span_of(NULL, 0); /* broken: PostgreSQL says so */
	}
	if (name.length > 0 ? pending_unsure(guest, name) : unnamed_is_unsure(guest))
		return pending_hold(guest);
	relay_note_request(guest);
	statement = name.length > 0 && relay_shares_statements(guest) ? pending_look(guest, name, &told) : NULL;
	/* Which of its values are binary decides whether it may go on. */
	if (told && told->parameters > SHAPE_NONE && here < frame.body && here < WHOLE_MAX)
		return STEP_WAIT;
	if (!statement || is_long(statement))
		return bind_unshared(guest, portal, name, values, statement);
	if (portal.length + FRAME_HEADER + STATEMENT_NAME + 1 > OUTBOX_SCRATCH) {
		guest_complain(guest, SQLSTATE_PROGRAM_LIMIT, "the name of a portal is too long", NULL, NULL);
		return STEP_STOP;
	}
	statement = relay_read_again(guest, name, statement, &told);
	if (!statement)
		return STEP_STOP;
	step = remains_look_batch(guest, statement_text(statement));
	if (step != AHEAD_GO)
		return relay_step(step);
	formats = span_of(r.at, reader_left(&r));
	seen = relay_see_shape(guest, statement, told, &formats, &ready);
	if (seen != STEP_FORWARD)
		return seen;
	step = remains_look_statement(guest, statement, values);
	if (step != AHEAD_GO)
		return relay_step(step);
	if ((!ready && !relay_ensure_prepared(guest, statement)) || !relay_owe(guest, TRACK_BIND, 0, statement->id))
		return STEP_STOP;
	guest_view(guest)->stats.binds++;
	habits_say_statement(guest->channel, statement);
	relay_note_bound(guest, portal, statement);
	send_bind(guest, statement, portal, span_of(r.at, reader_left(&r)),
		frame.body - (portal.length + 1) - (name.length + 1));
	return STEP_TAKEN; /* what is still to come of it goes on as it is */
}

/* Describe and Close: 'S' with a name is a statement's. */
enum step relay_target(struct guest *guest, struct span in, struct frame frame)
{
	bool describe = frame.type == 'D';
	size_t total = FRAME_HEADER + (size_t)frame.body, length;
	struct statement *statement;
	char server_name[STATEMENT_NAME], kind;
	struct shape *told = NULL;
	struct span name;
	enum track_kind owed;
	enum step step;
	bool ready;
	uint8_t *at;

	if (in.length < total && total <= WHOLE_MAX)
		return STEP_WAIT;
	if (in.length < total || !message_read_target(span_of(in.at + FRAME_HEADER, frame.body), &kind, &name)) {
		kind = 'P';
		name = span_of(NULL, 0);
	}
	if (kind == 'S' && (name.length > 0 ? pending_unsure(guest, name) : describe && unnamed_is_unsure(guest)))
		return pending_hold(guest);
	relay_note_request(guest);
	owed = !describe ? TRACK_CLOSE : kind == 'S' ? TRACK_DESCRIBE_STATEMENT : TRACK_DESCRIBE_PORTAL;
	statement = kind == 'S' && name.length > 0 && relay_shares_statements(guest) ? pending_look(guest, name, &told)
										     : NULL;
	if (!statement) {
		if (kind == 'S' && name.length > 0 && relay_shares_statements(guest)) {
			if (is_reserved(guest, name))
				return refuse_reserved(guest);
			/* Closing what does not exist is no error; but SQL's PREPARE makes statements too. */
			if (!describe && remains_may_prepare(guest->channel)) {
				remains_mark(guest->channel, LOOK_PREPARE);
				return relay_owe(guest, TRACK_CLOSE, 0, 0) ? STEP_FORWARD : STEP_STOP;
			}
			if (!describe)
				return answer_close(guest, 0);
		}
		if (kind == 'S' && name.length == 0) {
			if (describe && !unnamed_ensure(guest))
				return STEP_STOP;
			if (!describe && relay_moves(guest))
				return unnamed_close(guest);
		}
		/* A cursor WITH HOLD is a portal, and this ends it as CLOSE does. */
		if (kind == 'P' && !describe && remains_may_hold(guest->channel))
			remains_mark(guest->channel, LOOK_CURSOR);
		return relay_owe(guest, owed, 0, 0) ? STEP_FORWARD : STEP_STOP;
	}
	if (is_long(statement)) {
		if (!describe) {
			uint32_t id = statement->id;

			names_remove(&guest->names, name);
			guest->long_names = names_find(&guest->names, id, &name);
			guest->channel->pinned = guest->long_names || guest->unnamed_long;
		}
		return relay_owe(guest, owed, 0, describe ? 0 : TAG_LONG) ? STEP_FORWARD : STEP_STOP;
	}
	if (!describe) {
		if (!pending_add(guest, name, NULL))
			return STEP_STOP;
		return answer_close(guest, TRACK_NAMES);
	}
	statement = relay_read_again(guest, name, statement, &told);
	step = statement ? relay_see_shape(guest, statement, told, NULL, &ready) : STEP_STOP;
	if (step != STEP_FORWARD)
		return step;
	if (!relay_ensure_prepared(guest, statement) || !relay_owe(guest, owed, 0, statement->id))
		return STEP_STOP;
	length = statement_name(statement, server_name) + 1;
	at = relay_header(outbox_room(&guest->worker->to_server, FRAME_HEADER + 1 + length), 'D', 1 + length);
	*at++ = 'S';
	memcpy(at, server_name, length);
	return STEP_TAKEN;
}
