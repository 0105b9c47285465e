/* Taking the place of a process that runs; the whole is drawn in takeover.h. All of this is before our own workers begin, so it may
 * block, each wait bounded. */
#include "serve/takeover.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "base/reader.h"
#include "base/text.h"
#include "io/file.h"
#include "io/passage.h"
#include "wire/frame.h"
#include "wire/message.h"

#define PATIENCE_US (30 * SECOND_US)
#define VALUE_BYTES 108

/* What one answer amounts to. */
struct answer {
	size_t rows;
	char first[VALUE_BYTES]; /* of the last row, its first value */
	char problem[256];       /* "": none */
};

static void take_row(struct span body, struct answer *answer)
{
	struct reader r = reader_of(body);
	int32_t length;

	answer->rows++;
	answer->first[0] = '\0';
	if (read_u16(&r) == 0)
		return;
	length = read_i32(&r);
	if (length > 0)
		text_copy_span(answer->first, sizeof answer->first, read_bytes(&r, (size_t)length));
}

static void take_frame(struct frame frame, struct span body, struct answer *answer)
{
	struct complaint_fields fields;
	struct reader r = reader_of(body);

	if (frame.type == 'D')
		take_row(body, answer);
	else if (frame.type == 'E' && message_read_complaint(body, &fields))
		text_format(answer->problem, sizeof answer->problem, "it says: %.*s", (int)fields.message.length,
			(const char *)fields.message.at);
	else if (frame.type == 'R' && read_u32(&r) != 0)
		text_copy(answer->problem, sizeof answer->problem,
			"it asks for a password, so it is not run by our user");
}

/* Everything up to ReadyForQuery. Sockets that came are with the passage. */
static bool hear(struct passage *line, struct answer *answer, char *error, size_t size)
{
	struct span all = { NULL, 0 };
	struct frame frame;
	bool ready = false;

	*answer = (struct answer){ 0 };
	while (!ready && !answer->problem[0]) {
		enum frame_result result = frame_peek(all, &frame);

		if (result == FRAME_BAD || (result == FRAME_HERE && frame.body > 65536)) {
			text_copy(answer->problem, sizeof answer->problem, "it does not speak our protocol");
		} else if (result == FRAME_MORE || all.length < FRAME_HEADER + (size_t)frame.body) {
			if (!passage_receive(line, &all, error, size))
				return false;
		} else {
			take_frame(frame, span_of(all.at + FRAME_HEADER, frame.body), answer);
			ready = frame.type == 'Z';
			passage_consume(line, FRAME_HEADER + (size_t)frame.body);
			all = span_skip(all, FRAME_HEADER + (size_t)frame.body);
		}
	}
	if (answer->problem[0])
		text_copy(error, size, answer->problem);
	return !answer->problem[0];
}

static bool ask(struct passage *line, struct buf *message, const struct writer *w, struct answer *answer, char *error,
	size_t size)
{
	bool ok = writer_ok(w);

	if (!ok)
		text_copy(error, size, "out of memory");
	ok = ok && passage_send(line, buf_span(message), error, size) && hear(line, answer, error, size);
	buf_fini(message);
	return ok;
}

static bool log_in(struct passage *line, char *error, size_t size)
{
	const struct startup_pair who[] = { { span_text("user"), span_text("pgbouncer") },
		{ span_text("database"), span_text("pgbouncer") } };
	struct buf message = { 0 };
	struct writer w = writer_to(&message);
	struct answer answer;

	message_startup(&w, 3u << 16, who, 2);
	return ask(line, &message, &w, &answer, error, size);
}

static bool query(struct passage *line, const char *text, struct answer *answer, char *error, size_t size)
{
	struct buf message = { 0 };
	struct writer w = writer_to(&message);

	message_query(&w, span_text(text));
	return ask(line, &message, &w, answer, error, size);
}

static bool take_sockets(struct takeover *t, const struct config *config, const struct listen_setup *setup,
	size_t expected, char *error, size_t size)
{
	int fd;

	while (t->count < HOUSE_LISTENERS && (fd = passage_descriptor(t->line)) >= 0) {
		t->listeners[t->count] = listener_inherit(fd, (uint16_t)config->listen_port, setup, error, size);
		if (!t->listeners[t->count])
			return false;
		t->count++;
	}
	if (t->count == expected && expected > 0)
		return true;
	text_format(error, size, "it lists %zu listening sockets, and handed over %zu", expected, t->count);
	return false;
}

bool takeover_begin(struct takeover *t, const struct config *config, const struct listen_setup *setup, char *error,
	size_t error_size)
{
	struct address at;
	struct answer answer;
	char why[300] = "";
	bool nobody;

	*t = (struct takeover){ 0 };
	if (!config->unix_socket_dir || !config->unix_socket_dir[0] ||
		!address_unix(config->unix_socket_dir, (uint16_t)config->listen_port, &at)) {
		text_format(
			error, error_size, "-R reaches the process that runs by its unix socket: set unix_socket_dir");
		return false;
	}
	t->line = passage_open(&at, PATIENCE_US, &nobody, why, sizeof why);
	if (!t->line && nobody) {
		log_line(LOG_LOG, "old process not found, try to continue normally (%s)", why);
		return true;
	}
	if (t->line && log_in(t->line, why, sizeof why) && query(t->line, "SHOW FDS", &answer, why, sizeof why) &&
		take_sockets(t, config, setup, answer.rows, why, sizeof why))
		return true;
	text_format(error, error_size, "could not take over from the process at %s: %s", at.path, why);
	takeover_fini(t);
	return false;
}

struct listener *takeover_listener(struct takeover *t, const struct address *at)
{
	struct listener *found;

	for (size_t i = 0; i < t->count; i++) {
		if (!address_equal(listener_address(t->listeners[i]), at))
			continue;
		found = t->listeners[i];
		t->listeners[i] = t->listeners[--t->count];
		return found;
	}
	return NULL;
}

static bool say_taken_over(struct takeover *t, struct answer *answer, char *error, size_t size)
{
	char command[64];

	text_format(command, sizeof command, "SHUTDOWN TAKEN_OVER %u", process_id());
	return query(t->line, command, answer, error, size);
}

bool takeover_finish(struct takeover *t, struct house *house, char *error, size_t error_size)
{
	char why[300];
	struct answer answer;

	if (!say_taken_over(t, &answer, why, sizeof why)) {
		text_format(error, error_size, "the process that runs does not make room: %s", why);
		return false;
	}
	if (answer.first[0]) {
		house->forerunner.family = ADDRESS_UNIX;
		text_copy(house->forerunner.path, sizeof house->forerunner.path, answer.first);
	}
	return true;
}

void takeover_complete(struct takeover *t, struct house *house)
{
	char why[300], where[ADDRESS_TEXT];
	struct answer answer;
	uint32_t i;

	/* It may have ended meanwhile; its place is ours all the same. */
	if (!say_taken_over(t, &answer, why, sizeof why))
		log_line(LOG_ERROR, "the process before this one does not hear that this one serves: %s", why);
	for (i = 0; i < house->listener_count; i++)
		listener_own_file(house->listeners[i], true);
	for (i = 0; i < t->count; i++) {
		log_line(LOG_LOG, "not listening on %s any more",
			address_text(listener_address(t->listeners[i]), where));
		listener_own_file(t->listeners[i], true);
	}
	takeover_fini(t);
}

void takeover_fini(struct takeover *t)
{
	while (t->count > 0)
		listener_close(&t->listeners[--t->count]);
	passage_close(&t->line);
}
