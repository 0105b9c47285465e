/* RESET, in a session that is not the client's own: behind it the server is told what the client asked for at its login, and what the client
 * sends meanwhile waits. The drawing is in remains.c. */
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "serve/channel.h"
#include "serve/hearers.h"
#include "serve/relay.h"
#include "serve/remains_parts.h"

void remains_forget_resets(struct remains *r)
{
	params_drop(r->resets);
	r->resets = NULL;
	r->reset_all = r->reset_seen = r->discarded = r->set_behind = false;
	r->before = 0;
}

bool remains_hold(struct guest *guest, char type)
{
	const struct remains *r = &guest->channel->remains;
	const struct track *track = &guest->channel->track;
	/* What was cancelled is answered, and PostgreSQL may signal once more before it ends that connection (cancel.c). */
	bool may_be_hit = guest->channel->errands > 0 && track_quiet(track);
	/* In the middle of a batch what comes next is a part of it. */
	bool between = !track->open &&
		((track_guards(track) && track_readies(track) > 0) ||
			(remains_is_reset(r) && !track_quiet(track) && !track->skipping && !track_copies(track)));

	if ((!r->correction_waits && !may_be_hit && !between && !hearer_delays(guest)) || !strchr("QPBDCEFS", type))
		return false;
	(void)ahead_wait(guest);
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
		remains_unpin(&channel->remains, PIN_SEQUENCE);
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

	return (remains_is_reset(r) && r->before == 0) || r->correcting;
}

static bool write_set(struct buf *text, const char *name, const char *value, const char *local)
{
	return buf_format(text, "pg_catalog.set_config(") && params_write(text, name) && buf_format(text, ",") &&
		params_write_value(text, name, value) && buf_format(text, ",%s)", local);
}

/* What was set behind the RESET stays. PostgreSQL does not show whether one with a dot was, or a role: it stays if it is not what a RESET makes it. */
static bool write_unless_set(struct buf *text, const char *name, const char *value, const char *local)
{
	bool hidden = strchr(name, '.') || params_is_role(name), ok;

	ok = buf_format(text,
		     "CASE WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_settings WHERE "
		     "source OPERATOR(pg_catalog.=) 'session' AND pg_catalog.lower(name) OPERATOR(pg_catalog.=) "
		     "pg_catalog.lower(") &&
		params_write(text, name) && buf_format(text, ")) THEN NULL ELSE ");
	if (hidden)
		ok = ok && buf_format(text, "(SELECT CASE WHEN v OPERATOR(pg_catalog.<>) ") &&
			write_set(text, name, NULL, local) && buf_format(text, " THEN pg_catalog.set_config(") &&
			params_write(text, name) && buf_format(text, ",v,%s) ELSE ", local);
	ok = ok && write_set(text, name, value, local);
	if (hidden)
		ok = ok && buf_format(text, " END FROM (SELECT pg_catalog.current_setting(") &&
			params_write(text, name) && buf_format(text, ",true) AS v OFFSET 0) AS s)");
	return ok && buf_format(text, " END");
}

/* ---- in a transaction block ----
 *
 * SELECT takes a snapshot, and behind that no SET TRANSACTION ISOLATION LEVEL may come; SET takes none. It can not say all that set_config can. */

/* Settings that are lists of names, of which SET makes one text in a way of its own. */
static bool is_list(const char *name)
{
	static const char *const lists[] = { "search_path", "temp_tablespaces", "local_preload_libraries",
		"session_preload_libraries" };

	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
		if (strcasecmp(name, lists[i]) == 0)
			return true;
	return false;
}

/* pg_get_keywords() but for those that may be any name, of PostgreSQL 12 to 18. SET puts them between quotes, in some versions. */
static bool is_keyword(struct span word)
{
	static const char *const keywords[] = { "all", "analyse", "analyze", "and", "any", "array", "as", "asc",
		"asymmetric", "authorization", "between", "bigint", "binary", "bit", "boolean", "both", "case", "cast",
		"char", "character", "check", "coalesce", "collate", "collation", "column", "concurrently",
		"constraint", "create", "cross", "current_catalog", "current_date", "current_role", "current_schema",
		"current_time", "current_timestamp", "current_user", "dec", "decimal", "default", "deferrable", "desc",
		"distinct", "do", "else", "end", "except", "exists", "extract", "false", "fetch", "float", "for",
		"foreign", "freeze", "from", "full", "grant", "greatest", "group", "grouping", "having", "ilike", "in",
		"initially", "inner", "inout", "int", "integer", "intersect", "interval", "into", "is", "isnull",
		"join", "json", "json_array", "json_arrayagg", "json_exists", "json_object", "json_objectagg",
		"json_query", "json_scalar", "json_serialize", "json_table", "json_value", "lateral", "leading",
		"least", "left", "like", "limit", "localtime", "localtimestamp", "merge_action", "national", "natural",
		"nchar", "none", "normalize", "not", "notnull", "null", "nullif", "numeric", "offset", "on", "only",
		"or", "order", "out", "outer", "overlaps", "overlay", "placing", "position", "precision", "primary",
		"real", "references", "returning", "right", "row", "select", "session_user", "setof", "similar",
		"smallint", "some", "substring", "symmetric", "system_user", "table", "tablesample", "then", "time",
		"timestamp", "to", "trailing", "treat", "trim", "true", "union", "unique", "user", "using", "values",
		"varchar", "variadic", "verbose", "when", "where", "window", "with", "xmlattributes", "xmlconcat",
		"xmlelement", "xmlexists", "xmlforest", "xmlnamespaces", "xmlparse", "xmlpi", "xmlroot", "xmlserialize",
		"xmltable" };

	for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++)
		if (span_is(word, keywords[i]))
			return true;
	return false;
}

