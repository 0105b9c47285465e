/* The listening connection hears notifications whole, whatever comes between, and believes nobody who is not PostgreSQL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "session/ear.h"

static struct buf said;
static struct ear_talk talk;

static struct writer begin(void)
{
	buf_clear(&said);
	talk = (struct ear_talk){ 0 };
	return writer_to(&said);
}

static void notify(struct writer *w, uint32_t process, const char *topic, const char *payload)
{
	size_t mark = message_begin(w, 'A');

	write_u32(w, process);
	write_string(w, topic);
	write_string(w, payload);
	message_end(w, mark);
}

static enum ear_edge take(void)
{
	size_t used;
	enum ear_edge edge = ear_take(&talk, buf_span(&said), &used);

	buf_consume(&said, used);
	return edge;
}

static void notifications_come_between_answers_and_in_them(void **state)
{
	struct writer w = begin();

	(void)state;
	notify(&w, 7, "jobs", "1");
	message_command_complete(&w, "LISTEN");
	notify(&w, 8, "jobs", "");
	message_ready(&w, 'I');
	message_empty(&w, 'I');
	message_ready(&w, 'I');
	assert_int_equal(take(), EAR_HEARD);
	assert_true(talk.process == 7 && span_is(talk.topic, "jobs") && span_is(talk.payload, "1"));
	assert_int_equal(take(), EAR_HEARD);
	assert_true(talk.process == 8 && span_is(talk.payload, "") && talk.note.length == 15 && talk.note.at[0] == 'A');
	assert_int_equal(take(), EAR_ANSWERED);
	assert_int_equal(take(), EAR_ANSWERED);
	assert_int_equal(take(), EAR_MORE);
}

static void a_message_in_portions_is_waited_for(void **state)
{
	struct writer w = begin();
	size_t used;

	(void)state;
	notify(&w, 7, "jobs", "payload");
	for (size_t n = 0; n < said.length; n++) {
		assert_int_equal(ear_take(&talk, span_of(said.at, n), &used), EAR_MORE);
		assert_int_equal(used, 0);
	}
	assert_int_equal(take(), EAR_HEARD);
}

static void a_refusal_is_told_when_it_is_complete(void **state)
{
	struct writer w = begin();

	(void)state;
	message_complaint(&w,
		&(struct complaint){ .severity = SEVERITY_ERROR,
			.sqlstate = "25006",
			.message = "cannot execute LISTEN during recovery" });
	assert_int_equal(take(), EAR_MORE);
	message_ready(&w, 'I');
	assert_int_equal(take(), EAR_BROKEN);
	assert_string_equal(talk.sqlstate, "25006");
	assert_string_equal(talk.problem, "cannot execute LISTEN during recovery");
}

static void a_refusal_without_a_code_or_words_has_ours(void **state)
{
	static const char *const codes[] = { "", "2500", "250060", NULL };

	(void)state;
	for (size_t i = 0; codes[i]; i++) {
		struct writer w = begin();

		message_complaint(
			&w, &(struct complaint){ .severity = SEVERITY_ERROR, .sqlstate = codes[i], .message = "" });
		message_ready(&w, 'I');
		assert_int_equal(take(), EAR_BROKEN);
		assert_string_equal(talk.sqlstate, SQLSTATE_INTERNAL_ERROR);
		assert_string_equal(talk.problem, "the server refused without words");
	}
}

static void what_is_not_postgresql_is_not_believed(void **state)
{
	static const struct span lies[] = {
		{ (const uint8_t *)"A\0\0\0\7abc", 8 },
		{ (const uint8_t *)"A\0\0\0\12\0\0\0\1ab", 11 },
		{ (const uint8_t *)"G\0\0\0\4", 5 },
		{ (const uint8_t *)"A\x7f\0\0\0", 5 },
		{ (const uint8_t *)"A\0\0\0\0", 5 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		size_t used;

		talk = (struct ear_talk){ 0 };
		assert_int_equal(ear_take(&talk, lies[i], &used), EAR_BROKEN);
		assert_true(talk.problem[0] != 0);
	}
}

static void listening_and_the_mark_are_one_query(void **state)
{
	struct topics t = { 0 };
	struct writer w = begin();

	(void)state;
	assert_true(topics_add(&t, span_text("b")) && topics_add(&t, span_text("a")));
	ear_listen(&w, &t, "mark", "00ff");
	ear_unlisten(&w, &t);
	ear_wait(&w);
	assert_true(writer_ok(&w));
	assert_true(said.length > 5 && said.at[0] == 'Q');
	assert_string_equal(
		(const char *)said.at + 5, "LISTEN \"a\";LISTEN \"b\";SELECT pg_catalog.pg_notify('mark','00ff')");
	assert_non_null(memmem(said.at, said.length, "UNLISTEN \"a\";UNLISTEN \"b\";", 26));
	topics_fini(&t);
}

static void it_begins_without_limits_that_its_server_knows(void **state)
{
	static const struct {
		int version;
		const char *text;
	} cases[] = {
		{ 0, "SET statement_timeout=0;SET lock_timeout=0;LISTEN \"a\";" },
		{ 13, "SET statement_timeout=0;SET lock_timeout=0;LISTEN \"a\";" },
		{ 14, "SET statement_timeout=0;SET lock_timeout=0;SET idle_session_timeout=0;LISTEN \"a\";" },
		{ 17,
			"SET statement_timeout=0;SET lock_timeout=0;SET idle_session_timeout=0;SET transaction_timeout=0;"
			"LISTEN \"a\";" },
	};
	struct topics t = { 0 };

	(void)state;
	assert_true(topics_add(&t, span_text("a")));
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct writer w = begin();

		ear_begin(&w, cases[i].version, &t);
		assert_true(writer_ok(&w));
		assert_string_equal((const char *)said.at + 5, cases[i].text);
	}
	topics_fini(&t);
}

static int tear_down(void **state)
{
	(void)state;
	buf_fini(&said);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(notifications_come_between_answers_and_in_them),
		cmocka_unit_test(a_message_in_portions_is_waited_for),
		cmocka_unit_test(a_refusal_is_told_when_it_is_complete),
		cmocka_unit_test(a_refusal_without_a_code_or_words_has_ours),
		cmocka_unit_test(what_is_not_postgresql_is_not_believed),
		cmocka_unit_test(listening_and_the_mark_are_one_query),
		cmocka_unit_test(it_begins_without_limits_that_its_server_knows),
	};

	return cmocka_run_group_tests(tests, NULL, tear_down);
}
