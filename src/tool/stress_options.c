#include "tool/stress_options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <libpq-fe.h>

#include "base/text.h"
#include "io/clock.h"
#include "tool/stress_request.h"
#include "tool/stress_schedule.h"
#include "tool/stress_source.h"

enum {
	O_SOCKETS = 256,
	O_WAVES,
	O_BURST,
	O_WARM_UP,
	O_BASELINE,
	O_WARM_FOR,
	O_RAMP,
	O_HOLD,
	O_BURST_FOR,
	O_DRAIN,
	O_SETTLE,
	O_THINK,
	O_TIMEOUT,
	O_SAMPLE,
	O_MESSAGE,
	O_METHOD,
	O_DATA,
	O_EXPECT,
	O_EXPECT_MATCH,
	O_EXPECT_JSON,
	O_FIRST,
	O_VALUES,
	O_HEADER,
	O_SUBPROTOCOL,
	O_SOURCE,
	O_INSECURE,
	O_SEED,
	O_ABUSE,
	O_STORM,
	O_PREPARED,
	O_POSTGRES,
	O_CONSOLE,
	O_ROLE,
	O_MAY_KEEP,
	O_ASSERT,
	O_KNEE,
	O_HTML,
	O_JSON,
	O_JUNIT,
	O_CSV,
	O_METRICS,
	O_PREFLIGHT,
	O_QUIET,
	O_OWNED,
};

static const struct option table[] = { { "sockets", required_argument, NULL, O_SOCKETS },
	{ "waves", required_argument, NULL, O_WAVES }, { "burst", required_argument, NULL, O_BURST },
	{ "warm-up", required_argument, NULL, O_WARM_UP }, { "baseline", required_argument, NULL, O_BASELINE },
	{ "warm-for", required_argument, NULL, O_WARM_FOR }, { "ramp", required_argument, NULL, O_RAMP },
	{ "hold", required_argument, NULL, O_HOLD }, { "burst-for", required_argument, NULL, O_BURST_FOR },
	{ "drain", required_argument, NULL, O_DRAIN }, { "settle", required_argument, NULL, O_SETTLE },
	{ "think", required_argument, NULL, O_THINK }, { "timeout", required_argument, NULL, O_TIMEOUT },
	{ "sample", required_argument, NULL, O_SAMPLE }, { "message", required_argument, NULL, O_MESSAGE },
	{ "method", required_argument, NULL, O_METHOD }, { "data", required_argument, NULL, O_DATA },
	{ "expect", required_argument, NULL, O_EXPECT }, { "expect-match", required_argument, NULL, O_EXPECT_MATCH },
	{ "expect-json", required_argument, NULL, O_EXPECT_JSON }, { "first", required_argument, NULL, O_FIRST },
	{ "values", required_argument, NULL, O_VALUES }, { "header", required_argument, NULL, O_HEADER },
	{ "subprotocol", required_argument, NULL, O_SUBPROTOCOL }, { "source", required_argument, NULL, O_SOURCE },
	{ "insecure", no_argument, NULL, O_INSECURE }, { "seed", required_argument, NULL, O_SEED },
	{ "abuse", required_argument, NULL, O_ABUSE }, { "storm", no_argument, NULL, O_STORM },
	{ "prepared", no_argument, NULL, O_PREPARED }, { "postgres", required_argument, NULL, O_POSTGRES },
	{ "console", required_argument, NULL, O_CONSOLE }, { "role", required_argument, NULL, O_ROLE },
	{ "may-keep", required_argument, NULL, O_MAY_KEEP }, { "assert", required_argument, NULL, O_ASSERT },
	{ "knee", required_argument, NULL, O_KNEE }, { "html", required_argument, NULL, O_HTML },
	{ "json", required_argument, NULL, O_JSON }, { "junit", required_argument, NULL, O_JUNIT },
	{ "csv", required_argument, NULL, O_CSV }, { "metrics", required_argument, NULL, O_METRICS },
	{ "preflight", no_argument, NULL, O_PREFLIGHT }, { "quiet", no_argument, NULL, O_QUIET },
	{ "i-own-this-target", no_argument, NULL, O_OWNED }, { "help", no_argument, NULL, 'h' }, { 0 } };

