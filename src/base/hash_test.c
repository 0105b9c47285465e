#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/hash.h"

/* The expected values are those of another implementation of SipHash-1-3 (CPython's, with a key of zero). */
static void the_hash_is_siphash_1_3(void **state)
{
	(void)state;
	hash_set_key(0, 0);
	assert_true(hash_bytes(span_text("a")) == UINT64_C(0x407448d2b89b1813));
	assert_true(hash_bytes(span_text("abcdefg")) == UINT64_C(0x6db12aae9070f506));
	assert_true(hash_bytes(span_text("abcdefgh")) == UINT64_C(0x3f7b849c0b8e35ea));
	assert_true(hash_bytes(span_text("abcdefghi")) == UINT64_C(0xf89b34a3d11eb6e5));
	assert_true(hash_bytes(span_text("the quick brown fox jumps")) == UINT64_C(0x00c98b97e4f70042));
}

static void the_key_decides(void **state)
{
	uint64_t plain, first, second;

	(void)state;
	hash_set_key(0, 0);
	plain = hash_bytes(span_text("a"));
	hash_set_key(1, 0);
	first = hash_bytes(span_text("a"));
	hash_set_key(0, 1);
	second = hash_bytes(span_text("a"));
	assert_true(plain != first && first != second && plain != second);
	hash_set_key(0, 0);
	assert_true(hash_bytes((struct span){ 0 }) == hash_bytes(span_text("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hash_is_siphash_1_3),
		cmocka_unit_test(the_key_decides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
