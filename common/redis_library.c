/* Version, then perhaps a load, which somebody else may have done a moment before. Each step is one command. */
#include "common/redis_library.h"
#include "common/log.h"

#define RETRY_MS 500

static void ask_version(struct redis_library *lib);

static void ask(struct redis_library *lib, redis_reply_cb cb)
{
    (void)redis_commands_send(lib->rc, lib->scratch.argv, lib->scratch.argc, cb, lib); /* -1: the link's end follows */
}

static void retry_later(struct redis_library *lib, const redisReply *reply)
{
    if (!lib->failing)
        log_error("redis_library_failed", LOG_S("address", lib->rc->link.label),
                  LOG_S("reply", reply->type == REDIS_REPLY_ERROR ? reply->str : "odd reply"));
    lib->failing = true;
    timer_start(lib->loop, &lib->retry, RETRY_MS);
}

static void on_retry(struct timer *t)
{
    ask_version(CONTAINER_OF(t, struct redis_library, retry));
}

static void be_ready(struct redis_library *lib)
{
    lib->asking = lib->failing = false;
    if (lib->on_ready != NULL)
        lib->on_ready(lib);
}

static void on_loaded(void *arg, const redisReply *reply);

static void take_step(struct redis_library *lib, enum redis_fn_step step, const redisReply *reply)
{
    switch (step) {
    case REDIS_FN_READY:
        be_ready(lib);
        break;
    case REDIS_FN_LOAD:
    case REDIS_FN_LOAD_REPLACE:
        log_info("redis_library_load", LOG_S("address", lib->rc->link.label),
                 LOG_I("version", redis_fn_source_version()));
        redis_fn_load(&lib->scratch, step == REDIS_FN_LOAD_REPLACE);
        ask(lib, on_loaded);
        break;
    case REDIS_FN_ASK:
        ask_version(lib);
        break;
    case REDIS_FN_FAILED:
        retry_later(lib, reply);
        break;
    }
}

static void on_loaded(void *arg, const redisReply *reply)
{
    struct redis_library *lib = arg;
    if (reply != NULL && lib->asking)
        take_step(lib, redis_fn_after_load(reply), reply);
}

static void on_version(void *arg, const redisReply *reply)
{
    struct redis_library *lib = arg;
    if (reply != NULL && lib->asking)
        take_step(lib, redis_fn_after_version(reply), reply);
}

static void ask_version(struct redis_library *lib)
{
    redis_fn_version(&lib->scratch);
    ask(lib, on_version);
}

void redis_library_init(struct redis_library *lib, struct loop *l, struct redis_commands *rc, void *owner,
                        void (*on_ready)(struct redis_library *))
{
    *lib = (struct redis_library){.loop = l, .rc = rc, .owner = owner, .on_ready = on_ready};
    timer_init(&lib->retry, on_retry);
}

void redis_library_release(struct redis_library *lib)
{
    redis_library_stop(lib);
    redis_fn_call_release(&lib->scratch);
}

void redis_library_ensure(struct redis_library *lib)
{
    if (lib->asking)
        return;
    lib->asking = true;
    ask_version(lib);
}

void redis_library_stop(struct redis_library *lib)
{
    lib->asking = false;
    timer_stop(&lib->retry);
}
