#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/rng.h"
#include "wire/startup.h"

/* Literals below carry their own last zero: n is sizeof - 1, and C's zero stays outside. */
#define PARSE(literal, out) startup_parse(span_of(literal, sizeof(literal) - 1), out)

static void a_packet_is_not_judged_before_it_is_whole(void **state)
{
	static const char packet[] = "\0\0\0\22\0\3\0\0user\0bob\0";
	struct startup s;

	(void)state;
	for (size_t n = 0; n < sizeof packet; n++) {
		startup_parse(span_of(packet, n), &s);
		assert_int_equal(s.kind, n < 18 ? STARTUP_MORE : STARTUP_LOGIN);
	}
	/* "user" "bob" and the final zero, which is C's own. */
	assert_int_equal(s.length, 18);
}

static void a_login_hands_out_its_parameters(void **state)
{
	static const char packet[] = "\0\0\0\65\0\3\0\2user\0bob\0database\0\0_pq_.x\0on\0options\0-c a=b\0\0next";
	struct startup s;
	struct span key, value;

	(void)state;
	startup_parse(span_of(packet, sizeof packet - 1), &s);
	assert_int_equal(s.kind, STARTUP_LOGIN);
	assert_int_equal(s.length, 53);
	assert_true(s.has_options);
	assert_int_equal(s.protocol, STARTUP_PROTOCOL(3, 2));
	assert_true(startup_next(&s, &key, &value));
	assert_true(span_is(key, "user") && span_is(value, "bob"));
	assert_int_equal(value.at[value.length], 0);
	assert_true(startup_next(&s, &key, &value));
	assert_true(span_is(key, "database") && span_is(value, ""));
	assert_true(startup_next(&s, &key, &value));
	assert_true(span_is(key, "_pq_.x") && span_is(value, "on"));
	assert_true(startup_next(&s, &key, &value));
	assert_true(span_is(key, "options") && span_is(value, "-c a=b"));
	assert_false(startup_next(&s, &key, &value));
	assert_false(startup_next(&s, &key, &value));
}

static void a_broken_layout_is_bad(void **state)
{
	struct startup s;

	(void)state;
	PARSE("\0\0\0\10\0\3\0\0", &s); /* no final zero */
	assert_int_equal(s.kind, STARTUP_BAD);
	PARSE("\0\0\0\11\0\3\0\0\0", &s); /* no parameter at all is still whole */
	assert_int_equal(s.kind, STARTUP_LOGIN);
	assert_false(s.has_options);
	PARSE("\0\0\0\12\0\3\0\0\0x", &s); /* something after the end */
	assert_int_equal(s.kind, STARTUP_BAD);
	PARSE("\0\0\0\15\0\3\0\0user\0", &s); /* a key without a value */
	assert_int_equal(s.kind, STARTUP_BAD);
	PARSE("\0\0\0\21\0\3\0\0user\0bob\0", &s); /* no end */
	assert_int_equal(s.kind, STARTUP_BAD);
	PARSE("\0\0\0\20\0\3\0\0user\0bob", &s); /* a value without its zero */
	assert_int_equal(s.kind, STARTUP_BAD);
	PARSE("\0\0\0\7\0\3\0\0", &s);
	assert_int_equal(s.kind, STARTUP_BAD);
	PARSE("\0\0\0\0", &s);
	assert_int_equal(s.kind, STARTUP_BAD);
}

static void requests_have_their_codes_and_lengths(void **state)
{
	struct startup s;

	(void)state;
	PARSE("\0\0\0\10\4\322\26\57", &s);
	assert_int_equal(s.kind, STARTUP_SSL);
	assert_int_equal(s.length, 8);
	PARSE("\0\0\0\10\4\322\26\60", &s);
	assert_int_equal(s.kind, STARTUP_GSSENC);
	PARSE("\0\0\0\11\4\322\26\57x", &s);
	assert_int_equal(s.kind, STARTUP_BAD);
	PARSE("\0\0\0\20\4\322\26\56\0\0\1\2abcd", &s);
	assert_int_equal(s.kind, STARTUP_CANCEL);
	assert_int_equal(s.process_id, 258);
	assert_true(span_is(s.secret, "abcd"));
	PARSE("\0\0\0\17\4\322\26\56\0\0\1\2abc", &s);
	assert_int_equal(s.kind, STARTUP_BAD);
	PARSE("\0\0\0\12\4\322\26\56\0\0", &s);
	assert_int_equal(s.kind, STARTUP_BAD);
}

static void a_cancel_secret_has_at_most_256_bytes(void **state)
{
	uint8_t packet[12 + 257] = { 0, 0, 1, 12, 4, 0xd2, 0x16, 0x2e };
	struct startup s;

	(void)state;
	startup_parse(span_of(packet, sizeof packet), &s);
	assert_int_equal(s.kind, STARTUP_CANCEL);
	assert_int_equal(s.secret.length, 256);
	packet[3] = 13;
	startup_parse(span_of(packet, sizeof packet), &s);
	assert_int_equal(s.kind, STARTUP_BAD);
}

static void other_versions_are_told_apart(void **state)
{
	struct startup s;

	(void)state;
	PARSE("\0\0\0\10\0\2\0\0", &s);
	assert_int_equal(s.kind, STARTUP_OLD);
	PARSE("\0\0\0\10\0\4\0\0", &s);
	assert_int_equal(s.kind, STARTUP_NEWER);
	PARSE("\0\0\0\10\4\322\0\0", &s);
	assert_int_equal(s.kind, STARTUP_NEWER);
	assert_int_equal(s.protocol >> 16, 1234);
}

