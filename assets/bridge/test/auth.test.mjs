import assert from 'node:assert/strict';
import { execFileSync, fork } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BufferJSON, initAuthCreds, proto, useMultiFileAuthState } from 'baileys';
import { AuthState } from '../auth.mjs';
import { Committer } from '../commit.mjs';
import { pairingState, parseCreds } from '../creds.mjs';
import { asExit, isLocal } from '../exits.mjs';
import { root, scratch, until } from './support.mjs';

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
  await state.keys.set({ 'sender-key': { [odd]: Buffer.from('["theirs"]') }, session: { '15550002222.0': { a: 1 } } });

  const { auth, committer } = open(folder);
  assert.equal(await auth.load({ create: false }), 'paired');
  assert.deepEqual(auth.creds.noiseKey, state.creds.noiseKey);
  assert.deepEqual((await auth.keys.get('sender-key', [odd]))[odd], Buffer.from('["theirs"]'));
  assert.deepEqual(await auth.keys.get('session', ['15550002222.0', 'none']), { '15550002222.0': { a: 1 }, none: null });

  auth.creds.nextPreKeyId = 77;
  auth.saveCreds();
  const share = proto.Message.AppStateSyncKeyData.fromObject({ keyData: Buffer.alloc(32, 7), timestamp: 5 });
  await auth.keys.set({ 'sender-key': { [odd]: Buffer.from('["ours"]') }, session: { '15550002222.0': null },
    'app-state-sync-key': { k: share } });
  assert.deepEqual((await auth.keys.get('session', ['15550002222.0']))['15550002222.0'], null, 'seen before it is written');
  await committer.flush();

  const again = (await useMultiFileAuthState(folder)).state;
  assert.equal(again.creds.nextPreKeyId, 77);
  assert.deepEqual((await again.keys.get('sender-key', [odd]))[odd], Buffer.from('["ours"]'));
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

