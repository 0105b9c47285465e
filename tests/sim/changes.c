/* What RELOAD changes besides limits. See changes.h.
 *
 * PostgreSQL learns of a new password in the moment of the RELOAD, as by ALTER ROLE in front of it. A client that comes is judged by the list that was
 * in force when it came, or by a later one: so what it shows was right if it was at any time since shortly before it came. */
#include "changes.h"

#include <stdio.h>

#include "auth/secrets.h"
#include "base/check.h"
#include "base/text.h"
#include "postgres.h"

#define USERS     3
#define TURNS_MAX 4096

/* For so long a worker may not have heard of a RELOAD. */
#define HEARS (2 * SECOND_US)
/* For so long a login at PostgreSQL may be under way, or what came of one be told (server_login_retry, query_wait_timeout). */
#define TOLD (150 * SECOND_US)

static const char *const names[USERS] = { "anna", "bert", "carl" };

/* Of a user, from some time on. */
struct turn {
	time_us since;
	unsigned version; /* of the password */
	bool listed;
};
static struct {
	struct turn turns[TURNS_MAX];
	unsigned count;
} users[USERS];

static struct rng dice;
static struct {
	bool users, modes, resets;
} changes;
static bool settled;
static const char *modes[4], *reset;
static unsigned size;

static bool odds(unsigned permille)
{
	return rng_chance(&dice, permille);
}

static void turn(unsigned user, unsigned version, bool listed)
{
	check(users[user].count < TURNS_MAX);
	users[user].turns[users[user].count++] = (struct turn){
		.since = world.now, .version = version, .listed = listed
	};
	if (users[user].count > 1)
		story("keeper: %s has password %u%s", names[user], version, listed ? "" : ", and is no user");
}

static const struct turn *last_of(unsigned user)
{
	return &users[user].turns[users[user].count - 1];
}

static void as_named(void)
{
	modes[0] = modes[1] = "transaction";
	modes[2] = "session";
	modes[3] = "statement";
	reset = "server_reset_query=DISCARD ALL\n";
	size = 0;
}

void changes_begin(bool passwords)
{
	rng_seed(&dice, world.seed ^ UINT64_C(0x4348414e474553));
	changes.users = passwords && !world.plain && odds(600);
	changes.modes = !world.plain && odds(250);
	changes.resets = !world.plain && odds(250);
	settled = false;
	as_named();
	for (unsigned i = 0; i < USERS; i++) {
		users[i].count = 0;
		turn(i, 0, true);
	}
}

bool changes_newest(void)
{
	struct rng own;

	rng_seed(&own, world.seed ^ UINT64_C(0x4e4557455354));
	return rng_chance(&own, 350);
}

void changes_trigger(bool newer)
{
	static const struct {
		const char *name, *value;
	} sets[] = { { "work_mem", "16MB" }, { "app.tenant", "t2" }, { "TimeZone", "Asia/Tokyo" },
		{ "IntervalStyle", "iso_8601" }, { "search_path", "tenant_a" } };
	size_t i;

	setting_trigger(-1, NULL);
	if (!newer || !odds(400))
		return;
	i = rng_below(&dice, sizeof sets / sizeof *sets);
	setting_trigger(setting_find(span_text(sets[i].name)), sets[i].value);
	story("pg: a login trigger sets %s to %s", sets[i].name, sets[i].value);
}

void changes_draw(void)
{
	static const char *const resets[] = { "server_reset_query=DISCARD ALL\nserver_reset_query_always=1\n",
		"server_reset_query=FAIL 'reset'\n", "server_reset_query=FAIL 'reset'\nserver_reset_query_always=1\n" };

	as_named();
	if (settled)
		return;
	for (unsigned i = 0; i < USERS && changes.users; i++)
		if (odds(250))
			turn(i, last_of(i)->version + odds(500), odds(700));
	for (unsigned i = 0; i < 4 && changes.modes; i++)
		if (odds(400))
			modes[i] = strcmp(modes[i], "transaction") == 0 ? "session" : "transaction";
	if (changes.modes && odds(300))
		size = 1 + (unsigned)rng_below(&dice, 4);
	if (changes.resets && odds(500))
		reset = resets[rng_below(&dice, sizeof resets / sizeof *resets)];
}

