// A device that judges the numbered events of `loadtest/feed`: each user's are 0, 1, 2, …, and every event says how many
// there are. A socket counts from the first number that it sees; it leaves when it has the last.

import { Counter, Trend } from 'k6/metrics';
import { Device } from './device.js';

const latency = new Trend('tidegate_latency_ms', true); // from the feed's clock to ours: live events only, not replayed ones
const events = new Counter('tidegate_events');
const lost = new Counter('tidegate_lost'); // numbers that were passed over or had not come when time was up
const repeated = new Counter('tidegate_repeated'); // numbers that had come before, or came out of order
const silent = new Counter('tidegate_silent'); // sockets that never got an event

export class Reader extends Device {
  constructor(index, crew) {
    super(index, crew);
    this.next = null;
    this.replayed = 0;
  }

  onWelcome(hello) {
    super.onWelcome(hello);
    this.replayed = hello.replay || 0;
  }

  onMessage(message) {
    super.onMessage(message);
    if (message.type === 'task_update') this.onEvent(message.task);
    if (message.type === 'gap') lost.add(1);
  }

  onEvent({ id, of, sent }) {
    if (this.next === null) this.next = id;
    if (this.replayed > 0) this.replayed--;
    else latency.add(Date.now() - sent);
    events.add(1);
    if (id < this.next) return repeated.add(1);
    if (id > this.next) lost.add(id - this.next);
    this.next = id + 1;
    this.of = of;
    if (this.next === of) this.leave();
  }

  onEnd() {
    if (this.next === null) silent.add(1);
    else lost.add(this.of - this.next);
    super.onEnd();
  }
}

// Holds in every run: nothing is lost, everybody got something.
export const whole = {
  tidegate_lost: ['count==0'],
  tidegate_silent: ['count==0'],
  tidegate_absent: ['count==0'],
  tidegate_unrecovered: ['count==0'],
};