test('bytes are read in every form in which programs write them, and what is none of them is not handed on', () => {
  const creds = { ...initAuthCreds(), me, account, routingInfo: Buffer.from([8, 2]) };
  const written = JSON.stringify(creds, BufferJSON.replacer);
  const lists = change => JSON.stringify(JSON.parse(written, BufferJSON.reviver), (_, value) =>
    (value?.type === 'Buffer' ? change(value.data) : value));
  const forms = [
    written,
    JSON.stringify(creds),
    lists(bytes => bytes),
    lists(bytes => ({ ...bytes })),
    lists(bytes => ({ type: 'Buffer', data: { ...bytes } })),
    lists(bytes => Buffer.from(bytes).toString('base64')),
  ];
  for (const form of forms) {
    const read = parseCreds(form);
    assert.equal(pairingState(read), 'paired', form.slice(0, 200));
    assert.deepEqual(read.noiseKey, creds.noiseKey);
    assert.deepEqual(read.signedPreKey, creds.signedPreKey);
  }
  const spoiled = [
    value => { value.noiseKey.private = {}; },
    value => { value.noiseKey.private = [1, 2, 3]; },
    value => { value.signedIdentityKey.private = 'c2hvcnQ='; },
    value => { value.signedPreKey.keyPair.private.data = [...Array(31).fill(1), 256]; },
    value => { value.signedPreKey.signature = 7; },
    value => { value.account.details = { a: 1 }; },
    value => { value.registrationId = '7'; },
    value => { delete value.noiseKey.public; },
  ];
  for (const spoil of spoiled) {
    const value = JSON.parse(written);
    spoil(value);
    assert.equal(parseCreds(JSON.stringify(value)), null, spoil.toString());
  }
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

test('key files are read in every form, too', async t => {
  const folder = scratch(t);
  const keys = { private: Buffer.alloc(32, 7), public: Buffer.alloc(32, 9) };
  writeFileSync(join(folder, 'pre-key-1.json'), JSON.stringify(keys));
  writeFileSync(join(folder, 'pre-key-2.json'), JSON.stringify({ private: [...keys.private], public: { ...keys.public } }));
  writeFileSync(join(folder, 'sync-3.json'), JSON.stringify({ deviceIndexes: [...Array(20).keys()], few: [1, 2] }));
  const { auth } = open(folder);
  await auth.load({ create: true });
  assert.deepEqual(await auth.keys.get('pre-key', ['1', '2']), { 1: keys, 2: keys });
  assert.deepEqual((await auth.keys.get('sync', ['3']))['3'], { deviceIndexes: [...Array(20).keys()], few: [1, 2] });
});

test('a key of another shape than its kind has counts as missing', async t => {
  const folder = scratch(t);
  const b64 = text => ({ type: 'Buffer', data: Buffer.from(text).toString('base64') });
  const odd = { session: [1, { _sessions: 7 }], 'sender-key': [{}, [], b64(''), b64('{'), b64('7')], 'pre-key': [{}, { private: 'x' }],
    'lid-mapping': [{}, 7, []], 'device-list': [{}, 'x'], 'identity-key': ['x', {}], 'sender-key-memory': ['x', []] };
  const { auth } = open(folder);
  await auth.load({ create: true });
  for (const [type, values] of Object.entries(odd)) {
    for (const [at, value] of values.entries()) {
      writeFileSync(join(folder, `${type}-${at}.json`), JSON.stringify(value));
      assert.deepEqual(await auth.keys.get(type, [`${at}`]), { [at]: null }, `${type} ${JSON.stringify(value)}`);
    }
  }
});

test('credentials that lack what begins at zero are completed', async t => {
  const folder = scratch(t);
  const { nextPreKeyId, firstUnuploadedPreKeyId, accountSettings, pairingEphemeralKeyPair, ...few } = { ...initAuthCreds(), me, account };
  writeFileSync(join(folder, 'creds.json'), JSON.stringify({ ...few, routingInfo: { odd: true } }));
  const { auth } = open(folder);
  assert.equal(await auth.load({ create: false }), 'paired');
  assert.deepEqual([auth.creds.nextPreKeyId, auth.creds.accountSettings, auth.creds.routingInfo], [1, { unarchiveChats: false }, undefined]);
  assert.deepEqual(auth.creds.noiseKey, few.noiseKey);
});

test('a key that is there and cannot be read ends the process and is never taken for a missing one', async t => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'lid-mapping-15550002222.json'));
  execFileSync('mkfifo', [join(folder, 'session-1.0.json')]);
  const { auth, committer } = open(folder);
  const ends = [];
  auth.attach(committer, error => ends.push(asExit(error)));
  await auth.load({ create: true });
  const reads = [auth.keys.get('lid-mapping', ['15550002222']), auth.keys.get('session', ['1.0'])];
  await until(() => ends.length === 2);
  assert.equal(await Promise.race([...reads, 'still waiting']), 'still waiting');
  assert.deepEqual(ends.map(end => [end.code, end.message]).sort(), [
    ['storage', `${join(folder, 'lid-mapping-15550002222.json')} cannot be read: it is a directory (EISDIR)`],
    ['storage', `${join(folder, 'session-1.0.json')} cannot be read: it is not a regular file (ENOTFILE)`],
  ]);
});

test('a local error is none of the network', () => {
  const boom = Object.assign(new Error('Connection was lost'), { isBoom: true, output: { statusCode: 408 } });
  const refused = Object.assign(new Error('x'), { code: 'ECONNREFUSED', syscall: 'connect' });
  for (const error of [boom, refused, undefined, new Error('Unsupported state or unable to authenticate data')]) {
    assert.equal(isLocal(error), false, String(error));
  }
  const missing = Object.assign(new Error('x'), { code: 'EACCES', syscall: 'open', path: '/h/k.json' });
  assert.deepEqual([isLocal(missing), asExit(missing).message], [true, '/h/k.json cannot be read: permission denied (EACCES)']);
  assert.equal(isLocal(new TypeError('Invalid private key')), true);
  assert.equal(asExit(new TypeError('Invalid private key')).code, 'internal');
  for (const code of ['EACCES', 'ECONNRESET', 'ETIMEDOUT']) {
    assert.equal(asExit(Object.assign(new Error('x'), { code, syscall: 'connect' })).code, 'connection_lost', code);
  }
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
