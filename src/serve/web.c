/* The HTTP server: a thread of its own, so that whoever looks can not slow those who are served. It owns its connections and the last
 * snapshot, and never looks into the house: what it shows comes home to it as a census, as it does for the console.
 *
 *   reader --GET--> web ---------letter---> worker 0 -> worker 1 -> ... -> keeper --snapshot--> web --> all readers that wait
 *                    |  one census at a time; what came home serves everybody for FRESH
 *                    '-- nobody waits for one longer than PATIENCE: 503
 *
 * Only /readyz asks the core itself, for its totals, since it must tell the truth of this moment.
 *
 * It goes on while pgweir drains, and ends before the workers do. */
#include "serve/web.h"

#include <stdlib.h>

#include "base/text.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/tls.h"
#include "serve/vouching.h"
#include "serve/web_access.h"
#include "serve/web_page.h"
#include "serve/worker.h"
#include "session/web.h"
#include "view/chart.h"
#include "view/json.h"
#include "view/metrics.h"

#define FRESH    (500 * MILLISECOND_US)
#define PATIENCE (2 * SECOND_US)
#define PEM_MAX  ((size_t)1024 * 1024)

struct web {
	struct house *house;
	struct http *http;
	struct thread *thread;
	struct access access;
	time_us now;

	struct snapshot *latest;
	time_us latest_at;
	struct buf picture; /* /api/snapshot.json of `latest`, once somebody asked for it: fifty who look cost little more than one */
	bool asked;        /* a census is under way */
	time_us answer_by; /* somebody waits for it, until then; 0: nobody does */

	struct chart *chart;
	time_us sample_at; /* when the next sample of it is due */

	struct lock *lock;
	struct snapshot *arrived; /* under the lock */
	struct letter *told; /* under the lock: what PostgreSQL, PAM or a directory said of users, the newest first */
	bool stopping;       /* under the lock */
};

/* ---- censuses ---- */

static void take_arrived(struct web *web)
{
	struct snapshot *arrived;

	lock_take(web->lock);
	arrived = web->arrived;
	web->arrived = NULL;
	lock_drop(web->lock);
	if (!arrived)
		return;
	snapshot_free(web->latest);
	web->latest = arrived;
	buf_fini(&web->picture);
	if (web->now >= web->sample_at && (arrived->parts & CHART_PARTS) == CHART_PARTS && !arrived->refused_memory) {
		chart_add(web->chart, arrived);
		web->sample_at = web->now + CHART_INTERVAL;
	}
	web->latest_at = web->now;
	web->asked = false;
	web->answer_by = 0;
	http_resume(web->http);
}

static void take_told(struct web *web)
{
	struct letter *told, *next;

	lock_take(web->lock);
	told = web->told;
	web->told = NULL;
	lock_drop(web->lock);
	if (told && web->http)
		http_resume(web->http);
	for (; told; told = next) {
		next = told->next;
		access_told(&web->access, told, web->now);
	}
}

/* The snapshot to answer from; NULL: it is not here yet. */
static const struct snapshot *snapshot_for(struct web *web, unsigned parts)
{
	if (web->latest && (web->latest->parts & parts) == parts && web->now < web->latest_at + FRESH)
		return web->latest;
	if (!web->asked)
		web->asked = census_ask(web->house, parts);
	return NULL;
}

/* A sample is taken from a census that somebody else asked for, if there is one. */
static void see_to_sample(struct web *web)
{
	if (web->asked || web->now < web->sample_at)
		return;
	web->asked = census_ask(web->house, CHART_PARTS);
	if (!web->asked)
		web->sample_at = web->now + SECOND_US;
}

/* What comes home wakes us. */
static time_us next_deadline(const struct web *web)
{
	if (web->asked)
		return web->answer_by;
	return web->answer_by && web->answer_by < web->sample_at ? web->answer_by : web->sample_at;
}

/* ---- what there is to see ---- */

struct showing {
	const struct http_request *request;
	const struct caller *caller;
	const struct snapshot *snapshot; /* NULL: none is needed */
};

