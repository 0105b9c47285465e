#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "config/config.h"

/* A configuration file of any bytes, which may include itself; what is taken is shown, changed by SET and looked up in. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	struct span text;
};

static bool read_itself(void *context, const char *path, char **text, size_t *length, char *error, size_t error_size)
{
	const struct input *in = context;

	if (path[0] != 'x') {
		text_copy(error, error_size, "No such file or directory");
		return false;
	}
	/* The tail only: ten levels of the whole would be slow, not deep. */
	*length = in->text.length / 2;
	*text = malloc(*length + 1);
	if (!*text)
		return false;
	text_copy_span(*text, *length + 1, span_skip(in->text, in->text.length - *length));
	return true;
}

static void drop_warning(void *context, const char *line)
{
	(void)context;
	check(*line);
}

static void use(const struct config *c)
{
	struct setting_view view;
	struct pool_rules rules;
	char error[256];

	for (size_t i = 0; config_view(c, i, &view); i++)
		config_drop(config_with(c, view.key, view.value, error, sizeof error));
	for (size_t i = 0; i < c->database_count; i++) {
		const struct database_settings *d = &c->databases[i];

		check(d->host_count > 0 && d->hosts[0].name && d->hosts[0].port > 0);
		check(i == 0 || strcmp(c->databases[i - 1].name, d->name) < 0);
		check(config_database(c, span_text(d->name)) == d);
		config_pool_rules(c, d, span_text("joe"), &rules);
	}
	for (size_t i = 0; i < c->user_count; i++)
		check(config_user(c, span_text(c->users[i].name)) == &c->users[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .text = span_of(data, size) };
	struct config_source source = {
		.file = "fuzz.ini", .text = in.text, .read_file = read_itself, .warn = drop_warning, .context = &in
	};
	char error[256] = "";
	struct config *c = config_parse(&source, error, sizeof error);

	check((c == NULL) == (error[0] != 0));
	if (c)
		use(c);
	config_drop(c);
	return 0;
}
