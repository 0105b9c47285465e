#include "tool/manual.h"

/* One page for each command. A line of --help is 80 letters; what does not fit belongs into `more`. */

#define OPTIONS(array) .options = (array), .option_count = sizeof(array) / sizeof *(array)

static const struct manual_option serve_options[] = {
	{ "--listen ADDRESS:PORT", "with a URL: where to listen; else 127.0.0.1:6432",
		"An address, a port, or both; [::1]:6432 for IPv6, *:6432 for all addresses.", VALUE_TEXT, false },
	{ "-o, --option KEY=VALUE", "a setting that wins; as often as needed",
		"Also databases.NAME='host=... port=...', users.NAME='pool_mode=session' and peers.ID='host=...'.",
		VALUE_SETTING, false },
	{ "-v, --verbose", "say more in the log; twice: everything", NULL, VALUE_NONE, false },
	{ "-R, --reboot", "take the place of the process that runs with FILE.ini",
		"It is reached by its unix socket, and must be run by the same user. Its listening sockets are taken over, so that no "
		"attempt to connect is refused. Its clients stay with it, whatever they are doing, and it ends when the last has "
		"left; neither clients nor servers are carried over. A cancel request finds its client in either.",
		VALUE_NONE, false },
	{ "-d, --daemon", "go to the background, and end when it serves there; needs pidfile", NULL, VALUE_NONE, false },
	{ "--try", "read all that the start reads, say what is wrong, end",
		"Users, rules, keys and certificates too; nothing is listened on.", VALUE_NONE, false },
};

static const struct manual_option init_options[] = {
	{ "-o, --output FILE", "where to write it; else to standard output",
		"The list of users goes beside it: shop.ini has shop-users.txt, which nobody else may read.",
		VALUE_FILE, false },
	{ "--listen ADDRESS:PORT", "where it shall listen (127.0.0.1:6432)", NULL, VALUE_TEXT, false },
	{ "--sample SECONDS", "how long to count who is busy (2)", NULL, VALUE_TEXT, false },
	{ "--cores N", "of the database's machine, where it is not this one", NULL, VALUE_TEXT, false },
	{ "--force", "write over files that are there", NULL, VALUE_NONE, false },
	{ "--json", "sizes, what they follow from, and the ini, as one document", NULL, VALUE_NONE, false },
};

static const struct manual_option check_options[] = {
	{ "-o, --option KEY=VALUE", "a setting that wins, as for pgweir serve", NULL, VALUE_SETTING, false },
	{ "--offline", "ask no PostgreSQL", NULL, VALUE_NONE, false },
	{ "--cores N", "of the database's machine, where it is not this one", NULL, VALUE_TEXT, false },
	{ "--poolers N", "processes that share this file's limits", NULL, VALUE_TEXT, false },
	{ "--strict", "warnings count as danger for the exit status", NULL, VALUE_NONE, false },
	{ "--json", "the same as one document; what ends with 2 is told on standard error", NULL, VALUE_NONE, true },
};

static const struct manual_option reap_options[] = {
	{ "--idle AGE", "idle, outside of a transaction, since AGE (30s, 10m, 2h)", NULL, VALUE_TEXT, false },
	{ "--idle-in-transaction AGE", "idle in a transaction since AGE", "If it has written: --writing-times as long.",
		VALUE_TEXT, false },
	{ "--active AGE", "in the same statement since AGE", "It is cancelled first, and ended if that does not help.",
		VALUE_TEXT, false },
	{ "--user NAME", "of this user; may be repeated, as the next three", NULL, VALUE_TEXT, false },
	{ "--database NAME", "in this database", NULL, VALUE_TEXT, false },
	{ "--application NAME", "of this application_name; * stands for anything", NULL, VALUE_TEXT, false },
	{ "--address CIDR|local", "from this address or network, or over the unix socket", NULL, VALUE_TEXT, false },
	{ "--everyone", "of anybody", NULL, VALUE_NONE, false },
	{ "--execute", "do it; needs an age, and at least one of the five above", NULL, VALUE_NONE, false },
	{ "--limit N", "at most N (20), those that block others first", NULL, VALUE_TEXT, false },
	{ "--allow-application NAME", "never this application", NULL, VALUE_TEXT, true },
	{ "--pooler CIDR|local", "a pooler connects from there: its idle connections are meant to be idle", NULL,
		VALUE_TEXT, true },
	{ "--writing-times N", "how many times as old one must be that has written (3)", NULL, VALUE_TEXT, true },
	{ "--pause AGE", "between one and the next (200ms)", NULL, VALUE_TEXT, true },
	{ "--wait AGE", "for each to be gone (5s)", NULL, VALUE_TEXT, true },
	{ "--show-literals", "statements as they are, with the values in them", NULL, VALUE_NONE, true },
	{ "--json", "one document instead of tables", NULL, VALUE_NONE, true },
};

