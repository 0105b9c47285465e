#include "io/helper_test.h"

#include "io/thread.h"

/* Letters between threads, streams that move between them, and answers of the resolver. */

enum { SENDERS = 4, LETTERS = 20000 };

struct numbered {
	struct letter letter;
	unsigned sender, number;
};

struct sender {
	struct mailbox *to;
	struct numbered *letters;
	unsigned id;
};

static void send_all(void *at)
{
	struct sender *s = at;

	for (unsigned i = 0; i < LETTERS; i++) {
		s->letters[i] = (struct numbered){ .letter.kind = 7, .sender = s->id, .number = i };
		mailbox_post(s->to, &s->letters[i].letter);
	}
}

/* A lost wake-up would show as a wait that lasts to its deadline although letters were posted. */
static void letters_of_four_threads_arrive_in_order_and_wake_the_sleeper(void **state)
{
	struct loop *loop = test_loop();
	struct mailbox *box = mailbox_new(loop);
	struct sender senders[SENDERS];
	struct thread *threads[SENDERS];
	unsigned next[SENDERS] = { 0 }, arrived = 0;
	struct completion done;

	(void)state;
	for (unsigned i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){ .to = box, .id = i, .letters = calloc(LETTERS, sizeof(struct numbered)) };
		threads[i] = thread_start(send_all, &senders[i], "sender");
		assert_non_null(threads[i]);
	}
	while (arrived < SENDERS * LETTERS) {
		struct letter *l;
		unsigned before = arrived;

		loop_wait(loop, clock_now() + 20 * SECOND_US);
		assert_false(loop_next(loop, &done));
		while ((l = mailbox_take(box))) {
			struct numbered *n = (struct numbered *)(void *)l;

			assert_int_equal(l->kind, 7);
			assert_int_equal(n->number, next[n->sender]);
			next[n->sender]++;
			arrived++;
		}
		(void)before;
	}
	for (unsigned i = 0; i < SENDERS; i++) {
		thread_join(&threads[i]);
		assert_null(threads[i]);
		assert_int_equal(next[i], LETTERS);
		free(senders[i].letters);
	}
	assert_null(mailbox_take(box));
	mailbox_free(box);
	loop_free(loop);
}

/* Ping-pong: each side sleeps until the other's letter comes, so every single wake-up counts. */
struct side {
	struct loop *loop;
	struct mailbox *in, *out;
	unsigned rounds;
	time_us longest;
};

enum { ROUNDS = 5000 };

static void play(void *at)
{
	struct side *s = at;

	while (s->rounds < ROUNDS) {
		struct letter *l;
		time_us began = clock_now();

		while (!(l = mailbox_take(s->in)))
			loop_wait(s->loop, clock_now() + 20 * SECOND_US);
		if (clock_now() - began > s->longest)
			s->longest = clock_now() - began;
		s->rounds++;
		mailbox_post(s->out, l);
	}
}

static void no_wake_up_is_lost_between_two_sleepers(void **state)
{
	struct side a = { .loop = test_loop() }, b = { .loop = test_loop() };
	struct letter ball = { .kind = 1 };
	struct thread *t;
	struct letter *l;

	(void)state;
	a.in = b.out = mailbox_new(a.loop);
	b.in = a.out = mailbox_new(b.loop);
	t = thread_start(play, &b, "player");
	mailbox_post(a.in, &ball);
	play(&a);
	thread_join(&t);
	assert_int_equal(a.rounds, ROUNDS);
	assert_int_equal(b.rounds, ROUNDS);
	assert_true(a.longest < 15 * SECOND_US && b.longest < 15 * SECOND_US); /* a lost one would sleep for 20 */
	l = mailbox_take(a.in);
	assert_ptr_equal(l, &ball);
	mailbox_free(a.in);
	mailbox_free(b.in);
	loop_free(a.loop);
	loop_free(b.loop);
}

static void a_letter_that_is_not_taken_keeps_the_loop_awake(void **state)
{
	struct loop *loop = test_loop();
	struct mailbox *box = mailbox_new(loop);
	struct letter first = { .kind = 1 }, second = { .kind = 2 };
	time_us began = clock_now();

	(void)state;
	mailbox_post(box, &first);
	loop_wait(loop, clock_now() + 60 * SECOND_US);
	mailbox_post(box, &second);
	assert_int_equal(mailbox_take(box)->kind, 1);
	loop_wait(loop, clock_now() + 60 * SECOND_US);
	assert_int_equal(mailbox_take(box)->kind, 2);
	assert_null(mailbox_take(box));
	assert_true(clock_now() - began < 50 * SECOND_US);
	mailbox_free(box);
	loop_free(loop);
}

