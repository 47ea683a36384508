'use strict';
/* Two sockets of one user, side by side. ?token= fills the token and connects; ?a= and ?b= are the panes' addresses
 * (host:port or a ws:// URL), by default the address that this page came from. */

const TASKS_SHOWN = 200;
const PING_MS = 5000;
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
/* Close codes after which another try with the same token makes no sense. */
const FINAL_CODES = [1008, 4001, 4002, 4003];

class Pane {
  constructor(root, address) {
    this.root = root;
    this.part('url').value = address;
    this.latencies = [];
    this.events = 0;
    this.tasks = new Map();
    this.seen = new Set();
    this.attempt = 0;
    this.show('offline');
  }

  part(name) {
    return this.root.querySelector('.' + name);
  }

  show(state) {
    const lamp = this.part('lamp');
    lamp.dataset.state = state;
    lamp.textContent = state;
  }

  connect(token) {
    this.disconnect();
    this.token = token;
    this.open();
  }

  open() {
    const socket = new WebSocket(socketUrl(this.part('url').value, this.token));
    this.socket = socket;
    this.show('connecting');
    socket.onmessage = (event) => this.socket === socket && this.take(JSON.parse(event.data));
    socket.onclose = (event) => this.socket === socket && this.closed(event);
  }

  disconnect() {
    clearTimeout(this.retry);
    clearInterval(this.pinger);
    const socket = this.socket;
    this.socket = null;
    if (socket) socket.close();
    this.show('offline');
  }

  closed(event) {
    clearInterval(this.pinger);
    this.part('closed').textContent = event.code + (event.reason ? ' ' + event.reason : '');
    this.show('offline');
    if (FINAL_CODES.includes(event.code)) return;
    const wait = RETRY_MS[Math.min(this.attempt++, RETRY_MS.length - 1)];
    this.retry = setTimeout(() => this.open(), wait / 2 + Math.random() * wait / 2);
  }

  take(message) {
    switch (message.type) {
    case 'connected':
      this.attempt = 0;
      this.show('connected');
      this.pinger = setInterval(() => this.ping(), PING_MS);
      this.ping();
      break;
    case 'pong':
      if (this.pinged) this.part('rtt').textContent = (performance.now() - this.pinged).toFixed(1) + ' ms';
      break;
    case 'task_update':
      this.takeTask(message);
      break;
    }
  }

  ping() {
    this.pinged = performance.now();
    this.socket.send('{"type":"ping"}');
  }

  takeTask(message) {
    if (message.key && this.seen.has(message.key)) return; /* at least once: the key tells a repeat */
    this.seen.add(message.key);
    this.part('events').textContent = ++this.events;
    this.measure(Date.now() - Date.parse(message.timestamp));
    let row = this.tasks.get(String(message.task_id));
    if (!row) {
      row = document.createElement('li');
      this.tasks.set(String(message.task_id), row);
    }
    row.className = message.operation === 'delete' ? 'gone' : '';
    row.textContent = (message.task && message.task.title) || 'task ' + message.task_id;
    const note = document.createElement('small');
    note.textContent = message.event + ' · ' + message.task_id + (message.id ? ' · ' + message.id : '');
    row.append(note);
    const list = this.part('tasks');
    list.prepend(row);
    while (list.children.length > TASKS_SHOWN) list.lastChild.remove();
  }

  measure(ms) {
    if (!Number.isFinite(ms)) return;
    this.latencies.push(ms);
    if (this.latencies.length > 100) this.latencies.shift();
    const sorted = [...this.latencies].sort((a, b) => a - b);
    this.part('last').textContent = ms + ' ms';
    this.part('median').textContent = sorted[sorted.length >> 1] + ' ms';
  }
}

function socketUrl(address, token) {
  const scheme = location.protocol === 'https:' ? 'wss://' : 'ws://';
  const base = /^wss?:/.test(address) ? address : scheme + address + '/ws';
  return base + (base.includes('?') ? '&' : '?') + 'token=' + encodeURIComponent(token);
}

const query = new URLSearchParams(location.search);
const panes = ['a', 'b'].map((name) => {
  const copy = document.getElementById('pane').content.cloneNode(true);
  const root = copy.querySelector('.pane');
  root.id = 'pane-' + name;
  document.getElementById('panes').append(copy);
  return new Pane(root, query.get(name) || location.host);
});

const token = document.getElementById('token');
document.getElementById('connect').onsubmit = (event) => {
  event.preventDefault();
  panes.forEach((pane) => pane.connect(token.value.trim()));
};
document.getElementById('disconnect').onclick = () => panes.forEach((pane) => pane.disconnect());
if (query.get('token')) {
  token.value = query.get('token');
  panes.forEach((pane) => pane.connect(token.value));
}
