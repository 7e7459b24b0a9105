import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BufferJSON, initAuthCreds, proto, useMultiFileAuthState } from 'baileys';
import { AuthState, pairingState, parseCreds } from '../auth.mjs';
import { Committer } from '../commit.mjs';
import { root, scratch } from './support.mjs';

const tools = { BufferJSON, initAuthCreds, proto };
const account = { details: Buffer.from('d'), accountSignature: Buffer.alloc(64), deviceSignature: Buffer.alloc(64) };
const me = { id: '15550001111:3@s.whatsapp.net', lid: '100000000000001:3@lid' };

function open(folder) {
  const auth = new AuthState(folder, tools);
  const committer = new Committer([auth.keyFiles(), auth.credsFile()], error => { throw error; });
  auth.attach(committer);
  return { auth, committer };
}

test('the layout is that of useMultiFileAuthState, in both directions', async t => {
  const folder = scratch(t);
  const { state, saveCreds } = await useMultiFileAuthState(folder);
  Object.assign(state.creds, { account, me });
  await saveCreds();
  const odd = '120363000000000001@g.us::15550002222::0/1';
  await state.keys.set({ 'sender-key': { [odd]: Buffer.from('theirs') }, session: { '15550002222.0': { a: 1 } } });

  const { auth, committer } = open(folder);
  assert.equal(await auth.load({ create: false }), 'paired');
  assert.deepEqual(auth.creds.noiseKey, state.creds.noiseKey);
  assert.deepEqual((await auth.keys.get('sender-key', [odd]))[odd], Buffer.from('theirs'));
  assert.deepEqual(await auth.keys.get('session', ['15550002222.0', 'none']), { '15550002222.0': { a: 1 }, none: null });

  auth.creds.nextPreKeyId = 77;
  auth.saveCreds();
  const share = proto.Message.AppStateSyncKeyData.fromObject({ keyData: Buffer.alloc(32, 7), timestamp: 5 });
  await auth.keys.set({ 'sender-key': { [odd]: Buffer.from('ours') }, session: { '15550002222.0': null },
    'app-state-sync-key': { k: share } });
  assert.deepEqual((await auth.keys.get('session', ['15550002222.0']))['15550002222.0'], null, 'seen before it is written');
  await committer.flush();

  const again = (await useMultiFileAuthState(folder)).state;
  assert.equal(again.creds.nextPreKeyId, 77);
  assert.deepEqual((await again.keys.get('sender-key', [odd]))[odd], Buffer.from('ours'));
  assert.deepEqual(await again.keys.get('session', ['15550002222.0']), { '15550002222.0': null });
  assert.deepEqual(Buffer.from((await again.keys.get('app-state-sync-key', ['k'])).k.keyData), Buffer.alloc(32, 7));
  assert.deepEqual(Buffer.from((await auth.keys.get('app-state-sync-key', ['k'])).k.keyData), Buffer.alloc(32, 7));
});

test('what proves a pairing', () => {
  assert.equal(pairingState({}), 'unpaired');
  assert.equal(pairingState({ registered: true }), 'unpaired');
  assert.equal(pairingState({ me, account }), 'paired');
  assert.equal(pairingState({ me: { id: '15550001111@s.whatsapp.net', name: '~' } }), 'half');
  assert.equal(pairingState({ me: { id: '15550001111@s.whatsapp.net' }, account }), 'half');
  assert.equal(pairingState({ me, account: { ...account, deviceSignature: undefined } }), 'half');
  assert.equal(parseCreds('{"noiseKey":1}'), null);
  assert.equal(parseCreds(''), null);
});

test('credentials that are being written are waited for', async t => {
  const folder = scratch(t);
  const text = JSON.stringify({ ...initAuthCreds(), me, account }, BufferJSON.replacer);
  writeFileSync(join(folder, 'creds.json'), text.slice(0, 200));
  const { auth } = open(folder);
  const loading = auth.load({ create: false });
  setTimeout(() => writeFileSync(join(folder, 'creds.json'), text), 120);
  assert.equal(await loading, 'paired');
  assert.deepEqual(readdirSync(folder), ['creds.json']);
});

