#include "auth/hba_parts.h"

#include <stdlib.h>

#include "base/text.h"

/* The value as a whole: made from its files, asked, and gone. Reading is drawn in hba_parts.h.
 *
 * A rule fits when all of its parts do. One part that does not is enough to go on to the next rule, so what is hard to learn (roles, the name
 * of the client's host) is asked for only when everything else fits:
 *
 *   rule 1: no  ->  rule 2: type, address, names fit, roles unknown  -> ASK_ROLES --told--> judged anew from rule 1
 *                                                                       +--nobody can tell--> ROLES_UNKNOWN: the login ends
 *
 * It must end there: the next rule may let in whom this one would have rejected, or ask for less. */

struct hba *hba_parse(const struct hba_source *source, char *error, size_t error_size)
{
	struct reading r = { .source = source, .hba = calloc(1, sizeof *r.hba) };

	if (!r.hba) {
		text_format(error, error_size, "%s: memory is refused", source->name);
		return NULL;
	}
	if (lines_read(&r, source->text, source->name, rule_take) &&
		(!source->ident_name || lines_read(&r, source->ident_text, source->ident_name, mapping_take)))
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
	for (size_t i = 0; i < hba->mapping_count; i++)
		mapping_free(&hba->mappings[i]);
	for (size_t i = 0; i < hba->file_count; i++)
		free(hba->files[i]);
	free(hba->files);
	free(hba->mappings);
	free(hba->rules);
	free(hba);
}

bool hba_wants_interfaces(const struct hba *hba)
{
	return hba->wants_interfaces;
}

static const struct rule *rule_of(const struct hba *hba, unsigned rule)
{
	return rule > 0 && rule <= hba->count ? &hba->rules[rule - 1] : NULL;
}

const char *hba_options(const struct hba *hba, unsigned rule)
{
	return rule_of(hba, rule) ? rule_of(hba, rule)->options : NULL;
}

unsigned hba_line(const struct hba *hba, unsigned rule)
{
	return rule_of(hba, rule) ? rule_of(hba, rule)->line : 0;
}

const char *hba_file(const struct hba *hba, unsigned rule)
{
	return rule_of(hba, rule) ? rule_of(hba, rule)->file : NULL;
}

/* ---- judging ---- */

static bool network_fits(const struct rule *rule, const struct hba_peer *peer)
{
	if (rule->ip_length != peer->ip_length)
		return false;
	for (unsigned i = 0; i < rule->ip_length; i++)
		if ((peer->ip[i] & rule->mask[i]) != rule->ip[i])
			return false;
	return true;
}

static bool host_fits(const char *host, const char *name)
{
	size_t length = strlen(host), have = strlen(name);

	if (host[0] == '.' ? have <= length : have != length)
		return false;
	return text_equal_nocase(span_text(host), span_text(name + have - length));
}

/* UNKNOWN: it depends on the name of the peer's host. */
static enum fit address_fits(const struct rule *rule, const struct hba_peer *peer)
{
	bool fits = true;

