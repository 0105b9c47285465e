/* The life of an ear's connection, which is drawn in ears.c: dialing, login, what is sent, what is heard, and its time limits. */
#include <stdlib.h>

#include "base/text.h"
#include "io/clock.h"
#include "serve/channel.h"
#include "serve/ear_parts.h"
#include "serve/watch.h"

#define LOGIN_LIMIT  (5 * SECOND_US)
#define ANSWER_LIMIT (10 * SECOND_US)
#define PING_AFTER   (30 * SECOND_US)
#define LINGER       (60 * SECOND_US)
#define PAUSE_LEAST  (100 * MILLISECOND_US)
#define PAUSE_MOST   (15 * SECOND_US)

static void tell_budget(const struct ear *ear)
{
	monitors_recount(ear->line.worker, ear->place.host, ear->line.port);
}

/* Does the configuration lead this pool here? */
static bool leads_here(const struct ear *ear, const struct pool_view *view)
{
	struct place place;

	return view && place_of(view->database, view->database_name, &place) &&
		place_key(&place) == place_key(&ear->place);
}

/* Nobody listens, and nobody will: it need not linger. */
bool ear_is_left(const struct ear *ear)
{
	for (size_t i = 0; i < ear->pool_count; i++)
		if (leads_here(ear, pool_view(ear->line.worker, ear->pools[i])))
			return false;
	return HASH_COUNT(ear->topics) == 0;
}

/* Has it a reason to be there? */
static bool is_wanted(const struct ear *ear)
{
	return HASH_COUNT(ear->topics) > 0 || ear->waiting || (ear_is_sought(ear) && !ear_is_left(ear));
}