#define OPTIONS (sizeof table / sizeof table[0])

struct fault {
	char *text;
	size_t size;
};

static bool complain(struct fault fault, const char *what)
{
	text_copy(fault.text, fault.size, what);
	return false;
}

static bool refuse(struct fault fault, int option, const char *wants)
{
	char given[80];
	const char *name = "?";

	for (size_t i = 0; table[i].name; i++) {
		if (table[i].val == option)
			name = table[i].name;
	}
	text_escape(given, sizeof given, span_text(optarg));
	text_format(fault.text, fault.size, "--%s %s, not \"%s\"", name, wants, given);
	return false;
}

static bool unknown_option(struct fault fault, const char *given)
{
	const char *names[OPTIONS], *nearest;
	char word[60];

	for (size_t i = 0; i < OPTIONS; i++)
		names[i] = table[i].name; /* the last one is NULL */
	given += strspn(given, "-");
	text_escape(word, sizeof word, span_of(given, strcspn(given, "=")));
	for (size_t i = 0; i < OPTIONS - 1; i++) {
		if (strcmp(word, names[i]) == 0) {
			text_format(fault.text, fault.size,
				table[i].has_arg ? "--%s wants a value" : "--%s takes no value", word);
			return false;
		}
	}
	nearest = text_nearest(word, names);
	text_format(fault.text, fault.size, "there is no option --%s%s%s%s", word, nearest ? ": perhaps --" : "",
		nearest ? nearest : "", nearest ? "?" : "");
	return false;
}

static bool read_number(int option, int64_t least, int64_t most, unsigned *out, struct fault fault)
{
	char wants[80];
	int64_t number;

	if (text_to_i64(span_text(optarg), &number) && number >= least && number <= most) {
		*out = (unsigned)number;
		return true;
	}
	text_format(wants, sizeof wants, "wants a number from %lld to %lld", (long long)least, (long long)most);
	return refuse(fault, option, wants);
}

static bool read_time(int option, time_us least, time_us *out, struct fault fault)
{
	char wants[100], low[40];

	if (text_to_duration(span_text(optarg), out) && *out >= least && *out <= 24 * 3600 * SECOND_US)
		return true;
	text_format(wants, sizeof wants, "wants a time with its unit from %s to 24h, such as 500ms, 5s or 2m",
		text_duration(low, sizeof low, least));
	return refuse(fault, option, wants);
}

/* MODE, MODE=PERCENT; chaos spreads its percents over all that any target has. */
static bool read_abuse(struct stress_plan *plan, struct fault fault)
{
	const char *names[ABUSE_KINDS + 1] = { NULL }, *nearest;
	char mode[40], words[120];
	size_t length = strcspn(optarg, "=");
	int64_t percent = 10;

	text_copy_span(mode, sizeof mode, span_of(optarg, length));
	if (optarg[length] && (!text_to_i64(span_text(optarg + length + 1), &percent) || percent < 1 || percent > 100))
		return refuse(fault, O_ABUSE, "wants MODE or MODE=PERCENT, 1 to 100");
	if (strcmp(mode, "chaos") == 0) {
		for (unsigned i = ABUSE_RESET; i <= ABUSE_NO_GOODBYE; i++)
			plan->abuse[i] += (unsigned)percent / 6 + ((unsigned)percent % 6 >= i);
		return true;
	}
	for (unsigned i = 1; i < ABUSE_KINDS; i++) {
		if (strcmp(mode, stress_abuse_names[i]) == 0) {
			plan->abuse[i] += (unsigned)percent;
			return true;
		}
		names[i - 1] = stress_abuse_names[i];
	}
	names[ABUSE_KINDS - 1] = "chaos";
	nearest = text_nearest(mode, names);
	text_format(words, sizeof words, "%s%s%s",
		nearest ? "knows no such mode (perhaps " : "wants one of the modes in --help", nearest ? nearest : "",
		nearest ? "?)" : "");
	return refuse(fault, O_ABUSE, words);
}

