/* What a client leaves in the session of its server.
 *
 *   statement -> look: nothing ----------------------------------------> the lease ends with the transaction, as ever
 *                look: maybe  -> touched
 *                                   | the transaction ends
 *                                   v
 *                                question -> answer: settings -> the client's from now on, and the server's; the lease ends
 *                                            answer: a temporary table, a lock... -> pinned, until an answer says that it is gone
 *
 * The client does not wait for the answer: it has its ReadyForQuery, and what it sends meanwhile follows the question to the same
 * server. Asking costs what PostgreSQL takes for it, once for a transaction in which something suspicious was said.
 *
 * RESET means to the client: back to what I asked for at my login. To PostgreSQL it means: to what the pooler asked for. So the
 * client's own values are set again behind it (the correction), before anything else that the client sends, and its ReadyForQuery waits
 * for that: what it is told of its settings is what they are.
 *
 * What always holds:
 *   - touched or pinned: the lease does not end but with its client;
 *   - it ends so: the server runs DISCARD ALL before anybody else has it;
 *   - channel->applied is what the session has, when nothing is touched.
 *
 * Here a statement is looked at, and the lease ends; remains_question.c asks, remains_reset.c leads a RESET to the client's own values. */
#include "serve/remains.h"

#include "base/text.h"
#include "serve/catalogs.h"
#include "serve/channel.h"
#include "serve/relay.h"
#include "serve/remains_parts.h"

/* Marks after which what is prepared may be read in a way of its own, until it is known what they came to. */
#define OWN_SETTINGS (LOOK_READING | LOOK_UNKNOWN | LOOK_UNNAMED)
#define OWN_NAMES    (LOOK_TEMPORARY | LOOK_DEFINES | LOOK_UNKNOWN)

/* Names of settings that one question asks for; more are too many to be carried (session/question.c). */
#define SET_NAMES_MAX 200

/* For how long a Query waits for the catalogue at most. */
#define CATALOGUE_WAIT (5 * SECOND_US)

/* Marks of what leaves nothing. */
#define PASSING (LOOK_INSERT | LOOK_CLOCK | LOOK_READS_ONCE | LOOK_FREEZES)

/* Marks after which the server must be asked. */
#define ASKING \
	(LOOK_SETTINGS | LOOK_TEMPORARY | LOOK_CURSOR | LOOK_LOCK | LOOK_PREPARE | LOOK_LISTEN | LOOK_UNKNOWN | \
		LOOK_RESET | LOOK_RESET_ALL | LOOK_HEAR)

bool remains_corrects(const struct guest *guest)
{
	return remains_matter(guest) ||
		(guest->pool != NO_POOL && !relay_moves(guest) &&
			guest_view(guest)->rules.transparency == TRANSPARENCY_FULL && guest->startup &&
			params_count(guest->startup) > 0);
}

/* ---- suspecting ---- */

void remains_set_pins(struct channel *channel, uint32_t pins)
{
	struct remains *r = &channel->remains;

	if (pins && !r->pins)
		channel_view(channel)->stats.pins++;
	r->pins = pins;
}

void remains_pin(struct channel *channel, enum pin why)
{
	remains_set_pins(channel, channel->remains.pins | 1u << why);
}

void remains_pin_listen(struct channel *channel)
{
	remains_pin(channel, PIN_LISTEN);
}

void remains_unpin_listen(struct channel *channel)
{
	remains_unpin(&channel->remains, PIN_LISTEN);
}

/* PostgreSQL refuses while other sessions are in the database, and servers of ours are such where no client of ours is. */
static void vacate_databases(struct channel *channel)
{
	struct worker *worker = channel->worker;
	struct event event = { .kind = EVENT_VACATE, .now = worker->now, .pool = channel->pool };

	worker_step(worker, &event);
}

void remains_come_in_front(struct channel *channel)
{
	if (!channel->remains.in_front)
		channel->remains.hides = statement_newest(channel->worker->house->statements);
	channel->remains.in_front = channel->remains.temporary = true;
}

/* DROP, and a few commands like CREATE INDEX and CREATE ROLE. */
static bool may_drop(uint32_t marks)
{
	const uint32_t drop = LOOK_TEMPORARY | LOOK_COMMAND;

	return (marks & (drop | LOOK_DEFINES | LOOK_IN_FRONT)) == drop;
}

