#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "wire/track.h"

/* Conversations in a small language, one word per step:
 *
 *   +P        sent to the server: P B E C(lose) S Q F, Ds Dp (Describe statement, portal), c (CopyDone, CopyFail), b (BEGIN),
 *             s (settings);
 *             then 'o' when it is ours, 'f' when it is a fake
 *   -1.       came from the server; a status follows Z. Then what is expected: '.' it finishes its entry,
 *             '!' it is kept, '?' it is a breach. Without those it is forwarded and finishes nothing
 *   =P        a fake whose turn came           ~B        an entry that was dropped
 *   idle quiet busy suspect sound skipping guards     what must hold now (quiet: and not idle; busy: not quiet)
 *   executes lasts                                    something of the client's lasts only if a Sync comes; or nothing
 *
 * Fakes and drops that are not named are failures. */

static const char *story;
static size_t place;

static void wrong(const char *what)
{
	fail_msg("%s, before \"%s\" of \"%s\"", what, story + place, story);
}

static const struct {
	const char *word;
	enum track_kind kind;
} kinds[] = {
	{ "Ds", TRACK_DESCRIBE_STATEMENT },
	{ "Dp", TRACK_DESCRIBE_PORTAL },
	{ "P", TRACK_PARSE },
	{ "B", TRACK_BIND },
	{ "E", TRACK_EXECUTE },
	{ "C", TRACK_CLOSE },
	{ "S", TRACK_SYNC },
	{ "Q", TRACK_QUERY },
	{ "F", TRACK_FUNCTION },
	{ "c", TRACK_COPY_END },
	{ "b", TRACK_BEGIN },
	{ "s", TRACK_SET },
};

/* The kind a word guards with; *word is left behind it. */
static enum track_kind kind_of(const char **word)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		size_t n = strlen(kinds[i].word);

		if (strncmp(*word, kinds[i].word, n) == 0) {
			*word += n;
			return kinds[i].kind;
		}
	}
	wrong("no such kind");
	return 0;
}

static void push(struct track *t, const char *word)
{
	enum track_kind kind = kind_of(&word);
	unsigned flags = 0;

	if (*word == 'o')
		flags = TRACK_OURS;
	else if (*word == 'f')
		flags = TRACK_FAKE;
	if (!track_push(t, kind, flags, 0))
		wrong("refused");
}

static void take(struct track *t, const char *word)
{
	char type = *word++, status = type == 'Z' ? *word++ : 0;
	bool finishes = strchr(word, '.') != NULL;
	enum track_verdict verdict = TRACK_FORWARD;
	struct track_reply reply;

	if (strchr(word, '!'))
		verdict = TRACK_KEEP;
	if (strchr(word, '?'))
		verdict = TRACK_BREACH;
	reply = track_take(t, type, status);
	if (reply.verdict != verdict)
		wrong(reply.verdict == TRACK_BREACH ? "a breach" : "the wrong verdict");
	if (reply.finished != finishes)
		wrong(reply.finished ? "finished" : "not finished");
	if (reply.failed != (type == 'E'))
		wrong("the wrong idea of what is an error");
	if (reply.owed && reply.entry.flags & ~(TRACK_OURS | TRACK_FAKE))
		wrong("a private flag came out");
}

static void expect_state(const struct track *t, const char *word)
{
	bool holds;

	if (strcmp(word, "idle") == 0)
		holds = track_idle(t) && track_quiet(t);
	else if (strcmp(word, "quiet") == 0)
		holds = track_quiet(t) && !track_idle(t);
	else if (strcmp(word, "busy") == 0)
		holds = !track_quiet(t) && !track_idle(t);
	else if (strcmp(word, "suspect") == 0)
		holds = t->suspect;
	else if (strcmp(word, "sound") == 0)
		holds = !t->suspect;
	else if (strcmp(word, "copies") == 0)
		holds = track_copies(t);
	else if (strcmp(word, "copied") == 0)
		holds = t->copy_in && !track_copies(t);
	else if (strcmp(word, "guards") == 0)
		holds = track_guards(t);
	else if (strcmp(word, "skipping") == 0)
		holds = t->skipping;
	else if (strcmp(word, "executes") == 0)
		holds = t->executes && t->open;
	else if (strcmp(word, "lasts") == 0)
		holds = !t->executes;
	else
		holds = false;
	if (!holds)
		wrong("the state is not that");
}

