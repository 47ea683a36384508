/* The containers and small parts that everything else stands on. */
#include "common/buf.h"
#include "common/clock.h"
#include "common/hash.h"
#include "common/list.h"
#include "common/map.h"
#include "common/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static void slice_numbers_are_strict(void **state)
{
    uint64_t value = 7;
    assert_int_equal(slice_to_u64(SLICE("0"), &value), 0);
    assert_true(value == 0);
    assert_int_equal(slice_to_u64(SLICE("18446744073709551615"), &value), 0);
    assert_true(value == UINT64_MAX);
    const char *bad[] = {"", "00", "01", "-1", "+1", " 1", "1 ", "1.0", "18446744073709551616", "99999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(slice_to_u64(slice_of(bad[i]), &value), -1);
}

static void slice_cut_walks_a_list(void **state)
{
    struct slice rest = SLICE("a,,b");
    assert_true(slice_eq(slice_cut(&rest, ','), SLICE("a")));
    assert_true(slice_eq(slice_cut(&rest, ','), SLICE("")));
    assert_true(slice_eq(slice_cut(&rest, ','), SLICE("b")));
    assert_null(rest.p);
    assert_true(slice_eq(slice_trim(SLICE(" \tx y\r\n")), SLICE("x y")));
}

static void buf_grows_and_consumes(void **state)
{
    struct buf b = {0};
    for (unsigned i = 0; i < 1000; i++) {
        buf_u64(&b, i);
        buf_byte(&b, ' ');
    }
    assert_memory_equal(b.p, "0 1 2 3 ", 8);
    buf_consume(&b, 4);
    assert_memory_equal(b.p, "2 3 ", 4);
    buf_clear(&b);
    buf_printf(&b, "%s-%d", "x", 5);
    assert_true(slice_eq(buf_slice(&b), SLICE("x-5")));
    buf_release(&b);
    assert_null(b.p);
    assert_non_null(buf_reserve(&b, 0));
    buf_release(&b);
}

static void hashes_match_their_published_values(void **state)
{
    assert_true(hash_fnv1a(SLICE("")) == 0xcbf29ce484222325u);
    assert_true(hash_fnv1a(SLICE("foobar")) == 0x85944171f73967e8u);
    assert_int_equal(hash_crc16(SLICE("123456789")), 0x31c3);
    assert_true(hash_keyed(SLICE("a")) == hash_keyed(SLICE("a")));
    assert_true(hash_keyed(SLICE("a")) != hash_keyed(SLICE("b")));
}

struct item {
    struct map_node node;
    char key[16];
};

static void map_finds_what_it_holds_through_growth_and_shrinking(void **state)
{
    enum { N = 5000 };
    struct item *items = calloc(N, sizeof(*items));
    struct map m;
    map_init(&m);
    assert_null(map_find(&m, SLICE("none")));
    for (int i = 0; i < N; i++) {
        snprintf(items[i].key, sizeof(items[i].key), "k%d", i);
        map_insert(&m, &items[i].node, slice_of(items[i].key));
    }
    size_t seen = 0;
    MAP_EACH (it, &m)
        seen++;
    assert_int_equal(seen, N);
    for (int i = 0; i < N; i += 2)
        map_remove(&m, &items[i].node);
    for (int i = 0; i < N; i++)
        assert_ptr_equal(map_find(&m, slice_of(items[i].key)), i % 2 ? &items[i].node : NULL);
    for (int i = 1; i < N; i += 2)
        map_remove(&m, &items[i].node);
    assert_null(map_first(&m));
    assert_true(m.mask < 64);
    map_release(&m);
    free(items);
}

static void list_removal_inside_a_walk(void **state)
{
    struct list head, nodes[3];
    list_init(&head);
    for (int i = 0; i < 3; i++)
        list_push_back(&head, &nodes[i]);
    LIST_EACH_SAFE (it, &head)
        if (it == &nodes[1])
            list_remove(it);
    assert_ptr_equal(head.next, &nodes[0]);
    assert_ptr_equal(nodes[0].next, &nodes[2]);
    list_remove(&nodes[1]);
    list_push_front(&head, &nodes[1]);
    assert_ptr_equal(head.next, &nodes[1]);
}

static void iso8601_is_utc_with_milliseconds(void **state)
{
    char text[CLOCK_ISO_LEN + 1];
    clock_iso8601(1704067200000u, text);
    assert_string_equal(text, "2024-01-01T00:00:00.000Z");
    clock_iso8601(UINT64_MAX / 2, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
}

/* From every place of the head. */
static void rings_keep_their_order_when_they_grow(void **state)
{
    for (size_t start = 0; start < 4; start++) {
        size_t head = 0, cap = 0;
        int *ring = ring_grow(NULL, sizeof(*ring), &head, &cap, 4);
        assert_true(head == 0 && cap == 4);
        head = start;
        for (size_t i = 0; i < cap; i++)
            ring[(head + i) & (cap - 1)] = (int)i;
        ring = ring_grow(ring, sizeof(*ring), &head, &cap, 4);
        assert_true(head == 0 && cap == 8);
        for (int i = 0; i < 4; i++)
            assert_int_equal(ring[i], i);
        free(ring);
    }
}

/* Every day until 2401, then some of each year. */
static void iso8601_agrees_with_the_c_library(void **state)
{
    const uint64_t day = 86400000, end = 253402300800000;
    for (uint64_t ms = 0; ms < end; ms += ms < 431 * 366 * day ? day - 61001 : 97 * day - 1) {
        char text[CLOCK_ISO_LEN + 1], expected[40];
        time_t seconds = (time_t)(ms / 1000);
        strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S", gmtime(&seconds));
        snprintf(expected + 19, sizeof(expected) - 19, ".%03uZ", (unsigned)(ms % 1000));
        clock_iso8601(ms, text);
        assert_string_equal(text, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slice_numbers_are_strict),
        cmocka_unit_test(slice_cut_walks_a_list),
        cmocka_unit_test(buf_grows_and_consumes),
        cmocka_unit_test(hashes_match_their_published_values),
        cmocka_unit_test(map_finds_what_it_holds_through_growth_and_shrinking),
        cmocka_unit_test(list_removal_inside_a_walk),
        cmocka_unit_test(rings_keep_their_order_when_they_grow),
        cmocka_unit_test(iso8601_is_utc_with_milliseconds),
        cmocka_unit_test(iso8601_agrees_with_the_c_library),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
