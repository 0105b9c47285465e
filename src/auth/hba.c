#include "auth/hba.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/directory.h"
#include "base/text.h"

/* Reading is in three steps, each of which knows its line:
 *
 *   text -> lines -> fields ("a list, of words") -> a rule
 *
 * A word in quotes loses its special meaning, so each word carries whether it had any. What is not supported here is named, so that
 * nobody thinks that a rule protects which was never understood. */

#define LINE_MOST  65536
#define FILES_DEEP 10
#define FIELDS     8
#define WORDS_MOST 100000 /* of all rules together */

enum name_kind { NAME_IS, NAME_ALL, NAME_SAMEUSER, NAME_REPLICATION };

struct name {
	enum name_kind kind;
	char *text; /* NAME_IS */
};

struct names {
	struct name *list;
	size_t count, capacity;
};

enum rule_type { TYPE_LOCAL, TYPE_HOST, TYPE_TLS, TYPE_PLAIN, TYPE_GSS, TYPE_NO_GSS };
enum rule_method { METHOD_REJECT, METHOD_PEER, METHOD_CERT, METHOD_LOGIN };
enum rule_certificate { CERTIFICATE_NONE, CERTIFICATE_ANY, CERTIFICATE_OWN }; /* which one of the client's is wanted */

struct rule {
	unsigned line;
	enum rule_type type;
	struct names databases, users;
	unsigned ip_length; /* 0: any address */
	uint8_t ip[16], mask[16];
	enum rule_method method;
	enum auth_method login;
	enum rule_certificate certificate;
	char *map;
	char *options; /* see hba_options */
};

struct mapping {
	char *map, *system_user, *user; /* user NULL: all */
};

struct hba {
	struct rule *rules;
	size_t count, capacity;
	struct mapping *mappings;
	size_t mappings_count, mappings_capacity;
	size_t words;
};

/* ---- errors ---- */

struct reading {
	const struct hba_source *source;
	struct hba *hba;
	const char *name; /* of the file that is read */
	unsigned line;
	char problem[256];
	bool unsupported; /* the problem is ours, not the file's: passed over where source.warn is given */
};

