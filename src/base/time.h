#ifndef PGWEIR_BASE_TIME_H
#define PGWEIR_BASE_TIME_H

#include <stdint.h>

/* Microseconds. Points in time count from an arbitrary start and only go forward;
 * nobody but io/ asks the kernel for them. Zero is "never" where a deadline is meant. */
typedef int64_t time_us;

#define MILLISECOND_US ((time_us)1000)
#define SECOND_US      ((time_us)1000000)

/* Of two deadlines. */
static inline time_us time_sooner(time_us a, time_us b)
{
	return b && (!a || b < a) ? b : a;
}

#endif
