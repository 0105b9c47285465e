#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/clock.h"
#include "io/private.h"
#include "io/ring.h"

/* Listening sockets. One socket, watched by any number of loops:
 *
 *    listener --+-- watch -- loop 1     EPOLLEXCLUSIVE: a newcomer wakes one loop, not all of them. The interest is
 *               +-- watch -- loop 2     by level: what one loop leaves at the door is shown again, to whoever is free.
 *
 * A loop lets in at most ACCEPTS_PER_TURN at a time, so that a storm of logins does not hold up those who are inside.
 *
 * When descriptors run out, accept fails while the newcomer stays at the door and epoll would report it at once, for ever.
 * So the watch is taken out of epoll for a while (PAUSE_US); the newcomer waits in the kernel's queue meanwhile.
 *
 * A unix socket's file outlives its process. Before binding we knock: if nobody answers, the file is a left-over and is
 * removed. At the end we remove it, if it still is the one we made. Between bind and listen nobody can connect, so that is
 * when mode and group are set. */

#define ACCEPTS_PER_TURN 16
#define PAUSE_US         (100 * MILLISECOND_US)
#define DEFER_SECONDS    1

struct listener {
	int fd;
	atomic_int watches;
	struct address address;
	struct stream_options options; /* as it was given them */
	dev_t device;                  /* of a unix socket's file, to know it again */
	ino_t inode;
	bool file;
};

static bool refuse(char *error, size_t size, const struct address *at, const char *what)
{
	char text[ADDRESS_TEXT];

	text_format(error, size, "could not listen on %s: %s", address_text(at, text), what);
	return false;
}

const char *listen_reason(const struct address *at, int number)
{
	switch (number) {
	case EADDRINUSE:
		return "address in use: end what listens there (ss -ltnp names it), or choose another port";
	case EADDRNOTAVAIL:
		return "no such address on this machine";
	case EACCES:
		return at->family == ADDRESS_UNIX
			? "permission denied: the folder must be writable for the user that runs this"
			: "permission denied: a port below 1024 takes root or CAP_NET_BIND_SERVICE; choose another port";
	case ENOENT:
		return "no such folder: make it, or choose another unix_socket_dir";
	default:
		return strerror(number);
	}
}

static bool is_absent(const struct address *at, int number)
{
	switch (number) {
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT:
		return true;
	case ENOENT:
	case ENOTDIR:
	case EACCES:
	case EROFS:
		return at->family == ADDRESS_UNIX; /* of TCP, EACCES is about the port */
	default:
		return false;
	}
}

/* Is somebody behind this file? If not, it is removed. False: `error`. */
static bool clear_stale_file(const struct address *at, char *error, size_t size)
{
	struct sockaddr_storage name;
	socklen_t length = address_to_kernel(at, &name);
	struct stat file;
	int fd, why;

	if (lstat(at->path, &file) != 0)
		return true; /* nothing there, or bind will say what is wrong */
	if (!S_ISSOCK(file.st_mode))
		return refuse(error, size, at, "a file that is not a socket has this name");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return refuse(error, size, at, strerror(errno));
	why = connect(fd, (struct sockaddr *)&name, length) == 0 ? 0 : errno;
	close(fd);
	if (why != ECONNREFUSED && why != ENOENT)
		return refuse(error, size, at, why == 0 || why == EAGAIN ? "unix socket is in use" : strerror(why));
	if (unlink(at->path) != 0 && errno != ENOENT)
		return refuse(error, size, at, strerror(errno));
	return true;
}

static bool set_file_rights(struct listener *l, const struct listen_setup *setup, char *error, size_t size)
{
	const char *path = l->address.path;
	struct stat file;

	if (lstat(path, &file) != 0)
		return refuse(error, size, &l->address, strerror(errno));
	l->file = true;
	l->device = file.st_dev;
	l->inode = file.st_ino;
	if (setup->unix_group && setup->unix_group[0]) {
		int64_t number;
		const struct group *group = getgrnam(setup->unix_group);
		char what[160];

		if (group)
			number = group->gr_gid;
		else if (!text_to_i64(span_text(setup->unix_group), &number) || number < 0 || number >= UINT32_MAX) {
			text_format(what, sizeof what, "there is no group \"%s\"", setup->unix_group);
			return refuse(error, size, &l->address, what);
		}
		if (chown(path, (uid_t)-1, (gid_t)number) != 0) {
			text_format(what, sizeof what, "could not give it to group \"%s\": %s", setup->unix_group,
				strerror(errno));
			return refuse(error, size, &l->address, what);
		}
	}
	if (setup->unix_mode && chmod(path, (mode_t)setup->unix_mode) != 0)
		return refuse(error, size, &l->address, strerror(errno));
	return true;
}

void listener_defer(struct listener *l, bool defer)
{
	if (l->address.family != ADDRESS_UNIX)
		socket_set_number(l->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, defer ? DEFER_SECONDS : 0);
}

