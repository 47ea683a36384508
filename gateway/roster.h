/* A worker's connections by state, each list in the order in which something falls due, and those that have something
 * to write. Only lists: who walks them is the worker. */
#ifndef TIDEGATE_GATEWAY_ROSTER_H
#define TIDEGATE_GATEWAY_ROSTER_H

#include "common/list.h"

struct roster {
    struct list joining;  /* due: the end of our patience with the backend */
    struct list resuming; /* due: the end of their patience with us */
    struct list beating;  /* open; due: the next heartbeat */
    struct list watched;  /* open, by watch_due: the next look whether the peer lives */
    struct list expiring; /* open, by watched too: their token ends before the next look */
    struct list closing;  /* due: the end of our patience with the peer */
    struct list dead;     /* to be freed after the turn */
    struct list dirty;    /* something waits to be written */
    size_t connections;   /* joining and open */
    size_t movable;       /* of these, those that come back to where they stood */
    size_t live;          /* all that are not freed */
};

/* A connection's place, embedded in it. */
struct roster_place {
    struct list dirty; /* first: beside what else a delivery touches (conn.h) */
    struct list by_due, watched;
    uint64_t due_ms, watch_due_ms;
};

void roster_init(struct roster *r);
void roster_place_init(struct roster_place *p);
/* Puts a place at the end of a list of the roster. Durations within a list are alike, so the list stays in order. */
void roster_move(struct list *to, struct roster_place *p, uint64_t due_ms);
void roster_watch(struct roster *r, struct roster_place *p, uint64_t due_ms);
void roster_expire_soon(struct roster *r, struct roster_place *p);
void roster_unwatch(struct roster_place *p);
void roster_mark_dirty(struct roster *r, struct roster_place *p);
/* The first of a list if it is due, else NULL. */
struct roster_place *roster_first_due(struct list *list, uint64_t now_ms);
struct roster_place *roster_first_to_watch(struct roster *r, uint64_t now_ms);
/* The first of the list of those to write, taken off it; NULL: none. */
struct roster_place *roster_take_dirty(struct roster *r);

#endif
