#ifndef PGWEIR_IO_NAMES_PRIVATE_H
#define PGWEIR_IO_NAMES_PRIVATE_H

/* Shared by names.c and names_channel.c only. */

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

/* Which file it is, and of when. */
struct file_mark {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
};

/* The way to the name servers that resolv.conf names. */
struct names_channel {
	struct ares_channeldata *ares; /* NULL: it is not open */
	struct file_mark mark;         /* of resolv.conf when it was opened; zeroes: there was none */
	char trouble[128];             /* why it is not open */
};

struct resolver_setup;

/* Where it fails it is not open, and `trouble` says why. */
void names_channel_open(struct names_channel *, const struct resolver_setup *);

/* What is under way by it is told ARES_EDESTRUCTION. One that is not open may be closed. */
void names_channel_close(struct names_channel *);

/* The file is another than the one that it was opened with. */
bool names_channel_is_old(const struct names_channel *, const struct resolver_setup *);

#endif
