#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "session/client.h"
#include "session/server.h"
#include "wire/frame.h"

/* Whole logins against a peer of any bytes, in portions: a client's, from its first byte through requests for encryption, cancels and
 * startup packets to its proof; and ours to a server. The input: one byte that chooses the side and how one must prove oneself, one that
 * says how large portions are, then what the peer says.
 *
 * Nobody proves anything by chance, what is written is bounded, and a refusal has its reason. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One iteration, so that a turn is quick; keys that nobody has. */
#define KEY          "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define SCRAM        "SCRAM-SHA-256$1:AAAAAAAAAAAAAAAAAAAAAA==$" KEY ":" KEY
#define WRITTEN_MOST 12288 /* in answer to one portion: names of protocol options are told as they came */

static const uint8_t zeros[64];
static struct params_book *book;

/* ---- a client's ---- */

static const char *const ways[] = { "auth_type = md5", "auth_type = plain", "auth_type = scram-sha-256",
	"auth_type = pam", "auth_type = ldap\nauth_ldap_options = \"ldapserver=h ldapprefix=cn=\"", "auth_type = cert",
	"auth_type = md5\nauth_user = ada", "auth_type = scram-sha-256\nauth_user = ada\nauth_dbname = shop" };
#define WAYS (sizeof ways / sizeof *ways)

static struct config *configs[2][WAYS];
static struct secrets *secrets;

static void prepare(void)
{
	char text[400], error[300];

	if (book)
		return;
	book = params_book_new();
	secrets = secrets_parse(span_text("\"ada\" \"" SCRAM "\"\n"), error, sizeof error);
	check(book && secrets);
	for (unsigned manner = 0; manner < 2; manner++) {
		for (size_t i = 0; i < WAYS; i++) {
			struct config_source source = { .manner = manner ? MANNER_PGBOUNCER : MANNER_PGWEIR };

			text_format(text, sizeof text,
				"[databases]\nshop =\n* =\n[pgbouncer]\nadmin_users = boss\n%s\n", ways[i]);
			source.text = span_text(text);
			configs[manner][i] = config_parse(&source, error, sizeof error);
			check(configs[manner][i]);
		}
	}
}

/* What the worker does about an edge, and what comes of it. */
static enum client_edge follow(struct client *client, enum client_edge edge, struct buf *out)
{
	struct client_question question;

	switch (edge) {
	case CLIENT_SECURE:
		return client_secured(client, &(struct client_channel){ .binding = span_text("certificate") })
			? CLIENT_MORE
			: CLIENT_GONE;
	case CLIENT_ENTERS:
		return client_admit(client, out);
	case CLIENT_ASKS:
		return client_found(client, NULL, (struct secret_mock){ .scram = true, .iterations = 1 }, out);
	case CLIENT_ASKS_ROLES:
		return client_told_roles(client, NULL, out);
	case CLIENT_ASKS_HOST:
		return client_told_host(client, NULL, out);
	case CLIENT_VOUCHES:
		client_question(client, &question);
		check(question.options && question.password.length > 0);
		return client_vouched(client, false, out);
	case CLIENT_CANCEL:
		check(client_facts(client)->cancel_secret.length >= 4 &&
			client_facts(client)->cancel_secret.length <= 256);
		return CLIENT_GONE;
	case CLIENT_PROVEN:
		check(!"nobody proves anything by chance");
		break;
	case CLIENT_REFUSED:
		check(client_facts(client)->refusal && client_facts(client)->refusal[0]);
		check(out->length > 0);
		return CLIENT_GONE;
	case CLIENT_MORE:
	case CLIENT_GONE:
		break;
	}
	return edge;
}

static void fuzz_client(unsigned choice, size_t portion, struct span said)
{
	struct client_setup setup = { .config = configs[choice >> 3 & 1][choice & 7],
		.secrets = secrets,
		.params = book,
		.process_random = zeros,
		.random = zeros,
		.peer_host = "10.0.0.7:4711",
		.peer = { .ip_length = 4 },
		.tls = (enum client_tls)((choice >> 4 & 3) % 3) };
	struct client *client = client_new(&setup);
	enum client_edge edge = CLIENT_MORE;
	size_t end = 0, used;
	struct buf out = { 0 };

	while (client && edge != CLIENT_GONE && (end < said.length || edge != CLIENT_MORE)) {
		if (edge == CLIENT_MORE) {
			end = said.length - end < portion ? said.length : end + portion;
			/* What is done with is taken off, as from a socket; then what is left is looked at again. */
			for (used = 1; edge == CLIENT_MORE && used && end;) {
				edge = client_take(client, span_of(said.at, end), &used, &out);
				check(used <= end);
				said = span_skip(said, used);
				end -= used;
			}
		}
		check(out.length <= WRITTEN_MOST);
		while (edge != CLIENT_MORE && edge != CLIENT_GONE)
			edge = follow(client, edge, &out);
		buf_clear(&out);
	}
	buf_fini(&out);
	client_free(client);
}

/* ---- ours ---- */

static void fuzz_server(unsigned choice, size_t portion, struct span said)
{
	static const char *const texts[] = { SCRAM, "pencil", "md56a422f785c9e20873908ce25d1736ae2", "" };
	struct secret secret = { 0 };
	struct server_setup setup = { .user = span_text("ada"),
		.database = span_text("shop"),
		.secret = &secret,
		.client_key = choice & 4 ? zeros : NULL,
		.random = zeros,
		.binding = span_text(choice & 8 ? "certificate" : ""),
		.params = book };
	enum server_edge edge = SERVER_MORE;
	const struct server_facts *facts;
	struct server *server;
	struct buf out = { 0 };
	size_t end = 0, used;

	if (!secret_init(&secret, span_text(texts[choice & 3])))
		return;
	server = server_login_new(&setup, &out);
	buf_clear(&out);
	while (server && edge == SERVER_MORE && end < said.length) {
		end = said.length - end < portion ? said.length : end + portion;
		for (used = 1; edge == SERVER_MORE && used && end;) {
			edge = server_login_take(server, span_of(said.at, end), &used, &out);
			check(used <= end);
			said = span_skip(said, used);
			end -= used;
		}
		check(out.length <= WRITTEN_MOST);
		buf_clear(&out);
	}
	facts = server ? server_login_facts(server) : NULL;
	if (edge == SERVER_REFUSED)
		check(strlen(facts->sqlstate) == 5 && facts->problem[0] &&
			memchr(facts->problem, 0, sizeof facts->problem));
	if (edge == SERVER_READY)
		check(facts->secret_length <= sizeof facts->secret);
	buf_fini(&out);
	server_login_free(server);
	secret_fini(&secret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	prepare();
	if (data[0] & 0x80)
		fuzz_server(data[0], 1 + data[1], span_of(data + 2, size - 2));
	else
		fuzz_client(data[0], 1 + data[1], span_of(data + 2, size - 2));
	return 0;
}
