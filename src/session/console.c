#include "session/console.h"

#include "base/text.h"

/* The console's language, read from left to right by one scanner:
 *
 *   message   := [ command ] { ';' }                    one command, or none at all
 *   command   := SHOW | SELECT  word
 *              | SET key ( '=' | TO ) value
 *              | SHUTDOWN [ WAIT_FOR_SERVERS | WAIT_FOR_CLIENTS ]
 *              | VERB [ word ]                          the table `commands` says which verbs take one
 *   word, key := letters, digits and most signs | "..." with "" for a quote
 *   value     := word { ',' word } | '...' with '' for a quote
 *
 * Between them white space and SQL comments: one driver's ping is a lone comment. Command words know no case; names of databases
 * do, as in PgBouncer.
 *
 * Drivers greet every server with a few statements of their own. Those are answered as a plain PostgreSQL would, or ignored, so
 * that a driver can be used to read the console; the table `fakes` lists them. */

struct scanner {
	struct span rest;
};

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_word(uint8_t c)
{
	return c > ' ' && c != 0x7f && !strchr(";'\"=,()", c);
}

static bool begins(const struct scanner *s, const char *two)
{
	return s->rest.length >= 2 && memcmp(s->rest.at, two, 2) == 0;
}

static void skip(struct scanner *s, size_t n)
{
	s->rest = span_skip(s->rest, n);
}

static void skip_space(struct scanner *s)
{
	for (;;) {
		if (s->rest.length > 0 && is_space(s->rest.at[0])) {
			skip(s, 1);
		} else if (begins(s, "--")) {
			while (s->rest.length > 0 && s->rest.at[0] != '\n')
				skip(s, 1);
		} else if (begins(s, "/*")) {
			skip(s, 2);
			while (s->rest.length > 0 && !begins(s, "*/"))
				skip(s, 1);
			skip(s, s->rest.length < 2 ? s->rest.length : 2);
		} else {
			return;
		}
	}
}

static bool at(struct scanner *s, char c)
{
	skip_space(s);
	return s->rest.length > 0 && s->rest.at[0] == (uint8_t)c;
}

static void skip_semicolons(struct scanner *s)
{
	while (at(s, ';'))
		skip(s, 1);
}

/* Nothing more but semicolons; only a look, as what follows one is not part of the command before it. */
static bool at_end(struct scanner s)
{
	skip_semicolons(&s);
	return s.rest.length == 0;
}

/* The next thing is a word, a quoted one, or something else. */
static bool at_argument(struct scanner *s)
{
	skip_space(s);
	return s->rest.length > 0 && (s->rest.at[0] == '"' || is_word(s->rest.at[0]));
}

static struct span bare_word(struct scanner *s)
{
	struct span word = { s->rest.at, 0 };

	while (word.length < s->rest.length && is_word(word.at[word.length]))
		word.length++;
	skip(s, word.length);
	return word;
}

/* What is between two `quote`s, doubled ones halved. False: no end, a zero byte, or longer than `out`. */
static bool quoted(struct scanner *s, char quote, char *out, size_t size)
{
	size_t n = 0;

	skip(s, 1);
	while (s->rest.length > 0) {
		uint8_t c = s->rest.at[0];

		skip(s, 1);
		if (c == (uint8_t)quote) {
			if (s->rest.length == 0 || s->rest.at[0] != c) {
				out[n] = '\0';
				return true;
			}
			skip(s, 1);
		}
		if (c == 0 || n + 1 >= size)
			break;
		out[n++] = (char)c;
	}
	out[0] = '\0';
	return false;
}

/* The argument here. An empty one is refused: `KILL ""` must not mean KILL of everything. */
static bool argument(struct scanner *s, char *out, size_t size)
{
	struct span word;

	out[0] = '\0';
	skip_space(s);
	if (s->rest.length > 0 && s->rest.at[0] == '"')
		return quoted(s, '"', out, size) && out[0] != '\0';
	word = bare_word(s);
	if (word.length == 0 || word.length >= size)
		return false;
	text_copy_span(out, size, word);
	return true;
}

static bool value(struct scanner *s, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	if (at(s, '\''))
		return quoted(s, '\'', out, size);
	for (;;) {
		struct span word;

		skip_space(s);
		word = bare_word(s);
		if (word.length == 0 || n + word.length >= size)
			return false;
		n += text_copy_span(out + n, size - n, word);
		if (!at(s, ','))
			return true;
		skip(s, 1);
		n += text_copy(out + n, size - n, ",");
	}
}

