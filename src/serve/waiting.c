/* What a client that waits is told: that it does, and at the end why it waited in vain. Holders are named by origin where they are its own
 * user's, and counted where they are not. */
#include "base/text.h"
#include "serve/guest.h"
#include "serve/report.h"

/* How long the detail may be, and how many holders are named in it. */
#define WAIT_DETAIL   1000
#define HOLDERS_NAMED 3

struct state {
	uint32_t many;
	const char *words;
};

/* " (2 idle in transaction, the longest for 8 s; 1 at work)" */
static size_t describe_states(const struct origin_row *origin, char *out, size_t size)
{
	uint32_t still = origin->in_block + origin->rests_lent;
	struct state states[] = { { origin->in_block, "idle in transaction" }, { origin->rests_lent, "idle, but kept" },
		{ origin->lent > still ? origin->lent - still : 0, "at work" } };
	size_t length = 0;
	char age[40];

	for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
		if (states[i].many == 0)
			continue;
		length += text_format(
			out + length, size - length, "%s%u %s", length ? "; " : " (", states[i].many, states[i].words);
		if (i == 0 && origin->oldest_hold > 0)
			length += text_format(out + length, size - length, ", the longest for %s",
				text_duration(age, sizeof age, origin->oldest_hold));
	}
	return length + (length ? text_format(out + length, size - length, ")") : 0);
}

/* Which origins hold servers of the guest's pool, as it was when all were last looked at; those of other users only as a count. */
static void describe_holders(const struct guest *guest, char *out, size_t size)
{
	struct report *report = report_keep(guest->worker->house);
	const char *user = guest->user ? guest->user->at : "",
		   *database = guest->worker->views[guest->pool]->database_name;
	size_t length = 0;
	uint32_t others = 0, named = 0;

	out[0] = 0;
	for (size_t i = 0; report && i < report->origin_count; i++) {
		const struct origin_row *origin = &report->origins[i];

		if (origin->lent == 0 || strcmp(origin->database, database) != 0)
			continue;
		if (strcmp(origin->user, user) != 0) {
			others += origin->lent;
			continue;
		}
		if (++named > HOLDERS_NAMED)
			continue;
		length += text_format(out + length, size - length, " \"%s\" at %s holds %u", origin->application_name,
			origin->address, origin->lent);
		length += describe_states(origin, out + length, size - length);
		length += text_format(out + length, size - length, ".");
	}
	if (named > HOLDERS_NAMED)
		length += text_format(
			out + length, size - length, " %u more origins hold the rest.", named - HOLDERS_NAMED);
	if (others > 0)
		text_format(out + length, size - length, " Clients of other users hold %u of this database.", others);
	report_drop(report);
}

static void describe_wait(struct guest *guest, char *detail, size_t size)
{
	struct house *house = guest->worker->house;
	struct pool_picture picture;
	size_t length;
	char longest[40] = "0 ms";
	bool known;

	lock_take(house->lock);
	known = core_pool_picture(house->core, guest->pool, &picture);
	lock_drop(house->lock);
	if (!known) {
		text_copy(detail, size, "The pool is gone.");
		return;
	}
	if (picture.oldest_lease_since)
		text_duration(longest, sizeof longest, guest->worker->now - picture.oldest_lease_since);
	if (picture.kept > 0 && picture.idle > 0)
		text_format(detail, size,
			"This client's origin is lent as many servers of pool %s/%s as it may have (max_origin_servers), the longest for %s; %u clients wait.",
			guest->worker->views[guest->pool]->database_name, guest->worker->views[guest->pool]->user,
			longest, picture.waiting);
	else if (picture.lent > 0) {
		length = text_format(detail, size,
			"All %u servers of pool %s/%s are lent to %u clients, the longest for %s; %u clients wait.",
			picture.lent, guest->worker->views[guest->pool]->database_name,
			guest->worker->views[guest->pool]->user, picture.lent, longest, picture.waiting);
		describe_holders(guest, detail + length, size - length);
	} else if (picture.full_since)
		text_format(detail, size, "PostgreSQL has no free slot for pool %s/%s (53300); %u clients wait.",
			guest->worker->views[guest->pool]->database_name, guest->worker->views[guest->pool]->user,
			picture.waiting);
	else
		text_format(detail, size,
			"No server of pool %s/%s could be lent: %u are being connected, %u cleaned, %u closed; %u clients wait.",
			guest->worker->views[guest->pool]->database_name, guest->worker->views[guest->pool]->user,
			picture.dialing, picture.cleaning, picture.closing, picture.waiting);
}

void guest_notice_wait(struct guest *guest)
{
	char detail[WAIT_DETAIL];
	struct complaint complaint = {
		.severity = SEVERITY_NOTICE,
		.sqlstate = SQLSTATE_SUCCESS,
		.message = "No server connection available in postgres backend, client being queued",
		.detail = guest_is_bouncers(guest) ? NULL : detail,
	};
	struct writer w;

	describe_wait(guest, detail, sizeof detail);
	guest->noticed = true;
	buf_clear(&guest->worker->out);
	w = writer_to(&guest->worker->out);
	message_complaint(&w, &complaint);
	guest_send(guest);
}

void guest_waited_too_long(struct guest *guest)
{
	char detail[WAIT_DETAIL];

	describe_wait(guest, detail, sizeof detail);
	if (guest_is_bouncers(guest))
		guest_complain(guest, SQLSTATE_PROTOCOL_VIOLATION, "query_wait_timeout", NULL, NULL);
	else
		guest_complain(guest, SQLSTATE_TOO_MANY_CONNECTIONS, "query_wait_timeout", detail,
			"Clients that hold a transaction open keep its server; SHOW LEASES on the console tells which, and what they do.");
}
