import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { Committer, holdFrames } from '../commit.mjs';
import { decryptAlone } from '../ratchet.mjs';
import { Locks, contactStore, signalRepository } from '../signal.mjs';

const turn = () => new Promise(setImmediate);

function memory() {
  const data = {};
  return {
    data,
    get: async (type, ids) => Object.fromEntries(ids.map(id => [id, structuredClone(data[type]?.[id]) ?? null])),
    set: async entries => {
      for (const [type, values] of Object.entries(entries)) Object.assign(data[type] ??= {}, structuredClone(values));
    },
  };
}

test('work under one name runs one after another, under two at once', async () => {
  const locks = new Locks();
  const order = [];
  const work = (name, tag) => locks.run(name, async () => {
    order.push(`${tag} begins`);
    await turn();
    order.push(`${tag} ends`);
    if (tag === 'a1') throw new Error('a1');
  });
  const results = await Promise.allSettled([work('a', 'a1'), work('a', 'a2'), work('b', 'b1')]);
  assert.deepEqual(results.map(({ status }) => status), ['rejected', 'fulfilled', 'fulfilled']);
  assert.deepEqual(order.filter(entry => entry.startsWith('a')), ['a1 begins', 'a1 ends', 'a2 begins', 'a2 ends']);
  assert.ok(order.indexOf('b1 begins') < order.indexOf('a1 ends'));
});

test('a transaction publishes all or nothing, at its end', async () => {
  const keys = memory();
  const store = contactStore(keys);
  await store.transaction(async () => {
    await store.set({ session: { a: 1 } });
    assert.equal(keys.data.session, undefined);
    assert.deepEqual(await store.get('session', ['a', 'b']), { a: 1, b: null });
    await store.transaction(() => store.set({ session: { b: 2 } }), 'nested');
    await store.set({ 'lid-mapping': { x: 'y' } });
    assert.deepEqual(keys.data['lid-mapping'], { x: 'y' });
  }, 'contact');
  assert.deepEqual(keys.data.session, { a: 1, b: 2 });
  await assert.rejects(store.transaction(async () => {
    await store.set({ session: { a: 9 } });
    throw new Error('Bad MAC');
  }, 'contact'));
  assert.deepEqual(keys.data.session, { a: 1, b: 2 });
});

test('sending to and receiving from a contact do not overlap, by number or by LID', async () => {
  const keys = memory();
  await keys.set({ 'lid-mapping': { 15550002222: '100000000000002' }, session: { s: { count: 0 } } });
  const captured = [];
  const bump = async store => {
    const { s } = await store.get('session', ['s']);
    await turn();
    await turn();
    await store.set({ session: { s: { count: s.count + 1 } } });
  };
  const makeRepository = ({ keys: store }) => ({
    jidToSignalProtocolAddress: () => 's',
    decryptMessage: async () => { await bump(store); return Buffer.from('plain'); },
    encryptMessage: async () => { await bump(store); return { type: 'msg' }; },
    decryptGroupMessage: async () => Buffer.from('group'),
  });
  const repository = signalRepository({
    makeRepository,
    keys,
    capture: async (ciphertext, plaintext) => {
      captured.push([ciphertext, plaintext.toString(), keys.data.session.s.count]);
    },
  })({ creds: {}, keys: {} }, {}, () => {});
  const jids = ['15550002222@s.whatsapp.net', '100000000000002@lid', '15550002222:5@s.whatsapp.net', '100000000000002:9@lid'];
  await Promise.all(jids.flatMap(jid => [
    repository.decryptMessage({ jid, type: 'pkmsg', ciphertext: jid }),
    repository.encryptMessage({ jid, data: Buffer.alloc(1) }),
  ]));
  assert.equal(keys.data.session.s.count, 8);
  assert.deepEqual(captured.map(([, text]) => text), ['plain', 'plain', 'plain', 'plain']);
  await repository.decryptGroupMessage({ group: 'g@g.us', msg: 'bytes' });
  assert.deepEqual(captured.at(-1).slice(0, 2), ['bytes', 'group']);
});