static void lower(char *text)
{
	for (; *text; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text += 'a' - 'A';
}

/* ---- what drivers say ---- */

/* Parameters that drivers ask for and set. No key of the configuration is among them. */
static const struct fake {
	const char *name, *answer;
} fakes[] = {
	{ "application_name", "" },
	{ "bytea_output", "hex" },
	{ "client_encoding", "UTF8" },
	{ "client_min_messages", "notice" },
	{ "datestyle", "ISO" },
	{ "default_transaction_isolation", "read committed" },
	{ "default_transaction_read_only", "off" },
	{ "extra_float_digits", "1" },
	{ "idle_in_transaction_session_timeout", "0" },
	{ "intervalstyle", "postgres" },
	{ "lock_timeout", "0" },
	{ "max_identifier_length", "63" },
	{ "search_path", "\"$user\", public" },
	{ "server_encoding", "UTF8" },
	{ "standard_conforming_strings", "on" },
	{ "statement_timeout", "0" },
	{ "timezone", "GMT" },
	{ "transaction_isolation", "read committed" },
	{ "transaction_read_only", "off" },
};

/* SQL's ways to name a parameter with several words. */
static const struct phrase {
	const char *words[4];
	const char *name;
} phrases[] = {
	{ { "transaction", "isolation", "level" }, "transaction_isolation" },
	{ { "session", "characteristics" }, "default_transaction_isolation" },
	{ { "time", "zone" }, "timezone" },
	{ { "names" }, "client_encoding" },
};

static const struct fake *fake_find(const char *name)
{
	for (size_t i = 0; i < sizeof fakes / sizeof *fakes; i++)
		if (strcmp(fakes[i].name, name) == 0)
			return &fakes[i];
	return NULL;
}

/* The parameter that the words here name, which are then behind us; NULL and nothing moved when they name none. */
static const struct fake *fake_here(struct scanner *s)
{
	struct scanner begin = *s;
	const struct fake *fake;
	char name[64];

	for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
		size_t n = 0;

		while (phrases[i].words[n] && argument(s, name, sizeof name) &&
			text_equal_nocase(span_text(name), span_text(phrases[i].words[n])))
			n++;
		if (!phrases[i].words[n])
			return fake_find(phrases[i].name);
		*s = begin;
	}
	if (argument(s, name, sizeof name)) {
		lower(name);
		fake = fake_find(name);
		if (fake)
			return fake;
	}
	*s = begin;
	return NULL;
}

/* Over a value that nobody will read: to the first semicolon outside quotes. */
static void skip_statement(struct scanner *s)
{
	uint8_t quote = 0;

	while (s->rest.length > 0 && (quote || s->rest.at[0] != ';')) {
		uint8_t c = s->rest.at[0];

		if (quote ? c == quote : c == '\'' || c == '"')
			quote = quote ? 0 : c;
		skip(s, 1);
	}
}

/* ---- commands ---- */

static bool parse_show(struct scanner *s, struct console_command *out)
{
	const struct fake *fake = fake_here(s);

	if (fake) {
		out->verb = VERB_FAKE_SHOW;
		text_copy(out->key, sizeof out->key, fake->name);
		text_copy(out->value, sizeof out->value, fake->answer);
		return true;
	}
	/* SHOW alone is an error, as in PgBouncer; the desk has the words for it. */
	if (at_end(*s))
		return true;
	if (!argument(s, out->argument, sizeof out->argument))
		return false;
	lower(out->argument);
	return true;
}

static bool parse_set(struct scanner *s, struct console_command *out)
{
	struct scanner begin = *s;
	const struct fake *fake = fake_here(s);
	char word[64];

	/* SET SESSION x and SET LOCAL x; no setting of ours has such a name. */
	if (!fake && argument(s, word, sizeof word) &&
		(text_equal_nocase(span_text(word), span_text("session")) ||
			text_equal_nocase(span_text(word), span_text("local"))))
		fake = fake_here(s);
	if (fake) {
		out->verb = VERB_FAKE_SET;
		out->admin_only = false;
		text_copy(out->key, sizeof out->key, fake->name);
		skip_statement(s);
		return true;
	}
	*s = begin;
	if (!argument(s, out->key, sizeof out->key))
		return false;
	lower(out->key);
	if (at(s, '='))
		skip(s, 1);
	else if (!argument(s, word, sizeof word) || !text_equal_nocase(span_text(word), span_text("to")))
		return false;
	return value(s, out->value, sizeof out->value);
}

