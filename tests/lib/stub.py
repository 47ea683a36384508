"""WebSocket servers that are no gateway: what a client makes of one that misbehaves."""

import contextlib
import threading

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from lib.ports import free_port

WELCOME = '{"type":"connected","user_id":"x","message":"WebSocket connection established"}'


@contextlib.contextmanager
def stub(talk):
    """URL of a server that calls talk(connection) for each, and closes it when that returns. It takes any sub-protocol."""
    port = free_port()

    def handle(connection):
        with contextlib.suppress(ConnectionClosed):
            talk(connection)

    with serve(handle, "127.0.0.1", port, select_subprotocol=lambda server, offered: offered[0] if offered else None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{port}/ws"
        server.shutdown()
        thread.join()


def says(text):
    """One thing to everybody, and nothing more."""
    def talk(connection):
        if text:
            connection.send(text)
        connection.recv()
    return stub(talk)
