/* Adding tallies up and printing them. Close codes, statuses and errors are plain arrays indexed by the number itself;
 * only entries that are not zero are shown. */
#include "loadtest/lib/tally.h"

#include <inttypes.h>
#include <string.h>

static void add_counts(uint32_t *to, const uint32_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += from[i];
}

void tally_merge(struct tally *t, const struct tally *from)
{
    t->connected += from->connected;
    t->welcomed += from->welcomed;
    t->failed += from->failed;
    t->lost += from->lost;
    t->messages += from->messages;
    t->notices += from->notices;
    t->bytes += from->bytes;
    t->cpu_us += from->cpu_us;
    hist_merge(&t->latency, &from->latency);
    hist_merge(&t->connect, &from->connect);
    add_counts(t->close_codes, from->close_codes, TALLY_CODES);
    add_counts(t->statuses, from->statuses, TALLY_STATUSES);
    add_counts(t->errors, from->errors, TALLY_ERRORS);
}

static double ms(const struct hist *h, double share)
{
    return (double)hist_quantile(h, share) / 1000;
}

void tally_print_progress(FILE *out, const struct tally *t, double at_s, double messages_per_s)
{
    fprintf(out,
            "t=%.1fs connected=%" PRIu64 " welcomed=%" PRIu64 " failed=%" PRIu64 " lost=%" PRIu64 " messages=%" PRIu64
            " bytes=%" PRIu64 " rate=%.0f/s p50=%.2fms p99=%.2fms\n",
            at_s, t->connected, t->welcomed, t->failed, t->lost, t->messages, t->bytes, messages_per_s,
            ms(&t->latency, 0.5), ms(&t->latency, 0.99));
    fflush(out);
}

static void json_hist(FILE *out, const char *name, const struct hist *h)
{
    fprintf(out, "\"%s\":{\"count\":%" PRIu64 ",\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f},",
            name, h->count, ms(h, 0.5), ms(h, 0.9), ms(h, 0.99), ms(h, 0.999), (double)h->max / 1000);
}

static const char *number_name(size_t n)
{
    static char text[24];
    snprintf(text, sizeof(text), "%zu", n);
    return text;
}

static const char *error_name(size_t n)
{
    const char *name = strerrorname_np((int)n);
    return name ? name : number_name(n);
}

/* {"1001":5,"4001":2} */
static void json_counts(FILE *out, const char *name, const uint32_t *counts, size_t n, const char *(*label)(size_t))
{
    const char *sep = "";
    fprintf(out, "\"%s\":{", name);
    for (size_t i = 0; i < n; i++) {
        if (counts[i] == 0)
            continue;
        fprintf(out, "%s\"%s\":%" PRIu32, sep, label(i), counts[i]);
        sep = ",";
    }
    fprintf(out, "},");
}

static double per_second(const struct tally *t, const struct tally_times *times)
{
    return times->run_s > 0 ? (double)t->messages / times->run_s : 0;
}

void tally_print_json(FILE *out, const struct tally *t, uint64_t sockets, const struct tally_times *times)
{
    fprintf(out,
            "{\"sockets\":%" PRIu64 ",\"connected\":%" PRIu64 ",\"welcomed\":%" PRIu64 ",\"failed\":%" PRIu64
            ",\"lost\":%" PRIu64 ",\"messages\":%" PRIu64 ",\"notices\":%" PRIu64 ",\"bytes\":%" PRIu64 ",",
            sockets, t->connected, t->welcomed, t->failed, t->lost, t->messages, t->notices, t->bytes);
    json_hist(out, "latency_ms", &t->latency);
    json_hist(out, "connect_ms", &t->connect);
    json_counts(out, "close_codes", t->close_codes, TALLY_CODES, number_name);
    json_counts(out, "http_statuses", t->statuses, TALLY_STATUSES, number_name);
    json_counts(out, "errors", t->errors, TALLY_ERRORS, error_name);
    fprintf(out, "\"connect_seconds\":%.3f,\"run_seconds\":%.3f,\"messages_per_second\":%.1f,\"cpu_seconds\":%.3f}\n",
            times->connect_s, times->run_s, per_second(t, times), (double)t->cpu_us / 1e6);
}

static void text_hist(FILE *out, const char *name, const struct hist *h)
{
    if (h->count == 0)
        return;
    fprintf(out, "%-14s p50 %.2f  p90 %.2f  p99 %.2f  p99.9 %.2f  max %.2f ms (%" PRIu64 " samples)\n", name,
            ms(h, 0.5), ms(h, 0.9), ms(h, 0.99), ms(h, 0.999), (double)h->max / 1000, h->count);
}

static void text_counts(FILE *out, const char *name, const uint32_t *counts, size_t n, const char *(*label)(size_t))
{
    for (size_t i = 0; i < n; i++)
        if (counts[i] != 0)
            fprintf(out, "%-14s %s: %" PRIu32 "\n", name, label(i), counts[i]);
}

void tally_print_text(FILE *out, const struct tally *t, uint64_t sockets, const struct tally_times *times)
{
    fprintf(out,
            "%-14s %" PRIu64 " of %" PRIu64 " in %.2f s, %" PRIu64 " welcomed, %" PRIu64 " failed, %" PRIu64 " lost\n",
            "connected", t->connected, sockets, times->connect_s, t->welcomed, t->failed, t->lost);
    fprintf(out, "%-14s %" PRIu64 " in %.2f s (%.0f/s), %" PRIu64 " bytes, %" PRIu64 " notices\n", "messages",
            t->messages, times->run_s, per_second(t, times), t->bytes, t->notices);
    text_hist(out, "latency", &t->latency);
    text_hist(out, "connecting", &t->connect);
    text_counts(out, "close code", t->close_codes, TALLY_CODES, number_name);
    text_counts(out, "http status", t->statuses, TALLY_STATUSES, number_name);
    text_counts(out, "error", t->errors, TALLY_ERRORS, error_name);
    fprintf(out, "%-14s %.2f s of the swarm itself\n", "cpu", (double)t->cpu_us / 1e6);
}