static const char *const doctor_words[] = { "postgresql://USER@HOST/DB", "a live PostgreSQL, or a pooler's console",
	"pgbouncer.ini, pgweir.ini", "a pooler's file", "settings.py, .env", "Django's DATABASES; lines NAME=URL",
	"DATABASE_URL, NAME=URL", "a setting, which is not connected to", "FILE, FOLDER",
	"source and prose, searched for what leaks", NULL };

static const struct manual_option doctor_options[] = {
	{ "--watch SECONDS", "look every second for that long; name leaks that happen", NULL, VALUE_TEXT, false },
	{ "--wsgi", "the applications are served by WSGI", "Where their settings do not tell.", VALUE_NONE, false },
	{ "--json", "one document", NULL, VALUE_NONE, false },
	{ "--strict", "warnings count as danger for the exit status", NULL, VALUE_NONE, false },
	{ "--sample SECONDS", "how long to count who is busy (2)", NULL, VALUE_TEXT, true },
	{ "--cores N", "of the database's machine, where it is not this one", NULL, VALUE_TEXT, true },
	{ "--poolers N", "processes that share the pooler's file", NULL, VALUE_TEXT, true },
	{ "--request-timeout SECONDS", "after which the application gives up", NULL, VALUE_TEXT, true },
	{ "--tasks N", "tasks at once", NULL, VALUE_TEXT, true },
	{ "--held N", "connections that one of the tasks holds at once", NULL, VALUE_TEXT, true },
	{ "--pace N", "make --watch N times as fast, its thresholds too; for trying it out", NULL, VALUE_TEXT, true },
};

static const char *const logs_words[] = { "FILE", "a log, also compressed by gzip; - is standard input", NULL };

static const struct manual_option logs_options[] = {
	{ "--since WHEN", "nothing older: 30m, 2h, 1d ago, or \"2026-11-25 10:00\" (UTC)",
		"With +0100 behind it, of that zone.", VALUE_TEXT, false },
	{ "--json", "one document", NULL, VALUE_NONE, false },
};

static const char *const top_words[] = { "URL",
	"postgresql://admin@HOST:6432/pgweir tells most; /pgbouncer; or "
	"PostgreSQL itself. Without it: what PGHOST and its like say",
	NULL };

static const struct manual_option top_options[] = {
	{ "--interval AGE", "how often to look (2s)", NULL, VALUE_TEXT, false },
	{ "--idle-in-transaction AGE", "r ends none younger (5m)",
		"On PostgreSQL itself, as for pgweir reap: thrice as long for a transaction that has written.",
		VALUE_TEXT, false },
	{ "--active AGE", "r ends running statements of this age",
		"On PostgreSQL itself, as for pgweir reap. Without it none is old enough.", VALUE_TEXT, false },
	{ "--ascii", "no letters beyond ASCII", "By itself where the locale has no others.", VALUE_NONE, false },
	{ "--once", "print it once, without colours, and end", NULL, VALUE_NONE, false },
	{ "--json", "the same as one JSON document", NULL, VALUE_NONE, false },
};

