#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "wire/track.h"

/* The tracker between a client that says anything and a model of PostgreSQL's message loop.
 *
 *   client ---> wire ---> model server ---> replies ---> track_take
 *      `----> track_push
 *
 * The model reads one message at a time, in order, and knows what the tracker can only infer: which Sync a
 * COPY IN ate, where an error struck, what is skipped. Every move is chance: when the client sends, when the
 * server reads, when its replies arrive. Then three logs must agree: what was answered (by whom, what, and
 * whether that finished it), what was dropped, and at every step whether the server is free.
 *
 * Fakes travel on the wire like the rest, so that the model can say where their answers belong; its server
 * takes no notice of them otherwise.
 *
 * One thing cannot be known from outside: whether a COPY IN that failed had eaten a Sync sent before its end.
 * The tracker must say `suspect` then, and only then. If the model ate it, as the tracker assumes, the story goes
 * on as strictly as before; if not, only `suspect` is looked at from there. */

#define LONGEST 4000

struct sent {
	char what; /* the letter of the protocol; 'd' 'c' 'f' 'H' too; Describe: 's' of a statement, 'p' of a portal */
	bool ours, fake;
	bool copies; /* an 'E' or 'Q' that says COPY FROM STDIN */
	bool eaten;
	uint32_t tag;
};

struct reply {
	char type, status;
	bool finishes;
	uint32_t tag; /* of the message it answers; unused for 'N' 'A' 'S' */
};

struct event {
	char type;
	bool finishes;
	uint32_t tag;
};

struct events {
	struct event at[4 * LONGEST];
	size_t count;
};

static struct story {
	uint64_t seed;
	struct rng rng;
	struct track track;

	struct sent sent[LONGEST]; /* the tag is the index */
	size_t sent_count, read;   /* those before `read` were read by the server */
	struct reply replies[4 * LONGEST];
	size_t reply_count, delivered;

	/* the client */
	bool copying;       /* it said something that copies, and has not ended it */
	uint32_t copy_from; /* what that was */

	/* the server */
	bool skip, open;
	bool copy, copy_is_query;
	uint32_t copy_owner;
	char transaction;

	struct events expected, seen, drops_expected, drops_seen;
	char last_status; /* of the last 'Z' delivered */
	bool suspect;     /* by our own reckoning */
	bool unknowable;  /* the tracker's guess was wrong: no strictness from here */
} s;

static struct {
	unsigned steps, copies_done, copies_failed, syncs_eaten, guesses_right, guesses_wrong, skips, drops, fakes,
		passed, plain, idles;
} told;

static void wrong(const char *what)
{
	fail_msg("seed %llu, message %zu, reply %zu: %s", (unsigned long long)s.seed, s.sent_count, s.delivered, what);
}

static bool chance(unsigned permille)
{
	return rng_chance(&s.rng, permille);
}

static void note(struct events *events, uint32_t tag, char type, bool finishes)
{
	events->at[events->count++] = (struct event){ .type = type, .finishes = finishes, .tag = tag };
}

/* -- the server -- */

static void say_status(uint32_t tag, char type, char status, bool finishes)
{
	struct reply *reply = &s.replies[s.reply_count++];

	/* What may come at any time does. */
	if (chance(30)) {
		*reply = (struct reply){ .type = "NAS"[rng_below(&s.rng, 3)] };
		reply = &s.replies[s.reply_count++];
	}
	*reply = (struct reply){ .type = type, .status = status, .finishes = finishes, .tag = tag };
	note(&s.expected, tag, type, finishes);
}

static void say(uint32_t tag, char type, bool finishes)
{
	say_status(tag, type, 0, finishes);
}

static void say_ready(uint32_t tag)
{
	s.transaction = chance(700) ? 'I' : chance(500) ? 'T' : 'E';
	s.open = false;
	say_status(tag, 'Z', s.transaction, true);
}

static void fail_extended(uint32_t tag)
{
	say(tag, 'E', true);
	s.skip = true;
	told.skips++;
}

static void say_rows(uint32_t tag)
{
	while (chance(600))
		say(tag, 'D', false);
}

