#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "io/file.h"

/* Going to the background. Whoever started us waits for the command's end and takes its status for ours (a shell, `&&`, systemd's
 * Type=forking), so the command waits until the daemon serves.
 *
 *      command                              daemon
 *      forks twice                    -->   opens, listens, takes over
 *      waits at a pipe                <--   one byte of zero: it serves                 status 0
 *                                     <--   or a text, why it can not                   status 1, and the text
 *                                     <--   or the pipe's end: it has died without      status 1 */

static int line = -1; /* the daemon's end */

/* What became of the daemon, as the command's status. */
static int hear(int from, bool quiet)
{
	char said[512];
	size_t length = 0;
	ssize_t got;
	sigset_t none;

	/* The person at the terminal may give up waiting. */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	do {
		got = read(from, said + length, sizeof said - 1 - length);
		if (got > 0)
			length += (size_t)got;
	} while ((got < 0 && errno == EINTR) || (got > 0 && length < sizeof said - 1));
	said[length] = '\0';
	if (length == 1 && !said[0])
		return 0;
	if (!quiet)
		fprintf(stderr, "it did not start: %s\n",
			length ? said : "it ended before it could serve; see its log");
	return 1;
}

bool process_daemon(bool quiet, char *error, size_t size)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), ends[2] = { -1, -1 };
	pid_t child;

	if (null < 0 || pipe2(ends, O_CLOEXEC) != 0)
		goto failed;
	/* Twice: the second child leads no session, so it can never get a terminal. */
	for (int i = 0; i < 2; i++) {
		child = fork();
		if (child < 0)
			goto failed;
		if (child > 0) {
			close(ends[1]);
			_exit(i == 0 ? hear(ends[0], quiet) : 0);
		}
		if (i == 0 && setsid() < 0)
			goto failed;
	}
	for (int fd = 0; fd <= 2; fd++)
		if (dup2(null, fd) < 0)
			goto failed;
	if (null > 2)
		close(null);
	close(ends[0]);
	line = ends[1];
	return true;

failed:
	text_format(error, size, "could not go to the background: %s", strerror(errno));
	if (null > 2)
		close(null);
	for (int i = 0; i < 2; i++)
		if (ends[i] >= 0)
			close(ends[i]);
	return false;
}

void process_daemon_says(const char *trouble)
{
	static const char well[1];
	const char *said = trouble ? trouble : well;
	size_t length = trouble ? strlen(trouble) : sizeof well;
	ssize_t sent;

	if (line < 0)
		return;
	/* Who does not wait any more has given up; a pipe that nobody reads is no matter of ours (SIGPIPE is ignored). */
	sent = write(line, said, length);
	(void)sent;
	close(line);
	line = -1;
}
