/* One connection that hears for all clients of a database that LISTEN:
 *
 *   RESTING --> login --> SETUP (LISTEN to all that is wanted) --> hears
 *      ^          |          |                                       |
 *      +----------+----------+---------------------------------------+     (refused, lost, or no answer in time)
 *
 * It is there while somebody listens, and a minute longer. It logs in as whichever user last listened there: LISTEN needs no privilege,
 * and that user was lent a server of the very database a moment ago. What is asked of it goes out at once and is answered in
 * order, so that a list of what was sent says what each answer means.
 *
 * What always holds:
 *   - a topic is in the table if and only if some worker wants it, with a bit for each such worker;
 *   - a letter EAR_HEAR has exactly one answer, EAR_MARKED or EAR_FAILED; EAR_WAIT has EAR_DONE;
 *   - what is told to one worker is in the order in which PostgreSQL said it. */
#include "serve/ears.h"

#include <stdlib.h>
#include <uthash.h>

#include "base/check.h"
#include "base/text.h"
#include "io/clock.h"
#include "serve/channel.h"
#include "serve/line.h"
#include "serve/places.h"
#include "serve/watch.h"
#include "session/ear.h"

#define EAR_POOLS    8
#define LOGIN_LIMIT  (5 * SECOND_US)
#define ANSWER_LIMIT (10 * SECOND_US)
#define PING_AFTER   (30 * SECOND_US)
#define LINGER       (60 * SECOND_US)
#define PAUSE_LEAST  (100 * MILLISECOND_US)
#define PAUSE_MOST   (15 * SECOND_US)

/* Names of lookups: those of monitors count from 0. */
#define NUMBERS_FROM 0x80000000u

#define WORKER_WORDS (CANCEL_WORKERS_MAX / 64)
struct ear_topic {
	UT_hash_handle hh;
	uint64_t workers[WORKER_WORDS];
	char name[];
};

struct ear {
	struct line line;
	uint32_t number;
	bool said; /* that it can not log in */
	struct place place;
	struct timer timer;
	pool_id pools[EAR_POOLS]; /* the last who listened first */
	size_t pool_count, candidate;
	struct ear_topic *topics;
	struct letter_hear *sent, **sent_last;       /* not answered yet, oldest first */
	struct letter_hear *waiting, **waiting_last; /* until it hears */
	struct ear_talk talk;
	char encoding[EARS_ENCODING];
	time_us heard_at, retry_at, pause, idle_since;
	time_us lost_wall; /* since when it may have missed something; 0: nothing */
};

struct ears {
	struct ear *list[EARS_MAX]; /* by number */
};

/* ---- which there are ---- */

void ears_mark_init(struct house *house)
{
	uint64_t number;

	entropy_fill(&number, sizeof number);
	text_format(house->ear_mark, sizeof house->ear_mark, "_pgweir_%016llx", (unsigned long long)number);
}

static void tell_budget(const struct ear *ear)
{
	monitors_recount(ear->line.worker, ear->place.host, ear->line.port);
}

static struct ear *ear_new(struct worker *worker, uint32_t number)
{
	struct ear *ear = calloc(1, sizeof *ear);

	if (!ear)
		return NULL;
	ear->place = place_numbered(worker->house, number);
	ear->line.party = PARTY_EAR;
	ear->line.worker = worker;
	ear->line.number = NUMBERS_FROM + number;
	ear->line.port = ear->place.port;
	ear->number = number;
	ear->sent_last = &ear->sent;
	ear->waiting_last = &ear->waiting;
	timer_init(&ear->timer, PARTY_EAR);
	return ear;
}

static struct ear *ear_of(struct worker *worker, const struct letter_hear *letter)
{
	if (!worker->ears)
		worker->ears = calloc(1, sizeof *worker->ears);
	if (!worker->ears)
		return NULL;
	if (!worker->ears->list[letter->ear] && (letter->wish == EAR_HEAR || letter->wish == EAR_MOVE))
		worker->ears->list[letter->ear] = ear_new(worker, letter->ear);
	return worker->ears->list[letter->ear];
}

