#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "base/text.h"
#include "tool/doctor_watch.h"

/* A server of invented sessions, looked at once a second. */

#define SESSIONS 400
#define WEB      "web of app@shop from 10.0.0.7"

static struct session sessions[SESSIONS];
static struct server_facts server;
static struct watch *watch;
static time_us now;
static struct leak_change changes[16];
static size_t change_count;

static int set_up(void **state)
{
	static const struct leak_rules rules = {
		.period = 5 * SECOND_US, .quiet = 5 * SECOND_US, .hold = 30 * SECOND_US, .siblings = 5
	};

	(void)state;
	memset(sessions, 0, sizeof sessions);
	server = (struct server_facts){ .max_connections = 500, .superuser_reserved = 3, .sessions = sessions };
	now = 1000 * SECOND_US;
	watch = watch_new(&rules);
	return watch ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	watch_free(watch);
	return 0;
}

static struct session *log_in(const char *application)
{
	static int pid;
	struct session *s = &sessions[server.session_count++];

	*s = (struct session){ .pid = ++pid,
		.user = "app",
		.database = "shop",
		.address = "10.0.0.7",
		.state = "idle",
		.query = "SELECT ?",
		.birth = now,
		.last_change = now,
		.query_age = 0 };
	text_copy(s->application, sizeof s->application, application);
	return s;
}

static void log_out(size_t i)
{
	memmove(&sessions[i], &sessions[i + 1], (--server.session_count - i) * sizeof *sessions);
}

static void change(struct session *s, const char *state)
{
	text_copy(s->state, sizeof s->state, state);
	s->last_change = now;
}

static const struct leak_facts *look(time_us passed)
{
	now += passed;
	for (size_t i = 0; i < server.session_count; i++) {
		sessions[i].age = now - sessions[i].birth;
		sessions[i].state_age = now - sessions[i].last_change;
		if (sessions[i].query_age >= 0)
			sessions[i].query_age = sessions[i].state_age;
	}
	change_count = watch_picture(watch, &server, now, changes, 16);
	return watch_facts(watch, WEB);
}

static void sessions_become_the_detectors_facts(void **state)
{
	const struct leak_facts *f;

	(void)state;
	log_in("web")->query_age = -1;
	text_copy(log_in("web")->query, 20, "LISTEN news");
	change(log_in("web"), "idle in transaction");
	change(log_in("web"), "active");
	log_in("other");
	f = look(SECOND_US);
	assert_int_equal(f->clients, 4);
	assert_int_equal(f->parked, 2);
	assert_int_equal(f->lent, 2);
	assert_int_equal(f->in_block, 1);
	assert_int_equal(f->quiet, 0);
	f = look(40 * SECOND_US);
	assert_int_equal(f->quiet, 2);
	assert_int_equal(f->silent, 1);
	assert_int_equal(f->once, 1);
	assert_int_equal(f->listeners, 1);
	assert_int_equal(f->holding, 1);
	assert_true(f->oldest_hold == 41 * SECOND_US);
	assert_true(f->executing_time == 40 * SECOND_US);
	assert_int_equal(f->logins, 4);
}

static void what_changes_between_two_looks_is_counted(void **state)
{
	const struct leak_facts *f;

	(void)state;
	log_in("web");
	change(log_in("web"), "idle in transaction");
	look(SECOND_US);
	look(10 * SECOND_US);
	change(&sessions[0], "active");
	change(&sessions[1], "idle");
	f = look(SECOND_US);
	assert_int_equal(f->reused, 1);
	assert_int_equal(spread_count(&f->gaps), 1);
	assert_int_equal(spread_count(&f->blocks), 1);
	log_out(0);
	f = look(SECOND_US);
	assert_int_equal(f->logouts, 1);
	assert_int_equal(spread_count(&f->lifetimes), 1);
}

static void a_login_beside_quiet_siblings_is_one(void **state)
{
	const struct leak_facts *f;

	(void)state;
	for (int i = 0; i < 5; i++)
		log_in("web");
	look(SECOND_US);
	look(10 * SECOND_US);
	log_in("web");
	f = look(SECOND_US);
	assert_int_equal(f->logins_while_quiet, 1);
	/* One of the five is used again: four are too few. */
	change(&sessions[0], "idle");
	log_in("web");
	f = look(SECOND_US);
	assert_int_equal(f->logins_while_quiet, 1);
}

static void our_own_sessions_are_nobodys(void **state)
{
	(void)state;
	log_in("web")->ours = true;
	assert_null(look(SECOND_US));
}

static void a_leak_is_named_within_two_minutes(void **state)
{
	const struct leak *leak;

	(void)state;
	look(SECOND_US);
	for (int i = 0; i < 120 && !watch_leak(watch, 0); i++) {
		log_in("daphne");
		look(SECOND_US);
	}
	leak = watch_leak(watch, 0);
	assert_non_null(leak);
	assert_string_equal(leak->pattern->number, "L1");
	assert_string_equal(watch_origin(watch, leak->origin), "daphne of app@shop from 10.0.0.7");
}

static void a_busy_pool_of_the_same_size_is_none(void **state)
{
	(void)state;
	for (int i = 0; i < 60; i++)
		log_in("daphne");
	for (int second = 0; second < 180; second++) {
		for (int i = 0; i < 20; i++)
			change(&sessions[(second * 20 + i) % 60], "idle");
		look(SECOND_US);
	}
	assert_null(watch_leak(watch, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sessions_become_the_detectors_facts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_changes_between_two_looks_is_counted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_login_beside_quiet_siblings_is_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(our_own_sessions_are_nobodys, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_leak_is_named_within_two_minutes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_busy_pool_of_the_same_size_is_none, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
