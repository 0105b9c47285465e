#ifndef PGWEIR_SESSION_WEB_H
#define PGWEIR_SESSION_WEB_H

#include "base/span.h"

/* What a browser, or somebody who pretends to be one, says in headers and forms. All of it is a stranger's: each reader is bounded, and
 * what is not as it should be is no value. */

/* Host names this machine by a name that no name server can give away: localhost, an address of 127.0.0.0/8 or ::1, with or without a
 * port. A page from elsewhere whose name was made to lead here (DNS rebinding) has another. */
bool web_host_is_local(struct span host);

/* Origin (RFC 6454) is the very place that was asked: its scheme and Host. */
bool web_origin_is(struct span origin, struct span host, bool secure);

/* The value of a cookie (RFC 6265, section 4.2.1), borrowed. False: there is none. */
bool web_cookie(struct span header, const char *name, struct span *value);

/* A field of application/x-www-form-urlencoded, decoded and terminated. False: it is not there, is broken, has a zero byte, or is longer
 * than `size` allows. */
bool web_field(struct span form, const char *name, char *out, size_t size);

/* Whether Accept prefers OpenMetrics to the plain text format of Prometheus (RFC 9110, section 12.5.1). */
bool web_wants_openmetrics(struct span accept);

/* "type/subtype; parameters" is of this type. */
bool web_type_is(struct span header, const char *type);

#endif
