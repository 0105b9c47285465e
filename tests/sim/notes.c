/* See notes.h.
 *
 * Every NOTIFY has a payload of its own, so that a notification is found in the list of what was committed, in the order of commits. Of a
 * client that is enough:
 *   - it hears only what was committed, in its database, to a topic that it LISTENs to (or did when it last was ready);
 *   - in the order of commits, each once;
 *   - its own under its own process id and before its ReadyForQuery, others' under another;
 *   - what it does not hear, though it hears a later one, a WARNING has told it of by its next ReadyForQuery;
 *   - where a RELOAD leads its database elsewhere, a WARNING stands between what it hears here and there. */
#include "notes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cancels.h"
#include "changes.h"
#include "house.h"

struct committed {
	unsigned topic;
	int sender; /* -1: none of the clients */
	uint32_t process;
	int side; /* 1: in the database beyond */
	char database[40], payload[40];
};

static struct committed *all;
static size_t count, capacity;
static bool some, loses, moves;
static struct rng dice;
static unsigned place_count;

/* The connection that listens for all is lost, again and again: else it rarely is in the very moment in which somebody says something. */
static void lose(void *who, uint64_t until)
{
	(void)who;
	if (world.now > (time_us)until)
		return;
	for (struct backend *b = cluster.backends; b; b = b->next)
		if (b->aside && b->state == BACKEND_READY && chance(500))
			backend_vanish(b);
	world_after(between(1, 200 * MILLISECOND_US), lose, NULL, until);
}

void notes_draw(void)
{
	rng_seed(&dice, world.seed ^ UINT64_C(0x4c495354454e));
	some = rng_next(&dice) % 3 == 0;
	loses = some && !world.plain && rng_next(&dice) % 2 == 0;
	moves = some && !world.plain && rng_next(&dice) % 3 != 0;
	place_count = rng_next(&dice) % 2 == 0 ? 2 : 5;
}

bool notes_move(void)
{
	return moves;
}

const char *notes_place(void)
{
	static const char *const places[] = { "host=10.0.0.1 port=5432", "host=db.sim", "host=10.0.0.1 dbname=beyond",
		"host=db.sim dbname=beyond", "host=10.0.0.254,db.sim,10.0.0.1 port=,5432,5432" };

	return places[moves ? rng_next(&dice) % place_count : 0];
}

void notes_end(void)
{
	mine_free(all);
	all = NULL;
}

/* ---- at PostgreSQL ---- */

static void add(struct committed note, const char *database, const char *payload)
{
	if (count == capacity) {
		capacity = capacity ? capacity * 2 : 64;
		all = mine_grow(all, capacity * sizeof *all);
	}
	snprintf(note.database, sizeof note.database, "%s", database);
	snprintf(note.payload, sizeof note.payload, "%s", payload);
	story("pg: notification %zu: t%u, %s", count, note.topic, payload);
	all[count++] = note;
}

static void wake(void *who, uint64_t what)
{
	struct backend *b = who;

	(void)what;
	/* In the middle of something it reads them when it is ready. */
	if (b->state == BACKEND_READY && b->session->status == 'I' && !b->session->implicit && !b->session->skipping &&
		!session_sleeps(b->session) && !b->session->copying) {
		notes_tell(b, &b->out);
		backend_soon(b);
	}
}

/* All that listen there, but for this one. */
static void wake_all(const struct backend *but, int side, const char *database)
{
	for (struct backend *b = cluster.backends; b; b = b->next)
		if (b != but && b->state == BACKEND_READY && b->heeds && b->beyond == side &&
			strcmp(b->database, database) == 0)
			world_after(between(cluster.think_least, cluster.think_most), wake, b, 0);
}

#define OUTSIDER 4000000000u /* the process of nobody else */

/* By somebody who does not come through us. */
static void say_outside(void)
{
	char payload[40];

	for (int side = 0; side < 2; side++) {
		snprintf(payload, sizeof payload, "outside.%zu", count);
		add(
			(struct committed){
				.topic = (unsigned)pick(TOPIC_MARK), .sender = -1, .process = OUTSIDER, .side = side },
			"app", payload);
		wake_all(NULL, side, "app");
	}
}

