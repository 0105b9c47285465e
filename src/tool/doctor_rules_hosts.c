#include <string.h>

#include "base/text.h"
#include "tool/doctor_rules.h"

/* A database with several hosts: what the hosts are beside what its entry wants of them. Only what was asked is known; a host that was not
 * reached is nothing but that. */

struct tellings {
	unsigned asked, reached, standbys, writable, suited;
	char not_reached[300], standby_names[300], primary_names[300], why[200];
};

const char *target_word(enum target target)
{
	static const char *const words[] = { [TARGET_ANY] = "any",
		[TARGET_READ_WRITE] = "read-write",
		[TARGET_READ_ONLY] = "read-only",
		[TARGET_PRIMARY] = "primary",
		[TARGET_STANDBY] = "standby",
		[TARGET_PREFER_STANDBY] = "prefer-standby" };

	return words[target];
}

static const struct server_facts *server_of(const struct doctor_facts *facts, const struct host *host)
{
	for (size_t i = 0; i < facts->server_count; i++) {
		if (strcmp(facts->servers[i].host, host->name) == 0 && facts->servers[i].port == host->port)
			return &facts->servers[i];
	}
	return NULL;
}

static bool suits(enum target target, const struct server_facts *server)
{
	bool standby = server->in_recovery == ANSWER_YES, reads_only = standby || server->read_only == ANSWER_YES;

	switch (target) {
	case TARGET_READ_WRITE:
		return !reads_only;
	case TARGET_READ_ONLY:
		return reads_only;
	case TARGET_PRIMARY:
		return !standby;
	case TARGET_STANDBY:
		return standby;
	case TARGET_ANY:
	case TARGET_PREFER_STANDBY:
		break;
	}
	return true;
}

static void add_name(char *list, size_t size, const struct host *host)
{
	say(list, size, "%s%s port %d", *list ? ", " : "", host->name, host->port);
}

static void tell(const struct doctor_facts *facts, const struct database_settings *entry, struct tellings *t)
{
	*t = (struct tellings){ 0 };
	for (size_t i = 0; i < entry->host_count; i++) {
		const struct server_facts *server = server_of(facts, &entry->hosts[i]);

		if (!server)
			continue;
		t->asked++;
		if (!server->reached || server->in_recovery == ANSWER_UNKNOWN) {
			add_name(t->not_reached, sizeof t->not_reached, &entry->hosts[i]);
			text_copy(t->why, sizeof t->why, server->problem);
			continue;
		}
		t->reached++;
		t->suited += suits(entry->target, server);
		if (server->in_recovery == ANSWER_YES) {
			t->standbys++;
			add_name(t->standby_names, sizeof t->standby_names, &entry->hosts[i]);
		} else {
			t->writable++;
			add_name(t->primary_names, sizeof t->primary_names, &entry->hosts[i]);
		}
	}
}

typedef void look_at_entry(const struct pooler_file *, const struct database_settings *, const struct tellings *,
	const struct doctor_rule *, struct doctor_report *);

static void each_entry(const struct doctor_facts *facts, look_at_entry *look, const struct doctor_rule *rule,
	struct doctor_report *report)
{
	for (size_t i = 0; i < facts->file_count; i++) {
		const struct config *config = facts->files[i].config;

		for (size_t d = 0; d < config->database_count; d++) {
			struct tellings t;

			tell(facts, &config->databases[d], &t);
			look(&facts->files[i], &config->databases[d], &t, rule, report);
		}
	}
}

static struct finding *find_entry(struct doctor_report *report, const struct doctor_rule *rule,
	enum finding_level level, const struct pooler_file *file, const struct database_settings *entry)
{
	return find(report, rule, level, "%s, database %s", file->path, entry->name);
}

/* ---- D45 ---- */

static void standby_among(const struct pooler_file *file, const struct database_settings *entry,
	const struct tellings *t, const struct doctor_rule *rule, struct doctor_report *report)
{
	struct finding *finding;

	if (entry->target != TARGET_ANY || t->standbys == 0 || t->writable == 0)
		return;
	finding = find_entry(report, rule, LEVEL_DANGER, file, entry);
	evidence(finding, "Standby: %s. Primary: %s. The entry takes any of them%s.", t->standby_names,
		t->primary_names, entry->hosts_stay ? ", and stays with the one that was good last" : ", in turn");
	if (!file->is_pgweir)
		edit(finding, "; PgBouncer cannot tell them apart: name the primary alone, or use pgweir, which can\n");
	edit(finding,
		"%s = ... target_session_attrs=primary\n; and for what only reads, an entry of its own:\n%s_ro = ... target_session_attrs=prefer-standby",
		entry->name, entry->name);
}