static bool fail(struct reading *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fail(struct reading *r, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(r->problem, sizeof r->problem, format, list);
	va_end(list);
	return false;
}

static bool no_memory(struct reading *r)
{
	return fail(r, "memory is refused");
}

static void *grown(void *list, size_t count, size_t *capacity, size_t size)
{
	size_t more = *capacity ? *capacity * 2 : 8;

	if (count < *capacity)
		return list;
	list = realloc(list, more * size);
	if (list)
		*capacity = more;
	return list;
}

/* ---- words ---- */

struct word {
	char text[256];
	bool quoted;
	bool more; /* a comma follows: the next word belongs to the same field */
};

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static void skip_blanks(struct span *line)
{
	while (line->length > 0 && is_blank(line->at[0]))
		*line = span_skip(*line, 1);
}

/* The next word. False: there is none, or r->problem says what is wrong. */
static bool take_word(struct reading *r, struct span *line, struct word *word)
{
	size_t length = 0;
	bool inside = false, began = false;

	*word = (struct word){ .more = false };
	skip_blanks(line);
	while (line->length > 0) {
		uint8_t c = line->at[0];

		if (!inside && (is_blank(c) || c == '#' || c == ','))
			break;
		*line = span_skip(*line, 1);
		if (c == '"') {
			if (inside && line->length > 0 && line->at[0] == '"') { /* two of them are one */
				*line = span_skip(*line, 1);
			} else {
				inside = !inside;
				word->quoted = began = true;
				continue;
			}
		}
		if (c == 0)
			return fail(r, "a zero byte");
		if (length + 1 == sizeof word->text)
			return fail(r, "a word is longer than %zu bytes", sizeof word->text - 1);
		word->text[length++] = (char)c;
		began = true;
	}
	word->text[length] = 0;
	if (inside)
		return fail(r, "quotes are not closed");
	skip_blanks(line);
	if (line->length > 0 && line->at[0] == ',') {
		*line = span_skip(*line, 1);
		word->more = true;
		if (!began)
			return fail(r, "a comma without a word before it");
	}
	return began;
}

/* Where one word is meant, and no list of them. */
static bool take_single(struct reading *r, struct span *line, struct word *word)
{
	if (!take_word(r, line, word))
		return false;
	return word->more ? fail(r, "a comma behind \"%.60s\" means nothing", word->text) : true;
}

static bool word_is(const struct word *word, const char *text)
{
	return !word->quoted && strcmp(word->text, text) == 0;
}

/* ---- names of databases and users ---- */

static bool add_name(struct reading *r, struct names *names, enum name_kind kind, const char *text)
{
	struct name *list;

	if (++r->hba->words > WORDS_MOST)
		return fail(r, "more than %d names in all rules together", WORDS_MOST);
	list = grown(names->list, names->count, &names->capacity, sizeof *list);
	if (!list)
		return no_memory(r);
	names->list = list;
	list[names->count] = (struct name){ .kind = kind, .text = text ? strdup(text) : NULL };
	if (text && !list[names->count].text)
		return no_memory(r);
	names->count++;
	return true;
}

static bool add_word(struct reading *, struct names *, const struct word *, bool databases, unsigned deep);

static bool add_file(struct reading *r, struct names *names, const char *path, bool databases, unsigned deep)
{
	char *text = NULL, error[160];
	size_t length = 0;
	struct span rest;
	struct word word;
	bool ok = true;

	if (deep == FILES_DEEP)
		return fail(r, "@%.100s: files of names are nested deeper than %d", path, FILES_DEEP);
	if (!r->source->read_file)
		return fail(r, "@%.100s: files of names can not be read here", path);
	if (!r->source->read_file(r->source->context, path, &text, &length, error, sizeof error))
		return fail(r, "@%.100s: %s", path, error);
	for (rest = span_of(text, length); ok && rest.length > 0;) {
		const uint8_t *end = memchr(rest.at, '\n', rest.length);
		size_t n = end ? (size_t)(end - rest.at) : rest.length;
		struct span line = span_of(rest.at, n);

		rest = span_skip(rest, end ? n + 1 : n);
		while (ok && take_word(r, &line, &word))
			ok = add_word(r, names, &word, databases, deep + 1);
		ok = ok && !r->problem[0];
	}
	free(text);
	return ok;
}

static bool not_here(struct reading *r, const char *what)
{
	r->unsupported = true;
	return fail(r, "%s", what);
}

static bool add_word(struct reading *r, struct names *names, const struct word *word, bool databases, unsigned deep)
{
	if (word->quoted)
		return add_name(r, names, NAME_IS, word->text);
	if (word->text[0] == '@' && word->text[1])
		return add_file(r, names, word->text + 1, databases, deep);
	if (strcmp(word->text, "all") == 0)
		return add_name(r, names, NAME_ALL, NULL);
	if (strcmp(word->text, "sameuser") == 0)
		return add_name(r, names, NAME_SAMEUSER, NULL);
	if (strcmp(word->text, "replication") == 0)
		return add_name(r, names, NAME_REPLICATION, NULL);
	if (databases && (strcmp(word->text, "samerole") == 0 || strcmp(word->text, "samegroup") == 0))
		return not_here(r,
			"samerole and samegroup are not built: they need to know PostgreSQL's roles. Name the databases");
	if (!databases && word->text[0] == '+')
		return not_here(
			r, "+ROLE is not built: it needs to know PostgreSQL's roles. Name the users, or use @FILE");
	if (word->text[0] == '/')
		return not_here(r, "regular expressions are not built. Name the databases and users, or use @FILE");
	return add_name(r, names, NAME_IS, word->text);
}

/* A field: words parted by commas. */
static bool take_names(struct reading *r, struct span *line, struct names *names, bool databases)
{
	struct word word;

	do {
		if (!take_word(r, line, &word))
			return r->problem[0] ? false
					     : fail(r, "%s is missing", databases ? "the database" : "the user");
		if (!add_word(r, names, &word, databases, 0))
			return false;
	} while (word.more);
	return true;
}

/* ---- addresses ---- */

static void mask_of_bits(unsigned bits, uint8_t mask[16])
{
	memset(mask, 0, 16);
	for (unsigned i = 0; i < bits; i++)
		mask[i / 8] |= (uint8_t)(0x80 >> i % 8);
}

static bool take_address(struct reading *r, struct span *line, struct rule *rule)
{
	struct word word, mask;
	unsigned length;
	char *slash;
	int64_t bits;

	if (!take_single(r, line, &word))
		return r->problem[0] ? false : fail(r, "the address is missing");
	if (word_is(&word, "all"))
		return true;
	if (word_is(&word, "samehost") || word_is(&word, "samenet"))
		return not_here(r, "samehost and samenet are not built. Write the network, as 10.0.0.0/8");
	slash = strchr(word.text, '/');
	if (slash)
		*slash = 0;
	if (!r->source->parse_ip(span_text(word.text), rule->ip, &rule->ip_length))
		return not_here(r,
			"the address is neither all nor a number with its network, as 10.0.0.0/8 or ::1/128; host names are not built");
	if (slash) {
		if (!text_to_i64(span_text(slash + 1), &bits) || bits < 0 || bits > rule->ip_length * 8)
			return fail(r, "\"%.40s\" is no number of bits from 0 to %u", slash + 1, rule->ip_length * 8);
		mask_of_bits((unsigned)bits, rule->mask);
	} else {
		if (!take_single(r, line, &mask))
			return r->problem[0] ? false
					     : fail(r, "\"%.60s\" has neither /BITS nor a mask behind it", word.text);
		if (!r->source->parse_ip(span_text(mask.text), rule->mask, &length) || length != rule->ip_length)
			return fail(r, "\"%.60s\" is no mask for \"%.60s\"", mask.text, word.text);
	}
	for (unsigned i = 0; i < rule->ip_length; i++)
		rule->ip[i] &= rule->mask[i];
	return true;
}

/* ---- rules ---- */

static const struct {
	const char *name;
	enum rule_type type;
} types[] = {
	{ "local", TYPE_LOCAL },
	{ "host", TYPE_HOST },
	{ "hostssl", TYPE_TLS },
	{ "hostnossl", TYPE_PLAIN },
	{ "hostgssenc", TYPE_GSS },
	{ "hostnogssenc", TYPE_NO_GSS },
};

static const struct {
	const char *name;
	enum rule_method method;
	enum auth_method login;
} methods[] = {
	{ "trust", METHOD_LOGIN, AUTH_TRUST },
	{ "reject", METHOD_REJECT, AUTH_TRUST },
	{ "md5", METHOD_LOGIN, AUTH_MD5 },
	{ "password", METHOD_LOGIN, AUTH_PLAIN },
	{ "scram-sha-256", METHOD_LOGIN, AUTH_SCRAM },
	{ "peer", METHOD_PEER, AUTH_TRUST },
	{ "cert", METHOD_CERT, AUTH_TRUST },
	{ "pam", METHOD_LOGIN, AUTH_PAM },
	{ "ldap", METHOD_LOGIN, AUTH_LDAP },
};

static bool take_type(struct reading *r, const struct word *word, struct rule *rule)
{
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		if (word_is(word, types[i].name)) {
			rule->type = types[i].type;
			return true;
		}
	}
	if (word_is(word, "include") || word_is(word, "include_if_exists") || word_is(word, "include_dir"))
		return not_here(r, "include is not built. Put the rules into one file");
	return fail(r, "\"%.60s\" is no type of connection: local, host, hostssl or hostnossl", word->text);
}

