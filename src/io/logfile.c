#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "io/clock.h"
#include "io/file.h"

/* Where log lines go: a file, standard error, or both.
 *
 * A line is one write, to a descriptor opened for appending, so that lines of several processes (or of logrotate's
 * copytruncate) do not mix. A log must not stop the process that writes it, however it fails:
 *
 *   a full disk            the line is dropped and counted; the first line that can be written again is preceded by the count
 *   a line cut by it       the next one begins on a line of its own
 *   a file that moved on   what was lost before it was opened again (RELOAD, logrotate) is told in the new one
 *   a pipe nobody reads    we wait PATIENCE_MS once, then drop and count without waiting until it is read again
 *   a terminal on hold     the same
 *   a closed pipe          the same (SIGPIPE is ignored)
 *
 * A file of our own is opened non-blocking. Standard error belongs to others too, so its mode is left alone: a pipe is
 * asked for room first, and given no more than it takes at once (PIPE_BUF); a socket takes MSG_DONTWAIT.
 *
 * syslog is a third place. It is spoken to without syslog(3), which would wait, with everybody behind it, for a daemon that does not read;
 * what it does not take at once is lost there, and only there.
 *
 * One lock around everything: the log is no place for haste, and a line is short. */

#define PATIENCE_MS 100
#define LINE_MOST   (4096 + 64)

struct target {
	int fd; /* -1: none */
	enum { TARGET_FILE, TARGET_PIPE, TARGET_SOCKET } kind;
	bool torn;     /* the last line was written in part */
	bool stuck;    /* it took nothing last time: do not wait for it again */
	uint64_t lost; /* lines, since the last that was written */
	int reason;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct target file = { .fd = -1 };
static struct target standard_error = { .fd = STDERR_FILENO, .kind = TARGET_PIPE };
static bool standard_error_wanted = true;
static enum log_format format;
static struct {
	int fd; /* -1: none */
	int facility;
	char ident[64];
	struct sockaddr_un name;
} system_log = { .fd = -1 };

static struct target target_of(int fd)
{
	struct target t = { .fd = fd, .kind = TARGET_FILE };
	struct stat about;

	if (fstat(fd, &about) == 0) {
		if (S_ISSOCK(about.st_mode))
			t.kind = TARGET_SOCKET;
		else if (!S_ISREG(about.st_mode))
			t.kind = TARGET_PIPE; /* terminals too */
	}
	return t;
}

/* The same log, opened again: what was lost is still to be told. A line that was cut stands at the end only if there is something. */
static struct target target_after(const struct target *before, int fd)
{
	struct target t = target_of(fd);
	struct stat about;