static void copy_out(uint32_t tag)
{
	say(tag, 'H', false);
	while (chance(500))
		say(tag, 'd', false);
	say(tag, 'c', false);
}

static void begin_copy(uint32_t tag, bool is_query)
{
	say(tag, 'G', false);
	s.sent[tag].copies = false; /* the client reckons with one */
	s.copy = true;
	s.copy_owner = tag;
	s.copy_is_query = is_query;
}

/* The statements of a Query, from wherever it is; `must`: nothing was said yet. */
static void run_query(uint32_t tag, bool must)
{
	if (must && chance(60)) {
		say(tag, 'I', false);
		say_ready(tag);
		return;
	}
	while (must || chance(300)) {
		must = false;
		if (chance(100)) {
			say(tag, 'E', false);
			break;
		}
		if (s.sent[tag].copies && chance(700)) {
			begin_copy(tag, true);
			return;
		}
		if (chance(150)) {
			copy_out(tag);
		} else if (chance(500)) {
			say(tag, 'T', false);
			say_rows(tag);
			if (chance(60)) {
				say(tag, 'E', false);
				break;
			}
		}
		say(tag, 'C', false);
	}
	say_ready(tag);
}

static void execute(uint32_t tag)
{
	if (s.sent[tag].copies) {
		begin_copy(tag, false);
		return;
	}
	if (chance(100)) {
		copy_out(tag);
		say(tag, 'C', true);
		return;
	}
	say_rows(tag);
	if (chance(50)) {
		fail_extended(tag);
		return;
	}
	say(tag, "CIs"[rng_below(&s.rng, 3)], true);
}

static void fail_copy(void)
{
	s.copy = false;
	told.copies_failed++;
	if (!s.copy_is_query) {
		fail_extended(s.copy_owner);
		return;
	}
	say(s.copy_owner, 'E', false);
	say_ready(s.copy_owner);
}

static void end_copy(void)
{
	uint32_t owner = s.copy_owner;

	if (chance(100)) {
		fail_copy();
		return;
	}
	s.copy = false;
	told.copies_done++;
	say(owner, 'C', !s.copy_is_query);
	if (s.copy_is_query)
		run_query(owner, false);
}

static void read_in_copy(struct sent *m)
{
	switch (m->what) {
	case 'd':
		if (chance(80))
			fail_copy();
		return;
	case 'S':
		m->eaten = true;
		told.syncs_eaten++;
		return;
	case 'H':
		return;
	case 'c':
		end_copy();
		return;
	case 'f':
		fail_copy();
		return;
	default:
		wrong("the test sends what nobody may send during COPY IN");
	}
}

static void read_extended(const struct sent *m)
{
	uint32_t tag = m->tag;

	s.open = true;
	if (m->fake) {
		told.fakes++;
		note(&s.expected, tag, m->what == 'P' ? '1' : '3', true);
		return;
	}
	if (chance(60)) {
		fail_extended(tag);
		return;
	}
	switch (m->what) {
	case 'P':
		say(tag, '1', true);
		return;
	case 'B':
		say(tag, '2', true);
		return;
	case 'C':
		say(tag, '3', true);
		return;
	case 's':
		say(tag, 't', false);
		say(tag, chance(500) ? 'T' : 'n', true);
		return;
	case 'p':
		say(tag, chance(500) ? 'T' : 'n', true);
		return;
	case 'E':
		execute(tag);
		return;
	}
}

static void server_reads(void)
{
	struct sent *m;

	/* A cancel strikes at any time. */
	if (s.copy && chance(20)) {
		fail_copy();
		return;
	}
	if (s.read == s.sent_count)
		return;
	m = &s.sent[s.read++];
	if (s.copy) {
		read_in_copy(m);
		return;
	}
	if (strchr("dcfH", m->what))
		return;
	if (m->what == 'S') {
		s.skip = false;
		if (chance(40))
			say(m->tag, 'E', false);
		say_ready(m->tag);
		return;
	}
	if (s.skip) {
		told.drops++;
		note(&s.drops_expected, m->tag, 0, false);
		return;
	}
	if (m->what == 'Q') {
		run_query(m->tag, true);
	} else if (m->what == 'F') {
		say(m->tag, chance(900) ? 'V' : 'E', false);
		say_ready(m->tag);
	} else {
		read_extended(m);
	}
}

