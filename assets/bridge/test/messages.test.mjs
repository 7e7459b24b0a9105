import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Service, lifetime, pairFolder, runFolder, scratch } from './support.mjs';

const CONTACT = '15550002222';
let count = 0;
const freshId = () => `3EB0${createHash('sha256').update(`${process.pid} ${(count += 1)}`).digest('hex').slice(0, 18).toUpperCase()}`;

describe('messages', () => {
  let service;
  let folder;
  /** One process for all tests that need no restart. */
  let steady;
  const shared = lifetime();
  before(async () => {
    service = await Service.start(shared);
    folder = scratch(shared);
    await pairFolder(shared, service, folder);
    steady = await runFolder(shared, service, folder, { limits: { send_ms: 2_500, media_file_bytes: 4_000 } });
  });
  after(() => shared.end());

  const take = async (bridge, match) => {
    const event = await bridge.message(match);
    bridge.command('ack', { seq: event.seq });
    return event;
  };
  const send = (bridge, fields) => {
    const message_id = freshId();
    bridge.command('send', { id: message_id, message_id, ...fields });
    return message_id;
  };

  test('both addressings carry the LID and the number of a contact', async () => {
    const bridge = steady;
    const { jid, lid } = await service.command('contact', { number: CONTACT });
    await service.command('message', { from: CONTACT, text: 'by LID' });
    const byLid = await take(bridge, { text: 'by LID' });
    assert.deepEqual([byLid.chat, byLid.chat_alt, byLid.sender, byLid.sender_alt], [lid, jid, lid, jid]);
    await service.command('message', { from: CONTACT, text: 'by number', addressing: 'pn' });
    const byNumber = await take(bridge, { text: 'by number' });
    assert.deepEqual([byNumber.chat, byNumber.chat_alt], [jid, lid]);
    assert.equal(byNumber.offline, false);
    assert.equal(byNumber.is_group, false);
  });

  test('what the owner writes on the phone is told as such', async () => {
    const bridge = steady;
    await service.command('own_message', { self: true, text: 'note to self' });
    const note = await take(bridge, { text: 'note to self' });
    assert.equal(note.from_me, true);
    assert.deepEqual(new Set([note.sender, note.sender_alt]), new Set([note.chat, note.chat_alt]));
    await service.command('own_message', { to: CONTACT, text: 'to a contact' });
    const other = await take(bridge, { text: 'to a contact' });
    assert.equal(other.from_me, true);
    assert.equal(other.chat_alt, `${CONTACT}@s.whatsapp.net`);
    assert.ok([other.sender, other.sender_alt].includes('15550001111@s.whatsapp.net'));
  });

  test('a message is sent when the server has it, and read when it is read', async () => {
    const bridge = steady;
    const message_id = send(bridge, { chat: CONTACT, text: 'hello there' });
    const sent = await bridge.event('sent', { id: message_id });
    assert.ok(Math.abs(sent.timestamp_s - Date.now() / 1000) < 60);
    const received = await service.event('received', { message_id });
    assert.equal(received.text, 'hello there');
    await bridge.event('receipt', { message_id, status: 'delivered' });
    await service.command('read', { from: CONTACT, message_id });
    await bridge.event('receipt', { message_id, status: 'read' });
  });

  test('a note to the own account reaches the phone', async () => {
    const message_id = send(steady, { chat: '15550001111', text: 'to myself' });
    await steady.event('sent', { id: message_id });
    assert.equal((await service.event('received', { message_id })).text, 'to myself');
  });

  test('a reply quotes', async () => {
    const bridge = steady;
    await service.command('message', { from: CONTACT, text: 'a question' });
    const { chat, id, sender } = await take(bridge, { text: 'a question' });
    const message_id = send(bridge, {
      chat, text: 'an answer', quoted: { id, participant: sender, from_me: false, text: 'a question' },
    });
    await bridge.event('sent', { id: message_id });
    const received = await service.event('received', { message_id });
    assert.ok(JSON.stringify(received).includes(id), JSON.stringify(received));
  });

  test('the order in a chat is kept', async () => {
    const bridge = steady;
    const ids = ['one', 'two', 'three', 'four'].map(text => send(bridge, { chat: CONTACT, text }));
    for (const id of ids) await bridge.event('sent', { id });
    const texts = [];
    for (const message_id of ids) texts.push((await service.event('received', { message_id })).text);
    assert.deepEqual(texts, ['one', 'two', 'three', 'four']);
    assert.deepEqual(bridge.seen('sent').map(({ id }) => id).filter(id => ids.includes(id)), ids);
  });

  test('a refusal, a missing answer and unusable requests are told apart', async () => {
    const bridge = steady;
    await service.command('fault', { name: 'ack_error', code: 463, times: 1 });
    let failed = await bridge.event('send_failed', { id: send(bridge, { chat: CONTACT, text: 'no' }) });
    assert.deepEqual([failed.code, failed.certainty, failed.permanent], ['refused_463', 'not_sent', true]);
    await service.command('fault', { name: 'no_ack', times: 1, deliver: false });
    failed = await bridge.event('send_failed', { id: send(bridge, { chat: CONTACT, text: 'who knows' }) });
    assert.deepEqual([failed.code, failed.certainty, failed.permanent], ['timeout', 'maybe_sent', false]);
    await service.command('heal');

    await service.command('contact', { number: '15550009999', absent: true });
    const wrong = [
      ['not_on_whatsapp', { chat: '15550009999', text: 'x' }],
      ['unknown_recipient', { chat: '199999999999999@lid', text: 'x' }],
      ['bad_request', { chat: 'status@broadcast', text: 'x' }],
      ['bad_request', { chat: CONTACT, text: '' }],
      ['bad_request', { chat: CONTACT, text: 'x', message_id: 'short' }],
    ];
    for (const [code, fields] of wrong) {
      const id = freshId();
      bridge.command('send', { id, message_id: id, ...fields });
      failed = await bridge.event('send_failed', { id });
      assert.deepEqual([failed.code, failed.certainty, failed.permanent], [code, 'not_sent', true]);
    }
  });

  test('sending while receiving from the same contact stays readable', async () => {
    const bridge = steady;
    const undecryptable = service.seen('undecryptable').length;
    const ids = [];
    await Promise.all(Array.from({ length: 12 }, async (_, i) => {
      await service.command('message', { from: CONTACT, text: `in ${i}` });
      ids.push(send(bridge, { chat: CONTACT, text: `out ${i}` }));
    }));
    for (let i = 0; i < 12; i += 1) await take(bridge, { text: `in ${i}` });
    for (const message_id of ids) await service.event('received', { message_id });
    assert.equal(service.seen('undecryptable').length, undecryptable);
  });

  test('groups are received and answered', async () => {
    const bridge = steady;
    const { group } = await service.command('group', {
      group: '120363000000000001', subject: 'Friends', members: [CONTACT, '15550003333'],
    });
    await service.command('group_message', { group, from: CONTACT, text: 'hello all' });
    const event = await take(bridge, { text: 'hello all' });
    assert.equal(event.chat, group);
    assert.equal(event.is_group, true);
    assert.ok([event.sender, event.sender_alt].includes(`${CONTACT}@s.whatsapp.net`));
    const message_id = send(bridge, { chat: group, text: 'hello you' });
    await bridge.event('sent', { id: message_id });
    await service.event('received', { message_id });
  });

  test('media is fetched only on request, checked and limited', async () => {
    const bridge = steady;
    const bytes = Buffer.alloc(3000, 'media ');
    const picture = { kind: 'image', text: 'look', data_base64: bytes.toString('base64') };
    await service.command('message', { from: CONTACT, ...picture });
    const event = await bridge.message({ kind: 'image' });
    assert.equal(event.text, 'look');
    assert.equal(service.seen('media_request').length, 0);
    bridge.command('download', { id: 'd1', seq: event.seq });
    const done = await bridge.event('downloaded', { id: 'd1' });
    assert.equal(done.mime, 'image/jpeg');
    assert.match(done.path, /[/][0-9a-f]{32}\.jpg$/);
    assert.equal(readFileSync(done.path).length, done.bytes);
    assert.equal(statSync(done.path).mode & 0o777, 0o600);

    await service.command('fault', { name: 'media', status: 404, times: 1 });
    bridge.command('download', { id: 'd2', seq: event.seq });
    assert.equal((await bridge.event('download_failed', { id: 'd2' })).code, 'gone');
    await service.command('heal');
    bridge.command('download', { id: 'd3', seq: 999_999 });
    assert.equal((await bridge.event('download_failed', { id: 'd3' })).code, 'no_media');
    assert.equal(readdirSync(join(folder, 'media')).length, 1);
    bridge.command('ack', { seq: event.seq });
  });

  test('typing is shown and cleared', async () => {
    const bridge = steady;
    bridge.command('typing', { chat: CONTACT, on: true });
    await service.event('presence', { type: 'composing' });
    bridge.command('typing', { chat: CONTACT, on: false });
    await service.event('presence', { type: 'paused' });
  });

  test('queued messages come after a pause, however long it was, in their order and with their time', async t => {
    assert.equal(await steady.stop(), 0);
    const now = Math.floor(Date.now() / 1000);
    const sent = { ancient: now - 10 * 86_400, queued: now - 60 };
    for (const [text, timestamp_s] of Object.entries(sent)) await service.command('message', { from: CONTACT, text, timestamp_s });
    const bridge = await runFolder(t, service, folder);
    for (const [text, timestamp_s] of Object.entries(sent)) {
      const queued = await take(bridge, { text });
      assert.deepEqual([queued.offline, queued.timestamp_s], [true, timestamp_s], text);
    }
    const told = bridge.seen('message').map(({ text }) => text);
    assert.ok(told.indexOf('ancient') < told.indexOf('queued'), told.join());
    assert.equal(await bridge.stop(), 0);
  });

  test('an event is told again after each start until it is acknowledged', async t => {
    let bridge = await runFolder(t, service, folder);
    await service.command('message', { from: CONTACT, text: 'remember me' });
    const { seq } = await bridge.message({ text: 'remember me' });
    await bridge.kill();
    bridge = await runFolder(t, service, folder);
    const again = await bridge.message({ text: 'remember me' });
    assert.equal(again.seq, seq);
    const names = bridge.events.all.map(({ event }) => event);
    assert.ok(names.indexOf('message') < names.indexOf('open'), 'old events do not wait for the connection');
    bridge.command('ack', { seq });
    assert.equal(await bridge.stop(), 0);
    bridge = await runFolder(t, service, folder);
    assert.equal(bridge.seen('message').length, 0);
    await service.command('message', { from: CONTACT, text: 'next' });
    assert.ok((await take(bridge, { text: 'next' })).seq > seq, 'numbers go on over restarts');
    assert.equal(await bridge.stop(), 0);
  });

  test('a broken connection leaves a message in doubt', async t => {
    const bridge = await runFolder(t, service, folder);
    await service.command('fault', { name: 'no_ack', times: 1, deliver: false });
    const id = send(bridge, { chat: CONTACT, text: 'gone?' });
    await service.event('accepted', { message_id: id });
    await service.command('fault', { name: 'reset' });
    const failed = await bridge.event('send_failed', { id });
    assert.equal(failed.certainty, 'maybe_sent');
    assert.equal(await bridge.exited, 18);
    await service.command('heal');
  });

  test('a recipient that could not read a message gets it again, also after a restart', async t => {
    let bridge = await runFolder(t, service, folder);
    await service.command('fault', { name: 'unreadable', to: CONTACT, times: 1 });
    const once = send(bridge, { chat: CONTACT, text: 'say it again' });
    assert.equal((await service.event('received', { message_id: once })).text, 'say it again');
    await service.command('fault', { name: 'unreadable', to: CONTACT, times: 1 });
    await service.command('fault', { name: 'delay_ack', ms: 400, times: 1 });
    const later = send(bridge, { chat: CONTACT, text: 'and again' });
    await service.event('accepted', { message_id: later });
    await bridge.kill();
    await service.event('undecryptable', { message_id: later });
    bridge = await runFolder(t, service, folder);
    assert.equal((await service.event('received', { message_id: later })).text, 'and again');
    assert.equal(await bridge.stop(), 0);
    await service.command('heal');
  });

  test('a message that comes twice, or damaged first, is told once', async t => {
    let bridge = await runFolder(t, service, folder);
    await service.command('fault', { name: 'lose_receipts' });
    const { message_id } = await service.command('message', { from: CONTACT, text: 'only once' });
    await take(bridge, { id: message_id });
    assert.equal(await bridge.stop(), 0);
    await service.command('heal');
    bridge = await runFolder(t, service, folder);
    await service.event('ack', { message_id });
    await service.command('fault', { name: 'garble', times: 1 });
    const damaged = await service.command('message', { from: CONTACT, text: 'mended' });
    assert.equal((await take(bridge, { id: damaged.message_id })).text, 'mended');
    await service.command('message', { from: CONTACT, text: 'and on' });
    await take(bridge, { text: 'and on' });
    assert.equal(bridge.seen('message', { id: message_id }).length, 0);
    assert.deepEqual(bridge.seen('message').map(({ text }) => text), ['mended', 'and on']);
    assert.equal(await bridge.stop(), 0);
    await service.command('heal');
  });
});