static bool take_method(struct reading *r, struct span *line, struct rule *rule)
{
	struct word word;

	if (!take_single(r, line, &word))
		return r->problem[0] ? false : fail(r, "the method is missing");
	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
		if (!word_is(&word, methods[i].name))
			continue;
		rule->method = methods[i].method;
		rule->login = methods[i].login;
		if (rule->method == METHOD_PEER && rule->type != TYPE_LOCAL)
			return fail(r, "peer is for local connections only");
		if (rule->method == METHOD_CERT && rule->type != TYPE_TLS)
			return fail(r, "cert is for hostssl connections only");
		if (rule->method == METHOD_CERT)
			rule->certificate = CERTIFICATE_OWN;
		return true;
	}
	r->unsupported = true;
	return fail(r,
		"the method \"%.60s\" is not built: trust, reject, md5, password, scram-sha-256, peer, cert, pam or ldap",
		word.text);
}

static bool may_be_mapped(const struct rule *rule)
{
	return rule->method == METHOD_PEER || rule->method == METHOD_CERT;
}

static bool take_clientcert(struct reading *r, const char *value, struct rule *rule)
{
	if (rule->type != TYPE_TLS)
		return fail(r, "clientcert is for hostssl connections only");
	if (strcmp(value, "verify-full") == 0)
		rule->certificate = CERTIFICATE_OWN;
	else if (strcmp(value, "verify-ca") != 0)
		return fail(r, "clientcert=%.60s: it is verify-ca or verify-full", value);
	else if (rule->method == METHOD_CERT)
		return fail(r, "clientcert=verify-ca would weaken cert");
	else
		rule->certificate = CERTIFICATE_ANY;
	return true;
}

