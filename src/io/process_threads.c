#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "io/file.h"

/* The threads of another process, by /proc/N/task/M/schedstat: how long it has had a processor, how long it waited for one, and how often it
 * was given one. Everybody may read it; the first and the last only grow while it runs. */

static struct span read_file(int folder, const char *thread, const char *name, char *text, size_t size)
{
	char path[40];
	ssize_t n;
	int file;

	text_format(path, sizeof path, "%s/%s", thread, name);
	file = openat(folder, path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return span_of(text, 0);
	n = read(file, text, size);
	close(file);
	return span_of(text, n > 0 ? (size_t)n : 0);
}

/* "12 (any name) S 7 ...": what stands behind the name, which may contain anything. */
static struct span behind_name(struct span stat)
{
	for (size_t i = stat.length; i > 2; i--)
		if (stat.at[i - 3] == ')')
			return span_skip(stat, i - 1);
	return span_of(stat.at, 0);
}

/* Whether it waits for a processor, or has one. */
static bool is_ready(int folder, const char *thread)
{
	char text[64];
	struct span rest = behind_name(read_file(folder, thread, "stat", text, sizeof text));

	return rest.length > 0 && rest.at[0] == 'R';
}

/* The next number of a line of the kernel's; false: there is none. */
static bool take_number(struct span *line, int64_t *number)
{
	size_t length = 0;

	while (length < line->length && line->at[length] != ' ' && line->at[length] != '\n')
		length++;
	if (!text_to_i64(span_of(line->at, length), number))
		return false;
	*line = span_skip(*line, length < line->length ? length + 1 : length);
	return true;
}

static bool read_ran(int folder, const char *thread, uint64_t *ran)
{
	char text[96];
	struct span rest = read_file(folder, thread, "schedstat", text, sizeof text);
	int64_t number;

	*ran = 0;
	for (unsigned i = 0; i < 3; i++) {
		if (!take_number(&rest, &number))
			return false;
		*ran += i == 1 ? 0 : (uint64_t)number;
	}
	return true;
}

size_t process_threads(uint32_t process, struct process_thread *out, size_t capacity)
{
	char path[40];
	struct dirent *entry;
	size_t count = 0;
	int64_t number;
	DIR *folder;

	text_format(path, sizeof path, "/proc/%u/task", process);
	folder = opendir(path);
	while (folder && (entry = readdir(folder))) {
		struct process_thread thread;

		if (!text_to_i64(span_text(entry->d_name), &number) ||
			!read_ran(dirfd(folder), entry->d_name, &thread.ran))
			continue;
		thread.ready = is_ready(dirfd(folder), entry->d_name);
		thread.number = (uint32_t)number;
		if (count < capacity)
			out[count] = thread;
		count++;
	}
	if (folder)
		closedir(folder);
	return count;
}

uint32_t process_parent(uint32_t process)
{
	char path[40], *text, error[8];
	struct span rest;
	size_t length;
	int64_t parent;

	text_format(path, sizeof path, "/proc/%u/stat", process);
	if (!file_read(path, 4096, &text, &length, error, sizeof error))
		return 0;
	rest = behind_name(span_of(text, length));
	if (rest.length > 2)
		rest = span_skip(rest, 2);
	if (!take_number(&rest, &parent))
		parent = 0;
	free(text);
	return (uint32_t)parent;
}
