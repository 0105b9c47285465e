#ifndef PGWEIR_WIRE_MESSAGE_H
#define PGWEIR_WIRE_MESSAGE_H

#include "base/writer.h"
#include "wire/sqlstate.h"

/* Messages as bytes. Builders append whole messages to a writer; parsers read a body (without its header)
 * and borrow from it. */

enum severity { SEVERITY_FATAL, SEVERITY_ERROR, SEVERITY_WARNING, SEVERITY_NOTICE };

/* What we tell a client. `detail` and `hint` may be NULL. */
struct complaint {
	enum severity severity;
	const char *sqlstate;
	const char *message, *detail, *hint;
	const char *routine; /* of PostgreSQL's source, where drivers go by it */
};

/* ErrorResponse, or NoticeResponse for WARNING and NOTICE, with fields S V C M D H R. */
void message_complaint(struct writer *, const struct complaint *);

/* The fields of an ErrorResponse or NoticeResponse body; missing ones are empty, and so is an sqlstate that has not five characters. */
struct complaint_fields {
	struct span severity, sqlstate, message, detail, hint;
	struct span routine; /* of PostgreSQL's source; never translated */
};
bool message_read_complaint(struct span body, struct complaint_fields *out);

/* To clients. */

/* 'R': 0 ok, 3 cleartext, 5 md5 (4 bytes salt), 10 11 12 SASL; data goes out as it is */
void message_authentication(struct writer *, uint32_t code, struct span data);

void message_parameter_status(struct writer *, const char *name, const char *value);
void message_backend_key(struct writer *, uint32_t process_id, struct span secret);
void message_ready(struct writer *, char status);

/* 'v': the newest 3.minor that we speak (sent as the whole version number, as PostgreSQL does), and `count` options we do not know, each with its zero. */
void message_negotiate(struct writer *, uint32_t minor_protocol, size_t count, struct span unknown);

void message_command_complete(struct writer *, const char *tag);

/* A message without a body: '1' '2' '3' 'n' 's' 'I' 'c' 'S' 'H' 'X' ... */
void message_empty(struct writer *, char type);

/* Rows for the console. */
enum column_type { COLUMN_TEXT = 25, COLUMN_INT4 = 23, COLUMN_INT8 = 20, COLUMN_NUMERIC = 1700, COLUMN_BYTEA = 17 };
struct column {
	const char *name;
	enum column_type type;
};
void message_row_description(struct writer *, const struct column *, size_t count);
size_t message_row_begin(struct writer *, size_t columns);
void message_row_text(struct writer *, const char *value); /* NULL: SQL null */
void message_row_span(struct writer *, struct span value);
void message_row_int(struct writer *, int64_t value);
void message_row_end(struct writer *, size_t mark);

/* To servers. */
struct startup_pair {
	struct span key, value;
};
void message_startup(struct writer *, uint32_t protocol, const struct startup_pair *, size_t count);
void message_cancel(struct writer *, uint32_t process_id, struct span secret);
void message_query(struct writer *, struct span text);

/* `tail`: the query, its zero, and the types, as Parse carries them. */
void message_parse(struct writer *, struct span name, struct span tail);
void message_close_statement(struct writer *, struct span name);

/* Parsers of bodies. False: broken. */

/* The tail is checked: terminated query, type count, types, nothing after. */
bool message_read_parse(struct span body, struct span *name, struct span *tail);

/* Only the two names are read, so the front of a long Bind is enough. */
bool message_read_bind(struct span body, struct span *portal, struct span *statement, struct span *rest);

/* Describe, Close. */
bool message_read_target(struct span body, char *kind, struct span *name);
bool message_read_parameter_status(struct span body, struct span *name, struct span *value);
bool message_read_backend_key(struct span body, uint32_t *process_id, struct span *secret);
bool message_read_notification(struct span body, uint32_t *process_id, struct span *topic, struct span *payload);

#endif