static const struct manual_option stress_options[] = {
	{ "--sockets N", "how many in a wave (50); --waves N (3)", NULL, VALUE_TEXT, false },
	{ "--message TEXT", "what each sends; {{i}} {{wave}} {{rand}} are filled in",
		"To PostgreSQL it is SQL: SELECT 1.", VALUE_TEXT, false },
	{ "--abuse MODE[=PERCENT]", "what some do wrong: reset, leave, slow ..., or chaos",
		"reset, leave, silent, stop-reading, slow, no-goodbye; chaos is all of these. For ws:// and postgresql:// come-and-go; for "
		"postgresql:// transaction, state, cancel, copy.",
		VALUE_TEXT, false },
	{ "--postgres URL", "where to count connections: PostgreSQL, directly", NULL, VALUE_URL, false },
	{ "--console URL", "the pooler's console: SHOW POOLS, SHOW LEAKS", NULL, VALUE_URL, false },
	{ "--assert EXPRESSION", "such as leaked==0 && p99_connect<200ms",
		"Figures: leaked leaked_per_100 confidence peak failed "
		"dropped wrong errors ..., and p50_ p90_ p99_ p999_ max_ before connect or reply; operators == != < <= > >= && || ! "
		"( ). doc/stress.md has all.",
		VALUE_TEXT, false },
	{ "--knee EXPRESSION", "raise the load until this does not hold any more",
		"Such as 'p99_reply<200ms && errors==0'. Says the most sockets that are served so, and what stands in the way of more.",
		VALUE_TEXT, false },
	{ "--html FILE", "one page with charts; - is standard output",
		"So it is for --json, --junit, --csv and --metrics.", VALUE_FILE, false },
	{ "--waves N", "how many waves (3)", NULL, VALUE_TEXT, true },
	{ "--burst N", "more sockets than --sockets for a moment (a fifth more)", NULL, VALUE_TEXT, true },
	{ "--storm", "the burst is everybody cut off, and back at once", NULL, VALUE_NONE, true },
	{ "--warm-up N", "sockets of the warm-up before the first wave (a tenth)", NULL, VALUE_TEXT, true },
	{ "--baseline AGE", "how long to look before the first socket (3s)", NULL, VALUE_TEXT, true },
	{ "--warm-for AGE", "how long the warm-up lasts (2s)", NULL, VALUE_TEXT, true },
	{ "--ramp AGE", "in how long a wave's sockets come (2s); 50/s: so many a second; 10s/5: in five steps", NULL,
		VALUE_TEXT, true },
	{ "--hold AGE", "how long they stay (5s)", NULL, VALUE_TEXT, true },
	{ "--burst-for AGE", "how long the burst lasts (2s)", NULL, VALUE_TEXT, true },
	{ "--drain AGE", "in how long they go (2s)", NULL, VALUE_TEXT, true },
	{ "--settle AGE", "how long to look afterwards (5s)", NULL, VALUE_TEXT, true },
	{ "--think AGE", "between an answer and the next message (1s)", NULL, VALUE_TEXT, true },
	{ "--timeout AGE", "for a connection, and for an answer (10s)", NULL, VALUE_TEXT, true },
	{ "--sample AGE", "how often to look at PostgreSQL and the pooler (500ms)", NULL, VALUE_TEXT, true },
	{ "--expect TEXT", "that an answer must contain", NULL, VALUE_TEXT, true },
	{ "--expect-match REGEX", "that an answer must fit (POSIX, extended)", NULL, VALUE_TEXT, true },
	{ "--expect-json PATH=VALUE", "a field that an answer must have, such as user.name=ada", NULL, VALUE_TEXT,
		true },
	{ "--first TEXT", "what each websocket sends once, when it is open", NULL, VALUE_TEXT, true },
	{ "--values FILE", "a CSV whose names are filled in as {{name}}, a row for each socket", NULL, VALUE_FILE,
		true },
	{ "--method METHOD", "of HTTP requests: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS (GET; POST with --data)",
		NULL, VALUE_TEXT, true },
	{ "--data TEXT", "the body of each HTTP request; filled in like a message", NULL, VALUE_TEXT, true },
	{ "--header TEXT", "a line \"Name: value\" of each request; may be repeated", NULL, VALUE_TEXT, true },
	{ "--source ADDRESSES", "websockets and HTTP: the addresses to leave from by turns, with commas between",
		"A target has as many ports for each as one address has (28 thousand, unless it was changed).",
		VALUE_TEXT, true },
	{ "--subprotocol NAME", "of the websocket", NULL, VALUE_TEXT, true },
	{ "--prepared", "PostgreSQL: prepare the message once, then run it", NULL, VALUE_NONE, true },
	{ "--insecure", "take any certificate", NULL, VALUE_NONE, true },
	{ "--seed N", "to repeat a run", NULL, VALUE_TEXT, true },
	{ "--role NAME", "count only this role's connections (whoever is no superuser)", NULL, VALUE_TEXT, true },
	{ "--may-keep N", "connections that the application's own pool may keep (0)", NULL, VALUE_TEXT, true },
	{ "--json FILE", "the report as JSON", NULL, VALUE_FILE, true },
	{ "--junit FILE", "the report as JUnit's XML", NULL, VALUE_FILE, true },
	{ "--csv FILE", "the timeline as a table", NULL, VALUE_FILE, true },
	{ "--metrics FILE", "the figures as Prometheus reads them", NULL, VALUE_FILE, true },
	{ "--preflight", "only say what would cap the run, and open nothing", NULL, VALUE_NONE, true },
	{ "--quiet", "nothing for people", NULL, VALUE_NONE, true },
	{ "--i-own-this-target", "the target is not on this machine, and is yours", NULL, VALUE_NONE, true },
};