static bool read_header(struct stress_plan *plan, struct fault fault)
{
	size_t name = strcspn(optarg, ":"), length = strlen(optarg);

	if (plan->header_count == STRESS_HEADERS_MAX)
		return refuse(fault, O_HEADER, "is given more than 16 times");
	if (name == 0 || !optarg[name] || length > 900 || strcspn(optarg, "\r\n") != length ||
		strcspn(optarg, " ") < name)
		return refuse(fault, O_HEADER, "wants 'Name: value', at most 900 letters on one line");
	plan->headers[plan->header_count++] = optarg;
	return true;
}

static bool read_text(int option, const char **out, struct fault fault)
{
	if (!optarg[0])
		return refuse(fault, option, "wants a text");
	if (strlen(optarg) > 4000)
		return refuse(fault, option, "wants at most 4000 letters");
	*out = optarg;
	return true;
}

static bool read_method(struct stress_plan *plan, struct fault fault)
{
	char words[120];
	const char *nearest;

	plan->method = stress_method(optarg);
	if (plan->method)
		return true;
	nearest = text_nearest(optarg, stress_methods);
	text_format(words, sizeof words, "wants GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS%s%s%s",
		nearest ? " (perhaps " : "", nearest ? nearest : "", nearest ? "?)" : "");
	return refuse(fault, O_METHOD, words);
}

static bool read_source(struct stress_plan *plan, struct fault fault)
{
	char words[200];

	if (stress_sources_read(optarg, plan, words, sizeof words))
		return true;
	text_format(fault.text, fault.size, "--source wants %s", words);
	return false;
}

static bool read_option(int option, struct stress_plan *p, struct fault fault)
{
	switch (option) {
	case O_SOCKETS:
		return read_number(option, 1, STRESS_SOCKETS_MAX, &p->sockets, fault);
	case O_WAVES:
		return read_number(option, 1, STRESS_WAVES_MAX, &p->waves, fault);
	case O_BURST:
		return read_number(option, 0, STRESS_SOCKETS_MAX, &p->burst, fault);
	case O_WARM_UP:
		return read_number(option, 0, STRESS_SOCKETS_MAX, &p->warm_up, fault);
	case O_MAY_KEEP:
		return read_number(option, 0, 1000000, &p->may_keep, fault);
	case O_BASELINE:
		return read_time(option, SECOND_US, &p->baseline, fault);
	case O_WARM_FOR:
		return read_time(option, 100 * MILLISECOND_US, &p->warm_for, fault);
	case O_RAMP:
		return ramp_read(optarg, p) ||
			refuse(fault, option, "wants a time (2s), a rate (50/s), or a time in 2 to 20 steps (10s/5)");
	case O_HOLD:
		return read_time(option, 100 * MILLISECOND_US, &p->hold, fault);
	case O_BURST_FOR:
		return read_time(option, 100 * MILLISECOND_US, &p->burst_for, fault);
	case O_DRAIN:
		return read_time(option, 100 * MILLISECOND_US, &p->drain, fault);
	case O_SETTLE:
		return read_time(option, SECOND_US, &p->settle, fault);
	case O_THINK:
		return read_time(option, MILLISECOND_US, &p->think, fault);
	case O_TIMEOUT:
		return read_time(option, 100 * MILLISECOND_US, &p->timeout, fault);
	case O_SAMPLE:
		return read_time(option, 50 * MILLISECOND_US, &p->sample, fault);
	case O_MESSAGE:
		return read_text(option, &p->message, fault);
	case O_SOURCE:
		return read_source(p, fault);
	case O_METHOD:
		return read_method(p, fault);
	case O_DATA:
		return read_text(option, &p->data, fault);
	case O_EXPECT:
		return read_text(option, &p->expect, fault);
	case O_EXPECT_MATCH:
		return read_text(option, &p->expect_match, fault);
	case O_EXPECT_JSON:
		return read_text(option, &p->expect_json, fault);
	case O_FIRST:
		return read_text(option, &p->first, fault);
	case O_VALUES:
		return read_text(option, &p->values, fault);
	case O_SUBPROTOCOL:
		return read_text(option, &p->subprotocol, fault);
	case O_POSTGRES:
		return read_text(option, &p->postgres, fault);
	case O_CONSOLE:
		return read_text(option, &p->console, fault);
	case O_ROLE:
		return read_text(option, &p->role, fault);
	case O_ASSERT:
		return read_text(option, &p->assertion, fault);
	case O_KNEE:
		return read_text(option, &p->knee, fault);
	case O_HTML:
		return read_text(option, &p->html, fault);
	case O_JSON:
		return read_text(option, &p->json, fault);
	case O_JUNIT:
		return read_text(option, &p->junit, fault);
	case O_CSV:
		return read_text(option, &p->csv, fault);
	case O_METRICS:
		return read_text(option, &p->metrics, fault);
	case O_HEADER:
		return read_header(p, fault);
	case O_ABUSE:
		return read_abuse(p, fault);
	case O_SEED: {
		unsigned seed = 0;
		bool good = read_number(option, 0, UINT32_MAX, &seed, fault);

		p->seed = seed;
		return good;
	}
	case O_STORM:
		p->storm = true;
		return true;
	case O_PREPARED:
		p->prepared = true;
		return true;
	case O_INSECURE:
		p->insecure = true;
		return true;
	case O_PREFLIGHT:
		p->preflight = true;
		return true;
	case O_QUIET:
		p->quiet = true;
		return true;
	case O_OWNED:
		p->owned = true;
		return true;
	default:
		p->help = true;
		return true;
	}
}

