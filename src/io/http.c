#include "io/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/text.h"
#include "io/clock.h"
#include "io/private.h"

/* libmicrohttpd speaks HTTP and TLS; here is what it is fed with and what it may cost. It has no thread of its own: it watches its
 * connections with an epoll descriptor, which lies in a poll of ours beside the eventfd that others wake us by.
 *
 *    first call of its handler          a request of ours is made
 *    a piece of the body                is added to it, up to HTTP_BODY_BYTES
 *    the call after the last piece      answer() fills in a reply, or says LATER: the connection is suspended
 *    http_resume                        that call once more
 *    the answer was taken, or it broke  the request is freed, and the connection's patience begins anew
 *
 * Its own time limit counts silence, so that a reader of one byte in ten seconds would hold its answer for ever. Ours counts what matters:
 * a connection that has not taken an answer whole for `patience` is shut down, whatever it did meanwhile. */

struct visitor {
	struct link place;
	struct MHD_Connection *connection;
	time_us since;
};

struct request {
	struct link place; /* among those that were put off */
	struct visitor *visitor;
	struct http_request facts;
	struct buf body;
	bool later, too_long;
};

struct http {
	struct http_setup setup;
	struct address address;
	struct MHD_Daemon *daemon;
	int epoll, wake;
	struct link visitors, waiting;
	size_t bytes_waiting;
	uint64_t requests; /* that were begun */
	bool resumed;
	bool open; /* started: what the library says goes to the log */
	char *problem;
	size_t problem_size;
};

struct answer {
	struct http *http;
	struct buf body;
};

/* ---- what the library tells ---- */

static void heed(void *context, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));

static void heed(void *context, const char *format, va_list arguments)
{
	struct http *http = context;
	char raw[400], line[400];
	size_t length;

	vsnprintf(raw, sizeof raw, format, arguments);
	length = text_escape(line, sizeof line, text_trim(span_text(raw)));
	if (!http->open && http->problem)
		text_copy_span(http->problem, http->problem_size, span_of(line, length));
	else
		log_line(LOG_DEBUG, "http: %s", line);
}

static void note_connection(
	void *context, struct MHD_Connection *connection, void **own, enum MHD_ConnectionNotificationCode code)
{
	struct http *http = context;
	struct visitor *visitor = *own;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (visitor) {
			link_remove(&visitor->place);
			free(visitor);
		}
		*own = NULL;
		return;
	}
	visitor = calloc(1, sizeof *visitor);
	if (!visitor)
		return; /* then its first request is refused */
	visitor->connection = connection;
	visitor->since = clock_now();
	link_last(&http->visitors, &visitor->place);
	*own = visitor;
}

static void note_completed(
	void *context, struct MHD_Connection *connection, void **own, enum MHD_RequestTerminationCode code)
{
	struct http *http = context;
	struct request *request = *own;

	(void)connection;
	*own = NULL;
	if (!request)
		return;
	if (request->later)
		link_remove(&request->place);
	if (request->visitor && code == MHD_REQUEST_TERMINATED_COMPLETED_OK) {
		request->visitor->since = clock_now();
		link_remove(&request->visitor->place);
		link_last(&http->visitors, &request->visitor->place);
	}
	buf_wipe(&request->body); /* it may have held a password */
	free(request);
}

/* ---- answers ---- */

static void answer_free(void *own)
{
	struct answer *answer = own;

	answer->http->bytes_waiting -= answer->body.length;
	buf_fini(&answer->body);
	free(answer);
}

/* What is said on every page: nothing here is to be framed, guessed at, or fetched by other pages. */
static const char *const every_page[][2] = {
	{ "Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'" },
	{ "X-Content-Type-Options", "nosniff" },
	{ "X-Frame-Options", "DENY" },
	{ "Referrer-Policy", "no-referrer" },
	{ "Cross-Origin-Resource-Policy", "same-origin" },
	{ "Cross-Origin-Opener-Policy", "same-origin" },
	{ "Cache-Control", "no-store" },
};

static enum MHD_Result queue(
	struct MHD_Connection *connection, const struct http_reply *reply, struct MHD_Response *response)
{
	enum MHD_Result result;

