#include "wire/startup.h"

/* The first packet is read before anybody is known: everything in it comes from a stranger, and the
 * only promise is its length. So: nothing allocated, nothing believed, and a login's layout is checked
 * whole before its first parameter is handed out, which leaves startup_next nothing to refuse.
 *
 *   length | code                       | rest
 *   -------+----------------------------+---------------------------------------------
 *     8    | 80877103 (1234.5679)       | -                    SSLRequest
 *     8    | 80877104 (1234.5680)       | -                    GSSENCRequest
 *   16..   | 80877102 (1234.5678)       | process id, secret   CancelRequest
 *    9..   | 3.minor                    | key 0 value 0 ... 0  StartupMessage
 *
 * (PostgreSQL manual, "Message Formats"; secrets longer than four bytes came with protocol 3.2.) */

#define CODE_CANCEL     STARTUP_PROTOCOL(1234, 5678)
#define CODE_SSL        STARTUP_PROTOCOL(1234, 5679)
#define CODE_GSSENC     STARTUP_PROTOCOL(1234, 5680)

#define SECRET_SHORTEST 4
#define SECRET_LONGEST  256

/* Pairs of strings up to an empty key, which is the last byte. */
static bool layout_is_good(struct reader r, bool *has_options)
{
	struct span key;

	while ((key = read_string(&r)).length > 0) {
		*has_options = *has_options || span_is(key, "options");
		read_string(&r);
	}
	return reader_done(&r);
}

static enum startup_kind read_cancel(struct startup *s, struct reader r)
{
	s->process_id = read_u32(&r);
	s->secret = read_bytes(&r, reader_left(&r));
	if (!reader_ok(&r) || s->secret.length < SECRET_SHORTEST || s->secret.length > SECRET_LONGEST)
		return STARTUP_BAD;
	return STARTUP_CANCEL;
}

static enum startup_kind read_packet(struct startup *s, struct reader r)
{
	s->protocol = read_u32(&r);
	switch (s->protocol) {
	case CODE_SSL:
		return reader_left(&r) == 0 ? STARTUP_SSL : STARTUP_BAD;
	case CODE_GSSENC:
		return reader_left(&r) == 0 ? STARTUP_GSSENC : STARTUP_BAD;
	case CODE_CANCEL:
		return read_cancel(s, r);
	}
	if (s->protocol >> 16 != 3)
		return s->protocol >> 16 < 3 ? STARTUP_OLD : STARTUP_NEWER;
	if (!layout_is_good(r, &s->has_options))
		return STARTUP_BAD;
	s->parameters = r;
	return STARTUP_LOGIN;
}

void startup_parse(struct span bytes, struct startup *out)
{
	struct reader r = reader_of(bytes);
	uint32_t length;

	*out = (struct startup){ .kind = STARTUP_MORE };
	if (bytes.length < 4)
		return;
	length = read_u32(&r);
	out->length = length;
	if (length < 8)
		out->kind = STARTUP_BAD;
	else if (length > STARTUP_MAX)
		out->kind = STARTUP_TOO_LONG;
	else if (bytes.length >= length)
		out->kind = read_packet(out, reader_of(span_of(bytes.at + 4, length - 4)));
}

bool startup_next(struct startup *s, struct span *key, struct span *value)
{
	*key = *value = span_of("", 0);
	if (s->kind != STARTUP_LOGIN)
		return false;
	*key = read_string(&s->parameters);
	if (key->length == 0)
		return false;
	*value = read_string(&s->parameters);
	return reader_ok(&s->parameters);
}

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The next word, unescaped and terminated, or NULL at the end. A word and its zero never need more than
 * the word and the space after it had, so `scratch` only moves on and earlier words stay valid. */
static char *next_word(struct startup_options *o)
{
	char *word = o->scratch, *to = word;
	bool escaped = false;

	while (o->rest.length > 0 && is_space(o->rest.at[0]))
		o->rest = span_skip(o->rest, 1);
	if (o->rest.length == 0)
		return NULL;
	while (o->rest.length > 0) {
		uint8_t c = o->rest.at[0];

		if (is_space(c) && !escaped)
			break;
		o->rest = span_skip(o->rest, 1);
		if (c == '\\' && !escaped) {
			escaped = true;
			continue;
		}
		escaped = false;
		*to++ = (char)c;
	}
	*to++ = 0;
	o->scratch = to;
	return word;
}

enum startup_option startup_option_next(struct startup_options *o, char **name, char **value)
{
	char *word = next_word(o), *equals;

	*name = word;
	*value = NULL;
	if (word == NULL)
		return OPTION_END;
	if (strncmp(word, "--", 2) == 0) {
		word += 2;
	} else if (strncmp(word, "-c", 2) != 0) {
		return OPTION_OTHER;
	} else if (word[2] != 0) {
		word += 2;
	} else {
		word = next_word(o);
		if (word == NULL)
			return OPTION_OTHER;
		*name = word;
	}
	equals = strchr(word, '=');
	if (equals == NULL || equals == word)
		return OPTION_OTHER;
	*equals = 0;
	*name = word;
	*value = equals + 1;
	for (; *word; word++) {
		if (*word == '-')
			*word = '_';
	}
	return OPTION_SETTING;
}
