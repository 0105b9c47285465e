#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "auth/scram.h"
#include "auth/secrets.h"
#include "base/buf.h"
#include "base/rng.h"
#include "base/text.h"

#define MD5 "md56a422f785c9e20873908ce25d1736ae2"
#define SCRAM \
	"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static struct secrets *parse(const char *text)
{
	char error[256] = "";
	struct secrets *s = secrets_parse(span_text(text), error, sizeof error);

	if (!s)
		fail_msg("%s", error);
	return s;
}

static const struct secret *find(const struct secrets *s, const char *user)
{
	return secrets_find(s, span_text(user));
}

static void each_kind_of_secret_is_recognised(void **state)
{
	struct secrets *s = parse("\"plain\" \"pencil\"\n\"md5\" \"" MD5 "\"\n\"scram\" \"" SCRAM "\"\n\"none\" \"\"\n"
				  "\"almost\" \"md5abc\"\n\"upper\" \"md56A422F785C9E20873908CE25D1736AE2\"\n");

	(void)state;
	assert_int_equal(find(s, "plain")->kind, SECRET_PLAIN);
	assert_string_equal(find(s, "plain")->text, "pencil");
	assert_int_equal(find(s, "md5")->kind, SECRET_MD5);
	assert_int_equal(find(s, "scram")->kind, SECRET_SCRAM);
	assert_int_equal(find(s, "none")->kind, SECRET_NONE);
	assert_int_equal(find(s, "almost")->kind, SECRET_PLAIN);
	assert_int_equal(find(s, "upper")->kind, SECRET_PLAIN);
	assert_null(find(s, "nobody"));
	assert_null(find(s, "plai"));
	assert_null(find(s, ""));
	secrets_drop(s);
}

static void the_file_is_read_as_pgbouncer_reads_it(void **state)
{
	struct secrets *s = parse(
		"\xef\xbb\xbf; a comment\n\n  \"a\"\t\"1\"  and the rest is ignored \"\n\"b\"\"c\" \"2\"\"3\"\r\n"
		"\"a;\"\"\"   \"\"\"\"\n\"d e\"\"\" \"x\" ; y\n\"glued\"\"\" \"1\"\n\"close\"   \"4\"\n\"last\" \"5\"");

	(void)state;
	assert_string_equal(find(s, "a")->text, "1");
	assert_string_equal(find(s, "b\"c")->text, "2\"3");
	assert_string_equal(find(s, "a;\"")->text, "\"");
	assert_string_equal(find(s, "d e\"")->text, "x");
	assert_string_equal(find(s, "close")->text, "4");
	assert_string_equal(find(s, "last")->text, "5");
	secrets_drop(s);
	secrets_drop(parse(""));
	secrets_drop(parse("\n;\n\n"));
}

static void the_last_line_about_a_user_holds(void **state)
{
	struct secrets *s = parse("\"a\" \"" SCRAM "\"\n\"b\" \"x\"\n\"a\" \"new\"\n");
	static const uint8_t process[32];

	(void)state;
	assert_int_equal(find(s, "a")->kind, SECRET_PLAIN);
	assert_string_equal(find(s, "a")->text, "new");
	assert_false(secrets_mock(s, span_text("stranger"), process).scram);
	secrets_drop(s);
}

static void a_broken_line_is_named(void **state)
{
	static const struct {
		const char *text, *error;
	} broken[] = {
		{ "\"a\" \"1\"\nb 2\n", "line 2: expected a user name in double quotes" },
		{ "\"a\"\n", "line 1: expected a secret in double quotes after the user name" },
		{ "\"a\" 1\n", "line 1: expected a secret in double quotes after the user name" },
		{ "\n\n\"a \"\"1\n", "line 3: the user name's quotes are not closed" },
		{ "\"a\" \"1\n\"b\" \"2\"\n", "line 1: the secret's quotes are not closed" },
		{ "\"\" \"1\"\n", "line 1: the user name is empty" },
	};
	char error[256];

	(void)state;
	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
		assert_null(secrets_parse(span_text(broken[i].text), error, sizeof error));
		assert_string_equal(error, broken[i].error);
	}
	assert_null(secrets_parse(span_of("\"a\" \"\0\"", 7), error, sizeof error));
	assert_string_equal(error, "line 1: a zero byte");
}

