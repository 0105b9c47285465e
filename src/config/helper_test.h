#ifndef PGWEIR_CONFIG_HELPER_TEST_H
#define PGWEIR_CONFIG_HELPER_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"
#include "config/config.h"

/* A source made of texts: one main file, and others by name for %include. */
struct given {
	const char *text;
	const char *files[8][2];
	struct config_override overrides[8];
	enum manner manner;
	char warnings[4096];
	char error[1024];
};

static inline bool read_given(
	void *context, const char *path, char **text, size_t *length, char *error, size_t error_size)
{
	struct given *g = context;

	for (size_t i = 0; g->files[i][0]; i++) {
		if (strcmp(g->files[i][0], path) == 0) {
			*text = strdup(g->files[i][1]);
			*length = strlen(*text);
			return true;
		}
	}
	text_copy(error, error_size, "No such file or directory");
	return false;
}

static inline void note_warning(void *context, const char *line)
{
	struct given *g = context;
	size_t n = strlen(g->warnings);

	text_format(g->warnings + n, sizeof g->warnings - n, "%s\n", line);
}

static inline struct config *try(struct given *g)
{
	struct config_source source = { .file = "test.ini",
		.text = span_text(g->text),
		.overrides = g->overrides,
		.manner = g->manner,
		.read_file = read_given,
		.warn = note_warning,
		.context = g };

	g->warnings[0] = g->error[0] = 0;
	while (g->overrides[source.override_count].key)
		source.override_count++;
	return config_parse(&source, g->error, sizeof g->error);
}

static inline struct config *parse(struct given *g)
{
	struct config *c = try(g);

	if (!c)
		fail_msg("%s", g->error);
	return c;
}

static inline const char *value_of(const struct config *c, const char *key, struct setting_view *view)
{
	for (size_t i = 0; config_view(c, i, view); i++) {
		if (strcmp(view->key, key) == 0)
			return view->value;
	}
	return NULL;
}

#endif