/* As one word of base/directory.h, in quotes. */
static bool add_option(struct buf *options, const char *word)
{
	bool ok = buf_add(options, " \"", 2);

	for (; ok && *word; word++)
		ok = buf_add(options, word, 1) && (*word != '"' || buf_add(options, word, 1));
	return ok && buf_add(options, "\"", 1);
}

/* What belongs to pam or ldap. 1: taken, 0: it is something else, -1: r->problem. */
static int take_own_option(struct reading *r, const struct word *word, struct rule *rule, struct buf *options)
{
	if (rule->method == METHOD_LOGIN && rule->login == AUTH_LDAP && strncmp(word->text, "ldap", 4) == 0)
		return add_option(options, word->text) ? 1 : no_memory(r) - 1;
	if (rule->method != METHOD_LOGIN || rule->login != AUTH_PAM || strncmp(word->text, "pamservice=", 11) != 0)
		return 0;
	/* It becomes the name of a file. */
	if (!word->text[11] || strlen(word->text) > 11 + 63 || strchr(word->text, '/'))
		return fail(r, "%.80s: it is the name of a file in /etc/pam.d", word->text) - 1;
	free(rule->options);
	rule->options = strdup(word->text + 11);
	return rule->options ? 1 : no_memory(r) - 1;
}

static bool finish_ldap(struct reading *r, struct rule *rule, struct buf *options)
{
	struct directory directory;
	char error[200];
	bool ok = directory_parse(&directory, buf_span(options), error, sizeof error);

	secret_wipe(&directory, sizeof directory);
	if (!ok)
		return fail(r, "ldap: %s", error);
	rule->options = strndup((const char *)buf_span(options).at, options->length);
	return rule->options ? true : no_memory(r);
}

static bool take_words(struct reading *r, struct span *line, struct rule *rule, struct buf *options);

static bool take_options(struct reading *r, struct span *line, struct rule *rule)
{
	struct buf options = { 0 };
	bool ok = take_words(r, line, rule, &options);

	if (ok && rule->method == METHOD_LOGIN && rule->login == AUTH_LDAP)
		ok = finish_ldap(r, rule, &options);
	buf_wipe(&options);
	return ok;
}

static bool take_words(struct reading *r, struct span *line, struct rule *rule, struct buf *options)
{
	struct word word;
	int own;

	while (take_single(r, line, &word)) {
		if (strncmp(word.text, "clientcert=", 11) == 0) {
			if (!take_clientcert(r, word.text + 11, rule))
				return false;
			continue;
		}
		own = take_own_option(r, &word, rule, options);
		if (own < 0)
			return false;
		if (own > 0)
			continue;
		if (!may_be_mapped(rule) || strncmp(word.text, "map=", 4) != 0 || !word.text[4])
			return fail(r, "\"%.60s\" behind the method means nothing%s", word.text,
				may_be_mapped(rule) ? ": map=NAME is all there is" : "");
		free(rule->map);
		rule->map = strdup(word.text + 4);
		if (!rule->map)
			return no_memory(r);
	}
	return !r->problem[0];
}

static void names_free(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->list[i].text);
	free(names->list);
}

static void rule_free(struct rule *rule)
{
	names_free(&rule->databases);
	names_free(&rule->users);
	free(rule->map);
	if (rule->options)
		secret_wipe(rule->options, strlen(rule->options));
	free(rule->options);
}

static bool take_rule(struct reading *r, struct span line)
{
	struct rule rule = { .line = r->line }, *list;
	struct word word;
	bool ok;

	if (!take_single(r, &line, &word))
		return !r->problem[0];
	ok = take_type(r, &word, &rule) && take_names(r, &line, &rule.databases, true) &&
		take_names(r, &line, &rule.users, false) &&
		(rule.type == TYPE_LOCAL || take_address(r, &line, &rule)) && take_method(r, &line, &rule) &&
		take_options(r, &line, &rule);
	list = ok ? grown(r->hba->rules, r->hba->count, &r->hba->capacity, sizeof *list) : NULL;
	if (!list) {
		rule_free(&rule);
		return ok ? no_memory(r) : false;
	}
	r->hba->rules = list;
	list[r->hba->count++] = rule;
	return true;
}

