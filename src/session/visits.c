#include "session/visits.h"

#include "base/hash.h"
#include "base/text.h"

/* Tokens are compared with every visit there is, whichever fits, so that time tells nothing about them. */

static void write_token(char out[VISIT_TOKEN + 1], const uint8_t *random)
{
	for (size_t i = 0; i < VISIT_TOKEN / 2; i++)
		text_format(out + 2 * i, 3, "%02x", random[i]);
}

static bool is_over(const struct visit *visit, time_us now)
{
	return visit->since == 0 || now >= visit->used + VISIT_IDLE || now >= visit->since + VISIT_LONGEST;
}

const struct visit *visits_enter(
	struct visits *visits, const char *user, uint64_t secret, const uint8_t random[VISIT_TOKEN], time_us now)
{
	struct visit *place = &visits->list[0];

	for (size_t i = 0; i < VISITS_MOST; i++) {
		struct visit *visit = &visits->list[i];

		if (is_over(visit, now)) {
			place = visit;
			break;
		}
		if (visit->used < place->used)
			place = visit;
	}
	secret_wipe(place, sizeof *place);
	text_copy(place->user, sizeof place->user, user);
	write_token(place->token, random);
	write_token(place->csrf, random + VISIT_TOKEN / 2);
	place->secret = secret;
	place->since = place->used = now;
	return place;
}

static struct visit *find(struct visits *visits, struct span token)
{
	struct visit *found = NULL;

	if (token.length != VISIT_TOKEN)
		return NULL;
	for (size_t i = 0; i < VISITS_MOST; i++) {
		struct visit *visit = &visits->list[i];
		bool same = secret_equal(visit->token, token.at, VISIT_TOKEN);

		if (same && visit->since != 0)
			found = visit;
	}
	return found;
}

const struct visit *visits_find(struct visits *visits, struct span token, time_us now)
{
	struct visit *visit = find(visits, token);

	if (!visit)
		return NULL;
	if (is_over(visit, now)) {
		secret_wipe(visit, sizeof *visit);
		return NULL;
	}
	visit->used = now;
	return visit;
}

void visits_leave(struct visits *visits, struct span token)
{
	struct visit *visit = find(visits, token);

	if (visit)
		secret_wipe(visit, sizeof *visit);
}

static struct attempts *attempts_of(struct visits *visits, struct span address, time_us now)
{
	struct attempts *attempts =
		&visits->attempts[hash_bytes(address) % (sizeof visits->attempts / sizeof *visits->attempts)];

	if (now >= attempts->since + ATTEMPTS_TIME)
		*attempts = (struct attempts){ .since = now };
	return attempts;
}

bool visits_may_try(struct visits *visits, struct span address, time_us now)
{
	return attempts_of(visits, address, now)->failed < ATTEMPTS_MOST;
}

void visits_failed(struct visits *visits, struct span address, time_us now)
{
	attempts_of(visits, address, now)->failed++;
}
