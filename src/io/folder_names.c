#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/text.h"
#include "io/file.h"

/* The files of one folder, as configurations in pieces lie there. */

static int compare(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool is_meant(const char *folder, const char *name, const char *suffix)
{
	size_t length = strlen(name), end = strlen(suffix);
	char path[4096];
	struct stat status;

	if (name[0] == '.' || length <= end || strcmp(name + length - end, suffix) != 0)
		return false;
	text_format(path, sizeof path, "%s/%s", folder, name);
	return stat(path, &status) != 0 ||
		!S_ISDIR(status.st_mode); /* what can not be looked at fails when it is read */
}

bool folder_names(const char *path, const char *suffix, size_t most, struct buf *names, char *error, size_t error_size)
{
	struct dirent **entries;
	int count = scandir(path, &entries, NULL, compare);
	size_t found = 0;
	bool ok = true;

	if (count < 0) {
		text_format(error, error_size, "could not read \"%s\": %s", path, strerror(errno));
		return false;
	}
	for (int i = 0; i < count; i++) {
		const char *name = entries[i]->d_name;

		if (ok && is_meant(path, name, suffix))
			ok = ++found <= most && buf_add(names, name, strlen(name) + 1);
		free(entries[i]);
	}
	free(entries);
	if (!ok)
		text_format(error, error_size, "could not read \"%s\": more than %zu files", path, most);
	return ok;
}
