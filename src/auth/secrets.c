#include "auth/secrets.h"

#include <stdlib.h>

#include "auth/digest.h"
#include "auth/hba.h"
#include "auth/scram.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/text.h"

/* The user list is read once into a table and never changes after that, so that any thread may look names up
 * without asking anybody. Two things are still filled in later, each at most once per user, by whoever comes
 * first: the SCRAM verifier of a plain secret, and the client key that a login revealed.
 *
 *   table (hash -> index + 1)  ->  entries[]: name, secret { text, verifier }, client_key
 *                                                             NULL --first--> made     (never replaced,
 *                                                             NULL --first--> known     freed with the table)
 *
 * A pointer that goes from NULL to its final value needs no lock: compare-and-swap, and the loser frees his own. */

struct entry {
	uint64_t hash;
	char *name;
	uint32_t name_length;
	struct secret secret;
	_Atomic(uint8_t *) client_key;
};

#define SAMPLES 16

struct secrets {
	atomic_uint references;
	struct entry *entries;
	size_t count, capacity, scram_count;
	uint32_t *table; /* index into entries plus one; 0: free */
	size_t table_size;
	struct hba *hba;
	struct secret_mock samples[SAMPLES]; /* of SCRAM secrets, each as likely */
};

/* ---- one secret */

/* `n` bytes and a zero, on the heap. */
static char *copy_text(struct span from)
{
	char *to = malloc(from.length + 1);

	if (!to)
		return NULL;
	text_copy_span(to, from.length + 1, from);
	return to;
}

static void free_wiped(void *secret, size_t length)
{
	if (secret)
		secret_wipe(secret, length);
	free(secret);
}

static bool is_md5(struct span text)
{
	if (text.length != 3 + MD5_HEX_LENGTH || memcmp(text.at, "md5", 3) != 0)
		return false;
	for (size_t i = 3; i < text.length; i++) {
		if (!strchr("0123456789abcdef", text.at[i]) || text.at[i] == 0)
			return false;
	}
	return true;
}

bool secret_init(struct secret *s, struct span text)
{
	struct scram_verifier parsed, *verifier = NULL;

	s->kind = text.length == 0 ? SECRET_NONE : is_md5(text) ? SECRET_MD5 : SECRET_PLAIN;
	s->text = NULL;
	atomic_init(&s->verifier, NULL);
	if (s->kind == SECRET_PLAIN && scram_verifier_parse(&parsed, text)) {
		s->kind = SECRET_SCRAM;
		verifier = malloc(sizeof *verifier);
		if (verifier)
			*verifier = parsed;
	}
	secret_wipe(&parsed, sizeof parsed);
	s->text = copy_text(text);
	atomic_init(&s->verifier, verifier);
	if (s->text && (verifier || s->kind != SECRET_SCRAM))
		return true;
	secret_fini(s);
	return false;
}

void secret_fini(struct secret *s)
{
	free_wiped(atomic_load(&s->verifier), sizeof(struct scram_verifier));
	if (s->text)
		free_wiped(s->text, strlen(s->text));
	s->kind = SECRET_NONE;
	s->text = NULL;
	atomic_init(&s->verifier, NULL);
}

const struct scram_verifier *secret_verifier(const struct secret *s, const uint8_t salt[16], uint32_t iterations)
{
	/* The one member that may change behind a const, see the essay. */
	_Atomic(struct scram_verifier *) *place = &((struct secret *)(uintptr_t)s)->verifier;
	struct scram_verifier *kept = atomic_load_explicit(place, memory_order_acquire), *made;
	struct scram_keys keys;

	if (kept || s->kind != SECRET_PLAIN)
		return kept;
	made = malloc(sizeof *made);
	if (!made)
		return NULL;
	*made = (struct scram_verifier){ .iterations = iterations, .salt_length = SCRAM_SALT_LENGTH };
	memcpy(made->salt, salt, SCRAM_SALT_LENGTH);
	if (!scram_keys_make(&keys, span_text(s->text), span_of(salt, SCRAM_SALT_LENGTH), iterations)) {
		free(made);
		return NULL;
	}
	memcpy(made->stored_key, keys.stored_key, SCRAM_KEY_LENGTH);
	memcpy(made->server_key, keys.server_key, SCRAM_KEY_LENGTH);
	secret_wipe(&keys, sizeof keys);
	if (atomic_compare_exchange_strong(place, &kept, made))
		return made;
	free_wiped(made, sizeof *made);
	return kept;
}

/* ---- the table */

static void secrets_free(struct secrets *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct entry *e = &s->entries[i];

		free_wiped(atomic_load(&e->client_key), SCRAM_KEY_LENGTH);
		secret_fini(&e->secret);
		free(e->name);
	}
	free(s->entries);
	free(s->table);
	hba_free(s->hba);
	free(s);
}

