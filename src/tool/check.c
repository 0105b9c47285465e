#include "tool/check.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "io/file.h"
#include "io/thread.h"
#include "tool/doctor_file.h"
#include "tool/doctor_show.h"
#include "tool/doctor_url.h"
#include "tool/manual.h"
#include "tool/memory.h"
#include "tool/table.h"

/* `pgweir check`: what a file means before anybody runs with it.
 *
 *     file --config--> value, warnings        what it means, what differs, what is ignored
 *     servers it names --check_ask--> facts
 *     facts --doctor's rules--> findings      only those about the file: `pgweir doctor` looks at the rest
 *
 *     all of it --pgweir serve --try--> yes, or what is wrong     users, rules, keys and certificates too
 *
 * The same parser reads it that `pgweir serve` and RELOAD use, and it is serve that says whether it would start, so a file that is good here is
 * taken there. */

enum status { STATUS_GOOD = 0, STATUS_DANGER = 1, STATUS_USAGE = 2 };

#define OVERRIDES_MAX 64

struct options {
	struct config_override overrides[OVERRIDES_MAX];
	size_t override_count;
	int cores, poolers;
	bool offline, strict, json;
	const char *file, *url;
};

static bool read_count(const char *text, int *out)
{
	int64_t value;

	if (!text_to_i64(span_text(text), &value) || value < 1 || value > 100000)
		return false;
	*out = (int)value;
	return true;
}