void changes_settle(void)
{
	for (unsigned i = 0; i < USERS && !settled; i++)
		if (!last_of(i)->listed)
			turn(i, last_of(i)->version, true);
	settled = true;
}

/* ---- the configuration ---- */

bool changes_any(void)
{
	return changes.users || changes.modes || changes.resets;
}

bool changes_modes(void)
{
	return changes.modes;
}

const char *changes_mode(size_t database)
{
	return modes[database];
}

unsigned changes_size(void)
{
	return size;
}

const char *changes_reset(void)
{
	return reset;
}

static void password_of(unsigned user, unsigned version, char out[40])
{
	if (version == 0)
		text_format(out, 40, "pw-%s", names[user]);
	else
		text_format(out, 40, "pw-%s-%u", names[user], version);
}

struct secrets *changes_users(void)
{
	char text[400] = "\"admin\" \"pw-admin\"\n", password[40], error[200];
	struct secrets *secrets;

	for (unsigned i = 0; i < USERS; i++) {
		size_t n = strlen(text);

		if (!last_of(i)->listed)
			continue;
		password_of(i, last_of(i)->version, password);
		text_format(text + n, sizeof text - n, "\"%s\" \"%s\"\n", names[i], password);
	}
	secrets = secrets_parse(span_text(text), error, sizeof error);
	check(secrets);
	return secrets;
}

/* ---- who proves what ---- */

/* USERS: another. */
static unsigned user_of(const char *name)
{
	unsigned i = 0;

	while (i < USERS && strcmp(names[i], name) != 0)
		i++;
	return i;
}

void changes_shows(struct person *p, char out[40])
{
	unsigned user = user_of(p->user);

	if (user == USERS) {
		text_format(out, 40, "pw-%s", p->user);
		return;
	}
	p->password = last_of(user)->version;
	if (changes.users && !settled && odds(150))
		p->password = (unsigned)rng_below(&dice, p->password + 2);
	password_of(user, p->password, out);
}

/* From some moment on it was always, or never, so: a turn lasts until the next begins. */
static bool any_since(unsigned user, time_us when, unsigned version, bool right)
{
	for (unsigned i = users[user].count; i-- > 0;) {
		const struct turn *at = &users[user].turns[i];

		if ((at->listed && at->version == version) == right)
			return true;
		if (at->since <= when)
			return false;
	}
	return false;
}

bool changes_may_enter(const struct person *p)
{
	unsigned user = user_of(p->user);

	return !changes.users || user == USERS || any_since(user, p->came - HEARS, p->password, true);
}

bool changes_may_refuse(const struct person *p)
{
	unsigned user = user_of(p->user);

	if (!changes.users || user == USERS)
		return false;
	/* Its own is wrong; or PostgreSQL was shown another than it has, or none. */
	return any_since(user, p->came - HEARS, p->password, false) ||
		(cluster.cleartext && any_since(user, world.now - TOLD, last_of(user)->version, false));
}

enum proof changes_prove(const char *name, struct span password)
{
	unsigned user = user_of(name);
	char expected[40];

	if (user == USERS)
		return PROOF_RIGHT;
	for (unsigned i = users[user].count; i-- > 0;) {
		const struct turn *at = &users[user].turns[i];

		password_of(user, at->version, expected);
		if (password.length == strlen(expected) + 1 && memcmp(password.at, expected, password.length) == 0)
			return at->version == last_of(user)->version ? PROOF_RIGHT : PROOF_OLD;
		/* Whoever dials now has heard of what came after it. */
		if (at->since + 20 * SECOND_US < world.now)
			break;
	}
	return PROOF_WRONG;
}
