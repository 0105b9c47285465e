/* A client leaves in the middle of its lease: what still runs is cancelled where that takes nothing from anybody, and what is still owed
 * is read and dropped. See the drawing in channel.c. */
#include <string.h>

#include "base/text.h"
#include "serve/channel.h"
#include "serve/lookups.h"

static bool ends_transaction(struct span text)
{
	switch (text.at[0] | 32) {
	case 'c':
		return text_begins_nocase(text, "commit");
	case 'e':
		return text_begins_nocase(text, "end");
	case 'p':
		return text_begins_nocase(text, "prepare");
	default:
		return false;
	}
}

/* One pass, since a stranger's megabyte comes by here. A statement may begin wherever a semicolon or a comment ends, also within a literal. */
bool abandon_may_commit(struct span text)
{
	bool begins = true, line = false, commits = false;

	/* Mostly it is one statement, and its first word is all. */
	if (text.length > 0 && (text.at[0] | 32) >= 'a' && (text.at[0] | 32) <= 'z' &&
		!memchr(text.at, ';', text.length))
		return ends_transaction(text);
	for (; !commits && text.length > 0; text = span_skip(text, 1)) {
		uint8_t byte = text.at[0];

		if (byte == ';' || span_begins(text, "*/") || (byte == '\n' && line)) {
			begins = true;
			line = line && byte != '\n';
			text = span_skip(text, byte == '*');
		} else if (byte > ' ') {
			commits = begins && ends_transaction(text);
			begins = false;
			line = line || span_begins(text, "--");
		}
	}
	return commits;
}

/* May the running statement be cancelled without taking from its client what PostgreSQL would have given it? */
static bool may_cancel(const struct guest *guest, const struct channel *channel)
{
	static const char *const readers[] = { "select ", "show ", "table ", "values ", "values(" };
	char text[sizeof channel->statement + 1];
	size_t i;

	if (guest->state == GUEST_ASKING)
		return true; /* the question is ours */
	switch (channel->worker->config->abandoned_query) {
	case 1:
		return true;
	case 2:
		return false;
	default:
		break;
	}
	if ((channel->track.status == 'T' || channel->track.status == 'E') && !channel->commits)
		return true; /* the open transaction rolls back either way */
	if (!channel->reads_only || channel->track.count != 1)
		return false;
	for (i = 0; i < channel->statement_length; i++)
		text[i] = (char)(channel->statement[i] >= 'A' && channel->statement[i] <= 'Z'
				? channel->statement[i] + 32
				: channel->statement[i]);
	text[i] = 0;
	/* Only what can be judged by its words alone: no function but a few that are known to read, nothing that writes or locks. */
	if (strpbrk(text, ";\"$\\\n\t/-") || strstr(text, " from ") || strstr(text, " into ") || strstr(text, " for "))
		return false; /* FROM may name a view, and a view may call anything */
	for (i = 0; text[i]; i++) {
		static const char *const known[] = { "pg_sleep", "count", "sum", "min", "max", "avg", "now",
			"generate_series", "length", "coalesce", "in", "values", "and", "or", "where", "from",
			"select" };
		size_t word = i, j;
		bool found = false;

		if (text[i] != '(')
			continue;
		while (word > 0 && text[word - 1] == ' ')
			word--;
		j = word;
		while (j > 0 &&
			(text[j - 1] == '_' || text[j - 1] == '.' || (text[j - 1] >= 'a' && text[j - 1] <= 'z') ||
				(text[j - 1] >= '0' && text[j - 1] <= '9')))
			j--;
		for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
			found = found || (strlen(known[k]) == word - j && memcmp(known[k], text + j, word - j) == 0);
		if (j != word && !found)
			return false;
	}
	for (i = 0; i < sizeof readers / sizeof readers[0]; i++)
		if (strncmp(text, readers[i], strlen(readers[i])) == 0)
			return true;
	return false;
}

/* Its client leaves something under way: what the server is at is the client's, or a ReadyForQuery is owed to it behind a question of ours. */
static bool leaves_work(const struct track *track)
{
	return track->count > 0 && (!(track->ring[track->head].flags & TRACK_OURS) || track_readies(track) > 0);
}

/* It began a batch and executed something, and its Sync will not come: PostgreSQL takes that back when its client is gone. A Sync of ours would
 * make it last. */
static bool leaves_batch(const struct track *track)
{
	return track->open && track->executes && !track->skipping;
}

/* Rows still come, and nobody reads them. PostgreSQL itself ends such a statement, and undoes it, as soon as it finds that it can not send
 * (tcop/postgres.c, ProcessInterrupts: "connection to client lost"); what was under way when its client left may still have gone out. So from
 * this many bytes on a cancel takes nothing from anybody that PostgreSQL would have kept, whatever the statement is. */
#define UNHEARD_MAX (256 * 1024)

void channel_unheard(struct channel *channel, size_t bytes)
{
	if (channel->unheard > UNHEARD_MAX || channel->worker->config->abandoned_query == 2)
		return;
	channel->unheard += (uint32_t)(bytes > UNHEARD_MAX ? UNHEARD_MAX + 1 : bytes);
	if (channel->unheard > UNHEARD_MAX)
		(void)errand_send(channel);
}

void channel_abandon(struct channel *channel)
{
	struct guest *guest = channel->guest;
	bool halfway = guest->body_left > 0 && !guest->discarding;
	struct piece sync = { "S\0\0\0\4", 5 };

	outbox_hurry(channel->worker, channel->stream);
	channel_part(channel);
	channel->rolling_back = channel->resetting = false;
	channel->unheard = 0;
	check(guest);
	if (channel->replication) {
		channel_close(channel, "its client for replication went away");
		return;
	}
	if (channel->broken || halfway || channel->track.copy_in || channel->track.copy_both) {
		channel_close(channel, "its client went away in the middle of a message");
		return;
	}
	if (leaves_batch(&channel->track)) {
		if (channel->track.count > 0 && channel->worker->config->abandoned_query != 2)
			(void)errand_send(channel);
		channel_close(channel, "its client went away in the middle of a batch");
		return;
	}
	if (track_idle(&channel->track)) {
		channel_clean(channel);
		return;
	}
	channel_begin_cleaning(channel);
	if (!track_quiet(&channel->track)) {
		if (may_cancel(guest, channel) && channel->track.count > 0)
			(void)errand_send(channel);
		else if (leaves_work(&channel->track))
			habits_abandoned(guest, channel);
		/* End a batch that was not ended; answered at once where it was. */
		if (!track_push(&channel->track, TRACK_SYNC, TRACK_OURS, 0) || !stream_write(channel->stream, &sync, 1))
			channel_close(channel, "out of memory");
		return;
	}
	channel_clean(channel);
}