/* The next name of such a list; false: SET would write it in another way. */
static bool take_listed(const char **at, struct span *name)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyz_0123456789";
	const char *from = *at;
	bool quoted = *from == '"', needs;
	size_t n;

	from += quoted;
	n = quoted ? strcspn(from, "\"") : strspn(from, safe);
	needs = n > 0 && ((from[0] >= '0' && from[0] <= '9') || strspn(from, safe) < n);
	*name = span_of(from, n);
	if (n == 0 || needs != quoted || (quoted && from[n] != '"') || is_keyword(*name))
		return false;
	*at = from + n + quoted;
	if (**at == 0)
		return true;
	if ((*at)[0] != ',' || (*at)[1] != ' ' || (*at)[2] == 0)
		return false;
	*at += 2;
	return true;
}

/* False: memory refused, or SET can not say it. */
static bool write_value(struct buf *text, const char *name, const char *value)
{
	struct span item;
	bool ok = true, first = true;

	if (!is_list(name))
		return buf_add_literal(text, span_text(value));
	if (!*value)
		return false;
	for (; ok && *value; first = false)
		ok = take_listed(&value, &item) && (first || buf_add(text, ",", 1)) && buf_add_literal(text, item);
	return ok;
}

/* "app"."tenant" */
static bool write_name(struct buf *text, const char *name)
{
	bool ok = buf_add(text, "\"", 1);

	for (; ok && *name; name++)
		ok = *name == '.' ? buf_format(text, "\".\"")
				  : buf_add(text, name, 1) && (*name != '"' || buf_add(text, name, 1));
	return ok && buf_add(text, "\"", 1);
}

static bool write_set_statement(struct buf *text, const char *name, const char *value, const char *local)
{
	return span_is_ascii(span_text(name)) && span_is_ascii(span_text(value)) &&
		buf_format(text, "%sSET %s", text->length > 0 ? ";" : "", strcmp(local, "true") == 0 ? "LOCAL " : "") &&
		write_name(text, name) && buf_format(text, " TO ") && write_value(text, name, value);
}

/* NULL: it is not one of those that the RESET was about. */
static const char *resets(const struct remains *r, const char *name)
{
	if (r->reset_all && (!params_is_role(name) || r->discarded))
		return "false";
	return r->resets ? params_get(r->resets, span_text(name)) : NULL;
}

/* False: SELECT is to say it. */
static bool write_set_statements(struct channel *channel, struct buf *text)
{
	const struct params *startup = channel->guest->startup;
	const char *name, *value, *local;
	bool ok = channel->track.status == 'T' && !channel->remains.set_behind;

	for (size_t i = 0; ok && i < params_count(startup); i++) {
		params_at(startup, i, &name, &value);
		local = resets(&channel->remains, name);
		ok = !local || write_set_statement(text, name, value, local);
	}
	return ok && text->length > 0;
}

static bool write_correction(struct channel *channel, struct buf *text)
{
	struct remains *r = &channel->remains;
	struct params *startup = channel->guest->startup;
	const char *name, *value, *local;
	bool ok = true, first = true;
	size_t i;

	if (write_set_statements(channel, text))
		return true;
	buf_clear(text);
	for (i = 0; ok && i < params_count(startup); i++) {
		params_at(startup, i, &name, &value);
		local = resets(r, name);
		if (!local)
			continue;
		if (first && channel->track.status == 'I')
			ok = buf_format(text, TRANSACTION_APART);
		ok = ok && buf_format(text, first ? "SELECT " : ",") &&
			(r->set_behind ? write_unless_set : write_set)(text, name, value, local) &&
			buf_format(text, " IS NULL");
		first = false;
	}
	return ok;
}

static bool correct(struct channel *channel)
{
	struct buf text = { 0 };
	bool ok = write_correction(channel, &text) && channel_ask(channel, buf_span(&text), TAG_CORRECTION);

	buf_fini(&text);
	channel->remains.correction_waits = false;
	remains_forget_resets(&channel->remains);
	remains_let_go(channel);
	return ok;
}

void remains_arrived(struct channel *channel)
{
	if (!channel->remains.correction_waits || channel->errands > 0)
		remains_let_go(channel);
	else if (!correct(channel))
		channel_break(channel, "out of memory");
}

bool remains_ready(struct channel *channel)
{
	struct remains *r = &channel->remains;

	/* This one is its own: nothing of the client's was owed before it. */
	if (r->ends_unseen && r->ended && channel->track.status == 'I')
		remains_unpin(r, PIN_UNSEEN);
	r->ends_unseen = r->ended = false;
	if (r->before > 0)
		r->before--;
	/* A Query behind a batch that is open waits for those before it (ahead.c). */
	if (channel->track.open && track_readies(&channel->track) == 0)
		remains_let_go(channel);
	/* What follows it waits, so it is done when nothing is owed. */
	if (!channel->guest || !track_quiet(&channel->track))
		return true;
	/* What was reset is perhaps not known: its client is not told that it is ready with what its server has. */
	if (r->refused)
		return false;
	if (remains_is_reset(r) && r->reset_seen && channel->track.status != 'E') {
		r->correcting = true;
		r->correction_waits = channel->errands > 0;
		return r->correction_waits || correct(channel);
	}
	if (remains_is_reset(r))
		relay_report(channel->guest, channel, &channel->worker->to_client);
	remains_forget_resets(r);
	remains_let_go(channel);
	return true;
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