/* ---- telling workers ---- */

static void tell(struct ear *ear, uint32_t to, struct letter_heard heard, struct span bytes)
{
	struct letter_heard *letter = malloc(sizeof *letter + bytes.length);

	check(letter); /* one that is lost would be a notification that is lost in silence, or a client that waits for ever */
	*letter = heard;
	letter->letter.kind = LETTER_HEARD;
	letter->ear = ear->number;
	letter->length = bytes.length;
	if (bytes.length > 0)
		memcpy(letter->bytes, bytes.at, bytes.length);
	worker_post(ear->line.worker, to, &letter->letter);
}

static void answer(struct ear *ear, const struct letter_hear *asked, enum ear_word word)
{
	struct letter_heard heard = {
		.word = word,
		.asker = asked->asker,
		.token = asked->token,
		.missed = asked->wish == EAR_MOVE ? asked->missed : ear->lost_wall,
	};

	tell(ear, asked->asker.worker, heard, span_of(NULL, 0));
}

static void tell_workers(
	struct ear *ear, const uint64_t workers[WORKER_WORDS], struct letter_heard heard, struct span bytes)
{
	for (uint32_t i = 0; i < ear->line.worker->house->worker_count; i++)
		if (workers[i / 64] >> (i % 64) & 1)
			tell(ear, i, heard, bytes);
}

/* ---- what was asked of it ---- */

void ears_letter_free(struct letter_hear *letter)
{
	topics_fini(&letter->topics);
	free(letter);
}

static void put_last(struct letter_hear ***last, struct letter_hear *letter)
{
	letter->next = NULL;
	**last = letter;
	*last = &letter->next;
}

static struct letter_hear *take_first(struct letter_hear **first, struct letter_hear ***last)
{
	struct letter_hear *letter = *first;

	if (letter) {
		*first = letter->next;
		if (!*first)
			*last = first;
	}
	return letter;
}

/* It will not come to that. */
static void give_up(struct ear *ear, struct letter_hear *letter)
{
	if (letter->wish == EAR_HEAR && !letter->marked)
		answer(ear, letter, EAR_FAILED);
	else if (letter->wish == EAR_WAIT && letter->token)
		answer(ear, letter, EAR_DONE);
	ears_letter_free(letter);
}

static struct ear_topic *find_topic(const struct ear *ear, struct span name)
{
	struct ear_topic *topic;

	HASH_FIND(hh, ear->topics, name.at, (unsigned)name.length, topic);
	return topic;
}

static bool want_topic(struct ear *ear, const char *name, uint32_t worker)
{
	struct ear_topic *topic = find_topic(ear, span_text(name));
	size_t length = strlen(name);

	if (!topic) {
		topic = HASH_COUNT(ear->topics) < EARS_TOPICS_MAX ? calloc(1, sizeof *topic + length + 1) : NULL;
		if (!topic)
			return false;
		memcpy(topic->name, name, length);
		HASH_ADD_KEYPTR(hh, ear->topics, topic->name, (unsigned)length, topic);
	}
	topic->workers[worker / 64] |= UINT64_C(1) << (worker % 64);
	return true;
}

/* True: nobody wants it any more, and it is gone from the table. */
static bool drop_topic(struct ear *ear, const char *name, uint32_t worker)
{
	struct ear_topic *topic = find_topic(ear, span_text(name));
	uint64_t left = 0;

	if (!topic)
		return false;
	topic->workers[worker / 64] &= ~(UINT64_C(1) << (worker % 64));
	for (size_t i = 0; i < WORKER_WORDS; i++)
		left |= topic->workers[i];
	if (left)
		return false;
	HASH_DEL(ear->topics, topic);
	free(topic);
	return true;
}

