#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "config/schema.h"
#include "core/leak.h"
#include "tool/logs_errors.h"
#include "tools/gendoc.h"
#include "view/metrics_table.h"

/* Prints a page of doc/ from the table that the program itself goes by: "settings" from src/config/schema.c, "leaks" from
 * src/core/leak_patterns.c, "logs" from src/tool/logs_errors.c, "metrics" from src/view/metrics_table.c; "man PAGE" and "completion SHELL" from src/tool/manual_pages.c. Called by
 * tools/gendoc, which compiles it. */

static const char head[] =
	"# Settings\n"
	"\n"
	"<!-- Made by tools/gendoc from src/config/schema.c; edit there. -->\n"
	"\n"
	"The file has PgBouncer's form:\n"
	"\n"
	"```ini\n"
	"; a comment, as is a line that begins with #\n"
	"[databases]\n"
	"app = host=127.0.0.1 port=5432 dbname=app password='two words'\n"
	"* = host=127.0.0.1\n"
	"\n"
	"[users]\n"
	"reports = pool_size=3 query_timeout=600\n"
	"\n"
	"[pgbouncer]\n"
	"listen_addr = 127.0.0.1\n"
	"auth_file = userlist.txt\n"
	"%include more.ini\n"
	"```\n"
	"\n"
	"- A value is the rest of its line without the spaces at its ends; there are no quotes and no comments behind it (behind a `[section]` there may be one).\n"
	"- A name with other letters than `A-Z a-z 0-9 _ . - *` stands in single quotes, in which `''` is one quote.\n"
	"- In `[databases]` and `[users]` the value is a list of `key=value`; single quotes are needed around spaces.\n"
	"- `%include` names a file, relative to the current directory; it may be nested ten deep.\n"
	"- The last value of a setting holds, and so does the last line about a database or user. Several sections of one name "
	"continue one another; `[pgweir]` means the same as `[pgbouncer]`.\n"
	"- Times are seconds without a unit, and decimals are allowed where nothing else is said. Switches are `0` or `1`.\n"
	"- `-o KEY=VALUE` on the command line beats the file; `-o databases.NAME=...` and `-o users.NAME=...` are lines of those "
	"sections.\n"
	"\n"
	"An unknown setting or a bad value is an error that says file, line, what was found and what is allowed; nothing of such a "
	"file takes effect, on RELOAD neither. **live** means that RELOAD and `SET` on the console change the setting; the others "
	"need a restart. **since** is the version of PgBouncer that brought it.\n";

/* Text in a cell of a table: '|' would end it, '<' begin a tag. */
static void print_cell(const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			fputs("\\|", stdout);
		else if (*text == '<')
			fputs("&lt;", stdout);
		else
			putchar(*text);
	}
}

static void print_words(const struct setting_word *words)
{
	const char *between = " One of ";

	for (; words && words->text; words++) {
		if (words->value < 0)
			continue;
		printf("%s`%s`", between, words->text);
		between = ", ";
	}
	if (*between == ',')
		putchar('.');
}

static void print_row(const struct setting *row, bool entry)
{
	printf("| `%s` | ", row->key);
	if (entry)
		print_cell(row->standard);
	else if (*row->standard)
		printf("`%s`", row->standard);
	printf(" | %s | ", row->unit);
	if (!entry)
		printf("%s | ", row->reloadable ? "live" : "");
	printf("%s | ", row->since);
	print_cell(row->what);
	print_words(row->words);
	if (row->alias)
		printf(" Also `%s`.", row->alias);
	if (row->standard_pgbouncer)
		printf(" Called as `pgbouncer`: `%s`.", row->standard_pgbouncer);
	puts(" |");
}

static void print_settings(const char *title, bool ours)
{
	printf("\n## %s\n\n| setting | default | unit | | since | what |\n|---|---|---|---|---|---|\n", title);
	for (size_t i = 0; i < schema_settings_count; i++) {
		const struct setting *row = &schema_settings[i];

		if (row->built == BUILT && ours == (strcmp(row->since, "pgweir") == 0))
			print_row(row, false);
	}
}

