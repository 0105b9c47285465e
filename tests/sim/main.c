/* The simulator: one seed, one run.
 *
 *   sim --seed N [--verbose]        play one seed again; with --verbose, tell the whole story
 *   sim --seeds FIRST-LAST          each of these, in a process of its own
 *   sim --seeds COUNT               as many new ones, drawn from the time of day
 *   sim --steps N                   the most happenings of one run
 *   sim --stop                      end at the first seed that fails
 *
 * Prints TAP: one line for each twenty seeds. What failed is named with its seed and how to play it again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "cancels.h"
#include "fakeio.h"
#include "house.h"
#include "notes.h"
#include "seeds.h"

#define BATCH 20

static uint64_t steps_most = 4000000;
static const char *program;

/* In a run where memory is refused, the house may end at the few places that say they must not fail. */
static bool is_allowed_end(const char *report)
{
	static const char *const claims[] = { "check failed: letter\n", "check failed: reply\n",
		"check failed: memory != NULL\n", "check failed: slots_add(&core->servers, s, &s->id)\n",
		"check failed: grown != NULL\n", "check failed: list != NULL\n" };

	if (!world.memory || world.refused == 0)
		return false;
	for (size_t i = 0; i < sizeof claims / sizeof *claims; i++)
		if (strncmp(report, claims[i], strlen(claims[i])) == 0)
			return true;
	return false;
}

static void report_seed(const char *report)
{
	if (is_allowed_end(report)) {
		fprintf(stderr, "seed %llu: ended by a check where memory may not be refused\n",
			(unsigned long long)world.seed);
		fflush(stdout);
		_exit(0);
	}
	fprintf(stderr, "seed %llu, step %llu: replay with  %s --seed %llu --verbose\n", (unsigned long long)world.seed,
		(unsigned long long)world.steps, program, (unsigned long long)world.seed);
	fflush(stdout);
	fflush(stderr);
	_exit(3);
}

static void live_until(time_us when)
{
	while (world_step(when)) {
		if (world.steps > steps_most)
			broken("the world comes to rest", "%llu things happened", (unsigned long long)world.steps);
		if (people_left == 0)
			return;
	}
}

static void tell_who_waits(void)
{
	struct person *stuck = NULL;

	for (struct person *p = people; p; p = p->next) {
		if (p->state == PERSON_GONE)
			continue;
		stuck = p;
		fprintf(stderr,
			"c%u (%s/%s) is still here: state %d, %zu bytes to send, %zu unread, %zu asked, %zu expected, last heard %.3f s ago, wire %u"
			"%s%s%s%s%s\n",
			p->id, p->database, p->user, p->state, p->out.length, p->in.length, p->asked.length,
			p->expected.length, (double)(world.now - p->since) / 1e6, p->end ? p->end->wire->number : 0,
			p->left ? ", left" : "", p->shadow && session_sleeps(p->shadow) ? ", sleeps" : "",
			p->shadow && p->shadow->copying ? ", copies" : "", p->in_block ? ", in a block" : "",
			p->fatal ? ", was refused" : "");
	}
	broken("nobody who can be served waits", "%u are still here, among them c%u", people_left,
		stuck ? stuck->id : 0);
}

static uint64_t play(uint64_t seed)
{
	struct people_ways ways = { .databases = database_names, .database_count = database_count };
	time_us begun;
	uint64_t print;

	world_begin(seed);
	world.plain = chance(300);
	world.memory = !world.plain && chance(150);
	cluster_begin();
	notes_draw();
	cancels_draw();
	house_begin();
	faults_begin();
	ways.count = 3 + (unsigned)pick(chance(800) ? 25 : 70);
	ways.hostile = world.plain ? 0 : (unsigned)pick(4);
	ways.operators = (unsigned)pick(3);
	ways.database_count = 1 + (size_t)pick(database_count);
	ways.user_count = 1 + (size_t)pick(3);
	ways.prepared = house_prepares();
	ways.names_max = house_names_max();
	ways.bodies = chance(400) && house_is_transparent();
	ways.calls = setting_is_18();
	ways.transparent = house_is_transparent();
	ways.listen = notes_begin() && ways.transparent;
	ways.password = house_wants_passwords();
	ways.replicate = chance(300);
	ways.span = chance(500) && !notes_move() ? between(1, SECOND_US) : between(1, 20 * SECOND_US);
	ways.leaves = world.plain ? 0 : (unsigned)pick(500);
	ways.cancels = (unsigned)pick(500);
	ways.slow = (unsigned)pick(200);
	ways.commands = world.plain ? 0 : (unsigned)pick(400);
	people_begin(&ways);
	cancels_begin();
	begun = world.now;
	live_until(begun + 40 * SECOND_US);
	faults_end();
	house_unblock();
	people_hurry();
	story("the end nears");
	live_until(world.now + 20 * SECOND_US);
	house_unblock();
	live_until(world.now + 400 * SECOND_US);
	if (people_left > 0)
		tell_who_waits();
	/* Farewells, orphans and the like come to their ends; where memory was refused to the answer of a cancel, its connection does so
	 * only by client_login_timeout, which is 300 s at most. */
	begun = world.now + (world.memory ? 320 : 130) * SECOND_US;
	while (world_step(begun))
		if (world.steps > steps_most)
			broken("the world comes to rest", "%llu things happened", (unsigned long long)world.steps);
	judge_rest();
	cancels_rest();
	house_end();
	people_end();
	cancels_end();
	cluster_end();
	notes_end();
	fakeio_end();
	print = world.print;
	world_end();
	return print;
}

