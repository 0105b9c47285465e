#include "io/supervisor.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int fd = -1;
static struct sockaddr_un name = { .sun_family = AF_UNIX };
static socklen_t name_length;

void supervisor_open(const char *path)
{
	size_t length = path ? strlen(path) : 0;

	supervisor_close();
	if (length < 2 || length >= sizeof name.sun_path || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(name.sun_path, path, length + 1);
	if (path[0] == '@')
		name.sun_path[0] = 0;
	/* An abstract name ends where its length says, a path with its zero. */
	name_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (path[0] == '/'));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

void supervisor_say(const char *format, ...)
{
	char text[1024];
	va_list list;
	int n;

	if (fd < 0)
		return;
	va_start(list, format);
	n = vsnprintf(text, sizeof text, format, list);
	va_end(list);
	if (n > 0)
		(void)sendto(fd, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1,
			MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&name, name_length);
}

void supervisor_close(void)
{
	if (fd >= 0)
		close(fd);
	fd = -1;
}
