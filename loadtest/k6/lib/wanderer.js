// A reader that drops every EVERY seconds, some half of that more or less, and comes back after up to AWAY seconds.

import { Counter } from 'k6/metrics';
import { number } from './options.js';
import { Reader } from './reader.js';

const returns = new Counter('tidegate_returns');

// A class of such readers; `every` is the default of EVERY.
export function wanderer(every) {
  const EVERY = number('EVERY', every);
  const AWAY = number('AWAY', 5);

  return class Wanderer extends Reader {
    onWelcome(hello) {
      if (this.next !== null) returns.add(1);
      super.onWelcome(hello);
    }

    // What came before the first event is not judged, so it stays for that.
    onEvent(task) {
      super.onEvent(task);
      if (this.plan || this.left) return;
      this.plan = setTimeout(() => {
        this.plan = null;
        this.drop(Math.random() * AWAY * 1000);
      }, (0.5 + Math.random()) * EVERY * 1000);
    }

    leave() {
      super.leave();
      clearTimeout(this.plan);
    }
  };
}
