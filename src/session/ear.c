#include "session/ear.h"

#include "base/text.h"
#include "wire/frame.h"

/* A payload has less than a block, and a block at most 32 kB. */
#define MESSAGE_MAX 65536

static enum ear_edge broken(struct ear_talk *talk, const char *problem)
{
	text_copy(talk->sqlstate, sizeof talk->sqlstate, SQLSTATE_PROTOCOL_VIOLATION);
	text_copy(talk->problem, sizeof talk->problem, problem);
	return EAR_BROKEN;
}

static void take_error(struct ear_talk *talk, struct span body)
{
	struct complaint_fields fields;

	talk->refused = true;
	text_copy(talk->sqlstate, sizeof talk->sqlstate, SQLSTATE_INTERNAL_ERROR);
	text_copy(talk->problem, sizeof talk->problem, "the server refused without words");
	if (!message_read_complaint(body, &fields))
		return;
	if (fields.sqlstate.length > 0)
		text_copy_span(talk->sqlstate, sizeof talk->sqlstate, fields.sqlstate);
	if (fields.message.length > 0)
		text_copy_span(talk->problem, sizeof talk->problem, fields.message);
}

static enum ear_edge take_message(struct ear_talk *talk, char type, struct span whole)
{
	struct span body = span_skip(whole, FRAME_HEADER);

	switch (type) {
	case 'A':
		talk->note = whole;
		return message_read_notification(body, &talk->process, &talk->topic, &talk->payload)
			? EAR_HEARD
			: broken(talk, "the server sent a broken notification");
	case 'E':
		take_error(talk, body);
		return EAR_MORE;
	case 'Z':
		return talk->refused ? EAR_BROKEN : EAR_ANSWERED;
	case 'C':
	case 'D':
	case 'I':
	case 'N':
	case 'S':
	case 'T':
		return EAR_MORE;
	default:
		return broken(talk, "the server broke the protocol");
	}
}

enum ear_edge ear_take(struct ear_talk *talk, struct span bytes, size_t *used)
{
	enum ear_edge edge = EAR_MORE;
	enum frame_result found;
	const char *problem;
	struct frame frame;
	size_t length;

	*used = 0;
	while (edge == EAR_MORE) {
		found = frame_whole(bytes, MESSAGE_MAX - FRAME_HEADER, &frame, &problem);
		if (found != FRAME_HERE)
			return found == FRAME_MORE ? EAR_MORE : broken(talk, problem);
		length = FRAME_HEADER + frame.body;
		edge = take_message(talk, frame.type, span_of(bytes.at, length));
		*used += length;
		bytes = span_skip(bytes, length);
	}
	return edge;
}

/* Ends the writer's luck when memory was refused for the text. */
static void write_query(struct writer *w, struct buf *text, bool ok)
{
	if (ok)
		message_query(w, buf_span(text));
	else
		w->bad = true;
	buf_fini(text);
}

void ear_begin(struct writer *w, int version, const struct topics *topics)
{
	struct buf text = { 0 };

	/* Each holds as soon as it is said, for what is behind it in this message too. */
	write_query(w, &text,
		buf_format(&text, "SET statement_timeout=0;SET lock_timeout=0;%s%s",
			version >= 14 ? "SET idle_session_timeout=0;" : "",
			version >= 17 ? "SET transaction_timeout=0;" : "") &&
			topics_write(topics, "LISTEN", &text));
}

void ear_listen(struct writer *w, const struct topics *topics, const char *mark, const char *payload)
{
	struct buf text = { 0 };
	bool ok = topics_write(topics, "LISTEN", &text);

	if (mark)
		ok = ok && buf_format(&text, "SELECT pg_catalog.pg_notify('%s','%s')", mark, payload);
	write_query(w, &text, ok);
}

void ear_unlisten(struct writer *w, const struct topics *topics)
{
	struct buf text = { 0 };

	write_query(w, &text, topics_write(topics, "UNLISTEN", &text));
}

void ear_wait(struct writer *w)
{
	message_query(w, span_text(""));
}
