import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { proto } from 'baileys';
import { Committer } from '../commit.mjs';
import { SentStore } from '../sent.mjs';
import { Spool, digestOf } from '../spool.mjs';
import { scratch } from './support.mjs';

const opened = [];
afterEach(() => Promise.all(opened.splice(0).map(one => one.close())));

async function open(folder, options) {
  const spool = new Spool(folder, options);
  opened.push(spool);
  await spool.open();
  const committer = new Committer([spool], error => { throw error; });
  spool.attach(committer);
  return { spool, committer, add: (id, raw) => spool.add(digestOf('c', null, id), { id, text: `text of ${id}` }, raw) };
}

test('events survive, are trimmed by their number, and numbers never repeat', async t => {
  const folder = scratch(t);
  let { spool, committer, add } = await open(folder);
  assert.ok(add('a', 'bWVkaWE='));
  assert.ok(add('b'));
  assert.equal(add('a'), false);
  assert.deepEqual(spool.pendingAfter(0), [], 'not told before it is durable');
  await committer.flush();
  assert.deepEqual(spool.pendingAfter(0), [1, 2]);
  spool.ack(1);
  spool.ack(1);
  spool.ack(99);
  await committer.flush();

  ({ spool, committer, add } = await open(folder));
  assert.deepEqual(spool.pendingAfter(0), [2]);
  assert.deepEqual((await spool.read(2)).e, { id: 'b', text: 'text of b' });
  assert.equal(await spool.read(1), null);
  assert.equal(add('a'), false, 'an acknowledged message is not told again');
  spool.ack(2);
  await committer.flush();
  ({ spool, committer, add } = await open(folder));
  add('c', 'bWVkaWE=');
  await committer.flush();
  assert.deepEqual(spool.pendingAfter(0), [3]);
  assert.equal((await spool.read(3)).r, 'bWVkaWE=');
  assert.equal(statSync(join(folder, 'events.log')).mode & 0o777, 0o600);
});

test('a log cut at any byte loses only what was cut', async t => {
  const folder = scratch(t);
  const { committer, add } = await open(folder);
  for (const id of ['a', 'b', 'c']) {
    add(id);
    await committer.flush();
  }
  const path = join(folder, 'events.log');
  const whole = readFileSync(path);
  const ends = [...whole.keys()].filter(at => whole[at] === 10);
  for (let cut = whole.length; cut >= 0; cut -= 7) {
    truncateSync(path, 0);
    appendFileSync(path, whole.subarray(0, cut));
    const { spool, committer: again, add: addAgain } = await open(folder);
    assert.equal(spool.waiting, ends.filter(end => end < cut).length);
    addAgain('new');
    await again.flush();
    const { spool: reopened } = await open(folder);
    assert.equal(reopened.waiting, spool.waiting);
  }
});

test('a line that cannot be read does not hide the others', async t => {
  const folder = scratch(t);
  const { committer, add } = await open(folder);
  add('a');
  await committer.flush();
  appendFileSync(join(folder, 'events.log'), 'rubbish\n');
  const { spool, committer: again, add: addAgain } = await open(folder);
  addAgain('b');
  await again.flush();
  assert.equal(spool.waiting, 2);
  assert.equal((await spool.read(2)).e.id, 'b');
});

test('the log is rewritten when most of it is acknowledged', async t => {
  const folder = scratch(t);
  const { spool, committer } = await open(folder);
  const filler = 'x'.repeat(2_000);
  for (let i = 0; i < 600; i += 1) spool.add(digestOf('c', null, `m${i}`), { id: `m${i}`, filler });
  await committer.flush();
  for (let seq = 1; seq <= 590; seq += 1) spool.ack(seq);
  await committer.flush();
  assert.ok(statSync(join(folder, 'events.log')).size < 100_000);
  assert.equal((await spool.read(595)).e.id, 'm594');
  spool.add(digestOf('c', null, 'last'), { id: 'last' });
  await committer.flush();
  const reopened = await open(folder);
  assert.deepEqual(reopened.spool.pendingAfter(0), [591, 592, 593, 594, 595, 596, 597, 598, 599, 600, 601]);
  assert.equal(reopened.spool.add(digestOf('c', null, 'm3'), { id: 'm3' }), false);
  assert.equal((await reopened.spool.read(601)).e.id, 'last');
});

test('at the limit it refuses and never drops', async t => {
  const { spool, committer, add } = await open(scratch(t), { limit: 3 });
  for (const id of ['a', 'b', 'c']) add(id);
  assert.throws(() => add('d'), { code: 'storage' });
  await committer.flush();
  assert.equal(spool.waiting, 3);
  let roomy = false;
  const room = spool.room().then(() => { roomy = true; });
  await committer.flush();
  assert.equal(roomy, false);
  spool.ack(2);
  await room;
  assert.ok(add('d'));
  await committer.flush();
});

test('a burst shares its flushes', async t => {
  const { spool, committer, add } = await open(scratch(t));
  let flushes = 0;
  spool.onDurable(() => { flushes += 1; });
  for (let i = 0; i < 100; i += 1) add(`m${i}`);
  await committer.flush();
  assert.equal(flushes, 1);
  assert.equal(spool.pendingAfter(0).length, 100);
});

test('sent texts are answered over restarts and bounded', async t => {
  const folder = scratch(t);
  const openSent = async () => {
    const sent = new SentStore(folder);
    opened.push(sent);
    await sent.open();
    const committer = new Committer([sent], error => { throw error; });
    sent.attach(committer);
    return { sent, committer };
  };
  let { sent, committer } = await openSent();
  for (let i = 0; i < 2_200; i += 1) {
    sent.add(`ID${i}`, 'c', proto.Message.encode({ conversation: `text ${i}` }).finish());
    if (i % 300 === 0) await committer.flush();
  }
  await committer.flush();
  appendFileSync(join(folder, 'sent.log'), '{"id":"torn');
  ({ sent, committer } = await openSent());
  assert.equal(proto.Message.decode(sent.get('ID2199')).conversation, 'text 2199');
  assert.equal(sent.has('ID10'), false);
  assert.ok(sent.has('ID1201'));
  sent.add('big', 'c', Buffer.alloc(5 * 1024 * 1024));
  assert.ok(sent.has('big') && !sent.has('ID2199'), 'bounded in bytes too');
  await committer.flush();
});

test('a chat that somebody wrote in stays known after the acknowledgement, a restart and a compaction', async t => {
  const folder = scratch(t);
  let { spool, committer, add } = await open(folder);
  assert.equal(spool.heard('200084449997777@lid'), false);
  const event = { id: 'a', chat: '200084449997777@lid', chat_alt: '15550002222@s.whatsapp.net' };
  spool.add(digestOf(event.chat, null, event.id), event);
  assert.ok(spool.heard('200084449997777@lid'));
  await committer.flush();
  spool.ack(1);
  await committer.flush();
  ({ spool, committer, add } = await open(folder));
  assert.ok(spool.heard('200084449997777@lid') && spool.heard('15550002222@s.whatsapp.net'));
  for (let n = 0; n < 60; n += 1) {
    add(`filler ${n}`, 'x'.repeat(20_000));
    await committer.flush();
    spool.ack(n + 2);
    await committer.flush();
  }
  assert.ok(statSync(join(folder, 'events.log')).size < 1_000_000, 'it was compacted');
  ({ spool, committer, add } = await open(folder));
  assert.ok(spool.heard('200084449997777@lid'));
});