static void play(const char *told)
{
	struct track_entry entry;
	struct track t;
	char word[16];
	size_t n;

	story = told;
	track_init(&t);
	for (place = 0; told[place]; place += n + (told[place + n] == ' ')) {
		const char *rest = word + 1;

		n = strcspn(told + place, " ");
		assert_in_range(n, 1, sizeof word - 1);
		memcpy(word, told + place, n);
		word[n] = 0;

		if (word[0] == '=') {
			if (!track_fake(&t, &entry) || entry.kind != kind_of(&rest) || !(entry.flags & TRACK_FAKE))
				wrong("no such fake");
		} else if (word[0] == '~') {
			if (!track_dropped(&t, &entry) || entry.kind != kind_of(&rest))
				wrong("no such drop");
		} else {
			if (track_fake(&t, &entry))
				wrong("a fake too many");
			if (track_dropped(&t, &entry))
				wrong("a drop too many");
			if (word[0] == '+')
				push(&t, rest);
			else if (word[0] == '-')
				take(&t, rest);
			else
				expect_state(&t, word);
		}
	}
	if (track_fake(&t, &entry) || track_dropped(&t, &entry))
		wrong("something is left");
	track_fini(&t);
}

/* Stories begin after the login, whose ReadyForQuery is kept. */
#define PLAY(told) play("quiet -ZI! idle " told)

static void a_query_is_owed_until_ready_for_query(void **state)
{
	(void)state;
	PLAY("+Q busy -T -D -D -C busy -ZI. idle");
	PLAY("+Q -C -ZT. quiet +Q -C -ZE. quiet +Q -C -ZI. idle");
	PLAY("+Q -I -ZI. idle");
	PLAY("+Q -T -D -C -T -C -C -E busy -ZI. idle sound");
	PLAY("+Q -E busy -ZE. quiet");
	PLAY("+Q +Q -C -ZI. busy -C -ZI. idle");
	PLAY("+F -V busy -ZI. idle +F -E -ZI. idle");
	PLAY("+Q -H -d -d -c -C -ZI. idle");
}

static void extended_messages_are_answered_one_by_one(void **state)
{
	(void)state;
	PLAY("+P +B +Dp +E +S -1. -2. -T. -D -D -C. busy -ZI. idle");
	PLAY("+P +Ds +S -1. -t busy -T. -ZI. idle");
	PLAY("+Ds +S -t -n. -ZI. idle");
	PLAY("+B +E -2. -D -s. busy +E -D -s. +E -C. +C -3. busy +S -ZT. quiet");
	PLAY("+B +E +S -2. -I. -ZI. idle");
	PLAY("+B +E +S -2. -H -d -c -C. -ZI. idle");
	PLAY("+S -ZI. +S +S -ZI. -ZI. idle");
}

static void a_batch_without_its_sync_is_not_quiet(void **state)
{
	(void)state;
	PLAY("+P -1. busy +S busy -ZI. idle");
	/* A Query ends the batch as well as a Sync does. */
	PLAY("+P +B -1. -2. +Q -C -ZI. idle");
	PLAY("+P -1. +Q -C busy +P -ZI. busy -1. busy +S -ZI. idle");
}

static void what_a_batch_executes_lasts_with_its_sync(void **state)
{
	(void)state;
	PLAY("+P +B lasts +E executes -1. -2. -C. executes +S lasts -ZI. idle");
	PLAY("+E +Q lasts -C. -C -ZI. idle");
	PLAY("+Eo lasts -C.! +S -ZI. idle");
	/* The only Sync was eaten. */
	PLAY("+E +S lasts -G +c -C. executes +S lasts -ZI. idle");
	PLAY("+E +S -G +c +S -C. lasts -ZI. idle");
}

static void after_an_error_all_is_skipped_up_to_the_next_sync(void **state)
{
	(void)state;
	PLAY("+P +B +E +S -1. -E. ~E busy -ZI. idle sound");
	PLAY("+P +B +E +S +P +B +E +S -E. ~B ~E -ZI. -1. -2. -C. -ZI. idle");
	PLAY("+P +Q +Q +B +S +Q -E. ~Q ~Q ~B -ZI. -C -ZI. idle");
	PLAY("+P -E. busy skipping +B ~B +Q ~Q +F ~F +c +S -ZI. idle");
	PLAY("+P -E. skipping +S +Q -ZI. -C -ZI. idle");
	PLAY("+E +S -D -D -E. -ZE. quiet");
	PLAY("+Ds +B +S -t -E. ~B -ZI. idle");
}

static void a_sync_can_fail_itself(void **state)
{
	(void)state;
	/* A deferred constraint fails at the commit. */
	PLAY("+P +B +E +S +P +S -1. -2. -C. -E busy -ZI. -1. -ZI. idle sound");
}

