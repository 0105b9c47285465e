#include <getopt.h>
#include <stdio.h>
#include <time.h>

#include "base/hash.h"
#include "base/text.h"
#include "io/clock.h"
#include "io/file.h"
#include "tool/json.h"
#include "tool/logs_errors.h"
#include "tool/logs_read.h"
#include "tool/manual.h"

/* `pgweir logs`: what went wrong with connections, from what PostgreSQL, poolers and applications wrote about it. The safe form of
 * `tail -f | grep FATAL`:
 *
 *     file --read--> lines --line, time--> errors --count--> groups --> text or JSON
 *
 *     logs_read       pieces of a file, gzip or not; lines of any length
 *     logs_line, _time    whose line it is, when, of whom, and what it says
 *     logs_errors     the table of what is known
 *     logs_count      how often, when, of whom; bounded */

enum status { STATUS_READ = 0, STATUS_UNREAD = 1, STATUS_USAGE = 2 };

struct options {
	bool json;
	time_us since;
};

/* How long ago, or a time; a time without its zone is UTC, as all that we print. */
static bool read_since(const char *text, time_us *since)
{
	time_us ago;
	char whole[64];
	size_t length = strlen(text);

	if (text_to_duration(span_text(text), &ago)) {
		*since = clock_wall() - ago;
		return *since > 0;
	}
	if (length > 40)
		return false;
	text_format(whole, sizeof whole, "%s%s%s", text, length == 10 ? " 00:00" : "",
		length == 10 || length == 16 ? ":00 UTC" : "");
	if (length == 19)
		text_format(whole, sizeof whole, "%s UTC", text);
	return logs_time_find(span_text(whole), 0, since) && *since > 0;
}

static void print_wrapped(const char *title, const char *text)
{
	enum { WIDTH = 110, INDENT = 16 };
	size_t column = INDENT;

	printf("    %-12s", title);
	while (*text) {
		size_t word = strcspn(text, " ");

		if (column > INDENT && column + 1 + word > WIDTH) {
			printf("\n%*s", INDENT, "");
			column = INDENT;
		}
		printf("%s%.*s", column > INDENT ? " " : "", (int)word, text);
		column += word + (column > INDENT);
		text += word + (text[word] == ' ');
	}
	putchar('\n');
}

static const char *const who_names[LOGS_WHO] = { "database", "user", "address", "application" };

static void print_who(const struct logs_group *group)
{
	for (int who = 0; who < LOGS_WHO; who++) {
		const struct tally *tally = &group->who[who];

		if (tally->used == 0)
			continue;
		printf("    %-12s", who_names[who]);
		for (uint32_t i = 0; i < tally->used && i < 5; i++) {
			char shown[120];

			show_text(shown, sizeof shown, 40, span_text(tally->rows[i].text));
			printf("%s%s (%s%llu)", i ? ", " : "", shown, tally->rough ? "about " : "",
				(unsigned long long)tally->rows[i].count);
		}
		if (tally->used > 5)
			printf(", and %u%s more", tally->used - 5, tally->rough ? " or" : "");
		putchar('\n');
	}
}

static void print_group(const struct logs_group *group)
{
	const struct logs_error *known = group->error >= 0 ? &logs_errors[group->error] : NULL;
	char shown[600], first[24], last[24], busiest[24];
	time_us peak_at = 0;
	uint32_t peak = logs_group_peak(group, &peak_at);
	const char *between = "";

	show_text(shown, sizeof shown, 160, span_text(known ? known->name : group->words));
	printf("\n%llu x  %s%s\n", (unsigned long long)group->count, shown, known ? "" : "  (not in the table)");
	show_text(shown, sizeof shown, 160, span_text(group->sample));
	printf("    %-12s%s\n", "says", shown);
	if (group->timed > 0) {
		logs_time_text(first, group->first);
		logs_time_text(last, group->last);
		logs_time_text(busiest, peak_at);
		printf("    %-12s%s to %s UTC; %u in the busiest minute (%.16s)\n", "when", first, last, peak, busiest);
	}
	printf("    %-12s", "told by");
	for (int i = 0; i < LOGS_SOURCES; i++) {
		if (group->sources[i] == 0)
			continue;
		printf("%s%s (%llu)", between, logs_source_names[i], (unsigned long long)group->sources[i]);
		between = ", ";
	}
	putchar('\n');
	print_who(group);
	if (known) {
		print_wrapped("means", known->means);
		print_wrapped("do", known->cure);
	}
}

static void print_text(struct logs_count *count)
{
	const struct logs_group *const *groups;
	size_t used = logs_count_groups(count, &groups);
	struct logs_totals t = logs_count_totals(count);

	printf("%llu line%s, %llu error%s of connections, %zu kind%s\n", (unsigned long long)t.lines,
		text_plural(t.lines), (unsigned long long)t.errors, text_plural(t.errors), used, text_plural(used));
	if (t.older > 0)
		printf("%llu error%s older than --since\n", (unsigned long long)t.older, text_plural(t.older));
	if (t.undated > 0)
		printf("%llu error%s without a time, left out because of --since\n", (unsigned long long)t.undated,
			text_plural(t.undated));
	for (size_t i = 0; i < used; i++)
		print_group(groups[i]);
	if (t.unknown_more > 0)
		printf("\n%llu x  others that are not in the table\n", (unsigned long long)t.unknown_more);
}