void remains_mark(struct channel *channel, uint32_t marks)
{
	struct remains *r = &channel->remains;

	if (!channel->guest || !remains_matter(channel->guest))
		return;
	/* CREATE TABLE ... AS EXECUTE: of types that it does not name. */
	if ((marks & LOOK_DEFINES) && (marks & LOOK_EXECUTE) && remains_may_prepare(channel))
		marks |= LOOK_REDEFINES;
	if (marks & LOOK_EXECUTE)
		marks |= r->prepared;
	r->failed = false;
	if (numbers_mark(channel, marks) && !remains_is_pinned(r, PIN_SEQUENCE)) {
		remains_pin(channel, PIN_SEQUENCE);
		channel_limits(channel);
	}
	if (marks & LOOK_REDEFINES)
		catalogs_change(channel);
	else if (marks & LOOK_DEFINES)
		catalogs_draft(channel);
	/* Who has temporary objects drops those, mostly, and nobody else means them. */
	if (may_drop(marks) && !r->in_front && !remains_is_pinned(r, PIN_TEMPORARY))
		catalogs_lose(channel);
	if (marks & LOOK_DATABASE)
		vacate_databases(channel);
	if (marks & LOOK_FOR_GOOD)
		remains_pin(channel, PIN_FOR_GOOD);
	if (marks & LOOK_UNNAMED)
		remains_pin(channel, PIN_UNSEEN);
	if (marks & (LOOK_UNNAMED | LOOK_UNKNOWN | LOOK_RESET))
		r->ends_unseen = false;
	if (marks & LOOK_IN_FRONT)
		remains_come_in_front(channel);
	r->own_settings = r->own_settings || (marks & OWN_SETTINGS);
	r->own_names = r->own_names || (marks & OWN_NAMES);
	r->touched |= marks & ASKING;
}

static void note_statement(struct remains *r, struct span text)
{
	if (r->touched || r->pins)
		return;
	r->statement_length = text.length < sizeof r->statement ? text.length : sizeof r->statement;
	memcpy(r->statement, text.at, r->statement_length);
}

/* Names go into sets whose values say what they are. */
static bool add_name(struct channel *channel, struct params **set, const char *name, const char *value)
{
	if (!*set)
		*set = params_empty(channel->worker->house->params);
	return params_put(set, span_text(name), span_text(value));
}

static void add_resets(struct channel *channel, const struct look *look)
{
	struct remains *r = &channel->remains;
	struct params *startup = channel->guest->startup;
	bool ok = true, was_reset = remains_is_reset(r);

	for (unsigned i = 0; ok && i < look->count; i++) {
		enum look_name_kind kind = look->names[i].kind;

		if ((kind == LOOK_NAME_RESET || kind == LOOK_NAME_RESET_LOCAL) && startup &&
			params_get(startup, span_text(look->names[i].name)))
			ok = add_name(channel, &r->resets, look->names[i].name,
				kind == LOOK_NAME_RESET_LOCAL ? "true" : "false");
	}
	if ((look->marks & LOOK_RESET_ALL) && startup && params_count(startup) > 0)
		r->reset_all = true;
	if ((look->marks & LOOK_SET_BEHIND) || (was_reset && (look->marks & (LOOK_SETTINGS | LOOK_UNKNOWN))))
		r->set_behind = true;
	if (remains_is_reset(r) && !was_reset)
		r->before = track_readies(&channel->track);
	if (!ok)
		r->refused = true;
}

static void add_names(struct channel *channel, const struct look *look)
{
	struct remains *r = &channel->remains;
	bool ok = true;

	for (unsigned i = 0; ok && i < look->count; i++) {
		if (look->names[i].kind == LOOK_NAME_SET && r->set && params_count(r->set) >= SET_NAMES_MAX)
			remains_pin(channel, PIN_UNSEEN);
		else if (look->names[i].kind == LOOK_NAME_SET)
			ok = add_name(channel, &r->set, look->names[i].name, "");
		else if (look->names[i].kind == LOOK_NAME_CALL && (look->marks & LOOK_UNKNOWN))
			ok = add_name(channel, &r->called, look->names[i].name, "");
	}
	if (!ok)
		r->refused = true;
	add_resets(channel, look);
}

void remains_name(struct channel *channel, const struct look *look)
{
	if (look->marks & LOOK_UNNAMED)
		remains_pin(channel, PIN_UNSEEN);
	add_names(channel, look);
}

/* Outside a transaction block, and with nothing of the client's before it in its batch that runs: it holds when it has succeeded. */
static bool stands_alone(const struct track *track)
{
	for (uint32_t i = 0; i < track->count; i++) {
		const struct track_entry *entry = &track->ring[(track->head + i) % track->capacity];

		if (entry->flags & TRACK_OURS ? entry->tag == TAG_BEGIN : entry->kind != TRACK_PARSE)
			return false;
	}
	return track->status == 'I' && !track->skipping;
}

