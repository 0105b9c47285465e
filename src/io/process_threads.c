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

/* Whether it waits for a processor, or has one: the letter after its name, which may contain anything but is short. */
static bool is_ready(int folder, const char *thread)
{
	char text[64];
	struct span all = read_file(folder, thread, "stat", text, sizeof text);

	for (size_t i = all.length; i > 2; i--)
		if (all.at[i - 3] == ')')
			return all.at[i - 1] == 'R';
	return false;
}

static bool read_ran(int folder, const char *thread, uint64_t *ran)
{
	char text[96];
	struct span rest = read_file(folder, thread, "schedstat", text, sizeof text);
	int64_t number;

	*ran = 0;
	for (unsigned i = 0; i < 3; i++) {
		size_t length = 0;

		while (length < rest.length && rest.at[length] != ' ' && rest.at[length] != '\n')
			length++;
		if (!text_to_i64(span_of(rest.at, length), &number))
			return false;
		*ran += i == 1 ? 0 : (uint64_t)number;
		rest = span_skip(rest, length < rest.length ? length + 1 : length);
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
	size_t length;
	int64_t parent = 0;

	text_format(path, sizeof path, "/proc/%u/stat", process);
	if (!file_read(path, 4096, &text, &length, error, sizeof error))
		return 0;
	/* "12 (any name) S 7 ...": the name may contain anything. */
	for (size_t i = length; i > 0; i--) {
		if (text[i - 1] != ')')
			continue;
		if (i + 3 < length) {
			struct span rest = span_of(text + i + 3, length - i - 3);
			size_t digits = 0;

			while (digits < rest.length && rest.at[digits] != ' ')
				digits++;
			if (!text_to_i64(span_of(rest.at, digits), &parent))
				parent = 0;
		}
		break;
	}
	free(text);
	return (uint32_t)parent;
}
