/* What the programs of the benchmark share. See net.h. */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

_Noreturn void die(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

_Noreturn void die_errno(const char *format, ...)
{
	int why = errno;
	va_list args;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, ": %s\n", strerror(why));
	exit(1);
}

long number_of(const char *option, const char *text, long min, long max)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < min || value > max)
		die("%s wants a number from %ld to %ld, not \"%s\"", option, min, max, text);
	return value;
}

double real_of(const char *option, const char *text)
{
	char *end;
	double value;

	errno = 0;
	value = strtod(text, &end);
	if (errno != 0 || end == text || *end != '\0' || !(value >= 0 && value <= 1e9))
		die("%s wants a number of zero or more, not \"%s\"", option, text);
	return value;
}

void *must_have(void *pointer)
{
	if (pointer == NULL)
		die("out of memory");
	return pointer;
}

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct place place_of(const char *text)
{
	struct place place = { 0 };
	char host[64];
	const char *colon;

	if (text[0] == '/') {
		struct sockaddr_un *un = (struct sockaddr_un *)&place.address;

		un->sun_family = AF_UNIX;
		if (strlen(text) >= sizeof(un->sun_path))
			die("the path %s is too long for a unix socket", text);
		memcpy(un->sun_path, text, strlen(text) + 1);
		place.length = sizeof(*un);
		return place;
	}
	colon = strrchr(text, ':');
	if (colon == NULL || (size_t)(colon - text) >= sizeof(host))
		die("\"%s\" is neither host:port nor an absolute path", text);
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';

	struct sockaddr_in *in = (struct sockaddr_in *)&place.address;

	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)number_of("a port", colon + 1, 0, 65535));
	if (inet_pton(AF_INET, host, &in->sin_addr) != 1)
		die("\"%s\" is not a numeric address", host);
	place.length = sizeof(*in);
	return place;
}

void net_tune(int descriptor)
{
	int on = 1;

	fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
	/* Fails on a unix socket, which has no Nagle to switch off. */
	setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int net_listen(const char *text)
{
	struct place place = place_of(text);
	int on = 1, descriptor = socket(place.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (descriptor < 0)
		die_errno("socket");
	if (place.address.ss_family == AF_UNIX)
		unlink(text);
	else
		setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(descriptor, (struct sockaddr *)&place.address, place.length) < 0)
		die_errno("cannot listen on %s", text);
	if (listen(descriptor, 4096) < 0)
		die_errno("cannot listen on %s", text);
	if (place.address.ss_family == AF_UNIX) {
		printf("listening on %s\n", text);
	} else {
		struct sockaddr_in in;
		socklen_t length = sizeof(in);
		char host[INET_ADDRSTRLEN];

		getsockname(descriptor, (struct sockaddr *)&in, &length);
		printf("listening on %s:%d\n", inet_ntop(AF_INET, &in.sin_addr, host, sizeof(host)),
			ntohs(in.sin_port));
	}
	fflush(stdout);
	return descriptor;
}

int net_connect(const struct place *place, const struct place *source)
{
	bool local = place->address.ss_family == AF_UNIX;
	int on = 1, descriptor = socket(place->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (descriptor < 0)
		return -1;
	/* A unix socket whose listener is behind answers EAGAIN to those who do
	 * not wait, so there we wait. */
	if (!local)
		net_tune(descriptor);
	if (source != NULL) {
		setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
		if (bind(descriptor, (const struct sockaddr *)&source->address, source->length) < 0)
			goto fail;
	}
	if (connect(descriptor, (const struct sockaddr *)&place->address, place->length) < 0 && errno != EINPROGRESS)
		goto fail;
	if (local)
		net_tune(descriptor);
	return descriptor;
fail:
	on = errno;
	close(descriptor);
	errno = on;
	return -1;
}

void net_raise_limits(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}
