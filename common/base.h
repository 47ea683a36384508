/* What every file may use: allocation that cannot fail, impossible cases, small arithmetic. */
#ifndef TIDEGATE_COMMON_BASE_H
#define TIDEGATE_COMMON_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define MIN(a, b)                       ((a) < (b) ? (a) : (b))
#define MAX(a, b)                       ((a) > (b) ? (a) : (b))
#define PRINTF_LIKE(fmt, args)          __attribute__((format(printf, fmt, args)))

/* Heap memory, never NULL: out of memory ends the process with a message. Release with free(). */
void *xmalloc(size_t n);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);
/* Returns owned: a NUL-terminated string made by printf rules. */
char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* A state that our own code has made impossible: prints where, then aborts. Never for what a peer can cause. */
#define BUG(...) base_bug(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void base_bug(const char *file, int line, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