static json_t *json_time(time_us when)
{
	char text[24], whole[32];

	text_format(whole, sizeof whole, "%sZ", logs_time_text(text, when));
	whole[10] = 'T';
	return memory_got(json_string(whole));
}

static json_t *json_group(const struct logs_group *group)
{
	const struct logs_error *known = group->error >= 0 ? &logs_errors[group->error] : NULL;
	json_t *object = memory_got(json_object()), *sources = memory_got(json_object());
	time_us peak_at = 0;
	uint32_t peak = logs_group_peak(group, &peak_at);

	object_set(object, "key", known ? text_json(span_text(known->key)) : json_null());
	object_set(object, "name", text_json(span_text(known ? known->name : group->words)));
	object_set(object, "count", json_integer((json_int_t)group->count));
	object_set(object, "sample", text_json(span_text(group->sample)));
	object_set(object, "first", group->timed ? json_time(group->first) : json_null());
	object_set(object, "last", group->timed ? json_time(group->last) : json_null());
	object_set(object, "busiest_minute", peak ? json_time(peak_at) : json_null());
	object_set(object, "busiest_minute_count", json_integer(peak));
	for (int i = 0; i < LOGS_SOURCES; i++) {
		if (group->sources[i] > 0)
			object_set(sources, logs_source_names[i], json_integer((json_int_t)group->sources[i]));
	}
	object_set(object, "sources", sources);
	for (int who = 0; who < LOGS_WHO; who++) {
		json_t *list = memory_got(json_array());

		for (uint32_t i = 0; i < group->who[who].used; i++) {
			json_t *row = memory_got(json_object());

			object_set(row, "name", text_json(span_text(group->who[who].rows[i].text)));
			object_set(row, "count", json_integer((json_int_t)group->who[who].rows[i].count));
			array_append(list, row);
		}
		object_set(object, who_names[who], list);
	}
	object_set(object, "means", known ? text_json(span_text(known->means)) : json_null());
	object_set(object, "do", known ? text_json(span_text(known->cure)) : json_null());
	return object;
}

static void print_json(struct logs_count *count, bool complete)
{
	const struct logs_group *const *groups;
	size_t used = logs_count_groups(count, &groups);
	struct logs_totals t = logs_count_totals(count);
	json_t *document = memory_got(json_object()), *list = memory_got(json_array());

	for (size_t i = 0; i < used; i++)
		array_append(list, json_group(groups[i]));
	object_set(document, "lines", json_integer((json_int_t)t.lines));
	object_set(document, "errors", json_integer((json_int_t)t.errors));
	object_set(document, "older", json_integer((json_int_t)t.older));
	object_set(document, "undated", json_integer((json_int_t)t.undated));
	object_set(document, "others", json_integer((json_int_t)t.unknown_more));
	object_set(document, "complete", json_boolean(complete));
	object_set(document, "groups", list);
	json_dumpf(document, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(document);
}

static int run(const struct options *o, int count, char **files)
{
	struct logs_count *found = logs_count_new(o->since, clock_wall() + 24 * 3600 * SECOND_US);
	int status = STATUS_READ;
	uint64_t key[2];

	entropy_fill(key, sizeof key);
	hash_set_key(key[0], key[1]);
	for (int i = 0; i < count; i++) {
		char error[600], shown[800];

		if (logs_read(found, files[i], error, sizeof error))
			continue;
		show_text(shown, sizeof shown, 0, span_text(error));
		fprintf(stderr, "pgweir logs: %s\n", shown);
		status = STATUS_UNREAD;
	}
	if (o->json)
		print_json(found, status == STATUS_READ);
	else
		print_text(found);
	logs_count_free(found);
	return status;
}

int main(int argc, char **argv)
{
	static const struct option table[] = { { "since", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' }, { 0 } };
	static char name[] = "pgweir logs"; /* what getopt begins its complaints with */
	struct options o = { 0 };
	int option;

	tzset();
	process_standard(name);
	if (argc > 0)
		argv[0] = name;
	while ((option = getopt_long(argc, argv, "s:jh", table, NULL)) != -1) {
		switch (option) {
		case 's':
			if (!read_since(optarg, &o.since))
				return usage_error(
					"logs", "--since wants 30m, 2h, 1d or \"2026-11-25 10:00\", not ", optarg);
			break;
		case 'j':
			o.json = true;
			break;
		case 'h':
			manual_help("logs", stdout);
			return STATUS_READ;
		default:
			manual_unknown_option("logs", argv, optind);
			return STATUS_USAGE;
		}
	}
	if (optind == argc)
		return usage_error("logs", "which FILE? - is standard input", "");
	return run(&o, argc - optind, argv + optind);
}
