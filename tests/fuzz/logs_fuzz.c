/* Logs, which hold what strangers wrote: each line taken apart, counted, and the groups made of them. */
#include <stdlib.h>

#include "tool/logs_count.h"
#include "tool/logs_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct logs_count *count = logs_count_new(size % 2 ? 0 : SECOND_US, size % 3 ? 0 : 1795600801 * SECOND_US);
	const struct logs_group *const *groups;
	struct span rest = span_of(data, size);

	logs_count_begin(count);
	while (rest.length > 0) {
		const uint8_t *end = memchr(rest.at, '\n', rest.length);
		size_t length = end ? (size_t)(end - rest.at) : rest.length;
		char *line = malloc(length + 1); /* of its own size, so that a byte too far is noticed */

		if (!line)
			break;
		memcpy(line, rest.at, length);
		(void)logs_line_is_open(span_of(line, length));
		if (length > 0)
			logs_count_line(count, line, length);
		free(line);
		rest = span_skip(rest, length + (end != NULL));
	}
	logs_count_groups(count, &groups);
	logs_count_free(count);
	return 0;
}
