#ifndef PGWEIR_IO_LOGLINE_H
#define PGWEIR_IO_LOGLINE_H

#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

/* One line of the log as text, in each of its forms (log_format). */

enum log_format {
	LOG_FORMAT_PGBOUNCER, /* "2026-11-23 12:46:43.857 UTC [4711] LOG words" */
	LOG_FORMAT_LOGFMT,    /* time="2026-11-23 12:46:43.857 UTC" level=LOG pid=4711 msg="words" */
	LOG_FORMAT_JSON /* {"timestamp":...,"pid":4711,"error_severity":"LOG","message":"words"}, as PostgreSQL's jsonlog calls them */
};

/* Without a line's end; words that do not fit are cut so that the form stays whole. Returns the length. */
size_t logline_write(
	char *out, size_t size, enum log_format, enum log_level, const char *when, uint32_t process, const char *words);

#endif