/* A database or an id, or none; whether there must be one is the desk's to say, with a better message than "bad arguments". */
static bool parse_target(struct scanner *s, struct console_command *out)
{
	return !at_argument(s) || argument(s, out->argument, sizeof out->argument);
}

static bool parse_alone(struct scanner *s, struct console_command *out)
{
	(void)s;
	(void)out;
	return true;
}

static bool word_is(struct scanner *s, const char *word)
{
	struct scanner begin = *s;
	char text[64];

	if (at_argument(s) && argument(s, text, sizeof text) && text_equal_nocase(span_text(text), span_text(word)))
		return true;
	*s = begin;
	return false;
}

static bool word_ahead(struct scanner *s, const char *word)
{
	struct scanner begin = *s;
	bool is = word_is(s, word);

	*s = begin;
	return is;
}

static bool number(struct scanner *s, uint32_t *out)
{
	char text[64];
	int64_t value;

	if (!at_argument(s) || !argument(s, text, sizeof text) || !text_to_i64(span_text(text), &value) || value < 0 ||
		value > INT32_MAX)
		return false;
	*out = (uint32_t)value;
	return true;
}

static bool parse_shutdown(struct scanner *s, struct console_command *out)
{
	char how[64];

	out->shutdown = CONSOLE_SHUTDOWN_NOW;
	if (at_end(*s))
		return true;
	if (!argument(s, how, sizeof how))
		return false;
	if (text_equal_nocase(span_text(how), span_text("wait_for_servers")))
		out->shutdown = CONSOLE_SHUTDOWN_SERVERS;
	else if (text_equal_nocase(span_text(how), span_text("wait_for_clients")))
		out->shutdown = CONSOLE_SHUTDOWN_CLIENTS;
	else if (!text_equal_nocase(span_text(how), span_text("taken_over")))
		return false;
	else if (!number(s, &out->numbers[0]) || out->numbers[0] == 0)
		return false;
	else
		out->shutdown = CONSOLE_SHUTDOWN_TAKEN_OVER;
	return true;
}

/* REAP [DRY RUN] [LEAKED | ORIGIN id | CLIENT id[, id]...] [LIMIT n]; REAP alone tells what LEAKED would end. */
static bool parse_reap(struct scanner *s, struct console_command *out)
{
	bool target = true;

	if (word_is(s, "dry")) {
		if (!word_is(s, "run"))
			return false;
		out->dry_run = true;
	}
	if (word_is(s, "origin")) {
		out->reap = CONSOLE_REAP_ORIGIN;
		if (!number(s, &out->numbers[out->number_count++]))
			return false;
	} else if (word_is(s, "client")) {
		out->reap = CONSOLE_REAP_CLIENTS;
		do {
			if (out->number_count == CONSOLE_REAP_MAX || !number(s, &out->numbers[out->number_count++]))
				return false;
			if (at(s, ','))
				skip(s, 1);
		} while (!at_end(*s) && !word_ahead(s, "limit"));
	} else {
		out->reap = CONSOLE_REAP_LEAKED;
		target = word_is(s, "leaked");
	}
	/* Nobody is ended by a word that was left out. */
	out->dry_run = out->dry_run || !target;
	if (word_is(s, "limit"))
		return number(s, &out->limit) && out->limit > 0;
	return true;
}

static bool parse_protect(struct scanner *s, struct console_command *out)
{
	out->number_count = 1;
	return word_is(s, "origin") && number(s, &out->numbers[0]);
}

