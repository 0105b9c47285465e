#include "session/suit.h"

#include "base/check.h"
#include "base/reader.h"

static bool is_on(const char *value)
{
	return value && (strcmp(value, "on") == 0 || strcmp(value, "t") == 0);
}

struct nature nature_reported(const struct params *reported)
{
	const char *standby = params_get(reported, span_text("in_hot_standby"));
	const char *read_only = params_get(reported, span_text("default_transaction_read_only"));

	return (struct nature){ .known = standby && read_only,
		.standby = is_on(standby),
		.read_only = is_on(standby) || is_on(read_only) };
}

/* reset_val is what a session begins with, by the server's configuration, its database and its role. */
const char nature_question[] = "SELECT pg_catalog.pg_is_in_recovery(), (SELECT reset_val FROM pg_catalog.pg_settings "
			       "WHERE name OPERATOR(pg_catalog.=) 'default_transaction_read_only')";

static bool read_is_on(struct reader *r)
{
	uint32_t length = read_u32(r);
	struct span value = length == UINT32_MAX ? span_of(NULL, 0) : read_bytes(r, length);

	return span_is(value, "on") || span_is(value, "t");
}

struct nature nature_read(struct span row)
{
	struct reader r = reader_of(row);
	uint16_t columns = read_u16(&r);
	bool standby = read_is_on(&r), read_only = read_is_on(&r);

	if (columns != 2 || !reader_done(&r))
		return (struct nature){ 0 };
	return (struct nature){ .known = true, .standby = standby, .read_only = standby || read_only };
}

const char *nature_lacks(struct nature nature, enum target target)
{
	check(nature.known || target == TARGET_ANY);
	switch (target) {
	case TARGET_ANY:
		break;
	case TARGET_READ_WRITE:
		if (nature.read_only)
			return nature.standby ? "is in hot standby" : "is read-only";
		break;
	case TARGET_READ_ONLY:
		return nature.read_only ? NULL : "is not read-only";
	case TARGET_PRIMARY:
		return nature.standby ? "is in hot standby" : NULL;
	case TARGET_STANDBY:
	case TARGET_PREFER_STANDBY:
		return nature.standby ? NULL : "is not in hot standby";
	}
	return NULL;
}
