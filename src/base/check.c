#include "base/check.h"

#include <execinfo.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is left to do when one of our own promises is broken: say so as fully as is safe, and end.
 *
 * Nothing here asks for memory, because the heap may be what is broken. The report is made in a
 * static buffer, goes to standard error in one piece (so that lines of other threads do not cut
 * into it), then to the hook, then the backtrace follows. A check that fails inside the hook ends
 * the process at once.
 *
 * Notes are kept per thread: what another thread did last says little about this failure, and a
 * shared ring would need a lock on every note. */

#define NOTES      16
#define NOTE_BYTES 160

static _Thread_local struct {
	char line[NOTES][NOTE_BYTES];
	unsigned next;
} notes;

static _Thread_local int failing;
static _Atomic(check_hook *) installed;

static size_t append(char *report, size_t size, size_t used, const char *text)
{
	size_t n = strlen(text);

	if (n > size - 1 - used)
		n = size - 1 - used;
	memcpy(report + used, text, n);
	report[used + n] = 0;
	return used + n;
}

void check_failed(const char *claim, const char *file, int line, const char *function)
{
	static _Thread_local char report[4096];
	char number[16];
	void *frames[48];
	size_t used = 0;
	check_hook *hook;

	if (failing++)
		abort();
	snprintf(number, sizeof number, "%d", line);
	used = append(report, sizeof report, used, "check failed: ");
	used = append(report, sizeof report, used, claim);
	used = append(report, sizeof report, used, "\n  at ");
	used = append(report, sizeof report, used, file);
	used = append(report, sizeof report, used, ":");
	used = append(report, sizeof report, used, number);
	used = append(report, sizeof report, used, " in ");
	used = append(report, sizeof report, used, function);
	used = append(report, sizeof report, used, "\n");
	for (unsigned i = 0; i < NOTES; i++) {
		const char *note = notes.line[(notes.next + i) % NOTES];

		if (note[0] == 0)
			continue;
		used = append(report, sizeof report, used, "  before: ");
		used = append(report, sizeof report, used, note);
		used = append(report, sizeof report, used, "\n");
	}
	fwrite(report, 1, used, stderr);
	fflush(stderr);
	backtrace_symbols_fd(frames, backtrace(frames, sizeof frames / sizeof frames[0]), fileno(stderr));
	hook = atomic_load(&installed);
	if (hook)
		hook(report);
	abort();
}

void check_set_hook(check_hook *hook)
{
	atomic_store(&installed, hook);
	/* A hook may leave by longjmp, as tests do; whoever installs one anew starts anew. */
	failing = 0;
}

void check_note(const char *line)
{
	char *out = notes.line[notes.next];
	size_t n = strnlen(line, NOTE_BYTES - 1);

	memcpy(out, line, n);
	out[n] = 0;
	notes.next = (notes.next + 1) % NOTES;
}
