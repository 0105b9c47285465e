#include <stdlib.h>

#include "core/state.h"

/* The list of effects grows by doubling and is reused by its owner from step to step: a worker in the steady state
 * allocates nothing. */

void effects_fini(struct effects *effects)
{
	free(effects->list);
	*effects = (struct effects){ 0 };
}

struct effect *effect_add(struct core *core, enum effect_kind kind, uint32_t worker)
{
	struct effects *out = core->out;
	struct effect *effect;

	check(out != NULL);
	check(worker < core->setup.workers);
	if (out->count == out->capacity) {
		size_t capacity = out->capacity ? out->capacity * 2 : 16;
		struct effect *list = realloc(out->list, capacity * sizeof(*list));

		check(list != NULL);
		out->list = list;
		out->capacity = capacity;
	}
	effect = &out->list[out->count++];
	/* Its texts, which are most of it, are empty by their first byte. */
	memset(effect, 0, offsetof(struct effect, sqlstate));
	effect->sqlstate[0] = effect->text[0] = 0;
	effect->kind = kind;
	effect->worker = worker;
	effect->pool = NO_POOL;
	effect->database = NO_DATABASE;
	effect->client.worker = worker;
	return effect;
}

struct effect *effect_for(struct core *core, enum effect_kind kind, struct client_ref client)
{
	struct effect *effect = effect_add(core, kind, client.worker);

	effect->client = client;
	return effect;
}
