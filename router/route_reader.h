/* Private to the reading of route files: values out of a JSON text, each refusal naming line, column and path. */
#ifndef TIDEGATE_ROUTER_ROUTE_READER_H
#define TIDEGATE_ROUTER_ROUTE_READER_H

#include "router/route.h"

struct route_reader {
    const struct route_source *source;
    struct route_table *table;
    struct route *row; /* being read */
    struct slice text; /* the table's copy of the file */
    struct buf path;   /* of the value being read: routes[2].targets[0] */
    char **why;
};

typedef int (*route_read)(struct route_reader *rd, struct json_value v);

/* One member that an object may have. */
struct route_member {
    struct slice name; /* NUL-terminated */
    route_read read;
    bool required;
};

/* All of these return 0, or -1 once the reason is in *rd->why. */

/* Notes the reason; at points into rd->text. Always -1. */
int reader_refuse(struct route_reader *rd, const char *at, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Reads the members of an object in the table's order; others, and any that come twice, are refused. */
int reader_object(struct route_reader *rd, struct json_value v, const struct route_member *members, size_t count);
/* Checks that it is an array of that many elements. */
int reader_array(struct route_reader *rd, struct json_value v, size_t least, size_t most);
int reader_elements(struct route_reader *rd, struct json_value array, route_read read);
size_t reader_count(struct json_value container);
/* The text of a string, in the table's memory. Each string of a file is taken at most once: the room for names is as
 * large as the file, and slices of it must stay. */
int reader_text(struct route_reader *rd, struct json_value v, struct slice *out);
int reader_bool(struct route_reader *rd, struct json_value v, bool *out);
/* Names of fields go to the row's set. */
int reader_template(struct route_reader *rd, struct json_value v, struct field_template *out);
int reader_field(struct route_reader *rd, struct json_value v, struct field *out);

/* mapping_file.c: the member "mapping" of a row. */
int mapping_read(struct route_reader *rd, struct json_value v);

#endif
