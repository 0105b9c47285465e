#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/usage.h"
#include "io/file.h"
#include "io/private.h"

/* What this process takes of the machine:
 *
 *   /proc/self/statm   pages: with an address, in memory, and others
 *   /proc/self/fd      a link for each descriptor; its size says how many since Linux 6.2, and before that they are counted
 *   mallinfo2          walks through what is free, arena by arena, each under its lock
 *
 * None of them is for where anybody waits. */

static void measure_pages(struct usage *usage)
{
	char *text, error[8], *end;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	size_t length;

	if (!file_read("/proc/self/statm", 4096, &text, &length, error, sizeof error))
		return;
	usage->addressable = strtoull(text, &end, 10) * page;
	usage->resident = strtoull(end, NULL, 10) * page;
	free(text);
}

static uint64_t count_files(void)
{
	struct stat known;
	uint64_t count;

	if (stat("/proc/self/fd", &known) == 0 && known.st_size > 0)
		return (uint64_t)known.st_size;
	count = folder_count("/proc/self/fd");
	return count > 0 ? count - 1 : 0; /* the folder's own */
}

void process_usage(struct usage *usage)
{
	struct mallinfo2 heap = mallinfo2();
	struct rlimit files;
	struct timespec had;

	*usage = (struct usage){ .heap = heap.uordblks + heap.hblkhd, .files = count_files() };
	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &had) == 0)
		usage->processor = (uint64_t)had.tv_sec * 1000000 + (uint64_t)had.tv_nsec / 1000;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY)
		usage->files_limit = files.rlim_cur;
	measure_pages(usage);
}
