#ifndef PGWEIR_AUTH_SASLPREP_H
#define PGWEIR_AUTH_SASLPREP_H

#include "base/buf.h"

/* Append the password as SCRAM hashes it: prepared by SASLprep (RFC 4013), or as it stands where PostgreSQL takes it as it
 * stands: pure ASCII, not UTF-8, or with letters that SASLprep prohibits. False: memory refused. Private to auth/. */
bool saslprep(struct buf *out, struct span password);

#endif
