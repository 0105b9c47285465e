#include "tool/stress_request.h"

#include <string.h>

#include "base/text.h"

/* CONNECT and TRACE are for those who stand between, and what the library calls RAW is no method. */
const char *const stress_methods[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", NULL };

const char *stress_method(const char *word)
{
	for (size_t i = 0; stress_methods[i]; i++) {
		if (text_equal_nocase(span_text(word), span_text(stress_methods[i])))
			return stress_methods[i];
	}
	return NULL;
}

const char *stress_method_of(const struct stress_plan *plan)
{
	return plan->method ? plan->method : plan->data ? "POST" : "GET";
}

const char *stress_type_of(const struct stress_plan *plan)
{
	static const char name[] = "content-type";

	for (size_t i = 0; i < plan->header_count; i++) {
		if (text_equal_nocase(span_of(plan->headers[i], strcspn(plan->headers[i], ":")), span_text(name)))
			return NULL;
	}
	return strchr("{[", plan->data[0]) ? "application/json" : "application/x-www-form-urlencoded";
}

bool stress_is_bodiless(const char *method, unsigned status)
{
	return strcmp(method, "HEAD") == 0 || status == 204 || status == 304;
}
