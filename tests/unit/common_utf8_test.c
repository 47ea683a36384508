/* UTF-8 against a second, table-free reading of RFC 3629: every sequence of up to three bytes, and four-byte ones by
 * their code points. */
#include "common/utf8.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Decodes one character the slow way: its length, or 0. */
static int reference_length(const unsigned char *s, size_t n)
{
    int len = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : (s[0] & 0xf8) == 0xf0 ? 4 : 0;
    if (len == 0 || (size_t)len > n)
        return 0;
    unsigned point = len == 1 ? s[0] : s[0] & (0x7fu >> len);
    for (int i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (s[i] & 0x3fu);
    }
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    bool surrogate = point >= 0xd800 && point <= 0xdfff;
    return point < least[len] || surrogate || point > 0x10ffff ? 0 : len;
}

static bool reference_valid(const unsigned char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        int len = reference_length(s + i, n - i);
        if (len == 0)
            return false;
        i += (size_t)len;
    }
    return true;
}

static void every_sequence_of_up_to_three_bytes(void **state)
{
    unsigned char s[3];
    for (unsigned v = 0; v < 1u << 24; v++) {
        s[0] = (unsigned char)(v >> 16);
        s[1] = (unsigned char)(v >> 8);
        s[2] = (unsigned char)v;
        if (utf8_valid(slice_make(s, 3)) != reference_valid(s, 3))
            fail_msg("%02x %02x %02x", s[0], s[1], s[2]);
    }
}

static void four_byte_forms_at_their_borders(void **state)
{
    static const unsigned char edge[] = {0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0};
    for (unsigned first = 0xef; first <= 0xff; first++)
        for (size_t a = 0; a < sizeof(edge); a++)
            for (size_t b = 0; b < sizeof(edge); b++)
                for (size_t c = 0; c < sizeof(edge); c++) {
                    unsigned char s[4] = {(unsigned char)first, edge[a], edge[b], edge[c]};
                    assert_int_equal(utf8_valid(slice_make(s, 4)), reference_valid(s, 4));
                }
}

static void a_character_may_be_cut_anywhere(void **state)
{
    struct slice text = SLICE("plain ascii text, \xc3\xa9, \xe2\x82\xac, \xf0\x9f\x98\x80 and on");
    for (size_t cut = 0; cut <= text.n; cut++) {
        struct utf8 u = {0};
        assert_int_equal(utf8_feed(&u, slice_make(text.p, cut)), 0);
        assert_int_equal(utf8_feed(&u, slice_from(text, cut)), 0);
        assert_true(utf8_complete(&u));
    }
    struct utf8 u = {0};
    assert_int_equal(utf8_feed(&u, SLICE("\xf0\x9f")), 0);
    assert_false(utf8_complete(&u));
    assert_int_equal(utf8_feed(&u, SLICE("x")), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sequence_of_up_to_three_bytes),
        cmocka_unit_test(four_byte_forms_at_their_borders),
        cmocka_unit_test(a_character_may_be_cut_anywhere),
    };
    return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