static void notices_notifications_and_parameters_may_come_at_any_time(void **state)
{
	(void)state;
	PLAY("-N -A -S idle sound +Q -N -T -A -S -C -N -ZI. -A idle sound");
	PLAY("+Qo -S -N -C! -ZI!. idle");
	PLAY("+P -E. skipping -N -A -S skipping +S -ZI. idle");
	PLAY("+Q -G -N -S +c -C -ZI. idle sound");
}

static void answers_to_our_own_messages_are_kept(void **state)
{
	(void)state;
	PLAY("+Qo -T! -D! -C! -ZI!. idle");
	PLAY("+Qo -E! -ZI!. idle sound");
	PLAY("+Po +B +E +S -1!. -2. -C. -ZI. idle");
	PLAY("+Co +Po +B +E +S -3!. -1!. -2. -D -C. -ZI. idle");
	/* Our Parse fails: what the client sent after it is skipped with it. */
	PLAY("+Po +B +E +S -E!. ~B ~E -ZI. idle sound");
	PLAY("+Q -C -ZI. +Qo -C! -ZI!. +Q -C -ZI. idle");
}

static void fakes_are_answered_in_their_place(void **state)
{
	(void)state;
	PLAY("+Pf =P busy +B +E +S -2. -C. -ZI. idle");
	PLAY("+B +E +Pf +B +E +S -2. -C. =P -2. -C. -ZI. idle");
	PLAY("+B +Pf +Cf +Pf +E +S -2. =P =C =P -C. -ZI. idle");
	PLAY("+S +Pf -ZI. =P busy +S -ZI. idle");
	PLAY("+Q +Pf +S -C -ZI. =P -ZI. idle");
}

static void a_fake_is_skipped_as_the_real_one_would_be(void **state)
{
	(void)state;
	PLAY("+Pf =P +B +Pf +E +S -E. ~P ~E -ZI. idle");
	PLAY("+B -E. skipping +Pf ~P +Cf ~C +S +Pf -ZI. =P +S -ZI. idle");
	PLAY("+B +S +Pf +S -E. -ZI. =P -ZI. idle");
}

static void a_simple_copy_in_ends_with_its_mark(void **state)
{
	(void)state;
	PLAY("+Q -G busy +c busy -C busy -ZI. idle sound");
	PLAY("+Q -G +c -E -ZI. idle sound");
	PLAY("+Q -G -E +c -ZI. idle sound");
	PLAY("+Q -G -E -ZI. +c idle sound");
	PLAY("+Q -T -D -C -G +c -C -G +c -C -C -ZI. idle sound");
	PLAY("+Q -G +c +Q -C -ZI. -T -C -ZI. idle sound");
	PLAY("+Q -G +c +P +S -C -ZI. -1. -ZI. idle sound");
	/* A client that does not wait. */
	PLAY("+Q +c +Q -G -C -ZI. -C -ZI. idle sound");
	PLAY("+Q +c +c -G -C -G -C -ZI. idle sound");
}

static void a_copy_is_over_for_its_client_when_the_end_was_sent(void **state)
{
	(void)state;
	PLAY("+Q -G copies +S copies +c copied +Q copied -C -ZI. -C -ZI. idle sound");
	PLAY("+Q +c -G copied -C -ZI. idle sound");
	PLAY("+E +S -G copies +c copies +S copied -C. -ZI. idle sound");
	PLAY("+E -G copies +P copies -E. ~P skipping +S -ZI. idle");
}

static void a_sync_during_copy_in_is_never_answered(void **state)
{
	(void)state;
	/* libpq's way. */
	PLAY("+P +B +Dp +E +S -1. -2. -n. -G +c +S -C. busy -ZI. idle sound");
	PLAY("+E +S +S -G +S +c +S +S -C. -ZI. -ZI. idle sound");
	/* A client that knows what it executes. */
	PLAY("+E -G +c +S -C. -ZI. idle sound");
	/* A Sync during a simple copy is eaten too. */
	PLAY("+Q -G +S +c -C -ZI. idle sound");
	/* The only Sync was eaten: the batch is still open, so the server is not free. */
	PLAY("+E +S -G +c -C. busy +S -ZI. idle sound");
	PLAY("+E +S -G +c -C. busy +Q -C -ZI. idle sound");
	PLAY("+E +S -G +c +P -C. -1. busy +S -ZI. idle sound");
	/* All at once, without waiting for 'G'. */
	PLAY("+P +B +E +S +c +S +Q -1. -2. -G -C. -ZI. -C -ZI. idle sound");
}

