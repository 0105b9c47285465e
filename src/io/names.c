/* Host names, asked for with c-ares, which never blocks: /etc/hosts first, then the name servers of resolv.conf.
 *
 *   asked --> known and fresh? --> answered at once
 *               | no
 *               +--> looked up (A and AAAA) --> answered to all who wait --> kept for its TTL, dns_max_ttl at most
 *                        ^                             |                     (dns_nxdomain_ttl, where there is no such name)
 *                        |                             +--> an address that it had and has no more is told to `to`
 *                        +-- its time is over, and it was asked for in the last hour
 *                        +-- the serial number of its zone has changed (dns_zone_check_period)
 *
 * What comes from the network is bounded: RESOLVE_MAX addresses of a name, RESOLVER_NAMES_MAX names, RESOLVER_ZONES_MAX zones; c-ares has read the packets. While the
 * name servers are out of reach, what was known goes on to hold: only an answer that says otherwise changes it.
 *
 * The addresses of a name take turns, as they do in PgBouncer. */
#include "io/names.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <stdlib.h>
#include <strings.h>

#include "base/text.h"
#include "io/names_private.h"
#include "io/private.h"

#define KEPT_UNASKED  (3600 * SECOND_US)
#define REFRESH_LEAST (5 * SECOND_US) /* between look-ups that nobody asked for */
#define TTL_LEAST     SECOND_US

struct name {
	struct names *names;
	char text[256];
	struct address addresses[RESOLVE_MAX];
	size_t count, turn;
	char problem[128]; /* where count is 0 */
	bool looking, known;
	time_us expires, looked, asked;
	struct letter *waiting; /* resolve_letters */
};

struct zone {
	struct names *names;
	char text[256];
	uint32_t serial;
	bool known, asking;
	time_us due;
};

struct names {
	struct names_channel channel;
	struct resolver_setup setup;
	struct name *list[RESOLVER_NAMES_MAX];
	size_t count;
	struct zone zones[RESOLVER_ZONES_MAX];
	size_t zone_count;
	uint32_t pending;
	struct names_hosts hosts;
	time_us now;
};

/* ---- answers ---- */

static struct resolve_letter *letter_of(struct letter *letter)
{
	return (struct resolve_letter *)(void *)letter;
}

static void answer(struct name *name, struct resolve_letter *letter)
{
	letter->count = name->count;
	for (size_t i = 0; i < name->count; i++) {
		letter->addresses[i] = name->addresses[(name->turn + i) % name->count];
		letter->addresses[i].port = letter->port;
	}
	if (name->count)
		name->turn = (name->turn + 1) % name->count;
	text_copy(letter->problem, sizeof letter->problem, name->count ? "" : name->problem);
	mailbox_post(letter->to, &letter->letter);
}

static void answer_all(struct name *name)
{
	struct letter *letter = name->waiting, *next;

	name->waiting = NULL;
	for (; letter; letter = next) {
		next = letter->next;
		answer(name, letter_of(letter));
	}
}

static void refuse(struct resolve_letter *letter, const char *problem)
{
	letter->count = 0;
	text_copy(letter->problem, sizeof letter->problem, problem);
	mailbox_post(letter->to, &letter->letter);
}

/* ---- what a look-up found ---- */

static bool has(const struct address *list, size_t count, const struct address *address)
{
	for (size_t i = 0; i < count; i++)
		if (address_equal(&list[i], address))
			return true;
	return false;
}

static void tell_lost(const struct name *name, const struct address *address)
{
	struct lost_letter *letter = name->names->setup.to ? calloc(1, sizeof *letter) : NULL;

	if (!letter)
		return;
	letter->letter.kind = name->names->setup.lost_kind;
	text_copy(letter->name, sizeof letter->name, name->text);
	letter->address = *address;
	mailbox_post(name->names->setup.to, &letter->letter);
}

bool names_node_address(const struct ares_addrinfo_node *node, struct address *address)
{
	struct sockaddr_storage socket = { 0 };

	if (node->ai_addrlen > sizeof socket)
		return false;
	memcpy(&socket, node->ai_addr, node->ai_addrlen);
	address_from_kernel(&socket, (socklen_t)node->ai_addrlen, address);
	return address->family == ADDRESS_IPV4 || address->family == ADDRESS_IPV6;
}

