// SOCKETS connections that drop every EVERY seconds, stay away for up to AWAY seconds, and come back to the next URL with
// the position they had: over all their connections nothing of the feed may be missing.

import { run } from './lib/device.js';
import { k6options, number } from './lib/options.js';
import { whole } from './lib/reader.js';
import { wanderer } from './lib/wanderer.js';

const DURATION = number('DURATION', 120);
const Wanderer = wanderer(10);

export const options = k6options(DURATION, {
  ...whole,
  tidegate_returns: ['count>0'],
  tidegate_welcome_ms: [`p(95)<${number('WELCOME_P95', 2000)}`],
});

export default function () {
  run(Wanderer, DURATION);
}
