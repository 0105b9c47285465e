#ifndef PGWEIR_BASE_ARRAY_H
#define PGWEIR_BASE_ARRAY_H

#include <stddef.h>
#include <stdint.h>

/* An array whose index is a number that somebody else gives out, and that grows to the largest one seen.
 *
 * `index` has a place in what is returned: `array` itself, or a larger one in its stead, whose new elements of `size` bytes are zero; *capacity is in
 * elements, 0 with NULL. Returns NULL when memory is refused; then all is as it was. */
void *array_reach(void *array, uint32_t *capacity, uint32_t index, size_t size);

#endif
