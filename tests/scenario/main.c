/* Tells the core a story and compares what it asks for, line by line.
 *
 *   client 1 wants a server        -> dial server 1          what happens -> every effect, in order, with ", " between
 *   server 1 ready                 -> lend server 1 to client 1
 *   2s pass                                                  no arrow: nothing may be asked for
 *                                  -> close server 1 (idle)  a line that begins with the arrow goes on with the line before
 *
 * A story is a file; its first comment is its name. The words:
 *
 *   machine workers 2 servers 100                      before all others; one worker and 1000 servers without it
 *   rules limit busy|all clients N idle_timeout 10m login_retry 15s check_delay 30s check on reserve_timeout 5s
 *         orphan_timeout 60s round_robin on origin_clients N origin_login_rate N pool_idle_timeout 0 autodb_idle_timeout 0
 *                                                      what is not named goes back to its default: see rules_default
 *   database app servers N clients N automatic
 *   pool app/web size N min N reserve N lifetime 1h user_servers N user_clients N forced fast_close fair origin_servers N at db1
 *   instance db1 visit | left                           a server of a pool with several hosts asks for a place there; gives it back
 *   instance db1 budget N|unknown aside N              what was read of that PostgreSQL server; without a word: what is so there
 *   client 1 enters [on worker 1] · named [app/web] · settled · logs in [app/web] [on worker 1] (all three)
 *          · wants a server [of app/web] [since 3s] [rather server 1] · gives up · drops a database · leaves
 *          · enters, logs in: also [of origin billing [at 10.0.0.7] [weighs N]]
 *   clients 1..100 ...                                 each of them the same; effects are counted: "admit x200"
 *   server 1 ready · cleaning · arrives · closing · unfit · lost · cut (lost, not proven) · full [for its role|for its database]
 *          · starting · greeting (connect_query ended it) · refused CODE TEXT
 *   operator 1 pauses · suspends · resumes · kills · reconnects · waits · disables · enables [app] · hangs up · cancels · removes app
 *   worker 0 sent all [of suspension 1] · consoles leave
 *   shutdown servers|clients|now
 *   30s pass                                           with a TICK whenever one is due
 *   audit · picture app/web · totals                   told after the arrow
 *
 * A client keeps its worker and pool; the pool named last is meant where none is named. After each line the core is
 * audited. */
#include "story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"

static const struct {
	const char *word;
	void (*tell)(struct story *);
} subjects[] = { { "machine", tell_machine }, { "rules", tell_rules }, { "database", tell_database },
	{ "pool", tell_pool }, { "instance", tell_instance }, { "client", tell_client }, { "clients", tell_clients },
	{ "server", tell_server }, { "operator", tell_operator }, { "shutdown", tell_shutdown },
	{ "worker", tell_worker }, { "consoles", tell_consoles }, { "picture", tell_picture },
	{ "totals", tell_totals }, { "audit", tell_audit } };

static void begin_core(struct story *t)
{
	struct core_rules rules = rules_default();

	t->core = core_new(&t->setup);
	core_set_rules(t->core, &rules, t->now, &t->effects);
}

static void tell_line(struct story *t)
{
	const char *subject = t->words[0];
	time_us length;

	t->at = 1;
	if (!t->core && strcmp(subject, "machine") != 0)
		begin_core(t);
	if (t->words[1] && strcmp(t->words[1], "pass") == 0 && parse_time(subject, &length)) {
		t->at = 2;
		time_passes(t, length);
	} else {
		size_t i = 0, count = sizeof(subjects) / sizeof(subjects[0]);

		while (i < count && strcmp(subjects[i].word, subject) != 0)
			i++;
		if (i == count)
			wrong(t, "'%s' is not a word that begins a line", subject);
		else
			subjects[i].tell(t);
	}
	if (!t->wrong && t->words[t->at])
		wrong(t, "'%s' is not understood here", t->words[t->at]);
}

