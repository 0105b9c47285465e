#include "auth/hba_parts.h"

#include <stdlib.h>

#include "base/directory.h"
#include "base/text.h"

/* One line of auth_hba_file, word by word. What is not built is named, so that nobody thinks that a rule protects which was never
 * understood. */

/* ---- addresses ---- */

static void mask_of_bits(unsigned bits, uint8_t mask[16])
{
	memset(mask, 0, 16);
	for (unsigned i = 0; i < bits; i++)
		mask[i / 8] |= (uint8_t)(0x80 >> i % 8);
}

static bool take_mask(
	struct reading *r, struct span *line, const char *address, const char *bits_text, struct rule *rule)
{
	struct word mask;
	unsigned length;
	int64_t bits;

	if (bits_text) {
		if (!text_to_i64(span_text(bits_text), &bits) || bits < 0 || bits > rule->ip_length * 8)
			return hba_fail(
				r, "\"%.40s\" is no number of bits from 0 to %u", bits_text, rule->ip_length * 8);
		mask_of_bits((unsigned)bits, rule->mask);
	} else {
		if (!word_take_single(r, line, &mask))
			return r->problem[0] ? false
					     : hba_fail(r, "\"%.60s\" has neither /BITS nor a mask behind it", address);
		if (!r->source->parse_ip(span_text(mask.text), rule->mask, &length) || length != rule->ip_length)
			return hba_fail(r, "\"%.60s\" is no mask for \"%.60s\", which alone is written \"%.60s/%u\"",
				mask.text, address, address, rule->ip_length * 8);
	}
	for (unsigned i = 0; i < rule->ip_length; i++)
		rule->ip[i] &= rule->mask[i];
	return true;
}

/* Letters, digits, - and _, parted by dots, at most one of them in front; the last part is no number, since 10.0.0 is a mistake and not a
 * name. */
static bool is_host_name(const char *text)
{
	const char *last = strrchr(text, '.'), *c;
	bool number = true;

	for (c = text; *c; c++)
		if (!(*c >= 'a' && *c <= 'z') && !(*c >= 'A' && *c <= 'Z') && !(*c >= '0' && *c <= '9') &&
			!strchr("-_.", *c))
			return false;
	for (c = last ? last + 1 : text; *c; c++)
		number = number && *c >= '0' && *c <= '9';
	return !number && !strstr(text, "..");
}

static bool take_host_name(struct reading *r, const struct word *word, bool slash, struct rule *rule)
{
	if (slash || !is_host_name(word->text))
		return hba_fail(r,
			"the address is all, samehost, samenet, a number with its network, as 10.0.0.0/8 or ::1/128, or a host name");
	rule->where = WHERE_NAME;
	rule->host = strdup(word->text);
	return rule->host || hba_no_memory(r);
}

static bool take_address(struct reading *r, struct span *line, struct rule *rule)
{
	struct word word;
	char *slash;

	if (!word_take_single(r, line, &word))
		return r->problem[0] ? false : hba_fail(r, "the address is missing");
	if (word_is(&word, "all"))
		return true;
	if (word_is(&word, "samehost") || word_is(&word, "samenet")) {
		rule->where = word_is(&word, "samehost") ? WHERE_SAMEHOST : WHERE_SAMENET;
		r->hba->wants_interfaces = true;
		return true;
	}
	slash = strchr(word.text, '/');
	if (slash)
		*slash = 0;
	if (!r->source->parse_ip(span_text(word.text), rule->ip, &rule->ip_length))
		return take_host_name(r, &word, slash != NULL, rule);
	rule->where = WHERE_NETWORK;
	return take_mask(r, line, word.text, slash ? slash + 1 : NULL, rule);
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
	return hba_fail(r, "\"%.60s\" is no type of connection: local, host, hostssl or hostnossl", word->text);
}