/* ---- streams on the move ---- */

enum { STORY = 3 << 20, HOPS_AFTER = 20000 };

struct traveller {
	struct letter letter;
	struct parcel *parcel;
	uint64_t received; /* and echoed */
	unsigned hops;
};

struct station {
	struct loop *loop;
	struct mailbox *in, *next;
	struct stream *stream;
	struct traveller *visitor;
	uint64_t stay_until;
	atomic_bool *over;
	bool failed;
};

/* Echo what comes, check it, leave some of it unread; after a while mail the stream to the other station with whatever is
 * unread and unsent. */
static void station_run(void *at)
{
	struct station *s = at;
	struct completion done;
	time_us give_up = clock_now() + 60 * SECOND_US;

	while (!atomic_load(s->over) && clock_now() < give_up) {
		struct letter *l;

		loop_wait(s->loop, clock_now() + 5 * MILLISECOND_US);
		while ((l = mailbox_take(s->in))) {
			s->visitor = (struct traveller *)(void *)l;
			s->visitor->hops++;
			s->stay_until = s->visitor->received + HOPS_AFTER;
			s->stream = stream_attach(s->loop, &s->visitor->parcel, NULL, s);
		}
		while (loop_next(s->loop, &done)) {
			struct traveller *v = s->visitor;
			size_t eat;

			if (done.stream != s->stream || !v) {
				s->failed = true;
				continue;
			}
			if (done.kind == DONE_ENDED) {
				stream_close(&s->stream);
				atomic_store(s->over, true);
				break;
			}
			if (done.kind != DONE_BYTES)
				continue;
			eat = done.bytes.length > 1 ? done.bytes.length - done.bytes.length / 3 : 1;
			for (size_t i = 0; i < eat; i++)
				if (done.bytes.at[i] != story_byte(v->received + i))
					s->failed = true;
			if (!stream_write(done.stream, &(struct piece){ done.bytes.at, eat }, 1))
				s->failed = true;
			stream_consume(done.stream, eat);
			v->received += eat;
			if (v->received >= s->stay_until) {
				v->parcel = stream_detach(&s->stream);
				s->visitor = NULL;
				mailbox_post(s->next, &v->letter);
				break;
			}
			if (stream_unread(done.stream) > 0)
				stream_resume(done.stream);
		}
	}
	stream_close(&s->stream);
}

static void a_stream_moves_between_threads_with_its_bytes_in_flight(void **state)
{
	(void)state;
	for (int road = ROAD_IPV4; road <= ROAD_UNIX; road += 2) {
		struct world w;
		struct completion done;
		struct station a = { 0 }, b = { 0 };
		struct traveller traveller = { 0 };
		struct thread *threads[2];
		atomic_bool over = false;
		static uint8_t out[50000], in[30000];
		uint64_t told = 0, heard = 0;
		time_us give_up = clock_now() + 60 * SECOND_US;
		int fd;

		world_init(&w, (enum road)road);
		fd = raw_dial(listener_address(w.door));
		for (done = (struct completion){ 0 }; !done.parcel;) {
			loop_wait(w.loop, clock_now() + SECOND_US);
			loop_next(w.loop, &done);
		}
		traveller.parcel = done.parcel;

		a.loop = test_loop();
		b.loop = test_loop();
		a.over = b.over = &over;
		a.in = b.next = mailbox_new(a.loop);
		b.in = a.next = mailbox_new(b.loop);
		mailbox_post(a.in, &traveller.letter);
		threads[0] = thread_start(station_run, &a, "station a");
		threads[1] = thread_start(station_run, &b, "station b");

		while (heard < STORY) {
			ssize_t n;

			if (told < STORY) {
				size_t some = STORY - told < sizeof out ? STORY - told : sizeof out;

				tell_story(out, told, some);
				n = send(fd, out, some, MSG_DONTWAIT | MSG_NOSIGNAL);
				told += n > 0 ? (uint64_t)n : 0;
			}
			n = recv(fd, in, sizeof in, MSG_DONTWAIT);
			if (n > 0) {
				assert_story(in, heard, (size_t)n);
				heard += (uint64_t)n;
			} else if (told == STORY) {
				struct timespec pause = { .tv_nsec = 200000 };

				nanosleep(&pause, NULL);
			}
			assert_true(n != 0);
			assert_true(clock_now() < give_up);
		}
		close(fd);
		thread_join(&threads[0]);
		thread_join(&threads[1]);
		assert_true(atomic_load(&over));
		assert_false(a.failed || b.failed);
		assert_int_equal(traveller.received, STORY);
		assert_true(traveller.hops > 10);
		mailbox_free(a.in);
		mailbox_free(b.in);
		loop_free(a.loop);
		loop_free(b.loop);
		world_fini(&w);
	}
}

