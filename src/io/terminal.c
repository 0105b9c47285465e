#include "io/terminal.h"

#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

static volatile sig_atomic_t interrupted;

unsigned terminal_columns(FILE *file)
{
	struct winsize size = { 0 };

	if (!isatty(fileno(file)))
		return 0;
	if (ioctl(fileno(file), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return 80;
	return size.ws_col;
}

static void note(int number)
{
	(void)number;
	interrupted = 1;
}

void terminal_catch_interrupts(void)
{
	/* Once only: whoever asks twice does not want to wait for a report. */
	struct sigaction once = { .sa_handler = note, .sa_flags = (int)SA_RESETHAND };
	struct sigaction ignored = { .sa_handler = SIG_IGN };

	check(sigaction(SIGINT, &once, NULL) == 0 && sigaction(SIGTERM, &once, NULL) == 0 &&
		sigaction(SIGHUP, &once, NULL) == 0);
	check(sigaction(SIGPIPE, &ignored, NULL) == 0);
}

bool terminal_interrupted(void)
{
	return interrupted != 0;
}

void socket_cut(int descriptor, bool reset)
{
	/* connect(2): AF_UNSPEC dissolves the association; Linux does it with a reset (tcp_disconnect in net/ipv4/tcp.c). */
	const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

	if (descriptor < 0)
		return;
	if (!reset || connect(descriptor, &nowhere, sizeof nowhere) != 0)
		shutdown(descriptor, SHUT_RDWR);
}
