#ifndef PGWEIR_WIRE_SHAPE_H
#define PGWEIR_WIRE_SHAPE_H

#include "base/span.h"

/* What a Describe of a statement says, as two numbers: whether two servers say the same of one. Of the columns it counts what PostgreSQL counts
 * when it says "cached plan must not change result type": names and types, in their order, and not which table they are of, so that one that
 * was made anew is the same. */
struct shape {
	uint32_t parameters, columns; /* 0: not known */
};
#define SHAPE_NONE 1u /* it has no parameters; it returns no rows */

/* A ParameterDescription ('t'), RowDescription ('T') or NoData ('n'), in whatever portions it comes. */
struct shape_reader {
	uint32_t mixed, length;
	uint8_t type;
	uint8_t at; /* bytes of the column at hand that were read behind its name, and one; 0: its name is not over */
};

void shape_begin(struct shape_reader *, char type);
void shape_read(struct shape_reader *, struct span body);
uint32_t shape_end(const struct shape_reader *); /* never 0 */

#endif
