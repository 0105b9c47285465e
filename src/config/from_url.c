#include "config/from_url.h"

#include "base/text.h"
#include "base/url.h"
#include "config/schema.h"

/*   postgresql://user:password@host:5432/shop?sslmode=require     --listen 127.0.0.1:6432
 *
 *   databases.shop      = host='host' port='5432'                 the one that is named; else *
 *   auth_type           = scram-sha-256, and the list of users    "user" "password"
 *   listen_addr, _port  = 127.0.0.1, 6432
 *
 * The client proves to us that it knows the password, by SCRAM, and with the same password we log in to PostgreSQL: whoever
 * has the URL has the other URL. Nothing is decided here that -o could not say; a parameter that would change how safe the
 * connection is and can not be obeyed is an error, never ignored. */

#define DEFAULT_ADDRESS "127.0.0.1"
#define DEFAULT_PORT    "6432"

struct parts {
	char user[128], password[1024], host[1024], port[16], database[64], listen_address[256], listen_port[16];
	bool has_password;
	struct buf line, ignored; /* line: the value of databases.NAME */
};

static bool fail(char *error, size_t size, const char *what)
{
	text_copy(error, size, what);
	return false;
}

/* ---- the URL's parts */

enum meaning {
	MEANS_USER,
	MEANS_PASSWORD,
	MEANS_HOST,
	MEANS_PORT,
	MEANS_DATABASE,
	MEANS_KEY,     /* of the database's line */
	MEANS_SETTING, /* of [pgbouncer] */
	MEANS_NOTHING  /* a matter of the driver's */
};

static const struct parameter {
	const char *name;
	enum meaning meaning;
	const char *key;
} parameters[] = {
	{ "user", MEANS_USER, NULL },
	{ "password", MEANS_PASSWORD, NULL },
	{ "host", MEANS_HOST, NULL },
	{ "hostaddr", MEANS_HOST, NULL },
	{ "port", MEANS_PORT, NULL },
	{ "dbname", MEANS_DATABASE, NULL },
	{ "client_encoding", MEANS_KEY, "client_encoding" },
	{ "application_name", MEANS_KEY, "application_name" },
	{ "connect_timeout", MEANS_SETTING, "server_connect_timeout" },
	{ "sslmode", MEANS_SETTING, "server_tls_sslmode" },
	{ "sslrootcert", MEANS_SETTING, "server_tls_ca_file" },
	{ "sslcert", MEANS_SETTING, "server_tls_cert_file" },
	{ "sslkey", MEANS_SETTING, "server_tls_key_file" },
	{ "options", MEANS_NOTHING, NULL },
	{ "fallback_application_name", MEANS_NOTHING, NULL },
	{ "keepalives", MEANS_NOTHING, NULL },
	{ "keepalives_idle", MEANS_NOTHING, NULL },
	{ "keepalives_interval", MEANS_NOTHING, NULL },
	{ "keepalives_count", MEANS_NOTHING, NULL },
	{ "tcp_user_timeout", MEANS_NOTHING, NULL },
	{ "conn_max_age", MEANS_NOTHING, NULL },
	{ "conn_health_checks", MEANS_NOTHING, NULL },
	{ "disable_server_side_cursors", MEANS_NOTHING, NULL },
	{ "pool_timeout", MEANS_NOTHING, NULL },
	{ "connection_limit", MEANS_NOTHING, NULL },
	{ "pgbouncer", MEANS_NOTHING, NULL },
};

#define PARAMETERS (sizeof parameters / sizeof parameters[0])

static bool add_override(struct from_url *from, const char *key, const char *value)
{
	char *kept_key = arena_text(&from->arena, span_text(key)), *kept = arena_text(&from->arena, span_text(value));

	if (!kept_key || !kept || from->override_count == FROM_URL_OVERRIDES)
		return false;
	from->overrides[from->override_count++] = (struct config_override){ kept_key, kept };
	return true;
}

/* key='value' of a database's line. */
static bool add_key(struct buf *line, const char *key, const char *value)
{
	if (!buf_format(line, "%s%s='", line->length ? " " : "", key))
		return false;
	for (const char *c = value; *c; c++) {
		if ((*c == '\'' && !buf_add(line, "'", 1)) || !buf_add(line, c, 1))
			return false;
	}
	return buf_add(line, "'", 1);
}

static bool is_plain_enough(const char *value)
{
	return strcmp(value, "disable") == 0 || strcmp(value, "allow") == 0 || strcmp(value, "prefer") == 0;
}

