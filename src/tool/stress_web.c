#include <libwebsockets.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "io/terminal.h"
#include "tool/memory.h"
#include "tool/stress_load.h"
#include "tool/stress_request.h"
#include "tool/stress_source.h"

/* Visitors who speak HTTP and websockets; libwebsockets does the talking (RFC 6455: masks, pings, fragments, close codes).
 *
 * A connection and its visitor know each other until one of them goes: the library by lws_get_opaque_user_data, the visitor by
 * `connection`. A visitor that leaves lets go at once, so that nothing said later by the old connection reaches whoever comes in its
 * place; `parting` stands there instead while the goodbye is said, and NULL once it only has to die. */

#define MESSAGE_MAX 8192
#define RECEIVE_MAX 4096

/* The library keeps as much for each websocket as it hands out at a time; a longer message comes in pieces. Only a slow reader's pieces have
 * a meaning: one a second. */
#define PIECE 512

struct web {
	struct lws_context *context;
	lws_sorted_usec_list_t alarm;
	char host[300];
};

static struct visitor parting;

static int web_event(struct lws *, enum lws_callback_reasons, void *user, void *in, size_t length);

static const struct lws_protocols protocols[] = {
	{ .name = "stress", .callback = web_event, .rx_buffer_size = PIECE },
	{ .name = "slow", .callback = web_event, .rx_buffer_size = RECEIVE_MAX },
	{ .name = NULL },
};

static void say_nothing(int level, const char *line)
{
	(void)level;
	(void)line;
}

bool web_start(struct load *l, char *error, size_t error_size)
{
	const struct stress_plan *plan = l->plan;
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN, .protocols = protocols, .uid = -1, .gid = -1
	};
	struct web *way = memory_new(1, sizeof *way);
	bool six = strchr(plan->host, ':') != NULL;

	lws_set_log_level(LLL_ERR, say_nothing); /* what fails is told for each visitor, by its connection's error */
	if (plan->tls)
		info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
	info.timeout_secs = (unsigned)(plan->timeout / SECOND_US + 5); /* ours comes first */
	way->context = lws_create_context(&info);
	if (!way->context) {
		free(way);
		text_copy(error, error_size, "libwebsockets could not be started: out of memory or of descriptors");
		return false;
	}
	text_format(way->host, sizeof way->host, "%s%s%s:%d", six ? "[" : "", plan->host, six ? "]" : "", plan->port);
	l->way = way;
	return true;
}

bool web_open(struct visitor *v)
{
	const struct stress_plan *plan = v->load->plan;
	struct web *way = v->load->way;
	char path[sizeof plan->path + 64];
	struct lws *connection = NULL;
	struct lws_client_connect_info info = {
		.context = way->context,
		.address = plan->host,
		.port = plan->port,
		.path = path,
		.host = way->host,
		.origin = way->host, /* as a page from there has it, since Django's and Rails' checks refuse others; the scheme is added */
		.local_protocol_name = v->abuse == ABUSE_SLOW ? "slow" : "stress",
		.opaque_user_data = v,
		.pwsi = &connection,
		.iface = stress_source_of(plan, v->serial),
		.ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT, /* it might lead to somebody else's server */
	};

	if (plan->tls)
		info.ssl_connection |= LCCSCF_USE_SSL;
	if (plan->insecure)
		info.ssl_connection |= LCCSCF_ALLOW_SELFSIGNED | LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK |
			LCCSCF_ALLOW_EXPIRED | LCCSCF_ALLOW_INSECURE;
	visitor_fill(v, plan->path, path, sizeof path);
	if (plan->target == TARGET_WEBSOCKET)
		info.protocol = plan->subprotocol;
	else if (v->abuse == ABUSE_SILENT)
		info.method = "RAW"; /* connected, and says nothing */
	else
		info.method = stress_method_of(plan);
	info.alpn = "http/1.1";
	v->connection = NULL;
	v->greeted = v->asks = false;
	if (!lws_client_connect_via_info(&info)) {
		/* Usually an event has told why already. */
		if (v->state == VISITOR_OPENING)
			visitor_failed(v, "the connection could not be begun");
		v->connection = NULL;
		return false;
	}
	/* It may have failed and be gone, or be failing, by now: then an event has said so. */
	if (v->state == VISITOR_OPENING || v->state == VISITOR_RESTING || v->state == VISITOR_ASKING)
		v->connection = connection;
	return true;
}

