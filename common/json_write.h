/* Writing JSON: the one thing that must not be written by hand is a string; brackets, commas and numbers are
 * buf_lit and buf_u64, and a value that came from a text is its raw slice, appended as it is. */
#ifndef TIDEGATE_COMMON_JSON_WRITE_H
#define TIDEGATE_COMMON_JSON_WRITE_H

#include "common/buf.h"

/* Appends the text as a JSON string with its quotes; quotes, backslashes and control characters are escaped (RFC 8259
 * section 7), everything else stands as it is. The text must be UTF-8: whoever writes foreign bytes checks them first.
 */
void json_write_string(struct buf *b, struct slice text);

#endif
