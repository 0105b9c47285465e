#include "auth/basic.h"

#include "auth/digest.h"
#include "base/text.h"

static bool split(struct basic *basic, struct span pair)
{
	const uint8_t *colon = memchr(pair.at, ':', pair.length);
	size_t name = colon ? (size_t)(colon - pair.at) : 0;

	if (name == 0 || memchr(pair.at, 0, pair.length) || name >= sizeof basic->user ||
		pair.length - name - 1 >= sizeof basic->password)
		return false;
	text_copy_span(basic->user, sizeof basic->user, span_of(pair.at, name));
	text_copy_span(basic->password, sizeof basic->password, span_skip(pair, name + 1));
	return true;
}

bool basic_read(struct basic *basic, struct span header)
{
	uint8_t pair[sizeof *basic];
	bool good = false;
	int length;

	*basic = (struct basic){ .user = "" };
	if (header.length < 7 || !text_equal_nocase(span_of(header.at, 6), span_text("Basic ")))
		return false;
	length = base64_read(pair, sizeof pair, text_trim(span_skip(header, 6)));
	if (length > 0)
		good = split(basic, span_of(pair, (size_t)length));
	secret_wipe(pair, sizeof pair);
	return good;
}

void basic_wipe(struct basic *basic)
{
	secret_wipe(basic, sizeof *basic);
}
