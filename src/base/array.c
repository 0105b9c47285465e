#include "base/array.h"

#include <stdlib.h>
#include <string.h>

#define SMALLEST 16

void *array_reach(void *array, uint32_t *capacity, uint32_t index, size_t size)
{
	size_t reached = *capacity ? *capacity : SMALLEST;
	uint8_t *grown;

	if (index < *capacity)
		return array;
	while (reached <= index)
		reached *= 2;
	if (reached > UINT32_MAX || reached > SIZE_MAX / size)
		return NULL;
	grown = realloc(array, reached * size);
	if (!grown)
		return NULL;
	memset(grown + *capacity * size, 0, (reached - *capacity) * size);
	*capacity = (uint32_t)reached;
	return grown;
}