static bool take_method(struct reading *r, struct span *line, struct rule *rule)
{
	struct word word;

	if (!word_take_single(r, line, &word))
		return r->problem[0] ? false : hba_fail(r, "the method is missing");
	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
		if (!word_is(&word, methods[i].name))
			continue;
		rule->method = methods[i].method;
		rule->login = methods[i].login;
		if (rule->method == METHOD_PEER && rule->type != TYPE_LOCAL)
			return hba_fail(r, "peer is for local connections only");
		if (rule->method == METHOD_CERT && rule->type != TYPE_TLS)
			return hba_fail(r, "cert is for hostssl connections only");
		if (rule->method == METHOD_CERT)
			rule->certificate = CERTIFICATE_OWN;
		return true;
	}
	r->unsupported = true;
	return hba_fail(r,
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
		return hba_fail(r, "clientcert is for hostssl connections only");
	if (strcmp(value, "verify-full") == 0)
		rule->certificate = CERTIFICATE_OWN;
	else if (strcmp(value, "verify-ca") != 0)
		return hba_fail(r, "clientcert=%.60s: it is verify-ca or verify-full", value);
	else if (rule->method == METHOD_CERT)
		return hba_fail(r, "clientcert=verify-ca would weaken cert");
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
		return add_option(options, word->text) ? 1 : hba_no_memory(r) - 1;
	if (rule->method != METHOD_LOGIN || rule->login != AUTH_PAM || strncmp(word->text, "pamservice=", 11) != 0)
		return 0;
	/* It becomes the name of a file. */
	if (!word->text[11] || strlen(word->text) > 11 + 63 || strchr(word->text, '/'))
		return hba_fail(r, "%.80s: it is the name of a file in /etc/pam.d", word->text) - 1;
	free(rule->options);
	rule->options = strdup(word->text + 11);
	return rule->options ? 1 : hba_no_memory(r) - 1;
}

static bool finish_ldap(struct reading *r, struct rule *rule, struct buf *options)
{
	struct directory directory;
	char error[200];
	bool ok = directory_parse(&directory, buf_span(options), error, sizeof error);

	secret_wipe(&directory, sizeof directory);
	if (!ok)
		return hba_fail(r, "ldap: %s", error);
	rule->options = strndup((const char *)buf_span(options).at, options->length);
	return rule->options ? true : hba_no_memory(r);
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

	while (word_take_single(r, line, &word)) {
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
			return hba_fail(r, "\"%.60s\" behind the method means nothing%s", word.text,
				may_be_mapped(rule) ? ": map=NAME is all there is" : "");
		free(rule->map);
		rule->map = strdup(word.text + 4);
		if (!rule->map)
			return hba_no_memory(r);
	}
	return !r->problem[0];
}

void rule_free(struct rule *rule)
{
	name_list_free(&rule->databases);
	name_list_free(&rule->users);
	free(rule->host);
	free(rule->map);
	if (rule->options)
		secret_wipe(rule->options, strlen(rule->options));
	free(rule->options);
}

bool rule_take(struct reading *r, struct span line)
{
	struct rule rule = { .line = r->line, .file = r->inner ? r->name : NULL }, *list;
	struct hba *hba = r->hba;
	struct word word;
	bool ok;

	if (!word_take_single(r, &line, &word))
		return !r->problem[0];
	if (lines_is_include(&word))
		return lines_include(r, &word, &line, rule_take);
	ok = take_type(r, &word, &rule) && names_take(r, &line, &rule.databases, NAMES_OF_DATABASES) &&
		names_take(r, &line, &rule.users, NAMES_OF_USERS) &&
		(rule.type == TYPE_LOCAL || take_address(r, &line, &rule)) && take_method(r, &line, &rule) &&
		take_options(r, &line, &rule);
	list = ok ? hba_grown(hba->rules, hba->count, &hba->capacity, sizeof *list) : NULL;
	if (!list) {
		rule_free(&rule);
		return ok ? hba_no_memory(r) : false;
	}
	hba->rules = list;
	list[hba->count++] = rule;
	return true;
}