/* While one of two connections that hear the same says it late. */
static void move(void *who, uint64_t until)
{
	(void)who;
	if (world.now > (time_us)until)
		return;
	for (struct backend *b = cluster.backends; b; b = b->next)
		if (b->aside && b->state == BACKEND_READY && chance(500))
			wire_stall(b->end->wire, between(1, 300 * MILLISECOND_US));
	say_outside();
	if (chance(200))
		house_reload();
	else
		house_reload_between();
	world_after(chance(500) ? between(1, 200 * MILLISECOND_US) : between(1, 3 * SECOND_US), move, NULL, until);
}

bool notes_begin(void)
{
	uint64_t until = (uint64_t)(world.now + 30 * SECOND_US);

	all = NULL;
	count = capacity = 0;
	if (loses)
		world_after(SECOND_US, lose, NULL, until);
	if (moves)
		world_after(SECOND_US, move, NULL, until);
	return some;
}

void notes_committed(struct backend *b)
{
	struct session *s = b->session;

	/* It begins to listen with what this very transaction said. */
	if (!b->heeds)
		b->heard = count;
	b->heeds = s->listens != 0;
	for (unsigned i = 0; i < s->said_count; i++)
		/* A client's begins as its tag does: see tag_of. */
		add((struct committed){ .topic = s->said[i].topic,
			    .sender = s->said[i].topic < TOPIC_MARK ? (int)strtol(s->said[i].payload + 1, NULL, 10) : -1,
			    .process = b->process,
			    .side = b->beyond },
			b->database, s->said[i].payload);
	if (s->said_count == 0)
		return;
	wake_all(b, b->beyond, b->database);
}

void notes_tell(struct backend *b, struct bytes *out)
{
	uint8_t body[100];
	size_t n;

	if (!b->heeds)
		return;
	for (; b->heard < count; b->heard++) {
		const struct committed *note = &all[b->heard];

		if (strcmp(note->database, b->database) != 0 || note->side != b->beyond ||
			!(b->session->listens >> note->topic & 1))
			continue;
		for (n = 0; n < 4; n++)
			body[n] = (uint8_t)(note->process >> (24 - 8 * n));
		n += (size_t)snprintf((char *)body + n, sizeof body - n, "%s", topic_name(note->topic)) + 1;
		n += (size_t)snprintf((char *)body + n, sizeof body - n, "%s", note->payload) + 1;
		say_body(out, 'A', body, n);
	}
}

/* ---- at the clients ---- */

bool notes_compose(struct person *p, const char *nonce, char *out, size_t size)
{
	unsigned topic;

	if (!some || strncmp(p->database, "sess", 4) == 0 || strncmp(p->database, "stat", 4) == 0)
		return false;
	topic = (unsigned)pick(2);
	switch (pick(8)) {
	case 0:
	case 1:
	case 2:
		snprintf(out, size, "LISTEN t%u /*%s*/", topic, nonce);
		break;
	case 3:
		if (chance(300)) {
			p->ear.sure = 0;
			snprintf(out, size, "UNLISTEN * /*%s*/", nonce);
		} else {
			p->ear.sure &= ~(1u << topic);
			snprintf(out, size, "UNLISTEN t%u /*%s*/", topic, nonce);
		}
		break;
	default:
		snprintf(out, size, "NOTIFY t%u, '%s'", topic, nonce);
		break;
	}
	return true;
}

void notes_discards(struct person *p)
{
	p->ear.sure = 0;
}

/* ... what was committed from here on. */
static void hears_again(struct person *p, size_t from)
{
	p->ear.deaf = false;
	for (unsigned i = 0; i < TOPIC_MARK; i++)
		p->ear.since[i] = from;
}

static bool is_meant(const struct person *p, size_t i)
{
	const struct committed *note = &all[i];

	return note->topic < TOPIC_MARK && (p->ear.sure >> note->topic & 1) && i >= p->ear.since[note->topic] &&
		strcmp(note->database, p->database) == 0 && (!moves || note->side == p->ear.side);
}

