/* Looking at all origins.
 *
 *   worker 0 --letter--> worker 0, 1, 2 ... --letter--> keeper ---> leak_step ---> report
 *   (timer)              each adds its shares           judges      (core/leak)    SHOW LEAKS, SHOW ORIGINS, the log
 *
 * A worker adds what its shares have counted, and what its clients are doing at this moment. It looks at a few hundred of them, then
 * posts the letter to itself and serves others first: a house of a million clients is looked at without anybody waiting for it.
 *
 * The judging is the keeper's, a thread that serves nobody. */
#include "serve/survey.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "serve/guest.h"

/* How many clients are looked at before others are served. */
#define GUESTS_AT_ONCE 256

void survey_letter_free(struct letter *letter)
{
	struct letter_survey *survey = (struct letter_survey *)(void *)letter;

	free(survey->rows);
	told_fini(&survey->told);
	free(survey);
}

void survey_arm(struct worker *worker)
{
	time_us interval = worker->config->leak_interval;

	if (worker->index != 0)
		return;
	if (interval > 0)
		timer_set(&worker->timers, &worker->survey_timer, worker->now + interval);
	else
		timer_clear(&worker->timers, &worker->survey_timer);
}

/* A row for every origin there is. */
static bool list_origins(struct house *house, struct letter_survey *letter)
{
	letter->rows = calloc(ORIGINS_MAX + 1, sizeof *letter->rows);
	if (!letter->rows)
		return false;
	lock_take(house->lock);
	for (size_t i = 0; i < ORIGINS_MAX; i++)
		if (house->origins.table[i])
			letter->rows[letter->count++].origin = house->origins.table[i];
	letter->rows[letter->count++].origin = &house->origins.others;
	for (size_t i = 0; i < letter->count; i++) {
		letter->rows[i].number = letter->rows[i].facts.origin = letter->rows[i].origin->number;
		letter->rows[i].pool = NO_POOL;
	}
	lock_drop(house->lock);
	return true;
}

void survey_begin(struct worker *worker)
{
	struct letter_survey *letter = NULL;

	survey_arm(worker);
	if (!worker->house->keeper_mailbox || atomic_exchange(&worker->house->surveying, true))
		return;
	letter = calloc(1, sizeof *letter);
	if (!letter || !list_origins(worker->house, letter)) {
		free(letter);
		atomic_store(&worker->house->surveying, false);
		return;
	}
	letter->letter.kind = LETTER_SURVEY;
	worker_post(worker, 0, &letter->letter);
}

static struct share *share_of(struct worker *worker, const struct survey_row *row)
{
	struct share *share = row->origin->shares ? row->origin->shares[worker->index] : NULL;

	return share && share->number == row->number ? share : NULL;
}

/* What a share says of this moment is said anew each time. */
static void forget_moment(struct share *share)
{
	struct leak_facts *facts = &share->facts;

	facts->clients = facts->parked = facts->waiting = facts->lent = facts->quiet = facts->silent = facts->regulars =
		0;
	facts->once = facts->listeners = facts->django = facts->in_block = facts->holding = facts->failed =
		facts->unread = facts->rests_lent = 0;
	facts->oldest_quiet = facts->oldest_hold = facts->oldest_unread = 0;
	facts->entering = facts->kept = 0;
	facts->session_mode = facts->keeps_locks = false;
	account_add(&share->gone, &share->leaving);
	share->leaving = share->here = (struct account){ 0 };
	share->votes = share->votes_again = share->at_door = 0;
	share->held[0] = share->unread[0] = 0;
}

static void note_oldest(time_us *oldest, time_us age)
{
	if (age > *oldest)
		*oldest = age;
}

/* By majority vote (Boyer and Moore): whoever holds more than half of the votes is left at the end. */
static void vote(char voted[ORIGIN_WORDS], uint32_t *votes, const struct text *text)
{
	if (!text)
		return;
	if (*votes > 0 && strncmp(voted, text->at, ORIGIN_WORDS - 1) != 0) {
		--*votes;
		return;
	}
	if ((*votes)++ == 0)
		text_copy(voted, ORIGIN_WORDS, text->at);
}

