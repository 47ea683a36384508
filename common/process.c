/* Looked up when somebody asks, from a worker's thread: so nothing here may take long. */
#include "common/process.h"
#include "common/clock.h"
#include "common/metrics_page.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void append_build(void *ctx, const char *name, struct buf *out)
{
    const struct process *p = ctx;
    const struct metric_label labels[] = {{"program", slice_of(p->program)}, {"version", SLICE(TIDEGATE_VERSION)}};
    metrics_line(out, name, labels, ARRAY_LEN(labels), 1);
}

static void append_cpu(void *ctx, const char *name, struct buf *out)
{
    struct rusage used;
    if (getrusage(RUSAGE_SELF, &used) != 0)
        return;
    int64_t us = (int64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 + used.ru_utime.tv_usec +
                 used.ru_stime.tv_usec;
    metrics_line_in_parts(out, name, us, 1000000);
}

static void append_memory(void *ctx, const char *name, struct buf *out)
{
    FILE *file = fopen("/proc/self/statm", "re");
    uint64_t pages;
    if (file == NULL)
        return;
    if (fscanf(file, "%*u %" SCNu64, &pages) == 1)
        metrics_line(out, name, NULL, 0, (int64_t)(pages * (uint64_t)sysconf(_SC_PAGESIZE)));
    fclose(file);
}

/* Before Linux 6.2 the folder's size was 0, and its entries must be counted: 0.2 ms for 1,000 of them. */
static int64_t open_descriptors(void)
{
    struct stat folder;
    if (stat("/proc/self/fd", &folder) == 0 && folder.st_size > 0)
        return folder.st_size;
    DIR *dir = opendir("/proc/self/fd");
    int64_t count = -1; /* its own */
    if (dir == NULL)
        return -1;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void append_open_fds(void *ctx, const char *name, struct buf *out)
{
    int64_t count = open_descriptors();
    if (count >= 0)
        metrics_line(out, name, NULL, 0, count);
}

static void append_max_fds(void *ctx, const char *name, struct buf *out)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        metrics_line(out, name, NULL, 0, (int64_t)limit.rlim_cur);
}

static void append_start(void *ctx, const char *name, struct buf *out)
{
    const struct process *p = ctx;
    metrics_line_in_parts(out, name, (int64_t)p->started_ms, 1000);
}

void process_measure(struct process *p, struct metrics *m, const char *program)
{
    static const struct {
        const char *name;
        void (*append)(void *ctx, const char *name, struct buf *out);
    } sources[] = {
        {"tidegate_build_info", append_build},
        {"process_cpu_seconds_total", append_cpu},
        {"process_resident_memory_bytes", append_memory},
        {"process_open_fds", append_open_fds},
        {"process_max_fds", append_max_fds},
        {"process_start_time_seconds", append_start},
    };
    *p = (struct process){.program = program, .started_ms = clock_wall_ms()};
    for (size_t i = 0; i < ARRAY_LEN(sources); i++)
        metrics_source(m, sources[i].name, sources[i].append, p);
}
