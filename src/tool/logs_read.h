#ifndef PGWEIR_TOOL_LOGS_READ_H
#define PGWEIR_TOOL_LOGS_READ_H

#include "tool/logs_count.h"

/* What is looked at of one line, and of one record of csvlog; the rest is passed over. */
#define LOGS_LINE_MAX (64 * 1024)

/* Read a log to its end, gzip or plain; "-" is standard input. False: `error` says where it broke off; what came before is counted. */
bool logs_read(struct logs_count *, const char *path, char *error, size_t error_size);

#endif