/* It was lost, or could not come to be. What was moved here waits for the next time: nobody else hears it. */
static void give_up_all(struct ear *ear)
{
	struct letter_hear *letter, *kept = NULL, **kept_last = &kept;

	while ((letter = take_first(&ear->sent, &ear->sent_last)) ||
		(letter = take_first(&ear->waiting, &ear->waiting_last)))
		if (letter->wish == EAR_MOVE)
			put_last(&kept_last, letter);
		else
			give_up(ear, letter);
	while ((letter = take_first(&kept, &kept_last)))
		put_last(&ear->waiting_last, letter);
}

/* ---- its life ---- */

/* Does the configuration lead this pool here? */
static bool leads_here(const struct ear *ear, const struct pool_view *view)
{
	struct place place;

	return view && place_of(view->database, view->database_name, &place) &&
		place_key(&place) == place_key(&ear->place);
}

/* Nobody listens, and nobody will: it need not linger. */
static bool is_left(const struct ear *ear)
{
	for (size_t i = 0; i < ear->pool_count; i++)
		if (leads_here(ear, pool_view(ear->line.worker, ear->pools[i])))
			return false;
	return HASH_COUNT(ear->topics) == 0;
}

static void take_edge(struct ear *ear, enum line_edge edge);

static void arm(struct ear *ear)
{
	struct timers *timers = &ear->line.worker->timers;
	time_us now = ear->line.worker->now;

	switch ((enum line_state)ear->line.state) {
	case LINE_CLOSED:
		if (HASH_COUNT(ear->topics) > 0 || ear->waiting)
			timer_set(timers, &ear->timer, ear->retry_at > now ? ear->retry_at : now);
		else
			timer_clear(timers, &ear->timer);
		break;
	case LINE_RESOLVING:
	case LINE_CONNECTING:
	case LINE_LOGIN:
		timer_set(timers, &ear->timer, now + LOGIN_LIMIT);
		break;
	case LINE_OPEN:
		timer_set(timers, &ear->timer, now + (ear->sent ? ANSWER_LIMIT : is_left(ear) ? 0 : PING_AFTER));
		break;
	}
}

static void fail(struct ear *ear, const char *sqlstate, const char *problem)
{
	bool heard = ear->heard_at != 0;

	/* The same words again and again help nobody. */
	if (heard || !ear->said)
		log_line(LOG_WARNING, "listener of %s:%u/%s: %s (%s); trying again", ear->place.host, ear->line.port,
			ear->place.database, problem, sqlstate);
	ear->said = true;
	line_close(&ear->line);
	ear->talk = (struct ear_talk){ 0 };
	if (heard && !ear->lost_wall && HASH_COUNT(ear->topics) > 0)
		ear->lost_wall = clock_wall() - (ear->line.worker->now - ear->heard_at);
	ear->candidate++;
	/* What worked until now is tried again at once; what never did, with growing patience. */
	ear->pause = heard ? 0 : ear->pause ? ear->pause * 2 : PAUSE_LEAST;
	if (ear->pause > PAUSE_MOST)
		ear->pause = PAUSE_MOST;
	ear->heard_at = 0;
	ear->retry_at = ear->line.worker->now + ear->pause;
	give_up_all(ear);
	tell_budget(ear);
	arm(ear);
}

static void connect_now(struct ear *ear)
{
	take_edge(ear, line_dial(&ear->line, ear->place.host));
}

static void begin_query(struct ear *ear, struct writer *w)
{
	buf_clear(&ear->line.worker->out);
	*w = writer_to(&ear->line.worker->out);
}

/* Send what was written for this letter, and remember what its answer means. */
static void send_for(struct ear *ear, struct writer *w, struct letter_hear *letter)
{
	bool first = !ear->sent;

	put_last(&ear->sent_last, letter);
	if (!writer_ok(w) || !line_send(&ear->line))
		fail(ear, SQLSTATE_OUT_OF_MEMORY, "out of memory");
	else if (first)
		arm(ear);
}

/* A letter of our own, with nobody to answer. */
static struct letter_hear *own_letter(struct ear *ear, enum ear_wish wish)
{
	struct letter_hear *letter = calloc(1, sizeof *letter);

	if (!letter) {
		fail(ear, SQLSTATE_OUT_OF_MEMORY, "out of memory");
		return NULL;
	}
	letter->wish = wish;
	return letter;
}

