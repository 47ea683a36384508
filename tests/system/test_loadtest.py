"""The load tools count exactly and say why when something fails: what is measured with them is only as good as that."""

import json
import re
import subprocess

from lib.proc import Proc, free_port


def swarm(build, *words):
    """(exit status, result) of a whole run."""
    done = subprocess.run([build / "loadtest/swarm", "--json", "--quiet", *map(str, words)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def start_floor(build, folder, port, *words):
    floor = Proc("floor", [build / "loadtest/floor", "--port", port, *words], folder).start()
    return floor.wait_ready(lambda: "listening" in floor.log())


def test_every_message_is_counted_once(build, folder):
    port = free_port()
    floor = start_floor(build, folder, port, "--conns", 300, "--rounds", 20, "--burst", 3, "--rate", 50)
    status, result = swarm(build, "--target", f"127.0.0.1:{port}", "--sockets", 300, "--processes", 3, "--seconds", 30,
                           "--messages", 18000)
    assert floor.wait_exit() == 0, floor.tail()
    assert json.loads(re.findall(r"^\{.*\}$", floor.log(), re.M)[0])["messages"] == 18000
    assert status == 0 and result["messages"] == 18000 and result["bytes"] == 18000 * 500, result
    assert result["connected"] == 300 and result["failed"] == result["lost"] == 0, result
    assert result["latency_ms"]["count"] == 18000 and 0 < result["latency_ms"]["p50"] < 10000, result


def test_sockets_that_are_cut_off_are_lost_with_their_code(build, folder):
    port = free_port()
    floor = start_floor(build, folder, port, "--conns", 20, "--rounds", 1)
    status, result = swarm(build, "--target", f"127.0.0.1:{port}", "--sockets", 20, "--seconds", 30)
    assert floor.wait_exit() == 0, floor.tail()
    assert status == 1 and result["lost"] == 20 and result["close_codes"] == {"1006": 20}, result


def test_nobody_listens(build):
    status, result = swarm(build, "--target", f"127.0.0.1:{free_port()}", "--sockets", 10)
    assert status == 1 and result["failed"] == 10 and result["errors"] == {"ECONNREFUSED": 10}, result


def test_bad_options_are_refused_with_a_sentence(build):
    for words, sentence in ((["--target", "nowhere"], "is not host:port"), (["--sockets", "x"], "wants a whole number"),
                            (["--bogus"], "there is no option --bogus")):
        status, text = swarm(build, *words)
        assert status == 2 and sentence in text, text
