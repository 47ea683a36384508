/* Embedded files by path, with the headers that keep a page to itself. */
#include "gateway/web.h"

extern const char demo_html[], demo_js[], demo_css[];
extern const size_t demo_html_size, demo_js_size, demo_css_size;

static const struct {
    const char *path, *type, *bytes;
    const size_t *size;
} files[] = {
    {"/demo/", "text/html; charset=utf-8", demo_html, &demo_html_size},
    {"/demo/demo.js", "text/javascript; charset=utf-8", demo_js, &demo_js_size},
    {"/demo/demo.css", "text/css; charset=utf-8", demo_css, &demo_css_size},
};

/* Nothing but our own files, and sockets to any gateway. */
#define POLICY                                                                                                         \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src ws: wss:; "                   \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

void web_on_demo(struct http_server *s, h2o_req_t *req)
{
    struct slice path = http_path(req);
    if (slice_eq(path, SLICE("/demo"))) {
        http_add_header(req, "location", SLICE("/demo/"));
        http_reply(req, 301, "text/plain", SLICE(""));
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        if (!slice_eq(path, slice_of(files[i].path)))
            continue;
        http_add_header(req, "content-security-policy", SLICE(POLICY));
        http_add_header(req, "x-content-type-options", SLICE("nosniff"));
        http_add_header(req, "referrer-policy", SLICE("no-referrer"));
        http_add_header(req, "cache-control", SLICE("no-cache"));
        http_reply(req, 200, files[i].type, slice_make(files[i].bytes, *files[i].size));
        return;
    }
    http_reply_error(req, 404, "not_found", "No such path");
}
