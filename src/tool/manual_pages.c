#include "tool/manual.h"

/* One page for each command. A line of --help is 80 letters; what does not fit belongs into `more`. */

#define OPTIONS(array) .options = (array), .option_count = sizeof(array) / sizeof *(array)

static const struct manual_option serve_options[] = {
	{ "--listen ADDRESS:PORT", "with a URL: where to listen; else 127.0.0.1:6432",
		"An address, a port, or both; [::1]:6432 for IPv6, *:6432 for all addresses.", VALUE_TEXT, false },
	{ "-o, --option KEY=VALUE", "a setting that wins; as often as needed",
		"Also databases.NAME='host=... port=...' and users.NAME='pool_mode=session'.", VALUE_SETTING, false },
	{ "-v, --verbose", "say more in the log; twice: everything", NULL, VALUE_NONE, false },
};

static const struct manual_option init_options[] = {
	{ "-o, --output FILE", "where to write it; else to standard output",
		"The list of users goes beside it: shop.ini has shop-users.txt, which nobody else may read.",
		VALUE_FILE, false },
	{ "--listen ADDRESS:PORT", "where it shall listen (127.0.0.1:6432)", NULL, VALUE_TEXT, false },
	{ "--sample SECONDS", "how long to count who is busy (2)", NULL, VALUE_TEXT, false },
	{ "--cores N", "of the database's machine, where it is not this one", NULL, VALUE_TEXT, false },
	{ "--force", "write over files that are there", NULL, VALUE_NONE, false },
};

static const struct manual_option check_options[] = {
	{ "-o, --option KEY=VALUE", "a setting that wins, as for pgweir serve", NULL, VALUE_SETTING, false },
	{ "--offline", "ask no PostgreSQL", NULL, VALUE_NONE, false },
	{ "--cores N", "of the database's machine, where it is not this one", NULL, VALUE_TEXT, false },
	{ "--poolers N", "processes that share this file's limits", NULL, VALUE_TEXT, false },
	{ "--strict", "warnings count as danger for the exit status", NULL, VALUE_NONE, false },
};

const struct manual manuals[] = {
	{
		.name = "serve",
		.arguments = "FILE.ini [-o KEY=VALUE]... [-v]...\nURL [--listen ADDRESS:PORT] [-o KEY=VALUE]...",
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
		.brief = "say what an ini means, what differs from PgBouncer, what is dangerous",
		.about = "Prints what pgweir understands of FILE.ini, where it does other than PgBouncer would with the same "
			 "file, and what is dangerous, with the rules of pgweir doctor. Sizes are held against the PostgreSQL "
			 "servers that the file names, as far as they answer; URL says as whom to ask.",
		.more = "Without URL it asks as the forced user of the entry, or as the first user of auth_file whose password "
			"is known. Nothing is changed, and nothing is listened on: a pgweir that runs with the file is not "
			"disturbed.",
		OPTIONS(check_options),
		.statuses = "0 good; 1 something is dangerous; 2 the file can not be used, or wrong usage",
		.example = "pgweir check /etc/pgweir/pgweir.ini && systemctl reload pgweir",
		.see = "doc/doctor.md",
		.operand = VALUE_FILE,
	},
};

const size_t manual_count = sizeof manuals / sizeof *manuals;