static void print_entries(const char *title, const char *text, const struct setting *rows, size_t count)
{
	printf("\n## %s\n\n%s\n\n| key | default | unit | since | what |\n|---|---|---|---|---|\n", title, text);
	for (size_t i = 0; i < count; i++) {
		if (rows[i].built == BUILT)
			print_row(&rows[i], true);
	}
}

static void print_unbuilt_rows(const char *section, const struct setting *rows, size_t count, enum built built)
{
	for (size_t i = 0; i < count; i++) {
		const struct setting *row = &rows[i];

		if (row->built != built)
			continue;
		printf("| `%s` | %s | ", row->key, section);
		print_cell(row->what);
		printf(" | ");
		print_cell(row->lacking);
		puts(" |");
	}
}

static void print_unbuilt(const char *title, const char *text, enum built built)
{
	printf("\n## %s\n\n%s\n\n| key | section | what it is in PgBouncer | here |\n|---|---|---|---|\n", title, text);
	print_unbuilt_rows("[pgbouncer]", schema_settings, schema_settings_count, built);
	print_unbuilt_rows("[databases]", schema_database_keys, schema_database_keys_count, built);
	print_unbuilt_rows("[users]", schema_user_keys, schema_user_keys_count, built);
	print_unbuilt_rows("[peers]", schema_peer_keys, schema_peer_keys_count, built);
}

static void print_settings_page(void)
{
	fputs(head, stdout);
	print_settings("[pgbouncer], as PgBouncer has them", false);
	print_settings("[pgbouncer], ours", true);
	print_entries("[databases]",
		"The entry `*` serves every name that has none of its own. `pgbouncer` and `pgweir` are the console.",
		schema_database_keys, schema_database_keys_count);
	print_entries("[users]",
		"A user's key beats the database's, which beats the setting. The user is the one who logs in to the server: with "
		"`user=` in `[databases]` that one, whoever the client is.",
		schema_user_keys, schema_user_keys_count);
	print_entries("[peers]",
		"The entry's name is the peer's `peer_id`, 1 to 16383; the list may name this process too, so that all can share it "
		"([peers](peers.md)).",
		schema_peer_keys, schema_peer_keys_count);
	print_unbuilt("Known, but not needed here",
		"These have no meaning here. A file that sets one of them to something else than its default is read with a warning.",
		NOT_NEEDED);
}

