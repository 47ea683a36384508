/* Task events: three services describe the same thing in two ways, and their clients read two kinds of message. One
 * payload serves them all:
 *
 *   {"operation":…,"task_id":…,"event":…,"task":…,"timestamp":…}
 *
 * in: "event_type":"task.sync" with "operation" (create, update, delete), "task_id", "task_snapshot"
 * in: "event_type":"task.created" (updated, completed, deleted) with "task"
 * The task, its id and the time are the record's own bytes. */
#ifndef TIDEGATE_ROUTER_TASK_H
#define TIDEGATE_ROUTER_TASK_H

#include "common/json.h"
#include "router/outcome.h"

/* The members that are looked at; their names stand in task_names in this order. */
enum task_member {
    TASK_EVENT_TYPE,
    TASK_OPERATION,
    TASK_ID,
    TASK_SNAPSHOT,
    TASK_TASK,
    TASK_TIMESTAMP,
    TASK_MEMBER_COUNT
};
extern const struct slice task_names[TASK_MEMBER_COUNT];

/* The record's own time as it stands, or absent. */
struct slice task_time(const struct json_value members[TASK_MEMBER_COUNT]);
/* Appends the payload, with time, a JSON value, as its timestamp. DECODE_EVENT, or a refusal with *culprit the member's
 * name and nothing appended. */
enum decode_outcome task_write(const struct json_value members[TASK_MEMBER_COUNT], struct slice time, struct buf *out,
                               struct slice *culprit);

#endif
