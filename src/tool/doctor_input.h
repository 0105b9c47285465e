#ifndef PGWEIR_TOOL_DOCTOR_INPUT_H
#define PGWEIR_TOOL_DOCTOR_INPUT_H

#include "tool/doctor_facts.h"

/* The arguments of the command line: what each is, and what was made of it. */

struct doctor_input {
	char what[256]; /* the argument, without any password */
	char kind[32];  /* "PostgreSQL", "console", "pooler's file", "Django settings", "URL", "source", "folder" */
	char said[900]; /* what was made of it */
	bool read;
};

struct doctor_inputs {
	struct doctor_input *at;
	size_t count;
};

/* Look at one argument and add what it tells to the facts. `variable` is the value of DATABASE_URL, or NULL. Live servers are sampled for
 * `seconds`. Without memory the program ends. */
void input_read(
	struct doctor_inputs *, struct doctor_facts *, const char *argument, const char *variable, double seconds);
void inputs_fini(struct doctor_inputs *);

#endif
