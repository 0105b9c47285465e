#ifndef PGWEIR_BASE_REFUSAL_TEST_H
#define PGWEIR_BASE_REFUSAL_TEST_H

#include <stdbool.h>
#include <stddef.h>

/* For tests that refuse memory: while `armed`, `left` more pieces are granted. Sanitizers bring a heap of their own (OTHER_HEAP); there
 * such tests step aside. Included by one file of a program. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OTHER_HEAP 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define OTHER_HEAP 1
#endif
#endif

#ifndef OTHER_HEAP

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void __libc_free(void *);

static bool armed;
static long held, left; /* pieces held; how many more are granted */

static bool grant(void)
{
	return !armed || left-- > 0;
}

void *malloc(size_t n)
{
	void *got = grant() ? __libc_malloc(n) : NULL;

	held += armed && got;
	return got;
}

void *calloc(size_t count, size_t n)
{
	void *got = grant() ? __libc_calloc(count, n) : NULL;

	held += armed && got;
	return got;
}

void *realloc(void *old, size_t n)
{
	void *got = grant() ? __libc_realloc(old, n) : NULL;

	held += armed && got && !old;
	return got;
}

void free(void *old)
{
	held -= armed && old;
	__libc_free(old);
}
#endif

#endif
