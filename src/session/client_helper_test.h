#ifndef PGWEIR_SESSION_CLIENT_HELPER_TEST_H
#define PGWEIR_SESSION_CLIENT_HELPER_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "auth/secrets.h"
#include "base/text.h"
#include "session/client.h"
#include "wire/frame.h"
#include "wire/startup.h"

/* A client's login, as the client sees it: what it says, in whatever portions it comes, and what it is answered. Its passwords are
 * proven by auth/proof, our own other side. */

#define USERS \
	"\"ada\" \"lovelace\"\n\"boss\" \"secret\"\n\"looker\" \"glass\"\n\"pgbouncer\" \"x\"\n\"empty\" \"\"\n" \
	"\"old\" \"md50123456789abcdef0123456789abcdef\"\n"

static struct params_book *book;
static struct config *config;
static struct secrets *secrets;
static struct client *client;
static struct buf out, said;
static enum client_edge edge;
static enum client_tls offered;
static size_t portion; /* how many bytes arrive at a time */

static inline struct config *make_config(const char *settings, enum manner manner)
{
	char text[1000], error[500];
	struct config_source source = { .file = "test.ini", .manner = manner };
	struct config *made;

	text_format(text, sizeof text, "[databases]\nshop =\n[pgbouncer]\n%s\n", settings);
	source.text = span_text(text);
	made = config_parse(&source, error, sizeof error);
	if (!made)
		fail_msg("%s", error);
	return made;
}

static inline void hang_up(void)
{
	client_free(client);
	config_drop(config);
	secrets_drop(secrets);
	client = NULL;
	config = NULL;
	secrets = NULL;
	buf_clear(&out);
	buf_clear(&said);
}

/* A new connection to a pooler with these settings. */
static inline void connect_to(const char *settings, enum manner manner, bool local_owner)
{
	static const uint8_t process_random[32] = { 3, 1, 4 }, random[64] = { 1, 5, 9, 2, 6 };
	char error[200];
	struct client_setup setup = { .params = book,
		.process_random = process_random,
		.random = random,
		.peer_host = "10.0.0.7:4711",
		.local_owner = local_owner,
		.tls = offered };

	hang_up();
	config = make_config(settings, manner);
	secrets = secrets_parse(span_text(USERS), error, sizeof error);
	assert_non_null(secrets);
	setup.config = config;
	setup.secrets = secrets;
	client = client_new(&setup);
	assert_non_null(client);
	edge = CLIENT_MORE;
}

/* What was said and not yet taken arrives, in memory of just its size. */
static inline void arrive(void)
{
	size_t used, seen = 0;

	edge = CLIENT_MORE;
	while (edge == CLIENT_MORE && seen < said.length) {
		size_t length = said.length - seen < portion ? said.length : seen + portion;
		uint8_t *copy = malloc(length);

		assert_non_null(copy);
		memcpy(copy, buf_span(&said).at, length);
		edge = client_take(client, span_of(copy, length), &used, &out);
		free(copy);
		assert_true(used <= length);
		buf_consume(&said, used);
		seen = used ? 0 : length;
	}
}

static inline void say(const void *bytes, size_t n)
{
	assert_true(buf_add(&said, bytes, n));
	arrive();
}

/* Pairs of keys and values, ended by NULL. */
static inline void say_startup(uint32_t protocol, const char *const *words)
{
	struct startup_pair pairs[16];
	struct writer w = writer_to(&said);
	size_t n = 0;

	for (; words[n * 2]; n++)
		pairs[n] = (struct startup_pair){ span_text(words[n * 2]), span_text(words[n * 2 + 1]) };
	message_startup(&w, protocol, pairs, n);
	arrive();
}

#define STARTUP(...) say_startup(STARTUP_PROTOCOL(3, 0), (const char *const[]){ __VA_ARGS__, NULL })

/* The next message we were sent, taken off `out`. */
static inline char heard(struct buf *body)
{
	struct frame frame = { 0 };

	buf_clear(body);
	if (out.length == 0)
		return 0;
	assert_int_equal(frame_peek(buf_span(&out), &frame), FRAME_HERE);
	assert_true(out.length >= FRAME_HEADER + (size_t)frame.body);
	assert_true(buf_add(body, buf_span(&out).at + FRAME_HEADER, frame.body));
	buf_consume(&out, FRAME_HEADER + frame.body);
	return frame.type;
}

static inline void is_refused(const char *sqlstate, const char *message)
{
	struct complaint_fields fields;
	struct buf body = { 0 };

	assert_int_equal(edge, CLIENT_REFUSED);
	assert_int_equal(heard(&body), 'E');
	assert_true(message_read_complaint(buf_span(&body), &fields));
	if (!span_is(fields.message, message) || !span_is(fields.sqlstate, sqlstate))
		fail_msg("it said %.*s %.*s, not %s %s", (int)fields.sqlstate.length, (const char *)fields.sqlstate.at,
			(int)fields.message.length, (const char *)fields.message.at, sqlstate, message);
	assert_true(span_is(fields.severity, "FATAL"));
	assert_int_equal(out.length, 0);
	if (strcmp(sqlstate, "28P01") != 0) /* of a password the log is told more */
		assert_string_equal(client_facts(client)->refusal, message);
	buf_fini(&body);
}

static inline const char *asked(const char *name)
{
	return params_get(client_facts(client)->params, span_text(name));
}

static inline int set_up(void **state)
{
	(void)state;
	portion = 1000;
	book = params_book_new();
	return book ? 0 : -1;
}

static inline int tear_down(void **state)
{
	(void)state;
	hang_up();
	buf_fini(&out);
	buf_fini(&said);
	params_book_free(book); /* checks that nothing of any login was left behind */
	return 0;
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

#endif
