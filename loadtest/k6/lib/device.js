// A client that means to stay: it comes back after every end of its connection, to another URL, and names where it stood.

import { Counter, Rate, Trend } from 'k6/metrics';
import exec from 'k6/execution';
import { WebSocket } from 'k6/websockets';
import { RATE, URLS, number, shareOf, userOf } from './options.js';
import { token } from './token.js';

const attempts = new Rate('tidegate_attempts_welcomed'); // of the connections tried, those that were welcomed
const welcome = new Trend('tidegate_welcome_ms', true); // from wanting to be connected to the welcome, retries included
const cut = new Counter('tidegate_cut'); // welcomed connections that the other side ended
const absent = new Counter('tidegate_absent'); // sockets without a welcome at the end, or that gave up
const unrecovered = new Counter('tidegate_unrecovered'); // resumptions of which the gateway says that something is missing

const RETRIES = number('RETRIES', 10); // attempts without a welcome, one after the other, before a socket gives up
const RESUME = number('RESUME', 1); // 0: it comes back without naming a position, as a client that cannot resume

const OPEN = 1; // a socket's readyState
const FINAL = [1008, 4001, 4002]; // bad token, wrong user: to try again would not help

// For those whose connections should stay: how many may be cut all the same, such as by a rolling update.
export const stays = { tidegate_cut: [`count<=${number('CUTS', 0)}`] };

export const PING = '{"type":"ping"}';

export class Device {
  constructor(index, crew) {
    this.crew = crew;
    this.user = userOf(index);
    this.turn = index; // which of URLS is next
    this.position = null; // everything up to it was delivered
    this.failures = 0;
    this.left = false;
  }

  // ---- what scripts call ----

  connect() {
    this.since = this.since || Date.now();
    this.away = undefined;
    this.open();
  }

  // Goes away for some milliseconds and comes back.
  drop(away) {
    if (!this.welcomed || this.left) return;
    this.away = away;
    this.welcomed = false;
    this.hangUp();
  }

  // Goes for good.
  leave() {
    if (this.left) return;
    this.left = true;
    clearTimeout(this.timer);
    if (this.socket) this.hangUp();
    this.crew.left();
  }

  // ---- what scripts override, calling the one here ----

  onWelcome(hello) {
    attempts.add(true);
    welcome.add(Date.now() - this.since);
    clearTimeout(this.timer);
    this.since = 0;
    this.welcomed = true;
    this.failures = 0;
    if (!this.arrived) this.crew.arrived();
    this.arrived = true;
    if (hello.recovered === false) unrecovered.add(1);
  }

  onMessage(message) {
    if (message.type === 'connected') this.onWelcome(message);
    if (message.id || message.position) this.position = message.id || message.position;
  }

  // Time is up.
  onEnd() {
    if (!this.welcomed && this.away === undefined) absent.add(1);
    this.leave();
  }

  // ---- its own ----

  open() {
    const url = URLS[this.turn++ % URLS.length];
    const query = this.position && RESUME ? `${url.includes('?') ? '&' : '?'}last_id=${this.position}` : '';
    this.welcomed = false;
    // The tag replaces the URL in k6's metrics: with positions in it, each would be a time series of its own.
    this.socket = new WebSocket(url + query, null, {
      headers: { Authorization: `Bearer ${token(this.user)}` },
      tags: { name: url },
    });
    this.socket.onopen = () => this.onOpen();
    this.socket.onmessage = (event) => this.left || this.read(JSON.parse(event.data));
    this.socket.onerror = (event) => { this.error = event.error; };
    this.socket.onclose = (event) => this.left || this.onClosed(event.code, event.reason || '');
  }

  // k6 throws away what arrives before it calls this: the welcome may be lost, and what follows it. So one who is open but
  // not welcomed asks something; if an answer comes first, or anything else, the connection cannot be judged and is left.
  onOpen() {
    if (this.left) this.hangUp();
    else this.timer = setTimeout(() => this.socket.readyState === OPEN && this.socket.send(PING), 1000);
  }

  read(message) {
    if (this.welcomed || message.type === 'connected') this.onMessage(message);
    else this.hangUp();
  }

  // A socket of k6 that is closed before it is open may hang for ever: that one is closed by onOpen.
  hangUp() {
    if (this.socket.readyState === OPEN) this.socket.close();
  }

  onClosed(code, reason) {
    clearTimeout(this.timer);
    if (this.away !== undefined) return this.later(this.away);
    this.since = this.since || Date.now();
    if (this.welcomed) cut.add(1);
    else this.onRefused();
    if (FINAL.includes(code) || this.failures > RETRIES) {
      console.error(`${this.user} gives up: ${code || ''} ${reason || this.error}`);
      absent.add(1);
      return this.leave();
    }
    const hint = /retry=(\d+)/.exec(reason);
    this.later(hint ? Number(hint[1]) : (0.5 + Math.random()) * 500 * 2 ** Math.min(this.failures, 5));
  }

  onRefused() {
    attempts.add(false);
    this.failures++;
  }

  later(milliseconds) {
    this.welcomed = false;
    this.timer = setTimeout(() => this.connect(), milliseconds);
  }
}

// Runs this virtual user's share of the sockets, as objects of class `Kind`, until all have left; after `seconds` they are
// told to. `onAllArrived` is called when each was welcomed once, `onAllLeft` in the end.
export function run(Kind, seconds, { onAllArrived = () => {}, onAllLeft = () => {} } = {}) {
  const share = shareOf(exec.vu.idInTest);
  let coming = share.length;
  let staying = share.length;
  const crew = {
    arrived() {
      if (--coming > 0) return;
      console.log(`virtual user ${exec.vu.idInTest}: its ${share.length} sockets are connected`);
      onAllArrived(devices);
    },
    left() {
      if (--staying > 0) return;
      clearTimeout(end);
      onAllLeft();
    },
  };
  const devices = share.map((index) => new Kind(index, crew));
  const end = setTimeout(() => devices.forEach((device) => device.left || device.onEnd()), seconds * 1000);
  devices.forEach((device, i) => {
    device.timer = setTimeout(() => device.connect(), RATE ? (share[i] * 1000) / RATE : 0);
  });
}