static void names_and_secrets_have_bounds(void **state)
{
	struct buf b = { 0 };
	char error[256];
	struct secrets *s;

	(void)state;
	for (int over = 0; over < 2; over++) {
		buf_clear(&b);
		buf_add(&b, "\"", 1);
		for (int i = 0; i < USER_NAME_MAX + over; i++)
			buf_add(&b, "u", 1);
		buf_add(&b, "\" \"x\"", 5);
		s = secrets_parse(buf_span(&b), error, sizeof error);
		assert_int_equal(s == NULL, over);
		secrets_drop(s);
		buf_clear(&b);
		buf_add(&b, "\"u\" \"", 5);
		for (int i = 0; i < SECRET_MAX + over; i++)
			buf_add(&b, "s", 1);
		buf_add(&b, "\"", 1);
		s = secrets_parse(buf_span(&b), error, sizeof error);
		assert_int_equal(s == NULL, over);
		if (s)
			assert_int_equal(strlen(find(s, "u")->text), SECRET_MAX);
		secrets_drop(s);
	}
	buf_fini(&b);
}

static void many_users_are_all_found(void **state)
{
	struct buf b = { 0 };
	char name[32], secret[32];
	struct secrets *s;

	(void)state;
	for (int i = 0; i < 5000; i++)
		buf_format(&b, "\"user%d\" \"secret%d\"\n", i, i * 7);
	s = secrets_parse(buf_span(&b), name, sizeof name);
	assert_non_null(s);
	assert_string_equal(secrets_name(s, 4999), "user4999");
	assert_null(secrets_name(s, 5000));
	for (int i = 0; i < 5000; i++) {
		text_format(name, sizeof name, "user%d", i);
		text_format(secret, sizeof secret, "secret%d", i * 7);
		assert_string_equal(find(s, name)->text, secret);
		text_format(name, sizeof name, "user%d", i + 5000);
		assert_null(find(s, name));
	}
	secrets_drop(s);
	buf_fini(&b);
}

static void a_verifier_is_made_once_and_kept(void **state)
{
	struct secrets *s = parse(
		"\"plain\" \"pencil\"\n\"md5\" \"" MD5 "\"\n\"scram\" \"" SCRAM "\"\n\"none\" \"\"\n");
	uint8_t salt[16] = { 0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa,
		0x81 };
	const struct scram_verifier *made, *parsed;
	static const uint8_t other[16];

	(void)state;
	made = secret_verifier(find(s, "plain"), salt, 4096);
	parsed = secret_verifier(find(s, "scram"), other, 1);
	assert_int_equal(parsed->iterations, 4096);
	assert_memory_equal(made->stored_key, parsed->stored_key, SCRAM_KEY_LENGTH);
	assert_memory_equal(made->server_key, parsed->server_key, SCRAM_KEY_LENGTH);
	assert_memory_equal(made->salt, parsed->salt, 16);
	assert_ptr_equal(secret_verifier(find(s, "plain"), other, 1), made);
	assert_null(secret_verifier(find(s, "md5"), salt, 4096));
	assert_null(secret_verifier(find(s, "none"), salt, 4096));
	secrets_drop(s);
}

static void client_keys_are_kept_with_their_users(void **state)
{
	struct secrets *s = parse("\"a\" \"" SCRAM "\"\n\"b\" \"" SCRAM "\"\n");
	uint8_t key[SCRAM_KEY_LENGTH], back[SCRAM_KEY_LENGTH];

	(void)state;
	memset(key, 7, sizeof key);
	assert_false(secrets_get_client_key(s, span_text("a"), back));
	secrets_put_client_key(s, span_text("a"), key);
	secrets_put_client_key(s, span_text("nobody"), key);
	assert_true(secrets_get_client_key(s, span_text("a"), back));
	assert_memory_equal(back, key, sizeof key);
	assert_false(secrets_get_client_key(s, span_text("b"), back));
	assert_false(secrets_get_client_key(s, span_text("nobody"), back));
	assert_ptr_equal(secrets_keep(s), s);
	secrets_drop(s);
	assert_true(secrets_get_client_key(s, span_text("a"), back));
	secrets_drop(s);
}

static void a_single_secret_needs_no_list(void **state)
{
	struct secret secret;

	(void)state;
	assert_true(secret_init(&secret, span_text(SCRAM)));
	assert_int_equal(secret.kind, SECRET_SCRAM);
	secret_fini(&secret);
	assert_true(secret_init(&secret, span_text("x")));
	assert_int_equal(secret.kind, SECRET_PLAIN);
	secret_fini(&secret);
	assert_true(secret_init(&secret, span_text("")));
	assert_int_equal(secret.kind, SECRET_NONE);
	secret_fini(&secret);
}

