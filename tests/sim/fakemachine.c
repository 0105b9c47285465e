/* What else the simulated machine has: a clock, chance, locks, users and processes. See fakeio.c. */
#include "fakeio_parts.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "base/usage.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/interfaces.h"
#include "io/thread.h"
#include "io/visitors.h"
#include "io/vouch.h"

/* ---- clock and chance ---- */

time_us clock_now(void)
{
	return world.now;
}

time_us clock_worked(void)
{
	return 0;
}

time_us clock_wall(void)
{
	return world.now + 1700000000 * SECOND_US;
}

char *clock_text(time_us wall, bool milliseconds, char out[40])
{
	snprintf(out, 40, milliseconds ? "%lld.%03lld sim" : "%lld sim", (long long)(wall / SECOND_US),
		(long long)(wall / 1000 % 1000));
	return out;
}

void entropy_fill(void *at, size_t n)
{
	rng_fill(&world.rng, at, n);
}

/* ---- locks ---- */

struct lock {
	bool held;
};

struct lock *lock_new(void)
{
	fakeio_objects++;
	return mine_new(sizeof(struct lock));
}

void lock_free(struct lock *lock)
{
	if (!lock)
		return;
	check(!lock->held);
	fakeio_objects--;
	mine_free(lock);
}

void lock_take(struct lock *lock)
{
	check(!lock->held);
	lock->held = true;
}

void lock_drop(struct lock *lock)
{
	check(lock->held);
	lock->held = false;
}

/* ---- who we are, and who others are ---- */

bool user_name(uint32_t user, char *out, size_t size)
{
	(void)user;
	text_copy(out, size, "somebody");
	return true;
}

uint32_t process_user(void)
{
	return 1000;
}

uint32_t process_id(void)
{
	return 4711;
}

void process_usage(struct usage *usage)
{
	*usage = (struct usage){ .heap = 1 };
}

bool process_words(uint32_t process, char *out, size_t size)
{
	(void)process;
	(void)out;
	(void)size;
	return false;
}

bool process_has_loaded(uint32_t process, const char *part)
{
	(void)process;
	(void)part;
	return false;
}

void processes_of_peers(struct process_peer *peers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		peers[i].process = 0;
		peers[i].user = UINT32_MAX;
	}
}

bool process_look(uint32_t process, const struct process_peer *peer, struct process_look *out)
{
	(void)process;
	(void)peer;
	*out = (struct process_look){ 0 };
	return false;
}

void visitors_look(struct visited *visited, size_t count)
{
	for (size_t i = 0; i < count; i++)
		visited[i].known = false;
}

size_t process_threads(uint32_t process, struct process_thread *out, size_t capacity)
{
	(void)process;
	(void)out;
	(void)capacity;
	return 0;
}

uint32_t process_parent(uint32_t process)
{
	(void)process;
	return 0;
}

/* ---- addresses ---- */

uint32_t address_number(const struct address *a)
{
	return (uint32_t)a->ip[0] << 24 | (uint32_t)a->ip[1] << 16 | (uint32_t)a->ip[2] << 8 | a->ip[3];
}

void address_of_number(uint32_t host, uint16_t port, struct address *out)
{
	*out = (struct address){ .family = ADDRESS_IPV4, .port = port };
	out->ip[0] = (uint8_t)(host >> 24);
	out->ip[1] = (uint8_t)(host >> 16);
	out->ip[2] = (uint8_t)(host >> 8);
	out->ip[3] = (uint8_t)host;
}

/* The simulated machine has no interfaces. */
void interfaces_compare(const struct address *address, bool *host, bool *net)
{
	(void)address;
	*host = *net = false;
}

/* Nobody in the simulator asks PAM or a directory. */
void vouch(struct vouch_letter **letter)
{
	check(false);
	(void)letter;
}

void vouch_letter_free(struct vouch_letter **letter)
{
	free(*letter);
	*letter = NULL;
}