/* Where the user stands in the table, or the free place where he belongs. */
static uint32_t *find_place(const struct secrets *s, uint64_t hash, struct span user)
{
	for (size_t i = hash & (s->table_size - 1);; i = (i + 1) & (s->table_size - 1)) {
		const struct entry *e;

		if (s->table[i] == 0)
			return &s->table[i];
		e = &s->entries[s->table[i] - 1];
		if (e->hash == hash && span_equal(span_of(e->name, e->name_length), user))
			return &s->table[i];
	}
}

static struct entry *find_entry(const struct secrets *s, struct span user)
{
	uint32_t index;

	if (s->count == 0)
		return NULL;
	index = *find_place(s, hash_bytes(user), user);
	return index ? &s->entries[index - 1] : NULL;
}

/* Room for one more entry in a table that stays half empty. */
static bool grow(struct secrets *s)
{
	size_t capacity = s->capacity ? s->capacity * 2 : 16, size = capacity * 2;
	struct entry *entries;
	uint32_t *table;

	if (s->count < s->capacity)
		return true;
	table = calloc(size, sizeof *table);
	entries = table ? realloc(s->entries, capacity * sizeof *entries) : NULL;
	if (!entries) {
		free(table);
		return false;
	}
	free(s->table);
	s->table = table;
	s->table_size = size;
	s->entries = entries;
	s->capacity = capacity;
	for (size_t i = 0; i < s->count; i++) {
		struct entry *e = &s->entries[i];

		*find_place(s, e->hash, span_of(e->name, e->name_length)) = (uint32_t)i + 1;
	}
	return true;
}

/* The last line about a user holds, as in PgBouncer. */
static bool add_user(struct secrets *s, struct span user, struct span text)
{
	struct entry *e = find_entry(s, user);
	struct secret secret;

	if (!secret_init(&secret, text))
		return false;
	if (e) {
		s->scram_count -= e->secret.kind == SECRET_SCRAM;
		secret_fini(&e->secret);
	} else {
		char *name = grow(s) ? copy_text(user) : NULL;

		if (!name) {
			secret_fini(&secret);
			return false;
		}
		e = &s->entries[s->count++];
		*e = (struct entry){ .hash = hash_bytes(user), .name = name, .name_length = (uint32_t)user.length };
		*find_place(s, e->hash, user) = (uint32_t)s->count;
	}
	s->scram_count += secret.kind == SECRET_SCRAM;
	e->secret.kind = secret.kind;
	e->secret.text = secret.text;
	atomic_init(&e->secret.verifier, atomic_load(&secret.verifier));
	return true;
}

/* ---- the file */

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Take a quoted word off the front of a line; "" inside stands for one quote. NULL: done, else what is wrong. */
static const char *take_quoted(struct span *line, struct buf *out, const char *none, const char *open)
{
	struct span rest = *line;

	buf_clear(out);
	while (rest.length > 0 && is_blank(rest.at[0]))
		rest = span_skip(rest, 1);
	if (rest.length == 0 || rest.at[0] != '"')
		return none;
	rest = span_skip(rest, 1);
	for (;;) {
		const uint8_t *quote = rest.length ? memchr(rest.at, '"', rest.length) : NULL;
		size_t n = quote ? (size_t)(quote - rest.at) : 0;
		bool doubled = quote && n + 1 < rest.length && quote[1] == '"';

		if (!quote)
			return open;
		if (!buf_add(out, rest.at, doubled ? n + 1 : n))
			return "memory is refused";
		rest = span_skip(rest, doubled ? n + 2 : n + 1);
		if (!doubled)
			break;
	}
	*line = rest;
	return NULL;
}

static const char *take_line(struct secrets *s, struct span line, struct buf *user, struct buf *secret)
{
	const char *problem;

	if (memchr(line.at, 0, line.length))
		return "a zero byte";
	problem = take_quoted(
		&line, user, "expected a user name in double quotes", "the user name's quotes are not closed");
	if (problem)
		return problem;
	if (user->length == 0)
		return "the user name is empty";
	if (user->length > USER_NAME_MAX)
		return "the user name is longer than 127 bytes";
	problem = take_quoted(&line, secret, "expected a secret in double quotes after the user name",
		"the secret's quotes are not closed");
	if (problem)
		return problem;
	if (secret->length > SECRET_MAX)
		return "the secret is longer than 65530 bytes";
	return add_user(s, buf_span(user), buf_span(secret)) ? NULL : "memory is refused";
}

