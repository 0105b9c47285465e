/* Who asks to cancel, and the neighbour. See cancels.h.
 *
 *   a client's key ------------------------------------> house      one hop left for each process that may still pass it on: 3
 *   a client's key --> the neighbour, later -----------> house      2 hops or less; what it meant may be over by then
 *   the same, damaged ---------------------------------> house      nobody's: it must hit nobody
 *   a key of the neighbour's --> house --one hop less--> neighbour  once; which may send it round again
 *   a key of a peer that is down, or of none ----------> house      the end
 *
 * Whatever it is, its connection comes to an end. */
#include "cancels.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "judge.h"

#define HOUSE     0x0a000009
#define NEIGHBOUR 0x0a000008 /* peer 2; peer 3 is at 10.0.0.7, where nobody listens */
#define PORT      6432
#define HOPS      3
/* Its connection may be given up later than this without a signal: cancel_wait_timeout, client_login_timeout. */
#define ARRIVED_SURELY_US SECOND_US

struct request {
	struct end *end;
	struct person *of; /* NULL: nobody's who is here */
	uint8_t key[40];   /* process id and secret, as they are sent */
	size_t key_length, sent;
	time_us sent_at;
	bool neighbours; /* it is for the neighbour */
	unsigned arrived;
	struct request *next;
};

/* A connection to the neighbour. */
struct visit {
	struct end *end;
	struct bytes in;
	bool heard;
	struct visit *next;
};

static struct request *requests;
static struct visit *visits;
static bool group, circle; /* circle: the neighbour believes that its own keys are the house's */

static unsigned hops_of(const uint8_t *key)
{
	return key[7] & HOPS;
}

static unsigned peer_of(const uint8_t *key)
{
	return key[1] | (unsigned)key[2] << 8;
}

/* ---- bringing one ---- */

static void request_wakes(struct end *e)
{
	struct request *r = e->owner;
	uint8_t packet[64] = { 0, 0, 0, 0, 4, 210, 22, 46 };
	size_t n = 8 + r->key_length;

	/* Where memory was refused to its end, it is told client_login_timeout. */
	end_read(e, NULL, SIZE_MAX);
	if (e->error || (r->sent == n && end_is_over(e))) {
		if (r->of && !e->error && r->sent == n && world.now < r->sent_at + ARRIVED_SURELY_US &&
			!(world.memory && world.refused > 0)) {
			r->of->cancels_open--;
			r->of->cancel_arrived = world.now;
		}
		end_close(e);
		return;
	}
	if (!e->open || r->sent == n)
		return;
	packet[3] = (uint8_t)n;
	memcpy(packet + 8, r->key, r->key_length);
	if (r->sent == 0 && r->of) {
		r->of->cancels_sent++;
		r->of->cancels_open++;
		r->sent_at = world.now;
		story("c%u: asks to cancel, %u hops", r->of->id, hops_of(r->key));
	}
	r->sent += end_write(e, packet + r->sent, n - r->sent);
}

static void knock(void *who, uint64_t what)
{
	struct request *r = who;

	(void)what;
	r->end = wire_dial(HOUSE, PORT, request_wakes, r);
}

static struct request *request_new(struct person *of, const uint8_t *key, size_t length, time_us delay)
{
	struct request *r = mine_new(sizeof *r);

	r->of = of;
	memcpy(r->key, key, length);
	r->key_length = length;
	r->next = requests;
	requests = r;
	if (delay)
		world_after(delay, knock, r, 0);
	else
		knock(r, 0);
	return r;
}

static void damage(uint8_t *key, size_t length)
{
	size_t at = 4 + pick(length - 4);
	uint8_t bit = (uint8_t)(1u << pick(8));

	/* How often it may still be passed on is no part of the secret. */
	key[at] ^= at == 7 && (bit & HOPS) ? 4 : bit;
}

void cancel_for(struct person *p)
{
	struct request *r;
	unsigned way = group ? (unsigned)pick(10) : 0;

	if (way < 5) {
		(void)request_new(p, p->key, p->key_length, 0);
	} else if (way < 8) {
		r = request_new(
			p, p->key, p->key_length, between(1, chance(500) ? 100 * MILLISECOND_US : 3 * SECOND_US));
		r->key[7] = (uint8_t)((r->key[7] & ~HOPS) | pick(HOPS));
	} else {
		r = request_new(NULL, p->key, p->key_length, 0);
		story("c%u: somebody asks with a key that is nearly its own", p->id);
		damage(r->key, r->key_length);
	}
}

/* ---- keys that are nobody's here ---- */

static void come_strange(void *who, uint64_t what)
{
	static const unsigned peers[] = { 2, 2, 2, 3, 77, 0 };
	uint8_t key[20];
	unsigned peer = peers[pick(sizeof peers / sizeof *peers)];
	struct request *r;

	(void)who;
	(void)what;
	rng_fill(&world.rng, key, sizeof key);
	key[0] &= 0x7f;
	key[1] = (uint8_t)peer;
	key[2] = (uint8_t)(peer >> 8);
	story("somebody brings a key of peer %u, %u hops", peer, hops_of(key));
	r = request_new(NULL, key, chance(700) ? 8 : 20, 0);
	r->neighbours = peer == 2;
}

