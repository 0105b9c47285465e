#include "auth/secrets.h"
#include "base/check.h"

/* A user list of any bytes. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t salt[16], process[32];
	struct secret secret;
	char error[128] = "";
	struct secrets *s = secrets_parse(span_of(data, size), error, sizeof error);

	check((s == NULL) == (error[0] != 0));
	if (s) {
		const struct secret *a = secrets_find(s, span_text("a"));
		const struct scram_verifier *v = a ? secret_verifier(a, salt, 1) : NULL;

		check(!v || (v->salt_length > 0 && v->salt_length <= SCRAM_SALT_MAX && v->iterations > 0));
		check(!a || (a->kind == SECRET_NONE) == (a->text[0] == 0));
		check(secrets_mock(s, span_text("b"), process).salt_length <= SCRAM_SALT_MAX);
	}
	secrets_drop(s);
	if (size == 0 || memchr(data, 0, size))
		return 0;
	/* The secret alone too, so that the fuzzer need not find the quotes around it. */
	if (secret_init(&secret, span_of(data, size)))
		secret_fini(&secret);
	return 0;
}
