#include <ares.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <stdlib.h>

#include "base/text.h"
#include "io/names.h"
#include "io/private.h"

/* The name of an address, confirmed: who owns an address decides what name it has, who owns the name decides which addresses it has, and
 * both must agree.
 *
 *   address --PTR--> name --A, AAAA--> is the address among them?  yes: the name, no: it has none
 *
 * Nothing of it is kept in the list of names, which is for those that we are configured to dial. At most ASKED_MOST are under way. A RELOAD
 * ends the channel that they were asked by, and no login may be refused for that: they are asked anew by the next one. */

#define ASKED_MOST 256

struct asking {
	struct resolve_letter *letter;
	ares_channel channel;
	struct names_hosts *hosts;
};

/* `name` NULL: nobody can tell. */
static void answer(struct asking *asking, const char *name, const char *problem)
{
	struct resolve_letter *letter = asking->letter;

	asking->hosts->pending--;
	letter->count = name ? 1 : 0;
	text_copy(letter->name, sizeof letter->name, name ? name : "");
	text_copy(letter->problem, sizeof letter->problem, problem);
	mailbox_post(letter->to, &letter->letter);
	free(asking);
}

static void keep_for_the_next(struct asking *asking)
{
	asking->hosts->pending--;
	asking->letter->letter.next = asking->hosts->again;
	asking->hosts->again = &asking->letter->letter;
	free(asking);
}

static void answer_failed(struct asking *asking, int status)
{
	if (status == ARES_EDESTRUCTION)
		keep_for_the_next(asking);
	else if (status == ARES_ENOTFOUND || status == ARES_ENODATA)
		answer(asking, "", "");
	else
		answer(asking, NULL, ares_strerror(status));
}

static void addresses_found(void *argument, int status, int timeouts, struct ares_addrinfo *result)
{
	struct asking *asking = argument;
	const struct address *wanted = &asking->letter->addresses[0];
	char name[sizeof asking->letter->name], problem[128];
	bool found = false;

	(void)timeouts;
	if (status != ARES_SUCCESS || !result) {
		answer_failed(asking, status);
		return;
	}
	for (const struct ares_addrinfo_node *node = result->nodes; node && !found; node = node->ai_next) {
		struct address address;

		found = names_node_address(node, &address) && address.family == wanted->family &&
			memcmp(address.ip, wanted->ip, wanted->family == ADDRESS_IPV4 ? 4 : 16) == 0;
	}
	ares_freeaddrinfo(result);
	text_copy(name, sizeof name, asking->letter->name);
	text_format(problem, sizeof problem, "it is called %.80s, which does not have its address", name);
	answer(asking, found ? name : "", found ? "" : problem);
}

static void pointer_asked(void *argument, int status, int timeouts, unsigned char *bytes, int length)
{
	(void)timeouts;
	(void)bytes;
	(void)length;
	answer_failed(argument, status == ARES_SUCCESS ? ARES_ESERVFAIL : status);
}

/* ares_gethostbyaddr calls it "not found" as well when no name server could say; one question more tells the two apart. */
static void ask_whether_there_is_none(struct asking *asking)
{
	const struct address *address = &asking->letter->addresses[0];
	char name[80];
	size_t used = 0;

	if (address->family == ADDRESS_IPV4)
		text_format(name, sizeof name, "%u.%u.%u.%u.in-addr.arpa", address->ip[3], address->ip[2],
			address->ip[1], address->ip[0]);
	for (int i = 15; address->family == ADDRESS_IPV6 && i >= 0; i--)
		used += text_format(name + used, sizeof name - used, "%x.%x.%s", address->ip[i] & 15u,
			address->ip[i] >> 4, i > 0 ? "" : "ip6.arpa");
	ares_query(asking->channel, name, ns_c_in, ns_t_ptr, pointer_asked, asking);
}

static void name_found(void *argument, int status, int timeouts, struct hostent *host)
{
	struct asking *asking = argument;
	struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };

	(void)timeouts;
	if (status == ARES_ENOTFOUND) {
		ask_whether_there_is_none(asking);
		return;
	}
	if (status != ARES_SUCCESS || !host || !host->h_name) {
		answer_failed(asking, status == ARES_SUCCESS ? ARES_ENODATA : status);
		return;
	}
	if (strlen(host->h_name) >= sizeof asking->letter->name) {
		answer(asking, "", "it is longer than a name may be");
		return;
	}
	text_copy(asking->letter->name, sizeof asking->letter->name, host->h_name);
	ares_getaddrinfo(asking->channel, asking->letter->name, NULL, &hints, addresses_found, asking);
}

void names_host(struct ares_channeldata *channel, struct resolve_letter *letter, struct names_hosts *hosts)
{
	struct asking *asking = channel && hosts->pending < ASKED_MOST ? calloc(1, sizeof *asking) : NULL;
	const struct address *address = &letter->addresses[0];

	if (!asking) {
		letter->count = 0;
		text_copy(letter->problem, sizeof letter->problem,
			channel ? "too many names of hosts are being looked up" : "the resolver could not be opened");
		mailbox_post(letter->to, &letter->letter);
		return;
	}
	*asking = (struct asking){ letter, channel, hosts };
	hosts->pending++;
	ares_gethostbyaddr(channel, address->ip, address->family == ADDRESS_IPV4 ? 4 : 16,
		address->family == ADDRESS_IPV4 ? AF_INET : AF_INET6, name_found, asking);
}

void names_host_again(struct ares_channeldata *channel, struct names_hosts *hosts)
{
	struct letter *letter = hosts->again, *next;

	hosts->again = NULL;
	for (; letter; letter = next) {
		next = letter->next;
		names_host(channel, (struct resolve_letter *)(void *)letter, hosts);
	}
}
