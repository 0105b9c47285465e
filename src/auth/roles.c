#include "auth/roles.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"

/* Names one after the other, each with a zero byte at its end. Few users are in more than a dozen roles, so they are looked through. */
struct roles {
	atomic_uint users;
	char *text;
	size_t length, capacity, count;
};

struct roles *roles_new(void)
{
	struct roles *made = calloc(1, sizeof *made);

	if (made)
		atomic_init(&made->users, 1);
	return made;
}

struct roles *roles_keep(struct roles *roles)
{
	check(atomic_fetch_add(&roles->users, 1) > 0);
	return roles;
}

void roles_drop(struct roles *roles)
{
	if (!roles || atomic_fetch_sub(&roles->users, 1) > 1)
		return;
	free(roles->text);
	free(roles);
}

bool roles_add(struct roles *roles, struct span name)
{
	size_t need = roles->length + name.length + 1, capacity = roles->capacity ? roles->capacity : 128;
	char *grown;

	if (roles->count == ROLES_MOST)
		return false;
	while (capacity < need)
		capacity *= 2;
	if (capacity != roles->capacity) {
		grown = realloc(roles->text, capacity);
		if (!grown)
			return false;
		roles->text = grown;
		roles->capacity = capacity;
	}
	if (name.length > 0)
		memcpy(roles->text + roles->length, name.at, name.length);
	roles->text[need - 1] = 0;
	roles->length = need;
	roles->count++;
	return true;
}

bool roles_has(const struct roles *roles, struct span name)
{
	const char *at = roles->text, *end = at + roles->length;

	for (; at < end; at += strlen(at) + 1)
		if (span_is(name, at))
			return true;
	return false;
}
