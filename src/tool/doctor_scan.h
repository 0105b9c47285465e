#ifndef PGWEIR_TOOL_DOCTOR_SCAN_H
#define PGWEIR_TOOL_DOCTOR_SCAN_H

#include "tool/doctor_facts.h"

enum scan_as {
	SCAN_PROSE,
	SCAN_PYTHON,  /* what stands in comments is left out */
	SCAN_SETTINGS /* likewise; and its settings were read already, by somebody who understands them */
};

/* Look through source or prose for what makes leaks, and for remedies that do not cure them. Adds to the counts, and keeps the first
 * examples of each sign. */
void scan_text(struct code_facts *, const char *path, struct span text, enum scan_as);

/* Whether a file of this name is worth a look, for a walk through folders: source, scripts, prose, SQL. */
bool scan_wants(const char *name);

/* What a sign is, in a few words ("calls of close_old_connections"). */
const char *scan_sign_name(enum code_sign);

#endif
