/* One rule, apart from who asks the questions so that a table of cases can test it. */
#include "router/start.h"

int64_t start_offset(const struct lookup_row *row, bool topic_is_new, enum router_start start)
{
    if (row->committed >= 0)
        return row->committed;
    if (topic_is_new || row->is_another || row->topic_has_commits || start == START_EARLIEST)
        return row->low;
    return start == START_BACK ? row->at_time : row->high;
}