static void strangers_pretend_the_shapes_of_the_file(void **state)
{
	struct buf file = { 0 };
	struct secrets *s;
	uint8_t process[32] = { 7 };
	char name[32];
	unsigned seen[4] = { 0 };

	(void)state;
	for (int i = 0; i < 300; i++)
		assert_true(buf_format(&file,
			"\"u%d\" \"SCRAM-SHA-256$%d:c2FsdHNhbHRzYWx0c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
			"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"\n",
			i, 1000 * (1 + i / 100)));
	assert_true(buf_add(&file, "", 1));
	s = parse((const char *)buf_span(&file).at);
	for (int i = 0; i < 900; i++) {
		struct secret_mock mock;

		text_format(name, sizeof name, "stranger%d", i);
		mock = secrets_mock(s, span_text(name), process);
		assert_true(mock.scram && mock.salt_length == 16);
		assert_in_range(mock.iterations / 1000, 1, 3);
		seen[mock.iterations / 1000]++;
	}
	for (int i = 1; i <= 3; i++)
		assert_in_range(seen[i], 150, 500);
	secrets_drop(s);
	buf_fini(&file);
}

/* In a file where a quarter has SCRAM secrets, about a quarter of all strangers pretends to. */
static void strangers_pretend_in_the_share_of_the_file(void **state)
{
	struct secrets *mixed = parse("\"a\" \"" SCRAM "\"\n\"b\" \"x\"\n\"c\" \"" MD5 "\"\n\"d\" \"x\"\n");
	struct secrets *none = parse("\"b\" \"x\"\n"), *all = parse("\"a\" \"" SCRAM "\"\n"), *empty = parse("");
	uint8_t process[32] = { 42 };
	char name[32];
	int scram = 0;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		bool first;

		text_format(name, sizeof name, "stranger%d", i);
		first = secrets_mock(mixed, span_text(name), process).scram;
		assert_int_equal(secrets_mock(mixed, span_text(name), process).scram, first);
		assert_false(secrets_mock(none, span_text(name), process).scram);
		assert_false(secrets_mock(empty, span_text(name), process).scram);
		assert_true(secrets_mock(all, span_text(name), process).scram);
		scram += first;
	}
	assert_in_range(scram, 400, 600);
	secrets_drop(mixed);
	secrets_drop(none);
	secrets_drop(all);
	secrets_drop(empty);
}

static void no_mutation_of_a_file_breaks_the_reader(void **state)
{
	static const char good[] = "; users\n\"a\" \"1\"\n\"b\"\"\" \"" SCRAM "\" x\n\"c\" \"" MD5 "\"\n";
	uint8_t text[sizeof good];
	char error[128];
	struct rng rng;

	(void)state;
	rng_seed(&rng, 5802);
	for (int i = 0; i < 20000; i++) {
		size_t length = rng_below(&rng, sizeof good);
		struct secrets *s;

		memcpy(text, good, sizeof good);
		for (uint64_t n = rng_below(&rng, 4); n > 0; n--)
			text[rng_below(&rng, sizeof good)] = "\"\n;\\ md5$:\0\xff"[rng_below(&rng, 12)];
		s = secrets_parse(span_of(text, length), error, sizeof error);
		if (s)
			secrets_find(s, span_text("a"));
		else
			assert_true(strncmp(error, "line ", 5) == 0);
		secrets_drop(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_of_secret_is_recognised),
		cmocka_unit_test(the_file_is_read_as_pgbouncer_reads_it),
		cmocka_unit_test(the_last_line_about_a_user_holds),
		cmocka_unit_test(a_broken_line_is_named),
		cmocka_unit_test(names_and_secrets_have_bounds),
		cmocka_unit_test(many_users_are_all_found),
		cmocka_unit_test(a_verifier_is_made_once_and_kept),
		cmocka_unit_test(client_keys_are_kept_with_their_users),
		cmocka_unit_test(a_single_secret_needs_no_list),
		cmocka_unit_test(strangers_pretend_in_the_share_of_the_file),
		cmocka_unit_test(strangers_pretend_the_shapes_of_the_file),
		cmocka_unit_test(no_mutation_of_a_file_breaks_the_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
