/* c-ares reads resolv.conf once. So names.c asks here whether it is another file than it was, before whatever it asks next, and begins anew
 * then: with the name servers of a machine that has moved, or that had none yet when we started. */
#include "io/names_private.h"

#include <ares.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "io/loop.h"

#define ANSWER_MS   2000 /* of one name server, the first time; the second time twice that */
#define ATTEMPTS    2
#define RESOLV_CONF "/etc/resolv.conf"

/* c-ares 1.18 reads the port of "nameserver 127.0.0.1:5353" and forgets it, so the lines of our own file are read once more. */
static void set_ports(ares_channel channel, const char *resolv_conf)
{
	FILE *file = resolv_conf[0] ? fopen(resolv_conf, "re") : NULL;
	static const char key[] = "nameserver";
	static const char blank[] = " \t\r\n";
	char line[256], list[1024] = "";
	size_t length = 0;

	while (file && fgets(line, sizeof line, file)) {
		const char *word = line + strspn(line, blank), *value = word + sizeof key - 1;

		if (strncmp(word, key, sizeof key - 1) != 0 || strspn(value, blank) == 0)
			continue;
		value += strspn(value, blank);
		length += text_format(list + length, sizeof list - length, "%s%.*s", length ? "," : "",
			(int)strcspn(value, blank), value);
	}
	if (file)
		fclose(file);
	if (length > 0)
		(void)ares_set_servers_ports_csv(channel, list);
}

static struct file_mark mark_now(const char *resolv_conf)
{
	struct stat file;

	if (stat(resolv_conf[0] ? resolv_conf : RESOLV_CONF, &file) != 0)
		return (struct file_mark){ 0 };
	return (struct file_mark){
		.device = file.st_dev, .inode = file.st_ino, .size = file.st_size, .changed = file.st_mtim
	};
}

static bool is_same(const struct file_mark *a, const struct file_mark *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
		a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

void names_channel_open(struct names_channel *channel, const struct resolver_setup *setup)
{
	struct ares_options options = { .timeout = ANSWER_MS, .tries = ATTEMPTS };
	int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES, status;
	char path[sizeof setup->resolv_conf]; /* c-ares would have one that it may write to */

#ifdef ARES_OPT_QUERY_CACHE
	/* Since 1.31 it keeps answers itself, those too of a question asked to see whether something has changed. */
	mask |= ARES_OPT_QUERY_CACHE;
	options.qcache_max_ttl = 0;
#endif
	channel->mark = mark_now(setup->resolv_conf); /* before it is read: what is written meanwhile is noticed */
	if (setup->resolv_conf[0]) {
		text_copy(path, sizeof path, setup->resolv_conf);
		options.resolvconf_path = path;
		mask |= ARES_OPT_RESOLVCONF;
	}
	status = ares_init_options(&channel->ares, &options, mask);
	if (status == ARES_SUCCESS) {
		set_ports(channel->ares, setup->resolv_conf);
	} else {
		channel->ares = NULL;
		text_copy(channel->trouble, sizeof channel->trouble, ares_strerror(status));
	}
}

void names_channel_close(struct names_channel *channel)
{
	if (channel->ares)
		ares_destroy(channel->ares);
	channel->ares = NULL;
}

bool names_channel_is_old(const struct names_channel *channel, const struct resolver_setup *setup)
{
	struct file_mark mark = mark_now(setup->resolv_conf);

	return !is_same(&mark, &channel->mark);
}
