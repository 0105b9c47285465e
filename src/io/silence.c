#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "io/private.h"

/* Is anybody at the other end? While nothing is under way the kernel asks with keepalive probes, and ends the connection itself when they
 * are not answered. While bytes are under way it does not: it sends them again and again, for a quarter of an hour.
 *
 * TCP_USER_TIMEOUT would end that, but also every connection whose peer is alive and slow: Linux applies it to a window
 * that stays closed too, however dutifully the peer answers (tcp_probe_timer in net/ipv4/tcp_timer.c). Somebody who reads a long result in
 * a pager is no dead peer. So we look ourselves, from time to time, at what the kernel knows (tcp(7), TCP_INFO): */

void stream_speaks(struct stream *s)
{
	if (s->flags & FLAG_SENT || s->state != STREAM_OPEN || s->family == ADDRESS_UNIX)
		return;
	s->flags |= FLAG_SENT;
	link_remove(&s->place);
	link_last(&s->loop->asked, &s->place);
}

/* All that it sent has arrived. */
static void falls_silent(struct stream *s)
{
	s->flags &= (uint16_t)~FLAG_SENT;
	link_remove(&s->place);
	link_last(&s->loop->streams, &s->place);
}

void loop_ask(struct loop *loop)
{
	while (!link_empty(&loop->asked)) {
		struct link *l = loop->asked.next;

		link_remove(l);
		link_last(&loop->spoke, l);
	}
}

struct stream *loop_ask_next(struct loop *loop)
{
	struct stream *s;

	if (link_empty(&loop->spoke))
		return NULL;
	s = link_owner(loop->spoke.next, struct stream, place);
	link_remove(&s->place);
	link_last(&loop->asked, &s->place);
	return s;
}

time_us stream_silence(struct stream *s)
{
	struct tcp_info info = { 0 };
	socklen_t length = sizeof info;

	if ((s->flags & FLAG_SENT) == 0 || s->fd < 0 || s->state != STREAM_OPEN ||
		getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0 ||
		length < offsetof(struct tcp_info, tcpi_snd_wnd) + sizeof info.tcpi_snd_wnd)
		return 0;
	if (info.tcpi_unacked == 0 && info.tcpi_notsent_bytes == 0 && !s->unsent) {
		falls_silent(s);
		return 0;
	}
	/* Its window is closed: it answers probes, which come further and further apart. Three in a row are lost by nobody. */
	if (info.tcpi_snd_wnd == 0)
		return info.tcpi_probes >= 3 ? (time_us)info.tcpi_last_ack_recv * MILLISECOND_US : 0;
	/* Sent again twice, and still not acknowledged. */
	if (info.tcpi_unacked > 0 && info.tcpi_retransmits >= 2)
		return (time_us)info.tcpi_last_ack_recv * MILLISECOND_US;
	return 0;
}