static void unread_and_unsent_bytes_travel_and_room_is_told_to_the_new_owner(void **state)
{
	enum { total = 8 << 20 };
	static uint8_t story[total], in[1 << 20];

	(void)state;
	for (int road = ROAD_IPV4; road <= ROAD_UNIX; road += 2) {
		struct world w;
		struct owner b, heir;
		struct parcel *p;
		struct address peer;
		uint64_t heard = 0;
		int fd;

		world_init(&w, (enum road)road);
		fd = raw_join(&w, &b);
		tell_story(story, 0, total);
		b.appetite = 4;
		assert_int_equal(send(fd, "readunread", 10, 0), 10);
		until(&w, b.deliveries == 1);
		assert_true(stream_write(b.stream, &(struct piece){ story, total }, 1));
		assert_true(stream_queued(b.stream) > 0);
		peer = *stream_peer(b.stream);
		p = stream_detach(&b.stream);
		assert_non_null(p);
		assert_null(b.stream);
		assert_true(address_equal(parcel_peer(p), &peer));
		some_turns(&w);

		owner_init(&heir);
		heir.stream = stream_attach(w.loop, &p, NULL, &heir);
		assert_null(p);
		assert_true(stream_queued(heir.stream) > 0);
		assert_int_equal(stream_unread(heir.stream), 6);
		while (heard < total) {
			ssize_t n = recv(fd, in, sizeof in, MSG_DONTWAIT);

			if (n > 0) {
				assert_story(in, heard, (size_t)n);
				heard += (uint64_t)n;
			}
			world_turn(&w);
		}
		until(&w, heir.rooms == 1);
		assert_got(&heir, "unread");
		assert_int_equal(b.rooms, 0);
		close(fd);
		until(&w, heir.ended);
		owner_fini(&heir);
		owner_fini(&b);
		world_fini(&w);
	}
}

static void what_came_while_a_stream_was_in_the_mail_is_delivered(void **state)
{
	struct world w;
	struct owner b;
	struct parcel *p;
	int fd;

	(void)state;
	world_init(&w, ROAD_IPV4);
	fd = raw_join(&w, &b);
	p = stream_detach(&b.stream);
	assert_int_equal(send(fd, "hello", 5, 0), 5);
	close(fd);
	b.stream = stream_attach(w.loop, &p, NULL, &b);
	until(&w, b.ended);
	assert_got(&b, "hello");
	owner_fini(&b);

	fd = raw_join(&w, &b);
	p = stream_detach(&b.stream);
	parcel_free(&p);
	assert_null(p);
	assert_int_equal(recv(fd, &w, 1, MSG_PEEK), 0); /* a parcel that is thrown away is a closed connection */
	parcel_free(&p);
	close(fd);
	owner_fini(&b);
	world_fini(&w);
}

/* ---- names ---- */

static struct resolve_letter *wait_for_answer(struct loop *loop, struct mailbox *box)
{
	time_us give_up = clock_now() + 60 * SECOND_US;
	struct letter *l;

	while (!(l = mailbox_take(box))) {
		assert_true(clock_now() < give_up);
		loop_wait(loop, clock_now() + SECOND_US);
	}
	return (struct resolve_letter *)(void *)l;
}

static struct resolve_letter *question(struct mailbox *to, const char *name)
{
	struct resolve_letter *r = calloc(1, sizeof *r);

	assert_non_null(r);
	r->letter.kind = 42;
	r->to = to;
	r->context = r;
	r->port = 5432;
	text_copy(r->name, sizeof r->name, name);
	return r;
}

