/* What each client does.
 *
 *            ask                          ask, within a block
 *   RESTS ----------> WORKS <------------------------------------- PAUSES (idle in transaction)
 *     ^                 |  ready: I          ready: T or E            ^
 *     +-----------------+---------------------------------------------+
 *
 * A rest that is shorter than leak_quiet does not end a burst: what lies between two longer ones is one. A client that never comes back
 * has had one burst, or none; a pool's clients have many. Time is counted when a state ends, so a long rest costs nothing. */
#include "serve/habits.h"

#include "base/text.h"
#include "serve/worker.h"
#include "session/statements.h"
#include "session/tags.h"

#define LOOKED_BYTES 4096 /* of a statement, for what it may leave on its server */
#define TAGS_KEPT    160  /* the longest comment that is kept of the end of one */

static struct share *share_of(struct guest *guest)
{
	return guest->origin ? origin_share(guest->origin, guest->worker->index) : NULL;
}

static bool asked_no_reap(const struct guest *guest)
{
	const char *value = guest->wanted ? params_get(guest->wanted, span_text("pgweir.no_reap")) : NULL;

	return value &&
		(strcmp(value, "on") == 0 || strcmp(value, "true") == 0 || strcmp(value, "1") == 0 ||
			strcmp(value, "yes") == 0);
}

/* The first name in its certificate, if that can be believed. */
static struct text *tls_name_of(const struct guest *guest)
{
	struct text *name = NULL;
	struct tls_facts facts;
	struct buf names = { 0 };

	stream_tls_facts(guest->stream, &facts);
	if (facts.verified && stream_tls_names(guest->stream, &names) && buf_span(&names).length > 0)
		name = texts_name(&guest->worker->texts, span_text((const char *)buf_span(&names).at));
	buf_fini(&names);
	return name;
}

static bool is_of_this_machine(const struct stream *stream)
{
	const struct address *peer = stream_peer(stream), *own;

	if (peer->family == ADDRESS_UNIX || address_is_loopback(peer))
		return peer->family != ADDRESS_UNIX;
	own = stream_local(stream);
	return peer->family == own->family && memcmp(peer->ip, own->ip, sizeof peer->ip) == 0;
}

static void count_beside(const struct guest *guest, struct share *share)
{
	share->facts.logins_while_quiet += atomic_load(&guest->origin->quiet) >=
		(unsigned)guest->worker->config->leak_siblings;
}

void habits_enter(struct guest *guest)
{
	struct share *share = share_of(guest);

	guest->habits.entered = true;
	if (share)
		count_beside(guest, share);
}

void habits_arrive(struct guest *guest)
{
	struct share *share = share_of(guest);

	guest->habits.arrived = true;
	guest->habits.tls_name = tls_name_of(guest);
	guest->habits.local = is_of_this_machine(guest->stream);
	guest->habits.exempt = asked_no_reap(guest);
	guest->habits.rest_since = guest->worker->now;
	if (guest->origin)
		atomic_store(&guest->origin->arrived, true);
	if (!share)
		return;
	share->facts.logins++;
	if (!guest->habits.entered)
		count_beside(guest, share);
}

static bool pauses(const struct guest *guest)
{
	const struct channel *channel = guest->channel;

	return channel && channel->guest == guest && track_quiet(&channel->track) && channel->track.status != 'I' &&
		!channel->unprepared;
}

/* For how long it has been idle in its block by now. */
static time_us pause_of(const struct guest *guest)
{
	return pauses(guest) ? guest->worker->now - guest->channel->quiet_since : 0;
}

/* The pause in a block that has just ended, if there was one. */
static void end_pause(struct guest *guest, struct share *share)
{
	time_us pause;

	if (!pauses(guest))
		return;
	pause = guest->worker->now - guest->channel->quiet_since;
	guest->habits.in_block += pause;
	if (!share)
		return;
	share->facts.in_block_time += pause;
	spread_add(&share->facts.blocks, pause);
}

/* It went away of its own accord after one burst at most. At once: what it came for was done, and somebody closed it. */
static void note_leaving(const struct guest *guest, struct share *share)
{
	const struct habits *habits = &guest->habits;
	time_us quiet = guest->worker->config->leak_quiet, rest = guest->worker->now - habits->rest_since;

	if (habits->bursts > 1 || !habits->rest_since || guest->peer_died)
		return;
	share->facts.left_unused += rest >= quiet;
	if (habits->bursts == 0 || rest > quiet / 2)
		return;
	share->facts.left_soon++;
	share->facts.left_alike += habits->first &&
		strncmp(habits->first->at, share->voted, sizeof share->voted - 1) == 0;
}

void account_add(struct account *to, const struct account *more)
{
	to->parked += more->parked;
	to->waiting += more->waiting;
	to->executing += more->executing;
	to->in_block += more->in_block;
	to->sending += more->sending;
	to->received += more->received;
	to->sent += more->sent;
}

