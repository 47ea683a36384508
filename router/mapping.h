/* What a route makes of a JSON record before clients see it: constants first, then the record's fields with their
 * bytes unchanged (those listed, in the order of the list, or all but those dropped, in the record's order), some under
 * another name, and a timestamp last. */
#ifndef TIDEGATE_ROUTER_MAPPING_H
#define TIDEGATE_ROUTER_MAPPING_H

#include "router/field.h"

#define MAPPING_FIELDS_MAX 48
#define MAPPING_TIMES_MAX  4

struct mapping_field {
    struct slice name; /* in the record */
    struct slice as;   /* in the payload */
    struct slice key;  /* the same as JSON, with quotes */
    size_t member;     /* the place of name in the route's set; only with listed */
};

/* Slices are *borrowed* from the table of routes. */
struct mapping {
    struct buf constants; /* "name":value,… as they are written */
    bool listed;          /* fields are all that is kept; otherwise they are those that get another name */
    struct mapping_field fields[MAPPING_FIELDS_MAX];
    size_t field_count;
    struct slice dropped[MAPPING_FIELDS_MAX]; /* without listed: what is not copied */
    size_t dropped_count;
    /* The names that the payload gives by itself: constants, fields, timestamp. Not copied either. */
    struct slice own[2 * MAPPING_FIELDS_MAX + 1];
    size_t own_count;
    bool timestamp; /* write one, from the first of these that is there, else the record's time */
    struct field times[MAPPING_TIMES_MAX];
    size_t time_count;
};

void mapping_release(struct mapping *m);
/* The timestamp that the record itself has, as it stands, or absent. */
struct slice mapping_time(const struct mapping *m, const struct json_value *members);
/* Appends the payload, an object, with time, a JSON value, as its timestamp if there is to be one. members are cut from
 * object by the route's set. */
void mapping_write(const struct mapping *m, struct json_value object, const struct json_value *members,
                   struct slice time, struct buf *out);

#endif
