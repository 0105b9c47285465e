/* Where clients arrive: the addresses of listen_addr and the socket of unix_socket_dir, of which some may be taken over from a forerunner;
 * or, in place of all those, sockets that a supervisor hands over. */
#include "serve/listening.h"

#include <errno.h>

#include "base/check.h"
#include "base/text.h"
#include "io/supervisor.h"

struct listen_setup listening_setup(const struct config *config)
{
	return (struct listen_setup){
		.options = house_stream_options(config),
		.backlog = config->listen_backlog,
		.defer_accept = config->tcp_defer_accept,
		.reuse_port = config->so_reuseport,
		.unix_mode = config->unix_socket_mode,
		.unix_group = config->unix_socket_group,
	};
}

static void tell_listening(const struct house *house, const char *whose)
{
	char where[ADDRESS_TEXT];

	log_line(LOG_LOG, "listening on %s%s",
		address_text(listener_address(house->listeners[house->listener_count - 1]), where), whose);
}

static bool is_listening(const struct house *house, const struct address *address)
{
	for (uint32_t i = 0; i < house->listener_count; i++)
		if (address_covers(listener_address(house->listeners[i]), address))
			return true;
	return false;
}

/* An address that the list has already, by another word for it or because it has all of them, is not asked for a second time. */
static bool listen_on(struct house *house, struct takeover *takeover, const struct address *address,
	const struct config *config, bool optional, char *error, size_t error_size)
{
	struct listen_setup setup = listening_setup(config);
	struct listener *taken;

	if (is_listening(house, address))
		return true;
	taken = takeover_listener(takeover, address);
	errno = 0;
	if (taken) {
		house_take_listener(house, taken);
		tell_listening(house, " (taken over)");
		return true;
	}
	if (house_listen(house, address, &setup, error, error_size)) {
		tell_listening(house, "");
		return true;
	}
	/* An address that moves between machines (keepalived) is not here now, or a container has no /var/run/postgresql; PgBouncer starts
	 * all the same. */
	optional = optional || (errno != 0 && config->manner == MANNER_PGBOUNCER);
	if (optional)
		log_line(LOG_WARNING, "%s; going on without it", error);
	return optional;
}

/* On all addresses that the name has; one of them must do. */
static bool listen_on_name(struct house *house, struct takeover *takeover, const char *name,
	const struct config *config, char *error, size_t error_size)
{
	struct address addresses[RESOLVE_MAX];
	char problem[128];
	size_t count = resolve_now(
		name, (uint16_t)config->listen_port, addresses, RESOLVE_MAX, problem, sizeof problem);

	if (count == 0) {
		text_format(error, error_size,
			"listen_addr: \"%s\" is neither an address nor a name that can be found: %s", name, problem);
		return false;
	}
	for (size_t i = 0; i < count; i++)
		if (!listen_on(house, takeover, &addresses[i], config, i > 0, error, error_size))
			return false;
	return true;
}

static bool listen_on_word(struct house *house, struct takeover *takeover, struct span word,
	const struct config *config, char *error, size_t error_size)
{
	struct address address;
	char text[256];
	uint16_t port = (uint16_t)config->listen_port;

	text_copy_span(text, sizeof text, word);
	if (strcmp(text, "*") == 0 || strcmp(text, "localhost") == 0) {
		check(address_parse(text[0] == '*' ? "0.0.0.0" : "127.0.0.1", port, &address));
		if (!listen_on(house, takeover, &address, config, false, error, error_size))
			return false;
		check(address_parse(text[0] == '*' ? "::" : "::1", port, &address));
		return listen_on(house, takeover, &address, config, true, error, error_size);
	}
	if (!address_parse(text, port, &address))
		return listen_on_name(house, takeover, text, config, error, error_size);
	return listen_on(house, takeover, &address, config, false, error, error_size);
}

/* Sockets that were handed over stand for listen_addr and unix_socket_dir. */
bool listening_inherit(struct house *house, unsigned count, const struct config *config, char *error, size_t error_size)
{
	struct listen_setup setup = listening_setup(config);

	for (unsigned i = 0; i < count; i++) {
		if (!house_inherit(house, SUPERVISOR_SOCKETS + (int)i, &setup, error, error_size))
			return false;
		tell_listening(house, " (handed over)");
	}
	house_open_doors(house, true, true);
	return true;
}

static bool is_for_all(struct span word)
{
	return span_is(word, "*") || span_is(word, "0.0.0.0") || span_is(word, "::");
}

/* Of the words of listen_addr those that mean all addresses, or the others. */
static bool listen_on_words(struct house *house, struct takeover *takeover, bool for_all, const struct config *config,
	char *error, size_t error_size)
{
	struct span rest = span_text(config->listen_addr ? config->listen_addr : "");

	while (rest.length > 0) {
		const uint8_t *comma = memchr(rest.at, ',', rest.length);
		size_t n = comma ? (size_t)(comma - rest.at) : rest.length;
		struct span word = text_trim(span_of(rest.at, n));

		if (word.length > 0 && is_for_all(word) == for_all &&
			!listen_on_word(house, takeover, word, config, error, error_size))
			return false;
		rest = span_skip(rest, comma ? n + 1 : n);
	}
	return true;
}

bool listening_begin(
	struct house *house, struct takeover *takeover, const struct config *config, char *error, size_t error_size)
{
	struct address address;

	/* All addresses first: the kernel refuses them behind one of them. */
	if (!listen_on_words(house, takeover, true, config, error, error_size) ||
		!listen_on_words(house, takeover, false, config, error, error_size))
		return false;
	if (config->unix_socket_dir && config->unix_socket_dir[0]) {
		if (!address_unix(config->unix_socket_dir, (uint16_t)config->listen_port, &address)) {
			text_format(error, error_size, "unix_socket_dir: \"%s\" is too long for a socket's name",
				config->unix_socket_dir);
			return false;
		}
		if (!listen_on(house, takeover, &address, config, false, error, error_size))
			return false;
	}
	if (house->listener_count == 0) {
		text_format(error, error_size,
			"nowhere to listen on: set listen_addr (for TCP) or unix_socket_dir in the configuration");
		return false;
	}
	house_open_doors(house, true, true);
	return true;
}
