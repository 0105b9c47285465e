#ifndef PGWEIR_SERVE_SERVE_H
#define PGWEIR_SERVE_SERVE_H

#include "config/config.h"

/* The whole server, from reading the configuration to the last goodbye. */
struct serve_setup {
	const char *file; /* NULL: overrides alone */
	const struct config_override *overrides;
	size_t override_count;
	const char *users; /* the text of an auth_file, where the configuration names none; NULL: there is none */
	enum manner manner;
	int verbose;               /* how often -v was given */
	bool quiet;                /* -q: nothing on standard error once a log file is open */
	bool daemon;               /* -d */
	bool trial;                /* --try: read all that the start reads, and end */
	bool reboot;               /* -R: take the place of the process that runs with this configuration */
	const char *user;          /* -u; NULL: the setting */
	const char *notify_socket; /* where whoever started us wants to hear how we are; NULL: nowhere */
	unsigned sockets;          /* so many listening sockets were handed over, from SUPERVISOR_SOCKETS on */
};

/* Returns the process's exit status. Problems before the log is open go to standard error. */
int serve(const struct serve_setup *);

#endif
