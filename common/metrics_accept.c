/* An Accept header, read for the two types that we have. */
#include "common/metrics_page.h"

#define FULL 1000 /* quality is counted in thousandths */

/* How exactly a range names a type. */
enum fit { FIT_NONE, FIT_ANYTHING, FIT_KIND, FIT_TYPE };

struct opinion {
    enum fit fit;
    unsigned quality;
};

/* RFC 9110 section 12.4.2: 0 to 1 with at most three decimals. What is none makes its range void. */
static unsigned parse_quality(struct slice text)
{
    unsigned quality = 0, unit = FULL;
    for (size_t i = 0; i < text.n && i < 5; i++) {
        if (i == 1 && text.p[i] == '.')
            continue;
        if (text.p[i] < '0' || text.p[i] > '9' || i == 1)
            return 0;
        quality += unit * (unsigned)(text.p[i] - '0');
        unit /= 10;
    }
    return text.n > 5 || quality > FULL ? 0 : quality;
}

static struct slice unquoted(struct slice text)
{
    bool quoted = text.n >= 2 && text.p[0] == '"' && text.p[text.n - 1] == '"';
    return quoted ? slice_make(text.p + 1, text.n - 2) : text;
}

/* Parameters other than these two are another dimension, which we do not serve in kinds. */
static void read_parameters(struct slice rest, unsigned *quality, struct slice *version)
{
    *quality = FULL;
    *version = (struct slice){0};
    while (rest.p != NULL) {
        struct slice value = slice_cut(&rest, ';');
        struct slice name = slice_trim(slice_cut(&value, '='));
        if (slice_eq_nocase(name, SLICE("q")))
            *quality = parse_quality(slice_trim(value));
        else if (slice_eq_nocase(name, SLICE("version")))
            *version = unquoted(slice_trim(value));
    }
}

/* The most exact range of a type counts, and of several such the most favourable. */
static void consider(struct opinion *o, enum fit fit, unsigned quality)
{
    if (fit == FIT_NONE || fit < o->fit)
        return;
    o->quality = fit > o->fit ? quality : MAX(o->quality, quality);
    o->fit = fit;
}

static enum fit fit_text(struct slice type, struct slice version)
{
    if (slice_eq(type, SLICE("*/*")))
        return FIT_ANYTHING;
    if (slice_eq_nocase(type, SLICE("text/*")))
        return FIT_KIND;
    bool ours = version.p == NULL || slice_eq(version, SLICE("0.0.4"));
    return slice_eq_nocase(type, SLICE("text/plain")) && ours ? FIT_TYPE : FIT_NONE;
}

/* Whoever takes anything is not thought to know this one. */
static enum fit fit_openmetrics(struct slice type, struct slice version)
{
    bool ours = version.p == NULL || slice_eq(version, SLICE("1.0.0"));
    return slice_eq_nocase(type, SLICE("application/openmetrics-text")) && ours ? FIT_TYPE : FIT_NONE;
}

enum metrics_format metrics_format_for(struct slice accept)
{
    struct opinion text = {FIT_NONE, 0}, openmetrics = {FIT_NONE, 0};
    while (accept.p != NULL) {
        struct slice range = slice_cut(&accept, ','), version;
        struct slice type = slice_trim(slice_cut(&range, ';'));
        unsigned quality;
        read_parameters(range, &quality, &version);
        consider(&text, fit_text(type, version), quality);
        consider(&openmetrics, fit_openmetrics(type, version), quality);
    }
    return openmetrics.quality > 0 && openmetrics.quality >= text.quality ? METRICS_OPENMETRICS : METRICS_TEXT;
}
