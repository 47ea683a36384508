/* Exact comparison, but for the case of scheme and host, which browsers send in lower case anyway. */
#include "gateway/origin.h"
#include "common/config.h"

bool origin_allowed(const char *list, struct slice origin)
{
    if (origin.p == NULL)
        return true;
    struct slice rest = slice_of(list), item;
    while (config_list_next(&rest, &item))
        if (slice_eq(item, SLICE("*")) || slice_eq_nocase(item, origin))
            return true;
    return false;
}