static bool differs(struct story *t)
{
	struct span said = buf_span(&t->said), expected = buf_span(&t->expected);

	if (span_equal(said, expected))
		return false;
	text_format(trouble, sizeof(trouble), "differs");
	printf("# %s:%u: %s\n", t->path, t->first_line, t->line_text);
	printf("#   expected  %.*s\n", (int)expected.length, expected.length ? (const char *)expected.at : "");
	printf("#   happened  %.*s\n", (int)said.length, said.length ? (const char *)said.at : "");
	return true;
}

static void expect(struct story *t, char *text)
{
	struct span trimmed = text_trim(span_text(text));

	if (span_is(trimmed, "nothing") && t->expected.length == 0 && strncmp(t->line_text, "picture", 7) != 0 &&
		strncmp(t->line_text, "totals", 6) != 0)
		return;
	check(buf_format(
		&t->expected, "%s%.*s", t->expected.length ? ", " : "", (int)trimmed.length, (const char *)trimmed.at));
}

/* Play the line whose arrow lines are all read by now. False: it differs or makes no sense. */
static bool play(struct story *t, char *line)
{
	static char copy[LINE_MAX_];
	unsigned count = 0;
	char *at = copy;

	if (!*line)
		return true;
	t->line_text = line;
	text_copy(copy, sizeof(copy), line);
	while (*at && count < WORDS_MAX) {
		t->words[count++] = at;
		at += strcspn(at, " \t");
		while (*at == ' ' || *at == '\t')
			*at++ = 0;
	}
	t->words[count] = NULL;
	buf_clear(&t->said);
	tell_line(t);
	if (t->wrong) {
		printf("# %s:%u: %s\n#   %s\n", t->path, t->first_line, line, trouble);
		return false;
	}
	if (differs(t))
		return false;
	buf_clear(&t->expected);
	*line = 0;
	return true;
}

static void story_fini(struct story *t)
{
	core_free(t->core);
	effects_fini(&t->effects);
	buf_fini(&t->said);
	buf_fini(&t->expected);
	free(t);
}

static bool story_told(const char *path, char *name, size_t name_size)
{
	struct story *t = calloc(1, sizeof(*t));
	FILE *file = fopen(path, "r");
	static char line[LINE_MAX_], pending[LINE_MAX_];
	bool good = true;

	check(t != NULL);
	text_copy(name, name_size, path);
	if (!file) {
		printf("# %s: can not be read\n", path);
		free(t);
		return false;
	}
	t->path = path;
	t->now = SECOND_US;
	t->setup = (struct core_setup){ .workers = 1, .servers_max = 1000 };
	pending[0] = 0;
	while (good && fgets(line, sizeof(line), file)) {
		char *arrow, *hash = strchr(line, '#');
		struct span left;

		t->line++;
		line[strcspn(line, "\n")] = 0;
		if (hash == line && !t->name[0]) {
			text_copy_span(t->name, sizeof(t->name), text_trim(span_text(line + 1)));
			text_format(name, name_size, "%s", t->name);
		}
		if (hash)
			*hash = 0;
		arrow = strstr(line, "->");
		if (arrow)
			*arrow = 0;
		left = text_trim(span_text(line));
		if (left.length) {
			good = play(t, pending);
			text_copy_span(pending, sizeof(pending), left);
			t->first_line = t->line;
			t->line_text = pending;
		}
		if (arrow && good)
			expect(t, arrow + 2);
	}
	good = good && play(t, pending);
	fclose(file);
	story_fini(t);
	return good;
}

int main(int argc, char **argv)
{
	char name[300];
	int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..%d\n", argc - 1);
	for (int i = 1; i < argc; i++) {
		bool good = story_told(argv[i], name, sizeof(name));

		printf("%s %d - %s\n", good ? "ok" : "not ok", i, name);
		failed += !good;
	}
	return failed ? 1 : 0;
}
