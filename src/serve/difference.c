/* What the client has set is brought to the server that it is lent: the difference from what that one has, in front of the client's first
 * message and in the same send.
 *
 *    BEGIN  RESET role, ...  SELECT set_config(...), ...  COMMIT  Close    Query ""    what the client sends
 *    `----------------------- TRACK_SET -----------------------'
 *
 * It may fail (a statement_timeout of the client's, somebody's pg_cancel_backend, a role that was revoked meanwhile), and what was sent behind it
 * must not run with other settings, or as somebody else. So it goes by the extended protocol, with no Sync: after an error PostgreSQL reads
 * nothing more up to the next Sync, no Query either, and what the client sends behind its first Sync waits for the answer (remains_hold).
 *
 * In a transaction of its own: else an error or a ROLLBACK of the client's would undo it together with what the client did. That one takes no
 * part in anything, whatever default_transaction_isolation was: a serializable one is refused by a standby, and may have to wait. The empty Query
 * does nothing, and is skipped with the rest; its ReadyForQuery is what PostgreSQL tells the new values in front of, and before any row.
 *
 * Who only learns what a server reports sends nothing behind it: one Query does.
 *
 * PostgreSQL tells a new value in the letters of the client_encoding that is in force at its ReadyForQuery. Where that has none for it, it fails and comes
 * to its next ReadyForQuery, which fails: its process runs in a circle, and sees no end of its connection either (18.4; search_path is what it
 * tells since 18, session_authorization since ever). A client comes to such a pair one after the other, which is well. So such values are set and
 * told in the letters of the database, and client_encoding behind that, with a ReadyForQuery of its own. At a login PostgreSQL refuses such a pair, and so
 * does the question whether there are letters for them.
 *
 * Until it is set, limits of time are in force that somebody else has set. A long one is as good as none: PostgreSQL does this in less than a
 * millisecond. Where it is short (HURRY), and a machine that stands still for a moment makes it fail, that must not end the next client, who has
 * set nothing of the kind: it is lifted first, before anything of the client's is sent, as a check query is. If that fails, the server
 * goes, and its client is lent another. It costs them a round trip, which nobody pays who wants the same limit. */
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "serve/channel.h"
#include "serve/lookups.h"
#include "serve/relay.h"

/* What the server's login set, where the client has not said yet what it keeps of that; NULL: nothing. */
static const struct params *base_of(const struct channel *channel)
{
	bool any = channel->base && params_count(channel->base) > 0;

	return any && !(channel->guest && channel->guest->whole) ? channel->base : NULL;
}

bool channel_differs(const struct channel *channel, const struct params *wanted)
{
	/* What was not put together yet differs. */
	if (base_of(channel))
		wanted = channel->asked_for == wanted ? channel->asked_on_base : NULL;
	return channel->applied != wanted || channel->applied_doubtful;
}

/* Counted; NULL: memory refused. */
static struct params *put_under(const struct params *base, struct params *wanted)
{
	struct params *all = params_keep(wanted);
	const char *name, *value;
	size_t i;

	for (i = 0; i < params_count(base); i++) {
		params_at(base, i, &name, &value);
		if (!params_get(wanted, span_text(name)) && !params_put(&all, span_text(name), span_text(value))) {
			params_drop(all);
			return NULL;
		}
	}
	return all;
}

struct params *channel_with_base(struct channel *channel, struct params *wanted)
{
	const struct params *base = base_of(channel);
	struct params *all;

	if (!base)
		return wanted;
	if (channel->asked_for == wanted)
		return channel->asked_on_base;
	all = put_under(base, wanted);
	if (!all)
		return NULL;
	params_drop(channel->asked_for);
	params_drop(channel->asked_on_base);
	channel->asked_for = params_keep(wanted);
	channel->asked_on_base = all;
	return all;
}

#define HURRY SECOND_US

static const char *const limits[] = { "lock_timeout", "statement_timeout", "transaction_timeout" };

/* This limit of who had it before is short, and none that `wanted` or its user has. */
static bool is_hurry(const struct channel *channel, const struct params *wanted, const char *name)
{
	time_us limit = params_limit(channel->applied, name);
	const struct params *base = base_of(channel);

	return limit > 0 && limit <= HURRY && params_limit(wanted, name) != limit &&
		!(base && params_limit(base, name) == limit);
}