static void send_hear(struct ear *ear, struct letter_hear *letter)
{
	struct writer w;
	char token[17];

	hearing_mark_text(letter->token, token);
	begin_query(ear, &w);
	ear_listen(&w, &letter->topics, ear->line.worker->house->ear_mark, token);
	send_for(ear, &w, letter);
}

/* Its topics may be heard already, with all the others; then PostgreSQL says no more than that. Who left meanwhile wants none. */
static void send_move(struct ear *ear, struct letter_hear *letter)
{
	struct topics still = { 0 };
	struct writer w;
	bool ok = true;

	for (size_t i = 0; i < letter->topics.count; i++)
		if (find_topic(ear, span_text(letter->topics.names[i])))
			ok = ok && topics_add(&still, span_text(letter->topics.names[i]));
	begin_query(ear, &w);
	ear_listen(&w, &still, NULL, NULL);
	topics_fini(&still);
	w.bad = w.bad || !ok;
	send_for(ear, &w, letter);
}

static void send_wait(struct ear *ear, struct letter_hear *letter)
{
	struct writer w;

	begin_query(ear, &w);
	ear_wait(&w);
	send_for(ear, &w, letter);
}

/* It is logged in: hear what is wanted already. The answer is that of a letter without a token. */
static void set_up(struct ear *ear)
{
	struct letter_hear *letter = own_letter(ear, EAR_WAIT);
	struct ear_topic *topic, *next;
	struct topics all = { 0 };
	struct writer w;
	bool ok;

	if (!letter)
		return;
	ok = topics_add(&all, span_text(ear->line.worker->house->ear_mark));
	HASH_ITER(hh, ear->topics, topic, next)
		ok = ok && topics_add(&all, span_text(topic->name));
	begin_query(ear, &w);
	ear_listen(&w, &all, NULL, NULL);
	topics_fini(&all);
	w.bad = w.bad || !ok;
	send_for(ear, &w, letter);
}

/* It hears: whoever waited for that is next. */
static void is_up(struct ear *ear)
{
	struct letter_heard back = { .word = EAR_BACK, .missed = ear->lost_wall };
	struct letter_hear *letter;

	ear->pause = 0;
	if (ear->said)
		log_line(LOG_LOG, "listener of %s:%u/%s: hears again", ear->place.host, ear->line.port,
			ear->place.database);
	ear->said = false;
	for (uint32_t i = 0; i < ear->line.worker->house->worker_count; i++)
		tell(ear, i, back, span_of(NULL, 0));
	ear->lost_wall = 0;
	while (ear->line.state == LINE_OPEN && (letter = take_first(&ear->waiting, &ear->waiting_last)))
		if (letter->wish == EAR_MOVE)
			send_move(ear, letter);
		else
			send_hear(ear, letter);
}

/* As whose user to log in; NULL: nobody is led here any more. */
static const struct pool_view *candidate(struct ear *ear)
{
	for (size_t i = 0; i < ear->pool_count; i++, ear->candidate++) {
		const struct pool_view *view = pool_view(
			ear->line.worker, ear->pools[ear->candidate % ear->pool_count]);

		if (leads_here(ear, view))
			return view;
	}
	return NULL;
}

static void take_edge(struct ear *ear, enum line_edge edge)
{
	switch (edge) {
	case LINE_MORE:
		if (ear->line.state != LINE_OPEN)
			arm(ear);
		tell_budget(ear);
		break;
	case LINE_READY:
		tell_budget(ear);
		set_up(ear);
		break;
	case LINE_FAILED:
		fail(ear, ear->line.sqlstate, ear->line.problem);
		break;
	}
}

