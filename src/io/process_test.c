#include "io/child_helper_test.h"

#include <arpa/inet.h>
#include <grp.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/usage.h"
#include "io/file.h"
#include "io/thread.h"

/* Processes: what is seen of others, and what this one may become. */

static bool raise_limit(void)
{
	struct rlimit low = { .rlim_cur = 50, .rlim_max = 200 };

	return setrlimit(RLIMIT_NOFILE, &low) == 0 && descriptors_raise() == 200 &&
		getrlimit(RLIMIT_NOFILE, &low) == 0 && low.rlim_cur == 200;
}

static void the_limit_of_descriptors_is_raised_to_the_hard_one(void **state)
{
	(void)state;
	assert_true(child(raise_limit));
	assert_int_equal(process_id(), getpid());
	assert_int_equal(process_user(), geteuid());
}

/* Whoever has joined a thread may still find it in the kernel's lists: it is taken out a moment later. */
static void say_number(void *number)
{
	*(pid_t *)number = (pid_t)syscall(SYS_gettid);
}

static bool soon_gone(pid_t thread)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	int left = 20000;

	while (syscall(SYS_tgkill, getpid(), thread, 0) == 0 && --left > 0)
		nanosleep(&pause, NULL);
	return left > 0;
}

static void wait_for_lock(void *lock)
{
	lock_take(lock);
	lock_drop(lock);
}

/* The kernel's list of connections may leave one out when others come and go while it is read. */
#define assert_soon(condition) \
	do { \
		int left = 50; \
		while (!(condition) && left > 0) \
			left--; \
		assert_true(left > 0); \
	} while (0)

/* A socket that listens on loopback, or one that is connected to `to`; `at` becomes its own address. */
static int tcp_socket(const struct sockaddr_in *to, struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t size = sizeof *at;

	*at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_true(fd >= 0);
	if (to)
		assert_int_equal(connect(fd, (const struct sockaddr *)to, sizeof *to), 0);
	else
		assert_true(bind(fd, (struct sockaddr *)at, sizeof *at) == 0 && listen(fd, 8) == 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, &size), 0);
	return fd;
}

static struct process_peer peer_of(const struct sockaddr_in *own, uint16_t to_port)
{
	struct process_peer peer = { .port = ntohs(own->sin_port), .to_port = to_port };

	memcpy(peer.ip, &own->sin_addr, 4);
	return peer;
}

/* Two connections of ours, and an address that has none. */
static void ask_for_many(const uint8_t *ip, uint16_t own, uint16_t elsewhere)
{
	struct process_peer peers[3] = { { .port = elsewhere }, { .port = 1, .process = 4 }, { .port = own } };

	for (size_t i = 0; i < 3; i++)
		memcpy(peers[i].ip, ip, 4);
	assert_soon(
		(processes_of_peers(peers, 3), peers[0].process == process_id() && peers[2].process == process_id()));
	for (size_t i = 0; i < 3; i += 2) {
		assert_int_equal(peers[i].process, process_id());
		assert_int_equal(peers[i].user, geteuid());
	}
	assert_int_equal(peers[1].process, 0);
	assert_int_equal(peers[1].user, UINT32_MAX);
	processes_of_peers(peers, 0);
}

/* Those that wait do not run; who asks does. */
static void assert_who_runs(size_t count)
{
	struct process_thread before[64], after[64];
	volatile unsigned work = 0;
	bool ran = false, ready = false;

	assert_int_equal(process_threads(process_id(), before, 64), count);
	for (unsigned round = 0; round < 1000 && !ran; round++) {
		while (work++ % 1000000 != 999999)
			continue;
		assert_int_equal(process_threads(process_id(), after, 64), count);
		for (size_t i = 0; i < count; i++) {
			assert_int_equal(after[i].number, before[i].number);
			ran |= after[i].number == process_id() && after[i].ran != before[i].ran;
			ready |= after[i].number == process_id() && after[i].ready;
		}
	}
	assert_true(ran);
	assert_true(ready);
	assert_int_equal(process_threads(process_id(), after, 1), count);
	assert_int_equal(process_threads(0x7ffffff0, after, 64), 0);
	assert_int_equal(process_parent(process_id()), getppid());
	assert_int_equal(process_parent(0x7ffffff0), 0);
}

