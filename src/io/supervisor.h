#ifndef PGWEIR_IO_SUPERVISOR_H
#define PGWEIR_IO_SUPERVISOR_H

/* Who started us, and wants to know how we are: systemd or whoever speaks as it does (sd_notify(3), "Standalone Implementations"). */

/* Where it listens: a path, or "@abstract"; what NOTIFY_SOCKET says. NULL, and what can not be reached: nothing is said from now on. */
void supervisor_open(const char *path);

/* Lines of KEY=value. Never waits; what is not taken is not said. */
void supervisor_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void supervisor_close(void);

/* The first of the sockets that it hands over; the others follow (sd_listen_fds(3)). */
#define SUPERVISOR_SOCKETS 3

#endif
