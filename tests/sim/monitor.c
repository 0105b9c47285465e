/* What the simulated PostgreSQL answers to the monitoring connection: the truth of this moment, or as much of it as the
 * monitor's user may see. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "postgres.h"

#define VALUES_MAX 6

/* NULL: an SQL null. */
static void say_values(struct bytes *out, const char *const values[], unsigned count)
{
	struct bytes body = { 0 };
	uint8_t head[2] = { 0, (uint8_t)count };

	bytes_add(&body, head, 2);
	for (unsigned i = 0; i < count; i++) {
		uint32_t n = values[i] ? (uint32_t)strlen(values[i]) : UINT32_MAX;
		uint8_t length[4] = { (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n };

		bytes_add(&body, length, 4);
		if (values[i])
			bytes_add(&body, values[i], n);
	}
	say_body(out, 'D', body.at, body.length);
	bytes_free(&body);
}

static void say_backend(struct backend *asker, uint32_t process, const char *user, const char *database, time_us born)
{
	bool hidden = cluster.hides && strcmp(user, asker->user) != 0;
	char id[20], started[30], age[30];
	const char *values[VALUES_MAX] = { id, user, database, "", hidden ? NULL : started, hidden ? NULL : age };

	snprintf(id, sizeof id, "%u", process);
	snprintf(started, sizeof started, "%" PRId64, born);
	snprintf(age, sizeof age, "%" PRId64, world.now - born);
	say_values(&asker->out, values, VALUES_MAX);
}

static void say_backends(struct backend *asker)
{
	for (struct backend *b = cluster.backends; b; b = b->next)
		if (b->counted && b->state != BACKEND_GONE)
			say_backend(asker, b->process, b->user, b->database, b->born);
	for (unsigned i = 0; i < cluster.others; i++)
		say_backend(asker, 100 + i, "outside", "app", 1);
	if (++cluster.readings == 2)
		cluster.steady_at = world.now;
}

void monitor_answers(struct backend *b, const char *text)
{
	char most[20];
	const char *settings[3] = { most, "0", "0" };

	/* No PostgreSQL has none. */
	snprintf(most, sizeof most, "%u", cluster.max_connections ? cluster.max_connections : 1);
	if (strstr(text, "max_connections")) {
		say_values(&b->out, settings, 3);
	} else if (cluster.forbids && strstr(text, "pg_stat_activity")) {
		say_error(&b->out, 'E', "ERROR", "42501", "permission denied for view pg_stat_activity");
		say_ready(&b->out, 'I');
		return;
	} else if (strstr(text, "pg_stat_activity")) {
		say_backends(b);
	}
	say_text(&b->out, 'C', "SELECT");
	say_ready(&b->out, 'I');
}
