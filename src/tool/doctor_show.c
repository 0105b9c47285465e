#include "tool/doctor_show.h"


#include "base/text.h"
#include "tool/json.h"

/* For people, a finding reads
 *
 *   DANGER  D04 persistent-under-asgi
 *           settings.py:36, database 'default'
 *     found CONN_MAX_AGE is 300, and ...
 *     why   Under ASGI ...
 *     edit  settings.py, in DATABASES['default']:  'CONN_MAX_AGE': 0,
 *
 * with lines broken between words. What has to be copied (a line of SQL, a path) may be longer than a line: it is never broken inside a
 * word, and two spaces around it say where it begins and ends. */

#define WIDTH 110

size_t report_count(const struct doctor_report *report, enum finding_level level)
{
	size_t count = 0;

	for (size_t i = 0; i < report->count; i++)
		count += report->findings[i].level == level;
	return count;
}

/* One line of a finding's text, wrapped; `first` stands before its first line and blanks before the others. */
static void print_wrapped(FILE *to, const char *first, struct span line)
{
	char shown[4096];
	size_t indent = strlen(first), column = indent;
	const char *at = shown;

	show_text(shown, sizeof shown, 0, line);
	fputs(first, to);
	while (*at) {
		size_t spaces = strspn(at, " "), word = strcspn(at + spaces, " ");

		if (column > indent && column + spaces + word > WIDTH) {
			fprintf(to, "\n%*s", (int)indent, "");
			column = indent;
			spaces = 0;
			at += strspn(at, " ");
		}
		fprintf(to, "%*s%.*s", (int)spaces, "", (int)word, at + spaces);
		column += spaces + word;
		at += spaces + word;
	}
	fputc('\n', to);
}

static void print_text(FILE *to, const char *title, const char *text)
{
	while (*text) {
		size_t length = strcspn(text, "\n");

		print_wrapped(to, title, span_of(text, length));
		title = "          ";
		text += length + (text[length] == '\n');
	}
}

static const char *const shouts[] = { "NOTE   ", "WARNING", "DANGER " };

void show_report(const struct doctor_inputs *inputs, const struct doctor_report *report, FILE *to)
{
	size_t warnings = report_count(report, LEVEL_WARNING), notes = report_count(report, LEVEL_NOTE);

	for (size_t i = 0; i < inputs->count; i++) {
		const struct doctor_input *input = &inputs->at[i];
		char line[1024];

		text_format(line, sizeof line, "%s: %s%s%s", input->what, input->kind, *input->said ? ", " : "",
			input->said);
		print_wrapped(to, input->read ? "read      " : "NOT READ  ", span_text(line));
	}
	for (size_t i = 0; i < report->count; i++) {
		const struct finding *finding = &report->findings[i];

		fprintf(to, "\n%s  %s %s\n", shouts[finding->level], finding->rule->number, finding->rule->name);
		print_text(to, "         ", finding->subject);
		print_text(to, "   found  ", finding->evidence);
		print_text(to, "   why    ", finding->rule->why);
		print_text(to, "   edit   ", finding->edit);
	}
	fprintf(to, "\n%zu of danger, %zu warning%s, %zu note%s%s\n", report_count(report, LEVEL_DANGER), warnings,
		text_plural(warnings), notes, text_plural(notes),
		report->refused ? " (memory was refused: some are missing)" : "");
}

static json_t *finding_json(const struct finding *finding)
{
	json_t *json = memory_got(json_object());

	object_set(json, "number", text_json(span_text(finding->rule->number)));
	object_set(json, "name", text_json(span_text(finding->rule->name)));
	object_set(json, "level", text_json(span_text(level_name(finding->level))));
	object_set(json, "subject", text_json(span_text(finding->subject)));
	object_set(json, "evidence", text_json(span_text(finding->evidence)));
	object_set(json, "why", text_json(span_text(finding->rule->why)));
	object_set(json, "edit", text_json(span_text(finding->edit)));
	return json;
}

void report_json(json_t *document, const struct doctor_report *report)
{
	json_t *findings = memory_got(json_array());

	for (size_t i = 0; i < report->count; i++)
		array_append(findings, finding_json(&report->findings[i]));
	object_set(document, "findings", findings);
	object_set(document, "danger", json_integer((json_int_t)report_count(report, LEVEL_DANGER)));
	object_set(document, "warnings", json_integer((json_int_t)report_count(report, LEVEL_WARNING)));
	object_set(document, "notes", json_integer((json_int_t)report_count(report, LEVEL_NOTE)));
	object_set(document, "complete", json_boolean(!report->refused));
}

void show_report_json(const struct doctor_inputs *inputs, const struct doctor_report *report, int exit_status, FILE *to)
{
	json_t *document = memory_got(json_object()), *read = memory_got(json_array());
	char *text;

	for (size_t i = 0; i < inputs->count; i++) {
		json_t *input = memory_got(json_object());

		object_set(input, "what", text_json(span_text(inputs->at[i].what)));
		object_set(input, "kind", text_json(span_text(inputs->at[i].kind)));
		object_set(input, "said", text_json(span_text(inputs->at[i].said)));
		object_set(input, "read", json_boolean(inputs->at[i].read));
		array_append(read, input);
	}
	object_set(document, "inputs", read);
	report_json(document, report);
	object_set(document, "exit_status", json_integer(exit_status));
	text = memory_got(json_dumps(document, JSON_INDENT(2) | JSON_ENSURE_ASCII));
	fprintf(to, "%s\n", text);
	free(text);
	json_decref(document);
}