/* The hosts that libpq would take, one after another if there are several: whether all are here, and all are unix sockets. */
static bool postgres_is_here(const char *url, struct fault fault, bool *here, bool *unix_only)
{
	PQconninfoOption *options;
	char *words = NULL;
	const char *host = NULL, *address = NULL, *service = NULL;

	options = PQconninfoParse(url, &words);
	if (!options) {
		text_format(fault.text, fault.size, "%.*s: a URL is postgresql://USER@HOST:PORT/DATABASE",
			(int)strcspn(words ? words : "", "\n"), words ? words : "");
		PQfreemem(words);
		return false;
	}
	for (const PQconninfoOption *o = options; o->keyword; o++) {
		if (strcmp(o->keyword, "host") == 0)
			host = o->val;
		else if (strcmp(o->keyword, "hostaddr") == 0)
			address = o->val;
		else if (strcmp(o->keyword, "service") == 0)
			service = o->val;
	}
	if (address && *address)
		host = address;
	if (!host || !*host)
		host = getenv("PGHOSTADDR") ? getenv("PGHOSTADDR") : getenv("PGHOST");
	*here = !service && !getenv("PGSERVICE");
	*unix_only = *here;
	while (host && *host && *here) {
		size_t length = strcspn(host, ",");
		char one[256];

		text_copy_span(one, sizeof one, span_of(host, length));
		*unix_only = *unix_only && (length == 0 || host[0] == '/' || host[0] == '@');
		*here = length == 0 || stress_host_is_here(one); /* nothing between two commas: the unix socket */
		host += length + (host[length] == ',');
	}
	PQconninfoFree(options);
	return true;
}

static bool look_at_target(struct stress_plan *p, struct fault fault)
{
	char shown[100];
	bool here = stress_host_is_here(p->host);

	if (p->target == TARGET_POSTGRES && !postgres_is_here(p->url, fault, &here, &p->portless))
		return false;
	if (here || p->owned)
		return true;
	text_escape(shown, sizeof shown, span_text(p->host));
	text_format(fault.text, fault.size,
		"%s%sthis target is not on this machine's loopback address. A load like this one is an attack on whoever did not ask for it.\n"
		"If it is yours, add --i-own-this-target",
		shown, shown[0] ? ": " : "");
	return false;
}

