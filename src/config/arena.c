#include "config/arena.h"

#include <stdlib.h>

#include "base/text.h"

/* Chunks in a list, the newest first; what does not fit into the newest opens another one. A piece larger than a
 * chunk gets one of its own size. */

#define CHUNK_SIZE 4096

struct arena_chunk {
	struct arena_chunk *older;
	size_t size, used;
	_Alignas(max_align_t) uint8_t at[];
};

void *arena_take(struct arena *a, size_t n)
{
	struct arena_chunk *chunk = a->chunks;
	void *taken;

	if (n > SIZE_MAX / 2)
		return NULL;
	n = (n + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	if (!chunk || chunk->size - chunk->used < n) {
		size_t size = n > CHUNK_SIZE ? n : CHUNK_SIZE;

		chunk = calloc(1, sizeof *chunk + size);
		if (!chunk)
			return NULL;
		chunk->size = size;
		chunk->older = a->chunks;
		a->chunks = chunk;
	}
	taken = chunk->at + chunk->used;
	chunk->used += n;
	return taken;
}

char *arena_text(struct arena *a, struct span from)
{
	char *to = arena_take(a, from.length + 1);

	if (to)
		text_copy_span(to, from.length + 1, from);
	return to;
}

void arena_fini(struct arena *a)
{
	while (a->chunks) {
		struct arena_chunk *chunk = a->chunks;

		a->chunks = chunk->older;
		secret_wipe(chunk->at, chunk->used);
		free(chunk);
	}
}
