#include "io/child_helper_test.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "io/file.h"
#include "io/thread.h"

/* Files: whole ones, the log, and the pid file. */

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
static void leave_room_for(rlim_t bytes)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) == 0) {
		limit.rlim_cur = bytes;
		setrlimit(RLIMIT_FSIZE, &limit);
	}
}

static bool open_log(void)
{
	char error[200];

	return logfile_open(in_folder("log"), false, error, sizeof error);
}

static bool lose_and_tell(void)
{
	if (!open_log())
		return false;
	leave_room_for(100);
	logfile_sink(LOG_LOG, "the first line is written");
	logfile_sink(LOG_LOG, "the second one is cut somewhere in the middle");
	logfile_sink(LOG_LOG, "lost");
	logfile_sink(LOG_LOG, "lost too");
	leave_room_for(RLIM_INFINITY);
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

/* A RELOAD, and then logrotate's way out of a full disk: the file is moved away, and a new one opened. */
static bool lose_and_open_again(void)
{
	char moved[140];

	text_format(moved, sizeof moved, "%s.1", in_folder("log"));
	if (!open_log())
		return false;
	leave_room_for(100);
	logfile_sink(LOG_LOG, "the first line is written");
	logfile_sink(LOG_LOG, "the second one is cut somewhere in the middle");
	logfile_sink(LOG_LOG, "lost");
	leave_room_for(RLIM_INFINITY);
	if (!open_log())
		return false;
	logfile_sink(LOG_LOG, "behind the one that was cut");
	leave_room_for(100);
	logfile_sink(LOG_LOG, "lost");
	logfile_sink(LOG_LOG, "lost too");
	leave_room_for(RLIM_INFINITY);
	if (rename(in_folder("log"), moved) != 0 || !open_log())
		return false;
	logfile_sink(LOG_LOG, "the new file");
	return true;
}

static void what_was_lost_is_said_in_the_file_that_is_opened_next(void **state)
{
	char *text;

	(void)state;
	assert_true(child(lose_and_open_again));
	text = get_file(in_folder("log.1"));
	assert_non_null(strstr(text, "\n2")); /* a line of its own behind the torn one */
	assert_non_null(strstr(text, "] WARNING 1 line of this log could not be written: File too large\n"));
	assert_non_null(strstr(text, "] LOG behind the one that was cut\n"));
	free(text);
	text = get_file(in_folder("log"));
	assert_int_not_equal(text[0], '\n');
	assert_non_null(strstr(text, "] WARNING 2 lines of this log could not be written: File too large\n"));
	assert_non_null(strstr(text, "] LOG the new file\n"));
	free(text);
	unlink(in_folder("log"));
	unlink(in_folder("log.1"));
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
		cmocka_unit_test(what_was_lost_is_said_in_the_file_that_is_opened_next),
		cmocka_unit_test(a_reader_of_standard_error_that_sleeps_stops_nobody),
		cmocka_unit_test(a_line_goes_to_the_file_and_to_standard_error),
		cmocka_unit_test(a_pid_file_belongs_to_a_living_process),
		cmocka_unit_test(a_line_goes_to_syslog_and_nothing_waits_for_it),
	};

	signals_block();
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
