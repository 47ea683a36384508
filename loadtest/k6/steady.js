// SOCKETS connections that stay, while a feed runs: each event must reach every socket of its user, in order and in time.
// Ends with the feed's last event, or after DURATION seconds.

import { run, stays } from './lib/device.js';
import { k6options, number } from './lib/options.js';
import { Reader, whole } from './lib/reader.js';

const DURATION = number('DURATION', 120);

export const options = k6options(DURATION, {
  ...whole,
  ...stays,
  tidegate_repeated: ['count==0'],
  tidegate_latency_ms: [`p(99)<${number('LATENCY_P99', 200)}`],
});

export default function () {
  run(Reader, DURATION);
}
