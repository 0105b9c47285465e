#ifndef PGWEIR_VIEW_HELPER_TEST_H
#define PGWEIR_VIEW_HELPER_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"
#include "view/snapshot.h"

/* What the tests of renderings share: one snapshot, and one buffer for what is made of it. */
static struct snapshot *snapshot;
static struct buf out;

static inline int begin_anew(void **state)
{
	(void)state;
	buf_fini(&out);
	snapshot_free(snapshot);
	snapshot = snapshot_new(PART_ALL);
	return snapshot ? 0 : -1;
}

static inline int end(void **state)
{
	(void)state;
	buf_fini(&out);
	snapshot_free(snapshot);
	snapshot = NULL;
	return 0;
}

/* What is in the buffer, terminated. */
static inline const char *text(void)
{
	assert_true(buf_add(&out, "", 1));
	return (const char *)buf_span(&out).at;
}

#endif
