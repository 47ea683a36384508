'use strict';
/* Two sockets of one user, side by side. The address bar may say #token=…&a=…&b=…: the token, which connects at once,
 * and the panes' addresses (host:port or a ws:// URL), by default where this page came from. It stands behind the # so
 * that no request carries it. */

const PROTOCOL = 'tidegate.v1.json';
const TASKS_SHOWN = 200;
const KEYS_REMEMBERED = 2000;
const SAMPLES = 100;
const PING_MS = 5000;
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
/* After these close codes the same token gets the same answer. */
const FINAL_CODES = [1008, 4001, 4002, 4003];
/* Browsers do not tell a page why a handshake failed. */
const NO_ANSWER = '(nobody there, or refused: ALLOWED_ORIGINS must name where this page comes from)';

/* The last of some durations, and their median. */
class Gauge {
  constructor(root) {
    this.root = root;
    this.samples = [];
  }

  add(ms) {
    if (!Number.isFinite(ms)) return;
    this.samples.push(ms);
    if (this.samples.length > SAMPLES) this.samples.shift();
    const sorted = [...this.samples].sort((a, b) => a - b);
    this.root.querySelector('.last').textContent = duration(ms);
    this.root.querySelector('.median').textContent = 'median ' + duration(sorted[sorted.length >> 1]);
  }
}

/* Tasks by id, the one that changed last on top. */
class TaskList {
  constructor(list) {
    this.list = list;
    this.rows = new Map();
  }

  take(message) {
    const id = String(message.task_id);
    const row = this.rows.get(id) || this.add(id);
    row.dataset.operation = message.operation;
    row.title = message.timestamp + (message.id ? ', position ' + message.id : '');
    row.querySelector('.what').textContent = String(message.event).replace('task.', '');
    if (message.task && message.task.title) row.querySelector('.title').textContent = message.task.title;
    this.list.prepend(row);
    while (this.list.children.length > TASKS_SHOWN) this.drop(this.list.lastChild);
  }

  add(id) {
    const row = document.createElement('li');
    for (const name of ['what', 'title', 'task-id']) {
      const part = document.createElement('span');
      part.className = name;
      row.append(part);
    }
    row.dataset.task = id;
    row.querySelector('.title').textContent = 'task ' + id;
    row.querySelector('.task-id').textContent = id;
    this.rows.set(id, row);
    return row;
  }

  drop(row) {
    this.rows.delete(row.dataset.task);
    row.remove();
  }
}

class Pane {
  constructor(name, address) {
    const copy = document.getElementById('pane').content.cloneNode(true);
    this.root = copy.querySelector('.pane');
    this.root.id = 'pane-' + name;
    document.getElementById('panes').append(copy);
    this.part('.name').textContent = 'Socket ' + name;
    this.part('.address').value = address;
    this.whole = new Gauge(this.part('.whole'));
    this.redis = new Gauge(this.part('.redis'));
    this.trip = new Gauge(this.part('.trip'));
    this.clear();
    this.show('offline', '');
  }

  clear() {
    this.part('.tasks').replaceChildren();
    this.tasks = new TaskList(this.part('.tasks'));
    this.seen = new Set();
    this.events = 0;
    this.part('.events').textContent = 0;
  }

  part(selector) {
    return this.root.querySelector(selector);
  }

  show(state, note) {
    this.part('.state').dataset.state = state;
    this.part('.state').textContent = state;
    this.part('.note').textContent = note;
  }

  connect(token) {
    this.disconnect();
    if (token !== this.token) this.clear(); /* perhaps another user */
    this.token = token;
    this.attempt = 0;
    this.open();
  }

  disconnect() {
    this.leave();
    this.show('offline', '');
  }

  open() {
    let socket;
    try {
      /* The token goes as a sub-protocol, for URLs end up in logs. */
      socket = new WebSocket(socketUrl(this.part('.address').value.trim()), [PROTOCOL, 'bearer.' + this.token]);
    } catch (error) {
      return this.show('offline', error.message);
    }
    this.socket = socket;
    this.show('connecting', '');
    let opened = false;
    socket.onopen = () => { opened = true; };
    socket.onmessage = (event) => this.take(parse(event.data));
    socket.onclose = (event) => this.lost(event.code, opened ? event.reason : NO_ANSWER);
  }

