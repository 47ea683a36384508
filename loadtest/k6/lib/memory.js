// Whether programs grow: the resident memory in their metrics, compared with what it was AFTER seconds into the run.

import http from 'k6/http';
import { Counter, Trend } from 'k6/metrics';
import { RAMP, number } from './options.js';

const growth = new Trend('tidegate_memory_growth_percent');
const unknown = new Counter('tidegate_memory_unknown'); // pages that did not tell

const URLS = (__ENV.METRICS_URLS || '').split(',').filter(Boolean);
const AFTER = number('MEMORY_AFTER', RAMP + 60);

export const bounded = URLS.length ? {
  tidegate_memory_growth_percent: [`max<${number('MEMORY_GROWTH', 50)}`],
  tidegate_memory_unknown: ['count==0'],
} : {};

const first = {};

async function look(url) {
  const page = await http.asyncRequest('GET', url, null, { tags: { name: url } });
  const found = /^process_resident_memory_bytes (\S+)/m.exec(page.body);
  if (!found) return unknown.add(1);
  first[url] = first[url] || Number(found[1]);
  growth.add((Number(found[1]) / first[url] - 1) * 100);
}

// Looks every few seconds. Returns a function that ends it.
export function watchMemory() {
  let again;
  const start = setTimeout(() => {
    URLS.forEach(look);
    again = setInterval(() => URLS.forEach(look), 5000);
  }, AFTER * 1000);
  return () => {
    clearTimeout(start);
    clearInterval(again);
  };
}