/* False: memory refused. */
typedef bool write_fn(struct web *, const struct showing *, struct http_reply *);

static bool write_health(struct web *web, const struct showing *showing, struct http_reply *reply)
{
	(void)web;
	(void)showing;
	reply->type = "text/plain; charset=utf-8";
	return buf_format(&reply->body, "alive\n");
}

static bool write_ready(struct web *web, const struct showing *showing, struct http_reply *reply)
{
	struct totals_picture totals;

	(void)showing;
	lock_take(web->house->lock);
	core_totals(web->house->core, &totals);
	lock_drop(web->house->lock);
	reply->type = "text/plain; charset=utf-8";
	if (totals.shutting_down || totals.paused || totals.suspended)
		reply->status = 503;
	return buf_format(&reply->body, "%s\n",
		totals.shutting_down       ? "draining"
			: totals.paused    ? "paused"
			: totals.suspended ? "suspended"
					   : "ready");
}

static bool write_metrics(struct web *web, const struct showing *showing, struct http_reply *reply)
{
	const char *accept = http_header(showing->request, "Accept");
	enum metrics_form form = accept && web_wants_openmetrics(span_text(accept)) ? METRICS_OPEN : METRICS_TEXT;

	(void)web;
	reply->type = metrics_content_type(form);
	return metrics_write(&reply->body, showing->snapshot, form);
}

static bool write_snapshot(struct web *web, const struct showing *showing, struct http_reply *reply)
{
	reply->type = "application/json";
	if (!web->picture.length && !json_snapshot(&web->picture, showing->snapshot)) {
		buf_fini(&web->picture);
		return false;
	}
	return buf_add_span(&reply->body, buf_span(&web->picture));
}

static bool write_history(struct web *web, const struct showing *showing, struct http_reply *reply)
{
	(void)showing;
	reply->type = "application/json";
	return chart_json(&reply->body, web->chart);
}

static bool write_session(struct web *web, const struct showing *showing, struct http_reply *reply)
{
	(void)web;
	reply->type = "application/json";
	return access_write(&reply->body, showing->caller);
}

static bool write_page(struct web *web, const struct showing *showing, struct http_reply *reply)
{
	(void)web;
	return page_write(page_find(showing->request->path), reply);
}

static const struct route {
	const char *path;
	bool open;      /* to everybody on this machine */
	unsigned parts; /* of a snapshot; 0: needs none */
	write_fn *write;
} routes[] = {
	{ "/healthz", true, 0, write_health },
	{ "/readyz", true, 0, write_ready },
	{ "/metrics", true, METRICS_PARTS, write_metrics },
	{ "/api/history.json", false, 0, write_history },
	{ "/api/session.json", false, 0, write_session },
	{ "/api/snapshot.json", false, JSON_PARTS, write_snapshot },
};

/* To everybody from everywhere: it is where people log in. */
static const struct route page = { .write = write_page };

static const struct route *find_route(const char *path)
{
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
		if (strcmp(routes[i].path, path) == 0)
			return &routes[i];
	return page_find(path) ? &page : NULL;
}

/* Ask again when something is here, or when his patience is at its end. */
static enum http_verdict be_patient(struct web *web, time_us until)
{
	if (!web->answer_by || until < web->answer_by)
		web->answer_by = until;
	return HTTP_LATER;
}

static enum http_verdict show(struct web *web, const struct route *route, const struct http_request *request,
	const struct caller *caller, struct http_reply *reply)
{
	struct showing showing = { .request = request, .caller = caller };

	if (route->parts) {
		showing.snapshot = snapshot_for(web, route->parts);
		if (!showing.snapshot && web->now < request->since + PATIENCE)
			return be_patient(web, request->since + PATIENCE);
		if (!showing.snapshot || showing.snapshot->refused_memory) {
			web_say(reply, 503, "error",
				showing.snapshot ? "out of memory" : "the workers did not answer in time");
			return HTTP_ANSWERED;
		}
	}
	reply->status = 200;
	if (!route->write(web, &showing, reply)) {
		buf_fini(&reply->body);
		web_say(reply, 503, "error", "out of memory");
	}
	return HTTP_ANSWERED;
}