void ear_connected(struct ear *ear)
{
	const struct pool_view *view = candidate(ear);
	struct startup_pair extra[] = {
		{ span_text("application_name"), span_text(EARS_APPLICATION) },
		{ span_text("client_encoding"), span_text(ear->encoding) },
	};
	struct server_setup setup = {
		.params = ear->line.worker->house->params,
		.database = span_text(ear->place.database),
		.extra = extra,
		.extra_count = ear->encoding[0] ? 2 : 1,
	};

	if (!view) {
		fail(ear, SQLSTATE_UNDEFINED_DATABASE, "the configuration leads nobody here any more");
		return;
	}
	setup.user = span_text(view->user);
	take_edge(ear,
		line_login(&ear->line, setup,
			view->database->user && strcmp(view->database->user, view->user) == 0 ? view->database->password
											      : NULL,
			view->id));
}

static void take_answer(struct ear *ear)
{
	struct letter_hear *letter = take_first(&ear->sent, &ear->sent_last);

	if (!letter) {
		fail(ear, SQLSTATE_PROTOCOL_VIOLATION, "the server answered what nobody asked");
		return;
	}
	if (letter->wish == EAR_HEAR && !letter->marked)
		answer(ear, letter, EAR_FAILED);
	else if (letter->wish == EAR_WAIT && letter->token)
		answer(ear, letter, EAR_DONE);
	else if (letter->wish == EAR_MOVE)
		answer(ear, letter, EAR_MOVED);
	else if (letter->wish == EAR_WAIT && !ear->heard_at)
		is_up(ear);
	ears_letter_free(letter);
	if (ear->line.state == LINE_OPEN) {
		ear->heard_at = ear->line.worker->now;
		arm(ear);
	}
}

static void take_mark(struct ear *ear)
{
	struct letter_hear *letter;
	uint64_t token;

	if (!hearing_mark_read(ear->talk.payload, &token))
		return;
	for (letter = ear->sent; letter; letter = letter->next)
		if (letter->wish == EAR_HEAR && letter->token == token && !letter->marked) {
			letter->marked = true;
			answer(ear, letter, EAR_MARKED);
			return;
		}
}

static void take_note(struct ear *ear)
{
	struct letter_heard heard = { .word = EAR_NOTE };
	struct ear_topic *topic;

	if (span_is(ear->talk.topic, ear->line.worker->house->ear_mark)) {
		take_mark(ear);
		return;
	}
	topic = find_topic(ear, ear->talk.topic);
	if (topic)
		tell_workers(ear, topic->workers, heard, ear->talk.note);
}

static size_t read_talk(struct ear *ear, struct span bytes)
{
	size_t used = 0, n;
	enum ear_edge edge;

	do {
		edge = ear_take(&ear->talk, span_skip(bytes, used), &n);
		used += n;
		if (edge == EAR_HEARD)
			take_note(ear);
		else if (edge == EAR_ANSWERED)
			take_answer(ear);
		else if (edge == EAR_BROKEN)
			fail(ear, ear->talk.sqlstate, ear->talk.problem);
	} while (edge != EAR_MORE && ear->line.state == LINE_OPEN);
	if (ear->heard_at && ear->line.state == LINE_OPEN)
		ear->heard_at = ear->line.worker->now;
	return used;
}

void ear_bytes(struct ear *ear, struct span bytes)
{
	size_t used = 0;

	if (ear->line.state == LINE_LOGIN)
		take_edge(ear, line_bytes(&ear->line, bytes, &used));
	if (ear->line.state == LINE_OPEN)
		used += read_talk(ear, span_skip(bytes, used));
	if (ear->line.stream)
		stream_consume(ear->line.stream, used);
}

void ear_ended(struct ear *ear, int error)
{
	bool refused = ear->line.state == LINE_OPEN && ear->talk.refused;
	enum line_edge edge = line_ended(&ear->line, error);

	/* Its last words say more than the end. */
	if (edge == LINE_FAILED && refused) {
		text_copy(ear->line.sqlstate, sizeof ear->line.sqlstate, ear->talk.sqlstate);
		text_copy(ear->line.problem, sizeof ear->line.problem, ear->talk.problem);
	}
	take_edge(ear, edge);
}

