/* A client in order: token, handshake, then frames until one settles it. The server's pings are answered, since what is
 * expected may take its time. */
#include "gateway/probe_ws.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/wire.h"
#include "gateway/auth.h"

#include <stdio.h>
#include <stdlib.h>

#define REQUEST_MAX  8192
#define MESSAGE_MAX  (16u << 20)
#define TOKEN_LIFE_S 3600
#define WELCOME      SLICE("connected")
#define NORMAL_CLOSE "\x03\xe8" /* 1000 */

/* ---- the handshake ---- */

/* Appends a token for the user; nothing when no user is named. */
static int sign(const struct probe_ws *w, struct buf *token, char **why)
{
    struct auth a;
    if (w->user == NULL)
        return 0;
    if (w->cfg->jwt_secret == NULL || auth_init(&a, w->cfg) != 0) {
        *why = xstrdup("--probe-user needs JWT_SECRET_KEY to make a token");
        return -1;
    }
    int rc = jwt_sign(&a.policy, slice_of(w->user), clock_wall_ms() / 1000, TOKEN_LIFE_S, token);
    auth_release(&a);
    if (rc != 0)
        *why = xasprintf("no token can be made for %s", w->user);
    return rc;
}

/* Leaves what came behind the head in d->in. */
static int shake_hands(const struct probe *p, struct dial *d, struct slice token, char **why)
{
    char request[REQUEST_MAX];
    unsigned status;
    size_t n = wire_request(slice_of(p->authority), slice_of(p->path), token, request, sizeof(request));
    if (n == 0) {
        *why = xstrdup("the URL is too long");
        return -1;
    }
    size_t head = dial_send(d, slice_make(request, n), why) == 0 ? probe_read_head(d, &status, why) : 0;
    if (head == 0)
        return -1;
    if (status != 101) {
        probe_refused(d, head, status, why);
        return -1;
    }
    buf_consume(&d->in, head);
    return 0;
}

/* ---- messages ---- */

struct talk {
    const struct probe *p;
    struct dial *d;
    bool welcome, met; /* by which the probe is settled */
};

static int control(struct talk *t, unsigned char opcode, struct slice payload, char **why)
{
    unsigned char out[WIRE_CONTROL_FRAME_MAX];
    return dial_send(t->d, slice_make(out, wire_control(opcode, payload, out)), why);
}

static bool is_welcome(struct slice text)
{
    struct json_value root;
    struct json_error err;
    struct json_value type = {0};
    if (json_parse(text, JSON_DEPTH, &root, &err) == 0)
        type = json_get(root, SLICE("type"));
    return type.kind == JSON_STRING && json_string_is(type.raw, WELCOME);
}

/* 1 when this settled it. */
static int on_text(struct talk *t, struct slice text)
{
    struct slice expect = slice_of(t->p->expect);
    t->welcome = t->welcome || is_welcome(text);
    t->met = t->met || expect.n == 0 || memmem(text.p, text.n, expect.p, expect.n) != NULL;
    if (!t->welcome || !t->met)
        return 0;
    printf("%.*s\n", SLICE_ARG(text));
    return 1;
}

/* 1 when it is settled, 0 to go on, -1 with *why. */
static int on_frame(struct talk *t, const struct wire_frame *f, struct slice payload, char **why)
{
    switch (f->opcode) {
    case WIRE_TEXT:
        if (f->fin)
            return payload.n > 0 ? on_text(t, payload) : 0;
        break;
    case WIRE_PING:
        return control(t, WIRE_PONG, payload, why);
    case WIRE_PONG:
        return 0;
    case WIRE_CLOSE:
        *why = xasprintf("closed with %u %.*s", wire_close_code(payload),
                         SLICE_ARG(payload.n > 2 ? slice_from(payload, 2) : SLICE("")));
        return -1;
    default:
        break;
    }
    *why = xasprintf("a frame that is no whole text (opcode %u)", f->opcode);
    return -1;
}

/* Waits until d->in begins with a whole frame. 0, or -1 with *why. */
static int await_frame(struct talk *t, struct wire_frame *f, char **why)
{
    for (;;) {
        enum wire_result r = t->d->in.n > 0 ? wire_frame_head(buf_slice(&t->d->in), f) : WIRE_MORE;
        if (r == WIRE_BAD || (r == WIRE_OK && f->length > MESSAGE_MAX)) {
            *why = xstrdup("what came is no frame of a WebSocket, or a huge one");
            return -1;
        }
        if (r == WIRE_OK && t->d->in.n - f->head >= f->length)
            return 0;
        int more = dial_more(t->d, why);
        if (more > 0)
            continue;
        if (more == 0)
            *why = xstrdup("the connection ended without a close");
        return -1;
    }
}

static int listen_to(struct talk *t, char **why)
{
    struct wire_frame f;
    int rc = 0;
    while (rc == 0) {
        if (await_frame(t, &f, why) != 0)
            return -1;
        rc = on_frame(t, &f, slice_make(t->d->in.p + f.head, f.length), why);
        buf_consume(&t->d->in, f.head + f.length);
    }
    return rc;
}

/* A time that ran out says what was still awaited. */
static void say_what_lacks(const struct talk *t, char **why)
{
    char *longer = !t->welcome ? xasprintf("no welcome: %s", *why) : xasprintf("no %s: %s", t->p->expect, *why);
    free(*why);
    *why = longer;
}

int probe_ws(const struct probe *p, struct dial *d, void *arg, char **why)
{
    struct talk t = {.p = p, .d = d};
    struct buf token = {0};
    char *ignored = NULL;
    int rc = sign(arg, &token, why);
    if (rc == 0)
        rc = shake_hands(p, d, buf_slice(&token), why);
    buf_release(&token);
    if (rc != 0)
        return -1;
    if (listen_to(&t, why) < 0) {
        say_what_lacks(&t, why);
        return -1;
    }
    control(&t, WIRE_CLOSE, SLICE(NORMAL_CLOSE), &ignored);
    free(ignored);
    return 0;
}