static enum http_verdict change(
	struct web *web, const struct http_request *request, const struct caller *caller, struct http_reply *reply)
{
	if (strcmp(request->path, "/login") == 0)
		return access_login(&web->access, request, web->now, reply) == HTTP_LATER
			? be_patient(web, request->since + ACCESS_PATIENCE)
			: HTTP_ANSWERED;
	if (!caller->known)
		access_refuse(caller, reply);
	else if (access_change_fits(caller, request, reply))
		access_logout(&web->access, request, reply);
	return HTTP_ANSWERED;
}

static enum http_verdict answer(void *context, const struct http_request *request, struct http_reply *reply)
{
	struct web *web = context;
	const struct route *route = find_route(request->path);
	bool changes = strcmp(request->path, "/login") == 0 || strcmp(request->path, "/logout") == 0;
	bool gets = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
	struct caller caller = { .near = address_is_loopback(&request->peer) };

	web->now = clock_now();
	if (!access_fits(&web->access, request, reply))
		return HTTP_ANSWERED;
	if (!route && !changes) {
		web_say(reply, 404, "error", "there is nothing here; doc/http.md says what is where");
		return HTTP_ANSWERED;
	}
	if (route ? !gets : strcmp(request->method, "POST") != 0) {
		web_say(reply, 405, "error", "this is not done here with this method");
		http_reply_line(reply, "Allow", route ? "GET, HEAD" : "POST");
		return HTTP_ANSWERED;
	}
	if (route == &page || (route && route->open && caller.near))
		return show(web, route, request, &caller, reply);
	if (access_who(&web->access, request, web->now, &caller) == HTTP_LATER)
		return be_patient(web, request->since + ACCESS_PATIENCE);
	if (changes)
		return change(web, request, &caller, reply);
	if (!caller.known) {
		access_refuse(&caller, reply);
		return HTTP_ANSWERED;
	}
	return show(web, route, request, &caller, reply);
}

/* ---- life ---- */

bool web_settings_fit(const struct config *config, char *error, size_t error_size)
{
	bool certificate = config->http_tls_cert_file[0], key = config->http_tls_key_file[0];
	struct address address;

	if (!config->http_listen[0])
		return true;
	if (!address_parse_place(config->http_listen, &address))
		text_format(error, error_size,
			"http_listen: found \"%.100s\", allowed: a numeric address, localhost or *, with a port: 127.0.0.1:6433, [::1]:6433",
			config->http_listen);
	else if (certificate != key)
		text_format(error, error_size, "%s is not set: a certificate and its key go together",
			certificate ? "http_tls_key_file" : "http_tls_cert_file");
	else if (!address_is_loopback(&address) && !certificate)
		text_format(error, error_size,
			"http_listen: \"%.100s\" can be reached from other machines: set http_tls_cert_file and http_tls_key_file, or listen on 127.0.0.1",
			config->http_listen);
	else
		return true;
	return false;
}

static bool read_pem(const char *key, const char *path, char **text, char *error, size_t error_size)
{
	char reason[256];
	size_t length;

	if (!path[0] || file_read(path, PEM_MAX, text, &length, reason, sizeof reason))
		return true;
	text_format(error, error_size, "%s: %s", key, reason);
	return false;
}

/* The library for HTTP says of a key and a certificate that do not go together no more than that TLS could not begin. */
static bool papers_fit(const struct config *config, char *error, size_t error_size)
{
	struct tls_setup setup = {
		.side = TLS_ACCEPTS,
		.check = TLS_CHECK_NOTHING,
		.prefix = "http_tls",
		.key_file = config->http_tls_key_file,
		.cert_file = config->http_tls_cert_file,
		.ca_file = "",
		.protocols = "secure",
		.ciphers = "default",
		.suites = "",
		.curve = "",
		.dheparams = "",
	};
	struct tls_context *context;

	if (!config->http_tls_cert_file[0])
		return true;
	context = tls_context_new(&setup, error, error_size);
	if (context && tls_context_doubt(context))
		log_line(LOG_WARNING, "%s", tls_context_doubt(context));
	tls_context_drop(context);
	return context != NULL;
}

