/* The writer of strings: plain runs are copied whole, found as the reader finds them. */
#include "common/json_write.h"
#include "common/json_lex.h"

static void write_escape(struct buf *b, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[256] = {
        ['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    if (letters[c] != 0)
        buf_append(b, slice_make((char[]){'\\', letters[c]}, 2));
    else
        buf_append(b, slice_make((char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6));
}

void json_write_string(struct buf *b, struct slice text)
{
    buf_byte(b, '"');
    while (text.n > 0) {
        bool high;
        size_t run = (size_t)(json_plain_end(text.p, text.p + text.n, &high) - text.p);
        buf_append(b, slice_make(text.p, run));
        text = slice_from(text, run);
        if (text.n > 0) {
            write_escape(b, (unsigned char)text.p[0]);
            text = slice_from(text, 1);
        }
    }
    buf_byte(b, '"');
}
