#ifndef PGWEIR_AUTH_EXCHANGE_H
#define PGWEIR_AUTH_EXCHANGE_H

#include "base/writer.h"

/* The requests of authentication ("Message Formats" in PostgreSQL's protocol chapter) and how the two
 * directions frame them. Private to auth/. */

enum request {
	REQUEST_OK = 0,
	REQUEST_CLEARTEXT = 3,
	REQUEST_MD5 = 5,
	REQUEST_SASL = 10,
	REQUEST_SASL_CONTINUE = 11,
	REQUEST_SASL_FINAL = 12
};

#define MD5_SALT_LENGTH 4

/* To a client: 'R', the request's number, its data. */
static inline void write_request(struct writer *w, enum request request, struct span data)
{
	size_t mark = message_begin(w, 'R');

	write_u32(w, request);
	write_span(w, data);
	message_end(w, mark);
}

/* To a server: 'p' and its data. */
static inline void write_answer(struct writer *w, struct span data)
{
	size_t mark = message_begin(w, 'p');

	write_span(w, data);
	message_end(w, mark);
}

/* To a server: 'p' with a password, which is terminated. */
static inline void write_password(struct writer *w, struct span password)
{
	size_t mark = message_begin(w, 'p');

	write_string_span(w, password);
	message_end(w, mark);
}

#endif