struct web *web_open(struct house *house, const struct config *config, char *error, size_t error_size)
{
	struct http_setup setup = { .answer = answer };
	struct web *web = calloc(1, sizeof *web);
	char *certificate = NULL, *key = NULL, where[ADDRESS_TEXT];

	if (web) {
		web->lock = lock_new();
		web->chart = chart_new();
	}
	if (!web || !web->lock || !web->chart) {
		web_stop(&web);
		text_copy(error, error_size, "http_listen: out of memory");
		return NULL;
	}
	web->house = web->access.house = house;
	setup.context = web;
	if (address_parse_place(config->http_listen, &setup.address) && papers_fit(config, error, error_size) &&
		read_pem("http_tls_cert_file", config->http_tls_cert_file, &certificate, error, error_size) &&
		read_pem("http_tls_key_file", config->http_tls_key_file, &key, error, error_size)) {
		setup.certificate = certificate;
		setup.key = key;
		web->http = http_open(&setup, error, error_size);
	}
	if (key)
		secret_wipe(key, strlen(key));
	web->access.secure = certificate != NULL;
	web->access.loopback = address_is_loopback(&setup.address);
	free(certificate);
	free(key);
	if (!web->http) {
		web_stop(&web);
		return NULL;
	}
	log_line(LOG_LOG, "listening on %s for %s", address_text(http_address(web->http), where),
		web->access.secure ? "https" : "http");
	return web;
}

static bool is_stopping(struct web *web)
{
	bool stopping;

	lock_take(web->lock);
	stopping = web->stopping;
	lock_drop(web->lock);
	return stopping;
}

static void run(void *context)
{
	struct web *web = context;

	while (!is_stopping(web)) {
		http_turn(web->http, next_deadline(web));
		web->now = clock_now();
		take_arrived(web);
		take_told(web);
		see_to_sample(web);
		if (web->answer_by && web->now >= web->answer_by) {
			web->answer_by = 0;
			http_resume(web->http);
		}
	}
}

bool web_start(struct web *web)
{
	web->sample_at = clock_now(); /* the last hour is wanted by those who were not there */
	web->thread = thread_start(run, web, "http");
	return web->thread != NULL;
}

void web_deliver(struct web *web, struct letter_census *letter)
{
	if (web) {
		lock_take(web->lock);
		snapshot_free(web->arrived);
		web->arrived = letter->snapshot;
		letter->snapshot = NULL;
		lock_drop(web->lock);
		http_wake(web->http);
	}
	snapshot_free(letter->snapshot);
	free(letter);
}

void web_tell(struct web *web, struct letter *letter)
{
	if (!web) {
		if (letter->kind == LETTER_VOUCH)
			vouching_letter_free(letter);
		else
			question_letter_free((struct letter_question *)(void *)letter);
		return;
	}
	lock_take(web->lock);
	letter->next = web->told;
	web->told = letter;
	lock_drop(web->lock);
	http_wake(web->http);
}

void web_stop(struct web **at)
{
	struct web *web = *at;

	*at = NULL;
	if (!web)
		return;
	if (web->thread) {
		lock_take(web->lock);
		web->stopping = true;
		lock_drop(web->lock);
		http_wake(web->http);
		thread_join(&web->thread);
	}
	http_close(&web->http);
	chart_free(web->chart);
	snapshot_free(web->latest);
	snapshot_free(web->arrived);
	buf_fini(&web->picture);
	if (web->lock)
		take_told(web);
	answers_fini(&web->access.answers);
	secret_wipe(&web->access, sizeof web->access);
	lock_free(web->lock);
	free(web);
}
