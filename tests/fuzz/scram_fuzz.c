#include "auth/login.h"
#include "auth/proof.h"
#include "base/check.h"
#include "base/reader.h"

/* Both sides of a login against a peer of any bytes. The input: one byte that chooses side, method and secret, then bodies, each
 * behind a length of two bytes. Nobody may prove anything by chance, and all that is written must be whole messages. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One iteration, so that a turn is quick; keys that nobody has. */
#define KEY   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define SCRAM "SCRAM-SHA-256$1:AAAAAAAAAAAAAAAAAAAAAA==$" KEY ":" KEY

static const char *const texts[] = { "pencil", "md56a422f785c9e20873908ce25d1736ae2", SCRAM, "" };

static const uint8_t zeros[64];

static bool next_body(struct reader *r, struct span *body)
{
	size_t length = read_u16(r);

	if (!reader_ok(r))
		return false;
	*body = read_bytes(r, length < reader_left(r) ? length : reader_left(r));
	return true;
}

/* Whole messages of one type. */
static void check_written(struct buf *out, char type)
{
	struct reader r = reader_of(buf_span(out));

	while (reader_left(&r) > 0) {
		uint32_t length;

		check(read_u8(&r) == (uint8_t)type);
		length = read_u32(&r);
		check(length >= 4);
		read_bytes(&r, length - 4);
		check(reader_ok(&r));
	}
	buf_clear(out);
}

static void fuzz_login(unsigned choice, const struct secret *secret, struct reader *r)
{
	static const enum auth_method methods[] = { AUTH_PLAIN, AUTH_MD5, AUTH_SCRAM, AUTH_SCRAM };
	struct login_setup setup = { .method = methods[choice & 3],
		.user = span_text("app"),
		.secret = choice & 4 ? NULL : secret,
		.mock = { .scram = choice & 8,
			.iterations = choice & 4 ? 1 : 0,
			.salt_length = choice & 8 ? SCRAM_SALT_MAX : 0 },
		.binding = span_text(choice & 64 ? "certificate" : ""),
		.scram_iterations = 1,
		.random = zeros,
		.process = zeros };
	enum login_result result;
	struct buf out = { 0 };
	struct writer w = writer_to(&out);
	struct login *l = login_new(&setup, &w, &result);
	uint8_t key[SCRAM_KEY_LENGTH];
	struct span body;

	if (!l)
		return;
	check_written(&out, 'R');
	while (result == LOGIN_MORE && next_body(r, &body)) {
		result = login_take(l, body, &w);
		check_written(&out, 'R');
	}
	check(result != LOGIN_OK || setup.secret);
	check((result == LOGIN_BROKEN) == (login_problem(l)[0] != 0));
	check(!login_client_key(l, key) || result == LOGIN_OK);
	check(login_refusal(l)[0]);
	login_free(l);
	buf_fini(&out);
}

/* An iteration count in the input would only make it slow. */
static bool is_slow(struct span body)
{
	for (size_t i = 0; i + 5 < body.length; i++) {
		if (memcmp(body.at + i, "i=", 2) == 0 && body.at[i + 5] >= '0' && body.at[i + 5] <= '9')
			return true;
	}
	return false;
}

static void fuzz_proof(unsigned choice, const struct secret *secret, struct reader *r)
{
	struct proof_setup setup = { .user = span_text("app"),
		.secret = choice & 4 ? NULL : secret,
		.client_key = choice & 8 ? zeros : NULL,
		.binding = span_text(choice & 64 ? "certificate" : ""),
		.random = zeros };
	struct proof *p = proof_new(&setup);
	enum proof_result result = PROOF_MORE;
	struct buf out = { 0 };
	struct writer w = writer_to(&out);
	struct span body;

	if (!p)
		return;
	while (result == PROOF_MORE && next_body(r, &body) && !is_slow(body)) {
		result = proof_take(p, body, &w);
		check_written(&out, 'p');
	}
	check((result == PROOF_FAILED) == (proof_problem(p)[0] != 0));
	proof_free(p);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(span_of(data, size));
	unsigned choice = read_u8(&r);
	static struct secret secrets[4];

	if (!secrets[0].text) {
		for (size_t i = 0; i < 4; i++)
			check(secret_init(&secrets[i], span_text(texts[i])));
	}
	if (choice & 0x80)
		fuzz_proof(choice, &secrets[choice >> 4 & 3], &r);
	else
		fuzz_login(choice, &secrets[choice >> 4 & 3], &r);
	return 0;
}
