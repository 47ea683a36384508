/* The union of the task events: what happened is looked up in one table, in either direction. */
#include "router/task.h"

const struct slice task_names[TASK_MEMBER_COUNT] = {
    [TASK_EVENT_TYPE] = {"event_type", 10},  [TASK_OPERATION] = {"operation", 9}, [TASK_ID] = {"task_id", 7},
    [TASK_SNAPSHOT] = {"task_snapshot", 13}, [TASK_TASK] = {"task", 4},           [TASK_TIMESTAMP] = {"timestamp", 9},
};

/* An operation stands for the first event that has it. */
static const struct happening {
    struct slice event, operation;
} happenings[] = {
    {{"task.created", 12}, {"create", 6}},
    {{"task.updated", 12}, {"update", 6}},
    {{"task.deleted", 12}, {"delete", 6}},
    {{"task.completed", 14}, {"update", 6}},
};
#define HAPPENING_DELETED (&happenings[2])

static bool is_present(struct json_value v)
{
    return v.kind != JSON_ABSENT && v.kind != JSON_NULL;
}

static bool says(struct json_value v, struct slice text)
{
    return v.kind == JSON_STRING && json_string_is(v.raw, text);
}

static const struct happening *by_event(struct json_value event_type)
{
    for (size_t i = 0; i < ARRAY_LEN(happenings); i++)
        if (says(event_type, happenings[i].event))
            return &happenings[i];
    return NULL;
}

static const struct happening *by_operation(struct json_value operation)
{
    for (size_t i = 0; i < ARRAY_LEN(happenings); i++)
        if (says(operation, happenings[i].operation))
            return &happenings[i];
    return NULL;
}

static enum decode_outcome find_happening(const struct json_value *members, const struct happening **out,
                                          struct slice *culprit)
{
    struct json_value type = members[TASK_EVENT_TYPE], operation = members[TASK_OPERATION];
    bool by_type = is_present(type) && !says(type, SLICE("task.sync"));
    *culprit = task_names[by_type ? TASK_EVENT_TYPE : TASK_OPERATION];
    *out = by_type ? by_event(type) : by_operation(operation);
    if (*out == NULL && by_type)
        return DECODE_UNKNOWN_EVENT_TYPE;
    if (*out == NULL)
        return is_present(operation) ? DECODE_UNKNOWN_OPERATION : DECODE_MISSING_FIELD;
    *culprit = task_names[TASK_OPERATION];
    if (is_present(operation) && !says(operation, (*out)->operation))
        return DECODE_UNKNOWN_OPERATION;
    return DECODE_EVENT;
}

/* An id is what clients compare with "===": a string or a number, as it stands. */
static enum decode_outcome find_id(const struct json_value *members, struct json_value task, struct slice *id,
                                   struct slice *culprit)
{
    struct json_value v = is_present(members[TASK_ID]) ? members[TASK_ID] : json_get(task, SLICE("id"));
    *culprit = task_names[TASK_ID];
    *id = v.raw;
    if (!is_present(v))
        return DECODE_MISSING_FIELD;
    return v.kind == JSON_STRING || v.kind == JSON_NUMBER ? DECODE_EVENT : DECODE_BAD_FIELD;
}

static enum decode_outcome check_task(struct json_value task, const struct happening *what, struct slice *culprit)
{
    *culprit = task_names[TASK_TASK];
    if (!is_present(task))
        return what == HAPPENING_DELETED ? DECODE_EVENT : DECODE_MISSING_FIELD;
    return task.kind == JSON_OBJECT ? DECODE_EVENT : DECODE_BAD_FIELD;
}

static void write_payload(const struct happening *what, struct slice id, struct json_value task, struct slice time,
                          struct buf *out)
{
    buf_lit(out, "{\"operation\":\"");
    buf_append(out, what->operation);
    buf_lit(out, "\",\"task_id\":");
    buf_append(out, id);
    buf_lit(out, ",\"event\":\"");
    buf_append(out, what->event);
    buf_lit(out, "\",\"task\":");
    if (is_present(task)) {
        buf_append(out, task.raw);
    } else {
        buf_lit(out, "{\"id\":");
        buf_append(out, id);
        buf_byte(out, '}');
    }
    buf_lit(out, ",\"timestamp\":");
    buf_append(out, time);
    buf_byte(out, '}');
}

struct slice task_time(const struct json_value members[TASK_MEMBER_COUNT])
{
    return is_present(members[TASK_TIMESTAMP]) ? members[TASK_TIMESTAMP].raw : (struct slice){NULL, 0};
}

enum decode_outcome task_write(const struct json_value members[TASK_MEMBER_COUNT], struct slice time, struct buf *out,
                               struct slice *culprit)
{
    struct json_value task = is_present(members[TASK_SNAPSHOT]) ? members[TASK_SNAPSHOT] : members[TASK_TASK];
    const struct happening *what;
    struct slice id;
    enum decode_outcome outcome = find_happening(members, &what, culprit);
    if (outcome == DECODE_EVENT)
        outcome = check_task(task, what, culprit);
    if (outcome == DECODE_EVENT)
        outcome = find_id(members, task, &id, culprit);
    if (outcome != DECODE_EVENT)
        return outcome;
    write_payload(what, id, task, time, out);
    return DECODE_EVENT;
}
