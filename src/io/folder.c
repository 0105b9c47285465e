#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/text.h"
#include "io/file.h"
#include "io/private.h"

/* A bounded walk through somebody's source: depth first, each folder in alphabetical order, so that the same tree is always told in the
 * same order. Links are not followed, so there are no circles; a tree that is too deep or too large is cut, and that is said. */

#define DEPTH_MAX 24

struct walk {
	struct buf *paths;
	size_t count, most;
	bool cut;
};

static bool is_foreign(const char *name)
{
	static const char *const names[] = { "node_modules", "venv", "env", "site-packages", "__pycache__", "vendor",
		NULL };

	if (name[0] == '.')
		return true;
	for (size_t i = 0; names[i]; i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

static void walk_folder(struct walk *walk, const char *folder, unsigned depth)
{
	struct dirent **entries;
	int count = depth < DEPTH_MAX ? scandir(folder, &entries, NULL, alphasort) : -1;

	if (count < 0) {
		walk->cut = true;
		return;
	}
	for (int i = 0; i < count; i++) {
		char path[4096];
		size_t length = text_format(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
		bool foreign = is_foreign(entries[i]->d_name);
		struct stat status;

		free(entries[i]);
		if (foreign || walk->count == walk->most || length == sizeof path - 1 || lstat(path, &status) != 0) {
			walk->cut |= !foreign;
			continue;
		}
		if (S_ISDIR(status.st_mode)) {
			walk_folder(walk, path, depth + 1);
		} else if (S_ISREG(status.st_mode)) {
			if (buf_add(walk->paths, path, length + 1))
				walk->count++;
			else
				walk->cut = true;
		}
	}
	free(entries);
}

long folder_list(const char *path, size_t most, struct buf *paths, bool *cut, char *error, size_t error_size)
{
	struct walk walk = { .paths = paths, .most = most };
	DIR *folder = opendir(path);

	if (!folder) {
		text_format(error, error_size, "%s: %s", path, strerror(errno));
		return -1;
	}
	closedir(folder);
	walk_folder(&walk, path, 0);
	*cut = walk.cut;
	return (long)walk.count;
}

size_t folder_count(const char *path)
{
	struct dirent *entry;
	size_t count = 0;
	DIR *folder = opendir(path);

	if (!folder)
		return 0;
	while ((entry = readdir(folder)))
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count;
}

bool path_is_missing(const char *path)
{
	struct stat status;

	return stat(path, &status) != 0 && errno == ENOENT;
}

bool path_may_be_read(const char *path)
{
	return faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0;
}

bool path_is_for_all(const char *path)
{
	char whole[PATH_MAX], *slash;
	struct stat status;

	if (!realpath(path, whole) || stat(whole, &status) != 0 || !(status.st_mode & S_IROTH))
		return false;
	while ((slash = strrchr(whole, '/'))) {
		slash[slash == whole] = 0;
		if (stat(whole, &status) != 0 || !(status.st_mode & S_IXOTH))
			return false;
		if (slash == whole)
			break;
	}
	return true;
}

int path_is_folder(const char *path)
{
	struct stat status;

	if (stat(path, &status) != 0)
		return -1;
	return S_ISDIR(status.st_mode) ? 1 : 0;
}
