/* RESET, in a session that is not the client's own: behind it the server is told what the client asked for at its login, and what the client
 * sends meanwhile waits. The drawing is in remains.c. */
#include <string.h>

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

static bool write_correction(struct channel *channel, struct buf *text)
{
	struct remains *r = &channel->remains;
	struct params *startup = channel->guest->startup;
	const char *name, *value, *local;
	bool ok = true, first = true;
	size_t i;

	for (i = 0; ok && i < params_count(startup); i++) {
		params_at(startup, i, &name, &value);
		local = r->resets ? params_get(r->resets, span_text(name)) : NULL;
		if (r->reset_all && (!params_is_role(name) || r->discarded))
			local = "false";
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
