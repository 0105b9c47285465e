#include <stdlib.h>

#include "core/state.h"

/* Whose turn it is, among those who stand in one order: the groups of a pool, the origins of a group.
 *
 *   round 41   billing  holds 3, last served in round 40, so next in 40 + 2^3 = 48
 *              web      holds none, began to stand in 41, so next in 41 + 2^0 = 42      <- its turn
 *              report   holds 1, last served in round 41, so next in 41 + 2^1 = 43
 *
 * Who is served stands back for 2^held rounds, where `held` is what it holds then, not what it held when it was served: the rounds it
 * stands back become fewer as it gives servers back. The round of whoever is served becomes the round of all. From this follows:
 *
 *   - Who comes new goes before everybody who is served after that: it waits for one lease of each other at most, however
 *     many clients stand there. (Who was served in this round, and holds nothing any more, for two.) Once somebody else was
 *     served, nothing is remembered of who neither stands nor holds, so nobody gains or loses by leaving.
 *   - Who holds more than the others hardly gets more: one server more doubles the wait, so shares of a pool are even where
 *     all want much, whatever the length of their leases. (One turn each, plainly, would leave the pool to the longest leases.)
 *   - Nobody starves, not even who holds most: its round stands fixed while that of all only grows, and newcomers come in
 *     behind it. (The fewest held first, plainly, would shut a host out of a busy pool for one forgotten transaction.)
 *
 * An origin of weight w stands back for 2^(held / w) / w rounds, and one at least: who weighs 4 and holds 16 waits for 4, in which one that
 * weighs 1 and holds 4 has its turn once, in 16. So four times as much is held where it is had four times as often, and both stay so. A
 * group stands back as one origin of the mean weight of what it holds would. Nobody stands back for less than a round, so what is said
 * above of newcomers holds with weights as well.
 *
 * Doubling ends at 16: rounds then still differ by 65536, and a counter of 64 bits lasts for longer than the pooler.
 *
 * A binary heap; one that stands alone costs a comparison. Who counts `load` and `standing` says when they have changed. */

#define DOUBLINGS_MOST 16
#define TAKEN          (UINT64_C(1) << 63) /* in `order`: who was served in this round goes behind who was not */

static bool before(const struct turn *a, const struct turn *b)
{
	return a->next != b->next ? a->next < b->next : a->order < b->order;
}

static void place(struct turns *turns, uint32_t at, struct turn *turn)
{
	turns->heap[at] = turn;
	turn->place = at;
}

static void rise(struct turns *turns, struct turn *turn)
{
	uint32_t at = turn->place;

	while (at > 0 && before(turn, turns->heap[(at - 1) / 2])) {
		place(turns, at, turns->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	place(turns, at, turn);
}

static void sink(struct turns *turns, struct turn *turn)
{
	uint32_t at = turn->place, child;

	while ((child = 2 * at + 1) < turns->count) {
		if (child + 1 < turns->count && before(turns->heap[child + 1], turns->heap[child]))
			child++;
		if (!before(turns->heap[child], turn))
			break;
		place(turns, at, turns->heap[child]);
		at = child;
	}
	place(turns, at, turn);
}

uint64_t turn_wait(const struct turn *turn)
{
	uint64_t servers = turn->load / LOAD_SERVER, part = turn->load % LOAD_SERVER, rounds;

	if (servers >= DOUBLINGS_MOST) {
		servers = DOUBLINGS_MOST;
		part = 0;
	}
	rounds = UINT64_C(1) << servers;
	if (turn->load == turn->held * LOAD_SERVER)
		return rounds;
	/* Between two powers, a straight line; then divided by the weight, which is what is held by what it counts. */
	rounds += (rounds * part) / LOAD_SERVER;
	rounds = rounds * turn->load / (turn->held * LOAD_SERVER);
	return rounds > 0 ? rounds : 1;
}

static void move(struct turns *turns, struct turn *turn)
{
	turn->next = turn->last + turn_wait(turn);
	if (turns->count == 1)
		return;
	rise(turns, turn);
	sink(turns, turn);
}

static void enter(struct turns *turns, struct turn *turn)
{
	if (turns->count == turns->capacity) {
		uint32_t capacity = turns->capacity ? turns->capacity * 2 : 4;
		struct turn **grown = realloc(turns->heap, capacity * sizeof *grown);

		check(grown != NULL);
		turns->heap = grown;
		turns->capacity = capacity;
	}
	/* Nobody was served since it gave up: it is as if it had not. (A waiter goes, and one that was kept takes its place.) */
	if (turn->mark != turns->served + 1) {
		turn->last = turns->round;
		turn->order = ++turns->count_taken;
	}
	turn->mark = 0;
	place(turns, turns->count++, turn);
	move(turns, turn);
}

static void leave(struct turns *turns, struct turn *turn)
{
	struct turn *last = turns->heap[--turns->count];

	/* Who leaves because it was served comes back as anybody who is new. */
	turn->mark = turn->mark && turn->mark == turns->served ? 0 : turns->served + 1;
	check(turns->heap[turn->place] == turn);
	if (last == turn)
		return;
	place(turns, turn->place, last);
	move(turns, last);
}

void turn_held(struct turns *turns, struct turn *turn)
{
	if (turn->standing)
		move(turns, turn);
}

void turn_stands(struct turns *turns, struct turn *turn)
{
	check(turn->standing > 0);
	enter(turns, turn);
}

void turn_leaves(struct turns *turns, struct turn *turn)
{
	check(turn->standing == 0);
	leave(turns, turn);
}

void turn_take(struct turns *turns, struct turn *turn)
{
	if (!turn->standing)
		return; /* it was promised a server, and is served another: that one was its turn */
	if (turn->next > turns->round)
		turns->round = turn->next;
	turn->last = turns->round;
	turn->order = TAKEN | ++turns->count_taken;
	turn->mark = ++turns->served;
	move(turns, turn);
}

void turns_fini(struct turns *turns)
{
	free(turns->heap);
	*turns = (struct turns){ 0 };
}
