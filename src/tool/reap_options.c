#include <getopt.h>
#include <stdlib.h>

#include "base/text.h"
#include "io/address.h"
#include "tool/memory.h"
#include "tool/reap.h"

/* The command line of `pgweir reap`. What is left out never means "all": to act, both an age and a scope must be written down. */

/* clang-format off */
static const struct option table[] = {
	{ "idle",                required_argument, NULL, 'i' }, { "idle-in-transaction", required_argument, NULL, 't' },
	{ "active",              required_argument, NULL, 'a' }, { "writing-times",       required_argument, NULL, 'w' },
	{ "user",                required_argument, NULL, 'u' }, { "database",            required_argument, NULL, 'd' },
	{ "application",         required_argument, NULL, 'n' }, { "address",             required_argument, NULL, 'c' },
	{ "everyone",            no_argument,       NULL, 'e' }, { "allow-application",   required_argument, NULL, 'k' },
	{ "pooler",              required_argument, NULL, 'p' }, { "execute",             no_argument,       NULL, 'x' },
	{ "limit",               required_argument, NULL, 'l' }, { "pause",               required_argument, NULL, 's' },
	{ "wait",                required_argument, NULL, 'v' }, { "show-literals",       no_argument,       NULL, 'r' },
	{ "json",                no_argument,       NULL, 'j' }, { "help",                no_argument,       NULL, 'h' }, { 0 },
};
/* clang-format on */

static void list_add(struct reap_list *list, const char *word)
{
	list->words = memory_got(reallocarray(list->words, list->count + 1, sizeof *list->words));
	list->words[list->count++] = word;
}

static const char *name_of(int option)
{
	for (size_t i = 0; table[i].name; i++) {
		if (table[i].val == option)
			return table[i].name;
	}
	return "?";
}

struct fault {
	char *text;
	size_t size;
};

static bool refuse(struct fault fault, int option, const char *wants)
{
	text_format(fault.text, fault.size, "--%s %s, not \"%s\"", name_of(option), wants, optarg);
	return false;
}

static bool read_age(int option, time_us least, time_us most, time_us *out, struct fault fault)
{
	char wants[120], low[40], high[40];

	if (!text_to_duration(span_text(optarg), out))
		return refuse(fault, option, "wants an age with its unit, such as 30s, 10m or 2h");
	if (*out >= least && *out <= most)
		return true;
	text_format(wants, sizeof wants, "wants between %s and %s", text_duration(low, sizeof low, least),
		text_duration(high, sizeof high, most));
	return refuse(fault, option, wants);
}

static bool read_number(int option, int64_t most, int64_t *out, struct fault fault)
{
	char wants[80];

	if (text_to_i64(span_text(optarg), out) && *out >= 1 && *out <= most)
		return true;
	text_format(wants, sizeof wants, "wants a number from 1 to %lld", (long long)most);
	return refuse(fault, option, wants);
}

/* 10.0.0.7, 10.0.0.0/8, fd00::/8, or local: whoever comes over the unix socket. */
static bool read_network(int option, struct reap_list *list, struct fault fault)
{
	const char *slash = strchr(optarg, '/');
	struct address address;
	char host[64];
	int64_t bits = 0;
	bool good;

	text_copy_span(host, sizeof host, span_of(optarg, slash ? (size_t)(slash - optarg) : strlen(optarg)));
	good = address_parse(host, 0, &address);
	if (good && slash)
		good = text_to_i64(span_text(slash + 1), &bits) && bits >= 0 &&
			bits <= (address.family == ADDRESS_IPV4 ? 32 : 128);
	if (!good && strcmp(optarg, "local") != 0)
		return refuse(fault, option, "wants an address, a network such as 10.0.0.0/8, or local");
	list_add(list, optarg);
	return true;
}

static bool read_name(int option, struct reap_list *list, struct fault fault)
{
	if (!optarg[0])
		return refuse(fault, option, "wants a name");
	list_add(list, optarg);
	return true;
}

static bool read_option(int option, struct reap_options *o, struct fault fault)
{
	const time_us longest = (time_us)366 * 86400 * SECOND_US;

	switch (option) {
	case 'i':
		return read_age(option, SECOND_US, longest, &o->idle, fault);
	case 't':
		return read_age(option, SECOND_US, longest, &o->in_transaction, fault);
	case 'a':
		return read_age(option, SECOND_US, longest, &o->active, fault);
	case 's':
		return read_age(option, 0, 60 * SECOND_US, &o->pause, fault);
	case 'v':
		return read_age(option, 100 * MILLISECOND_US, 600 * SECOND_US, &o->wait, fault);
	case 'w':
		return read_number(option, 1000, &o->writing_times, fault);
	case 'l':
		return read_number(option, 10000, &o->limit, fault);
	case 'u':
		return read_name(option, &o->users, fault);
	case 'd':
		return read_name(option, &o->databases, fault);
	case 'n':
		return read_name(option, &o->applications, fault);
	case 'k':
		return read_name(option, &o->allowed, fault);
	case 'c':
		return read_network(option, &o->addresses, fault);
	case 'p':
		return read_network(option, &o->poolers, fault);
	case 'e':
		o->everyone = true;
		return true;
	case 'x':
		o->execute = true;
		return true;
	case 'r':
		o->literals = true;
		return true;
	case 'j':
		o->json = true;
		return true;
	case 'h':
		o->help = true;
		return true;
	default:
		text_copy(fault.text, fault.size, "");
		return false;
	}
}

static bool complain(struct fault fault, const char *what)
{
	text_copy(fault.text, fault.size, what);
	return false;
}

/* What the options must be together. */
static bool make_sense(struct reap_options *o, struct fault fault)
{
	bool scope = o->users.count + o->databases.count + o->applications.count + o->addresses.count > 0;

	if (o->everyone && scope)
		return complain(fault, "--everyone, or --user, --database, --application, --address: one or the other");
	if (o->execute && !o->idle && !o->in_transaction && !o->active)
		return complain(
			fault, "--execute wants --idle, --idle-in-transaction or --active: how old is too old?");
	if (o->execute && !scope && !o->everyone)
		return complain(fault,
			"--execute wants --user, --database, --application or --address; or --everyone, if all are meant");
	if (!o->idle && !o->in_transaction && !o->active) {
		o->idle = REAP_IDLE;
		o->in_transaction = REAP_IN_TRANSACTION;
	}
	return true;
}

void reap_options_init(struct reap_options *o)
{
	*o = (struct reap_options){
		.limit = 20, .writing_times = 3, .wait = 5 * SECOND_US, .pause = 200 * MILLISECOND_US, .audit = stderr
	};
}

bool reap_options_read(int argc, char **argv, struct reap_options *o, char *error, size_t error_size)
{
	struct fault fault = { .text = error, .size = error_size };
	int option;

	reap_options_init(o);
	error[0] = 0;
	/* getopt names an unknown option itself, by the first word. */
	while ((option = getopt_long(argc, argv, "h", table, NULL)) != -1) {
		if (!read_option(option, o, fault))
			return false;
	}
	if (o->help)
		return true;
	if (argc - optind != 1)
		return complain(fault, optind == argc ? "which PostgreSQL? Give its URL" : "one URL only");
	o->url = argv[optind];
	return make_sense(o, fault);
}

void reap_options_fini(struct reap_options *o)
{
	struct reap_list *lists[] = { &o->users, &o->databases, &o->addresses, &o->applications, &o->allowed,
		&o->poolers };

	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
		free(lists[i]->words);
		*lists[i] = (struct reap_list){ 0 };
	}
}