/* Without a port. False: it is no address of ours. */
static bool node_address(const struct ares_addrinfo_node *node, struct address *address)
{
	if (!names_node_address(node, address))
		return false;
	address->port = 0;
	return true;
}

static bool is_found(const struct ares_addrinfo *found, const struct address *address)
{
	struct address other;

	for (const struct ares_addrinfo_node *node = found->nodes; node; node = node->ai_next)
		if (node_address(node, &other) && address_equal(&other, address))
			return true;
	return false;
}

/* Returns the TTL. */
static time_us read_addresses(
	const struct name *name, const struct ares_addrinfo *found, struct address *list, size_t *count)
{
	const struct ares_addrinfo_node *node;
	struct address address;
	size_t nodes = 0;
	int ttl = INT32_MAX;

	*count = 0;
	for (node = found->nodes; node; node = node->ai_next)
		nodes++;
	/* Name servers change the order from answer to answer: of more than we know those that we knew come first. */
	for (size_t i = 0; nodes > RESOLVE_MAX && i < name->count; i++)
		if (is_found(found, &name->addresses[i]))
			list[(*count)++] = name->addresses[i];
	for (node = found->nodes; node; node = node->ai_next) {
		if (!node_address(node, &address))
			continue;
		if (node->ai_ttl < ttl)
			ttl = node->ai_ttl;
		if (*count < RESOLVE_MAX && !has(list, *count, &address))
			list[(*count)++] = address;
	}
	return ttl <= 0 ? TTL_LEAST : (time_us)ttl * SECOND_US;
}

static void take_addresses(struct name *name, const struct ares_addrinfo *result)
{
	struct address list[RESOLVE_MAX];
	const struct resolver_setup *setup = &name->names->setup;
	size_t count;
	time_us ttl = read_addresses(name, result, list, &count);

	if (count == 0) {
		name->count = 0;
		text_copy(name->problem, sizeof name->problem, "it has no IPv4 or IPv6 address");
		name->expires = name->names->now + setup->nxdomain_ttl;
		return;
	}
	for (size_t i = 0; i < name->count; i++)
		if (!has(list, count, &name->addresses[i]))
			tell_lost(name, &name->addresses[i]);
	memcpy(name->addresses, list, count * sizeof *list);
	name->count = count;
	name->expires = name->names->now + (ttl < setup->max_ttl ? ttl : setup->max_ttl);
}

static void found(void *argument, int status, int timeouts, struct ares_addrinfo *result)
{
	struct name *name = argument;
	struct names *names = name->names;

	(void)timeouts;
	name->looking = false;
	names->pending--;
	if (status == ARES_EDESTRUCTION || status == ARES_ECANCELLED)
		return; /* it is asked anew, or all is over */
	name->known = true;
	name->looked = names->now;
	if (status == ARES_SUCCESS && result) {
		take_addresses(name, result);
	} else {
		/* Who cannot be asked does not deny. */
		if (status == ARES_ENOTFOUND || status == ARES_ENODATA)
			name->count = 0;
		text_copy(name->problem, sizeof name->problem, ares_strerror(status));
		name->expires = names->now + names->setup.nxdomain_ttl;
	}
	ares_freeaddrinfo(result);
	answer_all(name);
}

static void look_up(struct name *name)
{
	struct names *names = name->names;
	struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };

	if (name->looking)
		return;
	if (!names->channel.ares) {
		text_copy(name->problem, sizeof name->problem, names->channel.trouble);
		name->count = 0;
		answer_all(name);
		return;
	}
	name->looking = true;
	names->pending++;
	ares_getaddrinfo(names->channel.ares, name->text, NULL, &hints, found, name);
}

/* ---- zones ---- */

static const char *zone_of(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot && dot[1] ? dot + 1 : NULL;
}

static void zone_is_new(const struct zone *zone)
{
	const struct names *names = zone->names;

	for (size_t i = 0; i < names->count; i++) {
		const char *in = zone_of(names->list[i]->text);

		if (in && strcasecmp(in, zone->text) == 0) {
			names->list[i]->expires = 0;
			look_up(names->list[i]);
		}
	}
}

static void serial_found(void *argument, int status, int timeouts, unsigned char *answered, int length)
{
	struct zone *zone = argument;
	struct ares_soa_reply *soa = NULL;

	(void)timeouts;
	zone->asking = false;
	zone->names->pending--;
	if (status != ARES_SUCCESS || ares_parse_soa_reply(answered, length, &soa) != ARES_SUCCESS)
		return;
	if (!zone->known || zone->serial != soa->serial) {
		bool changed = zone->known;

		zone->known = true;
		zone->serial = soa->serial;
		if (changed)
			zone_is_new(zone);
	}
	ares_free_data(soa);
}

