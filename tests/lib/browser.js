/* Drives one page of Debian's Chromium for browser.py: a JSON array [verb, argument...] a line on stdin, and for each a
 * line on stdout, {"value": …} or {"error": …}. Ends with its input, and the browser with it. */
'use strict';
const readline = require('node:readline');
const { chromium } = require('playwright-core');

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
  // Whatever a page or the browser itself may want from the world: names are not looked up.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
];

/* What the page did since the last look: messages of its console, errors nobody caught, addresses it asked for. */
const log = { console: [], errors: [], requests: [] };

function watch(page) {
  page.on('console', (message) => log.console.push([message.type(), message.text()]));
  page.on('pageerror', (error) => log.errors.push(String(error)));
  page.on('request', (request) => log.requests.push(request.url()));
  page.on('websocket', (socket) => log.requests.push(socket.url()));
}

const verbs = {
  goto: (page, url) => page.goto(url).then(() => null),
  eval: (page, text) => page.evaluate(text),
  fill: (page, selector, text) => page.fill(selector, text),
  click: (page, selector) => page.click(selector),
  size: (page, width, height) => page.setViewportSize({ width, height }),
  log: async () => log,
};

async function main() {
  const browser = await chromium.launch({ executablePath: process.argv[2], args: FLAGS });
  const page = await browser.newPage();
  page.setDefaultTimeout(20000);
  watch(page);
  console.log('{}');
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [verb, ...words] = JSON.parse(line);
    const answer = await verbs[verb](page, ...words).then((value) => ({ value }), (error) => ({ error: error.message }));
    console.log(JSON.stringify(answer));
  }
  await browser.close();
}

main();