	for (size_t i = 0; i < sizeof every_page / sizeof *every_page; i++)
		(void)MHD_add_response_header(response, every_page[i][0], every_page[i][1]);
	if (reply->type)
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->type);
	for (size_t i = 0; i < reply->line_count; i++)
		(void)MHD_add_response_header(response, reply->lines[i].name, reply->lines[i].value);
	result = MHD_queue_response(connection, reply->status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result say(struct MHD_Connection *connection, unsigned status, const char *text)
{
	struct http_reply reply = { .status = status, .type = "text/plain; charset=utf-8" };
	struct MHD_Response *response = MHD_create_response_from_buffer(
		strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);

	if (!response)
		return MHD_NO;
	http_reply_line(&reply, MHD_HTTP_HEADER_CONNECTION, "close");
	return queue(connection, &reply, response);
}

static enum MHD_Result send_reply(struct http *http, struct MHD_Connection *connection, struct http_reply *reply)
{
	struct answer *answer = NULL;
	struct MHD_Response *response;

	if (reply->body.length > HTTP_BYTES_WAITING - http->bytes_waiting || !(answer = malloc(sizeof *answer))) {
		buf_fini(&reply->body);
		return say(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "too many answers wait to be read\n");
	}
	*answer = (struct answer){ .http = http, .body = reply->body };
	reply->body = (struct buf){ 0 };
	http->bytes_waiting += answer->body.length;
	response = MHD_create_response_from_buffer_with_free_callback_cls(
		answer->body.length, (void *)(uintptr_t)buf_span(&answer->body).at, answer_free, answer);
	if (!response) {
		answer_free(answer);
		return MHD_NO;
	}
	return queue(connection, reply, response);
}

void http_reply_line(struct http_reply *reply, const char *name, const char *value)
{
	struct http_line *line = &reply->lines[reply->line_count];

	check(reply->line_count < sizeof reply->lines / sizeof *reply->lines);
	line->name = name;
	text_copy(line->value, sizeof line->value, value);
	reply->line_count++;
}

/* ---- requests ---- */

struct lookup {
	const char *name, *value;
	unsigned count;
};

static enum MHD_Result match(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct lookup *lookup = context;

	(void)kind;
	if (!text_equal_nocase(span_text(name), span_text(lookup->name)))
		return MHD_YES;
	lookup->value = value;
	lookup->count++;
	return MHD_YES;
}

const char *http_header(const struct http_request *request, const char *name)
{
	struct lookup lookup = { .name = name };

	(void)MHD_get_connection_values(request->connection, MHD_HEADER_KIND, match, &lookup);
	return lookup.count == 1 ? lookup.value : NULL;
}

/* The library keeps no more of it than its family needs. */
static void note_peer(const struct sockaddr *from, struct address *peer)
{
	struct sockaddr_storage name = { 0 };
	socklen_t length = from->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

	memcpy(&name, from, length);
	address_from_kernel(&name, length, peer);
}

static enum MHD_Result begin(
	struct http *http, struct MHD_Connection *connection, const char *method, const char *path, void **own)
{
	struct request *request = calloc(1, sizeof *request);
	const union MHD_ConnectionInfo *info; /* each serves until the next is asked for */

	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	if (!request || !info || !info->socket_context) {
		free(request);
		return MHD_NO;
	}
	request->visitor = info->socket_context;
	request->facts.number = ++http->requests;
	request->facts.method = method;
	request->facts.path = path;
	request->facts.connection = connection;
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	if (info && info->client_addr)
		note_peer(info->client_addr, &request->facts.peer);
	*own = request;
	return MHD_YES;
}

static enum MHD_Result finish(struct http *http, struct request *request)
{
	struct MHD_Connection *connection = request->facts.connection;
	struct http_reply reply = { .status = MHD_HTTP_OK };

	if (request->later) {
		link_remove(&request->place);
		request->later = false;
	}
	if (request->too_long)
		return say(connection, MHD_HTTP_CONTENT_TOO_LARGE, "the request is too long\n");
	if (request->facts.since == 0)
		request->facts.since = clock_now();
	request->facts.body = buf_span(&request->body);
	if (http->setup.answer(http->setup.context, &request->facts, &reply) == HTTP_ANSWERED)
		return send_reply(http, connection, &reply);
	request->later = true;
	link_last(&http->waiting, &request->place);
	MHD_suspend_connection(connection);
	return MHD_YES;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path, const char *method,
	const char *version, const char *piece, size_t *piece_length, void **own)
{
	struct http *http = context;
	struct request *request = *own;

	(void)version;
	if (!request)
		return begin(http, connection, method, path, own);
	if (*piece_length == 0)
		return finish(http, request);
	if (request->body.length + *piece_length > HTTP_BODY_BYTES || !buf_add(&request->body, piece, *piece_length))
		request->too_long = true;
	*piece_length = 0;
	return MHD_YES;
}

/* ---- life ---- */

static int refuse(const struct address *at, const char *what, int fd, char *error, size_t error_size)
{
	char text[ADDRESS_TEXT];

	text_format(error, error_size, "http_listen: could not listen on %s: %s", address_text(at, text), what);
	if (fd >= 0)
		close(fd);
	return -1;
}

static int listen_at(const struct address *address, struct address *bound, char *error, size_t error_size)
{
	struct sockaddr_storage name;
	socklen_t length = address_to_kernel(address, &name);
	int fd = socket(
		address->family == ADDRESS_IPV6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return refuse(address, strerror(errno), fd, error, error_size);
	socket_set_number(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (address->family == ADDRESS_IPV6)
		socket_set_number(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (bind(fd, (struct sockaddr *)&name, length) != 0 || listen(fd, 64) != 0)
		return refuse(address, listen_reason(address, errno), fd, error, error_size);
	length = sizeof name;
	if (getsockname(fd, (struct sockaddr *)&name, &length) != 0)
		return refuse(address, strerror(errno), fd, error, error_size);
	address_from_kernel(&name, length, bound);
	return fd;
}

static void start(struct http *http, int fd)
{
	static const char tls[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
	bool secure = http->setup.certificate != NULL;
	struct MHD_OptionItem options[4] = { { MHD_OPTION_END, 0, NULL } };
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (secure ? MHD_USE_TLS : 0);

	if (secure) {
		options[0] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_CERT, 0,
			(void *)(uintptr_t)http->setup.certificate };
		options[1] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)http->setup.key };
		options[2] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)tls };
		options[3] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
	}
	/* The logger first: what is wrong with a later option is told to it. */
	http->daemon = MHD_start_daemon(flags, 0, NULL, NULL, handle, http, MHD_OPTION_EXTERNAL_LOGGER, heed, http,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_OF_ADDRESS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_HEAD_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)(HTTP_PATIENCE / SECOND_US), MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_CONNECTION,
		note_connection, http, MHD_OPTION_NOTIFY_COMPLETED, note_completed, http, MHD_OPTION_ARRAY, options,
		MHD_OPTION_END);
}