/* What the options must be together. */
static bool make_sense(struct stress_plan *p, struct fault fault, bool burst_given, bool warm_up_given)
{
	unsigned abuse = 0;

	if (!look_at_target(p, fault))
		return false;
	for (unsigned i = 1; i < ABUSE_KINDS; i++)
		abuse += p->abuse[i];
	if (abuse > 100)
		return complain(fault, "--abuse: more than 100 percent of the visitors");
	for (unsigned i = 1; i < ABUSE_KINDS; i++) {
		if (p->abuse[i] && !abuse_is_for((enum stress_abuse)i, p->target)) {
			text_format(fault.text, fault.size, "--abuse %s is for %spostgresql:// targets",
				stress_abuse_names[i], i == ABUSE_COME_AND_GO ? "ws:// and " : "");
			return false;
		}
	}
	if (p->prepared && p->target != TARGET_POSTGRES)
		return complain(fault, "--prepared is for postgresql:// targets: nothing else has statements");
	if (p->target == TARGET_HTTP && p->message)
		return complain(fault,
			"--message is for ws:// and postgresql://; what an HTTP target is to be sent is --data (and --method)");
	if (p->target != TARGET_HTTP && (p->method || p->data)) {
		text_format(fault.text, fault.size, "--%s is for http://; what this target is to be sent is --message",
			p->method ? "method" : "data");
		return false;
	}
	if (p->data && strcmp(stress_method_of(p), "HEAD") == 0)
		return complain(fault, "--method HEAD has no --data: it asks for the head of what GET would bring");
	if (p->target != TARGET_WEBSOCKET && p->subprotocol)
		return complain(fault, "--subprotocol is for ws://");
	if (p->target == TARGET_POSTGRES && p->header_count)
		return complain(fault, "--header is for ws:// and http://");
	if (p->target == TARGET_POSTGRES && p->source_count)
		return complain(fault,
			"--source is for ws:// and http://: libpq lets the kernel choose. By a unix socket no ports are needed at all");
	if (p->target != TARGET_WEBSOCKET && p->first)
		return complain(fault, "--first is for ws://");
	if (p->target == TARGET_WEBSOCKET && (p->expect || p->expect_match || p->expect_json) && !p->message)
		return complain(fault, "--expect wants --message: without a question there is no answer");
	if (p->target == TARGET_POSTGRES && !p->message)
		p->message = "SELECT 1";
	if (p->knee && (p->storm || (burst_given && p->burst > 0)))
		return complain(fault, "--knee raises the load level by level: it has no --burst and no --storm");
	if (!burst_given && !p->storm && !p->knee)
		p->burst = p->sockets / 5;
	if (!warm_up_given)
		p->warm_up = p->sockets / 10 ? p->sockets / 10 : 1;
	if (p->sockets + p->burst > STRESS_SOCKETS_MAX)
		return complain(fault, "--sockets and --burst together are at most 100000");
	if (p->role && !p->postgres && !p->console)
		return complain(fault, "--role wants --postgres or --console: where is it to be looked for?");
	return true;
}

bool stress_options_read(int argc, char **argv, struct stress_plan *p, char *error, size_t error_size)
{
	struct fault fault = { .text = error, .size = error_size };
	bool burst_given = false, warm_up_given = false;
	int option;

	*p = (struct stress_plan){ .sockets = 50,
		.waves = 3,
		.baseline = 3 * SECOND_US,
		.warm_for = 2 * SECOND_US,
		.ramp = 2 * SECOND_US,
		.hold = 5 * SECOND_US,
		.burst_for = 2 * SECOND_US,
		.drain = 2 * SECOND_US,
		.settle = 5 * SECOND_US,
		.think = SECOND_US,
		.timeout = 10 * SECOND_US,
		.sample = 500 * MILLISECOND_US,
		.seed = (uint64_t)clock_wall() & UINT32_MAX };
	error[0] = 0;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "h", table, NULL)) != -1) {
		if (option == '?')
			return unknown_option(fault, argv[optind - 1]);
		if (!read_option(option, p, fault))
			return false;
		burst_given |= option == O_BURST;
		warm_up_given |= option == O_WARM_UP;
	}
	if (p->help)
		return true;
	if (argc - optind != 1)
		return complain(fault, optind == argc ? "which target? Give its URL" : "one URL only");
	return stress_url_read(argv[optind], p, error, error_size) && make_sense(p, fault, burst_given, warm_up_given);
}