struct account habits_account(const struct guest *guest)
{
	const struct habits *habits = &guest->habits;
	const struct channel *channel = guest->channel && guest->channel->guest == guest ? guest->channel : NULL;
	time_us now = guest->worker->now;
	struct account account = { .parked = habits->rested,
		.waiting = habits->waited,
		.executing = habits->executing,
		.in_block = habits->in_block,
		.sending = habits->sending,
		.received = habits->received,
		.sent = habits->sent };

	if (habits->rest_since)
		account.parked += now - habits->rest_since;
	if (guest->state == GUEST_WAITING)
		account.waiting += now - guest->wants_since;
	if (channel && channel->unread_since)
		account.sending += now - channel->unread_since;
	if (channel && channel->query_since && !track_quiet(&channel->track))
		account.executing += now - channel->query_since;
	account.in_block += pause_of(guest);
	return account;
}

void habits_leave(struct guest *guest)
{
	struct account account;
	struct share *share = share_of(guest);
	const struct channel *channel = guest->channel;

	if (!guest->habits.arrived)
		return;
	account = habits_account(guest); /* with the pause that ends now */
	end_pause(guest, share);
	if (!share)
		return;
	share->facts.logouts++;
	spread_add(&share->facts.lifetimes, guest->worker->now - guest->connected);
	if (channel && channel->guest == guest && !track_idle(&channel->track))
		share->facts.cancels++;
	share->facts.dead_peers += guest->peer_died;
	/* Whom the survey that is going on has looked at is in its sum; he is not counted twice. */
	account_add(guest->handle.slot < guest->worker->survey_slot ? &share->leaving : &share->gone, &account);
	note_leaving(guest, share);
}

void habits_fini(struct guest *guest)
{
	texts_drop(&guest->worker->texts, guest->habits.first);
	texts_drop(&guest->worker->texts, guest->habits.last);
	texts_drop(&guest->worker->texts, guest->habits.tls_name);
	guest->habits.first = guest->habits.last = guest->habits.tls_name = NULL;
}

void habits_ask(struct guest *guest)
{
	struct habits *habits = &guest->habits;
	struct share *share;
	time_us rest;

	habits->marked = 0;
	if (!habits->rest_since) {
		if (guest->channel && guest->channel->track.status != 'I')
			end_pause(guest, share_of(guest));
		return;
	}
	share = share_of(guest);
	rest = guest->worker->now - habits->rest_since;
	habits->rest_since = 0;
	habits->rested += rest;
	if (habits->bursts == 0) {
		habits->bursts = 1;
		return;
	}
	if (share)
		spread_add(&share->facts.gaps, rest);
	if (rest < guest->worker->config->leak_quiet)
		return;
	habits->bursts++;
	if (share && habits->bursts == 2)
		share->facts.reused++;
}

void habits_returned(struct guest *guest)
{
	guest->habits.marks = 0;
}

void habits_lent(struct guest *guest)
{
	guest->habits.waited += guest->worker->now - guest->wants_since;
}

/* BEGIN, COMMIT and the like say nothing about the code that sent them. By the first letter: every statement comes by here. */
static bool is_control(struct span text)
{
	const char *word;
	size_t length;

	switch (text.length > 0 ? text.at[0] | 32 : 0) {
	case 'b':
		word = "BEGIN";
		break;
	case 'c':
		word = "COMMIT";
		break;
	case 'r':
		word = "ROLLBACK";
		break;
	case 'e':
		word = "END";
		break;
	case 'a':
		word = "ABORT";
		break;
	case 's':
		if (text.length < 2 || (text.at[1] | 32) != 't')
			return false;
		word = "START TRANSACTION";
		break;
	default:
		return false;
	}
	length = strlen(word);
	return text_begins_nocase(text, word) &&
		(text.length == length || !((text.at[length] | 32) >= 'a' && (text.at[length] | 32) <= 'z'));
}

/* The comment that a statement ends with, where it has tags: tools put it there, behind a list of columns that is longer than what is
 * kept. Nothing where there is none. */
static struct span closing_tags(struct span text)
{
	struct tags tags;

	while (text.length > 0 && (text.at[text.length - 1] == ';' || text.at[text.length - 1] <= ' '))
		text.length--;
	if (text.length < 4 || memcmp(text.at + text.length - 2, "*/", 2) != 0)
		return span_of("", 0);
	for (size_t back = 4; back <= TAGS_KEPT && back <= text.length; back++) {
		struct span comment = span_of(text.at + text.length - back, back);

		if (memcmp(comment.at, "/*", 2) != 0)
			continue;
		tags_read(comment, &tags);
		for (size_t i = 0; i < TAGS; i++)
			if (tags.values[i].length > 0)
				return comment;
		break;
	}
	return span_of("", 0);
}