struct listener *listener_open(const struct address *at, const struct listen_setup *setup, char *error, size_t size)
{
	struct sockaddr_storage name;
	socklen_t length = address_to_kernel(at, &name);
	bool file = at->family == ADDRESS_UNIX && at->path[0] != '@';
	struct listener *l = calloc(1, sizeof *l);
	int absent = 0;

	if (!l) {
		refuse(error, size, at, strerror(ENOMEM));
		errno = 0;
		return NULL;
	}
	l->address = *at;
	l->fd = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0) {
		absent = is_absent(at, errno) ? errno : 0;
		refuse(error, size, at, strerror(errno));
		goto refused;
	}
	if (at->family == ADDRESS_IPV6)
		socket_set_number(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (at->family != ADDRESS_UNIX) {
		socket_set_number(l->fd, SOL_SOCKET, SO_REUSEADDR, 1);
		if (setup->reuse_port)
			socket_set_number(l->fd, SOL_SOCKET, SO_REUSEPORT, 1);
		listener_defer(l, setup->defer_accept);
		/* Those who come in inherit these. */
		socket_set_number(l->fd, IPPROTO_TCP, TCP_NODELAY, 1);
		socket_set_buffers(l->fd, &setup->options);
		socket_set_tcp(l->fd, &setup->options);
		l->options = setup->options;
	}
	if (file && !clear_stale_file(at, error, size))
		goto refused;
	if (bind(l->fd, (struct sockaddr *)&name, length) != 0) {
		absent = is_absent(at, errno) ? errno : 0;
		refuse(error, size, at, listen_reason(at, errno));
		goto refused;
	}
	if (file && !set_file_rights(l, setup, error, size))
		goto refused;
	if (listen(l->fd, setup->backlog > 0 ? setup->backlog : SOMAXCONN) != 0) {
		refuse(error, size, at, listen_reason(at, errno));
		goto refused;
	}
	length = sizeof name;
	if (at->family != ADDRESS_UNIX && getsockname(l->fd, (struct sockaddr *)&name, &length) == 0)
		address_from_kernel(&name, length, &l->address);
	return l;

refused:
	listener_close(&l);
	errno = absent;
	return NULL;
}

struct listener *listener_inherit(int fd, uint16_t port, const struct listen_setup *setup, char *error, size_t size)
{
	struct sockaddr_storage name;
	socklen_t length = sizeof name;
	int type = 0, listens = 0, flags;
	socklen_t number = sizeof type;
	struct listener *l;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &number) != 0 || type != SOCK_STREAM ||
		getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &number) != 0 || !listens ||
		getsockname(fd, (struct sockaddr *)&name, &length) != 0) {
		text_format(error, size,
			"descriptor %d, which was handed over at the start, is no stream socket that listens", fd);
		return NULL;
	}
	l = calloc(1, sizeof *l);
	if (!l) {
		text_format(error, size, "%s", strerror(ENOMEM));
		return NULL;
	}
	l->fd = fd;
	address_from_kernel(&name, length, &l->address);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
		refuse(error, size, &l->address, strerror(errno));
		listener_close(&l);
		return NULL;
	}
	if (l->address.family == ADDRESS_UNIX) {
		if (l->address.port == 0)
			l->address.port = port;
	} else {
		socket_set_number(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		socket_set_buffers(fd, &setup->options);
		socket_set_tcp(fd, &setup->options);
		l->options = setup->options;
	}
	return l;
}

const struct address *listener_address(const struct listener *l)
{
	return &l->address;
}

void listener_close(struct listener **at)
{
	struct listener *l = *at;
	struct stat file;

	*at = NULL;
	if (!l)
		return;
	check(atomic_load(&l->watches) == 0);
	if (l->file && lstat(l->address.path, &file) == 0 && file.st_dev == l->device && file.st_ino == l->inode)
		unlink(l->address.path);
	if (l->fd >= 0)
		close(l->fd);
	free(l);
}

/* ---- from process to process ---- */

bool listener_send(const struct listener *l, struct stream *s, struct span bytes)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof l->fd)] = { 0 };
	struct iovec piece = { (void *)(uintptr_t)bytes.at, bytes.length };
	struct msghdr message = {
		.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	stream_push(s);
	check(s->state == STREAM_OPEN && s->family == ADDRESS_UNIX && !s->secure && !s->unsent);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof l->fd);
	memcpy(CMSG_DATA(c), &l->fd, sizeof l->fd);
	return sendmsg(s->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)bytes.length;
}

int listener_descriptor(const struct listener *l)
{
	return l->fd;
}

void listener_own_file(struct listener *l, bool ours)
{
	struct stat file;

	if (l->address.family != ADDRESS_UNIX || l->address.path[0] == '@')
		return;
	l->file = ours && lstat(l->address.path, &file) == 0 && S_ISSOCK(file.st_mode);
	if (l->file) {
		l->device = file.st_dev;
		l->inode = file.st_ino;
	}
}