static void a_process_is_seen_with_its_threads_and_connections(void **state)
{
	struct sockaddr_in here, there, elsewhere, own;
	int listeners[] = { tcp_socket(NULL, &here), tcp_socket(NULL, &there) };
	int clients[] = { tcp_socket(&here, &own), tcp_socket(&there, &elsewhere), tcp_socket(&here, &own),
		tcp_socket(&here, &own) };
	struct process_peer peer = peer_of(&own, 0), nobody = peer;
	struct process_look before, after;
	struct lock *lock = lock_new();
	struct thread *threads[3];
	pid_t first = 0;

	(void)state;
	/* A sanitizer brings a thread of its own along with the first. */
	threads[0] = thread_start(say_number, &first, "first");
	thread_join(&threads[0]);
	assert_true(soon_gone(first));
	assert_soon((processes_of_peers(&peer, 1), peer.process == process_id()));
	assert_int_equal(peer.user, geteuid());
	ask_for_many(peer.ip, peer.port, ntohs(elsewhere.sin_port));
	/* Not the one elsewhere. */
	assert_soon(process_look(process_id(), &peer, &before) && before.connections == 3);
	lock_take(lock);
	for (int i = 0; i < 3; i++)
		threads[i] = thread_start(wait_for_lock, lock, "waiting");
	assert_soon(process_look(process_id(), &peer, &after) && after.connections == 3);
	assert_int_equal(after.threads, before.threads + 3);
	assert_who_runs(before.threads + 3);
	lock_drop(lock);
	for (int i = 0; i < 3; i++)
		thread_join(&threads[i]);
	lock_free(lock);
	/* There is no such process; none of its connections leads there; and no such address. */
	assert_false(process_look(0x7ffffff0, &peer, &after));
	assert_false(process_look(1, &peer, &after));
	for (size_t i = 0; i < sizeof clients / sizeof *clients; i++)
		close(clients[i]);
	nobody.port = 1;
	assert_false(process_look(process_id(), &nobody, &after));
	close(listeners[0]);
	close(listeners[1]);
}

/* A connection to `to` from the same port as another one has: the kernel gives a port again where it leads elsewhere. */
static int tcp_from_the_same(const struct sockaddr_in *own, const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;

	assert_true(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)own, sizeof *own), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)to, sizeof *to), 0);
	return fd;
}

static void one_port_that_leads_to_two_places_is_two_connections(void **state)
{
	struct sockaddr_in here, there, own = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listeners[] = { tcp_socket(NULL, &here), tcp_socket(NULL, &there) }, ours, theirs, status;
	int free_port = tcp_socket(NULL, &own), told[2], ended[2];
	struct process_peer mine, other, any;
	struct process_look look;
	char byte = 0;
	pid_t child;

	(void)state;
	close(free_port);
	assert_true(pipe(told) == 0 && pipe(ended) == 0);
	child = fork();
	if (child == 0) {
		theirs = tcp_from_the_same(&own, &there);
		_exit(theirs < 0 || write(told[1], "c", 1) != 1 || close(ended[1]) != 0 ||
			read(ended[0], &byte, 1) != 0);
	}
	assert_true(child > 0 && read(told[0], &byte, 1) == 1);
	ours = tcp_from_the_same(&own, &here);
	mine = peer_of(&own, ntohs(here.sin_port));
	other = peer_of(&own, ntohs(there.sin_port));
	any = peer_of(&own, 1);
	assert_soon((processes_of_peers(&mine, 1), mine.process == process_id()));
	assert_soon((processes_of_peers(&other, 1), other.process == (uint32_t)child));
	assert_soon((processes_of_peers(&any, 1), any.process == process_id() || any.process == (uint32_t)child));
	assert_soon(process_look(process_id(), &mine, &look) && look.connections == 1);
	assert_false(process_look(process_id(), &other, &look));
	close(ended[0]);
	close(ended[1]);
	assert_true(waitpid(child, &status, 0) == child && status == 0);
	close(ours);
	close(told[0]);
	close(told[1]);
	close(listeners[0]);
	close(listeners[1]);
}

static void a_process_is_known_by_what_it_has_loaded(void **state)
{
	(void)state;
	assert_true(process_has_loaded(process_id(), "/libc.so"));
	assert_false(process_has_loaded(process_id(), "/libgevent.so"));
	assert_false(process_has_loaded(UINT32_MAX, "/libc.so"));
}

/* As Java's are: an address of IPv4, in a socket of IPv6. */
static void a_process_is_found_by_a_socket_of_the_other_family(void **state)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6,
		.sin6_addr = { { { [10] = 0xff, [11] = 0xff, 127, 0, 0, 1 } } } };
	struct process_peer peer = { .ip = { 127, 0, 0, 1 } }, mapped = { .six = true };
	socklen_t length = sizeof to;
	struct sockaddr_in here;
	int listener = tcp_socket(NULL, &here), client = socket(AF_INET6, SOCK_STREAM, 0);

	(void)state;
	if (client < 0)
		skip(); /* a machine without IPv6 */
	to.sin6_port = here.sin_port;
	assert_int_equal(connect(client, (struct sockaddr *)&to, length), 0);
	assert_int_equal(getsockname(client, (struct sockaddr *)&to, &length), 0);
	memcpy(mapped.ip, &to.sin6_addr, 16);
	peer.port = mapped.port = ntohs(to.sin6_port);
	assert_soon((processes_of_peers(&peer, 1), peer.process == process_id()));
	assert_soon((processes_of_peers(&mapped, 1), mapped.process == process_id()));
	close(client);
	close(listener);
}

