#include "session/lookup.h"

#include "auth/secrets.h"
#include "base/reader.h"

#define TEXT_TYPE 25 /* pg_type.oid of text */

void lookup_write(struct writer *w, const char *query, struct span user)
{
	size_t mark = message_begin(w, 'P');

	write_string(w, "");
	write_string(w, query);
	write_u16(w, 1);
	write_u32(w, TEXT_TYPE);
	message_end(w, mark);

	mark = message_begin(w, 'B');
	write_string(w, "");
	write_string(w, "");
	write_u16(w, 0); /* parameters are text */
	write_u16(w, 1);
	write_u32(w, (uint32_t)user.length);
	write_span(w, user);
	write_u16(w, 0); /* so are results */
	message_end(w, mark);

	mark = message_begin(w, 'E');
	write_string(w, "");
	write_u32(w, 0);
	message_end(w, mark);

	mark = message_begin(w, 'S');
	message_end(w, mark);
}

const char lookup_roles_query[] =
	"WITH RECURSIVE found(id) AS (SELECT oid FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) $1 "
	"UNION SELECT roleid FROM pg_catalog.pg_auth_members JOIN found ON member OPERATOR(pg_catalog.=) id) "
	"SELECT rolname FROM pg_catalog.pg_roles JOIN found ON oid OPERATOR(pg_catalog.=) id";

/* NULL has no `at`. */
static struct span read_value(struct reader *r)
{
	uint32_t length = read_u32(r);
	struct span value;

	if (length == UINT32_MAX)
		return span_of(NULL, 0);
	value = read_bytes(r, length);
	return value.at ? value : span_of("", 0);
}

const char *lookup_read(struct span body, struct span user, struct span *secret)
{
	struct reader r = reader_of(body);
	uint16_t columns = read_u16(&r);
	struct span name = read_value(&r), value = read_value(&r);

	*secret = span_of(NULL, 0);
	if (!reader_ok(&r) || columns != 2 || !reader_done(&r))
		return "it must give two columns, a name and a secret";
	if (!name.at)
		return "it gave no name (NULL)";
	if (!span_equal(name, user))
		return "it gave another user's name";
	if (value.length > SECRET_MAX)
		return "it gave a secret longer than 65530 bytes";
	if (value.length > 0 && memchr(value.at, 0, value.length))
		return "it gave a secret with a zero byte";
	*secret = value;
	return NULL;
}

const char *lookup_read_role(struct span body, struct span *name)
{
	struct reader r = reader_of(body);
	uint16_t columns = read_u16(&r);

	*name = read_value(&r);
	if (!reader_ok(&r) || columns != 1 || !reader_done(&r) || !name->at)
		return "a row is not one name";
	if (name->length > 0 && memchr(name->at, 0, name->length))
		return "a name has a zero byte";
	return NULL;
}
