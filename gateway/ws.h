/* The numbers of RFC 6455 that reader, frames and connections share. */
#ifndef TIDEGATE_GATEWAY_WS_H
#define TIDEGATE_GATEWAY_WS_H

/* Section 5.2 */
enum ws_opcode {
    WS_OP_CONTINUATION = 0x0,
    WS_OP_TEXT = 0x1,
    WS_OP_BINARY = 0x2,
    WS_OP_CLOSE = 0x8,
    WS_OP_PING = 0x9,
    WS_OP_PONG = 0xa
};

/* Section 7.4.1. WS_CODE_NONE stands for a close frame without a code and is never on the wire. */
enum ws_code {
    WS_CODE_NORMAL = 1000,
    WS_CODE_PROTOCOL_ERROR = 1002,
    WS_CODE_NONE = 1005,
    WS_CODE_INVALID_PAYLOAD = 1007,
    WS_CODE_TOO_BIG = 1009
};

/* Section 5.5: payload bytes of a control frame, and what a close frame has for its reason beside the code. */
#define WS_CONTROL_MAX 125
#define WS_REASON_MAX  (WS_CONTROL_MAX - 2)

/* Section 5.2, first byte of a frame. */
#define WS_FIN 0x80

#endif