static void what_is_too_long_is_refused_from_its_first_four_bytes(void **state)
{
	struct startup s;

	(void)state;
	PARSE("GET / HTTP/1.1", &s);
	assert_int_equal(s.kind, STARTUP_TOO_LONG);
	PARSE("\26\3\1\2", &s); /* TLS without asking */
	assert_int_equal(s.kind, STARTUP_TOO_LONG);
	PARSE("\0\0\47\25", &s); /* 10005 */
	assert_int_equal(s.kind, STARTUP_TOO_LONG);
	PARSE("\0\0\47\24", &s); /* 10004 */
	assert_int_equal(s.kind, STARTUP_MORE);
}

static void options_are_split_as_postgresql_does(void **state)
{
	static const struct {
		const char *text;
		enum startup_option expected;
		const char *name, *value;
	} cases[] = {
		{ "-c statement_timeout=30000", OPTION_SETTING, "statement_timeout", "30000" },
		{ "-cstatement_timeout=30s", OPTION_SETTING, "statement_timeout", "30s" },
		{ "--statement-timeout=5", OPTION_SETTING, "statement_timeout", "5" },
		{ " \t\n-c\v geqo=off ", OPTION_SETTING, "geqo", "off" },
		{ "-c a=b=c", OPTION_SETTING, "a", "b=c" },
		{ "-c a=", OPTION_SETTING, "a", "" },
		{ "-c search_path=a,\\ b\\\\c", OPTION_SETTING, "search_path", "a, b\\c" },
		{ "-c a=b\\", OPTION_SETTING, "a", "b" },
		{ "-c a-b=c-d", OPTION_SETTING, "a_b", "c-d" },
		{ "-c", OPTION_OTHER, "-c", NULL },
		{ "-c name", OPTION_OTHER, "name", NULL },
		{ "--name", OPTION_OTHER, "--name", NULL },
		{ "--=x", OPTION_OTHER, "--=x", NULL },
		{ "--", OPTION_OTHER, "--", NULL },
		{ "-e", OPTION_OTHER, "-e", NULL },
		{ "word", OPTION_OTHER, "word", NULL },
		{ "-", OPTION_OTHER, "-", NULL },
		{ "", OPTION_END, NULL, NULL },
		{ "   ", OPTION_END, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char *scratch = malloc(strlen(cases[i].text) + 1), *name, *value;
		struct startup_options o = { .rest = span_text(cases[i].text), .scratch = scratch };

		assert_int_equal(startup_option_next(&o, &name, &value), cases[i].expected);
		if (cases[i].name)
			assert_string_equal(name, cases[i].name);
		else
			assert_null(name);
		if (cases[i].value)
			assert_string_equal(value, cases[i].value);
		else
			assert_null(value);
		assert_int_equal(startup_option_next(&o, &name, &value), OPTION_END);
		free(scratch);
	}
}

static void several_options_stay_valid_together(void **state)
{
	char scratch[64], *name[3], *value[3];
	struct startup_options o = { .rest = span_text("-c a=1 --b=2 -cc=3"), .scratch = scratch };

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(startup_option_next(&o, &name[i], &value[i]), OPTION_SETTING);
	assert_string_equal(name[0], "a");
	assert_string_equal(value[1], "2");
	assert_string_equal(name[2], "c");
	assert_string_equal(value[2], "3");
}

static void any_bytes_at_all_are_survived(void **state)
{
	struct rng r;

	(void)state;
	rng_seed(&r, 1);
	for (int i = 0; i < 50000; i++) {
		size_t n = rng_below(&r, 60);
		uint8_t *packet = malloc(n + 1); /* on the heap, where a sanitizer guards its end */
		struct span key, value;
		struct startup s;

		rng_fill(&r, packet, n);
		if (n >= 8 && rng_chance(&r, 900)) {
			memcpy(packet, "\0\0\0\0\0\3\0\0", 8);
			packet[3] = (uint8_t)(rng_chance(&r, 800) ? n : rng_below(&r, 64));
			for (size_t k = 8; k < n; k++)
				packet[k] = rng_chance(&r, 300) ? 0 : 'a';
		}
		startup_parse(span_of(packet, n), &s);
		if (s.kind == STARTUP_LOGIN)
			assert_true(s.length <= n && packet[s.length - 1] == 0);
		while (startup_next(&s, &key, &value)) {
			assert_true(key.length > 0);
			assert_int_equal(key.at[key.length], 0);
			assert_int_equal(value.at[value.length], 0);
		}
		free(packet);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_is_not_judged_before_it_is_whole),
		cmocka_unit_test(a_login_hands_out_its_parameters),
		cmocka_unit_test(a_broken_layout_is_bad),
		cmocka_unit_test(requests_have_their_codes_and_lengths),
		cmocka_unit_test(a_cancel_secret_has_at_most_256_bytes),
		cmocka_unit_test(other_versions_are_told_apart),
		cmocka_unit_test(what_is_too_long_is_refused_from_its_first_four_bytes),
		cmocka_unit_test(options_are_split_as_postgresql_does),
		cmocka_unit_test(several_options_stay_valid_together),
		cmocka_unit_test(any_bytes_at_all_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