static void ring_open(struct ear *ear)
{
	struct letter_hear *letter;
	time_us now = ear->line.worker->now;

	if (ear->sent) {
		fail(ear, SQLSTATE_CONNECTION_FAILURE, "there was no answer in time");
		return;
	}
	if (is_left(ear) || (HASH_COUNT(ear->topics) == 0 && now >= ear->idle_since + LINGER)) {
		line_close(&ear->line);
		ear->heard_at = 0;
		tell_budget(ear);
		arm(ear);
		return;
	}
	letter = own_letter(ear, EAR_WAIT);
	if (letter)
		send_wait(ear, letter);
}

void ear_rings(struct timer *timer)
{
	struct ear *ear = link_owner(timer, struct ear, timer);

	switch ((enum line_state)ear->line.state) {
	case LINE_CLOSED:
		connect_now(ear);
		break;
	case LINE_RESOLVING:
	case LINE_CONNECTING:
	case LINE_LOGIN:
		fail(ear, SQLSTATE_CANNOT_CONNECT, "the login was not over in time");
		break;
	case LINE_OPEN:
		ring_open(ear);
		break;
	}
}

void ears_resolved(struct worker *worker, struct resolve_letter *letter)
{
	uint32_t number = (uint32_t)(uintptr_t)letter->context - NUMBERS_FROM;
	struct ear *ear = number < EARS_MAX && worker->ears ? worker->ears->list[number] : NULL;

	if (ear)
		take_edge(ear, line_resolved(&ear->line, letter));
}

/* ---- letters ---- */

/* The one who came last is the first to try. */
static void add_pool(struct ear *ear, pool_id pool)
{
	size_t at = 0;

	while (at < ear->pool_count && ear->pools[at] != pool)
		at++;
	if (at == ear->pool_count && ear->pool_count < EAR_POOLS)
		ear->pool_count++;
	if (at == EAR_POOLS)
		at--;
	memmove(ear->pools + 1, ear->pools, at * sizeof *ear->pools);
	ear->pools[0] = pool;
}

static bool knows_pool(const struct ear *ear, pool_id pool)
{
	for (size_t i = 0; i < ear->pool_count; i++)
		if (ear->pools[i] == pool)
			return true;
	return false;
}

/* What it hears is in one encoding; without anybody it is free to choose another. */
static void choose_encoding(struct ear *ear, const struct letter_hear *letter)
{
	if (ear->line.state == LINE_OPEN && HASH_COUNT(ear->topics) == 0 && !ear->sent &&
		strcmp(ear->encoding, letter->encoding) != 0) {
		line_close(&ear->line);
		ear->heard_at = 0;
	}
	if (ear->line.state == LINE_CLOSED && HASH_COUNT(ear->topics) == 0)
		text_copy(ear->encoding, sizeof ear->encoding, letter->encoding);
}

static void take_hear(struct ear *ear, struct letter_hear *letter)
{
	/* Another user may be let in where those who were tried were not. */
	bool rests = ear->line.state == LINE_CLOSED && ear->retry_at > ear->line.worker->now &&
		knows_pool(ear, letter->pool),
	     ok;

	choose_encoding(ear, letter);
	ok = !rests && strcmp(ear->encoding, letter->encoding) == 0;
	for (size_t i = 0; ok && i < letter->topics.count; i++)
		ok = want_topic(ear, letter->topics.names[i], letter->asker.worker);
	if (!ok) {
		give_up(ear, letter);
		return;
	}
	add_pool(ear, letter->pool);
	if (ear->line.state == LINE_OPEN && ear->heard_at) {
		send_hear(ear, letter);
		return;
	}
	put_last(&ear->waiting_last, letter);
	if (ear->line.state == LINE_CLOSED) {
		ear->candidate = 0;
		connect_now(ear);
	}
}

/* What others hear already, or heard until now: it is wanted, come what may. */
static void take_move(struct ear *ear, struct letter_hear *letter)
{
	bool ok;

	choose_encoding(ear, letter);
	ok = strcmp(ear->encoding, letter->encoding) == 0;
	for (size_t i = 0; ok && i < letter->topics.count; i++)
		ok = want_topic(ear, letter->topics.names[i], letter->asker.worker);
	if (!ok) {
		answer(ear, letter, EAR_REFUSED);
		ears_letter_free(letter);
		return;
	}
	add_pool(ear, letter->pool);
	if (ear->line.state == LINE_OPEN && ear->heard_at) {
		send_move(ear, letter);
		return;
	}
	put_last(&ear->waiting_last, letter);
	if (ear->line.state == LINE_CLOSED)
		arm(ear);
}