static bool take_setting(struct from_url *from, const struct parameter *p, const char *value, char *error, size_t size)
{
	const struct setting *row = schema_find(schema_settings, schema_settings_count, span_text(p->key));

	if (row->built != BUILT) {
		if (strcmp(p->name, "sslmode") == 0 && is_plain_enough(value))
			return true;
		text_format(error, size, "its %s can not be kept: %s", p->name, row->lacking);
		return false;
	}
	return add_override(from, p->key, value) || fail(error, size, "memory is refused");
}

static bool take_parameter(
	struct from_url *from, struct parts *parts, const char *name, const char *value, char *error, size_t size)
{
	const char *names[PARAMETERS + 1] = { 0 }, *nearest;
	const struct parameter *p = NULL;

	for (size_t i = 0; i < PARAMETERS; i++) {
		names[i] = parameters[i].name;
		if (strcmp(name, parameters[i].name) == 0)
			p = &parameters[i];
	}
	if (!p) {
		nearest = text_nearest(name, names);
		text_format(error, size, "its parameter \"%.40s\" is unknown%s%s%s", name,
			nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
		return false;
	}
	switch (p->meaning) {
	case MEANS_USER:
		text_copy(parts->user, sizeof parts->user, value);
		break;
	case MEANS_PASSWORD:
		text_copy(parts->password, sizeof parts->password, value);
		parts->has_password = *value != 0;
		break;
	case MEANS_HOST:
		text_copy(parts->host, sizeof parts->host, value);
		break;
	case MEANS_PORT:
		text_copy(parts->port, sizeof parts->port, value);
		break;
	case MEANS_DATABASE:
		text_copy(parts->database, sizeof parts->database, value);
		break;
	case MEANS_KEY:
		return add_key(&parts->line, p->key, value) || fail(error, size, "memory is refused");
	case MEANS_SETTING:
		return take_setting(from, p, value, error, size);
	case MEANS_NOTHING:
		return buf_format(&parts->ignored, "%s%s", parts->ignored.length ? ", " : "", name) ||
			fail(error, size, "memory is refused");
	}
	return true;
}

static bool has_control(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 127)
			return true;
	}
	return false;
}

static bool port_is_good(const char *text)
{
	int64_t port;

	return text_to_i64(span_text(text), &port) && port >= 1 && port <= 65535;
}

static bool read_url(
	struct from_url *from, struct parts *parts, const struct from_url_setup *setup, char *error, size_t size)
{
	struct span key, value;
	struct url url;

	if (!url_split(span_text(setup->url), &url) ||
		(!span_is(url.scheme, "postgresql") && !span_is(url.scheme, "postgres")))
		return fail(error, size, "it does not begin with postgresql://");
	if (url.password.length >= sizeof parts->password)
		return fail(error, size, "its password is longer than 1023 bytes");
	url_decode(url.user, parts->user, sizeof parts->user, false);
	url_decode(url.password, parts->password, sizeof parts->password, false);
	parts->has_password = url.has_password && parts->password[0];
	url_decode(url.host, parts->host, sizeof parts->host, false);
	url_decode(url.port, parts->port, sizeof parts->port, false);
	url_decode(url.name, parts->database, sizeof parts->database, false);
	while (url_parameter(&url.query, &key, &value)) {
		char name[64], decoded[1024];

		url_decode(key, name, sizeof name, false);
		url_decode(value, decoded, sizeof decoded, false);
		if (!take_parameter(from, parts, name, decoded, error, size))
			return false;
	}
	if (!parts->user[0])
		text_copy(parts->user, sizeof parts->user, setup->user ? setup->user : "");
	if (!parts->has_password && setup->password && setup->password[0]) {
		text_copy(parts->password, sizeof parts->password, setup->password);
		parts->has_password = true;
	}
	if (!parts->host[0])
		text_copy(parts->host, sizeof parts->host, setup->host && setup->host[0] ? setup->host : "localhost");
	if (!parts->port[0])
		text_copy(parts->port, sizeof parts->port, setup->port && setup->port[0] ? setup->port : "5432");
	if (!parts->database[0])
		text_copy(parts->database, sizeof parts->database, setup->database ? setup->database : "");
	if (!port_is_good(parts->port))
		return fail(error, size,
			"its port is not a number from 1 to 65535 (a / or @ in the password must be written %2F or %40; "
			"several hosts have one port and are written ?host=a,b)");
	if (!parts->user[0])
		return fail(error, size, "it names no user");
	if (has_control(parts->user) || has_control(parts->password) || has_control(parts->host) ||
		has_control(parts->database))
		return fail(error, size, "it has control characters");
	return true;
}