static void names_are_resolved_in_the_background(void **state)
{
	struct loop *loop = test_loop();
	struct mailbox *box = mailbox_new(loop);
	struct resolve_letter *r;
	char host[ADDRESS_TEXT];
	char absurd[100];
	bool known = false;

	(void)state;
	resolve(question(box, "localhost"));
	r = wait_for_answer(loop, box);
	assert_int_equal(r->letter.kind, 42);
	assert_ptr_equal(r->context, r);
	assert_true(r->count >= 1);
	assert_string_equal(r->problem, "");
	for (size_t i = 0; i < r->count; i++) {
		address_host_text(&r->addresses[i], host);
		known = known || strcmp(host, "127.0.0.1") == 0 || strcmp(host, "::1") == 0;
		assert_int_equal(r->addresses[i].port, 5432);
		for (size_t j = 0; j < i; j++)
			assert_false(address_equal(&r->addresses[i], &r->addresses[j]));
	}
	assert_true(known);
	free(r);

	resolve(question(box, "::1"));
	r = wait_for_answer(loop, box);
	assert_int_equal(r->count, 1);
	assert_string_equal(address_text(&r->addresses[0], host), "[::1]:5432");
	free(r);

	/* a label of more than 63 letters is no name (RFC 1035, 2.3.4), so nobody has to be asked */
	memset(absurd, 'x', 80);
	absurd[80] = 0;
	resolve(question(box, absurd));
	r = wait_for_answer(loop, box);
	assert_int_equal(r->count, 0);
	assert_true(r->problem[0] != 0);
	free(r);
	resolver_stop();
	mailbox_free(box);
	loop_free(loop);
}

/* How many of `questions` the resolver had not answered when it was stopped. */
static unsigned stop_amid(struct mailbox *box, unsigned questions)
{
	unsigned unanswered = 0;

	for (unsigned i = 0; i < questions; i++)
		resolve(question(box, "localhost"));
	resolver_stop();
	for (unsigned i = 0; i < questions; i++) {
		struct resolve_letter *r = (struct resolve_letter *)(void *)mailbox_take(box); /* it is there already */

		assert_non_null(r);
		if (r->count == 0) {
			assert_string_equal(r->problem, "stopped");
			unanswered++;
		}
		free(r);
	}
	assert_null(mailbox_take(box));
	return unanswered;
}

static void every_question_is_answered_even_when_the_resolver_stops(void **state)
{
	struct loop *loop = test_loop();
	struct mailbox *box = mailbox_new(loop);
	unsigned rounds = 0;

	(void)state;
	/* It may have been quick enough to answer them all. */
	while (stop_amid(box, 200) == 0)
		assert_true(++rounds < 200);
	resolver_stop(); /* twice is fine */
	mailbox_free(box);
	loop_free(loop);
}

static void locks_exclude(void *at);

struct shared {
	struct lock *lock;
	unsigned long count;
};

static void locks_exclude(void *at)
{
	struct shared *s = at;

	for (int i = 0; i < 50000; i++) {
		lock_take(s->lock);
		s->count++;
		lock_drop(s->lock);
	}
}

static void a_lock_lets_one_thread_in(void **state)
{
	struct shared s = { .lock = lock_new() };
	struct thread *t[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		t[i] = thread_start(locks_exclude, &s, "a name longer than the kernel keeps");
	for (int i = 0; i < 3; i++)
		thread_join(&t[i]);
	assert_int_equal(s.count, 150000);
	assert_true(cores_count() >= 1);
	lock_free(s.lock);
	lock_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(letters_of_four_threads_arrive_in_order_and_wake_the_sleeper),
		cmocka_unit_test(no_wake_up_is_lost_between_two_sleepers),
		cmocka_unit_test(a_letter_that_is_not_taken_keeps_the_loop_awake),
		cmocka_unit_test(a_stream_moves_between_threads_with_its_bytes_in_flight),
		cmocka_unit_test(unread_and_unsent_bytes_travel_and_room_is_told_to_the_new_owner),
		cmocka_unit_test(what_came_while_a_stream_was_in_the_mail_is_delivered),
		cmocka_unit_test(names_are_resolved_in_the_background),
		cmocka_unit_test(every_question_is_answered_even_when_the_resolver_stops),
		cmocka_unit_test(a_lock_lets_one_thread_in),
	};

	signals_block();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