static void look_at_rest(struct worker *worker, struct share *share, const struct guest *guest)
{
	struct leak_facts *facts = &share->facts;
	time_us age = worker->now - guest->habits.rest_since;

	if (age < worker->config->leak_quiet)
		return;
	facts->quiet++;
	facts->silent += guest->habits.bursts == 0;
	facts->once += guest->habits.bursts == 1;
	facts->kept += guest->habits.bursts <= 1 && guest->channel && guest->channel->session;
	facts->listeners += guest->habits.listens;
	facts->django += guest->habits.django;
	note_oldest(&facts->oldest_quiet, age);
	if (guest->habits.bursts < 2)
		vote(share->voted, &share->votes, guest->habits.first);
	else
		vote(share->voted_again, &share->votes_again, guest->habits.first);
}

static void look_at_lease(struct worker *worker, struct share *share, const struct guest *guest)
{
	struct leak_facts *facts = &share->facts;
	struct channel *channel = guest->channel;
	time_us age;

	facts->lent++;
	facts->rests_lent += guest->habits.rest_since != 0;
	habits_stuck(channel, channel->unread_since != 0);
	if (channel->unread_since) {
		age = worker->now - channel->unread_since;
		facts->unread += age >= worker->config->leak_hold;
		if (age > facts->oldest_unread && age >= worker->config->leak_hold)
			origin_words(share->unread, span_of(channel->statement, channel->statement_length));
		note_oldest(&facts->oldest_unread, age);
	}
	if (channel->track.status == 'I' || !track_quiet(&channel->track))
		return;
	age = worker->now - channel->quiet_since;
	facts->in_block++;
	facts->holding += age >= worker->config->leak_hold;
	facts->failed += age >= worker->config->leak_hold && channel->track.status == 'E';
	if (age > facts->oldest_hold) {
		facts->oldest_hold = age;
		origin_words(share->held, span_of(channel->opening, channel->opening_length));
	}
}

static bool is_regular(const struct worker *worker, const struct guest *guest)
{
	time_us period = worker->config->leak_interval, last = guest->habits.rest_since;

	if (last == 0)
		last = worker->now;
	return last - guest->connected >= LEAK_REGULAR_SPAN * period &&
		worker->now - last <= LEAK_REGULAR_LATELY * period;
}

/* By its names as they are: those in the table of origins are cut, and those that are shown are escaped as well. */
static enum leak_action action_for(const struct worker *worker, const struct guest *guest)
{
	return config_leak_action(
		worker->config, span_text(worker->views[guest->pool]->database_name), span_text(guest_user(guest)));
}

static void look_at_guest(struct worker *worker, const struct guest *guest)
{
	bool at_door = guest->state == GUEST_AT_DOOR, enters = guest_enters(guest);
	struct share *share = guest->origin && (guest->habits.arrived || at_door || enters)
		? origin_share(guest->origin, worker->index)
		: NULL;
	struct account account;

	if (!share || guest->state == GUEST_ENDING)
		return;
	share->at_door += at_door;
	share->facts.entering += enters;
	if (at_door || enters)
		return;
	account = habits_account(guest);
	account_add(&share->here, &account);
	share->facts.clients++;
	share->facts.parked += guest->state == GUEST_PARKED || (guest->state == GUEST_LENT && guest->habits.rest_since);
	share->facts.waiting += guest->state == GUEST_WAITING;
	share->facts.regulars += is_regular(worker, guest);
	share->pool = guest->pool;
	share->facts.keeps_locks = worker->views[guest->pool]->rules.transparency == TRANSPARENCY_FULL;
	if (guest->stream && share->facts.clients == 1) { /* one stands for all: the others' streams are not touched */
		share->end = other_end_of(guest);
		share->action = action_for(worker, guest);
	}
	if (guest->state == GUEST_LENT && guest->channel) {
		share->facts.session_mode = guest->channel->session;
		look_at_lease(worker, share, guest);
	}
	if (guest->habits.rest_since && guest->state != GUEST_WAITING)
		look_at_rest(worker, share, guest);
}