/* -- the tracker -- */

static void drain(void)
{
	struct track_entry entry;

	while (track_fake(&s.track, &entry))
		note(&s.seen, entry.tag, entry.kind == TRACK_PARSE ? '1' : '3', true);
	while (track_dropped(&s.track, &entry))
		note(&s.drops_seen, entry.tag, 0, false);
}

/* The same where the story is no longer strict. */
static void discard(void)
{
	struct track_entry entry;

	while (track_fake(&s.track, &entry) || track_dropped(&s.track, &entry))
		;
}

/* A copy failed, as its 'E' arrives now: which Syncs are in doubt, and were they eaten? */
static void reckon(uint32_t owner)
{
	for (size_t i = owner + 1; i < s.sent_count; i++) {
		const struct sent *m = &s.sent[i];

		if (m->what == 'c' || m->what == 'f')
			return;
		if (m->what != 'S')
			continue;
		s.suspect = true;
		if (!m->eaten)
			s.unknowable = true;
	}
}

/* What track_take_plain takes is what track_take takes, and there is nothing to be told of it. The track is as it was. */
static bool is_plain(char type, const struct track_entry *head)
{
	struct track whole = s.track, plain = s.track;
	size_t size = s.track.capacity * sizeof *s.track.ring;
	struct track_reply reply;
	bool taken;

	whole.ring = malloc(size + 1);
	plain.ring = malloc(size + 1);
	if (size > 0) {
		memcpy(whole.ring, s.track.ring, size);
		memcpy(plain.ring, s.track.ring, size);
	}
	taken = track_take_plain(&plain, type);
	if (taken) {
		reply = track_take(&whole, type, 0);
		if (reply.verdict != TRACK_FORWARD || !reply.finished || reply.failed || head->flags != 0)
			wrong("what is taken as plain is not");
		if (plain.head != whole.head || plain.count != whole.count || plain.open != whole.open ||
			plain.skipping != whole.skipping || plain.status != whole.status ||
			memcmp(plain.ring, whole.ring, size) != 0)
			wrong("what is taken as plain leaves something else");
	}
	free(whole.ring);
	free(plain.ring);
	return taken;
}

/* What track_passes lets by is what track_take would have let by, and left as it was. */
static struct track_reply take(char type, char status)
{
	struct track before = s.track;
	bool passes = track_passes(&s.track, type);
	struct track_entry head = s.track.count > 0 ? s.track.ring[s.track.head] : (struct track_entry){ 0 };
	bool plain = is_plain(type, &head);
	struct track_reply reply = track_take(&s.track, type, status);

	told.plain += plain;
	/* So many of them are: the way is not left unused. */
	if (!plain && reply.finished && head.flags == 0 && !reply.failed &&
		(head.kind == TRACK_BIND || head.kind == TRACK_DESCRIBE_PORTAL))
		wrong("what is plain is not taken as that");

	told.passed += passes;
	if (passes &&
		(reply.verdict != TRACK_FORWARD || !reply.owed || reply.finished || reply.failed ||
			memcmp(&before, &s.track, sizeof before) != 0 ||
			memcmp(&head, &s.track.ring[s.track.head], sizeof head) != 0))
		wrong("what passes is not taken as that");
	return reply;
}

