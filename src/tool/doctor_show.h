#ifndef PGWEIR_TOOL_DOCTOR_SHOW_H
#define PGWEIR_TOOL_DOCTOR_SHOW_H

#include <stdio.h>

#include "tool/doctor_input.h"
#include "tool/doctor_rules.h"

/* The report, for people or as one JSON document. Every text of a stranger is shown escaped. */
void show_report(const struct doctor_inputs *, const struct doctor_report *, FILE *);
void show_report_json(const struct doctor_inputs *, const struct doctor_report *, int exit_status, FILE *);

/* Its findings and how many there are of each level, set in a document of jansson's. */
struct json_t;
void report_json(struct json_t *document, const struct doctor_report *);

/* How many findings there are of a level. */
size_t report_count(const struct doctor_report *, enum finding_level);

#endif