static void take_drop(struct ear *ear, struct letter_hear *letter)
{
	struct topics gone = { 0 };
	struct writer w;
	bool ok = true;

	for (size_t i = 0; i < letter->topics.count; i++)
		if (drop_topic(ear, letter->topics.names[i], letter->asker.worker))
			ok = topics_add(&gone, span_text(letter->topics.names[i])) && ok;
	ear->idle_since = ear->line.worker->now;
	/* Without anybody left nothing was missed. */
	if (HASH_COUNT(ear->topics) == 0)
		ear->lost_wall = 0;
	topics_fini(&letter->topics);
	letter->topics = gone;
	if (ear->line.state != LINE_OPEN || gone.count == 0) {
		ears_letter_free(letter);
		return;
	}
	begin_query(ear, &w);
	ear_unlisten(&w, &letter->topics);
	w.bad = w.bad || !ok;
	send_for(ear, &w, letter);
}

void ears_take(struct worker *worker, struct letter_hear *letter)
{
	struct ear *ear = worker->stop ? NULL : ear_of(worker, letter);
	struct ear nowhere = { .line.worker = worker, .number = letter->ear };

	if (!ear) {
		if (letter->wish == EAR_MOVE)
			answer(&nowhere, letter, EAR_REFUSED);
		give_up(&nowhere, letter);
		return;
	}
	switch (letter->wish) {
	case EAR_HEAR:
		take_hear(ear, letter);
		break;
	case EAR_MOVE:
		take_move(ear, letter);
		break;
	case EAR_WAIT:
		if (ear->line.state == LINE_OPEN && ear->heard_at)
			send_wait(ear, letter);
		else
			give_up(ear, letter);
		break;
	case EAR_DROP:
		take_drop(ear, letter);
		break;
	}
}

void ears_configure(struct worker *worker)
{
	for (uint32_t i = 0; worker->ears && i < EARS_MAX; i++) {
		struct ear *ear = worker->ears->list[i];

		if (ear && !ear->sent && is_left(ear))
			arm(ear);
	}
}

uint32_t ears_at(const struct worker *worker, const char *host, uint16_t port)
{
	uint32_t count = 0;

	for (uint32_t i = 0; worker->ears && i < EARS_MAX; i++) {
		const struct ear *ear = worker->ears->list[i];

		count += ear && ear->line.stream && ear->line.port == port && strcmp(ear->place.host, host) == 0;
	}
	return count;
}

bool ears_has(const struct worker *worker, const char *host, uint16_t port, uint32_t process_id)
{
	for (uint32_t i = 0; worker->ears && i < EARS_MAX; i++) {
		const struct ear *ear = worker->ears->list[i];

		if (ear && ear->line.process_id == process_id && ear->line.port == port &&
			strcmp(ear->place.host, host) == 0)
			return true;
	}
	return false;
}

void ears_fini(struct worker *worker)
{
	for (uint32_t i = 0; worker->ears && i < EARS_MAX; i++) {
		struct ear *ear = worker->ears->list[i];
		struct ear_topic *topic, *next;
		struct letter_hear *letter;

		if (!ear)
			continue;
		timer_clear(&worker->timers, &ear->timer);
		line_close(&ear->line);
		while ((letter = take_first(&ear->sent, &ear->sent_last)))
			ears_letter_free(letter);
		while ((letter = take_first(&ear->waiting, &ear->waiting_last)))
			ears_letter_free(letter);
		HASH_ITER(hh, ear->topics, topic, next) {
			HASH_DEL(ear->topics, topic);
			free(topic);
		}
		free(ear);
	}
	free(worker->ears);
	worker->ears = NULL;
}