static void zone_note(struct names *names, const char *name)
{
	const char *text = zone_of(name);

	for (size_t i = 0; text && i < names->zone_count; i++)
		if (strcasecmp(names->zones[i].text, text) == 0)
			return;
	if (!text || names->zone_count == RESOLVER_ZONES_MAX)
		return;
	names->zones[names->zone_count] = (struct zone){ .names = names };
	text_copy(names->zones[names->zone_count++].text, sizeof names->zones->text, text);
}

static void check_zones(struct names *names)
{
	for (size_t i = 0; names->channel.ares && names->setup.zone_period > 0 && i < names->zone_count; i++) {
		struct zone *zone = &names->zones[i];

		if (zone->asking || names->now < zone->due)
			continue;
		zone->due = names->now + names->setup.zone_period;
		zone->asking = true;
		names->pending++;
		ares_query(names->channel.ares, zone->text, ns_c_in, ns_t_soa, serial_found, zone);
	}
}

/* ---- names ---- */

static struct name *find(struct names *names, const char *text)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcasecmp(names->list[i]->text, text) == 0)
			return names->list[i];
	return NULL;
}

/* A place in the list: a new one, or that of the name which was not asked for longest. NULL: all are being looked up. */
static struct name **place(struct names *names)
{
	struct name **oldest = NULL;

	if (names->count < RESOLVER_NAMES_MAX)
		return &names->list[names->count];
	for (size_t i = 0; i < names->count; i++)
		if (!names->list[i]->looking && (!oldest || names->list[i]->asked < (*oldest)->asked))
			oldest = &names->list[i];
	return oldest;
}

static struct name *make(struct names *names, const char *text)
{
	struct name **at = place(names), *name = at ? calloc(1, sizeof *name) : NULL;

	if (!name)
		return NULL;
	if (at == &names->list[names->count])
		names->count++;
	else
		free(*at);
	name->names = names;
	text_copy(name->text, sizeof name->text, text);
	*at = name;
	zone_note(names, text);
	return name;
}

void names_ask(struct names *names, struct resolve_letter *letter, time_us now)
{
	struct name *name;

	names->now = now;
	if (letter->backwards) {
		names_host(names->channel.ares, letter, &names->hosts);
		return;
	}
	letter->name[sizeof letter->name - 1] = 0;
	name = find(names, letter->name);
	if (!name)
		name = make(names, letter->name);
	if (!name) {
		refuse(letter, "too many names are being looked up");
		return;
	}
	name->asked = now;
	if (name->known && now < name->expires) {
		answer(name, letter);
		return;
	}
	letter->letter.next = name->waiting;
	name->waiting = &letter->letter;
	look_up(name);
}

/* When a name is to be looked up that nobody waits for; 0: never. */
static time_us refresh_due(const struct name *name)
{
	time_us least = name->looked + REFRESH_LEAST;

	if (name->looking || name->asked + KEPT_UNASKED < name->names->now)
		return 0;
	return name->expires > least ? name->expires : least;
}

/* ---- c-ares ---- */

/* What is under way is asked again, and what is known is looked up when it is asked for next. */
static void begin_anew(struct names *names, const struct resolver_setup *setup)
{
	names_channel_close(&names->channel);
	names->setup = *setup;
	names_channel_open(&names->channel, setup);
	names_host_again(names->channel.ares, &names->hosts);
	for (size_t i = 0; i < names->zone_count; i++)
		names->zones[i].due = 0;
	for (size_t i = 0; i < names->count; i++) {
		names->list[i]->expires = 0;
		if (names->list[i]->waiting)
			look_up(names->list[i]);
	}
}

void names_configure(struct names *names, const struct resolver_setup *setup, time_us now)
{
	names->now = now;
	begin_anew(names, setup);
}

/* Not from within an answer: its channel would go while it speaks. */
static void follow_resolv_conf(struct names *names)
{
	struct resolver_setup setup = names->setup;

	if (names_channel_is_old(&names->channel, &names->setup))
		begin_anew(names, &setup);
}

struct names *names_new(void)
{
	struct names *names = calloc(1, sizeof *names);