void web_close(struct visitor *v, enum goodbye goodbye)
{
	struct lws *connection = v->connection;
	bool talks = v->load->plan->target == TARGET_WEBSOCKET && v->state != VISITOR_OPENING;

	if (!connection)
		return;
	v->connection = NULL;
	if (goodbye == GOODBYE && talks) {
		lws_set_opaque_user_data(connection, &parting);
		lws_rx_flow_control(connection, 1);
		lws_callback_on_writable(connection);
		lws_set_timeout(connection, PENDING_TIMEOUT_USER_OK, 5);
		return;
	}
	lws_set_opaque_user_data(connection, NULL);
	socket_cut(lws_get_socket_fd(connection), goodbye == GOODBYE_RESET);
	lws_set_timeout(connection, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

bool web_ask(struct visitor *v)
{
	if (v->load->plan->target == TARGET_HTTP)
		return true; /* it asked when it came */
	v->due = v->due < v->load->now ? v->due : v->load->now;
	v->asks = true;
	lws_callback_on_writable(v->connection);
	return true;
}

static void let_go(struct lws *connection, struct visitor *v)
{
	lws_set_opaque_user_data(connection, NULL);
	v->connection = NULL;
}

/* ---- what the library tells ---- */

static int add_headers(struct visitor *v, struct lws *connection, void *in, size_t length)
{
	unsigned char **at = in, *end = *at + length;
	const struct stress_plan *plan = v->load->plan;

	for (size_t i = 0; i < plan->header_count; i++) {
		char header[1002], *value;
		size_t filled = visitor_fill(v, plan->headers[i], header, sizeof header - 2), name;

		value = memchr(header, ':', filled);
		check(value); /* stress_options has looked */
		name = (size_t)(value - header) + 1;
		for (size_t k = 0; k < name; k++) /* as the library wants them; HTTP does not care */
			header[k] = (char)(header[k] >= 'A' && header[k] <= 'Z' ? header[k] + ('a' - 'A') : header[k]);
		value += 1 + strspn(value + 1, " ");
		filled = strlen(value);
		/* The library takes the name as a text of its own. */
		memmove(header + name + 1, value, filled + 1);
		header[name] = 0;
		if (lws_add_http_header_by_name(connection, (unsigned char *)header, (unsigned char *)header + name + 1,
			    (int)filled, at, end))
			return -1;
	}
	return 0;
}

/* The body is made here, as its length stands in front of it; it follows when it may be written. */
static bool announce_body(struct visitor *v, struct lws *connection, void *in, size_t length)
{
	static char body[MESSAGE_MAX];
	unsigned char **at = in, *end = *at + length;
	const char *type = stress_type_of(v->load->plan);
	size_t size = visitor_fill(v, v->load->plan->data, body, sizeof body);
	char digits[24];
	int count = (int)text_format(digits, sizeof digits, "%zu", size);

	buf_clear(&v->body);
	memory_got(buf_add(&v->body, body, size) ? v : NULL);
	if (type &&
		lws_add_http_header_by_token(connection, WSI_TOKEN_HTTP_CONTENT_TYPE, (const unsigned char *)type,
			(int)strlen(type), at, end) != 0)
		return false;
	if (lws_add_http_header_by_token(
		    connection, WSI_TOKEN_HTTP_CONTENT_LENGTH, (const unsigned char *)digits, count, at, end) != 0)
		return false;
	lws_client_http_body_pending(connection, 1);
	lws_callback_on_writable(connection);
	return true;
}

static int write_body(struct visitor *v, struct lws *connection)
{
	static uint8_t body[LWS_PRE + MESSAGE_MAX];
	size_t length = v->body.length;

	if (!v->load->plan->data || v->state != VISITOR_ASKING)
		return 0;
	lws_client_http_body_pending(connection, 0);
	memcpy(body + LWS_PRE, buf_span(&v->body).at, length);
	buf_fini(&v->body);
	if (lws_write(connection, body + LWS_PRE, length, LWS_WRITE_HTTP_FINAL) >= (int)length)
		return 0;
	let_go(connection, v);
	visitor_dropped(v, "the request's body could not be sent");
	return -1;
}

/* Connected, and about to send the request. */
static int request(struct visitor *v, struct lws *connection, void *in, size_t length)
{
	if (add_headers(v, connection, in, length) != 0)
		return -1;
	if (v->load->plan->data && !announce_body(v, connection, in, length))
		return -1;
	if (v->load->plan->target == TARGET_HTTP && v->state == VISITOR_OPENING) {
		visitor_opened(v);
		visitor_asked(v);
	}
	return 0;
}

static bool send_text(struct visitor *v, struct lws *connection, const char *template)
{
	static uint8_t message[LWS_PRE + MESSAGE_MAX];
	size_t length = visitor_fill(v, template, (char *)message + LWS_PRE, MESSAGE_MAX);

	if (lws_write(connection, message + LWS_PRE, length, LWS_WRITE_TEXT) >= (int)length)
		return true;
	let_go(connection, v);
	visitor_dropped(v, "the message could not be sent");
	return false;
}

static int write_message(struct visitor *v, struct lws *connection)
{
	const struct stress_plan *plan = v->load->plan;

	if (v->state != VISITOR_RESTING)
		return 0;
	if (plan->first && !v->greeted) { /* one message for each time that it may be written */
		v->greeted = true;
		if (!send_text(v, connection, plan->first))
			return -1;
		lws_callback_on_writable(connection);
		return 0;
	}
	if (!plan->message || !v->asks)
		return 0;
	v->asks = false;
	visitor_asked(v);
	if (v->abuse == ABUSE_STOP_READING)
		lws_rx_flow_control(connection, 0);
	return send_text(v, connection, plan->message) ? 0 : -1;
}

static void take_frame(struct visitor *v, struct lws *connection, struct span bytes)
{
	char wrong[STRESS_TEXT];
	size_t n;

	visitor_heard(v, bytes);
	if (v->abuse == ABUSE_SLOW) { /* the rest in a second */
		lws_rx_flow_control(connection, 0);
		lws_set_timer_usecs(connection, LWS_US_PER_SEC);
	}
	if (!lws_is_final_fragment(connection) || lws_remaining_packet_payload(connection) > 0)
		return;
	n = text_format(wrong, sizeof wrong, "an unexpected answer: ");
	text_escape(wrong + n, sizeof wrong - n, bytes);
	visitor_answered(v, true, wrong);
}

static int take_response(struct visitor *v, struct lws *connection)
{
	unsigned status = lws_http_client_http_response(connection);
	char words[80];

	if (v->load->plan->target == TARGET_WEBSOCKET) {
		if (status == 101)
			return 0; /* the library goes on, and looks at the rest of it */
		text_format(words, sizeof words, "HTTP status %u instead of a websocket", status);
		let_go(connection, v);
		visitor_failed(v, words);
		return -1;
	}
	v->started = status >= 200 && status < 300;
	if (!v->started) {
		text_format(words, sizeof words, "HTTP status %u", status);
		let_go(connection, v);
		visitor_answered(v, false, words);
		return -1;
	}
	if (stress_is_bodiless(stress_method_of(v->load->plan), status)) {
		let_go(connection, v);
		visitor_answered(v, true, "");
		return -1;
	}
	if (v->abuse == ABUSE_STOP_READING)
		lws_rx_flow_control(connection, 0);
	return 0;
}

/* Those of libwebsockets 4.1, and of 4.3. */
static bool is_about_tls(struct span words)
{
	return span_begins(words, "connect SSL err") || span_begins(words, "tls: ") ||
		span_begins(words, "server's cert didn't look good");
}

/* The library's words, without the marks it puts around them. */
static void take_refusal(struct visitor *v, struct lws *connection, struct span words)
{
	char text[STRESS_TEXT];

	if (words.length == 0)
		text_copy(text, sizeof text, "the connection failed");
	else if (span_is(words, "Unable to connect"))
		text_copy(text, sizeof text, "connection refused, or no way to the address");
	else if (is_about_tls(words))
		text_copy(text, sizeof text,
			"TLS was not agreed upon: no TLS there, or a certificate nobody vouches for (--insecure takes any)");
	else
		text_copy_span(text, sizeof text, words);
	let_go(connection, v);
	if (v->state == VISITOR_OPENING)
		visitor_failed(v, text);
	else if (v->state == VISITOR_RESTING || v->state == VISITOR_ASKING)
		visitor_dropped(v, text);
}

static void take_end(struct visitor *v, struct lws *connection)
{
	char words[80] = "the target ended the connection without a close frame (1006)";

	if (v->load->plan->target == TARGET_HTTP)
		text_copy(words, sizeof words, "the target ended the connection without an answer");
	let_go(connection, v);
	if (v->state == VISITOR_OPENING)
		visitor_failed(v, words);
	else if (v->state == VISITOR_RESTING || v->state == VISITOR_ASKING)
		visitor_dropped(v, words);
}

static void take_close(struct visitor *v, struct lws *connection, const uint8_t *in, size_t length)
{
	char words[STRESS_TEXT];
	size_t n;

	n = text_format(words, sizeof words, "the target closed with code %d", length >= 2 ? in[0] << 8 | in[1] : 1005);
	if (length > 2) {
		n += text_format(words + n, sizeof words - n, ": ");
		text_copy_span(words + n, sizeof words - n, span_of(in + 2, length - 2));
	}
	let_go(connection, v);
	if (v->state == VISITOR_RESTING || v->state == VISITOR_ASKING)
		visitor_dropped(v, words);
}

static int say_goodbye(struct lws *connection)
{
	lws_close_reason(connection, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
	return -1;
}

/* The body of an answer, in pieces of our size: it comes back as LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ. */
static int read_body(struct lws *connection)
{
	static char piece[LWS_PRE + RECEIVE_MAX];
	char *at = piece + LWS_PRE;
	int length = RECEIVE_MAX;

	return lws_http_client_read(connection, &at, &length) < 0 ? -1 : 0;
}

static void rest_slowly(struct visitor *v, struct lws *connection)
{
	if (v->abuse == ABUSE_SLOW) {
		lws_rx_flow_control(connection, 0);
		lws_set_timer_usecs(connection, LWS_US_PER_SEC);
	}
}

static int web_event(struct lws *connection, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
	struct visitor *v = connection ? lws_get_opaque_user_data(connection) : NULL;

	(void)user;
	if (v == &parting)
		return reason == LWS_CALLBACK_CLIENT_WRITEABLE ? say_goodbye(connection) : 0;
	if (!v)
		return reason == LWS_CALLBACK_CLIENT_WRITEABLE || reason == LWS_CALLBACK_CLIENT_RECEIVE ? -1 : 0;
	switch (reason) {
	case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
		return request(v, connection, in, length);
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		visitor_opened(v);
		if (v->load->plan->first)
			lws_callback_on_writable(connection);
		return 0;
	case LWS_CALLBACK_RAW_CONNECTED:
		visitor_opened(v);
		return 0;
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return write_message(v, connection);
	case LWS_CALLBACK_CLIENT_RECEIVE:
		take_frame(v, connection, span_of(in, length));
		return 0;
	case LWS_CALLBACK_CLIENT_HTTP_WRITEABLE:
		return write_body(v, connection);
	case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
		return take_response(v, connection);
	case LWS_CALLBACK_RECEIVE_CLIENT_HTTP:
		return read_body(connection);
	case LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ:
		visitor_heard(v, span_of(in, length));
		rest_slowly(v, connection);
		return 0;
	case LWS_CALLBACK_COMPLETED_CLIENT_HTTP:
		let_go(connection, v);
		visitor_answered(v, true, "");
		return -1;
	case LWS_CALLBACK_TIMER:
		lws_rx_flow_control(connection, 1);
		return 0;
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		take_close(v, connection, in, length);
		return 0;
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		take_refusal(v, connection, in ? span_of(in, length) : span_of("", 0));
		return 0;
	case LWS_CALLBACK_CLIENT_CLOSED:
	case LWS_CALLBACK_CLOSED_CLIENT_HTTP:
	case LWS_CALLBACK_RAW_CLOSE:
	case LWS_CALLBACK_WSI_DESTROY:
		take_end(v, connection);
		return 0;
	default:
		return 0;
	}
}

/* ---- turning ---- */

/* The library sleeps until its next alarm, whatever it is told. */
static void wake(lws_sorted_usec_list_t *alarm)
{
	(void)alarm;
}

void web_turn(struct load *l, time_us most)
{
	struct web *way = l->way;

	lws_sul_schedule(way->context, 0, &way->alarm, wake, most);
	lws_service(way->context, 0);
}

void web_end(struct load *l)
{
	struct web *way = l->way;

	for (unsigned i = 0; i < l->count; i++)
		web_close(&l->visitors[i], GOODBYE_NONE);
	lws_context_destroy(way->context);
	free(way);
}
