"""Storms against one gateway of four workers: whatever clients and Redis do, it ends with status 0 and holds nothing."""

import os
import signal
import subprocess
import time

from lib.alone import SECRET
from lib.proc import wait_until
from lib.storm import CLIENTS, Storm, cut_links, kill_redis, publish, seconds, seed, settled, stall_redis, trouble_redis

NOTHING = {"connections": 0, "sockets": 0, "frames": 0}


def blow(storm, seconds_):
    deadline = time.monotonic() + seconds_
    while time.monotonic() < deadline:
        assert storm.gateway.proc.alive(), storm.gateway.proc.tail()
        assert not storm.crashes, storm.crashes
        storm.tend()
        time.sleep(0.1)


def ends_well(storm, number):
    faults = storm.stop()
    assert not faults, f"seed {number}: {faults}"
    assert storm.gateway.proc.child.returncode == 0, f"seed {number}\n{storm.gateway.proc.tail()}"
    assert storm.left() == NOTHING, f"seed {number}"


def test_clients_of_every_bad_habit(build, folder):
    number = seed()
    storm = Storm(folder, build, number).start()
    storm.torment(*CLIENTS, publish)
    try:
        blow(storm, seconds())
        storm.calm()
        settled(storm)
    finally:
        ends_well(storm, number)


def test_the_same_while_redis_comes_and_goes(build, folder):
    number = seed()
    storm = Storm(folder, build, number).start()
    storm.torment(*CLIENTS, publish, cut_links, trouble_redis)
    try:
        blow(storm, seconds())
        storm.calm()
        wait_until(storm.gateway.ready, 15, "ready again")
        settled(storm)
    finally:
        ends_well(storm, number)


def test_swarms_that_die(build, folder):
    """Hundreds of connections that come at once and are gone at once, half-way through their handshakes or after."""
    number = seed()
    storm = Storm(folder, build, number, HEARTBEAT_INTERVAL="0", MAX_CONNECTIONS_PER_USER="0").start()
    swarm = [build / "loadtest/swarm", "--sockets", "600", "--target", f"127.0.0.1:{storm.port}", "--secret", SECRET,
             "--rate", "0", "--hold", "--quiet"]
    try:
        for life in (0.02, 0.1, 0.3, 1.5, 0.05):
            for sudden in (True, False):
                swarms = [subprocess.Popen(swarm, start_new_session=True, stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL) for _ in range(2)]
                blow(storm, life)
                for one in swarms:
                    os.killpg(one.pid, signal.SIGKILL if sudden else signal.SIGTERM)
                    one.wait()
        settled(storm)
    finally:
        ends_well(storm, number)


def leave_in(storm, number, trouble):
    """SIGTERM in the middle of it."""
    storm.torment(*CLIENTS, publish)
    blow(storm, 2)
    trouble()
    storm.gateway.proc.signal(signal.SIGTERM)
    status = storm.gateway.proc.wait_exit(20)
    assert status == 0, f"seed {number}: {status}\n{storm.gateway.proc.tail()}"
    ends_well(storm, number)


def test_going_down_in_a_storm(build, folder):
    for trouble in (lambda storm: None, lambda storm: storm.redis.kill(),
                    lambda storm: storm.redis.proc.signal(signal.SIGSTOP),
                    lambda storm: cut_links(storm, storm.random)):
        number = seed()
        storm = Storm(folder, build, number).start()
        try:
            leave_in(storm, number, lambda: trouble(storm))
        finally:
            storm.stop()


def test_going_down_before_redis_was_ever_there(build, folder):
    number = seed()
    storm = Storm(folder, build, number, REDIS_URL="redis://redis.invalid:1")
    storm.gateway.start(wait=False)
    storm.torment(*CLIENTS)
    try:
        wait_until(lambda: "redis_down" in storm.gateway.proc.log(), 20, "it says that Redis is away")
        storm.gateway.proc.signal(signal.SIGTERM)
        assert storm.gateway.proc.wait_exit(20) == 0
    finally:
        ends_well(storm, number)