void ear_arm(struct ear *ear)
{
	struct timers *timers = &ear->line.worker->timers;
	time_us now = ear->line.worker->now;

	switch ((enum line_state)ear->line.state) {
	case LINE_CLOSED:
		if (is_wanted(ear))
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
		timer_set(timers, &ear->timer, now + (ear->sent ? ANSWER_LIMIT : ear_is_left(ear) ? 0 : PING_AFTER));
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
	ear_give_up_all(ear);
	tell_budget(ear);
	ear_arm(ear);
}

void ear_connect(struct ear *ear)
{
	ear_edge(ear, line_dial(&ear->line, ear->place.host));
}

void ear_query_begin(struct ear *ear, struct writer *w)
{
	buf_clear(&ear->line.worker->out);
	*w = writer_to(&ear->line.worker->out);
}

/* Send what was written for this letter, and remember what its answer means. */
void ear_query_send(struct ear *ear, struct writer *w, struct letter_hear *letter)
{
	bool first = !ear->sent;

	ear_letter_put(&ear->sent_last, letter);
	if (!writer_ok(w) || !line_send(&ear->line))
		fail(ear, SQLSTATE_OUT_OF_MEMORY, "out of memory");
	else if (first)
		ear_arm(ear);
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

void ear_send_hear(struct ear *ear, struct letter_hear *letter)
{
	struct writer w;
	char token[17];

	hearing_mark_text(letter->token, token);
	ear_query_begin(ear, &w);
	ear_listen(&w, &letter->topics, ear->line.worker->house->ear_mark, token);
	ear_query_send(ear, &w, letter);
}

/* Its topics may be heard already, with all the others; then PostgreSQL says no more than that. Who left meanwhile wants none. */
void ear_send_move(struct ear *ear, struct letter_hear *letter)
{
	struct topics still = { 0 };
	struct writer w;
	bool ok = true;

	for (size_t i = 0; i < letter->topics.count; i++)
		if (ear_topic_find(ear, span_text(letter->topics.names[i])))
			ok = ok && topics_add(&still, span_text(letter->topics.names[i]));
	ear_query_begin(ear, &w);
	ear_listen(&w, &still, NULL, NULL);
	topics_fini(&still);
	w.bad = w.bad || !ok;
	ear_query_send(ear, &w, letter);
}

void ear_send_wait(struct ear *ear, struct letter_hear *letter)
{
	struct writer w;

	ear_query_begin(ear, &w);
	ear_wait(&w);
	ear_query_send(ear, &w, letter);
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
	ear_query_begin(ear, &w);
	ear_begin(&w, params_server_version(server_login_facts(ear->line.login)->reported), &all);
	topics_fini(&all);
	w.bad = w.bad || !ok;
	ear_query_send(ear, &w, letter);
}

void ear_tell_back(struct ear *ear)
{
	struct letter_heard back = { .word = EAR_BACK, .missed = ear->lost_wall };

	for (uint32_t i = 0; i < ear->line.worker->house->worker_count; i++)
		ear_tell(ear, i, back, span_of(NULL, 0));
	ear->lost_wall = 0;
}

/* It hears: whoever waited for that is next. */
static void is_up(struct ear *ear)
{
	struct letter_hear *letter;

	ear->pause = 0;
	if (ear->said)
		log_line(LOG_LOG, "listener of %s:%u/%s: hears again", ear->place.host, ear->line.port,
			ear->place.database);
	ear->said = false;
	ear_tell_back(ear);
	ear->idle_since = ear->line.worker->now;
	while (ear->line.state == LINE_OPEN && (letter = ear_letter_take(&ear->waiting, &ear->waiting_last)))
		if (letter->wish == EAR_MOVE)
			ear_send_move(ear, letter);
		else
			ear_send_hear(ear, letter);
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

void ear_edge(struct ear *ear, enum line_edge edge)
{
	switch (edge) {
	case LINE_MORE:
		if (ear->line.state != LINE_OPEN)
			ear_arm(ear);
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
	ear_edge(ear,
		line_login(&ear->line, setup,
			view->database->user && strcmp(view->database->user, view->user) == 0 ? view->database->password
											      : NULL,
			view->id));
}

static void take_answer(struct ear *ear)
{
	struct letter_hear *letter = ear_letter_take(&ear->sent, &ear->sent_last);

	if (!letter) {
		fail(ear, SQLSTATE_PROTOCOL_VIOLATION, "the server answered what nobody asked");
		return;
	}
	if (letter->wish == EAR_HEAR && !letter->marked)
		ear_answer(ear, letter, EAR_FAILED);
	else if (letter->wish == EAR_WAIT && letter->token)
		ear_answer(ear, letter, EAR_DONE);
	else if (letter->wish == EAR_MOVE)
		ear_answer(ear, letter, EAR_MOVED);
	else if (letter->wish == EAR_WAIT && !ear->heard_at)
		is_up(ear);
	ears_letter_free(letter);
	if (ear->line.state == LINE_OPEN) {
		ear->heard_at = ear->line.worker->now;
		ear_arm(ear);
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
			ear_answer(ear, letter, EAR_MARKED);
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
	topic = ear_topic_find(ear, ear->talk.topic);
	if (topic)
		ear_tell_workers(ear, topic->workers, heard, ear->talk.note);
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
		ear_edge(ear, line_bytes(&ear->line, bytes, &used));
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
	ear_edge(ear, edge);
}

static void ring_open(struct ear *ear)
{
	struct letter_hear *letter;
	time_us now = ear->line.worker->now;

	if (ear->sent) {
		fail(ear, SQLSTATE_CONNECTION_FAILURE, "there was no answer in time");
		return;
	}
	if (ear_is_left(ear) || (HASH_COUNT(ear->topics) == 0 && now >= ear->idle_since + LINGER)) {
		line_close(&ear->line);
		ear->heard_at = 0;
		tell_budget(ear);
		ear_arm(ear);
		return;
	}
	letter = own_letter(ear, EAR_WAIT);
	if (letter)
		ear_send_wait(ear, letter);
}

void ear_rings(struct timer *timer)
{
	struct ear *ear = link_owner(timer, struct ear, timer);

	switch ((enum line_state)ear->line.state) {
	case LINE_CLOSED:
		/* Who sought it may have left since. */
		if (is_wanted(ear))
			ear_connect(ear);
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
