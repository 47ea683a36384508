// What all scripts are told by the environment, and how the sockets are shared among k6's virtual users.

export function number(name, fallback) {
  const value = __ENV[name] ? Number(__ENV[name]) : fallback;
  if (!(value >= 0)) throw new Error(`${name} must be a number from 0 up, not "${__ENV[name]}"`);
  return value;
}

export const URLS = (__ENV.URLS || 'ws://127.0.0.1:8080/ws').split(',');
export const SOCKETS = number('SOCKETS', 1000);
export const RATE = number('RATE', 200); // sockets opened a second, over all; 0 is all at once
export const RAMP = RATE ? SOCKETS / RATE : 0; // seconds until all are opened

const USERS = number('USERS', Math.ceil(SOCKETS / 10));
const PREFIX = __ENV.PREFIX || 'load-';

// A virtual user costs some megabytes, a socket some ten kilobytes: so each holds many.
const PER_VU = 50;
const VUS = Math.ceil(SOCKETS / PER_VU);

// Sockets of one user are neighbours, so that USERS users have SOCKETS / USERS each, give or take one.
export function userOf(index) {
  return `${PREFIX}${1 + Math.floor((index * USERS) / SOCKETS)}`;
}

// The indices of the sockets that virtual user `vu` (from 1) holds: every VUS-th, so that all open at the same rate.
export function shareOf(vu) {
  const share = [];
  for (let index = vu - 1; index < SOCKETS; index += VUS) share.push(index);
  return share;
}

// Options of k6 for a script that ends by itself within `seconds`.
export function k6options(seconds, thresholds) {
  return {
    scenarios: {
      sockets: { executor: 'per-vu-iterations', vus: VUS, iterations: 1, maxDuration: `${Math.ceil(seconds) + 30}s` },
    },
    thresholds,
    summaryTrendStats: ['min', 'med', 'p(95)', 'p(99)', 'max'],
  };
}
