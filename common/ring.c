/* A full ring is two pieces: from the head to the array's end, then from its start. */
#include "common/ring.h"

#include <stdlib.h>
#include <string.h>

void *ring_grow(void *array, size_t element_size, size_t *head, size_t *cap, size_t first)
{
    size_t before = *cap * element_size, start = *head * element_size;
    *cap = *cap > 0 ? 2 * *cap : first;
    assert((*cap & (*cap - 1)) == 0);
    char *grown = xmalloc(*cap * element_size);
    if (before > 0) {
        memcpy(grown, (char *)array + start, before - start);
        memcpy(grown + before - start, array, start);
    }
    free(array);
    *head = 0;
    return grown;
}
