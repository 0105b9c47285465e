/* The bare relay's options, threads and door. The engines are in
 * relay_epoll.c and relay_uring.c; what a relay is, in relay.h.
 *
 *	main: accept -> pipe of thread 0, 1, 2 ... in turn -> the engine
 */
#include "relay.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct thread {
	pthread_t id;
	const struct relay_options *options;
	bool uring;
	int pipe[2];
};

static void *thread_main(void *argument)
{
	struct thread *t = argument;

	if (t->uring)
		relay_uring(t->options, t->pipe[0]);
	else
		relay_epoll(t->options, t->pipe[0]);
}

int relay_login(const struct relay_options *options, struct welcome *welcome)
{
	uint8_t packet[512], *at = packet + 8;
	int descriptor = socket(options->server.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const char *const words[] = { "user", options->user, "database", options->database };
	struct frames frames = { 0 };
	struct frame frame = { 0 };
	size_t length = 0;
	ssize_t got;

	if (descriptor < 0 ||
		connect(descriptor, (const struct sockaddr *)&options->server.address, options->server.length) < 0)
		die_errno("cannot connect to the server");
	for (int i = 0; i < 4; i++)
		at = (uint8_t *)stpcpy((char *)at, words[i]) + 1;
	*at++ = 0;
	be32_put(packet, (uint32_t)(at - packet));
	be32_put(packet + 4, 3 << 16);
	if (write(descriptor, packet, (size_t)(at - packet)) < 0)
		die_errno("cannot log in at the server");
	while (frame.type != 'Z') {
		const uint8_t *from = welcome->bytes + length;

		got = read(descriptor, welcome->bytes + length, sizeof(welcome->bytes) - length);
		if (got <= 0)
			die("the server hung up at login");
		length += (size_t)got;
		while (frames_next(&frames, &from, welcome->bytes + length, &frame))
			if (frame.type == 'E' || (frame.type == 'R' && frame.body && be32_get(frame.body) != 0))
				die("the server wants more than trust");
	}
	welcome->length = length;
	net_tune(descriptor);
	return descriptor;
}

static void usage(void)
{
	puts("relay: copy bytes between clients and a server, and do nothing else\n\n"
	     "  --listen PLACE       host:port (port 0 chooses) or the path of a unix socket\n"
	     "  --server PLACE       where PostgreSQL is\n"
	     "  --engine epoll|uring (default epoll)\n"
	     "  --servers N          a fixed set of N servers, lent per transaction;\n"
	     "                       0 (default): one server for each client\n"
	     "  --threads N          (default 1); a fixed set is divided among them\n"
	     "  --buffer BYTES       of one read (default 65536; uring 8192)\n"
	     "  --buffers N          uring: provided buffers of each thread (default 2048)\n"
	     "  --turn BYTES         epoll: read from one peer before it is others' turn (65536)\n"
	     "  --wake edge|mod      epoll: register once, or EPOLL_CTL_MOD when a client waits\n"
	     "                       and when it is served\n"
	     "  --read once|drain    epoll: trust a short read, or read until EAGAIN\n"
	     "  --write send|writev  epoll: one span, or two as if a header had been rewritten\n"
	     "  --rest sleep|yield|spin  epoll: before sleeping, let others run once, or look\n"
	     "                       for 20 us whether there is more\n"
	     "  --user U --database D   whom the fixed set logs in as (default postgres)");
}

int main(int argc, char **argv)
{
	static const struct option table[] = {
		{ "listen", required_argument, NULL, 'l' },
		{ "server", required_argument, NULL, 's' },
		{ "engine", required_argument, NULL, 'e' },
		{ "servers", required_argument, NULL, 'n' },
		{ "threads", required_argument, NULL, 't' },
		{ "buffer", required_argument, NULL, 'b' },
		{ "buffers", required_argument, NULL, 'B' },
		{ "wake", required_argument, NULL, 'w' },
		{ "read", required_argument, NULL, 'r' },
		{ "write", required_argument, NULL, 'W' },
		{ "turn", required_argument, NULL, 'T' },
		{ "rest", required_argument, NULL, 'R' },
		{ "user", required_argument, NULL, 'u' },
		{ "database", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct relay_options options = {
		.user = "postgres", .database = "postgres", .buffers = 2048, .turn_bytes = 65536
	};
	const char *place = "127.0.0.1:0";
	bool uring = false, known_server = false;
	struct thread *threads;
	long count = 1;
	int listener, option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (option) {
		case 'l':
			place = optarg;
			break;
		case 's':
			options.server = place_of(optarg);
			known_server = true;
			break;
		case 'e':
			uring = strcmp(optarg, "uring") == 0;
			break;
		case 'n':
			options.servers = (int)number_of("--servers", optarg, 0, 10000);
			break;
		case 't':
			count = number_of("--threads", optarg, 1, 64);
			break;
		case 'b':
			options.buffer_bytes = (size_t)number_of("--buffer", optarg, 512, 1 << 24);
			break;
		case 'B':
			options.buffers = (int)number_of("--buffers", optarg, 16, 32768);
			break;
		case 'w':
			options.wake = strcmp(optarg, "mod") == 0 ? WAKE_MOD : WAKE_EDGE;
			break;
		case 'r':
			options.read = strcmp(optarg, "drain") == 0 ? READ_DRAIN : READ_ONCE;
			break;
		case 'W':
			options.write = strcmp(optarg, "writev") == 0 ? WRITE_WRITEV : WRITE_SEND;
			break;
		case 'T':
			options.turn_bytes = (size_t)number_of("--turn", optarg, 512, 1 << 30);
			break;
		case 'R':
			options.rest = strcmp(optarg, "yield") == 0 ? REST_YIELD
				: strcmp(optarg, "spin") == 0       ? REST_SPIN
								    : REST_SLEEP;
			break;
		case 'u':
			options.user = optarg;
			break;
		case 'd':
			options.database = optarg;
			break;
		case 'h':
			usage();
			return 0;
		default:
			usage();
			return 2;
		}
	}
	if (!known_server)
		die("--server is missing");
	if (strlen(options.user) + strlen(options.database) > 400)
		die("--user and --database are too long");
	if (options.buffer_bytes == 0)
		options.buffer_bytes = uring ? 8192 : 65536;
	if (options.servers > 0)
		options.servers = (int)((options.servers + count - 1) / count);
	net_raise_limits();
	listener = net_listen(place);
	threads = must_have(calloc((size_t)count, sizeof(*threads)));
	for (long i = 0; i < count; i++) {
		threads[i] = (struct thread){ .options = &options, .uring = uring };
		if (pipe(threads[i].pipe) < 0)
			die_errno("pipe");
		if (pthread_create(&threads[i].id, NULL, thread_main, &threads[i]) != 0)
			die("cannot start a thread");
	}
	for (long turn = 0;; turn++) {
		int descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (descriptor < 0) {
			if (errno == EMFILE || errno == ENFILE)
				usleep(10000);
			continue;
		}
		net_tune(descriptor);
		if (write(threads[turn % count].pipe[1], &descriptor, sizeof(descriptor)) < 0)
			die_errno("pipe");
	}
}