	if (names && ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
		free(names);
		return NULL;
	}
	return names;
}

void names_free(struct names *names)
{
	if (!names)
		return;
	names_channel_close(&names->channel);
	names_host_again(NULL, &names->hosts);
	for (size_t i = 0; i < names->count; i++) {
		names->list[i]->count = 0;
		text_copy(names->list[i]->problem, sizeof names->list[i]->problem, "stopped");
		answer_all(names->list[i]);
		free(names->list[i]);
	}
	ares_library_cleanup();
	free(names);
}

static void sooner(time_us *wait, time_us now, time_us due)
{
	time_us left = due > now ? due - now : 0;

	if (due && left < *wait)
		*wait = left;
}

size_t names_poll(struct names *names, struct pollfd *list, time_us now, time_us *wait)
{
	ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
	struct timeval most = { 0 }, *next;
	size_t count = 0;
	int bits;

	_Static_assert(NAMES_SOCKETS >= ARES_GETSOCK_MAXNUM, "all of its sockets have a place");
	*wait = 3600 * SECOND_US;
	names->now = now;
	for (size_t i = 0; i < names->count; i++)
		sooner(wait, now, refresh_due(names->list[i]));
	for (size_t i = 0; names->setup.zone_period > 0 && i < names->zone_count; i++)
		if (!names->zones[i].asking)
			sooner(wait, now, names->zones[i].due ? names->zones[i].due : now);
	if (!names->channel.ares)
		return 0;
	next = ares_timeout(names->channel.ares, NULL, &most);
	if (next)
		sooner(wait, now, now + (time_us)next->tv_sec * SECOND_US + next->tv_usec + 1);
	bits = ares_getsock(names->channel.ares, sockets, ARES_GETSOCK_MAXNUM);
	for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
		/* c-ares's own macros shift a signed 1 to the sign. */
		unsigned readable = (unsigned)bits & 1u << i,
			 writable = (unsigned)bits & 1u << (i + ARES_GETSOCK_MAXNUM);
		short events = (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));

		if (events)
			list[count++] = (struct pollfd){ .fd = sockets[i], .events = events };
	}
	return count;
}

void names_turn(struct names *names, const struct pollfd *list, size_t count, time_us now)
{
	names->now = now;
	for (size_t i = 0; names->channel.ares && i < count; i++)
		if (list[i].revents)
			ares_process_fd(names->channel.ares, list[i].revents & ~POLLOUT ? list[i].fd : ARES_SOCKET_BAD,
				list[i].revents & POLLOUT ? list[i].fd : ARES_SOCKET_BAD);
	if (names->channel.ares)
		ares_process_fd(names->channel.ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	follow_resolv_conf(names);
	for (size_t i = 0; i < names->count; i++) {
		time_us due = refresh_due(names->list[i]);

		if (due && due <= now)
			look_up(names->list[i]);
	}
	check_zones(names);
}

/* ---- for SHOW ---- */

static uint32_t names_in(const struct names *names, const struct zone *zone)
{
	uint32_t count = 0;

	for (size_t i = 0; i < names->count; i++) {
		const char *in = zone_of(names->list[i]->text);

		count += in && strcasecmp(in, zone->text) == 0;
	}
	return count;
}

void names_facts(const struct names *names, struct resolver_facts *facts, time_us now)
{
	facts->name_count = facts->zone_count = 0;
	facts->pending = names->pending;
	for (size_t i = 0; i < names->count; i++) {
		const struct name *name = names->list[i];
		struct name_fact *fact = &facts->names[facts->name_count++];
		size_t length = 0;

		text_copy(fact->name, sizeof fact->name, name->text);
		fact->left = name->expires > now ? name->expires - now : 0;
		fact->addresses[0] = 0;
		for (size_t a = 0; a < name->count; a++) {
			char text[ADDRESS_TEXT];

			length += text_format(fact->addresses + length, sizeof fact->addresses - length, "%s%s",
				a ? "," : "", address_host_text(&name->addresses[a], text));
		}
	}
	for (size_t i = 0; names->setup.zone_period > 0 && i < names->zone_count; i++) {
		struct zone_fact *fact = &facts->zones[facts->zone_count++];

		text_copy(fact->name, sizeof fact->name, names->zones[i].text);
		fact->serial = names->zones[i].serial;
		fact->names = names_in(names, &names->zones[i]);
	}
}
