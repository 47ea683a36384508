// SOCKETS connections at RATE a second (0: all at once), held for HOLD seconds. Every one must be welcomed in the end, and
// none may be cut; a gateway may ask some to come again later.

import { Device, run } from './lib/device.js';
import { RAMP, k6options, number } from './lib/options.js';

const SECONDS = RAMP + number('HOLD', 10);

export const options = k6options(SECONDS, {
  tidegate_absent: ['count==0'],
  tidegate_cut: ['count==0'],
  tidegate_welcome_ms: [`p(95)<${number('WELCOME_P95', 2000)}`],
});

export default function () {
  run(Device, SECONDS);
}
