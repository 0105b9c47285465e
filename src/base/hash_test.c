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
	assert_true(hash_bytes(span_text("")) == UINT64_C(0xd1fba762150c532c));
	assert_true(hash_bytes(span_text("ab")) == UINT64_C(0x555508cbc6add439));
	assert_true(hash_bytes(span_text("abc")) == UINT64_C(0xc03bc3a0042630f2));
	assert_true(hash_bytes(span_text("abcd")) == UINT64_C(0xe3d1d5fdd52aae89));
	assert_true(hash_bytes(span_text("abcde")) == UINT64_C(0x251f3c725bd784a2));
	assert_true(hash_bytes(span_text("abcdef")) == UINT64_C(0x62207e654289df28));
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

static void a_glance_sees_the_length_both_ends_and_the_middle(void **state)
{
	uint64_t seen = hash_glance(span_text("select a from t where b = 1"));

	(void)state;
	assert_true(seen == hash_glance(span_text("select a from t where b = 1")));
	assert_true(seen != hash_glance(span_text("select a from t where b = 2")));
	assert_true(seen != hash_glance(span_text("delete a from t where b = 1")));
	assert_true(seen != hash_glance(span_text("select a from u where b = 1")));
	assert_true(hash_glance(span_text("a")) % 512 != hash_glance(span_text("b")) % 512);
	assert_true(hash_glance(span_text("select 1")) % 512 != hash_glance(span_text("select 2")) % 512);
	assert_true(hash_glance(span_text("")) == hash_glance((struct span){ 0 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hash_is_siphash_1_3),
		cmocka_unit_test(the_key_decides),
		cmocka_unit_test(a_glance_sees_the_length_both_ends_and_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
