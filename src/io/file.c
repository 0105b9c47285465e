#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

/* Whole small files: the configuration, the user list. They are read in one go and bounded, so that a name that points to
 * a device or a log of gigabytes is an error and not the end of memory. A pipe is fine ("/dev/stdin" has no length). */

static bool refuse(char *error, size_t size, const char *path, const char *why)
{
	text_format(error, size, "could not read \"%s\": %s", path, why);
	return false;
}

/* Up to `most` bytes and one more, which tells that there are too many. NULL: errno. */
static char *read_all(int fd, size_t most, size_t *length)
{
	size_t capacity = most < 4096 ? most + 2 : 4096, n = 0;
	char *text = malloc(capacity);

	while (text && n <= most) {
		ssize_t got;

		if (n + 1 >= capacity) {
			char *larger = realloc(text, capacity * 2);

			if (!larger)
				break;
			text = larger;
			capacity *= 2;
		}
		got = read(fd, text + n, capacity - n - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			goto failed;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	if (!text || n + 1 > capacity) {
		errno = ENOMEM;
		goto failed;
	}
	text[n] = 0;
	*length = n;
	return text;

failed:
	free(text);
	return NULL;
}

bool file_read(const char *path, size_t most, char **text, size_t *length, char *error, size_t error_size)
{
	char why[64];
	struct stat file;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	*text = NULL;
	*length = 0;
	if (fd < 0)
		return refuse(error, error_size, path, strerror(errno));
	if (fstat(fd, &file) == 0 && S_ISDIR(file.st_mode)) {
		close(fd);
		return refuse(error, error_size, path, "it is a folder");
	}
	*text = read_all(fd, most, length);
	if (!*text) {
		refuse(error, error_size, path, strerror(errno));
		close(fd);
		return false;
	}
	close(fd);
	if (*length > most) {
		free(*text);
		*text = NULL;
		*length = 0;
		text_format(why, sizeof why, "it is longer than %zu bytes", most);
		return refuse(error, error_size, path, why);
	}
	return true;
}