/* ---- name maps ---- */

static bool take_mapping(struct reading *r, struct span line)
{
	struct word map, system_user, user, rest;
	struct mapping *list, *m;

	if (!take_single(r, &line, &map))
		return !r->problem[0];
	if (!take_single(r, &line, &system_user) || !take_single(r, &line, &user))
		return r->problem[0] ? false : fail(r, "a map has three words: MAP SYSTEM-USER DATABASE-USER");
	if (take_single(r, &line, &rest))
		return fail(r, "\"%.60s\" is one word too many", rest.text);
	if (r->problem[0])
		return false;
	if (!system_user.quoted && system_user.text[0] == '/')
		return not_here(r, "regular expressions are not built. Write a line for each system user");
	list = grown(r->hba->mappings, r->hba->mappings_count, &r->hba->mappings_capacity, sizeof *list);
	if (!list)
		return no_memory(r);
	r->hba->mappings = list;
	m = &list[r->hba->mappings_count++];
	*m = (struct mapping){ strdup(map.text), strdup(system_user.text),
		word_is(&user, "all") ? NULL : strdup(user.text) };
	return m->map && m->system_user && (m->user || word_is(&user, "all")) ? true : no_memory(r);
}

/* ---- files ---- */

/* One line of a file is several of the text's where each but the last ends in a backslash. */
static bool take_logical(struct reading *r, struct span *text, struct buf *line, unsigned *lines)
{
	buf_clear(line);
	*lines = 0;
	while (text->length > 0) {
		const uint8_t *end = memchr(text->at, '\n', text->length);
		size_t n = end ? (size_t)(end - text->at) : text->length;
		struct span part = span_of(text->at, n);
		bool goes_on;

		*text = span_skip(*text, end ? n + 1 : n);
		++*lines;
		if (part.length > 0 && part.at[part.length - 1] == '\r')
			part.length--;
		goes_on = part.length > 0 && part.at[part.length - 1] == '\\';
		if (goes_on)
			part.length--;
		if (line->length + part.length > LINE_MOST)
			return fail(r, "a line is longer than %d bytes", LINE_MOST);
		if (!buf_add_span(line, part))
			return no_memory(r);
		if (!goes_on)
			break;
	}
	return true;
}

static bool read_lines(
	struct reading *r, struct span text, const char *name, bool (*take)(struct reading *, struct span))
{
	struct buf line = { 0 };
	unsigned lines = 0;
	bool ok = true;

	r->name = name;
	r->line = 1;
	if (text.length >= 3 && memcmp(text.at, "\xef\xbb\xbf", 3) == 0)
		text = span_skip(text, 3);
	while (ok && text.length > 0) {
		ok = take_logical(r, &text, &line, &lines) && take(r, buf_span(&line));
		if (!ok && r->unsupported && r->source->warn) {
			char words[512];

			text_format(
				words, sizeof words, "%s:%u: %s; this line is passed over", name, r->line, r->problem);
			r->source->warn(words);
			r->problem[0] = 0;
			r->unsupported = false;
			ok = true;
		}
		if (ok)
			r->line += lines;
	}
	buf_fini(&line);
	return ok;
}

struct hba *hba_parse(const struct hba_source *source, char *error, size_t error_size)
{
	struct reading r = { .source = source, .hba = calloc(1, sizeof *r.hba) };

	if (!r.hba) {
		text_format(error, error_size, "%s: memory is refused", source->name);
		return NULL;
	}
	if (read_lines(&r, source->text, source->name, take_rule) &&
		(!source->ident_name || read_lines(&r, source->ident_text, source->ident_name, take_mapping)))
		return r.hba;
	text_format(error, error_size, "%s:%u: %s", r.name, r.line, r.problem);
	hba_free(r.hba);
	return NULL;
}

void hba_free(struct hba *hba)
{
	if (!hba)
		return;
	for (size_t i = 0; i < hba->count; i++)
		rule_free(&hba->rules[i]);
	for (size_t i = 0; i < hba->mappings_count; i++) {
		free(hba->mappings[i].map);
		free(hba->mappings[i].system_user);
		free(hba->mappings[i].user);
	}
	free(hba->mappings);
	free(hba->rules);
	free(hba);
}

const char *hba_options(const struct hba *hba, unsigned line)
{
	for (size_t i = 0; i < hba->count; i++)
		if (hba->rules[i].line == line)
			return hba->rules[i].options;
	return NULL;
}