	t.torn = before->torn && fstat(fd, &about) == 0 && (!S_ISREG(about.st_mode) || about.st_size > 0);
	t.lost = before->lost;
	t.reason = before->reason;
	return t;
}

bool logfile_open(const char *path, bool standard_error_too, char *error, size_t error_size)
{
	int fd = -1;

	if (path && path[0]) {
		fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
		if (fd < 0) {
			text_format(error, error_size, "could not open log file \"%s\": %s", path, strerror(errno));
			return false;
		}
	} else {
		standard_error_too = true;
	}
	pthread_mutex_lock(&mutex);
	if (file.fd >= 0)
		close(file.fd);
	file = fd >= 0 ? target_after(&file, fd) : (struct target){ .fd = -1 };
	standard_error = target_after(&standard_error, STDERR_FILENO);
	standard_error_wanted = standard_error_too;
	pthread_mutex_unlock(&mutex);
	return true;
}

void logfile_close(void)
{
	pthread_mutex_lock(&mutex);
	if (file.fd >= 0)
		close(file.fd);
	file = (struct target){ .fd = -1 };
	standard_error_wanted = true;
	pthread_mutex_unlock(&mutex);
}

static ssize_t give(struct target *t, const char *line, size_t length)
{
	struct pollfd room = { .fd = t->fd, .events = POLLOUT };

	switch (t->kind) {
	case TARGET_SOCKET:
		return send(t->fd, line, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	case TARGET_PIPE:
		if (poll(&room, 1, t->stuck ? 0 : PATIENCE_MS) <= 0 || !(room.revents & (POLLOUT | POLLERR))) {
			errno = EAGAIN;
			return -1;
		}
		if (length > PIPE_BUF)
			length = PIPE_BUF;
		return write(t->fd, line, length);
	case TARGET_FILE:
		break;
	}
	return write(t->fd, line, length);
}

/* True: at least a part of it was taken. */
static bool put(struct target *t, const char *line, size_t length)
{
	ssize_t n;

	do {
		n = give(t, line, length);
	} while (n < 0 && errno == EINTR);
	t->stuck = n < 0 && errno == EAGAIN;
	if (n <= 0) {
		t->reason = n < 0 ? errno : ENOSPC;
		return false;
	}
	t->torn = (size_t)n < length;
	return true;
}

/* What was lost has to be said first, or nobody would know. */
static bool put_losses(struct target *t)
{
	char line[400], when[40], words[160];
	size_t n;

	if (t->torn && !put(t, "\n", 1))
		return false;
	t->torn = false;
	if (t->lost == 0)
		return true;
	text_format(words, sizeof words, "%llu line%s of this log could not be written: %s",
		(unsigned long long)t->lost, t->lost == 1 ? "" : "s", strerror(t->reason));
	n = logline_write(
		line, sizeof line - 1, format, LOG_WARNING, clock_text(clock_wall(), true, when), process_id(), words);
	line[n++] = '\n';
	if (!put(t, line, n))
		return false;
	t->lost = 0;
	return true;
}

static void put_line(struct target *t, const char *line, size_t length)
{
	if (!put_losses(t) || !put(t, line, length))
		t->lost++;
}

void logfile_format(enum log_format wanted)
{
	pthread_mutex_lock(&mutex);
	format = wanted;
	pthread_mutex_unlock(&mutex);
}

void logfile_syslog(const char *path, int facility, const char *ident)
{
	pthread_mutex_lock(&mutex);
	if (system_log.fd >= 0)
		close(system_log.fd);
	system_log.fd = -1;
	if (path) {
		system_log.name.sun_family = AF_UNIX;
		text_copy(system_log.name.sun_path, sizeof system_log.name.sun_path, path);
		text_copy(system_log.ident, sizeof system_log.ident, ident);
		system_log.facility = facility;
		system_log.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	}
	pthread_mutex_unlock(&mutex);
}

/* RFC 3164, as the C library writes it: "<30>Nov  6 12:46:43 pgweir[4711]: words". The level is the priority, and no word, as patterns that
 * people have for PgBouncer's lines there expect. Under the lock. */
static void put_syslog(enum log_level level, const char *text, time_us wall)
{
	static const int severities[] = { 2, 3, 4, 6, 7, 7 }; /* critical, error, warning, informational, debug */
	time_t seconds = (time_t)(wall / SECOND_US);
	char line[LINE_MOST], when[32];
	struct tm parts;
	size_t n;

	localtime_r(&seconds, &parts);
	strftime(when, sizeof when, "%b %e %H:%M:%S", &parts);
	n = text_format(line, sizeof line, "<%d>%s %s[%u]: %s", system_log.facility * 8 + severities[level], when,
		system_log.ident, process_id(), text);
	(void)sendto(system_log.fd, line, n, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&system_log.name,
		sizeof system_log.name);
}

void logfile_sink(enum log_level level, const char *text)
{
	char line[LINE_MOST], when[40];
	time_us wall = clock_wall();
	size_t n;

	clock_text(wall, true, when);
	pthread_mutex_lock(&mutex);
	n = logline_write(line, sizeof line - 1, format, level, when, process_id(), text);
	line[n++] = '\n';
	if (system_log.fd >= 0)
		put_syslog(level, text, wall);
	if (file.fd >= 0)
		put_line(&file, line, n);
	if (standard_error_wanted || file.fd < 0)
		put_line(&standard_error, line, n);
	pthread_mutex_unlock(&mutex);
}