static const char leaks_head[] =
	"# Leaks\n"
	"\n"
	"<!-- Made by tools/gendoc from src/core/leak_patterns.c and tools/gendoc.c; edit there. -->\n"
	"\n"
	"A **leak** is a client or a lease that outlived its use, with evidence. pgweir looks at every origin (the clients of one user, "
	"database, application_name and address) every `leak_interval`, and names what it finds: the pattern, how sure it is, the sentence "
	"that says why, what is held, how fast it grows, when it will be exhausted, and what to change.\n"
	"\n"
	"Age alone is no evidence. A full pool at rest has old idle clients, a report runs for ten minutes, a deploy doubles the connections "
	"for a while: none of these is a leak, and none gets a verdict.\n"
	"\n"
	"## Two families, and what is not ours\n"
	"\n"
	"| family | what it costs | how it is told |\n"
	"|---|---|---|\n"
	"| **client** | a socket here; PostgreSQL does not notice | clients are opened while others of the same origin lie unused, and are left "
	"in their turn |\n"
	"| **server** | a server, and with it everybody | a lease that does nothing: idle in a transaction beyond the origin's habit, or with a "
	"result that nobody reads |\n"
	"| **not us** | nothing here | people wait at the application, not here: see L7 |\n"
	"\n"
	"The family says what is held, and is never guessed. In session mode a forgotten client holds a server as well, and elsewhere one that is pinned to it (SHOW PINS): then the same "
	"pattern is of the family *server*. Several patterns share their signs; between those decide the driver and the kind of program, as "
	"far as login and process tell them, and where nothing is known the most common one is named.\n"
	"\n"
	"## The signs\n"
	"\n"
	"**Clients.** All of these, over a window of some forty seconds to seven hours (fast leaks show in short windows, slow ones in long):\n"
	"\n"
	"- logins while at least `leak_siblings` clients of the origin are quiet (rest for `leak_quiet`), in most parts of the window;\n"
	"- next to none of the new clients comes back for a second burst;\n"
	"- those that go on being used do not become more in step with those that are not, as in a fleet that grows;\n"
	"- more unused clients and more clients, in both halves of the window and still at its end: 32 at least, 12 where the kind of program "
	"is known for it or they never asked anything, 40 of a tool for people. In session mode more than `leak_siblings` are enough where they keep half "
	"of a full pool or more and others of the origin wait: then it need not grow any more, but must have been filled step by step;\n"
	"- more than Little's law explains by the lifetimes of those that came and went;\n"
	"- and within minutes only what more than doubled the origin: a deploy does not.\n"
	"\n"
	"**Servers.** A client has been idle in a transaction for one and a quarter `leak_hold` at least, and four times as long as 99 of 100 "
	"pauses in transactions of its origin; four times `leak_hold` is remarkable in any case (twenty times for tools for people, unless "
	"somebody waits). Or: holds of seconds end by themselves, but four fifths of all leased time is spent so.\n"
	"\n"
	"**Threads.** A client on this machine whose process pgweir may look into (/proc, as its own user or as root; TCP over loopback) shows how many threads "
	"and how many connections to pgweir that process has. It is looked at under an ASGI server only, with at least `leak_siblings` quiet clients and "
	"at most 1000, and of several processes one. Anywhere else nothing is said that needs it.\n"
	"\n"
	"**Visitors.** The process of such a client (TCP over loopback or by an address of this machine; of several processes one; all its "
	"clients being of one origin) is looked at every `leak_interval`, with a hundredth of a processor at most: which of its connections were made to a port at which "
	"somebody listens, on which of them the visitor has spoken last, and for how long (the kernel's sock_diag, Linux 4.6 or later), and how much its threads worked. A "
	"visitor waits who has had no answer for two `leak_interval`. L7 asks for all of: the process asked something at 12 of the last 24 looks at least; now it has "
	"asked nothing for three times as long as it lately ever rested, and not for more than 24 looks; the first visitor that waits came within two looks of its last "
	"query; five wait, beyond twice as many as ever did in this process before, three of whose words it has read; its threads work, or wait for a processor, less than half of the "
	"time; and it waits for no more answers of others, by TCP, than it ever did. Twice in a row. Pages that need no database, long polls, idle websockets, a night, "
	"long computations and a partner that hangs are not taken for it; `./test leaks` and `./test origins` play them.\n"
	"\n"
	"**Ties.** Of such a process (of up to 16, each with at most 128 threads and 128 clients) it is looked at five times a second which threads have run, for at most half a hundredth of a processor's time, while nine of ten "
	"quiet clients began as Django's do. Whoever used a client ran when it was last at work; a client that is dealt out by a pool loses one suspect after the other, one that belongs to a thread keeps it. "
	"That proves something only where it need not have been so: few of the threads ran, and the client was in a crowd meanwhile (three at work within a "
	"twentieth of a second), which changes the pairs of a pool even if it deals its connections in the order in which the threads take turns. "
	"[Decision 10](decisions/0010-ties.md) has what was tried.\n"
	"\n"
	"**Growth** is the median of the slopes between all pairs of samples (Theil and Sen), so that one burst does not bend it. The forecast "
	"is what is left of the limit that is reached first (that of all, or what its database, its user or the origin may have; of servers also what "
	"others leave of `max_db_connections`, `max_user_connections` and PostgreSQL's room) divided by it, and is given only while the growth is steady. **Confidence** begins at about 60 percent and "
	"rises with the number, with time and where the kind of program is known.\n"
	"\n"
	"**Severity**: *low*, it does not grow; *growing*; *urgent*, somebody waits for what is held, also in another pool that shares its limit (with L7: at the application), or it ends within ten minutes.\n"
	"\n"
	"A verdict ends when what was held is gone: three quarters of the clients, or every hold, for half a minute. That is said as well, "
	"for a hold that comes back after all was no leak. A restart ends it as well, and what then grows again is told again as soon as at first: "
	"what goes at once while a leak lasts is not taken for how long this origin's clients live or its transactions rest.\n"
	"\n"
	"## What is not told\n"
	"\n"
	"- A pool of threads that fills within a minute and then rests, unless its clients can be seen to be tied to those threads (L3, see *Ties*). It "
	"looks like any pool, and is taken for one: a thread is made when all others are busy, is asked in its turn and rests between, and so is a "
	"connection of a pool that is larger than it need be; they even grow in the same steps (`./test leaks` plays that too: uvicorn-pooled, uvicorn-full).\n"
	"- Ties, before each of several crowds has been followed by single requests: with six threads in each of three processes, ten requests at once every two seconds and single ones "
	"between, that took 68 to 88 seconds.\n"
	"- Ties of few threads to each process that are nearly always at work together, of threads that no crowd ever met, of processes on other machines, and on a "
	"machine so busy that a thread gets no processor for a quarter of a second. SHOW ORIGINS has their number; behind pgweir they cost a socket each. "
	"`pgweir doctor` finds the mistake in the source, where it can be seen.\n"
	"- Connections that garbage collection ends before there are a few dozen (L1 makes a saw-tooth then), unless it can be seen that no thread "
	"owns them: see L1.\n"
	"- Why a request was cut short (L2, L4): it is called L4.\n"
	"- A leak of clients that was there before anybody looked, until it has grown by as much again, or for half an hour.\n"
	"- Websockets with a connection each that come for longer than a minute, each for longer than that, look like a leak until the "
	"first of them leave; then the verdict ends. So do dozens of workers that log in one by one for longer than half a minute, ask once or LISTEN, and then have nothing "
	"to do: that verdict ends when they are used, or go.\n"
	"- A leak of clients in a fleet that grows meanwhile, unless it loses far more than the fleet brings; it is told when the fleet grows no more.\n"
	"- Fewer than a dozen clients. They are nobody's trouble yet, but where they keep a whole pool in session mode.\n"
	"- Who fills such a pool within a quarter of a minute. That is how a fleet starts which is larger than its pool; whoever waits is told by whom "
	"the servers are held, all the same.\n"
	"- Whether an application that fell silent is broken or asleep (L7, and L8, which is the same from here), where its process can not be seen or is no server: on another "
	"machine or in a container with a network of its own, another user's where pgweir is not root, a client by a unix socket, a proxy that reaches the application by one, "
	"more than 1,024 clients by TCP from this machine, "
	"a worker of a queue. Who waits for a pool inside the application sends nothing to anybody: the wire shows clients that are connected and have no question, as in every "
	"quiet minute. A hint is given only where the silence is out of all habit, which takes a day and a night to learn, and never with more than 25 percent. Nor is it told of an "
	"application that answers, if only with an error, before two `leak_interval` are over, or that few people ask.\n"
	"- What an application waits for inside, where it is not seen to wait for anybody: a lock that nobody releases, a subprocess or a long sleep looks like a pool that has run dry "
	"(L7). Neither the pooler nor PostgreSQL is to blame then either.\n"
	"- Databases named at run time (L20): each has an origin of its own, of one or two clients.\n"
	"\n"
	"Of these, `./test leaks` plays L4, so that it is seen what becomes of it. There is no story of L2 "
	"(it is a fault of one release of Django; the story of L4 plays the same cancel), L8 (L7 is what reaches us of it) and L20.\n"
	"\n"
	"`tests/sim/origins.c` plays thousands of origins, leaking and healthy, and prints who was taken for what: `./test origins`.\n"
	"\n"
	"## The patterns\n"
	"\n"
	"The numbers are those of the catalogue that all messages use.\n";

