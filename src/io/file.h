#ifndef PGWEIR_IO_FILE_H
#define PGWEIR_IO_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "io/logline.h"

/* Read a whole file into a malloc'ed, terminated text. False: `error` says which file and why; longer than `most` is an error. */
bool file_read(const char *path, size_t most, char **text, size_t *length, char *error, size_t error_size);

/* Write a whole file. `secret`: nobody else may read it. Without `replace` a file that is there is an error; with it, the new one takes its
 * place at once, or nothing changes. False: `error` says which file and why. */
bool file_write(
	const char *path, const char *text, size_t length, bool secret, bool replace, char *error, size_t error_size);

/* The paths of the regular files below a folder, each with a zero byte at its end, added to `paths`; sorted within each folder, at most
 * `most` of them. Neither hidden names nor links are followed, nor folders of other people's code (node_modules and the like). Returns
 * how many, -1: `error` says why it can not be read. *cut: there are more, or some folder can not be read. */
struct buf;
long folder_list(const char *path, size_t most, struct buf *paths, bool *cut, char *error, size_t error_size);

/* The names, not paths, of the regular files in a folder (through links) that end in `suffix` and do not begin with a dot, each with a zero
 * byte at its end, in the order of their bytes. False: `error` says why it can not be read, or that there are more than `most`. */
bool folder_names(const char *path, const char *suffix, size_t most, struct buf *names, char *error, size_t error_size);

/* 1: a folder, 0: something else, -1: nothing is there. */
int path_is_folder(const char *path);

/* Nothing is there; false also when that can not be told. */
bool path_is_missing(const char *path);

/* Whether this process may read it now; and whether every user of this machine may: the file, and the way there. */
bool path_may_be_read(const char *path);
bool path_is_for_all(const char *path);

/* The log: standard error (path NULL or ""), and/or a file, opened to append. Opening again (reload) keeps the old one when the
 * new one can not be opened: false, `error`. A full disk never stops the process: lines that could not be written are counted and said later. */
bool logfile_open(const char *path, bool standard_error_too, char *error, size_t error_size);
void logfile_close(void);
void logfile_sink(
	enum log_level, const char *line); /* for log_set_sink: "2026-11-23 12:46:43.857 UTC [pid] LEVEL line" */

/* How file and standard error have it from now on. */
void logfile_format(enum log_format);

/* Each line to syslog as well: a datagram to `path`, which never waits; NULL: not any more. `facility`: its number (RFC 5424, 6.2.1). */
#define SYSLOG_PATH "/dev/log"
void logfile_syslog(const char *path, int facility, const char *ident);

/* False: a process that runs is named there (`error`). To be asked before there is a daemon, whose status nobody would see. */
bool pidfile_is_free(const char *path, char *error, size_t error_size);

/* A pid file that must not exist yet, or whose process is gone. False: `error`. Removed by pidfile_remove if it is still ours. */
bool pidfile_write(const char *path, char *error, size_t error_size);

/* The same, in the place of the file of a process that goes: it names us from one moment to the next, and is ours to remove. */
bool pidfile_take_over(const char *path, char *error, size_t error_size);
void pidfile_remove(void);

/* Descriptors: raise the soft limit to the hard one; returns the limit now in force. */
uint64_t descriptors_raise(void);

/* So many and no more, as far as the hard limit lets: for libraries that make tables of that size. Returns the limit now in force. */
uint64_t descriptors_allow(uint64_t most);

/* This process. */
uint32_t process_id(void);
uint32_t process_user(void);

/* What it takes of the machine. Costs some ten microseconds, and more with much that was freed in small pieces. */
struct usage;
void process_usage(struct usage *);

/* The name of a user of this machine. False: it has none, or it is longer than `size`. */
bool user_name(uint32_t user, char *out, size_t size);

/* What another process of this machine was started as: its command line, words parted by spaces. False: it is gone, or is not ours to
 * see. */
bool process_words(uint32_t process, char *out, size_t size);

/* Whether it has a file loaded whose path contains `part`, such as "/gevent/". False also where that is not ours to see. */
bool process_has_loaded(uint32_t process, const char *part);

/* The other end of a TCP connection that comes from this machine. */
struct process_peer {
	uint8_t ip[16]; /* loopback, or one of this machine's own; 4 bytes, or 16 when `six` */
	bool six;
	uint16_t port;
	uint16_t to_port; /* where it leads: the kernel gives one port to many connections that lead to different ones. 0: any */

	/* The answers. */
	uint32_t process; /* who has the socket open; 0: not to be seen */
	uint32_t user;    /* whose socket it is, even then; UINT32_MAX: unknown */
};

/* The processes at the other ends, in one walk through /proc: costs milliseconds, so not where anybody waits. Where none of the
 * connections of an end leads to `to_port`, as where the kernel redirects it, any of them is taken for it. */
void processes_of_peers(struct process_peer *, size_t count);

/* The inodes of the sockets that another process has open, sorted; the first `most` of them. Free it. NULL: none, or not ours to see. */
int64_t *process_sockets(uint32_t process, size_t most, size_t *count);

/* What another process of this machine is made of at this moment: its threads, and its TCP connections to the address to which `peer`
 * leads, which may be another process's. As costly as processes_of_peers. False: it is gone, or is not ours to see, or has no such
 * connection. */
struct process_look {
	uint32_t threads, connections;
};
bool process_look(uint32_t process, const struct process_peer *peer, struct process_look *);

/* The threads of another process; `ran` is another value than before if it has run since. Costs some ten microseconds for each. How many there are,
 * of which `capacity` are told; 0: it is gone. */
struct process_thread {
	uint32_t number;
	uint64_t ran;
	bool ready; /* it has a processor at this moment, or waits for one */
};
size_t process_threads(uint32_t process, struct process_thread *, size_t capacity);

/* Who started it; 0: it is gone. */
uint32_t process_parent(uint32_t process);

/* Whoever started us may have closed standard input, output or error: the next file or socket would get that number, and be read or written
 * as such. /dev/null stands in their place. And from now on the end of the program looks whether its output has arrived: if not, that is
 * said on standard error as from `program`, and the exit status is 1. For the start of a program. */
void process_standard(const char *program);

/* Leave root for this user (name or number). False: `error`. */
bool process_become(const char *user, char *error, size_t error_size);

/* Go to the background; only the daemon returns true. The process that was started goes on to wait for what it says, and ends with status 0
 * if it serves, else with status 1; then it says on standard error why, unless `quiet`. */
bool process_daemon(bool quiet, char *error, size_t error_size);
/* The daemon serves (NULL), or it can not, and why. Only the first call counts; nothing, for who is no daemon. */
void process_daemon_says(const char *trouble);

/* Become the program `name` that lies beside this one's own file, with these arguments. Returns only when that failed: `error`. */
void process_exec_beside(const char *name, char **arguments, char *error, size_t error_size);

/* Run it, and wait for its end: its exit status, and the last that it said on standard error. -1: it could not be run, or did not end by
 * itself. */
int process_run_beside(const char *name, char **arguments, char *said, size_t size);

#endif