struct secret_mock secret_mock_like(const struct secret *secret)
{
	struct scram_verifier *v = secret->kind == SECRET_SCRAM ? atomic_load(&secret->verifier) : NULL;

	return v ? (struct secret_mock){ true, v->iterations, v->salt_length } : (struct secret_mock){ 0 };
}

/* Sixteen SCRAM secrets at even distances, or all. */
static void take_samples(struct secrets *s)
{
	size_t wanted = s->scram_count < SAMPLES ? s->scram_count : SAMPLES, seen = 0, taken = 0;

	for (size_t i = 0; taken < wanted && i < s->count; i++) {
		if (s->entries[i].secret.kind != SECRET_SCRAM)
			continue;
		if (seen++ >= taken * s->scram_count / wanted)
			s->samples[taken++] = secret_mock_like(&s->entries[i].secret);
	}
}

struct secrets *secrets_parse(struct span text, char *error, size_t error_size)
{
	struct secrets *s = calloc(1, sizeof *s);
	struct buf user = { 0 }, secret = { 0 };
	const char *problem = s ? NULL : "memory is refused";
	unsigned line_number = 0;

	if (s)
		atomic_init(&s->references, 1);
	if (span_begins(text, "\xef\xbb\xbf"))
		text = span_skip(text, 3);
	while (!problem && text.length > 0) {
		const uint8_t *end = memchr(text.at, '\n', text.length);
		size_t length = end ? (size_t)(end - text.at) : text.length;
		struct span line = text_trim(span_of(text.at, length));

		line_number++;
		text = span_skip(text, end ? length + 1 : length);
		if (line.length > 0 && line.at[0] != ';')
			problem = take_line(s, line, &user, &secret);
	}
	buf_wipe(&user);
	buf_wipe(&secret);
	if (!problem) {
		take_samples(s);
		return s;
	}
	text_format(error, error_size, "line %u: %s", line_number, problem);
	if (s)
		secrets_free(s);
	return NULL;
}

struct secrets *secrets_one(struct span user, struct span secret)
{
	struct secrets *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	atomic_init(&s->references, 1);
	if (add_user(s, user, secret))
		return s;
	secrets_free(s);
	return NULL;
}

struct secrets *secrets_keep(struct secrets *s)
{
	check(atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed) > 0);
	return s;
}

void secrets_drop(struct secrets *s)
{
	unsigned before;

	if (!s)
		return;
	before = atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel);
	check(before > 0);
	if (before == 1)
		secrets_free(s);
}

const struct secret *secrets_find(const struct secrets *s, struct span user)
{
	const struct entry *e = find_entry(s, user);

	return e ? &e->secret : NULL;
}

struct secret_mock secrets_mock(const struct secrets *s, struct span user, const uint8_t process[32])
{
	struct secret_mock mock = { 0 };
	uint8_t sum[SHA256_LENGTH];
	uint64_t choice, other;

	if (s->scram_count == 0)
		return mock;
	/* Not the hash that mock salts come from: those are shown to clients. */
	hmac_sha256(sum, span_of(process, 32), user);
	memcpy(&choice, sum, sizeof choice);
	memcpy(&other, sum + sizeof choice, sizeof other);
	mock = s->samples[other % (s->scram_count < SAMPLES ? s->scram_count : SAMPLES)];
	mock.scram = choice % s->count < s->scram_count;
	return mock;
}

void secrets_put_client_key(struct secrets *s, struct span user, const uint8_t key[SCRAM_KEY_LENGTH])
{
	struct entry *e = find_entry(s, user);
	uint8_t *none = NULL, *made;

	if (!e || atomic_load_explicit(&e->client_key, memory_order_relaxed))
		return;
	made = malloc(SCRAM_KEY_LENGTH);
	if (!made)
		return;
	memcpy(made, key, SCRAM_KEY_LENGTH);
	if (!atomic_compare_exchange_strong(&e->client_key, &none, made))
		free_wiped(made, SCRAM_KEY_LENGTH);
}

bool secrets_get_client_key(const struct secrets *s, struct span user, uint8_t key[SCRAM_KEY_LENGTH])
{
	struct entry *e = find_entry(s, user);
	const uint8_t *kept = e ? atomic_load_explicit(&e->client_key, memory_order_acquire) : NULL;

	if (kept)
		memcpy(key, kept, SCRAM_KEY_LENGTH);
	return kept != NULL;
}

const char *secrets_name(const struct secrets *secrets, size_t i)
{
	return i < secrets->count ? secrets->entries[i].name : NULL;
}

void secrets_take_hba(struct secrets *s, struct hba *hba)
{
	check(!s->hba);
	s->hba = hba;
}

const struct hba *secrets_hba(const struct secrets *s)
{
	return s ? s->hba : NULL;
}