static void note_reset_all(struct channel *channel, struct span text, uint32_t marks)
{
	const uint8_t *end;
	const uint32_t its_own = LOOK_SETTINGS | LOOK_TEMPORARY | LOOK_CURSOR | LOOK_LOCK | LOOK_PREPARE | LOOK_LISTEN |
		LOOK_RESET_ALL | LOOK_READING;

	if (!(marks & LOOK_RESET_ALL) || (marks & ~its_own) || !stands_alone(&channel->track))
		return;
	end = memchr(text.at, ';', text.length);
	if (!end || relay_is_over(span_skip(text, (size_t)(end - text.at))))
		channel->remains.ends_unseen = true;
}

static void take_look(struct guest *guest, struct span text, const struct look *look)
{
	struct channel *channel = guest->channel;
	uint32_t marks = look->marks;

	if (marks & ~(uint32_t)PASSING)
		note_statement(&channel->remains, text);
	remains_mark(channel, marks);
	channel->remains.prepared |= look->prepared;
	channel->remains.made |= look->made;
	add_names(channel, look);
	note_reset_all(channel, text, look->marks);
}

/* At the words and what lies beneath them; of functions whose names are there it is known what they do. Without a catalogue they may do anything.
 * `statement`: that which has this text, or NULL. */
static void look_beneath(struct guest *guest, const struct catalog *catalog, struct statement *statement,
	struct span text, struct look *look)
{
	bool added;

	if (!catalog) {
		look_at(text, look);
		look->marks |= look->marks & LOOK_CALLS ? LOOK_UNKNOWN | LOOK_TEMPORARY | LOOK_IN_FRONT : 0;
		look->marks |= look->marks & (LOOK_DEFINES | LOOK_INDEXES) ? LOOK_REDEFINES : 0;
		look->made = look->marks & LOOK_IN_FRONT ? LOOK_UNKNOWN : 0;
		look->marks |= LOOK_READS_ONCE | LOOK_FREEZES;
		return;
	}
	added = statement ? statement_look(statement, catalog, look)
			  : look_again(&guest->worker->looks, catalog, text, look);
	if (added && (look->marks & LOOK_SETTINGS))
		look->marks |= LOOK_READING;
}

/* And what a default, a trigger or a view of the client's own may do. */
static void look_through(struct guest *guest, const struct catalog *catalog, struct statement *statement,
	struct span text, struct look *look)
{
	const struct remains *r = &guest->channel->remains;

	look_beneath(guest, catalog, statement, text, look);
	look->marks |= r->made;
	if (catalog && (r->made & (LOOK_SETTINGS | LOOK_UNKNOWN)))
		catalog_names(catalog, look);
}

/* It was looked at without a catalogue: whatever its words are, the server is asked about everything. That it took numbers is for
 * its words to say: nobody can ask about those, so whoever is suspected keeps the server, and here everybody would be. */
static void note_blind(struct guest *guest, const struct catalog *catalog, struct span text)
{
	struct remains *r = &guest->channel->remains;

	if (catalog)
		return;
	note_statement(r, text);
	numbers_mix(guest->channel);
	r->blind = true;
	r->failed = false;
	r->own_settings = r->own_names = true;
	r->touched |= LOOK_UNKNOWN;
}

/* What EXECUTE runs is what was PREPAREd on this server. */
static uint32_t run_marks(const struct channel *channel, uint32_t marks)
{
	return marks & LOOK_EXECUTE ? marks | channel->remains.prepared : marks;
}

/* Without a catalogue it is not known which functions ask for numbers. */
static uint32_t ask_marks(const struct channel *channel, const struct catalog *catalog, const struct look *look)
{
	uint32_t marks = run_marks(channel, look->marks | look->prepared);

	return !catalog && (marks & (LOOK_CALLS | LOOK_UNKNOWN)) ? marks | LOOK_CURRVAL : marks;
}

/* What must be said on this server before a statement with these marks. A temporary table is to come in front of what plans mean, those of functions
 * and of SQL's PREPARE. PostgreSQL looks at them again when a session makes its first; one that was used before has made that. Nor may
 * plans be those of others' settings. */
static enum ahead go_ahead(struct guest *guest, const struct numbers_asked *asked)
{
	bool in_front = (asked->marks & LOOK_IN_FRONT) && !remains_is_pinned(&guest->channel->remains, PIN_TEMPORARY);
	enum ahead step = numbers_before(guest, asked);

	return step == AHEAD_GO ? plans_before(guest, asked, in_front) : step;
}

