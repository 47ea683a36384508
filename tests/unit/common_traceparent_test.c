/* What is a traceparent, what is none, and what is malformed. */
#include "common/traceparent.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define TRACE  "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static void sound_ones_name_their_trace(void **state)
{
    const char *sound[] = {"00-" TRACE "-" PARENT "-01", "00-" TRACE "-" PARENT "-00", "01-" TRACE "-" PARENT "-ff",
                           "00-" TRACE "-0000000000000001-01"};
    for (size_t i = 0; i < ARRAY_LEN(sound); i++) {
        assert_int_equal(traceparent_kind(slice_of(sound[i])), TRACEPARENT_SOUND);
        assert_true(slice_eq(traceparent_trace_id(slice_of(sound[i])), SLICE(TRACE)));
    }
}

static void only_recorded_traces_are_worth_naming(void **state)
{
    const char *flags = "0123456789abcdef";
    char text[] = "00-" TRACE "-" PARENT "-00";
    for (size_t i = 0; flags[i] != '\0'; i++) {
        text[sizeof(text) - 2] = flags[i];
        struct slice id = traceparent_sampled_id(slice_of(text));
        assert_true(i % 2 == 0 ? id.p == NULL : slice_eq(id, SLICE(TRACE)));
    }
    assert_null(traceparent_sampled_id((struct slice){0}).p);
}

static void zeros_are_none(void **state)
{
    assert_int_equal(traceparent_kind((struct slice){0}), TRACEPARENT_ABSENT);
    assert_int_equal(traceparent_kind(SLICE("00-00000000000000000000000000000000-0000000000000000-00")),
                     TRACEPARENT_ABSENT);
    assert_null(traceparent_trace_id((struct slice){0}).p);
}

static void others_are_malformed(void **state)
{
    const char *bad[] = {"",
                         "nonsense",
                         "00-" TRACE "-0000000000000000-01",
                         "00-00000000000000000000000000000000-" PARENT "-01",
                         "00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01",
                         "00-" TRACE "-" PARENT "-0",
                         "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
                         "00-" TRACE "-" PARENT "-01-",
                         "01-" TRACE "-" PARENT "-01-more",
                         "00-" TRACE "x" PARENT "-01",
                         "0g-" TRACE "-" PARENT "-01",
                         "ff-" TRACE "-" PARENT "-01"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(traceparent_kind(slice_of(bad[i])), TRACEPARENT_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_ones_name_their_trace),
        cmocka_unit_test(only_recorded_traces_are_worth_naming),
        cmocka_unit_test(zeros_are_none),
        cmocka_unit_test(others_are_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
