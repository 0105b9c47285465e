#include "serve/line.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "serve/channel.h"
#include "serve/tls.h"

void line_close(struct line *line)
{
	struct piece terminate = { "X\0\0\0\4", 5 };

	if (line->state == LINE_OPEN)
		(void)stream_write(line->stream, &terminate, 1);
	stream_close(&line->stream);
	server_login_free(line->login);
	line->login = NULL;
	free(line->addresses);
	line->addresses = NULL;
	line->address_count = 0;
	line->process_id = 0;
	line->state = LINE_CLOSED;
}

enum line_edge line_fail(struct line *line, const char *sqlstate, const char *problem)
{
	char kept[sizeof line->problem], state[sizeof line->sqlstate];

	/* Both may be the login's own, which goes now. */
	text_copy(kept, sizeof kept, problem);
	text_copy(state, sizeof state, sqlstate);
	line_close(line);
	text_copy(line->problem, sizeof line->problem, kept);
	text_copy(line->sqlstate, sizeof line->sqlstate, state);
	return LINE_FAILED;
}

static enum line_edge no_memory(struct line *line)
{
	return line_fail(line, SQLSTATE_OUT_OF_MEMORY, "out of memory");
}

bool line_send(struct line *line)
{
	struct buf *out = &line->worker->out;
	struct piece piece = { buf_span(out).at, out->length };

	return out->length == 0 || stream_write(line->stream, &piece, 1);
}

static enum line_edge dial_next(struct line *line)
{
	char text[160], where[ADDRESS_TEXT];

	while (line->address_count > 0) {
		line->address = line->addresses[0];
		memmove(line->addresses, line->addresses + 1, --line->address_count * sizeof *line->addresses);
		line->stream = line->plain
			? stream_dial(line->worker->loop, &line->address, &line->worker->server_options, line)
			: tls_dial_server(line->worker, &line->address, line->host, line);
		if (line->stream) {
			line->state = LINE_CONNECTING;
			return LINE_MORE;
		}
	}
	text_format(text, sizeof text, "connection to server at %s failed: %s", address_text(&line->address, where),
		strerror(errno));
	return line_fail(line, SQLSTATE_CANNOT_CONNECT, text);
}

static enum line_edge dial(struct line *line, const struct address *addresses, size_t count)
{
	line->addresses = malloc(count * sizeof *addresses);
	if (!line->addresses)
		return no_memory(line);
	memcpy(line->addresses, addresses, count * sizeof *addresses);
	line->address_count = count;
	return dial_next(line);
}

enum line_edge line_dial(struct line *line, const char *host)
{
	struct resolve_letter *letter;
	struct address address;

	check(line->state == LINE_CLOSED);
	line->host = host;
	if (host[0] == '/' || host[0] == '@' ? address_unix(host, line->port, &address)
					     : address_parse(host, line->port, &address))
		return dial(line, &address, 1);
	letter = calloc(1, sizeof *letter);
	if (!letter)
		return no_memory(line);
	letter->letter.kind = LETTER_RESOLVE;
	letter->to = line->worker->mailbox;
	letter->context = (void *)(uintptr_t)line->number;
	letter->port = line->port;
	text_copy(letter->name, sizeof letter->name, host);
	line->state = LINE_RESOLVING;
	resolve(letter);
	return LINE_MORE;
}

enum line_edge line_resolved(struct line *line, const struct resolve_letter *letter)
{
	char text[160];

	if (line->state != LINE_RESOLVING)
		return LINE_MORE;
	if (letter->count > 0)
		return dial(line, letter->addresses, letter->count);
	text_format(text, sizeof text, "could not translate host name \"%s\" to address: %s", letter->name,
		letter->problem);
	return line_fail(line, SQLSTATE_CANNOT_CONNECT, text);
}

enum line_edge line_login(struct line *line, struct server_setup setup, const char *password, pool_id pool)
{
	check(line->state == LINE_CONNECTING);
	line->state = LINE_LOGIN;
	line->login = dial_login(line->worker, line->stream, setup, password, pool);
	return line->login && line_send(line) ? LINE_MORE : no_memory(line);
}

enum line_edge line_bytes(struct line *line, struct span bytes, size_t *used)
{
	const struct server_facts *facts;
	enum server_edge edge;

	check(line->state == LINE_LOGIN);
	buf_clear(&line->worker->out);
	edge = server_login_take(line->login, bytes, used, &line->worker->out);
	facts = server_login_facts(line->login);
	if (edge == SERVER_REFUSED)
		return line_fail(line, facts->sqlstate, facts->problem);
	if (!line_send(line))
		return no_memory(line);
	if (edge != SERVER_READY)
		return LINE_MORE;
	line->process_id = facts->process_id;
	line->state = LINE_OPEN;
	return LINE_READY;
}

enum line_edge line_ended(struct line *line, int error)
{
	char text[160], where[ADDRESS_TEXT];

	if (line->state == LINE_CONNECTING && line->address_count > 0) {
		stream_close(&line->stream);
		return dial_next(line);
	}
	/* Nobody is there to be told Terminate. */
	line->state = LINE_CLOSED;
	text_format(text, sizeof text, "connection to server at %s: %s", address_text(&line->address, where),
		tls_why_ended(line->stream, error, "closed by the server"));
	return line_fail(line, SQLSTATE_CONNECTION_FAILURE, text);
}
