// SOCKETS connections at RATE a second (0: all at once), held for HOLD seconds from when all are there. Every one must be
// welcomed within DURATION, and none may be cut; a gateway may ask some to come again later.

import { Device, run, stays } from './lib/device.js';
import { RAMP, k6options, number } from './lib/options.js';

const HOLD = number('HOLD', 10);
const DURATION = number('DURATION', RAMP + HOLD + 60);

export const options = k6options(DURATION, {
  tidegate_absent: ['count==0'],
  ...stays,
  tidegate_welcome_ms: [`p(95)<${number('WELCOME_P95', 2000)}`],
});

export default function () {
  run(Device, DURATION, {
    onAllArrived: (devices) => setTimeout(() => devices.forEach((device) => device.leave()), HOLD * 1000),
  });
}
