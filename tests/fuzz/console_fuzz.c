#include <stdlib.h>

#include "base/check.h"
#include "base/writer.h"
#include "session/console.h"

/* A command of any bytes: it is understood or it is not, every text in the result has its end, what is refused carries nothing that
 * could be obeyed, and what is understood, written out plainly, is understood the same again. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ends(const char *text, size_t size)
{
	check(memchr(text, 0, size) != NULL);
}

static void write_quoted(struct writer *w, char quote, const char *text)
{
	write_u8(w, (uint8_t)quote);
	for (; *text; text++) {
		if (*text == quote)
			write_u8(w, (uint8_t)quote);
		write_u8(w, (uint8_t)*text);
	}
	write_u8(w, (uint8_t)quote);
}

static void again(const struct console_command *command)
{
	struct console_command second;
	struct buf text = { 0 };
	struct writer w = writer_to(&text);

	write_span(&w, span_text(command->tag));
	write_u8(&w, ' ');
	if (command->verb == VERB_SET) {
		write_quoted(&w, '"', command->key);
		write_u8(&w, '=');
		write_quoted(&w, '\'', command->value);
	} else if (command->argument[0]) {
		write_quoted(&w, '"', command->argument);
	} else if (command->shutdown != CONSOLE_SHUTDOWN_NOW) {
		write_span(&w,
			span_text(command->shutdown == CONSOLE_SHUTDOWN_SERVERS ? "WAIT_FOR_SERVERS"
										: "WAIT_FOR_CLIENTS"));
	}
	check(writer_ok(&w));
	console_parse(buf_span(&text), &second);
	buf_fini(&text);
	check(second.verb == command->verb && second.shutdown == command->shutdown);
	check(second.admin_only == command->admin_only);
	check(strcmp(second.argument, command->argument) == 0);
	check(strcmp(second.key, command->key) == 0 && strcmp(second.value, command->value) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct console_command command;

	console_parse(span_of(data, size), &command);
	ends(command.argument, sizeof command.argument);
	ends(command.key, sizeof command.key);
	ends(command.value, sizeof command.value);
	ends(command.word, sizeof command.word);
	switch (command.verb) {
	case VERB_EMPTY:
	case VERB_UNKNOWN:
	case VERB_BAD:
		check(!command.argument[0] && !command.key[0] && !command.value[0] && !command.admin_only);
		check((command.word[0] == '\0') == (command.verb == VERB_EMPTY));
		break;
	case VERB_FAKE_SHOW:
	case VERB_FAKE_SET:
		check(command.key[0] && !command.admin_only);
		break;
	default:
		check(command.tag[0]);
		check(command.admin_only == (command.verb != VERB_SHOW));
		again(&command);
		break;
	}
	return 0;
}
