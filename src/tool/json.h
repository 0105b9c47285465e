#ifndef PGWEIR_TOOL_JSON_H
#define PGWEIR_TOOL_JSON_H

#include <jansson.h>
#include <string.h>

#include "tool/memory.h"
#include "tool/table.h"

/* JSON of the tools. Like all of tool/memory.h: without memory the program ends. */

/* A text of whoever, as valid UTF-8. */
static inline json_t *text_json(struct span text)
{
	size_t size = 3 * text.length + 1;
	char *valid = memory_new(size, 1);
	json_t *json = json_stringn(valid, show_utf8(valid, size, text));

	free(valid);
	return memory_got(json);
}

/* Both take `value`. */
static inline void object_set(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, memory_got(value)) != 0)
		memory_got(NULL);
}

static inline void array_append(json_t *array, json_t *value)
{
	if (json_array_append_new(array, memory_got(value)) != 0)
		memory_got(NULL);
}

#endif