static const char *family_text(enum leak_family family)
{
	return family == FAMILY_CLIENT ? "client" : family == FAMILY_SERVER ? "server" : "not us";
}

static void print_leaks_page(void)
{
	fputs(leaks_head, stdout);
	for (size_t i = 0; i < leak_patterns_count; i++) {
		const struct leak_pattern *p = &leak_patterns[i];

		printf("\n### %s: %s\n\nFamily: %s.\n\n", p->number, p->name, family_text(p->family));
		printf("- **Cause.** %s\n- **Looks like.** %s\n", p->cause, p->looks);
		printf("- **Sign.** %s\n- **Cure.** %s\n",
			p->sign ? p->sign : "None of its own: there are no verdicts of this number.", p->cure);
	}
}

static const char logs_head[] =
	"# pgweir logs\n"
	"\n"
	"<!-- Made by tools/gendoc from src/tool/logs_errors.c and tools/gendoc.c; edit there. -->\n"
	"\n"
	"Groups, counts and explains the errors of connections in logs, most frequent first.\n"
	"\n"
	"    pgweir logs --since 1h /var/log/postgresql/*.log /var/log/pgbouncer.log\n"
	"    journalctl -u shop | pgweir logs --since 1h -\n"
	"\n"
	"| whose log | how it is known |\n"
	"|---|---|\n"
	"| PostgreSQL | `FATAL:` and its like with two spaces behind; `log_line_prefix` may be any: `user@database` and pairs (`user=%u,db=%d,app=%a,"
	"client=%h`) are understood; csvlog and jsonlog |\n"
	"| PgBouncer, pgweir | `TIME [pid] LEVEL C-...: database/user@address` |\n"
	"| Django, psycopg, SQLAlchemy, asyncpg | the last line of a traceback |\n"
	"| Rails, Node, Java, Go and others | the words of the table behind `error: `, `Error (`, `Exception: `, `FATAL: `, `PG::ConnectionBad: `, `pq: ` and "
	"the like |\n"
	"\n"
	"- Statements, details and hints are not looked at: what only quotes an error is none.\n"
	"- What one log tells twice is counted once: `pooler error: X` and `closing because: X` of one connection; psycopg's exception and the one "
	"Django makes of it. What two logs tell is counted in each; the line *told by* has the shares.\n"
	"- A line without a time has that of the last line before it that had one. Syslog's and journalctl's `Nov 25 10:00:01` is of the "
	"last year in which it is not to come, where the line has no other time. Zones other than UTC, GMT and `+01` are taken for this machine's; all is shown in UTC.\n"
	"- A file may have any size, may be compressed by gzip, and may hold anything: 64 KB of each line are looked at, and memory stays the "
	"same: 11.4 MB at most for a gigabyte of rubbish (`bench/rubbish`). Of names beyond 48 the least frequent give way, and counts are marked *about*.\n"
	"- `FATAL` and `pooler error` that are not in the table are grouped by their words.\n"
	"- `--since` takes `30m`, `2h`, `1d` or a time. `--json` prints one document: `lines`, `errors`, `older`, `undated`, `others`, `complete`, "
	"`groups` (`key`, `name`, `count`, `sample`, `first`, `last`, `busiest_minute`, `busiest_minute_count`, `sources`, `database`, `user`, "
	"`address`, `application`, `means`, `do`). The keys never change.\n"
	"\n"
	"Exit status: 0 read, whatever was found; 1 something could not be read (the rest is shown); 2 wrong usage.\n";