/* As much as is kept: the tags of one that is too long come first, for they say more than its last columns. */
static size_t keep_statement(char out[TEXT_BYTES_MAX], struct span text)
{
	struct span tags = text.length > TEXT_BYTES_MAX ? closing_tags(text) : span_of("", 0);
	size_t length = 0;

	if (tags.length > 0) {
		memcpy(out, tags.at, tags.length);
		out[tags.length] = ' ';
		length = tags.length + 1;
	}
	if (text.length > TEXT_BYTES_MAX - length)
		text.length = TEXT_BYTES_MAX - length;
	memcpy(out + length, text.at, text.length);
	return length + text.length;
}

/* What is read in a text, whoever says it. Beside what it may leave behind (MARK_...): */
#define SAID_COMMITS 0x100u
#define SAID_CONTROL 0x200u
#define SAID_READ    0x400u /* all of this was looked for */

static unsigned read_text(struct span text, bool cut)
{
	struct span looked = text;

	if (looked.length > LOOKED_BYTES)
		looked.length = LOOKED_BYTES;
	return SAID_READ | reap_marks(looked, cut || looked.length < text.length) |
		(abandon_may_commit(text) ? SAID_COMMITS : 0) | (is_control(text) ? SAID_CONTROL : 0);
}

static void say(struct channel *channel, struct span text, unsigned said)
{
	channel->guest->habits.marks |= (uint8_t)said;
	channel->commits = channel->commits || (said & SAID_COMMITS);
	if (said & SAID_CONTROL) {
		channel->statement_length = 0;
		return;
	}
	channel->statement_length = keep_statement(channel->statement, text);
	channel->said = true;
	if (channel->opening_length > 0)
		return;
	memcpy(channel->opening, channel->statement, channel->statement_length);
	channel->opening_length = channel->statement_length;
}

void habits_say(struct channel *channel, struct span text, bool cut)
{
	say(channel, text, read_text(text, cut));
}

void habits_say_statement(struct channel *channel, struct statement *statement)
{
	struct span text = statement_text(statement);
	unsigned said = statement_note(statement);

	if (!said) {
		said = read_text(text, text.length == statement->tail_length);
		statement_set_note(statement, said);
	}
	say(channel, text, said);
}

static void remember(struct guest *guest, struct share *share, struct span raw)
{
	struct habits *habits = &guest->habits;
	struct texts *texts = &guest->worker->texts;
	unsigned marks = 0;
	struct text *text = texts_take(texts, raw, &marks);

	habits->listens = marks & TEXT_LISTENS;
	if ((marks & TEXT_LOCKS) && share && !guest->channel->session)
		share->facts.session_locks++;
	if (!text)
		return;
	if (!habits->first || habits->sets_up) {
		habits->django |= !habits->first && (marks & TEXT_ZONE);
		if (guest->origin && !habits->first && (marks & TEXT_CONFIG))
			origin_says_django(guest->origin);
		habits->sets_up = marks & TEXT_SETS;
		texts_drop(texts, habits->first);
		intern_keep(text);
		habits->first = text;
	}
	texts_drop(texts, habits->last);
	habits->last = text;
}

void habits_ready(struct channel *channel, time_us executing, bool transaction_ended)
{
	struct guest *guest = channel->guest;
	struct share *share = share_of(guest);

	guest->habits.executing += executing;
	if (share)
		share->facts.executing_time += executing;
	if (channel->track.status != 'I')
		return;
	if (transaction_ended) {
		guest->habits.transactions++;
		if (share)
			share->facts.transactions++;
	}
	if (!track_quiet(&channel->track))
		return;
	guest->habits.rest_since = channel->worker->now;
	/* A block that ended by COMMIT is told by what it began with. */
	if (channel->said)
		remember(guest, share,
			channel->statement_length > 0 ? span_of(channel->statement, channel->statement_length)
						      : span_of(channel->opening, channel->opening_length));
	channel->said = false;
	channel->opening_length = 0;
}

void habits_stuck(struct channel *channel, bool stuck)
{
	size_t queued = channel->guest && channel->guest->stream ? stream_queued(channel->guest->stream) : 0;

	if (channel->guest && channel->unread_since && (!stuck || queued < channel->unread))
		channel->guest->habits.sending += channel->worker->now - channel->unread_since;
	if (!stuck || queued == 0)
		channel->unread_since = 0;
	else if (channel->unread_since == 0 || queued < channel->unread)
		channel->unread_since = channel->worker->now; /* it has taken some */
	channel->unread = queued;
}

void habits_abandoned(struct guest *guest, const struct channel *channel)
{
	struct share *share = share_of(guest);

	if (!share)
		return;
	share->facts.abandoned++;
	origin_words(share->abandoned, span_of(channel->statement, channel->statement_length));
}
