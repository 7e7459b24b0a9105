import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { Versions, versionFromText } from '../version.mjs';
import { getText } from '../web.mjs';
import { scratch } from './support.mjs';

const builtIn = [2, 3000, 1_000_000];
const WEB = 'x={"client_revision":1000009,"y":1}';
const ESCAPED = 'JSON.parse("{\\"client_revision\\":1000008}")';
const BAILEYS = "import x\n\nconst version = [2, 3000, 1000007]\n";
const make = async (folder, options = {}) => {
  const versions = new Versions({ folder, builtIn, override: null, limit_ms: 1_000, env: {}, ...options });
  await versions.load();
  return versions;
};
const pages = (web, baileys) => async url => {
  const page = /whatsapp\.com/.test(url) ? web : baileys;
  if (page instanceof Error) throw page;
  return page;
};

test('nobody is asked before a refusal', async t => {
  const versions = await make(scratch(t), { fetch: () => assert.fail('asked') });
  assert.deepEqual(versions.current, builtIn);
  await versions.confirm();
});

test('after a refusal the sources are asked in turn', async t => {
  const rows = [
    [pages(WEB, BAILEYS), [2, 3000, 1_000_009]],
    [pages(ESCAPED, BAILEYS), [2, 3000, 1_000_008]],
    [pages(new Error('offline'), BAILEYS), [2, 3000, 1_000_007]],
    [pages('<html>', BAILEYS), [2, 3000, 1_000_007]],
    [pages('"client_revision":1000000', BAILEYS), [2, 3000, 1_000_007]],
    [pages('<html>', '<html>'), null],
    [pages(new Error('offline'), new Error('offline')), null],
  ];
  for (const [fetch, expected] of rows) {
    const versions = await make(scratch(t), { fetch });
    assert.deepEqual(await versions.next(), expected);
    assert.deepEqual(versions.current, expected ?? builtIn);
  }
});

test('a version that worked is remembered until Baileys brings a newer one', async t => {
  const folder = scratch(t);
  const first = await make(folder, { fetch: pages(WEB, BAILEYS) });
  await first.next();
  await first.confirm();
  assert.deepEqual(JSON.parse(readFileSync(join(folder, 'wa_version.json'), 'utf8')), { version: [2, 3000, 1_000_009] });
  assert.deepEqual((await make(folder)).current, [2, 3000, 1_000_009]);
  assert.deepEqual((await make(folder, { builtIn: [2, 3000, 2_000_000] })).current, [2, 3000, 2_000_000]);
  const refused = await make(folder, { fetch: pages(new Error('x'), new Error('x')) });
  assert.deepEqual(await refused.next(), builtIn, 'the built-in one is another version then');
  writeFileSync(join(folder, 'wa_version.json'), '{"version":');
  assert.deepEqual((await make(folder)).current, builtIn);
});

test('a version set by hand wins', async t => {
  const fetch = () => assert.fail('asked');
  const env = { WHATSAPP_WA_VERSION: '2.3000.5' };
  assert.deepEqual((await make(scratch(t), { env, fetch })).current, [2, 3000, 5]);
  const versions = await make(scratch(t), { env, fetch, override: [2, 3000, 6] });
  assert.deepEqual(versions.current, [2, 3000, 6]);
  assert.equal(await versions.next(), null);
  for (const text of ['2.3000.5', '2,3000,5', '[2, 3000, 5]']) assert.deepEqual(versionFromText(text), [2, 3000, 5]);
  for (const text of ['', undefined, 'latest', '2.3000', '2..5', '2.3000.5.6']) assert.equal(versionFromText(text), null);
});

test('a source that hangs costs no more than the limit', async t => {
  const server = createServer((request, response) => response.write('never ends'));
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  t.after(() => { server.closeAllConnections(); server.close(); });
  const fetch = (_, options) => getText(`http://127.0.0.1:${server.address().port}/`, options);
  const versions = await make(scratch(t), { fetch, limit_ms: 150 });
  const begun = performance.now();
  assert.equal(await versions.next(), null);
  assert.ok(performance.now() - begun < 1_500);
});