void notes_heard(struct person *p, struct span body)
{
	static const char claim[] = "a listener hears what was said, once, in order, and under whose name";
	struct listener *ear = &p->ear;
	const char *topic = (const char *)body.at + 4, *payload = topic + strlen(topic) + 1;
	uint32_t process = (uint32_t)body.at[0] << 24 | (uint32_t)body.at[1] << 16 | (uint32_t)body.at[2] << 8 |
		body.at[3],
		 own = (uint32_t)p->key[0] << 24 | (uint32_t)p->key[1] << 16 | (uint32_t)p->key[2] << 8 | p->key[3];
	size_t i = 0;

	story("c%u: hears %s, %s", p->id, topic, payload);
	while (i < count && strcmp(all[i].payload, payload) != 0)
		i++;
	if (i == count || strcmp(topic_name(all[i].topic), topic) != 0 || strcmp(all[i].database, p->database) != 0)
		broken(claim, "c%u hears %s, %s, which nobody said there", p->id, topic, payload);
	if (i < ear->next)
		broken(claim, "c%u hears %s a second time, or behind a later one", p->id, payload);
	/* In session mode it knows its process by a name that the neighbours know. */
	if ((all[i].sender == (int)p->id) != (process == own) &&
		!(all[i].sender == (int)p->id && process == all[i].process && changes_modes() && cancels_of_peers()))
		broken(claim, "c%u (process %u) hears %s of c%d under process %u", p->id, own, payload, all[i].sender,
			process);
	if (all[i].sender == (int)p->id && i < ear->own_due)
		broken("what a client notifies itself comes before it is ready", "c%u hears %s later", p->id, payload);
	if (!((p->shadow->listens | ear->before) >> all[i].topic & 1)) {
		if (person_is_quiet(p))
			broken("who does not listen hears nothing", "c%u hears %s, %s", p->id, topic, payload);
		ear->unsure |= 1u << all[i].topic;
	}
	if (moves && ear->side != all[i].side) {
		if (ear->side >= 0 && ear->sure && !ear->moved)
			ear->skipped = i + 1;
		ear->side = all[i].side;
	}
	ear->moved = false;
	if (ear->deaf)
		hears_again(p, i);
	for (size_t k = ear->next; k < i && !ear->skipped; k++)
		if (is_meant(p, k))
			ear->skipped = k + 1;
	ear->next = i + 1;
}

bool notes_warned(struct person *p, struct span body)
{
	char message[300], hint[300];

	error_field(body, 'M', message);
	error_field(body, 'H', hint);
	if (strncmp(message, "notifications may have been missed since ", 41) != 0 &&
		!strstr(message, " notifications were dropped"))
		return false;
	p->ear.skipped = 0;
	p->ear.moved = true;
	hears_again(p, count);
	p->ear.deaf = strstr(hint, "the next statement goes on listening") != NULL;
	return true;
}

void notes_ready(struct person *p)
{
	struct listener *ear = &p->ear;

	if (!some)
		return;
	if (ear->unsure & ~(ear->before | p->shadow->listens))
		broken("who does not listen hears nothing", "c%u heard something that it never LISTENed to", p->id);
	if (ear->skipped)
		broken("what is lost is told", "c%u heard nothing of %s", p->id, all[ear->skipped - 1].payload);
	ear->unsure = 0;
	ear->before = p->shadow->listens;
	if (!person_is_quiet(p))
		return;
	for (size_t i = ear->own_seen > ear->next ? ear->own_seen : ear->next; i < count; i++) {
		if (!is_meant(p, i) || all[i].sender != (int)p->id)
			continue;
		ear->own_due = i + 1;
		/* It had a server, which listened before. */
		if (ear->deaf)
			hears_again(p, i);
	}
	ear->own_seen = count;
	for (unsigned i = 0; i < TOPIC_MARK; i++)
		if ((p->shadow->listens >> i & 1) && !(ear->sure >> i & 1))
			ear->since[i] = count;
	/* Whoever listened to nothing may have gone elsewhere without a word. */
	if (!ear->sure)
		ear->side = -1;
	ear->sure = p->shadow->listens;
}
