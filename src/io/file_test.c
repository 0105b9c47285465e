#include "io/helper_test.h"

#include <arpa/inet.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "io/file.h"
#include "io/thread.h"

/* Files, the log, and this process. What changes the whole process (its standard error, its user, its limits) is done in a
 * child, whose exit status is the answer. */

static char folder[64];

static int make_folder(void **state)
{
	(void)state;
	text_format(folder, sizeof folder, "/tmp/pgweir-file-%u", (unsigned)getpid());
	return mkdir(folder, 0755);
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static const char *in_folder(const char *name)
{
	static char path[128];

	text_format(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static void put_file(const char *path, const void *bytes, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	close(fd);
}

/* Not inlined: gcc 12 takes the text for a local one. */
static __attribute__((noinline)) char *get_file(const char *path)
{
	char *text = NULL, error[200];
	size_t length;
	bool read = file_read(path, 1 << 20, &text, &length, error, sizeof error);

	assert_true(read);
	return text;
}

/* Run in a child; true: it returned true within its time. */
static bool child(bool (*story)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(60);
		_exit(story() ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void whole_files_are_read_and_terminated(void **state)
{
	static const size_t sizes[] = { 0, 1, 4094, 4095, 4096, 4097, 8191, 8192, 100000 };
	static uint8_t story[100000];
	char *text, error[200];
	size_t length;

	(void)state;
	tell_story(story, 0, sizeof story);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		const char *path = in_folder("whole");

		put_file(path, story, sizes[i]);
		assert_true(file_read(
			path, sizes[i], &text, &length, error, sizeof error)); /* exactly as long as allowed */
		assert_int_equal(length, sizes[i]);
		assert_story((uint8_t *)text, 0, length);
		assert_int_equal(text[length], 0);
		free(text);
		if (sizes[i] == 0)
			continue;
		assert_false(file_read(path, sizes[i] - 1, &text, &length, error, sizeof error));
		assert_null(text);
		assert_non_null(strstr(error, "it is longer than"));
		unlink(path);
	}
	unlink(in_folder("whole"));
}

static void a_file_that_can_not_be_read_is_named_with_the_reason(void **state)
{
	char *text, error[300];
	size_t length;

	(void)state;
	assert_false(file_read("/no/such/file.ini", 100, &text, &length, error, sizeof error));
	assert_string_equal(error, "could not read \"/no/such/file.ini\": No such file or directory");
	assert_false(file_read("/tmp", 100, &text, &length, error, sizeof error));
	assert_string_equal(error, "could not read \"/tmp\": it is a folder");
	assert_false(file_read("/dev/zero", 100000, &text, &length, error, sizeof error));
	assert_string_equal(error, "could not read \"/dev/zero\": it is longer than 100000 bytes");
	assert_null(text);
}

static void log_lines_are_appended_whole(void **state)
{
	const char *path = in_folder("log");
	char error[200] = "", *text, *second, pid[24];

	(void)state;
	put_file(path, "before\n", 7);
	assert_true(logfile_open(path, false, error, sizeof error));
	logfile_sink(LOG_WARNING, "a warning");
	assert_false(logfile_open("/no/such/folder/log", false, error, sizeof error));
	assert_string_equal(error, "could not open log file \"/no/such/folder/log\": No such file or directory");
	logfile_sink(LOG_ERROR, "kept the old one");
	logfile_close();
	text = get_file(path);
	assert_int_equal(strncmp(text, "before\n20", 9), 0);
	second = strchr(text + 7, '\n') + 1;
	text_format(pid, sizeof pid, " [%u] ", (unsigned)getpid());
	assert_non_null(strstr(text, pid));
	assert_non_null(strstr(text, "] WARNING a warning\n"));
	assert_non_null(strstr(second, "] ERROR kept the old one\n"));
	assert_int_equal(second[strlen(second) - 1], '\n');
	free(text);
	unlink(path);
}

static void talk(void *at)
{
	char line[100];

	for (int i = 0; i < 300; i++) {
		text_format(line, sizeof line, "%s %d ...............................................", (char *)at, i);
		logfile_sink(LOG_LOG, line);
	}
}

static void lines_of_many_threads_do_not_mix(void **state)
{
	const char *path = in_folder("log");
	char error[200], *text, *line, *rest;
	struct thread *t[4];
	static char names[4][8] = { "one", "two", "three", "four" };
	int counts[4] = { 0 };

	(void)state;
	assert_true(logfile_open(path, false, error, sizeof error));
	for (int i = 0; i < 4; i++)
		t[i] = thread_start(talk, names[i], names[i]);
	for (int i = 0; i < 4; i++)
		thread_join(&t[i]);
	logfile_close();
	rest = text = get_file(path);
	while ((line = strsep(&rest, "\n")) && line[0]) {
		char expected[100], *said = strstr(line, "] LOG ");
		bool found = false;

		assert_non_null(said);
		for (int i = 0; i < 4 && !found; i++) {
			text_format(expected, sizeof expected, "%s %d ...............................................",
				names[i], counts[i]);
			found = strcmp(said + 6, expected) == 0;
			counts[i] += found;
		}
		assert_true(found);
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(counts[i], 300);
	free(text);
	unlink(path);
}

static void a_full_disk_stops_nobody(void **state)
{
	char error[200];

	(void)state;
	assert_true(logfile_open("/dev/full", false, error, sizeof error));
	for (int i = 0; i < 1000; i++)
		logfile_sink(LOG_LOG, "nobody will read this");
	logfile_close();
}

/* A limit of the file's size is a full disk that can be emptied again. */
static bool lose_and_tell(void)
{
	struct rlimit limit, low;
	char error[200];

	if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || !logfile_open(in_folder("log"), false, error, sizeof error))
		return false;
	low = limit;
	low.rlim_cur = 100;
	setrlimit(RLIMIT_FSIZE, &low);
	logfile_sink(LOG_LOG, "the first line is written");
	logfile_sink(LOG_LOG, "the second one is cut somewhere in the middle");
	logfile_sink(LOG_LOG, "lost");
	logfile_sink(LOG_LOG, "lost too");
	setrlimit(RLIMIT_FSIZE, &limit);
	logfile_sink(LOG_LOG, "there is room again");
	logfile_sink(LOG_LOG, "the end");
	return true;
}

static void what_could_not_be_written_is_counted_and_said(void **state)
{
	char *text, *line, *rest;
	static const char *const expected[] = {
		"] LOG the first line is written",
		NULL, /* cut */
		"] WARNING 2 lines of this log could not be written: File too large",
		"] LOG there is room again",
		"] LOG the end",
	};

	(void)state;
	assert_true(child(lose_and_tell));
	rest = text = get_file(in_folder("log"));
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
		line = strsep(&rest, "\n");
		assert_non_null(line);
		if (expected[i])
			assert_string_equal(strchr(line, ']'), expected[i]);
	}
	assert_string_equal(rest, "");
	free(text);
	unlink(in_folder("log"));
}

static bool talk_to_a_stuck_pipe(void)
{
	int ends[2];
	char error[200], in[70000];
	char line[3000];
	ssize_t n;
	bool told = false;

	if (pipe(ends) != 0 || dup2(ends[1], STDERR_FILENO) < 0)
		return false;
	memset(line, 'x', sizeof line);
	line[sizeof line - 1] = 0;
	if (!logfile_open(NULL, false, error, sizeof error))
		return false;
	for (int i = 0; i < 200; i++) /* nobody reads: far more than a pipe holds */
		logfile_sink(LOG_LOG, line);
	n = read(ends[0], in, sizeof in - 1);
	if (n < 4096)
		return false;
	for (int i = 0; i < 10; i++)
		logfile_sink(LOG_LOG, "read again");
	while ((n = read(ends[0], in, sizeof in - 1)) > 0) {
		in[n] = 0;
		told = told || (strstr(in, "lines of this log could not be written") && strstr(in, "read again\n"));
		if (told)
			break;
	}
	/* and a pipe whose reader is gone */
	close(ends[0]);
	logfile_sink(LOG_LOG, "into the void");
	return told;
}

static void a_reader_of_standard_error_that_sleeps_stops_nobody(void **state)
{
	(void)state;
	assert_true(child(talk_to_a_stuck_pipe));
}

static bool talk_to_a_socket_and_a_file(void)
{
	int ends[2];
	char error[200], in[200] = "";

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 || dup2(ends[1], STDERR_FILENO) < 0)
		return false;
	if (!logfile_open(in_folder("log"), true, error, sizeof error))
		return false;
	logfile_sink(LOG_FATAL, "to both");
	if (recv(ends[0], in, sizeof in - 1, MSG_DONTWAIT) <= 0 || !strstr(in, "] FATAL to both\n"))
		return false;
	for (int i = 0; i < 8000; i++)
		logfile_sink(LOG_LOG, "the socket is full at some point");
	close(ends[0]);
	logfile_sink(LOG_LOG, "the socket is closed");
	return true;
}

static void a_line_goes_to_the_file_and_to_standard_error(void **state)
{
	char *text;

	(void)state;
	assert_true(child(talk_to_a_socket_and_a_file));
	text = get_file(in_folder("log"));
	assert_non_null(strstr(text, "] FATAL to both\n"));
	assert_non_null(strstr(text, "the socket is closed\n"));
	free(text);
	unlink(in_folder("log"));
}

static void a_pid_file_belongs_to_a_living_process(void **state)
{
	const char *path = in_folder("pid");
	char error[300], number[24], *text;
	struct stat about;
	pid_t gone;
	int status;

	(void)state;
	assert_true(pidfile_write(path, error, sizeof error));
	text = get_file(path);
	text_format(number, sizeof number, "%d\n", (int)getpid());
	assert_string_equal(text, number);
	free(text);
	pidfile_remove();
	assert_int_equal(stat(path, &about), -1);

	put_file(path, "1\n", 2); /* init lives */
	assert_false(pidfile_write(path, error, sizeof error));
	assert_non_null(strstr(error, "process 1, which it names, is running"));
	pidfile_remove();
	assert_int_equal(stat(path, &about), 0); /* not ours */

	gone = fork();
	if (gone == 0)
		_exit(0);
	assert_int_equal(waitpid(gone, &status, 0), gone);
	text_format(number, sizeof number, "%d\n", (int)gone);
	put_file(path, number, strlen(number));
	assert_true(pidfile_write(path, error, sizeof error));
	put_file(path, "1\n", 2); /* somebody took it over: leave it to them */
	pidfile_remove();
	assert_int_equal(stat(path, &about), 0);
	assert_true(pidfile_take_over(path, error, sizeof error)); /* though that one lives */
	text_format(number, sizeof number, "%d\n", (int)getpid());
	text = get_file(path);
	assert_string_equal(text, number);
	free(text);
	pidfile_remove();
	assert_int_equal(stat(path, &about), -1);
	put_file(path, "", 0); /* as a machine that lost power may leave it */
	assert_true(pidfile_write(path, error, sizeof error));
	pidfile_remove();
	assert_int_equal(stat(path, &about), -1);
	assert_false(pidfile_take_over("/no/such/folder/pid", error, sizeof error));
	assert_non_null(strstr(error, "/no/such/folder/pid"));
	assert_false(pidfile_write("/no/such/folder/pid", error, sizeof error));
	assert_string_equal(error, "could not write pid file \"/no/such/folder/pid\": No such file or directory");
	assert_false(pidfile_write("/dev/full/x", error, sizeof error));
}

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

static void wait_for_lock(void *lock)
{
	lock_take(lock);
	lock_drop(lock);
}

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

/* Two connections of ours, and an address that has none. */
static void ask_for_many(const uint8_t *ip, uint16_t own, uint16_t elsewhere)
{
	struct process_peer peers[3] = { { .port = elsewhere }, { .port = 1, .process = 4 }, { .port = own } };

	for (size_t i = 0; i < 3; i++)
		memcpy(peers[i].ip, ip, 4);
	processes_of_peers(peers, 3);
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
	const uint8_t *ip = (const uint8_t *)&own.sin_addr;
	struct process_look before, after;
	struct lock *lock = lock_new();
	struct thread *threads[3];
	uint32_t user;

	(void)state;
	assert_int_equal(process_of_peer(ip, false, ntohs(own.sin_port), &user), getpid());
	assert_int_equal(user, geteuid());
	ask_for_many(ip, ntohs(own.sin_port), ntohs(elsewhere.sin_port));
	assert_true(process_look(process_id(), ip, false, ntohs(own.sin_port), &before));
	assert_int_equal(before.connections, 3); /* not the one elsewhere */
	lock_take(lock);
	for (int i = 0; i < 3; i++)
		threads[i] = thread_start(wait_for_lock, lock, "waiting");
	assert_true(process_look(process_id(), ip, false, ntohs(own.sin_port), &after));
	assert_int_equal(after.threads, before.threads + 3);
	assert_who_runs(before.threads + 3);
	assert_int_equal(after.connections, 3);
	lock_drop(lock);
	for (int i = 0; i < 3; i++)
		thread_join(&threads[i]);
	lock_free(lock);
	/* There is no such process; none of its connections leads there; and no such address. */
	assert_false(process_look(0x7ffffff0, ip, false, ntohs(own.sin_port), &after));
	assert_false(process_look(1, ip, false, ntohs(own.sin_port), &after));
	for (size_t i = 0; i < sizeof clients / sizeof *clients; i++)
		close(clients[i]);
	assert_false(process_look(process_id(), ip, false, 1, &after));
	close(listeners[0]);
	close(listeners[1]);
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
	processes_of_peers(&peer, 1);
	assert_int_equal(peer.process, process_id());
	processes_of_peers(&mapped, 1);
	assert_int_equal(mapped.process, process_id());
	close(client);
	close(listener);
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
		process_become("nobody", error, sizeof error) && !process_become("root", error, sizeof error);
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

static void a_line_goes_to_syslog_and_nothing_waits_for_it(void **state)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int ear = socket(AF_UNIX, SOCK_DGRAM, 0);
	char line[300], tail[60];
	ssize_t n;

	(void)state;
	text_copy(name.sun_path, sizeof name.sun_path, in_folder("syslog"));
	assert_int_equal(bind(ear, (struct sockaddr *)&name, sizeof name), 0);
	assert_true(logfile_open(in_folder("log"), false, line, sizeof line));
	logfile_syslog(name.sun_path, 16, "weir");
	logfile_sink(LOG_WARNING, "words");
	n = recv(ear, line, sizeof line - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	line[n] = 0;
	assert_memory_equal(line, "<132>", 5); /* local0 * 8 + warning */
	text_format(tail, sizeof tail, " weir[%u]: words", (unsigned)getpid());
	assert_string_equal(line + n - strlen(tail), tail);
	/* Nobody reads: far more than a socket's queue holds. */
	for (unsigned i = 0; i < 5000; i++)
		logfile_sink(LOG_LOG, "a flood");
	logfile_syslog(NULL, 0, "");
	while (recv(ear, line, sizeof line, MSG_DONTWAIT) > 0)
		;
	logfile_sink(LOG_LOG, "not there");
	assert_true(recv(ear, line, sizeof line, MSG_DONTWAIT) < 0);
	logfile_close();
	close(ear);
	unlink(in_folder("log"));
	unlink(in_folder("syslog"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_files_are_read_and_terminated),
		cmocka_unit_test(a_file_that_can_not_be_read_is_named_with_the_reason),
		cmocka_unit_test(log_lines_are_appended_whole),
		cmocka_unit_test(lines_of_many_threads_do_not_mix),
		cmocka_unit_test(a_full_disk_stops_nobody),
		cmocka_unit_test(what_could_not_be_written_is_counted_and_said),
		cmocka_unit_test(a_reader_of_standard_error_that_sleeps_stops_nobody),
		cmocka_unit_test(a_line_goes_to_the_file_and_to_standard_error),
		cmocka_unit_test(a_pid_file_belongs_to_a_living_process),
		cmocka_unit_test(a_process_is_seen_with_its_threads_and_connections),
		cmocka_unit_test(a_process_is_found_by_a_socket_of_the_other_family),
		cmocka_unit_test(the_limit_of_descriptors_is_raised_to_the_hard_one),
		cmocka_unit_test(root_can_be_left_for_good),
		cmocka_unit_test(a_daemon_leaves_its_parent_and_terminal),
		cmocka_unit_test(who_started_a_daemon_that_can_not_serve_is_told),
		cmocka_unit_test(a_line_goes_to_syslog_and_nothing_waits_for_it),
	};

	signals_block();
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