	if (rule->type == TYPE_LOCAL)
		return peer->ip_length == 0 ? FIT_YES : FIT_NO;
	/* GSSAPI does not exist here. */
	if (peer->ip_length == 0 || rule->type == TYPE_GSS || (rule->type == TYPE_TLS && !peer->encrypted) ||
		(rule->type == TYPE_PLAIN && peer->encrypted))
		return FIT_NO;
	switch (rule->where) {
	case WHERE_ALL:
		break;
	case WHERE_NETWORK:
		fits = network_fits(rule, peer);
		break;
	case WHERE_SAMEHOST:
		fits = peer->same_host;
		break;
	case WHERE_SAMENET:
		fits = peer->same_net;
		break;
	case WHERE_NAME:
		if (peer->host_known != HBA_KNOWN)
			return FIT_UNKNOWN;
		fits = host_fits(rule->host, peer->host);
		break;
	}
	return fits ? FIT_YES : FIT_NO;
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

static enum fit certificate_may_be(
	const struct hba *hba, const struct rule *rule, const struct hba_peer *peer, struct span user)
{
	struct span names = peer->names, name;
	enum fit all = FIT_NO;

	while (next_name(&names, &name)) {
		enum fit fit = mapping_fits(hba, rule->map, peer, name, user);

		if (fit == FIT_YES)
			return FIT_YES;
		if (fit == FIT_UNKNOWN)
			all = FIT_UNKNOWN;
	}
	return all;
}

static enum hba_verdict ask_roles(const struct hba_peer *peer)
{
	return peer->roles_known == HBA_UNASKED ? HBA_ASK_ROLES : HBA_ROLES_UNKNOWN;
}

/* The rule fits; is its owner who he says, as far as his connection shows? */
static enum hba_verdict look_at(
	const struct hba *hba, const struct rule *rule, const struct hba_peer *peer, struct span user)
{
	enum fit fit = FIT_NO;

	if (rule->method == METHOD_REJECT)
		return HBA_REJECT;
	if (rule->method == METHOD_PEER) {
		if (peer->system_user)
			fit = mapping_fits(hba, rule->map, peer, span_text(peer->system_user), user);
		return fit == FIT_YES ? HBA_METHOD : fit == FIT_UNKNOWN ? ask_roles(peer) : HBA_PEER_FAILED;
	}
	if (rule->certificate != CERTIFICATE_NONE && !peer->certificate)
		return HBA_CERTIFICATE_MISSING;
	if (rule->certificate == CERTIFICATE_OWN) {
		fit = certificate_may_be(hba, rule, peer, user);
		if (fit != FIT_YES)
			return fit == FIT_UNKNOWN ? ask_roles(peer) : HBA_CERTIFICATE_FAILED;
	}
	return HBA_METHOD;
}

/* As at PostgreSQL, a connection for physical replication has no database. One for logical replication has. */
static enum fit databases_fit(
	const struct names *names, const struct hba_peer *peer, struct span database, struct span user)
{
	if (!peer->replication)
		return names_fit(names, peer, database, database, user);
	for (size_t i = 0; i < names->count; i++)
		if (names->list[i].kind == NAME_REPLICATION)
			return FIT_YES;
	return FIT_NO;
}

/* False: it does not fit. */
static bool judge_rule(const struct hba *hba, const struct rule *rule, const struct hba_peer *peer,
	struct span database, struct span user, enum hba_verdict *verdict)
{
	enum fit address = address_fits(rule, peer), databases, users;

	if (address == FIT_NO)
		return false;
	databases = databases_fit(&rule->databases, peer, database, user);
	users = names_fit(&rule->users, peer, user, database, user);
	if (databases == FIT_NO || users == FIT_NO)
		return false;
	if (address == FIT_UNKNOWN) {
		*verdict = peer->host_known == HBA_UNASKED ? HBA_ASK_HOST : HBA_HOST_UNKNOWN;
		/* An address whose name can not be told is none of those meant, as at PostgreSQL; but it may be one that is rejected. */
		return peer->host_known == HBA_UNASKED || rule->method == METHOD_REJECT;
	}
	if (databases == FIT_UNKNOWN || users == FIT_UNKNOWN)
		*verdict = ask_roles(peer);
	else
		*verdict = look_at(hba, rule, peer, user);
	return true;
}

enum hba_verdict hba_judge(const struct hba *hba, const struct hba_peer *peer, struct span database, struct span user,
	enum auth_method *method, unsigned *rule)
{
	enum hba_verdict verdict = HBA_NONE;

	*rule = 0;
	for (size_t i = 0; i < hba->count; i++) {
		if (!judge_rule(hba, &hba->rules[i], peer, database, user, &verdict))
			continue;
		*rule = (unsigned)i + 1;
		*method = hba->rules[i].login;
		return verdict;
	}
	return HBA_NONE;
}