/* In a process of its own: what breaks there breaks only that. */
static bool play_apart(uint64_t seed, uint64_t *print)
{
	int tube[2], status;
	pid_t pid;

	fflush(stdout);
	fflush(stderr);
	if (pipe(tube) != 0 || (pid = fork()) < 0) {
		perror("fork");
		exit(2);
	}
	if (pid == 0) {
		uint64_t made;

		alarm(120);
		close(tube[0]);
		made = play(seed);
		if (write(tube[1], &made, sizeof made) != sizeof made)
			_exit(4);
		exit(0);
	}
	close(tube[1]);
	*print = 0;
	while (read(tube[0], print, sizeof *print) < 0 && errno == EINTR)
		;
	close(tube[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status == 0)
		return true;
	if (WIFSIGNALED(status))
		fprintf(stderr, "seed %llu: ended by signal %d; replay with  %s --seed %llu --verbose\n",
			(unsigned long long)seed, WTERMSIG(status), program, (unsigned long long)seed);
	return false;
}

static int play_many(uint64_t first, uint64_t last, bool stop)
{
	uint64_t seed, print, again, number = 0, failed = 0, bad_in_batch = 0;
	char names[400] = "";

	for (seed = first; seed <= last; seed++) {
		if (!play_apart(seed, &print)) {
			size_t n = strlen(names);

			snprintf(names + n, sizeof names - n, " %llu", (unsigned long long)seed);
			bad_in_batch++;
			failed++;
		} else if (seed == first && (!play_apart(seed, &again) || again != print)) {
			fprintf(stderr, "seed %llu: two runs were not the same\n", (unsigned long long)seed);
			bad_in_batch++;
			failed++;
		}
		if (seed != last && (seed - first + 1) % BATCH != 0 && !(stop && failed))
			continue;
		printf("%sok %llu - seeds %llu to %llu hold%s%s\n", bad_in_batch ? "not " : "",
			(unsigned long long)++number, (unsigned long long)(seed - (seed - first) % BATCH),
			(unsigned long long)seed, bad_in_batch ? " but for" : "", names);
		names[0] = 0;
		bad_in_batch = 0;
		if (stop && failed)
			break;
	}
	printf("1..%llu\n", (unsigned long long)number);
	return failed > 0;
}

int main(int argc, char **argv)
{
	uint64_t first = 1, last = 200, one = 0;
	bool stop = false;
	int i;

	program = argv[0];
	check_set_hook(report_seed);
	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--verbose") == 0) {
			world.verbose = true;
		} else if (strcmp(argv[i], "--stop") == 0) {
			stop = true;
		} else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
			one = strtoull(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "--steps") == 0 && i + 1 < argc) {
			steps_most = strtoull(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc) {
			seeds_read(argv[++i], &first, &last);
		} else {
			fprintf(stderr,
				"usage: %s [--seed N | --seeds FIRST-LAST | --seeds COUNT] [--steps N] [--stop] [--verbose]\n",
				argv[0]);
			return 2;
		}
	}
	if (one) {
		uint64_t print = play(one);

		printf("seed %llu holds: %016llx\n", (unsigned long long)one, (unsigned long long)print);
		return 0;
	}
	return play_many(first, last, stop);
}
