/** Kill -9 at any point: nothing the server holds for delivered may be missing, nothing is told under two numbers. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Bridge, Service, lifetime, pairFolder, runFolder, scratch, until } from './support.mjs';

const SENDERS = ['15550002222', '15550003333', '15550004444'];

describe('kill -9', () => {
  let service;
  let folder;
  const shared = lifetime();
  before(async () => {
    service = await Service.start(shared);
    folder = scratch(shared);
    await pairFolder(shared, service, folder);
  });
  after(() => shared.end());

  test('while a burst comes in, at many moments', async t => {
    const told = new Map();
    const note = bridge => {
      for (const { id, seq, text } of bridge.seen('message')) {
        const before_ = told.get(id);
        assert.ok(before_ === undefined || before_.seq === seq, `${id} was told as ${before_?.seq} and as ${seq}`);
        told.set(id, { seq, text });
      }
    };
    const expected = [];
    // The moment is a number of receipts the server has seen, or of events the gateway has seen, or a random delay.
    const moments = [
      { acks: 1 }, { acks: 7 }, { events: 1 }, { events: 9 },
      ...Array.from({ length: 4 }, () => ({ ms: Math.floor(Math.random() * 120) })),
    ];
    for (const [turn, { acks, events, ms }] of moments.entries()) {
      const bridge = await runFolder(t, service, folder);
      const settled = service.seen('ack').length;
      const { message_ids } = await service.command('burst', { from: SENDERS, count: 24, prefix: `turn ${turn}` });
      expected.push(...message_ids);
      if (acks) await until(() => service.seen('ack').length >= settled + acks);
      if (events) await until(() => bridge.seen('message').length >= events);
      if (ms) await new Promise(done => setTimeout(done, ms));
      await bridge.kill();
      note(bridge);
      assert.deepEqual(bridge.bad.filter(line => line.endsWith('}')), []);
    }
    const last = await runFolder(t, service, folder);
    await until(() => {
      note(last);
      return expected.every(id => told.has(id));
    });
    assert.equal(told.size, expected.length);
    for (const { seq } of told.values()) last.command('ack', { seq });
    assert.equal(await last.stop(), 0);
    const quiet = await runFolder(t, service, folder);
    assert.equal(quiet.seen('message').length, 0);
    assert.equal(await quiet.stop(), 0);
  });

  test('every message the server has a receipt for is in the spool', async t => {
    const bridge = await runFolder(t, service, folder);
    const { message_ids } = await service.command('burst', { from: SENDERS, count: 40, prefix: 'receipts' });
    await until(() => service.seen('ack').filter(ack => message_ids.includes(ack.message_id)).length > 10);
    await bridge.kill();
    const acked = service.seen('ack').map(ack => ack.message_id).filter(id => message_ids.includes(id));
    const alone = Bridge.start(t, 'run', { folder, url: 'ws://127.0.0.1:9' });
    await alone.exited;
    const spooled = new Set(alone.seen('message').map(({ id }) => id));
    assert.deepEqual(acked.filter(id => !spooled.has(id)), []);
    const next = await runFolder(t, service, folder);
    await until(() => message_ids.every(id => next.seen('message', { id }).length === 1));
    for (const { seq } of next.seen('message')) next.command('ack', { seq });
    assert.equal(await next.stop(), 0);
  });

  test('while sending: whatever comes next can be read', async t => {
    const unread = service.seen('undecryptable').length;
    let last;
    for (let turn = 0; turn < 4; turn += 1) {
      const bridge = await runFolder(t, service, folder);
      const ids = Array.from({ length: 5 }, (_, i) => `3EB0DEADBEEF${turn}${i}00`);
      for (const message_id of ids) {
        bridge.command('send', { id: message_id, message_id, chat: SENDERS[turn % 3], text: message_id });
      }
      await service.event('accepted', { message_id: ids[turn % 5] });
      await bridge.kill();
      last = ids[turn % 5];
      await service.event('received', { message_id: last });
    }
    const bridge = await runFolder(t, service, folder);
    for (const chat of SENDERS) {
      const message_id = `3EB0FEED${chat.slice(-6)}`;
      bridge.command('send', { id: chat, message_id, chat, text: 'still readable' });
      await bridge.event('sent', { id: chat });
      await service.event('received', { message_id });
    }
    assert.equal(service.seen('undecryptable').length, unread);
    assert.equal(await bridge.stop(), 0);
  });
});