  /* Forgets the socket: nothing that it still says is heard. */
  leave() {
    clearTimeout(this.retry);
    clearInterval(this.pinger);
    if (!this.socket) return;
    this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    this.socket = null;
  }

  lost(code, reason) {
    this.leave();
    const closed = `Closed with ${code}${reason ? ' ' + reason : ''}`;
    if (FINAL_CODES.includes(code)) return this.show('offline', `${closed}. This token is not tried again.`);
    const wait = retryDelay(this.attempt++, reason);
    this.retry = setTimeout(() => this.open(), wait);
    this.show('offline', `${closed}. Next try in ${duration(wait)}.`);
  }

  take(message) {
    switch (message.type) {
    case 'connected':
      this.attempt = 0;
      this.show('connected', 'As user ' + message.user_id);
      this.pinger = setInterval(() => this.ping(), PING_MS);
      this.pinged = null;
      this.ping();
      break;
    case 'pong':
      if (this.pinged !== null) this.trip.add(performance.now() - this.pinged);
      this.pinged = null;
      break;
    case 'error':
      this.part('.note').textContent = `The gateway says ${message.code}: ${message.message}`;
      break;
    case 'task_update':
      this.takeTask(message);
      break;
    }
  }

  /* A peer that vanished without a word is known by the pong that did not come. */
  ping() {
    if (this.pinged !== null) return this.lost(1006, 'no pong');
    this.pinged = performance.now();
    this.socket.send('{"type":"ping"}');
  }

  takeTask(message) {
    if (this.isRepeat(message.key)) return;
    const now = Date.now();
    this.part('.events').textContent = ++this.events;
    this.whole.add(now - Date.parse(message.timestamp));
    if (message.id) this.redis.add(now - idTime(message.id));
    this.tasks.take(message);
  }

  /* Delivery is at least once: the key tells a repeat. */
  isRepeat(key) {
    if (!key) return false;
    if (this.seen.has(key)) return true;
    this.seen.add(key);
    if (this.seen.size > KEYS_REMEMBERED) this.seen.delete(this.seen.values().next().value);
    return false;
  }
}

/* Numbers that JavaScript cannot hold stay as they are written, in browsers that show the source. */
function parse(text) {
  return JSON.parse(text, (name, value, context) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && context && context.source ? context.source : value);
}

/* An id is Redis's time, as milliseconds-microseconds. */
function idTime(id) {
  const [ms, us] = id.split('-');
  return Number(ms) + Number(us) / 1000;
}

function duration(ms) {
  for (const [unit, size] of [['d', 86400e3], ['h', 3600e3], ['min', 60e3], ['s', 1e3]]) {
    if (ms >= size) return (ms / size).toFixed(1) + ' ' + unit;
  }
  return ms.toFixed(ms < 100 ? 1 : 0) + ' ms';
}

/* A gateway that goes down says when to come back; otherwise each try waits longer, and nobody at the same time. */
function retryDelay(attempt, reason) {
  const asked = /retry=(\d+)/.exec(reason);
  if (asked) return Number(asked[1]);
  const most = RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)];
  return most / 2 + Math.random() * most / 2;
}

function socketUrl(address) {
  if (/^wss?:/.test(address)) return address;
  return (location.protocol === 'https:' ? 'wss://' : 'ws://') + address + '/ws';
}

const given = new URLSearchParams(location.hash.slice(1));
const panes = ['a', 'b'].map((name) => new Pane(name, given.get(name) || location.host));
const token = document.getElementById('token');

document.getElementById('connect').onsubmit = (event) => {
  event.preventDefault();
  panes.forEach((pane) => pane.connect(token.value.trim()));
};
document.getElementById('disconnect').onclick = () => panes.forEach((pane) => pane.disconnect());
window.onhashchange = () => location.reload();
if (given.get('token')) {
  token.value = given.get('token');
  panes.forEach((pane) => pane.connect(token.value));
}