/* ---- watches ---- */

static bool watch_begin(struct watch *w)
{
	struct epoll_event e = {
		.events = EPOLLIN | EPOLLEXCLUSIVE,
		.data.u64 = (uint64_t)(uintptr_t)w | MARK_WATCH,
	};

	return epoll_ctl(w->loop->epoll, EPOLL_CTL_ADD, w->listener->fd, &e) == 0;
}

static void watch_end(struct watch *w)
{
	check(epoll_ctl(w->loop->epoll, EPOLL_CTL_DEL, w->listener->fd, NULL) == 0);
}

bool listener_watch(struct listener *l, struct loop *loop)
{
	struct watch *w = calloc(1, sizeof *w);

	if (!w)
		return false;
	check(((uintptr_t)w & MARK_MASK) == 0);
	w->listener = l;
	w->loop = loop;
	link_init(&w->accepting);
	if (!watch_begin(w)) {
		free(w);
		return false;
	}
	link_last(&loop->watches, &w->place);
	atomic_fetch_add(&l->watches, 1);
	return true;
}

void watch_free(struct watch *w)
{
	if (w->paused_until)
		w->loop->watches_paused--;
	else
		watch_end(w);
	link_remove(&w->accepting);
	link_remove(&w->place);
	atomic_fetch_sub(&w->listener->watches, 1);
	free(w);
}

void listener_unwatch(struct listener *l, struct loop *loop)
{
	for (struct link *at = loop->watches.next; at != &loop->watches; at = at->next) {
		struct watch *w = link_owner(at, struct watch, place);

		if (w->listener == l) {
			watch_free(w);
			return;
		}
	}
}

/* One line a second is enough, whatever the number of loops and newcomers. */
static void report_refusal(const struct listener *l, int error, time_us now)
{
	static _Atomic time_us reported;
	time_us last = atomic_load(&reported);
	char text[ADDRESS_TEXT];

	if (last != 0 && now - last < SECOND_US)
		return;
	if (atomic_compare_exchange_strong(&reported, &last, now))
		log_line(LOG_WARNING, "could not accept a connection on %s: %s (trying again in %d ms)",
			address_text(&l->address, text), strerror(error), (int)(PAUSE_US / MILLISECOND_US));
}

static void watch_pause(struct watch *w, int error)
{
	time_us now = clock_now();

	report_refusal(w->listener, error, now);
	watch_end(w);
	w->paused_until = now + PAUSE_US;
	w->loop->watches_paused++;
}

time_us watches_wake(struct loop *loop, time_us now)
{
	time_us next = 0;

	if (loop->watches_paused == 0)
		return 0;
	for (struct link *at = loop->watches.next; at != &loop->watches; at = at->next) {
		struct watch *w = link_owner(at, struct watch, place);

		if (w->paused_until == 0)
			continue;
		if (w->paused_until <= now && watch_begin(w)) {
			w->paused_until = 0;
			loop->watches_paused--;
			continue;
		}
		if (w->paused_until <= now)
			w->paused_until = now + PAUSE_US;
		if (next == 0 || w->paused_until < next)
			next = w->paused_until;
	}
	return next;
}

static struct parcel *parcel_new(
	const struct listener *l, int fd, const struct sockaddr_storage *name, socklen_t length)
{
	struct parcel *p = memory_zeroed(sizeof *p);

	if (!p)
		return NULL;
	p->fd = fd;
	p->options = l->options;
	address_from_kernel(name, length, &p->peer);
	if (l->address.family == ADDRESS_UNIX) {
		struct ucred peer;
		socklen_t size = sizeof peer;

		p->peer.family = ADDRESS_UNIX;
		p->peer.port = l->address.port;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) {
			p->peer.process = (uint32_t)peer.pid;
			p->peer.user = peer.uid;
		}
	}
	return p;
}

struct parcel *watch_accept(struct watch *w)
{
	struct listener *l = w->listener;

	while (w->accepted < ACCEPTS_PER_TURN) {
		struct sockaddr_storage name;
		socklen_t length = sizeof name;
		struct parcel *p;
		int fd = accept4(l->fd, (struct sockaddr *)&name, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

		w->accepted++;
		if (fd >= 0) {
			p = parcel_new(l, fd, &name, length);
			if (p)
				return p;
			close(fd);
			errno = ENOMEM;
		}
		if (errno == EAGAIN)
			break;
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			watch_pause(w, errno);
			break;
		}
		/* Everything else is about that one newcomer, who is gone (accept(2), "Error handling"). */
		check(errno != EBADF && errno != EINVAL && errno != ENOTSOCK && errno != EFAULT);
	}
	w->accepted = 0;
	link_remove(&w->accepting);
	return NULL;
}
