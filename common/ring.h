/* Growing the arrays of rings: element i of a ring is at (head + i) & (cap - 1), cap a power of two. Whoever has one
 * keeps array, head, count and cap. */
#ifndef TIDEGATE_COMMON_RING_H
#define TIDEGATE_COMMON_RING_H

#include "common/base.h"

/* An array of twice *cap elements, or of `first` if there is none, a power of two; *takes* the old one, which is full,
 * and returns it owned, with *head 0. */
void *ring_grow(void *array, size_t element_size, size_t *head, size_t *cap, size_t first);

#endif
