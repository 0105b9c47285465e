#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "session/cancel.h"
#include "wire/startup.h"

/* Whatever a stranger sends first: the packet, its parameters, and the words of its `options`. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_options(struct span text)
{
	char *scratch = malloc(text.length + 1), *name, *value;
	struct startup_options o = { .rest = text, .scratch = scratch };
	enum startup_option option;

	if (scratch == NULL)
		return;
	while ((option = startup_option_next(&o, &name, &value)) != OPTION_END) {
		check(name >= scratch && name + strlen(name) <= scratch + text.length);
		if (option == OPTION_SETTING)
			check(name[0] != 0 && value + strlen(value) <= scratch + text.length);
	}
	free(scratch);
}

/* A key of a peer, passed on until it is not any more, and found to be the one it was. */
static void pass_on(const struct startup *s)
{
	uint8_t secret[256], filled[256];
	int hops = 0;

	memcpy(secret, s->secret.at, s->secret.length);
	cancel_hops_fill(secret);
	memcpy(filled, secret, s->secret.length);
	while (cancel_hop(secret))
		hops++;
	check(hops == CANCEL_HOPS_MAX && cancel_peer(s->process_id) <= UINT16_MAX);
	cancel_hops_fill(secret);
	check(memcmp(secret, filled, s->secret.length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span key, value;
	struct startup s;

	startup_parse(span_of(data, size), &s);
	check(s.kind != STARTUP_LOGIN || s.length <= size);
	check(s.kind != STARTUP_CANCEL || (s.secret.length >= 4 && s.secret.length <= 256));
	if (s.kind == STARTUP_CANCEL)
		pass_on(&s);
	while (startup_next(&s, &key, &value)) {
		check(s.kind == STARTUP_LOGIN && key.length > 0);
		check(key.at[key.length] == 0 && value.at[value.length] == 0);
		if (span_is(key, "options"))
			read_options(value);
	}
	/* The words alone too, so that the fuzzer need not find the packet around them. */
	if (size == 0 || memchr(data, 0, size) == NULL)
		read_options(span_of(data, size));
	return 0;
}