/* ---- where to listen */

static bool is_loopback(const char *address)
{
	return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0 || strcmp(address, "localhost") == 0;
}

static bool read_listen(struct parts *parts, const char *listen, char *error, size_t size)
{
	struct span rest = span_text(listen), address;
	const uint8_t *colon = memrchr(rest.at, ':', rest.length);

	text_copy(parts->listen_address, sizeof parts->listen_address, DEFAULT_ADDRESS);
	text_copy(parts->listen_port, sizeof parts->listen_port, DEFAULT_PORT);
	if (rest.length && rest.at[0] == '[') {
		rest = span_skip(rest, 1);
		address = span_upto(&rest, ']');
		if (rest.length && rest.at[0] == ':')
			rest = span_skip(rest, 1);
	} else if (!colon && port_is_good(listen)) {
		address = span_of("", 0);
	} else if (colon && memchr(rest.at, ':', rest.length) == colon) {
		address = span_upto(&rest, ':');
	} else {
		address = rest; /* no port, or an IPv6 address without brackets */
		rest = span_of("", 0);
	}
	if (address.length)
		text_copy_span(parts->listen_address, sizeof parts->listen_address, address);
	if (rest.length)
		text_copy_span(parts->listen_port, sizeof parts->listen_port, rest);
	if (!port_is_good(parts->listen_port)) {
		text_format(error, size, "--listen: \"%.40s\" is no port from 1 to 65535", parts->listen_port);
		return false;
	}
	if (!parts->has_password && !is_loopback(parts->listen_address)) {
		text_format(error, size,
			"--listen %s: without a password in the URL or in PGPASSWORD whoever reaches that address would be "
			"let in; give one, or listen on 127.0.0.1",
			parts->listen_address);
		return false;
	}
	return true;
}

/* ---- what follows */

/* A name or secret of auth_file, with its quotes. */
static bool add_quoted(struct buf *to, const char *text)
{
	bool good = buf_add(to, "\"", 1);

	for (; *text && good; text++)
		good = (*text != '"' || buf_add(to, "\"", 1)) && buf_add(to, text, 1);
	return good && buf_add(to, "\"", 1);
}

static bool conclude(struct from_url *from, struct parts *parts)
{
	struct buf users = { 0 };
	char key[80];
	bool good;

	text_format(key, sizeof key, "databases.%s", parts->database[0] ? parts->database : "*");
	good = add_key(&parts->line, "host", parts->host) && add_key(&parts->line, "port", parts->port) &&
		buf_add(&parts->line, "", 1) && add_override(from, key, (const char *)buf_span(&parts->line).at) &&
		add_override(from, "listen_addr", parts->listen_address) &&
		add_override(from, "listen_port", parts->listen_port) && add_override(from, "unix_socket_dir", "") &&
		add_override(from, "auth_type", parts->has_password ? "scram-sha-256" : "trust") &&
		add_override(from, "admin_users", parts->user) && add_override(from, "pool_mode", "transaction") &&
		add_quoted(&users, parts->user) && buf_add(&users, " ", 1) && add_quoted(&users, parts->password);
	from->user = arena_text(&from->arena, span_text(parts->user));
	from->password = parts->has_password ? arena_text(&from->arena, span_text(parts->password)) : NULL;
	from->database = parts->database[0] ? arena_text(&from->arena, span_text(parts->database)) : NULL;
	from->users = good ? arena_text(&from->arena, buf_span(&users)) : NULL;
	from->ignored = arena_text(&from->arena, buf_span(&parts->ignored));
	buf_wipe(&users);
	return good && from->user && from->users && from->ignored && (from->password || !parts->has_password) &&
		(from->database || !parts->database[0]);
}

bool from_url_read(struct from_url *from, const struct from_url_setup *setup, char *error, size_t error_size)
{
	struct parts parts = { 0 };
	char why[320] = "memory is refused";
	bool good;

	*from = (struct from_url){ 0 };
	good = read_url(from, &parts, setup, why, sizeof why);
	if (!good) {
		text_format(error, error_size, "the URL: %s", why);
	} else {
		good = read_listen(&parts, setup->listen ? setup->listen : "", error, error_size);
		if (good && !conclude(from, &parts))
			good = fail(error, error_size, "memory is refused");
	}
	buf_fini(&parts.line);
	buf_fini(&parts.ignored);
	secret_wipe(&parts, sizeof parts);
	if (!good)
		from_url_fini(from);
	return good;
}

void from_url_fini(struct from_url *from)
{
	arena_fini(&from->arena);
	*from = (struct from_url){ 0 };
}
