#ifndef PGWEIR_TOOL_DOCTOR_FILE_H
#define PGWEIR_TOOL_DOCTOR_FILE_H

#include "tool/doctor_facts.h"

#define DOCTOR_FILE_MOST ((size_t)8 << 20)

/* Read a pooler's file, its auth_file and the limits of the process that its pidfile names. `source` has file, text, manner and whatever
 * overrides there are; included files are read here. False: the file is wrong, and `error` says where. */
bool pooler_file_read(struct pooler_file *, const struct config_source *source, char *error, size_t error_size);

#endif