bool channel_hurries(const struct channel *channel, const struct params *wanted)
{
	if (!channel_differs(channel, wanted))
		return false;
	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
		if (is_hurry(channel, wanted, limits[i]))
			return true;
	return false;
}

/* Of the unnamed statement, by an unnamed portal: no parameters, all rows. */
#define BIND_EXECUTE \
	"B\0\0\0\14" \
	"\0\0" \
	"\0\0\0\0\0\0" \
	"E\0\0\0\11" \
	"\0" \
	"\0\0\0\0"

static const char begin[] = "P\0\0\0\54"
			    "\0"
			    "BEGIN ISOLATION LEVEL READ COMMITTED\0"
			    "\0\0" BIND_EXECUTE;
static const char run[] = BIND_EXECUTE;
static const char commit[] = "P\0\0\0\16"
			     "\0"
			     "COMMIT\0"
			     "\0\0" BIND_EXECUTE "C\0\0\0\6"
			     "P\0";

static bool send_guarded(struct channel *channel, struct span statements, uint32_t tag)
{
	struct buf messages = { 0 };
	struct writer w = writer_to(&messages);
	bool ok;

	write_bytes(&w, begin, sizeof begin - 1);
	while (statements.length > 0) {
		size_t mark = message_begin(&w, 'P'), length = strlen((const char *)statements.at) + 1;

		write_u8(&w, 0);
		write_bytes(&w, statements.at, length);
		write_u16(&w, 0);
		message_end(&w, mark);
		write_bytes(&w, run, sizeof run - 1);
		statements = span_skip(statements, length);
	}
	write_bytes(&w, commit, sizeof commit - 1);
	ok = writer_ok(&w) && channel_say(channel, buf_span(&messages), TRACK_SET, TAG_SET) &&
		channel_ask(channel, span_of("", 0), tag);
	channel->broken = channel->broken || !ok; /* half of it may be on its way */
	buf_fini(&messages);
	return ok;
}

static bool send_at_once(struct channel *channel, struct span statements, uint32_t tag)
{
	struct buf text = { 0 };
	bool ok = buf_format(&text, TRANSACTION_APART) && buf_add_span(&text, statements);

	for (size_t i = 0; ok && i < text.length; i++)
		if (!text.at[text.start + i])
			text.at[text.start + i] = ';';
	ok = ok && channel_ask(channel, buf_span(&text), tag);
	buf_fini(&text);
	return ok;
}

static bool send(struct channel *channel, struct span statements, bool last)
{
	if (channel->learning)
		return send_at_once(channel, statements, last ? 0 : TAG_PART);
	return send_guarded(channel, statements, last ? TAG_SET : TAG_PART);
}

/* What a server tells and may have letters beyond ASCII. */
static const char *const told[] = { "search_path", "session_authorization" };

/* The encoding that is to be set behind what the server tells; NULL: it goes with the rest. */
static const char *encoding_apart(const struct channel *channel, const struct params *have, const struct params *wanted)
{
	const char *encoding = params_get(wanted, span_text("client_encoding")),
		   *of_database = params_get(channel->reported, span_text("server_encoding"));

	if (!encoding || !of_database || strcasecmp(encoding, of_database) == 0)
		return NULL;
	for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
		const char *after = params_get(wanted, span_text(told[i]));

		if (!params_get(channel->reported, span_text(told[i])))
			continue;
		/* Nobody knows what letters a default has. */
		if (after ? !span_is_ascii(span_text(after))
			  : channel->applied_doubtful || params_get(have, span_text(told[i])))
			return encoding;
	}
	return NULL;
}

/* Whether this encoding has letters for what the server tells: an error, if not. */
static bool add_proof(const struct channel *channel, const char *encoding, struct buf *statements)
{
	bool ok = true;

	for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
		if (params_get(channel->reported, span_text(told[i])))
			ok = ok &&
				buf_format(statements, "SELECT pg_catalog.convert_to(pg_catalog.current_setting('%s'),",
					told[i]) &&
				params_write(statements, encoding) && buf_format(statements, ") IS NULL") &&
				buf_add(statements, "", 1);
	return ok;
}