/* clang-format off */
static const struct command {
	const char *word, *tag;
	enum console_verb verb;
	bool admin_only;
	bool (*parse)(struct scanner *, struct console_command *);
} commands[] = {
	{ "SHOW",        "SHOW",        VERB_SHOW,        false, parse_show },
	{ "SELECT",      "SHOW",        VERB_SHOW,        false, parse_show },
	{ "SET",         "SET",         VERB_SET,         true,  parse_set },
	{ "RELOAD",      "RELOAD",      VERB_RELOAD,      true,  parse_alone },
	{ "PAUSE",       "PAUSE",       VERB_PAUSE,       true,  parse_target },
	{ "SUSPEND",     "SUSPEND",     VERB_SUSPEND,     true,  parse_alone },
	{ "RESUME",      "RESUME",      VERB_RESUME,      true,  parse_target },
	{ "RECONNECT",   "RECONNECT",   VERB_RECONNECT,   true,  parse_target },
	{ "KILL",        "KILL",        VERB_KILL,        true,  parse_target },
	{ "KILL_CLIENT", "KILL_CLIENT", VERB_KILL_CLIENT, true,  parse_target },
	{ "DISABLE",     "DISABLE",     VERB_DISABLE,     true,  parse_target },
	{ "ENABLE",      "ENABLE",      VERB_ENABLE,      true,  parse_target },
	{ "WAIT_CLOSE",  "WAIT_CLOSE",  VERB_WAIT_CLOSE,  true,  parse_target },
	{ "SHUTDOWN",    "SHUTDOWN",    VERB_SHUTDOWN,    true,  parse_shutdown },
	{ "REAP",        "REAP",        VERB_REAP,        true,  parse_reap },
	{ "PROTECT",     "PROTECT",     VERB_PROTECT,     true,  parse_protect },
	{ "UNPROTECT",   "UNPROTECT",   VERB_UNPROTECT,   true,  parse_protect },
};
/* clang-format on */

/* What stands here, for a message: no control characters, and not cut inside a letter. */
static void copy_words(struct span text, char *out, size_t size)
{
	size_t n = text_fits(text, size - 1);

	for (size_t i = 0; i < n; i++)
		out[i] = text.at[i] < ' ' || text.at[i] == 0x7f ? '?' : (char)text.at[i];
	out[n] = '\0';
}

/* A word, or whatever it is up to the next space; never empty. */
static struct span first_word(struct span text)
{
	size_t n = 0;

	while (n < text.length && !is_space(text.at[n]) && text.at[n] != ';')
		n++;
	return span_of(text.at, n);
}

void console_parse(struct span text, struct console_command *out)
{
	struct scanner s = { text };
	struct span word;

	*out = (struct console_command){ .verb = VERB_EMPTY, .tag = "" };
	skip_semicolons(&s);
	if (s.rest.length == 0)
		return;
	out->verb = VERB_UNKNOWN;
	copy_words(first_word(s.rest), out->word, sizeof out->word);
	copy_words(text, out->text, sizeof out->text);
	word = bare_word(&s);
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		const struct command *command = &commands[i];

		if (!text_equal_nocase(word, span_text(command->word)))
			continue;
		out->verb = command->verb;
		out->tag = command->tag;
		out->admin_only = command->admin_only;
		if (command->parse(&s, out) && at_end(s))
			return;
		/* Half a command is no command: nothing of it may be obeyed. */
		out->verb = VERB_BAD;
		out->tag = "";
		out->admin_only = false;
		out->argument[0] = out->key[0] = out->value[0] = '\0';
		return;
	}
}

const char *console_help(void)
{
	return "\n"
	       "\tSHOW HELP|CONFIG|DATABASES|POOLS|CLIENTS|SERVERS|USERS|VERSION\n"
	       "\tSHOW STATS|STATS_TOTALS|STATS_AVERAGES|TOTALS\n"
	       "\tSHOW PEERS|PEER_POOLS|DNS_HOSTS|DNS_ZONES\n"
	       "\tSHOW SOCKETS|ACTIVE_SOCKETS|LISTS|STATE|MEM|BUDGET|FDS\n"
	       "\tSHOW LEAKS|ORIGINS|BREAKDOWNS|LEDGER|LEASES|PINS|REAPS\n"
	       "\tSET key = value\n"
	       "\tRELOAD\n"
	       "\tPAUSE [<db>]\n"
	       "\tSUSPEND\n"
	       "\tRESUME [<db>]\n"
	       "\tDISABLE <db>\n"
	       "\tENABLE <db>\n"
	       "\tRECONNECT [<db>]\n"
	       "\tKILL [<db>]\n"
	       "\tKILL_CLIENT <client_id>\n"
	       "\tWAIT_CLOSE [<db>]\n"
	       "\tREAP [DRY RUN] [LEAKED | ORIGIN <id> | CLIENT <id>, ...] [LIMIT <n>]\n"
	       "\tPROTECT ORIGIN <id>\n"
	       "\tUNPROTECT ORIGIN <id>\n"
	       "\tSHUTDOWN\n"
	       "\tSHUTDOWN WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS";
}
