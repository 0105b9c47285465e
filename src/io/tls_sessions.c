#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"
#include "io/tls_private.h"

/* What servers gave us to resume a session by, the last of each server. PostgreSQL itself gives none; poolers and proxies may.
 *
 * A ticket is good only within its context: another configuration may believe in other authorities. And only for its server's name and
 * address: what was checked of the certificate then is not checked again. */

#define PLACES 64

struct place {
	char *server;
	SSL_SESSION *session;
};

struct tls_sessions {
	pthread_mutex_t lock;
	struct place places[PLACES];
};

static struct place *place_of(struct tls_sessions *sessions, const char *server)
{
	return &sessions->places[hash_bytes(span_text(server)) % PLACES];
}

static void place_clear(struct place *place)
{
	SSL_SESSION_free(place->session);
	free(place->server);
	*place = (struct place){ 0 };
}

/* OpenSSL has got one. Returning 1 keeps it. */
static int keep(SSL *ssl, SSL_SESSION *session)
{
	struct tls *tls = SSL_get_app_data(ssl);
	struct tls_sessions *sessions = tls->context->sessions;
	char *server = strdup(tls->server);
	struct place *place;

	if (!server || !SSL_SESSION_is_resumable(session)) {
		free(server);
		return 0;
	}
	pthread_mutex_lock(&sessions->lock);
	place = place_of(sessions, server);
	place_clear(place);
	*place = (struct place){ server, session };
	pthread_mutex_unlock(&sessions->lock);
	return 1;
}

struct tls_sessions *tls_sessions_new(SSL_CTX *ssl)
{
	struct tls_sessions *sessions = calloc(1, sizeof *sessions);

	if (!sessions)
		return NULL;
	pthread_mutex_init(&sessions->lock, NULL);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
	SSL_CTX_sess_set_new_cb(ssl, keep);
	return sessions;
}

void tls_sessions_free(struct tls_sessions *sessions)
{
	if (!sessions)
		return;
	for (size_t i = 0; i < PLACES; i++)
		place_clear(&sessions->places[i]);
	pthread_mutex_destroy(&sessions->lock);
	free(sessions);
}

void tls_sessions_offer(struct tls_context *context, SSL *ssl, const char *server)
{
	struct tls_sessions *sessions = context->sessions;
	struct place *place;

	pthread_mutex_lock(&sessions->lock);
	place = place_of(sessions, server);
	if (place->session && strcmp(place->server, server) == 0)
		(void)SSL_set_session(ssl, place->session);
	pthread_mutex_unlock(&sessions->lock);
}