static void print_logs_page(void)
{
	static const char *const areas[LOGS_AREAS] = { "It is full", "The login", "The way there", "Lost connections",
		"Time limits", "What pooling breaks" };

	fputs(logs_head, stdout);
	for (int area = 0; area < LOGS_AREAS; area++) {
		printf("\n## %s\n", areas[area]);
		for (uint32_t i = 0; i < logs_errors_count; i++) {
			const struct logs_error *row = &logs_errors[i];

			if ((int)row->area != area)
				continue;
			printf("\n### %s: %s\n\n", row->key, row->name);
			for (int p = 0; p < LOGS_PATTERNS && row->patterns[p]; p++)
				printf("%s`%s`", p ? ", " : "", row->patterns[p]);
			printf("\n\n- **Means.** %s\n- **Do.** %s\n", row->means, row->cure);
		}
	}
}

static const char metrics_head[] =
	"# Metrics\n"
	"\n"
	"<!-- Made by tools/gendoc from src/view/metrics_table.c and tools/gendoc.c; edit there. -->\n"
	"\n"
	"Where `http_listen` is set ([http.md](http.md)), `/metrics` tells them in Prometheus' text format 0.0.4, or as OpenMetrics 1.0.0 to who "
	"prefers it.\n"
	"\n"
	"```yaml\n"
	"scrape_configs:\n"
	"  - job_name: pgweir\n"
	"    static_configs:\n"
	"      - targets: [127.0.0.1:6433]\n"
	"```\n"
	"\n"
	"`etc/pgweir-alerts.yml` has alerts, each with what to look at and what to do; `etc/grafana-dashboard.json` is a dashboard for Grafana.\n"
	"\n"
	"- Times are in seconds; counters begin at 0 with the process. A scrape within half a second of another tells the same.\n"
	"- **Labels are bounded.** Lines of their own have the first hundred pools (and databases) that came to be, the hundred origins with the most "
	"clients, and a hundred leaks; all others share a line in which every label is `(others)`. There numbers are added up; of ages the "
	"largest is told.\n"
	"- Names are told as the console shows them: control characters and what is not UTF-8 as `\\xNN`, a backslash as two.\n"
	"- What is not known or does not apply has no line.\n"
	"- A histogram has the buckets 0.1, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250 and 500 ms, 1, 2.5, 5, 10, 30 and 60 s, and 5 min.\n"
	"- The `process_` ones are those that Prometheus' own libraries give every program; where /proc can not be read, some have no line.\n"
	"- The `pgbouncer_` ones have the names, labels and meaning of Debian's prometheus-pgbouncer-exporter, so that its dashboards go on working. "
	"Rates that it takes for gauges are counters here.\n";

