"""A page in Debian's Chromium, headless, driven through npm's playwright-core."""

import json
import pathlib
import subprocess
import urllib.parse

from lib import tools
from lib.proc import wait_until

DRIVER = pathlib.Path(__file__).with_suffix(".js")


class Browser:
    """One tab. Use it in a `with`."""

    def __init__(self):
        argv = ["env", f"NODE_PATH={tools.path('node')}", "node", DRIVER, tools.chromium()]
        self.child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *map(str, argv)], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
        self._answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.child.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.communicate()

    def _answer(self):
        line = self.child.stdout.readline()
        assert line, f"the browser's driver ended with status {self.child.wait()}"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer.get("value")

    def do(self, verb, *words):
        self.child.stdin.write(json.dumps([verb, *words]) + "\n")
        self.child.stdin.flush()
        return self._answer()

    def js(self, text):
        """The value of a JavaScript expression in the page."""
        return self.do("eval", text)

    def wait(self, text, wanted=True, seconds=20):
        """Waits until an expression has this value."""
        try:
            wait_until(lambda: self.js(text) == wanted, seconds, text)
        except TimeoutError as late:
            raise AssertionError(f"{late}: {self.js(text)!r}, not {wanted!r}") from None

    def errors(self):
        """What the console and nobody's handlers got, as sentences."""
        log = self.do("log")
        return [text for kind, text in log["console"] if kind in ("error", "warning")] + log["errors"]

    def requests(self):
        """All addresses that the page asked for, sockets included, as urllib's split results."""
        return [urllib.parse.urlsplit(url) for url in self.do("log")["requests"]]