/* Everything but who it is; what is true of one is true of both. */
static void add_facts(struct leak_facts *to, const struct leak_facts *from)
{
	to->clients += from->clients;
	to->parked += from->parked;
	to->waiting += from->waiting;
	to->entering += from->entering;
	to->lent += from->lent;
	to->quiet += from->quiet;
	to->silent += from->silent;
	to->once += from->once;
	to->kept += from->kept;
	to->listeners += from->listeners;
	to->django += from->django;
	to->regulars += from->regulars;
	to->in_block += from->in_block;
	to->holding += from->holding;
	to->failed += from->failed;
	to->unread += from->unread;
	to->rests_lent += from->rests_lent;
	note_oldest(&to->oldest_quiet, from->oldest_quiet);
	note_oldest(&to->oldest_hold, from->oldest_hold);
	note_oldest(&to->oldest_unread, from->oldest_unread);
	to->logins += from->logins;
	to->logouts += from->logouts;
	to->logins_while_quiet += from->logins_while_quiet;
	to->reused += from->reused;
	to->transactions += from->transactions;
	to->left_soon += from->left_soon;
	to->left_alike += from->left_alike;
	to->left_unused += from->left_unused;
	to->cancels += from->cancels;
	to->abandoned += from->abandoned;
	to->dead_peers += from->dead_peers;
	to->session_locks += from->session_locks;
	to->executing_time += from->executing_time;
	to->in_block_time += from->in_block_time;
	to->session_mode = to->session_mode || from->session_mode;
	to->keeps_locks = to->keeps_locks || from->keeps_locks;
	spread_merge(&to->gaps, &from->gaps);
	spread_merge(&to->lifetimes, &from->lifetimes);
	spread_merge(&to->blocks, &from->blocks);
}

static void add_share(struct survey_row *row, struct share *share)
{
	if (share->facts.oldest_hold > row->facts.oldest_hold)
		text_copy(row->held, sizeof row->held, share->held);
	if (share->facts.oldest_unread > row->facts.oldest_unread)
		text_copy(row->unread, sizeof row->unread, share->unread);
	if (share->votes > row->votes) {
		text_copy(row->voted, sizeof row->voted, share->voted);
		row->votes = share->votes;
	}
	if (share->votes_again > row->votes_again) {
		text_copy(row->voted_again, sizeof row->voted_again, share->voted_again);
		row->votes_again = share->votes_again;
	}
	if (share->facts.clients > 0) {
		row->pool = share->pool;
		row->end = share->end;
		row->action = share->action;
	}
	if (share->abandoned[0])
		text_copy(row->abandoned, sizeof row->abandoned, share->abandoned);
	row->at_door += share->at_door;
	account_add(&row->account, &share->gone);
	account_add(&row->account, &share->here);
	add_facts(&row->facts, &share->facts);
}

static void add_shares(struct worker *worker, struct letter_survey *letter)
{
	/* Under the lock, so that no place changes its meaning between the look at its number and the count. */
	lock_take(worker->house->lock);
	for (size_t i = 0; i < letter->count; i++) {
		struct survey_row *row = &letter->rows[i];
		struct share *share = share_of(worker, row);

		if (!share || row->origin->number != row->number)
			continue;
		atomic_fetch_add(&row->origin->quiet, share->facts.quiet - share->quiet_said);
		share->quiet_said = share->facts.quiet;
		add_share(row, share);
	}
	lock_drop(worker->house->lock);
}

void survey_visit(struct worker *worker, struct letter *mail)
{
	struct letter_survey *letter = (struct letter_survey *)(void *)mail;
	struct guest *guest;

	check(letter->worker == worker->index);
	for (size_t i = 0; letter->slot == 0 && i < letter->count; i++) {
		struct share *share = share_of(worker, &letter->rows[i]);

		if (share)
			forget_moment(share);
	}
	for (size_t n = 0; n < GUESTS_AT_ONCE; n++) {
		guest = slots_next(&worker->guests, &letter->slot);
		if (!guest) {
			add_shares(worker, letter);
			letter->slot = worker->survey_slot = 0;
			letter->worker++;
			break;
		}
		worker->survey_slot = letter->slot;
		look_at_guest(worker, guest);
		if (guest->habits.arrived && guest->state != GUEST_ENDING)
			told_look(&letter->told, guest);
	}
	if (letter->worker < worker->house->worker_count)
		worker_post(worker, letter->worker, &letter->letter);
	else
		mailbox_post(worker->house->keeper_mailbox, &letter->letter);
}
