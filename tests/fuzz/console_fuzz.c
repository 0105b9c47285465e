#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "session/console.h"

/* A command of any bytes: it is understood or it is not, every text in the result has its end, what is refused carries nothing that
 * could be obeyed, and what is understood, written out plainly, is understood the same again. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ends(const char *text, size_t size)
{
	check(memchr(text, 0, size) != NULL);
}

static void add_quoted(char *out, size_t size, char quote, const char *text)
{
	size_t n = strlen(out);

	out[n++] = quote;
	for (; *text && n + 4 < size; text++) {
		if (*text == quote)
			out[n++] = quote;
		out[n++] = *text;
	}
	out[n++] = quote;
	out[n] = '\0';
}

static void again(const struct console_command *command)
{
	struct console_command second;
	char text[800];

	text_format(text, sizeof text, "%s ", command->tag);
	if (command->verb == VERB_SET) {
		add_quoted(text, sizeof text, '"', command->key);
		strcat(text, " = ");
		add_quoted(text, sizeof text, '\'', command->value);
	} else if (command->argument[0]) {
		add_quoted(text, sizeof text, '"', command->argument);
	} else if (command->shutdown != CONSOLE_SHUTDOWN_NOW) {
		strcat(text, command->shutdown == CONSOLE_SHUTDOWN_SERVERS ? "WAIT_FOR_SERVERS" : "WAIT_FOR_CLIENTS");
	}
	console_parse(span_text(text), &second);
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
