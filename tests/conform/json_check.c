/* Says what the JSON reader makes of texts: reads records from standard input, each a decimal length, a newline and as
 * many bytes, and prints a line for each, "accept" or "reject <offset> <reason>". */
#include "common/json.h"

#include <stdio.h>
#include <stdlib.h>

static void check(struct slice text)
{
    struct json_value v;
    struct json_error err;
    if (json_parse(text, JSON_DEPTH, &v, &err) == 0)
        puts("accept");
    else
        printf("reject %zu %s\n", err.offset, json_reason_text(err.reason));
}

int main(void)
{
    char line[24];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        size_t n = strtoul(line, NULL, 10);
        char *text = xmalloc(n);
        if (fread(text, 1, n, stdin) != n) {
            fputs("the last record is cut short\n", stderr);
            return 1;
        }
        check(slice_make(text, n));
        free(text);
    }
    return 0;
}
