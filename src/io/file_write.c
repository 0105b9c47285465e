#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

/* A file is written beside its place under another name and then put there, so that whoever reads it meanwhile (a RELOAD) sees the old one
 * or the new one whole. Where nothing may be replaced, link() is what puts it there: it refuses a name that exists, without a race. */

static bool fail(char *error, size_t size, const char *path)
{
	text_format(error, size, "could not write \"%s\": %s", path, strerror(errno));
	return false;
}

static bool write_all(int fd, const char *text, size_t length)
{
	while (length > 0) {
		ssize_t n = write(fd, text, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		text += n;
		length -= (size_t)n;
	}
	return fsync(fd) == 0;
}

bool file_write(
	const char *path, const char *text, size_t length, bool secret, bool replace, char *error, size_t error_size)
{
	char beside[4096];
	bool good;
	int fd, why;

	if (text_format(beside, sizeof beside, "%s.%u.new", path, process_id()) >= sizeof beside - 1) {
		errno = ENAMETOOLONG;
		return fail(error, error_size, path);
	}
	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, secret ? 0600 : 0644);
	if (fd < 0)
		return fail(error, error_size, path);
	good = write_all(fd, text, length);
	good = close(fd) == 0 && good;
	good = good && (replace ? rename(beside, path) : link(beside, path)) == 0;
	why = errno;
	if (!good || !replace)
		unlink(beside);
	errno = why;
	return good || fail(error, error_size, path);
}
