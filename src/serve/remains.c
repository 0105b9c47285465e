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
 *   - channel->applied is what the session has, when nothing is touched. */
#include "serve/remains.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "serve/catalogs.h"
#include "serve/channel.h"
#include "serve/hearers.h"
#include "serve/relay.h"

/* Marks after which what is prepared may be read in a way of its own, until it is known what they came to. */
#define OWN_SETTINGS (LOOK_READING | LOOK_UNKNOWN | LOOK_UNNAMED)
#define OWN_NAMES    (LOOK_TEMPORARY | LOOK_DEFINES | LOOK_UNKNOWN)

/* Names of settings that one question asks for; more are too many to be carried (session/question.c). */
#define SET_NAMES_MAX 200

static const char discard_plans[] = "DISCARD PLANS";

/* Marks after which the server must be asked. */
#define ASKING \
	(LOOK_SETTINGS | LOOK_TEMPORARY | LOOK_CURSOR | LOOK_LOCK | LOOK_PREPARE | LOOK_LISTEN | LOOK_UNKNOWN | \
		LOOK_RESET | LOOK_RESET_ALL | LOOK_HEAR)

bool remains_matter(const struct guest *guest)
{
	return guest->pool != NO_POOL && relay_moves(guest) &&
		(guest_view(guest)->rules.transparency == TRANSPARENCY_FULL || guest->hearer);
}

bool remains_corrects(const struct guest *guest)
{
	return remains_matter(guest) ||
		(guest->pool != NO_POOL && !relay_moves(guest) &&
			guest_view(guest)->rules.transparency == TRANSPARENCY_FULL && guest->startup &&
			params_count(guest->startup) > 0);
}

/* ---- suspecting ---- */

static void set_pins(struct channel *channel, uint32_t pins)
{
	struct remains *r = &channel->remains;

	if (pins && !r->pins)
		channel_view(channel)->stats.pins++;
	r->pins = pins;
}

static void pin(struct channel *channel, enum pin why)
{
	set_pins(channel, channel->remains.pins | 1u << why);
}

static bool is_pinned(const struct remains *r, enum pin why)
{
	return r->pins & (1u << why);
}

static void unpin(struct remains *r, enum pin why)
{
	r->pins &= ~(1u << why);
}

void remains_pin_listen(struct channel *channel)
{
	pin(channel, PIN_LISTEN);
}

void remains_unpin_listen(struct channel *channel)
{
	unpin(&channel->remains, PIN_LISTEN);
}

/* PostgreSQL refuses while other sessions are in the database, and servers of ours are such where no client of ours is. */
static void vacate_databases(struct channel *channel)
{
	struct worker *worker = channel->worker;
	struct event event = { .kind = EVENT_VACATE, .now = worker->now, .pool = channel->pool };

	worker_step(worker, &event);
}

static void come_in_front(struct channel *channel)
{
	if (!channel->remains.in_front)
		channel->remains.hides = statement_newest(channel->worker->house->statements);
	channel->remains.in_front = true;
}