test('broken credentials are restored from their copy, or nothing is written', async t => {
  const text = JSON.stringify({ ...initAuthCreds(), me, account }, BufferJSON.replacer);
  const broken = ['', text.slice(0, 300), 'null'];
  await Promise.all(broken.map(async (content, i) => {
    const folder = join(scratch(t), String(i));
    mkdirSync(folder);
    writeFileSync(join(folder, 'creds.json'), content);
    writeFileSync(join(folder, 'creds.json.bak'), text);
    const { auth } = open(folder);
    assert.equal(await auth.load({ create: true }), 'paired');
    assert.equal(readFileSync(join(folder, 'creds.json'), 'utf8'), text);
    assert.equal(readFileSync(join(folder, 'creds.json.corrupt'), 'utf8'), content);
  }));
  await Promise.all(['', '{'].map(async (backup, i) => {
    const folder = join(scratch(t), String(i));
    mkdirSync(folder);
    writeFileSync(join(folder, 'creds.json'), '');
    if (i) writeFileSync(join(folder, 'creds.json.bak'), backup);
    await assert.rejects(open(folder).auth.load({ create: true }), { code: 'creds_corrupt' });
    assert.equal(readFileSync(join(folder, 'creds.json'), 'utf8'), '');
  }));
});

test('new credentials stay in memory until the account has accepted', async t => {
  const folder = scratch(t);
  const { auth, committer } = open(folder);
  assert.equal(await auth.load({ create: true }), 'unpaired');
  auth.creds.me = { id: '15550001111@s.whatsapp.net', name: '~' };
  auth.saveCreds();
  await committer.flush();
  assert.deepEqual(readdirSync(folder), []);
  Object.assign(auth.creds, { account, me });
  auth.saveCreds();
  await committer.flush();
  assert.equal(await auth.stateOnDisk(), 'paired');
});

test('an unreadable key file counts as missing and is kept aside', async t => {
  const folder = scratch(t);
  writeFileSync(join(folder, 'session-15550002222.0.json'), '{"half":');
  const { auth } = open(folder);
  await auth.load({ create: true });
  assert.deepEqual(await auth.keys.get('session', ['15550002222.0']), { '15550002222.0': null });
  assert.deepEqual(readdirSync(folder), ['session-15550002222.0.json.corrupt']);
});

test('files are private, whatever the folder was', async t => {
  const folder = scratch(t);
  chmodSync(folder, 0o755);
  const { auth, committer } = open(folder);
  await auth.load({ create: true });
  await auth.keys.set({ session: { a: { x: 1 } } });
  await committer.flush();
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  assert.equal(statSync(join(folder, 'session-a.json')).mode & 0o777, 0o600);
});

test('812 keys in one commit are quick', async t => {
  const folder = scratch(t);
  const { auth, committer } = open(folder);
  await auth.load({ create: true });
  const keys = {};
  for (let i = 1; i <= 812; i += 1) keys[i] = { public: Buffer.alloc(32, i), private: Buffer.alloc(32, i) };
  const begun = performance.now();
  await auth.keys.set({ 'pre-key': keys });
  await committer.flush();
  t.diagnostic(`812 keys: ${Math.round(performance.now() - begun)} ms`);
  assert.equal(readdirSync(folder).length, 812);
});

test('a full disk is an error, not a loss', async t => {
  const folder = scratch(t);
  let failed = null;
  const auth = new AuthState(folder, tools);
  const broken = { take: () => async () => { throw Object.assign(new Error('full'), { code: 'ENOSPC' }); } };
  const committer = new Committer([broken, auth.keyFiles()], error => { failed = error; });
  auth.attach(committer);
  await auth.load({ create: true });
  await auth.keys.set({ session: { a: { x: 1 } } });
  await assert.rejects(committer.flush(), { code: 'ENOSPC' });
  assert.equal(failed.code, 'ENOSPC');
  await assert.rejects(committer.flush(), { code: 'ENOSPC' }, 'and it stays one');
  assert.deepEqual(readdirSync(folder), []);
});

test('kill -9 at any moment leaves whole files', async t => {
  const folder = scratch(t);
  for (let turn = 0; turn < 8; turn += 1) {
    const child = fork(join(root, 'test/programs/save_credentials.mjs'), [folder], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    await new Promise(done => child.once('message', done));
    await new Promise(done => setTimeout(done, 11 * turn));
    child.kill('SIGKILL');
    await new Promise(done => child.once('exit', done));
    for (const name of readdirSync(folder)) {
      if (/\.tmp$/.test(name)) continue;
      assert.doesNotThrow(() => JSON.parse(readFileSync(join(folder, name), 'utf8')), `${name} in turn ${turn}`);
    }
    assert.ok(parseCreds(readFileSync(join(folder, 'creds.json'), 'utf8'), BufferJSON.reviver));
  }
  await open(folder).auth.load({ create: false });
  assert.ok(!readdirSync(folder).some(name => /\.tmp$/.test(name)), 'leftovers are swept');
});
