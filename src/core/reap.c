/* The rules are in the order in which they bite: what protects a client comes before what speaks against it, so that the reason that is
 * told for one that stays is the one that would hold whatever else changes. */
#include "core/reap.h"

#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/text.h"

#define HOUR_US (3600 * SECOND_US)

/* In whatever letters; `word` is in small ones. */
static bool has(struct span text, const char *word)
{
	for (size_t i = 0; i < text.length; i++)
		if ((text.at[i] | 32) == word[0] && text_begins_nocase(span_skip(text, i), word))
			return true;
	return false;
}

/* "advisory" in small or capital letters, found by its rarest one: every statement comes by here. */
static bool names_advisory(struct span text, int letter)
{
	const uint8_t *at = text.at, *end = text.at + text.length, *v;

	while ((v = memchr(at, letter, (size_t)(end - at)))) {
		if (v - text.at >= 2 && end - v >= 6 && strncasecmp((const char *)v - 2, "advisory", 8) == 0)
			return true;
		at = v + 1;
	}
	return false;
}

/* Does its first word, or one behind WITH, write? A function that does is not seen. */
static bool writes(struct span text)
{
	static const char *const words[] = { "insert", "update", "delete", "merge", "copy", "create", "alter", "drop",
		"truncate" };

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (text_begins_nocase(text, words[i]))
			return true;
	return text_begins_nocase(text, "with") &&
		(has(text, "insert ") || has(text, "update ") || has(text, "delete "));
}

/* Wherever it says so: "WITH HOLD", in whatever letters; HOLD alone is enough to be careful. */
static unsigned marks_within(struct span text)
{
	return (has(text, "listen") ? MARK_LISTENS : 0) | (has(text, "hold") ? MARK_CURSOR : 0);
}

/* By how a statement begins. */
static unsigned marks_in_front(struct span text)
{
	unsigned marks = 0;

	if (text.length == 0)
		return 0;
	if ((text.at[0] | 32) != 's' && writes(text))
		marks |= MARK_WRITES;
	switch (text.at[0] | 32) {
	case 'l':
		return text_begins_nocase(text, "listen") ? marks | MARK_LISTENS : marks;
	case 'd':
		return text_begins_nocase(text, "declare") && has(text, "hold") ? marks | MARK_CURSOR : marks;
	case 'p':
		return text_begins_nocase(text, "prepare transaction") ? marks | MARK_PREPARED : marks;
	case 's':
	case 'u':
	case 'i':
	case 'w':
		return marks;
	default:
		/* What begins with a comment, a bracket or a rarer word may have anything in it. */
		return marks | marks_within(text);
	}
}

/* What stands behind the first semicolon, from its first letter on. */
static struct span behind_first(struct span text)
{
	const uint8_t *at = memchr(text.at, ';', text.length);
	struct span rest = at ? span_skip(text, (size_t)(at - text.at)) : span_of("", 0);

	while (rest.length > 0 && (rest.at[0] == ';' || rest.at[0] <= ' '))
		rest = span_skip(rest, 1);
	return rest;
}

/* Only the first of several statements begins where it seems to: what parts the others may be the semicolon of a comment. */
static unsigned marks_behind(struct span text)
{
	struct span rest = behind_first(text), next;
	unsigned marks = marks_within(rest);

	for (; rest.length > 0; rest = next) {
		next = behind_first(rest);
		marks |= marks_in_front(span_of(rest.at, rest.length - next.length));
	}
	return marks;
}

unsigned reap_marks(struct span text, bool cut)
{
	unsigned marks = cut ? MARK_UNSEEN : 0;

	/* Functions are told by a part of their name; who hides one in a function of his own is not found. */
	if (names_advisory(text, 'v') || names_advisory(text, 'V'))
		marks |= MARK_LOCKS;
	if (memchr(text.at, ';', text.length))
		marks |= marks_behind(text);
	return marks | marks_in_front(text);
}

static enum reap_verdict protection(const struct reap_subject *subject)
{
	static const struct {
		unsigned mark;
		enum reap_verdict verdict;
	} marks[] = {
		{ MARK_PREPARED, KEEP_PREPARED },
		{ MARK_LOCKS, KEEP_LOCKS },
		{ MARK_CURSOR, KEEP_CURSOR },
		{ MARK_LISTENS, KEEP_LISTENS },
		{ MARK_UNSEEN, KEEP_UNSEEN },
	};