/* `statements`, and the rest as far as it can be told in the letters of the database; then the encoding. */
static bool send_in_parts(struct channel *channel, struct buf *statements, const struct params *have,
	struct params *wanted, const char *encoding)
{
	struct params *first = params_keep(wanted);
	struct buf second = { 0 };
	bool ok = params_put(&first, span_text("client_encoding"),
			  span_text(params_get(channel->reported, span_text("server_encoding")))) &&
		params_difference(have, first, statements) &&
		(!channel->learning || add_proof(channel, encoding, statements)) &&
		send(channel, buf_span(statements), false) &&
		buf_format(&second, "SELECT pg_catalog.set_config('client_encoding',") &&
		params_write(&second, encoding) && buf_format(&second, ",false) IS NULL") && buf_add(&second, "", 1) &&
		send(channel, buf_span(&second), true);

	params_drop(first);
	buf_fini(&second);
	return ok;
}

bool channel_lift(struct channel *channel, const struct params *wanted)
{
	struct params *rest = params_keep(channel->applied), *all = NULL;
	struct buf statements = { 0 };
	bool ok = true;

	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
		if (is_hurry(channel, wanted, limits[i]))
			ok = ok && params_remove(&rest, span_text(limits[i]));
	all = ok ? channel_with_base(channel, rest) : NULL;
	ok = all && params_difference(channel->applied, all, &statements) &&
		send_at_once(channel, buf_span(&statements), TAG_LIFT);
	buf_fini(&statements);
	if (ok) {
		params_drop(channel->applied);
		channel->applied = params_keep(all);
		channel->lifting = true;
	}
	params_drop(rest);
	return ok;
}

bool channel_send_difference(struct channel *channel, struct params *asked_for)
{
	static const char everything[] = "RESET SESSION AUTHORIZATION\0RESET ROLE\0RESET ALL\0",
			  temporary[] = "DISCARD TEMP\0";
	struct params *empty = params_empty(channel->worker->house->params),
		      *wanted = channel_with_base(channel, asked_for);
	const struct params *have = channel->applied_doubtful ? empty : channel->applied;
	const char *encoding = wanted ? encoding_apart(channel, have, wanted) : NULL;
	struct buf statements = { 0 };
	bool ok = wanted != NULL;

	if (channel->applied_doubtful)
		ok = ok && buf_add(&statements, everything, sizeof everything - 1);
	/* A temporary table could stand in front of the catalogue. */
	if (channel->guest->state == GUEST_ASKING)
		ok = ok && buf_add(&statements, temporary, sizeof temporary - 1);
	if (ok && encoding) {
		ok = channel->setting = send_in_parts(channel, &statements, have, wanted, encoding);
	} else {
		ok = ok && params_difference(have, wanted, &statements);
		if (ok && statements.length > 0)
			ok = channel->setting = send(channel, buf_span(&statements), true);
	}
	params_drop(empty);
	buf_fini(&statements);
	if (ok) {
		channel->applied_doubtful = false;
		params_drop(channel->applied);
		channel->applied = params_keep(wanted);
	}
	return ok;
}

void channel_set(struct channel *channel)
{
	struct guest *guest = channel->guest;

	channel->setting = false;
	remains_let_go(channel);
	if (!guest)
		return;
	if (channel->learning)
		guest_learned(guest, channel);
	else
		relay_report(guest, channel, &channel->worker->to_client);
}

void channel_set_failed(struct channel *channel)
{
	struct guest *guest = channel->guest;
	const char *detail = channel->detail[0] ? channel->detail : NULL;

	channel->setting = channel->setup_failed = false;
	/* Nothing of it took effect, so what the server has now is not what was noted. */
	channel->applied_doubtful = true;
	channel->broken = channel->broken || !channel->learning;
	if (guest && guest->state == GUEST_ASKING)
		lookup_failed(guest, channel->problem);
	else if (guest)
		guest_complain(guest, channel->sqlstate, channel->problem,
			channel->learning
				? detail
				: "It is what sets the client's settings on its server that failed, in front of its "
				  "statement. That has not run.",
			channel->learning && channel->hint[0] ? channel->hint : NULL);
}