void rule_standby_among(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	each_entry(facts, standby_among, rule, report);
}

/* ---- D46 ---- */

static void no_host_suits(const struct pooler_file *file, const struct database_settings *entry,
	const struct tellings *t, const struct doctor_rule *rule, struct doctor_report *report)
{
	struct finding *finding;

	if (t->reached == 0 || t->reached < entry->host_count || t->suited > 0)
		return;
	finding = find_entry(report, rule, LEVEL_DANGER, file, entry);
	evidence(finding, "It wants %s, and none of its hosts is one. Primary: %s. Standby: %s.",
		target_word(entry->target), *t->primary_names ? t->primary_names : "none",
		*t->standby_names ? t->standby_names : "none");
	edit(finding,
		"; another target_session_attrs (any, prefer-standby), or the host that is one:\n%s = host=... target_session_attrs=%s",
		entry->name, entry->target == TARGET_STANDBY ? "prefer-standby" : target_word(entry->target));
}

void rule_no_host_suits(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	each_entry(facts, no_host_suits, rule, report);
}

/* ---- D47 ---- */

static void host_missing(const struct pooler_file *file, const struct database_settings *entry,
	const struct tellings *t, const struct doctor_rule *rule, struct doctor_report *report)
{
	struct finding *finding;

	if (entry->host_count < 2 || t->reached == 0 || t->reached == t->asked)
		return;
	finding = find_entry(report, rule, LEVEL_WARNING, file, entry);
	evidence(finding, "Not asked: %s (%s). %u of %u hosts answer.", t->not_reached, t->why, t->reached,
		(unsigned)entry->host_count);
	edit(finding,
		"; bring it back, or take it out of the list:\n%s = host=... (pgweir check asks each host as the entry's user)",
		entry->name);
}

void rule_host_missing(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	each_entry(facts, host_missing, rule, report);
}

/* ---- D48 ---- */

static void two_primaries(const struct pooler_file *file, const struct database_settings *entry,
	const struct tellings *t, const struct doctor_rule *rule, struct doctor_report *report)
{
	struct finding *finding;

	if ((entry->target != TARGET_PRIMARY && entry->target != TARGET_READ_WRITE) || t->writable < 2)
		return;
	finding = find_entry(report, rule, LEVEL_DANGER, file, entry);
	evidence(finding, "Not in recovery: %s. Each counts as the primary.", t->primary_names);
	edit(finding,
		"; which of them is the old one? Stop it, or make it a standby (pg_rewind), before anything is written there.\n"
		"; Where they are meant to be several, name them with target_session_attrs=any");
}

void rule_two_primaries(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	each_entry(facts, two_primaries, rule, report);
}

/* ---- D49 ---- */

#define CONNECT_MOST (5 * SECOND_US)

static void slow_to_leave(const struct pooler_file *file, const struct database_settings *entry,
	const struct tellings *t, const struct doctor_rule *rule, struct doctor_report *report)
{
	const struct config *config = file->config;
	struct finding *finding;
	char time[40];

	(void)t;
	if (entry->host_count < 2 ||
		(config->server_connect_timeout > 0 && config->server_connect_timeout <= CONNECT_MOST))
		return;
	finding = find_entry(report, rule, LEVEL_NOTE, file, entry);
	if (config->server_connect_timeout > 0)
		evidence(finding, "server_connect_timeout is %s, for each of %u hosts.",
			text_duration(time, sizeof time, config->server_connect_timeout), (unsigned)entry->host_count);
	else
		evidence(finding,
			"server_connect_timeout is 0: a host that does not answer is waited for as long as the kernel tries.");
	edit(finding, "%s, [pgbouncer]:  server_connect_timeout = 3", file->path);
}

void rule_slow_to_leave(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	each_entry(facts, slow_to_leave, rule, report);
}