	if (subject->is_protected)
		return KEEP_PROTECTED;
	if (subject->is_exempt)
		return KEEP_EXEMPT;
	if (subject->is_unheard)
		return KEEP_UNHEARD;
	if (subject->marks & MARK_COPY)
		return KEEP_COPY;
	if (subject->owes)
		return KEEP_BUSY;
	if (subject->hears)
		return KEEP_LISTENS;
	/* A client without a server has left nothing behind on one. */
	for (size_t i = 0; subject->holds_server && i < sizeof marks / sizeof marks[0]; i++)
		if (subject->marks & marks[i].mark)
			return marks[i].verdict;
	return REAP_GOES;
}

enum reap_verdict reap_judge(const struct reap_subject *subject, const struct reap_order *order)
{
	enum reap_verdict kept = protection(subject);
	bool fits;

	if (kept != REAP_GOES)
		return kept;
	if (order->family == FAMILY_SERVER) {
		if (!subject->holds_server)
			return KEEP_OTHER;
		fits = subject->in_block ? subject->held >= order->hold : subject->rested >= order->quiet;
	} else {
		if (subject->in_block || subject->rested == 0)
			return KEEP_OTHER;
		fits = subject->rested >= order->quiet;
	}
	/* Who has come back before may come back again; in a block that is open for too long it does not matter. */
	if (!subject->in_block && subject->bursts > 1 && !order->by_hand)
		fits = false;
	if (!fits)
		return KEEP_IN_USE;
	if (order->by_hand)
		return REAP_GOES;
	if (subject->marked == 0)
		return REAP_MARK;
	if (subject->in_block && (subject->marks & MARK_WRITES) && subject->held < REAP_WRITING_TIMES * order->hold)
		return REAP_WAIT;
	return subject->marked >= order->grace ? REAP_GOES : REAP_WAIT;
}

const char *reap_reason(enum reap_verdict verdict)
{
	static const char *const reasons[REAP_VERDICTS] = {
		[REAP_GOES] = "goes",
		[REAP_MARK] = "would go; it is marked now",
		[REAP_WAIT] = "is marked, and its time of grace is not over",
		[KEEP_PROTECTED] = "its origin is protected",
		[KEEP_EXEMPT] = "it asked for pgweir.no_reap",
		[KEEP_UNHEARD] = "everything is suspended, and it may have asked for something",
		[KEEP_BUSY] = "it works, or waits for an answer",
		[KEEP_COPY] = "a COPY goes on",
		[KEEP_LISTENS] = "it listens",
		[KEEP_LOCKS] = "it may hold an advisory lock",
		[KEEP_CURSOR] = "it may hold a cursor WITH HOLD",
		[KEEP_PREPARED] = "it prepared a transaction",
		[KEEP_UNSEEN] = "it sent a statement too long to be looked at",
		[KEEP_IN_USE] = "it was used lately, or came back before",
		[KEEP_OTHER] = "it does not hold what leaks",
	};

	check((unsigned)verdict < REAP_VERDICTS);
	return reasons[verdict];
}

uint32_t reap_allows(struct reap_budget *budget, const struct reap_rules *rules, time_us now, enum leak_family family,
	const struct leak_facts *facts)
{
	uint64_t used = facts->clients_limit ? (uint64_t)facts->clients_total * 100 / facts->clients_limit : 0;
	uint32_t most = rules->batch, share,
		 suspects = family == FAMILY_SERVER ? facts->holding + facts->once : facts->quiet;

	if (now >= budget->hour_began + HOUR_US || budget->hour_began == 0) {
		budget->hour_began = now;
		budget->in_hour = 0;
	}
	/* Sockets are short for everybody at once; servers are when somebody waits for one of this pool. */
	if (family == FAMILY_CLIENT) {
		if (used >= rules->pressure)
			budget->under_pressure = true;
		else if (used < rules->relief)
			budget->under_pressure = false;
		if (!budget->under_pressure)
			return 0;
	} else if (facts->pool_waiting == 0) {
		return 0;
	}
	share = (uint32_t)((uint64_t)suspects * rules->share / 100);
	if (share == 0)
		share = 1;
	if (most > share)
		most = share;
	if (family == FAMILY_SERVER && most > facts->pool_waiting)
		most = facts->pool_waiting;
	if (budget->in_hour >= rules->hourly)
		return 0;
	if (most > rules->hourly - budget->in_hour)
		most = rules->hourly - budget->in_hour;
	return most;
}

void reap_spend(struct reap_budget *budget, uint32_t count)
{
	budget->in_hour += count;
}
