/* Sees to it that a node has our function library (redis_fn.h), as new as ours at least: asks for its version on a link
 * for commands, and loads it where it is missing or older. What fails is tried again a little later. */
#ifndef TIDEGATE_COMMON_REDIS_LIBRARY_H
#define TIDEGATE_COMMON_REDIS_LIBRARY_H

#include "common/redis_commands.h"
#include "common/redis_fn.h"

struct redis_library {
    struct loop *loop;
    struct redis_commands *rc;
    void *owner;
    void (*on_ready)(struct redis_library *lib);
    bool asking;  /* until it is ready, or the link is down */
    bool failing; /* which was logged */
    struct timer retry;
    struct redis_fn_call scratch;
};

/* *Borrows* rc for the library's life. on_ready may be NULL. */
void redis_library_init(struct redis_library *lib, struct loop *l, struct redis_commands *rc, void *owner,
                        void (*on_ready)(struct redis_library *));
void redis_library_release(struct redis_library *lib);
/* The link has come up, or a call was answered REDIS_FN_MISSING. on_ready follows, once, unless the link breaks. */
void redis_library_ensure(struct redis_library *lib);
/* The link is down. */
void redis_library_stop(struct redis_library *lib);
/* Calls will be answered, as far as is known. */
static inline bool redis_library_is_usable(const struct redis_library *lib)
{
    return redis_commands_is_up(lib->rc) && !lib->asking;
}

#endif
