#ifndef PGWEIR_AUTH_BASIC_H
#define PGWEIR_AUTH_BASIC_H

#include "base/span.h"

/* A name and a password as HTTP's Basic scheme has them (RFC 7617). */
struct basic {
	char user[128], password[1024];
};

/* From the value of an Authorization header. False: it is none, is broken or too long, or has a zero byte inside. */
bool basic_read(struct basic *, struct span header);
void basic_wipe(struct basic *);

#endif