enum ahead remains_look_session(struct guest *guest, struct span text, bool extended)
{
	struct channel *channel = guest->channel;
	bool full = guest->pool != NO_POOL && guest_view(guest)->rules.transparency == TRANSPARENCY_FULL;
	struct look look;

	if (relay_moves(guest) || !full || (!channel->remains.used && !remains_corrects(guest)))
		return AHEAD_GO;
	look_at(text, &look);
	if ((look.marks & LOOK_IN_FRONT) && channel->remains.used) {
		enum ahead step = plans_before(guest,
			&(struct numbers_asked){
				.extended = extended && !plans_come_apart(channel, text), .text = text },
			true);

		if (step != AHEAD_GO)
			return step;
	}
	if ((look.marks & (LOOK_RESET | LOOK_RESET_ALL)) && remains_corrects(guest))
		add_resets(channel, &look);
	return AHEAD_GO;
}

enum ahead remains_run(struct guest *guest, uint32_t marks, bool extended)
{
	struct numbers_asked asked = { .marks = run_marks(guest->channel, marks), .extended = extended };
	enum ahead step = AHEAD_GO;

	if (remains_matter(guest))
		step = go_ahead(guest, &asked);
	if (step == AHEAD_GO)
		remains_mark(guest->channel, marks);
	return step;
}

/* What it leads to is not known, and whatever is said ahead of it takes the snapshot before which its client sets a level. */
static bool waits_for_catalogue(struct guest *guest, const struct numbers_asked *asked)
{
	struct channel *channel = guest->channel;
	struct remains *r = &channel->remains;
	time_us now = guest->worker->now;

	if (r->defines != DEFINES_NOTHING || !(asked->marks & (LOOK_CALLS | LOOK_UNKNOWN)) ||
		!plans_would_hinder(channel, asked))
		return false;
	if (r->until == 0)
		r->until = now + CATALOGUE_WAIT;
	if (now >= r->until)
		return false;
	channel_limits(channel);
	return true;
}

enum ahead remains_look(struct guest *guest, struct span text, bool whole)
{
	const struct catalog *catalog;
	struct numbers_asked asked;
	enum ahead step;
	struct look look;

	if (!remains_matter(guest))
		return remains_look_session(guest, text, false);
	catalog = catalogs_see(guest);
	look_through(guest, catalog, NULL, text, &look);
	/* What is not here yet may say anything. */
	if (!whole)
		look.marks |= LOOK_UNKNOWN | LOOK_UNNAMED | LOOK_INSERT | LOOK_READS_ONCE | LOOK_FREEZES |
			(look.marks & (LOOK_DEFINES | LOOK_INDEXES) ? LOOK_REDEFINES : 0);
	asked = (struct numbers_asked){ .marks = ask_marks(guest->channel, catalog, &look), .text = text };
	if (!catalog && waits_for_catalogue(guest, &asked))
		return ahead_wait(guest);
	guest->channel->remains.until = 0;
	step = go_ahead(guest, &asked);
	if (step != AHEAD_GO)
		return step;
	if (look.marks || look.prepared)
		take_look(guest, text, &look);
	note_blind(guest, catalog, text);
	return AHEAD_GO;
}

enum ahead remains_look_batch(struct guest *guest, struct span text)
{
	const struct catalog *catalog;
	struct numbers_asked asked = { .text = text };
	struct look look;

	if (!remains_matter(guest) || !plans_come_apart(guest->channel, text))
		return AHEAD_GO;
	catalog = catalogs_see(guest);
	look_through(guest, catalog, NULL, text, &look);
	asked.marks = ask_marks(guest->channel, catalog, &look);
	return go_ahead(guest, &asked);
}

enum ahead remains_look_statement(struct guest *guest, struct statement *statement, struct span values)
{
	const struct catalog *catalog;
	struct numbers_asked asked;
	enum ahead step;
	struct look look;
	uint32_t marks;
	bool touches;

	if (!remains_matter(guest))
		return AHEAD_GO;
	catalog = catalogs_see(guest);
	/* First: it finds the marks as well. */
	touches = !catalog || statement_touches(statement, catalog);
	marks = statement_marks(statement);
	/* Most say nothing but INSERT, and only these have names or statements of their own. */
	if (!touches && !(marks & ~(uint32_t)(LOOK_INSERT | LOOK_CLOCK)) && !guest->channel->remains.pins &&
		!guest->channel->remains.made) {
		if (marks)
			remains_mark(guest->channel, marks);
		return AHEAD_GO;
	}
	look_through(guest, catalog, statement, statement_text(statement), &look);
	asked = (struct numbers_asked){ .marks = ask_marks(guest->channel, catalog, &look),
		.extended = !plans_come_apart(guest->channel, statement_text(statement)),
		.text = statement_text(statement),
		.values = values };
	step = go_ahead(guest, &asked);
	if (step != AHEAD_GO)
		return step;
	take_look(guest, statement_text(statement), &look);
	note_blind(guest, catalog, statement_text(statement));
	return AHEAD_GO;
}