static void deliver(void)
{
	const struct reply *reply;
	struct track_reply taken;
	bool copied;

	if (s.delivered == s.reply_count)
		return;
	reply = &s.replies[s.delivered++];
	copied = s.track.copy_in;
	if (reply->type == 'E' && copied)
		reckon(reply->tag);
	taken = take(reply->type, reply->status);
	if (reply->type == 'Z')
		s.last_status = reply->status;
	if (s.unknowable) {
		told.guesses_wrong += reply->type == 'E' && copied;
		if (!s.track.suspect)
			wrong("a Sync in doubt, and not suspect");
		discard();
		return;
	}
	if (s.track.suspect != s.suspect)
		wrong(s.suspect ? "a Sync in doubt, and not suspect" : "suspect for nothing");
	told.guesses_right += s.suspect && reply->type == 'E' && copied;
	if (strchr("NAS", reply->type)) {
		if (taken.verdict != TRACK_FORWARD || taken.finished || taken.failed)
			wrong("a notice was taken for an answer");
		drain();
		return;
	}
	if (!taken.owed || taken.entry.tag != reply->tag)
		wrong("matched to another message");
	if (taken.verdict != (s.sent[reply->tag].ours ? TRACK_KEEP : TRACK_FORWARD))
		wrong("the wrong verdict");
	if (taken.finished != reply->finishes)
		wrong("finished too early or too late");
	if (taken.failed != (reply->type == 'E'))
		wrong("not seen as what it is");
	note(&s.seen, taken.entry.tag, reply->type, taken.finished);
	drain();
}

static void compare(void)
{
	bool nothing_unread = true, idle;

	for (size_t i = s.read; i < s.sent_count; i++) {
		if (!strchr("dcfH", s.sent[i].what))
			nothing_unread = false;
	}
	idle = nothing_unread && s.delivered == s.reply_count && !s.skip && !s.open && !s.copy && s.last_status == 'I';
	if (idle != track_idle(&s.track))
		wrong(idle ? "free, and not told" : "told free, and it is not");
	told.idles += idle;
}

/* Both logs grow in the same order, the tracker's sooner or later than the model's. */
static void compare_logs(const struct events *a, const struct events *b, const char *what)
{
	size_t n = a->count < b->count ? a->count : b->count;

	for (size_t i = 0; i < n; i++) {
		if (a->at[i].tag != b->at[i].tag || a->at[i].type != b->at[i].type ||
			a->at[i].finishes != b->at[i].finishes)
			wrong(what);
	}
}

/* -- the client -- */

static void send(char what, bool ours, bool fake, bool copies)
{
	static const struct {
		char what;
		enum track_kind kind;
	} kinds[] = {
		{ 'P', TRACK_PARSE },
		{ 'B', TRACK_BIND },
		{ 's', TRACK_DESCRIBE_STATEMENT },
		{ 'p', TRACK_DESCRIBE_PORTAL },
		{ 'E', TRACK_EXECUTE },
		{ 'C', TRACK_CLOSE },
		{ 'S', TRACK_SYNC },
		{ 'Q', TRACK_QUERY },
		{ 'F', TRACK_FUNCTION },
		{ 'c', TRACK_COPY_END },
		{ 'f', TRACK_COPY_END },
	};
	uint32_t tag = (uint32_t)s.sent_count;

	s.sent[s.sent_count++] = (struct sent){ .what = what, .ours = ours, .fake = fake, .copies = copies, .tag = tag };
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		if (kinds[i].what != what)
			continue;
		if (!track_push(&s.track, kinds[i].kind, (ours ? TRACK_OURS : 0) | (fake ? TRACK_FAKE : 0), tag))
			wrong("refused");
	}
	if (copies) {
		s.copying = true;
		s.copy_from = tag;
		/* libpq's way: the Sync goes along. */
		if (what == 'E' && chance(500))
			send('S', false, false, false);
	}
}

static void client_sends(void)
{
	bool ours = chance(100);

	if (s.copying) {
		/* Some wait for what the server says to it, some do not; both may be late. */
		if (chance(600))
			return;
		if (chance(500)) {
			send('d', false, false, false);
		} else if (chance(150)) {
			send(chance(700) ? 'S' : 'H', false, false, false);
		} else if (chance(400)) {
			send(chance(700) ? 'c' : 'f', false, false, false);
			s.copying = false;
			if (chance(700))
				send('S', false, false, false);
		}
		return;
	}
	switch (rng_below(&s.rng, 14)) {
	case 0:
	case 1:
		send('P', ours, !ours && chance(300), false);
		break;
	case 2:
	case 3:
		send('B', false, false, false);
		break;
	case 4:
		send(chance(500) ? 's' : 'p', ours, false, false);
		break;
	case 5:
	case 6:
		send('E', ours, false, !ours && chance(250));
		break;
	case 7:
		send('C', ours, !ours && chance(300), false);
		break;
	case 8:
	case 9:
	case 10:
		send('S', false, false, false);
		break;
	case 11:
		send('Q', ours, false, !ours && chance(250));
		break;
	case 12:
		send(chance(500) ? 'F' : 'Q', ours, false, false);
		break;
	case 13:
		/* Late, stray or pointless. */
		send("dcfH"[rng_below(&s.rng, 4)], false, false, false);
		break;
	}
	/* A batch is often sent at once. */
	if (chance(500) && s.sent_count < LONGEST / 2 && !s.copying)
		client_sends();
}

