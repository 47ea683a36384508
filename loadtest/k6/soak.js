// SOCKETS connections for hours: they read a slow feed, ask and get answered, and now and then drop and resume. Nothing may
// be lost, no socket cut, no question left open; and if METRICS_URLS names pages of metrics, no program may grow.

import exec from 'k6/execution';
import { Counter, Trend } from 'k6/metrics';
import { PING, run, stays } from './lib/device.js';
import { bounded, watchMemory } from './lib/memory.js';
import { k6options, number } from './lib/options.js';
import { whole } from './lib/reader.js';
import { wanderer } from './lib/wanderer.js';

const DURATION = number('DURATION', 8 * 3600);
const PING_EVERY = number('PING_EVERY', 30);

const pong = new Trend('tidegate_pong_ms', true);
const unanswered = new Counter('tidegate_pings_unanswered');

class Talker extends wanderer(600) {
  connect() {
    super.connect();
    this.asked = null;
    this.talk = this.talk || setInterval(() => this.ask(), PING_EVERY * 1000);
  }

  ask() {
    if (!this.welcomed) return;
    if (this.asked) unanswered.add(1);
    this.asked = Date.now();
    this.socket.send(PING);
  }

  onMessage(message) {
    super.onMessage(message);
    if (message.type !== 'pong' || !this.asked) return;
    pong.add(Date.now() - this.asked);
    this.asked = null;
  }

  leave() {
    super.leave();
    clearInterval(this.talk);
  }
}

export const options = k6options(DURATION, {
  ...whole,
  ...bounded,
  ...stays,
  tidegate_pings_unanswered: ['count==0'],
  tidegate_pong_ms: [`p(99)<${number('PONG_P99', 1000)}`],
  tidegate_latency_ms: [`p(99)<${number('LATENCY_P99', 200)}`],
});

export default function () {
  run(Talker, DURATION, { onAllLeft: exec.vu.idInTest === 1 ? watchMemory() : undefined });
}