static void what_a_process_takes_of_its_machine_is_measured(void **state)
{
	const size_t much = (size_t)10 << 20;
	struct usage before, during, after;
	int files[5];
	char *memory;

	(void)state;
	process_usage(&before);
	for (size_t i = 0; i < 5; i++)
		assert_true((files[i] = dup(0)) >= 0);
	memory = malloc(much);
	assert_non_null(memory);
	memset(memory, 1, much);
	process_usage(&during);
	for (size_t i = 0; i < 5; i++)
		close(files[i]);
	free(memory);
	process_usage(&after);
	assert_int_equal(during.files, before.files + 5);
	assert_int_equal(after.files, before.files);
	assert_true(before.files > 0 && before.files < before.files_limit);
	assert_true(during.resident >= before.resident + much / 2 && during.resident < during.addressable);
	assert_true(
		before.processor > 0 && before.processor <= during.processor && during.processor <= after.processor);
	if (before.heap == 0)
		skip(); /* a sanitizer's malloc does not count */
	assert_in_range(during.heap, before.heap + much, before.heap + much + 65536);
	assert_true(after.heap < before.heap + 65536);
}

static bool become_nobody(void)
{
	char error[200];
	gid_t groups[64];
	const struct passwd *nobody = getpwnam("nobody");
	int count;

	if (!nobody || !process_become("nobody", error, sizeof error))
		return false;
	count = getgroups(64, groups);
	for (int i = 0; i < count; i++)
		if (groups[i] == 0)
			return false;
	return getuid() == nobody->pw_uid && getegid() == nobody->pw_gid && setuid(0) != 0 &&
		process_become("nobody", error, sizeof error) && !process_become("root", error, sizeof error) &&
		strstr(error, "only root can") != NULL;
}

static void root_can_be_left_for_good(void **state)
{
	char error[200];

	(void)state;
	assert_false(process_become("no such user", error, sizeof error));
	assert_string_equal(error, "could not become user \"no such user\": there is no such user");
	if (geteuid() != 0)
		skip();
	assert_true(child(become_nobody));
}

/* The parent is gone at once and in good order; the daemon, in a session of its own, tells its number through a pipe. */
static void a_daemon_leaves_its_parent_and_terminal(void **state)
{
	int ends[2], status;
	struct {
		pid_t pid, session;
		bool silent;
	} told = { 0 };
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char error[200];
		struct stat null, out;

		alarm(30);
		if (!process_daemon(true, error, sizeof error))
			_exit(1);
		stat("/dev/null", &null);
		fstat(STDERR_FILENO, &out);
		told.pid = getpid();
		told.session = getsid(0);
		told.silent = null.st_rdev == out.st_rdev;
		if (write(ends[1], &told, sizeof told) == sizeof told)
			process_daemon_says(NULL);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(ends[1]);
	assert_int_equal(read(ends[0], &told, sizeof told), sizeof told);
	close(ends[0]);
	assert_int_not_equal(told.pid, pid);
	assert_int_not_equal(told.session, getsid(0));
	assert_int_not_equal(told.session, told.pid);
	assert_true(told.silent);
}

static void who_started_a_daemon_that_can_not_serve_is_told(void **state)
{
	(void)state;
	for (int silently = 0; silently < 2; silently++) {
		int status;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			char error[200];

			alarm(30);
			if (process_daemon(true, error, sizeof error) && !silently)
				process_daemon_says("the harbour is closed");
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_is_seen_with_its_threads_and_connections),
		cmocka_unit_test(one_port_that_leads_to_two_places_is_two_connections),
		cmocka_unit_test(a_process_is_known_by_what_it_has_loaded),
		cmocka_unit_test(a_process_is_found_by_a_socket_of_the_other_family),
		cmocka_unit_test(the_limit_of_descriptors_is_raised_to_the_hard_one),
		cmocka_unit_test(what_a_process_takes_of_its_machine_is_measured),
		cmocka_unit_test(root_can_be_left_for_good),
		cmocka_unit_test(a_daemon_leaves_its_parent_and_terminal),
		cmocka_unit_test(who_started_a_daemon_that_can_not_serve_is_told),
	};

	signals_block();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
