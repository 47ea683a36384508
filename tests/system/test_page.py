"""The demo page in a real browser: an event in Kafka appears in both panes, which sit on different gateways."""

import json
import os
import subprocess

from lib import tools
from lib.cluster import task
from lib.proc import wait_until
from lib.wire import request

# Opens the page, waits for what is asked of each pane, line by line on stdin, and answers with what it saw.
SCRIPT = """
const { chromium } = require('playwright-core');
(async () => {
  const browser = await chromium.launch({ executablePath: process.argv[1], args: ['--headless', '--no-sandbox',
    '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
    '--disable-sync'] });
  const page = await browser.newPage();
  const foreign = [];
  const faults = [];
  page.on('request', (r) => { if (!r.url().startsWith(process.argv[3]) && !r.url().startsWith('data:')) foreign.push(r.url()); });
  page.on('pageerror', (error) => faults.push(String(error)));
  await page.goto(process.argv[2]);
  for await (const line of require('readline').createInterface({ input: process.stdin })) {
    const [pane, part, text] = JSON.parse(line);
    const where = page.locator(`#pane-${pane} .${part}`);
    try {
      await where.filter({ hasText: text }).first().waitFor({ timeout: 15000 });
      console.log(JSON.stringify({ seen: await where.first().textContent() }));
    } catch (error) {
      console.log(JSON.stringify({ missing: text, text: await page.locator(`#pane-${pane}`).textContent() }));
    }
  }
  console.log(JSON.stringify({ foreign, faults }));
  await browser.close();
})();
"""


class Browser:
    """Chromium on one page, driven through npm's playwright-core."""

    def __init__(self, url, base):
        self.child = subprocess.Popen(["node", "-e", SCRIPT, tools.chromium(), url, base], text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      env={**os.environ, "NODE_PATH": str(tools.path("node"))})

    def sees(self, pane, part, text):
        self.child.stdin.write(json.dumps([pane, part, text]) + "\n")
        self.child.stdin.flush()
        answer = self.child.stdout.readline()
        assert answer.startswith("{"), answer + self.child.stdout.read()
        assert "seen" in json.loads(answer), answer

    def close(self):
        """Ends the browser; says what the page asked of other hosts and what went wrong in it."""
        out, _ = self.child.communicate(timeout=20)
        return json.loads(out.splitlines()[-1])


def test_an_event_appears_in_both_panes(cluster):
    user = cluster.user()
    a, b = (f"127.0.0.1:{g.port}" for g in cluster.gateways)
    base = f"http://127.0.0.1:{cluster.balancer.port}/"
    browser = Browser(f"{base}demo/?a={a}&b={b}&token={cluster.token(user)}", base)
    try:
        for pane in "ab":
            browser.sees(pane, "lamp", "connected")
        wait_until(lambda: [g.metric("websocket_connections_total") for g in cluster.gateways] == [1, 1], 5,
                   "one socket on each gateway")
        cluster.produce(user, task(user, 42))
        for pane in "ab":
            browser.sees(pane, "tasks", "task 42")
            browser.sees(pane, "events", "1")
        cluster.produce(user, task(user, 42, "delete"))
        for pane in "ab":
            browser.sees(pane, "tasks", "task.deleted")
    finally:
        ended = browser.close()
    assert ended == {"foreign": [], "faults": []}, ended


def test_the_page_says_when_it_is_not_let_in(cluster):
    base = f"http://127.0.0.1:{cluster.balancer.port}/"
    browser = Browser(f"{base}demo/?token=bad", base)
    try:
        browser.sees("a", "closed", "4001")
        browser.sees("a", "lamp", "offline")
    finally:
        browser.close()


def test_its_files(cluster):
    port = cluster.gateways[0].port
    page = request(port, "/demo/")
    assert page.status == 200 and page.headers["content-type"].startswith("text/html"), page
    assert request(port, "/demo").status in (301, 302, 307, 308)
    assert request(port, "/demo/nothing").status == 404
    assert request(port, "/demo/../health").status in (200, 400, 404)
