"""What the kernel tells about processes, and a network without neighbours."""

import contextlib
import ctypes
import fcntl
import os
import pathlib
import re
import socket
import struct
import time

from lib.ports import PORTS


def enter_namespace():
    """A network of our own with only loopback, and all ports on it. False without the right to make one."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x40000000) != 0:  # CLONE_NEWNET
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8914, struct.pack("16sH22x", b"lo", 0x41))  # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING
    # those that servers of ours are given stay theirs, also between two that follow each other
    for name, value in {"ipv4/ip_local_port_range": "1024 65535",
                        "ipv4/ip_local_reserved_ports": f"{PORTS.start}-{PORTS.stop - 1}",
                        "core/somaxconn": "65535"}.items():
        with contextlib.suppress(OSError):
            pathlib.Path("/proc/sys/net", name).write_text(value)
    return True


def cpu_us(pid):
    """User and system time of a process and all its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1_000_000 // os.sysconf("SC_CLK_TCK")


def writes(pid):
    """Calls of write and its kin so far."""
    return int(re.search(r"^syscw: (\d+)$", pathlib.Path(f"/proc/{pid}/io").read_text(), re.M)[1])


def private_bytes(pid):
    """Memory that only this process has: what would be free if it ended."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * sum(int(n) for n in re.findall(r"^Private_\w+: +(\d+) kB$", text, re.M))


def settle(pid, read, quiet=0.3):
    """Waits until a figure of a process stands still, and returns it."""
    last = read(pid)
    while True:
        time.sleep(quiet)
        now = read(pid)
        if now == last:
            return now
        last = now