test('a message the spool cannot take does not move the ratchet', async () => {
  const keys = memory();
  const makeRepository = ({ keys: store }) => ({
    jidToSignalProtocolAddress: () => 's',
    decryptMessage: async () => { await store.set({ session: { s: 'moved' } }); return Buffer.alloc(1); },
  });
  const repository = signalRepository({ makeRepository, keys, capture: async () => { throw new Error('full'); } })(
    { creds: {}, keys: {} }, {}, () => {});
  await assert.rejects(repository.decryptMessage({ jid: '1@lid', type: 'pkmsg', ciphertext: Buffer.alloc(1) }));
  assert.equal(keys.data.session, undefined);
});

test('sessions that do not fit are left as they were', async () => {
  const ratchet = Buffer.alloc(33, 5);
  const ciphertext = Buffer.concat([Buffer.from([0x33, 0x0a, 33]), ratchet, Buffer.alloc(20)]);
  const session = (closed, chains = {}) => ({ _chains: chains, indexInfo: { closed, used: closed }, state: 'old' });
  const tried = [];
  const attempt = async (sessions, fits) => {
    const keys = memory();
    await keys.set({ session: { s: { _sessions: sessions, version: 'v1' } } });
    const store = contactStore(keys);
    tried.length = 0;
    const decrypt = async () => {
      const record = (await store.get('session', ['s'])).s;
      const [[id, only], ...more] = Object.entries(record._sessions);
      assert.equal(more.length, 0);
      tried.push(id);
      await store.set({ session: { s: { ...record, _sessions: { [id]: { ...only, state: 'stepped' } } } } });
      if (id !== fits) throw new Error('Bad MAC');
      return 'plain';
    };
    const result = await store.transaction(
      () => decryptAlone({ store, address: 's', ciphertext, decrypt }), 's').catch(error => error.message);
    const after = Object.entries(keys.data.session.s._sessions).filter(([, { state }]) => state !== 'old');
    return [result, after.map(([id]) => id)];
  };
  const knows = { [ratchet.toString('base64')]: {} };
  assert.deepEqual(await attempt({ open: session(-1), closed: session(7, knows) }, 'closed'), ['plain', ['closed']]);
  assert.deepEqual(tried, ['closed'], 'the one that knows the key is tried first');
  assert.deepEqual(await attempt({ older: session(3), open: session(-1), newer: session(9) }, 'older'), ['plain', ['older']]);
  assert.deepEqual(tried, ['open', 'newer', 'older']);
  assert.deepEqual(await attempt({ open: session(-1), closed: session(7) }, 'none'), ['Bad MAC', []]);
});

/** A participant whose writes end when the test says so. */
function slowDisk() {
  const writes = [];
  let dirty = [];
  return {
    writes,
    change: name => dirty.push(name),
    take() {
      const snapshot = dirty;
      dirty = [];
      return snapshot.length ? () => new Promise(done => writes.push({ snapshot, done })) : null;
    },
  };
}

test('frames wait for what was decided before them, in their order', async () => {
  const disk = slowDisk();
  const committer = new Committer([disk], () => {});
  const sent = [];
  const socket = Object.assign(new EventEmitter(), {
    OPEN: 1, readyState: 1, send: (data, done) => { sent.push(data); done?.(); },
  });
  holdFrames(socket, committer);
  socket.send('clean');
  assert.deepEqual(sent, ['clean']);

  disk.change('message 1');
  committer.touch();
  let taken = false;
  socket.send('receipt 1', () => { taken = true; });
  await turn();
  await turn();
  assert.ok(taken, 'the sender does not wait');
  disk.change('message 2');
  committer.touch();
  socket.send('receipt 2');
  assert.deepEqual(sent, ['clean']);
  disk.writes[0].done();
  await turn();
  await turn();
  assert.deepEqual(sent, ['clean', 'receipt 1']);
  assert.deepEqual(disk.writes[1].snapshot, ['message 2']);
  disk.writes[1].done();
  await committer.flush();
  await turn();
  assert.deepEqual(sent, ['clean', 'receipt 1', 'receipt 2']);
});

test('after a failed write no frame leaves any more', async () => {
  let failure = null;
  const committer = new Committer([{ take: () => async () => { throw new Error('disk'); } }], error => { failure = error; });
  const sent = [];
  const socket = { OPEN: 1, readyState: 1, send: data => sent.push(data) };
  holdFrames(socket, committer);
  committer.touch();
  socket.send('receipt');
  await turn();
  await turn();
  socket.send('another');
  await turn();
  assert.equal(failure.message, 'disk');
  assert.deepEqual(sent, []);
});