/* STATUS_GOOD to go on; *ended: there is nothing to go on with. */
static enum status read_options(int argc, char **argv, struct options *o, bool *ended)
{
	static const struct option table[] = { { "option", required_argument, NULL, 'o' },
		{ "offline", no_argument, NULL, 'f' }, { "cores", required_argument, NULL, 'c' },
		{ "poolers", required_argument, NULL, 'p' }, { "strict", no_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' }, { 0 } };
	int option;
	char *equals;

	*ended = true;
	while ((option = getopt_long(argc, argv, "o:h", table, NULL)) != -1) {
		switch (option) {
		case 'o':
			equals = strchr(optarg, '=');
			if (!equals || equals == optarg || o->override_count == OVERRIDES_MAX)
				return (enum status)usage_error("check", "-o wants key=value, not ", optarg);
			*equals = 0;
			o->overrides[o->override_count++] = (struct config_override){ optarg, equals + 1 };
			break;
		case 'c':
		case 'p':
			if (!read_count(optarg, option == 'c' ? &o->cores : &o->poolers))
				return (enum status)usage_error("check",
					option == 'c' ? "--cores wants a number above 0, not "
						      : "--poolers wants a number above 0, not ",
					optarg);
			break;
		case 'f':
			o->offline = true;
			break;
		case 's':
			o->strict = true;
			break;
		case 'j':
			o->json = true;
			break;
		case 'h':
			manual_help("check", stdout);
			return STATUS_GOOD;
		default:
			manual_unknown_option("check", argv, optind);
			return STATUS_USAGE;
		}
	}
	if (optind == argc)
		return (enum status)usage_error("check", "which FILE.ini?", "");
	if (argc - optind > 2)
		return (enum status)usage_error("check", "one file and one URL only, not also ", argv[optind + 2]);
	o->file = argv[optind];
	o->url = argv[optind + 1];
	if (url_is_postgres(span_text(o->file)))
		return (enum status)usage_error("check",
			"FILE.ini comes first, a URL behind it; a server alone is looked at by pgweir doctor URL", "");
	if (o->url && !url_is_postgres(span_text(o->url)))
		return (enum status)usage_error("check", "the second word is no postgresql:// URL", "");
	*ended = false;
	return STATUS_GOOD;
}

/* ---- the file ---- */

struct warnings {
	struct buf text;
	size_t count;
};

static void keep_warning(void *context, const char *text)
{
	struct warnings *warnings = context;

	if (!buf_format(&warnings->text, "%s%s", warnings->count++ ? "\n" : "", text))
		memory_got(NULL);
}

static bool read_config(struct pooler_file *file, const struct options *o, struct span text, enum manner manner,
	struct warnings *warnings, char *error, size_t error_size)
{
	struct config_source source = { .file = o->file,
		.text = text,
		.overrides = o->overrides,
		.override_count = o->override_count,
		.manner = manner,
		.warn = warnings ? keep_warning : NULL,
		.context = warnings };

	return pooler_file_read(file, &source, error, error_size);
}

static void show_warnings(const struct warnings *warnings)
{
	char shown[2000];
	struct span rest = buf_span(&warnings->text);

	if (warnings->count)
		puts("\nWhat is in it and does nothing here");
	while (rest.length) {
		const uint8_t *end = memchr(rest.at, '\n', rest.length);
		size_t length = end ? (size_t)(end - rest.at) : rest.length;

		show_text(shown, sizeof shown, 0, span_of(rest.at, length));
		fputs("    ", stdout);
		manual_wrap(stdout, shown, 4, 4);
		rest = span_skip(rest, length + (end ? 1 : 0));
	}
}

/* ---- whether it would start ---- */

/* By the program that would: it reads the user list, rules, keys and certificates as well. False: `why`. */
static bool would_start(const struct options *o, char *why, size_t size)
{
	char *arguments[6 + 2 * OVERRIDES_MAX], settings[OVERRIDES_MAX][600], said[2000], *last;
	static char words[][8] = { "pgweir", "serve", "--try", "-o" };
	size_t n = 0;

	for (size_t i = 0; i < 3; i++)
		arguments[n++] = words[i];
	for (size_t i = 0; i < o->override_count; i++) {
		text_format(settings[i], sizeof settings[i], "%s=%s", o->overrides[i].key, o->overrides[i].value);
		arguments[n++] = words[3];
		arguments[n++] = settings[i];
	}
	arguments[n++] = (char *)(uintptr_t)o->file;
	arguments[n] = NULL;
	if (process_run_beside("pgweir", arguments, said, sizeof said) != 1)
		return true; /* it would, or nobody can tell */
	last = strstr(said, "FATAL ");
	text_copy(why, size, last ? last + strlen("FATAL ") : said);
	why[strcspn(why, "\n")] = 0;
	return false;
}

/* ---- what is dangerous ---- */

/* Leave those about the file alone. */
static void keep_own(struct doctor_report *report, const char *path)
{
	size_t kept = 0, length = strlen(path);

	for (size_t i = 0; i < report->count; i++) {
		if (strncmp(report->findings[i].subject, path, length) == 0)
			report->findings[kept++] = report->findings[i];
	}
	report->count = kept;
}

static enum status judge(struct doctor_facts *facts, const struct options *o, struct checked *checked)
{
	struct doctor_inputs nothing = { 0 };
	struct doctor_report report = { 0 };
	enum status status;

	doctor_look(facts, &report);
	keep_own(&report, facts->files[0].path);
	status = report_count(&report, LEVEL_DANGER) || (o->strict && report_count(&report, LEVEL_WARNING))
		? STATUS_DANGER
		: STATUS_GOOD;
	checked->report = &report;
	checked->exit_status = (int)status;
	if (o->json) {
		check_show_json(checked, stdout);
	} else {
		puts("\nWhat is dangerous, or worth a word");
		show_report(&nothing, &report, stdout);
	}
	doctor_report_fini(&report);
	return status;
}

static enum status check_text(struct doctor_facts *facts, const struct options *o, struct span text)
{
	struct pooler_file *file = &facts->files[0], other = { 0 };
	struct warnings warnings = { 0 };
	struct checked checked = { .facts = facts, .file = file };
	char error[600], unseen[600];
	enum status status = STATUS_USAGE;

	if (!read_config(file, o, text, MANNER_PGWEIR, &warnings, error, sizeof error)) {
		buf_fini(&warnings.text);
		show_text(unseen, sizeof unseen, 0, span_text(error));
		fprintf(stderr, "pgweir check: %s\n", unseen);
		return STATUS_USAGE;
	}
	facts->file_count = 1;
	if (read_config(&other, o, text, MANNER_PGBOUNCER, NULL, unseen, sizeof unseen))
		checked.like = other.config;
	if (!o->offline)
		check_ask_servers(facts, file, o->url);
	for (size_t i = 0; i < facts->server_count; i++) {
		if (facts->cores == 0 && facts->servers[i].local)
			facts->cores = (int)cores_count();
	}
	checked.ignored = buf_span(&warnings.text);
	if (!o->json) {
		check_show_meaning(facts, file, stdout);
		check_show_differences(file->config, checked.like, stdout);
		show_warnings(&warnings);
	}
	if (*file->config->auth_file && !file->secrets_read) {
		show_text(unseen, sizeof unseen, 0, span_text(file->secrets_problem));
		fprintf(stderr, "pgweir check: auth_file: %s\n", unseen);
	} else if (!would_start(o, error, sizeof error)) {
		show_text(unseen, sizeof unseen, 0, span_text(error));
		fprintf(stderr, "pgweir check: pgweir would not start with it: %s\n", unseen);
	} else {
		status = judge(facts, o, &checked);
	}
	config_drop(other.config);
	buf_fini(&warnings.text);
	return status;
}

int main(int argc, char **argv)
{
	static char name[] = "pgweir check"; /* what getopt begins its complaints with */
	struct doctor_facts *facts = memory_new(1, sizeof *facts);
	struct options o = { 0 };
	char error[400], *text;
	size_t length;
	enum status status;
	bool ended;

	process_standard(name);
	if (argc > 0)
		argv[0] = name;
	status = read_options(argc, argv, &o, &ended);
	if (!ended && !file_read(o.file, DOCTOR_FILE_MOST, &text, &length, error, sizeof error)) {
		fprintf(stderr, "pgweir check: %s\nTo have one written: pgweir init URL -o FILE.ini\n", error);
		status = STATUS_USAGE;
		ended = true;
	}
	if (!ended) {
		facts->cores = o.cores;
		facts->poolers = o.poolers;
		status = check_text(facts, &o, span_of(text, length));
		secret_wipe(text, length);
		free(text);
		doctor_facts_fini(facts);
	}
	free(facts);
	return (int)status;
}
