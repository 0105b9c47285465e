#ifndef PGWEIR_TOOL_DOCTOR_RULES_H
#define PGWEIR_TOOL_DOCTOR_RULES_H

#include "tool/doctor_facts.h"

/* The doctor's rules: a table of functions, each of which looks at the facts and may find something. They ask nobody anything, so the
 * same facts give the same findings. doc/doctor.md tells all of them. */

enum finding_level {
	LEVEL_NOTE,    /* good to know; nothing has to change */
	LEVEL_WARNING, /* will hurt under load, or later */
	LEVEL_DANGER   /* hurts now, or with the next leak */
};

struct doctor_rule;
struct doctor_report;
typedef void rule_look(const struct doctor_facts *, const struct doctor_rule *, struct doctor_report *);

struct doctor_rule {
	const char *number, *name; /* "D01", "persistent-under-asgi" */
	const char *why;           /* why it hurts */
	rule_look *look;
};

/* In order of danger, the worst first. */
extern const struct doctor_rule doctor_rules[];
extern const size_t doctor_rules_count;

struct finding {
	const struct doctor_rule *rule;
	enum finding_level level;
	char subject[192];   /* of whom or what: a file, a server, an origin */
	char evidence[1400]; /* the figures, in sentences */
	char edit[900];      /* what to change, word for word */
	size_t order;
};

struct doctor_report {
	struct finding *findings;
	size_t count, capacity;
	struct finding spare; /* where findings go when memory is refused */
	bool refused;
};

/* Apply all rules; findings come in order of danger. */
void doctor_look(const struct doctor_facts *, struct doctor_report *);
void doctor_report_fini(struct doctor_report *);

/* For rules: a new finding, its texts empty but for the subject. Never NULL; valid until the next one. */
struct finding *find(struct doctor_report *, const struct doctor_rule *, enum finding_level, const char *subject_format,
	...) __attribute__((format(printf, 4, 5)));

/* Add to the end of a finding's text. */
void say(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define evidence(finding, ...) say((finding)->evidence, sizeof(finding)->evidence, __VA_ARGS__)
#define edit(finding, ...)     say((finding)->edit, sizeof(finding)->edit, __VA_ARGS__)

/* A name and a text as SQL takes them, and a word as a shell takes it: quoted where they are not plain letters, so that what is copied from
 * the report does nothing else. Cut where `out` ends. Return out. */
char *sql_name(const char *name, char *out, size_t size);
char *sql_text(const char *text, char *out, size_t size);
char *shell_word(const char *word, char *out, size_t size);

const char *level_name(enum finding_level);

/* What stands between an application and PostgreSQL, as far as the facts tell. */
struct route {
	bool through; /* there is a pooler */
	bool certain; /* and the application's own port is the pooler's */
	bool is_pgweir;
	bool transaction; /* its servers go round between transactions */
	const struct pooler_file *file;
	char name[256]; /* of the pooler, for people */
};
void find_route(const struct doctor_facts *, const struct app_database *, struct route *);

/* A value of target_session_attrs, as it is written. */
const char *target_word(enum target);

/* Usable slots of a server: what is left of max_connections without the reserved ones and head-room (a tenth, at least 5). */
int server_usable(const struct server_facts *);

/* Client sessions other than the doctor's. */
size_t server_sessions(const struct server_facts *);

/* Whether a backend is one of those that a pooler has now, as its console says. */
bool console_has(const struct console_facts *, int pid);

/* Whether persistent connections leak here (rule D01): set, not zero. */
bool is_persistent(const struct app_database *);

/* The rules themselves, by file. */
rule_look rule_persistent, rule_options_refused, rule_options_dropped, rule_cursors, rule_health_checks, rule_unnamed,
	rule_pool_and_age, rule_kill_idle, rule_close_old, rule_threads, rule_sync_to_async, rule_raise_max,
	rule_blind_stress; /* doctor_rules_app.c */
rule_look rule_max_client_conn, rule_md5, rule_session_mode, rule_ladder, rule_descriptors, rule_clients_near_limit,
	rule_clients_wait, rule_pooler_full, rule_open_door, rule_open_secrets; /* doctor_rules_pooler.c */
rule_look rule_watched, rule_named, rule_demand, rule_full, rule_near_limit, rule_in_transaction, rule_leaked,
	rule_silent, rule_listeners, rule_abandoned, rule_advisory, rule_prepared, rule_one_address, rule_superuser,
	rule_no_transaction_guard, rule_no_statement_guard, rule_dead_peers; /* doctor_rules_server.c */
rule_look rule_standby_among, rule_no_host_suits, rule_host_missing, rule_two_primaries,
	rule_slow_to_leave; /* doctor_rules_hosts.c */
rule_look rule_pools_exceed, rule_limit_below_pool, rule_need, rule_pool_too_large,
	rule_deadlock_floor; /* doctor_rules_size.c */

#endif
