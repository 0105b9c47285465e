#ifndef PGWEIR_CMD_SERVE_H
#define PGWEIR_CMD_SERVE_H

/* `pgweir serve FILE.ini` and `pgweir serve URL`: returns the process's exit status. */
int command_serve(int argc, char **argv);

#endif