void remains_mark(struct channel *channel, uint32_t marks)
{
	struct remains *r = &channel->remains;

	if (!channel->guest || !remains_matter(channel->guest))
		return;
	if (marks & LOOK_EXECUTE)
		marks |= r->prepared;
	r->failed = false;
	if (numbers_mark(channel, marks))
		pin(channel, PIN_SEQUENCE);
	if (marks & LOOK_DEFINES)
		catalogs_change(channel);
	if (marks & LOOK_DATABASE)
		vacate_databases(channel);
	if (marks & LOOK_FOR_GOOD)
		pin(channel, PIN_FOR_GOOD);
	if (marks & LOOK_UNNAMED)
		pin(channel, PIN_UNSEEN);
	if (marks & (LOOK_UNNAMED | LOOK_UNKNOWN | LOOK_RESET))
		r->ends_unseen = false;
	if (marks & LOOK_IN_FRONT)
		come_in_front(channel);
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

static bool is_reset(const struct remains *r)
{
	return r->reset_all || r->resets;
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
	bool ok = true, was_reset = is_reset(r);

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
	if (is_reset(r) && !was_reset)
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
			pin(channel, PIN_UNSEEN);
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
		pin(channel, PIN_UNSEEN);
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

	if (marks & ~(LOOK_INSERT | LOOK_CLOCK))
		note_statement(&channel->remains, text);
	remains_mark(channel, marks);
	channel->remains.prepared |= look->prepared;
	add_names(channel, look);
	note_reset_all(channel, text, look->marks);
}

/* What lies beneath the words; of functions whose names are there it is known what they do. Without a catalogue they may do anything. */
static void look_beneath(const struct catalog *catalog, struct span text, struct look *look)
{
	if (!catalog) {
		look->marks |= look->marks & LOOK_CALLS ? LOOK_UNKNOWN | LOOK_TEMPORARY | LOOK_IN_FRONT : 0;
		return;
	}
	if (catalog_look(catalog, text, look) && (look->marks & LOOK_SETTINGS))
		look->marks |= LOOK_READING;
}

/* It was looked at without a catalogue: whatever its words are, the server is asked about everything. That it took numbers is for
 * its words to say: nobody can ask about those, so whoever is suspected keeps the server, and here everybody would be. */
static void note_blind(struct guest *guest, const struct catalog *catalog, struct span text)
{
	struct remains *r = &guest->channel->remains;

	if (catalog)
		return;
	note_statement(r, text);
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
 * and of SQL's PREPARE. PostgreSQL looks at them again when a session makes its first; one that was used before has made that. */
static enum ahead go_ahead(struct guest *guest, const struct numbers_asked *asked)
{
	enum ahead step = numbers_before(guest, asked);

	if (step != AHEAD_GO || !(asked->marks & LOOK_IN_FRONT) || is_pinned(&guest->channel->remains, PIN_TEMPORARY))
		return step;
	return ahead_send(guest, span_text(discard_plans), TAG_PLANS, asked->extended);
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
		enum ahead step = ahead_send(guest, span_text(discard_plans), TAG_PLANS, extended);

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

enum ahead remains_look(struct guest *guest, struct span text, bool whole)
{
	const struct catalog *catalog;
	struct numbers_asked asked;
	enum ahead step;
	struct look look;

	if (!remains_matter(guest))
		return remains_look_session(guest, text, false);
	catalog = catalogs_see(guest);
	look_at(text, &look);
	look_beneath(catalog, text, &look);
	/* What is not here yet may say anything. */
	if (!whole)
		look.marks |= LOOK_UNKNOWN | LOOK_UNNAMED | LOOK_INSERT;
	asked = (struct numbers_asked){ .marks = ask_marks(guest->channel, catalog, &look), .text = text };
	step = go_ahead(guest, &asked);
	if (step != AHEAD_GO)
		return step;
	if (look.marks || look.prepared)
		take_look(guest, text, &look);
	note_blind(guest, catalog, text);
	return AHEAD_GO;
}

enum ahead remains_look_statement(struct guest *guest, struct statement *statement, struct span values)
{
	const struct catalog *catalog;
	struct numbers_asked asked;
	enum ahead step;
	struct look look;
	uint32_t marks;

	if (!remains_matter(guest))
		return AHEAD_GO;
	catalog = catalogs_see(guest);
	marks = statement_marks(statement);
	/* Most say nothing but INSERT, and only these have names or statements of their own. */
	if (!(marks & ~(uint32_t)(LOOK_INSERT | LOOK_CLOCK)) && !guest->channel->remains.pins && catalog &&
		!statement_touches(statement, catalog)) {
		if (marks)
			remains_mark(guest->channel, marks);
		return AHEAD_GO;
	}
	look_at(statement_text(statement), &look);
	look_beneath(catalog, statement_text(statement), &look);
	asked = (struct numbers_asked){ .marks = ask_marks(guest->channel, catalog, &look),
		.extended = true,
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

/* ---- RESET ---- */

static void forget_resets(struct remains *r)
{
	params_drop(r->resets);
	r->resets = NULL;
	r->reset_all = r->reset_seen = r->discarded = r->set_behind = false;
	r->before = 0;
}

bool remains_hold(struct guest *guest, char type)
{
	struct remains *r = &guest->channel->remains;
	const struct track *track = &guest->channel->track;

	if (!strchr("QPBDCEFS", type))
		return false;
	/* In the middle of a batch what comes next is a part of it. */
	if (!hearer_delays(guest) &&
		(!is_reset(r) || track_quiet(track) || track->open || track->skipping || track_copies(track)))
		return false;
	r->held = true;
	stream_pause(guest->stream);
	return true;
}

void remains_let_go(struct channel *channel)
{
	struct guest *guest = channel->guest;

	if (!channel->remains.held)
		return;
	channel->remains.held = false;
	if (guest && guest->stream)
		stream_resume(guest->stream);
}

/* Whether more was sent behind what was answered just now than its Sync: that may have taken a number already. */
static bool sent_behind(const struct track *track)
{
	return track->count > 1;
}

void remains_tag(struct channel *channel, bool all, bool reset)
{
	channel->remains.reset_seen = true;
	channel->remains.ended = channel->remains.ended || all || reset;
	if (!all)
		return;
	channel->remains.discarded = true;
	if (!sent_behind(&channel->track))
		unpin(&channel->remains, PIN_SEQUENCE);
}

void remains_failed(struct channel *channel)
{
	channel->remains.reset_seen = channel->remains.discarded;
	channel->remains.ended = channel->remains.ended && channel->remains.discarded;
	/* A nextval that failed has its lock all the same, up to the end of the transaction. */
	channel->remains.numbers.touched = true;
}

bool remains_quiet(const struct channel *channel)
{
	const struct remains *r = &channel->remains;

	return (is_reset(r) && r->before == 0) || r->correcting;
}

/* What was set behind the RESET stays. */
static bool write_unless_set(struct buf *text, const char *name)
{
	return buf_format(text,
		       "CASE WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_settings WHERE "
		       "source OPERATOR(pg_catalog.=) 'session' AND pg_catalog.lower(name) OPERATOR(pg_catalog.=) "
		       "pg_catalog.lower(") &&
		buf_add_literal(text, span_text(name)) && buf_format(text, ")) THEN '' ELSE ");
}

static bool write_correction(struct channel *channel, struct buf *text)
{
	struct remains *r = &channel->remains;
	struct params *startup = channel->guest->startup;
	const char *name, *value, *local;
	bool ok = true;
	size_t i;

	for (i = 0; ok && i < params_count(startup); i++) {
		params_at(startup, i, &name, &value);
		local = r->reset_all ? "false" : params_get(r->resets, span_text(name));
		if (!local)
			continue;
		ok = buf_format(text, text->length > 0 ? "," : "SELECT ") &&
			(!r->set_behind || write_unless_set(text, name)) &&
			buf_format(text, "pg_catalog.set_config(") && buf_add_literal(text, span_text(name)) &&
			buf_format(text, ",") && buf_add_literal(text, span_text(value)) &&
			buf_format(text, ",%s)%s", local, r->set_behind ? " END" : "");
	}
	return ok;
}

bool remains_ready(struct channel *channel)
{
	struct remains *r = &channel->remains;
	struct buf text = { 0 };
	bool ok = true;

	/* This one is its own: nothing of the client's was owed before it. */
	if (r->ends_unseen && r->ended && channel->track.status == 'I')
		unpin(r, PIN_UNSEEN);
	r->ends_unseen = r->ended = false;
	if (r->before > 0)
		r->before--;
	/* What follows it waits, so it is done when nothing is owed. */
	if (!channel->guest || !track_quiet(&channel->track))
		return true;
	if (is_reset(r) && r->reset_seen && channel->track.status != 'E') {
		ok = write_correction(channel, &text) && channel_ask(channel, buf_span(&text), TAG_CORRECTION);
		r->correcting = true;
	} else if (is_reset(r)) {
		relay_report(channel->guest, channel, &channel->worker->to_client);
	}
	buf_fini(&text);
	forget_resets(r);
	remains_let_go(channel);
	return ok;
}

void remains_corrected(struct channel *channel)
{
	struct guest *guest = channel->guest;
	struct outbox *o = &channel->worker->to_client;

	channel->remains.correcting = false;
	if (!guest)
		return;
	if (channel->setup_failed) {
		channel->setup_failed = false;
		guest_complain(guest, channel->sqlstate, channel->problem, NULL, NULL);
		return;
	}
	relay_report(guest, channel, o);
	if (hearer_keeps_ready(channel))
		return;
	relay_header(outbox_room(o, FRAME_HEADER), 'Z', 1);
	*outbox_room(o, 1) = (uint8_t)channel->track.status;
	remains_let_go(channel);
}

/* ---- asking ---- */

bool remains_learn_base(struct channel *channel)
{
	const struct pool_view *view = channel_view(channel);
	struct question question = { .marks = LOOK_SETTINGS, .user = span_text(view->user) };
	struct params *empty;
	struct buf text = { 0 };
	bool ok;

	if (channel->base || !view->database || !view->database->connect_query)
		return true;
	empty = params_empty(channel->worker->house->params);
	ok = question_write(&question, &text);
	if (ok)
		answer_begin(&channel->remains.answer, &question, empty);
	ok = ok && channel_ask(channel, buf_span(&text), TAG_QUESTION);
	channel->remains.asked = ok;
	buf_fini(&text);
	params_drop(empty);
	if (!ok)
		channel_break(channel, "out of memory");
	return false;
}

bool remains_learn_catalog(struct channel *channel)
{
	const struct pool_view *view = channel_view(channel);

	if (view->rules.transparency != TRANSPARENCY_FULL || view->rules.mode == POOL_SESSION)
		return true;
	if (!catalogs_read(channel, CATALOG_FIRST))
		return true;
	/* It is logged in, and PostgreSQL bounds the rest. */
	timer_clear(&channel->worker->timers, &channel->timer);
	return false;
}

static bool ask(struct channel *channel)
{
	struct remains *r = &channel->remains;
	struct question question = {
		.marks = r->touched, .called = r->called, .user = span_text(channel_view(channel)->user)
	};
	const char *version = params_get(channel->reported, span_text("server_version"));
	struct params *names = params_keep(channel->applied), *empty = params_empty(channel->worker->house->params);
	struct buf text = { 0 };
	const char *name, *value;
	bool ok = true;
	size_t i;

	for (i = 0; ok && r->set && i < params_count(r->set); i++) {
		params_at(r->set, i, &name, &value);
		ok = params_put(&names, span_text(name), span_text(""));
	}
	question.set = names;
	question.version = version ? (int)strtol(version, NULL, 10) : 0;
	ok = ok && question_write(&question, &text);
	if (ok)
		answer_begin(&r->answer, &question, empty);
	ok = ok && channel_ask(channel, buf_span(&text), TAG_QUESTION);
	buf_fini(&text);
	params_drop(names);
	params_drop(empty);
	if (!ok)
		return false;
	params_drop(r->called);
	params_drop(r->set);
	r->called = r->set = NULL;
	channel_view(channel)->stats.questions++;
	r->asking = r->touched;
	r->touched = 0;
	r->asked = true;
	return true;
}

bool remains_settle(struct channel *channel)
{
	struct remains *r = &channel->remains;

	if (r->refused) {
		channel_break(channel, "out of memory");
		return false;
	}
	/* A question would take the unnamed statement with it, and this one is nowhere else. */
	if (r->asked || r->correcting || r->reading.catalog || channel->guest->unnamed_long)
		return false;
	if (!catalogs_held(channel)) {
		r->touched |= LOOK_UNKNOWN;
		r->blind = true;
	}
	if (r->blind && catalogs_read(channel, CATALOG_BLIND))
		return false;
	if (r->blind) {
		r->unsure = !catalogs_name(channel) || r->unsure;
		r->blind = false;
	}
	r->own_settings = r->own_settings && r->touched;
	r->own_names = r->own_names && r->touched;
	if (r->touched && !r->failed) {
		if (!ask(channel))
			channel_break(channel, "out of memory");
		return false;
	}
	if (!hearer_settle(channel))
		return false;
	if (remains_matter(channel->guest) && catalogs_read(channel, CATALOG_REFRESH))
		return false;
	return !r->touched && !r->pins;
}

bool remains_wants(const struct channel *channel, const struct frame *frame)
{
	const struct track *track = &channel->track;

	if (frame->type == 'D' && track->count > 0 && (track->ring[track->head].flags & TRACK_OURS) &&
		track->ring[track->head].tag == TAG_PROOF)
		return true;
	return (channel->remains.asked || channel->remains.reading.catalog) && frame->type == 'D' && track->count > 0 &&
		(track->ring[track->head].flags & TRACK_OURS) &&
		(track->ring[track->head].tag == TAG_QUESTION || track->ring[track->head].tag == TAG_CATALOG) &&
		track->ring[track->head].kind == TRACK_QUERY;
}

bool remains_row(struct channel *channel, struct span body)
{
	return !channel->remains.asked || answer_row(&channel->remains.answer, body);
}

/* What the client itself has set; counted. */
static struct params *without_base(struct channel *channel, struct params *settings)
{
	struct params *own = params_keep(settings);
	const char *name, *value, *now;
	size_t i;

	for (i = 0; channel->base && i < params_count(channel->base); i++) {
		params_at(channel->base, i, &name, &value);
		now = params_get(settings, span_text(name));
		if (now && strcmp(now, value) == 0 && !params_remove(&own, span_text(name)))
			channel->remains.refused = true;
	}
	return own;
}

static void take_answer(struct channel *channel)
{
	struct remains *r = &channel->remains;
	struct answer *a = &r->answer;

	answer_end(a);
	if ((a->asked & 1u << PIN_LISTEN) && hearer_answered(channel, &a->topics))
		a->pins &= ~(1u << PIN_LISTEN);
	set_pins(channel, (r->pins & ~(a->asked | 1u << PIN_UNASKED)) | a->pins);
	if (!is_pinned(r, PIN_PREPARE))
		r->prepared = 0;
	/* Words are not all that makes one: a function does, or a search_path that begins with pg_temp. */
	if (is_pinned(r, PIN_TEMPORARY))
		come_in_front(channel);
	else if (!(r->touched & LOOK_TEMPORARY))
		r->in_front = false;
	if (a->settings_asked) {
		params_drop(channel->applied);
		channel->applied = params_keep(a->settings);
		channel->applied_doubtful = false;
		params_drop(channel->guest->wanted);
		channel->guest->wanted = without_base(channel, a->settings);
	}
	if (a->refused)
		r->refused = true;
}

void remains_answered(struct channel *channel)
{
	struct remains *r = &channel->remains;

	check(r->asked);
	r->asked = false;
	if (channel->state == CHANNEL_GREETING) {
		channel->base = params_keep(r->answer.settings);
		params_drop(channel->applied);
		channel->applied = params_keep(channel->base);
	} else if (!channel->guest) {
		/* Its client left meanwhile: DISCARD ALL comes next, whatever there is. */
		channel->setup_failed = false;
	} else if (channel->setup_failed) {
		/* A statement_timeout of the client's, or a cancel: asked again when it did something more. */
		channel->setup_failed = false;
		pin(channel, PIN_UNASKED);
		r->touched |= r->asking;
		r->failed = true;
	} else {
		take_answer(channel);
	}
	answer_fini(&r->answer);
	r->asking = 0;
	if (!r->touched && !r->pins)
		r->statement_length = 0;
}

/* ---- a lease ---- */

bool remains_begin(struct channel *channel)
{
	return !remains_matter(channel->guest) || numbers_begin(channel);
}

bool remains_may_prepare(const struct channel *channel)
{
	const struct remains *r = &channel->remains;

	return is_pinned(r, PIN_PREPARE) || ((r->touched | r->asking) & (LOOK_PREPARE | LOOK_UNKNOWN));
}

bool remains_settings_known(const struct guest *guest)
{
	const struct remains *r = &guest->channel->remains;

	return !r->own_settings && !r->correcting && !is_pinned(r, PIN_UNASKED);
}

bool remains_names_known(const struct guest *guest)
{
	const struct remains *r = &guest->channel->remains;

	return !r->own_names && !is_pinned(r, PIN_TEMPORARY) && !is_pinned(r, PIN_UNASKED);
}

bool remains_may_hide(const struct guest *guest, const struct statement *statement)
{
	const struct remains *r = &guest->channel->remains;

	return r->in_front && (!statement_is_apart(statement) || statement->id <= r->hides);
}

bool remains_part(struct channel *channel)
{
	struct remains *r = &channel->remains;
	bool left = r->touched || r->pins || r->asked || r->correcting || r->refused || r->reading.catalog ||
		r->blind || r->unsure;

	if (is_pinned(r, PIN_FOR_GOOD))
		channel->broken = true;
	remains_let_go(channel);
	catalogs_leave(channel);
	params_drop(r->set);
	params_drop(r->called);
	r->set = r->called = NULL;
	forget_resets(r);
	r->touched = r->prepared = r->pins = 0;
	r->ends_unseen = r->ended = r->own_settings = r->own_names = r->in_front = r->blind = r->unsure = r->failed =
		r->refused = r->held = false;
	r->statement_length = 0;
	r->used = true;
	numbers_part(channel);
	return left;
}

void remains_fini(struct remains *r)
{
	params_drop(r->set);
	params_drop(r->called);
	params_drop(r->resets);
	buf_fini(&r->taken);
	answer_fini(&r->answer);
	*r = (struct remains){ 0 };
}

void remains_describe(const struct remains *r, char *out, size_t size)
{
	size_t length = 0;

	out[0] = 0;
	for (unsigned i = 0; i < PINS; i++)
		if (is_pinned(r, (enum pin)i))
			length += text_format(
				out + length, size - length, "%s%s", length > 0 ? ", " : "", pin_text((enum pin)i));
}