struct http *http_open(const struct http_setup *setup, char *error, size_t error_size)
{
	struct http *http = calloc(1, sizeof *http);
	const union MHD_DaemonInfo *info;
	char problem[256] = "";
	int fd;

	if (!http) {
		text_copy(error, error_size, "http_listen: memory is refused");
		return NULL;
	}
	http->setup = *setup;
	if (http->setup.patience == 0)
		http->setup.patience = HTTP_PATIENCE;
	http->wake = -1;
	link_init(&http->visitors);
	link_init(&http->waiting);
	if (setup->certificate && MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES) {
		text_copy(error, error_size, "http_listen: this machine's libmicrohttpd was built without TLS");
		goto refused;
	}
	fd = listen_at(&setup->address, &http->address, error, error_size);
	if (fd < 0)
		goto refused;
	http->problem = problem;
	http->problem_size = sizeof problem;
	start(http, fd);
	http->problem = NULL;
	info = http->daemon ? MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	http->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!info || http->wake < 0) {
		if (!http->daemon)
			close(fd);
		text_format(error, error_size, "http_listen: the HTTP server did not start: %s",
			problem[0] ? problem : "out of memory or descriptors");
		goto refused;
	}
	http->epoll = info->epoll_fd;
	http->open = true;
	return http;
refused:
	http_close(&http);
	return NULL;
}

const struct address *http_address(const struct http *http)
{
	return &http->address;
}

/* Those who have been here the longest without an answer come first. Returns when the next of them is due; 0: nobody is here. */
static time_us lose_patience(struct http *http, time_us now)
{
	for (struct link *at = http->visitors.next; at != &http->visitors; at = at->next) {
		struct visitor *visitor = link_owner(at, struct visitor, place);
		const union MHD_ConnectionInfo *fd;

		if (now < visitor->since + http->setup.patience)
			return visitor->since + http->setup.patience;
		fd = MHD_get_connection_info(visitor->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
		if (fd)
			(void)shutdown(fd->connect_fd, SHUT_RDWR); /* the library finds it broken, and buries it */
	}
	return 0;
}

static int wait_time(struct http *http, time_us now, time_us deadline)
{
	time_us patience = lose_patience(http, now), wait;
	MHD_UNSIGNED_LONG_LONG library;

	if (http->resumed)
		return 0;
	if (patience && (!deadline || patience < deadline))
		deadline = patience;
	wait = deadline == 0 ? 60 * SECOND_US : deadline > now ? deadline - now : 0;
	if (MHD_get_timeout(http->daemon, &library) == MHD_YES &&
		library < (MHD_UNSIGNED_LONG_LONG)(wait / MILLISECOND_US))
		wait = (time_us)library * MILLISECOND_US;
	if (wait > 60 * SECOND_US)
		wait = 60 * SECOND_US;
	return (int)((wait + MILLISECOND_US - 1) / MILLISECOND_US);
}

void http_turn(struct http *http, time_us deadline)
{
	struct pollfd ready[2] = { { .fd = http->epoll, .events = POLLIN }, { .fd = http->wake, .events = POLLIN } };
	uint64_t count;

	if (poll(ready, 2, wait_time(http, clock_now(), deadline)) < 0)
		check(errno == EINTR || errno == ENOMEM);
	if (ready[1].revents)
		while (read(http->wake, &count, sizeof count) < 0 && errno == EINTR)
			;
	http->resumed = false;
	(void)MHD_run(http->daemon);
}

void http_wake(struct http *http)
{
	uint64_t one = 1;

	while (write(http->wake, &one, sizeof one) < 0 && errno == EINTR)
		;
}

void http_resume(struct http *http)
{
	for (struct link *at = http->waiting.next; at != &http->waiting; at = at->next) {
		struct request *request = link_owner(at, struct request, place);

		MHD_resume_connection(request->facts.connection);
		http->resumed = true;
	}
}

void http_close(struct http **at)
{
	struct http *http = *at;

	*at = NULL;
	if (!http)
		return;
	http->open = true;
	if (http->daemon) {
		http_resume(http); /* the library ends no connection that is suspended */
		MHD_stop_daemon(http->daemon);
	}
	if (http->wake >= 0)
		close(http->wake);
	free(http);
}
