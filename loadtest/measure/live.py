"""Events of one user, RATE a second without an end: when each was produced, and when its channel brought it first.

One process has both ends, hence one clock. What Redis publishes again, as it does after a loss, does not count.
"""

import bisect
import contextlib
import re
import socket
import threading
import time

from lib import kafka, proc
from lib.functions import channel
from lib.redis import RedisClient
from measure.bench import Busy
from measure.servers import TOPIC, task

USER = "live"
RATE = 1000
TICK = 0.001  # an event a write: those of one write would wait for each other
BEHIND = 0.9  # less than this part of RATE, and it was another load
KCAT_BLOCK = 128
NUMBER = re.compile(rb'"task_id":(\d+)')


def line_of(number):
    """A task for kcat, which reads blocks and hands a line on only when the block it ends in is full."""
    line = f"{USER}{kafka.SEPARATOR}{task(number, USER)}"
    blocks = len(line) // KCAT_BLOCK + 1
    return line.ljust(blocks * KCAT_BLOCK - 1) + "\n"


class Live:
    """Tasks numbered from `first` on, which nobody else uses: into a Kafka, out of a Redis. Any number of phases."""

    def __init__(self, broker, redis, first):
        self.first, self.sent, self.heard, self.ending = first, [], {}, False
        self.client = RedisClient(redis.port, timeout=None)
        self.client("SSUBSCRIBE", channel(f"u:{USER}"))
        self.producer = broker.producer(TOPIC)
        self.threads = [threading.Thread(target=body, daemon=True) for body in (self.produce, self.listen)]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        self.ending = True
        self.threads[0].join()
        self.producer.close()
        self.client.sock.shutdown(socket.SHUT_RDWR)
        self.threads[1].join()
        self.client.close()

    def produce(self):
        begin = time.monotonic()
        while not self.ending:
            due = range(len(self.sent), int((time.monotonic() - begin) * RATE))
            lines = "".join(line_of(self.first + n) for n in due)
            self.sent += [time.monotonic()] * len(due)
            self.producer.write(lines)
            time.sleep(TICK)

    def listen(self):
        with contextlib.suppress(OSError):  # stop() ends the connection
            while True:
                message = self.client.reply()[2]
                now = time.monotonic()
                self.heard.setdefault(int(NUMBER.search(message)[1]) - self.first, now)

    def delays(self, begin, end):
        """Milliseconds from producing to hearing, in ascending order, of every event produced between two times."""
        numbers = range(bisect.bisect_left(self.sent, begin), bisect.bisect_left(self.sent, end))
        if len(numbers) < BEHIND * RATE * (end - begin):
            raise Busy(f"{len(numbers)} live events in {end - begin:.1f} s, not {RATE} a second")
        proc.wait_until(lambda: all(n in self.heard for n in numbers), 30, "every live event heard")
        return sorted(1000 * (self.heard[n] - self.sent[n]) for n in numbers)