static void play(uint64_t seed)
{
	unsigned eager, steps;

	memset(&s, 0, sizeof s);
	s.seed = seed;
	rng_seed(&s.rng, seed);
	track_init(&s.track);
	track_take(&s.track, 'Z', 'I');
	s.last_status = s.transaction = 'I';
	eager = 100 + (unsigned)rng_below(&s.rng, 700);
	steps = 50 + (unsigned)rng_below(&s.rng, 400);
	for (unsigned step = 0; !s.unknowable || step < steps; step++) {
		bool ending = step >= steps;

		if (!ending && chance(eager) && s.sent_count < LONGEST / 2) {
			client_sends();
		} else if (chance(500)) {
			server_reads();
		} else {
			deliver();
		}
		told.steps++;
		if (s.unknowable) {
			discard();
			continue;
		}
		drain();
		compare();
		if (!ending)
			continue;
		if (s.read < s.sent_count || s.delivered < s.reply_count)
			continue;
		/* All is read and said. End what is open, and then the server must come free. */
		if (s.copying || s.copy) {
			send('f', false, false, false);
			s.copying = false;
		} else if (s.open || s.skip) {
			send('S', false, false, false);
		} else {
			break;
		}
	}
	compare_logs(&s.expected, &s.seen, "the answers went astray");
	compare_logs(&s.drops_expected, &s.drops_seen, "the drops went astray");
	if (!s.unknowable) {
		if (s.expected.count != s.seen.count || s.drops_expected.count != s.drops_seen.count)
			wrong("something was lost or made up");
		if (!track_quiet(&s.track))
			wrong("all was said, and still not quiet");
	}
	track_fini(&s.track);
}

static void the_tracker_knows_what_a_model_of_the_server_knows(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 6000; seed++)
		play(seed);
	print_message(
		"%u steps, %u times free; COPY IN: %u done, %u failed; Syncs eaten: %u; guesses right %u, wrong %u; "
		"errors that skip: %u, messages skipped: %u, fakes: %u\n",
		told.steps, told.idles, told.copies_done, told.copies_failed, told.syncs_eaten, told.guesses_right,
		told.guesses_wrong, told.skips, told.drops, told.fakes);
	/* The streams went where the bugs would be. */
	assert_true(told.copies_done > 1000 && told.copies_failed > 1000 && told.syncs_eaten > 1000);
	assert_true(told.passed > 1000 && told.plain > 1000);
	assert_true(told.guesses_right > 300 && told.guesses_wrong > 30);
	assert_true(told.skips > 1000 && told.drops > 1000 && told.fakes > 1000 && told.idles > 1000);
}

static void a_server_that_says_anything_breaks_nothing(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 1000; seed++) {
		bool suspect = false;

		memset(&s, 0, sizeof s);
		rng_seed(&s.rng, seed);
		track_init(&s.track);
		for (int step = 0; step < 300; step++) {
			if (chance(500))
				assert_true(track_push(
					&s.track, (enum track_kind)rng_below(&s.rng, TRACK_BEGIN + 1), 0, 0));
			else
				take("12345TDCCItnsGGHWdcVZZZEENAS"[rng_below(&s.rng, 28)],
					"ITEx"[rng_below(&s.rng, 4)]);
			discard();
			assert_true(s.track.suspect || !suspect);
			assert_false(track_idle(&s.track) && !track_quiet(&s.track));
			suspect = s.track.suspect;
		}
		track_fini(&s.track);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tracker_knows_what_a_model_of_the_server_knows),
		cmocka_unit_test(a_server_that_says_anything_breaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