/* ---- judging ---- */

static bool names_fit(const struct names *names, struct span name, struct span database, struct span user)
{
	for (size_t i = 0; i < names->count; i++) {
		switch (names->list[i].kind) {
		case NAME_ALL:
			return true;
		case NAME_SAMEUSER:
			if (span_equal(database, user))
				return true;
			break;
		case NAME_REPLICATION:
			break; /* see databases_fit */
		case NAME_IS:
			if (span_is(name, names->list[i].text))
				return true;
			break;
		}
	}
	return false;
}

/* As at PostgreSQL, a connection for physical replication has no database. One for logical replication has. */
static bool databases_fit(
	const struct names *names, const struct hba_peer *peer, struct span database, struct span user)
{
	if (!peer->replication)
		return names_fit(names, database, database, user);
	for (size_t i = 0; i < names->count; i++)
		if (names->list[i].kind == NAME_REPLICATION)
			return true;
	return false;
}

static bool address_fits(const struct rule *rule, const struct hba_peer *peer)
{
	if (rule->type == TYPE_LOCAL)
		return peer->ip_length == 0;
	/* GSSAPI does not exist here. */
	if (peer->ip_length == 0 || rule->type == TYPE_GSS || (rule->type == TYPE_TLS && !peer->encrypted) ||
		(rule->type == TYPE_PLAIN && peer->encrypted))
		return false;
	if (rule->ip_length == 0)
		return true;
	if (rule->ip_length != peer->ip_length)
		return false;
	for (unsigned i = 0; i < rule->ip_length; i++)
		if ((peer->ip[i] & rule->mask[i]) != rule->ip[i])
			return false;
	return true;
}

/* Whoever is called `name` outside may be `user` here. */
static bool name_may_be(const struct hba *hba, const struct rule *rule, struct span name, struct span user)
{
	if (!rule->map)
		return span_equal(user, name);
	for (size_t i = 0; i < hba->mappings_count; i++) {
		const struct mapping *m = &hba->mappings[i];

		if (strcmp(m->map, rule->map) == 0 && span_is(name, m->system_user) &&
			(!m->user || span_is(user, m->user)))
			return true;
	}
	return false;
}

/* Take the next of a certificate's names. */
static bool next_name(struct span *names, struct span *name)
{
	const uint8_t *end = names->length > 0 ? memchr(names->at, 0, names->length) : NULL;

	if (!end)
		return false;
	*name = span_of(names->at, (size_t)(end - names->at));
	*names = span_skip(*names, name->length + 1);
	return true;
}

bool hba_is_named(struct span names, struct span user)
{
	struct span name;

	while (next_name(&names, &name))
		if (span_equal(name, user))
			return true;
	return false;
}

static bool certificate_may_be(const struct hba *hba, const struct rule *rule, struct span names, struct span user)
{
	struct span name;

	while (next_name(&names, &name))
		if (name_may_be(hba, rule, name, user))
			return true;
	return false;
}

/* The rule fits; is its owner who he says, as far as his connection shows? */
static enum hba_verdict look_at(
	const struct hba *hba, const struct rule *rule, const struct hba_peer *peer, struct span user)
{
	if (rule->method == METHOD_REJECT)
		return HBA_REJECT;
	if (rule->method == METHOD_PEER &&
		(!peer->system_user || !name_may_be(hba, rule, span_text(peer->system_user), user)))
		return HBA_PEER_FAILED;
	if (rule->certificate != CERTIFICATE_NONE && !peer->certificate)
		return HBA_CERTIFICATE_MISSING;
	if (rule->certificate == CERTIFICATE_OWN && !certificate_may_be(hba, rule, peer->names, user))
		return HBA_CERTIFICATE_FAILED;
	return HBA_METHOD;
}

enum hba_verdict hba_judge(const struct hba *hba, const struct hba_peer *peer, struct span database, struct span user,
	enum auth_method *method, unsigned *line)
{
	*line = 0;
	for (size_t i = 0; i < hba->count; i++) {
		const struct rule *rule = &hba->rules[i];

		if (!address_fits(rule, peer) || !databases_fit(&rule->databases, peer, database, user) ||
			!names_fit(&rule->users, user, database, user))
			continue;
		*line = rule->line;
		*method = rule->login;
		return look_at(hba, rule, peer, user);
	}
	return HBA_NONE;
}
