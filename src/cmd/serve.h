#ifndef PGWEIR_CMD_SERVE_H
#define PGWEIR_CMD_SERVE_H

/* `pgweir serve FILE.ini` and `pgweir serve URL`: returns the process's exit status. */
int command_serve(int argc, char **argv);

/* What systemd tells those whom it starts, in the environment: sd_notify(3), sd_listen_fds(3). */
struct serve_setup;
void serve_from_supervisor(struct serve_setup *);

#endif