static const char *type_text(enum metric_type type)
{
	return type == METRIC_COUNTER ? "counter" : type == METRIC_GAUGE ? "gauge" : "histogram";
}

static void print_metric_labels(const struct metric *metric)
{
	const char *between = "";

	for (size_t i = 0; i < METRIC_LABELS && metric->scope->labels[i].name; i++) {
		printf("%s`%s`", between, metric->scope->labels[i].name);
		between = ", ";
	}
	if (metric->more)
		printf("%s`%.*s`", between, (int)strcspn(metric->more, "="), metric->more);
}

/* The values of the label that parts the rows of one name: "lent, idle". */
static void print_more(size_t i)
{
	const char *name = metrics[i].name, *between = " One of ";

	for (; i < metrics_count && strcmp(metrics[i].name, name) == 0 && metrics[i].more; i++) {
		const char *value = strchr(metrics[i].more, '"') + 1;

		printf("%s`%.*s`", between, (int)strcspn(value, "\""), value);
		between = ", ";
	}
	if (*between == ',')
		putchar('.');
}

static void print_metrics(const char *title, const char *prefix)
{
	printf("\n## %s\n\n| metric | type | labels | what |\n|---|---|---|---|\n", title);
	for (size_t i = 0; i < metrics_count; i++) {
		const struct metric *metric = &metrics[i];

		if (strncmp(metric->name, prefix, strlen(prefix)) != 0 ||
			(i > 0 && strcmp(metric->name, metrics[i - 1].name) == 0))
			continue;
		printf("| `%s` | %s | ", metric->name, type_text(metric->type));
		print_metric_labels(metric);
		printf(" | %s", metric->help);
		print_more(i);
		printf("%s |\n", metric->pgbouncer ? " Only when called as `pgbouncer`: promtool wants seconds." : "");
	}
}

static void print_metrics_page(void)
{
	fputs(metrics_head, stdout);
	print_metrics("Ours", "pgweir_");
	print_metrics("As every process has them", "process_");
	print_metrics("As the exporter for PgBouncer has them", "pgbouncer_");
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "settings") == 0)
		print_settings_page();
	else if (argc == 2 && strcmp(argv[1], "leaks") == 0)
		print_leaks_page();
	else if (argc == 2 && strcmp(argv[1], "logs") == 0)
		print_logs_page();
	else if (argc == 2 && strcmp(argv[1], "metrics") == 0)
		print_metrics_page();
	else if (argc == 3 && strcmp(argv[1], "man") == 0)
		return print_man(argv[2]) ? ferror(stdout) != 0 : 2;
	else if (argc == 3 && strcmp(argv[1], "completion") == 0)
		return print_completion(argv[2]) ? ferror(stdout) != 0 : 2;
	else
		return 2;
	return ferror(stdout) != 0;
}