static void a_failed_extended_copy_skips_to_the_sync_after_it(void **state)
{
	(void)state;
	PLAY("+E -G +c +S -E. -ZI. idle sound");
	PLAY("+E -G -E. skipping +c +S -ZI. idle sound");
	PLAY("+E -G +c -E. skipping +P ~P +S -ZI. idle sound");
	PLAY("+E -G +c +B +S +Q -E. ~B -ZI. -C -ZI. idle sound");
}

static void a_failed_copy_with_a_sync_before_its_end_makes_suspect(void **state)
{
	(void)state;
	PLAY("+E +S -G +c +S -E. suspect busy -ZI. idle suspect");
	PLAY("+E +S -G -E. suspect skipping +c +S -ZI. idle suspect");
	PLAY("+E -G +S +c +S -E. suspect -ZI. idle");
	PLAY("+Q -G +S +c -E suspect -ZI. idle suspect");
	/* It was not eaten after all: the same client gets that answer too. */
	PLAY("+E +S -G -E. suspect skipping -ZI suspect +c +S -ZI. idle suspect");
	PLAY("+E +S -G -E. suspect skipping -ZI +Q busy -C -ZI. idle suspect");
	PLAY("+E +S -G +c +S -E. -ZI. -ZI suspect");
	PLAY("+Q -G +S +c +Q -E -ZI. -ZI busy -C -ZI. idle suspect");
	/* A Sync after the mark is not in doubt. */
	PLAY("+Q -G +c +S -E -ZI. -ZI. idle sound");
	/* Nor one whose copy never began. */
	PLAY("+E +S +c +S -E. -ZI. -ZI. idle sound");
	PLAY("+Q +S +c -E -ZI. -ZI. idle sound");
}

static void a_mark_without_a_copy_vanishes(void **state)
{
	(void)state;
	PLAY("+c idle +c +c idle");
	PLAY("+Q +c -C -ZI. idle sound");
	PLAY("+B +c +c +E +c +S +c -2. -C. -ZI. idle sound");
	PLAY("+B +c +Pf +S -2. =P -ZI. idle");
	PLAY("+B +Pf +c +S -2. =P -ZI. idle");
	PLAY("+B +c +E +c +S +c -E. ~E -ZI. idle sound");
	PLAY("+S +c +Pf -ZI. =P +S -ZI. idle");
	PLAY("+Q +c +Q -C -ZI. -G +c -C -ZI. idle sound");
}

static void a_fake_during_copy_in_waits_for_its_end(void **state)
{
	(void)state;
	PLAY("+E +Pf +S -G +c +S -C. =P -ZI. idle sound");
	PLAY("+Q -G +Pf +c -C -ZI. =P +S -ZI. idle sound");
	PLAY("+E -G +Pf +c +S -E. ~P -ZI. idle sound");
}

static void replication_flows_freely_until_ready_for_query(void **state)
{
	(void)state;
	PLAY("+Q -W -d -d +c -c -T -D -C -C busy -ZI. idle sound");
	PLAY("+Q -W -d -E busy -ZI. idle sound");
}

static void what_was_not_asked_for_is_a_breach(void **state)
{
	static const char types[] = "12345TDCItnsGHWdcVZRKv#";

	(void)state;
	for (const char *type = types; *type; type++) {
		char told[64];

		snprintf(told, sizeof told, "-ZI! idle -%c%s? suspect", *type, *type == 'Z' ? "I" : "");
		play(told);
		snprintf(told, sizeof told, "-ZI! +P -E. skipping -%c%s? suspect", *type, *type == 'Z' ? "I" : "");
		play(told);
	}
}

static void an_answer_to_another_question_is_a_breach(void **state)
{
	(void)state;
	PLAY("+Q -1?");
	PLAY("+Q -2?");
	PLAY("+Q -V?");
	PLAY("+Q -s?");
	PLAY("+Q -n?");
	PLAY("+P +B +S -2?");
	PLAY("+P +S -ZI?");
	PLAY("+B -3?");
	PLAY("+E -T?");
	PLAY("+E -1?");
	PLAY("+S -C?");
	PLAY("+F -C?");
	PLAY("+Dp -t?");
	PLAY("+Ds -T?");
	PLAY("+Ds -t -t?");
	PLAY("+Qo -1?");
	PLAY("+Q -C -Zx?");
	PLAY("+E -D -C. -C? suspect");
}

