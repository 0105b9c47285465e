#include "tool/stress_source.h"

#include <string.h>

#include "base/text.h"
#include "io/address.h"

static bool fits(const struct stress_plan *plan, const char *one, char *error, size_t error_size)
{
	struct address address, first;
	char shown[60];

	text_escape(shown, sizeof shown, span_text(one));
	if (!address_parse(one, 0, &address)) {
		text_format(error, error_size,
			"numeric addresses of this machine, such as 127.0.0.1,127.0.0.2, not \"%s\"", shown);
		return false;
	}
	if (plan->source_count == STRESS_SOURCES_MAX) {
		text_format(error, error_size, "at most %d addresses", STRESS_SOURCES_MAX);
		return false;
	}
	if (plan->source_count > 0 && address_parse(plan->sources[0], 0, &first) && first.family != address.family) {
		text_format(error, error_size, "addresses of one kind, IPv4 or IPv6, and %s is of the other", shown);
		return false;
	}
	for (unsigned i = 0; i < plan->source_count; i++) {
		if (strcmp(plan->sources[i], one) == 0) {
			text_format(error, error_size, "each address once, and %s is there twice", shown);
			return false;
		}
	}
	return true;
}

bool stress_sources_read(const char *text, struct stress_plan *plan, char *error, size_t error_size)
{
	for (;;) {
		size_t length = strcspn(text, ",");
		char one[STRESS_SOURCE_TEXT];

		text_copy_span(one, sizeof one, span_of(text, length));
		if (!fits(plan, one, error, error_size))
			return false;
		text_copy(plan->sources[plan->source_count++], STRESS_SOURCE_TEXT, one);
		if (!text[length])
			return true;
		text += length + 1;
	}
}

const char *stress_source_of(const struct stress_plan *plan, uint64_t serial)
{
	return plan->source_count ? plan->sources[serial % plan->source_count] : NULL;
}

unsigned stress_source_count(const struct stress_plan *plan)
{
	return plan->source_count ? plan->source_count : 1;
}