enum ahead remains_look_function(struct guest *guest, uint32_t oid)
{
	uint32_t marks = look_function(oid);
	enum ahead step = remains_run(guest, marks, false);
	char text[40];

	if (step != AHEAD_GO || !marks || !remains_matter(guest))
		return step;
	text_format(text, sizeof text, "FunctionCall %u", oid);
	note_statement(&guest->channel->remains, span_text(text));
	return step;
}

/* ---- a lease ---- */

bool remains_begin(struct channel *channel)
{
	if (remains_matter(channel->guest))
		return numbers_begin(channel);
	numbers_unwatched(channel);
	return true;
}

bool remains_may_prepare(const struct channel *channel)
{
	const struct remains *r = &channel->remains;

	return remains_is_pinned(r, PIN_PREPARE) || ((r->touched | r->asking) & (LOOK_PREPARE | LOOK_UNKNOWN));
}

bool remains_may_hold(const struct channel *channel)
{
	const struct remains *r = &channel->remains;

	return remains_is_pinned(r, PIN_CURSOR) || ((r->touched | r->asking) & (LOOK_CURSOR | LOOK_UNKNOWN));
}

bool remains_settings_known(const struct guest *guest)
{
	const struct remains *r = &guest->channel->remains;

	return !r->own_settings && !r->correcting && !remains_is_pinned(r, PIN_UNASKED);
}

bool remains_names_known(const struct guest *guest)
{
	const struct remains *r = &guest->channel->remains;

	return !r->own_names && !remains_is_pinned(r, PIN_TEMPORARY) && !remains_is_pinned(r, PIN_UNASKED);
}

bool remains_may_hide(const struct guest *guest, const struct statement *statement)
{
	const struct remains *r = &guest->channel->remains;

	return r->in_front && (!statement_is_apart(statement) || statement->id <= r->hides);
}

bool remains_refuse(const struct channel *channel, const struct guest *guest)
{
	const struct params *had = channel->remains.buffers;
	struct span name = span_text("temp_buffers");
	const char *wanted, *kept;

	if (!had || !guest->wanted || !channel_differs(channel, guest->wanted))
		return false;
	/* To take back what another client had is allowed. */
	wanted = params_get(guest->wanted, name);
	kept = params_get(had, name);
	return wanted && (!kept || strcmp(wanted, kept) != 0);
}

bool remains_part(struct channel *channel)
{
	struct remains *r = &channel->remains;
	bool left = r->touched || r->pins || r->asked || r->correcting || r->refused || r->reading.catalog ||
		r->blind || r->unsure;

	if (remains_is_pinned(r, PIN_FOR_GOOD))
		channel->broken = true;
	remains_let_go(channel);
	r->correcting = r->correcting && !r->correction_waits;
	r->correction_waits = false;
	catalogs_leave(channel);
	if (r->temporary && !r->buffers)
		r->buffers = params_keep(channel->applied);
	params_drop(r->set);
	params_drop(r->called);
	r->set = r->called = NULL;
	remains_forget_resets(r);
	r->touched = r->prepared = r->made = r->pins = 0;
	r->ends_unseen = r->ended = r->own_settings = r->own_names = r->in_front = r->blind = r->unsure = r->failed =
		r->refused = r->held = false;
	r->statement_length = 0;
	r->failures = 0;
	r->until = 0;
	r->used = true;
	numbers_part(channel);
	plans_part(channel);
	return left;
}

void remains_fini(struct remains *r)
{
	params_drop(r->set);
	params_drop(r->called);
	params_drop(r->resets);
	params_drop(r->buffers);
	plans_fini(&r->plans);
	buf_fini(&r->taken);
	answer_fini(&r->answer);
	*r = (struct remains){ 0 };
}

void remains_describe(const struct remains *r, char *out, size_t size)
{
	size_t length = 0;

	out[0] = 0;
	for (unsigned i = 0; i < PINS; i++)
		if (remains_is_pinned(r, (enum pin)i))
			length += text_format(
				out + length, size - length, "%s%s", length > 0 ? ", " : "", pin_text((enum pin)i));
}
