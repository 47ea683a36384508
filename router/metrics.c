/* The table of router/metrics.def. Labels of enums that others own take the others' words, once, at the start. */
#include "router/metrics.h"
#include "common/metrics_table.h"

const char *router_outcome_words[DECODE_OUTCOME_COUNT];
const char *router_error_words[REDIS_FN_REFUSED + 1];

const struct metrics_table router_metrics_table = {METRICS_ROWS};

void router_metrics_name(void)
{
    for (int i = 0; i < DECODE_OUTCOME_COUNT; i++)
        router_outcome_words[i] = decode_outcome_word((enum decode_outcome)i);
    for (int i = 0; i <= REDIS_FN_REFUSED; i++)
        router_error_words[i] = redis_fn_result_word((enum redis_fn_result)i);
}