/* ---- the neighbour ---- */

static void visit_ends(void *who, uint64_t what)
{
	struct visit *v = who;

	(void)what;
	if (!v->end->closed)
		end_close(v->end);
}

static void hear(struct visit *v, const uint8_t *key, size_t length)
{
	struct request *r = requests, *again;

	if (peer_of(key) != 2)
		broken("a cancel goes to the peer that it names", "the neighbour is brought a key of peer %u",
			peer_of(key));
	while (r &&
		(!r->neighbours || r->key_length != length || memcmp(r->key, key, 7) != 0 ||
			((r->key[7] ^ key[7]) & ~HOPS) != 0 || memcmp(r->key + 8, key + 8, length - 8) != 0 ||
			hops_of(r->key) != hops_of(key) + 1))
		r = r->next;
	if (!r)
		broken("a cancel is passed on as it came, with one hop less",
			"the neighbour is brought a key with %u hops", hops_of(key));
	if (r->arrived++ > 0)
		broken("a cancel is passed on once", "a key with %u hops came to the neighbour again", hops_of(key));
	story("the neighbour is brought a key with %u hops", hops_of(key));
	v->heard = true;
	if (circle) {
		again = request_new(NULL, key, length, between(1, 20 * MILLISECOND_US));
		again->neighbours = true;
	}
	world_after(between(1, 200 * MILLISECOND_US), visit_ends, v, 0);
}

static void visit_wakes(struct end *e)
{
	struct visit *v = e->owner;
	struct span in;
	size_t length;

	end_read(e, &v->in, SIZE_MAX);
	in = bytes_span(&v->in);
	if (in.length >= 8 && !v->heard) {
		length = (size_t)in.at[2] << 8 | in.at[3];
		if (in.at[0] || in.at[1] || memcmp(in.at + 4, "\4\322\26\56", 4) != 0 || length < 16 || length > 44 ||
			in.length > length)
			broken("a peer is brought a cancel request and nothing else", "%zu bytes", in.length);
		if (in.length == length)
			hear(v, in.at + 8, length - 8);
	}
	if (end_is_over(e))
		end_close(e);
}

static bool visit_begins(void *who, struct end *e)
{
	struct visit *v = mine_new(sizeof *v);

	(void)who;
	v->end = e;
	v->next = visits;
	visits = v;
	e->owner = v;
	e->wakes = visit_wakes;
	return true;
}

/* ---- life ---- */

void cancels_draw(void)
{
	group = chance(400);
	circle = chance(300);
}

bool cancels_of_peers(void)
{
	return group;
}

size_t cancels_peers_lines(char *out, size_t size)
{
	/* Now and then the neighbour is taken out of the file, with whatever is under way to it. */
	bool there = world.plain || chance(800);
	int n;

	if (!group)
		return 0;
	n = snprintf(out, size, "peer_id=1\n[peers]\n1 = host=10.0.0.9\n%s3 = host=10.0.0.7\n",
		!there                ? ""
			: chance(300) ? "2 = host=10.0.0.8 pool_size=1\n"
				      : "2 = host=10.0.0.8\n");
	check(n > 0 && (size_t)n < size);
	return (size_t)n;
}

void cancels_begin(void)
{
	unsigned strangers = group ? (unsigned)pick(8) : 0;

	requests = NULL;
	visits = NULL;
	if (!group)
		return;
	world_listen(NEIGHBOUR, PORT, visit_begins, NULL);
	while (strangers-- > 0)
		world_after(between(1, 20 * SECOND_US), come_strange, NULL, 0);
}

void cancels_look_at_key(const struct person *p)
{
	if (p->key_length != (p->protocol_32 ? 20u : 8u))
		broken("a client gets a cancel key", "c%u: %zu bytes", p->id, p->key_length);
	if (group && (peer_of(p->key) != 1 || hops_of(p->key) != HOPS || p->key[0] & 0x80))
		broken("a key names the process that has the client", "c%u: peer %u, %u hops", p->id, peer_of(p->key),
			hops_of(p->key));
}

void cancels_rest(void)
{
	for (const struct request *r = requests; r; r = r->next) {
		if (r->end && !r->end->closed && !r->end->wire->faulty)
			broken("who asked to cancel is let go", "wire %u", r->end->wire->number);
		if (world.plain && r->neighbours && hops_of(r->key) > 0 && r->arrived == 0)
			broken("a cancel arrives at its peer", "one with %u hops did not", hops_of(r->key));
	}
}

void cancels_end(void)
{
	while (requests) {
		struct request *r = requests;

		requests = r->next;
		mine_free(r);
	}
	while (visits) {
		struct visit *v = visits;

		visits = v->next;
		bytes_free(&v->in);
		mine_free(v);
	}
}
