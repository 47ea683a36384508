"""TCP ports for servers. What one process is given, no other is: neither one of the same run, nor one of a run beside it.

A process claims spans of ports by abstract Unix sockets named for them. The kernel lets go of such a name when its owner is
gone, whatever ended it, and like ports these names belong to a network namespace: there is nothing to clean up.
"""

import collections
import contextlib
import random
import socket

PORTS = range(12000, 22000)  # below the kernel's range for outgoing connections, which would race with us
SPAN = 100

_claims = []
_ours = collections.deque()  # all of our spans; the next to be given first
_given = []


def free_port():
    """A port on which nobody listens. It is not given again while this process lives, or until the end of `lent`."""
    while True:
        for _ in range(len(_ours)):
            port = _ours.popleft()
            _ours.append(port)
            if port not in _given and is_free(port):
                _given.append(port)
                return port
        _claim()


@contextlib.contextmanager
def lent():
    """What was given within the block may be given again after it, though as late as possible."""
    before = len(_given)
    try:
        yield
    finally:
        del _given[before:]


def is_free(port, host="127.0.0.1"):
    """Whether a server could listen there now; connections that linger from an earlier one do not count."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((host, port))
        except OSError:
            return False
    return True


def _claim():
    spans = PORTS[::SPAN]
    for first in random.sample(spans, len(spans)):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0tidegate-ports-{first}")
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        _ours.extend(range(first, first + SPAN))
        return
    raise RuntimeError(f"all of the ports {PORTS.start} to {PORTS.stop - 1} are claimed by other tests")