const struct manual manuals[] = {
	{
		.name = "serve",
		.arguments =
			"FILE.ini [-o KEY=VALUE]... [-v]... [-R] [-d]\nURL [--listen ADDRESS:PORT] [-o KEY=VALUE]...",
		.brief = "stand in front of PostgreSQL, in the foreground",
		.about = "Reads FILE.ini (PgBouncer's format) and serves until it is told to stop. With a URL, "
			 "postgresql://user:password@host/database, no file is needed: clients log in as the URL's user with "
			 "its password, and are pooled by transaction.",
		.more = "The log goes to standard error and to logfile. What the URL leaves out is taken from PGUSER, "
			"PGPASSWORD, PGHOST, PGPORT and PGDATABASE. A password in a command line can be read by everybody on "
			"the machine until pgweir has hidden it; PGPASSWORD can not.\n\n"
			"Signals: HUP reads the file again, all of it or, if it is bad, none; INT waits for running "
			"transactions; TERM waits for clients to leave; either a second time, or QUIT, ends at once; USR1 "
			"pauses, USR2 resumes.",
		OPTIONS(serve_options),
		.last = "Signals: HUP reads the file again; INT waits for transactions, TERM for clients to leave, a second "
			"one or QUIT for nobody; USR1 pauses, USR2 resumes.",
		.statuses = "0 it was told to end; 1 it could not start",
		.example = "pgweir serve postgresql://app:secret@db.example/app",
		.then = "psql postgresql://app:secret@127.0.0.1:6432/app",
		.see = "doc/first-five-minutes.md",
		.operand = VALUE_FILE,
	},
	{
		.name = "init",
		.arguments = "URL [-o FILE.ini]",
		.brief = "write a commented ini with sizes that fit this PostgreSQL",
		.about = "Logs in with postgresql://user:password@host/database, reads max_connections, reserved slots, the "
			 "limits of role and database and who is connected, and writes an ini with sizes that fit, each with "
			 "the figures that it follows from. Nothing is changed at the server.",
		.more = "Without FILE.ini it is printed, and standard error has the list of users that goes with it. A "
			"superuser's URL tells most: the secrets of all roles are then copied as PostgreSQL stores them. Else "
			"the list has the URL's user and password alone.",
		OPTIONS(init_options),
		.statuses = "0 written; 1 the server was not reached, or a file could not be written; 2 wrong usage",
		.example = "pgweir init postgresql://app:secret@db.example/app -o pgweir.ini",
		.then = "pgweir check pgweir.ini && pgweir serve pgweir.ini",
		.see = "doc/sizing.md",
		.operand = VALUE_URL,
	},
	{
		.name = "check",
		.arguments = "FILE.ini [URL] [-o KEY=VALUE]...",
		.brief = "what an ini means, where PgBouncer differs, what is dangerous",
		.about = "Prints what pgweir understands of FILE.ini, where it does other than PgBouncer would with the same "
			 "file, and what is dangerous, with the rules of pgweir doctor. Sizes are held against the PostgreSQL "
			 "servers that the file names, as far as they answer; URL says as whom to ask.",
		.more = "Without URL it asks as the forced user of the entry, or as the first user of auth_file whose password "
			"is known. Nothing is changed, and nothing is listened on: a pgweir that runs with the file is not "
			"disturbed.",
		OPTIONS(check_options),
		.statuses = "0 good; 1 something is dangerous; 2 the file can not be used, or wrong usage",
		.example = "pgweir check /etc/pgweir/pgweir.ini && systemctl reload pgweir",
		.see = "doc/sizing.md",
		.operand = VALUE_FILE,
	},
	{
		.name = "top",
		.arguments = "[URL] [--interval AGE] [--once | --json]",
		.brief = "who holds the connections, live",
		.about = "Leaks in words, pools as bars with their last minutes, origins by what they hold, leases with their "
			 "statements, and who waits behind whom: of pgweir, of PgBouncer, or of PostgreSQL itself.",
		.more = "URL leads to one of these: postgresql://admin@HOST:6432/pgweir, pgweir's console, which tells most; "
			"postgresql://admin@HOST:6432/pgbouncer, PgBouncer's, which has no statements and no ages of leases; "
			"postgresql://USER@HOST/DB, PostgreSQL itself, where a member of pg_read_all_stats sees most.\n\n"
			"NO_COLOR is obeyed.",
		.words = top_words,
		OPTIONS(top_options),
		.last = "Keys: arrows choose; Enter into an origin or lease, Esc back; Tab origins or leases; s sorts, w by who is "
			"waited for; / filters; r ends the chosen client, shown first; p pauses; q ends.",
		.statuses = "0 fine; 1 nothing could be read; 2 wrong usage",
		.example = "pgweir top postgresql://admin@127.0.0.1:6432/pgweir",
		.see = "doc/top.md",
		.operand = VALUE_URL,
	},
	{
		.name = "doctor",
		.arguments = "[URL | FILE | FOLDER | NAME=URL | DATABASE_URL]...",
		.brief = "what is wrong with an application, its pooler, its PostgreSQL",
		.about = "Says what is wrong with how an application reaches PostgreSQL, worst first: evidence, why it hurts, and "
			 "the edit to make. Changes nothing and runs nothing of yours. The more it is given, the better:",
		.more = "A superuser or a member of pg_read_all_stats sees most. The console of a running pooler is "
			"postgresql://USER@HOST:6432/pgbouncer, or pgweir.",
		.words = doctor_words,
		OPTIONS(doctor_options),
		.statuses = "0 no danger; 1 danger; 2 wrong usage, or not all could be read",
		.example = "pgweir doctor postgresql://me@localhost/shop pgbouncer.ini settings.py",
		.see = "doc/doctor.md",
		.operand = VALUE_FILE,
	},
	{
		.name = "reap",
		.arguments = "URL [which sessions] [--execute]",
		.brief = "end sessions of any PostgreSQL that were left behind",
		.about = "Ends sessions of any PostgreSQL (12 or newer) that were left behind, and no others. Without --execute it "
			 "only says which; without an age it takes --idle 10m --idle-in-transaction 5m.",
		.more = "Superusers, replication, backups and holders of locks always stay; doc/reap.md has the list.",
		OPTIONS(reap_options),
		.statuses =
			"0 nothing to do, or done; 1 failed; 2 wrong usage; 3 something stayed; 4 a dry run found something",
		.example = "pgweir reap postgresql://me@db.example/shop --idle 10m --database shop",
		.see = "doc/reap.md",
		.operand = VALUE_URL,
	},
	{
		.name = "logs",
		.arguments = "[--since WHEN] [--json] FILE...",
		.brief = "group, count and explain the errors of connections in logs",
		.about = "Reads logs of PostgreSQL (stderr with any log_line_prefix, csvlog, jsonlog), PgBouncer, pgweir, Django, "
			 "psycopg and others. Most frequent first: how often, since when, the busiest minute, which database, user, "
			 "address and application, what it means and what to do.",
		.more = "A file may have any size; memory stays the same. Times are shown in UTC. Every error is explained in "
			"doc/logs.md.",
		.words = logs_words,
		OPTIONS(logs_options),
		.statuses = "0 read, whatever was found; 1 something could not be read; 2 wrong usage",
		.example = "pgweir logs --since 1h /var/log/postgresql/*.log",
		.see = "doc/logs.md",
		.operand = VALUE_FILE,
	},
	{
		.name = "stress",
		.arguments = "URL [how] --postgres URL [--console URL]",
		.brief = "open sockets in waves; say whether connections stay behind",
		.about = "Opens sockets in waves; looks, between them, at how many database connections stay behind. URL: "
			 "ws[s]://, http[s]:// or postgresql://, on this machine.",
		.more = "What is said at the end, which patterns are named, and every figure: doc/stress.md.",
		OPTIONS(stress_options),
		.statuses = "0 no leak, or the assertion holds; 1 could not be done; 2 wrong usage; 3 it does not hold; 4 a leak; 130 "
			    "interrupted",
		.example = "pgweir stress ws://127.0.0.1:8000/ws/ --postgres postgresql://me@/shop",
		.see = "doc/stress.md",
		.operand = VALUE_URL,
	},
};

const size_t manual_count = sizeof manuals / sizeof *manuals;