static void a_server_off_by_one_is_found_before_its_rows_are_used(void **state)
{
	(void)state;
	PLAY("+Q -ZI? suspect");       /* a Query says something before it is ready */
	PLAY("+Q -T -D -ZI? suspect"); /* rows alone are not an end */
	PLAY("+F -ZI? suspect");
	PLAY("+Q -E -D? suspect"); /* nothing but 'Z' after an error */
	PLAY("+Q -E -G? suspect");
	PLAY("+Q -G -D? suspect"); /* no rows while it waits for data */
	PLAY("+Q -G -C? suspect"); /* no end while the client has not ended */
	PLAY("+Q -G +S -C? suspect");
	PLAY("+Q -G -ZI? suspect");
	PLAY("+E -G +P +c -C? suspect"); /* it cannot have read past a Parse */
	PLAY("+Q -C -ZI. -ZI? suspect");
}

static void an_error_that_nothing_asked_for_is_the_servers_end(void **state)
{
	(void)state;
	PLAY("-E suspect");
	PLAY("+Q -C -ZT. -E suspect");
	PLAY("+P -E. skipping -E suspect skipping");
	PLAY("+Q -T -D -E -E");
	PLAY("+S -E -E -ZI. idle");
}

static void a_begin_of_ours_is_no_batch_and_nothing_runs_behind_one_that_fails(void **state)
{
	(void)state;
	PLAY("+bo busy guards -1! -2! -C! -3!. quiet"); /* no Sync is awaited, and a transaction is open */
	PLAY("+Qo +bo +Q guards -C! -ZI!. guards -1! -2! -C! -3!. busy -C -ZT. quiet");
	PLAY("+bo +P +B +E +S -1! -2! -C! -3!. -1. -2. -C. -ZT. quiet");
	PLAY("+bo +Q +Q -E!. ~Q ~Q skipping +Q ~Q");
	PLAY("+bo +P +S +Q -1! -E!. ~P -ZI. -C -ZI. idle"); /* what comes behind the Sync would run */
	PLAY("+bo -C! -3!. -1?");
	PLAY("+bo -ZT?");
}

static void settings_go_in_a_transaction_of_their_own_and_nothing_runs_behind_ones_that_fail(void **state)
{
	(void)state;
	PLAY("+so busy guards -1! -2! -C! -1! -2! -D! -C! -1! -2! -C! -3!. idle");
	PLAY("+so +Qo +Q -1! -2! -C! guards -3!. -I! -ZI!. busy -C -ZI. idle");
	PLAY("+so +Qo +bo +Q -1! -2! -C! -3!. guards -I! -ZI!. guards -1! -2! -C! -3!. -C -ZT. quiet");
	PLAY("+so +Qo +bo +Q +Q -1! -E!. ~Q ~b ~Q ~Q skipping +Q ~Q");
	PLAY("+so +Qo +P +S -E!. ~Q ~P -ZI. idle");
	PLAY("+so -C! -3!. -1?");
	PLAY("+so -T?");
	PLAY("+so -ZI?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_query_is_owed_until_ready_for_query),
		cmocka_unit_test(extended_messages_are_answered_one_by_one),
		cmocka_unit_test(a_batch_without_its_sync_is_not_quiet),
		cmocka_unit_test(what_a_batch_executes_lasts_with_its_sync),
		cmocka_unit_test(after_an_error_all_is_skipped_up_to_the_next_sync),
		cmocka_unit_test(a_sync_can_fail_itself),
		cmocka_unit_test(notices_notifications_and_parameters_may_come_at_any_time),
		cmocka_unit_test(answers_to_our_own_messages_are_kept),
		cmocka_unit_test(fakes_are_answered_in_their_place),
		cmocka_unit_test(a_fake_is_skipped_as_the_real_one_would_be),
		cmocka_unit_test(a_simple_copy_in_ends_with_its_mark),
		cmocka_unit_test(a_copy_is_over_for_its_client_when_the_end_was_sent),
		cmocka_unit_test(a_sync_during_copy_in_is_never_answered),
		cmocka_unit_test(a_failed_extended_copy_skips_to_the_sync_after_it),
		cmocka_unit_test(a_failed_copy_with_a_sync_before_its_end_makes_suspect),
		cmocka_unit_test(a_mark_without_a_copy_vanishes),
		cmocka_unit_test(a_fake_during_copy_in_waits_for_its_end),
		cmocka_unit_test(replication_flows_freely_until_ready_for_query),
		cmocka_unit_test(what_was_not_asked_for_is_a_breach),
		cmocka_unit_test(an_answer_to_another_question_is_a_breach),
		cmocka_unit_test(a_server_off_by_one_is_found_before_its_rows_are_used),
		cmocka_unit_test(an_error_that_nothing_asked_for_is_the_servers_end),
		cmocka_unit_test(a_begin_of_ours_is_no_batch_and_nothing_runs_behind_one_that_fails),
		cmocka_unit_test(settings_go_in_a_transaction_of_their_own_and_nothing_runs_behind_ones_that_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
